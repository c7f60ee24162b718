# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is told of events in the demo, all on the phone host: a mail server (aiosmtpd), an SMS gateway (kannel before a fake SMSC), and a
receiver of SNMP informs (snmptrapd). Real servers, each a process of its own; nothing leaves the laboratory."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from lab.net import run, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
MAIL_PORT, SMS_PORT, TRAP_PORT = 587, 13013, 162
USER = "pbx"
SECRETS = {"mail.boss": "mail-secret", "sms.duty": "sms-secret", "snmp.noc": "authentication-secret\nprivacy-secret"}
BOSS, DUTY = "boss@example.com", "+491705550100"
FAKE_SMSC = "/usr/lib/kannel/test/fakesmsc"

SETTINGS = """
[mail boss]
to={boss}
from=pbx@example.com
server={host}:{mail}
user={user}
ca=demo

[sms duty]
to={duty}
url=http://{host}:{sms}/cgi-bin/sendsms?username={{user}}&password={{password}}&to={{to}}&charset=UTF-8&text={{text}}
success=^HTTP/1.1 202[^\\n]*\\n0:
user={user}

[snmp noc]
host={host}:{trap}
version=3
kind=inform
user={user}

# Several faults within a minute are the demo's, so each is told by itself.
[rule failover]
application=REDUNDANCY
name=failover
actions=mail:boss sms:duty snmp:noc display
fold-s=0
"""

KANNEL = """\
group = core
admin-port = 13000
admin-password = none
smsbox-port = 13001
box-allow-ip = "127.0.0.1"

group = smsc
smsc = fake
smsc-id = fake
port = 13002
connect-allow-ip = "127.0.0.1"

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {port}
log-level = 3

group = sendsms-user
username = {user}
password = {password}
default-sender = 4930555
max-messages = 3
"""

SNMPTRAPD = """\
disableAuthorization no
createUser {user} SHA-256 {auth} AES {priv}
authUser log {user} priv
"""


