# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two paired devices whose application has hooks: as whom they run and what they see, and what becomes of those that say no, hang, or are in the way."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from echo_lab import APPLICATION, ECHO
from shared_lab import Shared

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

CONFIG = "/var/lib/echo/main.cfg"

# Says what it finds, and does what the staged configuration says: "bad", "hang" (with a child that left its session and ignores SIGTERM).
CHECK = """\
#!/usr/bin/python3
import json, os, subprocess, sys, time
staged = open(os.environ["UNDERSTUDY_STAGED"] + "/echo/main.cfg").read()
told = {"uid": os.getuid(), "in_place": open("/var/lib/echo/main.cfg").read(), "staged": staged,
        "own": open("/var/lib/echo/own").read(), "role": os.environ["UNDERSTUDY_ROLE"], "hook": os.environ["UNDERSTUDY_HOOK"]}
try:
    open("/var/lib/echo/main.cfg", "a")
except OSError:
    told["read_only"] = True
with open("/var/lib/told/check.new", "w") as out:
    json.dump(told, out)
os.rename("/var/lib/told/check.new", "/var/lib/told/check")
if "bad" in staged:
    print("main.cfg:7: a word too many")
    sys.exit(1)
if "hang" in staged:
    subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; exec sleep 4711"], start_new_session=True)
    print("thinking", flush=True)
    time.sleep(4712)
"""
# Writes where the application's files are; it sees what is staged there.
MIGRATE = """\
#!/bin/sh
set -e
test "$(cat /var/lib/echo/main.cfg)" = "$(cat $UNDERSTUDY_STAGED/echo/main.cfg)"
test "$UNDERSTUDY_ROLE" = follow
printf '%s' "$UNDERSTUDY_HOOK from $UNDERSTUDY_FIRMWARE_FROM to $UNDERSTUDY_FIRMWARE_TO of $(cat /var/lib/echo/main.cfg)" > /var/lib/echo/main.cfg
"""
ACT = """\
#!/bin/sh
cp /var/lib/echo/main.cfg /var/lib/told/acted.new && mv /var/lib/told/acted.new /var/lib/told/acted
"""
BUS = ["busctl", "--json=short", "call", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1"]


def application(timeout_ms):
    return APPLICATION.replace("ready=notify\n", "ready=notify\nvalidate-command=/usr/local/bin/check\nact-command=/usr/local/bin/act\n"
                               f"hook-user=nobody\nvalidate-timeout-ms={timeout_ms}\n").replace("exclude=broken", "exclude=broken own")


@contextlib.contextmanager
def pair_with_hooks(build):
    with Pair(build, {"echo": application(20000)}) as pair:
        for device in (pair.first, pair.second):
            device.write("/usr/local/bin/echo", ECHO, 0o755)
            device.write("/usr/local/bin/check", CHECK, 0o755)
            device.write("/usr/local/bin/act", ACT, 0o755)
            device.write("/usr/local/bin/migrate", MIGRATE, 0o755)
            os.makedirs(device.file("/var/lib/echo"))
            os.makedirs(device.file("/var/lib/told"))
            os.chmod(device.file("/var/lib/told"), 0o777)
            device.write("/var/lib/echo/own", device.name)
        pair.first.write(CONFIG, "first")
        for device in (pair.first, pair.second):
            pair.switch_on(device)
        pair.watches["alpha"].wait_role("master", 30)
        wait_until(lambda: pair.watches["beta"].sync("Role") is not None, 15, "its syncd")
        pair.pair_and_join()
        pair.wait_settled()
        yield pair


def mend(pair):
    for device in (pair.first, pair.second):
        device.write("/etc/understudy/applications.d/echo.conf", application(20000))
        device.run([*BUS, "Reload"])
    master = pair.master()
    for text in ("over", "done"):  # two, in case the first is what is there already
        master.write(CONFIG, text)
    wait_until(lambda: pair.backup().read(CONFIG) == "done", 30, "a good one goes on")
    pair.wait_settled()


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: pair_with_hooks(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request, mend)


def sleepers(device):
    """The processes of a hanging hook."""
    found = []
    for pid, _ in device.processes():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"4711" in words or b"/usr/local/bin/check" in words:
            found.append(pid)
    return found


def told(device):
    text = device.read("/var/lib/told/check")
    return json.loads(text) if text else {}


def descriptions(pair, device, name, since):
    return [event["description"] for event in pair.watch(device).events[since:] if event["name"] == name]


def wait_hanging(pair, backup):
    pair.master().write(CONFIG, "hang")
    wait_until(lambda: told(backup).get("staged") == "hang" and len(sleepers(backup)) == 2, 15, "the hook hangs")


def test_it_sees_what_would_be_there_as_a_named_user(pair):
    master, backup = pair.master(), pair.backup()
    pair.master().write(CONFIG, "second")
    wait_until(lambda: backup.read(CONFIG) == "second", 15, "applied")
    assert told(backup) == {"uid": 65534, "in_place": "second", "staged": "second", "own": backup.name, "role": "follow", "hook": "validate",
                            "read_only": True}
    wait_until(lambda: backup.read("/var/lib/told/acted") == "second", 10, "acted upon")
    assert master.read("/var/lib/told/check") is None, "nobody asks where the configuration is made"


def test_one_that_does_not_pass_is_held_back(pair):
    master, backup = pair.master(), pair.backup()
    before = backup.read(CONFIG)
    counts = {device.name: len(pair.watch(device).events) for device in (master, backup)}
    master.write(CONFIG, "bad")
    for device in (master, backup):
        wait_until(lambda d=device: descriptions(pair, d, "commit held back", counts[d.name]), 15, f"an event on {device.name}")
        text, = descriptions(pair, device, "commit held back", counts[device.name])
        assert "validate of application echo: main.cfg:7: a word too many" in text
    assert backup.read(CONFIG) == before
    refused = master.run(["understudy", "swap"], check=False)
    assert refused.returncode == 1 and "a word too many" in refused.stdout + refused.stderr
    assert pair.roles() == {master.name: "master", backup.name: "backup"}
    shown = master.run(["understudy", "status"]).stdout
    assert "held" in shown and "a word too many" in shown, shown
    for device in (master, backup):
        wait_until(lambda d=device: "commit-held" in d.run(["understudy", "doctor"], check=False).stdout, 15, f"the doctor of {device.name} says so")


def test_one_that_hangs_is_killed_whole(pair):
    master, backup = pair.master(), pair.backup()
    for device in (master, backup):
        device.write("/etc/understudy/applications.d/echo.conf", application(1500))
        device.run([*BUS, "Reload"])
    count = len(pair.watch(master).events)
    wait_hanging(pair, backup)
    wait_until(lambda: descriptions(pair, master, "commit held back", count), 15, "told")
    assert "not done after 1500 ms, killed: thinking" in descriptions(pair, master, "commit held back", count)[0]
    wait_until(lambda: not sleepers(backup), 10, "nothing of it is left")


def test_a_takeover_does_not_wait_for_it(pair):
    master, backup = pair.master(), pair.backup()
    before = backup.read(CONFIG)
    wait_hanging(pair, backup)
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 10)  # its deadline is 20 s
    wait_until(lambda: not sleepers(backup), 10, "it was killed")
    assert backup.read(CONFIG) == before
    pair.switch_on(master)
    pair.wait_settled()


