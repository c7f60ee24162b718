# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two devices that elect, ours or keepalived's, on a LAN of two switches with a client at each, and the cable between the switches.

            client-a ── switch a ══ trunk ══ switch b ── client-b
                           │                    │
                         alpha                 beta

Ours and the peers are driven by the same words: terminate, freeze, thaw, crash. A frozen device's every process stands still; "crash" kills the
process that holds the election, and its parent (ours: a loop in place of the supervisor; keepalived: its own parent process) starts it again at
once.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from vrrp_lab import SERVICE, Host, Keepalived, Lab, real_time, wait_until  # noqa: E402

from frame import OURS, Rejected  # noqa: E402
from gate import Gate  # noqa: E402
from observer import Observer  # noqa: E402
from pinger import Pinger, serve  # noqa: E402

KEEPALIVED = {  # variant -> global_defs; the first is what an administrator who has read the manual would write
    "keepalived": "vrrp_rt_priority 50",
    "keepalived-default": "",
    "keepalived-answering": "vrrp_rt_priority 50\n    vrrp_higher_prio_send_advert true",
}
PRIORITIES = {"alpha": 254, "beta": 253}  # as near to each other, and the Backup's skew time as short, as with ours
ADDRESSES = {"alpha": "192.0.2.11", "beta": "192.0.2.12"}


class Config:
    """v3_100ms_vmac -> version, interval and virtual MAC."""

    def __init__(self, name):
        found = re.fullmatch(r"v([23])_(\d+)(ms|s)(_vmac)?", name)
        assert found, name
        self.name = name
        self.version = int(found[1])
        self.interval_ms = int(found[2]) * (1000 if found[3] == "s" else 1)
        self.vmac = bool(found[4])

    def bound_ms(self, priority):
        """Master_Down_Interval of a Backup with this priority."""
        return 3 * self.interval_ms + (256 - priority) / 256 * (1000 if self.version == 2 else self.interval_ms)


class Trunk(Gate):
    """The cable between two switches of one namespace."""

    def __init__(self, one, other):
        namespace = one.namespace
        namespace.ip("link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1")
        namespace.ip("link", "set", "trunk0", "master", one.bridge, "up")
        namespace.ip("link", "set", "trunk1", "master", other.bridge, "up")
        super().__init__(namespace, ["trunk0"])


def children_of(pid):
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class OurDevice(Host):
    """vrrpd under a parent that starts it again whenever a signal has ended it, as the supervisor would."""

    bus = None
    LOOP = 'trap "" TERM; while "$0"; [ $? -ge 128 ]; do :; done'

    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
