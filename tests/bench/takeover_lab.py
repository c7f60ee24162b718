# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two whole devices that run a PBX in turn, ours or keepalived's, and the phones' host.

                   phones: 200 contacts, OPTIONS, calls
                                   │
        ════════════════════════ switch ════════════════════════
             │ alpha                                │ beta
             └──────────────(ours: peer cable)──────┘

Both are the demo's devices: processes, network, mounts and disk of their own, so that a power cut takes everything at once, and both start the same
Kamailio by the same command. Ours copies what the phones have registered by itself. keepalived copies nothing: its administrator does (copy_data()
below), and as good as anybody could: the whole database, and right before each fault.
"""

import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "demo"), str(TOP / "tests" / "netns")]

import pbx  # noqa: E402  (these folders must be on the path first)
from lab.device import Lab, LabError  # noqa: E402
from lab.net import wait_until  # noqa: E402
from lab.pair import PLACES, SERVICE, Pair, hosts  # noqa: E402
from phones import Phones, accounts, numbers  # noqa: E402
from probe import Probe  # noqa: E402
from vrrp_lab import keepalived_conf  # noqa: E402
from watch import AddressWatch, BusWatch  # noqa: E402

from election_lab import KEEPALIVED, PRIORITIES  # noqa: E402
from frame import Rejected  # noqa: E402
from gate import Gate  # noqa: E402

PHONES = "192.0.2.100"
CONTACTS = 200
OPTIONS_MS, CALLS_MS = 2, 10
LOST_S = 15
LATE_NS = 5_000_000
PBX = "/etc/keepalived/pbx"
PBX_PID = "/run/pbx.pid"
# What keepalived calls at every change. No service manager is asked: that is the fastest way there is.
PBX_SCRIPT = f"""\
#!/bin/sh
case $1 in
start)
	[ -e {PBX_PID} ] && kill -0 "$(cat {PBX_PID})" 2>/dev/null && exit 0
	setsid {pbx.COMMAND} </dev/null >>/var/log/pbx 2>&1 &
	echo $! >{PBX_PID} ;;
stop)
	[ -e {PBX_PID} ] && kill "$(cat {PBX_PID})" && rm {PBX_PID} ;;
esac
exit 0
"""
SCRIPTS = "script_user root\n    enable_script_security"
# keepalived's scripts may start nothing that runs in real time (it sets RLIMIT_RTTIME to nothing for them), so neither of the two does. Ready as in
# data/examples.
APPLICATION = "".join(
    {"command": f"command={pbx.COMMAND}\n", "ready": "ready=sip-options\n", "ready-command": f"ready-address=udp {SERVICE}:{pbx.PORT}\nearly-traffic=queue\n"}.get(
        line.split("=")[0], line) for line in pbx.APPLICATION_TEXT.splitlines(True))
NOTIFY = f"""notify_master "{PBX} start"
    notify_backup "{PBX} stop"
    notify_fault "{PBX} stop"
    notify_stop "{PBX} stop\""""


def contacts_on_disk(database):
    """How many there are in a database that nobody has open, without touching it; one that is just being replaced has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in ("", "-wal"):
                if name == "" or os.path.exists(database + name):
                    shutil.copyfile(database + name, f"{folder}/copy{name}")
            with closing(sqlite3.connect(f"{folder}/copy")) as connection:
                return connection.execute("select count(distinct username) from location").fetchone()[0]
        except (OSError, sqlite3.Error):
            return 0


class OurPair(Pair):
    """With the peer cable, which carries the copy and is the second path of the election."""

    def __init__(self, build, config):
        super().__init__(build, {"kamailio": APPLICATION},
                         settings={"advert-interval-ms": config.interval_ms, "virtual-mac": str(config.vmac).lower()})
        try:
            pbx.install(self.first, SERVICE, accounts(CONTACTS), {})
            pbx.install(self.second, SERVICE, None, None)
            self.start()
        except BaseException:
            self.close()
            raise

    def prepare(self):
        """Whatever must be so for the next fault to be survived: the other device has every registration on its disk."""
        self.wait_settled()
        copy = self.backup().file(pbx.LOCATION_DB)
        wait_until(lambda: contacts_on_disk(copy) == CONTACTS, 15, "every registration is on the Backup's disk", 0.05)

    @contextmanager
    def unwatched(self):
        """Nobody listens on the two buses, as nobody does on keepalived's: to be told costs processor time, the device's and the listener's."""
        for watch in self.watches.values():
            watch.stop()
        self.watches.clear()
        yield
        for device in self.devices.values():
            self.watches[device.name] = BusWatch(device, self.origin)

    def swap(self):
        self.master().run(["understudy", "swap"])

    def supervisors(self):
        return [device.pid_of("understudy-supervisor") for device in self.devices.values()]

    def describe_last(self):
        """The timeline, where there is one."""
        return self.master().run(["understudy", "timeline"], check=False).stdout


