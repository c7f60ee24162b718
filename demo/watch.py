# SPDX-License-Identifier: LGPL-2.1-or-later
"""The observers: what each device says on its bus, and which device holds the service address at every moment.

Both only look from outside, as any client of the bus or any host could: roles and events come from the signals of the two buses, addresses
from the kernels' own notices (rtnetlink).
"""

import itertools
import select
import socket
import struct
import threading
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402  (the version must be asked for first)

from lab.net import deadline_of
from lab.signals import weakly  # noqa: E402

SUPERVISOR = ("org.understudy.Supervisor1", "/org/understudy/Supervisor1")
VRRP = ("org.understudy.Vrrp1", "/org/understudy/Vrrp1")
SYNC = ("org.understudy.Sync1", "/org/understudy/Sync1")
NOTIFY = ("org.understudy.Notify1", "/org/understudy/Notify1")


class BusWatch:
    """Listens on one device's bus, through the death of the bus, of its services and of the device; remembers roles, events and jobs."""

    def __init__(self, device, origin):
        self.device = device
        self.origin = origin
        self.roles = []
        self.events = []
        self.jobs = []
        self.changed = threading.Condition()
        self._connection = None
        self._run = True
        self._context = GLib.MainContext()
        self._loop = GLib.MainLoop.new(self._context, False)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        self._context.push_thread_default()
        while self._run:
            if self._connect():
                self._loop.run()
            else:
                time.sleep(0.01)  # the bus is away; there is nothing to be told by

    def _connect(self):
        try:
            connection = Gio.DBusConnection.new_for_address_sync(
                self.device.bus_address(),
                Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        except GLib.Error:
            return False
        connection.set_exit_on_close(False)
        connection.connect("closed", weakly(self._closed))
        connection.signal_subscribe(None, "org.understudy.Supervisor1", "RoleChanged", None, None, Gio.DBusSignalFlags.NONE,
                                    weakly(self._on_role))
        connection.signal_subscribe(None, "org.understudy.Notify1", "Raised", None, None, Gio.DBusSignalFlags.NONE,
                                    weakly(self._on_event))
        connection.signal_subscribe(None, "org.freedesktop.DBus.Properties", "PropertiesChanged", None, "org.understudy.Job1",
                                    Gio.DBusSignalFlags.NONE, weakly(self._on_job))
        with self.changed:
            self._connection = connection
            self.changed.notify_all()
        return not connection.is_closed()

    def _closed(self, *_):
        with self.changed:
            self._connection = None
        self._loop.quit()

    def _now_ms(self):
        return round((time.monotonic() - self.origin) * 1000, 1)

    def _on_role(self, _connection, _sender, _path, _interface, _signal, parameters):
        old, new, reason, term, term_id, sequence, _, _ = parameters.unpack()
        with self.changed:
            self.roles.append({"device": self.device.name, "t_ms": self._now_ms(), "old": old, "new": new, "reason": reason,
                               "term": f"{term}/{term_id}", "sequence": sequence})
            self.changed.notify_all()

    def _on_event(self, _connection, _sender, _path, _interface, _signal, parameters):
        (event,) = parameters.unpack()
        if event["device"] != self.device.name:
            return  # the other's, which this one shows too
        with self.changed:
            self.events.append({"device": self.device.name, "t_ms": self._now_ms(),
                                **{key: event.get(key) for key in ("application", "name", "priority", "description")}})
            self.changed.notify_all()

    def _on_job(self, _connection, _sender, path, _interface, _signal, parameters):
        _, changed, _ = parameters.unpack()
        with self.changed:
            self.jobs.append({"path": path, **changed})
            self.changed.notify_all()

    def call(self, service, interface, method, parameters=None, timeout_s=5):
        """Calls a method on its bus; returns the unpacked answer."""
        connection = self._connection
        if not connection:
            raise ConnectionError(f"{self.device.name}: the bus is away")
        name, path = service
        try:
            answer = connection.call_sync(name, path, interface, method, parameters, None, Gio.DBusCallFlags.NO_AUTO_START,
                                          int(timeout_s * 1000), None).unpack()
        except GLib.Error as error:
            raise ConnectionError(f"{self.device.name}: {interface}.{method}: {error.message}") from error
        self._note_all()
        return answer

    def _note_all(self):
        """What was said before an answer is noted before the answer is returned: signals wait in the queue of another thread."""
        noted = threading.Event()
        source = GLib.Idle(priority=GLib.PRIORITY_DEFAULT)  # that of the signals, so behind them
        source.set_callback(lambda *_: noted.set() or GLib.SOURCE_REMOVE)
        source.attach(self._context)
        noted.wait(1)  # nobody empties the queue while the bus is away

    def get(self, service, interface, name):
        """A property, or None when it cannot be read now."""
        try:
            return self.call(service, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (interface, name)), 1)[0]
        except ConnectionError:
            return None

    def role(self):
        return self.get(SUPERVISOR, "org.understudy.Supervisor1", "Role")

    def peer(self):
        return self.get(SUPERVISOR, "org.understudy.Supervisor1", "Peer") or {}

    def sync(self, name):
        return self.get(SYNC, "org.understudy.Sync1", name)

    def vrrp(self, name):
        return self.get(VRRP, "org.understudy.Election1", name)

    def wait(self, condition, timeout_s, what):
        """Waits until condition() is true, looking at each signal and otherwise 50 times a second; returns what it returned."""
        deadline = deadline_of(timeout_s)
        while True:
            over = time.monotonic() > deadline
            value = condition()
            if value:
                return value
            if over:
                raise TimeoutError(f"{self.device.name}: {what}: not within {timeout_s} s (its role is {self.role()})")
            with self.changed:
                self.changed.wait(0.02)

    def wait_role(self, role, timeout_s=20):
        return self.wait(lambda: self.role() == role, timeout_s, f"role {role}")

    def changes_since(self, count):
        with self.changed:
            return self.roles[count:]

    def stop(self):
        self._run = False
        connection = self._connection
        if connection:
            try:
                connection.close_sync(None)
            except GLib.Error:
                pass
        self._loop.quit()
        self._thread.join(timeout=2)
        self._connection = None


