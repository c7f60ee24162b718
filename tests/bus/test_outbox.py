# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is told to whom: notifyd as it ships, with small programs in the place of those that deliver."""

import json
import re
import shutil
import signal
import stat
import subprocess

import pytest
from gi.repository import GLib

from notify_place import Place, wait_until

PROGRAMS = "run/programs"
RULES = """
[mail boss]
to=boss@example.com
from=pbx@example.com
server=mail.example.com
[mail two]
to=one@example.com two@example.com
from=pbx@example.com
server=mail.example.com
[sms duty]
to=+491700
url=https://sms.example.com/?to={to}&text={text}
[rule boss]
application=SIP
actions=mail:boss
[rule two]
application=MG
actions=mail:two
[rule both]
application=CALL
actions=mail:boss sms:duty
[rule failures]
application=NOTIFY
actions=mail:boss sms:duty
"""

# Notes the message's id and the recipients, then does what its file says for this run.
FAKE = """#!/bin/sh
cd /run/programs
job=$(cat)
id=$(echo "$job" | sed -n '/^.job/,/^$/s/^id=//p')
to=$(echo "$job" | sed -n 's/^list=//p')
echo "$job" > last-$$; mv last-$$ job-NAME
echo "$id $to" >> seen-NAME
say() { IFS=';'; for each in $to; do printf '%s\\t%s\\t%s\\n' "$1" "$each" "$2"; done; unset IFS; }
. ./do-NAME
"""


def s(value):
    return GLib.Variant("s", value)


class Post(Place):
    """A place whose notifyd has these programs beside it."""

    def __init__(self, build):
        super().__init__(build)
        folder = self.root / PROGRAMS
        folder.mkdir()
        folder.chmod(0o777)
        shutil.copy(self.build / "notifyd/understudy-notifyd", folder / "understudy-notifyd")
        for name in ("mail", "sms"):
            program = folder / f"understudy-{name}"
            program.write_text(FAKE.replace("NAME", name))
            program.chmod(0o755)
            self.will(name, "say accepted '250 taken'")
        self.device("dev-a", "192.0.2.2")
        self.write("etc/understudy/pair.conf", "[pair]\nenabled=false\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\nelects=true\n" + RULES)

    def device(self, name, address):
        self.write("etc/understudy/device.conf", f"[device]\nid={name}\nname={name}\n[interface lan]\ndevice=eth0\naddress={address}/24\n")

    def will(self, name, script):
        new = self.root / PROGRAMS / f"new-{name}"
        new.write_text(script + "\n")
        new.rename(self.root / PROGRAMS / f"do-{name}")

    def seen(self, name):
        """[(message id, recipients)] of each run."""
        path = self.root / PROGRAMS / f"seen-{name}"
        return [tuple(line.split(" ", 1)) for line in path.read_text().splitlines()] if path.exists() else []

    def start_notifyd(self, told=True, **place):
        self.notifyd = self.start([f"/{PROGRAMS}/understudy-notifyd"], user="understudy-notify", stderr=subprocess.PIPE)
        wait_until(self.private_answers, "notifyd answers on its private socket")
        client = self.private_socket()
        if told:
            self.tell_place(client, **place)
        return client

    def tell_place(self, client, leads=True, connected=False, peer_leads=False, paired=False, peer="", heads=None):
        place = {"leads": GLib.Variant("b", leads), "connected": GLib.Variant("b", connected), "peer_leads": GLib.Variant("b", peer_leads),
                 "paired": GLib.Variant("b", paired), "peer": s(peer)}
        if heads is not None:
            place["heads"] = GLib.Variant("a{sv}", heads)
        client.call("SetPlace", "(a{sv})", place)


def deliveries(client, **filters):
    return client.call("Deliveries", "(a{sv})", {key: s(value) for key, value in filters.items()})[0]


def wait_delivery(client, state, number=1, **filters):
    def there():
        found = deliveries(client, state=state, **filters)
        return found if len(found) >= number else None
    return wait_until(there, f"{number} deliveries are {state}; there are {deliveries(client)}")


@pytest.fixture
def post(build):
    post = Post(build)
    yield post
    post.close()


