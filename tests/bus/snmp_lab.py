# SPDX-License-Identifier: LGPL-2.1-or-later
"""net-snmp's snmptrapd and snmpd, each in a folder and at a loopback port of its own; they say by name what they have."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import wait_until  # noqa: E402  (the demo's folder must be on the path first)

DEADLINE_S = 20
HERE = Path(__file__).resolve().parent
SOCKET = "/run/agentx/master"
ADDRESS = "127.0.0.1:1161"
EXAMPLE = HERE.parents[1] / "data/examples/snmpd.conf"
SINK = 1162  # of what snmpd sends on, in the device's own network
SNMPD_CONF = f"""rocommunity seen 127.0.0.1
rwcommunity given 127.0.0.1
trap2sink 127.0.0.1 told {SINK}
sysServices 72
"""


def snmpd_conf():
    """As the example for administrators has it, with the laboratory's place of the socket."""
    return EXAMPLE.read_text(encoding="utf-8").replace("unix:/var/agentx/master", f"unix:{SOCKET}") + SNMPD_CONF


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def names(build, folder, modules="UNDERSTUDY-MIB:SNMPv2-MIB"):
    """For the environment of net-snmp's programs: our MIB, what it is made of, and nobody's settings."""
    return {"MIBS": modules, "MIBDIRS": f"{HERE / 'mibs'}:{Path(build) / 'data/mibs'}:/usr/share/snmp/mibs", "SNMPCONFPATH": str(folder),
            "SNMP_PERSISTENT_DIR": str(folder / "persistent"), "LC_ALL": "C.UTF-8"}


def rows_of(text):
    """What snmpwalk prints: name to value."""
    rows = [line.split(" = ", 1) for line in text.splitlines() if " = " in line and "No Such" not in line and "No more variables" not in line]
    return {name.split("::")[1]: value for name, value in rows}


class Receiver:
    """Keeps each notification as one line."""

    def __init__(self, build, folder, settings, device=None, port=None, modules="UNDERSTUDY-MIB:SNMPv2-MIB"):
        """At this machine's loopback; or at a device's, and then at a port of ours."""
        self.build, self.folder, self.fixed, self.modules = build, folder, port, modules
        self.enter = ["nsenter", f"--target={device.pid}", "--net"] if device else []
        (folder / "snmptrapd.conf").write_text(settings, encoding="utf-8")
        self.process = None
        self.text = ""

    def __enter__(self):
        for _ in range(5):  # somebody else may have taken the port meanwhile
            self.port = self.fixed or free_port()
            self.address = f"127.0.0.1:{self.port}"
            self.process = subprocess.Popen([*self.enter, "/usr/sbin/snmptrapd", "-f", "-Lo", "-C", "-c", str(self.folder / "snmptrapd.conf"), "-F", "%v\\n", f"udp:{self.address}"],
                                            env={**os.environ, **names(self.build, self.folder, self.modules)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
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

    def lines_with(self, *words):
        """Those that have come, with all of these in them."""
        self.read(0)
        return [line for line in self.text.split("\n")[:-1] if all(word in line for word in words)]

    def wait_for(self, word):
        """The line with @word, once it is whole."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            for line in self.text.split("\n")[:-1]:
                if word in line.split():
                    return line
            self.read(0.2)
        raise AssertionError(f"{word} has not come: {self.text}")


class Agent:
    """snmpd on a device, at its loopback."""

    def __init__(self, build, device, folder):
        self.build, self.device, self.folder, self.process = build, device, folder, None
        device.write("/run/snmpd.conf", snmpd_conf())
        os.makedirs(device.file(os.path.dirname(SOCKET)), exist_ok=True)

    def start(self):
        Path(self.device.file(SOCKET)).unlink(missing_ok=True)
        # Not into the namespace of processes: nsenter would fork for it, and stay between us and snmpd.
        self.process = subprocess.Popen(["nsenter", f"--target={self.device.pid}", "--mount", "--net", "--root", "--wd", "/usr/bin/env",
                                         "SNMP_PERSISTENT_DIR=/run/snmpd", "/usr/sbin/snmpd", "-f", "-Lo", "-r", "-C", "-c", "/run/snmpd.conf", "-I", "-smux",
                                         f"udp:{ADDRESS}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def walk(self, what, timeout_s=5):
        """Name to value, as net-snmp prints it; {} when there is no answer or nothing there."""
        done = subprocess.run(["nsenter", f"--target={self.device.pid}", "--net", "snmpbulkwalk", "-v2c", "-c", "seen", "-t", str(timeout_s), "-r", "0", "-Oe",
                               ADDRESS, what], env={**os.environ, **names(self.build, self.folder, "UNDERSTUDY-MIB:VRRP-MIB:VRRPV3-MIB")},
                              capture_output=True, text=True, check=False, timeout=timeout_s + 60)
        return rows_of(done.stdout)

    def wait(self, what, name, value):
        wait_until(lambda: self.walk(what).get(name) == value, 30, f"{name} = {value}", 0.1)
