# SPDX-License-Identifier: LGPL-2.1-or-later
"""Over IPv6: the source towards phones, somebody else at the service address, witnesses, and what is taken away by hand."""

import ipaddress

import pytest
from gi.repository import Gio
from set_lab import LAN46, SERVICE6, has, pair_of
from vrrp_lab import ADDRESS, GROUP, Lab, pump_until, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

PHONE = "2001:db8::50"


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def source_towards(host, target):
    words = host.namespace.ip("-6", "route", "get", target).stdout.split()
    return words[words.index("src") + 1]


def routes(host):
    """Without what the kernel counts in seconds, and without the interfaces that come and go."""
    return sorted(line.strip() for line in host.namespace.ip("-6", "route").stdout.splitlines() if "vrrp" not in line)


def own_address(host):
    return next(word.split("/")[0] for word in host.namespace.ip("-6", "-o", "address", "show", "dev", "eth0", "scope", "global").stdout.split()
                if word.startswith("2001:db8::"))


@pytest.mark.timed(60)
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_the_master_sends_to_phones_bears_the_service_address(lab, family):
    alpha, beta = pair_of(lab, {"family": family}, {"lan": LAN46})
    before = routes(beta)
    own = own_address(alpha)
    alpha.set_serving(True)
    wait_until(lambda: source_towards(alpha, PHONE) == SERVICE6, 3, "the service address speaks")
    assert source_towards(beta, PHONE) == own_address(beta)
    alpha.kill()
    alpha.spawn()
    alpha.connect()
    assert alpha.state() == "master" and source_towards(alpha, PHONE) == SERVICE6
    alpha.resign("test")
    beta.wait_state("master")
    assert source_towards(alpha, PHONE) == own
    beta.set_serving(True)
    assert source_towards(beta, PHONE) == SERVICE6
    beta.resign("test")
    beta.wait_state("backup")
    assert routes(beta) == before


def test_what_somebody_takes_away_by_hand_is_put_back(lab):
    alpha, beta = pair_of(lab, {}, {"lan": LAN46})
    sequence = alpha.get("Sequence")
    alpha.namespace.ip("-6", "address", "del", f"{SERVICE6}/64", "dev", f"vrrp{GROUP}.0v6")
    wait_until(lambda: has(alpha, SERVICE6), 3, "it is back")
    wait_until(lambda: any(p.startswith(f"address-removed: {SERVICE6}/64") for p in alpha.get("Problems")), 3, "and told")
    alpha.namespace.ip("link", "delete", f"vrrp{GROUP}.0v6")
    wait_until(lambda: has(alpha, SERVICE6), 3, "it is back with its interface")
    assert (alpha.state(), alpha.get("Sequence"), beta.state()) == ("master", sequence, "backup")


def test_one_address_that_the_kernel_refuses_is_named_and_the_others_are_held(lab):
    alpha, beta = pair_of(lab, {}, {"lan": LAN46})
    beta.namespace.run(["sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/vrrp{GROUP}.0v6/disable_ipv6"])
    alpha.resign("test")
    beta.wait_state("master")
    refused = wait_until(lambda: [p for p in beta.get("Problems") if p.startswith("no-address")], 3, "named")
    assert any(SERVICE6 in p for p in refused)
    assert has(beta, "192.0.2.100") and not has(beta, SERVICE6)
    told = []

    def note(connection, sender, path, interface, member, args):
        told.append(args.unpack()[:2])

    beta.connection.signal_subscribe(None, "org.freedesktop.DBus.Properties", "PropertiesChanged", None, None, Gio.DBusSignalFlags.NONE, note)
    beta.namespace.run(["sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/vrrp{GROUP}.0v6/disable_ipv6"])
    pump_until(lambda: told.count((ADDRESS, {"Held": True})) == 2, 5, "both are told")
    wait_until(lambda: has(beta, SERVICE6) and "no-address" not in str(beta.get("Problems")), 5, "and held when the kernel takes it")


def test_somebody_else_at_the_service_address_and_a_witness(lab):
    alpha, beta = pair_of(lab, {"witness": "2001:db8::1"}, {"lan": LAN46})
    gateway = lab.net.namespace("gateway")
    port = lab.lan.connect(gateway, "eth0", mac="02:00:00:00:aa:67")
    gateway.ip("-6", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
    for host in alpha, beta:
        host.wait_property("Witness", "reached", 10)
    assert alpha.counters()["address-clash"] == beta.counters()["address-clash"] == 0
    gateway.ip("-6", "address", "add", f"{SERVICE6}/64", "dev", "eth0", "nodad")
    asked_at = str(ipaddress.ip_address(int(ipaddress.ip_address("ff02::1:ff00:0")) | int(ipaddress.ip_address(SERVICE6)) & 0xffffff))
    wait_until(lambda: asked_at in gateway.ip("-6", "maddress", "show", "dev", "eth0").stdout.split(), 5, "its kernel listens for the question")
    alpha.call("Announce")
    args = alpha.wait_signal("Stranger", lambda args: args[1] == "address-clash")
    assert args[0] == f"{SERVICE6} at 02:00:00:00:aa:67"
    port.block()
    for host in alpha, beta:
        host.wait_property("Witness", "lost", 10)
    assert alpha.state() == "master" and beta.state() == "backup"
