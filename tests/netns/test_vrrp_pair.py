# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two vrrpd that know each other: every way in which one can go, and what must not happen."""

import time

import lease
import pytest
from gi.repository import Gio
from vrrp_lab import ELECTION, ROOT, SERVICE, VIRTUAL_MAC, VRRP, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

DOWN_MS = 300.8  # 3 * 100 ms + (256 - 254) / 256 * 100 ms


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def first_after(wire, at, priority_zero=False, timeout_s=5):
    """The first advert the host on this wire sent after the moment."""
    return wire.wait(lambda: next((a for a in wire.adverts() if a[0] > at and (a[3][2] == 0) == priority_zero), None), timeout_s, "an advert")


def adverts_between(wire, begin, end, from_host=True):
    return [advert for advert in wire.adverts(from_host) if begin < advert[0] < end]


def quiet_for(wire, seconds, from_host=True):
    """Watches a span of wire time, told by the other side's adverts, and returns what the host sent in it."""
    begin = time.monotonic()
    wire.wait(lambda: [a for a in wire.adverts(not from_host) if a[0] > begin + seconds], seconds + 5, "the other side speaks on")
    return adverts_between(wire, begin, begin + seconds, from_host)


# ---- Ways to go ----

@pytest.mark.parametrize("peer_link", [pytest.param(True, id="peer-link", marks=pytest.mark.timed(10)), pytest.param(False, id="lan-only", marks=pytest.mark.timed(20))])
def test_cable_of_the_master_is_pulled(lab, peer_link):
    alpha, beta = lab.two(peer_link=peer_link)
    client = lab.client()
    client.probe()
    wire = lab.wire(beta.lan_port)
    last = wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert of alpha")
    begin = time.monotonic()
    alpha.lan_port.cut()
    beta.wait_state("master")
    sent = first_after(wire, begin)
    last = wire.adverts(from_host=False)[-1]
    gaps, to_the_end = client.finish()
    alpha.wait_state("init")
    assert alpha.get("Reason") == "no-carrier" and not alpha.has_service()
    assert beta.has_service() and to_the_end
    # By the peer link alpha says at once that it has given up.
    bound = 50 if peer_link else DOWN_MS + 60
    assert sum(gaps) < bound, gaps
    assert (sent[0] - last[0]) * 1000 < DOWN_MS + 20
    alpha.lan_port.plug()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard").get("lan", 0) > alpha.get("SinceUs"), 5, "alpha hears beta")
    assert beta.state() == "master"


