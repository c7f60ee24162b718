# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sets: which members are silent, which are heard, and what the set does - the table of vrrpd/README.md, row by row; crossed addresses and
simultaneous starts."""

import shutil

import pytest
from gi.repository import GLib
from set_lab import (LAN4, LAN6, LAN46, SERVICE6, VIRTUAL_LINK_LOCAL, WAN46, WAN_SERVICE, WAN_SERVICE6, addresses_of, adverts6, device, has,
                     introduce, link_local, pair_of)
from vrrp_lab import SERVICE, VIRTUAL_MAC, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

EVERYTHING = (SERVICE, SERVICE6, VIRTUAL_LINK_LOCAL, WAN_SERVICE, WAN_SERVICE6)
SET = {"lan": LAN46, "wan": WAN46}
WHILE_US = 1_000_000  # ten intervals


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def heard(host, path):
    return host.get("LastHeard").get(path, 0)


def outlives(host, silent, speaking):
    """Waits until the one path has been silent for so long that the Master would be down, if the other did not speak."""
    wait_until(lambda: heard(host, speaking) - heard(host, silent) > WHILE_US, 10, f"{silent} silent, {speaking} heard")


def whole(lab, leader, other):
    """The one has all, the other nothing."""
    wait_until(lambda: all(has(leader, address) for address in EVERYTHING), 3, f"{leader.name} has all")
    wait_until(lambda: not any(has(other, address) for address in EVERYTHING), 5, f"{other.name} has nothing")


def known_to(master, phone, address):
    """Two alone on a LAN cannot tell whose cable it is: somebody else is there, whom the Master knows and can ask."""
    mac = phone.namespace.ip("-o", "link", "show", "eth0").stdout.split("link/ether ")[1].split()[0]
    asked = master.counters()["probes"]
    master.namespace.ip("neigh", "add", address, "dev", "eth0", "lladdr", mac)
    wait_until(lambda: master.counters()["probes"] > asked + 20, 10, "a second of questions")


def one_of_two(alpha, beta):
    return sorted((alpha.state(), beta.state())) == ["backup", "master"]


# ---- Rows: what is silent, what is heard -> who has the set ----

def row_all_heard(alpha, beta):
    for path in ("lan", "lan-ipv6", "wan-ipv4", "wan-ipv6"):
        wait_until(lambda path=path: heard(beta, path), 5, f"{path} heard")
    return alpha


def row_follower_silent(alpha, beta):
    beta.wan_port.block()
    outlives(beta, "wan-ipv4", "lan")
    outlives(beta, "wan-ipv6", "lan-ipv6")
    return alpha


def row_elector_silent(alpha, beta):
    beta.lan_port.block()
    outlives(beta, "lan", "wan-ipv4")
    return alpha


def row_one_family_of_the_follower_alone(alpha, beta):
    beta.lan_port.block()
    beta.namespace.run(["nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; "
                        "add rule inet t in ip protocol 112 drop"])
    outlives(beta, "wan-ipv4", "wan-ipv6")
    return alpha


def row_backups_lan_cable_out(alpha, beta):
    beta.lan_port.cut()
    beta.wait_state("init")
    return alpha


def row_masters_wan_cable_out(alpha, beta):
    alpha.wan_port.cut()
    wait_until(lambda: any(p.startswith("no-carrier: eth2") for p in alpha.get("Problems")), 5, "the problem")
    outlives(beta, "wan-ipv4", "lan")
    return alpha


def row_masters_lan_cable_out(alpha, beta):
    alpha.lan_port.cut()
    beta.wait_state("master")
    assert beta.get("Reason") == "master-resigned", "told by way of the WAN"
    return beta


def row_masters_process_dies(alpha, beta):
    alpha.kill()
    beta.wait_state("master")
    return beta


ROWS = [row_all_heard, row_follower_silent, row_elector_silent, row_one_family_of_the_follower_alone, row_backups_lan_cable_out,
        row_masters_wan_cable_out, row_masters_lan_cable_out, row_masters_process_dies]


@pytest.mark.parametrize("row", ROWS, ids=[row.__name__[4:].replace("_", "-") for row in ROWS])
def test_paired(lab, row):
    alpha, beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    phone = device(lab, "phone", 50, peer_link=False)
    known_to(alpha, phone, "192.0.2.50")
    leader = row(alpha, beta)
    if leader is alpha:
        assert alpha.state() == "master" and beta.state() != "master"
        assert alpha.get("Sequence") == 2, "no change of role"
    whole(lab, leader, beta if leader is alpha else alpha)


def test_paired_all_silent(lab):
    """A split: both lead. Healed, the one that serves people keeps them, with all of the set."""
    alpha, beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    for port in (beta.lan_port, beta.wan_port):
        port.block()
    beta.wait_state("master")
    assert alpha.state() == "master"
    for port in (beta.lan_port, beta.wan_port):
        port.unblock()
    beta.wait_state("backup")
    assert alpha.state() == "master" and alpha.get("Sequence") == 2
    whole(lab, alpha, beta)


def test_paired_masters_lan_dead_with_its_carrier(lab):
    """Nothing is heard on the Master's LAN: it is silent on the WAN too, where it could be heard, and is replaced."""
    alpha, beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    alpha.lan_port.block()
    lab.first(beta)
    assert beta.get("Reason") == "master-down"
    beta.set_serving(True)
    alpha.lan_port.unblock()
    wait_until(lambda: one_of_two(alpha, beta), 5, "one of them leads")
    whole(lab, *(alpha, beta) if alpha.state() == "master" else (beta, alpha))


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_paired_elector_silent_and_an_ipv6_peer_link_heard(lab, family):
    alpha, beta = pair_of(lab, {"family": family}, {"lan": LAN46 if family == "ipv4" else LAN6}, peer6=True)
    phone = device(lab, "phone", 50, peer_link=False)
    known_to(alpha, phone, "192.0.2.50" if family == "ipv4" else "2001:db8::50")
    wait_until(lambda: heard(beta, alpha.peer_address), 5, "the peer link is heard")
    beta.lan_port.block()
    outlives(beta, "lan", alpha.peer_address)
    assert (alpha.state(), beta.state()) == ("master", "backup") and alpha.get("Sequence") == 2


