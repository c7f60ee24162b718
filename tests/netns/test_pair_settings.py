# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pair's settings, changed on two whole devices: together, alone, interrupted at each step, and on both sides of a split."""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from shared_lab import Shared

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402
from watch import SUPERVISOR, SYNC  # noqa: E402
from gi.repository import GLib  # noqa: E402  (its version is asked for by watch)

pytestmark = pytest.mark.timed(100)  # also of those that stop a supervisor, which is replaced after 3 s

SLEEPER = "[application]\ncommand=/bin/sleep 1000000\n\n[data words]\npath=/var/lib/words\nref=config\n"
NAME = "org.understudy.Supervisor1"
PAIR_CONF, DEVICE_CONF = "/etc/understudy/pair.conf", "/etc/understudy/device.conf"


@contextlib.contextmanager
def plain_pair(build):
    with Pair(build, {"words": SLEEPER}) as pair:
        for device in (pair.first, pair.second):
            os.makedirs(device.file("/var/lib/words"))
        pair.start()
        settle(pair)
        yield pair


def mend(pair):
    for device in (pair.first, pair.second):
        for port in device.ports.values():
            port.unblock()
        if not device.pid:
            pair.switch_on(device)
    settle(pair)


def settle(pair):
    pair.wait_settled(60)
    wait_until(lambda: alike(pair), 30, "one version on both")


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: plain_pair(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request, mend)


def ask(device, method, signature="", *words, timeout=30):
    return device.run(["busctl", "--json=short", f"--timeout={timeout}", "call", NAME, f"/{NAME.replace('.', '/')}", NAME, method, signature, *words],
                      check=False, timeout=timeout + 5)