@pytest.mark.timed(20)
def test_master_is_killed_and_stays_dead(lab):
    alpha, beta = lab.two()
    wire = lab.wire(beta.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert of alpha")
    alpha.kill()
    beta.wait_state("master")
    first = wire.wait(wire.adverts, 2, "beta's first advert")[0]
    last = wire.adverts(from_host=False)[-1]
    took_ms = (first[0] - last[0]) * 1000
    assert DOWN_MS - 1 <= took_ms <= DOWN_MS + 20, took_ms
    assert beta.get("Reason") == "master-down"
    # Nobody took the address from it: it expires by itself.
    assert alpha.has_service()
    wait_until(lambda: not alpha.has_service(), 6, "the address of the dead one expires")


@pytest.mark.timed(20)
def test_frozen_master_loses_its_address_and_yields_after_the_thaw(lab):
    alpha, beta = lab.two()
    wire = lab.wire(beta.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert of alpha")
    alpha.freeze()
    beta.wait_state("master")
    took_ms = (wire.wait(wire.adverts, 2, "beta's first advert")[0][0] - wire.adverts(from_host=False)[-1][0]) * 1000
    assert DOWN_MS - 1 <= took_ms <= DOWN_MS + 20, took_ms
    wait_until(lambda: not alpha.has_service(), 6, "the address of the frozen one expires")
    thawed = time.monotonic()
    alpha.thaw()
    alpha.wait_state("backup")
    assert alpha.get("Reason") == "late-wake-up" and alpha.counters()["late-wake-ups"] == 1
    assert beta.state() == "master" and beta.get("Sequence") == 2
    # It said nothing, and had the address at no time.
    assert not [a for a in wire.adverts(from_host=False) if a[0] > thawed]
    assert not alpha.has_service()


def test_frozen_and_thawed_at_once_with_nobody_else_goes_on(lab):
    alpha = lab.host("alpha", "192.0.2.11").start()
    lab.first(alpha)
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: wire.adverts(), 2, "an advert")
    alpha.freeze()
    wait_until(lambda: not alpha.has_service(), 6, "the address expires")
    alpha.thaw()
    wait_until(alpha.has_service, 2, "and is back")
    assert alpha.state() == "master" and alpha.get("Sequence") == 2
    assert alpha.counters()["late-wake-ups"] == 1


@pytest.mark.timed(5)
def test_master_stops_with_priority_zero(lab):
    alpha, beta = lab.two()
    client = lab.client()
    client.probe()
    wire, peer_wire = lab.wire(beta.lan_port), lab.wire(beta.peer_port)
    assert alpha.terminate() == 0
    beta.wait_state("master")
    zero = wire.wait(lambda: [a for a in wire.adverts(from_host=False) if a[3][2] == 0], 2, "priority 0")[0]
    wire.wait(wire.adverts, 2, "beta's first advert")
    assert (wire.adverts()[0][0] - zero[0]) * 1000 < 15
    peer_wire.wait(lambda: [a for a in peer_wire.adverts(from_host=False) if a[3][2] == 0], 2, "priority 0 goes by every path")
    gaps, to_the_end = client.finish()
    assert sum(gaps) < 50 and to_the_end, gaps
    assert beta.get("Reason") == "master-resigned"
    # It left nothing behind.
    assert "vrrp" not in alpha.namespace.ip("-o", "link").stdout
    assert not alpha.has_service()


# ---- The LAN, broken in its ways ----

def test_lan_of_the_master_is_dead_with_carrier(lab):
    alpha, beta = lab.two()
    client = lab.client()
    client.probe()
    begin = time.monotonic()
    alpha.lan_port.block()
    beta.wait_state("master")
    assert beta.get("Reason") == "master-down"
    wire = lab.wire(beta.lan_port)
    gaps, to_the_end = client.finish()
    # 300 ms until alpha knows that it is alone, 301 ms until beta knows that alpha is silent, and a tick.
    assert sum(gaps) < 900 and to_the_end, gaps
    alpha.wait_property("LinkAlive", False)
    assert alpha.get("Carrier")
    alpha.wait_property("Standing", "alone")
    assert time.monotonic() - begin < 5
    # Applications begin to serve at beta: by the peer link alpha hears that it has been replaced.
    beta.set_serving(True)
    alpha.wait_state("backup")
    assert alpha.get("Reason") == "heard-higher" and not alpha.has_service()
    alpha.lan_port.unblock()
    assert not quiet_for(wire, 0.5, from_host=False)
    assert beta.state() == "master" and alpha.state() == "backup"


def test_only_the_backups_port_is_blocked(lab):
    alpha, beta = lab.two()
    lab.client().probe()
    wire = lab.wire(beta.peer_port)
    beta.lan_port.block()
    begin = time.monotonic()
    wire.wait(lambda: [a for a in wire.adverts(from_host=False) if a[0] > begin + 2], 5, "two seconds of adverts by the peer path")
    assert beta.state() == "backup" and beta.get("Sequence") == 1
    assert not wire.adverts()
    heard = beta.get("LastHeard")
    assert heard["10.0.0.1"] - heard["lan"] > 1500000
    beta.lan_port.unblock()
    wait_until(lambda: beta.get("LastHeard")["lan"] > heard["lan"], 2, "the LAN is heard again")
    assert beta.state() == "backup" and alpha.state() == "master"


@pytest.mark.parametrize("broken", ["lan", "peer"])
def test_one_path_alone_keeps_the_backup(lab, broken):
    alpha, beta = lab.two()
    lab.client().probe()
    (beta.lan_port if broken == "lan" else beta.peer_port).block()
    wire = lab.wire(beta.peer_port if broken == "lan" else beta.lan_port)
    begin = time.monotonic()
    wire.wait(lambda: [a for a in wire.adverts(from_host=False) if a[0] > begin + 1], 5, "a second of adverts")
    assert beta.state() == "backup" and alpha.state() == "master"


def test_failed_applications_silence_the_peer_path(lab):
    alpha, beta = lab.two()
    wire = lab.wire(beta.peer_port)
    wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert by the peer path")
    alpha.set_serving(False)
    begin = time.monotonic()
    lan = lab.wire(beta.lan_port)
    lan.wait(lambda: [a for a in lan.adverts(from_host=False) if a[0] > begin + 1], 5, "the LAN's adverts go on")
    assert not [a for a in wire.adverts(from_host=False) if a[0] > begin + 0.01]
    assert alpha.get("Standing") == "not-serving" and alpha.get("Priority") < 85


# ---- After a split ----

@pytest.mark.timed(25)
@pytest.mark.parametrize("virtual_mac", [True, False], ids=["virtual-mac", "own-mac"])
@pytest.mark.parametrize("serving", ["alpha", "beta"])
def test_heal_keeps_who_serves(lab, serving, virtual_mac):
    """Both lead while cut off from each other; the one that serves stays, whichever it is, and the phones that it has go on with it."""
    alpha, beta = lab.two(pair={"virtual-mac": str(virtual_mac).lower()})
    client = lab.client()
    wire_a, wire_b = lab.wire(alpha.lan_port), lab.wire(beta.lan_port)
    beta.peer_port.block()
    beta.lan_port.block()
    beta.wait_state("master")
    if serving == "beta":
        alpha.set_serving(False)
        beta.set_serving(True)
    winner, loser = (alpha, beta) if serving == "alpha" else (beta, alpha)
    winner_wire = wire_a if serving == "alpha" else wire_b
    if serving == "alpha":
        client.probe()
    loser_wire = wire_b if serving == "alpha" else wire_a
    unblocked = time.monotonic()
    beta.lan_port.unblock()
    # What it heard first, by the wire's own time: however long the switch took to be told.
    healed = loser_wire.wait(lambda: [a[0] for a in loser_wire.adverts(from_host=False) if a[0] > unblocked], 5, "the loser hears the other")[0]
    loser.wait_state("backup")
    assert loser.get("Reason") == "heard-higher"
    assert winner.state() == "master" and not loser.has_service()
    last = [a for a in loser_wire.adverts() if a[0] > healed]
    assert len(last) <= 2 and (not last or last[-1][0] - healed < 0.25), "the loser is silent within an advert interval"
    assert winner_wire.wait(lambda: [a for a in winner_wire.arps() if a[0] > unblocked and a[3] == a[4] == SERVICE], 3, "announced again")
    if serving == "alpha":
        gaps, to_the_end = client.finish()
        assert to_the_end and sum(gaps) < 130, gaps
    else:
        client.probe()
        client.finish()


DEAF = "table ip deaf {\n chain input {\n type filter hook input priority 0;\n ip protocol 112 drop\n }\n}\n"


def test_heal_at_equal_standing_keeps_the_newer_step(lab):
    """Both serve and both have a LAN that is alive, yet neither hears the other's adverts: a firewall gone wrong."""
    alpha, beta = lab.two()
    for host in alpha, beta:
        host.namespace.run(["nft", "-f", "-"], input=DEAF)
    beta.wait_state("master")
    beta.set_serving(True)
    assert alpha.get("Step", VRRP) == 1 and beta.get("Step", VRRP) == 2
    for host in alpha, beta:
        host.wait_property("Standing", "serving")
    for host in beta, alpha:
        host.namespace.run(["nft", "delete", "table", "ip", "deaf"])
    alpha.wait_state("backup")
    assert beta.state() == "master" and alpha.get("Reason") == "heard-higher"


def test_the_peer_following_brings_the_step_back(lab):
    alpha, beta = lab.two()
    alpha.wait_property("Priority", 171)  # steady for long enough
    assert alpha.get("Step", VRRP) == 1
    alpha.set_peer(beta, follows=True)
    assert alpha.get("Step", VRRP) == 0
    alpha.wait_property("Priority", 169)


# ---- Restart ----

@pytest.mark.timed(10)
def test_killed_and_restarted_master_goes_on(lab):
    alpha, beta = lab.two()
    alpha.wait_property("Standing", "serving")
    client = lab.client()
    client.probe()
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(wire.adverts()) > 2, 2, "adverts")
    sequence, since = alpha.get("Sequence"), alpha.get("SinceUs")
    alpha.kill()
    killed = time.monotonic()
    alpha.spawn()
    first = first_after(wire, killed)
    alpha.connect()
    gaps, to_the_end = client.finish()
    assert alpha.state() == "master" and alpha.get("Sequence") == sequence and alpha.get("SinceUs") == since
    assert alpha.get("Standing") == "serving" and alpha.get("Reason") == "master-down"
    assert beta.state() == "backup" and beta.get("Sequence") == 1
    assert sum(gaps) < 50 and to_the_end, gaps
    print(f"restart to first advert: {(first[0] - killed) * 1000:.1f} ms")
    assert (first[0] - killed) * 1000 < 100
    assert first[3][2] == 171, "it knows at once that it serves"
    # And it still hears, renews and lets go.
    alpha.lan_port.cut()
    beta.wait_state("master")