def test_by_unicast_alone(lab):
    """With multicast=false the IPv6 elector speaks from link-local address to link-local address."""
    alpha, beta = pair_of(lab, {"family": "ipv6", "multicast": "false"}, {"lan": LAN6}, peer_link=False)
    wire = lab.wire(beta.lan_port)
    adverts = wire.wait(lambda: adverts6(wire, from_host=False), 5, "an advert")
    assert {a[4] for a in adverts} == {link_local(beta)} and {a[5] for a in adverts} == {255}
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: has(beta, SERVICE6) and not has(alpha, SERVICE6), 3, "beta has the address")


def test_version_2_moves_ipv6_along_without_a_word(lab):
    alpha, beta = pair_of(lab, {"vrrp-version": 2, "advert-interval-ms": 1000}, {"lan": LAN46}, peer_link=False)
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(wire.adverts()) > 1, 5, "IPv4 adverts")
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: has(beta, SERVICE6) and not has(alpha, SERVICE6), 3, "beta has the address")
    assert not adverts6(wire)


def unpaired(lab, **more):
    alpha, beta = (device(lab, name, number, {"priority": 150 if name == "alpha" else 100}, SET, peer_link=False, wan=True, **more)
                   for name, number in (("alpha", 11), ("beta", 12)))
    alpha.start()
    lab.first(alpha)
    beta.start()
    wait_until(lambda: heard(beta, "lan"), 5, "beta hears alpha")
    wait_until(lambda: beta.counters()["followers"] > 0, 5, "followers are counted")
    return alpha, beta


def test_paired_a_follower_where_the_peer_is_not_known(lab):
    """Nobody there is a stranger, and nobody there is the Master's sign of life."""
    alpha, beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    lan = {"id": GLib.Variant("s", "alpha"), "offset": GLib.Variant("y", 1),
           "addresses": GLib.Variant("a{sas}", {"lan": addresses_of(alpha)["lan"]})}
    beta.call("SetPeer", GLib.Variant("(a{sv})", (lan,)))
    known = len(beta.told("Stranger"))
    before = beta.counters()["followers"]
    wait_until(lambda: beta.counters()["followers"] > before + 10, 5, "the WAN's adverts are counted")
    assert not [path for path in beta.get("LastHeard") if path.startswith("wan")]
    assert not [args for args in beta.told("Stranger")[known:] if args[1] == "stranger"]
    assert beta.state() == "backup"
    beta.lan_port.block()
    lab.first(beta)


def test_unpaired_follower_silent(lab):
    alpha, beta = unpaired(lab)
    beta.wan_port.block()
    before = heard(beta, "lan")
    wait_until(lambda: heard(beta, "lan") - before > WHILE_US, 10, "ten intervals of the elector alone")
    assert beta.state() == "backup" and "wan-ipv4" not in beta.get("LastHeard")


def test_unpaired_elector_silent(lab):
    """Plain RFC: the elector alone is judged, and the followers' adverts are no sign of its life."""
    alpha, beta = unpaired(lab)
    beta.lan_port.block()
    lab.first(beta)
    wait_until(lambda: all(has(beta, address) for address in EVERYTHING), 3, "beta has all")
    beta.lan_port.unblock()
    wait_until(lambda: one_of_two(alpha, beta), 5, "healed")
    whole(lab, alpha, beta)


def test_all_members_say_the_same_priority(lab):
    alpha, _beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    alpha.wait_property("Standing", "serving")
    lan, wan = lab.wire(alpha.lan_port), lab.wire(alpha.wan_port)
    priority = alpha.get("Priority")
    for wire in (lan, wan):
        wire.wait(lambda wire=wire: len(wire.adverts()) > 3 and len(adverts6(wire)) > 3, 5, "adverts of both families")
        assert {a[3][2] for a in wire.adverts()} == {a[6][2] for a in adverts6(wire)} == {priority}
    assert {a[3][8:12] for a in wan.adverts()} == {bytes([203, 0, 113, 100])}


