# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole machine: its own systemd as pid 1, its own disk over a common root file system, its own network, from systemd-nspawn.

    with House() as house:
        lan = house.net.switch("lan")
        alpha = house.device("alpha", {"eth0": (lan, "192.0.2.11/24")})
        alpha.start()
        alpha.run(["systemctl", "is-system-running", "--wait"])
        alpha.power_cut()

A Machine is a Device of the demo's laboratory as far as its users go, so a Pair may be made of machines: Pair(..., lab=House()).
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

import image  # noqa: E402  (the demo's folder must be on the path first)
from lab.device import Device, Lab, LabError, process_name, remove_cgroup, unified_cgroup  # noqa: E402
from lab.net import run, wait_until  # noqa: E402

BUS_SOCKET = "/run/dbus/system_bus_socket"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)

houses = []  # those that stand now: what their machines said is shown when a test fails


def systemd_cgroup():
    """Our own folder in systemd's own hierarchy, where there is one beside the unified; else None."""
    own = point = None
    with open("/proc/self/cgroup", encoding="ascii") as cgroup:
        for line in cgroup:
            _, names, path = line.rstrip("\n").split(":", 2)
            if names == "name=systemd":
                own = path
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            kind, _, options = right.split()[:3]
            if kind == "cgroup" and "name=systemd" in options.split(","):
                root, place = left.split()[3:5]
                point = os.path.normpath(f"{place}/{os.path.relpath(own or '/', root)}")
    return point


def tail(text, most=100):
    return "\n".join(text.splitlines()[-most:])


class House(Lab):
    """Folders, cgroups, networks and machines of one test; removes all of it at its end."""

    def __init__(self):
        super().__init__(build=None)
        self.cgroups = [self.cgroup]
        beside = systemd_cgroup()
        if beside:
            # nspawn puts a machine of its own cgroup there into the same place of the unified hierarchy.
            self.cgroups.append(f"{beside}/{os.path.relpath(self.cgroup, unified_cgroup())}")
            os.mkdir(self.cgroups[1])
        houses.append(self)

    def device(self, name, ports, installed=True):
        """A machine; without the package when installed is false."""
        return Machine(self, name, ports, installed)

    def last_words(self):
        """For a test that failed: what each machine's console and journal say."""
        return [(f"{machine.name}: {what}", tail(text)) for machine in self.devices
                for what, text in (("console", machine.console()), ("journal", machine.journal())) if text]

    def close(self):
        try:
            for machine in self.devices:
                machine.scrap()
        finally:
            if self in houses:
                houses.remove(self)
            for place in self.cgroups[1:]:
                wait_until(lambda place=place: remove_cgroup(place), 5, f"remove {place}")
            super().close()


