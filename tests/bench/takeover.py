#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long telephony is away when the Master is lost, or changes by order, beside keepalived with notify scripts. Every figure: README.md here."""

import os
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from election_lab import Config  # noqa: E402
from frame import OURS, Figure, Promise, Rejected, Trial, at_most, median_at_most_peer, run  # noqa: E402
from measure import dirty_kb, wakeups  # noqa: E402
from takeover_lab import LOST_S, KeepalivedPair, OurPair, PhoneHost, cut_power  # noqa: E402

BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", Path(__file__).resolve().parents[2] / "build"))
CONFIGS = ["v3_100ms", "v3_10ms"]
LOSSES = 2  # in one life, of the one and then of the other
IDLE_S = 10
VERBOSE = "TAKEOVER_TIMELINE" in os.environ  # the timeline of each takeover, for whoever wants to know where the time went


def figures():
    found = {}
    for name in CONFIGS:
        found[f"options/{name}"] = Figure("ms", median_at_most_peer("keepalived"))
        found[f"call/{name}"] = Figure("ms", median_at_most_peer("keepalived"))
        found[f"contacts_lost/{name}"] = Figure("of 200", at_most(0, "contacts"), 0)
    found["swap_options"] = Figure("ms", at_most(150, "ms"))
    found["supervisor_dirty_kb"] = Figure("kB", at_most(1536, "kB"), 0)
    found["supervisor_wakeups"] = Figure("per s", Promise("median at most 1", lambda ours, _: sorted(ours)[len(ours) // 2] <= 1))
    return found


class Life:
    """What happens to one pair, one thing after the other, each when it has come to rest."""

    def __init__(self, pair, phones, config):
        self.pair, self.phones, self.name = pair, phones, config.name
        self.found = {}

    def note(self, figure, *values):
        self.found.setdefault(figure, []).extend(values)

    def rest(self):
        self.pair.prepare()
        self.phones.options.wait_answers(50)
        return self.pair.master()

    def loss(self):
        self.rest()
        self.phones.begin_calls()
        master = self.rest()
        if self.pair.addresses.holders() != [master.name]:
            raise Rejected("both hold the address")
        with self.pair.unwatched():
            begin = cut_power(self.pair, master)
            self.note(f"options/{self.name}", (self.phones.options.wait_answer_sent_after(begin, LOST_S) - begin) * 1000)
            self.note(f"call/{self.name}", (self.phones.calls.wait_answer_sent_after(begin, LOST_S) - begin) * 1000)
        self.phones.end_calls()
        self.note(f"contacts_lost/{self.name}", self.phones.lost())
        if VERBOSE:
            print(self.pair.describe_last(), flush=True)
        self.pair.switch_on(master)

    def swap(self):
        master = self.rest()
        begin = time.monotonic()
        self.pair.swap()
        deadline = begin + LOST_S
        while self.pair.addresses.holders() != [self.pair.other(master).name]:
            if time.monotonic() > deadline:
                raise TimeoutError("the other device does not lead")
            self.phones.options.wait_answers(1)
        self.phones.options.wait_answer_sent_after(time.monotonic())
        self.phones.options.wait_answers(50)
        self.note("swap_options", self.phones.options.silence_ms(begin)[0])

    def weight(self):
        """Of the supervisors, when nothing happens: nobody calls, nobody asks on the bus."""
        self.rest()
        for watch in self.pair.watches.values():
            watch.stop()
        pids = self.pair.supervisors()
        time.sleep(IDLE_S / 2)
        before, begin = [wakeups(pid) for pid in pids], time.monotonic()
        time.sleep(IDLE_S)
        took = time.monotonic() - begin
        self.note("supervisor_wakeups", *((wakeups(pid) - count) / took for pid, count in zip(pids, before)))
        self.note("supervisor_dirty_kb", *(dirty_kb([pid]) for pid in pids))


def life(subject, config, losses, swaps, weight):
    kind = OurPair if subject == OURS else KeepalivedPair
    with kind(str(BUILD), config) as pair, PhoneHost(pair) as phones:
        one = Life(pair, phones, config)
        for _ in range(swaps):
            one.swap()
        for _ in range(losses):
            one.loss()
        if weight and subject == OURS:
            one.weight()
        return one.found


def trials(quick):
    found = []
    for name in CONFIGS:
        first = name == CONFIGS[0]
        losses, swaps = (1, 1) if quick else (LOSSES, 2)
        names = [f"{figure}/{name}" for figure in ("options", "call", "contacts_lost")]
        more = ["swap_options", "supervisor_dirty_kb", "supervisor_wakeups"] if first else []
        found.append(Trial(f"life/{name}", names + more, [OURS, "keepalived"], 4,
                           lambda subject, config=Config(name), losses=losses, swaps=swaps if first else 0, weight=first:
                           life(subject, config, losses, swaps, weight), seconds=45))
    return found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return run("takeover", __doc__, figures(), trials, packages=["keepalived", "kamailio"])


if __name__ == "__main__":
    sys.exit(main())
