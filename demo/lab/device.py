# SPDX-License-Identifier: LGPL-2.1-or-later
"""A whole device on this machine: own processes, network, mounts, host name, cgroup, bus, /etc/understudy, /var and /run.

    with Lab(build="build") as lab:
        lan, peer = lab.net.switch("lan"), lab.net.cable("peer")
        alpha = lab.device("alpha", {"eth0": (lan, "192.0.2.11/24"), "eth1": (peer, "10.0.0.1/30")})
        alpha.write("/etc/understudy/device.conf", "...")
        alpha.start()
        alpha.run(["understudy", "status"])
        alpha.power_cut()
        alpha.start()

The product is installed into each device as `meson install` puts it, and is started by the command of its service unit: a device knows of no
demo. Where the kernel allows it the writable layers lie on a real file system, so that fsync costs what it costs.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from .net import Network, make_memory_folder, remove_memory_folder, run, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
OVERLAYS = ("usr", "etc")
UNIT = "/usr/lib/systemd/system/understudy.service"
BUS_SOCKET = "run/dbus/system_bus_socket"
KEPT_S = 3600


class LabError(Exception):
    """This machine cannot hold the laboratory, or a device does not do what every device does."""


def unified_cgroup():
    """Our own folder in the unified hierarchy, from /proc/self/mountinfo and /proc/self/cgroup."""
    own = "/"
    with open("/proc/self/cgroup", encoding="ascii") as cgroup:
        for line in cgroup:
            if line.startswith("0::"):
                own = line[3:].strip()
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            if right.split()[0] != "cgroup2":
                continue
            root, point = left.split()[3:5]
            inside = os.path.relpath(own, root) if own.startswith(root) else "."
            path = os.path.normpath(f"{point}/{inside}")
            if os.path.isdir(path) and os.access(path, os.W_OK):
                return path
    raise LabError("no writable unified cgroup hierarchy is mounted (see /proc/self/mountinfo); mount -t cgroup2 none /sys/fs/cgroup")


def installed(build):
    """What `meson install` puts on a device: a folder in the build folder, made once for everybody as long as nothing was built anew."""
    with open(f"{build}/meson-info/intro-installed.json", encoding="utf-8") as file:
        sources = sorted([*json.load(file), f"{build}/meson-private/install.dat"])
    stamps = ((source, os.stat(source).st_mtime_ns, os.stat(source).st_size) for source in sources)
    image = f"{build}/image-{hashlib.sha256(repr(list(stamps)).encode()).hexdigest()[:16]}"
    with open(f"{build}/image.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(image):
            shutil.rmtree(f"{build}/image.new", ignore_errors=True)
            run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", f"{build}/image.new"], timeout=120)
            os.rename(f"{build}/image.new", image)
            for name in os.listdir(build):  # what nobody can be about to copy any more
                path = f"{build}/{name}"
                if name.startswith("image-") and path != image and os.stat(path).st_mtime < time.time() - KEPT_S:
                    shutil.rmtree(path, ignore_errors=True)
        os.utime(image)
    return image


class Lab:
    """Folders, cgroups, networks and devices of one run; removes all of it at its end."""

    def __init__(self, build, keep_files=False):
        self.build = build and os.path.abspath(build)
        self.keep_files = keep_files
        self.devices = []
        self.net = Network()
        self.path, self.disk, self._tmpfs, self._image = None, None, None, None
        self.cgroup = f"{unified_cgroup()}/understudy-lab-{self.net.tag}"
        try:
            os.mkdir(self.cgroup)
            self.path = make_memory_folder("understudy-lab-", "/run")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def find_disk(self):
        """A folder for the writable layers: on a real file system, else (when / is an overlay itself) on a tmpfs."""
        if self.disk:
            return self.disk
        candidate = tempfile.mkdtemp(prefix="understudy-lab-", dir="/var/tmp")
        reason = self._try_overlay(candidate)
        if reason:
            shutil.rmtree(candidate)
            self._tmpfs = f"{self.path}/disk"
            os.mkdir(self._tmpfs)
            run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", self._tmpfs])
            second = self._try_overlay(self._tmpfs)
            if second:
                raise LabError(f"this kernel mounts no overlay here: {reason}; on tmpfs: {second}")
            candidate = self._tmpfs
        self.disk = candidate
        return candidate

    @staticmethod
    def _try_overlay(folder):
        for name in ("upper", "work", "merged"):
            os.mkdir(f"{folder}/{name}")
        done = run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir=/etc,upperdir={folder}/upper,workdir={folder}/work", f"{folder}/merged"], check=False)
        if done.returncode == 0:
            run(["umount", f"{folder}/merged"])
        for name in ("upper", "work", "merged"):
            shutil.rmtree(f"{folder}/{name}")
        return done.stderr.strip() if done.returncode else None

    def image(self):
        """What is installed on each of the devices; None: nothing."""
        if not self._image and self.build:
            self._image = installed(self.build)
        return self._image

    def device(self, name, ports):
        return Device(self, name, ports)

    def close(self):
        for device in self.devices:
            device.power_off()
        self.net.close()
        wait_until(lambda: remove_cgroup(self.cgroup), 5, f"remove {self.cgroup}")
        if self._tmpfs:
            run(["umount", "--lazy", self._tmpfs], check=False)
        if not self.keep_files:
            if self.disk:
                shutil.rmtree(self.disk, ignore_errors=True)
            if self.path:
                remove_memory_folder(self.path)


def listens(path):
    """Whether somebody takes connections there; the socket is there a moment before."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        return line.connect_ex(path) == 0


