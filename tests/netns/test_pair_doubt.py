# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who leads when that is in doubt: a disk that takes nothing, and newer data that comes up later than older."""

import contextlib
import json
import os
import shutil
import time

import pytest

from test_supervisor_pair import APPLICATION, call, get, pair, shared  # noqa: F401  (fixtures)

from lab.net import wait_until  # noqa: E402  (test_supervisor_pair puts the demo's folder on the path)

pytestmark = pytest.mark.timed(100, real_time=True)

STATE = "/var/lib/understudy/supervisor"
PAIR_CONF = "/etc/understudy/pair.conf"


@pytest.fixture
def hasty(pair):  # noqa: F811
    """A device that is alone after a power loss waits a second, not fifteen."""
    text = pair.master().read(PAIR_CONF)
    for device in (pair.first, pair.second):
        assert notify(device, "MarkRead", "at", "0").returncode == 0
    change(pair, text.replace("[pair]\n", "[pair]\ncold-boot-wait-ms=1000\n"))
    yield pair
    for device in (pair.first, pair.second):
        if device.frozen:
            device.power_off()
        if not device.pid:
            pair.switch_on(device)
    pair.wait_settled(60)
    change(pair, text)


def change(pair, text):  # noqa: F811
    done = call(pair.master(), "SetSettings", "sssa{sv}", "pair.conf", text, "", "0")
    assert done.returncode == 0 and '"both"' in done.stdout, done.stderr


