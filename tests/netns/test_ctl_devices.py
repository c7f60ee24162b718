# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command line on two whole devices, paired: what it says agrees with what the daemons do."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shared_lab import Shared

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import stays, wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

KEEPER_OF_WORDS = """\
[application]
description=Has data and does nothing else
command=/bin/sleep 1000000

[data words]
path=/var/lib/words
ref=config
"""


@contextlib.contextmanager
def pair_with_words(build):
    with Pair(build, {"words": KEEPER_OF_WORDS}) as pair:
        for device in (pair.first, pair.second):
            os.makedirs(device.file("/var/lib/words"))
        pair.start()
        yield pair


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: pair_with_words(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request)


def understudy(device, *words, code=0, **more):
    done = device.run(["understudy", *words], check=False, timeout=60, **more)
    assert done.returncode == code, f"understudy {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def status(device):
    return json.loads(understudy(device, "status", "--json").stdout)


def in_step(pair):
    """Both say that both have applied the same commits."""
    first, second = status(pair.first)["sync"], status(pair.second)["sync"]
    return first["stored"] and first["stored"] == first["applied"] == first["peer_applied"] == second["applied"]


def test_status_of_both(pair):
    wait_until(lambda: in_step(pair), 10, "both in step")
    master, backup = status(pair.master()), status(pair.backup())
    assert (master["device"]["role"], backup["device"]["role"]) == ("master", "backup")
    assert master["peer"]["id"] == backup["device"]["device_id"] and master["peer"]["connected"] and master["peer"]["paired"]
    assert backup["peer"]["role"] == "master" and backup["peer"]["term"] == master["device"]["term"]
    assert [each["state"] for each in master["applications"]] == ["running"]
    assert [each["state"] for each in backup["applications"]] == ["stopped"]
    text = understudy(pair.backup(), "status").stdout
    assert re.search(r"^role +backup +master$", text, re.M)
    assert re.search(r"^sync config +([0-9a-f]{8}) stored and applied +\1 stored and applied$", text, re.M)


def test_a_change_and_its_history(pair):
    master, backup = pair.master(), pair.backup()
    for text in ("one", "two"):
        write_on_both(pair, "/var/lib/words/letter", text)
    for device in (master, backup):
        commits = json.loads(understudy(device, "history", "/var/lib/words/letter", "--json").stdout)
        assert len(commits) == 2 and all("words.words/letter" in commit["changed"] for commit in commits)
        assert commits[0]["device"] == master.name and commits[0]["time_ms"] >= commits[1]["time_ms"]
    assert "words.words/letter" in understudy(backup, "history").stdout
    assert understudy(backup, "history", "/var/lib/words/nothing").stdout == "no commits in config\n"
    assert "none of the data sets" in understudy(backup, "history", "/etc/passwd", code=2).stderr


def test_an_earlier_state_by_the_man_page_alone(pair):
    """The commands of its example, as they stand there, with the commits that the first one prints."""
    master, backup, plan = pair.master(), pair.backup(), "/var/lib/words/extensions.conf"
    for text in ("exten => 100,1,Dial(SIP/100)\n", "exten => 100,1,Hangup()\n"):
        master.write(plan, text)
        wait_until(lambda t=text: os.path.exists(backup.file(plan)) and backup.read(plan) == t, 10, text)
    page = (Path(__file__).resolve().parents[2] / "data" / "understudy.1").read_text(encoding="utf-8")
    example = page[page.index("the dial plan of last Tuesday"):].split(".Bd -literal -offset indent\n")[1].split(".Ed")[0]
    look, compare, restore = (line.replace("/etc/asterisk/extensions.conf", plan).split()[1:] for line in example.splitlines())
    shown = understudy(master, *look).stdout.splitlines()
    assert len(shown) == 2
    names = {compare[1]: shown[1].split()[0], compare[2]: shown[0].split()[0]}  # the earlier one, and what there is now
    assert restore[1] in names, "what is looked at is what is restored"
    difference = understudy(master, *(names.get(word, word) for word in compare)).stdout
    assert "\n-exten => 100,1,Dial(SIP/100)\n+exten => 100,1,Hangup()\n" in difference
    understudy(master, *(names.get(word, word) for word in restore))
    assert master.read(plan) == "exten => 100,1,Dial(SIP/100)\n"
    wait_until(lambda: backup.read(plan) == "exten => 100,1,Dial(SIP/100)\n", 10, "and on the Backup")
    assert len(understudy(master, *look).stdout.splitlines()) == 3, "it is a commit like another"


