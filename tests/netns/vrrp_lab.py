# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two or more vrrpd on a LAN of namespaces, seen from outside: their bus, the wire, and a client of the service address.

Each host is a network and a mount namespace with its own /etc/understudy and /run, kept by a process that does nothing; vrrpd is started into it
as the supervisor would, and may be killed, frozen and started again while the folder /run stays.
"""

import ctypes
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "demo"), str(Path(__file__).resolve().parent)]
from lab.net import Network, deadline_of, die_with_parent, make_memory_folder, remove_memory_folder, wait_until  # noqa: E402
from lab.signals import weakly  # noqa: E402

import lease  # noqa: E402

ROOT = "/org/understudy/Vrrp1"
ELECTION = "org.understudy.Election1"
VRRP = "org.understudy.Vrrp1"
ADDRESS = "org.understudy.Address1"
SERVICE = "192.0.2.100"
GROUP = 51
VIRTUAL_MAC = bytes([0, 0, 0x5E, 0, 1, GROUP])
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
PACKET_OUTGOING = 4


def real_time():
    """As the supervisor starts it; where this machine refuses, the tests' bounds meet its load."""
    die_with_parent()
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    except PermissionError:
        pass


def as_client():
    """Of the observers that ask every 2 ms: what they measure is not to be how long they waited for a processor themselves. Below vrrpd."""
    die_with_parent()
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass


def clocks_apart():
    """What the monotonic clock is ahead of the wall clock, in seconds; when the thread was interrupted between the two looks, it looks again."""
    best = None
    for _ in range(100):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, (before + after) // 2 - wall
        if best[0] < 20_000:
            break
    return best[1] / 1e9


def pump_until(condition, timeout_s, what):
    """Runs the GLib loop until condition() is true."""
    context = GLib.MainContext.default()
    deadline = deadline_of(timeout_s)
    expired = []

    def expire():
        expired.append(True)
        return GLib.SOURCE_REMOVE

    guard = GLib.timeout_add(int((deadline - time.monotonic()) * 1000) + 1, expire)
    try:
        while True:
            over = expired or time.monotonic() > deadline
            while over and context.iteration(False):
                pass
            value = condition()
            if value:
                return value
            assert not over, f"{what}: not within {timeout_s} s"
            context.iteration(True)
    finally:
        if not expired:
            GLib.source_remove(guard)