def test_an_event_is_told_once(post):
    client = post.start_notifyd()
    event = client.raise_event("SIP", "registration rejected", 3, "line 12", "/phones/12")
    (row,) = wait_delivery(client, "delivered")
    assert row["event"] == event and row["target"] == "mail:boss" and row["left"] == [] and row["attempts"] == 1
    assert [answer[1:] for answer in row["answers"]] == [("boss@example.com", "accepted", "250 taken")]
    assert post.seen("mail") == [(row["message"], "boss@example.com;")]
    job = (post.root / PROGRAMS / "job-mail").read_text()
    assert "server=mail.example.com" in job and "name=registration rejected" in job and "reference=/phones/12" in job
    client.raise_event("OTHER", "nobody wants to know", 3)
    assert len(deliveries(client)) == 1


KILLS = {
    # the program's script, and what must be true before the kill
    "before it starts": ("say accepted '250 taken'", lambda post, client: True),
    "before it answers": ("exec sleep infinity", lambda post, client: post.seen("mail")),
    "between two answers": ("""printf 'accepted\\tone@example.com\\t250 taken\\n'; [ -e again ] || exec sleep infinity
                               printf 'accepted\\ttwo@example.com\\t250 taken\\n'""",
                            lambda post, client: [row for row in deliveries(client) if row["left"] == ["two@example.com"]]),
    "before it ends": ("say accepted '250 taken'; [ -e again ] || exec sleep infinity", lambda post, client: deliveries(client, state="delivered")),
    "when it is done": ("say accepted '250 taken'", lambda post, client: deliveries(client, state="delivered")),
}


@pytest.mark.parametrize("step", KILLS)
def test_killed_at_each_step(post, step):
    script, reached = KILLS[step]
    post.will("mail", script)
    client = post.start_notifyd()
    client.raise_event("MG", "call quality", 2)
    (message,) = [row["message"] for row in deliveries(client)]
    wait_until(lambda: reached(post, client), step)
    post.kill_notifyd()
    if "again" in script:
        (post.root / PROGRAMS / "again").touch()
    else:
        post.will("mail", "say accepted '250 taken'")
    client = post.start_notifyd()
    (row,) = wait_delivery(client, "delivered")
    assert row["message"] == message and {seen[0] for seen in post.seen("mail")} == {message}, "a duplicate is known as one"
    assert {answer[1] for answer in row["answers"] if answer[2] == "accepted"} == {"one@example.com", "two@example.com"}
    if step == "between two answers":
        assert post.seen("mail")[-1][1] == "two@example.com;", "whom the server took is not told again"
    if step in ("before it ends", "when it is done"):
        assert len(post.seen("mail")) == 1


def test_a_dead_target_delays_no_other(post):
    post.will("mail", "exec sleep infinity")
    client = post.start_notifyd()
    for number in range(5):
        client.raise_event("CALL", f"number {number}", 3)
    rows = wait_delivery(client, "delivered", 5)
    assert {row["target"] for row in rows} == {"sms:duty"}
    assert len(deliveries(client, state="waiting", target="mail:boss")) == 5
    assert len(post.seen("mail")) == 1, "one program a target"


def test_not_now_and_not_ever(post):
    post.will("mail", """printf 'retry\\tone@example.com\\t452 full\\nrefused\\ttwo@example.com\\t550 nobody\\n'""")
    client = post.start_notifyd()
    client.raise_event("MG", "call quality", 2)
    row = wait_until(lambda: [row for row in deliveries(client, target="mail:two") if row["left"] == ["one@example.com"] and len(row["answers"]) == 2],
                     "one is left")[0]
    assert row["state"] == "waiting" and row["due_ms"] - row["created_ms"] >= 1000
    # The refusal is told to all but the one that refused.
    wait_until(lambda: any(event["name"] == "delivery refused" and event["reference"] == "mail:two" and "550 nobody" in event["description"]
                           for event in client.list()), "an event")
    wait_delivery(client, "delivered", target="sms:duty")