def test_mode_from_both_sides(pair):
    master, backup = pair.master(), pair.backup()
    understudy(master, "mode", "passive")
    assert understudy(backup, "mode").stdout == "passive\n"
    assert [hold["name"] for hold in status(backup)["holds"]] == ["passive"]
    assert "passive  for " in understudy(backup, "status").stdout
    understudy(backup, "mode", "active")
    wait_until(lambda: status(backup)["holds"] == [], 5, "the hold is lifted")
    wait_until(lambda: json.loads(understudy(master, "mode", "--json").stdout)["peer_mode"] == "active", 5, "the Master knows")


def test_swap_and_what_is_told_of_it(pair):
    master, backup = pair.master(), pair.backup()
    assert "not" in understudy(backup, "swap", code=1).stderr
    done = understudy(master, "swap", "--json", "--reason", "test")
    assert json.loads(done.stdout)["state"] == "done" and done.stderr.count("\n") >= 3
    assert (status(master)["device"]["role"], status(backup)["device"]["role"]) == ("backup", "master")


    def timeline_of_both():
        timeline = json.loads(understudy(master, "timeline", "--json", "--count", "20").stdout)
        changes = {(each["device"], each["old"], each["new"]) for each in timeline}
        return {(master.name, "master", "handing-over"), (backup.name, "backup", "taking-over"), (backup.name, "taking-over", "master")} <= changes and timeline

    timeline = wait_until(timeline_of_both, 5, "what both did")
    assert [each["time_ms"] for each in timeline] == sorted(each["time_ms"] for each in timeline)
    text = understudy(backup, "timeline").stdout
    assert f"{backup.name}  backup -> taking-over" in text and "▇" in text
    names = [event["name"] for event in json.loads(understudy(backup, "events", "--json", "--application", "REDUNDANCY").stdout)]
    assert "role" in names


def test_events_are_marked(pair):
    device = pair.master()

    def unread():
        return {event["id"] for event in json.loads(understudy(device, "events", "--unread", "--count", "10000", "--json").stdout)}

    before = unread()
    assert before
    understudy(device, "events", "--unread", "--mark-read", "--count", "10000")
    assert not before & unread()
    wait_until(lambda: {event["device"] for event in json.loads(understudy(device, "events", "--json").stdout)} == set(pair.names), 10,
               "the events of both devices")


def test_takeover_needs_force_while_the_master_is_there(pair):
    master, backup = pair.master(), pair.backup()
    assert "master-alive" in understudy(backup, "takeover", code=1).stderr
    understudy(backup, "takeover", "--force")
    wait_until(lambda: pair.roles() == {master.name: "backup", backup.name: "master"}, 10, "the old Master follows")


def test_a_paired_device_joins_nobody_else(pair):
    assert "unpair it first" in understudy(pair.backup(), "join", pair.master().peer_address, code=1, input="not a code\n").stderr