def test_killed_master_restarted_too_late_listens(lab):
    alpha, beta = lab.two()
    alpha.kill()
    beta.wait_state("master")
    wire = lab.wire(alpha.lan_port)
    alpha.start(peer=beta)
    assert alpha.state() == "backup" and not alpha.has_service()
    wait_until(lambda: alpha.get("LastHeard"), 2, "alpha hears beta")
    assert not wire.adverts()
    assert beta.state() == "master"


def test_killed_and_restarted_backup_stays_one_with_its_holds(lab):
    alpha, beta = lab.two()
    beta.hold("passive", "ordered")
    sequence = beta.get("Sequence")
    beta.kill()
    beta.spawn()
    beta.connect()
    assert beta.state() == "backup" and beta.get("Sequence") == sequence
    assert beta.holds() == ["passive"]
    assert beta.get("Priority") == 6, "it knows its peer still"
    assert alpha.state() == "master"


# ---- Orders ----

def test_an_administrator_sees_paths_and_the_reason_of_the_priority(lab):
    alpha, beta = lab.two()
    wait_until(lambda: all(path["heard_us"] for path in beta.get("Paths")), 5, "alpha is heard on both paths")
    assert [(p["interface"], p["device"], p["address"], p["peer"], p["electing"], p["open"]) for p in beta.get("Paths")] == [
        ("lan", "eth0", "192.0.2.12", "192.0.2.11", True, True), ("peer", "eth1", "10.0.0.2", "10.0.0.1", False, True)]
    assert alpha.get("PriorityReason").startswith("serving, step ") and beta.get("PriorityReason").startswith("not-serving, step ")
    assert alpha.get("LastStranger") == ("", "", 0, 0)
    alpha.set_serving(False)
    assert alpha.get("PriorityReason").startswith("not-serving, step ")
    beta.set_peer(False)
    assert beta.get("PriorityReason") == "configured, there is no peer"
    assert [p["peer"] for p in beta.get("Paths")] == [""]


