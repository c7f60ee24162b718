# SPDX-License-Identifier: LGPL-2.1-or-later
"""understudy-mail against real servers (exim4 with GnuTLS, aiosmtpd with OpenSSL, msmtp) and against servers that hang, trickle, close, refuse and lie."""

import os
import shutil
import socket
import ssl
import stat
from email.utils import parsedate_to_datetime

import pytest

from mail_lab import HOST, PASSWORD, USER, Aio, Certificates, Exim, MailPlace, Rogue, free_port

LOGIN = {"user": USER, "password": PASSWORD}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.make("other", "DNS:other.test")
    made.make("revoked", f"DNS:{HOST}")
    made.make("old", f"DNS:{HOST}", days=-1)
    return made


@pytest.fixture(scope="module")
def place(build, certificates):
    made = MailPlace(build, certificates)
    yield made
    made.close()


@pytest.fixture(scope="module")
def exim(place, certificates):
    return Exim(place, certificates)


@pytest.fixture
def serve():
    servers = []

    def begin(kind, *args, **more):
        servers.append(kind(*args, **more))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def target(server, host=HOST, **more):
    return {"server": f"{host}:{server.port}", "from": "PBX Ä <pbx@pair.test>", "ca": "own", **more}


def only(answered):
    ((to, answer),) = answered.items()
    return answer


# ---- real servers ----

def test_exim_takes_a_mail(place, exim):
    answered = place.mail(["ops@example.org", "nobody@example.org", "full@example.org", "second@example.org"], target(exim, **LOGIN),
                          subject="Rôle: Backup → Master", body="Grüße\n.\n.. dots\nFrom here\n" + "long " * 300, job_id="ev-77.mail.ops")
    assert answered["ops@example.org"][0] == "accepted" and " OK id=" in answered["ops@example.org"][1], answered
    assert answered["second@example.org"] == answered["ops@example.org"]
    assert answered["nobody@example.org"] == ("refused", "550 no such person")
    assert answered["full@example.org"] == ("retry", "451 mailbox full")
    message = exim.messages(2)[0]  # a copy for each recipient
    assert message["Subject"] == "Rôle: Backup → Master"
    assert message["From"] == "PBX Ä <pbx@pair.test>"
    assert message["To"] == "ops@example.org, nobody@example.org, full@example.org, second@example.org"
    assert message["Message-ID"] == "<ev-77.mail.ops@pair.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert parsedate_to_datetime(message["Date"]).timestamp() == 1700000000
    assert message.get_content() == "Grüße\n.\n.. dots\nFrom here\n" + "long " * 300 + "\n"
    assert f"SNI={HOST}" in exim.log()


def test_exim_refuses_the_password(place, exim):
    outcome, words = only(place.mail(["ops@example.org"], target(exim, user=USER, password="wrong-one")))
    assert (outcome, words) == ("refused", "user or password refused: 535 Incorrect authentication data")
    # Exim names the id of each one it took.
    assert "wrong-one" not in exim.log()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_aiosmtpd_takes_a_mail(place, certificates, serve, mechanism):
    server = serve(Aio, certificates.server_context(), auth_required=True, auth_exclude_mechanism=[{"PLAIN": "LOGIN", "LOGIN": "PLAIN"}[mechanism]])
    assert only(place.mail(["ops@example.org"], target(server, **LOGIN))) == ("accepted", "250 2.0.0 taken as 4711")
    assert server.handler.logins == [(mechanism, USER, PASSWORD)]
    assert server.handler.names == [HOST]
    assert server.handler.versions == ["TLSv1.3"]
    assert server.handler.message().get_content() == "body\n"


def test_session_tickets_do_not_stall_tls_1_3(place, build, certificates, serve):
    """They have arrived before EHLO is sent: what there is to read is no answer."""
    server = serve(Aio, certificates.server_context())
    env = {"LD_PRELOAD": str(build / "tests/bus/slow_tls.so")}
    assert only(place.mail(["ops@example.org"], target(server), env=env)) == ("accepted", "250 2.0.0 taken as 4711")
    assert server.handler.versions == ["TLSv1.3"]


