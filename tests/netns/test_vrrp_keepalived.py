# SPDX-License-Identifier: LGPL-2.1-or-later
"""keepalived as the other end, in both directions, version 2 and 3."""

import pytest
from vrrp_lab import SERVICE, VRRP, Keepalived, Lab, wait_until

VERSIONS = [pytest.param(2, "1", 1000, id="v2"), pytest.param(3, "0.1", 100, id="v3")]


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def settled(lab, alpha, version):
    """keepalived's version 3 sums the IPv4 pseudo-header, as RFC 9568 does not: to it our adverts are broken until it has spoken once
    itself and we have answered in kind. Returns the wire at its port from then on."""
    if version == 3:
        wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 20, "an advert of keepalived")
        alpha.wait_state("master")
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(wire.adverts()) > 5, 20, "adverts of ours")
    wire.close()


def ours(lab, version, interval_ms, priority=150):
    return lab.host("alpha", "192.0.2.11", pair={"vrrp-version": version, "advert-interval-ms": interval_ms, "priority": priority})


@pytest.mark.parametrize("version,interval,interval_ms", VERSIONS)
@pytest.mark.parametrize("vmac", [False, True], ids=["mac", "vmac"])
def test_backup_of_keepalived_takes_over_when_it_dies(lab, version, interval, interval_ms, vmac):
    other = Keepalived(lab, "other", "192.0.2.12", version, interval, priority=100, vmac=vmac).start()
    other.wait_master()
    alpha = ours(lab, version, interval_ms).start()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard"), 5, "alpha hears keepalived")
    assert alpha.get("MasterPriority", VRRP) == 100
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 5, "an advert of keepalived")
    assert alpha.state() == "backup", "a working Master is not preempted by a higher priority"
    other.die()
    sent = wire.wait(lambda: wire.adverts(), 10, "our first advert")
    heard = wire.adverts(from_host=False)
    alpha.wait_state("master")
    assert alpha.has_service()
    # 3 * interval + (256 - 150) / 256 * interval (of a second in version 2), and a few milliseconds to act.
    bound_ms = 3 * interval_ms + (256 - 150) / 256 * interval_ms
    took_ms = (sent[0][0] - heard[-1][0]) * 1000
    assert bound_ms - 1 <= took_ms <= bound_ms + 40, f"{took_ms:.1f} ms, bound {bound_ms:.1f} ms"


@pytest.mark.parametrize("version,interval,interval_ms", VERSIONS)
def test_keepalived_takes_over_at_our_priority_zero(lab, version, interval, interval_ms):
    alpha = ours(lab, version, interval_ms).start()
    alpha.wait_state("master", 10)
    other = Keepalived(lab, "other", "192.0.2.12", version, interval).start()
    settled(lab, alpha, version)
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 5, 20, "adverts to keepalived")
    assert not other.has_service() and not wire.adverts()
    assert alpha.terminate() == 0
    other.wait_master()
    zero = [advert for advert in wire.adverts(from_host=False) if advert[3][2] == 0]
    assert len(zero) == 1
    skew_ms = (256 - 100) / 256 * interval_ms
    first = wire.wait(wire.adverts, 10, "keepalived's first advert")[0]
    assert (first[0] - zero[0][0]) * 1000 < skew_ms + 100
    assert SERVICE not in alpha.namespace.addresses()


@pytest.mark.parametrize("version,interval,interval_ms", VERSIONS)
def test_keepalived_takes_over_when_our_cable_is_cut_and_keeps_it(lab, version, interval, interval_ms):
    alpha = ours(lab, version, interval_ms).start()
    alpha.wait_state("master", 10)
    other = Keepalived(lab, "other", "192.0.2.12", version, interval).start()
    settled(lab, alpha, version)
    assert not other.has_service()
    alpha.lan_port.cut()
    alpha.wait_state("init")
    assert alpha.get("Reason") == "no-carrier"
    wait_until(lambda: not alpha.has_service(), 2, "alpha lets go")
    other.wait_master()
    alpha.lan_port.plug()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard").get("lan", 0) > alpha.get("SinceUs"), 10, "alpha hears keepalived")
    assert alpha.state() == "backup" and other.has_service(), "no preemption: ours has the higher priority"


def test_checksum_with_pseudo_header_is_accepted_and_answered_in_kind(lab):
    alpha = ours(lab, 3, 100).start()
    alpha.wait_state("master", 10)
    other = Keepalived(lab, "other", "192.0.2.12").start()
    # It takes our adverts for broken and speaks itself; hearing that, we say ours its way, and it yields.
    wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 15, "an advert of keepalived")
    wait_until(lambda: not other.has_service(), 5, "keepalived yields")
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 10, 5, "a second of ours")
    assert not wire.adverts() and alpha.state() == "master"


def test_equal_start_settles_on_one(lab):
    other = Keepalived(lab, "other", "192.0.2.12", priority=150)
    alpha = ours(lab, 3, 100)
    other.start()
    alpha.start()
    wire = lab.wire(alpha.lan_port)

    def one_side():
        sides = [mine for _, mine in sorted([(a[0], True) for a in wire.adverts()] + [(a[0], False) for a in wire.adverts(False)])]
        return len(sides) > 10 and len(set(sides[-10:])) == 1 and ("alpha" if sides[-1] else "other")

    leader = wire.wait(one_side, 20, "one of them leads alone")
    assert (alpha.state() == "master") == (leader == "alpha")
    wait_until(lambda: other.has_service() == (leader == "other"), 5, "and has the address")
    assert alpha.has_service() == (leader == "alpha")
