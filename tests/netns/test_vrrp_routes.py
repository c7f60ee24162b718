# SPDX-License-Identifier: LGPL-2.1-or-later
"""Routes that follow the Master: where they go, what they go from, and that none is left behind."""

import select
import subprocess

import pytest
from set_lab import LAN46, device, introduce, start_pair
from vrrp_lab import GROUP, SERVICE, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


class Changes:
    """What the kernel says of routes from now on."""

    def __init__(self, lab, host):
        self.process = host.namespace.popen(["ip", "monitor", "route"], stdout=subprocess.PIPE, text=True)
        self.lines = []
        lab.closing.append(self)

    def until(self, host, mark):
        """All up to a route that we add ourselves."""
        host.namespace.ip("route", "add", "blackhole", mark)
        for line in self.process.stdout:
            if mark in line:
                return self.lines
            self.lines.append(line)

    def close(self):
        self.process.kill()
        self.process.communicate()


def begun(lab, host):
    """`ip monitor` is heard once it listens."""
    changes = Changes(lab, host)
    numbers = iter(range(1, 250))

    def listens():
        host.namespace.ip("route", "add", "blackhole", f"198.18.{next(numbers)}.0/24")
        return select.select([changes.process.stdout], [], [], 0.05)[0]

    wait_until(listens, 5, "ip monitor listens")
    return changes


def test_reload_leaves_routes_alone_that_stay(lab):
    """Taken away and put back at once, a default route is still a moment without one."""
    group = {"interface": "lan", "elects": "true", "addresses": f"{SERVICE}/24", "routes": "198.51.100.0/24 via 192.0.2.1"}
    alpha, beta = lab.two(groups={"lan": group}, peer_link=False)
    wait_until(lambda: "198.51.100.0/24" in alpha.namespace.ip("route").stdout, 3, "the route is there")
    wait_until(lambda: "192.0.2.12 " in alpha.namespace.ip("route").stdout, 3, "and the one to the peer")
    changes = begun(lab, alpha)
    alpha.pair_conf(groups={"lan": group | {"addresses": f"{SERVICE}/24, 192.0.2.101/24", "routes": "198.51.100.0/24 via 192.0.2.1, 203.0.113.0/24 via 192.0.2.1"}})
    alpha.call("Reload")
    lines = changes.until(alpha, "198.19.0.0/24")
    assert not [line for line in lines if line.startswith("Deleted")], lines
    assert any("203.0.113.0/24" in line for line in lines)
    alpha.pair_conf(groups={"lan": group | {"routes": "203.0.113.0/24 via 192.0.2.1"}})
    alpha.call("Reload")
    deleted = [line for line in changes.until(alpha, "198.19.1.0/24") if line.startswith("Deleted") and "local" not in line and "broadcast" not in line]
    assert len(deleted) == 1 and "198.51.100.0/24" in deleted[0], deleted


def test_the_route_to_the_peer_goes_when_nobody_needs_it(lab):
    """To the peer the device speaks as itself; that route outlives a process that is killed, and must not outlive the next, nor the peer's old address."""
    alpha, beta = lab.two(peer_link=False)

    def to(address):
        return [line for line in alpha.namespace.ip("route").stdout.splitlines() if line.startswith(f"{address} ")]

    wait_until(lambda: to("192.0.2.12"), 3, "the route to the peer")
    beta.address = "192.0.2.13"
    alpha.set_peer(beta)
    assert to("192.0.2.13") and not to("192.0.2.12")
    alpha.kill()
    beta.wait_state("master")
    assert to("192.0.2.13")
    alpha.start()
    alpha.wait_state("backup")
    assert not to("192.0.2.13")


def test_routes_of_a_group_without_addresses_go_as_the_device_itself(lab):
    """Without an address of its own a virtual interface resolves no gateway, and nothing would end a route that it has."""
    groups = {"lan": LAN46, "wan": {"interface": "wan", "routes": "198.51.100.0/24 via 203.0.113.1, 2001:db8:5::/48 via fe80::1"}}
    alpha, beta = (device(lab, name, number, groups=groups, wan=True) for name, number in (("alpha", 11), ("beta", 12)))
    start_pair(lab, alpha, beta)

    def routes(host):
        return "".join(host.namespace.ip(family, "route").stdout for family in ("-4", "-6"))

    wait_until(lambda: "198.51.100.0/24" in routes(alpha) and "2001:db8:5::/48" in routes(alpha), 3, "alpha has the routes")
    assert "198.51.100.0/24 via 203.0.113.1 dev eth2 proto 112 src 203.0.113.11" in routes(alpha)
    assert "2001:db8:5::/48 via fe80::1 dev eth2 proto 112 src 2001:db8:1::11" in routes(alpha)
    assert "vrrp51.1" not in alpha.namespace.ip("-o", "link").stdout
    # Killed, and started again too late to go on: nothing is left.
    alpha.kill()
    beta.wait_state("master")
    wait_until(lambda: "198.51.100.0/24" in routes(beta), 3, "beta has the routes")
    alpha.start()
    introduce(alpha, beta)
    alpha.wait_state("backup")
    assert "198.51.100" not in routes(alpha) and "2001:db8:5" not in routes(alpha)
    beta.resign("test")
    wait_until(lambda: "198.51.100.0/24" in routes(alpha), 5, "and back")
    assert "198.51.100" not in routes(beta) and "2001:db8:5" not in routes(beta)


def test_routes_of_a_group_beside_another_have_its_address(lab):
    groups = {"gate": {"interface": "lan", "routes": "198.51.100.0/24 via 192.0.2.1"}, "lan": LAN46}
    alpha = device(lab, "alpha", 11, groups=groups)
    alpha.start()
    lab.first(alpha)
    line = f"198.51.100.0/24 via 192.0.2.1 dev vrrp{GROUP}.0 proto 112 src {SERVICE}"
    wait_until(lambda: line in alpha.namespace.ip("route").stdout, 1, "the route")
    assert "no-route" not in str(alpha.get("Problems"))
    alpha.kill()
    wait_until(lambda: "198.51.100" not in alpha.namespace.ip("route").stdout, 10, "ends with the address")