def test_a_wrong_password_is_no_storm(post):
    post.will("mail", "say refused '535 5.7.8 authentication failed'")
    client = post.start_notifyd()
    for number in range(20):
        client.raise_event("SIP", f"number {number}", 3)
    wait_until(lambda: [event for event in client.list() if event["name"] == "delivery paused"], "it is said")
    wait_delivery(client, "delivered", target="sms:duty")
    (target,) = [each for each in client.call("Targets")[0] if each["id"] == "mail:boss"]
    assert target["state"] == "paused" and target["waiting"] == 20 and "535" in target["words"]
    assert len(post.seen("mail")) == 1
    assert len([event for event in client.list() if event["name"] == "delivery paused"]) == 1
    # Put right, all of it goes.
    post.will("mail", "say accepted '250 taken'")
    client.call("Reload")
    wait_delivery(client, "delivered", 20, target="mail:boss")


def test_the_test_button(post):
    post.will("mail", "printf 'accepted\\tone@example.com\\t250 taken\\nrefused\\ttwo@example.com\\t550 no such user\\n'")
    client = post.start_notifyd()
    assert sorted(client.call("Test", "(s)", "mail:two")[0]) == [("one@example.com", "accepted", "250 taken"), ("two@example.com", "refused", "550 no such user")]
    assert "test=true" in (post.root / PROGRAMS / "job-mail").read_text()
    post.will("mail", "exit 7")
    assert client.call("Test", "(s)", "mail:boss")[0] == [("boss@example.com", "retry", "the program ended with status 7")]
    assert client.fails("Test", "(s)", "mail:nobody")[0] == "org.understudy.Error.NotFound"
    assert deliveries(client) == [] and client.get("Count") == 0


def test_acknowledge(post):
    client = post.start_notifyd()
    first, second = client.raise_event("X", "one", 3), client.raise_event("X", "two", 2)
    assert client.get("UnreadWarning") == (0, 0), "there are rules, and none wants it on the display"
    assert client.call("Acknowledge", "(at)", [first]) == (1,)
    assert client.call("Acknowledge", "(at)", [first]) == (0,)
    (event,) = client.list(acknowledged=GLib.Variant("b", True))
    assert event["id"] == first and event["status"] == "read" and event["ack_by"] == "root" and event["ack_ms"] > 0
    assert [event["id"] for event in client.list(acknowledged=GLib.Variant("b", False))] == [second]


def change_rows(post, sql):
    done = post.run("/usr/bin/python3", "-c", f"import sqlite3\nwith sqlite3.connect('/var/lib/understudy/notify/events.db') as db:\n db.executescript({sql!r})",
                    user="understudy-notify")
    assert done.returncode == 0, done.stderr


def test_given_up_after_a_day(post):
    """The event that says so never goes to the target that failed."""
    post.will("mail", "say retry '421 not now'")
    client = post.start_notifyd()
    client.raise_event("SIP", "old", 3)
    wait_until(lambda: deliveries(client)[0]["answers"], "an attempt")
    post.kill_notifyd()
    change_rows(post, "UPDATE outbox SET created_ms = created_ms - 86400000, due_ms = 0")
    client = post.start_notifyd()
    (row,) = wait_delivery(client, "expired")
    assert row["target"] == "mail:boss" and row["words"] == "421 not now"
    wait_until(lambda: [event for event in client.list() if event["name"] == "delivery given up" and event["reference"] == "mail:boss"], "it is said")
    wait_delivery(client, "delivered", target="sms:duty")
    assert len(deliveries(client, target="mail:boss")) == 1


def test_who_comes_back_first_says_since_when(post):
    client = post.start_notifyd()
    client.mark_read()  # answered when that, and what was to be stored before, is on disk: that it was there
    assert client.list() == [], "a restart of notifyd alone is no absence"
    for boot, said in (("another", 1), ("another", 2)):
        post.kill_notifyd()
        change_rows(post, f"UPDATE meta SET value = '{boot} 1700000000000' WHERE key = 'alive'")
        client = post.start_notifyd(leads=False, connected=True, peer_leads=False, paired=True, peer="dev-b")
        assert len(client.list()) == said - 1, "not before it is known who leads"
        post.tell_place(client, leads=True, connected=True, paired=True, peer="dev-b")
        wait_until(lambda s=said: len(client.list()) == s, "it is said, once")
        assert client.list()[0]["name"] == "back again" and "2023-11-14 22:13" in client.list()[0]["description"]


