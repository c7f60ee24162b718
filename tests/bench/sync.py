#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How soon a change is on the other device, and at what cost, beside rsync and lsyncd with rsync. Every figure: README.md here."""

import os
import random
import statistics
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from copy_lab import FILES, MAIL, SUBJECTS, Ours  # noqa: E402
from frame import OURS, Figure, Promise, Trial, at_most, both, run  # noqa: E402

BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", Path(__file__).resolve().parents[2] / "build"))
PEERS = [subject for subject in SUBJECTS if subject != OURS]
IDLE_S = 10


def median_at_most(limit):
    return Promise(f"median at most {limit:g} ms", lambda ours, _: statistics.median(ours) <= limit)


def worst_hundredth_at_most(limit):
    return Promise(f"99 of 100 at most {limit:g} ms", lambda ours, _: sorted(ours)[(len(ours) * 99 - 1) // 100] <= limit)


def no_slower_than(peer):
    return Promise(f"median not above {peer}'s", lambda ours, peers: bool(peers.get(peer)) and statistics.median(ours) <= statistics.median(peers[peer]))


FIGURES = {
    "small_change/100k": Figure("ms", both(median_at_most(60), worst_hundredth_at_most(200))),
    "recording_1mb/15k": Figure("ms", median_at_most(80)),
    "burst_2000": Figure("ms", median_at_most(1000)),
    "burst_2000_over": Figure("ms"),
    "burst_2000_over/written": Figure("ms"),
    "first_sync": Figure("ms", no_slower_than("rsync"), 0),
    "first_look": Figure("ms", digits=0),
    "rss_peak_mb": Figure("MB", at_most(48, "MB")),
    "idle_cpu": Figure("ms per 10 s", at_most(25, "ms")),
    "disk_over_live": Figure("%", at_most(10, "%")),
    "takeover_delay_hung_fetch": Figure("ms", Promise("median at most 5 ms", lambda ours, _: statistics.median(ours) <= 5)),
}


def small_changes(n_files, n):
    def measure(subject):
        with SUBJECTS[subject](BUILD) as copy:
            copy.fill(n_files, 200)
            copy.copy()
            copy.small_change()
            times = n if subject == OURS else max(1, n // 10)
            found = {"small_change/100k": [copy.small_change() for _ in range(times)]}
            if subject == OURS:
                found["rss_peak_mb"] = [copy.rss_peak_mb()]
            return found
    return measure


def recordings(n_files, n_recordings, n_burst, n_gone, n):
    """What happens to one copy, one thing after the other."""
    def measure(subject):
        with SUBJECTS[subject](BUILD) as copy:
            copy.fill(n_files, 1000)
            copy.fill(n_recordings, 210000, MAIL, "wav")
            found = {}
            first = copy.copy()
            if first:
                found["first_sync"] = [first[0]]
            if subject == OURS:
                found["first_look"] = [first[1]]
            copy.recording()
            found["recording_1mb/15k"] = [copy.recording() for _ in range(n if subject == OURS else max(1, n // 5))]
            bursts = range(3 if n > 5 else 1)
            found["burst_2000"] = [copy.burst(n_burst) for _ in bursts]
            found["burst_2000_over"], found["burst_2000_over/written"] = map(list, zip(*((copy.burst(n_burst, over=True), copy.written_ms) for _ in bursts)))
            if subject == OURS:
                found["disk_over_live"] = [copy.disk_over_live(n_gone)]
                copy.settle()
                found["idle_cpu"] = [copy.idle_cpu_ms(IDLE_S)]
                found["rss_peak_mb"] = [copy.rss_peak_mb()]
            return found
    return measure


def takeovers(n):
    """A takeover with nothing under way, and one in the midst of a fetch from a Master that is cut off, in turn; how much longer the second took."""
    def measure(_):
        with Ours(BUILD) as copy:
            copy.fill(100, 200)
            copy.copy()
            copy.settle()
            term, delays = 1, []

            def take():
                nonlocal term
                term += 1
                return copy.target.set_role("lead", term) * 1000

            def give_back():
                nonlocal term
                term += 1
                for port in copy.source.ports:
                    port.unblock()
                copy.target.set_role("idle", term)
                copy.source.set_role("lead", term)
                copy.target.set_role("follow", term)
                copy.settle()

            for i in range(n):
                undisturbed = take()
                give_back()
                copy.place(FILES, "big.cfg", random.Random(i).randbytes(40 << 20))
                copy.target.wait(lambda: copy.target.get("Activity") == "fetching", "a long fetch", 60)
                for port in copy.source.ports:
                    port.block()
                delays.append(take() - undisturbed)
                give_back()
            return {"takeover_delay_hung_fetch": delays}
    return measure


def trials(quick):
    subjects = [OURS, *PEERS]
    return [
        Trial("small changes", ["small_change/100k", "rss_peak_mb"], subjects, 1, small_changes(*((2000, 10) if quick else (100000, 100))),
              seconds=20 if quick else 180),
        Trial("recordings", ["first_sync", "first_look", "recording_1mb/15k", "burst_2000", "burst_2000_over", "burst_2000_over/written", "disk_over_live",
                             "idle_cpu", "rss_peak_mb"], subjects, 2,
              recordings(*((500, 200, 200, 100, 5) if quick else (10000, 5000, 2000, 1000, 50))), seconds=30 if quick else 240),
        Trial("takeovers", ["takeover_delay_hung_fetch"], [OURS], 1, takeovers(2 if quick else 20), seconds=20 if quick else 120),
    ]


if __name__ == "__main__":
    sys.exit(run("sync", __doc__, FIGURES, trials, packages=["rsync", "lsyncd"]))
