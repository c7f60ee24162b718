# SPDX-License-Identifier: LGPL-2.1-or-later
"""FRR's vrrpd as the other end: a third reading of the RFCs, with a virtual MAC always."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from set_lab import LAN6, SERVICE6, VIRTUAL_LINK_LOCAL, VIRTUAL_MAC6, adverts6, device, has, settle_link_local
from vrrp_lab import GROUP, SERVICE, VIRTUAL_MAC, VRRP, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

PROGRAMS = Path("/usr/lib/frr")
# Version 2 waits ten times as long for the same: of it, only the word of farewell in every run.
LONG = pytest.mark.long
VERSIONS = pytest.mark.parametrize("version,interval_ms", [pytest.param(2, 1000, id="v2", marks=LONG), pytest.param(3, 100, id="v3")])


class Frr:
    """zebra and vrrpd in a namespace. FRR finds its virtual interface by its MAC and its address, and takes the carrier from it on a Backup."""

    def __init__(self, lab, address, version, interval_ms, priority=100, ipv6=()):
        """ipv6: the addresses it lists, instead of the IPv4 one."""
        self.lab, self.namespace = lab, lab.net.namespace("frr")
        self.port = lab.lan.connect(self.namespace, "eth0", f"{address}/24")
        self.folder = Path(tempfile.mkdtemp(prefix=f"vrrp-{lab.net.tag}-frr-"))
        mac, held = (VIRTUAL_MAC6, (f"{VIRTUAL_LINK_LOCAL}/64", f"{SERVICE6}/64")) if ipv6 else (VIRTUAL_MAC, (f"{SERVICE}/24",))
        if ipv6:
            settle_link_local(self, "eth0")
        self.namespace.ip("link", "add", "vmac", "link", "eth0", "type", "macvlan", "mode", "bridge")
        self.namespace.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/vmac/addr_gen_mode"])
        self.namespace.ip("link", "set", "vmac", "address", mac.hex(":"))
        for address in held:
            self.namespace.ip("addr", "add", address, "dev", "vmac", *(["nodad"] if ipv6 else []))
        self.namespace.ip("link", "set", "vmac", "up")
        (self.folder / "zebra.conf").write_text("")
        addresses = "".join(f" vrrp {GROUP} ipv6 {address}\n" for address in ipv6) or f" vrrp {GROUP} ip {SERVICE}\n"
        (self.folder / "vrrpd.conf").write_text(f"interface eth0\n vrrp {GROUP} version {version}\n no vrrp {GROUP} preempt\n"
                                                f" vrrp {GROUP} priority {priority}\n vrrp {GROUP} advertisement-interval {interval_ms}\n"
                                                f"{addresses}")
        os.chmod(self.folder, 0o755)
        shutil.chown(self.folder, "frr", "frr")
        self.processes = []
        self.log = open(self.folder / "log", "ab")
        lab.closing.append(self)

    def spawn(self, name):
        self.processes.append(self.namespace.popen(
            [PROGRAMS / name, "-f", self.folder / f"{name}.conf", "-z", self.folder / "zserv", "-i", self.folder / f"{name}.pid",
             "--vty_socket", self.folder, "-P", "0", "--log", "stdout"], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL))

    def start(self):
        self.spawn("zebra")
        wait_until((self.folder / "zserv").exists, 10, "zebra listens")
        self.spawn("vrrpd")
        return self

    def text_log(self):
        return (self.folder / "log").read_text(errors="replace")

    def die(self):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in self.processes:
                process.send_signal(number)
        for process in self.processes:
            process.wait(10)
        self.port.cut()  # as a device that loses its power: its macvlan would go on answering

    def close(self):
        self.namespace.kill_all()
        for process in self.processes:
            process.wait(10)
        self.log.close()
        print(self.text_log()[-3000:])
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def ours(lab, version, interval_ms):
    return lab.host("alpha", "192.0.2.11", pair={"vrrp-version": version, "advert-interval-ms": interval_ms, "priority": 150})


@pytest.mark.timed(60)
@VERSIONS
def test_backup_of_frr_takes_over_when_it_dies(lab, version, interval_ms):
    other = Frr(lab, "192.0.2.12", version, interval_ms).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(wire.adverts()) > 2, 20, "FRR leads")
    alpha = ours(lab, version, interval_ms).start()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears FRR")
    assert alpha.get("MasterPriority", VRRP) == 100 and alpha.get("MasterAddress", VRRP) == "192.0.2.12"
    here = lab.wire(alpha.lan_port)
    here.wait(lambda: here.adverts(from_host=False), 5, "an advert of FRR")
    assert alpha.state() == "backup" and not here.adverts()
    other.die()
    first = here.wait(here.adverts, 10, "our first advert")[0]
    last = here.adverts(from_host=False)[-1]
    bound_ms = 3 * interval_ms + (256 - 150) / 256 * interval_ms
    assert bound_ms - 1 <= (first[0] - last[0]) * 1000 <= bound_ms + 60
    alpha.wait_state("master")
    client = lab.client()
    client.probe()
    assert VIRTUAL_MAC.hex(":") in client.namespace.ip("neigh", "show", SERVICE).stdout


@pytest.mark.timed(100)
@pytest.mark.parametrize("end,version,interval_ms", [pytest.param("terminate", 2, 1000, id="terminate-v2"), pytest.param("kill", 2, 1000, id="kill-v2", marks=LONG),
                                                     pytest.param("terminate", 3, 100, id="terminate-v3"), pytest.param("kill", 3, 100, id="kill-v3")])
def test_frr_takes_over_from_us(lab, version, interval_ms, end):
    alpha = ours(lab, version, interval_ms).start()
    lab.first(alpha)
    other = Frr(lab, "192.0.2.12", version, interval_ms).start()
    wire = lab.wire(other.port)
    if version == 3:  # it sums the pseudo-header too, and believes us once we have heard it
        wait_until(lambda: alpha.counters()["pseudo-header"] > 0, 20, "an advert of FRR")
    wire.wait(lambda: [a for a in wire.adverts(from_host=False) if not wire.adverts() or a[0] > wire.adverts()[-1][0] + 1.5 * interval_ms / 1000], 20,
              "FRR is silent and hears us")
    assert alpha.state() == "master"
    said = len(wire.adverts())
    getattr(alpha, end)()
    first = wire.wait(lambda: wire.adverts()[said:], 10, "FRR's first advert")[0]
    last = wire.adverts(from_host=False)[-1]
    assert (last[3][2] == 0) == (end == "terminate")
    skew_ms = (256 - 100) / 256 * interval_ms
    bound_ms = skew_ms if end == "terminate" else 3 * interval_ms + skew_ms
    assert (first[0] - last[0]) * 1000 <= bound_ms + 150
    assert first[1] == VIRTUAL_MAC and first[3][2] == 100


def ours6(lab):
    return device(lab, "alpha", 11, {"priority": 150}, {"lan": LAN6}, peer_link=False, ipv4=False)


@pytest.mark.timed(60)
def test_frr_and_we_follow_each_other_over_ipv6(lab):
    other = Frr(lab, "192.0.2.12", 3, 100, ipv6=(VIRTUAL_LINK_LOCAL, SERVICE6)).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire)) > 2, 20, "FRR leads")
    alpha = ours6(lab).start()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears FRR")
    assert alpha.get("MasterPriority", VRRP) == 100 and alpha.get("MasterAddress", VRRP).startswith("fe80::")
    assert alpha.counters()["address-mismatch"] == 0
    here = lab.wire(alpha.lan_port)
    here.wait(lambda: adverts6(here, from_host=False), 5, "an advert of FRR")
    assert alpha.state() == "backup" and not adverts6(here)
    other.die()
    first = here.wait(lambda: adverts6(here), 10, "our first advert")[0]
    last = adverts6(here, from_host=False)[-1]
    assert (first[0] - last[0]) * 1000 <= 300 + (256 - 150) / 256 * 100 + 60
    alpha.wait_state("master")
    assert has(alpha, SERVICE6)


@pytest.mark.timed(100)
def test_frr_takes_over_from_us_over_ipv6(lab):
    alpha = ours6(lab).start()
    lab.first(alpha, 15)
    other = Frr(lab, "192.0.2.12", 3, 100, ipv6=(VIRTUAL_LINK_LOCAL, SERVICE6)).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 20 and "VRRP" in other.text_log(), 10, "two seconds of ours")
    assert not adverts6(wire), "FRR hears us"
    assert alpha.terminate() == 0
    first = wire.wait(lambda: adverts6(wire), 10, "FRR leads")[0]
    zero = [advert for advert in adverts6(wire, from_host=False) if advert[6][2] == 0]
    assert len(zero) == 1 and (first[0] - zero[0][0]) * 1000 <= (256 - 100) / 256 * 100 + 150


def test_an_ipv6_list_without_link_local_address_counts_and_is_told(lab):
    other = Frr(lab, "192.0.2.12", 3, 100, ipv6=(SERVICE6,)).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire)) > 2, 20, "FRR leads")
    alpha = ours6(lab).start()
    alpha.wait_state("backup")
    wait_until(lambda: alpha.get("LastStranger")[1] == "address-mismatch", 5, "it is told")
    wire.wait(lambda: len(adverts6(wire)) > 10, 5, "a second of FRR")
    assert alpha.state() == "backup" and alpha.get("LastHeard")
