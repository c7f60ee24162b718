# SPDX-License-Identifier: LGPL-2.1-or-later
"""Crash-only: killed at any moment, with run-time state that is gone or garbage, with a bus that is dead or frozen."""

import os
import signal
import subprocess
import time

import pytest
from gi.repository import Gio, GLib
from vrrp_lab import ROOT, SERVICE, VRRP, Lab, wait_until

from lab.device import listens  # vrrp_lab puts the demo's folder on the path

pytestmark = pytest.mark.timed(100, real_time=True)

BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""


@pytest.fixture
def lab(build):
    with Lab(build) as lab:
        yield lab


def masters(*hosts):
    return [host.name for host in hosts if host.state() == "master"]


# ---- Killed ----

@pytest.mark.timed(60)
def test_killed_again_and_again_the_master_is_the_master(lab):
    alpha, beta = lab.two()
    client = lab.client()
    client.probe()
    sequence = alpha.get("Sequence"), beta.get("Sequence")
    for n in range(10):
        alpha.process.kill()
        alpha.process.wait(10)
        alpha.spawn()
        alpha.connect()
        wait_until(lambda n=n: alpha.counters()["sent"] >= 1 + n % 3, 5, "it speaks again")
    gaps, to_the_end = client.finish()
    assert (alpha.get("Sequence"), beta.get("Sequence")) == sequence and masters(alpha, beta) == ["alpha"]
    assert to_the_end and alpha.get("Standing") == "serving"


