# SPDX-License-Identifier: LGPL-2.1-or-later
"""A commit before it is on the files, and after: what the applications' commands say. The test is the supervisor that runs them."""

import os
import time

import pytest
from gi.repository import GLib
from sync_lab import APPLICATION, FILES, CallError, lab  # noqa: F401  (fixtures)

STAGED = "/var/lib/understudy/sync/staged/pbx"
HOOKS = "command=/bin/true\nvalidate-command=/bin/check\nact-command=/bin/act\n"


@pytest.fixture
def pair(lab):  # noqa: F811
    """Beta's application has hooks; alpha's has none."""
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.pair()
    lab.in_step()
    lab.beta.write("/etc/understudy/applications.d/pbx.conf", APPLICATION.replace("command=/bin/true\n", HOOKS))
    lab.beta.sync("Reload")
    return lab.alpha, lab.beta


def wanted(device, kind):
    """(serial, commit) of a hook that is wanted; None: none is."""
    for serial, name, application, commit, role, *_ in device.get("Hooks"):
        if name == kind:
            assert application == "pbx"
            return serial, commit, role
    return None


def call(device, method, values=None):
    """Its answer is not waited for."""
    device.client.connection.call(None, "/org/understudy/Sync1", "org.understudy.Sync1", method, values, None, 0, 20000, None, None)


def wait_wanted(device, kind="validate"):
    return device.wait(lambda: wanted(device, kind), f"{kind} is wanted")


def say(device, serial, ok, text=""):
    device.sync("HookDone", "(tbs)", (serial, ok, text))


def pass_until(device, commit):
    """All that come pass, each followed by its act, until this one is on the files. (A leader may make several of what a test does step by step.)"""
    def passed():
        for kind in ("validate", "act"):
            now = wanted(device, kind)
            if now:
                say(device, now[0], True)
        return device.get("Applied").get("config") == commit and not device.get("Hooks")

    device.wait(passed, f"{commit} is applied")


def change(alpha, text, name="main.cfg"):
    alpha.write(f"{FILES}/{name}", text)
    return alpha.commit()["config"]


def test_nothing_is_on_the_files_before_it_has_passed(pair):  # noqa: F811
    alpha, beta = pair
    beta.write(f"{FILES}/own.local", "beta's own\n")
    commit = change(alpha, "second\n")
    serial, about, role = wait_wanted(beta)
    assert (about, role) == (commit, "follow")
    assert beta.read(f"{FILES}/main.cfg") == "first\n"
    assert beta.read(f"{STAGED}/etc/main.cfg") == "second\n"
    assert beta.read(f"{STAGED}/etc/own.local") == "beta's own\n", "what is left out of the set is as it is on this device"
    assert wanted(beta, "act") is None
    say(beta, serial, True)
    serial, about, _ = wait_wanted(beta, "act")
    assert about == commit and beta.read(f"{FILES}/main.cfg") == "second\n"
    say(beta, serial, False, "no such process")
    beta.wait(lambda: beta.notices("hook failed"), "told of")
    assert "no such process" in beta.notices("hook failed")[0]
    beta.wait(lambda: not beta.get("Hooks"), "nothing wanted")
    alpha.wait_applied({"config": commit})


def test_a_commit_that_does_not_pass_is_held_back_and_the_next_goes_on(pair):  # noqa: F811
    alpha, beta = pair
    bad = change(alpha, "broken\n")
    serial, about, _ = wait_wanted(beta)
    assert about == bad
    say(beta, serial, False, "main.cfg:1: syntax error")
    alpha.wait(lambda: alpha.get("PeerHeld"), "the Master knows")
    for held in (alpha.get("PeerHeld"), beta.get("Held")):
        assert held["config"][0] == bad and held["config"][1].endswith("main.cfg:1: syntax error")
    alpha.wait(lambda: alpha.notices("commit held back"), "an event there")
    assert "syntax error" in alpha.notices("commit held back")[0] and bad[:10] in alpha.notices("commit held back")[0]
    assert "syntax error" in beta.wait(lambda: beta.notices("commit held back"), "and here")[0] and "syntax error" in beta.get("LastError")
    assert beta.read(f"{FILES}/main.cfg") == "first\n"
    began = time.monotonic()
    with pytest.raises(CallError, match="held: .*syntax error"):  # who waits for it hears at once
        alpha.wait_applied({"config": bad}, timeout_ms=30000)
    assert time.monotonic() - began < 20
    good = change(alpha, "mended\n")
    pass_until(beta, good)
    alpha.wait_applied({"config": good})
    alpha.wait(lambda: not alpha.get("PeerHeld"), "nothing held any more")
    assert beta.read(f"{FILES}/main.cfg") == "mended\n" and not beta.get("Held")
    assert len(alpha.notices("commit held back")) == 1


def test_a_held_commit_is_tried_again_when_somebody_asks(pair):  # noqa: F811
    alpha, beta = pair
    bad = change(alpha, "needs a file of beta's own\n")
    serial, _, _ = wait_wanted(beta)
    say(beta, serial, False, "own.local is missing")
    beta.wait(lambda: beta.get("Held"), "held")
    with pytest.raises(CallError, match="held"):  # it is not waited for
        alpha.wait_applied({"config": bad})
    assert not beta.get("Hooks")
    call(beta, "SyncNow")
    pass_until(beta, bad)
    alpha.wait_applied({"config": bad})
    beta.wait(lambda: not beta.get("Held"), "no more")


