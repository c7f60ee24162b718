# SPDX-License-Identifier: LGPL-2.1-or-later
"""Elections with IPv6: what is on the wire, who has the addresses, what a phone learns, what strangers send."""

import socket
import struct
import time

import pytest
from set_lab import (LAN6, LAN46, SERVICE6, VIRTUAL_LINK_LOCAL, VIRTUAL_MAC6, advert6, advertisements, adverts6, checksum, device, echo, has,
                     introduce, link_local, pair_of)
from vrrp_lab import SERVICE, VRRP, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

FAMILIES = [pytest.param({}, id="ipv4-elects"), pytest.param({"family": "ipv6"}, id="ipv6-elects")]


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


@pytest.mark.parametrize("pair", FAMILIES)
def test_both_families_move_together(lab, pair):
    alpha, beta = pair_of(lab, pair, {"lan": LAN46})
    everything = (SERVICE, SERVICE6, VIRTUAL_LINK_LOCAL)
    assert all(has(alpha, address) for address in everything)
    assert not any(has(beta, address) for address in everything)
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: all(has(beta, address) for address in everything), 2, "beta has all")
    assert not any(has(alpha, address) for address in everything)
    assert not beta.get("Problems") or all("no-realtime" in p or "memory" in p for p in beta.get("Problems"))


def test_ipv6_alone_elects(lab):
    alpha, beta = pair_of(lab, groups={"lan": LAN6}, ipv4=False, peer_link=False)
    assert alpha.get("VirtualMac", VRRP) == "00:00:5e:00:02:33"
    assert beta.get("MasterAddress", VRRP) == link_local(alpha)
    assert alpha.get("LinkLocals") == {"lan": link_local(alpha)}
    assert list(beta.get("LastHeard")) == ["lan"]
    alpha.kill()
    beta.wait_state("master")
    wait_until(lambda: has(beta, SERVICE6), 2, "beta has the address")
    wait_until(lambda: not has(alpha, SERVICE6) and not has(alpha, VIRTUAL_LINK_LOCAL), 10, "a dead device lets go")


def test_advert_and_announcement_are_what_the_rfc_says(lab):
    alpha = device(lab, "alpha", 11, {"priority": 77}, {"lan": LAN6})
    wire = lab.wire(alpha.lan_port)
    alpha.start()
    adverts = wire.wait(lambda: len(adverts6(wire)) >= 3 and adverts6(wire), 15, "three adverts")
    for _, to, mac, source, destination, hop_limit, message in adverts:
        assert to == bytes.fromhex("333300000012") and mac == VIRTUAL_MAC6
        assert source == link_local(alpha) and destination == "ff02::12" and hop_limit == 255
        assert message == advert6(source, priority=77)
    said = wire.wait(lambda: [a for a in advertisements(wire) if a[2] == SERVICE6], 5, "an unsolicited neighbour advertisement")
    frame = said[0][1]
    assert frame[:6] == bytes.fromhex("333300000001") and frame[6:12] == VIRTUAL_MAC6
    assert frame[21] == 255 and frame[22:38] == socket.inet_pton(socket.AF_INET6, SERVICE6)
    assert frame[38:54] == socket.inet_pton(socket.AF_INET6, "ff02::1")
    assert frame[58] == 0xA0, "Router and Override, not Solicited"
    assert frame[78:86] == b"\x02\x01" + VIRTUAL_MAC6
    assert checksum(frame[22:54] + struct.pack("!II", 32, 58) + frame[54:86]) == 0
    wire.wait(lambda: [a for a in advertisements(wire) if a[2] == VIRTUAL_LINK_LOCAL], 5, "one for the link-local address too")


def neighbour(phone, address):
    line = phone.namespace.ip("-6", "neigh", "show", address).stdout
    return line.split("lladdr ")[1].split()[0] if "lladdr" in line else None


@pytest.mark.parametrize("pair", FAMILIES)
def test_phone_learns_the_virtual_mac_and_never_another(lab, pair):
    alpha, beta = pair_of(lab, pair, {"lan": LAN46})
    phone = device(lab, "phone", 50, peer_link=False)
    wire = lab.wire(phone.lan_port)
    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"
    # From the Master's side: it asks for the phone itself, and speaks from the service address.
    for host in (alpha, phone):
        host.namespace.ip("-6", "neigh", "flush", "dev", "eth0")
    echo(alpha.namespace, "2001:db8::50", source=SERVICE6)
    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"
    alpha.resign("test")
    beta.wait_state("master")
    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"
    told = {a[1][80:86] for a in advertisements(wire, from_host=False) if a[2] == SERVICE6}
    assert told == {VIRTUAL_MAC6}


