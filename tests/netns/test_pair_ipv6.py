# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole devices in an IPv6-only network, and in one of both families: they pair, the one takes over from the other, phones find it."""

import contextlib
import time

import pytest

from pair_lab import Pair, Probe, accounts, pbx, pbx_runs_on, stays, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)

PHONES = ("192.0.2.100", "2001:db8::100")
VIRTUAL_MAC6 = "00:00:5e:00:02:33"  # of group 51
DERIVED = "fe80::200:5eff:fe00:233"


class Phones:
    """A host with a probe for each family of the pair."""

    def __init__(self, pair):
        self.host = pair.lab.net.namespace("phones")
        own = [phone for phone in PHONES if any((":" in phone) == (":" in service) for service in pair.services)]
        pair.lan.connect(self.host, "eth0", " ".join(f"{phone}/{64 if ':' in phone else 24}" for phone in own))
        self.probes = [Probe(self.host, phone, service) for phone, service in zip(own, pair.services)]

    def wait(self):
        for probe in self.probes:
            probe.wait_answers(20)

    def answered_again(self, moment, timeout_s=15):
        """When each family was answered again, as seconds after moment."""
        return [probe.wait_answer_sent_after(moment, timeout_s) - moment for probe in self.probes]

    def silence_ms(self, begin):
        return max(probe.silence_ms(begin)[0] for probe in self.probes)

    def neighbour(self, address):
        """The MAC it has for an address."""
        words = self.host.ip("neigh", "show", address).stdout.split()
        return words[words.index("lladdr") + 1] if "lladdr" in words else None

    def stop(self):
        for probe in self.probes:
            probe.stop()


@contextlib.contextmanager
def running(build, family, more=""):
    """A settled pair with its phones; more: lines for [pair]."""
    with Pair(build, {"kamailio": pbx.APPLICATION_TEXT}, family=family) as pair:
        services = " ".join(pair.services)
        pair.first.write("/etc/understudy/pair.conf", pair.first.read("/etc/understudy/pair.conf").replace("[pair]\n", f"[pair]\n{more}"))
        pbx.install(pair.first, services, accounts(3), {})
        pbx.install(pair.second, services, None, None)
        pair.start()
        pair.phones = Phones(pair)
        try:
            pair.phones.wait()
            yield pair
        finally:
            pair.phones.stop()


@pytest.fixture(params=["ipv6", "both"])
def pair(build, request):
    with running(build, request.param) as pair:
        yield pair


def holds(pair, device):
    """Which of the service addresses a device has, the derived link-local one included."""
    all_of_it = set(device.namespace.addresses(4) + device.namespace.addresses(6))
    return all_of_it & {*pair.services, DERIVED}


def test_takeover_by_cable_and_back(pair):
    """Both families move at once; the virtual MAC is the same on the other side; nobody has an address twice."""
    master, backup = pair.master(), pair.backup()
    everything = {*pair.services, DERIVED}
    assert holds(pair, master) == everything and not holds(pair, backup)
    assert pair.phones.neighbour(pair.services[-1]) == VIRTUAL_MAC6
    begin = time.monotonic()
    master.ports["eth0"].cut()
    pair.watch(backup).wait_role("master", 10)
    pair.phones.answered_again(begin)
    wait_until(lambda: holds(pair, backup) == everything and not holds(pair, master), 5, "all addresses moved")
    assert pair.phones.neighbour(pair.services[-1]) == VIRTUAL_MAC6
    assert pbx_runs_on(backup)
    master.ports["eth0"].plug()
    pair.wait_settled()
    assert pair.master() is backup and pair.addresses.doubled_ms(begin) == 0


def test_power_cut_and_return(pair):
    """The one that comes back finds the Master by its adverts, and what the two know of each other is on disk."""
    master, backup = pair.master(), pair.backup()
    begin = time.monotonic()
    pair.power_cut(master)
    pair.watch(backup).wait_role("master", 10)
    pair.phones.answered_again(begin)
    pair.switch_on(master)
    pair.wait_settled(60)
    assert pair.master() is backup


def test_common_power_loss(pair):
    """Both come back at once: one leads, and they know each other's voice from the disk."""
    for device in (pair.master(), pair.backup()):
        pair.power_cut(device)
    for device in (pair.first, pair.second):
        pair.switch_on(device)
    pair.wait_settled(60)
    pair.phones.wait()
    begin = time.monotonic()
    assert stays(lambda: sorted(pair.roles().values()) == ["backup", "master"], 1) and pair.addresses.doubled_ms(begin) == 0


def test_swap(pair):
    """By order, with what was written last."""
    master, backup = pair.master(), pair.backup()
    master.write(pbx.DIALPLAN, pbx.dialplan_text({"911": "1001"}))
    wait_until(lambda: backup.read(pbx.DIALPLAN) == master.read(pbx.DIALPLAN), 15, "the change arrives")
    begin = time.monotonic()
    master.run(["understudy", "swap"], timeout=60)
    pair.phones.answered_again(begin)
    pair.wait_settled()
    assert pair.master() is backup and pair.addresses.doubled_ms(begin) == 0


def test_lost_path_of_the_peer_link(pair):
    """The cable between the two is cut: adverts and copies go over the LAN; the role stays."""
    master, backup = pair.master(), pair.backup()
    pair.cable.cut()
    assert stays(lambda: pair.master() is master, 2)
    master.write(pbx.DIALPLAN, pbx.dialplan_text({"912": "1001"}))
    wait_until(lambda: backup.read(pbx.DIALPLAN) == master.read(pbx.DIALPLAN), 15, "the change arrives over the LAN")
    pair.cable.plug()
    pair.wait_settled()
    assert pair.master() is master


