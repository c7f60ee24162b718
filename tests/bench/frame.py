# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every benchmark shares: ours and its peers run by run in turn, progress, the table, the raw values as JSON.

A benchmark declares its figures and its trials and calls run(). A trial is a function that sets everything up, measures one subject (or all
of them at the same time) once and takes everything down; it returns {figure name: [values]} for each subject.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import traceback
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from timed import Watcher  # noqa: E402

OURS = "ours"
ATTEMPTS = 3
STALLS = Path(os.environ.get("UNDERSTUDY_BUILD", TESTS.parent / "build")) / "tests/netns/stalls"


class Rejected(Exception):
    """This run says nothing: the clock was set in its midst, the machine stood still, or the network did not come to rest before it. It is repeated."""


@dataclass
class Promise:
    """words for the table, and kept(ours, peers) -> bool on the raw values."""

    words: str
    kept: callable


def at_most(limit, unit):
    """No value above the limit."""
    return Promise(f"at most {limit:g} {unit}", lambda ours, peers: max(ours) <= limit)


def median_at_most_peer(peer):
    return Promise(f"median not above {peer}'s",
                   lambda ours, peers: bool(peers.get(peer)) and statistics.median(ours) <= statistics.median(peers[peer]))


def both(first, second):
    return Promise(f"{first.words}; {second.words}", lambda ours, peers: first.kept(ours, peers) and second.kept(ours, peers))


@dataclass
class Figure:
    unit: str
    promise: Promise = None
    digits: int = 1


@dataclass
class Trial:
    """measure(subject) -> {figure: [values]}, or with together=True measure(subjects) -> {subject: {figure: [values]}}."""

    name: str
    figures: list
    subjects: list
    runs: int
    measure: callable
    together: bool = False
    seconds: float = 10  # about, of one run of one subject; for the forecast only
    stall_ms: float = None  # what the machine may stand still for at once, for everybody: a run with more says nothing about the subject


@dataclass
class Results:
    values: dict = field(default_factory=dict)  # figure -> subject -> [values]
    rejected: int = 0
    failed: list = field(default_factory=list)

    def add(self, subject, found, wanted):
        for figure, values in found.items():
            if wanted(figure):
                self.values.setdefault(figure, {}).setdefault(subject, []).extend(values)

    def as_json(self, figures):
        """The object that `--json` writes: raw values only."""
        return {name: {"unit": figures[name].unit, "ours": by_subject.get(OURS, []),
                       "peers": {subject: values for subject, values in by_subject.items() if subject != OURS}}
                for name, by_subject in ((name, self.values[name]) for name in figures if name in self.values)}


def say(text=""):
    print(text, flush=True)


