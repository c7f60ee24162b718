# SPDX-License-Identifier: LGPL-2.1-or-later
"""At which port of the switch the virtual MACs are: one frame from another device draws everything there that is sent to the service addresses."""

import socket
import struct

import pytest
from set_lab import LAN6, LAN46, SERVICE6, VIRTUAL_MAC6, advertisements, checksum, device, has, link_local, pair_of
from vrrp_lab import SERVICE, VIRTUAL_MAC, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

PHONE, PHONE6 = "192.0.2.50", "2001:db8::50"
PHONE_MAC = bytes.fromhex("0200000000aa")
VIRTUAL = (VIRTUAL_MAC, VIRTUAL_MAC6)


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def port_of(lab, mac):
    """The name of the port at which the LAN's switch has learned it."""
    listing = lab.net.switch_namespace().run(["bridge", "fdb", "show", "br", lab.lan.bridge, "dynamic"]).stdout
    return next((line.split()[2] for line in listing.splitlines() if line.startswith(mac.hex(":"))), None)


def both_at(lab, host):
    return all(port_of(lab, mac) == host.lan_port.name for mac in VIRTUAL)


def from_virtual(wire, after=0.0):
    """(time, frame) of what came from the host with a virtual MAC as its source."""
    return [(at, data) for at, mine, data in wire.read() if mine and at > after and data[6:12] in VIRTUAL]


def announced(wire, family, after=0.0):
    if family == 4:
        return [a[0] for a in wire.arps() if a[0] > after and a[3] == a[4] == SERVICE]
    return [at for at, frame, target in advertisements(wire) if at > after and target == SERVICE6 and not frame[58] & 0x40]


def is_listener_report(frame):
    """What a kernel says of its multicast groups, by itself: when it likes, and when an address expires."""
    return frame[12:14] == b"\x86\xdd" and frame[20] == 0 and frame[54] == 58 and frame[62] in (131, 132, 143)


def answers(wire, family):
    """When it has answered somebody who asked where the service address is."""
    if family == 4:
        return [a[0] for a in wire.arps() if a[5] == 2 and a[3] == SERVICE]
    return [at for at, frame, target in advertisements(wire) if target == SERVICE6 and frame[58] & 0x40]


def who_has(family, mac=PHONE_MAC, sender=None, target=None):
    """A question to all, as a host asks that has never spoken to the address."""
    if family == 4:
        arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, mac, socket.inet_aton(sender or PHONE), bytes(6), socket.inet_aton(target or SERVICE))
        return b"\xff" * 6 + mac + b"\x08\x06" + arp + bytes(18)
    source, wanted = (socket.inet_pton(socket.AF_INET6, text) for text in (sender or PHONE6, target or SERVICE6))
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + wanted[13:]
    body = bytes(4) + wanted + b"\x01\x01" + mac
    icmp = struct.pack("!BBH", 135, 0, checksum(source + group + struct.pack("!IIHH", 4 + len(body), 58, 135 << 8, 0) + body)) + body
    return b"\x33\x33" + group[12:] + mac + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(icmp), 58, 255) + source + group + icmp


class Says:
    """Frames made here, as the namespace's own."""

    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind(("eth0", 0))

    def __enter__(self):
        return self.socket.send

    def __exit__(self, *_):
        self.socket.close()


def keep(host):
    """Its kernel holds the service addresses for as long as the test takes, not for three seconds."""
    for address, prefix in (SERVICE, 24), (SERVICE6, 64):
        listing = host.namespace.ip("-o", "address", "show", "to", address).stdout.split()
        if listing:
            host.namespace.ip("address", "change", f"{address}/{prefix}", "dev", listing[1], "valid_lft", "forever", "preferred_lft", "forever")


def frozen(lab, pair=None, kept=True):
    """Alpha stands still, and its kernel goes on; beta leads and has announced. (alpha, beta, their wires, when beta began)"""
    alpha, beta = pair_of(lab, pair, {"lan": LAN46})
    of_alpha, of_beta = lab.wire(alpha.lan_port), lab.wire(beta.lan_port)
    alpha.freeze()
    if kept:
        keep(alpha)
    beta.wait_state("master")
    of_beta.wait(lambda: announced(of_beta, 4) and announced(of_beta, 6), 5, "beta announces")
    return alpha, beta, of_alpha, of_beta, of_beta.adverts()[0][0]


def beta_has_the_last_word(lab, beta, of_alpha, of_beta, began):
    """An announcement behind whatever alpha has said since, without a wait for the next advert."""
    for at, data in from_virtual(of_alpha, began):
        of_beta.wait(lambda t=at, m=data[6:12]: announced(of_beta, 4 if m == VIRTUAL_MAC else 6, t), 5, "beta has the last word")
    wait_until(lambda: both_at(lab, beta), 5, "the switch has it right")


def test_a_new_master_asks_nothing_that_a_frozen_one_would_answer(lab):
    alpha, beta, of_alpha, of_beta, began = frozen(lab, kept=False)
    wait_until(lambda: not has(alpha, SERVICE) and not has(alpha, SERVICE6), 10, "the kernel of the frozen one lets go")
    drawn = [data.hex() for _, data in from_virtual(of_alpha, began) if not is_listener_report(data)]
    assert not drawn, drawn
    beta_has_the_last_word(lab, beta, of_alpha, of_beta, began)


