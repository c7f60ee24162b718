# SPDX-License-Identifier: LGPL-2.1-or-later
"""Orders to a pair, and what it says of itself: doctor, swaps with conditions, modes for a time, the timeline of both, drills."""

import json
import os

from test_supervisor_pair import call, changes, get, module_pair, pair  # noqa: F401  (fixtures)

from lab.net import wait_until  # noqa: E402  (test_supervisor_pair puts the demo's folder on the path)


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
    assert any(text.startswith("peer-passive: ") for text in get(master, "Problems"))
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
    backup.kill("understudy-syncd", 19)  # SIGSTOP
    try:
        wait_until(lambda: ("peer-absent", master.name) in codes(master), 10, "peer-absent")
    finally:
        backup.kill("understudy-syncd", 18)
    wait_until(lambda: "peer-absent" not in {code for code, _ in codes(master)}, 10, "it is back")
    assert changes(pair) == before