def test_a_restart_says_no_other_mac(lab):
    alpha = device(lab, "alpha", 11, groups={"lan": LAN46})
    alpha.start()
    lab.first(alpha)
    phone = device(lab, "phone", 50, peer_link=False)
    wire = lab.wire(phone.lan_port)
    echo(phone.namespace, SERVICE6)

    def told():
        return [a[1][80:86] for a in advertisements(wire, from_host=False) if a[2] in (SERVICE6, VIRTUAL_LINK_LOCAL)]

    for end in alpha.kill, alpha.terminate:
        end()
        before = len(told())
        alpha.start()
        lab.first(alpha)
        wire.wait(lambda before=before: len(told()) > before, 5, "announced")
        echo(phone.namespace, SERVICE6)
        assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"
    assert set(told()) == {VIRTUAL_MAC6}


def test_without_virtual_mac_the_phone_is_told_the_new_one(lab):
    alpha, beta = pair_of(lab, {"virtual-mac": "false", "family": "ipv6"}, {"lan": LAN46})
    phone = device(lab, "phone", 50, peer_link=False)

    def mac(host):
        return host.namespace.ip("-o", "link", "show", "eth0").stdout.split("link/ether ")[1].split()[0]

    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == mac(alpha)
    assert alpha.get("LinkLocals")["lan"] == link_local(alpha) != VIRTUAL_LINK_LOCAL
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: neighbour(phone, SERVICE6) == mac(beta), 2, "the phone learns beta's MAC")
    echo(phone.namespace, SERVICE6)


def test_no_frame_from_the_virtual_mac_after_resigning(lab):
    """A late listener report of the old Master would teach switches the wrong port."""
    alpha, beta = pair_of(lab, groups={"lan": LAN46})
    wire = lab.wire(alpha.lan_port)
    alpha.resign("test")
    beta.wait_state("master")
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 30, 10, "three seconds of beta's adverts")
    zero = max(a[0] for a in adverts6(wire) if a[6][2] == 0)
    late = [data.hex() for at, mine, data in wire.read() if mine and at > zero and data[6:12] == VIRTUAL_MAC6]
    assert not late


class Stranger:
    """Somebody on the LAN who can send any IPv6 frame."""

    def __init__(self, lab):
        self.host = device(lab, "stranger", 66, peer_link=False)
        self.host.lan_port.wait_forwarding()
        self.source = link_local(self.host)
        self.socket = self.host.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind(("eth0", 0x86DD))
        lab.closing.append(self)

    def send(self, message, source=None, destination="ff02::12", hop_limit=255):
        header = (struct.pack("!IHBB", 0x6C000000, len(message), 112, hop_limit) + socket.inet_pton(socket.AF_INET6, source or self.source) +
                  socket.inet_pton(socket.AF_INET6, destination))
        self.socket.send(bytes.fromhex("333300000012") + bytes.fromhex("02000000aa01") + b"\x86\xdd" + header + message)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("pair", FAMILIES)
def test_what_does_not_count_is_counted(lab, pair):
    """On the elector's path and on a follower's alike."""
    alpha, beta = pair_of(lab, pair, {"lan": LAN46})
    stranger = Stranger(lab)
    mine, theirs = stranger.source, link_local(alpha)
    cases = [
        ("drop-stranger", advert6(mine, priority=255), {}),
        ("drop-ttl", advert6(theirs), {"source": theirs, "hop_limit": 254}),
        ("drop-checksum", advert6(theirs, spoil=True), {"source": theirs}),
        ("drop-version", advert6(theirs, version=2), {"source": theirs}),
        ("drop-type", advert6(theirs, kind=2), {"source": theirs}),
        ("drop-interval", advert6(theirs, interval=0), {"source": theirs}),
        ("drop-count", advert6(theirs, addresses=()), {"source": theirs}),
        ("drop-length", advert6(theirs)[:20], {"source": theirs}),
        ("drop-vrid", advert6(theirs, vrid=52), {"source": theirs}),
        ("drop-own-address", advert6(link_local(beta), priority=1), {"source": link_local(beta)}),
    ]
    for counter, message, how in cases:
        before = beta.counters()[counter]
        stranger.send(message, **how)
        wait_until(lambda: beta.counters()[counter] > before, 5, f"beta counts {counter}")
        assert (alpha.state(), beta.state()) == ("master", "backup"), counter
    beta.wait_signal("Stranger", lambda args: args[:2] == (mine, "stranger"))