NLMSG_HDR = struct.Struct("=IHHII")
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x10, 0x100
IFA_ADDRESS, IFA_LOCAL = 1, 2
NLMSG_DONE = 3
SOL_NETLINK, NETLINK_LISTEN_ALL_NSID = 270, 8
_namespaces = itertools.count(1000)


class AddressWatch:
    """Who holds address, as the kernel tells it: a list of (time, device, held), and the time two devices held it at once.

    All devices are told of by one socket, so that what happened first is read first, however late it is read.
    """

    def __init__(self, address, net):
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.address = socket.inet_pton(self.family, address)
        self.history = []
        self._names = {}  # by the number that the device's namespace has in ours
        self._held = {}
        self._lock = threading.Lock()
        self._run = True
        self._home = net.namespace("watch")
        self._socket = self._home.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self._socket.bind((0, RTMGRP_IPV6_IFADDR if self.family == socket.AF_INET6 else RTMGRP_IPV4_IFADDR))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def watch(self, device):
        """Begins with a device that has just been switched on."""
        number = next(_namespaces)
        with self._lock:
            self._names[number] = device.name
            self._home.ip("netns", "set", device.namespace.host_name, str(number))
            # What it has already. Of what changes meanwhile the notices are read after this.
            with device.namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
                sock.send(NLMSG_HDR.pack(24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + struct.pack("=BBBBI", self.family, 0, 0, 0, 0))
                while self._read(device.name, sock.recv(65536)):
                    pass

    def forget(self, device):
        """A device that is off holds nothing."""
        with self._lock:
            self._names = {number: name for number, name in self._names.items() if name != device.name}
            self._set(device.name, set())

    def _set(self, name, interfaces):
        before = bool(self._held.get(name))
        self._held[name] = interfaces
        if before != bool(interfaces):
            self.history.append((time.monotonic(), name, not before))

    def _work(self):
        while self._run:
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            with self._lock:
                data, control, _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(4))
                number = next((struct.unpack("=i", value)[0] for level, kind, value in control
                               if (level, kind) == (SOL_NETLINK, NETLINK_LISTEN_ALL_NSID)), None)
                if number in self._names:
                    self._read(self._names[number], data)

    def _read(self, name, data):
        """False at the end of a list."""
        while len(data) >= NLMSG_HDR.size:
            length, kind, _, _, _ = NLMSG_HDR.unpack_from(data)
            if length < NLMSG_HDR.size or length > len(data) or kind == NLMSG_DONE:
                return False
            if kind in (RTM_NEWADDR, RTM_DELADDR) and self._concerns(data[NLMSG_HDR.size:length]):
                interface = struct.unpack_from("=I", data, NLMSG_HDR.size + 4)[0]
                before = set(self._held.get(name, set()))
                self._set(name, before | {interface} if kind == RTM_NEWADDR else before - {interface})
            data = data[(length + 3) & ~3:]
        return True

    def _concerns(self, body):
        attributes = body[8:]
        while len(attributes) >= 4:
            length, kind = struct.unpack_from("=HH", attributes)
            if length < 4:
                return False
            if kind == (IFA_ADDRESS if self.family == socket.AF_INET6 else IFA_LOCAL) and attributes[4:length] == self.address:
                return True
            attributes = attributes[(length + 3) & ~3:]
        return False

    def holders(self):
        with self._lock:
            return sorted(name for name, interfaces in self._held.items() if interfaces)

    def doubled_ms(self, begin, end=None):
        """How long, within [begin, end], more than one device held the address."""
        end = end if end is not None else time.monotonic()
        with self._lock:
            history = list(self.history)
        held, total, since = set(), 0.0, None
        for moment, name, has in history + [(end, None, None)]:
            moment = min(moment, end)
            if since is not None:
                total += max(0.0, moment - max(since, begin))
            if name:
                held.add(name) if has else held.discard(name)
            since = moment if len(held) > 1 else None
        return round(total * 1000, 1)

    def stop(self):
        self._run = False
        self._thread.join(timeout=2)
        self._socket.close()
