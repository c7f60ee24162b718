# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pair in which nothing happens: what the supervisor and the keeper wake up for."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from measure import wakeups  # noqa: E402  (the benchmarks' folder must be on the path first)
from pair_lab import new_pair, stays, wait_until  # noqa: E402, F401  (new_pair is a fixture)

WINDOW_S = 6


def test_idle_supervisor_sleeps(new_pair):
    """The supervisor looks round every five seconds, the keeper is not woken at all. The doctor's look, every thirty seconds, and that for foreign
    instances are waited for by threads of their own, several times: each comes into one of two windows at most."""
    pair = new_pair
    pids = {(device.name, name): device.pid_of(f"understudy-{name}") for device in pair.devices.values() for name in ("supervisor", "keeper")}
    for watch in pair.watches.values():
        watch.stop()  # who asks is answered
    # Until then it looks round every second, and that alone is all that a window allows.
    wait_until(lambda: rest(pids), 30, "a pair that has come to rest", 0.1)
    first = too_many(pair, pids)
    if first:
        second = too_many(pair, pids)
        assert not first.keys() & second.keys(), f"wake-ups a second: {first}, and then {second}"


def too_many(pair, pids):
    """Who wakes up too often, and how many times a second."""
    before = {party: wakeups(pid) for party, pid in pids.items()}
    assert stays(lambda: all(device.pid_of("understudy-supervisor") == pids[device.name, "supervisor"] for device in pair.devices.values()), WINDOW_S)
    rates = {party: (wakeups(pid) - before[party]) / WINDOW_S for party, pid in pids.items()}
    return {party: rate for party, rate in rates.items() if rate > (1 if party[1] == "supervisor" else 0)}


def rest(pids):
    """Nobody has woken up for longer than the second after which a supervisor looks round that still has something under way."""
    before = {party: wakeups(pid) for party, pid in pids.items()}
    return stays(lambda: all(wakeups(pid) == before[party] for party, pid in pids.items()), 1.5)
