# SPDX-License-Identifier: LGPL-2.1-or-later
"""A configuration that an older firmware made, on a device with a newer one: what migrate-command makes of it is on the files, and in nobody's line until this
device leads. The test is the supervisor that runs the commands."""

import pytest
from gi.repository import GLib
from sync_lab import APPLICATION, BOOK, FILES, CallError, lab  # noqa: F401  (fixtures)
from test_sync_export import JobFailed, begin, ended, export
from test_sync_hooks import STAGED, call, change, say, set_firmware, wanted

HOOKS = "command=/bin/true\nmigrate-command=/bin/migrate\n"
OLD, NEW = "2.9", "2.10"


@pytest.fixture
def pair(lab):  # noqa: F811
    """Alpha leads with the older firmware; beta follows, is in step, and gets the newer one with the next call of upgrade()."""
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.alpha.write(f"{FILES}/own.local", "alpha's own\n")
    lab.alpha.write(f"{FILES}/rest.cfg", "stays\n")
    lab.alpha.sql(BOOK, "create table if not exists book (name)", "insert into book values ('one')")
    lab.pair()
    set_firmware(lab.alpha, OLD)
    set_firmware(lab.beta, OLD)
    change(lab.alpha, "second\n")
    lab.in_step()
    return lab.alpha, lab.beta


def upgrade(beta, more=""):
    beta.write("/etc/understudy/applications.d/pbx.conf", APPLICATION.replace("command=/bin/true\n", HOOKS + more))
    set_firmware(beta, NEW)
    call(beta, "SyncNow")


def wait_wanted(device, kind="migrate"):
    """Its serial."""
    return device.wait(lambda: wanted(device, kind), f"{kind} is wanted", 20)[0]


def migrate(device, ok=True, text=""):
    """Does what such a command does, and says so."""
    serial = wait_wanted(device)
    main = device.at(f"{STAGED}/etc/main.cfg")
    main.write_text(f"new form of {main.read_text()}")
    device.at(f"{STAGED}/etc/made.cfg").write_text("by the migration\n")
    say(device, serial, ok, text)


def files(device):
    return device.read(f"{FILES}/main.cfg"), device.read(f"{FILES}/made.cfg"), device.read(f"{FILES}/rest.cfg")


MIGRATED = ("new form of second\n", "by the migration\n", "stays\n")


def migrated_commit(device):
    """The ref comes after the files, and before the commit counts as applied by what syncd says."""
    return device.wait(lambda: device.git("for-each-ref", "--format=%(objectname)", "refs/migrated/config").strip(), "recorded")


def migrated_parent(device):
    return device.git("rev-parse", f"{migrated_commit(device)}^").strip()


def wait_files(device, wanted_files, what="migrated"):
    device.wait(lambda: files(device) == wanted_files, what, 20)


def test_what_is_applied_is_migrated_when_the_firmware_is_newer(pair, lab):  # noqa: F811
    alpha, beta = pair
    applied = beta.get("Applied")["config"]
    was = beta.at(f"{FILES}/rest.cfg").stat()
    upgrade(beta)
    serial = wait_wanted(beta)
    assert next(hook for hook in beta.get("Hooks") if hook[0] == serial)[1:] == ("migrate", "pbx", applied, "follow", OLD, NEW)
    assert beta.get("Activity") == "migrating" and files(beta) == ("second\n", None, "stays\n")
    assert beta.at(f"{STAGED}/etc/main.cfg").stat().st_mtime_ns == alpha.at(f"{FILES}/main.cfg").stat().st_mtime_ns
    migrate(beta)
    wait_files(beta, MIGRATED)
    beta.wait(lambda: beta.git("for-each-ref", "--format=%(refname)", "refs/migrated", "refs/migrating") == "refs/migrated/config\n", "recorded")
    assert migrated_parent(beta) == applied and beta.get("Applied")["config"] == beta.get("Stored")["config"] == applied
    assert f"\nFirmware: {NEW}\n" in beta.git("log", "-1", "--format=%B", "refs/migrated/config")
    # What the command left alone is the same file, and its database the same one.
    assert beta.at(f"{FILES}/rest.cfg").stat().st_ino == was.st_ino
    assert beta.git("rev-parse", "refs/migrated/config:pbx.book") == beta.git("rev-parse", "config:pbx.book")
    # The pair's line is the leader's; the next commit of it is migrated in its turn, and the one before is forgotten.
    commit = change(alpha, "third\n")
    migrate(beta)
    alpha.wait_applied({"config": commit}, 20000)
    assert files(beta) == ("new form of third\n", "by the migration\n", "stays\n") and migrated_parent(beta) == commit
    assert beta.get("Diverged") == alpha.get("Diverged") == [] and beta.git("log", "--format=%H", "config") == alpha.git("log", "--format=%H", "config")
    # It is not asked again about what is done: not when everything is looked at, nor by the next process.
    beta.set_role("idle")
    beta.set_role("follow")
    beta.sync("SyncNow")
    beta.kill()
    beta.start()
    beta.set_role("follow")
    beta.wait(lambda: beta.get("Connected"), "connected")
    beta.sync("SyncNow")
    assert not wanted(beta, "migrate") and migrated_parent(beta) == commit
    assert files(beta) == ("new form of third\n", "by the migration\n", "stays\n") and beta.get("Diverged") == []


