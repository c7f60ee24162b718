# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is copied stays as large as what is live: recordings that come and go, registrations, and a budget for the disk."""

import hashlib
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from database_lab import TABLE, look
from sync_lab import DATABASE, FILES, CallError, pair  # noqa: F401
from test_sync_voice import MAIL, lab, noise, record, recordings, stored  # noqa: F401

FOLDER = "/var/lib/understudy/sync"


def disk(path):
    """Bytes that everything below a folder takes."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def objects_of(device):
    """Loose objects and packs of the repository."""
    top = device.at(f"{FOLDER}/repo.git/objects")
    loose = [p for p in top.glob("[0-9a-f][0-9a-f]/*") if not p.name.startswith("tmp_")]
    return len(loose), len(list(top.glob("pack/*.pack")))


def tidy(device):
    """It is folded; a moment in which a takeover or a commit is under way comes again."""
    device.sync("Tidy", timeout_ms=60000)


# The repository: what an empty one takes, and of each recording that has come and gone its names, which are kept for a day.
EMPTY, NAMES = 100_000, 600


def come_and_go(lab, count):  # noqa: F811
    """count recordings in, some at a time, and out again; what is live stays, and all that the disk has is within 10 % of it."""
    live = {f"live/{i}.wav": noise(i, 60000) for i in range(120)}
    for name, content in live.items():
        record(lab.alpha, name, content)
    for i in range(count):
        record(lab.alpha, f"{i % 10}/msg{i}.wav", noise(1000 + i, 20000))
        if i % 25 == 24:
            lab.in_step()
    lab.in_step()
    for i in range(count):
        lab.alpha.at(f"{MAIL}/{i % 10}/msg{i}.wav").unlink()
        if i % 25 == 24:
            lab.in_step()
    lab.in_step()
    assert len(recordings(lab.beta)) == len(live)
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: len(stored(d)) == len(live), "the store holds what is live", 60)
        tidy(device)
        used, least = disk(device.at(FOLDER)), sum(-(-len(content) // 4096) * 4096 for content in live.values())
        assert disk(device.at(f"{FOLDER}/repo.git")) < EMPTY + NAMES * count, "the names"
        assert used <= least * 1.1, "all of it"
        assert "missing" not in device.git("fsck") and recordings(device) == live


def test_recordings_come_and_go(pair, lab):  # noqa: F811
    come_and_go(lab, 100)


@pytest.mark.long
def test_a_thousand_recordings_come_and_go(pair, lab):  # noqa: F811
    come_and_go(lab, 1000)


def test_registrations_leave_no_history(pair, lab):  # noqa: F811
    """A database that is written ten times a second: when it is tidied, each device has one snapshot of it, and the Backup goes on."""
    alpha, beta = pair
    alpha.sql(DATABASE, TABLE)
    lab.in_step()
    writer = alpha.python(
        "import sqlite3, sys, time\nd = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\nn = 0\n"
        "while True:\n n += 1\n d.execute('INSERT INTO t SELECT ?, r, r FROM (SELECT hex(randomblob(2000)) AS r)', (n,))\n print(n, flush=True)\n time.sleep(0.1)\n", DATABASE)
    lines = []
    threading.Thread(target=lambda: lines.extend(writer.stdout), daemon=True).start()
    try:
        beta.wait(lambda: look(beta.at(DATABASE)) >= 20, "some snapshots", 30)
        for device in (alpha, beta):
            tidy(device)
        beta.wait(lambda: look(beta.at(DATABASE)) >= 25, "it goes on while both are tidied", 30)
    finally:
        writer.kill()
        writer.wait()
    lab.in_step()
    for device in (alpha, beta):
        tidy(device)
        loose, packs = objects_of(device)
        # Those of the last snapshot, and of what is remembered of the one before; the configuration is folded.
        assert loose <= 24 and packs <= 2, (device.name, loose, packs)
        assert "missing" not in device.git("fsck")
        assert device.git("rev-list", "--count", "refs/heads/volatile") == "1\n"
    assert disk(beta.at(f"{FOLDER}/repo.git")) < 4 * beta.at(DATABASE).stat().st_size + 400_000


def test_nothing_that_is_in_use_goes(pair, lab):  # noqa: F811
    """Both are tidied again and again while contents that nothing referred to any more come back: every commit stays whole."""
    alpha, beta = pair
    stop, rounds, failures = threading.Event(), {"alpha": 0, "beta": 0}, []

    def keep_tidy(device):
        while not stop.is_set():
            try:
                tidy(device)
                rounds[device.name] += 1
            except CallError as error:
                # Where nobody rests nothing goes, and that is said: it is asked again.
                if "there was no moment of rest" not in str(error):
                    failures.append(f"{device.name}: {error}")
                    return

    threads = [threading.Thread(target=keep_tidy, args=(device,)) for device in pair]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 60
        i = 0
        while min(rounds.values()) < 4 or i < 15:
            assert not failures and time.monotonic() < deadline, (rounds, failures)
            # The same few contents in and out of sets that keep no history, and of one that does.
            record(alpha, "a.wav", noise(i % 3, 3000))
            alpha.write(f"{FILES}/again.cfg", f"content {i % 3}\n")
            alpha.sql(DATABASE, "DROP TABLE IF EXISTS t", TABLE, f"INSERT INTO t VALUES ({i % 3}, 'x', 'x')")
            lab.in_step()
            i += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    for device in pair:
        found = device.git("fsck", "--full")
        assert "missing" not in found and "broken" not in found, found
    assert beta.read(f"{FILES}/again.cfg") == alpha.read(f"{FILES}/again.cfg")
    assert beta.get("Diverged") == []


def children(device):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[1]) == device.process.pid:
                found.append((int(stat.parent.name), name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.mark.timed(100)
def test_a_takeover_ends_the_folding(pair, lab):  # noqa: F811
    """git works at the lowest priority, and is gone when this device leads."""
    alpha, beta = pair
    # A git that stands still for as long as the test wants.
    marker, git = beta.at("/run/git-is-held"), beta.at("/usr/bin/git")
    result = []
    real = "/run/real-git"
    beta.at(real).write_bytes(git.read_bytes())
    beta.at(real).chmod(0o755)
    held = beta.at("/run/held-git")
    held.write_text(f"#!/bin/sh\ncase \"$*\" in *repack*) touch /run/git-is-held; exec sleep 1000;; esac\nexec {real} \"$@\"\n")
    held.chmod(0o755)
    subprocess.run(["nsenter", f"--target={beta.holder.pid}", "--mount", "--root", "mount", "--bind", "/run/held-git", "/usr/bin/git"], check=True)

    def ask():
        try:
            tidy(beta)
            result.append("done")
        except CallError as error:
            result.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    beta.wait(marker.exists, "git is at work", 20)
    pids = [pid for pid, name in children(beta) if name in ("sleep", "held-git", "git", "sh")]
    assert pids and all(os.getpriority(os.PRIO_PROCESS, pid) == 19 for pid in pids)
    assert beta.set_role("lead", term=2) < 2
    thread.join(20)
    assert len(result) == 1 and "taking-over" in result[0], result
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    beta.write(f"{FILES}/main.cfg", "beta leads\n")
    beta.wait(lambda: any("main.cfg" in s[2] for s in beta.signals("Committed")), "commits")


def test_recordings_that_are_kept_aside_expire(pair, lab):  # noqa: F811
    """After recordings-aside-days nothing of them is left, neither the name nor the sound; what is kept aside of the configuration stays."""
    alpha, beta = pair
    record(alpha, "msg.wav", noise(1, 6000))
    lab.in_step()
    ours = noise(2, 5000)
    record(beta, "msg.wav", ours)
    beta.write(f"{FILES}/main.cfg", "edited on beta\n")
    record(alpha, "msg.wav", noise(3, 4000))
    alpha.write(f"{FILES}/main.cfg", "second\n")
    lab.in_step()
    beta.wait(lambda: len(beta.get("Diverged")) == 2, "both are kept")
    voice, = [name for name in beta.get("Diverged") if "pbx.mail/" in beta.git("ls-tree", "-r", "--name-only", name)]
    commit, pointer = beta.git("rev-parse", voice).strip(), beta.git("rev-parse", f"{voice}:pbx.mail/msg.wav").strip()
    digest = hashlib.sha256(ours).hexdigest()
    assert digest in stored(beta)
    for age, there in ((30 * 86400 - 3600, True), (30 * 86400, False)):
        beta.kill()
        beta.write(f"{FOLDER}/aside-ages", f"understudy-ages 1\nanother-boot 1\n{commit} {age}\n")
        beta.start()
        beta.set_role("follow")
        beta.wait(lambda: "another-boot" not in (beta.read(f"{FOLDER}/aside-ages") or ""), "looked at", 20)
        beta.wait(lambda: beta.get("Connected"), "connected")
        lab.in_step()
        assert (voice in beta.git("for-each-ref", "--format=%(refname)")) == there
    beta.wait(lambda: len(beta.get("Diverged")) == 1 and any(voice in text for text in beta.notices("recordings expired")), "told")
    beta.wait(lambda: digest not in stored(beta), "the sound is gone", 30)
    tidy(beta)
    for name in (commit, pointer):
        with pytest.raises(subprocess.CalledProcessError):
            beta.git("cat-file", "-t", name)
    assert beta.git("show", f"{beta.get('Diverged')[0]}:pbx.etc/main.cfg") == "edited on beta\n"


def set_budget(device, mb):
    text = device.read("/etc/understudy/device.conf")
    lines = [line for line in text.splitlines() if not line.startswith("disk-budget-mb")]
    device.write("/etc/understudy/device.conf", "\n".join(lines).replace("[device]", f"[device]\ndisk-budget-mb={mb}") + "\n")
    device.sync("Reload")


def test_a_budget(pair, lab):  # noqa: F811
    """Told of before it is reached. Then recordings wait, nothing else does, and they come when there is room."""
    alpha, beta = pair
    record(alpha, "first.wav", noise(1, 3 << 20))
    lab.in_step()
    used = disk(alpha.at(FOLDER))
    set_budget(alpha, 4)
    assert used < 4 << 20
    if used * 10 < (4 << 20) * 9:
        record(alpha, "second.wav", noise(2, (4 << 20) * 92 // 100 - used))
        lab.in_step()
        set_budget(alpha, 4)  # it is looked at again
    alpha.wait(lambda: alpha.notices("disk budget near"), "told of before")
    assert not alpha.notices("disk budget reached")
    record(alpha, "third.wav", noise(3, 1 << 20))
    lab.in_step()
    set_budget(alpha, 4)
    alpha.wait(lambda: alpha.notices("disk budget reached"), "told of")
    before = recordings(beta)
    record(alpha, "late.wav", noise(4, 100000))
    alpha.write(f"{FILES}/main.cfg", "goes on\n")
    alpha.at(f"{MAIL}/third.wav").unlink()
    lab.in_step()
    assert beta.read(f"{FILES}/main.cfg") == "goes on\n", "the configuration does"
    assert recordings(beta) == {name: content for name, content in before.items() if name != "third.wav"}, "and what is deleted"
    set_budget(alpha, 100)
    alpha.wait(lambda: alpha.notices("disk budget kept"), "told that there is room")
    beta.wait(lambda: recordings(beta) == recordings(alpha), "it comes", 20)
    assert "late.wav" in recordings(beta)
