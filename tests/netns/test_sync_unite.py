# SPDX-License-Identifier: LGPL-2.1-or-later
"""After a split: what the losing side recorded comes into the winner's files, by the application's unite-command. The test is the supervisor that runs it."""

import os
import subprocess

import pytest
from sync_lab import APPLICATION, FILES, SyncLab, pair, slow_down  # noqa: F401  (a fixture)

MAIL = "/var/lib/pbx/mail"                 # data set pbx.mail, voice
CALLS = "/var/lib/pbx/calls/calls.sqlite"  # data set pbx.calls, volatile
UNITING = "/var/lib/understudy/sync/uniting/pbx"
WORDS = [f"messages:mail:{MAIL}", f"rows:calls:{CALLS}:cdr"]
SETS = f"""
[data mail]
path={MAIL}
ref=voice
exclude=tmp .lock*

[data calls]
path={CALLS}
kind=sqlite
ref=volatile
"""
BOX = f"{MAIL}/default/1001/INBOX"


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        for device in (lab.alpha, lab.beta):
            device.write("/etc/understudy/applications.d/pbx.conf",
                         APPLICATION.replace("command=/bin/true\n", "command=/bin/true\nunite-command=/bin/unite\n") + SETS)
            os.makedirs(device.at(BOX))
            os.makedirs(device.at(os.path.dirname(CALLS)))
        lab.start()
        lab.alpha.sql(CALLS, "create table cdr (id integer primary key, call text)", "insert into cdr (call) values ('before')")
        message(lab.alpha, 0, "before")
        yield lab


def message(device, number, words, times=1):
    device.write(f"{BOX}/msg{number:04}.wav", f"sound of {words}" * times)
    device.write(f"{BOX}/msg{number:04}.txt", f"[message]\ncallerid={words}\n")


def mailbox(device):
    """The messages: number -> caller; each with its own sound."""
    found = {}
    for path in sorted(device.at(BOX).glob("msg*.txt")):
        caller = path.read_text().split("callerid=")[1].strip()
        assert set(path.with_suffix(".wav").read_text().split("sound of ")) == {"", caller}
        found[int(path.stem[3:])] = caller
    return found


def calls(device):
    code = "import sqlite3, sys\nprint(*(r[0] for r in sqlite3.connect(sys.argv[1]).execute('select call from cdr order by call')))"
    return device.python(code, CALLS).communicate(timeout=20)[0].split()


def wanted(device):
    """Serials of the unite hooks, with their commits."""
    return [(serial, commit) for serial, kind, application, commit, role, *_ in device.get("Hooks") if (kind, application, role) == ("unite", "pbx", "lead")]


def unite(device):
    """What the supervisor would do."""
    return subprocess.run(["nsenter", f"--target={device.holder.pid}", "--mount", "--root", "--wd", "env", f"UNDERSTUDY_BASE={UNITING}/base",
                           f"UNDERSTUDY_THEIRS={UNITING}/theirs", str(device.lab.build / "unite" / "understudy-unite"), *WORDS],
                          capture_output=True, text=True, check=True).stdout.strip()


def serve(device, until):
    """Runs each unite hook that is wanted until the condition holds; what each said."""
    said = []

    def step():
        for serial, _ in wanted(device):
            said.append(unite(device))
            device.sync("HookDone", "(tbs)", (serial, True, said[-1]))
        return until()

    device.wait(step, "united", 30)
    return said


def part(lab, times=1):
    """Both lead, and each records what would have had the same number, and speaks for so long."""
    for device in (lab.alpha, lab.beta):
        for port in device.ports:
            port.block()
    lab.beta.set_role("lead", term=2)
    for device in (lab.alpha, lab.beta):
        message(device, 1, f"{device.name} one", times)
        message(device, 2, f"{device.name} two")
        device.sql(CALLS, f"insert into cdr (call) values ('{device.name}')")
        device.write(f"{FILES}/main.cfg", f"of {device.name}\n")
        device.commit()


def meet(lab):
    """beta goes on."""
    lab.alpha.set_role("follow", term=3)
    lab.beta.set_role("lead", term=3)
    for device in (lab.alpha, lab.beta):
        for port in device.ports:
            port.unblock()


