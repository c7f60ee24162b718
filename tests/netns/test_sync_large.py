# SPDX-License-Identifier: LGPL-2.1-or-later
"""Very large and very many: a recording of 4 GiB, a large file of the configuration, a million files; and what they take of memory."""

import filecmp
import os
import shutil

import pytest
from sync_lab import APPLICATION, FILES, SyncLab
from test_sync_verify import problems
from test_sync_voice import MAIL, STORE, VOICE

MIB = 1 << 20
MEMORY_MIB = 48
MORE_MIB = 512


@pytest.fixture
def lab(build, tmp_path):
    """On a disk: memory would not hold it."""
    with SyncLab(build, tmp_path, disk=tmp_path / "disk") as lab:
        for device in (lab.alpha, lab.beta):
            device.write("/etc/understudy/applications.d/pbx.conf", APPLICATION + VOICE)
            os.makedirs(device.at(MAIL))
        lab.start()
        yield lab
    shutil.rmtree(tmp_path / "disk", ignore_errors=True)


def peak_mib(device):
    with open(f"/proc/{device.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


def large(device, path, size):
    """Of bytes that nothing makes smaller; it comes as a whole."""
    block = os.urandom(MIB - 8)
    temporary = device.at(f"{path}.local")
    with open(temporary, "wb") as file:
        for at in range(0, size, MIB):
            file.write((at.to_bytes(8, "big") + block)[:size - at])
    temporary.rename(device.at(path))


def applied(lab, path, timeout_s):
    """Both have it, and it is the same."""
    alpha, beta = lab.alpha, lab.beta
    alpha.wait(lambda: beta.at(path).exists() and beta.get("Applied") == alpha.get("Stored"), "applied", timeout_s)
    assert filecmp.cmp(alpha.at(path), beta.at(path), shallow=False)


def all_the_same(lab, timeout_s):
    found = {report["set"]: report for report in lab.beta.sync("Verify", timeout_ms=timeout_s * 1000)[0]}
    for name, report in found.items():
        assert (report["verdict"], problems(report)) == ("same", {}), (name, report)
    return found


def in_memory(lab, more_mib=0):
    peaks = {device.name: peak_mib(device) for device in (lab.alpha, lab.beta)}
    assert max(peaks.values()) <= MEMORY_MIB + more_mib, peaks
    return peaks


@pytest.mark.long
def test_a_recording_of_four_gigabytes(lab):
    """More than 32 bits can count."""
    lab.pair()
    lab.in_step()
    path = f"{MAIL}/long.wav"
    large(lab.alpha, path, 4096 * MIB + 1)
    applied(lab, path, 900)
    report = all_the_same(lab, 900)
    assert report["stored"]["here"]["bytes"] > 4096 * MIB
    in_memory(lab)
    lab.alpha.at(path).unlink()
    lab.in_step()
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: not list(d.at(f"{STORE}/objects").glob("*/*/*")), "it takes no room any more", 120)
    assert not lab.beta.at(path).exists()


@pytest.mark.parametrize("size_mib", [pytest.param(32, id="32"), pytest.param(1024, id="1024", marks=pytest.mark.long)])
def test_a_large_file_of_the_configuration(lab, size_mib):
    """Neither device has all of it in memory: not to store, to send, to apply or to verify it."""
    lab.pair()
    lab.in_step()
    path = f"{FILES}/prompts.tar"
    large(lab.alpha, path, size_mib * MIB)
    applied(lab, path, 600)
    all_the_same(lab, 600)
    in_memory(lab)


@pytest.mark.long
def test_a_million_files(lab):
    """In a thousand folders: first synchronisation, a change, verification."""
    alpha, beta = lab.alpha, lab.beta
    for folder in range(1000):
        os.makedirs(alpha.at(f"{FILES}/{folder}"))
        for name in range(1000):
            alpha.at(f"{FILES}/{folder}/{name}.cfg").write_text(f"{folder} {name}\n")
    lab.pair()
    alpha.wait(lambda: alpha.get("Stored").get("config") and beta.get("Applied") == alpha.get("Stored"), "in step", 3600)
    assert beta.read(f"{FILES}/999/999.cfg") == "999 999\n"
    print("after the first synchronisation", in_memory(lab, MORE_MIB))
    alpha.write(f"{FILES}/500/500.cfg", "changed\n")
    beta.wait(lambda: beta.read(f"{FILES}/500/500.cfg") == "changed\n", "a change", 60)
    report = all_the_same(lab, 1800)
    assert report["pbx.etc"]["here"]["files"] == 1_001_001
    print("after all of it was verified", in_memory(lab, MORE_MIB))