@pytest.mark.timed(60)
def test_asked_to_end_while_it_starts_it_still_takes_its_leave(lab):
    alpha, beta = lab.two()
    wire = lab.wire(alpha.lan_port)
    log, full = alpha.log, os.pipe()
    os.set_blocking(full[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(full[1], bytes(65536))
    os.set_blocking(full[1], True)
    alpha.kill()
    at = time.monotonic()
    alpha.log = full[1]  # so it waits after its first advert, where it tells of it
    alpha.spawn()
    alpha.log = log
    os.close(full[1])
    wire.wait(lambda: [a for a in wire.adverts() if a[0] > at], 5, "it goes on")
    alpha.process.terminate()
    with os.fdopen(full[0], "rb") as pipe:
        pipe.read()
    assert alpha.process.wait(10) == 0
    assert not alpha.has_service()
    beta.wait_state("master")
    assert beta.get("Reason") == "master-resigned"


def test_killed_while_taking_over_somebody_leads(lab):
    """At moments spread over the whole takeover."""
    alpha, beta = lab.two()
    for n in range(6):
        lead, follow = (alpha, beta) if alpha.state() == "master" else (beta, alpha)
        lead.resign("test")
        wait_until(lambda n=n: follow.counters()["received"] >= 0 and (follow.state() == "master" or n % 2), 5, "about to lead")
        follow.process.kill()
        follow.process.wait(10)
        follow.spawn()
        follow.connect()
        follow.lease()  # of which the one that was killed knew
        wait_until(lambda: sorted([alpha.state(), beta.state()]) == ["backup", "master"], 10, "one leads, the other follows")


# ---- Run-time state ----

def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def master_state(**changes):
    keys = {"boot_id": boot_id(), "group_id": "51", "version": "3", "family": "2", "device": "eth0", "role": "master", "reason": "x",
            "sequence": "5", "since_us": "1", "step": "1", "heard_step": "0", "serving": "true", "served": "true", **changes}
    return "[state]\n" + "".join(f"{key}={value}\n" for key, value in keys.items() if value is not None)


GARBAGE = {
    "empty": ("", None),
    "binary": (bytes(range(256)).decode("latin-1"), None),
    "half a file": (master_state()[:60], None),
    "no reason": (master_state(reason=None), None),
    "a step beyond all bounds": (master_state(step="4000000000"), None),
    "a negative step": (master_state(step="-7"), None),
    "a peer of no sense": (master_state(peer="{'offset': <byte 7>}"), None),
    "a peer that is no value": (master_state(peer="{{{"), None),
    "an unknown role": (master_state(role="emperor"), None),
    "of another boot": (master_state(boot_id="0"), None),
    "of another group": (master_state(group_id="52"), None),
    "an advert of the future": (master_state(), "99999999999999999999\n"),
    "an advert of no number": (master_state(), "yesterday\n"),
    "an advert of no length": (master_state(), ""),
    "an advert below zero": (master_state(), "-0000000000000000001\n"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_state_that_cannot_be_true_makes_no_master(lab, kind):
    alpha, beta = lab.two()
    alpha.kill()
    folder = alpha.folder / "run/understudy/vrrpd"
    state, advert = GARBAGE[kind]
    (folder / "state").write_text(state, encoding="latin-1")
    if advert is not None:
        (folder / "last-advert").write_text(advert)
    wire = lab.wire(alpha.lan_port)
    alpha.spawn()
    alpha.connect()
    assert alpha.state() == "backup" and not alpha.has_service(), "it listens, and has let go"
    beta.wait_state("master")
    assert alpha.get("Reason") and alpha.get("Step", VRRP) < 100
    alpha.set_peer(beta)
    alpha.lease()
    wait_until(lambda: alpha.get("LastHeard"), 5, "it hears the other")
    assert masters(alpha, beta) == ["beta"] and not wire.adverts()
    assert alpha.call("GetAll", GLib.Variant("(s)", ("org.understudy.Election1",)), "org.freedesktop.DBus.Properties")


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_run_that_cannot_be_written_stops_no_takeover(lab, kind):
    alpha, beta = lab.two(start=False)
    options = "size=4k" if kind == "full" else "ro"
    (beta.folder / "run/understudy/vrrpd").mkdir()
    subprocess.run(beta.enter(["sh", "-c", f"mount -t tmpfs -o {options} none /run/understudy/vrrpd && "
                                           "{ head -c 100000 /dev/zero > /run/understudy/vrrpd/full || true; } 2>/dev/null"]), check=True)
    client = lab.client()
    alpha.start(peer=beta)
    lab.first(alpha)
    alpha.set_serving(True)
    beta.start(peer=alpha)
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    assert any(p.startswith("state-not-kept: /run/understudy/vrrpd/") for p in beta.get("Problems"))
    client.probe()
    alpha.kill()
    beta.wait_state("master")
    gaps, to_the_end = client.finish()
    assert to_the_end and sum(gaps) < 900, gaps
    beta.hold("passive")
    beta.set_serving(True)
    assert beta.text_log().count("state-not-kept") <= 2, "said once for each of the two files"


# ---- The bus ----

class Bus:
    """A dbus-daemon for one host."""

    def __init__(self, lab, host):
        self.path = host.folder / "bus"
        conf = host.folder / "bus.conf"
        conf.write_text(BUS_CONF.format(path=self.path))
        self.process = subprocess.Popen(["dbus-daemon", f"--config-file={conf}", "--nofork", "--nopidfile"], stdin=subprocess.DEVNULL)
        wait_until(lambda: listens(str(self.path)), 10, "the bus")
        host.bus_address = f"unix:path={self.path}"
        lab.closing.append(self)

    def signal(self, number):
        self.process.send_signal(number)

    def has(self, name):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        connection = Gio.DBusConnection.new_for_address_sync(f"unix:path={self.path}", flags, None, None)
        try:
            return connection.call_sync(name, ROOT, "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", ("org.understudy.Election1", "State")),
                                        None, Gio.DBusCallFlags.NONE, 5000, None).unpack()[0]
        except GLib.Error:
            return None  # nobody has the name, or who had it is just leaving
        finally:
            connection.close_sync(None)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(5)


@pytest.mark.timed(100)
@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_takeover_needs_no_bus(lab, how):
    alpha, beta = lab.two(start=False)
    bus = Bus(lab, beta)
    client = lab.client()
    alpha.start(peer=beta)
    lab.first(alpha)
    alpha.set_serving(True)
    beta.start(peer=alpha)
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    wait_until(lambda: bus.has("org.understudy.Vrrp1") == "backup", 10, "it is on the bus")
    client.probe()
    wire = lab.wire(beta.lan_port)
    wire.wait(lambda: wire.adverts(from_host=False), 5, "an advert of alpha")
    bus.signal(signal.SIGSTOP if how == "frozen" else signal.SIGKILL)
    alpha.kill()
    beta.wait_state("master")
    first = wire.wait(wire.adverts, 2, "beta's first advert")[0]
    last = [a for a in wire.adverts(from_host=False)][-1]
    assert (first[0] - last[0]) * 1000 < 300.8 + 100
    gaps, to_the_end = client.finish()
    assert to_the_end and sum(gaps) < 900, gaps
    # Ordered by the private socket as ever, and back on the bus when there is one.
    beta.set_serving(True)
    beta.resign("orderly")
    beta.wait_signal("StateChanged", lambda args: args[1] == "backup" and args[2] == "orderly")  # for a moment: nobody else is there
    if how == "frozen":
        bus.signal(signal.SIGCONT)
        wait_until(lambda: bus.has("org.understudy.Vrrp1") == beta.state(), 10, "what the bus says is true again")


@pytest.mark.timed(60)
def test_started_with_a_frozen_bus_it_goes_on_as_master(lab):
    alpha, beta = lab.two(start=False)
    bus = Bus(lab, alpha)
    alpha.start(peer=beta)
    lab.first(alpha)
    alpha.set_serving(True)
    beta.start(peer=alpha)
    wait_until(lambda: beta.get("LastHeard"), 5, "beta hears alpha")
    bus.signal(signal.SIGSTOP)
    alpha.kill()
    alpha.spawn()
    alpha.connect()
    wire = lab.wire(alpha.lan_port)
    wire.wait(lambda: len(wire.adverts()) > 3, 5, "it speaks")
    assert masters(alpha, beta) == ["alpha"] and beta.get("Sequence") == 1
