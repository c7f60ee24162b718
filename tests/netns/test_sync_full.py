# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is really full: /var/lib is a tmpfs of a few MiB, and all but so much of it is taken when something is to be stored, fetched, applied or tidied.

test_sync_luck.py has a full disk at each call by itself; here the kernel says it, also to what is written through memory.
"""

import os

import pytest
from sync_lab import FILES, SyncLab
from test_sync_luck import broken_off, change, is_state, settled, tidy
from test_sync_voice import APPLICATION, MAIL, VOICE

SIZE_KIB = 90000  # recordings leave 64 MiB to the rest
LITTLE = (0, 8, 44, 120)
FILLER = "/var/lib/filler"


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path, size=SIZE_KIB) as lab:
        for device in (lab.alpha, lab.beta):
            device.write("/etc/understudy/applications.d/pbx.conf", APPLICATION + VOICE)
            device.at(MAIL).mkdir(parents=True)
        lab.start()
        change(lab, 0)
        lab.pair()
        lab.in_step()
        yield lab


def fill(device, left_kib):
    """All but so much of its disk."""
    with open(device.at(FILLER), "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 65536) == 65536:
                pass
        except OSError:
            pass
        file.truncate(max(file.tell() - left_kib * 1024, 0))
    room = os.statvfs(device.at("/var/lib"))
    assert room.f_bavail * room.f_frsize <= (left_kib + 4) * 1024


def walk(lab, operation, amounts):
    device = lab.alpha if operation == "commit" else lab.beta
    for number, left_kib in enumerate(amounts, 1):
        if operation == "tidy":
            change(lab, number)
            lab.in_step()
            fill(device, left_kib)
            tidy(device)
        else:
            if operation == "commit":  # what applications have written comes into a commit when this device leads
                device.set_role("idle")
                change(lab, number)
                before = device.get("Stored")
                fill(device, left_kib)
                device.set_role("lead")
                device.wait(lambda b=before: device.get("LastError") or device.get("Stored") != b, "it is told, or there was room", 30)
            else:
                fill(device, left_kib)
                change(lab, number)
                commits = lab.alpha.commit()
                device.wait(lambda c=commits: device.get("LastError") or device.get("Applied") == c, "it is told, or there was room", 30)
        assert device.process.poll() is None, f"{left_kib} KiB"
        with broken_off():
            device.get("Role")
        if device is lab.beta:
            is_state(lab, number - 1, number)
        device.at(FILLER).unlink()
        settled(lab, number)


def test_hardly_any_room(lab):
    walk(lab, "apply", LITTLE)


@pytest.mark.long
@pytest.mark.parametrize("operation", ["commit", "apply", "tidy"])
def test_a_little_more_room_each_time(lab, operation):
    walk(lab, operation, range(0, 400, 4))


def test_it_is_said_and_nothing_is_lost(lab):
    """A Backup without room keeps what it has, says so, and goes on by itself when there is room."""
    alpha, beta = lab.alpha, lab.beta
    fill(beta, 0)
    alpha.write(f"{FILES}/large.cfg", "x" * 300_000)
    commits = alpha.commit()
    beta.wait(lambda: beta.get("LastError"), "it says why", 30)
    assert "space" in beta.get("LastError").lower(), beta.get("LastError")
    is_state(lab, 0)
    beta.at(FILLER).unlink()
    alpha.wait(lambda: beta.get("Applied") == commits, "goes on", 60)
    assert beta.read(f"{FILES}/large.cfg") == "x" * 300_000 and beta.get("LastError") == ""
