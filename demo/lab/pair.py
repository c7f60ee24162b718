# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two devices on one switch with a cable between them, set up as an administrator would: settings written, then paired with the join code.

    with Pair("build", {"pbx": APPLICATION_TEXT}) as pair:
        pair.start()                  # alpha leads, beta follows
        pair.master().ports["eth0"].cut()
        pair.watches["beta"].wait_role("master")
"""

import contextlib
import subprocess
import time

from watch import AddressWatch, BusWatch

from .device import Lab, LabError
from .net import wait_until

GROUP_ID = 51
SERVICE, SERVICE6 = "192.0.2.10", "2001:db8::10"

# By family: each device's LAN addresses, those on the peer cable, and the service addresses; the lower device first.
PLACES = {
    "ipv4": (("192.0.2.11/24", "192.0.2.12/24"), ("198.51.100.1/30", "198.51.100.2/30"), f"{SERVICE}/24"),
    "ipv6": (("2001:db8::11/64", "2001:db8::12/64"), ("fd00::1/64", "fd00::2/64"), f"{SERVICE6}/64"),
    "both": (("192.0.2.11/24 2001:db8::11/64", "192.0.2.12/24 2001:db8::12/64"),
             ("198.51.100.1/30 fd00::1/64", "198.51.100.2/30 fd00::2/64"), f"{SERVICE}/24 {SERVICE6}/64"),
}

DEVICE_CONF = """\
[device]
id={name}
name={name}
model=demo

[interface lan]
device=eth0
{lan}

[interface peer]
device=eth1
{peer}

[peer]
addresses={others}
"""

PAIR_CONF = """\
[pair]
group-id={group_id}
{settings}