def test_a_changed_link_local_address_is_told(pair):
    """As after a new network card: the other device learns the address its adverts come from now."""
    master, backup = pair.master(), pair.backup()

    def known():
        return backup.read("/var/lib/understudy/supervisor/peer")

    def link_local():
        words = master.namespace.ip("-6", "-o", "address", "show", "dev", "eth0", "scope", "link").stdout.split()
        return [word for word in words if word.startswith("fe80")]

    (before,) = link_local()
    wait_until(lambda: f"'{before.split('/')[0]}'" in known(), 5, "known from the beginning")
    begin = time.monotonic()
    master.namespace.ip("address", "add", "fe80::99/64", "dev", "eth0", "nodad")
    master.namespace.ip("address", "delete", before, "dev", "eth0")
    wait_until(lambda: "'fe80::99'" in known(), 15, "the new one is known")
    assert f"'{before.split('/')[0]}'" not in known()
    assert stays(lambda: pair.master() is master, 2)
    pair.phones.answered_again(begin)


@pytest.mark.parametrize("more", ["virtual-mac=false\n", "multicast=false\n", "family=ipv6\n"], ids=["physical MAC", "unicast only", "IPv6 elects"])
@pytest.mark.parametrize("family", ["ipv6", "both"])
def test_other_ways_to_elect(build, family, more):
    """Takeover by cable and a swap back, with keys that change how the devices speak."""
    with running(build, family, more) as pair:
        master, backup = pair.master(), pair.backup()
        begin = time.monotonic()
        master.ports["eth0"].cut()
        pair.watch(backup).wait_role("master", 10)
        pair.phones.answered_again(begin)
        master.ports["eth0"].plug()
        pair.wait_settled()
        assert pair.master() is backup
        begin = time.monotonic()
        backup.run(["understudy", "swap"], timeout=60)
        pair.phones.answered_again(begin)
        pair.wait_settled()
        assert pair.master() is master and pair.addresses.doubled_ms(begin) == 0


def without_ipv6(text):
    """device.conf as it was before."""
    lines = [line for line in text.splitlines() if not line.startswith("address6=")]
    peers = [line for line in lines if line.startswith("addresses=")][0]
    four = ", ".join(host for host in peers.removeprefix("addresses=").split(", ") if ":" not in host)
    return "\n".join(f"addresses={four}" if line is peers else line for line in lines) + "\n"


def test_ipv6_is_added_to_a_running_pair(build):
    """As an administrator moves on from IPv4: first the devices' own addresses, then the service address. Nobody's role changes."""
    with Pair(build, {"kamailio": pbx.APPLICATION_TEXT}, family="both") as pair:
        pbx.install(pair.first, pair.services[0], accounts(3), {})
        pbx.install(pair.second, pair.services[0], None, None)
        device_conf = {device.name: device.read("/etc/understudy/device.conf") for device in (pair.first, pair.second)}
        for device in (pair.first, pair.second):
            device.write("/etc/understudy/device.conf", without_ipv6(device_conf[device.name]))
        both = pair.first.read("/etc/understudy/pair.conf")
        pair.first.write("/etc/understudy/pair.conf", both.replace(f", {pair.services[1]}/64", ""))
        pair.first.peer_address = "198.51.100.1"
        pair.start()
        master, backup = pair.master(), pair.backup()
        counts = {name: len(watch.roles) for name, watch in pair.watches.items()}

        def reload(device):
            device.run(["busctl", "call", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1", "Reload"])

        for device in (backup, master):
            device.write("/etc/understudy/device.conf", device_conf[device.name])
            reload(device)
        pair.wait_settled()
        master.write("/etc/understudy/pair.conf", both)
        reload(master)
        wait_until(lambda: pair.services[1] in master.namespace.addresses(6), 5, "the Master has the new address")
        wait_until(lambda: pair.services[1] in (backup.read("/etc/understudy/pair.conf") or ""), 15, "the Backup has the settings")
        pair.wait_settled()
        assert pair.services[1] not in backup.namespace.addresses(6)
        assert all(not watch.changes_since(counts[name]) for name, watch in pair.watches.items())
        begin = time.monotonic()
        master.ports["eth0"].cut()
        pair.watch(backup).wait_role("master", 10)
        wait_until(lambda: {*pair.services, DERIVED} == holds(pair, backup), 5, "all addresses moved")
        assert pair.addresses.doubled_ms(begin) == 0


def test_the_family_that_elects_changes_on_both(build):
    """From the IPv4 router's election to the IPv6 one's, on a running pair, and nobody takes over."""
    with Pair(build, {}, family="both") as pair:
        pair.start()
        master, backup = pair.master(), pair.backup()
        for device in (master, backup):  # for a second or two after the interface has come, nobody can elect by its own link-local address
            wait_until(lambda device=device: not device.namespace.ip("-6", "-o", "address", "show", "dev", "eth0", "tentative").stdout, 10,
                       f"{device.name}: its addresses are its own")
        before = {name: len(watch.roles) for name, watch in pair.watches.items()}
        done = master.run(["understudy", "settings", "set", "family", "ipv6"], check=False)
        assert done.returncode == 0 and "on both devices" in done.stdout, done.stderr
        assert "family=ipv6" in backup.read("/etc/understudy/pair.conf")
        assert stays(lambda: pair.master() is master, 3)
        pair.wait_settled()
        assert {name: len(watch.roles) for name, watch in pair.watches.items()} == before
