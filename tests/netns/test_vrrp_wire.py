# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes over the wire, bit by bit, and what comes in from others and must not count."""

import os
import shutil
import socket
import struct
import subprocess

import pytest
from vrrp_lab import GROUP, SERVICE, VIRTUAL_MAC, VRRP, Lab, wait_until

pytestmark = pytest.mark.timed(100, real_time=True)


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def advert(version=3, vrid=GROUP, priority=200, interval=None, addresses=(SERVICE,), kind=1, auth=0, spoil=False):
    """A VRRP message, right unless asked otherwise."""
    if version == 2:
        middle, tail = struct.pack("!BB", auth, 1 if interval is None else interval), bytes(8)
    else:
        middle, tail = struct.pack("!H", 10 if interval is None else interval), b""
    body = b"".join(socket.inet_aton(address) for address in addresses) + tail
    head = struct.pack("!BBBB", version << 4 | kind, vrid, priority, len(addresses)) + middle
    total = checksum(head + b"\0\0" + body) ^ (0x5555 if spoil else 0)
    return head + struct.pack("!H", total) + body


class Forger:
    """Somebody on the LAN who can send any frame."""

    def __init__(self, lab, address="192.0.2.66"):
        self.namespace = lab.net.namespace("forger")
        self.port = lab.lan.connect(self.namespace, "eth0", f"{address}/24")
        self.address = address
        self.socket = self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind(("eth0", 0x0800))
        self.port.wait_forwarding()
        lab.closing.append(self)

    def send(self, message, source=None, destination="224.0.0.18", ttl=255, mac=b"\x01\x00\x5e\x00\x00\x12", times=1):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(message), 0, 0, ttl, 112, 0,
                             socket.inet_aton(source or self.address), socket.inet_aton(destination))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        frame = mac + bytes.fromhex("02000000aa01") + b"\x08\x00" + header + message
        for _ in range(times):
            self.socket.send(frame)

    def close(self):
        self.socket.close()


# ---- Ours ----

@pytest.mark.timed(30)
@pytest.mark.parametrize("version", [2, 3])
def test_advert_is_what_the_rfc_says(lab, version):
    interval_ms = 1000 if version == 2 else 100
    alpha = lab.host("alpha", "192.0.2.11", pair={"vrrp-version": version, "advert-interval-ms": interval_ms, "priority": 77})
    wire = lab.wire(alpha.lan_port)
    alpha.start()
    adverts = wire.wait(lambda: len(wire.adverts()) >= 3 and wire.adverts(), 15, "three adverts")
    frame = next(data for _, mine, data in wire.frames if mine and data[12:14] == b"\x08\x00" and data[23] == 112)
    assert frame[:6] == bytes.fromhex("01005e000012")
    assert frame[6:12] == VIRTUAL_MAC
    assert frame[22] == 255 and checksum(frame[14:34]) == 0
    assert frame[26:30] == bytes([192, 0, 2, 11]) and frame[30:34] == bytes([224, 0, 0, 18])
    for _, _, _, message in adverts:
        assert message == advert(version=version, priority=77, interval=1 if version == 2 else 10)
    gap_ms = (adverts[2][0] - adverts[1][0]) * 1000
    assert abs(gap_ms - interval_ms) < 30, gap_ms


@pytest.mark.timed(10)
def test_takeover_announces_several_times_with_the_virtual_mac(lab):
    alpha = lab.host("alpha", "192.0.2.11")
    wire = lab.wire(alpha.lan_port)
    alpha.start()
    lab.first(alpha)

    def announced():
        return [a for a in wire.arps() if a[3] == a[4] == SERVICE]

    found = wire.wait(lambda: len(announced()) >= 3 and announced(), 5, "three gratuitous ARPs")
    wire.wait(wire.adverts, 5, "an advert")
    first = wire.adverts()[0][0]
    assert all(a[1] == a[2] == VIRTUAL_MAC and a[5] == 1 for a in found)
    kinds = [data[12:14] for _, mine, data in wire.read() if mine and (data[12:14] == b"\x08\x06" or data[23] == 112)]
    assert kinds[0] == b"\x08\x00" and found[0][0] - first < 0.05, "at once, behind the advert"
    before = len(announced())
    alpha.call("Announce")
    wire.wait(lambda: len(announced()) > before, 2, "and when ordered")


