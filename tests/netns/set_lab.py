# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices with both families, a LAN, a WAN and a peer link, for the tests of sets; and IPv6 adverts as they are on a cable."""

import socket
import struct
import time

from gi.repository import GLib
from vrrp_lab import GROUP, SERVICE, wait_until

SERVICE6 = "2001:db8::100"
WAN_SERVICE = "203.0.113.100"
WAN_SERVICE6 = "2001:db8:1::100"
VIRTUAL_LINK_LOCAL = "fe80::200:5eff:fe00:233"
VIRTUAL_MAC6 = bytes([0, 0, 0x5E, 0, 2, GROUP])

LAN4 = {"interface": "lan", "elects": "true", "addresses": f"{SERVICE}/24"}
LAN6 = {"interface": "lan", "elects": "true", "addresses": f"{SERVICE6}/64"}
LAN46 = {"interface": "lan", "elects": "true", "addresses": f"{SERVICE}/24, {SERVICE6}/64"}
WAN46 = {"interface": "wan", "adverts": "true", "addresses": f"{WAN_SERVICE}/24, {WAN_SERVICE6}/64"}


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def has(host, address):
    """Whether the address is up and of use there."""
    family = "-6" if ":" in address else "-4"
    for line in host.namespace.ip(family, "-o", "address", "show", check=False).stdout.splitlines():
        if line.split()[3].split("/")[0] == address and "tentative" not in line:
            return True
    return False


def wan_of(lab):
    if not hasattr(lab, "wan"):
        lab.wan = lab.net.switch("wan")
    return lab.wan


def device(lab, name, number, pair=None, groups=None, peer_link=True, wan=False, ipv4=True, peer6=False):
    """A device with an address of each family on the LAN (and the WAN); number is the last part of each. peer6: the peer link has IPv6 only."""
    host = lab.host(name, f"192.0.2.{number}", f"10.0.0.{number - 10}" if peer_link else None, configured=False)
    host.number = number
    text = f"[device]\nid={name}\n[interface lan]\ndevice=eth0\naddress6=2001:db8::{number}/64\n"
    if ipv4:
        text += f"address=192.0.2.{number}/24\n"
    else:
        host.namespace.ip("-4", "address", "flush", "dev", "eth0")
    host.namespace.ip("address", "add", f"2001:db8::{number}/64", "dev", "eth0", "nodad")
    if peer6:
        host.namespace.ip("-4", "address", "flush", "dev", "eth1")
        host.namespace.ip("address", "add", f"2001:db8:f::{number}/64", "dev", "eth1", "nodad")
        host.peer_address = f"2001:db8:f::{number}"
        text += f"[interface peer]\ndevice=eth1\naddress6={host.peer_address}/64\n"
    elif peer_link:
        text += f"[interface peer]\ndevice=eth1\naddress={host.peer_address}/30\n"
    if wan:
        host.wan_port = wan_of(lab).connect(host.namespace, "eth2", f"203.0.113.{number}/24")
        host.namespace.ip("address", "add", f"2001:db8:1::{number}/64", "dev", "eth2", "nodad")
        text += f"[interface wan]\ndevice=eth2\naddress=203.0.113.{number}/24\naddress6=2001:db8:1::{number}/64\n"
    host.write("device.conf", text)
    host.pair_conf(pair, groups)
    host.interfaces = {"lan": "eth0"} | ({"peer": "eth1"} if peer_link else {}) | ({"wan": "eth2"} if wan else {})
    for interface in host.interfaces.values():
        settle_link_local(host, interface)
    host.ipv4 = ipv4
    return host


def settle_link_local(host, interface):
    """The kernel's own link-local address, without the second that duplicate detection takes."""
    def one():
        return host.namespace.ip("-6", "-o", "address", "show", "dev", interface, "scope", "link", check=False).stdout

    address = wait_until(one, 10, f"link-local address of {interface}").split()[3]
    host.namespace.ip("address", "delete", address, "dev", interface)
    host.namespace.ip("address", "add", address, "dev", interface, "scope", "link", "nodad")


