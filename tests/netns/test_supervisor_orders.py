# SPDX-License-Identifier: LGPL-2.1-or-later
"""Orders to a pair, and what it says of itself: doctor, swaps with conditions, modes for a time, the timeline of both, drills."""

import contextlib
import json
import os
import re
import signal
import time

import pytest

from test_supervisor_pair import APPLICATION, ECHO, SERVICE, call, changes, get, job_of, pair, shared  # noqa: F401  (fixtures)

from lab.net import wait_until  # noqa: E402  (test_supervisor_pair puts the demo's folder on the path)

pytestmark = pytest.mark.timed(100, real_time=True)


def doctor(device):
    done = device.run(["understudy", "--json", "doctor"], check=False)
    assert done.returncode in (0, 1), done.stderr
    findings = json.loads(done.stdout)
    assert done.returncode == int(any(finding["severity"] == "error" for finding in findings))
    return findings


def codes(device):
    return {(finding["code"], finding["device"]) for finding in doctor(device)}


def test_doctor_finds_nothing_wrong_with_a_healthy_pair(pair):  # noqa: F811
    for device in (pair.first, pair.second):
        wait_until(lambda device=device: not [each for each in doctor(device) if each["severity"] == "error"], 10, "no error")
        # What machines may lack that tests run on: they may forbid real time, and their disks may be full.
        wait_until(lambda device=device: not {code for code, _ in codes(device)} - {"no-realtime", "memory-not-locked", "disk-low"}, 10, "nothing else")