def spread(values):
    """The range that holds the middle half."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def cell(values, digits):
    if not values:
        return "-"
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}] ±{spread(values) / 2:.{digits}f} n={len(values)}"


def table(figures, results):
    """Markdown, aligned so that it can be read as it is."""
    peers = sorted({subject for by_subject in results.values.values() for subject in by_subject if subject != OURS})
    rows = [["figure", "unit", "ours", *peers, "promise", "kept"]]
    for name, figure in figures.items():
        by_subject = results.values.get(name)
        if not by_subject:
            continue
        ours = by_subject.get(OURS, [])
        kept = "" if not figure.promise else "-" if not ours else "yes" if figure.promise.kept(ours, by_subject) else "**no**"
        rows.append([name, figure.unit, cell(ours, figure.digits), *(cell(by_subject.get(peer, []), figure.digits) for peer in peers),
                     figure.promise.words if figure.promise else "", kept])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(word.ljust(width) for word, width in zip(row, widths)) + " |" for row in rows]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout or "?"


def schedule(trials, quick, runs):
    """(trial, subjects, together) run by run: all trials' first runs, then their second, so that a noisy minute hits everybody; who begins changes
    from run to run."""
    plan, number = [], 0
    counts = {trial.name: 1 if quick else runs or trial.runs for trial in trials}
    while any(number < counts[trial.name] for trial in trials):
        for trial in trials:
            if number >= counts[trial.name]:
                continue
            if trial.together:
                plan.append((trial, trial.subjects))
            else:
                order = trial.subjects if number % 2 == 0 else trial.subjects[::-1]
                plan += [(trial, [subject]) for subject in order]
        number += 1
    return plan


def watched(trial, subjects):
    """One run of a trial; of one during which the machine stood still too long nothing is taken."""
    with ExitStack() as stack:
        watcher = stack.enter_context(closing(Watcher(STALLS))) if trial.stall_ms else None
        begin = time.monotonic()
        found = trial.measure(subjects) if trial.together else {subjects[0]: trial.measure(subjects[0])}
        stalls = watcher.stalls(begin, time.monotonic()) if watcher else []
    longest_ms = max((late_ms for _, late_ms, who in stalls if who == "real-time"), default=0)
    if trial.stall_ms and longest_ms > trial.stall_ms:
        raise Rejected(f"the machine stood still for {longest_ms:.0f} ms; {trial.stall_ms:g} are too much")
    return found


def attempt(trial, subjects, results, wanted):
    why = None
    for _ in range(ATTEMPTS):
        try:
            found = watched(trial, subjects)
        except Rejected as error:
            why = error
            results.rejected += 1
            say(f"    rejected: {why}")
            continue
        except Exception as error:  # a lab that did not come up must not cost the other runs
            why = error
            say("".join(traceback.format_exception(error)[-4:]))
            continue
        for subject, values in found.items():
            results.add(subject, values, wanted)
        for name in sorted({name for values in found.values() for name in values if wanted(name)}):
            say("    " + name.ljust(34) + "  ".join(f"{subject} {', '.join(f'{value:.1f}' for value in values.get(name, []))}"
                                                    for subject, values in found.items()))
        return
    results.failed.append(f"{trial.name} {'+'.join(subjects)}: given up after {ATTEMPTS} attempts, the last: {why}")


def options(name, about):
    parser = argparse.ArgumentParser(prog=f"tests/run bench {name}", description=about)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the raw values there")
    parser.add_argument("--only", metavar="FIGURE", action="append", default=[], help="figures that match this pattern only, e.g. 'cpu_*' (may be repeated)")
    parser.add_argument("--runs", metavar="N", type=int, help="so many runs of everything")
    parser.add_argument("--quick", action="store_true", help="one short run of everything: shows that the benchmark works, its figures say little")
    parser.add_argument("--ours", action="store_true", help="leave the peers out")
    return parser


def run(name, about, figures, make_trials, packages=(), argv=None):
    """figures: {name: Figure}, in the table's order. make_trials(quick) -> [Trial]. Returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    chosen = options(name, about).parse_args(words)

    def wanted(figure):
        return not chosen.only or any(fnmatch.fnmatch(figure, pattern) for pattern in chosen.only)

    trials = []
    for trial in make_trials(chosen.quick):
        trial.figures = [figure for figure in trial.figures if wanted(figure)]
        if chosen.ours:
            trial.subjects = [subject for subject in trial.subjects if subject == OURS]
        if trial.figures and trial.subjects:
            trials.append(trial)
    if not trials:
        say(f"no figure matches; there are: {', '.join(figures)}")
        return 2
    plan = schedule(trials, chosen.quick, chosen.runs)
    results, begin = Results(), time.monotonic()
    say(f"{len(plan)} runs, about {sum(trial.seconds for trial, _ in plan) / 60:.0f} minutes")
    for number, (trial, subjects) in enumerate(plan):
        left = sum(later.seconds for later, _ in plan[number:])
        say(f"[{number + 1}/{len(plan)}, {time.monotonic() - begin:.0f} s, about {left:.0f} s left] {trial.name}: {', '.join(subjects)}")
        attempt(trial, subjects, results, wanted)

    if chosen.json:
        chosen.json.write_text(json.dumps(results.as_json(figures), indent=1) + "\n", encoding="utf-8")
    say()
    say(f"Measured {datetime.date.today().isoformat()} by `tests/run bench {' '.join([name, *strip_json(words)])}` in {(time.monotonic() - begin) / 60:.0f} minutes "
        f"on {machine()}" + "".join(f", {package} {package_version(package)}" for package in packages) +
        f", load {os.getloadavg()[2]:.1f}. Median [min-max] ±half the middle half's range, n values.")
    say()
    for line in table(figures, results):
        say(line)
    say()
    if results.rejected:
        say(f"{results.rejected} runs were rejected and repeated.")
    for note in results.failed:
        say(f"FAILED {note}")
    return 1 if results.failed else 0


def strip_json(words):
    """The command without where its values went."""
    return re.sub(r"--json[= ]\S+", "", " ".join(words)).split()