def test_settings(pair):
    master, backup = pair.master(), pair.backup()
    before = understudy(master, "settings", "show").stdout
    assert before == master.read("/etc/understudy/pair.conf")
    assert understudy(master, "settings", "set", "sync-interval-s", "33").stdout.splitlines()[0] == "pair.conf: changed on both devices"
    assert "sync-interval-s=33" in backup.read("/etc/understudy/pair.conf")
    assert understudy(backup, "settings", "set", "first-answer-ms", "20000").stdout == \
        "pair.conf: changed on both devices\n  first-answer-ms: counts at the next takeover\n"
    refused = understudy(master, "settings", "set", "group-id", "256", code=2)
    assert re.search(r'pair.conf:[0-9]+: "group-id" is a number from 1 to 255, not "256"', refused.stderr)
    assert "no section [group wan]" in understudy(master, "settings", "set", "--section", "group wan", "elects", "true", code=2).stderr
    assert "would be accepted" in understudy(master, "settings", "set", "--dry-run", "sync-interval-s", "44").stdout
    assert "44" not in understudy(master, "settings", "show").stdout
    master.write("/run/editor", "#!/bin/sh\nsed -i 's/sync-interval-s=33/sync-interval-s=35/' \"$1\"\n", 0o755)
    edited = master.run(["env", "EDITOR=/run/editor", "understudy", "settings", "edit", "--reason", "by hand"], check=False)
    assert edited.returncode == 0 and "sync-interval-s=35" in backup.read("/etc/understudy/pair.conf"), edited.stderr
    listed = json.loads(understudy(master, "settings", "history", "--json").stdout)
    assert listed[0]["in_use"] and listed[0]["why"] == "by hand" and listed[0]["who"] == "root"
    assert re.search(rf"^{listed[0]['number']} +in use ", understudy(master, "settings", "history").stdout, re.M)
    master.write("/run/new.conf", understudy(master, "settings", "show").stdout.replace("=35", "=36"))
    understudy(master, "settings", "apply", "/run/new.conf")
    assert "sync-interval-s=36" in backup.read("/etc/understudy/pair.conf")
    understudy(master, "settings", "restore", str(listed[0]["number"]))
    wait_until(lambda: "sync-interval-s=35" in backup.read("/etc/understudy/pair.conf"), 5, "restored on both")
    versions = len(json.loads(understudy(master, "settings", "history", "--json").stdout))
    assert understudy(master, "settings", "set", "sync-interval-s", "35").stdout == "pair.conf: not changed, it says so already\n"
    understudy(master, "settings", "reload")
    assert len(json.loads(understudy(master, "settings", "history", "--json").stdout)) == versions, "the same again is no new version"
    assert "there is no version 9999" in understudy(master, "settings", "restore", "9999", code=1).stderr
    assert understudy(master, "settings", "show", "--file", "applications.d/words.conf").stdout == KEEPER_OF_WORDS
    assert "root-only" in understudy(master, "settings", "apply", "--file", "applications.d/words.conf", "/run/new.conf", code=1).stderr


def fingerprint(device):
    answer = device.run(["busctl", "--json=short", "get-property", "org.understudy.Sync1", "/org/understudy/Sync1", "org.understudy.Peer1", "Fingerprint"])
    return json.loads(answer.stdout)["data"]


def test_a_new_key_changes_nothing_else(pair):
    def alarms():
        return [event for event in json.loads(understudy(pair.master(), "events", "--json", "--count", "1000").stdout) if event["name"] in ("down", "role")]

    roles, before_all = pair.roles(), alarms()
    for device in (pair.master(), pair.backup()):
        before, settings = fingerprint(device), device.read("/etc/understudy/pair.conf")
        assert understudy(device, "rotate-key").stdout == "rotated\n"
        assert fingerprint(device) != before
        assert device.read("/etc/understudy/pair.conf") == settings, "the pair's settings are not those of the day of joining again"
    pair.master().write("/var/lib/words/key", "new")
    wait_until(lambda: os.path.exists(pair.backup().file("/var/lib/words/key")) and pair.backup().read("/var/lib/words/key") == "new", 10, "in step")
    assert pair.roles() == roles
    assert alarms() == before_all, "nobody was missed"