def test_two_devices_send_the_same_bytes(place, certificates, serve):
    server = serve(Aio, certificates.server_context())
    for _ in range(2):
        place.mail(["ops@example.org"], target(server), subject="once é", body="twice")
    first, second = (content for _sender, _to, content in server.handler.mails)
    assert first == second


def test_wrong_password_ends_it(place, certificates, serve):
    """libesmtp would go on to MAIL FROM, and this server takes mail from anybody."""
    server = serve(Aio, certificates.server_context())
    outcome, words = only(place.mail(["ops@example.org"], target(server, user=USER, password="wrong-one")))
    assert (outcome, words) == ("refused", "user or password refused: 535 5.7.8 wrong user or password")
    assert server.handler.auth_calls == 1 and server.handler.commands == [] and server.handler.mails == []


def test_a_server_without_auth_gets_nothing(place, certificates, serve):
    server = serve(Aio, certificates.server_context(), auth_exclude_mechanism=["PLAIN", "LOGIN"])
    assert only(place.mail(["ops@example.org"], target(server, **LOGIN))) == ("refused", "the server offers neither AUTH PLAIN nor AUTH LOGIN")
    assert server.handler.commands == []


def test_user_and_password_are_bounded(place, certificates, serve):
    """libesmtp copies both into 513 bytes."""
    server = serve(Aio, certificates.server_context(), auth_required=True)
    assert only(place.mail(["ops@example.org"], target(server, user="u" * 255, password="p" * 255)))[0] == "accepted"
    assert len(server.handler.logins) == 1
    for user, password, what in (("u" * 256, "p", "user"), (USER, "p" * 256, "password"), (USER, "p" * 4000, "password")):
        assert only(place.mail(["ops@example.org"], target(server, user=user, password=password))) == ("refused", f"the {what} is longer than 255 bytes")
    assert len(server.handler.logins) == 1


# ---- who the server is ----

@pytest.mark.parametrize("name, host, ca, words", [
    ("server", "127.0.0.1", "own", None),  # by its address
    ("server", HOST, "own", None),         # though the canonical name of that host is another
    ("server", "unknown.test", "own", "the server's certificate: hostname mismatch"),
    ("server", "real-name.test", "own", "the server's certificate: hostname mismatch"),
    ("other", HOST, "own", "the server's certificate: hostname mismatch"),
    ("other", "127.0.0.1", "own", "the server's certificate: IP address mismatch"),
    ("old", HOST, "own", "the server's certificate: certificate has expired"),
    ("server", HOST, None, "the server's certificate: unable to get local issuer certificate"),
    ("server", HOST, "revoking", None),
    ("revoked", HOST, "revoking", "the server's certificate: certificate revoked"),
    ("server", HOST, "absent", "Failed to open file"),
    ("server", HOST, "nonsense", "/etc/understudy/ca.d/nonsense.pem holds no certificates"),
])
def test_certificates(place, certificates, serve, name, host, ca, words):
    place.authority("revoking", certificates.with_revoked("revoked") if ca == "revoking" and name == "server" else
                    (certificates.ca + (certificates.folder / "crl.pem").read_text(encoding="ascii") if ca == "revoking" else ""))
    place.authority("nonsense", "this is no certificate\n")
    server = serve(Aio, certificates.server_context(name))
    told = target(server, host, ca=ca) if ca else {key: value for key, value in target(server, host).items() if key != "ca"}
    outcome, said = only(place.mail(["ops@example.org"], told))
    if words is None:
        assert (outcome, said) == ("accepted", "250 2.0.0 taken as 4711")
        assert server.handler.names == [None if host == "127.0.0.1" else host]
    else:
        assert outcome == "retry" and words in said, said
        assert server.handler.commands == []


def test_no_path_out_of_the_folder(place, serve):
    server = serve(Aio)
    assert only(place.mail(["ops@example.org"], target(server, ca="../../etc/passwd")))[0] == "refused"


def test_nothing_of_a_home_is_used(place, certificates, serve):
    """libesmtp gives up when it finds keys there that others may read, and frees a good one twice."""
    home = place.root / "run/home"
    for host in ("127.0.0.1", HOST, "192.0.2.1", "real-name.test"):
        (home / ".authenticate" / host / "private").mkdir(parents=True)
        shutil.copy(certificates.folder / "server.pem", home / ".authenticate" / host / "private/smtp-starttls.pem")
    server = serve(Aio, certificates.server_context())
    assert only(place.mail(["ops@example.org"], target(server), env={"HOME": "/run/home"}))[0] == "accepted"


