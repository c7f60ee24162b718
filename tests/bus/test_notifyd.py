# SPDX-License-Identifier: LGPL-2.1-or-later
"""notifyd as it ships, on a real bus and its private socket: what it confirmed is there, whatever happened."""

import os
import signal
import socket
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import Gio, GLib

from notify_place import DEADLINE_S, NOTIFY, NOTIFY_PATH, Place, wait_until

INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
DENIED = "org.freedesktop.DBus.Error.AccessDenied"


@pytest.fixture
def empty_place(build):
    place = Place(build)
    yield place
    place.close()


@pytest.fixture
def place(empty_place):
    empty_place.start_bus()
    empty_place.start_notifyd()
    return empty_place


@pytest.fixture(params=["system", "private"])
def client(place, request):
    return place.wait_for_name(place.system_bus()) if request.param == "system" else place.private_socket()


def u(value):
    return GLib.Variant("u", value)


def s(value):
    return GLib.Variant("s", value)


def test_raise_list_mark(client):
    first = client.raise_event("SIP", "ip phone registration rejected", 1, "line 12\nsaid 403", "/phones/12", time_ms=GLib.Variant("x", 1700000000123))
    second = client.raise_event("REDUNDANCY", "down", 3, "Backup device is DOWN")
    assert second > first
    events = client.list()
    assert [event["id"] for event in events] == [second, first]
    assert events[1] == {"id": first, "status": "new", "time_ms": 1700000000123, "priority": 1, "application": "SIP",
                         "name": "ip phone registration rejected", "description": "line 12\nsaid 403", "reference": "/phones/12",
                         "device": "dev-a"}
    assert (client.get("Count"), client.get("Unread"), client.get("Capacity")) == (2, 2, 10000)
    assert client.mark_read(first, 12345) == 1
    assert client.mark_read(first) == 0
    assert [event["status"] for event in client.list()] == ["new", "read"]
    assert client.get("Unread") == 1
    assert client.mark_read() == 1
    assert client.get("Unread") == 0


def test_signals_reach_both_sides(place):
    system, private = place.wait_for_name(place.system_bus()), place.private_socket()
    assert system.get("Count") == private.get("Count") == 0  # both are connected and subscribed
    event_id = private.raise_event("SIP", "both see it", 2)
    system.mark_read(event_id)
    for client in (system, private):
        wait_until(lambda c=client: any(member == "Marked" for _, member, _ in c.signals), "Marked")
        wait_until(lambda c=client: sum(member == "PropertiesChanged" for _, member, _ in c.signals) >= 2, "both property changes")
        raised = [args for _, member, args in client.signals if member == "Raised"]
        assert len(raised) == 1 and raised[0][0]["id"] == event_id and raised[0][0]["name"] == "both see it"
        assert [args for _, member, args in client.signals if member == "Marked"] == [([event_id],)]
        changes = [args[1] for _, member, args in client.signals if member == "PropertiesChanged"]
        assert changes[0] == {"Count": 1, "Unread": 1, "UnreadWarning": (1, 2)} and changes[-1] == {"Unread": 0, "UnreadWarning": (0, 0)}
        order = [member for _, member, _ in client.signals]
        assert order.index("PropertiesChanged") < order.index("Raised"), "who is told of an event finds the counts already right"


def test_same_key_is_stored_once(place, client):
    first = client.raise_event(name="a", key=s("boot-7/1"))
    assert client.raise_event(name="a", key=s("boot-7/1")) == first
    place.kill_notifyd()
    place.start_notifyd()
    again = place.private_socket()
    assert again.raise_event(name="a", key=s("boot-7/1")) == first
    assert again.raise_event(name="a", key=s("boot-7/2")) != first
    assert again.get("Count") == 2
    wait_until(lambda: any(member == "Raised" for _, member, _ in again.signals), "the signal of the second key")
    assert sum(member == "Raised" for _, member, _ in again.signals) == 1


def test_same_key_again_before_it_is_answered(client):
    """The ones that follow are answered with the first, and are it."""
    answers = []
    args = GLib.Variant("(ssyssa{sv})", ("SIP", "said again", 2, "", "", {"key": s("boot-7/1")}))
    for _ in range(50):
        client.connection.call(client.destination, NOTIFY_PATH, NOTIFY, "Raise", args, None, 0, DEADLINE_S * 1000, None,
                               lambda connection, result: answers.append(connection.call_finish(result).unpack()[0]))
    wait_until(lambda: len(answers) == 50, "all are answered")
    assert set(answers) == {client.list()[0]["id"]} and client.get("Count") == 1