def commands_of_the_page():
    """What docs/administration.md tells people to type, by what it begins with."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "administration.md").read_text()
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def write_on_both(pair, path, text):
    """Right after it was written the two are in step still: nobody has seen it yet."""
    pair.master().write(path, text)
    there = pair.backup().file(path)
    wait_until(lambda: os.path.exists(there) and pair.backup().read(path) == text and in_step(pair), 10, f"{path} on both")


def test_stock_git(pair):
    master, backup = pair.master(), pair.backup()
    own, other = [block for block in commands_of_the_page() if "git" in block][:2]
    write_on_both(pair, "/var/lib/words/told", "by git")
    assert "+by git" in master.run(["sh", "-ec", own]).stdout
    log = backup.run(["sh", "-ec", other]).stdout
    assert "words.words/told" in log
    assert backup.read("/root/configuration/words.words/told") == "by git"
    # A clone with work of its own, newer than all else, says much of what it has: git compresses that.
    write_on_both(pair, "/var/lib/words/told", "at last")
    backup.run(["sh", "-ec", "cd /root/configuration; git config user.name me; git config user.email me@here\n"
                             "export GIT_COMMITTER_DATE=\"@$(($(date +%s) + 3600)) +0000\"\n"
                             "for i in $(seq 60); do git commit --quiet --allow-empty -m mine; done"])
    fetched = backup.run(["sh", "-ec", other.splitlines()[0] + "\nexport GIT_TRACE_CURL=1; cd /root/configuration; git fetch"])
    assert "content-encoding: gzip" in fetched.stderr.lower()
    assert backup.run(["git", "-C", "/root/configuration", "show", "origin/config:words.words/told"]).stdout == "at last"
    script = other.splitlines()[0] + "\n"
    wrong = backup.run(["sh", "-ec", script + "export GIT_CONFIG_VALUE_0=sha256//AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=\n"
                                              "git ls-remote $UNDERSTUDY_URL"], check=False)
    assert wrong.returncode != 0 and "does not match pinned public key" in wrong.stderr
    without = backup.run(["sh", "-ec", script + "unset GIT_CONFIG_COUNT\nGIT_SSL_NO_VERIFY=1 git ls-remote $UNDERSTUDY_URL"], check=False)
    assert without.returncode != 0 and without.stdout == ""
    pushed = backup.run(["sh", "-ec", script + "git -C /root/configuration push origin HEAD:refs/heads/mine"], check=False)
    assert pushed.returncode != 0 and "mine" not in master.run(["sh", "-ec", own.replace("log -p config", "branch --list mine")]).stdout


def test_export_and_import(pair):
    master, backup = pair.master(), pair.backup()
    commands, look = commands_of_the_page()[2:4]
    export, import_ = commands.splitlines()
    write_on_both(pair, "/var/lib/words/kept", "on tuesday")
    assert master.run(["sh", "-ec", export]).stdout == f"signed by {fingerprint(master)}\n"
    assert master.run(["stat", "--format=%a", "/root/tuesday.understudy"]).stdout == "600\n"
    assert "File exists" in master.run(["sh", "-ec", export], check=False).stderr
    write_on_both(pair, "/var/lib/words/kept", "lost")
    assert re.fullmatch(r"imported as [0-9a-f]{8}\n", master.run(["sh", "-ec", import_]).stdout)
    assert master.read("/var/lib/words/kept") == "on tuesday"
    wait_until(lambda: backup.read("/var/lib/words/kept") == "on tuesday", 10, "on both")
    understudy(master, "import", "--settings", "/root/settings", "/root/tuesday.understudy")
    assert master.read("/root/settings") == master.read("/etc/understudy/pair.conf")
    looked = master.run(["sh", "-ec", look]).stdout
    assert "Verified OK" in looked and master.read("/root/look/files/words.words/kept") == "on tuesday"
    for name in re.findall(r"^([0-9a-f]{64})  ", looked, re.M):
        assert name in master.read("/root/look/contents")
    assert "not-leader" in understudy(backup, "import", "/etc/hostname", code=1).stderr
    assert "not-an-export" in understudy(master, "import", "/etc/hostname", code=1).stderr


def test_reload_says_what_needs_a_restart(pair):
    master = pair.master()
    path = "/etc/understudy/applications.d/" + next(name for name in os.listdir(master.file("/etc/understudy/applications.d")) if name.endswith(".conf"))
    text, name = master.read(path), os.path.basename(path).removesuffix(".conf")
    assert master.run(["understudy", "settings", "reload"]).stdout == "the files are read again, and in use\n"
    master.write(path, text.replace("[application]\n", "[application]\nnice=3\n"))
    assert master.run(["understudy", "settings", "reload"]).stdout == \
        f"the files are read again, and in use\n  applications.d/{name}.conf: counts when {name} is started next (understudy restart {name})\n"
    master.write(path, text.replace("[application]\n", "[application]\nnice=3x\n"))
    done = master.run(["understudy", "settings", "reload"], check=False)
    assert done.returncode != 0 and f"{name}.conf:2: " in done.stderr
    master.write(path, text)
    reloaded = json.loads(master.run(["understudy", "--json", "settings", "reload"]).stdout)
    assert reloaded["scope"] == "device" and len(reloaded["notes"]) == 1
    assert json.loads(master.run(["understudy", "--json", "settings", "reload"]).stdout)["notes"] == []


def test_reload_is_answered_when_notifyd_has_the_settings_too(pair):
    """Who asks notifyd next finds what was written; but one that hangs is not waited for."""
    master = pair.master()
    notifyd = master.kill("understudy-notifyd", signal.SIGSTOP)
    try:
        reload = master.popen(["understudy", "settings", "reload"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert stays(lambda: reload.poll() is None, 0.3)
        os.kill(notifyd, signal.SIGCONT)
        assert reload.communicate(timeout=10)[0] == "the files are read again, and in use\n"
        os.kill(notifyd, signal.SIGSTOP)
        understudy(master, "settings", "reload")
    finally:
        os.kill(notifyd, signal.SIGCONT)


def targets(device):
    return understudy(device, "notify", "targets").stdout


def test_settings_in_use_are_notifyds_too_whoever_dies(pair):
    """What was written while notifyd begins, and what a new supervisor reads first."""
    master = pair.master()
    settings = Path(master.file("/etc/understudy/pair.conf"))
    before = settings.read_text(encoding="utf-8")
    try:
        notifyd = master.kill("understudy-notifyd")
        settings.write_text(f"{before}\n[led front]\nled=front\n", encoding="utf-8")
        understudy(master, "settings", "reload")
        assert "led:front" in targets(master)
        master.wait_process("understudy-notifyd", 10, notifyd)

        supervisor = master.kill("understudy-supervisor", signal.SIGSTOP)
        settings.write_text(f"{before}\n[led back]\nled=back\n", encoding="utf-8")
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: "led:back" in targets(master), 10, "notifyd has the settings of the next supervisor")
    finally:
        settings.write_text(before, encoding="utf-8")
        understudy(master, "settings", "reload")


def test_the_peer_is_history_when_it_is_gone(pair):
    """Last: a device is switched off."""
    backup, master = pair.backup(), pair.master()
    pair.power_cut(backup)
    wait_until(lambda: not status(master)["peer"]["connected"], 10, "the peer is not connected")
    text = understudy(master, "status").stdout
    assert re.search(r"^role +master +unknown \(last heard \d+ .*ago\)$", text, re.M), text
    assert "peer" in understudy(master, "swap", code=1).stderr
    wait_until(lambda: any(event["name"] == "down" for event in json.loads(understudy(master, "events", "--json").stdout)), 10, "the event")


def test_unpaired_without_the_other(pair):
    done = understudy(pair.master(), "unpair")
    assert done.stdout == "unpaired\n" and "it is told when it can" in done.stderr


def test_the_code_is_on_stdout_alone(pair):
    device = pair.master()
    done = understudy(device, "pair", "--minutes", "1", "--no-wait")
    code = done.stdout.strip()
    assert len(code) >= 26 and code not in done.stderr and code not in device.console()
