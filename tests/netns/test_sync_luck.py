# SPDX-License-Identifier: LGPL-2.1-or-later
"""Death and a full disk at every step of a commit, of a fetch and an apply, of tidying, of an export and an import: the old state or the new one, and
it goes on.

The steps are the calls that change something (bad_luck.c). A default run takes some of each, --long all.
"""

import contextlib
import itertools
import os
import re
import time

import pytest
from database_lab import TABLE, look
from sync_lab import DATABASE, FILES, CallError, SyncLab
from test_sync_export import FOLDER, JobFailed, export, import_
from test_sync_healing import sound
from test_sync_voice import APPLICATION, MAIL, VOICE, noise, record, recordings

SYNCD, GIT, TAR = "understudy-syncd", "git", "tar"
SOME = 4
NAMES = ("one.cfg", "two.cfg", "sub/three.cfg")
serials = itertools.count(1)


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        for device in (lab.alpha, lab.beta):
            device.write("/etc/understudy/applications.d/pbx.conf", APPLICATION + VOICE)
            device.at(MAIL).mkdir(parents=True)
            device.write("/etc/ld.so.preload", f"{build}/tests/netns/bad-luck.so\n")
        lab.start()
        change(lab, 0)
        lab.pair()
        lab.in_step()
        yield lab


def order(device, program=None, what=None, at=0):
    """The number of the order; without a program there is luck again."""
    serial = next(serials)
    device.at("/run/bad-luck.new").write_text(f"{program} {what} {at} {serial}\n" if program else "")
    device.at("/run/bad-luck.new").rename(device.at("/run/bad-luck"))
    return serial


def steps(device, serial, program):
    return len(re.findall(rf"^bad-luck: {program} step {serial}\.", device.read("/run/bad-luck.log") or "", re.M))


def change(lab, number):
    """A state of every set, which says which one it is; contents come back."""
    for name in NAMES:
        lab.alpha.write(f"{FILES}/{name}", f"state {number}\n")
    record(lab.alpha, "msg.wav", noise(number % 5, 6000))
    # At once: a copy may be taken at any moment, and a table without rows would be one more state.
    lab.alpha.sql(DATABASE, "BEGIN IMMEDIATE", "DROP TABLE IF EXISTS t", TABLE, f"INSERT INTO t VALUES ({number}, 'x', 'x')", "COMMIT")


def committed(lab):
    """What alpha had of the files in its last commits. It may have looked between two writes of a change."""
    return {tuple(lab.alpha.git("show", f"{commit}:pbx.etc/{name}") for name in NAMES) for commit in lab.alpha.git("rev-list", "-n", "8", "config").split()}


def is_state(lab, *numbers):
    """Each set on beta is in one of these states, whole."""
    beta = lab.beta
    files, recording, row = tuple(beta.read(f"{FILES}/{name}") for name in NAMES), recordings(beta).get("msg.wav"), look(beta.at(DATABASE))
    assert set(files) <= {f"state {n}\n" for n in numbers}, files
    assert len(set(files)) == 1 or files in committed(lab), (files, committed(lab))
    assert recording in [noise(n % 5, 6000) for n in numbers] and row in numbers, row


def has_died(device, serial, program):
    """With luck from now on: whether it came to that. Who is about to die has said so, and may still look alive."""
    order(device)
    with broken_off():
        device.get("Role")
    if program != SYNCD or steps(device, serial, program) == 0:
        return False
    device.process.wait(10)
    device.kill()
    device.start()
    return True


def died(device):
    return device.process.poll() is not None


@contextlib.contextmanager
def broken_off():
    """What the other end of a call says that dies, or has no room."""
    with contextlib.suppress(CallError, ConnectionError):
        yield


def settled(lab, number):
    """Both have all of it, and go on."""
    lab.in_step()
    is_state(lab, number)
    for device in (lab.alpha, lab.beta):  # git does not see all of it while packs are folded into one
        device.wait(lambda d=device: sound(d), "whole", 30)
    assert lab.alpha.get("Diverged") == lab.beta.get("Diverged") == []


def commit_and_apply(lab, number):
    """Until it is applied, or one has died; what is refused is."""
    change(lab, number)
    with broken_off():
        commits = lab.alpha.commit()
        waiting = time.monotonic() + 20
        while not died(lab.beta) and time.monotonic() < waiting:
            try:
                lab.alpha.wait_applied(commits, 200)
                return
            except CallError as error:
                if not error.name.endswith(("TimedOut", "NotReachable")):
                    raise


def tidy(device):
    with broken_off():
        device.sync("Tidy", timeout_ms=60000)


def hold(device, name):
    """The next rename to this name waits for the next order; when it has come there."""
    serial = next(serials)
    device.at("/run/bad-luck.new").write_text(f"{SYNCD} hold 0 {serial} {name}\n")
    device.at("/run/bad-luck.new").rename(device.at("/run/bad-luck"))
    return lambda: device.wait(lambda: f"held {serial} {name}" in (device.read("/run/bad-luck.log") or ""), f"{name} is about to be replaced", 20)