def test_at_the_command_line(post):
    post.start_bus()
    client = post.start_notifyd()
    post.wait_for_name(post.system_bus())
    event = client.raise_event("SIP", "registration rejected", 3)
    wait_delivery(client, "delivered")
    done = post.ctl("notify", "targets")
    assert done.returncode == 0 and [line.split()[0] for line in done.stdout.splitlines()] == ["target", "mail:boss", "mail:two", "sms:duty", "display"], done
    assert "250 taken" in done.stdout.splitlines()[1]
    done = post.ctl("notify", "test", "mail:boss")
    assert (done.returncode, done.stdout.split()) == (0, ["boss@example.com", "accepted", "250", "taken"]), done
    post.will("mail", "say refused '550 no such user'")
    done = post.ctl("notify", "test", "mail:boss", user="operator")
    assert (done.returncode, done.stdout.split()[:2]) == (1, ["boss@example.com", "refused"]), done
    assert post.ctl("notify", "test", "mail:boss", user="viewer").returncode == 1
    assert post.ctl("notify", "test", "mail:nobody").returncode == 1
    assert client.get("UnreadWarning") == (0, 0)
    done = post.ctl("notify", "test", "display", user="operator")
    assert (done.returncode, done.stdout.split()[:3]) == (0, ["display", "accepted", "event"]), done
    shown = client.list()[0]
    assert client.get("UnreadWarning") == (1, 2) and (shown["application"], shown["name"], "operator" in shown["description"]) == ("NOTIFY", "test", True), shown
    assert post.ctl("events", "--id", done.stdout.split()[3], "--ack", user="operator").returncode == 0
    assert client.get("UnreadWarning") == (0, 0)
    done = post.ctl("notify", "log", "--target", "mail:boss", user="viewer")
    assert done.returncode == 0 and done.stdout.splitlines()[1].split()[2:] == [str(event), "mail:boss", "delivered", "1", "250", "taken"], done
    assert post.ctl("notify", "log", "--state", "refused").stdout == "nothing was told to anybody\n"
    assert post.ctl("notify", "log", "--state", "lost").returncode == 2
    other = client.raise_event("OTHER", "call quality warning", 2)
    assert post.ctl("events", "--id", str(other), "--ack", user="operator").returncode == 0
    assert post.ctl("events", "--unacknowledged", "--search", "quality").stdout == "no events\n"
    assert post.ctl("events", "--unacknowledged", "--search", "REJECTED", "--ack", user="operator").returncode == 0
    assert post.ctl("events", "--unacknowledged").stdout == "no events\n"
    assert "(operator takes care)" in post.ctl("events").stdout


MANY = """
import sqlite3
with sqlite3.connect("/var/lib/understudy/notify/events.db") as db:
    for i in range(120):
        db.execute("INSERT INTO outbox(message, event, target, recipients, text, owner, hand, state, refused, about, attempts, created_ms, due_ms, done_ms, words, change)"
                   " VALUES(?, 0, 'mail:boss', '', '', 'dev-a', 0, 1, 0, 0, 10, 1, 1, 1, 'taken', ?)", (f"m{i}", i + 1))
        db.executemany("INSERT INTO log(time_ms, message, recipient, outcome, words) VALUES(1, ?, 'boss@example.com', 'retry', ?)", [(f"m{i}", "w" * 500)] * 10)
"""


def test_many_deliveries_come_page_by_page(post):
    post.start_bus()
    post.start_notifyd()
    post.kill_notifyd(signal.SIGTERM)
    done = post.run("/usr/bin/python3", "-c", MANY, user="understudy-notify")
    assert done.returncode == 0, done.stderr
    client = post.start_notifyd()
    post.wait_for_name(post.system_bus())
    (page,) = client.call("Deliveries", "(a{sv})", {"count": GLib.Variant("u", 1000)})
    assert 20 < len(page) < 60, "one answer is bounded"
    for count in (1000, 100):
        rows = json.loads(post.ctl("notify", "log", "--json", "--count", str(count)).stdout)
        assert [row["message"] for row in rows] == [f"m{i}" for i in range(119, 119 - min(count, 120), -1)]


# ---- The other device ----

def told(client, **question):
    kinds = {"store": "s", "event": "t", "change": "t", "mark": "t"}
    return client.connection.call_sync(None, "/org/understudy/Notify1", "org.understudy.Notify1", "TellPeer",
                                       GLib.Variant("(a{sv})", ({key: GLib.Variant(kinds[key], value) for key, value in question.items()},)),
                                       None, 0, 20000, None).get_child_value(0)