class Host:
    """A device that runs nothing but vrrpd."""

    def __init__(self, lab, name, address, peer_address=None):
        self.lab, self.name, self.address, self.peer_address = lab, name, address, peer_address
        self.namespace = lab.net.namespace(name)
        self.folder = lab.folder / name
        (self.folder / "etc" / "understudy").mkdir(parents=True)
        (self.folder / "run/understudy/private").mkdir(parents=True)
        self.socket = self.folder / "run/understudy/private/vrrp"
        self.process, self.connection, self.signals = None, None, []
        self.lease_fd = lease.make()
        self.bus_address = f"unix:path={self.folder}/no-bus"
        script = (f"mount -t overlay -o lowerdir={self.folder}/etc:/etc none /etc && "
                  f"mount --bind {self.folder}/etc/understudy /etc/understudy && "
                  f"mount --bind {self.folder}/run /run && echo ready && exec cat")
        self.keeper = self.namespace.popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script],
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout.readline() == "ready\n"
        self.log = open(self.folder / "log", "ab")

    # ---- settings ----

    def device_conf(self, id=None):
        text = f"[device]\nid={id or self.name}\n\n[interface lan]\ndevice=eth0\naddress={self.address}/24\n"
        if self.peer_address:
            text += f"\n[interface peer]\ndevice=eth1\naddress={self.peer_address}/30\n"
        self.write("device.conf", text)

    def pair_conf(self, pair=None, groups=None):
        keys = {"group-id": GROUP, **(pair or {})}
        text = "[pair]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())
        for name, values in (groups or {"lan": {"interface": "lan", "addresses": f"{SERVICE}/24", "elects": "true"}}).items():
            text += f"\n[group {name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
        self.write("pair.conf", text)

    def write(self, name, text):
        (self.folder / "etc/understudy" / name).write_text(text)

    # ---- the process ----

    def enter(self, argv):
        return ["nsenter", "-t", str(self.keeper.pid), "--net", "--mount", "--root", "--wd", *argv]

    def spawn(self):
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.bus_address)
        self.process = subprocess.Popen(self.enter([str(self.lab.vrrpd)]), env=environment, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, preexec_fn=real_time)
        return self.process

    def start(self, supervised=True, peer=None):
        self.spawn()
        self.connect()
        if peer is not None:
            self.set_peer(peer)
        if supervised:
            self.lease()
            self.lab.beat(self)
        return self

    def connect(self):
        self.connection = None

        def attempt():
            assert self.process.poll() is None, f"vrrpd of {self.name} ended: {self.process.returncode}: {self.text_log()}"
            try:
                return lease.line_to(self.socket)
            except GLib.Error:
                return None

        self.connection = wait_until(attempt, 10, f"socket of {self.name}")
        self.connection.signal_subscribe(None, ELECTION, None, None, None, Gio.DBusSignalFlags.NONE, weakly(self._signal))

    def _signal(self, connection, sender, path, interface, member, args):
        self.signals.append((member, args.unpack()))

    def kill(self, signal_number=signal.SIGKILL):
        self.process.send_signal(signal_number)
        self.process.wait(10)
        self.lab.silence(self)

    def terminate(self):
        self.kill(signal.SIGTERM)
        return self.process.returncode

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def text_log(self):
        return (self.folder / "log").read_text(errors="replace")

    # ---- the bus ----

    def call(self, method, args=None, interface=ELECTION, path=ROOT):
        return self.connection.call_sync(None, path, interface, method, args, None, Gio.DBusCallFlags.NONE, 5000, None).unpack()

    def get(self, name, interface=ELECTION, path=ROOT):
        return self.call("Get", GLib.Variant("(ss)", (interface, name)), "org.freedesktop.DBus.Properties", path)[0]

    def state(self):
        return self.get("State")

    def counters(self):
        return self.get("Counters", VRRP)

    def holds(self):
        return [name for name, _reason, _since in self.get("Holds")]

    def wait_state(self, state, timeout_s=5):
        def reached():
            value = self.state()
            return value == state

        wait_until(reached, timeout_s, f"{self.name} becomes {state}")

    def wait_property(self, name, value, timeout_s=5, interface=ELECTION):
        wait_until(lambda: self.get(name, interface) == value, timeout_s, f"{name} of {self.name} becomes {value}")

    def told(self, member):
        """What each signal of that name said, of all that came before the answer to this question."""
        self.state()
        context = GLib.MainContext.default()
        while context.iteration(False):
            pass
        return [args for name, args in self.signals if name == member]

    def wait_signal(self, member, matches=lambda args: True, timeout_s=5):
        def found():
            return next((args for name, args in self.signals if name == member and matches(args)), None)

        return pump_until(found, timeout_s, f"{member} of {self.name}")

    def lease(self):
        """A supervisor lives, for three seconds."""
        lease.arm(self.lease_fd)
        lease.hand_over(self.connection, self.lease_fd)

    def hold(self, name, reason="test", lease_ms=0):
        self.call("Hold", GLib.Variant("(ssu)", (name, reason, lease_ms)))

    def lift(self, name):
        self.call("Lift", GLib.Variant("(s)", (name,)))

    def take(self, reason="test"):
        self.call("Take", GLib.Variant("(s)", (reason,)))

    def resign(self, reason="test"):
        self.call("Resign", GLib.Variant("(s)", (reason,)))

    def set_serving(self, serving):
        self.call("SetServing", GLib.Variant("(b)", (serving,)))

    def set_peer(self, peer, follows=False):
        """peer: the other host; who has the higher address has the higher offset."""
        if peer is False:
            self.call("SetPeer", GLib.Variant("(a{sv})", ({},)))
            return
        addresses = {"lan": [peer.address]}
        if peer.peer_address:
            addresses["peer"] = [peer.peer_address]
        self.call("SetPeer", GLib.Variant("(a{sv})", ({
            "id": GLib.Variant("s", peer.name),
            "offset": GLib.Variant("y", int(self.address > peer.address)),
            "addresses": GLib.Variant("a{sas}", addresses),
            "follows": GLib.Variant("b", follows),
        },)))

    # ---- the kernel ----

    def has_service(self, address=SERVICE):
        return address in self.namespace.addresses()

    def close(self):
        self.lab.silence(self)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.keeper.stdin.close()
        self.keeper.stdout.close()
        self.keeper.wait(5)
        self.log.close()
        os.close(self.lease_fd)


