# SPDX-License-Identifier: LGPL-2.1-or-later
"""keepalived as the other end, in both directions: version 2 and 3, fast and slow, by multicast from either MAC, by unicast."""

from typing import NamedTuple

import pytest
from vrrp_lab import SERVICE, VRRP, Keepalived, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)


class Case(NamedTuple):
    version: int
    interval_ms: int
    mode: str  # "mac", "vmac" (keepalived's use_vmac), "unicast"

    def ours(self, lab, priority=150):
        unicast = {"multicast": "false"} if self.mode == "unicast" else {}
        return lab.host("alpha", "192.0.2.11", pair={"vrrp-version": self.version, "advert-interval-ms": self.interval_ms, "priority": priority,
                                                     **unicast})

    def start(self, alpha, other):
        """By unicast we speak to, and hear, a peer alone: keepalived is given out as one."""
        return alpha.start(peer=other if self.mode == "unicast" else None)

    def keepalived(self, lab, priority=100, preempt=False):
        return Keepalived(lab, "other", "192.0.2.12", self.version, f"{self.interval_ms / 1000:g}", priority, vmac=self.mode == "vmac",
                          preempt=preempt, peer="192.0.2.11" if self.mode == "unicast" else None)

    def skew_ms(self, priority):
        return (256 - priority) / 256 * (1000 if self.version == 2 else self.interval_ms)


def cases(*names, more=()):
    known = {"v2": (2, 1000), "v3-1s": (3, 1000), "v3": (3, 100)}
    split = [(name, *name.rsplit("-", 1)) for name in names]
    # Version 3 is there with 100 ms, and 1 s with version 2: both together only in a long run. The other ways to send, too, are there with
    # version 3; with version 2, whose case takes three times as long, only in a long run.
    slow = {"v3-1s-mac", "v2-vmac", "v2-unicast", *more}
    return pytest.mark.parametrize("case", [pytest.param(Case(*known[base], mode), id=name, marks=[pytest.mark.long] if name in slow else [])
                                            for name, base, mode in split])


ALL = cases("v2-mac", "v2-vmac", "v2-unicast", "v3-1s-mac", "v3-mac", "v3-vmac", "v3-unicast")


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def leads(alpha, case):
    alpha.lab.first(alpha)
    if case.mode == "unicast":  # to a peer our priority says what we are worth: that of one who does not serve is below keepalived's
        alpha.set_serving(True)


def settled(lab, alpha, other, case):
    """keepalived's version 3 sums the IPv4 pseudo-header, as RFC 9568 does not: to it our adverts are broken until it has spoken once
    itself and we have answered in kind."""
    if case.version == 3:
        wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 20, "an advert of keepalived")
        alpha.wait_state("master")
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(wire.adverts()) > 2, 20, "adverts of ours")
    wire.close()
    wait_until(lambda: not other.has_service(), 5, "keepalived follows")


def is_backup_of(lab, alpha, other):
    wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears keepalived")
    assert alpha.state() == "backup" and alpha.get("MasterPriority", VRRP) == 100
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 5, "an advert of keepalived")
    assert alpha.state() == "backup" and other.has_service(), "a working Master is not preempted by a higher priority"
    return wire


# ---- keepalived leads, and fails ----

@pytest.mark.timed(40)
@ALL
def test_backup_of_keepalived_takes_over_when_it_dies(lab, case):
    other = case.keepalived(lab).start()
    other.wait_master()
    alpha = case.start(case.ours(lab), other)
    alpha.wait_state("backup")
    wire = is_backup_of(lab, alpha, other)
    other.die()
    sent = wire.wait(lambda: wire.adverts(), 10, "our first advert")
    heard = wire.adverts(from_host=False)
    alpha.wait_state("master")
    assert alpha.has_service()
    bound_ms = 3 * case.interval_ms + case.skew_ms(254 if case.mode == "unicast" else 150)
    took_ms = (sent[0][0] - heard[-1][0]) * 1000
    assert bound_ms - 1 <= took_ms <= bound_ms + 40, f"{took_ms:.1f} ms, bound {bound_ms:.1f} ms"


@pytest.mark.timed(60)
@cases("v2-mac", "v3-mac", "v3-unicast")
def test_backup_of_keepalived_takes_over_at_its_priority_zero(lab, case):
    other = case.keepalived(lab).start()
    other.wait_master()
    alpha = case.start(case.ours(lab), other)
    alpha.wait_state("backup")
    wire = is_backup_of(lab, alpha, other)
    other.stop()
    sent = wire.wait(lambda: wire.adverts(), 10, "our first advert")
    alpha.wait_state("master")
    zero = [advert for advert in wire.adverts(from_host=False) if advert[3][2] == 0]
    assert zero and alpha.get("Reason") == "master-resigned"
    assert (sent[0][0] - zero[0][0]) * 1000 < case.skew_ms(150) + 60


# ---- we lead, and fail ----

@pytest.mark.timed(100)
@ALL
def test_keepalived_takes_over_at_our_priority_zero(lab, case):
    other = case.keepalived(lab)
    alpha = case.start(case.ours(lab), other)
    leads(alpha, case)
    other.start()
    settled(lab, alpha, other, case)
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 2, 20, "adverts to keepalived")
    assert not other.has_service() and not wire.adverts()
    assert alpha.terminate() == 0
    other.wait_master()
    zero = [advert for advert in wire.adverts(from_host=False) if advert[3][2] == 0]
    assert len(zero) == 1
    first = wire.wait(wire.adverts, 10, "keepalived's first advert")[0]
    assert (first[0] - zero[0][0]) * 1000 < case.skew_ms(100) + 100
    assert SERVICE not in alpha.namespace.addresses()


