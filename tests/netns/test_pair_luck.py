# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole devices under bad luck: splits, common power losses, takeovers in the midst of something, several deaths at once, bad input."""

import json
import os
import signal
import time

import pytest
from pair_lab import LAST_WORDS, answers_again, new_pair, pair, pbx_runs_on, shared, stays, wait_until  # noqa: F401  (fixtures)

pytestmark = pytest.mark.timed(100, real_time=True)

PROCESSES = ("understudy-keeper", "understudy-supervisor", "understudy-vrrpd", "understudy-syncd", "understudy-notifyd")
MANY = 300


def events_named(pair, device, name):
    return [event for event in pair.watch(device).events if event["name"] == name]


@pytest.mark.timed(20)
def test_all_processes_of_the_master_die_at_once(pair):
    """Kamailio and the addresses live on, and whoever comes back goes on where it was."""
    master, backup = pair.master(), pair.backup()
    counts = {name: len(watch.roles) for name, watch in pair.watches.items()}
    pbx_pid = master.pid_of("kamailio")
    begin = time.monotonic()
    pids = {name: master.wait_process(name) for name in PROCESSES}
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in pids.items():
        master.wait_process(name, 10, pid)
    pair.watch(master).wait_role("master")
    pair.wait_settled()
    assert pair.master() is master and pair.addresses.doubled_ms(begin) == 0
    assert not any(watch.changes_since(counts[name]) for name, watch in pair.watches.items())
    assert master.pid_of("kamailio") == pbx_pid
    assert pair.probe.silence_ms(begin)[0] <= 100
    assert not pbx_runs_on(backup)


def test_pbx_crashes(pair):
    """It is started again where it is; nobody else takes over for that."""
    master = pair.master()
    counts = {name: len(watch.roles) for name, watch in pair.watches.items()}
    begin = time.monotonic()
    old = master.kill("kamailio")
    master.wait_process("kamailio", 10, old)
    answers_again(pair, begin + 0.2)
    assert pair.master() is master and not any(watch.changes_since(counts[name]) for name, watch in pair.watches.items())


def test_split_and_heal(new_pair):
    """Both lead while neither hears the other; after the heal the one that the phones reach goes on, and what the other wrote is kept aside."""
    pair = new_pair
    alone, reached = pair.master(), pair.backup()
    pair.cable.cut()
    alone.ports["eth0"].block()
    pair.watch(reached).wait_role("master", 10)
    for device, word in ((alone, "alone\n"), (reached, "reached\n")):
        watch = pair.watch(device)
        watch.wait(lambda watch=watch: watch.sync("Role") == "lead", 10, "its synchronisation leads")
        stored = watch.sync("Stored")["config"]
        device.write("/var/lib/scribe/who", word)
        watch.wait(lambda watch=watch, stored=stored: watch.sync("Stored")["config"] != stored, 10, "committed")
    assert stays(lambda: pair.watch(reached).role() == "master", 2)
    changes = len(pair.watch(reached).roles)
    pair.cable.plug()
    alone.ports["eth0"].unblock()
    pair.watch(alone).wait_role("backup", 20)
    pair.wait_settled()
    assert pair.master() is reached and not pair.watch(reached).changes_since(changes)
    assert alone.read("/var/lib/scribe/who") == reached.read("/var/lib/scribe/who") == "reached\n"
    assert pair.watch(alone).wait(lambda: pair.watch(alone).sync("Diverged"), 10, "the other line is kept")
    assert not pbx_runs_on(alone)


def test_common_power_loss_newer_data_leads(pair):
    """The one that was off when the last change was made waits for the other, although it boots first."""
    newer, older = pair.master(), pair.backup()
    pair.power_cut(older)
    newer.write("/var/lib/scribe/who", "newer\n")
    stored = pair.watch(newer).sync("Stored")["config"]
    pair.watch(newer).wait(lambda: pair.watch(newer).sync("Stored")["config"] != stored, 10, "the change is committed")
    pair.power_cut(newer)
    pair.switch_on(older)
    assert stays(lambda: pair.watch(older).role() not in ("taking-over", "master"), 3)
    pair.switch_on(newer)
    pair.watch(newer).wait_role("master", 20)
    pair.wait_settled()
    assert pair.master() is newer and older.read("/var/lib/scribe/who") == "newer\n"


