# SPDX-License-Identifier: LGPL-2.1-or-later
"""A place of its own for the real notifyd and the real command line: a mount namespace with its own /etc, /run and /var/lib, and a bus.

Nothing of the machine is touched, so any number of places may exist at once. The test stays outside and reaches in through /proc/<pid>/root.
"""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))
from lab.signals import weakly  # noqa: E402

NOTIFY = "org.understudy.Notify1"
NOTIFY_PATH = "/org/understudy/Notify1"
DEADLINE_S = 20

# Users that may do more and more; the daemon has its own, as on a device.
USERS = {"understudy-notify": 900, "stranger": 901, "viewer": 902, "operator": 903}
GROUPS = {"understudy-notify": (900, ""), "stranger": (901, ""), "viewer": (902, ""), "operator": (903, ""),
          "understudy-view": (910, "viewer"), "understudy-operate": (911, "operator"), "understudy": (912, "")}

ENTER = """
set -e
T=/mnt
mount -t tmpfs -o mode=755 tmpfs $T
for f in passwd group nsswitch.conf ld.so.cache ld.so.conf localtime; do [ -e /etc/$f ] && cp -aL /etc/$f $T/; done
mkdir -p $T/understudy
mount --move $T /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
echo ready
exec sleep infinity
"""

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Runs the main loop until @condition() is true. The loop wakes at each signal of the bus and, for what has no signal, every 10 ms."""
    context = GLib.MainContext.default()
    end = time.monotonic() + deadline_s
    tick = GLib.timeout_add(10, lambda: True)
    try:
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
            context.iteration(True)
    finally:
        GLib.source_remove(tick)


class Place:
    def __init__(self, build):
        self.build = Path(build)
        self.top = Path(__file__).resolve().parents[2]
        self.children = []
        self.bus_daemon = self.notifyd = None
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER], stdout=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL)
        self.children.append(self.holder)
        assert self.holder.stdout.readline() == b"ready\n", "the namespace could not be made; these tests need root"
        self.root = Path(f"/proc/{self.holder.pid}/root")
        with open(self.root / "etc/passwd", "a", encoding="utf-8") as file:
            file.writelines(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in USERS.items())
        with open(self.root / "etc/group", "a", encoding="utf-8") as file:
            file.writelines(f"{name}:x:{gid}:{members}\n" for name, (gid, members) in GROUPS.items())
        self.write("etc/understudy/device.conf", "[device]\nid=dev-a\nname=Device A\n")
        for folder, mode, owner in (("run/understudy/private", 0o1777, 0), ("var/lib/understudy/notify", 0o700, USERS["understudy-notify"])):
            (self.root / folder).mkdir(parents=True)
            (self.root / folder).chmod(mode)
            os.chown(self.root / folder, owner, owner)
        (self.root / "var/lib/understudy").chmod(0o755)
        self.write("run/bus.conf", BUS_CONFIG.format(policy=self.top / "dbus/org.understudy.conf"))

    def write(self, path, text):
        (self.root / path).write_text(text, encoding="utf-8")

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdout, child.stderr, child.stdin):
                if stream:
                    stream.close()

    # ---- processes inside ----

    def command(self, words, user=None):
        enter = ["nsenter", f"--target={self.holder.pid}", "--mount", "--root", "--wd"]
        if user:
            enter += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return enter + [word if isinstance(word, bytes) else str(word) for word in words]

    def environment(self, **more):
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LC_ALL", "LANG")}
        return {**environment, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/run/bus", "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}

    def start(self, words, user=None, **more):
        child = subprocess.Popen(self.command(words, user), env=self.environment(), stdin=subprocess.DEVNULL, **more)
        self.children.append(child)
        return child

    def run(self, *words, user=None, input=None, env=None, timeout=DEADLINE_S):
        return subprocess.run(self.command(words, user), env=self.environment(**(env or {})), input=input, stdin=None if input is not None
                              else subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)

    def ctl(self, *words, **more):
        return self.run(self.build / "ctl/understudy", *words, **more)

    def start_bus(self):
        (self.root / "run/bus").unlink(missing_ok=True)
        self.bus_daemon = self.start(["dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile", "--print-address"],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.bus_daemon.stdout.readline().startswith(b"unix:"), "dbus-daemon did not start"

    def stop_bus(self):
        self.bus_daemon.kill()
        self.bus_daemon.wait()

    def start_notifyd(self):
        self.notifyd = self.start([self.build / "notifyd/understudy-notifyd"], user="understudy-notify", stderr=subprocess.PIPE)
        wait_until(self.private_answers, "notifyd answers on its private socket")

    def kill_notifyd(self, number=signal.SIGKILL):
        # nsenter and setpriv exec what they run, so the pid is the daemon's own.
        self.notifyd.send_signal(number)
        return self.notifyd.wait(DEADLINE_S)

    def notifyd_stderr(self):
        """What is there to read now."""
        text = b""
        while select.select([self.notifyd.stderr], [], [], 0)[0]:
            piece = os.read(self.notifyd.stderr.fileno(), 65536)
            if not piece:
                break
            text += piece
        return text.decode()

    # ---- connections from outside ----

    def system_bus(self):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        connection = Gio.DBusConnection.new_for_address_sync(f"unix:path={self.root}/run/bus", flags, None, None)
        connection.set_exit_on_close(False)
        return Client(connection, NOTIFY)

    def private_socket(self):
        address = f"unix:path={self.root}/run/understudy/private/notify"
        return Client(Gio.DBusConnection.new_for_address_sync(address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None), None)

    def private_answers(self):
        assert self.notifyd.poll() is None, f"notifyd ended: {self.notifyd_stderr()}"
        try:
            client = self.private_socket()
            client.get("Count")
            client.connection.close_sync(None)
            return True
        except GLib.Error:
            return False

    def wait_for_name(self, client):
        wait_until(lambda: client.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
                                                       GLib.Variant("(s)", (NOTIFY,)), None, 0, 5000, None).unpack()[0],
                   f"{NOTIFY} is on the bus")
        return client


class Client:
    """Notify1 over one connection: the system bus (a destination) or the private socket (none)."""

    def __init__(self, connection, destination):
        self.connection, self.destination = connection, destination
        self.signals = []
        connection.signal_subscribe(destination, None, None, NOTIFY_PATH, None, Gio.DBusSignalFlags.NONE, weakly(self._on_signal))

    def _on_signal(self, _connection, _sender, _path, interface, member, args):
        self.signals.append((interface, member, args.unpack()))

    def call(self, method, signature=None, *values, interface=NOTIFY):
        args = GLib.Variant(signature, values) if signature else None
        return self.connection.call_sync(self.destination, NOTIFY_PATH, interface, method, args, None, 0, DEADLINE_S * 1000, None).unpack()

    def raise_event(self, application="SIP", name="something", priority=1, description="", reference="", **options):
        return self.call("Raise", "(ssyssa{sv})", application, name, priority, description, reference, options)[0]

    def list(self, **filters):
        return self.call("List", "(a{sv})", filters)[0]

    def list_all(self):
        """Page by page, as one answer is bounded."""
        events = page = self.list(count=GLib.Variant("u", 10000))
        while page:
            page = self.list(count=GLib.Variant("u", 10000), before=GLib.Variant("t", events[-1]["id"]))
            events = events + page
        return events

    def mark_read(self, *ids):
        return self.call("MarkRead", "(at)", list(ids))[0]

    def get(self, name):
        return self.call("Get", "(ss)", NOTIFY, name, interface="org.freedesktop.DBus.Properties")[0]

    def fails(self, method, signature, *values):
        """The (error name, text) the call ends with."""
        try:
            self.call(method, signature, *values)
        except GLib.Error as error:
            name = Gio.DBusError.get_remote_error(error)
            Gio.DBusError.strip_remote_error(error)
            return name, error.message
        raise AssertionError(f"{method} did not fail")