def kept(device, path):
    """What is kept aside of a data set, oldest first."""
    return [device.git("show", f"{name}:{path}") for name in sorted(device.get("Diverged"))]


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_what_is_written_between_the_look_and_the_rename_is_kept(lab, killed):
    """Into a file that is replaced, one that comes, one that goes: each time with the last call before it is too late held up."""
    alpha, beta = lab.alpha, lab.beta

    def overtake(name, change_it, write):
        reached = hold(beta, name)
        change_it()
        commits = alpha.commit()
        reached()
        write()
        if killed:  # what the next process finds is in the middle of the steps
            beta.kill()
        order(beta)
        if killed:
            beta.start()
            beta.set_role("follow")
        alpha.wait(lambda: beta.get("Applied") == commits, "applied", 30)

    def replaced():
        beta.write(f"{FILES}/one.cfg", "written on beta\n", mode=0o600)

    overtake("one.cfg", lambda: alpha.write(f"{FILES}/one.cfg", "second\n"), replaced)
    beta.wait(lambda: len(beta.get("Diverged")) == 1, "kept")
    assert beta.read(f"{FILES}/one.cfg") == "second\n" and kept(beta, "pbx.etc/one.cfg") == ["written on beta\n"]
    assert beta.git("show", "refs/diverged/beta/1:pbx.etc/two.cfg") == "state 0\n", "with what was there beside it"
    assert "f 0600 root root" in beta.git("show", "refs/diverged/beta/1:pbx.etc/.syncmeta")
    beta.wait(lambda: any("refs/diverged/beta/1" in text for text in beta.notices("local edit kept")), "told")
    assert "+written on beta\n" in beta.sync("Difference", "(sss)", ("", "refs/diverged/beta/1", ""))[0]

    overtake("new.cfg", lambda: alpha.write(f"{FILES}/new.cfg", "of alpha\n"), lambda: beta.write(f"{FILES}/new.cfg", "of beta\n"))
    beta.wait(lambda: len(beta.get("Diverged")) == 2, "kept")
    assert beta.read(f"{FILES}/new.cfg") == "of alpha\n" and beta.git("show", "refs/diverged/beta/2:pbx.etc/new.cfg") == "of beta\n"

    mail = f"{MAIL}/msg.wav"
    overtake("msg.wav", lambda: record(alpha, "msg.wav", noise(7, 6000)), lambda: beta.at(mail).write_bytes(noise(8, 5000)))
    beta.wait(lambda: len(beta.get("Diverged")) == 3, "kept")
    assert recordings(beta)["msg.wav"] == noise(7, 6000)
    assert "size 5000" in beta.git("show", "refs/diverged/beta/3:pbx.mail/msg.wav")
    assert sorted(name for name in os.listdir(beta.at(FILES)) if name.startswith(".understudy-")) == []
    assert sound(beta)


def test_what_is_written_before_it_is_removed_is_kept(lab):
    alpha, beta = lab.alpha, lab.beta
    beta_text = "written on beta\n"
    reached = hold(beta, "was.1")  # where a file that goes is put by the first step
    alpha.at(f"{FILES}/two.cfg").unlink()
    commits = alpha.commit()
    reached()
    beta.write(f"{FILES}/two.cfg", beta_text)
    order(beta)
    alpha.wait_applied(commits)
    beta.wait(lambda: len(beta.get("Diverged")) == 1, "kept")
    assert beta.read(f"{FILES}/two.cfg") is None and kept(beta, "pbx.etc/two.cfg") == [beta_text]


def left_over(device):
    """What is in syncd's folder of something that is over: a ref of an export, a lock, a file or folder that was being written."""
    below = [os.path.join(folder, name) for folder, folders, names in os.walk(device.at(FOLDER)) for name in folders + names]
    return ([line for line in device.git("for-each-ref", "--format=%(refname)").split() if line.startswith("refs/export/")] +
            [place for place in below if re.search(r"/sync/export|/receiving-|\.lock$|/tmp_|/\.tmp-", place)])


OPERATIONS = {"commit": ("alpha", SYNCD), "apply": ("beta", SYNCD), "tidy": ("beta", SYNCD), "tidy-git": ("beta", GIT)}


def run(lab, operation, number):
    if operation.startswith("tidy"):
        change(lab, number)
        lab.in_step()
        return lambda: tidy(lab.beta)
    return lambda: commit_and_apply(lab, number)


