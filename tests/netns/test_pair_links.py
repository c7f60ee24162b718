# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole devices whose links fail one by one, all together, again and again, or in the midst of a swap."""

import subprocess
import time

import pytest
from pair_lab import SERVICE, answers_again, new_pair, pair, pbx, pbx_runs_on, shared, stays, wait_until  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed(100, real_time=True)


def changes(pair, counts):
    return sum(len(watch.changes_since(counts[name])) for name, watch in pair.watches.items())


def count(pair):
    return {name: len(watch.roles) for name, watch in pair.watches.items()}


def test_peer_cable_cut(pair):
    """Adverts and copies go over the LAN then; nobody takes over, changes still arrive."""
    master, backup = pair.master(), pair.backup()
    counts, begin = count(pair), time.monotonic()
    pair.cable.cut()
    assert stays(lambda: not changes(pair, counts), 2)
    master.write(pbx.DIALPLAN, pbx.dialplan_text({"911": "1001"}))
    wait_until(lambda: backup.read(pbx.DIALPLAN) == master.read(pbx.DIALPLAN), 15, "the change arrives over the LAN")
    pair.cable.plug()
    pair.wait_settled()
    assert not changes(pair, counts) and pair.addresses.doubled_ms(begin) == 0 and pair.master() is master


def test_the_peer_is_spoken_to_from_own_addresses(pair):
    """The Master's applications speak from the service address; what is said to the peer from there would be cut off by the next swap."""
    master = pair.master()
    own, peer = (device.read("/etc/understudy/device.conf").split("address=")[1].split("/")[0] for device in (master, pair.backup()))
    # As it is until the peer is known: the route to it that speaks from the own address does not count. (One that is taken away comes with the next
    # renewal of the addresses; this one goes with the service address.)
    master.run(["ip", "route", "prepend", peer, "dev", "eth0", "src", SERVICE])
    assert SERVICE in master.run(["ip", "route", "get", peer]).stdout

    def links():
        sockets = [line.split() for line in master.run(["ss", "-Htnp"]).stdout.splitlines() if ":7443" in line]
        # A connection whose process has gone has no sixth column.
        return [each[3].rsplit(":", 1)[0] for each in sockets if each[4] == f"{peer}:7443" and len(each) > 5 and f"pid={pid}," not in each[5]]

    pid = master.run(["pidof", "understudy-syncd"]).stdout.strip()
    master.kill("understudy-syncd")
    assert set(wait_until(links, 10, "a link over the LAN")) == {own}
    wait_until(lambda: pair.watch(master).peer().get("connected"), 10, "they are connected")
    pair.wait_settled()
    master.run(["understudy", "swap"])


@pytest.mark.timed(20)
def test_backup_loses_its_lan_cable(pair):
    """It cannot take over, says so, and the Master goes on; with the cable back it is a Backup again."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    backup.ports["eth0"].cut()
    pair.watch(backup).wait_role("fault", 5)
    refused = master.run(["understudy", "swap"], check=False)
    assert refused.returncode == 1 and pair.watch(master).role() == "master"
    backup.ports["eth0"].plug()
    pair.watch(backup).wait_role("backup", 10)
    pair.wait_settled()
    assert pair.master() is master and pair.probe.silence_ms(begin)[0] <= 100


def test_both_lose_the_lan_and_one_returns(new_pair):
    """Nobody can lead; the first whose cable is back does."""
    pair = new_pair
    master, backup = pair.master(), pair.backup()
    for device in (backup, master):
        device.ports["eth0"].cut()
    for device in (backup, master):
        pair.watch(device).wait_role("fault", 5)
    wait_until(lambda: pair.addresses.holders() == [], 5, "nobody holds the service address")
    begin = time.monotonic()
    backup.ports["eth0"].plug()
    pair.watch(backup).wait_role("master", 15)
    answers_again(pair, begin)
    master.ports["eth0"].plug()
    pair.watch(master).wait_role("backup", 10)
    pair.wait_settled()
    assert pair.master() is backup


@pytest.mark.parametrize("losses", [4, pytest.param(6, marks=pytest.mark.long)])  # after which it is left alone for 4 s, and for 16
def test_flapping_cable_of_the_master(new_pair, losses):
    """Whatever the cable does, one leads in the end, the other follows, and the address was never answered for by two that serve."""
    pair = new_pair
    flapping = pair.master()
    for _ in range(losses):
        flapping.ports["eth0"].cut()
        wait_until(lambda: not flapping.ports["eth0"].carrier(), 2, "carrier gone")
        flapping.ports["eth0"].plug()
        wait_until(flapping.ports["eth0"].carrier, 2, "carrier back")
    pair.wait_settled()
    answers_again(pair, time.monotonic())
    assert pbx_runs_on(pair.master()) and not pbx_runs_on(pair.backup())
    assert len(pair.addresses.holders()) == 1


def test_backup_loses_power_in_the_midst_of_a_swap(pair):
    """The Master keeps the service, or takes it back."""
    master, backup = pair.master(), pair.backup()
    swap = master.popen(["understudy", "swap"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pair.watch(master).wait(lambda: pair.watch(master).role() == "handing-over" or swap.poll() is not None, 10, "handing over")
        pair.power_cut(backup)
        pair.watch(master).wait_role("master", 20)
        answers_again(pair, time.monotonic())
        assert pbx_runs_on(master)
        swap.wait(timeout=30)
    finally:
        if swap.poll() is None:
            swap.kill()
            swap.wait()
    pair.switch_on(backup)
    pair.watch(backup).wait_role("backup", 30)
    pair.wait_settled()
    assert pair.master() is master


@pytest.mark.timed(100)
def test_swap_there_and_back_ten_times(pair):
    """Each time the other leads, nothing is left running behind, and the service is away for a moment only."""
    for _ in range(10):
        master, backup = pair.master(), pair.backup()
        pair.wait_settled()
        begin = time.monotonic()
        master.run(["understudy", "swap"])
        pair.watch(backup).wait_role("master", 15)
        pair.watch(master).wait_role("backup", 15)
        answers_again(pair, time.monotonic())
        assert pair.probe.silence_ms(begin)[0] <= 1500 and pair.addresses.doubled_ms(begin) == 0
        assert not pbx_runs_on(master) and pbx_runs_on(backup)