class Lab:
    """The LAN, the peer link, and whoever is on them."""

    def __init__(self, build):
        self.vrrpd = build / "vrrpd" / "understudy-vrrpd"
        self.net = Network()
        self.lan = self.net.switch("lan")
        self.peer_link = self.net.cable("peer")
        self.hosts, self.beating, self.closing = [], {}, []
        self.folder = Path(make_memory_folder(f"vrrp-{self.net.tag}-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for host in self.hosts:  # pytest shows it when the test failed
            print(f"---- {host.name} ----\n{host.text_log()}")
        for thing in reversed(self.closing):
            thing.close()
        for host in self.hosts:
            host.close()
        self.net.close()
        remove_memory_folder(self.folder)

    def host(self, name, address, peer_address=None, configured=True, pair=None, groups=None, switch=None, kind=Host):
        host = kind(self, name, address, peer_address)
        self.hosts.append(host)
        host.lan_port = (switch or self.lan).connect(host.namespace, "eth0", f"{address}/24")
        if peer_address:
            host.peer_port = self.peer_link.connect(host.namespace, "eth1", f"{peer_address}/30")
        if configured:
            host.device_conf()
            host.pair_conf(pair, groups)
        return host

    def two(self, peer_link=True, paired=True, pair=None, groups=None, start=True):
        """Alpha, Master and serving, and beta, its Backup."""
        alpha = self.host("alpha", "192.0.2.11", "10.0.0.1" if peer_link else None, pair=pair, groups=groups)
        beta = self.host("beta", "192.0.2.12", "10.0.0.2" if peer_link else None, pair=pair, groups=groups)
        if start:
            alpha.start(peer=beta if paired else None)
            self.first(alpha)
            alpha.set_serving(True)
            beta.start(peer=alpha if paired else None)
            beta.wait_state("backup")
            wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
            if paired: # beta is all that alpha hears, and it must have heard it for three intervals
                wait_until(lambda: alpha.get("Standing") == "serving", 8, "alpha is within reach")
        return alpha, beta

    def first(self, host, timeout_s=10):
        """Waits until host leads, on a LAN where it is alone with those who talk there."""
        self.lan.speak_until(lambda: host.state() == "master", timeout_s, f"{host.name} becomes master")

    def beat(self, host):
        """A supervisor lives on: a process of its own keeps the lease, so that a test may wait in any way it likes. Without: silence()."""
        self.silence(host)
        self.beating[host] = subprocess.Popen(["/usr/bin/python3", lease.__file__, str(host.socket), str(host.lease_fd)], pass_fds=[host.lease_fd],
                                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def silence(self, host):
        process = self.beating.pop(host, None)
        if process:
            process.kill()
            process.wait()

    def client(self, name="client", address="192.0.2.50"):
        client = Client(self, name, address)
        self.closing.append(client)
        return client

    def wire(self, port, virtual_only=False):
        wire = Wire(self, port, virtual_only)
        self.closing.append(wire)
        return wire


class Wire:
    """What goes over one cable, stamped by the kernel at the switch. Times are time.monotonic(): the kernel's stamps are of the wall clock, which may
    be set at any moment, so a thread turns each into the other at once."""

    def __init__(self, lab, port, virtual_only=False):
        """virtual_only: the kernel hands over only what comes from a virtual MAC; under a flood Python cannot read all."""
        # Protocol 0 until it is bound: nothing of other ports gets in.
        self.socket = lab.net.switch_namespace().socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if virtual_only:
            code = struct.pack("HBBI" * 4, 0x20, 0, 0, 6, 0x15, 0, 1, 0x00005E00, 0x06, 0, 0, 0xFFFF, 0x06, 0, 0, 0)
            buffer = ctypes.create_string_buffer(code)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(buffer)))
        self.socket.bind((port.name, 3))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        self.frames = []  # (time, from the host, bytes)
        self.more = threading.Condition()
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        while True:
            ready = select.select([self.socket, self.stop_read], [], [])[0]
            if self.stop_read in ready:
                return
            try:
                data, control, _flags, address = self.socket.recvmsg(4096, 256)
            except OSError:  # the port was cut: told once
                continue
            stamp = next((struct.unpack("qq", value) for level, kind, value in control if kind == SO_TIMESTAMPNS), None)
            now = time.monotonic()
            at = stamp[0] + stamp[1] / 1e9 + clocks_apart() if stamp else now
            with self.more:
                # The wall clock may have been set since: no frame came later than it is read, or before the one that is before it.
                at = max(min(at, now) if now - at < 5 else now, self.frames[-1][0] if self.frames else 0)
                self.frames.append((at, address[2] != PACKET_OUTGOING, data))
                self.more.notify_all()

    def read(self):
        with self.more:
            return list(self.frames)

    def adverts(self, from_host=True):
        """(time, Ethernet source, IP source, VRRP bytes) of what the host sent (or was sent)."""
        result = []
        for at, is_from, data in self.read():
            if is_from == from_host and data[12:14] == b"\x08\x00" and data[23] == 112:
                header = (data[14] & 15) * 4
                length = struct.unpack("!H", data[16:18])[0]
                result.append((at, data[6:12], socket.inet_ntoa(data[26:30]), data[14 + header:14 + length]))
        return result

    def arps(self, from_host=True):
        """(time, Ethernet source, sender MAC, sender IP, target IP, operation)."""
        return [(at, data[6:12], data[22:28], socket.inet_ntoa(data[28:32]), socket.inet_ntoa(data[38:42]), data[21])
                for at, is_from, data in self.read() if is_from == from_host and data[12:14] == b"\x08\x06"]

    def wait(self, condition, timeout_s, what):
        deadline = deadline_of(timeout_s)
        while True:
            with self.more:
                seen = len(self.frames)
            value = condition()
            if value:
                return value
            left = deadline - time.monotonic()
            assert left > 0, f"{what}: not within {timeout_s} s"
            with self.more:
                self.more.wait_for(lambda: len(self.frames) > seen, left)

    def close(self):
        if not self.thread.is_alive():
            return
        os.write(self.stop_write, b"x")
        self.thread.join()
        os.close(self.stop_read)
        os.close(self.stop_write)
        self.socket.close()


class Client:
    """A phone: asks the service address every 2 ms and notes the answers."""

    def __init__(self, lab, name, address):
        self.namespace = lab.net.namespace(name)
        self.port = lab.lan.connect(self.namespace, "eth0", f"{address}/24")
        self.process = None

    def probe(self, target=SERVICE, seconds=30):
        """Begins; returns when the first answer is here."""
        code = r"""
import os, select, socket, struct, sys, time
target, seconds = sys.argv[1], float(sys.argv[2]); ending = False
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.setblocking(False)
ident = os.getpid() & 0xffff; n = 0; sent = {}; end = time.monotonic() + seconds; last = None; worst = 0; lost = 0; told = False
def checksum(b):
    t = sum(struct.unpack('!%dH' % (len(b) // 2), b)); t = (t >> 16) + (t & 0xffff); t += t >> 16; return ~t & 0xffff
gaps = []
while time.monotonic() < end and not (ending and n >= tries):
    n += 1
    body = struct.pack('!d', time.monotonic())
    head = struct.pack('!BBHHH', 8, 0, 0, ident, n & 0xffff)
    head = struct.pack('!BBHHH', 8, 0, checksum(head + body), ident, n & 0xffff)
    try: s.sendto(head + body, (target, 0))
    except OSError: pass
    until = time.monotonic() + 0.002
    while True:
        left = until - time.monotonic()
        ready = select.select([s] if ending else [s, 0], [], [], max(left, 0))[0]
        if 0 in ready and not ending: ending = time.monotonic(); tries = n + 50; end = max(end, ending + 60)
        if s in ready:
            try: data = s.recv(2048)
            except OSError: continue
            if data[20] == 0 and struct.unpack('!H', data[24:26])[0] == ident:
                now = time.monotonic()
                if last is not None and now - last > 0.015: gaps.append(((now - last) * 1000))
                last = now
                if ending and struct.unpack('!d', data[28:36])[0] >= ending: end = 0; break
                if not told: told = True; print('answered', flush=True)
        if left <= 0: break
print('gaps', *['%.1f' % g for g in gaps], 'end' if end == 0 else 'silent', flush=True)
"""
        self.process = self.namespace.popen(["/usr/bin/python3", "-c", code, target, str(seconds)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True, preexec_fn=as_client)
        ready = select.select([self.process.stdout], [], [], 10)[0]
        assert ready and self.process.stdout.readline() == "answered\n", "the service address does not answer"

    def finish(self):
        """Ends the probe: (silences longer than 15 ms, in ms; whether one of the next fifty probes, sent within 100 ms, is answered)."""
        output, _ = self.process.communicate("\n", timeout=10)
        words = output.split()
        self.process = None
        return [float(word) for word in words[1:-1]], words[-1] == "end"

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def keepalived_conf(name, services, version=3, interval="0.1", priority=100, vmac=False, preempt=False, extra="", global_extra=""):
    return f"""
global_defs {{
    vrrp_version {version}
    router_id {name}
    {global_extra}
}}
vrrp_instance one {{
    state BACKUP
    {"" if preempt else "nopreempt"}
    interface eth0
    virtual_router_id {GROUP}
    priority {priority}
    advert_int {interval}
    {"use_vmac" if vmac else ""}
    {extra}
    virtual_ipaddress {{
        {chr(10).join(services)}
    }}
}}
"""


class Keepalived:
    """keepalived as the other router: no peer link, plain RFC."""

    service = (f"{SERVICE}/24",)

    def __init__(self, lab, name, address, version=3, interval="0.1", priority=100, vmac=False, preempt=False, peer=None, extra="", switch=None,
                 global_extra=""):
        """peer: an address to which it speaks by unicast, instead of to the group."""
        self.lab, self.name, self.address, self.peer_address = lab, name, address, None
        unicast = f"unicast_src_ip {address}\n    unicast_peer {{\n        {peer}\n    }}" if peer else ""
        self.namespace = lab.net.namespace(name)
        self.port = (switch or lab.lan).connect(self.namespace, "eth0", f"{address}/24")
        self.folder = Path(tempfile.mkdtemp(prefix=f"vrrp-{lab.net.tag}-{name}-"))
        (self.folder / "keepalived.conf").write_text(keepalived_conf(name, self.service, version, interval, priority, vmac, preempt,
                                                                     f"{unicast}\n    {extra}", global_extra))
        self.process = None
        lab.closing.append(self)

    def start(self):
        folder = self.folder
        self.log = open(folder / "log", "ab")
        self.process = self.namespace.popen(
            ["keepalived", "-n", "-P", "-l", "-G", "-D", "-f", str(folder / "keepalived.conf"), "-p", str(folder / "pid"),
             "-r", str(folder / "vrrp.pid")], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        return self

    def wait_master(self, timeout_s=15):
        wait_until(self.has_service, timeout_s, f"{self.name} becomes master")

    def has_service(self):
        return self.service[-1].split("/")[0] in self.namespace.addresses() + self.namespace.addresses(6)

    def stop(self):
        """As its service manager would: it says priority 0."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def die(self):
        """All of its processes, at once, with no last word. (Killed one by one, the second would be told of the first's end and say priority 0.)"""
        self.namespace.kill_all()
        self.process.wait(10)

    def close(self):
        self.namespace.kill_all()
        if self.process:
            self.process.wait(10)
            self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