def some(n):
    """Of n steps."""
    return sorted({1 + (n - 1) * i // (SOME - 1) for i in range(SOME)})


def moments(lab, operation, every):
    """Steps at which it happens; the last ones may not come."""
    device, program = getattr(lab, OPERATIONS[operation][0]), OPERATIONS[operation][1]
    work = run(lab, operation, 1)
    serial = order(device, program, "count")
    work()
    order(device)
    n = steps(device, serial, program)
    assert n > 5, n
    return range(1, n + 1) if every else some(n)


def walk_deaths(lab, operation, every):
    device, program = getattr(lab, OPERATIONS[operation][0]), OPERATIONS[operation][1]
    deaths = 0
    for number, at in enumerate(moments(lab, operation, every), 2):
        work = run(lab, operation, number)
        serial = order(device, program, "kill", at)
        work()
        if has_died(device, serial, program):
            deaths += 1
            if device is lab.beta:
                is_state(lab, number - 1, number)
            device.set_role("lead" if device is lab.alpha else "follow")
        settled(lab, number)
        if operation.startswith("tidy"):
            tidy(device)
            device.wait(lambda: sound(device), "whole", 30)
            assert left_over(device) == [], at
    assert deaths or program != SYNCD


def walk_full_disk(lab, operation, every):
    device, program = getattr(lab, OPERATIONS[operation][0]), OPERATIONS[operation][1]
    for number, at in enumerate(moments(lab, operation, every), 2):
        work = run(lab, operation, number)
        order(device, program, "full", at)
        if operation == "apply":
            change(lab, number)
            lab.alpha.commit()
            beta = lab.beta
            beta.wait(lambda: beta.get("LastError") or beta.get("Applied") == lab.alpha.get("Stored"), "held, or it had room enough", 30)
        else:
            work()
        assert not died(device)
        if device is lab.beta:
            is_state(lab, number - 1, number)
        order(device)
        settled(lab, number)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_death_at_some_steps(lab, operation):
    walk_deaths(lab, operation, False)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_at_some_steps(lab, operation):
    walk_full_disk(lab, operation, False)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
def test_death_at_every_step(lab, operation):
    walk_deaths(lab, operation, True)


@pytest.mark.long
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_full_disk_at_every_step(lab, operation):
    walk_full_disk(lab, operation, True)


@pytest.mark.parametrize("program", [SYNCD, GIT])
def test_a_large_fetch_dies_at_some_steps(lab, program):
    """Git takes in what comes, where nothing is left of half of it."""
    alpha, beta = lab.alpha, lab.beta

    def change_much():
        alpha.write(f"{FILES}/large.bin", os.urandom(3 << 20))

    serial = order(beta, program, "count")
    change_much()
    lab.in_step()
    order(beta)
    n = steps(beta, serial, program)
    assert n > 5, n
    for at in some(n * 3 // 4):  # by how much comes at a time there are more or fewer
        serial = order(beta, program, "kill", at)
        change_much()
        beta.wait(lambda serial=serial: steps(beta, serial, program), "its death", 20)
        if has_died(beta, serial, program):
            beta.set_role("follow")
        lab.in_step()
        assert beta.at(f"{FILES}/large.bin").read_bytes() == alpha.at(f"{FILES}/large.bin").read_bytes()
        assert left_over(beta) == [], at


# Both are on alpha.
TRANSFERS = {"export": (export, SYNCD), "export-git": (export, GIT),
             "import": (import_, SYNCD), "import-git": (import_, GIT), "import-tar": (import_, TAR)}


def walk_transfers(lab, file, operation, every):
    alpha, (transfer, program) = lab.alpha, TRANSFERS[operation]
    export(alpha, file)
    change(lab, 1)
    lab.in_step()
    serial = order(alpha, program, "count")
    transfer(alpha, file)
    order(alpha)
    steps = [int(step) for step in re.findall(rf"^bad-luck: {program} step {serial}\.(\d+)", alpha.read("/run/bad-luck.log"), re.M)]
    n, failures = max(steps), 0
    for at in range(1, n + 1) if every else some(n):
        serial = order(alpha, program, "kill", at)
        try:
            with broken_off():
                transfer(alpha, file)
        except JobFailed:
            failures += 1
        if has_died(alpha, serial, program):
            failures += 1
            alpha.set_role("lead")
        lab.in_step()
        assert left_over(alpha) == [], at
        transfer(alpha, file)
        import_(alpha, file)
        assert left_over(alpha) == [] and alpha.read(f"{FILES}/one.cfg") == f"state {1 if transfer is export else 0}\n"
    assert failures


@pytest.mark.parametrize("operation", TRANSFERS)
def test_an_export_or_import_dies_at_some_steps(lab, tmp_path, operation):
    """Of syncd; at every one of the programs that it runs, which have few."""
    walk_transfers(lab, tmp_path / "file", operation, TRANSFERS[operation][1] != SYNCD)


@pytest.mark.long
@pytest.mark.parametrize("operation", [operation for operation, (_, program) in TRANSFERS.items() if program == SYNCD])
def test_an_export_or_import_dies_at_every_step(lab, tmp_path, operation):
    walk_transfers(lab, tmp_path / "file", operation, True)
