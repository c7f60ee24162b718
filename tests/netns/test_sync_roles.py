# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes of role, deaths and dead peers in the midst of a fetch or an apply: the old state or the new one, and nobody waits."""

import contextlib
import os
import random
import signal
import statistics
import time
from pathlib import Path

import pytest
from database_lab import TABLE, look
from sync_lab import DATABASE, FILES, lab, pair, slow_down, speed_up  # noqa: F401  (fixtures)


def test_swap_of_roles(pair, lab):  # noqa: F811
    alpha, beta = pair
    alpha.write(f"{FILES}/main.cfg", "final\n")
    alpha.wait_applied(alpha.commit("final"))
    alpha.set_role("follow", term=2)
    beta.set_role("lead", term=2)
    beta.write(f"{FILES}/main.cfg", "beta leads\n")
    alpha.wait(lambda: alpha.read(f"{FILES}/main.cfg") == "beta leads\n", "the other way round")
    beta.set_role("follow", term=3)
    alpha.set_role("lead", term=3)
    alpha.write(f"{FILES}/main.cfg", "alpha leads\n")
    beta.wait(lambda: beta.read(f"{FILES}/main.cfg") == "alpha leads\n", "and back")
    assert alpha.get("Diverged") == beta.get("Diverged") == []


def fill(device, n, text):
    """n files of which all say the same, in some folders."""
    for i in range(n):
        path = device.at(f"{FILES}/many/d{i % 7}/f{i}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.local")
        temporary.write_text(f"{text}\n" * 20)
        temporary.rename(path)


def states(device, n):
    """What the n files say: one text for all, or a mixture."""
    said = set()
    for i in range(n):
        text = device.read(f"{FILES}/many/d{i % 7}/f{i}")
        said.add(text.split("\n")[0] if text and len(text.split("\n")) == 21 and len(set(text.split("\n")[:-1])) == 1 else repr(text))
    return said


def one_commit(device, n, text):
    """All n files in one commit: written while the device does not look."""
    device.set_role("idle")
    fill(device, n, text)
    device.set_role("lead")


MANY = 300


def test_kill_at_any_moment_of_an_apply(pair, lab):  # noqa: F811
    """After a restart that does nothing but finish: the old state or the new one, never a mixture."""
    alpha, beta = pair
    fill(alpha, MANY, "0")
    lab.in_step()
    rng, outcomes = random.Random(4), {"old": 0, "new": 0}
    one_commit(alpha, MANY, "1")
    began = time.monotonic()
    beta.wait(lambda: states(beta, MANY) == {"1"}, "measured")
    span = time.monotonic() - began
    for i in range(2, 22):
        one_commit(alpha, MANY, str(i))
        time.sleep(rng.uniform(0, span))
        beta.kill()
        for device in (alpha,):
            device.set_role("idle")  # nothing new comes while we look
        beta.start()
        said = states(beta, MANY)
        assert said in ({str(i - 1)}, {str(i)}), said
        for mark in ("journal-config", "journal-volatile"):
            assert not beta.at(f"/var/lib/understudy/sync/{mark}").exists()
        outcomes["new" if said == {str(i)} else "old"] += 1
        span *= 0.8 if said == {str(i)} else 1.25  # the machine is not as fast as a moment ago
        alpha.set_role("lead")
        beta.set_role("follow")
        beta.wait(lambda i=i: states(beta, MANY) == {str(i)}, "goes on", 20)
    assert beta.get("Diverged") == []
    assert "fatal" not in beta.git("fsck")
    assert outcomes["old"] and outcomes["new"], outcomes


@pytest.mark.timed(40)
def test_takeover_during_an_apply(pair, lab):  # noqa: F811
    alpha, beta = pair
    fill(alpha, MANY, "0")
    lab.in_step()
    rng, took = random.Random(5), []
    for i in range(1, 13):
        one_commit(alpha, MANY, str(i))
        time.sleep(rng.uniform(0, 0.4))
        took.append(beta.set_role("lead", term=2 * i))
        said = states(beta, MANY)
        assert said in ({str(i - 1)}, {str(i)}), said
        beta.set_role("idle")
        alpha.set_role("lead", term=2 * i + 1)
        beta.set_role("follow", term=2 * i + 1)
        beta.wait(lambda i=i: states(beta, MANY) == {str(i)}, "goes on", 20)
    assert statistics.median(took) < 0.2, took