def test_a_takeover_does_not_wait_for_a_hook(pair):  # noqa: F811
    alpha, beta = pair
    commit = change(alpha, "second\n")
    serial, _, _ = wait_wanted(beta)
    assert beta.set_role("lead", 2) < 5
    beta.wait(lambda: not beta.get("Hooks"), "it is not wanted any more")
    assert beta.read(f"{FILES}/main.cfg") == "first\n"
    with pytest.raises(CallError, match="no such hook"):
        say(beta, serial, True)
    beta.wait(lambda: beta.notices("commit not applied"), "told")
    assert beta.git("rev-parse", beta.get("Diverged")[0]).strip() == commit, "kept by name"


def test_a_hook_that_nobody_ran_is_asked_for_again(pair):  # noqa: F811
    """The supervisor may be away: the commit is not lost for that."""
    alpha, beta = pair
    text = beta.read("/etc/understudy/applications.d/pbx.conf").replace("act-command=/bin/act\n", "validate-timeout-ms=10\n")
    beta.write("/etc/understudy/applications.d/pbx.conf", text)
    beta.sync("Reload")
    commit = change(alpha, "second\n")
    first, _, _ = wait_wanted(beta)
    serial = beta.wait(lambda: (wanted(beta, "validate") or (first,))[0] != first and wanted(beta, "validate"), "again", timeout_s=40)[0]
    assert not beta.get("Held")
    say(beta, serial, True)
    alpha.wait_applied({"config": commit})


def test_only_what_an_application_has_is_asked_about(pair):  # noqa: F811
    alpha, beta = pair
    alpha.sql("/var/lib/pbx/db/contacts.sqlite", "create table t (x)", "insert into t values (1)")  # volatile
    alpha.wait_applied(alpha.commit())
    assert not beta.get("Hooks")


def test_a_restore_is_validated_on_the_leader(pair):  # noqa: F811
    alpha, beta = pair
    first = alpha.commit()["config"]
    alpha.write("/etc/understudy/applications.d/pbx.conf", APPLICATION.replace("command=/bin/true\n", HOOKS))
    alpha.sync("Reload")
    pass_until(beta, change(alpha, "second\n"))
    back = GLib.Variant("(ssss)", (first, "", "tester", "back"))
    call(alpha, "RestoreFrom", back)
    serial, about, role = wait_wanted(alpha)
    assert role == "lead" and alpha.read(f"{FILES}/main.cfg") == "second\n"
    say(alpha, serial, False, "does not fit this version")
    alpha.wait(lambda: alpha.get("Activity") == "idle", "refused")
    assert alpha.read(f"{FILES}/main.cfg") == "second\n" and not alpha.get("Held")
    call(alpha, "RestoreFrom", back)
    serial, about, _ = wait_wanted(alpha)
    say(alpha, serial, True)
    serial, acted, role = wait_wanted(alpha, "act")
    assert acted == about and role == "lead" and alpha.read(f"{FILES}/main.cfg") == "first\n"
    say(alpha, serial, True)
    pass_until(beta, about)
    alpha.wait_applied({"config": about})


def test_the_staged_files_follow_and_are_made_anew_after_a_death(pair):  # noqa: F811
    alpha, beta = pair
    top = alpha.at(FILES)
    (top / "folder").mkdir()
    (top / "folder" / "inner").write_text("x")
    pass_until(beta, change(alpha, "second\n"))
    (top / "folder" / "inner").unlink()
    (top / "folder").rmdir()
    (top / "folder").symlink_to("main.cfg")
    alpha.write(f"{FILES}/main.cfg", "third\n", mode=0o640)
    pass_until(beta, alpha.commit()["config"])
    staged = beta.at(f"{STAGED}/etc")
    assert os.readlink(staged / "folder") == "main.cfg" and (staged / "main.cfg").read_text() == "third\n"
    assert os.stat(staged / "main.cfg").st_mode & 0o777 == 0o640
    (staged / "left behind").write_text("x")
    beta.kill()
    beta.start()
    beta.wait(lambda: beta.get("Connected"), "connected")
    beta.set_role("follow")
    commit = change(alpha, "fourth\n")
    pass_until(beta, commit)
    alpha.wait_applied({"config": commit})
    assert not (staged / "left behind").exists() and (staged / "main.cfg").read_text() == "fourth\n"


def set_firmware(device, version):
    text = device.read("/etc/understudy/device.conf").replace("model=test\n", "model=test\nfirmware-file=/etc/firmware\n")
    if "firmware-file" not in device.read("/etc/understudy/device.conf"):
        device.write("/etc/understudy/device.conf", text)
    device.write("/etc/firmware", f"{version}\nwhatever follows\n")
    device.sync("Reload")


def test_what_a_newer_firmware_wrote_waits_until_the_two_agree(lab):  # noqa: F811
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.pair()
    lab.in_step()
    alpha, beta = lab.alpha, lab.beta
    set_firmware(beta, "2.9")
    set_firmware(alpha, "2.8")
    alpha.wait_applied({"config": change(alpha, "of the older\n")})
    set_firmware(alpha, "2.10")
    newer = change(alpha, "of the newer\n")
    assert "\nFirmware: 2.10\n" in alpha.git("log", "-1", "--format=%B", newer)
    alpha.wait(lambda: alpha.get("PeerHeld").get("config", ("",))[0] == newer, "held back, and known here")
    assert "newer-firmware: it is of firmware 2.10, and this device has 2.9" in beta.get("Held")["config"][1]
    assert beta.read(f"{FILES}/main.cfg") == "of the older\n"
    beta.wait(lambda: beta.notices("commit held back"), "told")
    set_firmware(beta, "2.10")
    call(beta, "SyncNow")
    beta.wait(lambda: beta.get("Applied").get("config") == newer, "released")
    beta.wait(lambda: not beta.get("Held"), "nothing is held any more")
    assert beta.read(f"{FILES}/main.cfg") == "of the newer\n"