@pytest.mark.timed(12)
def test_hosts_learn_the_virtual_mac_and_never_another(lab):
    alpha, beta = lab.two()
    client = lab.client()
    wire = lab.wire(client.port)
    client.probe()
    # Make alpha ask for the client itself, from its own addresses: arp_announce decides what it says there.
    alpha.namespace.ip("neigh", "flush", "dev", "eth0")
    client.namespace.ip("neigh", "flush", "dev", "eth0")
    wire.wait(lambda: [a for a in wire.arps(from_host=False) if a[4] == "192.0.2.50"], 5, "alpha asks for the client")
    alpha.resign("test")
    beta.wait_state("master")
    gaps, to_the_end = client.finish()
    assert to_the_end and sum(gaps) < 60, gaps  # an ARP time-out would be a second at least
    said = {a[2] for a in wire.arps(from_host=False) if a[3] == SERVICE}
    assert said == {VIRTUAL_MAC}
    neighbour = client.namespace.ip("neigh", "show", SERVICE).stdout
    assert "00:00:5e:00:01:33" in neighbour


def test_a_restart_says_no_other_mac(lab):
    """Killed and started again, and ended and started again, it never says the service address with the interface's own MAC."""
    alpha = lab.host("alpha", "192.0.2.11").start()
    lab.first(alpha)
    client = lab.client()
    wire = lab.wire(client.port)
    client.probe()
    client.finish()

    def announced():
        return len([a for a in wire.arps(from_host=False) if a[3] == a[4] == SERVICE])

    for end in alpha.kill, alpha.terminate:
        end()
        before = announced()
        alpha.start()
        lab.first(alpha)
        wire.wait(lambda before=before: announced() > before, 5, "announced")
        client.probe()
        client.finish()
        assert "00:00:5e:00:01:33" in client.namespace.ip("neigh", "show", SERVICE).stdout
    assert {a[2] for a in wire.arps(from_host=False) if a[3] == SERVICE} == {VIRTUAL_MAC}


def test_the_device_address_keeps_its_own_mac(lab):
    alpha = lab.host("alpha", "192.0.2.11").start()
    lab.first(alpha)
    client = lab.client()
    client.probe(target="192.0.2.11")
    assert "00:00:5e" not in client.namespace.ip("neigh", "show", "192.0.2.11").stdout


def test_kernel_settings_are_put_back(lab):
    alpha = lab.host("alpha", "192.0.2.11")

    def settings():
        read = alpha.namespace.run(["sh", "-c", "cd /proc/sys/net/ipv4/conf/eth0; cat arp_ignore arp_announce promote_secondaries"])
        return read.stdout.split()

    before = settings()
    alpha.start()
    lab.first(alpha)
    assert settings() == ["1", "2", "1"]
    alpha.kill()
    alpha.start()
    assert alpha.terminate() == 0
    assert settings() == before, "also after a kill between"


# ---- Others' ----

BAD = {
    "checksum": lambda f: f.send(advert(spoil=True), source="192.0.2.12"),
    "ttl": lambda f: f.send(advert(), source="192.0.2.12", ttl=254),
    "version": lambda f: f.send(advert(version=2), source="192.0.2.12"),
    "type": lambda f: f.send(advert(kind=2), source="192.0.2.12"),
    "interval": lambda f: f.send(advert(interval=0), source="192.0.2.12"),
    "count": lambda f: f.send(advert(addresses=()), source="192.0.2.12"),
    "length": lambda f: f.send(advert()[:7], source="192.0.2.12"),
    "stranger": lambda f: f.send(advert()),
    "vrid": lambda f: f.send(advert(vrid=GROUP + 1), source="192.0.2.12"),
}