def test_before_the_peers_link_local_address_is_known_it_is_heard_all_the_same(lab):
    alpha, beta = (device(lab, name, number, {"family": "ipv6"}, {"lan": LAN46}, peer_link=False) for name, number in (("alpha", 11), ("beta", 12)))
    alpha.start()
    introduce(alpha, beta, link_locals=False)
    lab.first(alpha)
    beta.start()
    introduce(beta, alpha, link_locals=False)
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    assert any(problem.startswith("no-peer-link-local") for problem in beta.get("Problems"))
    introduce(beta, alpha)
    wait_until(lambda: not any(problem.startswith("no-peer-link-local") for problem in beta.get("Problems")), 5, "all is known")
    assert beta.state() == "backup"


def test_without_a_link_local_address_it_does_not_elect(lab):
    alpha = device(lab, "alpha", 11, {"family": "ipv6"}, {"lan": LAN46})
    address = link_local(alpha)
    alpha.namespace.ip("address", "delete", f"{address}/64", "dev", "eth0")
    alpha.start()
    wait_until(lambda: any(p.startswith("no-link-local") for p in alpha.get("Problems")), 5, "the problem")
    assert (alpha.state(), alpha.get("Reason")) == ("init", "no-link-local")
    alpha.namespace.ip("address", "add", f"{address}/64", "dev", "eth0", "scope", "link")
    lab.first(alpha, 15)
    assert alpha.get("LinkLocals")["lan"] == address


@pytest.mark.timed(60)
def test_killed_and_started_again_it_goes_on(lab):
    alpha, beta = pair_of(lab, {"family": "ipv6"}, {"lan": LAN46})
    sequence = alpha.get("Sequence")
    alpha.kill()
    alpha.start()
    assert alpha.state() == "master" and alpha.get("Sequence") == sequence
    assert has(alpha, SERVICE6) and beta.state() == "backup"


class Injector6:
    """Puts frames on one host's cable alone, as if they came from @phone, and sees what that host says."""

    def __init__(self, lab, host, phone):
        self.wire = lab.wire(host.lan_port)
        self.phone_mac, self.host_mac = mac_of(phone), mac_of(host)

    def send(self, mac, target, body):
        source, target = (socket.inet_pton(socket.AF_INET6, address) for address in ("2001:db8::50", target))
        total = checksum(source + target + struct.pack("!II", len(body), 58) + body)
        body = body[:2] + struct.pack("!H", total) + body[4:]
        header = struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + source + target
        self.wire.socket.send(mac + self.phone_mac + b"\x86\xdd" + header + body)

    def echo(self, mac, target, ident):
        self.send(mac, target, struct.pack("!BBHHH", 128, 0, 0, ident, 1) + bytes(8))

    def solicit(self, target):
        last = socket.inet_pton(socket.AF_INET6, target)
        group = f"ff02::1:ff{last[13]:02x}:{last[14]:02x}{last[15]:02x}"
        self.send(b"\x33\x33\xff" + last[13:], group, bytes([135, 0, 0, 0, 0, 0, 0, 0]) + last + b"\x01\x01" + self.phone_mac)

    def icmp(self):
        """(type, frame) of all that the host says."""
        return [(data[54], data) for _, mine, data in self.wire.read() if mine and data[12:14] == b"\x86\xdd" and data[20] == 58]

    def answered(self, ident):
        return any(kind == 129 and data[58:60] == struct.pack("!H", ident) for kind, data in self.icmp())

    def answers(self, target):
        """The link-layer addresses in its solicited advertisements for @target."""
        return {data[80:86] for kind, data in self.icmp()
                if kind == 136 and data[58] & 0x40 and data[62:78] == socket.inet_pton(socket.AF_INET6, target)}


def mac_of(host):
    text = host.namespace.ip("-o", "link", "show", "eth0").stdout
    return bytes.fromhex(text.split("link/ether ")[1].split()[0].replace(":", ""))


