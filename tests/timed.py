# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests marked `timed(STALL_MS)` check a bound in real time. When such a test fails, and the machine itself stood still meanwhile for longer than that,
nothing was measured: it is measured again, up to twice. Without such a stall, and the third time, a failure is one.

STALL_MS is a fifth of the bound; where the product has most of it for itself, as the silence after which a Backup leads, it is the rest. Whether
the machine stood still say threads that do nothing but sleep and look how late they are woken (netns/stalls.c).

`timed(STALL_MS, real_time=True)` asks only those of them that are above everything of ours: who is elected depends on vrrpd alone, which is real-time.
Every test of an election has a bound: at adverts each 100 ms who is silent for 300 ms is replaced, whatever the test is about.
"""

import os
import subprocess
import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

ATTEMPTS = 3
MOST_MS = 100  # a bound that leaves more has room for what machines do


class Watcher:
    """The program that watches, one for a worker of pytest."""

    def __init__(self, program):
        self.process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.stalls(0, 0)  # answered when all of it watches

    def stalls(self, begin, end):
        """(when it ended, milliseconds, who waited) of each that overlaps [begin, end], moments of time.monotonic()."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = []
        for line in self.process.stdout:
            if line == ".\n":
                return found
            at_us, late_us, who = line.split()
            at, late_ms = int(at_us) / 1e6, int(late_us) / 1e3
            if at >= begin and at - late_ms / 1e3 <= end:
                found.append((at, late_ms, who))
        raise RuntimeError(f"{self.process.args[0]} ended")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Timed:
    """The plugin; conftest.py registers it."""

    def __init__(self, default_build):
        build = Path(os.environ.get("UNDERSTUDY_BUILD", default_build))
        self.program = Path(os.environ.get("UNDERSTUDY_STALLS", build / "tests/netns/stalls"))
        self.watcher = None
        self.told = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        mark = item.get_closest_marker("timed")
        if not mark:
            return None
        (stall_ms,), real_time = mark.args, mark.kwargs.get("real_time", False)
        if not 0 < stall_ms <= MOST_MS:
            raise pytest.UsageError(f"{item.nodeid}: timed({stall_ms}): at most {MOST_MS} ms")
        if not self.watcher:
            self.watcher = Watcher(self.program)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.measured(item, nextitem, stall_ms, real_time):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def measured(self, item, nextitem, stall_ms, real_time):
        """The reports of the attempt that counts; they say which did not."""
        voids = []
        for attempt in range(1, ATTEMPTS + 1):
            begin = time.monotonic()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            call = next((report for report in reports if report.when == "call"), None)
            others_fail = any(report.failed for report in reports if report is not call)
            if attempt == ATTEMPTS or others_fail or not call or not call.failed:
                break
            stalls = [stall for stall in self.watcher.stalls(begin, time.monotonic()) if not real_time or stall[2] == "real-time"]
            longest = max(stalls, key=lambda stall: stall[1], default=(0, 0, ""))
            if longest[1] <= stall_ms:
                break
            voids.append((f"void: the machine stood still for {longest[1]:.0f} ms at {longest[0]:.3f} ({longest[2]}); {stall_ms} ms are too much",
                          call.longreprtext))
        for report in reports:
            if report.when == "call":
                report.user_properties += [("void", said) for said, _ in voids]
                report.sections += voids
        return reports

    # What the workers say comes to the one that prints.

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.told += [f"{report.nodeid}: {value}" for name, value in report.user_properties if name == "void"]

    def pytest_terminal_summary(self, terminalreporter):
        for line in self.told:
            terminalreporter.write_line(line)

    def pytest_unconfigure(self):
        if self.watcher:
            self.watcher.close()
            self.watcher = None