@pytest.mark.timed(100)
@cases("v2-mac", "v3-mac", "v3-vmac", "v3-unicast")
def test_keepalived_takes_over_when_we_are_killed(lab, case):
    other = case.keepalived(lab)
    alpha = case.start(case.ours(lab), other)
    leads(alpha, case)
    other.start()
    settled(lab, alpha, other, case)
    wire = lab.wire(other.port)
    wire.wait(lambda: wire.adverts(from_host=False), 5, "an advert of ours")
    alpha.kill()
    first = wire.wait(wire.adverts, 10, "keepalived's first advert")[0]
    last = wire.adverts(from_host=False)[-1]
    assert not [advert for advert in wire.adverts(from_host=False) if advert[3][2] == 0], "no last word"
    bound_ms = 3 * case.interval_ms + case.skew_ms(100)
    assert bound_ms - 1 <= (first[0] - last[0]) * 1000 <= bound_ms + 100
    other.wait_master()
    wait_until(lambda: not alpha.has_service(), 6, "the kernel takes the address from the dead")


@cases("v2-mac", "v3-mac", "v3-vmac", more=["v2-mac"])
def test_keepalived_takes_over_when_our_cable_is_cut_and_keeps_it(lab, case):
    other = case.keepalived(lab)
    alpha = case.start(case.ours(lab), other)
    leads(alpha, case)
    other.start()
    settled(lab, alpha, other, case)
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


# ---- Priorities ----

@cases("v2-mac", "v3-mac", "v3-vmac", more=["v2-mac"])
def test_a_higher_keepalived_that_preempts_wins_and_we_follow_it(lab, case):
    alpha = case.start(case.ours(lab, priority=150), None)
    lab.first(alpha)
    other = case.keepalived(lab, priority=200, preempt=True).start()
    alpha.wait_state("backup", 15)
    assert alpha.get("Reason") == "heard-higher" and alpha.get("MasterPriority", VRRP) == 200
    wait_until(lambda: other.has_service() and not alpha.has_service(), 5, "keepalived alone has the address")
    other.die()
    lab.first(alpha)


@cases("v2-mac", "v3-mac", more=["v2-mac"])
def test_a_lower_keepalived_that_preempts_follows_us(lab, case):
    alpha = case.start(case.ours(lab, priority=150), None)
    lab.first(alpha)
    other = case.keepalived(lab, priority=100, preempt=True).start()
    settled(lab, alpha, other, case)
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 2, 10, "adverts of ours")
    assert not wire.adverts() and alpha.state() == "master"


# ---- Starts ----

def test_checksum_with_pseudo_header_is_accepted_and_answered_in_kind(lab):
    alpha = Case(3, 100, "mac").ours(lab).start()
    lab.first(alpha)
    other = Keepalived(lab, "other", "192.0.2.12").start()
    # It takes our adverts for broken and speaks itself; hearing that, we say ours its way, and it yields.
    wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 15, "an advert of keepalived")
    wait_until(lambda: not other.has_service(), 5, "keepalived yields")
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 10, 5, "a second of ours")
    assert not wire.adverts() and alpha.state() == "master"


@pytest.mark.timed(60)
def test_learned_checksum_survives_a_restart(lab):
    """Forgotten, it would make our first adverts after a restart broken ones to keepalived, which would speak."""
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 150}).start()
    lab.first(alpha)
    other = Keepalived(lab, "other", "192.0.2.12").start()
    wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 15, "an advert of keepalived")
    wait_until(lambda: not other.has_service(), 5, "keepalived yields")
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 5, 5, "adverts of ours")
    alpha.kill()
    alpha.start()
    seen = len(wire.adverts(from_host=False))
    wire.wait(lambda: len(wire.adverts(from_host=False)) > seen + 20, 10, "two seconds of ours")
    assert not wire.adverts() and alpha.state() == "master" and not other.has_service()


def test_equal_start_settles_on_one(lab):
    other = Keepalived(lab, "other", "192.0.2.12", priority=150)
    alpha = Case(3, 100, "mac").ours(lab)
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


def test_checksum_told_by_setting_is_right_from_the_first_advert(lab):
    """With checksum=pseudo-header keepalived believes us at once; it never speaks."""
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 150, "checksum": "pseudo-header"}).start()
    lab.first(alpha)
    other = Keepalived(lab, "other", "192.0.2.12")
    wire = lab.wire(other.port)
    other.start()
    wire.wait(lambda: len(wire.adverts(from_host=False)) > 20, 10, "two seconds of ours")
    assert not wire.adverts() and not other.has_service()


def told_of(alpha, cause):
    """The signal may come before we listen, and comes once."""
    wait_until(lambda: alpha.get("LastStranger")[:2] == ("192.0.2.12", cause), 5, "told")


def test_checksum_of_rfc_9568_alone_does_not_hear_keepalived(lab):
    other = Keepalived(lab, "other", "192.0.2.12").start()
    other.wait_master()
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 150, "checksum": "rfc"}).start()
    told_of(alpha, "checksum")
    assert alpha.counters()["counted"] == 0 and not alpha.get("LastHeard")


def test_version_2_with_a_password_is_told_and_does_not_count(lab):
    """RFC 3768 5.3.6: authentication is gone; who still uses it is nobody that we can follow."""
    other = Keepalived(lab, "other", "192.0.2.12", 2, "1", extra="authentication {\n auth_type PASS\n auth_pass secret\n }").start()
    other.wait_master()
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 150, "vrrp-version": 2, "advert-interval-ms": 1000}).start()
    told_of(alpha, "auth")
    assert alpha.counters()["drop-auth"] > 0 and alpha.counters()["counted"] == 0
