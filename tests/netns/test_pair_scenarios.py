# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole devices, paired, with Kamailio and a SIP client at the service address: what breaks, and who leads afterwards."""

import os
import signal
import time

import pytest

from pair_lab import LAST_WORDS, answers_again, new_pair, pair, pbx_runs_on, shared, stays, wait_until  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed(100, real_time=True)


def test_bus_dead_then_cable(pair):
    """Neither a killed bus nor the attempts to start it again delay a takeover."""
    master, backup = pair.master(), pair.backup()
    os.chmod(backup.place("/usr/bin/dbus-daemon"), 0o000)
    backup.kill("dbus-daemon")
    begin = time.monotonic()
    master.ports["eth0"].cut()
    wait_until(lambda: pair.addresses.holders() == [backup.name], 5, "the Backup holds the service address")
    answers_again(pair, begin + 0.3)
    assert pbx_runs_on(backup)
    os.chmod(backup.place("/usr/bin/dbus-daemon"), 0o755)
    pair.watch(backup).wait_role("master", 10)


def test_bus_frozen_then_cable(pair):
    master, backup = pair.master(), pair.backup()
    bus = backup.kill("dbus-daemon", signal.SIGSTOP)
    begin = time.monotonic()
    master.ports["eth0"].cut()
    wait_until(lambda: pair.addresses.holders() == [backup.name], 5, "the Backup holds the service address")
    answers_again(pair, begin + 0.3)
    assert pbx_runs_on(backup)
    os.kill(bus, signal.SIGCONT)
    pair.watch(backup).wait_role("master", 10)


def test_lan_dead_with_carrier(pair):
    """The switch forwards nothing of the Master any more, though its carrier stays and the peer cable is whole: the Backup leads."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    master.ports["eth0"].block()
    assert master.ports["eth0"].carrier()
    pair.watch(backup).wait_role("master", 10)
    answers_again(pair, begin + 0.5)
    assert pbx_runs_on(backup)
    wait_until(lambda: not pbx_runs_on(master), 15, "the old Master's PBX has stopped")
    master.ports["eth0"].unblock()
    pair.wait_settled()
    assert pair.master() is backup


@pytest.mark.timed(60)
def test_only_the_backups_port_blocked(pair):
    """The peer cable still carries the Master's adverts, so nobody takes over."""
    master, backup = pair.master(), pair.backup()
    counts = {name: len(watch.roles) for name, watch in pair.watches.items()}
    begin = time.monotonic()
    backup.ports["eth0"].block()
    assert stays(lambda: pair.roles() == {master.name: "master", backup.name: "backup"}, 3)
    backup.ports["eth0"].unblock()
    assert stays(lambda: pair.roles() == {master.name: "master", backup.name: "backup"}, 1)
    assert not any(watch.changes_since(counts[name]) for name, watch in pair.watches.items())
    assert pair.probe.silence_ms(begin)[0] < 300 and pair.addresses.doubled_ms(begin) == 0


def told_of(pair, device, name):
    return [event["description"] for event in pair.watch(device).events if event["name"] == name]


@pytest.mark.parametrize("fault", ["cable", "power"])
def test_returning_master_becomes_backup(pair, fault):
    master, backup = pair.master(), pair.backup()
    before = len(told_of(pair, backup, "failover"))
    if fault == "cable":
        master.ports["eth0"].cut()
    else:
        pair.power_cut(master)
    pair.watch(backup).wait_role("master", 10)
    (told,) = wait_until(lambda: told_of(pair, backup, "failover")[before:], 10, "the event")
    assert told.endswith("has given up" if fault == "cable" else "was not heard any more"), told
    changes = len(pair.watch(backup).roles)
    if fault == "cable":
        master.ports["eth0"].plug()
    else:
        pair.switch_on(master)
    pair.watch(master).wait_role("backup", 30)
    pair.wait_settled()
    assert pair.master() is backup and not pair.watch(backup).changes_since(changes)
    assert not pbx_runs_on(master) and pbx_runs_on(backup)


def test_swap_brings_last_words(new_pair):
    """What an application writes while it stops for a swap is on the other device before its own starts there."""
    pair = new_pair
    master, backup = pair.master(), pair.backup()
    before, ups = len(told_of(pair, backup, "failover")), len(told_of(pair, backup, "up active"))
    assert master.read(LAST_WORDS) is None
    master.run(["understudy", "swap"])
    pair.watch(backup).wait_role("master", 15)
    assert master.read(LAST_WORDS)
    assert backup.read(LAST_WORDS) == master.read(LAST_WORDS)
    pair.wait_settled()
    assert pair.master() is backup
    wait_until(lambda: len(told_of(pair, backup, "up active")) > ups, 10, "what is told later")
    assert len(told_of(pair, backup, "failover")) == before, "an order is no failover"


def test_passive_backup_takes_over_by_order_only(pair):
    master, backup = pair.master(), pair.backup()
    backup.run(["understudy", "mode", "passive"])
    pair.watch(backup).wait(lambda: any(hold[0] == "passive" for hold in pair.watch(backup).vrrp("Holds") or []), 5, "hold passive")
    begin = time.monotonic()
    pair.power_cut(master)
    assert stays(lambda: pair.watch(backup).role() == "backup", 2)
    assert pair.addresses.holders() == [] and not pbx_runs_on(backup)
    backup.run(["understudy", "takeover", "--force"])
    pair.watch(backup).wait_role("master", 10)
    answers_again(pair, begin + 2)
    assert pbx_runs_on(backup)
    pair.switch_on(master)
    pair.wait_settled()
    for device in (master, backup):
        device.run(["understudy", "mode", "active"])
