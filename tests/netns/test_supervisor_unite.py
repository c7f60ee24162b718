# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two whole devices that were apart: what the one that lost recorded comes into the files of the other, by the command that its supervisor runs, whoever of those
that have a hand in it is killed at whatever step."""

import os
import signal
import sys
from pathlib import Path

import pytest
from echo_lab import ECHO

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

MAIL = "/var/lib/echo/mail"
BOX = f"{MAIL}/default/1001/INBOX"
APPLICATION = f"""\
[application]
command=/usr/local/bin/echo
ready=notify
restart-delay-ms=10
unite-command=/usr/local/bin/unite

[data mail]
path={MAIL}
ref=voice
exclude=tmp .lock*
"""
# It says when it has begun and when it has done its work, and waits there for as long as files say.
UNITE = f"""\
#!/bin/sh
echo $$ >> /run/unite-began
while [ -e /run/unite-holds-before ]; do sleep 0.02; done
/usr/lib/understudy/understudy-unite messages:mail:{MAIL} || exit 1
echo $$ >> /run/unite-did
while [ -e /run/unite-holds-after ]; do sleep 0.02; done
"""
BUS = ["busctl", "--json=short", "call", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1"]
UNITED = {0: "before", 1: "beta one", 2: "beta two", 3: "alpha one", 4: "alpha two"}


@pytest.fixture
def pair(build):
    with Pair(build, {"echo": APPLICATION}) as pair:
        for device in (pair.first, pair.second):
            device.write("/usr/local/bin/echo", ECHO, 0o755)
            device.write("/usr/local/bin/unite", UNITE, 0o755)
            os.makedirs(device.file(BOX))
        message(pair.first, 0, "before")
        pair.start()
        yield pair


def message(device, number, words):
    device.write(f"{BOX}/msg{number:04}.wav", f"sound of {words}")
    device.write(f"{BOX}/msg{number:04}.txt", f"[message]\ncallerid={words}\n")


def mailbox(device):
    """The messages, each with its own sound: number -> caller. None while one is half there."""
    found = {}
    for name in os.listdir(device.file(BOX)):
        number, ending = int(name[3:7]) if name.startswith("msg") else -1, name.partition(".")[2]
        if ending == "txt":
            found[number] = (device.read(f"{BOX}/{name}") or "callerid=").split("callerid=")[1].strip()
            if device.read(f"{BOX}/msg{number:04}.wav") != f"sound of {found[number]}":
                return None
    return found


def pids(device, what):
    """Of those that have come there, in the order in which they did; as the device numbers them."""
    return (device.read(f"/run/unite-{what}") or "").split()


def apart(device):
    return device.run(["git", "--git-dir=/var/lib/understudy/sync/repo.git", "for-each-ref", "--format=%(refname)", "refs/apart"]).stdout.split()


def part_and_meet(pair):
    """Both lead and record what would have had the same number; beta, which the phones reach, goes on."""
    alpha, beta = pair.first, pair.second
    pair.cable.cut()
    alpha.ports["eth0"].block()
    pair.watch(beta).wait_role("master", 15)
    for device in (alpha, beta):
        watch = pair.watch(device)
        watch.wait(lambda w=watch: w.sync("Role") == "lead", 10, "its synchronisation leads")
        message(device, 1, f"{device.name} one")
        message(device, 2, f"{device.name} two")

        def committed(device=device):
            listed = device.run(["git", "--git-dir=/var/lib/understudy/sync/repo.git", "ls-tree", "-r", "--name-only", "voice"]).stdout
            return f"{BOX.removeprefix(MAIL)}/msg0002.txt" in listed and f"{BOX.removeprefix(MAIL)}/msg0002.wav" in listed

        wait_until(committed, 10, f"{device.name}: committed")
    pair.cable.plug()
    alpha.ports["eth0"].unblock()
    pair.watch(alpha).wait_role("backup", 30)


def kill_hook(device):
    """The one that came last, whole."""
    for pid, _ in device.processes():
        try:
            if b"/usr/local/bin/unite" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass


@pytest.mark.long
def test_what_both_recorded_survives_whoever_dies(pair):
    alpha, beta = pair.first, pair.second
    beta.write("/run/unite-holds-before", "")
    beta.write("/run/unite-holds-after", "")
    part_and_meet(pair)

    def another(what, known):
        try:
            wait_until(lambda: len(pids(beta, what)) > known, 30, f"the command {what} once more")
        except TimeoutError as error:
            raise AssertionError(f"{error}; {apart(alpha)}; {pair.describe()}\n{beta.console()[-3000:]}") from None

    # Before it has done anything: the command itself, which is told of and tried again when somebody asks; syncd here, the supervisor, syncd there.
    another("began", 0)
    kill_hook(beta)
    wait_until(lambda: any(event["name"] == "line not united" for event in pair.watch(beta).events), 15, "told")
    assert mailbox(beta) == {0: "before", 1: "beta one", 2: "beta two"} and len(apart(alpha)) == 1
    beta.run([*BUS, "Reload"])
    another("began", 1)
    for device, name in ((beta, "understudy-syncd"), (beta, "understudy-supervisor"), (alpha, "understudy-syncd")):
        known = len(pids(beta, "began"))
        device.kill(name)
        if device is beta:  # what the other device's syncd does is fetched again only when it is not here yet
            another("began", known)
    assert pids(beta, "did") == []

    # After its work, before anybody knows of it.
    os.unlink(beta.file("/run/unite-holds-before"))
    another("did", 0)
    assert mailbox(beta) == UNITED
    for name in ("understudy-syncd", "understudy-supervisor"):
        known = len(pids(beta, "did"))
        beta.kill(name)
        another("did", known)
        assert mailbox(beta) == UNITED
    os.unlink(beta.file("/run/unite-holds-after"))

    # It is told, the other one lets go, and both have each message once.
    wait_until(lambda: apart(alpha) == [], 30, f"let go: {pair.describe()}")
    pair.wait_settled()
    wait_until(lambda: mailbox(alpha) == UNITED, 15, f"both have all: {mailbox(alpha)}")
    assert mailbox(beta) == UNITED and pair.master() is beta
    wait_until(lambda: any(event["name"] == "line united" for event in pair.watch(beta).events), 15, "told")
