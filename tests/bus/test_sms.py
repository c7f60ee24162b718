# SPDX-License-Identifier: LGPL-2.1-or-later
"""understudy-sms against kannel, whose fake SMSC takes what a telephone network would, and against gateways that hang, refuse and lie."""

import base64
import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from mail_lab import HOST, PASSWORD, USER, Certificates, MailPlace, Rogue, free_port, job
from notify_place import DEADLINE_S

FAKESMSC = "/usr/lib/kannel/test/fakesmsc"
LOGIN = {"user": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.make("other", "DNS:other.test")
    made.make("old", f"DNS:{HOST}", days=-1)
    return made


@pytest.fixture(scope="module")
def place(build, certificates):
    made = MailPlace(build, certificates)
    yield made
    made.close()


@pytest.fixture
def serve():
    servers = []

    def begin(talk):
        servers.append(Rogue(talk))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def sms(place, to, target, **more):
    more.setdefault("subject", "")
    return place.program("notifyd/sms/understudy-sms", job(to, target, **more))[0]


def only(answered):
    ((_to, answer),) = answered.items()
    return answer


# ---- kannel ----

KANNEL = """
group = core
admin-port = {admin}
admin-password = admin
smsbox-port = {box}
log-level = 1
box-deny-ip = "*.*.*.*"
box-allow-ip = "127.0.0.1"

group = smsc
smsc = fake
smsc-id = FAKE
port = {smsc}
connect-allow-ip = 127.0.0.1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
log-level = 1
global-sender = 13013

group = sendsms-user
username = {user}
password = {password}
concatenation = true
max-messages = 10

group = sms-service
keyword = default
text = "none"
"""


def listens(port):
    """Without a connection, which the server would take for its client's."""
    return re.search(rf":{port:04X} \w+:0000 0A ", Path("/proc/net/tcp").read_text(encoding="ascii"))


class Kannel:
    def __init__(self, place):
        admin, box, smsc, self.port = (free_port() for _ in range(4))
        self.status_url = f"http://127.0.0.1:{admin}/status.txt?password=admin"
        place.write("run/kannel.conf", KANNEL.format(admin=admin, box=box, smsc=smsc, send=self.port, user=USER, password=PASSWORD))
        self.messages = []
        self.changed = threading.Condition()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        place.start(["bearerbox", "/run/kannel.conf"], user="stranger", **quiet)
        # It opens its ports in threads of their own, later than it answers; the two others end at once where they find none.
        self.until(lambda: "Status:" in self.status() and listens(box) and listens(smsc), "bearerbox takes connections")
        place.start(["smsbox", "/run/kannel.conf"], user="stranger", **quiet)
        phones = place.start([FAKESMSC, "-H", "127.0.0.1", "-r", smsc, "-m", 0, "123 345 nothing"], user="stranger", stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
        threading.Thread(target=self.listen, args=(phones.stderr,), daemon=True).start()
        self.until(lambda: re.search(r"FAKE.*online", self.status()) and re.search(r"smsbox:", self.status()), "kannel is connected")
        self.until(self.takes, "smsbox answers")

    def status(self):
        try:
            with urllib.request.urlopen(self.status_url, timeout=DEADLINE_S) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def takes(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S).close()
            return True
        except OSError:
            return False

    @staticmethod
    def until(condition, what):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, what
            threading.Event().wait(0.05)

    def listen(self, stream):
        for line in stream:
            found = re.search(rb"Got message \d+: <\d+ (\S+) (.*)>$", line.strip())
            if found:
                with self.changed:
                    self.messages.append((found[1].decode(), found[2].decode()))
                    self.changed.notify_all()

    def heard(self, count):
        """The messages since the last time, when there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.messages) >= count, DEADLINE_S), self.messages
            messages, self.messages = self.messages, []
        return messages

    def target(self, **more):
        return {"url": f"http://127.0.0.1:{self.port}/cgi-bin/sendsms?username={{user}}&password={{password}}&to={{to}}&charset=UTF-8&text={{text}}",
                "success": "0: Accepted", **LOGIN, **more}


@pytest.fixture(scope="module")
def kannel(place):
    return Kannel(place)


def test_kannel_takes_a_text(place, kannel):
    answered = sms(place, ["+49 (151) 123-45", "112", "nobody"], kannel.target(), body="Backup device is DOWN & gone?{to}")
    assert answered["+49 (151) 123-45"] == answered["112"] == ("accepted", "1 part of 7 bit; 202 Accepted: 0: Accepted for delivery")
    assert answered["nobody"] == ("refused", '"nobody" is no telephone number')
    told = kannel.heard(2)
    assert sorted(to for to, _ in told) == ["+4915112345", "112"]
    assert [text for _, text in told] == ["text Backup device is DOWN & gone?{to}"] * 2


def test_kannel_sends_as_many_parts_as_were_counted(place, kannel):
    assert only(sms(place, ["112"], kannel.target(), body="a" * 200)) == ("accepted", "2 parts of 7 bit; 202 Accepted: 0: Accepted for delivery")
    assert [text.split(" ")[0] for _, text in kannel.heard(2)] == ["udh", "udh"]
    # Everything is one part more than may be, and is cut.
    assert only(sms(place, ["112"], kannel.target(**{"max-parts": 2}), body="a" * 307))[1].startswith("2 parts of 7 bit")
    assert "".join(text.rsplit(" ", 1)[1] for _, text in sorted(kannel.heard(2), key=lambda each: each[1])) == "a" * 303 + "..."
    # In UCS-2, which kannel has to be told.
    target = kannel.target()
    target["url"] += "&coding=2"
    assert only(sms(place, ["112"], target, body="Резерв " * 12))[1].startswith("2 parts of UCS-2")
    assert len(kannel.heard(2)) == 2


def test_kannel_seven_bit(place, kannel):
    assert only(sms(place, ["112"], kannel.target(**{"seven-bit": "true"}), body="Резерв “ок” €"))[1].startswith("1 part of 7 bit")
    ((_, text),) = kannel.heard(1)
    assert urllib.parse.unquote_to_bytes(text.partition(" ")[2].replace("+", " ")).startswith(b'Rezerv "ok" ')


def test_kannel_refuses_the_password(place, kannel):
    assert only(sms(place, ["112"], kannel.target(password="wrong-one"))) == ("refused", "403 Forbidden: Authorization failed for sendsms")


# ---- gateways of a few lines ----

def request(stream):
    """(request line, headers, body) of one request."""
    line = stream.hear()
    headers = {}
    while header := stream.hear():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", 0))
    while len(stream.buffer) < length:
        piece = stream.connection.recv(65536)
        if not piece:
            raise EOFError
        stream.buffer += piece
    return line, headers, stream.buffer[:length].decode()


def answering(answer, seen=None):
    def talk(stream):
        asked = request(stream)
        if seen is not None:
            seen.append(asked)
        stream.connection.sendall(answer.replace("\n", "\r\n").encode() if isinstance(answer, str) else answer)

    return talk


OK = "HTTP/1.1 200 OK\nContent-Length: 4\nConnection: close\n\nsent"


def url(server, rest="/?to={to}&text={text}", scheme="http", host="127.0.0.1"):
    return f"{scheme}://{host}:{server.port}{rest}"


def test_nothing_is_more_than_a_value(place, serve):
    seen = []
    server = serve(answering(OK, seen))
    evil = "x&to=900\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1 {password}#?%41/../\"}"
    target = {"url": url(server, "/send/{name}?to={to}&text={text}"), "header": "X-Told: {name}", "header-2": "Authorization: Basic {basic}",
              "method": "POST", "body": "text={text}&user={user}", **LOGIN}
    assert only(sms(place, ["112"], target, body=evil, name="../..\r\nX-Evil: 2"))[0] == "accepted"
    ((line, headers, body),) = seen
    method, path, _version = line.split(" ")
    assert method == "POST" and path.startswith("/send/..%2F..%0D%0AX-Evil%3A%202?to=112&text=x%26to%3D900"), line
    text = evil.replace("\r\n", "\n")
    assert urllib.parse.parse_qs(path.partition("?")[2]) == {"to": ["112"], "text": [text]}
    assert urllib.parse.parse_qs(body) == {"text": [text], "user": [USER]}
    assert headers["x-told"] == "../..  X-Evil: 2" and "x-evil" not in headers
    assert headers["authorization"] == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert headers["content-type"] == "application/x-www-form-urlencoded"


def test_json(place, serve):
    seen = []
    server = serve(answering(OK, seen))
    evil = "\"}\\\n{to} ä 📞"
    target = {"url": url(server, "/"), "body": '{"to": "{to}", "message": {"text": "{text}"}}', "body-encoding": "json", "method": "PUT"}
    assert only(sms(place, ["+49151"], target, body=evil))[0] == "accepted"
    ((line, headers, body),) = seen
    assert line.startswith("PUT / ") and headers["content-type"] == "application/json"
    assert json.loads(body) == {"to": "+49151", "message": {"text": evil}}


@pytest.mark.parametrize("answer, success, outcome, words", [
    (OK, None, "accepted", "1 part of 7 bit; 200 OK: sent"),
    (OK, "sent", "accepted", "1 part of 7 bit; 200 OK: sent"),
    (OK, "queued", "refused", "200 OK: sent"),  # each attempt may cost
    ("HTTP/1.0 200 OK\n\nid=\x1b[2J7\nnext", None, "accepted", "1 part of 7 bit; 200 OK: id= [2J7 next"),
    ("HTTP/1.1 302 Found\nLocation: http://127.0.0.1:1/\nContent-Length: 0\n\n", None, "refused", "302 Found"),
    ("HTTP/1.1 401 Who\nWWW-Authenticate: Basic realm=x\nContent-Length: 0\n\n", None, "refused", "401 Who"),
    ("HTTP/1.1 429 Slow\nContent-Length: 0\n\n", None, "retry", "429 Slow"),
    ("HTTP/1.1 503 Down\nContent-Length: 5\n\nlater", None, "retry", "503 Down: later"),
    (f"HTTP/1.1 403 No\nContent-Length: 27\n\n{PASSWORD} is not it, {USER}!", None, "refused", f"403 No: *** is not it, {USER}!"),
    (b"\xff\xfe nonsense\r\n\r\n", None, "retry", None),
    ("", None, "retry", None),
    ("HTTP/1.1 200 OK\nContent-Length: 100\n\nshort", "short", "accepted", "1 part of 7 bit; 200 OK: short"),
    ("HTTP/1.1 200 OK\nContent-Length: 1000000\n\n" + "x" * 1000000, None, "accepted", "1 part of 7 bit; 200 OK: " + "x" * 475),
], ids=range(13))
def test_answers(place, serve, answer, success, outcome, words):
    seen = []
    server = serve(answering(answer, seen))
    target = {"url": url(server), **LOGIN, **({"success": success} if success else {})}
    told = only(sms(place, ["112"], target))
    assert told[0] == outcome and (words is None or told[1] == words), told
    assert len(seen) == 1, "asked once, and nobody else"


@pytest.mark.parametrize("name, host, ca, words", [
    ("server", HOST, "own", None),
    ("server", "127.0.0.1", "own", None),
    ("server", "unknown.test", "own", "the gateway's certificate is of another host"),
    ("other", HOST, "own", "the gateway's certificate is of another host"),
    ("old", HOST, "own", "the gateway's certificate is expired"),
    ("server", HOST, None, "the gateway's certificate is of an authority that is not trusted"),
    ("server", HOST, "absent", "/etc/understudy/ca.d/absent.pem: "),
])
def test_certificates(place, certificates, serve, name, host, ca, words):
    seen = []
    context = certificates.server_context(name)

    def talk(stream):
        stream.secure(context)
        answering(OK, seen)(stream)

    server = serve(talk)
    target = {"url": url(server, scheme="https", host=host), **({"ca": ca} if ca else {})}
    outcome, said = only(sms(place, ["112"], target))
    if words is None:
        assert outcome == "accepted" and len(seen) == 1, said
    else:
        assert outcome == "retry" and said.startswith(words), said
        assert seen == []


@pytest.mark.timed(100)
def test_silent(place, serve):
    server = serve(lambda stream: stream.wait())
    assert sms(place, ["112", "113"], {"url": url(server)}, deadline_ms=1000) == {
        number: ("retry", "no end within 1000 ms: waiting for the gateway, about 112") for number in ("112", "113")}


@pytest.mark.timed(100)
def test_trickles(place, serve):
    def talk(stream):
        request(stream)
        stream.connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not stream.over.wait(0.05):
            stream.connection.sendall(b"x")

    server = serve(talk)
    outcome, words = only(sms(place, ["112"], {"url": url(server)}, deadline_ms=1000))
    assert outcome == "retry" and "no end within 1000 ms" in words


def test_nobody_listens(place):
    port = free_port()
    outcome, words = only(sms(place, ["112"], {"url": f"http://127.0.0.1:{port}/?{{to}}{{text}}"}))
    assert outcome == "retry" and "Connection refused" in words, words


@pytest.mark.parametrize("wrong", [{"url": ""}, {"url": "nonsense"}, {"url": "http://127.0.0.1:9/{nothing}"}, {"success": "("}, {"max-parts": "0"},
                                   {"ca": "../x"}, {"header": "X: {nothing}"}])
def test_targets_that_cannot_work(place, wrong):
    outcome, words = only(sms(place, ["112"], {"url": "http://127.0.0.1:9/", **wrong}))
    assert outcome == "refused", words


def test_no_text(place):
    assert only(sms(place, ["112"], {"url": "http://127.0.0.1:9/"}, body=" \n")) == ("refused", "there is no text")


def test_no_proxy_is_asked(place, serve):
    """Whoever started notifyd may have had one."""
    seen = []
    server, proxy = serve(answering(OK, seen)), serve(answering(OK))
    text = job(["112"], {"url": url(server)}, subject="")
    answered, _ = place.program("notifyd/sms/understudy-sms", text, env={"http_proxy": url(proxy, "/"), "HTTP_PROXY": url(proxy, "/")})
    assert only(answered)[0] == "accepted" and len(seen) == 1 and proxy.log == []