class Receivers:
    """address: where they listen."""

    def __init__(self, address):
        self.namespace = None
        self.address = address
        self.folder = tempfile.mkdtemp(prefix="understudy-receivers-")
        self.received = []  # (moment of time.monotonic(), "mail" or "sms" or "snmp", text)
        self.changed = threading.Condition()
        self._processes = []

    def settings(self):
        """What pair.conf says of them."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return SETTINGS.format(host=host, boss=BOSS, duty=DUTY, user=USER, mail=MAIL_PORT, sms=SMS_PORT, trap=TRAP_PORT)

    def introduce(self, device):
        """The authority of the mail server, as an administrator would bring it to a device."""
        with open(f"{self.folder}/server.crt", encoding="ascii") as certificate:
            device.write("/etc/understudy/ca.d/demo.pem", certificate.read())

    @staticmethod
    def tell_secrets(device):
        """To a device that is on: none of them stands in a command line or in pair.conf."""
        for name, secret in SECRETS.items():
            device.run(["understudy", "secret", "set", name], input=f"{secret}\n")

    def _make_certificate(self):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=mail",
             "-addext", f"subjectAltName=IP:{self.address}", "-keyout", f"{self.folder}/server.key", "-out", f"{self.folder}/server.crt"])
        with open(f"{self.folder}/server.pem", "w", encoding="ascii") as both:
            for part in ("crt", "key"):
                with open(f"{self.folder}/server.{part}", encoding="ascii") as file:
                    both.write(file.read())

    def start(self, namespace):
        """All of them, in the namespace that has the address."""
        self.namespace = namespace
        self._make_certificate()
        self._mail()
        self._sms()
        self._snmp()

    def _spawn(self, argv, note, ready, secret=None, **more):
        """Begins argv; note(line) for each line it prints, on either output; returns when ready(line) was true for one."""
        process = self.namespace.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                       cwd=self.folder, **more)
        self._processes.append(process)
        if secret:
            process.stdin.write(secret + "\n")
        process.stdin.close()
        begun, lines = threading.Event(), []

        def read():
            for line in process.stdout:
                lines.append(line)
                if ready(line):
                    begun.set()
                note(line)

        threading.Thread(target=read, daemon=True).start()
        wait_until(lambda: begun.is_set() or process.poll() is not None, 15, argv[0], 0.01)
        if not begun.is_set():
            raise OSError(f"{argv[0]}: {''.join(lines[-5:]).strip()}")

    def _note(self, kind, text, at=None):
        with self.changed:
            self.received.append((at or time.monotonic(), kind, text))
            self.changed.notify_all()

    def _mail(self):
        def note(line):
            if line.startswith("{"):
                mail = json.loads(line)
                self._note("mail", f"to {', '.join(mail['to'])}: {mail['text']}", mail["at"])

        self._spawn([sys.executable, f"{HERE}/mailserver.py", self.address, str(MAIL_PORT), f"{self.folder}/server.pem", USER], note,
                    lambda line: line == "listening\n", SECRETS["mail.boss"])

    def _sms(self):
        with open(f"{self.folder}/kannel.conf", "w", encoding="utf-8") as file:
            file.write(KANNEL.format(port=SMS_PORT, user=USER, password=SECRETS["sms.duty"]))

        def note(line):
            found = re.search(r"Got message \d+: <\S+ (\S+) text (.*)>$", line)
            if found:
                self._note("sms", f"to {found[1]}: {found[2]}")

        def listens(port):
            return f":{port:04X} " in self.namespace.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout

        self._spawn(["bearerbox", f"{self.folder}/kannel.conf"], lambda _: None, lambda line: "MAIN: Start-up done" in line)
        # It opens its ports in threads of their own; the two others end at once where they find none.
        wait_until(lambda: listens(13001) and listens(13002), 15, "the ports of bearerbox", 0.01)
        self._spawn(["smsbox", f"{self.folder}/kannel.conf"], lambda _: None, lambda _: True)
        self._spawn([FAKE_SMSC, "-H", "127.0.0.1", "-r", "13002", "-m", "0", "1 2 text none"], note, lambda line: "starting" in line)
        wait_until(lambda: listens(SMS_PORT), 15, "the SMS gateway", 0.05)
        if ":" in self.address:  # kannel listens on IPv4 alone
            self._spawn(["socat", "-d", "-d", f"TCP6-LISTEN:{SMS_PORT},ipv6only,reuseaddr,fork", f"TCP4:127.0.0.1:{SMS_PORT}"], lambda _: None,
                        lambda line: "listening" in line)

    def _snmp(self):
        auth, priv = SECRETS["snmp.noc"].split("\n")
        with open(f"{self.folder}/snmptrapd.conf", "w", encoding="utf-8") as file:
            file.write(SNMPTRAPD.format(user=USER, auth=auth, priv=priv))

        def note(line):
            if "REDUNDANCY" in line:
                self._note("snmp", " ".join(re.findall(r'STRING: "([^"]*)"', line)))

        address = f"udp6:[{self.address}]" if ":" in self.address else f"udp:{self.address}"
        self._spawn(["snmptrapd", "-f", "-Lo", "-C", "-c", f"{self.folder}/snmptrapd.conf", "-F", "%v\\n", f"{address}:{TRAP_PORT}"], note,
                    lambda line: "NET-SNMP version" in line, env={**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": f"{self.folder}/snmp"})

    def wait(self, kind, word, since, timeout_s):
        """(seconds after @since, text) of the first message of that kind with @word in it after @since; None when none comes."""
        deadline = time.monotonic() + timeout_s
        with self.changed:
            while True:
                for at, what, text in self.received:
                    if what == kind and at >= since and word in text:
                        return at - since, text
                if not self.changed.wait(max(0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return None

    def stop(self):
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        run(["rm", "-rf", self.folder])
