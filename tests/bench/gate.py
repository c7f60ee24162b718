# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports of a switch that stop forwarding, and go on, within microseconds and all together; the hosts keep their carrier.

Run as a program in the switch's namespace, for a moment that must not be missed: gate.py BRIDGE ADDRESS INDEX... closes the ports with these
numbers right after the next advert of that address, and prints when the advert was read and when they were closed, CLOCK_MONOTONIC nanoseconds.
"""

import os
import socket
import struct
import subprocess
import sys
import time

from observer import vrrp_only

RTM_SETLINK, IFLA_PROTINFO, IFLA_BRPORT_STATE, NLA_F_NESTED = 19, 12, 1, 0x8000
BR_DISABLED, BR_FORWARDING = 0, 3
RR_PRIORITY = 6


class Gate:
    def __init__(self, namespace, names):
        """names: interfaces in the switch's namespace."""
        self.namespace = namespace
        self.indices = [int(namespace.ip("-o", "link", "show", "dev", name).stdout.split(":")[0]) for name in names]
        self.link = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def cut(self):
        for index in self.indices:
            set_state(self.link, index, BR_DISABLED)

    def plug(self):
        for index in self.indices:
            set_state(self.link, index, BR_FORWARDING)

    def cut_after_advert(self, switch, address, timeout_s):
        """Right after the next advert of that address. Returns when that was read, and when they were closed, in nanoseconds."""
        done = subprocess.run(self.namespace.command(["/usr/bin/python3", __file__, switch.bridge, address, *map(str, self.indices)]), check=True,
                              stdout=subprocess.PIPE, timeout=timeout_s)
        read_ns, cut_ns = map(int, done.stdout.split())
        return read_ns, cut_ns

    def close(self):
        self.link.close()


def set_state(link, index, state):
    attributes = struct.pack("=HHHHB3x", 12, IFLA_PROTINFO | NLA_F_NESTED, 5, IFLA_BRPORT_STATE, state)
    body = struct.pack("=BxHiII", socket.AF_BRIDGE, 0, index, 0, 0) + attributes
    link.send(struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, 1 | 4, 1, 0) + body)  # REQUEST | ACK
    answer = link.recv(4096)
    error = struct.unpack("=i", answer[16:20])[0]
    if error:
        raise OSError(-error, "state of a port")


def main():
    bridge, address, *indices = sys.argv[1:]
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RR_PRIORITY))
    route = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    lan = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    vrrp_only(lan)
    lan.bind((bridge, 3))
    source = socket.inet_aton(address)
    while True:
        frame = lan.recv(512)
        read_ns = time.monotonic_ns()
        if frame[26:30] == source:
            break
    for index in indices:
        set_state(route, int(index), BR_DISABLED)
    print(read_ns, time.monotonic_ns())


if __name__ == "__main__":
    main()
