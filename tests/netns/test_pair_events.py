# SPDX-License-Identifier: LGPL-2.1-or-later
"""Events and messages of a pair: seen on both devices, and told by the one that is left."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

SLEEPER = "[application]\ncommand=/bin/sleep 1000000\nuser=nobody\n"
# Nobody listens there, so each message waits.
MAIL = "\n[mail boss]\nto=boss@example.com\nfrom=pbx@example.com\nserver=127.0.0.1:9\nsecurity=none\n[rule calls]\napplication=CALLS\nactions=mail:boss\n"


@pytest.fixture
def pair(build):
    with Pair(build, {"sleeper": SLEEPER}) as pair:
        pair.first.write("/etc/understudy/pair.conf", pair.first.read("/etc/understudy/pair.conf") + MAIL)
        pair.start()
        yield pair


def busctl(device, *words, check=True):
    """None: without check, nobody answers (yet)."""
    done = device.run(["busctl", "--json=short", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", *words], check=check)
    return json.loads(done.stdout)["data"][0] if done.returncode == 0 else None


def raise_event(device, name):
    return busctl(device, "Raise", "ssyssa{sv}", "CALLS", name, "3", "text", "", "0")


def events(device):
    """{name: device that raised it}"""
    return {event["name"]["data"]: event["device"]["data"] for event in busctl(device, "List", "a{sv}", "0") if event["application"]["data"] == "CALLS"}


def unread(device):
    new = busctl(device, "List", "a{sv}", "1", "status", "s", "new", check=False)
    return None if new is None else {event["name"]["data"] for event in new if event["application"]["data"] == "CALLS"}


def mark(device, name):
    found = [event["id"]["data"] for event in busctl(device, "List", "a{sv}", "0") if event["name"]["data"] == name]
    busctl(device, "MarkRead", "at", str(len(found)), *map(str, found))


def rows(device):
    """{message id: device whose task it is}"""
    return {row["message"]["data"]: row["device"]["data"] for row in busctl(device, "Deliveries", "a{sv}", "1", "state", "s", "waiting")}


def test_events_of_both_and_messages_of_the_dead(pair):
    master, backup = pair.master(), pair.backup()
    raise_event(master, "on the master")
    raise_event(backup, "on the backup")
    both = {"on the master": master.name, "on the backup": backup.name}
    for device in (master, backup):
        wait_until(lambda device=device: events(device) == both, 15, f"{device.name} has the events of both")
    # What the Backup could not send is left to the Master; what the Master could not, to nobody.
    wait_until(lambda: len(rows(master)) == 2 and set(rows(master).values()) == {master.name} and rows(master) == rows(backup), 15,
               "two messages, the Master's task, on both")
    messages = set(rows(master))
    # What somebody has read on either is read on both; also what was read while one of them was away.
    mark(backup, "on the master")
    wait_until(lambda: unread(master) == {"on the backup"} == unread(backup), 15, "read on the Backup, read on the Master")
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 15)
    wait_until(lambda: rows(backup) == {message: backup.name for message in messages}, 30, "the one that is left has them, by the same ids")
    assert events(backup) == both
    mark(backup, "on the backup")
    pair.switch_on(master)
    wait_until(lambda: unread(master) == set(), 30, "read on the one that was left, read on the one that is back")
    assert events(master) == both