class KeepalivedPair:
    """One LAN, no second path. The names are Pair's."""

    def __init__(self, _build, config):
        self.lab = Lab(None)
        self.addresses = AddressWatch(SERVICE, self.lab.net)
        self.devices = {}
        try:
            self.lan = self.lab.net.switch("lan")
            for name, address in zip(PRIORITIES, PLACES["ipv4"][0]):
                self.devices[name] = self._device(name, address, config)
            self.first, self.second = self.devices.values()
            for device in (self.second, self.first):  # which of the two leads first is of no matter
                self.switch_on(device)
            wait_until(self.addresses.holders, 10, "somebody leads")
        except BaseException:
            self.close()
            raise

    def _device(self, name, address, config):
        device = self.lab.device(name, {"eth0": (self.lan, address)})
        pbx.install(device, SERVICE, accounts(CONTACTS), {})
        device.write(PBX, PBX_SCRIPT, mode=0o755)
        device.write("/etc/keepalived/keepalived.conf", keepalived_conf(
            name, [f"{SERVICE}/24"], config.version, f"{config.interval_ms / 1000:g}", PRIORITIES[name], config.vmac, extra=NOTIFY,
            global_extra=f"{KEEPALIVED['keepalived']}\n    {SCRIPTS}"))
        device.services = [["/usr/sbin/keepalived", "-n", "-P", "-l", "-G", "-f", "/etc/keepalived/keepalived.conf"]]
        return device

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.addresses.stop()
        self.lab.close()

    def switch_on(self, device):
        device.start()
        self.addresses.watch(device)

    def power_cut(self, device):
        device.power_cut()
        self.addresses.forget(device)

    def master(self):
        holders = self.addresses.holders()
        if len(holders) != 1:
            raise LabError(f"not exactly one Master: {holders}")
        return self.devices[holders[0]]

    def other(self, device):
        return self.second if device is self.first else self.first

    def settled(self):
        holders = self.addresses.holders()
        if len(holders) != 1:
            return False
        master = self.devices[holders[0]]
        return master.pid_of("kamailio") and self.other(master).pid_of("keepalived") and not self.other(master).pid_of("kamailio")

    def prepare(self):
        wait_until(self.settled, 15, "a settled pair of keepalived", 0.02)
        self.copy_data()

    def copy_data(self):
        """The registrations, whole and consistent, to where the Backup's Kamailio will look for them."""
        master = self.master()
        source, place = master.file(pbx.LOCATION_DB), self.other(master).file(pbx.LOCATION_DB)
        for old in ("", "-wal", "-shm"):
            Path(place + old).unlink(missing_ok=True)
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as database, closing(sqlite3.connect(f"{place}.copy")) as copy:
            database.backup(copy)
            copy.execute("pragma journal_mode=wal")
        shutil.copymode(source, f"{place}.copy")
        os.chown(f"{place}.copy", *self.other(master).account("kamailio"))
        os.rename(f"{place}.copy", place)

    def unwatched(self):
        return nullcontext()

    def swap(self):
        """A planned change: keepalived on the Master is started again."""
        self.master().kill("keepalived", signal.SIGTERM)

    def describe_last(self):
        return ""


class PhoneHost:
    """The phones, and two instruments: OPTIONS every 2 ms all the time, a call every 10 ms around a fault."""

    def __init__(self, pair):
        self.pair = pair
        self.namespace = pair.lab.net.namespace("phones")
        self.port = pair.lan.connect(self.namespace, "eth0", f"{PHONES}/24")
        self.phones, self.options, self.calls = None, None, None
        try:
            self.options = Probe(self.namespace, PHONES, SERVICE, interval_ms=OPTIONS_MS)
            self.options.wait_answers(20)
            self.phones = Phones(self.namespace, "eth0", PHONES, SERVICE, CONTACTS)
            self.phones.answer()
            registered = self.phones.register(accounts(CONTACTS))
            if registered != CONTACTS:
                raise Rejected(f"{registered} of {CONTACTS} phones registered")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def begin_calls(self):
        self.calls = Probe(self.namespace, PHONES, SERVICE, interval_ms=CALLS_MS, number=numbers(1)[0])
        self.calls.wait_answers(5)

    def end_calls(self):
        if self.calls:
            self.calls.stop()
        self.calls = None

    def lost(self):
        """How many of the contacts cannot be called any more, also the second time. Nobody has registered again meanwhile."""
        before = self.phones.registers.count
        answered = self.phones.call_each(numbers(CONTACTS), rate=100)
        if answered < CONTACTS:
            answered = self.phones.call_each(numbers(CONTACTS), rate=20)
        if self.phones.registers.count != before:
            raise RuntimeError("a phone has registered again")
        return CONTACTS - answered

    def close(self):
        self.end_calls()
        for part in (self.options, self.phones):
            if part:
                part.stop()


def cut_power(pair, device):
    """Right after it has said that it is there, which is the worst moment and the same for everybody: all its cables in the same instant, then all
    its processes. Returns when that was (seconds of time.monotonic())."""
    gate = Gate(pair.lan.namespace, [port.name for port in device.ports.values()])
    try:
        read_ns, cut_ns = gate.cut_after_advert(pair.lan, hosts(device.cabling["eth0"][1])[0], LOST_S)
    finally:
        gate.close()
    pair.power_cut(device)
    if cut_ns - read_ns > LATE_NS:
        raise Rejected(f"it took {(cut_ns - read_ns) / 1e6:.1f} ms to cut the cables")
    return cut_ns / 1e9