def test_the_first_commit_after_a_takeover_goes_on_from_what_was_migrated(pair, lab):  # noqa: F811
    alpha, beta = pair
    upgrade(beta)
    migrate(beta)
    wait_files(beta, MIGRATED)
    applied, migrated = beta.get("Applied")["config"], migrated_commit(beta)
    alpha.set_role("idle")
    beta.set_role("lead", term=2)
    assert beta.commit()["config"] == applied, "nothing has changed: there is no commit for what was migrated alone"
    first = change(beta, "of beta\n")
    assert beta.git("log", "--format=%H", "-3", "config").split() == [first, migrated, applied]
    assert beta.git("for-each-ref", "refs/migrated") == ""
    assert beta.git("show", "config:pbx.etc/made.cfg") == "by the migration\n"
    # The other one takes it when it has the same firmware, and needs no command: it is of that firmware.
    alpha.set_role("follow", term=2)
    alpha.wait(lambda: alpha.get("Held").get("config", ("",))[0] == first, "held: it is of a newer firmware", 20)
    set_firmware(alpha, NEW)
    call(alpha, "SyncNow")
    wait_files(alpha, ("of beta\n", "by the migration\n", "stays\n"), "the same")
    assert alpha.get("Diverged") == [] and not alpha.get("Hooks")


def test_one_that_fails_holds_the_commit_back(pair, lab):  # noqa: F811
    alpha, beta = pair
    upgrade(beta, "validate-command=/bin/check\n")
    migrate(beta, False, "main.cfg:1: nobody knows what that became")
    alpha.wait(lambda: alpha.get("PeerHeld"), "the Master knows", 20)
    assert "migrate of application pbx: main.cfg:1: nobody knows" in alpha.get("PeerHeld")["config"][1]
    beta.wait(lambda: beta.notices("commit held back"), "told")
    assert files(beta) == ("second\n", None, "stays\n") and beta.git("for-each-ref", "refs/migrated", "refs/migrating") == ""
    with pytest.raises(CallError, match="held"):
        alpha.wait_applied(alpha.get("Stored"))
    # Asked again it begins with what was committed; and what it makes is looked at by validate-command.
    call(beta, "SyncNow")
    migrate(beta)
    serial = wait_wanted(beta, "validate")
    assert beta.read(f"{STAGED}/etc/main.cfg") == MIGRATED[0] and files(beta) == ("second\n", None, "stays\n")
    say(beta, serial, False, "made.cfg:1: no such word")
    beta.wait(lambda: "made.cfg:1" in beta.get("Held").get("config", ("", ""))[1], "held for that")
    assert files(beta) == ("second\n", None, "stays\n")
    call(beta, "SyncNow")
    migrate(beta)
    say(beta, wait_wanted(beta, "validate"), True)
    wait_files(beta, MIGRATED)
    beta.wait(lambda: not beta.get("Held"), "no more")


def test_a_takeover_does_not_wait_for_a_migration(pair, lab):  # noqa: F811
    alpha, beta = pair
    upgrade(beta)
    serial = wait_wanted(beta)
    assert beta.set_role("lead", 2) < 5
    beta.wait(lambda: not beta.get("Hooks"), "it is not wanted any more")
    with pytest.raises(CallError, match="no such hook"):
        say(beta, serial, True)
    assert files(beta) == ("second\n", None, "stays\n") and beta.git("for-each-ref", "refs/migrated", "refs/migrating") == ""