def test_a_followers_address_list_that_differs_is_told(lab):
    """The elector's adverts, which are as they should be, do not hide it."""
    alpha, beta = pair_of(lab, groups=SET, peer_link=False, wan=True)
    beta.pair_conf(groups={"lan": LAN46, "wan": WAN46 | {"addresses": "203.0.113.101/24"}})
    beta.call("Reload")
    address, _cause, _count = beta.wait_signal("Stranger", lambda args: args[1] == "address-mismatch", 15)
    assert address == "203.0.113.11"
    assert (alpha.state(), beta.state()) == ("master", "backup")


def test_a_follower_without_adverts_says_nothing_and_moves_along(lab):
    groups = {"lan": LAN4, "wan": WAN46 | {"adverts": "false"}}
    alpha, beta = pair_of(lab, groups=groups, peer_link=False, wan=True)
    wire = lab.wire(alpha.wan_port)
    wait_until(lambda: has(alpha, WAN_SERVICE) and has(alpha, WAN_SERVICE6), 3, "alpha has the WAN")
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: has(beta, WAN_SERVICE) and has(beta, WAN_SERVICE6), 3, "beta has the WAN")
    assert not has(alpha, WAN_SERVICE) and not has(alpha, WAN_SERVICE6)
    assert not [a for a in wire.adverts() if a[1] == VIRTUAL_MAC] and not adverts6(wire)


def test_ipv6_route_follows(lab):
    groups = {"lan": LAN46, "wan": WAN46 | {"routes": "2001:db8:5::/48 via fe80::1, default via 2001:db8:1::1"}}
    alpha, beta = pair_of(lab, groups=groups, peer_link=False, wan=True)

    def routes(host):
        return host.namespace.ip("-6", "route", "show").stdout

    # An administrator's own stays, behind.
    alpha.namespace.ip("-6", "route", "add", "default", "via", "2001:db8::1", "dev", "eth0")
    assert "2001:db8:5::/48 via fe80::1 dev vrrp51.1v6" in routes(alpha)
    assert f"default via 2001:db8:1::1 dev vrrp51.1v6 proto 112 src {WAN_SERVICE6}" in routes(alpha)
    chosen = alpha.namespace.ip("-6", "route", "get", "2001:db8:ffff::1").stdout
    assert "via 2001:db8:1::1" in chosen and WAN_SERVICE6 in chosen
    alpha.resign("test")
    beta.wait_state("master")
    wait_until(lambda: "2001:db8:5::/48" in routes(beta), 3, "beta has the route")
    assert " via 2001:db8:1::1" not in routes(alpha) and "2001:db8:5" not in routes(alpha)
    assert "default via 2001:db8::1" in routes(alpha)


def forget(host):
    if host.process and host.process.poll() is None:
        host.kill()
    shutil.rmtree(host.folder / "run/understudy/vrrpd", ignore_errors=True)


@pytest.mark.parametrize("paired,family", [(True, "ipv4"), (False, "ipv4"), (False, "ipv6")], ids=["paired", "unpaired", "unpaired-ipv6"])
def test_crossed_addresses_and_simultaneous_starts(lab, paired, family):
    """The higher address on the LAN is the lower one on the WAN. Judged member by member the two would hand each other halves for ever."""
    alpha, beta = (device(lab, name, number, {"family": family}, SET, peer_link=False, wan=True) for name, number in (("alpha", 11), ("beta", 12)))
    for host, number in ((alpha, 14), (beta, 13)):
        host.namespace.ip("address", "delete", f"203.0.113.{host.number}/24", "dev", "eth2")
        host.namespace.ip("address", "add", f"203.0.113.{number}/24", "dev", "eth2")
        text = (host.folder / "etc/understudy/device.conf").read_text().replace(f"203.0.113.{host.number}", f"203.0.113.{number}")
        host.write("device.conf", text)
    for _ in range(6):
        for host in (alpha, beta):
            forget(host)
        for host in (alpha, beta):
            host.spawn()
        for host in (alpha, beta):
            host.connect()
        if paired:
            introduce(alpha, beta)
            introduce(beta, alpha)
        for host in (alpha, beta):
            host.lease()
            lab.beat(host)  # as long as it takes: both wait where the kernel changes addresses for many


        def decided():
            """Both may have begun to lead, before they heard each other."""
            if not one_of_two(alpha, beta):
                return None
            leader, other = (alpha, beta) if alpha.state() == "master" else (beta, alpha)
            return all(has(leader, each) for each in EVERYTHING) and not any(has(other, each) for each in EVERYTHING) and (leader, other)

        leader, other = wait_until(decided, 10, "one of them leads, with all")
        sequences = alpha.get("Sequence"), beta.get("Sequence")
        before = heard(other, "lan")
        wait_until(lambda: heard(other, "lan") - before > WHILE_US, 10, "ten quiet intervals")
        assert (alpha.get("Sequence"), beta.get("Sequence")) == sequences and leader.state() == "master"
