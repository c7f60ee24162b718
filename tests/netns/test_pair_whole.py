# SPDX-License-Identifier: LGPL-2.1-or-later
"""When the applications of a device that takes over may use the files: at once where nothing is half applied, whatever its syncd does; else when somebody
has made it whole, also when that syncd has died."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import struct

import pytest
from echo_lab import APPLICATION, ECHO
from shared_lab import Shared
from test_supervisor_pair import call

from lab.device import LabError  # noqa: E402  (test_supervisor_pair puts the demo's folder on the path)
from lab.net import stays, wait_until  # noqa: E402
from lab.pair import Pair  # noqa: E402

pytestmark = pytest.mark.timed(40, real_time=True)

MARKS = "/run/understudy/private/syncd/files"
SYNCD = "/usr/lib/understudy/understudy-syncd"
ASKED_MS = 200  # a syncd that does not answer is waited for so long,
BOOTING_MS = 2000  # and so long by a device that has just come up
F_OFD_SETLK = 37
BOTH = ("/var/lib/echo/first", "/var/lib/echo/second")


@contextlib.contextmanager
def pair_with_bad_luck(build):
    with Pair(build, {"echo": APPLICATION}) as pair:
        for device in (pair.first, pair.second):
            device.write("/usr/local/bin/echo", ECHO, 0o755)
            os.makedirs(device.file("/var/lib/echo"))
            shutil.copy(build / "tests/netns/bad-luck.so", device.file("/usr/lib/bad-luck.so"))
            device.write("/etc/ld.so.preload", "/usr/lib/bad-luck.so\n")
        pair.start()
        yield pair


def mend(pair):
    for device in (pair.first, pair.second):
        if not device.pid:
            pair.switch_on(device)
        release(device)
        with contextlib.suppress(LabError):  # none is there yet
            device.kill("understudy-syncd", signal.SIGCONT)
    pair.wait_settled(60)


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: pair_with_bad_luck(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request, mend)


def say(master, text):
    """One commit of two files."""
    syncd = master.kill("understudy-syncd", signal.SIGSTOP)
    for path in BOTH:
        master.write(path, text)
    os.kill(syncd, signal.SIGCONT)


def texts(device):
    return {device.read(path) for path in BOTH}


def begin_to_apply(pair, text):
    """A Backup between two steps of an apply, where it stays until release()."""
    master, backup = pair.master(), pair.backup()
    say(master, "old")
    pair.watch(backup).wait(lambda: texts(backup) == {"old"} and backup.read(MARKS) == "---", 20, "what there was before")
    pair.wait_settled()
    backup.write("/run/bad-luck", "understudy-syncd hold 0 1 second\n")
    say(master, text)
    wait_until(lambda: texts(backup) == {"old", text}, 20, "an apply under way")
    assert backup.read(MARKS) == "*--"
    return master, backup


@contextlib.contextmanager
def lost(pair, master, backup):
    """Inside, the Backup has begun to take over. Nothing is heard of the Master from the beginning; what its end takes, which on a busy machine may be
    seconds, comes behind."""
    watch = pair.watch(backup)
    before = len(watch.roles)
    for port in master.ports.values():
        port.block()
    watch.wait(lambda: any(change["new"] == "taking-over" for change in watch.changes_since(before)), 10, "a takeover")
    yield
    pair.power_cut(master)


def release(device):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(device.place("/run/bad-luck"))


def taken_over(device):
    """The newest takeover in its timeline, and what took how long, from the election on."""
    transitions = json.loads(call(device, "Timeline", "u", "50").stdout)["data"][0]
    taken = [one for one in transitions if one["device"]["data"] == device.name and one["new"]["data"] == "taking-over"][-1]
    return taken, {phase["name"]["data"]: phase for phase in taken["phases"]["data"]}


def test_whole_files_are_used_at_once(pair):
    """Its syncd cannot be asked. What it is told by a Master that is no more, and has not read yet, it does not put under the applications later."""
    master, backup = pair.master(), pair.backup()
    say(master, "old")
    pair.watch(backup).wait(lambda: texts(backup) == {"old"} and backup.read(MARKS) == "---", 20, "what there was before")
    pair.wait_settled()
    frozen = backup.kill("understudy-syncd", signal.SIGSTOP)
    stored = pair.watch(master).sync("Stored")["config"]
    say(master, "too late")
    pair.watch(master).wait(lambda: pair.watch(master).sync("Stored")["config"] != stored, 10, "the Master tells of a change")
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 10)
    taken, phases = taken_over(backup)
    assert phases["settle"]["end_ms"]["data"] - phases["settle"]["begin_ms"]["data"] < ASKED_MS / 4
    assert phases["application echo"]["begin_ms"]["data"] < ASKED_MS / 2
    assert "lost" not in taken["evidence"]["data"]  # who would know is frozen
    os.kill(frozen, signal.SIGCONT)
    pair.watch(backup).wait(lambda: pair.watch(backup).sync("Role") == "lead", 10, "its syncd leads")
    assert stays(lambda: texts(backup) == {"old"}, 1)
    wait_until(lambda: "lost" in taken_over(backup)[0]["evidence"]["data"], 10, "what was lost is told later")
    backup.write(BOTH[0], "new")  # it leads on, and commits
    stored = pair.watch(backup).sync("Stored")["config"]
    pair.watch(backup).wait(lambda: pair.watch(backup).sync("Stored")["config"] != stored, 10, "a commit")


def test_an_apply_under_way_is_waited_for(pair):
    master, backup = begin_to_apply(pair, "new")
    with lost(pair, master, backup):
        assert stays(lambda: not backup.pid_of("python3"), (BOOTING_MS + ASKED_MS) / 1000), backup.read(MARKS) + backup.console()[-3000:]
        assert texts(backup) == {"old", "new"}
        release(backup)
        pair.watch(backup).wait_role("master", 5)
        assert texts(backup) == {"new"} and backup.read(MARKS) == "---"


def test_an_apply_that_is_just_beginning_is_waited_for(pair):
    """Its syncd has seen that no application may run here, and is stopped before it has left its mark."""
    master, backup = pair.master(), pair.backup()
    pair.wait_settled()
    pair.watch(backup).wait(lambda: backup.read(MARKS) == "---", 10, "known to be whole")
    frozen = backup.kill("understudy-syncd", signal.SIGSTOP)
    with open(backup.place(MARKS), "r+b") as marks:
        fcntl.fcntl(marks, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        with lost(pair, master, backup):
            assert stays(lambda: not backup.pid_of("python3"), (BOOTING_MS + ASKED_MS) / 1000), backup.console()[-3000:]
            marks.close()
            os.kill(frozen, signal.SIGCONT)
            pair.watch(backup).wait_role("master", 5)


def test_a_syncd_that_died_in_an_apply_is_waited_for(pair):
    """The next one finds the same rename in its way before it says a word."""
    master, backup = begin_to_apply(pair, "newer")
    killed = backup.kill("understudy-syncd")
    backup.wait_process("understudy-syncd", not_pid=killed)
    with lost(pair, master, backup):
        assert stays(lambda: not backup.pid_of("python3"), (BOOTING_MS + ASKED_MS) / 1000), backup.read(MARKS) + backup.console()[-3000:]
        assert texts(backup) == {"old", "newer"}
        release(backup)
        pair.watch(backup).wait_role("master", 5)
        assert texts(backup) == {"newer"} and backup.read(MARKS) == "---"


def test_what_nobody_makes_whole_is_not_waited_for_for_ever(pair):
    master, backup = begin_to_apply(pair, "half")
    killed = backup.kill("understudy-syncd")
    backup.wait_process("understudy-syncd", not_pid=killed)
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 20)
    _, phases = taken_over(backup)
    assert 10000 <= phases["application echo"]["begin_ms"]["data"] < 11000
    release(backup)


def test_without_a_syncd_the_files_are_used_as_they_are(pair):
    """On a device on which none ever ran, nobody has left a word."""
    master, backup = pair.master(), pair.backup()
    pair.wait_settled()
    os.rename(backup.place(SYNCD), f"{backup.place(SYNCD)}.away")
    try:
        backup.kill("understudy-syncd")
        os.unlink(backup.place(MARKS))
        pair.power_cut(master)
        pair.watch(backup).wait_role("master", 10)
        _, phases = taken_over(backup)
        assert "settle" not in phases
        assert ASKED_MS <= phases["application echo"]["begin_ms"]["data"] < BOOTING_MS + ASKED_MS
    finally:
        os.rename(f"{backup.place(SYNCD)}.away", backup.place(SYNCD))