def test_nobody_preempts(lab):
    alpha, beta = lab.two(pair={"priority": 10}, paired=False, peer_link=False)
    beta.pair_conf({"priority": 254})
    beta.call("Reload")
    assert beta.get("Priority") == 254
    wire = lab.wire(beta.lan_port)
    assert not quiet_for(wire, 1)
    assert alpha.state() == "master" and beta.state() == "backup"


@pytest.mark.timed(10)
def test_resign_hands_over_and_does_not_come_back(lab):
    alpha, beta = lab.two()
    client = lab.client()
    client.probe()
    alpha.resign("swap")
    assert alpha.state() == "backup" and alpha.get("Reason") == "swap" and not alpha.has_service()
    beta.wait_state("master")
    gaps, to_the_end = client.finish()
    assert to_the_end and sum(gaps) < 50, gaps
    wire = lab.wire(alpha.lan_port)
    assert not quiet_for(wire, 1)


@pytest.mark.timed(20)
def test_resign_gives_the_peer_a_whole_down_interval(lab):
    alpha, beta = lab.two()
    beta.hold("passive")
    wire = lab.wire(alpha.lan_port)
    alpha.resign("test")
    zero = first_after(wire, 0, priority_zero=True)
    alpha.wait_state("master")
    again = first_after(wire, zero[0])
    # Counted from the order: until priority 0 is said the addresses are taken down.
    assert DOWN_MS - 20 < (again[0] - zero[0]) * 1000 < DOWN_MS + 30
    assert beta.state() == "backup"


