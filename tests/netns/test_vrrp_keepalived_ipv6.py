# SPDX-License-Identifier: LGPL-2.1-or-later
"""keepalived as the other end over IPv6, in both directions, with its own MAC and with the virtual one."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from set_lab import LAN6, SERVICE6, VIRTUAL_LINK_LOCAL, VIRTUAL_MAC6, adverts6, device, has, settle_link_local
from vrrp_lab import GROUP, VRRP, Lab, wait_until

INTERVAL_MS = 100


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


class Keepalived6:
    """One IPv6 router, plain RFC 5798."""

    def __init__(self, lab, vmac, priority=100):
        self.name = "other"
        self.namespace = lab.net.namespace("other")
        self.port = lab.lan.connect(self.namespace, "eth0", "192.0.2.12/24")
        self.namespace.ip("address", "add", "2001:db8::12/64", "dev", "eth0", "nodad")
        settle_link_local(self, "eth0")
        self.folder = Path(tempfile.mkdtemp(prefix=f"vrrp-{lab.net.tag}-other-"))
        (self.folder / "keepalived.conf").write_text(f"""
global_defs {{
    vrrp_version 3
    router_id other
}}
vrrp_instance one {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id {GROUP}
    priority {priority}
    advert_int {INTERVAL_MS / 1000:g}
    {"use_vmac" if vmac else ""}
    virtual_ipaddress {{
        {VIRTUAL_LINK_LOCAL}/64
        {SERVICE6}/64
    }}
}}
""")
        self.process = None
        lab.closing.append(self)

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = self.namespace.popen(
            ["keepalived", "-n", "-P", "-l", "-D", "-f", str(self.folder / "keepalived.conf"), "-p", str(self.folder / "pid"),
             "-r", str(self.folder / "vrrp.pid")], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        return self

    def has_service(self):
        return has(self, SERVICE6)

    def wait_master(self):
        wait_until(self.has_service, 15, "keepalived becomes master")

    def die(self):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in self.namespace.pids():
                os.kill(pid, number)
        self.process.wait(10)

    def close(self):
        if self.process:
            self.namespace.kill_all()
            self.process.wait(10)
            self.log.close()
            print(f"---- keepalived ----\n{(self.folder / 'log').read_text(errors='replace')}")
        shutil.rmtree(self.folder, ignore_errors=True)


def ours(lab, priority=150):
    return device(lab, "alpha", 11, {"priority": priority}, {"lan": LAN6}, peer_link=False)


VMAC = pytest.mark.parametrize("vmac", [False, True], ids=["mac", "vmac"])


@VMAC
def test_backup_of_keepalived_takes_over_when_it_dies(lab, vmac):
    other = Keepalived6(lab, vmac).start()
    other.wait_master()
    alpha = ours(lab).start()
    wait_until(lambda: alpha.get("LastHeard"), 10, "alpha hears keepalived")
    assert alpha.state() == "backup" and alpha.get("MasterPriority", VRRP) == 100
    assert alpha.get("MasterAddress", VRRP).startswith("fe80::")
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 5, 5, "adverts of keepalived")
    assert alpha.state() == "backup" and other.has_service(), "a working Master is not preempted by a higher priority"
    other.die()
    sent = wire.wait(lambda: adverts6(wire), 10, "our first advert")
    heard = adverts6(wire, from_host=False)
    alpha.wait_state("master")
    wait_until(lambda: has(alpha, SERVICE6), 2, "alpha has the address")
    bound_ms = (3 + (256 - 150) / 256) * INTERVAL_MS
    assert (sent[0][0] - heard[-1][0]) * 1000 >= bound_ms - 1
    assert alpha.counters()["address-mismatch"] == 0, "the same list"


@VMAC
def test_keepalived_stays_our_backup_and_takes_over_at_priority_zero(lab, vmac):
    alpha = ours(lab).start()
    alpha.wait_state("master", 10)
    other = Keepalived6(lab, vmac).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 30, 20, "three seconds of ours")
    assert not adverts6(wire) and not other.has_service(), "keepalived hears us"
    assert {a[2] for a in adverts6(wire, from_host=False)} == {VIRTUAL_MAC6}
    assert alpha.terminate() == 0
    other.wait_master()
    zero = [a for a in adverts6(wire, from_host=False) if a[6][2] == 0]
    first = wire.wait(lambda: adverts6(wire), 10, "keepalived's first advert")[0]
    assert len(zero) == 1 and (first[0] - zero[0][0]) * 1000 < (256 - 100) / 256 * INTERVAL_MS + 150
    assert not has(alpha, SERVICE6) and not has(alpha, VIRTUAL_LINK_LOCAL)


def test_keepalived_takes_over_when_our_cable_is_cut_and_keeps_it(lab):
    alpha = ours(lab).start()
    alpha.wait_state("master", 10)
    other = Keepalived6(lab, True).start()
    wire = lab.wire(other.port)
    wire.wait(lambda: len(adverts6(wire, from_host=False)) > 5, 20, "adverts to keepalived")
    alpha.lan_port.cut()
    alpha.wait_state("init")
    wait_until(lambda: not has(alpha, SERVICE6), 2, "alpha lets go")
    other.wait_master()
    alpha.lan_port.plug()
    alpha.wait_state("backup", 10)
    wait_until(lambda: alpha.get("LastHeard").get("lan", 0) > alpha.get("SinceUs"), 10, "alpha hears keepalived")
    assert alpha.state() == "backup" and other.has_service(), "no preemption: ours has the higher priority"
