# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a process costs, as the kernel counts it: processor time, memory of its own, wake-ups."""

import time
from pathlib import Path


def cpu_ns(pids):
    """Of all threads, also of those that have ended; exact, unlike the ticks in stat. (A process' clock: clock_getcpuclockid(3).)"""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def dirty_kb(pids):
    return sum(int(line.split()[1]) for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
               if line.startswith("Private_Dirty:"))


def wakeups(pid):
    """How often its threads have gone to sleep by themselves; each time, something woke them."""
    return sum(int(line.split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/status") for line in path.read_text().splitlines()
               if line.startswith("voluntary_ctxt_switches:"))