UNITED = {0: "before", 1: "beta one", 2: "beta two", 3: "alpha one", 4: "alpha two"}


def apart(device):
    return device.git("for-each-ref", "--format=%(refname)", "refs/apart").split()


def test_what_both_recorded_is_on_both_devices(lab, pair):  # noqa: F811
    alpha, beta = pair
    part(lab)
    meet(lab)
    said = serve(beta, lambda: mailbox(beta) == UNITED and calls(beta) == ["alpha", "before", "beta"])
    assert sorted(said) == ["1 row", "2 messages"]
    alpha.wait(lambda: mailbox(alpha) == UNITED and calls(alpha) == ["alpha", "before", "beta"], "and on the other", 30)
    alpha.wait(lambda: apart(alpha) == [], "nothing is asked for any more", 30)
    assert [line for line in alpha.get("Diverged") if line.startswith("refs/diverged/alpha/")], "the line stays"
    assert alpha.read(f"{FILES}/main.cfg") == beta.read(f"{FILES}/main.cfg") == "of beta\n", "of configuration nobody makes one of two"
    beta.wait(lambda: len(beta.notices("line united")) == 2, "told")
    assert any("alpha" in text and "2 messages" in text for text in beta.notices("line united"))
    assert not beta.at(UNITING).exists() and beta.git("for-each-ref", "refs/uniting") == ""
    # What only changed hands is not apart: nothing is wanted after that.
    beta.sync("SetRole", "(sts)", ("follow", 4, "alpha"))
    alpha.set_role("lead", term=4)
    message(alpha, 5, "after")
    alpha.sql(CALLS, "insert into cdr (call) values ('last')")
    lab.in_step()
    beta.wait(lambda: mailbox(beta).get(5) == "after", "goes on")
    beta.wait(lambda: "last" in calls(beta), "and so does the database")
    assert apart(beta) == [] and wanted(alpha) == []


def test_long_recordings_take_their_time(lab, pair):  # noqa: F811
    """Who follows leaves off for a newer commit after a while; there is none of a line that is apart."""
    alpha, beta = pair
    part(lab, times=30000)
    slow_down(alpha, "2mbit")
    meet(lab)
    serve(beta, lambda: mailbox(beta) == UNITED)
    assert beta.process.poll() is None


def test_a_failure_loses_nothing_and_is_told(lab, pair):  # noqa: F811
    alpha, beta = pair
    part(lab)
    meet(lab)
    refused = set()

    def all_refused():
        for serial, commit in wanted(beta):
            beta.sync("HookDone", "(tbs)", (serial, False, "no such mailbox"))
            refused.add(commit)
        return len(refused) == 2 and len(beta.notices("line not united")) == 2

    beta.wait(all_refused, "refused", 30)
    assert all("no such mailbox" in text for text in beta.notices("line not united"))
    assert mailbox(beta) == {0: "before", 1: "beta one", 2: "beta two"} and len(apart(alpha)) == 2
    assert wanted(beta) == [], "not asked again by itself"
    beta.sync("Reload")
    serve(beta, lambda: apart(alpha) == [])
    assert mailbox(beta) == UNITED and calls(beta) == ["alpha", "before", "beta"]


def test_a_leader_that_dies_begins_anew_and_nothing_is_there_twice(lab, pair):  # noqa: F811
    alpha, beta = pair
    part(lab)
    meet(lab)
    done = set()

    def both_placed():
        for serial, commit in wanted(beta):
            if commit not in done:
                unite(beta)
                done.add(commit)
                if len(done) < 2:
                    beta.sync("HookDone", "(tbs)", (serial, True, ""))
        return len(done) == 2

    beta.wait(both_placed, "the files are there, and it was not told", 30)
    assert mailbox(beta) == UNITED
    beta.kill()
    beta.start()
    beta.set_role("lead", term=3)
    serve(beta, lambda: apart(alpha) == [])
    assert mailbox(beta) == UNITED and calls(beta) == ["alpha", "before", "beta"]
    alpha.wait(lambda: mailbox(alpha) == UNITED, "both", 30)