def remove_cgroup(path):
    """Removes a cgroup with all below it; false while a dying process is still in one."""
    try:
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Device:
    """One device. Off at first; start() switches it on; files are written before or while it runs."""

    def __init__(self, lab, name, ports):
        self.pid = 0
        self._launcher = None
        self.namespace = None
        self.cgroup = f"{lab.cgroup}/{name}"
        lab.devices.append(self)
        self.lab = lab
        self.name = name
        self.cabling = ports
        self.ports = {}
        self.path = f"{lab.path}/{name}"
        self.disk = f"{lab.find_disk()}/{name}"
        self.run_folder = f"{self.path}/run"
        self.frozen = False
        self.unit = True
        self.services = []
        for folder in (self.run_folder, f"{self.path}/root"):
            os.makedirs(folder)
        for folder in OVERLAYS:
            os.makedirs(f"{self.disk}/{folder}")
            os.makedirs(f"{self.disk}/.work-{folder}")
        for folder in ("lib", "log", "cache", "spool", "local", "lib/dbus", "lib/misc"):
            os.makedirs(f"{self.disk}/var/{folder}")
        os.symlink("../run", f"{self.disk}/var/run")
        os.symlink("../run/lock", f"{self.disk}/var/lock")
        self._install()

    # Files.

    def file(self, path):
        """Where on the host one may write what the device has at path."""
        top = path.lstrip("/").split("/")[0]
        if top == "run":
            return f"{self.path}{path}"
        if top in (*OVERLAYS, "var"):
            return f"{self.disk}{path}"
        raise LabError(f"{path}: not a place a device keeps")

    def place(self, path):
        """Where on the host the device's path is now: through its own root while it is on, else in its layers."""
        return f"/proc/{self.pid}/root{path}" if self.pid else self.file(path)

    def write(self, path, text, mode=0o644, owner=None):
        """Writes a file of the device: whole, also when it runs."""
        place = self.place(path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(f"{place}.new~", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{place}.new~", mode)
        os.rename(f"{place}.new~", place)
        if owner:
            self.chown(path, owner)

    def chown(self, path, owner):
        uid, gid = self.account(owner)
        os.chown(self.place(path), uid, gid)

    def read(self, path):
        """What the device sees at path, also where that comes from the host's layer; None when there is no such file."""
        for place in (self.place(path),) if self.pid else (self.file(path), path):
            try:
                with open(place, encoding="utf-8") as file:
                    return file.read()
            except FileNotFoundError:
                continue
        return None

    def account(self, name):
        for line in self.read("/etc/passwd").splitlines():
            words = line.split(":")
            if words[0] == name:
                return int(words[2]), int(words[3])
        raise LabError(f"{self.name}: no user {name}")

    def _install(self):
        image = self.lab.image()
        if image:
            for top in os.listdir(image):
                if top in (*OVERLAYS, "var"):
                    run(["cp", "-a", f"{image}/{top}/.", f"{self.disk}/{top}/"])
        machine_id = os.urandom(16).hex()
        self.write("/etc/machine-id", f"{machine_id}\n", 0o444)
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        os.symlink("/etc/machine-id", f"{self.disk}/var/lib/dbus/machine-id")
        self._add_users(f"{self.disk}/usr/lib/sysusers.d")

    def _add_users(self, folder):
        """What systemd-sysusers would do with our file at installation, for the three kinds of line we use."""
        files = {name: self.read(f"/etc/{name}") for name in ("passwd", "group", "shadow")}
        next_id = 950

        def known(name, key):
            return any(line.split(":")[0] == key for line in files[name].splitlines())

        def add_group(key):
            nonlocal next_id
            if not known("group", key):
                files["group"] += f"{key}:x:{next_id}:\n"
                next_id += 1

        def gid_of(key):
            return next(line.split(":")[2] for line in files["group"].splitlines() if line.split(":")[0] == key)

        lines = []
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                lines += [line.split() for line in file if line.strip() and not line.startswith("#")]
        for kind in ("g", "u", "m"):
            for words in lines:
                if not words[0].startswith(kind):
                    continue
                if kind in ("g", "u"):
                    add_group(words[1])
                if kind == "u" and not known("passwd", words[1]):
                    files["passwd"] += f"{words[1]}:x:{gid_of(words[1])}:{gid_of(words[1])}::/nonexistent:/usr/sbin/nologin\n"
                    files["shadow"] = (files["shadow"] or "") + f"{words[1]}:!*:19000::::::\n"
                if kind == "m":
                    add_group(words[2])
                    files["group"] = "".join(
                        f"{line}{'' if line.endswith(':') else ','}{words[1]}\n" if line.split(":")[0] == words[2] else f"{line}\n"
                        for line in files["group"].splitlines())
        for name, text in files.items():
            if text is not None:
                self.write(f"/etc/{name}", text, 0o640 if name == "shadow" else 0o644)

    # Power.

    def start(self):
        """Switches the device on; returns when its bus answers. Its network interfaces are new, its /run is empty, its disk is as it was
        left. (To be called by the main thread: the device goes when the thread that started it does.)"""
        if self.pid:
            raise LabError(f"{self.name} is on already")
        self._unplug()
        self.namespace = self.lab.net.namespace(self.name)
        for interface, (switch, address) in self.cabling.items():
            self.ports[interface] = switch.connect(self.namespace, interface, address)
        for name in os.listdir(self.run_folder):
            place = f"{self.run_folder}/{name}"
            shutil.rmtree(place) if os.path.isdir(place) and not os.path.islink(place) else os.unlink(place)
        os.makedirs(f"{self.run_folder}/lock")
        os.makedirs(self.cgroup, exist_ok=True)
        plan = {
            "name": self.name, "root": f"{self.path}/root", "disk": self.disk, "run": self.run_folder, "overlays": OVERLAYS,
            "netns": self.namespace.path, "cgroup": self.cgroup, "bus": True,
            "unit": UNIT if self.unit and os.path.exists(self.file(UNIT)) else None, "services": self.services,
        }
        with open(f"{self.path}/plan.json", "w", encoding="utf-8") as file:
            json.dump(plan, file)
        with open(f"{self.path}/console.log", "ab") as console:
            self._launcher = subprocess.Popen([sys.executable, f"{HERE}/boot.py", f"{self.path}/plan.json"], stdin=subprocess.DEVNULL,
                                              stdout=subprocess.PIPE, stderr=console, text=True, start_new_session=True)
        line = self._launcher.stdout.readline()
        if not line:
            raise LabError(f"{self.name} does not start: {self.console()[-2000:]}")
        self.pid = int(line)
        wait_until(lambda: self._launcher.poll() is not None or listens(f"{self.path}/{BUS_SOCKET}"), 10, f"{self.name}: its bus")
        if self._launcher.poll() is not None:
            raise LabError(f"{self.name} does not start: {self.console()[-2000:]}")

    def awake(self):
        """Switched on and not frozen: worth asking."""
        return bool(self.pid) and not self.frozen

    def console(self):
        """Everything its processes wrote to standard error."""
        try:
            with open(f"{self.path}/console.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def power_cut(self):
        """The power goes: no frame leaves from this instant, then every process is gone, then the carrier. (The frames go first because a
        device whose processes are being killed still answers for some ms; the carrier goes last because a living one would notice and
        say goodbye, which a device without power cannot.)"""
        for port in self.ports.values():
            port.block()
        self.power_off()

    def _end(self, timeout_s):
        """Kills pid 1, and with it every process, frozen or not; then nothing is plugged in any more."""
        if self._launcher:
            try:
                # The launcher ends with its child; the child, when we do not know it yet, with the launcher.
                os.kill(self.pid or self._launcher.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._launcher.wait(timeout=timeout_s)
            if self._launcher.stdout:
                self._launcher.stdout.close()
            self._launcher = None
        self.pid, self.frozen = 0, False
        self._unplug()

    def power_off(self):
        """The device is off, at once."""
        self._end(10)
        if os.path.isdir(self.cgroup):
            wait_until(lambda: remove_cgroup(self.cgroup), 5, f"remove {self.cgroup}")

    def _unplug(self):
        self.ports = {}
        if self.namespace:
            self.namespace.close()
            self.namespace = None

    def freeze(self):
        """Every process stops where it is, as when a hypervisor pauses the machine; its kernel goes on answering ARP and ping."""
        self._freeze("1")
        self.frozen = True
        wait_until(lambda: "frozen 1" in self._cgroup_events(), 5, f"{self.name}: frozen")

    def thaw(self):
        self._freeze("0")
        self.frozen = False

    def _freeze(self, value):
        with open(f"{self.cgroup}/cgroup.freeze", "w", encoding="ascii") as file:
            file.write(value)

    def _cgroup_events(self):
        with open(f"{self.cgroup}/cgroup.events", encoding="ascii") as file:
            return file.read()

    # Looking in.

    def command(self, argv):
        """argv as it must be run on the host to run inside."""
        # --root and --wd: a namespace of mounts alone would lead to the machine's root when we are in a chroot of it.
        return ["nsenter", f"--target={self.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
                "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root", "TERM=dumb", *argv]

    def run(self, argv, check=True, timeout=30, **more):
        """Runs a command in the device (not in its cgroup: a frozen device can still be looked at)."""
        if not self.pid:
            raise LabError(f"{self.name} is off")
        return run(self.command(argv), check=check, timeout=timeout, **more)

    def popen(self, argv, **more):
        return subprocess.Popen(self.command(argv), **more)

    def bus_address(self):
        """Its system bus as the host reaches it."""
        return f"unix:path={self.path}/{BUS_SOCKET}"

    def processes(self):
        """(pid on the host, name of the executable) of each of its processes."""
        found = []
        for folder, _, _ in os.walk(self.cgroup):
            try:
                with open(f"{folder}/cgroup.procs", encoding="ascii") as procs:
                    pids = [int(line) for line in procs]
            except OSError:
                continue
            for pid in pids:
                name = process_name(pid)
                if name:
                    found.append((pid, name))
        return found

    def pid_of(self, name):
        """Host pid of the (first) process with that name, or 0."""
        return next((pid for pid, known in sorted(self.processes()) if known == name), 0)

    def kill(self, name, number=signal.SIGKILL):
        """Signals one process of the device by its pid; returns the pid."""
        pid = self.pid_of(name)
        if not pid:
            raise LabError(f"{self.name}: no process {name}")
        os.kill(pid, number)
        return pid

    def wait_process(self, name, timeout_s=10, not_pid=0):
        """The pid of a process by that name other than not_pid, once there is one."""
        return wait_until(lambda: next((pid for pid, known in self.processes() if known == name and pid != not_pid), 0), timeout_s,
                          f"{self.name}: process {name}")


def process_name(pid):
    """The name a process was started by; its comm is cut to 15 letters. None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            if file.read() == "vrrpd-heir\n":  # it shares its parent's memory, words and all
                return "vrrpd-heir"
    except OSError:
        return None
    if not words[0]:
        return None
    name = os.path.basename(words[0].decode(errors="replace"))
    if name.startswith("python3") and len(words) > 1 and words[1].endswith(b"/boot.py"):
        return "init"
    return name