def test_filters(place):
    client = place.private_socket()
    for i in range(6):
        client.raise_event(["SIP", "MG"][i % 2], f"event {i}", i % 3 + 1, "Линия молчит" if i == 4 else "", time_ms=GLib.Variant("x", 1000 + i))

    def names(**filters):
        return [int(event["name"][-1]) for event in client.list(**filters)]

    ids = {int(event["name"][-1]): event["id"] for event in client.list()}
    client.mark_read(ids[0], ids[1])
    assert names(count=u(2)) == [5, 4]
    assert names(before=GLib.Variant("t", ids[2])) == [1, 0]
    assert names(status=s("new")) == [5, 4, 3, 2]
    assert names(status=s("read")) == [1, 0]
    assert names(application=s("MG")) == [5, 3, 1]
    assert names(min_priority=GLib.Variant("y", 3)) == [5, 2]
    assert names(since_ms=GLib.Variant("x", 1004)) == [5, 4]
    assert names(text=s("МОЛЧИТ")) == [4]
    assert names(text=s("EVENT"), application=s("SIP"), status=s("new"), count=u(1)) == [4]
    assert names(text=s("' OR 1=1 --")) == names(text=s("%")) == names(text=s("_")) == []


def test_invalid_input_changes_nothing(client):
    good = ["SIP", "name", 1, "", "", {}]

    def bad(index, value):
        return [*good[:index], value, *good[index + 1:]]

    for args in (bad(0, ""), bad(0, "x" * 65), bad(0, "new\nline"), bad(1, ""), bad(1, "\x1b[2J"), bad(1, "ф" * 65), bad(2, 0), bad(2, 4),
                 bad(2, 255), bad(3, "x" * 4097), bad(3, "bell\a"), bad(4, "x" * 1025), bad(4, "a\tb"), bad(5, {"key": s("")}),
                 bad(5, {"key": s("k" * 129)}), bad(5, {"key": u(1)}), bad(5, {"time_ms": u(1)}), bad(5, {"time_ms": GLib.Variant("x", -1)}),
                 bad(5, {"colour": s("red")})):
        name, text = client.fails("Raise", "(ssyssa{sv})", *args)
        assert name == INVALID and text, args
    for filters in ({"count": u(0)}, {"count": s("1")}, {"status": s("old")}, {"min_priority": GLib.Variant("y", 9)}, {"limit": u(1)}):
        assert client.fails("List", "(a{sv})", filters)[0] == INVALID, filters
    assert client.fails("MarkRead", "(at)", list(range(10001)))[0] == INVALID
    assert client.fails("Raise", "(ss)", "SIP", "name")[0] == INVALID
    assert client.get("Count") == 0
    assert client.raise_event("ф" * 64, "й" * 64, 3, "x" * 4096, "y" * 1024, key=s("k" * 128)) > 0


MEGABYTE = 1024 * 1024
FIELDS = ["application", "name", "description", "reference", "about", "key"]