def test_take_wins_over_a_standing_master(lab):
    alpha, beta = lab.two()
    beta.hold("administrator")
    assert alpha.get("Standing") == "serving"
    beta.take("takeover --force")
    assert beta.state() == "master" and beta.get("Reason") == "takeover --force"
    alpha.wait_state("backup")
    assert beta.state() == "master"


# ---- Holds ----

@pytest.mark.timed(100)
def test_holds_keep_a_backup_and_end(lab):
    alpha, beta = lab.two()
    for name in ("passive", "administrator", "first-sync"):
        beta.hold(name, f"because {name}")
    assert [(name, reason) for name, reason, _ in beta.get("Holds")] == [
        ("passive", "because passive"), ("administrator", "because administrator"), ("first-sync", "because first-sync")]
    alpha.terminate()
    wait_until(lambda: beta.get("LastHeard") and not alpha.has_service(), 2, "alpha is gone")
    beta.lift("passive")
    beta.lift("administrator")
    assert beta.state() == "backup" and beta.holds() == ["first-sync"]
    lifted = time.clock_gettime(time.CLOCK_BOOTTIME)
    beta.lift("first-sync")
    beta.wait_state("master")
    assert beta.get("SinceUs") / 1e6 - lifted < 0.5


def test_cold_boot_lease_ends_by_itself(lab):
    alpha = lab.host("alpha", "192.0.2.11")
    alpha.start(supervised=False)
    assert alpha.holds() == ["no-supervisor"]
    lab.client().probe(target=alpha.address)
    begin = time.clock_gettime(time.CLOCK_BOOTTIME)
    alpha.hold("cold-boot", "waiting for the peer", lease_ms=1500)
    alpha.lease()
    lab.beat(alpha)
    assert alpha.holds() == ["cold-boot"]
    lab.first(alpha)
    assert 1.5 <= alpha.get("SinceUs") / 1e6 - begin < 2.5


def test_without_a_supervisor_a_backup_holds_and_a_master_goes_on(lab):
    alpha, beta = lab.two()
    lab.silence(alpha)
    lab.silence(beta)
    lease.arm(beta.lease_fd)  # the last of all: when it runs out, alpha's has
    wait_until(lambda: beta.holds() == ["no-supervisor"], 6, "beta misses its supervisor")
    assert alpha.state() == "master" and alpha.holds() == []
    alpha.resign("test")
    wait_until(lambda: alpha.holds() == ["no-supervisor"], 6, "so does alpha, a Backup now")
    assert alpha.state() == beta.state() == "backup"
    lease.arm(beta.lease_fd)
    beta.get("State")
    assert beta.holds() == ["no-supervisor"], "one that has run out is let go"
    beta.lease()
    beta.wait_state("master")


def test_started_with_nothing_known_it_waits_for_the_supervisor(lab):
    alpha = lab.host("alpha", "192.0.2.11")
    alpha.start(supervised=False)
    assert alpha.state() == "backup" and alpha.holds() == ["no-supervisor"]
    lab.client().probe(target=alpha.address)
    wait_until(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 > alpha.get("SinceUs") + 600000, 5, "twice the down time has passed")
    assert alpha.state() == "backup"
    alpha.lease()
    alpha.wait_state("master", 6)