def test_alone_after_power_loss_leads_after_its_wait(new_pair):
    pair = new_pair
    survivor = pair.backup()
    for device in (survivor, pair.master()):  # the other way round it may have taken over meanwhile
        pair.power_cut(device)
    begin = time.monotonic()
    pair.switch_on(survivor)
    pair.watch(survivor).wait_role("master", 40)
    assert time.monotonic() - begin >= 10
    answers_again(pair, time.monotonic())
    last = {}
    for event in json.loads(survivor.run(["understudy", "--json", "events"]).stdout):
        last.setdefault(event["name"], event)
    assert "is now master" in last["role"]["description"]
    assert "failover" not in last, "whoever was not there has not failed"


def test_takeover_in_the_midst_of_an_apply(pair):
    """Many files of one commit: afterwards all are of the old version or all of the new one."""
    master, backup = pair.master(), pair.backup()
    names = [f"/var/lib/scribe/file{i:03d}" for i in range(MANY)]
    for version in ("1\n", "2\n"):
        # syncd sees them all at once, so that they make one commit.
        syncd = master.kill("understudy-syncd", signal.SIGSTOP)
        for name in names:
            master.write(name, version)
        os.kill(syncd, signal.SIGCONT)
        if version == "1\n":
            pair.watch(backup).wait(lambda: all(backup.read(name) == "1\n" for name in names), 20, "version 1 applied")
            pair.wait_settled()
    pair.watch(backup).wait(lambda: pair.watch(backup).sync("Activity") in ("staging", "applying") or backup.read(names[0]) == "2\n", 20, "applying")
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 20)
    versions = {backup.read(name) for name in names}
    assert len(versions) == 1 and versions <= {"1\n", "2\n"}
    answers_again(pair, time.monotonic())


def test_syncd_dies_again_and_again_while_applying(pair):
    master, backup = pair.master(), pair.backup()
    names = [f"/var/lib/scribe/file{i:03d}" for i in range(MANY)]
    for name in names:
        master.write(name, "1\n")
    for _ in range(4):
        pid = backup.kill("understudy-syncd")
        backup.wait_process("understudy-syncd", 15, pid)
    pair.wait_settled(60)
    assert {backup.read(name) for name in names} == {"1\n"}


def test_edit_on_the_backup_is_kept_aside(pair):
    master, backup = pair.master(), pair.backup()
    before = pair.watch(backup).sync("Diverged")
    backup.write("/etc/kamailio/mine.cfg", "# somebody was here\n")
    master.write("/etc/kamailio/dialplan.cfg", master.read("/etc/kamailio/dialplan.cfg") + "# changed\n")
    pair.watch(backup).wait(lambda: "# changed" in backup.read("/etc/kamailio/dialplan.cfg"), 10, "the change is applied")
    pair.wait_settled()
    pair.watch(backup).wait(lambda: pair.watch(backup).sync("Diverged") not in (None, before), 10, "the edit is kept aside")


@pytest.mark.timed(20)
def test_swap_without_a_peer_is_refused(pair):
    master, backup = pair.master(), pair.backup()
    pair.power_cut(backup)
    pair.watch(master).wait(lambda: not pair.watch(master).peer().get("connected"), 10, "the peer is gone")
    begin = time.monotonic()
    refused = master.run(["understudy", "swap"], check=False)
    assert refused.returncode == 1 and refused.stderr
    assert pair.master() is master and pair.probe.silence_ms(begin)[0] <= 100


@pytest.mark.timed(20)
def test_bad_settings_on_a_running_device_change_nothing(pair):
    master = pair.master()
    good = master.read("/etc/understudy/device.conf")
    counts = {name: len(watch.roles) for name, watch in pair.watches.items()}
    begin = time.monotonic()
    master.write("/etc/understudy/device.conf", good + "\n[nonsense]\nkey=1\n")
    pid = master.kill("understudy-supervisor")
    master.wait_process("understudy-supervisor", 10, pid)
    pair.watch(master).wait_role("master")
    error = pair.watch(master).get(("org.understudy.Supervisor1", "/org/understudy/Supervisor1"), "org.understudy.Supervisor1", "SettingsError")
    assert "device.conf" in error and "nonsense" in error
    assert not any(watch.changes_since(counts[name]) for name, watch in pair.watches.items())
    assert pair.probe.silence_ms(begin)[0] <= 100
    master.write("/etc/understudy/device.conf", good)


def test_wrong_and_used_codes_are_refused(pair):
    """A pair is not joined again with a code that was used, nor with one that was never shown."""
    refused = pair.second.run(["understudy", "join", pair.first.peer_address], input="0123456789abcdef0123456789abcdef\n", check=False, timeout=60)
    assert refused.returncode != 0
    assert pair.settled()