# ---- STARTTLS ----

@pytest.mark.parametrize("security, login, outcome, words", [
    ("starttls", {}, "retry", "no STARTTLS offered"),
    ("starttls", LOGIN, "retry", "no STARTTLS offered"),
    ("starttls-if-offered", {}, "accepted", "250 2.0.0 taken as 4711"),
    ("starttls-if-offered", LOGIN, "retry", "no STARTTLS offered, and the password is not sent in the clear"),
    ("none", {}, "accepted", "250 2.0.0 taken as 4711"),
    ("none", LOGIN, "accepted", "250 2.0.0 taken as 4711"),
    ("maybe", {}, "refused", "security=maybe is not known"),
])
def test_a_server_without_tls(place, serve, security, login, outcome, words):
    server = serve(Aio)
    assert only(place.mail(["ops@example.org"], target(server, security=security, **login))) == (outcome, words)
    assert bool(server.handler.mails) == (outcome == "accepted")
    assert server.handler.auth_calls == (1 if login and outcome == "accepted" else 0)


def test_if_offered_it_is_used_and_checked(place, certificates, serve):
    server = serve(Aio, certificates.server_context("other"))
    outcome, words = only(place.mail(["ops@example.org"], target(server, security="starttls-if-offered")))
    assert (outcome, words) == ("retry", "the server's certificate: hostname mismatch")
    assert server.handler.commands == []


def test_nothing_said_in_the_clear_counts_under_tls(place, certificates, serve):
    """Replies that somebody put after the one to STARTTLS would be taken for the server's, up to "250 taken"."""
    def talk(stream):
        stream.greet("STARTTLS")
        stream.hear()
        stream.say("220 go ahead\r\n250 rogue\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken")
        stream.secure(certificates.server_context())
        stream.hear_the_rest()

    server = serve(Rogue, talk)
    assert only(place.mail(["ops@example.org"], target(server))) == ("retry", "something follows the answer to STARTTLS in the clear")
    assert server.log[1:] == ["STARTTLS"]


# ---- servers that hang ----

@pytest.mark.timed(100)
def test_silent(place, serve):
    server = serve(Rogue, lambda stream: stream.wait())
    outcome, words = only(place.mail(["ops@example.org"], target(server), deadline_ms=1000))
    assert (outcome, words) == ("retry", f"no end within 1000 ms: {HOST}: waiting for the greeting")


@pytest.mark.timed(100)
def test_trickles(place, serve):
    """A byte now and then: no time-out of libesmtp ever passes."""
    def talk(stream):
        stream.connection.sendall(b"220-")
        while not stream.over.wait(0.05):
            stream.connection.sendall(b"x")

    server = serve(Rogue, talk)
    outcome, words = only(place.mail(["ops@example.org"], target(server), deadline_ms=1000))
    assert outcome == "retry" and "no end within 1000 ms" in words


@pytest.mark.timed(100)
def test_hangs_in_the_tls_handshake(place, serve):
    def talk(stream):
        stream.greet("STARTTLS")
        stream.hear()
        stream.say("220 go ahead")
        stream.wait()

    server = serve(Rogue, talk)
    assert only(place.mail(["ops@example.org"], target(server), deadline_ms=1000)) == ("retry", f"no end within 1000 ms: {HOST}: beginning TLS")