# ---- Settings ----

@pytest.mark.parametrize("pair", [None, "disabled"])
def test_standalone_elects_nothing(lab, pair):
    alpha = lab.host("alpha", "192.0.2.11", configured=False)
    alpha.device_conf()
    if pair:
        alpha.pair_conf({"enabled": "false"})
    alpha.start()
    assert (alpha.state(), alpha.get("Reason")) == ("init", "standalone")
    assert "vrrp" not in alpha.namespace.ip("-o", "link").stdout
    alpha.pair_conf()
    alpha.call("Reload")
    lab.first(alpha)
    alpha.pair_conf({"enabled": "false"})
    alpha.call("Reload")
    assert (alpha.state(), alpha.get("Reason")) == ("init", "standalone") and not alpha.has_service()


def test_bad_settings_exit_2_with_file_line_and_reason(lab):
    alpha = lab.host("alpha", "192.0.2.11")
    alpha.write("pair.conf", "[pair]\ngroup-id=256\n")
    process = alpha.spawn()
    assert process.wait(10) == 2
    assert "pair.conf:2:" in alpha.text_log()


def test_following_group_with_route_moves_along(lab):
    wan = lab.net.switch("wan")
    groups = {"lan": {"interface": "lan", "addresses": f"{SERVICE}/24", "elects": "true"},
              "wan": {"interface": "wan", "addresses": "203.0.113.100/24, 203.0.113.101/24", "routes": "default via 203.0.113.1"}}
    alpha, beta = lab.two(groups=groups, start=False)
    for host in alpha, beta:
        wan.connect(host.namespace, "eth2")
        text = (host.folder / "etc/understudy/device.conf").read_text()
        host.write("device.conf", text + f"\n[interface wan]\ndevice=eth2\naddress=203.0.113.{host.address[-2:]}/24\n")
    alpha.start(peer=beta)
    lab.first(alpha)
    beta.start(peer=alpha)

    def has_all(host):
        return ({SERVICE, "203.0.113.100", "203.0.113.101"} <= set(host.namespace.addresses()) and
                "default via 203.0.113.1" in host.namespace.ip("route").stdout)

    wait_until(lambda: has_all(alpha), 2, "alpha has everything")

    def told():
        objects = alpha.call("GetManagedObjects", None, "org.freedesktop.DBus.ObjectManager")[0]
        return sorted((o["org.understudy.Address1"]["Address"], o["org.understudy.Address1"]["Held"]) for o in objects.values()
                      if "org.understudy.Address1" in o)

    everything = [("192.0.2.100/24", True), ("203.0.113.100/24", True), ("203.0.113.101/24", True)]
    wait_until(lambda: told() == everything, 2, "and says so")
    alpha.resign("test")
    wait_until(lambda: has_all(beta), 2, "beta has everything")
    assert alpha.namespace.addresses() == ["127.0.0.1", "192.0.2.11", "10.0.0.1"]
    assert "default" not in alpha.namespace.ip("route").stdout


def test_reload_with_another_address_keeps_the_role(lab):
    alpha = lab.host("alpha", "192.0.2.11").start()
    lab.first(alpha)
    sequence = alpha.get("Sequence")
    alpha.pair_conf(groups={"lan": {"interface": "lan", "addresses": f"{SERVICE}/24, 192.0.2.101/24", "elects": "true"}})
    alpha.call("Reload")
    assert alpha.has_service() and alpha.has_service("192.0.2.101")
    assert alpha.get("Sequence") == sequence
    alpha.pair_conf(groups={"lan": {"interface": "lan", "addresses": "192.0.2.101/24", "elects": "true"}})
    alpha.call("Reload")
    assert not alpha.has_service() and alpha.has_service("192.0.2.101")
    alpha.write("pair.conf", "[pair]\ngroup-id=0\n")
    with pytest.raises(Exception, match="pair.conf:2"):
        alpha.call("Reload")
    assert alpha.state() == "master" and alpha.has_service("192.0.2.101")