def test_doctor_on_the_master_knows_the_backups_troubles(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    name = backup.name
    assert call(backup, "SetMode", "sa{sv}", "passive", "0").returncode == 0
    for device in (master, backup):
        wait_until(lambda device=device: ("passive", name) in codes(device), 5, "passive")
        assert "peer-passive" not in {code for code, _ in codes(device)}, "the same in other words"
    wait_until(lambda: any(text.startswith("peer-passive: ") for text in get(master, "Problems")), 5, "as a problem of the Master")
    assert call(backup, "SetMode", "sa{sv}", "active", "0").returncode == 0
    program = backup.file("/usr/local/bin/echo")
    os.chmod(program, 0o644)
    text = backup.read("/etc/understudy/applications.d/echo.conf")
    backup.write("/etc/understudy/applications.d/echo.conf", text.replace("restart-delay-ms=10", "restart-delay-ms = 20"))
    assert call(backup, "Reload", "").returncode == 0
    wait_until(lambda: ("program-missing", name) in codes(master), 5, "program-missing")
    wait_until(lambda: "application-differs" in {code for code, _ in codes(master)}, 5, "application-differs")
    os.chmod(program, 0o755)
    backup.write("/etc/understudy/applications.d/echo.conf", "# a comment makes no difference\n\n" + text.replace("=10", " =  10"))
    assert call(backup, "Reload", "").returncode == 0
    wait_until(lambda: not {"program-missing", "application-differs", "passive"} & {code for code, _ in codes(master)}, 5, "all is well again")
    backup.write("/etc/understudy/applications.d/echo.conf", text)


def test_doctor_of_a_device_that_is_left_alone(pair):  # noqa: F811
    master, backup, before = pair.master(), pair.backup(), changes(pair)
    backup.kill("understudy-syncd", signal.SIGSTOP)
    try:
        wait_until(lambda: ("peer-absent", master.name) in codes(master), 10, "peer-absent")
    finally:
        backup.kill("understudy-syncd", signal.SIGCONT)
    wait_until(lambda: "peer-absent" not in {code for code, _ in codes(master)}, 10, "it is back")
    assert changes(pair) == before


# ---- Swaps with conditions ----


def set_application(device, text):
    device.write("/etc/understudy/applications.d/echo.conf", text)
    assert call(device, "Reload", "").returncode == 0


def test_swap_waits_for_a_quiet_moment(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    asks = APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/sh -c 'cat /run/calls; test ! -e /run/calls'")
    for device in (master, backup):
        set_application(device, asks)
    master.write("/run/calls", "3 calls\n")
    try:
        job = job_of(master, call(master, "Swap", "a{sv}", "1", "when_quiet_s", "u", "1"))
        assert job["State"] == "failed" and job["Error"] == "not-quiet: echo: 3 calls"
        assert pair.master() is master
        done = call(master, "Swap", "a{sv}", "2", "when_quiet_s", "u", "60", "reason", "s", "a new disk")
        path = json.loads(done.stdout)["data"][0]
        assert call(master, "Swap", "a{sv}", "0").returncode != 0  # busy
        os.unlink(master.file("/run/calls"))
        job = job_of(master, done)
        assert job["State"] == "done" and job["Result"]["reason"]["data"] == "a new disk" and path
    finally:
        for device in (master, backup):
            set_application(device, APPLICATION)
    pair.wait_settled()
    for device in (master, backup):
        changed = [each for each in json.loads(device.run(["understudy", "--json", "timeline", "--count", "4"]).stdout)
                   if each["evidence"].get("order") == "a new disk"]
        assert {(each["device"], each["new"]) for each in changed} >= {(master.name, "backup"), (backup.name, "master")}


def test_swap_that_is_cancelled_while_it_waits(pair):  # noqa: F811
    master = pair.master()
    set_application(master, APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/false"))
    before = changes(pair)
    done = call(master, "Swap", "a{sv}", "1", "when_quiet_s", "u", "600")
    path = json.loads(done.stdout)["data"][0]
    master.run(["busctl", "call", "org.understudy.Supervisor1", path, "org.understudy.Job1", "Cancel"])
    assert job_of(master, done)["State"] == "cancelled"
    set_application(master, APPLICATION)
    assert changes(pair) == before


def test_a_supervisor_that_dies_fails_its_job_visibly(pair):  # noqa: F811
    master = pair.master()
    set_application(master, APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/false"))
    done = call(master, "Swap", "a{sv}", "1", "when_quiet_s", "u", "600")
    killed = master.kill("understudy-supervisor")
    master.wait_process("understudy-supervisor", not_pid=killed)
    job = job_of(master, done)
    assert job["State"] == "failed" and job["Error"].startswith("supervisor-restarted: ")
    set_application(master, APPLICATION)
    pair.wait_settled()


def test_a_swap_by_force_says_what_it_gave_up(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    text = backup.read("/etc/understudy/pair.conf")
    backup.write("/etc/understudy/pair.conf", text.replace("[pair]\n", "[pair]\ngui-port=7779\n"))
    assert call(backup, "Reload", "").returncode == 0
    wait_until(lambda: any(each.startswith("settings-differ") for each in get(master, "Problems")), 5, "a difference seen")
    obstacles = json.loads(call(master, "CheckSwap", "").stdout)["data"][0]
    assert [(each["code"]["data"], each["forcible"]["data"]) for each in obstacles] == [("settings-differ", True)]
    job = job_of(master, call(master, "Swap", "a{sv}", "1", "force", "b", "true"))
    assert job["State"] == "done" and len(job["Result"]["gave_up"]["data"]) == 1
    assert pair.master() is backup
    backup.write("/etc/understudy/pair.conf", text)
    assert call(backup, "Reload", "").returncode == 0
    pair.wait_settled()
    assert "not-master" in json.loads(call(master, "CheckSwap", "").stdout)["data"][0][0]["code"]["data"]


# ---- Modes for a time, restarts, reboots ----


def test_a_passive_mode_that_ends_by_itself(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    assert call(master, "SetMode", "sa{sv}", "passive", "2", "minutes", "u", "1", "reason", "s", "cables").returncode == 0
    wait_until(lambda: get(backup, "Mode") == "passive" and get(backup, "ModeReason") == "cables", 5, "the Backup's mode")
    assert get(backup, "ModeUntilMs") > time.time_ns() // 1000000
    # Its time comes while there is no supervisor to see it: the next one does.
    places = ("/var/lib/understudy/supervisor/mode", "/run/understudy/supervisor/state")
    for place in places:
        wait_until(lambda at=place: "cables" in backup.read(at), 5, "it is kept")
    killed = backup.kill("understudy-supervisor", signal.SIGSTOP)  # it writes no more
    for place in places:
        backup.write(place, re.sub(r"passive \d+ cables", "passive 1000 cables", backup.read(place)))
    with contextlib.suppress(ProcessLookupError):  # its keeper may have been quicker
        os.kill(killed, signal.SIGKILL)
    backup.wait_process("understudy-supervisor", not_pid=killed)
    wait_until(lambda: call(backup, "CheckSwap", "").returncode == 0 and get(backup, "Mode") == "active", 10, "active again")
    assert get(backup, "ModeUntilMs") == 0
    pair.wait_settled()


def test_restart_of_an_application(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    before, roles = master.pid_of("python3"), changes(pair)
    assert master.run(["understudy", "restart", "echo", "--reason", "new code"]).returncode == 0
    master.wait_process("python3", not_pid=before)
    done = backup.run(["understudy", "restart", "echo"], check=False)
    assert done.returncode == 1 and "not-wanted" in done.stderr
    assert backup.run(["understudy", "restart", "nothing"], check=False).returncode == 2
    pair.wait_settled()
    assert changes(pair) == roles


def set_reboot_command(device, command):
    text = "".join(line for line in device.read("/etc/understudy/device.conf").splitlines(True) if not line.startswith("reboot-command"))
    device.write("/etc/understudy/device.conf", text.replace("[device]\n", f"[device]\nreboot-command={command}\n") if command else text)
    assert call(device, "Reload", "").returncode == 0


def test_a_master_that_is_to_reboot_hands_over_first(pair):  # noqa: F811
    old, new = pair.master(), pair.backup()
    set_reboot_command(old, "/usr/bin/touch /run/rebooted")
    assert old.run(["understudy", "reboot", "--reason", "a new kernel"]).returncode == 0
    assert os.path.exists(old.file("/run/rebooted")) and pair.master() is new
    os.unlink(old.file("/run/rebooted"))
    pair.wait_settled()
    # A Backup at once; and a command that fails is told.
    set_reboot_command(old, "/bin/false")
    job = job_of(old, call(old, "Reboot", "a{sv}", "0"))
    assert job["State"] == "failed" and job["Error"] == "reboot-failed: the reboot-command ended with exit 1"
    # Here is no logind.
    set_reboot_command(old, None)
    job = job_of(old, call(old, "Reboot", "a{sv}", "0"))
    assert job["State"] == "failed" and job["Error"].startswith("reboot-failed: systemd-logind: ")


def test_a_master_without_a_backup_refuses_to_reboot(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    set_reboot_command(master, "/usr/bin/touch /run/rebooted")
    backup.kill("understudy-syncd", signal.SIGSTOP)
    try:
        wait_until(lambda: any(text.startswith("peer-absent") for text in get(master, "Problems")), 10, "the peer is away")
        done = master.run(["understudy", "reboot"], check=False)
        assert done.returncode == 1 and "peer-absent" in done.stderr and not os.path.exists(master.file("/run/rebooted"))
        assert master.run(["understudy", "reboot", "--force"]).returncode == 0
        wait_until(lambda: os.path.exists(master.file("/run/rebooted")), 5, "it was run")
    finally:
        backup.kill("understudy-syncd", signal.SIGCONT)
        set_reboot_command(master, None)
    pair.wait_settled()


# ---- Drills ----


def modes(pair):  # noqa: F811
    return {device.name: get(device, "Mode") for device in (pair.first, pair.second)}


def test_drill_leaves_the_pair_as_it_was(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    asks = APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/true\ncount-command=/bin/echo 17")
    for device in (master, backup):
        set_application(device, asks)
    assert call(backup, "SetMode", "sa{sv}", "passive", "0").returncode == 0
    wait_until(lambda: pair.watch(master).peer().get("mode") == "passive", 5, "the Master knows")
    before = modes(pair)
    done = master.run(["understudy", "--json", "drill", "--reason", "monthly"])
    report = json.loads(done.stdout)["result"]
    pair.wait_settled()
    assert pair.master() is master and modes(pair) == before
    assert report["passed"] and report["failures"] == [] and report["home"] == master.name and report["quiet"] == "yes"
    assert report["contacts_before"] == report["contacts_after"] == 17 and report["commits_lost"] == 0
    assert 0 < report["silence_there_ms"] < 5000 and 0 < report["silence_back_ms"] < 5000
    led = [(each["device"], each["new"]) for each in report["transitions"] if each["new"] == "master"]
    assert led == [(backup.name, "master"), (master.name, "master")]
    assert any(phase["name"] == "application echo" for each in report["transitions"] for phase in each["phases"])
    for device in (master, backup):  # both know it
        wait_until(lambda device=device: get(device, "LastDrill").get("end_ms", {}).get("data") == report["end_ms"], 5, "the report")
        assert "passed" in device.run(["understudy", "drill", "--last"]).stdout
    assert call(backup, "SetMode", "sa{sv}", "active", "0").returncode == 0
    for device in (master, backup):
        set_application(device, APPLICATION)


def test_drill_measures_as_a_phone_does(pair):  # noqa: F811
    """OPTIONS at the service address, each way from the device that hands over; beside it a phone that asks all the time."""
    master, backup = pair.master(), pair.backup()
    asks = APPLICATION.replace("ready=notify", "ready=notify\nhealth=sip-options\nhealth-address=udp 127.0.0.1:5060\nhealth-interval-ms=3600000")
    for device in (master, backup):
        set_application(device, asks)
    begin = time.monotonic()
    report = json.loads(master.run(["understudy", "--json", "drill"]).stdout)["result"]
    pair.wait_settled()
    assert report["passed"] and report["sip_target"] == f"udp {SERVICE}:5060"
    ways = report["sip_silence_there_ms"], report["sip_silence_back_ms"]
    assert all(0 < way < report["max_silence_ms"] for way in ways), report
    assert report["sip_answered_there"] > 0 and report["sip_answered_back"] > 0
    # The phone's own longest silence is one of the two ways. (It asks every 5 to 10 ms, the devices every 20.)
    heard = pair.line.longest_gap_ms(begin, time.monotonic())
    assert heard / 2 - 100 < max(ways) < heard * 2 + 500, (ways, heard)
    shown = master.run(["understudy", "drill", "--last"]).stdout
    assert "phones waited there" in shown and "phones waited back" in shown and f"udp {SERVICE}:5060" in shown
    # One that answers nothing of the kind at the service address on the other device: the drill says so, and the service is home.
    device_text = ECHO.replace('data.startswith(b"OPTIONS ")', 'data.startswith(b"OPTIONS ") and not time.sleep(1000)')
    backup.write("/usr/local/bin/echo", device_text, 0o755)
    text = master.read("/etc/understudy/pair.conf")
    master.write("/etc/understudy/pair.conf", text + "\n[drill]\nmax-silence-ms=1500\n")
    assert call(master, "Reload", "").returncode == 0
    done = master.run(["understudy", "--json", "drill"], check=False)
    report = json.loads(done.stdout)["result"]
    assert done.returncode == 1 and "sip-silence: phones had no answer from the device that had taken over" in report["failures"], report
    pair.wait_settled()
    assert pair.master() is master
    backup.write("/usr/local/bin/echo", ECHO, 0o755)
    master.write("/etc/understudy/pair.conf", text)
    assert call(master, "Reload", "").returncode == 0
    for device in (master, backup):
        set_application(device, APPLICATION)


def test_drill_is_vetoed_by_a_call(pair):  # noqa: F811
    master, before = pair.master(), changes(pair)
    set_application(master, APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/sh -c 'echo 2 calls; exit 1'"))
    done = master.run(["understudy", "drill"], check=False)
    assert done.returncode == 1 and "calls-up: echo: 2 calls" in done.stderr
    done = pair.backup().run(["understudy", "drill"], check=False)
    assert done.returncode == 1 and "not-master" in done.stderr
    set_application(master, APPLICATION)
    assert changes(pair) == before


def test_drill_misses_its_target(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    text = master.read("/etc/understudy/pair.conf")
    master.write("/etc/understudy/pair.conf", text + "\n[drill]\nmax-silence-ms=1\n")
    assert call(master, "Reload", "").returncode == 0
    wait_until(lambda: get(backup, "PairHash") == get(master, "PairHash"), 5, "the same on the Backup")
    done = master.run(["understudy", "drill"], check=False)
    assert done.returncode == 1 and "silence: " in done.stdout
    pair.wait_settled()
    assert pair.master() is master
    wait_until(lambda: "drill-failed" in {code for code, _ in codes(backup)}, 5, "the doctor knows")
    master.write("/etc/understudy/pair.conf", text)
    assert call(master, "Reload", "").returncode == 0
    wait_until(lambda: get(backup, "PairHash") == get(master, "PairHash"), 5, "the same on the Backup")
    assert master.run(["understudy", "drill"]).returncode == 0
    pair.wait_settled()
    wait_until(lambda: "drill-failed" not in {code for code, _ in codes(master)}, 5, "either of the two knows")


def test_drill_comes_home_when_its_supervisor_dies_half_way(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    done = call(master, "Drill", "a{sv}", "0")
    pair.watch(backup).wait_role("master", 20)
    killed = master.kill("understudy-supervisor")
    master.wait_process("understudy-supervisor", not_pid=killed)
    job = job_of(master, done)
    assert job["State"] == "failed" and job["Error"].startswith("supervisor-restarted: ")
    pair.watch(master).wait_role("master", 30)
    pair.wait_settled()
    wait_until(lambda: get(master, "LastDrill").get("passed", {}).get("data") is False, 10, "the report")
    assert pair.master() is master


def test_drill_whose_other_device_dies(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    backup.run(["touch", "/run/slow-start"])
    done = call(master, "Drill", "a{sv}", "0")
    pair.watch(backup).wait_role("taking-over", 20)
    pair.power_cut(backup)
    pair.watch(master).wait_role("master", 20)
    job = job_of(master, done)
    assert job["State"] == "failed" and job["Result"]["passed"]["data"] is False
    pair.switch_on(backup)
    pair.wait_settled()
    assert pair.master() is master
    assert master.run(["understudy", "drill"]).returncode == 0
    pair.wait_settled()


# ---- The timeline of both ----


def test_a_takeover_says_which_contacts_it_has_lost(pair):  # noqa: F811
    """The Master has its applications count now and then and tells the Backup, which compares when it has taken over; asked once more where that fails."""
    old, new = pair.master(), pair.backup()
    new.run(["rm", "-f", "/run/asked"])
    for device, count in ((old, "/bin/echo 17"), (new, "/bin/sh -c 'test -e /run/asked && echo 15; touch /run/asked'")):
        set_application(device, APPLICATION.replace("ready=notify", f"ready=notify\ncount-command={count}"))
    wait_until(lambda: pair.watch(new).peer().get("contacts") == 17, 10, "the Backup knows of them")
    pair.power_cut(old)
    pair.watch(new).wait_role("master", 10)

    def evidence():
        changed = json.loads(new.run(["understudy", "--json", "timeline", "--count", "3"]).stdout)
        return next(each["evidence"] for each in reversed(changed) if each["new"] == "taking-over")

    wait_until(lambda: "contacts_after" in evidence(), 15, "they have been counted")
    said = evidence()
    assert (said["contacts_before"], said["contacts_after"], said["contacts_lost"]) == (17, 15, 2)
    assert "2 of 17 contacts" in new.run(["understudy", "timeline", "--count", "3"]).stdout
    pair.switch_on(old)
    pair.wait_settled()
    for device in (old, new):
        set_application(device, APPLICATION)
    wait_until(lambda: "contacts" not in pair.watch(old).peer(), 10, "nobody counts any more")


def test_a_thousand_changes_can_be_read_on_either_device(pair):  # noqa: F811
    """Each keeps its last thousand; whoever is asked shows both devices' as one, though they are more than a message of the peer link holds."""
    master, backup = pair.master(), pair.backup()
    line = ("{'device': <'%s'>, 'sequence': <uint64 %d>, 'old': <'backup'>, 'new': <'taking-over'>, 'reason': <'reason %d'>, 'term': <uint64 7>, "
            "'term_id': <'x'>, 'time_ms': <int64 %d>, 'evidence': <{'words': <'" + "x" * 300 + "'>}>}\n")
    backup.write("/var/lib/understudy/supervisor/timeline", "".join(line % (backup.name, i, i, 1000 + i) for i in range(1, 1201)))
    killed = backup.kill("understudy-supervisor")
    backup.wait_process("understudy-supervisor", not_pid=killed)
    pair.wait_settled()

    def read(device):
        changed = json.loads(device.run(["understudy", "--json", "timeline", "--count", "1000"]).stdout)
        return [each for each in changed if each["reason"].startswith("reason ")]

    wait_until(lambda: len(read(master)) > 900 and read(master) == read(backup), 10, "the Backup's on the Master")
    assert [each["reason"] for each in read(master)][-1] == "reason 1200"


def test_disable_and_enable(pair):  # noqa: F811
    master, backup = pair.master(), pair.backup()
    assert master.run(["understudy", "disable", "--reason", "a test"]).stdout.splitlines()[0] == "pair.conf: changed on both devices"
    for device in (master, backup):
        pair.watch(device).wait_role("standalone", 15)
    wait_until(lambda: backup.pid_of("python3"), 10, "a PBX of its own")
    assert "standalone: redundancy is off here" in master.run(["understudy", "swap"], check=False).stderr
    asked = master.run(["understudy", "doctor"], check=False)
    assert asked.returncode == 1 and "redundancy is off here" in asked.stdout
    for device in (master, backup):  # they do not talk now
        assert device.run(["understudy", "enable"]).returncode == 0
        wait_until(lambda device=device: get(device, "Enabled"), 5, "enabled")
    pair.wait_settled(60)
