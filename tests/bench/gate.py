# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports of a switch that stop forwarding, and go on, within microseconds and all together; the hosts keep their carrier."""

import socket
import struct

RTM_SETLINK, IFLA_PROTINFO, IFLA_BRPORT_STATE, NLA_F_NESTED = 19, 12, 1, 0x8000
BR_DISABLED, BR_FORWARDING = 0, 3


class Gate:
    def __init__(self, namespace, names):
        """names: interfaces in the switch's namespace."""
        self.namespace = namespace
        self.indices = [int(namespace.ip("-o", "link", "show", "dev", name).stdout.split(":")[0]) for name in names]
        self.link = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def _state(self, index, state):
        attributes = struct.pack("=HHHHB3x", 12, IFLA_PROTINFO | NLA_F_NESTED, 5, IFLA_BRPORT_STATE, state)
        body = struct.pack("=BxHiII", socket.AF_BRIDGE, 0, index, 0, 0) + attributes
        self.link.send(struct.pack("=IHHII", 16 + len(body), RTM_SETLINK, 1 | 4, 1, 0) + body)  # REQUEST | ACK
        answer = self.link.recv(4096)
        error = struct.unpack("=i", answer[16:20])[0]
        if error:
            raise OSError(-error, "state of a port")

    def cut(self):
        for index in self.indices:
            self._state(index, BR_DISABLED)

    def plug(self):
        for index in self.indices:
            self._state(index, BR_FORWARDING)

    def close(self):
        self.link.close()
