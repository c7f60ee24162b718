# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two devices that run nothing but understudy-syncd, driven over its private socket as the supervisor drives it.

Each has a network namespace (a switch and a cable between them) and a mount namespace with a /run, /var/lib and /etc of its own. The
mount namespace is held by a process that outlives syncd, so killing syncd loses nothing that a disk would keep.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
import pytest  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import Network, die_with_parent, wait_until  # noqa: E402
from lab.signals import weakly  # noqa: E402

SYNC, PEER = "org.understudy.Sync1", "org.understudy.Peer1"
PATH = "/org/understudy/Sync1"
FILES = "/var/lib/pbx/etc"          # data set pbx.etc
DATABASE = "/var/lib/pbx/db/contacts.sqlite"  # data set pbx.contacts, volatile
BOOK = "/var/lib/pbx/book/book.sqlite"        # data set pbx.book, config
PORT, PAIRING_PORT = 7443, 7444

HOLDER = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/etc/upper /run/etc/work /run/understudy
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc
case "$1" in /*) mount --bind "$1" /var/lib;; *) mount -t tmpfs -o "mode=755$1" tmpfs /var/lib;; esac
mkdir -p /etc/understudy/applications.d /var/lib/understudy/sync
mkdir -p /run/understudy/private/syncd
chmod 1777 /run/understudy/private/syncd
echo ready
exec sleep infinity
"""

DEVICE_CONF = """\
[device]
id={name}
name={name}
model=test

[interface lan]
device=eth0
{lan}

[interface peer]
device=eth1
{peer}
"""

# By family: lan and peer addresses of alpha and of beta, and the service address.
PLACES = {
    "ipv4": (("192.0.2.11/24", "198.51.100.1/30"), ("192.0.2.12/24", "198.51.100.2/30"), "192.0.2.10/24"),
    "ipv6": (("2001:db8::11/64", "fd00::1/64"), ("2001:db8::12/64", "fd00::2/64"), "2001:db8::10/64"),
    # One interface of each family and one of both.
    "both": (("192.0.2.11/24 2001:db8::11/64", "fd00::1/64"), ("192.0.2.12/24 2001:db8::12/64", "fd00::2/64"), "192.0.2.10/24"),
}


def keys(addresses):
    """As device.conf has them."""
    return "\n".join(f"{'address6' if ':' in one else 'address'}={one}" for one in addresses.split())


def host(addresses):
    """The first one without its prefix."""
    return addresses.split("/")[0]



PAIR_CONF = """\
[pair]
group-id=51
peer-timeout-ms=1500

[group lan]
interface=lan
addresses={service}
"""

APPLICATION = f"""\
[application]
command=/bin/true

[data etc]
path={FILES}
exclude=*.local

[data contacts]
path={DATABASE}
ref=volatile
kind=sqlite

[data book]
path={BOOK}
kind=sqlite
"""


class CallError(Exception):
    def __init__(self, error):
        self.name = Gio.DBusError.get_remote_error(error) or ""
        Gio.DBusError.strip_remote_error(error)
        super().__init__(f"{self.name}: {error.message}")


class Client:
    """One connection to a private socket; signals are kept in the order they came."""

    def __init__(self, path):
        self.signals = []  # (monotonic time, interface, member, values)
        self.context = GLib.MainContext()
        self.loop = GLib.MainLoop.new(self.context, False)
        ready = threading.Event()

        def serve():
            self.context.push_thread_default()
            self.connection = None
            try:
                self.connection = Gio.DBusConnection.new_for_address_sync(
                    f"unix:path={path}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
                self.connection.signal_subscribe(None, None, None, None, None, Gio.DBusSignalFlags.NONE, weakly(self._on_signal))
                # libdbus reads the end of the authentication without descriptors, and loses those of a message that came along with it.
                self.connection.call_sync(None, "/", "org.freedesktop.DBus.Peer", "Ping", None, None, Gio.DBusCallFlags.NONE, 10000, None)
            except GLib.Error:
                return
            finally:
                ready.set()
            self.loop.run()
            self.context.pop_thread_default()

        self.thread = threading.Thread(target=serve, daemon=True)
        self.thread.start()
        ready.wait()
        if not self.connection:
            raise ConnectionError(path)
        # libdbus reads what comes with the end of the authentication as plain bytes: a descriptor in it would be lost, and the connection
        # with it. (On a bus Hello is always first.)
        self.call("org.freedesktop.DBus.Peer", "Ping")

    def _on_signal(self, _connection, _sender, _path, interface, member, values, *_):
        self.signals.append((time.monotonic(), interface, member, values.unpack()))

    def heard(self):
        """The signals so far; all that came before the last answer are among them."""
        done = threading.Event()
        self.context.invoke_full(GLib.PRIORITY_LOW, lambda *_: done.set() or False)
        done.wait(5)
        return list(self.signals)

    def call(self, interface, method, values=None, timeout_ms=10000, fds=(), path=PATH):
        fd_list = Gio.UnixFDList.new() if fds else None
        for fd in fds:
            fd_list.append(fd)
        try:
            reply, _ = self.connection.call_with_unix_fd_list_sync(
                None, path, interface, method, values, None, Gio.DBusCallFlags.NONE, timeout_ms, fd_list, None)
        except GLib.Error as error:
            raise CallError(error) from None
        return reply.unpack()

    def get(self, interface, name):
        return self.call("org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", (interface, name)))[0]

    def close(self):
        try:
            self.connection.close_sync(None)
        except GLib.Error:
            pass
        self.context.invoke_full(GLib.PRIORITY_DEFAULT, lambda *_: self.loop.quit() or False)
        self.thread.join(5)


class Device:
    def __init__(self, lab, name, lan, peer, disk=""):
        self.lab, self.name, self.lan, self.peer = lab, name, host(lan), host(peer)
        self.namespace = lab.net.namespace(name)
        self.ports = [lab.switch.connect(self.namespace, "eth0", lan),
                      lab.cable.connect(self.namespace, "eth1", peer)]
        self.holder = self.namespace.popen(["unshare", "--mount", "--propagation", "private", "sh", "-ec", HOLDER, "sh", disk],
                                           stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        assert self.holder.stdout.readline() == "ready\n"
        self.root = Path(f"/proc/{self.holder.pid}/root")
        self.process, self.client, self.term = None, None, 1
        self.log = lab.folder / f"{name}.log"
        self.write("/etc/understudy/device.conf", DEVICE_CONF.format(name=name, lan=keys(lan), peer=keys(peer)))
        self.write("/etc/understudy/applications.d/pbx.conf", APPLICATION)
        for folder in (FILES, os.path.dirname(DATABASE), os.path.dirname(BOOK)):
            os.makedirs(self.at(folder))

    def at(self, path):
        """A path of the device, as this process can open it."""
        return self.root / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        """As a careful editor does: complete, then in place. (Of one that is written in its place whatever there is by then may be a commit.)"""
        target = self.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".local")
        temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
        temporary.chmod(mode)
        temporary.rename(target)

    def read(self, path):
        try:
            return self.at(path).read_text()
        except FileNotFoundError:
            return None

    def start(self, prefix=()):
        """prefix: a command that executes the rest of its words."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--target={self.holder.pid}", "--mount", "--net", "--root", "--wd",
                 *prefix, str(self.lab.build / "syncd" / "understudy-syncd")],
                stdout=log, stderr=log, preexec_fn=die_with_parent, env={"PATH": "/usr/bin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",
                                             "LC_ALL": "C.UTF-8",
                                             **{k: v for k, v in os.environ.items() if k.startswith(("ASAN", "UBSAN", "LSAN"))}})
        return self.connect()

    def connect(self):
        def attempt():
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                return Client(self.at("/run/understudy/private/syncd/socket"))
            except (ConnectionError, CallError, GLib.Error):
                return None

        self.client = wait_until(attempt, 10, f"{self.name}: syncd answers")
        return self

    def kill(self, number=signal.SIGKILL):
        if not self.process:
            return
        self.process.send_signal(number)
        self.process.wait(10)
        self.process = None
        self.client.close()

    def stop(self):
        self.kill(signal.SIGTERM)

    # ---- what syncd offers ----

    def sync(self, method, signature=None, values=(), **more):
        return self.client.call(SYNC, method, GLib.Variant(signature, values) if signature else None, **more)

    def peer1(self, method, signature=None, values=(), **more):
        return self.client.call(PEER, method, GLib.Variant(signature, values) if signature else None, **more)

    def get(self, name):
        return self.client.get(PEER if name in ("Paired", "PairRecord", "Connected", "Fingerprint", "Published",
                                                "PairingUntilMs", "NextFingerprint", "Untold") else SYNC, name)

    def set_role(self, role, term=None):
        self.term = term or self.term
        began = time.monotonic()
        leader = {"alpha": "beta", "beta": "alpha"}[self.name] if role == "follow" else self.name
        self.sync("SetRole", "(sts)", (role, self.term, leader), timeout_ms=30000)
        return time.monotonic() - began

    def commit(self, message=""):
        return self.sync("Commit", "(ss)", ("tester", message))[0]

    def commit_as(self, message):
        """A commit with our words. On a busy machine what was changed may have been committed by itself before the order came: then one of another
        file."""
        tries = []

        def attempt():
            commit = self.commit(message)["config"]
            if self.sync("History", "(ssu)", ("config", "", 1))[0][0]["message"] == message:
                return commit
            tries.append(None)
            self.write(f"{FILES}/said{len(tries)}.cfg", message)
            return None

        return self.wait(attempt, f"a commit that says {message}")

    def wait_applied(self, commits, timeout_ms=10000):
        self.sync("WaitApplied", "(a{ss}u)", (commits, timeout_ms), timeout_ms=timeout_ms + 5000)

    def open_pairing(self, lifetime_s=60):
        """The code."""
        read_end, write_end = os.pipe()
        try:
            self.peer1("Pair", "(hu)", (0, lifetime_s), fds=[write_end])
            os.close(write_end)
            write_end = -1
            return os.read(read_end, 256).decode()
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)

    def join(self, address, code):
        read_end, write_end = os.pipe()
        try:
            os.write(write_end, code.encode())
            os.close(write_end)
            self.peer1("Join", "(sh)", (address, 0), fds=[read_end], timeout_ms=30000)
        finally:
            os.close(read_end)

    def python(self, code, *arguments, **more):
        """Starts a program that sees the device's files (SQLite resolves paths itself, so ours of the device lead it astray)."""
        return subprocess.Popen(["nsenter", f"--target={self.holder.pid}", "--mount", "--root", "--wd", "/usr/bin/python3", "-c", code, *map(str, arguments)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent, **more)

    def sql(self, path, *statements):
        """Runs statements on a database of the device."""
        code = ("import sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                "for s in sys.argv[2:]: d.execute(s).fetchall()\nd.close()\n")
        process = self.python(code, path, *statements)
        process.communicate(timeout=20)
        assert process.returncode == 0

    def signals(self, member):
        return [values for _, _, name, values in self.client.heard() if name == member]

    def notices(self, name):
        return [text for title, _, text in self.signals("Notice") if title == name]

    def git(self, *words):
        """Stock git on this device's repository."""
        done = subprocess.run(["nsenter", f"--target={self.holder.pid}", "--mount", "--root", "--wd", "git", "--git-dir=/var/lib/understudy/sync/repo.git",
                               *words], capture_output=True, text=True, check=True)
        return done.stdout

    def state(self):
        """What it says of itself now, for whoever looks for the cause of a failure."""
        try:
            return {name: self.get(name) for name in ("Role", "Activity", "Stored", "Applied", "Connected", "LastError")}
        except (CallError, ConnectionError, OSError, AttributeError) as error:
            return repr(error)

    def wait(self, condition, what, timeout_s=10):
        return wait_until(condition, timeout_s, f"{self.name}: {what}\n{self.log.read_text()[-3000:]}")

    def close(self):
        if self.process:
            self.kill()
        self.holder.kill()
        self.holder.wait()


def tree(device, root=FILES):
    """Everything of a data set that ought to travel: path -> what it is."""
    found = {}
    top = device.at(root)
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".understudy-")]
        for name in [*folders, *files, "."]:
            path = os.path.join(folder, name)
            if name.endswith(".local"):
                continue
            st = os.lstat(path)
            what = (oct(st.st_mode), st.st_uid, st.st_gid)
            if os.path.islink(path):
                what += (os.readlink(path),)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    what += (st.st_mtime_ns, file.read())
            found[os.path.relpath(path, top)] = what
    return found


def restore_from(device, commit, path):
    return device.sync("RestoreFrom", "(ssss)", (commit, path, "somebody", f"restore {path}"))[0]


def slow_down(device, rate):
    """What it sends takes its time, however fast the machine is."""
    for interface in ("eth0", "eth1"):
        device.namespace.run(["tc", "qdisc", "replace", "dev", interface, "root", "tbf", "rate", rate, "burst", "64k", "latency", "50ms"])


def speed_up(device):
    """As before."""
    for interface in ("eth0", "eth1"):
        device.namespace.run(["tc", "qdisc", "del", "dev", interface, "root"])


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.start()
        yield lab


@pytest.fixture
def pair(lab):
    """Of the test file's lab: alpha leads, beta follows and has applied what there is."""
    lab.alpha.write(f"{FILES}/main.cfg", "first\n")
    lab.pair()
    lab.in_step()
    return lab.alpha, lab.beta


class SyncLab:
    """alpha keeps its configuration (it has a pair.conf), beta joins. disk: a folder in which each has its /var/lib, else that is memory; size: so many KiB of it."""

    def __init__(self, build, folder, family="ipv4", disk=None, size=0):
        self.build, self.folder = Path(build), Path(folder)
        self.net = Network()
        self.switch, self.cable = self.net.switch("lan"), self.net.switch("peer")
        alpha, beta, service = PLACES[family]
        if disk:
            disk.mkdir(exist_ok=True)
        # A name that was not there before: ext4 chooses by it where on the disk its files are (../bench/README.md).
        places = {name: tempfile.mkdtemp(prefix=f"{name}-", dir=disk) if disk else "" for name in ("alpha", "beta")}
        for place in filter(None, places.values()):
            os.chmod(place, 0o755)
        if size:
            places = {name: f",size={size}k" for name in places}
        self.alpha = Device(self, "alpha", *alpha, disk=places["alpha"])
        self.beta = Device(self, "beta", *beta, disk=places["beta"])
        self.alpha.write("/etc/understudy/pair.conf", PAIR_CONF.format(service=service))

    def start(self):
        self.alpha.start()
        self.beta.start()

    def pair(self):
        """Both paired and connected, alpha leads and beta follows."""
        self.beta.join(self.alpha.lan, self.alpha.open_pairing())
        self.beta.write("/etc/understudy/pair.conf", self.beta.get("PairRecord")["pair_conf"])
        self.beta.sync("Reload")
        for device in (self.alpha, self.beta):
            device.wait(lambda d=device: d.get("Connected"), "connected")
        self.alpha.set_role("lead")
        self.beta.set_role("follow")

    def in_step(self):
        """beta has applied what alpha has. On a busy machine the link may be silent for longer than peer-timeout-ms meanwhile; it comes back."""
        commits = self.alpha.commit()

        def applied():
            try:
                self.alpha.wait_applied(commits)
            except CallError as error:
                if error.name != "org.understudy.Error.NotReachable":
                    raise
                return False
            return True

        self.alpha.wait(applied, "in step", 30)

    def close(self):
        for device in (self.alpha, self.beta):  # pytest shows it when the test failed
            print(f"---- {device.name} ----\n{device.state()}\n{device.log.read_text()[-10000:] if device.log.exists() else 'never started'}")
            device.close()
        self.net.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
