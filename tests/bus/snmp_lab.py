# SPDX-License-Identifier: LGPL-2.1-or-later
"""net-snmp's snmptrapd, in a folder and at a loopback port of its own, that says by name what it receives."""

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

DEADLINE_S = 20
HERE = Path(__file__).resolve().parent


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def names(build, folder, modules="UNDERSTUDY-MIB:SNMPv2-MIB"):
    """For the environment of net-snmp's programs: our MIB, what it is made of, and nobody's settings."""
    return {"MIBS": modules, "MIBDIRS": f"{HERE / 'mibs'}:{Path(build) / 'data/mibs'}:/usr/share/snmp/mibs", "SNMPCONFPATH": str(folder),
            "SNMP_PERSISTENT_DIR": str(folder / "persistent"), "LC_ALL": "C.UTF-8"}


class Receiver:
    """Keeps each notification as one line."""

    def __init__(self, build, folder, settings):
        self.build, self.folder = build, folder
        (folder / "snmptrapd.conf").write_text(settings, encoding="utf-8")
        self.process = None
        self.text = ""

    def __enter__(self):
        for _ in range(5):  # somebody else may have taken the port meanwhile
            self.port = free_port()
            self.address = f"127.0.0.1:{self.port}"
            self.process = subprocess.Popen(["/usr/sbin/snmptrapd", "-f", "-Lo", "-C", "-c", str(self.folder / "snmptrapd.conf"), "-F", "%v\\n", f"udp:{self.address}"],
                                            env={**os.environ, **names(self.build, self.folder)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            end = time.monotonic() + DEADLINE_S
            while "NET-SNMP version" not in self.text and self.process.poll() is None and time.monotonic() < end:
                self.read(0.1)
            if self.process.poll() is None:
                return self
            self.process.stdout.close()
        raise AssertionError(f"snmptrapd: {self.text}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def read(self, timeout):
        if select.select([self.process.stdout], [], [], timeout)[0]:
            self.text += os.read(self.process.stdout.fileno(), 65536).decode("utf-8", "replace")

    def wait_for(self, word):
        """The line with @word, once it is whole."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            for line in self.text.split("\n")[:-1]:
                if word in line.split():
                    return line
            self.read(0.2)
        raise AssertionError(f"{word} has not come: {self.text}")
