# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail servers, and certificates for them: exim4 (GnuTLS), aiosmtpd (OpenSSL), and servers of a few lines that do what no server should."""

import asyncio
import email
import email.policy
import os
import random
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult
from gi.repository import GLib

from notify_place import DEADLINE_S, Place

EXIM = Path("/var/cache/understudy-packages/exim4-daemon-light/usr/sbin/exim4")
USER, PASSWORD = "pbx", "s3cret-word"
HOST = "mail.test"


def job(to, target, subject="subject", body="body", deadline_ms=20000, job_id="ev-1.mail", **event):
    """The text that notifyd would write."""
    file = GLib.KeyFile()
    file.set_string("job", "id", job_id)
    file.set_int64("job", "time-ms", 1700000000123)
    file.set_int64("job", "deadline-ms", deadline_ms)
    for key, value in target.items():
        file.set_string("target", key, str(value))
    file.set_string_list("to", "list", to)
    file.set_string("message", "subject", subject)
    file.set_string("message", "body", body)
    for key, value in event.items():
        file.set_string("event", key, str(value))
    return file.to_data()[0]


def free_port():
    """For a server that cannot take any: one that the kernel gives nobody by itself, so that it is still free when that server begins."""
    while True:
        port = random.randrange(20000, 32000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            pass


def answers(output):
    """{recipient: (outcome, words)}; each line has its three fields, and each recipient one line."""
    lines = [line.split("\t") for line in output.splitlines()]
    assert all(len(line) == 3 for line in lines), output
    assert len({line[1] for line in lines}) == len(lines), output
    return {to: (outcome, words) for outcome, to, words in lines}


class Certificates:
    """An authority, certificates of its making, and what of them is revoked."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self._key(self.folder / "ca.key")
        self._openssl("req", "-x509", "-new", "-key", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Test CA",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self.make("server", f"DNS:{HOST},IP:127.0.0.1,IP:::1")
        (self.folder / "index").touch()
        (self.folder / "ca.conf").write_text("[ca]\ndefault_ca=x\n[x]\ndatabase=index\ncrlnumber=number\ndefault_md=sha256\n", encoding="ascii")
        (self.folder / "number").write_text("01\n", encoding="ascii")
        self.ca = (self.folder / "ca.pem").read_text(encoding="ascii")

    def _openssl(self, *words, **more):
        return subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, **more)

    def _key(self, path):
        self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))

    def make(self, name, names, days=30):
        """NAME.pem, with the key in it."""
        self._key(self.folder / f"{name}.key")
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="ascii")
        self._openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.crt",
                      "-days", str(days), "-extfile", f"{name}.ext")
        path = self.folder / f"{name}.pem"
        path.write_text((self.folder / f"{name}.crt").read_text(encoding="ascii") + (self.folder / f"{name}.key").read_text(encoding="ascii"),
                        encoding="ascii")
        return path

    def with_revoked(self, *names):
        """The authority with a revocation list."""
        for name in names:
            self._openssl("ca", "-config", "ca.conf", "-revoke", f"{name}.crt", "-keyfile", "ca.key", "-cert", "ca.pem")
        self._openssl("ca", "-config", "ca.conf", "-gencrl", "-crldays", "30", "-keyfile", "ca.key", "-cert", "ca.pem", "-out", "crl.pem")
        return self.ca + (self.folder / "crl.pem").read_text(encoding="ascii")

    def server_context(self, name="server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem")
        return context


class MailPlace(Place):
    """A place in which understudy-mail runs as on a device, with hosts and authorities of the test's own."""

    def __init__(self, build, certificates):
        super().__init__(build)
        self.hosts("127.0.0.1 localhost", f"127.0.0.1 real-name.test {HOST} unknown.test")
        (self.root / "etc/understudy/ca.d").mkdir()
        self.authority("own", certificates.ca)

    def hosts(self, *lines):
        self.write("etc/hosts", "".join(line + "\n" for line in lines))

    def authority(self, name, text):
        self.write(f"etc/understudy/ca.d/{name}.pem", text)

    def program(self, path, text, user="understudy-notify", env=None, timeout=DEADLINE_S):
        """Runs @path with the job; its answers, and how long it took."""
        begun = time.monotonic()
        done = self.run(self.build / path, user=user, input=text, env=env, timeout=timeout)
        assert done.returncode == 0, done
        assert done.stderr == "", done.stderr
        return answers(done.stdout), time.monotonic() - begun

    def timed_mail(self, to, target, env=None, **more):
        # libesmtp compares names of headers that have no end with others, within the length of the shorter one.
        options = f"{os.environ.get('ASAN_OPTIONS', '')}:strict_string_checks=0:verify_asan_link_order=0".lstrip(":")
        return self.program("notifyd/mail/understudy-mail", job(to, target, **more), env={"ASAN_OPTIONS": options, **(env or {})})

    def mail(self, to, target, env=None, **more):
        return self.timed_mail(to, target, env, **more)[0]


# ---- aiosmtpd ----

class Handler:
    def __init__(self):
        self.mails, self.commands, self.logins, self.auth_calls = [], [], [], 0
        self.names = []  # told by SNI
        self.versions = []

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.commands.append("MAIL")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such person"
        if address.startswith("full@"):
            return "452 4.2.2 mailbox full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        if session.ssl:
            self.versions.append(server.transport.get_extra_info("ssl_object").version())
        return "250 2.0.0 taken as 4711"

    def authenticate(self, server, session, envelope, mechanism, data):
        self.auth_calls += 1
        login, password = data.login.decode(), data.password.decode()
        self.logins.append((mechanism, login, password))
        if (login, password) == (USER, PASSWORD) or len(login) == 255:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message="535 5.7.8 wrong user or password")

    def message(self):
        ((_sender, _to, content),) = self.mails
        return email.message_from_bytes(content.replace(b"\r\n", b"\n"), policy=email.policy.default)