def test_a_supervisor_that_dies_goes_on(pair):
    master, backup = pair.master(), pair.backup()
    wait_hanging(pair, backup)
    first = sleepers(backup)
    os.unlink(backup.file("/var/lib/told/check"))
    backup.kill("understudy-supervisor")
    wait_until(lambda: told(backup).get("staged") == "hang" and len(sleepers(backup)) == 2, 15, "it is run again")
    assert not set(first) & set(sleepers(backup)), "and nothing of the first is left"
    pair.watch(backup).wait_role("backup", 10)
    assert master.name == pair.master().name
    # One that waits for ever must not hold up the next test.
    os.kill(min(sleepers(backup)), signal.SIGKILL)


def set_firmware(device, version):
    device.write("/etc/firmware", version)
    text = device.read("/etc/understudy/device.conf")
    if "firmware-file" not in text:
        device.write("/etc/understudy/device.conf", text.replace("[device]\n", "[device]\nfirmware-file=/etc/firmware\n"))
    device.run([*BUS, "Reload"])


def test_what_an_older_firmware_made_is_migrated(pair):
    """In a place of its own: the files are the old ones until it has ended, and what it leaves is looked at and put onto them."""
    master, backup = pair.master(), pair.backup()
    text = application(20000).replace("hook-user=nobody\n", "migrate-command=/usr/local/bin/migrate\n")
    backup.write("/etc/understudy/applications.d/echo.conf", text)
    for device, version in ((master, "1.0"), (backup, "2.0")):
        set_firmware(device, version)
    master.write(CONFIG, "the old form")
    wanted = "migrate from 1.0 to 2.0 of the old form"
    wait_until(lambda: backup.read(CONFIG) == wanted, 20, "migrated")
    assert told(backup)["staged"] == wanted
    wait_until(lambda: pair.watch(master).sync("PeerApplied") == pair.watch(master).sync("Stored"), 10, "it counts as applied")
    assert master.read(CONFIG) == "the old form"
    set_firmware(master, "2.0")