"""

    def start_bus(self):
        """A system bus, as every system has one."""
        path = self.folder / "bus"
        (self.folder / "bus.conf").write_text(self.BUS.format(path=path))
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork", "--nopidfile"], stdout=self.log,
                                    stderr=self.log, stdin=subprocess.DEVNULL)
        wait_until(path.exists, 5, "a bus")

    def spawn(self):
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={self.folder}/bus")
        self.process = subprocess.Popen(self.enter(["/bin/sh", "-c", self.LOOP, str(self.lab.vrrpd)]), env=environment, stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, preexec_fn=real_time)
        return self.process

    def pids(self):
        return children_of(self.process.pid)

    def begin(self, other):
        self.other = other
        self.start_bus()
        self.start(peer=other)

    def signal(self, number):
        for pid in self.pids():
            os.kill(pid, number)

    def crash(self):
        self.signal(signal.SIGKILL)

    def after_crash(self):
        """What a supervisor does for a vrrpd it has started again."""
        self.lab.silence(self)
        wait_until(self.pids, 5, f"vrrpd of {self.name} is started again")
        self.connect()
        self.lease()
        self.lab.beat(self)

    def terminate(self):
        """SIGTERM now; the parent ends with it."""
        self.signal(signal.SIGTERM)

    def after_terminate(self):
        self.process.wait(10)
        self.lab.silence(self)
        self.start(peer=self.other)

    def leads(self):
        """The applications run: the supervisor says so."""
        self.set_serving(True)

    def priority(self, _config):
        return 254

    def close(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.crash()
        if self.bus:
            self.bus.kill()
            self.bus.wait()
        super().close()


class PeerDevice(Keepalived):
    """keepalived, parent and VRRP process."""

    def __init__(self, lab, name, config, variant, switch):
        super().__init__(lab, name, ADDRESSES[name], config.version, f"{config.interval_ms / 1000:g}", PRIORITIES[name], config.vmac,
                         switch=switch, global_extra=KEEPALIVED[variant])
        self.address = ADDRESSES[name]
        self.lan_port = self.port

    def pids(self):
        return [self.process.pid, *children_of(self.process.pid)]

    def begin(self, _other):
        self.start()
        wait_until(lambda: len(self.pids()) == 2, 5, "keepalived's VRRP process")

    def crash(self):
        os.kill(children_of(self.process.pid)[0], signal.SIGKILL)

    def after_crash(self):
        wait_until(lambda: len(self.pids()) == 2, 5, "keepalived's VRRP process")

    def terminate(self):
        self.process.terminate()

    def after_terminate(self):
        self.process.wait(10)
        self.log.close()
        self.begin(None)

    def leads(self):
        pass

    def priority(self, _config):
        return PRIORITIES[self.name]


class ElectionLab(Lab):
    """The network, one subject's two devices running and settled, the clients probing."""

    def __init__(self, build, subject, config, probe_us=1000):
        super().__init__(build)
        self.subject, self.config = subject, config
        self.probes, self.echoes = [], {}
        try:
            self._build(probe_us)
        except BaseException:
            self.__exit__()
            raise

    def _build(self, probe_us):
        self.switch_b = self.net.switch("b")
        self.trunk = Trunk(self.lan, self.switch_b)
        self.closing.append(self.trunk)
        places = {"alpha": self.lan, "beta": self.switch_b}
        if self.subject == OURS:
            pair = {"vrrp-version": self.config.version, "advert-interval-ms": self.config.interval_ms,
                    "virtual-mac": "true" if self.config.vmac else "false"}
            self.devices = [self.host(name, ADDRESSES[name], pair=pair, switch=switch, kind=OurDevice) for name, switch in places.items()]
        else:
            self.devices = [PeerDevice(self, name, self.config, self.subject, switch) for name, switch in places.items()]
        self.names = {device.address: device for device in self.devices}
        self.observer = Observer([self.lan, self.switch_b], {device.name: device.namespace for device in self.devices}, SERVICE)
        self.closing.append(self.observer)
        self.clients = []
        for name, switch, number in (("client-a", self.lan, 51), ("client-b", self.switch_b, 52)):
            namespace = self.net.namespace(name)
            switch.connect(namespace, "eth0", f"192.0.2.{number}/24")
            self.clients.append(namespace)
            self.probes.append(Pinger(namespace, Path("/dev/shm"), SERVICE, probe_us))
        self.echoes = {device: serve(device.namespace) for device in self.devices}
        self.begin_ns = time.monotonic_ns()
        for device, other in (self.devices, self.devices[::-1]):
            device.begin(other)
            if device is self.devices[0]:
                wait_until(lambda: self.observer.holds(device.name), 30, f"{device.name} leads")
                device.leads()
        self.settle()

    def others(self, device):
        return next(other for other in self.devices if other is not device)

    def freeze(self, device):
        for pid in [*device.pids(), self.echoes[device].pid]:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self, device):
        for pid in [*device.pids(), self.echoes[device].pid]:
            os.kill(pid, signal.SIGCONT)

    def settle(self, timeout_s=30):
        """Waits until one device leads alone, has the address, is known to both clients, and the other has heard it for a few intervals."""
        begin, deadline = time.monotonic_ns(), time.monotonic() + timeout_s
        quiet_ns = max(4 * self.config.interval_ms, 150) * 1_000_000
        served, flushed = None, time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(0.02)
            now = time.monotonic_ns()
            sources = {source for _, source, priority in self.observer.adverts_between(max(begin, now - quiet_ns)) if priority}
            holders = [device for device in self.devices if self.observer.holds(device.name)]
            if len(holders) == 1 and served is not holders[0]:
                served = holders[0]
                served.leads()
            if now - begin < quiet_ns or len(holders) != 1 or sources != {holders[0].address}:
                continue
            if all(probe.answered_lately() for probe in self.probes):
                return holders[0]
            if time.monotonic() - flushed > 0.3:  # whom the last scenario has left with a wrong neighbour
                flushed = time.monotonic()
                for client in self.clients:
                    client.ip("neigh", "flush", "all")
        raise Rejected(f"{self.subject} did not come to rest in {timeout_s} s")

    def check_clock(self):
        if self.observer.stepped(self.begin_ns, time.monotonic_ns()):
            raise Rejected("the wall clock was set")

    def __exit__(self, *_):
        for probe in self.probes:
            probe.close()
        for echo in self.echoes.values():
            echo.kill()
            echo.wait()
        for thing in reversed(self.closing):
            thing.close()
        self.closing.clear()
        for host in self.hosts:
            host.close()
        self.net.close()