class Pair:
    """Two notifyd, and a supervisor's hand between them."""

    def __init__(self, build):
        self.posts = [Post(build), Post(build)]
        self.posts[1].device("dev-b", "192.0.2.3")

    def close(self):
        for post in self.posts:
            post.close()

    def exchange(self, teller, learner, **place):
        """What the supervisors do: heads there, questions back, until there is no more."""
        heads = teller.get("Heads")
        known = len([1 for _, member, _ in learner.signals if member == "AskPeer"])
        self.posts[1].tell_place(learner, paired=True, connected=True, heads={"store": s(heads["store"]), "newest": GLib.Variant("t", heads["newest"]),
                                                                              "change": GLib.Variant("t", heads["change"]), "mark": GLib.Variant("t", heads["mark"])}, **place)
        more = True
        while more:
            question = wait_until(lambda: [args[0] for _, member, args in learner.signals if member == "AskPeer"][known:], "it asks")[0]
            answer = told(teller, **question)
            more = answer.lookup_value("more", None).unpack()
            learner.connection.call_sync(None, "/org/understudy/Notify1", "org.understudy.Notify1", "PeerTold", GLib.Variant.new_tuple(answer), None, 0,
                                         20000, None)
            known += 1


@pytest.fixture
def pair(build):
    pair = Pair(build)
    yield pair
    pair.close()


def test_the_other_sends_what_was_left(pair):
    old, new = pair.posts
    old.will("mail", "say retry '421 not now'")
    a, b = old.start_notifyd(paired=True), new.start_notifyd(leads=False, connected=True, peer_leads=True, paired=True, peer="dev-a")
    for number in range(10):
        a.raise_event("SIP", f"number {number}", 3)
    pair.exchange(a, b, leads=False, peer_leads=True, peer="dev-a")
    assert [event["device"] for event in b.list()] == ["dev-a"] * 10 and a.get("Count") == b.get("Count") == 10
    messages = {row["message"] for row in deliveries(a)}
    assert {row["message"] for row in deliveries(b)} == messages and {row["device"] for row in deliveries(b)} == {"dev-a"}
    assert new.seen("mail") == []
    old.kill_notifyd()
    new.tell_place(b, leads=True, paired=True, peer="dev-a")
    wait_delivery(b, "delivered", 10)
    assert sorted(seen[0] for seen in new.seen("mail")) == sorted(messages), "each once, with the id it had"
    # The old one comes back and learns it before it sends anything.
    old.will("mail", "say accepted '250 taken'")
    a = old.start_notifyd(told=False)
    before = len(old.seen("mail"))
    pair.posts.reverse()
    pair.exchange(b, a, leads=False, peer_leads=True, peer="dev-b")
    assert len(deliveries(a, state="delivered")) == 10
    a.raise_event("SIP", "new", 3)
    wait_until(lambda: len(old.seen("mail")) > before, "its own new one goes")
    assert [seen[0] in messages for seen in old.seen("mail")[before:]] == [False]


def test_what_a_backup_cannot_send_is_left_to_the_master(post):
    """When the attempt has failed, and not when there is next something to tell between the two."""
    post.will("mail", "say retry '421 not now'")
    client = post.start_notifyd(leads=False, connected=True, peer_leads=True, paired=True, peer="dev-b")
    client.raise_event("SIP", "from the Backup", 3)
    wait_until(lambda: [row["device"] for row in deliveries(client)] == ["dev-b"], "it is the Master's task")
    assert len(post.seen("mail")) == 1