@pytest.mark.parametrize("cause", BAD)
def test_what_does_not_count_is_counted_and_has_no_effect(lab, cause):
    alpha, beta = lab.two(peer_link=False)
    forger = Forger(lab)
    before = alpha.counters()[f"drop-{cause}"]
    BAD[cause](forger)
    wait_until(lambda: alpha.counters()[f"drop-{cause}"] == before + 1, 5, f"drop-{cause}")
    assert alpha.state() == "master" and beta.state() == "backup"
    if cause != "vrid":
        args = alpha.wait_signal("Stranger", lambda args: args[1] == cause)
        assert args[2] == 1
        if cause == "stranger":
            assert args[0] == "192.0.2.66"
    else:
        assert not alpha.told("Stranger"), "another group on the LAN is nobody's concern"


BAD_OF_ALPHA = {
    "checksum": lambda f: f.send(advert(spoil=True), source="192.0.2.11"),
    "ttl": lambda f: f.send(advert(), source="192.0.2.11", ttl=1),
    "stranger": lambda f: f.send(advert()),
}


@pytest.mark.timed(40)
@pytest.mark.parametrize("cause", BAD_OF_ALPHA)
def test_bad_adverts_never_feed_the_down_timer(lab, cause):
    alpha, beta = lab.two(peer_link=False)
    forger = Forger(lab)
    wire = lab.wire(beta.lan_port)
    alpha.kill()
    deadline = wait_until(lambda: beta.state() == "master" or (BAD_OF_ALPHA[cause](forger) or False), 5, "beta becomes master")
    assert deadline
    first = wire.wait(wire.adverts, 2, "beta's first advert")[0]
    last = [a for a in wire.adverts(from_host=False) if a[1] == VIRTUAL_MAC]
    if last:
        assert (first[0] - last[-1][0]) * 1000 < 300.8 + 40
    assert beta.counters()[f"drop-{cause}"] > 0


def test_the_peers_address_on_the_wrong_path_is_a_stranger(lab):
    """The source is known per path: the peer link's address on the LAN is nobody's."""
    alpha, beta = lab.two()
    forger = Forger(lab)
    forger.send(advert(priority=254), source="10.0.0.2")
    wait_until(lambda: alpha.counters()["drop-stranger"] == 1, 5, "counted")
    assert alpha.state() == "master"


def test_a_flood_of_strangers_costs_nobody_the_role(lab):
    alpha, beta = lab.two()
    forger = Forger(lab)
    wire = lab.wire(beta.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 2, "an advert")
    sequence = alpha.get("Sequence"), beta.get("Sequence")
    message = advert(priority=254)
    for _ in range(40):
        forger.send(message, times=500)
    assert (alpha.get("Sequence"), beta.get("Sequence")) == sequence
    assert alpha.state() == "master" and beta.state() == "backup"
    assert alpha.counters()["drop-stranger"] > 0
    assert len(alpha.told("Stranger")) <= 2, "told once, not stormed"
    address, cause, count, at_us = alpha.get("LastStranger")
    assert (address, cause) == ("192.0.2.66", "stranger") and count > 1 and at_us > 0
    assert beta.get("LastStranger")[1] in ("", "stranger")


