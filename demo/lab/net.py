# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks for the demo and the scenario tests: namespaces, switches whose cables can be pulled, and sockets inside them.

    with Network() as net:
        lan = net.switch("lan")
        alpha = net.namespace("alpha")
        port = lan.connect(alpha, "eth0", "192.0.2.11/24")
        port.cut()        # the cable is pulled: no carrier at either end
        port.plug()
        port.block()      # carrier stays, no frame passes in either direction
        port.unblock()
        alpha.run(["ip", "address"])

Everything made is removed at the end of the `with`, also after an exception: processes left in the namespaces are killed (they are
ours: nobody else can be in there), then the namespaces go and every interface with them. Only the standard library is used.
"""

import ctypes
import hashlib
import itertools
import os
import signal
import shutil
import socket
import subprocess
import tempfile
import threading
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
NOBODY = bytes([240, 0, 0, 1])
LEAST_S = 5  # waits who waits for an event
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()


class NetError(Exception):
    """A command that builds the network failed; the text holds its words."""


def run(argv, check=True, timeout=30, **more):
    """Runs argv, returns the finished process with its text; an error tells the command and what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=more.pop("stdin", subprocess.DEVNULL)
                          if "input" not in more else None, **more)
    if check and done.returncode != 0:
        raise NetError(f"{' '.join(map(str, argv))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def die_with_parent():
    """In a child before it executes its program: when the thread that started it dies, however it dies, so does the child."""
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        os._exit(127)


def setns_net(path):
    """Moves the calling thread into the network namespace at path."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(fd)


def stable_mac(*words):
    """A locally administered address that a device's port keeps when the device is switched off and on, as hardware does."""
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))


def deadline_of(timeout_s):
    """When who waits for an event gives up. A machine may stand still for a second; what has to be quicker is measured and not waited for."""
    return time.monotonic() + max(timeout_s, LEAST_S)


def _first(condition, deadline, step_s):
    """condition()'s first true value, or what it said when it was looked at behind the deadline, however long the looks before took."""
    while True:
        over = time.monotonic() > deadline
        value = condition()
        if value or over:
            return value
        time.sleep(step_s)


def wait_until(condition, timeout_s, what, step_s=0.005):
    """Waits for an event that cannot be subscribed to: returns condition()'s first true value, or raises after timeout_s."""
    value = _first(condition, deadline_of(timeout_s), step_s)
    if not value:
        raise TimeoutError(f"{what}: not within {max(timeout_s, LEAST_S)} s")
    return value


def stays(condition, seconds, step_s=0.02):
    """True when condition() held for so long; what must not happen can only be waited for."""
    return not _first(lambda: not condition(), time.monotonic() + seconds, step_s)


def make_memory_folder(prefix, place=None):
    """A new folder on a tmpfs of its own: what devices have as their /run is memory, whatever the host's is. (On a disk a mere store into a
    mapped page may wait for that disk.)"""
    folder = tempfile.mkdtemp(prefix=prefix, dir=place)
    try:
        run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder])
    except BaseException:
        os.rmdir(folder)
        raise
    return folder


def remove_memory_folder(folder):
    run(["umount", "--lazy", folder], check=False)
    shutil.rmtree(folder, ignore_errors=True)


class Namespace:
    """A network namespace with a name of its own on the host."""

    def __init__(self, network, name):
        self.network = network
        self.name = name
        self.host_name = f"{network.tag}-{name}"
        self.path = f"/run/netns/{self.host_name}"
        self.ports = []
        network.namespaces.append(self)  # before it is there, so that an interruption leaves nothing behind
        run(["ip", "netns", "add", self.host_name])
        self.ip("link", "set", "lo", "up")

    def ip(self, *words, check=True):
        """The ip command, inside."""
        return run(["ip", "-n", self.host_name, *words], check=check)

    def command(self, argv):
        """argv as it must be run on the host to run inside."""
        return ["nsenter", f"--net={self.path}", *argv]

    def run(self, argv, check=True, timeout=30, **more):
        return run(self.command(argv), check=check, timeout=timeout, **more)

    def popen(self, argv, **more):
        return subprocess.Popen(self.command(argv), **more)

    def socket(self, family, kind, protocol=0):
        """A socket of this namespace in the caller's process. (The namespace belongs to a thread, so a short-lived one makes it.)"""
        result = []

        def make():
            try:
                setns_net(self.path)
                result.append(socket.socket(family, kind, protocol))
            except OSError as error:
                result.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(result[0], OSError):
            raise result[0]
        return result[0]

    def addresses(self, family=4):
        """Every address of the family (4 or 6) up in here now, as text without the prefix."""
        listing = self.ip(f"-{family}", "-o", "address", "show", check=False).stdout
        return [line.split()[3].split("/")[0] for line in listing.splitlines()]

    def pids(self):
        listing = run(["ip", "netns", "pids", self.host_name], check=False).stdout
        return [int(word) for word in listing.split()]

    def kill_all(self):
        """kill -9, by pid, of every process that lives in here. All are stopped first: a child that is told of its parent's death would
        else have time for a last word."""
        pids = self.pids()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass

    def close(self):
        if self not in self.network.namespaces:
            return
        self.kill_all()
        for port in list(self.ports):
            port.close()
        run(["ip", "netns", "delete", self.host_name], check=False)
        self.network.namespaces.remove(self)


