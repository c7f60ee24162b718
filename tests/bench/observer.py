# SPDX-License-Identifier: LGPL-2.1-or-later
"""Watches a lab from outside: adverts as the kernel stamps them at the switch, and which host holds the service address.

All times are CLOCK_MONOTONIC nanoseconds. The kernel's stamps are of the wall clock, which may be set at any moment, so each is turned into a
distance from now at once; a step of that clock is noted, and whoever uses times around it must throw them away.
"""

import ctypes
import os
import select
import socket
import struct
import threading
import time

SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SO_ATTACH_FILTER = 26
PACKET_OUTGOING = 4
RTMGRP_IPV4_IFADDR = 0x10
RTM_NEWADDR, RTM_DELADDR, IFA_LOCAL = 20, 21, 2
STEP_NS = 1_000_000
RR_PRIORITY = 6


def wall_offset_ns():
    """Wall clock minus monotonic clock; the calmest of a few readings."""
    best = None
    for _ in range(5):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, wall - (before + after) // 2)
        if best[0] < 5000:
            break
    return best[1]


FLOODER = "192.0.2.66"


def vrrp_only(link):
    """Adverts over IPv4 alone reach the socket, and none of a flood, which Python could not read."""
    flooder = struct.unpack("!I", socket.inet_aton(FLOODER))[0]
    code = [(0x28, 0, 0, 12), (0x15, 0, 5, 0x0800), (0x30, 0, 0, 23), (0x15, 0, 3, 112), (0x20, 0, 0, 26), (0x15, 1, 0, flooder),
            (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    link.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))


class Observer:
    def __init__(self, switches, hosts, address):
        """switches: whose bridges to listen on. hosts: name -> namespace. address: the service address."""
        self.address = socket.inet_aton(address)
        self.adverts = []  # (time, source IP, priority)
        self.holding = {name: [] for name in hosts}  # name -> [(time, whether)], only changes
        self.steps = []  # times at which the wall clock was found to have jumped
        self.lock = threading.Lock()
        self.poll = select.epoll()
        self.sockets = {}
        for switch in switches:
            link = switch.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            vrrp_only(link)
            link.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            link.bind((switch.bridge, 3))
            self._watch(link, self._frame, switch.name)
        for name, namespace in hosts.items():
            link = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
            link.bind((0, RTMGRP_IPV4_IFADDR))
            self._watch(link, self._address, name)
        self.offset_ns, self.offset_at_ns = wall_offset_ns(), time.monotonic_ns()
        self.stop_read, self.stop_write = os.pipe()
        self.poll.register(self.stop_read, select.EPOLLIN)
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _watch(self, link, callback, name):
        link.setblocking(False)
        self.sockets[link.fileno()] = (link, callback, name)
        self.poll.register(link.fileno(), select.EPOLLIN)

    def _loop(self):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RR_PRIORITY))
        while True:
            for number, _ in self.poll.poll(0.5):
                if number == self.stop_read:
                    return
                link, callback, name = self.sockets[number]
                try:
                    while True:
                        callback(link, name)
                except BlockingIOError:
                    pass
                except OSError:
                    pass  # ENOBUFS and ENETDOWN are told once
            self._check_step()

    def _check_step(self):
        offset, now = wall_offset_ns(), time.monotonic_ns()
        # Slewing is at most 500 millionths.
        if abs(offset - self.offset_ns) > STEP_NS + (now - self.offset_at_ns) // 1000:
            self.steps.append(now)
        self.offset_ns, self.offset_at_ns = offset, now
        return offset

    def _frame(self, link, _name):
        data, control, _flags, address = link.recvmsg(512, 64)
        stamp = next((struct.unpack("qq", value) for _, kind, value in control if kind == SO_TIMESTAMPNS), None)
        if not stamp or address[2] == PACKET_OUTGOING or len(data) < 40:
            return
        at = stamp[0] * 1_000_000_000 + stamp[1] - self._check_step()
        start = 14 + (data[14] & 15) * 4
        with self.lock:
            self.adverts.append((at, socket.inet_ntoa(data[26:30]), data[start + 2]))

    def _address(self, link, name):
        data, now = link.recv(65536), time.monotonic_ns()
        while len(data) >= 16:
            length, kind = struct.unpack("=IH", data[:6])
            attributes = data[24:length]
            while kind in (RTM_NEWADDR, RTM_DELADDR) and len(attributes) >= 4:
                size, attribute = struct.unpack("=HH", attributes[:4])
                if attribute == IFA_LOCAL and attributes[4:8] == self.address:
                    self._holds(name, kind == RTM_NEWADDR, now)
                attributes = attributes[(max(size, 4) + 3) & ~3:]
            data = data[(max(length, 16) + 3) & ~3:]

    def _holds(self, name, whether, now):
        changes = self.holding[name]
        if whether != (changes[-1][1] if changes else False):
            with self.lock:
                changes.append((now, whether))

    # ---- what was seen ----

    def adverts_between(self, begin_ns, end_ns=None, source=None):
        with self.lock:
            found = [advert for advert in self.adverts if advert[0] >= begin_ns and (end_ns is None or advert[0] < end_ns)
                     and (source is None or advert[1] == source)]
        return sorted(found)

    def holds(self, name):
        changes = self.holding[name]
        return bool(changes) and changes[-1][1]

    def gains(self, name, begin_ns, end_ns):
        """How often the host got the address in that time."""
        with self.lock:
            return sum(1 for at, whether in self.holding[name] if whether and begin_ns <= at < end_ns)

    def doubled_ms(self, begin_ns, end_ns):
        """How long all hosts held the address at the same time."""
        with self.lock:
            changes = sorted((at, name, whether) for name, found in self.holding.items() for at, whether in found)
        held, since, total = {name: False for name in self.holding}, None, 0
        for at, name, whether in [*changes, (end_ns, None, None)]:
            if since is not None:
                total += max(0, min(at, end_ns) - max(since, begin_ns))
            if name:
                held[name] = whether
            since = at if all(held.values()) else None
        return total / 1e6

    def stepped(self, begin_ns, end_ns):
        return any(begin_ns <= at <= end_ns for at in self.steps)

    def close(self):
        os.write(self.stop_write, b"x")
        self.thread.join()
        for link, _, _ in self.sockets.values():
            link.close()
        self.poll.close()
        os.close(self.stop_read)
        os.close(self.stop_write)
