# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody else holds the kernel's lock for links, addresses and routes: adverts go on, and nobody says what is not so."""

import os
import signal
import time

import pytest
from gi.repository import Gio, GLib
from vrrp_lab import ELECTION, ROOT, SERVICE, Host, Lab, pump_until, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

HELD_S = 2
# Woken late is who was woken an interval late.
BOTH = pytest.mark.parametrize("interval_ms", [100, pytest.param(10, marks=pytest.mark.timed(10, real_time=True))])


class SlowHost(Host):
    """One whose vrrpd waits for the kernel while a file is there."""

    def spawn(self):
        self.lock_file = self.lab.folder / f"{self.name}-lock"
        os.environ.update(LD_PRELOAD=str(self.lab.vrrpd.parents[1] / "tests/netns/slow-kernel.so"), KERNEL_LOCK=str(self.lock_file))
        try:
            return super().spawn()
        finally:
            del os.environ["LD_PRELOAD"], os.environ["KERNEL_LOCK"]

    def lock(self):
        self.lock_file.touch()

    def unlock(self):
        self.lock_file.unlink()

    def order(self, method, args=GLib.Variant("(s)", ("test",))):  # noqa: B008
        """Answers come when it is done: a list that holds the time of the answer then."""
        answered = []

        def done(connection, result):
            connection.call_finish(result)
            answered.append(time.monotonic())

        self.connection.call(None, ROOT, ELECTION, method, args, None, Gio.DBusCallFlags.NONE, 20000, None, done)
        return answered

    def waits(self):
        """Which threads had to wait."""
        return {line.split()[1] for line in self.text_log().splitlines() if line.startswith("slow-kernel: ")}

    def wait_for_kernel(self):
        wait_until(lambda: "thread" in self.waits(), 5, f"{self.name} waits for the kernel")


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def two(lab, interval_ms, **kwargs):
    hosts = [lab.host(name, f"192.0.2.{number}", f"10.0.0.{number - 10}", pair={"advert-interval-ms": interval_ms, **kwargs}, kind=SlowHost)
             for name, number in (("alpha", 11), ("beta", 12))]
    alpha, beta = hosts
    alpha.start(peer=beta)
    lab.first(alpha)
    alpha.set_serving(True)
    beta.start(peer=alpha)
    beta.wait_state("backup")
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    wait_until(lambda: alpha.get("Standing") == "serving", 8, "alpha is within reach")
    return hosts


def said(wire, begin, end=None):
    """Priorities of the adverts of a host in that time."""
    return [vrrp[2] for at, _mac, _ip, vrrp in wire.adverts() if at > begin and (end is None or at < end)]


def announcements(wire, begin):
    return [a for a in wire.arps() if a[0] > begin and a[3] == a[4] == SERVICE]


def hold_on(seconds):
    """For so long the lock is held: that is what is tested."""
    context, end = GLib.MainContext.default(), []
    GLib.timeout_add(int(seconds * 1000), lambda: end.append(True))
    while not end:
        context.iteration(True)


def assert_said_all_the_time(wire, begin, end, interval_ms):
    priorities = said(wire, begin, end)
    assert 0 not in priorities
    assert len(priorities) >= (end - begin) * 1000 / interval_ms / 2, "adverts go on"


def assert_never_late(host):
    assert host.counters()["late-wake-ups"] == 0
    assert host.waits() == {"thread"}, "never the loop"


@BOTH
def test_a_new_master_says_so_before_the_kernel_lets_it(lab, interval_ms):
    alpha, beta = two(lab, interval_ms)
    wire, alpha_wire = lab.wire(beta.lan_port), lab.wire(alpha.lan_port)
    beta.lock()
    killed = time.monotonic()
    alpha.kill()
    wire.wait(lambda: said(wire, killed), 5, "beta's first advert")
    began = time.monotonic()
    beta.wait_for_kernel()
    again = time.monotonic()
    alpha.start(peer=beta)
    hold_on(HELD_S)
    assert beta.state() == "backup" and not beta.has_service(), "who asks is told when the addresses are there"
    assert alpha.state() == "backup" and not [p for p in said(alpha_wire, again) if p], "the other has a Master"
    assert announcements(wire, killed) == []
    released = time.monotonic()
    assert_said_all_the_time(wire, began, released, interval_ms)
    beta.unlock()
    change = beta.wait_signal("StateChanged", lambda args: args[1] == "master")
    assert beta.has_service() and beta.state() == "master"
    assert change[5]["addresses_up_us"] - change[4] > (released - began) * 0.9e6
    assert wire.wait(lambda: announcements(wire, killed), 5, "announced")[0][0] > released
    assert alpha.state() == "backup" and not alpha.has_service()
    assert 0 not in said(wire, killed)
    assert_never_late(beta)