def notify(device, method, *args):
    return device.run(["busctl", "--json=short", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", method, *args],
                      check=False)


def told(device, name):
    """The descriptions of its unread events of that name. It keeps them; who listens may begin too late on a device that was just switched on."""
    done = notify(device, "List", "a{sv}", "1", "status", "s", "new")
    assert done.returncode == 0, done.stderr
    return [each["description"]["data"] for each in json.loads(done.stdout)["data"][0] if each["name"]["data"] == name]


def is_told(device, name, words):
    """So far; a device that was just switched on has nobody to be asked yet."""
    with contextlib.suppress(AssertionError):
        return any(words in text for text in told(device, name))
    return False


def fill(device):
    """A file system of its own for the supervisor's state, without room for another file."""
    device.run(["sh", "-c", f"cp -a {STATE} /run/state && mount -t tmpfs -o mode=700,size=512k tmpfs {STATE} && cp -a /run/state/. {STATE}/ && "
                            f"! cat /dev/zero > {STATE}/filler 2>/dev/null"])


def term(device):
    return int((device.read(f"{STATE}/term") or "0").split()[0])


def test_a_full_disk(hasty, tmp_path):
    """It takes over all the same, as often as it must, tells of it, and does not forget it."""
    pair, second, first = hasty, hasty.backup(), hasty.master()
    fill(second)
    # What a takeover needs was reserved while there was room.
    begin = time.monotonic()
    pair.power_cut(first)
    pair.watch(second).wait_role("master", 10)
    pair.line.wait_answered(begin + 1)
    assert not told(second, "term-not-stored")
    pair.switch_on(first)
    pair.wait_settled()
    job = call(second, "Swap", "a{sv}", "0")
    assert job.returncode == 0, job.stderr
    pair.watch(first).wait_role("master", 20)
    pair.wait_settled()
    # Nothing could be reserved this time.
    begin = time.monotonic()
    pair.power_cut(first)
    pair.watch(second).wait_role("master", 10)
    pair.line.wait_answered(begin + 1)
    led = get(second, "Term")[0]
    assert led > term(second)
    wait_until(lambda: is_told(second, "term-not-stored", "its disk has not taken that"), 5, "it is told")
    wait_until(lambda: second.read(f"{STATE}/term-unstored").strip() == "1", 5, "the mark")
    # Switched off and on as it is: it does not know in which term it led, and waits for somebody who does.
    second.freeze()
    os.unlink(second.place(f"{STATE}/filler"))
    shutil.copytree(second.place(STATE), tmp_path / "state")
    second.power_off()
    shutil.copytree(tmp_path / "state", second.file(STATE), dirs_exist_ok=True)
    pair.switch_on(second)
    wait_until(lambda: is_told(second, "term-not-stored", "it waits for the peer, or"), 15, "it is told")
    before = time.monotonic()
    wait_until(lambda: time.monotonic() > before + 4 or get(second, "Role") not in ("init", "backup"), 6, "some time after the wait")
    assert get(second, "Role") in ("init", "backup"), "longer than cold-boot-wait-ms"
    assert "cold-boot" in [hold[0] for hold in pair.watch(second).vrrp("Holds")]
    assert second.run(["understudy", "takeover", "--force"]).returncode == 0
    pair.watch(second).wait_role("master", 10)
    wait_until(lambda: term(second) >= get(second, "Term")[0], 10, "its disk takes it")
    wait_until(lambda: second.read(f"{STATE}/term-unstored").strip() != "1", 5, "no mark")
    pair.switch_on(first)
    pair.wait_settled()
    assert pair.master() is second


def leave_newer_data_behind(pair):  # noqa: F811
    """Both off; one has a change that the other lacks, and comes up later. (older, newer)"""
    newer, older = pair.master(), pair.backup()
    pair.power_cut(older)
    stored = pair.watch(newer).sync("Stored")["config"]
    newer.write("/var/lib/echo/newer", f"{time.time()}\n")
    wait_until(lambda: pair.watch(newer).sync("Stored")["config"] != stored, 10, "a commit")
    pair.power_cut(newer)
    pair.switch_on(older)
    pair.watch(older).wait_role("master", 15)
    return older, newer


@pytest.fixture
def quiet(hasty):
    """The application knows that nobody is on the phone."""
    for device in (hasty.first, hasty.second):
        device.write("/etc/understudy/applications.d/echo.conf", APPLICATION.replace("ready=notify", "ready=notify\nquiet-command=/bin/true"))
        assert call(device, "Reload", "").returncode == 0
    yield hasty
    for device in (hasty.first, hasty.second):
        device.write("/etc/understudy/applications.d/echo.conf", APPLICATION)


def test_the_fresher_one_comes_later_and_nothing_has_been_done_yet(quiet):
    hasty, (older, newer) = quiet, leave_newer_data_behind(quiet)
    hasty.line.wait_answered(time.monotonic())  # the older one serves meanwhile
    hasty.switch_on(newer)
    hasty.watch(newer).wait_role("master", 30)
    hasty.wait_settled()
    assert hasty.master() is newer
    assert older.read("/var/lib/echo/newer") == newer.read("/var/lib/echo/newer")
    assert any("gives up: fresher-peer" in text for text in told(older, "resigned")), older.run(["understudy", "timeline", "--count", "8"]).stdout


def test_the_fresher_one_comes_later_and_somebody_may_be_on_the_phone(hasty):
    """Nobody can say, so it goes on."""
    older, newer = leave_newer_data_behind(hasty)
    hasty.switch_on(newer)
    wait_until(lambda: is_told(older, "fresher-peer", "goes on leading"), 30, "it is told")
    hasty.wait_settled(60)
    assert hasty.master() is older


def test_the_fresher_one_comes_later_than_the_next_change(hasty):
    """The one that leads has gone on in a line of its own: it stays, and the other's line is kept by name."""
    older, newer = leave_newer_data_behind(hasty)
    only = newer.read("/var/lib/echo/newer")
    stored = hasty.watch(older).sync("Stored")["config"]
    older.write("/var/lib/echo/other", f"{time.time()}\n")
    wait_until(lambda: hasty.watch(older).sync("Stored")["config"] != stored, 10, "a commit")
    hasty.switch_on(newer)
    hasty.wait_settled(60)
    assert hasty.master() is older
    wait_until(lambda: is_told(older, "fresher-peer", "goes on leading"), 10, "it is told")
    wait_until(lambda: hasty.watch(newer).sync("Diverged"), 10, "a name for it")
    (name,) = [each for each in hasty.watch(newer).sync("Diverged") if newer.name in each][-1:]
    git = ["git", "--git-dir=/var/lib/understudy/sync/repo.git"]
    assert newer.run([*git, "-c", "safe.directory=*", "show", f"{name}:echo/files/newer"], check=False).stdout == only or \
        only in newer.run([*git, "-c", "safe.directory=*", "log", "-p", "-3", name], check=False).stdout
    assert newer.read("/var/lib/echo/other") == older.read("/var/lib/echo/other")