def link_local(host, interface="eth0"):
    """The device's own, when duplicate detection is done."""
    for line in host.namespace.ip("-6", "-o", "address", "show", "dev", interface, "scope", "link", check=False).stdout.splitlines():
        if "tentative" not in line and VIRTUAL_LINK_LOCAL not in line:
            return line.split()[3].split("/")[0]
    return None


def addresses_of(host, link_locals=True):
    """What a supervisor would tell the other: interface role to addresses."""
    result = {}
    for role, interface in host.interfaces.items():
        result[role] = [link_local(host, interface)] if link_locals else []
        if role == "peer":
            result[role].append(host.peer_address)
            continue
        result[role].append(f"2001:db8:{'1' if role == 'wan' else ''}:{':' if role == 'wan' else ''}{host.number}")
        if host.ipv4:
            result[role].append(f"{'203.0.113' if role == 'wan' else '192.0.2'}.{host.number}")
    return result


def introduce(host, peer, **more):
    host.call("SetPeer", GLib.Variant("(a{sv})", ({
        "id": GLib.Variant("s", peer.name),
        "offset": GLib.Variant("y", int(host.number > peer.number)),
        "addresses": GLib.Variant("a{sas}", addresses_of(peer, **more)),
    },)))


def start_pair(lab, alpha, beta):
    """Alpha, Master and serving; beta, its Backup. They know each other."""
    alpha.start()
    introduce(alpha, beta)
    lab.first(alpha)
    alpha.set_serving(True)
    beta.start()
    introduce(beta, alpha)
    beta.wait_state("backup", 10)
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    return alpha, beta


def pair_of(lab, pair=None, groups=None, **more):
    alpha, beta = (device(lab, name, number, pair, groups, **more) for name, number in (("alpha", 11), ("beta", 12)))
    return start_pair(lab, alpha, beta)


def adverts6(wire, from_host=True):
    """(time, Ethernet destination, Ethernet source, IPv6 source, IPv6 destination, hop limit, VRRP bytes) of each."""
    result = []
    for at, is_from, data in wire.read():
        if is_from == from_host and data[12:14] == b"\x86\xdd" and data[20] == 112:
            length = struct.unpack("!H", data[18:20])[0]
            result.append((at, data[:6], data[6:12], socket.inet_ntop(socket.AF_INET6, data[22:38]),
                           socket.inet_ntop(socket.AF_INET6, data[38:54]), data[21], data[54:54 + length]))
    return result


def advertisements(wire, from_host=True):
    """Neighbour advertisements: (time, frame, target)."""
    return [(at, data, socket.inet_ntop(socket.AF_INET6, data[62:78])) for at, is_from, data in wire.read()
            if is_from == from_host and data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] == 136]


def advert6(source, destination="ff02::12", vrid=GROUP, priority=200, interval=10, addresses=(VIRTUAL_LINK_LOCAL, SERVICE6), version=3, kind=1,
            spoil=False):
    """A VRRP message over IPv6, right unless asked otherwise."""
    body = b"".join(socket.inet_pton(socket.AF_INET6, address) for address in addresses)
    head = struct.pack("!BBBBHH", version << 4 | kind, vrid, priority, len(addresses), interval, 0)
    pseudo = (socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) +
              struct.pack("!II", len(head) + len(body), 112))
    total = checksum(pseudo + head + body) ^ (0x5555 if spoil else 0)
    return head[:6] + struct.pack("!H", total) + body


def echo(namespace, target, timeout_s=5, source=None):
    """Pings over IPv6 until an answer comes."""
    with namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        if source:
            sock.bind((source, 0))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                sock.sendto(struct.pack("!BBHHH", 128, 0, 0, 7, 1) + b"x" * 8, (target, 0))
                again = time.monotonic() + 0.2  # what others ask of us comes here too, all the time
                while (left := again - time.monotonic()) > 0:
                    sock.settimeout(left)
                    data, sender = sock.recvfrom(2048)
                    if data[0] == 129 and sender[0].split("%")[0] == target:
                        return
            except OSError:
                pass
        raise TimeoutError(f"{target} does not answer")