@pytest.mark.timed(100)
def test_a_dead_address_before_a_living_one(build, certificates, serve):
    """The first address of the host answers no SYN. The kernel would wait for two minutes."""
    living = serve(Aio, certificates.server_context(), address="127.0.0.2")
    place = MailPlace(build, certificates)
    fillers = [socket.socket() for _ in range(3)]
    with socket.socket() as dead:
        dead.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        dead.bind(("127.0.0.1", living.port))
        dead.listen(0)
        for filler in fillers:  # its queue is full then, and further SYNs are dropped
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", living.port))
        try:
            place.write("etc/host.conf", "multi on\n")
            place.hosts(f"127.0.0.1 {HOST}", f"127.0.0.2 {HOST}")
            answered, seconds = place.timed_mail(["ops@example.org"], target(living), deadline_ms=4000)
            assert only(answered)[0] == "accepted" and seconds > 1  # a third of the time was spent on the first one
            place.hosts(f"127.0.0.1 {HOST}")
            outcome, words = only(place.mail(["ops@example.org"], target(living), deadline_ms=1000))
            assert (outcome, words) == ("retry", f"no connection to {HOST} port {living.port}: Connection timed out")
        finally:
            place.close()
            for filler in fillers:
                filler.close()


def test_nobody_listens(place):
    port = free_port()
    outcome, words = only(place.mail(["ops@example.org"], {"server": f"{HOST}:{port}", "from": "a@b.test"}))
    assert (outcome, words) == ("retry", f"no connection to {HOST} port {port}: Connection refused")
    outcome, words = only(place.mail(["ops@example.org"], {"server": "nowhere.invalid", "from": "a@b.test"}))
    assert outcome == "retry" and words.startswith("nowhere.invalid: ")


# ---- servers that close, refuse and lie ----

def test_closes_at_once(place, serve):
    server = serve(Rogue, lambda stream: None)
    outcome, words = only(place.mail(["ops@example.org"], target(server)))
    assert outcome == "retry" and words.startswith("waiting for the greeting, "), words


def test_closes_in_the_tls_handshake(place, serve):
    def talk(stream):
        stream.greet("STARTTLS")
        stream.hear()
        stream.say("220 go ahead")

    server = serve(Rogue, talk)
    outcome, words = only(place.mail(["ops@example.org"], target(server)))
    assert outcome == "retry" and words.startswith("beginning TLS, "), words


@pytest.mark.parametrize("lines, outcome, words", [
    (["554 go away"], "retry", "554 go away"),
    (["421 too busy"], "retry", "421 too busy"),
    (["nonsense"], "retry", "waiting for the greeting"),
    (["220 x", "550 not you"], "retry", "550 not you"),
    (["220 x", "250 x", "550 5.7.1 not this sender"], "refused", "550 5.7.1 not this sender"),
    (["220 x", "250-ENHANCEDSTATUSCODES\r\n250 x", "451 4.3.0 disk full"], "retry", "451 4.3.0 disk full"),
    (["220 x", "250 x", "250 x", "550-5.1.1 no\r\n550 5.1.1 body"], "refused", "550 5.1.1 no 5.1.1 body"),
    (["220 x", "250 x", "250 x", "250 x", "554 no message"], "refused", "554 no message"),
    (["220 x", "250 x", "250 x", "250 x", "354 go", "552 too long"], "refused", "552 too long"),
    (["220 x", "250 x", "250 x", "250 x", "354 go", "451 try later"], "retry", "451 try later"),
    (["220 x", "250 x", "250 x", "250 x", "354 go"], "retry", "sending the message"),  # has it all, and closes
    (["220 x", "250 x", "250 x", "250 x", "250 taken"], "retry", "250 taken"),         # before it was sent: nobody has it
    (["220 x", "250 x", "250 x", "250 x", "354 go", "250 taken\x1b[2J as 1"], "accepted", "250 taken [2J as 1"),
])
def test_refusals_and_lies(place, serve, lines, outcome, words):
    def talk(stream):
        told = list(lines)
        stream.say(told.pop(0))
        while told:
            if stream.hear() == "DATA":
                stream.say(told.pop(0))
                if not told and lines[-1] != "354 go":
                    break
                stream.hear_message()
                if not told:
                    return
            stream.say(told.pop(0))
        stream.hear_the_rest()

    server = serve(Rogue, talk)
    answer = only(place.mail(["ops@example.org"], target(server, security="none")))
    assert answer[0] == outcome and answer[1].startswith(words), answer


