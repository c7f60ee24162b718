# SPDX-License-Identifier: LGPL-2.1-or-later
"""The recovery point: what the Backup lacks, as both devices say it, and what a takeover lost."""

import subprocess
import time

import pytest
from sync_lab import FILES, SyncLab, pair  # noqa: F401  (pair is a fixture)


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.alpha.write("/etc/understudy/pair.conf", lab.alpha.read("/etc/understudy/pair.conf").replace("[pair]\n", "[pair]\nrecovery-limit-s=1\n"))
        lab.start()
        yield lab


def on_device(device, *words):
    subprocess.run(["nsenter", f"--target={device.holder.pid}", "--mount", "--root", "--wd", *words], check=True)


def lacks(device, ref="config"):
    point = device.get("RecoveryPoint")[ref]
    return point["stored_changes"], point["applied_changes"]


def no_more_can_be_applied(alpha, beta):
    """What comes is stored on the Backup, and refused by its files: something is mounted where it should go."""
    alpha.write(f"{FILES}/sub/x", "0")
    alpha.wait_applied(alpha.commit())
    on_device(beta, "mount", "-t", "tmpfs", "tmpfs", f"{FILES}/sub")


def test_both_say_how_far_the_backup_is_behind(pair):  # noqa: F811
    alpha, beta = pair
    for device in pair:
        device.wait(lambda d=device: lacks(d) == lacks(d, "volatile") == (0, 0), "in step")
        point = device.get("RecoveryPoint")["config"]
        assert point["exact"] and point["applied_since_ms"] == 0
        assert abs(device.get("PeerHeardMs") / 1000 - time.time()) < 5
    no_more_can_be_applied(alpha, beta)
    began, told = time.time(), len(alpha.notices("backup behind"))  # a busy machine may have been that late before
    for i in range(1, 4):
        alpha.write(f"{FILES}/sub/x", f"change {i}")
        alpha.commit(f"change {i}")
    for device in pair:
        device.wait(lambda d=device: lacks(d) == (0, 3), "three changes stored and not applied")
        point = device.get("RecoveryPoint")["config"]
        assert point["exact"] and abs(point["applied_since_ms"] / 1000 - began) < 5
        assert lacks(device, "volatile") == (0, 0), "the other ref for itself"
    alpha.wait(lambda: len(alpha.notices("backup behind")) > told, "an event above the limit")
    assert "the oldest for 1 s" in alpha.notices("backup behind")[-1]
    on_device(beta, "umount", f"{FILES}/sub")
    for device in pair:
        device.wait(lambda d=device: lacks(d) == (0, 0), "caught up", 40)
    alpha.wait(lambda: len(alpha.notices("backup caught up")) == len(alpha.notices("backup behind")), "an event when it is over")


def test_a_takeover_says_that_it_lost_nothing(pair):  # noqa: F811
    alpha, beta = pair
    assert beta.get("Lost") == {}
    alpha.kill()
    beta.set_role("lead", 2)
    lost = beta.get("Lost")
    assert lost["term"] == 2 and lost["term_id"] == "beta"
    assert {ref: one["changes"] for ref, one in lost["refs"].items()} == {"config": 0, "volatile": 0, "voice": 0}
    assert all(one["exact"] and one["span_ms"] == 0 for one in lost["refs"].values())
    assert lost["heard"] and lost["silent_ms"] < 60000
    assert lacks(beta) == (0, 0), "alpha has all that beta has, so far"
    beta.write(f"{FILES}/main.cfg", "of the new Master\n")
    beta.commit()
    assert lacks(beta) == (1, 1), "and now it lacks that"


def test_a_takeover_says_what_it_lost(pair):  # noqa: F811
    alpha, beta = pair
    no_more_can_be_applied(alpha, beta)
    for i in range(1, 3):
        alpha.write(f"{FILES}/sub/x", f"change {i}")
        alpha.commit(f"change {i}")
    beta.wait(lambda: lacks(beta) == (0, 2), "two changes not applied")
    alpha.kill()
    beta.set_role("lead", 2)
    lost = beta.get("Lost")["refs"]
    assert lost["config"]["changes"] == 2 and lost["config"]["exact"] and lost["config"]["span_ms"] > 0
    assert lost["volatile"]["changes"] == 0
    beta.wait(lambda: beta.notices("commit not applied"), "and keeps what it had stored")
    # An order to lead again is no takeover.
    beta.set_role("lead", 3)
    assert beta.get("Lost")["term"] == 2