class Machine(Device):
    """One machine. Off at first; its disk keeps what it is told through power cuts."""

    def __init__(self, house, name, ports, installed):  # pylint: disable=super-init-not-called
        self.pid = 0
        self._launcher = None
        self.namespace = None
        self.frozen = False
        self.lab = house
        self.name = name
        self.cabling = ports
        self.ports = {}
        self.path = f"{house.path}/{name}"
        self.disk = f"{house.find_disk()}/{name}"
        self.root = f"{self.disk}/root"
        self.cgroup = f"{house.cgroup}/{name}"
        house.devices.append(self)
        os.makedirs(self.path)
        for folder in ("written", "work", "root"):
            os.makedirs(f"{self.disk}/{folder}")
        base = image.installed() if installed else image.root()
        run(["mount", "-t", "overlay", "overlay", "-o",
             f"lowerdir={base},upperdir={self.disk}/written,workdir={self.disk}/work", self.root])
        self.write("/etc/machine-id", f"{os.urandom(16).hex()}\n", 0o444)
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")

    def file(self, path):
        """Where on the host the machine's path is, whether it is on or off. (/run and /tmp are there only while it is on: place().)"""
        return f"{self.root}{path}"

    def read(self, path):
        try:
            with open(self.place(path), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    # Power.

    def _cgroups(self):
        return [f"{top}/{self.name}" for top in self.lab.cgroups]

    def start(self):
        """Switches the machine on; returns when its system bus answers."""
        if self.pid:
            raise LabError(f"{self.name} is on already")
        self._unplug()
        self.namespace = self.lab.net.namespace(self.name)
        for interface, (switch, address) in self.cabling.items():
            self.ports[interface] = switch.connect(self.namespace, interface, address)
        for folder in self._cgroups():
            os.makedirs(folder, exist_ok=True)
        with open(f"{self.path}/console.log", "ab") as console:
            self._launcher = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={self.lab.net.tag}-{self.name}",
                 f"--hostname={self.name}", f"--network-namespace-path={self.namespace.path}", "--capability=CAP_NET_ADMIN",
                 "--register=no", "--keep-unit", "--settings=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                 "--console=pipe", "--kill-signal=SIGRTMIN+3"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, preexec_fn=self._enter,
                # One hierarchy of cgroups inside, whatever this machine has; and the network's own settings may be written.
                env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1", SYSTEMD_NSPAWN_API_VFS_WRITABLE="network", LANG="C.UTF-8"))
        self.pid = wait_until(self._find_leader, 20, f"{self.name}: its first process")
        wait_until(lambda: self._launcher.poll() is not None or os.path.exists(self.place(BUS_SOCKET)), 30, f"{self.name}: its bus")
        if self._launcher.poll() is not None:
            raise LabError(f"{self.name} does not start: {self.console()[-2000:]}")

    def _enter(self):
        """In the child that becomes nspawn: into cgroups of its own; told to end the machine when we are gone."""
        for folder in self._cgroups():
            with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as procs:
                procs.write("0")
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def _find_leader(self):
        """nspawn's child that is pid 1 of a new namespace."""
        if self._launcher.poll() is not None:
            raise LabError(f"{self.name} does not start: {self.console()[-2000:]}")
        nspawn = self._launcher.pid
        try:
            with open(f"/proc/{nspawn}/task/{nspawn}/children", encoding="ascii") as children:
                for pid in map(int, children.read().split()):
                    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
                        ids = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
                    if len(ids) > 1 and ids[-1] == "1" and process_name(pid) == "systemd":
                        return pid
        except (OSError, StopIteration):
            pass
        return 0

    def boot(self, timeout_s=40):
        """start(), and everything that is enabled has been started."""
        self.start()
        wait_until(lambda: self.state() in ("running", "degraded"), timeout_s, f"{self.name}: booted", 0.05)

    def state(self):
        """As systemctl is-system-running says it."""
        return self.run(["systemctl", "is-system-running"], check=False).stdout.strip()

    def reboot(self):
        """In good order: every unit is stopped, then the machine starts again."""
        self.run(["systemctl", "--no-block", "poweroff"])
        self._launcher.wait(timeout=120)
        self.power_off()
        self.start()

    def follow_reboot(self, timeout_s=120):
        """It reboots by itself, which its nspawn says by how it ends (133), and is started again."""
        ended = self._launcher.wait(timeout=timeout_s)
        if ended != 133:
            raise LabError(f"{self.name} did not reboot, its nspawn ended with {ended}: {self.console()[-2000:]}")
        self.power_off()
        self.start()

    def power_off(self):
        """Ends pid 1, and with it the machine. (Its kernel is ours, so what it wrote is on its disk.)"""
        self._end(20)
        for folder in self._cgroups():
            wait_until(lambda folder=folder: remove_cgroup(folder), 10, f"remove {folder}")

    def scrap(self):
        """Off for good, disk and all."""
        self.power_off()
        if os.path.ismount(self.root):
            run(["umount", self.root])
        shutil.rmtree(self.disk, ignore_errors=True)

    # Looking in.

    def bus_address(self):
        return f"unix:path=/proc/{self.pid}/root{BUS_SOCKET}"

    def journal(self, *options):
        """What its journal holds, on or off; of its last start without other options."""
        return run(["journalctl", f"--directory={self.root}/var/log/journal", "--no-pager", "--quiet", "--output=short-precise", *options],
                   check=False).stdout

    def processes(self):
        """(pid on the host, name of the executable) of each of its processes."""
        if not self.pid:
            return []
        found = []
        with_pid = os.readlink(f"/proc/{self.pid}/ns/pid")
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == with_pid:
                    name = process_name(int(entry))
                    if name:
                        found.append((int(entry), name))
            except OSError:
                continue
        return found