@pytest.mark.parametrize("virtual_mac", [True, False], ids=["virtual-mac", "own-mac"])
def test_who_asks_after_a_takeover_is_answered_by_both_and_announced_to_again(lab, virtual_mac):
    phone = lab.net.namespace("phone")
    lab.lan.connect(phone, "eth0", f"{PHONE}/24").wait_forwarding()
    alpha, beta, of_alpha, of_beta, _began = frozen(lab, {"virtual-mac": str(virtual_mac).lower()})
    with Says(phone) as say:
        for family in 4, 6:
            before = beta.counters()["reclaimed"]

            # A machine that stands still for longer than a lifetime lets the answers go unheard; who gets none asks again.
            def seen(family=family, before=before):
                say(who_has(family))
                return beta.counters()["reclaimed"] > before

            wait_until(seen, 10, "beta sees that it was asked", 0.1)
            drawn = of_alpha.wait(lambda f=family: answers(of_alpha, f), 5, "the kernel of the frozen one answers")[-1]
            of_beta.wait(lambda f=family, t=drawn: announced(of_beta, f, t), 5, "and announces behind that answer")
    if virtual_mac:
        wait_until(lambda: both_at(lab, beta), 5, "the switch has it right")
    assert beta.counters()["address-clash"] == 0, "the peer is no stranger"


def test_another_at_the_virtual_mac_is_answered_and_no_storm_comes_of_it(lab):
    alpha = device(lab, "alpha", 11, {"advert-interval-ms": 4000}, {"lan": LAN46}, peer_link=False)
    other = lab.net.namespace("other")
    port = lab.lan.connect(other, "eth0", f"{PHONE}/24")
    port.wait_forwarding()
    wire = lab.wire(alpha.lan_port)
    alpha.start()
    alpha.take()
    wire.wait(lambda: announced(wire, 4) and announced(wire, 6), 5, "alpha announces")
    with Says(other) as say:
        for family, mac, count in (4, VIRTUAL_MAC, 1), (6, VIRTUAL_MAC6, 2):
            begin = wire.read()[-1][0]
            # What a Master announces is not answered in kind, or two of them would never end.
            say(who_has(4, VIRTUAL_MAC, sender=SERVICE, target=SERVICE))
            say(who_has(family, mac, sender=SERVICE if family == 4 else SERVICE6, target=PHONE if family == 4 else PHONE6))
            wait_until(lambda c=count: alpha.counters()["reclaimed"] == c, 5, "alpha sees it")
            wire.wait(lambda f=family, b=begin: announced(wire, f, b), 5, "and announces")
            wait_until(lambda m=mac: port_of(lab, m) == alpha.lan_port.name, 5, "the switch has it right again")
        assert port_of(lab, VIRTUAL_MAC) != port.name
    assert alpha.counters()["address-clash"] == 0


def test_thawed_it_draws_nothing_to_itself(lab):
    """Announcements were due while it stood still, and its addresses are still up."""
    alpha, beta = lab.two()
    wire = lab.wire(alpha.lan_port)
    alpha.call("Announce")
    alpha.freeze()
    keep(alpha)
    beta.wait_state("master")
    of_beta = lab.wire(beta.lan_port)
    of_beta.wait(lambda: len(of_beta.adverts()) > 8, 5, "a second has passed")
    begin = wire.read()[-1][0]
    alpha.thaw()
    alpha.wait_state("backup")
    wait_until(lambda: not alpha.has_service(), 5, "alpha lets go")
    seen = len(of_beta.adverts())
    of_beta.wait(lambda: len(of_beta.adverts()) > seen + 3, 5, "and some time passes")
    drawn = [data.hex() for _, data in from_virtual(wire, begin)]
    assert not drawn, drawn
    # Beta does ask whether somebody else is at the address, as itself, when one that led before can have it no more.
    of_beta.wait(lambda: [a for a in of_beta.arps() if a[3] == "0.0.0.0" and a[4] == SERVICE], 10, "beta asks")
    assert port_of(lab, VIRTUAL_MAC) == beta.lan_port.name


def test_thawed_with_ipv6_the_switch_has_it_right_at_once(lab):
    """Leaving the groups of its addresses the kernel of the thawed one says so, with the virtual MAC."""
    alpha, beta, of_alpha, of_beta, began = frozen(lab)
    alpha.thaw()
    alpha.wait_state("backup")
    wait_until(lambda: not has(alpha, SERVICE6) and not has(alpha, SERVICE), 5, "alpha lets go")
    beta_has_the_last_word(lab, beta, of_alpha, of_beta, began)


UNRESOLVED = {"ipv4": ({}, None, True), "ipv6": ({"family": "ipv6"}, LAN6, False)}


@pytest.mark.parametrize("family", UNRESOLVED)
def test_a_resignation_by_unicast_waits_for_no_neighbour_entry(lab, family):
    more, group, ipv4 = UNRESOLVED[family]
    pair = {"multicast": "false", **more}
    alpha, beta = pair_of(lab, pair, {"lan": group}, peer_link=False, ipv4=False) if group else lab.two(pair=pair, peer_link=False)
    to = link_local(beta) if group else beta.address
    # What the kernel is given for its neighbour does not arrive: it does not know where that is.
    alpha.namespace.ip("neigh", "replace", to, "dev", "eth0", "lladdr", "02:00:00:00:aa:99", "nud", "permanent")
    sequence = beta.get("Sequence")
    alpha.resign("test")
    beta.wait_state("master")
    assert beta.get("Reason") == "master-resigned" and beta.get("Sequence") == sequence + 1