def answer(device, method, signature="", *words):
    done = ask(device, method, signature, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def get(device, prop):
    return json.loads(device.run(["busctl", "--json=short", "get-property", NAME, f"/{NAME.replace('.', '/')}", NAME, prop]).stdout)["data"]


def settings(device, file="pair.conf"):
    return answer(device, "Settings", "s", file)


def change(device, text, base="", file="pair.conf", **options):
    flags = [str(len(options))]
    for key, value in options.items():
        flags += [key, "b", "true" if value else "false"]
    return ask(device, "SetSettings", "sssa{sv}", file, text, base, *flags)


def result(done):
    assert done.returncode == 0, done.stderr
    return {key: value["data"] for key, value in json.loads(done.stdout)["data"][0].items()}


def with_key(text, key, value):
    kept = [line for line in text.splitlines() if not line.startswith(f"{key}=")]
    at = kept.index("[pair]")
    return "\n".join([*kept[:at + 1], f"{key}={value}", *kept[at + 1:]]) + "\n"


def version(device):
    return get(device, "PairRevision"), get(device, "PairHash"), device.read(PAIR_CONF)


def alike(pair):
    return version(pair.first) == version(pair.second)


def history(device):
    return [{key: value["data"] for key, value in each.items()} for each in answer(device, "SettingsHistory", "su", "pair.conf", "100")[0]]


def kept(device, why, word):
    """Whether a version that lost is still there, with its text."""
    return any(word in answer(device, "SettingsVersion", "u", str(each["number"]))[1] for each in history(device) if each["why"] == why)


def event_of(pair, device, name, word):
    return any(event["name"] == name and word in event["description"] for event in pair.watch(device).events)


def changes(pair):
    return {name: len(watch.roles) for name, watch in pair.watches.items()}


def calm(pair):
    """As it was when the pair came to be: all that comes of these cases is not a change of role."""
    if not hasattr(pair, "calm"):
        pair.calm = changes(pair)
    return pair.calm


# Together.


@pytest.mark.parametrize("key, value", [("sync-interval-s", "58"), ("vrrp-version", "2"), ("vrrp-version", "3"), ("group-id", "77"), ("multicast", "false"),
                                        ("virtual-mac", "false"), ("advert-interval-ms", "200"), ("peer-port", "7500")])
def test_both_change_together_and_nobody_takes_over(pair, key, value):
    master, backup, before = pair.master(), pair.backup(), calm(pair)
    text, revision = settings(master)
    text = with_key(text, key, value)
    if key == "vrrp-version":
        text = with_key(text, "advert-interval-ms", "1000" if value == "2" else "100")
    text = text.replace("[pair]", f"# For {key}.\n[pair]", 1)
    done = result(change(master, text, revision))
    assert done["scope"] == "both", done
    assert alike(pair) and f"# For {key}." in backup.read(PAIR_CONF) and settings(master)[1] == done["revision"]
    hears_for(backup, 4 if key == "vrrp-version" and value == "2" else 1)  # some down times
    pair.wait_settled()
    assert changes(pair) == before and pair.master() is master
    assert "settings" not in [hold[0] for hold in pair.watch(backup).vrrp("Holds") or []]
    assert any(each["in_use"] and each["who"] == "root" and each["why"] == "ordered" for each in history(master))
    assert any(each["in_use"] and each["why"] == "peer" for each in history(backup))


def get_heard(device):
    done = device.run(["busctl", "--json=short", "get-property", "org.understudy.Vrrp1", "/org/understudy/Vrrp1", "org.understudy.Election1", "LastHeard"],
                      check=False)
    return max(json.loads(done.stdout)["data"].values(), default=0) if done.returncode == 0 else 0


def hears_for(backup, seconds):
    """Adverts of the new election, for so long. What comes of a change later than that, the next case sees: nobody had changed his role before it."""
    heard = wait_until(lambda: get_heard(backup), 10, "adverts in the new election")
    wait_until(lambda: (get_heard(backup) or 0) > heard + seconds * 1_000_000, 15, "adverts for a while")


def test_an_edited_file_goes_the_same_way(pair):
    """A version edited and reloaded left both devices Master once: the Backup could no longer hear."""
    master, before = pair.master(), calm(pair)
    master.write(PAIR_CONF, with_key(master.read(PAIR_CONF), "group-id", "78"))
    assert ask(master, "Reload").returncode == 0
    assert alike(pair) and get(pair.backup(), "GroupId") == 78
    hears_for(pair.backup(), 4)
    assert changes(pair) == before


def test_a_backup_has_its_master_do_it(pair):
    master, backup = pair.master(), pair.backup()
    text, revision = settings(backup)
    done = result(change(backup, with_key(text, "sync-interval-s", "31"), revision))
    assert done["scope"] == "both" and alike(pair)
    assert "root on " in next(each["who"] for each in history(master) if each["in_use"])


# Refused: nothing changes.


@pytest.mark.parametrize("edit, reason", [
    (lambda text: text.replace("group-id=", "group-id=999"), r'pair.conf:[0-9]+: "group-id" is a number from 1 to 255'),
    (lambda text: text + "\n[group more]\ninterface=nowhere\naddresses=203.0.113.9/24\n", r"pair.conf:[0-9]+: device.conf has no \[interface nowhere\]"),
    (lambda text: "", r"pair.conf:1: section \[pair\] is missing"),
])
def test_bad_text_changes_nothing(pair, edit, reason):
    before = version(pair.first), version(pair.second)
    for device in (pair.master(), pair.backup()):
        done = change(device, edit(device.read(PAIR_CONF)))
        assert done.returncode != 0
        assert re.search(reason, done.stderr), done.stderr
    assert (version(pair.first), version(pair.second)) == before


def test_what_the_backup_cannot_use_changes_nothing(pair):
    """An interface that the Master has and the Backup lacks."""
    master, backup = pair.master(), pair.backup()
    device_text = master.read(DEVICE_CONF)
    assert result(change(master, device_text + "\n[interface more]\ndevice=eth9\naddress=203.0.113.1/24\n", file="device.conf"))["scope"] == "device"
    before = version(master), version(backup)
    done = change(master, master.read(PAIR_CONF).replace("[group lan]", "[group lan]\nelects=true") + "\n[group more]\ninterface=more\naddresses=203.0.113.9/24\n")
    assert done.returncode != 0 and backup.name in done.stderr and "pair.conf:" in done.stderr and "[interface more]" in done.stderr
    assert (version(master), version(backup)) == before
    assert result(change(master, device_text, file="device.conf"))["scope"] == "device"


def test_other_settings_of_the_device_are_no_lost_peer(pair):
    """syncd may let go of its connections when it reads other interfaces: nobody is told that the Backup is down, and no change is made alone."""
    master, made = pair.master(), []
    text, since = master.read(DEVICE_CONF), len(master.console())
    for device_text in (text + "\n[interface more]\ndevice=eth9\naddress=203.0.113.1/24\n", text):
        assert result(change(master, device_text, file="device.conf"))["scope"] == "device"
        begin = time.monotonic()
        while time.monotonic() < begin + 0.5:
            words = ("pair.conf", with_key(master.read(PAIR_CONF), "sync-interval-s", str(30 + len(made))), "", {})
            made += pair.watch(master).call(SUPERVISOR, NAME, "SetSettings", GLib.Variant("(sssa{sv})", words), 30)
    # Lost between the one's commit and the other's, it is made there as soon as they talk again.
    assert [each for each in made if each["scope"] != "both" and "has not confirmed" not in str(each["notes"])] == []
    wait_until(lambda: alike(pair), 10, "one version on both")
    assert "event REDUNDANCY down" not in master.console()[since:]


def test_changes_at_the_same_time(pair):
    master = pair.master()
    text, revision = settings(master)
    result(change(master, with_key(text, "sync-interval-s", "41"), revision))
    before = version(master)
    done = change(master, with_key(text, "sync-interval-s", "42"), revision)
    assert done.returncode != 0 and "revision-differs: " in done.stderr and version(master) == before
    # Under way: the other device hangs.
    frozen, first = under_way(pair, with_key(text, "sync-interval-s", "43"))
    os.kill(frozen, signal.SIGCONT)
    out, err = first.communicate(timeout=30)
    assert first.returncode == 0, err
    assert json.loads(out)["data"][0]["scope"]["data"] == "both"


def test_dry_run_and_names(pair):
    master = pair.master()
    before = version(master)
    assert result(change(master, with_key(before[2], "cold-boot-wait-ms", "14000"), dry_run=True))["notes"] == \
        ["cold-boot-wait-ms: counts when the device is switched on next"]
    assert version(master) == before
    assert answer(master, "Settings", "s", "applications.d/words.conf")[0] == SLEEPER
    for name in ("../../shadow", "applications.d/../../shadow", "applications.d/.conf", "applications.d/", "shadow", "/etc/shadow"):
        done = ask(master, "Settings", "s", name)
        assert done.returncode != 0 and "the files are" in done.stderr, name
    done = change(master, SLEEPER, file="applications.d/words.conf")
    assert done.returncode != 0 and "installed by root" in done.stderr
    done = change(master, master.read(DEVICE_CONF).replace(f"id={master.name}", "id=gamma"), file="device.conf")
    assert done.returncode != 0 and "paired: " in done.stderr


# Interrupted.


def order(text):
    return ["busctl", "--json=short", "--timeout=30", "call", NAME, f"/{NAME.replace('.', '/')}", NAME, "SetSettings", "sssa{sv}", "pair.conf", text, "", "0"]


def under_way(pair, text):
    """An order that waits for the Backup, whose supervisor hangs: (its pid, the order's process). All within the 3 s after which a keeper replaces what
    hangs, so what orders is there before, and who looks has a line to the bus."""
    master, backup = pair.master(), pair.backup()
    running = master.popen(["/bin/sh", "-c", 'echo ready; read -r go; exec "$@"', "sh", *order(text)], stdin=-1, stdout=-1, stderr=-1, text=True)
    assert running.stdout.readline() == "ready\n"
    hangs = backup.kill("understudy-supervisor", signal.SIGSTOP)
    running.stdin.write("go\n")
    running.stdin.flush()

    def busy():
        assert running.poll() is None, running.communicate()
        try:
            pair.watch(master).call(SUPERVISOR, NAME, "SetSettings", GLib.Variant("(sssa{sv})", ("pair.conf", text, "", {"dry_run": GLib.Variant("b", True)})))
        except ConnectionError as error:
            return "another change of the settings is under way" in str(error)
        return False

    try:
        wait_until(busy, 3, "the change is under way")
    except BaseException:
        os.kill(hangs, signal.SIGCONT)
        finish(running)
        raise
    return hangs, running


def prepared_not_committed(pair, text):
    """The Backup has prepared and said so; the Master, stopped, has not heard it."""
    master, backup = pair.master(), pair.backup()
    backup_pid, running = under_way(pair, text)
    master_pid = master.kill("understudy-supervisor", signal.SIGSTOP)
    os.kill(backup_pid, signal.SIGCONT)
    wait_until(lambda: os.path.exists(backup.file("/var/lib/understudy/supervisor/settings-prepared")), 5, "prepared")
    # It has said so once it answers something else; its syncd has sent it, and the other's has received it, likewise.
    for device, service in (backup, SUPERVISOR), (backup, SYNC), (backup, SYNC), (master, SYNC):
        pair.watch(device).call(service, "org.freedesktop.DBus.Peer", "Ping")
    return master, backup, master_pid, running


def finish(running):
    running.kill()
    running.communicate()


CHANGES = [("sync-interval-s", "{n}"), ("group-id", "1{n}"), ("peer-port", "74{n}")]


@pytest.mark.parametrize("key, value", CHANGES)
def test_the_master_dies_between_prepare_and_commit(pair, key, value):
    text = with_key(pair.master().read(PAIR_CONF), key, value.format(n=61))
    old = version(pair.master())
    master, backup, _, running = prepared_not_committed(pair, text)
    pair.power_cut(master)
    finish(running)
    pair.watch(backup).wait_role("master", 30)
    assert version(backup) == old
    pair.switch_on(master)
    pair.wait_settled(60)
    wait_until(lambda: kept(backup, "not-committed", f"{key}={value.format(n=61)}"), 30, "the announced one is kept")
    wait_until(lambda: event_of(pair, backup, "settings-kept", "understudy settings restore"), 5, "and told of")
    assert alike(pair) and version(backup) == old
    assert not os.path.exists(backup.file("/var/lib/understudy/supervisor/settings-prepared"))


@pytest.mark.parametrize("key, value", CHANGES)
def test_the_backup_dies_between_prepare_and_commit(pair, key, value):
    text = with_key(pair.master().read(PAIR_CONF), key, value.format(n=62))
    master, backup, master_pid, running = prepared_not_committed(pair, text)
    for port in backup.ports.values():
        port.block()
    os.kill(master_pid, signal.SIGCONT)
    out, err = running.communicate(timeout=30)
    pair.power_cut(backup)
    assert running.returncode == 0, err  # it had agreed
    done = json.loads(out)["data"][0]
    assert done["scope"]["data"] == "alone" and "has not confirmed" in done["notes"]["data"][-1], done
    pair.switch_on(backup)
    pair.wait_settled(60)
    wait_until(lambda: alike(pair), 30, "one version on both")
    assert f"{key}={value.format(n=62)}" in backup.read(PAIR_CONF) and pair.master() is master


@pytest.mark.parametrize("key, value", CHANGES)
def test_the_master_dies_between_its_commit_and_the_other(pair, key, value):
    word = f"{key}={value.format(n=63)}"
    text = with_key(pair.master().read(PAIR_CONF), key, value.format(n=63))
    old = version(pair.master())
    master, backup, master_pid, running = prepared_not_committed(pair, text)
    for port in master.ports.values():
        port.block()
    os.kill(master_pid, signal.SIGCONT)
    wait_until(lambda: word in master.read(PAIR_CONF), 10, "committed there")
    pair.power_cut(master)
    finish(running)
    pair.watch(backup).wait_role("master", 30)
    assert version(backup) == old
    pair.switch_on(master)
    wait_until(lambda: word in backup.read(PAIR_CONF), 60, "the committed one wins")
    pair.wait_settled(60)
    wait_until(lambda: alike(pair), 30, "one version on both")
    assert pair.master() is backup


@pytest.mark.parametrize("who", ["master", "backup"])
def test_only_its_supervisor_dies(pair, who):
    text = with_key(pair.master().read(PAIR_CONF), "group-id", "97" if who == "master" else "98")
    before = changes(pair)
    master, backup, master_pid, running = prepared_not_committed(pair, text)
    if who == "master":
        os.kill(master_pid, signal.SIGKILL)
        master.wait_process("understudy-supervisor", not_pid=master_pid)
    else:
        killed = backup.kill("understudy-supervisor")
        backup.wait_process("understudy-supervisor", not_pid=killed)
        os.kill(master_pid, signal.SIGCONT)
    finish(running)
    wait_until(lambda: not os.path.exists(backup.file("/var/lib/understudy/supervisor/settings-prepared")), 30, "decided")
    wait_until(lambda: alike(pair), 30, "one version on both")
    pair.wait_settled(60)
    assert changes(pair) == before and pair.master() is master


# The other one away.


def test_changed_with_the_peer_dead(pair):
    master, backup = pair.master(), pair.backup()
    aside = sum(each["why"] == "kept-aside" for each in history(backup))
    pair.power_cut(backup)
    wait_until(lambda: not pair.watch(master).peer().get("connected"), 15, "the peer is missed")
    text = master.read(PAIR_CONF)
    done = result(change(master, with_key(text, "sync-interval-s", "71")))
    assert done["scope"] == "alone" and "takes them over when it is back" in done["notes"][-1]
    wait_until(lambda: event_of(pair, master, "settings", "on this device alone"), 5, "an event")
    text, before = with_key(text, "sync-interval-s", "71"), version(master)
    assert before[2].count("sync-interval-s=71") == 1
    for key, value in (("group-id", "99"), ("peer-port", "7501"), ("advert-interval-ms", "500"), ("enabled", "false")):
        done = change(master, with_key(text, key, value))
        assert done.returncode != 0 and f"needs-alone: by {key} " in done.stderr and version(master) == before
    assert result(change(master, with_key(text, "group-id", "99"), alone=True))["scope"] == "alone"
    # The other one is at the old port when it comes, and is looked for there, too.
    text = master.read(PAIR_CONF)
    assert result(change(master, with_key(text, "peer-port", "7502"), alone=True))["scope"] == "alone"
    assert result(change(master, with_key(master.read(PAIR_CONF), "sync-interval-s", "72")))["scope"] == "alone"
    pair.switch_on(backup)
    pair.watch(backup).wait(pair.watch(backup).role, 15, "its supervisor")
    wait_until(lambda: alike(pair), 60, "one version on both")
    pair.wait_settled(60)
    assert "sync-interval-s=72" in backup.read(PAIR_CONF) and "peer-port=7502" in backup.read(PAIR_CONF)
    assert get(backup, "GroupId") == 99
    assert pair.master() is master, backup.run(["understudy", "timeline", "--count", "8"]).stdout
    assert sum(each["why"] == "kept-aside" for each in history(backup)) == aside  # it lost nothing: it only came later


def test_a_backup_without_its_master_refuses(pair):
    master, backup = pair.master(), pair.backup()
    before = version(backup)
    stopped = master.kill("understudy-syncd", signal.SIGSTOP)
    try:
        wait_until(lambda: not pair.watch(backup).peer().get("connected"), 15, "the peer is missed")
        done = change(backup, with_key(before[2], "sync-interval-s", "72"))
        assert done.returncode != 0 and "no-master: " in done.stderr and version(backup) == before
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_changed_on_both_sides_of_a_split(pair):
    first, second = pair.master(), pair.backup()
    for port in second.ports.values():
        port.block()
    pair.watch(second).wait_role("master", 30)
    wait_until(lambda: not pair.watch(first).peer().get("connected"), 15, "the split is seen")
    assert result(change(first, with_key(first.read(PAIR_CONF), "sync-interval-s", "81")))["scope"] == "alone"
    assert result(change(second, with_key(second.read(PAIR_CONF), "sync-interval-s", "82")))["scope"] == "alone"
    for port in second.ports.values():
        port.unblock()
    wait_until(lambda: alike(pair), 60, "one version on both")
    pair.wait_settled(60)
    assert "sync-interval-s=82" in first.read(PAIR_CONF)  # changed in the newer term
    assert kept(first, "kept-aside", "sync-interval-s=81")
    wait_until(lambda: event_of(pair, first, "settings-kept", "understudy settings restore"), 5, "told of")


def test_restored(pair):
    master = pair.master()
    result(change(master, with_key(master.read(PAIR_CONF), "sync-interval-s", "91")))
    number = next(each["number"] for each in history(master) if each["in_use"])
    result(change(master, with_key(master.read(PAIR_CONF), "sync-interval-s", "92")))
    text = answer(master, "SettingsVersion", "u", str(number))[1]
    result(change(master, text))
    assert alike(pair) and "sync-interval-s=91" in pair.backup().read(PAIR_CONF)
