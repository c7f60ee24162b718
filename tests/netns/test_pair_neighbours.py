# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole devices among others on the service LAN: a router that is their witness, and a host that was given their address."""

import subprocess
import time

import pytest
from pair_lab import Pair, SERVICE, stays, wait_until
from test_vrrp_faults import CLASH_MAC

pytestmark = pytest.mark.timed(100, real_time=True)

GATEWAY = "192.0.2.1"
NOTHING = "[application]\ndescription=Waits\ncommand=/bin/sleep 100000\n"


@pytest.fixture
def pair(build):
    """With a witness, and without a PBX; the gateway is there."""
    with Pair(build, {"nothing": NOTHING}) as pair:
        text = pair.first.read("/etc/understudy/pair.conf")
        pair.first.write("/etc/understudy/pair.conf", text.replace("[pair]\n", f"[pair]\nwitness={GATEWAY}\n"))
        pair.gateway = pair.lab.net.namespace("gateway")
        pair.gateway_port = pair.lan.connect(pair.gateway, "eth0", f"{GATEWAY}/24")
        pair.start()
        yield pair


def isolate(port, on=True):
    """Two such ports of the switch do not reach each other, and all others do."""
    subprocess.run(["bridge", "-n", port.switch.namespace.host_name, "link", "set", "dev", port.name, "isolated", "on" if on else "off"], check=True)


def events_named(pair, device, name):
    return [event for event in pair.watch(device).events if event["name"] == name]


def witness(pair, device):
    return pair.watch(device).vrrp("Witness")


def test_a_master_that_is_cut_off_gives_up_to_one_that_is_not_and_to_nobody_else(pair):
    master, backup = pair.master(), pair.backup()
    for device in master, backup:
        wait_until(lambda d=device: witness(pair, d) == "reached", 10, "the witness answers")
    counts = {name: len(watch.roles) for name, watch in pair.watches.items()}

    def changed():
        return [(change["device"], change["old"], change["new"], change["reason"]) for name, watch in pair.watches.items()
                for change in watch.changes_since(counts[name])]

    # The gateway is off: both lose it, and there is nobody better.
    pair.gateway_port.block()
    for device in master, backup:
        wait_until(lambda d=device: witness(pair, d) == "lost", 10, "the witness is lost")
    assert stays(lambda: not changed(), 5), changed()
    pair.gateway_port.unblock()
    for device in master, backup:
        wait_until(lambda d=device: witness(pair, d) == "reached", 10, "the witness answers again")
    # The Master alone is cut off from it; the two still hear each other on the LAN and on the cable.
    isolate(pair.gateway_port)
    isolate(master.ports["eth0"])
    pair.watch(backup).wait_role("master", 15)
    pair.watch(master).wait_role("backup", 10)
    wait_until(lambda: any("isolated" in event["description"] for event in events_named(pair, master, "resigned") +
                           events_named(pair, backup, "resigned")), 15, "it is told why")
    settled = {name: len(watch.roles) for name, watch in pair.watches.items()}
    assert stays(lambda: not any(watch.changes_since(settled[name]) for name, watch in pair.watches.items()), 3), "no ping-pong"
    assert pair.master() is backup
    status = master.run(["understudy", "status"], check=False).stdout
    assert "witness-lost" in status and GATEWAY in status
    # Both cut off from it by turns: not again so soon, or they would throw the phones at each other.
    isolate(master.ports["eth0"], False)
    isolate(backup.ports["eth0"])
    wait_until(lambda: witness(pair, master) == "reached" and witness(pair, backup) == "lost", 15, "the other way round")
    pair.watch(master).wait_role("master", 15)
    isolate(backup.ports["eth0"], False)
    isolate(master.ports["eth0"])
    wait_until(lambda: witness(pair, backup) == "reached" and witness(pair, master) == "lost", 15, "and once more")
    assert stays(lambda: pair.watch(master).role() == "master", 5)


def test_somebody_elses_claim_to_the_service_address_is_an_event(pair):
    master = pair.master()
    begin = time.monotonic()
    squatter = pair.lab.net.namespace("squatter")
    pair.lan.connect(squatter, "eth0", f"{SERVICE}/24", mac=CLASH_MAC).wait_forwarding()
    squatter.run(["/usr/bin/python3", "-c",
                  f"import socket;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('{SERVICE}',0));s.sendto(b'x',('{GATEWAY}',9))"])
    found = wait_until(lambda: events_named(pair, master, "address-clash"), 15, "the event")
    assert f"{SERVICE} at {CLASH_MAC}" in found[0]["description"]
    assert "address-clash" in master.run(["understudy", "status"], check=False).stdout
    assert pair.master() is master and time.monotonic() - begin < 30