def test_without_a_peer_the_plain_rfc_holds(lab):
    """Unpaired: any router's higher priority wins, and the interval is learned from it."""
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 100}).start()
    lab.first(alpha)
    forger = Forger(lab)
    forger.send(advert(priority=99))
    wait_until(lambda: alpha.counters()["counted"] == 1, 5, "heard")
    assert alpha.state() == "master"

    def seen():
        """While the other speaks: what takes longer to look at than a down time is looked at once more."""
        forger.send(advert(priority=101, interval=50))
        return (alpha.state(), alpha.get("Reason"), alpha.get("MasterAddress", VRRP), alpha.get("MasterAdvertIntervalMs", VRRP),
                alpha.get("MasterDownIntervalUs", VRRP))

    wanted = ("backup", "heard-higher", "192.0.2.66", 500, 1500000 + 156 * 500000 // 256)
    wait_until(lambda: seen() == wanted, 10, "it follows, and has learned")
    alpha.wait_state("master")
    assert alpha.get("Reason") == "master-down"


class Injector:
    """Puts frames on one host's cable alone, as if they came from @client, and sees what that host says."""

    def __init__(self, lab, host, client):
        self.wire = lab.wire(host.lan_port)
        self.client_mac = self.mac_of(client)
        self.host_mac = self.mac_of(host)
        self.address = "192.0.2.50"

    @staticmethod
    def mac_of(somebody):
        text = somebody.namespace.ip("-o", "link", "show", "eth0").stdout
        return bytes.fromhex(text.split("link/ether ")[1].split()[0].replace(":", ""))

    def who_has(self, target):
        arp = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, self.client_mac, socket.inet_aton(self.address), bytes(6),
                          socket.inet_aton(target))
        self.wire.socket.send(b"\xff" * 6 + self.client_mac + b"\x08\x06" + arp + bytes(18))

    def echo(self, target, mac, ident):
        body = struct.pack("!HH", ident, 1) + bytes(8)
        body = b"\x08\0" + struct.pack("!H", checksum(b"\x08\0\0\0" + body)) + body
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0, socket.inet_aton(self.address), socket.inet_aton(target))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        self.wire.socket.send(mac + self.client_mac + b"\x08\0" + header + body)

    def icmp(self):
        """(ICMP type, source, destination, ident) of all that the host sent."""
        return [(data[34], socket.inet_ntoa(data[26:30]), socket.inet_ntoa(data[30:34]), struct.unpack("!H", data[38:40])[0])
                for _, mine, data in self.wire.read() if mine and data[12:14] == b"\x08\0" and data[23] == 1]

    def answered(self, ident):
        return any(kind == 0 and number == ident for kind, _, _, number in self.icmp())

    def said(self):
        """The MACs given in ARP replies for the service address."""
        return {a[2] for a in self.wire.arps() if a[3] == SERVICE and a[5] == 2}


def test_only_the_master_is_at_the_service_address(lab):
    """6.4.2: a Backup answers no ARP, discards frames for the virtual MAC, accepts no packet for the address. 6.4.3: the Master does all three."""
    alpha, beta = lab.two()
    client = lab.client()
    client.probe()
    client.finish()
    for host in alpha, beta:
        there = Injector(lab, host, client)
        there.who_has(SERVICE)
        there.echo(SERVICE, VIRTUAL_MAC, 1)
        there.echo(SERVICE, there.host_mac, 2)
        there.echo(host.address, VIRTUAL_MAC, 3)
        there.echo(host.address, there.host_mac, 4)
        there.wire.wait(lambda: there.answered(4), 5, "its own address at its own MAC answers")
        if host is alpha:
            there.wire.wait(lambda: there.answered(1) and there.said(), 5, "the Master answers")
            assert there.said() == {VIRTUAL_MAC}
        else:
            assert not there.said() and not [ident for ident in (1, 2, 3) if there.answered(ident)]
            assert not [a for a in there.wire.arps() if a[3] == SERVICE], "nor says that it had it"


def test_the_virtual_router_is_no_router(lab):
    """What is sent to the virtual MAC for somebody else is not forwarded, and nobody is redirected."""
    alpha = lab.host("alpha", "192.0.2.11").start()
    alpha.namespace.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])
    lab.first(alpha)
    client = lab.client()
    client.probe()
    client.finish()
    there = Injector(lab, alpha, client)
    for target in "192.0.2.77", "198.51.100.1":
        there.echo(target, VIRTUAL_MAC, 7)
    there.echo(SERVICE, VIRTUAL_MAC, 8)
    there.wire.wait(lambda: there.answered(8), 5, "the service address answers")
    assert not [found for found in there.icmp() if found[0] == 5 or found[3] == 7]
    router_advertisements = [data for _, mine, data in there.wire.read() if mine and data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] == 134]
    assert not router_advertisements