def test_read_on_one_is_read_on_the_other(pair):
    """Also what was read after the first copy, while the two were apart; whoever shows it on the other is told."""
    a, b = pair.posts[0].start_notifyd(paired=True), pair.posts[1].start_notifyd(leads=False, connected=True, peer_leads=True, paired=True, peer="dev-a")
    for name in ("one", "two", "three"):
        a.raise_event("SIP", name, 3)
    backup = {"leads": False, "peer_leads": True, "peer": "dev-a"}
    pair.exchange(a, b, **backup)
    ids = {event["name"]: event["id"] for event in b.list()}
    a.mark_read(next(event["id"] for event in a.list() if event["name"] == "one"))
    a.call("Acknowledge", "(at)", [event["id"] for event in a.list() if event["name"] == "two"])
    heard = len(b.signals)
    pair.exchange(a, b, **backup)
    assert b.get("Unread") == 1 and {event["name"]: event["status"] for event in b.list()} == {"one": "read", "two": "read", "three": "new"}
    acknowledged = next(event for event in b.list() if event["name"] == "two")
    assert acknowledged["ack_by"] == next(event for event in a.list() if event["name"] == "two")["ack_by"] and acknowledged["ack_ms"] > 0
    wait_until(lambda: {"Marked", "Acknowledged"} <= {member for _, member, _ in b.signals[heard:]}, "both are told of")
    assert [sorted(args[0]) for _, member, args in b.signals[heard:] if member == "Marked"] == [sorted((ids["one"], ids["two"]))]
    assert [args[0] for _, member, args in b.signals[heard:] if member == "Acknowledged"] == [[ids["two"]]]


def test_a_clock_that_is_set(post):
    """A row's times follow; nothing is given up for it."""
    post.will("mail", "say retry '421 not now'")
    client = post.start_notifyd()
    client.raise_event("SIP", "before", 3)
    wait_until(lambda: deliveries(client)[0]["answers"], "an attempt")
    post.kill_notifyd(signal.SIGTERM)
    done = post.run("/usr/bin/python3", "-c", "import sqlite3\nwith sqlite3.connect('/var/lib/understudy/notify/events.db') as db:\n"
                    " db.execute('UPDATE outbox SET due_ms = due_ms + 400000000000, created_ms = created_ms + 400000000000')", user="understudy-notify")
    assert done.returncode == 0, done.stderr
    post.will("mail", "say accepted '250 taken'")
    client = post.start_notifyd()
    assert wait_delivery(client, "delivered")


def test_a_led_shows_what_nobody_has_read(post):
    """It is taken while there is something to show, and given back; what is not there is absent, and the rest goes on."""
    leds = post.root / "sys/class/leds/red:alarm"
    assert post.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/class").returncode == 0
    leds.mkdir(parents=True)
    for name, text in (("brightness", "1\n"), ("max_brightness", "255\n"), ("trigger", "none [heartbeat]\n")):
        (leds / name).write_text(text)
    # As the kernel makes it, root's alone; then as udev does by our rule.
    rule = (post.top / "data/udev/70-understudy-leds.rules").read_text(encoding="utf-8").splitlines()[-1]
    assert rule.startswith('ACTION!="remove", SUBSYSTEM=="leds", RUN+=')
    commands = [command.replace("%p", "/class/leds/red:alarm") for command in re.findall(r'RUN\+="([^"]+)"', rule)]
    assert [post.run(*command.split()).returncode for command in commands] == [0, 0], commands
    assert [stat.S_IMODE((leds / name).stat().st_mode) for name in ("brightness", "max_brightness", "trigger")] == [0o664, 0o644, 0o664]

    def shows(name, text):
        return lambda: (leds / name).read_text().strip() == text

    with open(post.root / "etc/understudy/pair.conf", "a", encoding="utf-8") as settings:
        settings.write("[led front]\nled=red:alarm\npriority-1=on\n[led side]\nled=green\n[rule lights]\nactions=led:front led:side\napplication=SIP\n")
    post.start_bus()
    client = post.start_notifyd()
    post.wait_for_name(post.system_bus())
    event = client.raise_event("SIP", "trunk down", 1, "", "")
    wait_until(shows("brightness", "255"), "it is on")
    assert shows("trigger", "none")()
    targets = {each["id"]: each.get("absent") for each in client.call("Targets")[0]}
    assert targets["led:front"] == "" and targets["led:side"] == "this device has no LED green"
    rows = {line.split()[0]: line.split()[1:] for line in post.ctl("notify", "targets").stdout.splitlines()}
    assert rows["led:side"] == "absent this device has no LED green".split() and rows["led:front"] == []
    assert client.call("Test", "(s)", "led:side")[0] == [("led:side", "refused", "this device has no LED green")]
    client.call("MarkRead", "(at)", [event])
    wait_until(shows("trigger", "heartbeat"), "it is given back")
    assert shows("brightness", "0")()