def test_a_local_edit_of_what_was_migrated_is_kept_aside(pair, lab):  # noqa: F811
    alpha, beta = pair
    upgrade(beta)
    migrate(beta)
    wait_files(beta, MIGRATED)
    migrated = migrated_commit(beta)
    beta.write(f"{FILES}/made.cfg", "edited here\n")
    commit = change(alpha, "third\n")
    migrate(beta)
    alpha.wait_applied({"config": commit}, 20000)
    kept = beta.wait(lambda: beta.get("Diverged"), "kept")
    assert beta.git("rev-parse", f"{kept[0]}^").strip() == migrated and beta.git("show", f"{kept[0]}:pbx.etc/made.cfg") == "edited here\n"
    assert beta.read(f"{FILES}/made.cfg") == "by the migration\n"


def test_the_older_firmware_again_has_the_older_form(pair, lab):  # noqa: F811
    alpha, beta = pair
    upgrade(beta)
    migrate(beta)
    wait_files(beta, MIGRATED)
    set_firmware(beta, OLD)
    call(beta, "SyncNow")
    wait_files(beta, ("second\n", None, "stays\n"), "what the line has")
    beta.wait(lambda: beta.git("for-each-ref", "refs/migrated") == "", "forgotten")
    assert beta.get("Diverged") == []


def test_what_an_application_did_not_change_is_not_migrated_again(pair, lab):  # noqa: F811
    """Two applications: a change of one asks the other one nothing, and what was made of that one stays."""
    alpha, beta = pair
    other = "[application]\ncommand=/bin/true\n{}\n[data things]\npath=/var/lib/other\n"
    alpha.write("/var/lib/other/other.cfg", "other\n")
    alpha.write("/etc/understudy/applications.d/other.conf", other.format(""))
    alpha.sync("Reload")
    alpha.commit()
    beta.write("/etc/understudy/applications.d/other.conf", other.format(""))
    beta.sync("Reload")
    lab.in_step()
    beta.write("/etc/understudy/applications.d/other.conf", other.format("migrate-command=/bin/migrate\n"))
    upgrade(beta)

    def asked():
        for serial, name, application, commit, *_ in beta.get("Hooks"):
            return serial, application
        return None

    seen = []
    for _ in range(2):
        serial, application = beta.wait(lambda: asked() and asked()[1] not in seen and asked(), "wanted", 20)
        seen.append(application)
        place = beta.at(f"/var/lib/understudy/sync/staged/{application}/{'things' if application == 'other' else 'etc'}")
        (place / ("other.cfg" if application == "other" else "main.cfg")).write_text(f"new form of {application}\n")
        say(beta, serial, True)
    assert sorted(seen) == ["other", "pbx"]
    beta.wait(lambda: beta.read("/var/lib/other/other.cfg") == "new form of other\n", "both", 20)
    commit = change(alpha, "third\n")
    serial, application = beta.wait(asked, "wanted", 20)
    assert application == "pbx"
    say(beta, serial, True)
    alpha.wait_applied({"config": commit}, 20000)
    assert beta.read("/var/lib/other/other.cfg") == "new form of other\n" and beta.read(f"{FILES}/main.cfg") == "third\n"


def test_what_is_ordered_after_other_settings_is_done_by_them(pair):
    """Though one that was ordered before them has yet to begin, behind a command that takes its time: one pull answers for both."""
    alpha, beta = pair
    validated = "command=/bin/true\nvalidate-command=/bin/check\n"
    beta.write("/etc/understudy/applications.d/pbx.conf", APPLICATION.replace("command=/bin/true\n", validated))
    beta.sync("Reload")
    commit = change(alpha, "third\n")
    serial = wait_wanted(beta, "validate")
    call(beta, "SyncNow")
    upgrade(beta)
    say(beta, serial, True)
    migrate(beta)
    wait_files(beta, ("new form of third\n", "by the migration\n", "stays\n"))
    assert migrated_parent(beta) == commit


def test_a_restore_after_the_takeover_is_of_what_is_there(pair, lab):  # noqa: F811
    """What was migrated is before it in the line, and comes back with the rest."""
    alpha, beta = pair
    upgrade(beta)
    migrate(beta)
    wait_files(beta, MIGRATED)
    migrated = migrated_commit(beta)
    alpha.set_role("idle")
    beta.set_role("lead", 2)
    made = beta.sync("RestoreFrom", "(ssss)", (beta.get("Applied")["config"], f"{FILES}/main.cfg", "tester", "as it was"))[0]
    assert beta.read(f"{FILES}/main.cfg") == "second\n" and beta.read(f"{FILES}/made.cfg") == "by the migration\n"
    assert beta.git("rev-parse", f"{made}^").strip() == migrated and beta.git("for-each-ref", "refs/migrated") == ""
    beta.sync("RestoreFrom", "(ssss)", (migrated, "", "tester", "all of it"))
    assert files(beta) == MIGRATED


