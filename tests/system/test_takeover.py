# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two whole machines: what breaks, who leads afterwards, and what goes on as if nothing had happened."""

import os
import re
import signal
import subprocess
import time

import pytest
from lab.net import wait_until


def pbx_runs_on(machine):
    """Both applications do; neither, when false: never one alone."""
    found = {name for _, name in machine.processes() if name in ("kamailio", "sleep")}
    assert len(found) != 1, found
    return bool(found)


def role_changes(pair):
    return {name: len(watch.roles) for name, watch in pair.watches.items()}


def wait_unit(machine, pid):
    """The unit has another main process than pid, and is active."""
    def main_pid():
        shown = machine.run(["systemctl", "show", "--property=ActiveState,MainPID", "understudy.service"]).stdout.split()
        state, main = sorted(word.partition("=")[2] for word in shown)[::-1]
        return state == "active" and int(main) not in (0, pid)
    wait_until(main_pid, 15, f"{machine.name}: the unit runs again", 0.05)


def test_power_cut(pair):
    """The Master's power goes: the Backup leads and answers; the old Master comes back as Backup."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    assert pbx_runs_on(backup) and pair.addresses.holders() == [backup.name]

    pair.switch_on(master)
    pair.watch(master).wait_role("backup", 40)
    pair.wait_settled(40)
    assert pair.master() is backup and not pbx_runs_on(master)


@pytest.mark.timed(100)
def test_supervisor_and_keeper_killed(pair):
    """Neither takes anything with it: no role changes, the PBX that ran goes on, the address stays. The unit was never stopped."""
    master = pair.master()
    before, applications = role_changes(pair), [master.pid_of(name) for name in ("kamailio", "sleep")]
    begin = time.monotonic()
    first = master.kill("understudy-supervisor")
    second = master.wait_process("understudy-supervisor", 10, not_pid=first)
    keeper = master.pid_of("understudy-keeper")
    main = int(master.run(["systemctl", "show", "--value", "--property=MainPID", "understudy.service"]).stdout)
    os.kill(keeper, signal.SIGKILL)
    wait_unit(master, main)
    master.wait_process("understudy-keeper", 10, not_pid=keeper)
    master.wait_process("understudy-supervisor", 10, not_pid=second)
    pair.watch(master).wait(lambda: pair.watch(master).peer().get("connected"), 15, "it knows its peer again")
    assert pair.roles()[master.name] == "master" and role_changes(pair) == before
    assert [master.pid_of(name) for name in ("kamailio", "sleep")] == applications and pair.addresses.holders() == [master.name]
    assert pair.probe.silence_ms(begin)[0] < 1000


def test_bus_frozen(pair):
    """The Backup's system bus stands still, and systemd on it: the takeover does not ask them."""
    master, backup = pair.master(), pair.backup()
    bus = backup.kill("dbus-daemon", signal.SIGSTOP)
    begin = time.monotonic()
    pair.power_cut(master)
    wait_until(lambda: pair.addresses.holders() == [backup.name], 10, "the Backup holds the service address")
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    assert pbx_runs_on(backup)
    os.kill(bus, signal.SIGCONT)
    pair.watch(backup).wait_role("master", 15)


@pytest.mark.timed(100)
def test_unit_stopped_and_machines_rebooted(pair):
    """`systemctl stop understudy` on the Master hands over in good order, and so does its reboot; a Backup's reboot changes nothing."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    master.run(["systemctl", "stop", "understudy.service"], timeout=100)
    pair.watch(backup).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    assert master.run(["systemctl", "is-failed", "understudy.service"], check=False).stdout.strip() == "inactive"
    assert [name for _, name in master.processes() if name.startswith(("understudy", "kamailio", "sleep"))] == []
    master.run(["systemctl", "start", "understudy.service"])
    pair.wait_settled(40)
    assert pair.master() is backup

    before = role_changes(pair)[backup.name]
    begin = time.monotonic()
    master.reboot()
    pair.addresses.watch(master)
    pair.watch(master).wait_role("backup", 40)
    pair.wait_settled(40)
    assert role_changes(pair)[backup.name] == before and pair.probe.silence_ms(begin)[0] < 1000

    begin = time.monotonic()
    backup.reboot()
    pair.addresses.watch(backup)
    pair.watch(master).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    ended = backup.journal("--boot=-1", "--unit=understudy.service")
    assert "understudy.service: Deactivated successfully" in ended
    pair.wait_settled(40)
    assert pair.master() is master


def test_reboot_by_order(pair):
    """`understudy reboot` on the Master: the service goes over first, then systemd-logind reboots the machine, and it is Backup."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    # As a process of the machine's own: its end stops every process for a moment, nsenter would then stop itself for good, and nobody reap.
    master.run(["systemd-run", "--quiet", "understudy", "reboot", "--reason", "a new kernel"])
    master.follow_reboot()
    pair.watch(backup).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    pair.addresses.watch(master)
    pair.watch(master).wait_role("backup", 60)
    pair.wait_settled(40)
    assert pair.master() is backup
    ended = master.journal("--boot=-1", "--unit=understudy.service")
    assert "understudy.service: Deactivated successfully" in ended and "reboot-failed" not in ended
    assert "a new kernel" in backup.run(["understudy", "timeline", "--count", "6"]).stdout


def test_passive_over_a_boot(pair):
    """A passive Backup is passive after a boot too, leaves a dead Master dead, and leads by order."""
    master, backup = pair.master(), pair.backup()
    backup.run(["understudy", "mode", "passive"])
    pair.power_cut(backup)
    pair.switch_on(backup)
    pair.watch(backup).wait_role("backup", 40)
    pair.wait_settled(40)
    assert backup.run(["understudy", "mode"]).stdout.strip() == "passive"
    pair.power_cut(master)
    pair.watch(backup).wait(lambda: not pair.watch(backup).peer().get("connected"), 20, "it misses its peer")
    assert pair.watch(backup).role() == "backup" and not pbx_runs_on(backup)
    begin = time.monotonic()
    backup.run(["understudy", "takeover"])
    pair.watch(backup).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin, 15)


def test_why_a_master_has_given_up(pair):
    """Its PBX ends at once whenever it is started: what it said last, which the journal has, is read on either machine."""
    master, backup = pair.master(), pair.backup()
    master.run(["mv", "/usr/sbin/kamailio", "/usr/sbin/kamailio.good"])
    master.write("/usr/sbin/kamailio", "#!/bin/sh\necho I miss a library\nexit 3\n", 0o755)
    master.kill("kamailio")
    pair.watch(backup).wait_role("master", 30)
    for machine in (master, backup):
        wait_until(lambda machine=machine: re.search(r"^ +failed +kamailio \((exit 3|a command of its unit failed)\)\n( +said +.*\n)* +said +I miss a library$",
                                                     machine.run(["understudy", "timeline", "--count", "6"]).stdout, re.M), 15,
                   f"{machine.name}: what it said last")


def test_unit_started_on_the_backup(pair):
    """Enabled as its package left it, and started by hand: on the Backup the PBX does not run. Nothing has failed by that."""
    backup = pair.backup()
    assert backup.run(["systemctl", "is-enabled", "kamailio.service"]).stdout.strip() == "enabled"
    backup.run(["systemctl", "start", "kamailio.service"])
    assert not pbx_runs_on(backup)
    pair.power_cut(backup)
    pair.switch_on(backup)
    pair.watch(backup).wait_role("backup", 40)
    wait_until(lambda: backup.state() == "running", 40, "booted", 0.05)
    assert not pbx_runs_on(backup)
    assert "kamailio" not in backup.journal("--boot", "--identifier=kamailio")
