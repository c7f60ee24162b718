# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the Master's files replace on the Backup is kept aside by name: edits made there, and the line that lost."""

import os
import subprocess

import pytest
from sync_lab import FILES, CallError, lab, pair, restore_from, tree  # noqa: F401  (pair is a fixture)


def run(device, *words):
    subprocess.run(["nsenter", f"--target={device.holder.pid}", "--mount", "--root", "--wd", *words], check=True)


def test_a_local_edit_is_kept(pair, lab):  # noqa: F811
    alpha, beta = pair
    beta.write(f"{FILES}/main.cfg", "edited on the Backup\n")
    alpha.write(f"{FILES}/main.cfg", "second\n")
    lab.in_step()
    assert beta.read(f"{FILES}/main.cfg") == "second\n"
    lines = beta.wait(lambda: beta.get("Diverged"), "kept")
    assert lines == ["refs/diverged/beta/1"]
    assert beta.git("show", f"{lines[0]}:pbx.etc/main.cfg") == "edited on the Backup\n"
    assert lines[0] in beta.wait(lambda: beta.notices("local edit kept"), "told")[0]
    # Once is enough.
    alpha.write(f"{FILES}/main.cfg", "third\n")
    lab.in_step()
    assert beta.get("Diverged") == lines
    # It can be looked at here, and put to use once this device leads.
    assert "+edited on the Backup\n" in beta.sync("Difference", "(sss)", ("", lines[0], ""))[0]
    alpha.set_role("idle")
    beta.set_role("lead", 2)
    restore_from(beta, lines[0], f"{FILES}/main.cfg")
    assert beta.read(f"{FILES}/main.cfg") == "edited on the Backup\n"


def test_a_local_edit_is_kept_when_it_could_not_be_at_first(pair, lab):  # noqa: F811
    """Nothing comes in its place before it has a name, however often that takes."""
    alpha, beta = pair
    lock = beta.at("/var/lib/understudy/sync/repo.git/refs/diverged/beta/1.lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    beta.write(f"{FILES}/main.cfg", "edited on the Backup\n")
    alpha.write(f"{FILES}/main.cfg", "second\n")
    commits = alpha.commit()
    for _ in range(2):
        with pytest.raises(CallError):
            beta.sync("SyncNow")
        assert beta.read(f"{FILES}/main.cfg") == "edited on the Backup\n"
    lock.unlink()
    beta.sync("SyncNow")
    alpha.wait_applied(commits)
    assert beta.read(f"{FILES}/main.cfg") == "second\n"
    assert beta.git("show", "refs/diverged/beta/1:pbx.etc/main.cfg") == "edited on the Backup\n"


def test_an_edit_elsewhere_is_put_right_at_the_next_look(pair, lab):  # noqa: F811
    alpha, beta = pair
    beta.write(f"{FILES}/extra.cfg", "only here\n")
    beta.set_role("idle")
    beta.set_role("follow")
    beta.wait(lambda: beta.read(f"{FILES}/extra.cfg") is None, "removed")
    lines = beta.get("Diverged")
    assert beta.git("show", f"{lines[0]}:pbx.etc/extra.cfg") == "only here\n"


def test_what_cannot_be_put_right_is_not_in_step(pair, lab):  # noqa: F811
    """A look that found a difference, and an apply that failed: the next order is not answered as if nothing were to do."""
    alpha, beta = pair
    alpha.write(f"{FILES}/sub/a.cfg", "theirs\n")
    lab.in_step()
    run(beta, "mount", "-t", "tmpfs", "tmpfs", f"{FILES}/sub")
    beta.set_role("idle")
    beta.set_role("follow")
    for _ in range(3):
        with pytest.raises(CallError, match="another file system"):
            beta.sync("SyncNow")
        assert "another file system" in beta.get("LastError")
    run(beta, "umount", "--lazy", f"{FILES}/sub")  # it may be looking at it just now
    beta.sync("SyncNow")
    assert beta.get("LastError") == "" and tree(beta) == tree(alpha)


def test_metadata_alone_is_put_right_without_a_word(pair, lab):  # noqa: F811
    alpha, beta = pair
    os.chmod(beta.at(f"{FILES}/main.cfg"), 0o600)
    beta.set_role("idle")
    beta.set_role("follow")
    beta.wait(lambda: tree(beta) == tree(alpha), "put right")
    assert beta.get("Diverged") == []


def test_a_split(pair, lab):  # noqa: F811
    """Both lead and commit; then the younger term goes on and the other's line has a name that stock git reads."""
    alpha, beta = pair
    for device in (alpha, beta):
        for port in device.ports:
            port.block()
    beta.set_role("lead", term=2)
    alpha.write(f"{FILES}/main.cfg", "alpha's way\n")
    beta.write(f"{FILES}/main.cfg", "beta's way\n")
    beta.write(f"{FILES}/more.cfg", "beta's more\n")
    ours, theirs = alpha.commit_as("alpha alone"), beta.commit("beta alone")["config"]
    alpha.write(f"{FILES}/last.cfg", "not committed yet\n")
    alpha.set_role("follow", term=3)
    beta.set_role("lead", term=3)
    for device in (alpha, beta):
        for port in device.ports:
            port.unblock()
    alpha.wait(lambda: alpha.get("Applied")["config"] == beta.get("Stored")["config"], "follows", 20)
    assert tree(alpha) == tree(beta)
    assert alpha.read(f"{FILES}/main.cfg") == "beta's way\n" and alpha.read(f"{FILES}/last.cfg") is None
    lines = alpha.get("Diverged")
    assert lines == ["refs/diverged/alpha/1"]
    assert alpha.git("show", f"{lines[0]}:pbx.etc/main.cfg") == "alpha's way\n"
    assert alpha.git("show", f"{lines[0]}:pbx.etc/last.cfg") == "not committed yet\n"
    alpha.git("merge-base", "--is-ancestor", ours, lines[0])
    alpha.git("merge-base", "--is-ancestor", theirs, "config")
    alpha.wait(lambda: alpha.notices("divergence"), "told")
    alpha.git("gc", "--prune=now")
    assert alpha.git("cat-file", "-t", ours) == "commit\n"
    assert [e["message"] for e in alpha.sync("History", "(ssu)", (lines[0], "", 2))[0]][1] == "alpha alone"


def test_nothing_newer_is_given_up_for_an_older_line(pair, lab):  # noqa: F811
    """Who has led since waits until the one that goes on does so in a newer term: also when its word that it leads comes first."""
    alpha, beta = pair
    assert alpha.get("AppliedTerm") == beta.get("AppliedTerm") == (1, "alpha")
    for device in (alpha, beta):
        for port in device.ports:
            port.block()
    beta.set_role("lead", term=2)
    beta.write(f"{FILES}/main.cfg", "beta's way\n")
    beta.commit("beta alone")
    beta.sync("SetRole", "(sts)", ("follow", 2, "beta"))
    assert beta.get("AppliedTerm") == (2, "beta")
    for device in (alpha, beta):
        for port in device.ports:
            port.unblock()
    beta.wait(lambda: beta.get("Connected") and beta.get("PeerStored") == alpha.get("Stored"), "hears of the older line", 20)
    with pytest.raises(CallError, match="older-leader"):
        beta.sync("SyncNow")
    assert beta.read(f"{FILES}/main.cfg") == "beta's way\n"
    assert beta.get("Diverged") == []
    alpha.set_role("lead", term=3)
    beta.wait(lambda: beta.get("AppliedTerm") == (1, "alpha"), "follows the one that goes on", 20)
    assert tree(alpha) == tree(beta)
    assert len(beta.get("Diverged")) == 1