@pytest.mark.parametrize("change", [{"vrrp-version": "2"}, {"group-id": "77"}, {"virtual-mac": "false"}, {"advert-interval-ms": "300"},
                                    {"multicast": "false"}])
def test_reload_with_another_election_keeps_the_role(lab, change):
    """The Backup, told of it and held meanwhile, follows; who leads does not change."""
    alpha, beta = lab.two()
    before = alpha.get("Sequence")
    beta.hold("settings", "the pair's settings are being changed")
    for host in alpha, beta:
        host.pair_conf(change)
        host.call("Reload")
        assert alpha.state() == "master" and alpha.has_service()
    beta.wait_state("backup")
    former = max(beta.get("LastHeard").values(), default=0)
    heard = wait_until(lambda: (lambda now: now > former and now)(max(beta.get("LastHeard").values(), default=0)), 10, "adverts heard in the new election")
    beta.lift("settings")
    some_down_times_us = {"vrrp-version": 4_000_000, "advert-interval-ms": 3_000_000}.get(next(iter(change)), 1_200_000)
    wait_until(lambda: max(beta.get("LastHeard").values()) > heard + some_down_times_us, 10, "adverts heard for a while")
    assert (alpha.state(), beta.state()) == ("master", "backup") and beta.get("Holds") == []
    assert alpha.get("Sequence") == before and alpha.has_service() and not beta.has_service()


def test_a_lift_behind_a_reload_waits_for_it(lab):
    """Lifted in the former election, where nobody is heard any more, a Backup would take over."""
    beta = lab.host("beta", "192.0.2.12").start()
    beta.hold("settings", "the pair's settings are being changed")
    for group in (77, 78, 79):
        beta.pair_conf({"group-id": group})
        beta.connection.call(None, ROOT, ELECTION, "Reload", None, None, Gio.DBusCallFlags.NONE, 5000, None, None)
        beta.lift("settings")
        assert beta.get("GroupId", VRRP) == group
        beta.hold("settings", "once more")


def test_without_virtual_mac_the_address_is_on_the_interface(lab):
    alpha, beta = lab.two(pair={"virtual-mac": "false"})
    wire = lab.wire(beta.lan_port)
    alpha.resign("test")
    beta.wait_state("master")
    assert "vrrp" not in beta.namespace.ip("-o", "link").stdout and beta.has_service()
    announced = wire.wait(lambda: [a for a in wire.arps() if a[3] == a[4] == SERVICE], 3, "gratuitous ARP")
    assert announced[0][1] == announced[0][2] != VIRTUAL_MAC


def test_unicast_only(lab):
    alpha, beta = lab.two(pair={"multicast": "false"}, peer_link=False)
    wire = lab.wire(beta.lan_port)
    got = wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert")
    frame = next(data for _, _, data in wire.frames if data[12:14] == b"\x08\x00" and data[23] == 112)
    assert frame[30:34] == bytes([192, 0, 2, 12]) and got[0][2] == "192.0.2.11"
    alpha.kill()
    beta.wait_state("master")


def test_a_resignation_does_not_wait_for_the_cable(lab):
    """By unicast alone: what was said while the cable was out would be heard, in order, before what its sender says when it leads again."""
    alpha, beta = lab.two(pair={"multicast": "false"})
    wire = lab.wire(beta.lan_port)
    begin = time.monotonic()
    alpha.lan_port.cut()
    beta.wait_state("master")
    alpha.lan_port.plug()
    alpha.wait_state("backup")
    alpha.take()
    sequence = beta.get("Sequence")
    wire.wait(lambda: [a for a in wire.adverts(from_host=False) if a[0] > begin and a[2] == alpha.address and a[3][2]], 10, "alpha is heard on the LAN")
    said = [a[3][2] for a in wire.adverts(from_host=False) if a[0] > begin and a[2] == alpha.address]
    assert 0 not in said, said
    wait_until(lambda: beta.state() == "backup", 5, "beta follows")
    assert alpha.state() == "master" and beta.get("Sequence") <= sequence + 1