@BOTH
def test_a_master_that_resigns_leads_until_its_addresses_are_down(lab, interval_ms):
    alpha, beta = two(lab, interval_ms)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    began = time.monotonic()
    answered = alpha.order("Resign")
    alpha.wait_for_kernel()
    hold_on(HELD_S)
    released = time.monotonic()
    assert not answered and alpha.state() == "master" and alpha.has_service() and beta.state() == "backup"
    assert_said_all_the_time(wire, began, released, interval_ms)
    alpha.unlock()
    pump_until(lambda: answered, 5, "the answer")
    assert alpha.state() == "backup" and not alpha.has_service()
    wire.wait(lambda: 0 in said(wire, released), 5, "priority 0")
    beta.wait_state("master")
    assert beta.has_service()
    assert_never_late(alpha)


def test_a_master_that_must_go_is_silent_when_the_kernel_does_not_let_it(lab):
    alpha, beta = two(lab, 100)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    began = time.monotonic()
    answered = alpha.order("Resign")
    lab.first(beta)
    assert time.monotonic() - began > 2.9, "not before an address would have ended by itself"
    assert 0 not in said(wire, began), "which would say that the addresses are gone"
    wait_until(lambda: any(p.startswith("kernel-busy: ") for p in alpha.get("Problems")), 5, "the reason")
    alpha.unlock()
    pump_until(lambda: answered, 5, "the answer")
    assert alpha.state() == "backup" and not alpha.has_service()
    assert beta.state() == "master" and beta.has_service()
    wait_until(lambda: not any(p.startswith("kernel-busy: ") for p in alpha.get("Problems")), 5, "no problem any more")


def known_at(lan, peer=()):
    """What a device is told of the other."""
    return GLib.Variant("(a{sv})", ({"offset": GLib.Variant("y", 1), "follows": GLib.Variant("b", False), "id": GLib.Variant("s", "other"),
                                     "addresses": GLib.Variant("a{sas}", {"lan": [*lan], "peer": [*peer]})},))


FOLLOWER = {"lan": {"interface": "lan", "addresses": f"{SERVICE}/24", "elects": "true"},
            "more": {"interface": "peer", "addresses": "10.0.0.9/24", "adverts": "true"}}
# What makes other paths, or takes them away, while the lock is held: (the order, who gets it).
PATHS = {
    "another peer": lambda host, other: host.order("SetPeer", known_at([other.address])),
    "one more address of the peer": lambda host, other: host.order("SetPeer", known_at([other.address, "192.0.2.13"], [other.peer_address])),
    "no peer": lambda host, other: host.order("SetPeer", GLib.Variant("(a{sv})", ({},))),
    "a member that advertises": lambda host, other: (host.pair_conf({"advert-interval-ms": 10}, FOLLOWER), host.order("Reload", None)),
    "another group id": lambda host, other: (host.pair_conf({"advert-interval-ms": 10, "group-id": 52}), host.order("Reload", None)),
}


@pytest.mark.timed(10, real_time=True)
@pytest.mark.parametrize("what", PATHS)
def test_other_paths_cost_a_master_no_advert(lab, what):
    """New sockets join groups, and old ones leave them, under the lock."""
    alpha, beta = two(lab, 10)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    began = time.monotonic()
    PATHS[what](alpha, beta)
    hold_on(1)
    assert_said_all_the_time(wire, began, time.monotonic(), 10)
    assert alpha.state() == "master"
    alpha.unlock()
    wait_until(lambda: not any(p.startswith("no-socket: ") for p in alpha.get("Problems")), 5, "every path hears")
    assert_never_late(alpha)


@pytest.mark.timed(10, real_time=True)
@pytest.mark.parametrize("what", [name for name in PATHS if name != "another group id"])
def test_other_paths_leave_a_backup_its_ears(lab, what):
    """It goes on hearing the Master on the path that it has, and does not take over. Of another group there is no Master to hear."""
    alpha, beta = two(lab, 10)
    beta.lock()
    PATHS[what](beta, alpha)
    before = beta.counters()["counted"]
    hold_on(1)
    assert beta.state() == "backup" and beta.counters()["counted"] > before + 50
    beta.unlock()
    wait_until(lambda: not any(p.startswith("no-socket: ") for p in beta.get("Problems")), 5, "every path hears")
    assert (alpha.state(), beta.state()) == ("master", "backup")
    assert "main" not in beta.waits() and beta.counters()["late-wake-ups"] == 0