def groups_of(host):
    """The multicast groups of the virtual interface."""
    return host.namespace.ip("-6", "maddr", "show", "dev", "vrrp51.0v6").stdout


def test_only_the_master_is_at_the_service_address(lab):
    """6.4.2: a Backup answers no solicitation, discards frames for the virtual MAC, accepts no packet for the address. 6.4.3: the Master does,
    is in the solicited-node group; and neither advertises itself as a router, redirects, or asks for duplicates of the address."""
    alpha, beta = pair_of(lab, groups={"lan": LAN46})
    phone = device(lab, "phone", 50, peer_link=False)
    echo(phone.namespace, SERVICE6)
    for host in alpha, beta:
        there, own = Injector6(lab, host, phone), f"2001:db8::{host.number}"
        there.solicit(SERVICE6)
        there.solicit(VIRTUAL_LINK_LOCAL)
        there.echo(VIRTUAL_MAC6, SERVICE6, 1)
        there.echo(there.host_mac, SERVICE6, 2)
        there.echo(VIRTUAL_MAC6, own, 3)
        there.echo(VIRTUAL_MAC6, "2001:db8::77", 4)
        there.echo(VIRTUAL_MAC6, "2001:db8:5::1", 4)
        there.echo(there.host_mac, own, 5)
        there.wire.wait(lambda: there.answered(5), 5, "its own address at its own MAC answers")
        if host is alpha:
            there.wire.wait(lambda: there.answered(1) and there.answers(SERVICE6) and there.answers(VIRTUAL_LINK_LOCAL), 5, "the Master answers")
            assert there.answers(SERVICE6) == there.answers(VIRTUAL_LINK_LOCAL) == {VIRTUAL_MAC6}
        else:
            assert not there.answers(SERVICE6) and not there.answers(VIRTUAL_LINK_LOCAL)
            assert not [ident for ident in (1, 2, 3) if there.answered(ident)]
        assert not [kind for kind, data in there.icmp() if kind in (134, 137) or data[58:60] == b"\0\x04"]
        assert ("ff02::1:ff00:100" in groups_of(host)) == (host is alpha)
    wire = lab.wire(beta.lan_port)
    alpha.resign("test")
    beta.wait_state("master")
    echo(phone.namespace, SERVICE6)
    assert "ff02::1:ff00:100" in groups_of(beta) and "ff02::1:ff00:100" not in groups_of(alpha)
    asked = [data for _, mine, data in wire.read() if mine and data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] == 135]
    assert not [data for data in asked if data[22:38] == bytes(16)], "no duplicate detection"
    # A new Master asks whether somebody else is at the address, as itself: that teaches nobody a thing about the service address.
    assert VIRTUAL_MAC6 not in {data[6:12] for data in asked if data[62:78] == socket.inet_pton(socket.AF_INET6, SERVICE6)}


def test_frozen_and_thawed_it_has_let_go(lab):
    alpha, beta = pair_of(lab, {"family": "ipv6"}, {"lan": LAN46})
    phone = device(lab, "phone", 50, peer_link=False)
    echo(phone.namespace, SERVICE6)
    alpha.freeze()
    beta.wait_state("master")
    wait_until(lambda: not any(has(alpha, address) for address in (SERVICE, SERVICE6, VIRTUAL_LINK_LOCAL)), 10, "alpha's kernel lets go")
    alpha.thaw()
    alpha.wait_state("backup")
    assert not has(alpha, SERVICE6) and beta.state() == "master"
    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"


def test_heal_keeps_who_serves_and_is_announced(lab):
    """Both led while cut off from each other; the one that stays says so by neighbour advertisements, of each address."""
    alpha, beta = pair_of(lab, {"family": "ipv6"}, {"lan": LAN46})
    phone = device(lab, "phone", 50, peer_link=False)
    beta.peer_port.block()
    beta.lan_port.block()
    beta.wait_state("master")
    echo(phone.namespace, SERVICE6)
    wire = lab.wire(alpha.lan_port)
    healed = time.monotonic()
    beta.lan_port.unblock()
    beta.wait_state("backup")
    assert beta.get("Reason") == "heard-higher" and alpha.state() == "master" and not has(beta, SERVICE6)
    for address in (SERVICE6, VIRTUAL_LINK_LOCAL):
        wire.wait(lambda address=address: [said for said in advertisements(wire) if said[0] > healed and said[2] == address], 3, f"{address} announced again")
    echo(phone.namespace, SERVICE6)
    assert neighbour(phone, SERVICE6) == "00:00:5e:00:02:33"


