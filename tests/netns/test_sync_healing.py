# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a loss of power or a bad disk leaves of a store: it is found, and comes back, and no file of a data set changes for it."""

import os
import shutil
import subprocess

import pytest
from sync_lab import FILES, pair, tree  # noqa: F401
from test_sync_verify import verify
from test_sync_voice import lab, name_of, noise, record, recordings, split, STORE, stored  # noqa: F401

FOLDER = "/var/lib/understudy/sync"
REPOSITORY = f"{FOLDER}/repo.git"


def sound(device):
    """Stock git finds everything that the refs lead to."""
    try:
        found = device.git("fsck", "--full", "--no-dangling")
    except subprocess.CalledProcessError:
        return False
    return not [line for line in found.splitlines() if not line.startswith(("notice", "dangling"))]


def loose_of(device, *what):
    """The loose object's file of what git calls so."""
    name = device.git("rev-parse", *what).strip()
    return device.at(f"{REPOSITORY}/objects/{name[:2]}/{name[2:]}")


def ruin(path, content=b"not what its name says"):
    os.chmod(path, 0o600)
    path.write_bytes(content)


def power_cut(device, damage):
    """As if the machine had stopped: what ran before was of another boot."""
    device.kill()
    damage()
    device.at(f"{FOLDER}/running").write_text("another boot")
    device.start()


def fill_history(lab):  # noqa: F811
    """Some versions, and recordings; nothing is packed on alpha."""
    for i in range(4):
        lab.alpha.write(f"{FILES}/versions.cfg", f"version {i}\n" * 50)
        lab.in_step()
    record(lab.alpha, "a.wav", noise(1, 50000))
    record(lab.alpha, "b.wav", noise(2, 50000))
    lab.in_step()
    return tree(lab.alpha), recordings(lab.alpha)


def in_order(lab, files, voice, history=True):  # noqa: F811
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: sound(d), "the repository is whole", 30)
        assert tree(device) == files and recordings(device) == voice, device.name
    lab.alpha.write(f"{FILES}/versions.cfg", "goes on\n")
    lab.in_step()
    lab.alpha.wait(lambda: stored(lab.alpha) == stored(lab.beta) == {name_of(content) for content in voice.values()}, "recordings are stored", 30)
    if history:
        for device in (lab.alpha, lab.beta):
            for i in range(4):
                assert f"version {i}" in device.git("log", "-p", "refs/heads/config"), (device.name, i)
        assert lab.alpha.get("Diverged") == lab.beta.get("Diverged") == []


@pytest.mark.parametrize("what", ["blob", "older-blob", "older-tree", "pack"])
def test_a_backup_after_a_power_cut(pair, lab, what):  # noqa: F811
    alpha, beta = pair
    files, voice = fill_history(lab)
    beta.sync("Tidy", timeout_ms=60000)
    pack = next(beta.at(f"{REPOSITORY}/objects/pack").glob("*.pack"))
    if what != "pack":  # all objects are files again
        moved = pack.rename(beta.at(f"{FOLDER}/a.pack"))
        for left in beta.at(f"{REPOSITORY}/objects/pack").glob("pack-*"):
            left.unlink()
        with open(moved, "rb") as source:
            subprocess.run(["nsenter", f"--target={beta.holder.pid}", "--mount", "--root", "--wd", "git", f"--git-dir={REPOSITORY}",
                            "unpack-objects", "-q"], stdin=source, check=True)
        moved.unlink()

    def damage():
        if what == "blob":
            ruin(loose_of(beta, "refs/heads/config:pbx.etc/versions.cfg"))
        elif what == "older-blob":
            ruin(loose_of(beta, "refs/heads/config~1:pbx.etc/versions.cfg"), b"")
        elif what == "older-tree":
            loose_of(beta, "refs/heads/config~1^{tree}").unlink()  # the newest one is stored again from the files before anybody looks
        else:
            content = bytearray(pack.read_bytes())
            content[len(content) // 2] ^= 0xff
            ruin(pack, bytes(content))

    before = {path: st for path, st in ((p, p.stat()) for p in beta.at(FILES).rglob("*")) if not path.name.startswith(".understudy")}
    power_cut(beta, damage)
    beta.set_role("follow")
    beta.wait(lambda: beta.notices("copy damaged"), "found", 20)
    beta.wait(lambda: sound(beta), "mended", 30)
    assert all(path.stat().st_ino == st.st_ino for path, st in before.items()), "no file was touched"
    in_order(lab, files, voice)


def test_the_newest_commit_of_a_backup_is_lost(pair, lab):  # noqa: F811
    alpha, beta = pair
    files, voice = fill_history(lab)
    beta.sync("Tidy", timeout_ms=60000)

    def damage():
        (beta.at(f"{REPOSITORY}/refs/heads/config")).write_text("1" * 40 + "\n")

    power_cut(beta, damage)
    beta.set_role("follow")
    in_order(lab, files, voice)


def test_a_master_after_a_power_cut(pair, lab):  # noqa: F811
    """Its files give what is now, the Backup what was before."""
    alpha, beta = pair
    files, voice = fill_history(lab)

    def damage():
        ruin(loose_of(alpha, "refs/heads/config:pbx.etc/versions.cfg"))
        loose_of(alpha, "refs/heads/config~1:pbx.etc/versions.cfg").unlink()
        loose_of(alpha, "refs/heads/config~1^{tree}").unlink()

    power_cut(alpha, damage)
    alpha.set_role("lead")
    alpha.wait(lambda: sound(alpha), "mended", 30)
    in_order(lab, files, voice)


def test_recordings_are_damaged(pair, lab):  # noqa: F811
    """On both, after a verification that says so: the Master's come from its files, the Backup's from the Master."""
    alpha, beta = pair
    files, voice = fill_history(lab)
    for device, name in ((alpha, "a.wav"), (beta, "b.wav")):
        ruin(device.at(f"{STORE}/objects").joinpath(*split(name_of(voice[name]))), voice[name][:-1] + b"?")
    found = verify(alpha)["stored"]
    assert found["verdict"] == "differs"
    assert found["here"]["differs"] == [name_of(voice["a.wav"])] and found["there"]["differs"] == [name_of(voice["b.wav"])]
    for device in pair:
        device.wait(lambda d=device: d.notices("copy damaged"), "mended", 20)
    alpha.wait(lambda: verify(alpha)["stored"]["verdict"] == "same", "all of it is right again", 30)
    in_order(lab, files, voice)


def test_the_whole_repository_of_a_backup_is_gone(pair, lab):  # noqa: F811
    """The worst: it is made anew from the Master, and the files stay as they are until it is whole."""
    alpha, beta = pair
    files, voice = fill_history(lab)
    before = {path: path.stat().st_ino for path in beta.at(FILES).rglob("*") if not path.name.startswith(".understudy")}
    power_cut(beta, lambda: shutil.rmtree(beta.at(f"{REPOSITORY}/objects")))
    assert tree(beta) == files
    beta.set_role("follow")
    in_order(lab, files, voice)
    assert all(path.stat().st_ino == inode for path, inode in before.items() if path.name != "versions.cfg")