class Aio:
    """aiosmtpd on a port of its own, in a thread."""

    def __init__(self, context=None, implicit=False, address="127.0.0.1", **options):
        self.handler = Handler()
        self.loop = asyncio.new_event_loop()
        options.setdefault("auth_required", False)
        options.setdefault("authenticator", self.handler.authenticate)
        if context:
            context.sni_callback = lambda _object, name, _context: self.handler.names.append(name)
        if context and not implicit:
            options["tls_context"] = context
        options.setdefault("auth_require_tls", bool(context))

        async def begin():
            return await self.loop.create_server(lambda: SMTP(self.handler, loop=self.loop, hostname="aio.test", **options),
                                                 address, 0, ssl=context if implicit else None)

        self.server = self.loop.run_until_complete(begin())
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def close(self):
        def end():
            self.server.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.stop)

        self.loop.call_soon_threadsafe(end)
        self.thread.join(DEADLINE_S)
        self.loop.close()


# ---- servers that do what no server should ----

class Rogue:
    """Each connection is given to talk(stream, log), in a thread. The stream ends, and the socket with it, when that returns or raises."""

    def __init__(self, talk, address="127.0.0.1", backlog=5):
        self.log = []
        self.talk = talk
        self.over = threading.Event()
        self.listener = socket.create_server((address, 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.open = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)] if talk else []
        for thread in self.threads:
            thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection:
                self.talk(Stream(connection, self.log, self.over))
        except (OSError, EOFError):
            pass

    def close(self):
        self.over.set()
        for end in (self.listener, *self.open):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        for thread in self.threads:
            thread.join(DEADLINE_S)


class Stream:
    def __init__(self, connection, log, over):
        self.connection, self.log, self.over = connection, log, over
        self.buffer = b""

    def say(self, text):
        self.connection.sendall(text.encode() + b"\r\n")

    def hear(self):
        while b"\n" not in self.buffer:
            piece = self.connection.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        self.log.append(line.rstrip(b"\r").decode())
        return self.log[-1]

    def hear_message(self):
        while self.hear() != ".":
            pass

    def hear_the_rest(self):
        """Up to QUIT, without a word."""
        while self.hear() != "QUIT":
            pass

    def secure(self, context):
        self.connection = context.wrap_socket(self.connection, server_side=True)

    def wait(self):
        """Until the test is over."""
        self.over.wait(DEADLINE_S)

    def greet(self, *extensions):
        self.say("220 rogue.test")
        self.hear()
        for extension in ("rogue.test", *extensions):
            self.say(f"250-{extension}")
        self.say("250 HELP")


# ---- exim4 ----

EXIM_CONFIG = """
exim_path = {exim}
exim_user = {uid}
exim_group = {uid}
trusted_users = {uid}
keep_environment =
spool_directory = {folder}/spool
log_file_path = {folder}/log-%s
pid_file_path = {folder}/pid
primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {folder}/server.pem
tls_privatekey = {folder}/server.pem
auth_advertise_hosts = *
log_selector = +tls_sni
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
acl_smtp_mail = mail
queue_run_in_order
split_spool_directory = false

begin acl
mail:
  deny message = authenticate first
       !authenticated = *
  accept
rcpt:
  deny message = no such person
       local_parts = nobody
  defer message = mailbox full
        local_parts = full
  accept

begin routers
all:
  driver = accept
  transport = folder

begin transports
folder:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  user = {uid}
  group = {uid}

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""


class Exim:
    """The real thing, unpacked and not installed: it would take the place of the machine's own mail server. Its user is one of the place's."""

    UID = 951

    def __init__(self, place, certificates):
        assert EXIM.exists(), f"no {EXIM}: data/install-packages test has it"
        self.folder = place.root / "run/exim"
        self.folder.mkdir()
        with open(place.root / "etc/passwd", "a", encoding="utf-8") as file:
            file.write(f"Debian-exim:x:{self.UID}:{self.UID}::/:/bin/sh\n")
        with open(place.root / "etc/group", "a", encoding="utf-8") as file:
            file.write(f"Debian-exim:x:{self.UID}:\n")
        for name in ("spool", "mail"):
            (self.folder / name).mkdir()
        (self.folder / "server.pem").write_bytes((certificates.folder / "server.pem").read_bytes())
        self.port = free_port()
        self.config = self.folder / "conf"
        self.config.write_text(EXIM_CONFIG.format(uid=self.UID, exim=EXIM, folder="/run/exim", port=self.port, user=USER, password=PASSWORD), encoding="ascii")
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, self.UID, self.UID)
        os.chown(self.config, 0, 0)
        self.process = place.start([EXIM, "-C", "/run/exim/conf", "-bdf", "-oP", "/run/exim/pid"], user="Debian-exim",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.monotonic() + DEADLINE_S
        while not self._answers():
            assert self.process.poll() is None, self.process.stdout.read().decode()
            assert time.monotonic() < end, "exim4 does not answer"

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    def log(self):
        path = self.folder / "log-main"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def messages(self, count):
        """Waits for the delivery into the folder, which comes after the answer."""
        end = time.monotonic() + DEADLINE_S
        while True:
            files = list((self.folder / "mail/new").glob("*")) if (self.folder / "mail/new").exists() else []
            if len(files) >= count:
                return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
            assert time.monotonic() < end, self.log()
            threading.Event().wait(0.02)