def test_a_backup_that_cannot_hear_yet_does_not_lead(lab):
    """Another group id, and the kernel does not let it join: silence means nothing before it hears, nor for a down time after."""
    alpha, beta = two(lab, 100)
    alpha.pair_conf({"advert-interval-ms": 100, "group-id": 52})
    beta.lock()
    beta.pair_conf({"advert-interval-ms": 100, "group-id": 52})
    reloaded = beta.order("Reload", None)
    alpha.call("Reload")
    hold_on(HELD_S)
    assert beta.state() != "master" and alpha.state() == "master"
    assert any(p.startswith("no-socket: ") for p in beta.get("Problems"))
    beta.unlock()
    pump_until(lambda: reloaded, 5, "the answer")
    before = beta.counters()["counted"]
    wait_until(lambda: beta.counters()["counted"] > before + 5, 5, "beta hears alpha")
    assert beta.state() == "backup" and alpha.state() == "master" and "main" not in beta.waits()
    alpha.kill()
    beta.wait_state("master")


def test_swap(lab):
    alpha, beta = two(lab, 100)
    alpha.lock()
    beta.take()
    assert beta.state() == "master" and beta.has_service()
    alpha.wait_state("backup")
    hold_on(0.5)
    assert beta.state() == "master"
    alpha.unlock()
    wait_until(lambda: not alpha.has_service(), 5, "alpha lets go")
    assert alpha.state() == "backup"
    assert_never_late(alpha)


def test_there_and_back_while_the_kernel_is_slow(lab):
    """What is put up again waits behind what is taken down."""
    alpha, beta = two(lab, 100)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    beta.take()
    alpha.wait_state("backup")
    back = alpha.order("Take")
    beta.wait_state("backup")
    assert not back
    unlocked = time.monotonic()
    alpha.unlock()
    pump_until(lambda: back, 5, "the answer")
    assert alpha.state() == "master" and alpha.has_service()
    wire.wait(lambda: announcements(wire, unlocked), 5, "announced")
    wait_until(lambda: not beta.has_service(), 5, "beta lets go")
    assert beta.state() == "backup" and alpha.state() == "master" and alpha.has_service()


def test_overtaken_before_anything_is_up(lab):
    """What is taken down waits behind what is put up, of which nothing more is done."""
    alpha, beta = two(lab, 100)
    wire = lab.wire(beta.lan_port)
    beta.lock()
    began = time.monotonic()
    beta.order("Take")
    alpha.wait_state("backup")
    alpha.take()
    assert alpha.has_service()
    beta.wait_state("backup")
    assert beta.counters()["transitions"] >= 3, "it has led"
    beta.unlock()
    beta.take()  # answered behind all that was asked before
    assert beta.has_service()
    beta.resign()
    assert not beta.has_service()
    alpha.wait_state("master")
    assert said(wire, began)


def test_sigterm(lab):
    alpha, beta = two(lab, 100)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    began = time.monotonic()
    alpha.process.send_signal(signal.SIGTERM)
    alpha.wait_for_kernel()
    hold_on(1)
    released = time.monotonic()
    assert alpha.process.poll() is None and beta.state() == "backup"
    assert_said_all_the_time(wire, began, released, 100)
    alpha.unlock()
    assert alpha.process.wait(10) == 0
    assert not alpha.has_service()
    wire.wait(lambda: 0 in said(wire, released), 5, "priority 0")
    beta.wait_state("master")


def test_killed_while_the_kernel_is_slow(lab):
    alpha, beta = two(lab, 100)
    wire = lab.wire(beta.lan_port)
    beta.lock()
    killed = time.monotonic()
    alpha.kill()
    wire.wait(lambda: len(said(wire, killed)) > 3, 5, "beta leads")
    beta.wait_for_kernel()
    beta.kill()
    beta.unlock()
    assert not beta.has_service()
    beta.start(peer=alpha)
    beta.wait_state("master")
    assert beta.has_service()
    assert beta.counters()["resumed"] <= 1


@BOTH
def test_repair_and_renewal(lab, interval_ms):
    alpha, beta = two(lab, interval_ms)
    wire = lab.wire(alpha.lan_port)
    alpha.lock()
    began = time.monotonic()
    alpha.namespace.ip("address", "del", f"{SERVICE}/24", "dev", "vrrp51.0")
    alpha.wait_for_kernel()
    hold_on(HELD_S)
    released = time.monotonic()
    assert_said_all_the_time(wire, began, released, interval_ms)
    assert beta.state() == "backup" and alpha.state() == "master" and not alpha.has_service()
    alpha.unlock()
    wait_until(alpha.has_service, 5, "put back")
    wire.wait(lambda: announcements(wire, released), 5, "announced")
    wait_until(lambda: any(p.startswith("address-removed: ") for p in alpha.get("Problems")), 5, "told")
    assert_never_late(alpha)