def test_a_family_added_and_taken_away_costs_no_role(lab):
    alpha, beta = pair_of(lab, groups={"lan": LAN46 | {"addresses": f"{SERVICE}/24"}})
    sequence = alpha.get("Sequence")
    wire = lab.wire(alpha.lan_port)
    for host in (alpha, beta):
        host.pair_conf(groups={"lan": LAN46})
        host.call("Reload")
    wait_until(lambda: has(alpha, SERVICE6) and has(alpha, VIRTUAL_LINK_LOCAL), 3, "alpha has the new address")
    wire.wait(lambda: adverts6(wire), 5, "IPv6 adverts")
    wait_until(lambda: beta.get("LastHeard").get("lan-ipv6"), 5, "beta hears them")
    for host in (alpha, beta):
        host.pair_conf(groups={"lan": LAN46 | {"addresses": f"{SERVICE}/24"}})
        host.call("Reload")
    wait_until(lambda: not has(alpha, SERVICE6) and not has(alpha, VIRTUAL_LINK_LOCAL), 3, "they are gone")
    assert "vrrp51.0v6" not in alpha.namespace.ip("link").stdout
    assert (alpha.state(), beta.state()) == ("master", "backup") and alpha.get("Sequence") == sequence


def test_where_ipv6_is_off_by_default(lab):
    alpha = device(lab, "alpha", 11, {"family": "ipv6"}, {"lan": LAN46})
    alpha.namespace.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"])
    alpha.start()
    lab.first(alpha)
    wait_until(lambda: has(alpha, SERVICE6), 3, "the address")


def test_interface_made_anew_under_it(lab):
    alpha, beta = pair_of(lab, {"family": "ipv6"}, {"lan": LAN46})
    address = link_local(alpha)
    alpha.lan_port.close()
    alpha.wait_property("Reason", "no-interface")  # of two notices of the kernel: first its carrier goes
    assert alpha.state() == "init"
    beta.wait_state("master")
    alpha.lan_port = lab.lan.connect(alpha.namespace, "eth0", "192.0.2.11/24")
    alpha.wait_state("backup", 10)  # when duplicate detection is done
    assert alpha.get("LinkLocals")["lan"] == address == link_local(alpha)
    wait_until(lambda: alpha.get("LastHeard").get("lan", 0) > alpha.get("SinceUs"), 5, "alpha hears beta")
    beta.resign("test")
    alpha.wait_state("master")
    wait_until(lambda: has(alpha, SERVICE) and has(alpha, SERVICE6), 3, "alpha has all")


def test_a_master_whose_link_local_address_changes_is_no_stranger(lab):
    """The peer must learn the new one by way of the supervisors; until it may have, adverts come from the one it knows."""
    alpha, beta = pair_of(lab, {"family": "ipv6"}, {"lan": LAN46}, peer_link=False)
    wire = lab.wire(alpha.lan_port)
    before = link_local(alpha)
    alpha.namespace.ip("address", "add", "fe80::99/64", "dev", "eth0", "scope", "link", "nodad")
    mark = wire.wait(lambda: len(adverts6(wire)), 5, "an advert")
    wire.wait(lambda: len(adverts6(wire)) > mark + 5, 5, "five more")
    assert {advert[3] for advert in adverts6(wire)} == {before}, "one more is no other"
    assert alpha.get("LinkLocals")["lan"] == before
    alpha.namespace.ip("address", "delete", f"{before}/64", "dev", "eth0")
    wait_until(lambda: alpha.get("LinkLocals")["lan"] == "fe80::99", 5, "what the supervisor is to tell")
    mark = len(adverts6(wire))
    wire.wait(lambda: len(adverts6(wire)) > mark + 10, 5, "longer than beta waits for one that is down")
    assert beta.state() == "backup" and alpha.state() == "master"
    assert beta.counters()["drop-stranger"] == 0
    introduce(beta, alpha)
    introduce(alpha, beta)
    wire.wait(lambda: adverts6(wire)[-1][3] == "fe80::99", 20, "and then from the new one")
    mark = len(adverts6(wire))
    wire.wait(lambda: len(adverts6(wire)) > mark + 10, 5, "a second of those")
    assert beta.state() == "backup" and beta.counters()["drop-stranger"] == 0