@pytest.mark.timed(100)
@pytest.mark.parametrize("version", [2, 3])
def test_losing_advert_is_answered_at_once(lab, version):
    """9568 6.4.3: its sender, and the switches between, learn who leads; not an interval later."""
    alpha = lab.host("alpha", "192.0.2.11", pair={"vrrp-version": version, "advert-interval-ms": 1000, "priority": 100}).start()
    lab.first(alpha, 15)
    forger = Forger(lab)
    wire = lab.wire(alpha.lan_port)
    wire.wait(wire.adverts, 5, "an advert")
    forger.send(advert(version=version, priority=99, interval=1 if version == 2 else 100))
    heard = wire.wait(lambda: wire.adverts(from_host=False), 2, "the loser's")[0][0]
    answer = wire.wait(lambda: [a[0] for a in wire.adverts() if a[0] >= heard], 3, "an answer")[0]
    assert answer - heard < 0.5
    assert alpha.state() == "master"


def test_another_interval_or_list_is_told_and_counts(lab):
    """9568 7.1: neither is a reason to drop an advert, both are to be told."""
    alpha = lab.host("alpha", "192.0.2.11", pair={"priority": 100}).start()
    lab.first(alpha)
    forger = Forger(lab)
    forger.send(advert(priority=99))
    wait_until(lambda: alpha.counters()["counted"] == 1, 5, "heard")
    assert not alpha.told("Stranger"), "as ours: nothing to tell"
    sequence = alpha.get("Sequence")  # it is Backup for four intervals
    forger.send(advert(priority=101, interval=11))
    alpha.wait_signal("StateChanged", lambda args: args[1] == "backup" and args[3] > sequence)
    alpha.wait_signal("Stranger", lambda args: args[:2] == ("192.0.2.66", "interval-mismatch"))
    alpha.wait_state("master")
    sequence = alpha.get("Sequence")
    forger.send(advert(priority=101, addresses=("192.0.2.101",)))
    alpha.wait_signal("StateChanged", lambda args: args[1] == "backup" and args[3] > sequence)
    assert alpha.wait_signal("Stranger", lambda args: args[1] == "address-mismatch")[0] == "192.0.2.66"
    counters = alpha.counters()
    assert (counters["interval-mismatch"], counters["address-mismatch"], counters["counted"]) == (1, 1, 3)


def test_runs_with_two_capabilities_and_no_more(lab, tmp_path):
    """As the supervisor starts it: an own user, CAP_NET_ADMIN and CAP_NET_RAW."""
    alpha, beta = lab.two(start=False)
    uid = 65533
    run = alpha.folder / "run/understudy"
    (run / "vrrpd").mkdir()
    os.chmod(run / "private", 0o1777)
    os.chown(run / "vrrpd", uid, uid)
    program = tmp_path / "understudy-vrrpd"
    shutil.copy(lab.vrrpd, program)
    for folder in [alpha.folder, *tmp_path.parents]:
        if folder != tmp_path.anchor and str(folder).startswith("/tmp/") and os.stat(folder).st_uid == 0:
            os.chmod(folder, os.stat(folder).st_mode | 0o055)
    os.chmod(tmp_path, 0o755)
    alpha.enter_words = alpha.enter
    rights = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all,+net_admin,+net_raw",
              "--ambient-caps=+net_admin,+net_raw", "--bounding-set=-all,+net_admin,+net_raw", "--no-new-privs"]
    alpha.enter = lambda argv: alpha.enter_words([*rights, str(program)])
    alpha.start(peer=beta)
    lab.first(alpha)
    status = open(f"/proc/{alpha.process.pid}/status", encoding="ascii").read()
    assert f"Uid:\t{uid}\t" in status and "CapEff:\t0000000000003000" in status
    alpha.set_serving(True)
    assert alpha.has_service()
    read = alpha.namespace.run(["cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore"])
    assert read.stdout == "1\n", "CAP_NET_ADMIN is enough for the kernel's settings"
    assert not [p for p in alpha.get("Problems") if not p.startswith(("no-realtime", "memory-not-locked"))]
    client = lab.client()
    client.probe()
    beta.start(peer=alpha)
    assert alpha.terminate() == 0
    beta.wait_state("master")


def test_refuses_arguments(lab):
    done = subprocess.run([lab.vrrpd, "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and "no arguments" in done.stderr