def upgrade_both(pair, lab):  # noqa: F811
    """Alpha, which leads, has the command; what is on the files is of the newer firmware."""
    alpha, beta = pair
    alpha.write("/etc/understudy/applications.d/pbx.conf", APPLICATION.replace("command=/bin/true\n", HOOKS))
    for device in pair:
        set_firmware(device, NEW)
    change(alpha, "third\n")
    lab.in_step()
    assert not alpha.get("Hooks") and not beta.get("Hooks")


@pytest.mark.parametrize("history", [False, True], ids=["", "history"])
def test_a_file_of_an_older_firmware_is_migrated(pair, lab, tmp_path, history):  # noqa: F811
    """Before it is on the files of the one that leads; the other takes it from there as any commit. One that cannot be migrated changes nothing."""
    alpha, beta = pair
    export(alpha, tmp_path / "file", history)
    upgrade_both(pair, lab)
    before = alpha.git("rev-parse", "config")
    job = begin(alpha, tmp_path / "file", "Import", "(hs)", [""], "rb")
    serial = wait_wanted(alpha)
    assert next(hook for hook in alpha.get("Hooks") if hook[0] == serial)[4:] == ("lead", OLD, NEW)
    assert alpha.read(f"{STAGED}/etc/main.cfg") == "second\n" and files(alpha) == ("third\n", None, "stays\n")
    say(alpha, serial, False, "main.cfg:1: nobody knows what that became")
    with pytest.raises(JobFailed, match="migrate of application pbx: main.cfg:1: nobody knows"):
        ended(alpha, job)
    assert files(alpha) == ("third\n", None, "stays\n") and alpha.get("Diverged") == [] and alpha.git("rev-parse", "config") == before

    job = begin(alpha, tmp_path / "file", "Import", "(hs)", [""], "rb")
    migrate(alpha)
    commit = ended(alpha, job)["commit"]
    assert files(alpha) == MIGRATED and alpha.git("rev-parse", "config").strip() == commit
    assert f"\nFirmware: {NEW}\n" in alpha.git("log", "-1", "--format=%B", "config") and alpha.git("rev-parse", f"{commit}^") == before
    alpha.wait_applied({"config": commit})
    assert files(beta) == MIGRATED and not beta.get("Hooks") and beta.git("for-each-ref", "refs/migrated") == ""


def test_a_file_that_the_newer_one_made_of_what_the_older_one_had(pair, lab, tmp_path):  # noqa: F811
    """It is the firmware of the last commit that counts, not that of the device that wrote the file."""
    alpha, _ = pair
    set_firmware(alpha, NEW)
    export(alpha, tmp_path / "file")
    upgrade_both(pair, lab)
    job = begin(alpha, tmp_path / "file", "Import", "(hs)", [""], "rb")
    migrate(alpha)
    ended(alpha, job)
    assert files(alpha) == MIGRATED


def test_all_of_an_older_state_is_migrated_when_it_is_restored(pair, lab):  # noqa: F811
    """One file of it alone is what it was: a command turns all of an application's configuration into another, not a part."""
    alpha, _ = pair
    older = alpha.git("rev-parse", "config").strip()
    upgrade_both(pair, lab)
    call(alpha, "RestoreFrom", GLib.Variant("(ssss)", (older, "", "tester", "as it was")))
    migrate(alpha)
    wait_files(alpha, MIGRATED)
    alpha.sync("RestoreFrom", "(ssss)", (older, f"{FILES}/main.cfg", "tester", "one file"))
    assert alpha.read(f"{FILES}/main.cfg") == "second\n" and not alpha.get("Hooks")


def test_without_such_a_command_it_comes_as_it_is(lab):  # noqa: F811
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.pair()
    set_firmware(lab.alpha, OLD)
    change(lab.alpha, "second\n")
    set_firmware(lab.beta, NEW)
    lab.in_step()
    assert lab.beta.read(f"{FILES}/main.cfg") == "second\n" and lab.beta.git("for-each-ref", "refs/migrated") == ""