@pytest.mark.timed(100)
def test_takeover_during_a_fetch_from_a_dead_peer(pair, lab):  # noqa: F811
    """The peer is gone in the middle of a fetch: the takeover waits for nothing."""
    alpha, beta = pair
    slow_down(alpha, "20mbit")
    alpha.write(f"{FILES}/big", random.Random(6).randbytes(12 << 20))
    beta.wait(lambda: beta.get("Activity") == "fetching", "a long fetch", 20)
    for port in alpha.ports:
        port.block()
    assert beta.get("Activity") == "fetching"
    assert beta.set_role("lead", term=2) < 0.5
    assert beta.read(f"{FILES}/main.cfg") == "first\n"
    beta.write(f"{FILES}/main.cfg", "beta goes on\n")
    beta.wait(lambda: any("main.cfg" in s[2] for s in beta.signals("Committed")), "commits")


def upload_packs(device):
    """What serves a fetch of the peer."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = stat.read_text().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[1]) == device.process.pid and name == "git":
                found.append(int(stat.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.mark.timed(100)
def test_a_hung_fetch_of_one_ref_holds_nothing_up(pair):  # noqa: F811
    """Neither the other ref nor a takeover."""
    alpha, beta = pair
    alpha.sql(DATABASE, TABLE)
    alpha.wait_applied(alpha.commit())
    slow_down(alpha, "20mbit")
    alpha.write(f"{FILES}/big", random.Random(6).randbytes(12 << 20))
    beta.wait(lambda: beta.get("Activity") == "fetching", "a long fetch", 20)
    hung = beta.wait(lambda: upload_packs(alpha), "somebody serves it")
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    speed_up(alpha)
    try:
        alpha.sql(DATABASE, "INSERT INTO t VALUES (1, 'x', 'x')")
        beta.wait(lambda: look(beta.at(DATABASE)) == 1, "the registrations are there", 30)
        beta.wait(lambda: beta.get("Activity") == "fetching", "that ref is at rest, the other is still fetched")
        assert beta.read(f"{FILES}/big") is None
        assert beta.set_role("lead", term=2) < 2
        lost = beta.get("Lost")["refs"]
        assert lost["config"]["changes"] >= 1 and lost["volatile"]["changes"] == 0
    finally:
        for pid in hung:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_kill_of_the_leader_at_any_moment(pair, lab):  # noqa: F811
    alpha, beta = pair
    rng = random.Random(7)
    for i in range(12):
        fill(alpha, 50, f"k{i}")
        time.sleep(rng.uniform(0, 0.1))
        alpha.kill()
        alpha.start()
        alpha.set_role("lead")
        beta.wait(lambda i=i: states(beta, 50) == {f"k{i}"}, "goes on", 20)
    for device in (alpha, beta):
        assert "fatal" not in device.git("fsck")


def test_a_ruined_repository_is_no_end(pair, lab):  # noqa: F811
    """Empty objects, as a power cut leaves them: the leader has its files, the follower its leader."""
    alpha, beta = pair
    for device in (alpha, beta):
        device.kill()
        objects = [p for p in device.at("/var/lib/understudy/sync/repo.git/objects").rglob("*") if p.is_file()]
        for path in objects:
            os.chmod(path, 0o600)
            path.write_bytes(b"")
        (device.at("/var/lib/understudy/sync/repo.git") / "refs/heads/config.lock").write_text("")
        device.start()
    alpha.set_role("lead")
    beta.set_role("follow")
    alpha.write(f"{FILES}/main.cfg", "after the power cut\n")
    beta.wait(lambda: beta.read(f"{FILES}/main.cfg") == "after the power cut\n", "goes on", 20)
    assert beta.at("/var/lib/understudy/sync/repo.git.broken").exists()