[group lan]
interface=lan
addresses={service}
{sections}"""


def keys(addresses):
    """As [interface] has them: one key a family."""
    return "\n".join(f"{'address6' if ':' in address else 'address'}={address}" for address in addresses.split())


def hosts(addresses):
    """Without their prefixes."""
    return [address.split("/")[0] for address in addresses.split()]


class Pair:
    """Names in order: the first keeps its configuration and leads at first. higher: the name with the higher addresses. family: of PLACES.
    lab: where the devices come from, when not from a Lab with that build; the pair closes it. settings: keys of [pair]; sections: what else
    pair.conf says."""

    def __init__(self, build, applications, names=("alpha", "beta"), higher="beta", origin=None, family="ipv4", lab=None, settings=None, sections=""):
        self.origin = time.monotonic() if origin is None else origin
        self.lab = lab or Lab(build)
        self.names = names
        self.watches = {}
        self.family = family
        self.addresses = None
        self.settings = {"advert-interval-ms": 100, **(settings or {})}
        self.sections = sections
        try:
            self._make(applications, higher)
        except BaseException:
            self.close()
            raise

    def _make(self, applications, higher):
        net = self.lab.net
        self.lan, self.cable = net.switch("lan"), net.cable("peer")
        places = {name: int(name == higher) for name in self.names}
        lan, peer, service = PLACES[self.family]
        self.services = hosts(service)
        self.devices = {}
        for name in self.names:
            own, other = places[name], 1 - places[name]
            device = self.lab.device(name, {"eth0": (self.lan, lan[own]), "eth1": (self.cable, peer[own])})
            device.lan_address, device.peer_address = hosts(lan[own])[0], hosts(peer[own])[-1]
            device.write("/etc/understudy/device.conf", DEVICE_CONF.format(
                name=name, lan=keys(lan[own]), peer=keys(peer[own]), others=", ".join(hosts(peer[other]) + hosts(lan[other]))))
            for application, text in applications.items():
                device.write(f"/etc/understudy/applications.d/{application}.conf", text)
            self.devices[name] = device
        self.first, self.second = (self.devices[name] for name in self.names)
        self.first.write("/etc/understudy/pair.conf", PAIR_CONF.format(
            group_id=GROUP_ID, settings="\n".join(f"{key}={value}" for key, value in self.settings.items()), service=", ".join(service.split()),
            sections=self.sections))
        self.addresses = AddressWatch(self.services[-1], net)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for watch in self.watches.values():
            watch.stop()
        if self.addresses:
            self.addresses.stop()
        self.lab.close()

    # Power.

    def switch_on(self, device):
        device.start()
        self.addresses.watch(device)
        if device.name not in self.watches:
            self.watches[device.name] = BusWatch(device, self.origin)

    def power_cut(self, device):
        device.power_cut()
        self.addresses.forget(device)

    # Pairing.

    def start(self):
        """Both on, paired, first synchronisation done: the first leads, the second follows."""
        for device in (self.first, self.second):
            self.switch_on(device)
        first = self.watches[self.first.name]
        self.lan.speak_until(lambda: first.role() == "master", 30, "the first leads")
        self.watches[self.second.name].wait(lambda: self.watches[self.second.name].role(), 15, "its supervisor")
        self.pair_and_join()
        self.wait_settled()

    def pair_and_join(self):
        """`understudy pair` on the first shows the code, `understudy join` on the second takes it from its input."""
        for watch in self.watches.values():
            watch.wait(lambda watch=watch: watch.sync("Role"), 15, "its synchronisation")
        pairing = self.first.popen(["understudy", "pair"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with pairing,_killed_on_error(pairing):
            code = pairing.stdout.readline()
            if not code.strip():
                raise LabError(f"understudy pair shows no code: {pairing.stderr.read().strip()}")
            self.second.run(["understudy", "join", self.first.peer_address], input=code, timeout=60)
            said = pairing.stderr.read()
            if pairing.wait(timeout=15) != 0:
                raise LabError(f"understudy pair: exit {pairing.returncode}: {said.strip()}")

    # Who is what.

    def roles(self):
        return {name: self.watches[name].role() if self.devices[name].awake() else None for name in self.names}

    def master(self):
        found = [self.devices[name] for name, role in self.roles().items() if role == "master"]
        if len(found) != 1:
            raise LabError(f"not exactly one Master: {self.roles()}")
        return found[0]

    def other(self, device):
        return self.second if device is self.first else self.first

    def backup(self):
        return self.other(self.master())

    def watch(self, device):
        return self.watches[device.name]

    def settled(self):
        """One leads, the other follows, they talk, and nothing waits to be applied."""
        roles = self.roles()
        if sorted(role or "" for role in roles.values()) != ["backup", "master"]:
            return False
        master = next(self.watches[name] for name, role in roles.items() if role == "master")
        backup = next(self.watches[name] for name, role in roles.items() if role == "backup")
        if not (master.peer().get("connected") and backup.peer().get("connected") and backup.sync("FirstSyncDone")):
            return False
        stored = master.sync("Stored")
        return bool(stored) and backup.sync("Applied") == stored and master.sync("PeerApplied") == stored

    def wait_settled(self, timeout_s=30):
        try:
            wait_until(self.settled, timeout_s, "a settled pair", 0.02)
        except TimeoutError:
            raise TimeoutError(f"no settled pair within {timeout_s} s: {self.describe()}") from None

    def describe(self):
        """For errors: what each device says of itself."""
        parts = []
        for name, watch in self.watches.items():
            if self.devices[name].awake():
                parts.append(f"{name}: role {watch.role()}, holds {watch.vrrp('Holds')}, peer {watch.peer()}, sync "
                             f"{[watch.sync(key) for key in ('Role', 'Stored', 'Applied', 'PeerApplied', 'FirstSyncDone', 'LastError')]}")
            else:
                parts.append(f"{name}: off or frozen")
        return "; ".join(parts)



@contextlib.contextmanager
def _killed_on_error(process):
    try:
        yield
    except BaseException:
        process.kill()
        raise
