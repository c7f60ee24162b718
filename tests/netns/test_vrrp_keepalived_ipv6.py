# SPDX-License-Identifier: LGPL-2.1-or-later
"""keepalived as the other end over IPv6, in both directions."""

import pytest
from gi.repository import GLib
from set_lab import LAN6, SERVICE6, VIRTUAL_LINK_LOCAL, VIRTUAL_MAC6, adverts6, device, echo, has, link_local, settle_link_local
from vrrp_lab import VRRP, Keepalived, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

INTERVALS = {"1s": 1000, "100ms": 100}


class Keepalived6(Keepalived):
    service = (f"{VIRTUAL_LINK_LOCAL}/64", f"{SERVICE6}/64")

    def start(self):
        settle_link_local(self, "eth0")
        self.namespace.ip("address", "add", "2001:db8::12/64", "dev", "eth0", "nodad")
        return super().start()


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


# What holds at 100 ms is looked at with 1 s too, in a long run.
@pytest.fixture(params=[pytest.param((name, mode), id=f"{name}-{mode}", marks=[pytest.mark.long] if name == "1s" else [])
                        for name in INTERVALS for mode in ("mac", "vmac")])
def case(request):
    return INTERVALS[request.param[0]], request.param[1] == "vmac"


def both(lab, case, priority=150, **more):
    interval_ms, vmac = case
    alpha = device(lab, "alpha", 11, {"advert-interval-ms": interval_ms, "priority": priority}, {"lan": LAN6}, peer_link=False, ipv4=False)
    return alpha, Keepalived6(lab, "other", "192.0.2.12", 3, f"{interval_ms / 1000:g}", vmac=vmac, **more)


def skew_ms(priority, interval_ms):
    return (256 - priority) / 256 * interval_ms


@pytest.mark.timed(60)
def test_backup_of_keepalived_takes_over_when_it_dies(lab, case):
    interval_ms = case[0]
    alpha, other = both(lab, case)
    other.start().wait_master()
    alpha.start()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears keepalived")
    assert alpha.get("MasterPriority", VRRP) == 100 and alpha.get("MasterAddress", VRRP).startswith("fe80:")
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: adverts6(wire, from_host=False), 5, "an advert of keepalived")
    assert alpha.state() == "backup" and not has(alpha, SERVICE6)
    other.die()
    first = wire.wait(lambda: adverts6(wire), 10, "our first advert")[0]
    last = adverts6(wire, from_host=False)[-1]
    bound_ms = 3 * interval_ms + skew_ms(150, interval_ms)
    assert bound_ms - 1 <= (first[0] - last[0]) * 1000 <= bound_ms + 60
    alpha.wait_state("master")
    assert has(alpha, SERVICE6) and first[2] == VIRTUAL_MAC6
    counters = alpha.counters()
    assert not [name for name in ("address-mismatch", "interval-mismatch", "drop-checksum") if counters[name]]


@pytest.mark.timed(100)
@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_keepalived_takes_over_from_us(lab, case, end):
    interval_ms = case[0]
    alpha, other = both(lab, case)
    alpha.start()
    lab.first(alpha, 15)
    other.start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 4, 20, "adverts to keepalived")
    assert not adverts6(wire) and not other.has_service(), "it hears us: there is one reading of the checksum over IPv6"
    getattr(alpha, end)()
    first = wire.wait(lambda: adverts6(wire), 10, "keepalived's first advert")[0]
    last = adverts6(wire, from_host=False)[-1]
    assert (last[6][2] == 0) == (end == "terminate")
    bound_ms = skew_ms(100, interval_ms) + (0 if end == "terminate" else 3 * interval_ms)
    assert (first[0] - last[0]) * 1000 <= bound_ms + 100
    other.wait_master()
    wait_until(lambda: not has(alpha, SERVICE6), 6, "alpha has let go")
    phone = device(lab, "phone", 50, peer_link=False)
    echo(phone.namespace, SERVICE6)


def test_a_higher_keepalived_that_preempts_wins_and_we_follow_it(lab):
    alpha, other = both(lab, (100, False), priority=50, preempt=True)
    alpha.start()
    lab.first(alpha, 15)
    other.start()
    alpha.wait_state("backup", 15)
    assert alpha.get("Reason") == "heard-higher"
    wait_until(lambda: other.has_service() and not has(alpha, SERVICE6), 5, "keepalived alone has the address")
    other.die()
    lab.first(alpha)


def test_keepalived_takes_over_when_our_cable_is_cut_and_keeps_it(lab):
    alpha, other = both(lab, (100, True))
    alpha.start()
    lab.first(alpha, 15)
    other.start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 4, 20, "adverts to keepalived")
    alpha.lan_port.cut()
    alpha.wait_state("init")
    wait_until(lambda: not has(alpha, SERVICE6), 2, "alpha lets go")
    other.wait_master()
    alpha.lan_port.plug()
    alpha.wait_state("backup", 10)
    wait_until(lambda: alpha.get("LastHeard").get("lan", 0) > alpha.get("SinceUs"), 10, "alpha hears keepalived")
    assert alpha.state() == "backup" and other.has_service(), "no preemption: ours has the higher priority"


@pytest.mark.parametrize("first", ["keepalived", "us"])
def test_by_unicast_between_link_local_addresses(lab, first):
    """As peers: then our priority says what we are worth, and the skew is the shortest."""
    alpha = device(lab, "alpha", 11, {"multicast": "false"}, {"lan": LAN6}, peer_link=False, ipv4=False)
    other = Keepalived6(lab, "other", "192.0.2.12", 3, "0.1")
    settle_link_local(other, "eth0")
    conf = other.folder / "keepalived.conf"  # by unicast its hop limit is 64 unless it is told otherwise, and does not count
    conf.write_text(conf.read_text().replace(
        "nopreempt", f"nopreempt\n    unicast_ttl 255\n    unicast_src_ip {link_local(other)}\n    unicast_peer {{\n        {link_local(alpha)}\n    }}"))

    def start_ours():
        alpha.start()
        alpha.call("SetPeer", GLib.Variant("(a{sv})", ({
            "id": GLib.Variant("s", "other"), "offset": GLib.Variant("y", 0),
            "addresses": GLib.Variant("a{sas}", {"lan": [link_local(other)]})},)))

    wire = lab.wire(alpha.lan_port)
    if first == "keepalived":
        other.start().wait_master()
        start_ours()
        alpha.wait_state("backup")
        wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears keepalived")
        assert alpha.get("MasterAddress", VRRP) == link_local(other)
        other.die()
        lab.first(alpha)
        sent = wire.wait(lambda: adverts6(wire), 5, "our first advert")[0]
        assert (sent[3], sent[4]) == (link_local(alpha), link_local(other))
    else:
        start_ours()
        lab.first(alpha, 15)
        alpha.set_serving(True)
        other.start()
        wire.wait(lambda: len(adverts6(wire)) > 40, 15, "four seconds of ours")
        assert not other.has_service() and not adverts6(wire, from_host=False)
        alpha.terminate()
        other.wait_master()
    assert not [a for a in adverts6(wire) if a[4] == "ff02::12"]