@pytest.mark.parametrize("letter", ["x", "\u0444", "\U0001f4de"], ids=["ascii", "two bytes", "four bytes"])
def test_texts_of_a_megabyte(client, letter):
    """Refused by name, and before anything is stored."""
    text = letter * (MEGABYTE // len(letter.encode()))
    for number, field in enumerate(FIELDS):
        texts = ["SIP", "name", "", ""]
        options = {} if number < 4 else {field: s(text)}
        if number < 4:
            texts[number] = text
        name, said = client.fails("Raise", "(ssyssa{sv})", *texts[:2], 1, *texts[2:], options)
        assert name == INVALID and f": {field}: " in said and len(said) < 200, (field, name, said[:200])
    assert client.get("Count") == 0 and client.raise_event() == 1 and client.list(text=s(text)) == []


class Raw:
    """Sends what no library would."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(path))
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(100).startswith(b"OK")
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0

    def send(self, destination, path, interface, method, body=None, change=lambda blob: blob):
        self.serial += 1
        message = Gio.DBusMessage.new_method_call(destination, path, interface, method)
        message.set_serial(self.serial)
        if body:
            message.set_body(body)
        self.socket.sendall(change(bytes(message.to_blob(Gio.DBusCapabilityFlags.NONE))))

    def is_closed(self):
        """Once all that it was sent has been read."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        self.socket.close()
        return True


@pytest.mark.parametrize("on", ["system", "private"])
@pytest.mark.parametrize("wrong", [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"], ids=["no UTF-8", "overlong", "surrogate", "five bytes"])
def test_texts_that_are_not_utf_8(place, on, wrong):
    """No text of D-Bus: who sends it is cut off, and nobody else."""
    client = place.wait_for_name(place.system_bus()) if on == "system" else place.private_socket()
    raw = Raw(place.root / ("run/bus" if on == "system" else "run/understudy/private/notify"))
    if on == "system":
        raw.send("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
    mark = b"@" * len(wrong)
    raw.send(NOTIFY if on == "system" else None, NOTIFY_PATH, NOTIFY, "Raise", GLib.Variant("(ssyssa{sv})", ("SIP", f"a {mark.decode()}", 1, "", "", {})),
             lambda blob: blob.replace(mark, wrong))
    assert raw.is_closed()
    assert client.get("Count") == 0 and client.raise_event() == 1


def raise_until_it_dies(place, worker, confirmed):
    """One raiser with a connection of its own; remembers what was confirmed, and what it was waiting for."""
    client = place.private_socket()
    number = 0
    try:
        while True:
            number += 1
            event_id = client.raise_event(name=f"{worker}/{number}", key=s(f"{worker}/{number}"))
            confirmed[f"{worker}/{number}"] = event_id
    except GLib.Error:
        pass


def test_kill_loses_nothing_confirmed(place):
    confirmed = {}
    for round_number in range(4):
        workers = [threading.Thread(target=raise_until_it_dies, args=(place, f"{round_number}-{i}", confirmed)) for i in range(4)]
        enough = len(confirmed) + 40 + 30 * round_number
        for worker in workers:
            worker.start()
        wait_until(lambda e=enough: len(confirmed) > e, "events are confirmed")
        place.kill_notifyd()
        for worker in workers:
            worker.join(DEADLINE_S)
            assert not worker.is_alive()
        place.start_notifyd()
    stored = {event["name"]: event["id"] for event in place.private_socket().list_all()}
    assert confirmed.items() <= stored.items()
    # At most the one call each raiser had under way is there unconfirmed; and none is there twice.
    assert len(stored) - len(confirmed) <= 4 * 4
    assert len(stored) == place.private_socket().get("Count")


FILL = """
import sqlite3
with sqlite3.connect("/var/lib/understudy/notify/events.db") as db:
    db.executemany("INSERT INTO events(time_ms, priority, application, name, description, reference, device) VALUES(1, 1, 'SIP', ?, '', '', 'd')",
                   [(f"filler {i}",) for i in range(9998)])
"""


def test_the_oldest_go(place):
    """Capacity is 10000; the store is filled by hand to just below it."""
    client = place.private_socket()
    client.raise_event(name="first", key=s("first"), time_ms=GLib.Variant("x", 0))  # before those that the hand puts in
    place.kill_notifyd(signal.SIGTERM)
    done = place.run("/usr/bin/python3", "-c", FILL, user="understudy-notify")
    assert done.returncode == 0, done.stderr
    place.start_notifyd()
    client = place.private_socket()
    assert client.get("Count") == 9999
    client.raise_event(name="the last that fits")
    assert client.get("Count") == 10000
    assert client.list(text=s("first"))
    client.raise_event(name="one too many")
    assert client.get("Count") == 10000
    assert not client.list(text=s("first"))
    ids = [event["id"] for event in client.list_all()]
    assert len(ids) == len(set(ids)) == 10000 and ids == sorted(ids, reverse=True)


def test_full_disk(empty_place):
    """A clear error, nothing half stored, nothing confirmed lost, and it goes on when there is room."""
    place = empty_place
    folder = place.root / "var/lib/understudy/notify"
    assert place.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700,uid=900,gid=900", "tmpfs", "/var/lib/understudy/notify").returncode == 0
    place.start_notifyd()
    client = place.private_socket()
    stored = 0
    with open(folder / "filler", "wb") as filler:
        filler.write(bytes(300 * 1024))
    for _ in range(2000):
        try:
            client.raise_event(description="x" * 4096)
            stored += 1
        except GLib.Error as error:
            assert Gio.DBusError.get_remote_error(error) == "org.understudy.Error.Failed"
            assert "no space left" in error.message and "nothing was stored" in error.message
            break
    else:
        raise AssertionError("the disk never was full")
    assert stored > 10 and client.get("Count") == stored == len(client.list_all())
    (folder / "filler").unlink()
    client.raise_event(name="after")
    place.kill_notifyd()
    place.start_notifyd()
    again = place.private_socket()
    assert again.get("Count") == stored + 1 and again.list(count=u(1))[0]["name"] == "after"


def test_a_search_holds_up_nobody(place):
    """It reads each event; others' calls are answered between, whichever was there first."""
    place.kill_notifyd(signal.SIGTERM)
    assert place.run("/usr/bin/python3", "-c", FILL, user="understudy-notify").returncode == 0
    place.start_notifyd()
    searcher, other = place.private_socket(), place.private_socket()

    def calls_answered_before_the_search():
        order = []

        def ask(client, name, interface, method, args):
            client.connection.call(None, NOTIFY_PATH, interface, method, args, None, 0, DEADLINE_S * 1000, None, lambda *_: order.append(name))

        ask(searcher, "search", NOTIFY, "List", GLib.Variant("(a{sv})", ({"text": s("no such text")},)))
        for _ in range(5):
            ask(other, "call", "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (NOTIFY, "Count")))
        wait_until(lambda: len(order) == 6, "all is answered")
        return order.index("search")

    wait_until(lambda: calls_answered_before_the_search() == 5, "the others' calls are answered before it")


@pytest.mark.parametrize("content", [b"no database at all, never was", bytes(8192)])
def test_damaged_database(empty_place, content):
    place = empty_place
    (place.root / "var/lib/understudy/notify/events.db").write_bytes(content)
    place.start_notifyd()
    events = place.private_socket().list()
    assert [event["name"] for event in events] == ["event store replaced"]
    aside = place.root / "var/lib/understudy/notify" / events[0]["reference"]
    assert aside.read_bytes() == content, "what was there is kept as it was"
    assert "moved aside" in place.notifyd_stderr()


def test_no_bus_then_a_bus_then_another(empty_place):
    """The private socket does not care; the name comes back with the bus."""
    place = empty_place
    place.start_notifyd()
    private = place.private_socket()
    private.raise_event(name="before any bus")
    for _ in range(2):
        place.start_bus()
        system = place.wait_for_name(place.system_bus())
        assert system.get("Count") == private.get("Count")
        place.stop_bus()
        private.raise_event(name="the bus is gone")
    assert private.get("Count") == 3


def test_frozen_bus_delays_nobody(place):
    place.wait_for_name(place.system_bus())
    place.bus_daemon.send_signal(signal.SIGSTOP)
    try:
        client = place.private_socket()
        for i in range(50):
            client.raise_event(name=f"event {i}")
        assert client.get("Count") == 50
    finally:
        place.bus_daemon.send_signal(signal.SIGCONT)


def test_sigterm_and_bad_starts(place, build):
    assert place.kill_notifyd(signal.SIGTERM) == 0
    program = build / "notifyd/understudy-notifyd"
    done = place.run(program, "--help")
    assert done.returncode == 2 and "no arguments" in done.stderr
    place.write("etc/understudy/device.conf", "[device]\nid=dev-a\ncolour=red\n")
    done = place.run(program)
    assert done.returncode == 2 and "device.conf:3" in done.stderr and "colour" in done.stderr
    (place.root / "etc/understudy/device.conf").unlink()
    done = place.run(program)
    assert done.returncode == 2 and "device.conf" in done.stderr and "missing" in done.stderr


def interface_of(document):
    """The Notify1 of an introspection document, as comparable data."""
    node = ElementTree.fromstring(document)
    (interface,) = [each for each in node if each.get("name") == NOTIFY]
    return sorted((member.tag, member.get("name"), member.get("type"), member.get("access"),
                   tuple((arg.tag, arg.get("name"), arg.get("type"), arg.get("direction"), arg.get("value")) for arg in member))
                  for member in interface)


def test_introspection_is_the_contract(place, client):
    contract = (place.top / f"dbus/interfaces/{NOTIFY}.xml").read_text(encoding="utf-8")
    (live,) = client.call("Introspect", interface="org.freedesktop.DBus.Introspectable")
    assert interface_of(live) == interface_of(contract)


def test_busctl_and_dbus_send(place):
    place.wait_for_name(place.system_bus())

    def busctl(*words, **more):
        return place.run("busctl", "--address=unix:path=/run/bus", *words, **more)

    done = busctl("call", NOTIFY, NOTIFY_PATH, NOTIFY, "Raise", "ssyssa{sv}", "SIP", "by busctl", "2", "text", "", "1", "key", "s", "k")
    assert (done.returncode, done.stdout) == (0, "t 1\n"), done.stderr
    assert busctl("get-property", NOTIFY, NOTIFY_PATH, NOTIFY, "Unread").stdout == "u 1\n"
    assert NOTIFY_PATH in busctl("tree", NOTIFY).stdout
    listed = busctl("introspect", NOTIFY, NOTIFY_PATH).stdout
    for member in (".Raise", ".List", ".MarkRead", ".Raised", ".Marked", ".Unread", ".Count", ".Capacity"):
        assert member in listed
    done = place.run("dbus-send", "--system", "--print-reply=literal", f"--dest={NOTIFY}", NOTIFY_PATH, f"{NOTIFY}.MarkRead", "array:uint64:1")
    assert (done.returncode, done.stdout.split()) == (0, ["uint32", "1"]), done.stderr
    done = place.run("dbus-send", "--peer=unix:path=/run/understudy/private/notify", "--print-reply=literal", NOTIFY_PATH,
                     "org.freedesktop.DBus.Properties.Get", f"string:{NOTIFY}", "string:Count")
    assert (done.returncode, done.stdout.split()) == (0, ["variant", "uint32", "1"]), done.stderr


def test_access(place):
    place.wait_for_name(place.system_bus())

    def send(user, method, *args):
        done = place.run("dbus-send", "--system", "--print-reply", f"--dest={NOTIFY}", NOTIFY_PATH, f"{NOTIFY}.{method}", *args, user=user)
        return "ok" if done.returncode == 0 else "denied" if DENIED in done.stderr else done.stderr

    def busctl_raise(user, application):
        done = place.run("busctl", "--address=unix:path=/run/bus", "call", NOTIFY, NOTIFY_PATH, NOTIFY, "Raise", "ssyssa{sv}", application, "n", "1", "", "",
                         "0", user=user)
        return "ok" if done.returncode == 0 else "denied" if "Access denied" in done.stderr else done.stderr

    assert send("stranger", "MarkRead", "array:uint64:") == "denied"
    assert busctl_raise("viewer", "SIP") == "ok"
    assert send("viewer", "MarkRead", "array:uint64:1") == "denied"
    assert send("operator", "MarkRead", "array:uint64:1") == "ok"
    for user in ("viewer", "operator"):
        for application in ("REDUNDANCY", "NOTIFY"):
            assert busctl_raise(user, application) == "denied", "only Understudy itself speaks in these names"
    assert busctl_raise(None, "REDUNDANCY") == "ok"
    # The private socket is for our own processes.
    done = place.run("dbus-send", "--peer=unix:path=/run/understudy/private/notify", "--print-reply", NOTIFY_PATH,
                     "org.freedesktop.DBus.Properties.Get", f"string:{NOTIFY}", "string:Count", user="operator")
    assert done.returncode != 0


RAISE_MANY = f"""
import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
n = 0
try:
    while n < 1000:
        bus.call_sync("{NOTIFY}", "{NOTIFY_PATH}", "{NOTIFY}", "Raise", GLib.Variant("(ssyssa{{sv}})", ("X", "n", 1, "", "", {{}})), None, 0, 5000)
        n += 1
except GLib.Error as error:
    print(n, Gio.DBusError.get_remote_error(error))
"""


def test_nobody_floods_the_store(place):
    client = place.wait_for_name(place.system_bus())
    said = place.run("/usr/bin/python3", "-c", RAISE_MANY, user="viewer").stdout.split()
    assert said[1] == "org.understudy.Error.Busy" and 100 <= int(said[0]) < 120, said
    assert place.run("/usr/bin/python3", "-c", RAISE_MANY).stdout == "", "root is our own daemons"
    assert client.get("Count") == int(said[0]) + 1000


def test_files_are_private(place):
    place.private_socket().raise_event()
    for file in (place.root / "var/lib/understudy/notify").iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