def test_taken_and_then_silence(place, serve):
    """What is known is told at once; only then the farewell is waited for, and not for long."""
    def talk(stream):
        stream.greet()
        for _ in range(2):
            stream.hear()
            stream.say("250 ok")
        stream.hear()
        stream.say("354 go")
        stream.hear_message()
        stream.say("250 taken")
        stream.wait()

    server = serve(Rogue, talk)
    answered, seconds = place.timed_mail(["ops@example.org"], target(server, security="none"), deadline_ms=60000)
    assert only(answered) == ("accepted", "250 taken")
    assert seconds < 20


def test_goes_away_while_the_body_is_sent(place, serve):
    """Writing to a connection that is closed is an error; SIGPIPE would be the end without an answer."""
    def talk(stream):
        stream.greet()
        for _ in range(2):
            stream.hear()
            stream.say("250 ok")
        stream.hear()
        stream.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.say("354 go")
        stream.connection.recv(1000)

    server = serve(Rogue, talk)
    outcome, _words = only(place.mail(["ops@example.org"], target(server, security="none"), body="word " * 50000))
    assert outcome == "retry"


def test_mechanisms_that_do_not_work_are_passed_over(place, serve):
    """libesmtp takes the first of the server's list for which it has a plugin: NTLM, which needs a digest that OpenSSL no longer gives."""
    def talk(stream):
        stream.greet("AUTH NTLM CRAM-MD5 PLAIN")
        if not stream.hear().startswith("AUTH PLAIN "):
            return
        stream.say("504 not this one either")
        stream.hear_the_rest()

    server = serve(Rogue, talk)
    assert only(place.mail(["ops@example.org"], target(server, security="none", **LOGIN))) == (
        "refused", "user or password refused: 504 not this one either")
    assert len(server.log) == 2


def test_a_mechanism_that_is_refused_is_not_a_password(place, serve):
    def talk(stream):
        stream.greet("AUTH PLAIN LOGIN")
        stream.hear()
        stream.say("504 PLAIN is switched off")
        assert stream.hear().startswith("AUTH LOGIN")
        stream.say("334 UGFzc3dvcmQ6")
        stream.hear()
        stream.say("235 welcome")
        for _ in range(2):
            stream.hear()
            stream.say("250 ok")
        stream.hear()
        stream.say("354 go")
        stream.hear_message()
        stream.say("250 taken")
        stream.hear_the_rest()

    server = serve(Rogue, talk)
    assert only(place.mail(["ops@example.org"], target(server, security="none", **LOGIN))) == ("accepted", "250 taken")


def test_a_password_that_cannot_be_judged_now(place, serve):
    def talk(stream):
        stream.greet("AUTH PLAIN")
        stream.hear()
        stream.say(f"454 4.7.0 directory away, {PASSWORD} unknown")
        stream.hear_the_rest()

    server = serve(Rogue, talk)
    assert only(place.mail(["ops@example.org"], target(server, security="none", **LOGIN))) == (
        "retry", "not authenticated: 454 4.7.0 directory away, *** unknown")
    assert len(server.log) == 2


# ---- what is said ----

def test_nothing_can_begin_a_header(place, serve):
    server = serve(Aio)
    evil = "x\r\nBcc: thief@example.org\r\n\r\n.\r\nMAIL FROM:<a@b>\n=?UTF-8?B?QmNj?="
    assert only(place.mail(["ops@example.org"], {**target(server, security="none"), "from": "A\r\nBcc: b <pbx@pair.test>"}, subject=evil, body=evil))[0] == "accepted"
    message = server.handler.message()
    assert message["Bcc"] is None and len(message.keys()) == 9, message.keys()
    assert message["Subject"] == "x  Bcc: thief@example.org    .  MAIL FROM:<a@b> =?UTF-8?B?QmNj?="
    assert message.get_content().replace("\r\n", "\n") == evil.replace("\r\n", "\n") + "\n"
    assert server.handler.commands == ["MAIL"]


def test_addresses_that_are_none(place, serve):
    server = serve(Aio)
    wrong = ["ops", "a@b@c.test", "a b@c.test", "<a@c.test>", "a@c.test>", "-f@", "é@c.test", '"a"@c.test', "a@c..test", "@c.test"]
    answered = place.mail([*wrong, "ops@example.org"], target(server, security="none"))
    assert answered == {**{address: ("refused", f'"{address}" is no mail address that can be written to') for address in wrong},
                        "ops@example.org": ("accepted", "250 2.0.0 taken as 4711")}
    assert server.handler.mails[0][1] == ["ops@example.org"] and server.handler.message()["To"] == "ops@example.org"
    assert only(place.mail(["ops@example.org"], {**target(server, security="none"), "from": "a@b>\r\nRCPT TO:<c@d"}))[0] == "refused"