class Port:
    """One cable from a switch to an interface of a namespace."""

    def __init__(self, switch, namespace, interface, address, mac):
        self.switch = switch
        self.namespace = namespace
        self.interface = interface
        self.name = f"p{next(_serial)}"
        mac = mac or stable_mac(namespace.name, interface)
        at = switch.namespace
        at.ip("link", "add", self.name, "type", "veth", "peer", "name", interface, "address", mac, "netns", namespace.host_name)
        at.ip("link", "set", self.name, "master", switch.bridge, "up")
        namespace.ip("link", "set", interface, "up")
        for one in address.split() if address else ():
            # Nobody else is there, so an IPv6 address need not wait until that has been found out.
            namespace.ip("address", "add", one, "dev", interface, *(["nodad"] if ":" in one else []))
        namespace.ports.append(self)
        switch.ports.append(self)

    def cut(self):
        """Pulls the cable: both ends lose their carrier."""
        self.switch.namespace.ip("link", "set", self.name, "down")

    def plug(self):
        """Puts it back."""
        self.switch.namespace.ip("link", "set", self.name, "up")

    def block(self):
        """The switch forwards nothing from or to this port any more; the carrier stays."""
        run(["bridge", "-n", self.switch.namespace.host_name, "link", "set", "dev", self.name, "state", "disabled"])

    def unblock(self):
        run(["bridge", "-n", self.switch.namespace.host_name, "link", "set", "dev", self.name, "state", "forwarding"])

    def wait_forwarding(self):
        """What is said once, and before that, nobody hears."""
        def forwards():
            listing = run(["bridge", "-n", self.switch.namespace.host_name, "link", "show", "dev", self.name]).stdout
            return "state forwarding" in listing and self.carrier()

        wait_until(forwards, 10, f"the port of {self.namespace.name} forwards")

    def carrier(self):
        """Whether the interface inside has a carrier."""
        return "LOWER_UP" in self.namespace.ip("-o", "link", "show", "dev", self.interface, check=False).stdout

    def close(self):
        if self not in self.switch.ports:
            return
        self.switch.namespace.ip("link", "delete", self.name, check=False)
        self.switch.ports.remove(self)
        self.namespace.ports.remove(self)


class Switch:
    """A learning switch without spanning tree: a bridge in the network's own switch namespace."""

    def __init__(self, network, name):
        self.namespace = network.switch_namespace()
        self.name = name
        self.bridge = f"br{next(_serial)}"
        self.ports = []
        self.namespace.ip("link", "add", self.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0",
                          "mcast_snooping", "0")
        self.namespace.ip("link", "set", self.bridge, "up")

    def connect(self, namespace, interface, address=None, mac=None):
        """Lays a cable from here to a new interface in namespace. address: one with its prefix, several with blanks between, or none."""
        return Port(self, namespace, interface, address, mac)

    def speak(self):
        """Somebody asks all for an address that nobody has. A device that is alone waits for some seconds before it leads, until it knows that
        its port forwards; on a LAN where others talk it need not."""
        with self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as voice:
            voice.bind((self.bridge, 0))
            mac = bytes.fromhex(stable_mac(self.bridge).replace(":", ""))
            question = bytes.fromhex("0001 0800 06 04 0001") + mac + bytes(4) + bytes(6) + NOBODY  # ARP, from who has no address yet
            voice.send(b"\xff" * 6 + mac + b"\x08\x06" + question + bytes(18))

    def speak_until(self, condition, timeout_s, what):
        """Waits, on a LAN where others talk."""
        return wait_until(lambda: condition() or self.speak(), timeout_s, what, 0.05)

    def cut(self):
        """All its cables at once; for a switch of two ports, which stands for a direct cable, the way that one is pulled."""
        for port in self.ports:
            port.cut()

    def plug(self):
        for port in self.ports:
            port.plug()


class Network:
    """Owner of namespaces and switches; a context manager that removes them all."""

    def __init__(self, tag=None):
        self.tag = tag or f"us{os.getpid()}n{next(_serial)}"
        self.namespaces = []
        self._switch_namespace = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def namespace(self, name):
        return Namespace(self, name)

    def switch_namespace(self):
        if self._switch_namespace is None:
            self._switch_namespace = self.namespace("switch")
        return self._switch_namespace

    def switch(self, name):
        return Switch(self, name)

    def cable(self, name):
        """A direct cable: a switch of two ports, because a bare veth pair could not lose its carrier on both sides at once."""
        return Switch(self, name)

    def close(self):
        for namespace in list(reversed(self.namespaces)):
            namespace.close()
        self._switch_namespace = None
