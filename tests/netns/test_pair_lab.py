# SPDX-License-Identifier: LGPL-2.1-or-later
"""The laboratory itself: a pulled cable, a blocked port, a device that dies whole. What the other scenarios rest on."""

import os
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.device import Lab, process_name  # noqa: E402  (the demo's folder must be on the path first)
from lab.net import Network, run, wait_until  # noqa: E402
from watch import AddressWatch  # noqa: E402


@pytest.fixture
def two_hosts():
    with Network() as net:
        switch = net.switch("lan")
        hosts = [net.namespace(name) for name in ("a", "b")]
        ports = [switch.connect(host, "eth0", f"192.0.2.{i + 1}/24") for i, host in enumerate(hosts)]
        yield net, hosts, ports


def passes(sender, receiver, address):
    """Whether a datagram gets through; several are sent because the first may wait for ARP."""
    with sender.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, receiver.socket(socket.AF_INET, socket.SOCK_DGRAM) as into:
        into.bind((address, 9))
        into.settimeout(0.3)
        for _ in range(3):
            try:
                out.sendto(b"x", (address, 9))
            except OSError:
                return False  # no carrier, no route
        try:
            return into.recv(9) == b"x"
        except TimeoutError:
            return False


def test_cut_takes_the_carrier_and_block_does_not(two_hosts):
    _, (a, b), (_, port) = two_hosts
    wait_until(lambda: passes(a, b, "192.0.2.2"), 5, "the switch forwards")
    port.block()
    assert port.carrier() and not passes(a, b, "192.0.2.2") and not passes(b, a, "192.0.2.1")
    port.unblock()
    wait_until(lambda: passes(a, b, "192.0.2.2"), 2, "frames pass again")
    port.cut()
    wait_until(lambda: not port.carrier(), 2, "carrier gone")
    assert not passes(a, b, "192.0.2.2")
    port.plug()
    wait_until(port.carrier, 2, "carrier back")
    wait_until(lambda: passes(a, b, "192.0.2.2"), 2, "frames pass again")


def test_an_address_that_moves_is_never_on_both(two_hosts):
    """However late the observer reads: what happened first comes first. An address that is on both is seen, and one that was there before."""
    net, hosts, _ = two_hosts
    service = "192.0.2.10"
    hosts[0].ip("address", "add", f"{service}/24", "dev", "eth0")
    watch = AddressWatch(service, net)
    try:
        for host in hosts:
            host.namespace = host
            watch.watch(host)
        wait_until(lambda: watch.holders() == ["a"], 2, "what was there before")
        for old, new in (hosts, hosts[::-1]) * 3:
            begin = time.monotonic()
            with watch._lock:  # it sleeps
                old.ip("address", "del", f"{service}/24", "dev", "eth0")
                new.ip("address", "add", f"{service}/24", "dev", "eth0")
            wait_until(lambda new=new: watch.holders() == [new.name], 2, "it has moved")
            assert [event[1:] for event in watch.history[-2:]] == [(old.name, False), (new.name, True)]
            assert watch.doubled_ms(begin) == 0
        begin = time.monotonic()
        hosts[1].ip("address", "add", f"{service}/24", "dev", "eth0")
        wait_until(lambda: watch.holders() == ["a", "b"] and watch.doubled_ms(begin) > 0, 2, "on both")
    finally:
        watch.stop()


def test_network_leaves_nothing_behind():
    with Network() as net:
        host = net.namespace("a")
        net.switch("lan").connect(host, "eth0")
        child = host.popen(["sleep", "1000"])
        tag = net.tag
    assert child.wait(timeout=5) == -9
    assert tag not in run(["ip", "netns"]).stdout


def test_device_is_a_world_of_its_own_and_dies_with_its_first_process():
    with Lab(None) as lab:
        lan = lab.net.switch("lan")
        device = lab.device("alpha", {"eth0": (lan, "192.0.2.1/24")})
        device.write("/etc/greeting", "hello\n")
        device.start()
        assert device.run(["hostname"]).stdout == "alpha\n"
        assert device.run(["cat", "/etc/greeting"]).stdout == "hello\n" and not os.path.exists("/etc/greeting")
        assert run(["busctl", f"--address={device.bus_address()}", "list"]).returncode == 0
        bus = device.kill("dbus-daemon")
        assert device.wait_process("dbus-daemon", not_pid=bus) != bus
        child = device.popen(["sleep", "1000"])
        device.freeze()
        device.thaw()
        device.power_cut()
        assert child.wait(timeout=5) != 0 and not device.pid
        device.start()
        assert device.read("/etc/greeting") == "hello\n"
        pids = [pid for pid, _ in device.processes()]
        folders = [lab.path, lab.disk, lab.cgroup]
    assert not any(process_name(pid) for pid in pids) and not any(os.path.exists(folder) for folder in folders)