@pytest.mark.parametrize("missing", [{"server": ""}, {"server": "a b"}, {"user": "x"}, {"transport": "pigeon"}])
def test_targets_that_cannot_work(place, missing):
    assert only(place.mail(["ops@example.org"], {"server": "127.0.0.1:9", "from": "a@b.test", **missing}))[0] == "refused"


def test_no_job(place, build):
    done = place.run(build / "notifyd/mail/understudy-mail", input="nonsense")
    assert done.returncode == 2 and done.stdout == "" and "this is no job" in done.stderr


# ---- the system's sendmail ----

@pytest.fixture
def sendmail(place):
    """Makes a sendmail command for the place."""
    folder = place.root / "run/sendmail"
    folder.mkdir(exist_ok=True)

    def make(text):
        path = folder / "sendmail"
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        return {"PATH": f"/run/sendmail:{os.environ['PATH']}"}

    yield make
    shutil.rmtree(folder)


SENDMAIL = {"transport": "sendmail", "from": "pbx@pair.test"}


def test_msmtp_as_sendmail_with_implicit_tls(place, certificates, serve, sendmail):
    server = serve(Aio, certificates.server_context(), implicit=True, auth_require_tls=False)
    place.write("etc/msmtprc", f"account default\nhost {HOST}\nport {server.port}\ntls on\ntls_starttls off\n"
                               f"tls_trust_file /etc/understudy/ca.d/own.pem\nauth plain\nuser {USER}\npassword {PASSWORD}\n")
    env = sendmail('#!/bin/sh\nexec /usr/bin/msmtp "$@"\n')
    answered = place.mail(["ops@example.org", "second@example.org"], SENDMAIL, subject="Rôle", body=".\nfoo", env=env)
    assert answered == {to: ("accepted", "sendmail has taken it") for to in ("ops@example.org", "second@example.org")}
    assert server.handler.message()["Subject"] == "Rôle" and server.handler.message().get_content() == ".\nfoo\n"
    assert server.handler.mails[0][:2] == ("pbx@pair.test", ["ops@example.org", "second@example.org"])
    place.write("etc/msmtprc", f"account default\nhost {HOST}\nport 1\n")
    outcome, words = only(place.mail(["ops@example.org"], SENDMAIL, env=env))
    assert outcome == "retry" and "ended with 75: msmtp: cannot connect" in words, words


@pytest.mark.timed(100)
@pytest.mark.parametrize("script, outcome, words", [
    ("cat > /dev/null; exit 0", "accepted", "sendmail has taken it"),
    ("exit 0", "accepted", "sendmail has taken it"),  # it may close its input early
    ("cat > /dev/null; echo no such user >&2; exit 67", "refused", "sendmail ended with 67: no such user"),
    ("exit 75", "retry", "sendmail ended with 75:"),
    ("exit 78", "retry", "sendmail ended with 78:"),
    ("kill -9 $$", "retry", "sendmail was killed by signal 9:"),
    ("sleep 60 & sleep 60", "retry", "no end within 1000 ms: waiting for /run/sendmail/sendmail"),
    ('[ "$*" = "-i -f pbx@pair.test -- root" ] && exit 0; echo "$*"; exit 64', "accepted", "sendmail has taken it"),
])
def test_what_sendmail_says(place, sendmail, script, outcome, words):
    env = sendmail(f"#!/bin/sh\n{script}\n")
    assert only(place.mail(["root"], SENDMAIL, env=env, deadline_ms=1000 if "sleep" in script else 20000)) == (outcome, words)


def test_no_sendmail(place):
    if any(os.access(path, os.X_OK) for path in ("/usr/sbin/sendmail", "/usr/lib/sendmail")):
        return  # this machine has one of its own, which is not to be used
    assert only(place.mail(["root"], SENDMAIL)) == ("retry", "there is no sendmail command on this device")
