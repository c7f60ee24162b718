# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/security.md says that each process and each group of people cannot do, tried on a device."""

import json
import os
import stat
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import run, wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import Pair  # noqa: E402

TREE = Path(__file__).resolve().parents[2]
SLEEPER = "[application]\ncommand=/bin/sleep 1000000\nuser=nobody\n\n[data words]\npath=/var/lib/words\nref=config\n"
PEOPLE = {"stranger": (2101, None), "viewer": (2102, "understudy-view"), "operator": (2103, "understudy-operate"), "administrator": (2104, "understudy")}
LEVELS = ("view", "operate", "administer")
MAY = {"stranger": (), "viewer": LEVELS[:1], "operator": LEVELS[:2], "administrator": LEVELS}


@pytest.fixture(scope="module")
def device(build):
    """The first of a pair, not paired yet."""
    with Pair(build, {"words": SLEEPER}) as pair:
        device = pair.first
        os.makedirs(device.file("/var/lib/words"))
        os.chmod(device.file("/var/lib/words"), 0o700)
        passwd, group = device.read("/etc/passwd"), device.read("/etc/group")
        for name, (uid, level) in PEOPLE.items():
            passwd += f"{name}:x:{uid}:{uid}::/nonexistent:/bin/sh\n"
            group += f"{name}:x:{uid}:\n"
            if level:
                group = "\n".join(f"{line}{'' if line.endswith(':') else ','}{name}" if line.split(":")[0] == level else line
                                  for line in group.splitlines()) + "\n"
        device.write("/etc/passwd", passwd)
        device.write("/etc/group", group)
        pair.switch_on(device)
        pair.watches[device.name].wait_role("master", 30)
        for daemon in ("Vrrp1", "Sync1", "Notify1"):
            wait_until(lambda daemon=daemon: device.run(["busctl", "status", f"org.understudy.{daemon}"], check=False).returncode == 0, 15, daemon)
        yield device


# ---- Processes ----

DAEMONS = {"understudy-vrrpd": "understudy-vrrp", "understudy-syncd": "understudy-sync", "understudy-notifyd": "understudy-notify"}

# Each is tried with exactly the rights of the running daemon, in its namespaces.
ATTEMPTS = {
    "write settings": "open('/etc/understudy/pair.conf', 'a')",
    "write programs": "open('/usr/lib/understudy/understudy-supervisor', 'ab')",
    "write a new file in /etc": "open('/etc/understudy/new', 'w')",
    "write units": "open('/etc/systemd/system/new.service', 'w')",
    "read the password file": "open('/etc/shadow').read()",
    "open a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "open a packet socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "change interfaces": "set_flags()",
    "bind a port below 1024": "socket.socket().bind(('127.0.0.1', 79))",
    "become root": "os.setuid(0)",
    "become another user": "os.setresuid(65534, 65534, 65534)",
    "signal the supervisor": "os.kill(pid('understudy-supervisor'), 0)",
    "signal another daemon": "[os.kill(pid(name), 0) for name in DAEMONS if name != ME]",
    "signal an application": "os.kill(pid('sleep'), 0)",
    "look into another's memory": "[open(f'/proc/{pid(name)}/mem', 'rb') for name in DAEMONS if name != ME]",
    "mount": "libc_mount()",
    "load a kernel module": "module()",
    "change the clock": "time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))",
    "read the key of the pair": "open('/var/lib/understudy/sync/key.pem').read()",
    "read the passwords of targets": "open('/etc/understudy/secrets.d/mail.boss').read()",
    "read the events": "open('/var/lib/understudy/notify/events.db', 'rb').read(1)",
    "write the events": "open('/var/lib/understudy/notify/events.db', 'ab')",
    "read the supervisor's state": "os.listdir('/var/lib/understudy/supervisor')",
    "write the supervisor's state": "open('/var/lib/understudy/supervisor/term', 'a')",
    "write the election's state": "open('/run/understudy/vrrpd/new', 'w').close()",
    "read data of applications": "open('/var/lib/words/letter').read()",
    "write data of applications": "open('/var/lib/words/letter', 'a')",
    "give a file away": "os.chown('/var/lib/words/letter', 65534, 65534)",
    "say that applications may run": "open('/run/understudy/master', 'a')",
    "remove another's socket": "rename_there_and_back()",
    "talk to the supervisor": "talk('supervisor')",
    "talk to the election": "talk('vrrp')",
    "talk to the synchronisation": "talk('syncd/socket')",
    "talk to the events": "talk('notify')",
    "order the supervisor": "talk('supervisor', 'Supervisor1', 'Supervisor1', 'ResetHealth')",
    "order the election": "talk('vrrp', 'Vrrp1', 'Election1', 'Reload')",
    "order the synchronisation": "talk('syncd/socket', 'Sync1', 'Sync1', 'Reload')",
    "order the events": "talk('notify', 'Notify1', 'Notify1', 'MarkRead', GLib.Variant('(at)', ([],)))",
}
CAN = {
    "understudy-vrrpd": {"open a raw socket", "open a packet socket", "change interfaces", "write the election's state", "talk to the election", "order the election"},
    "understudy-syncd": {"read the password file", "read the key of the pair", "read the passwords of targets", "read the events", "read the supervisor's state", "read data of applications",
                         "write data of applications", "give a file away", "talk to the synchronisation", "order the synchronisation"},
    "understudy-notifyd": {"read the passwords of targets", "read the events", "write the events", "talk to the supervisor", "talk to the election",
                           "talk to the synchronisation", "talk to the events", "order the events"},
}
PROBE = """
import ctypes, fcntl, os, socket, sys, time
from gi.repository import Gio, GLib
def pid(name):
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.basename(open(f"/proc/{each}/cmdline").read().split("\\0")[0]) == name:
                return int(each)
        except OSError:
            pass
    raise LookupError(name)
def check(value):
    if value < 0:
        raise OSError(ctypes.get_errno(), "refused")
LIBC = ctypes.CDLL(None, use_errno=True)
def libc_mount():
    check(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None))
def module():
    check(LIBC.syscall(313, -1, b"", 0) if ctypes.get_errno() == 1 else -1)
def rename_there_and_back():
    os.rename("/run/understudy/private/supervisor", "/run/understudy/private/gone")
    os.rename("/run/understudy/private/gone", "/run/understudy/private/supervisor")
def set_flags():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        fcntl.ioctl(line, 0x8914, fcntl.ioctl(line, 0x8913, b"lo".ljust(40, b"\\0")))  # SIOCGIFFLAGS, SIOCSIFFLAGS
def talk(name, path="", interface="", method="", arguments=None):
    try:
        line = Gio.DBusConnection.new_for_address_sync(f"unix:path=/run/understudy/private/{name}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
        if method:
            line.call_sync(None, f"/org/understudy/{path}", f"org.understudy.{interface}", method, arguments, None, 0, 5000, None)
        else:
            line.call_sync(None, "/", "org.freedesktop.DBus.Peer", "Ping", None, None, 0, 5000, None)
    except GLib.Error as error:
        raise PermissionError(error.message)
name = sys.argv[1]
ME = name
DAEMONS = sys.argv[2].split(",")
done = {}
for what, code in __import__("json").loads(sys.argv[3]).items():
    child = os.fork()
    if child == 0:
        try:
            exec(code)
        except OSError:
            os._exit(1)
        except BaseException as error:
            print(what, repr(error), file=sys.stderr)
            os._exit(2)
        os._exit(0)
    done[what] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(__import__("json").dumps(done))
"""


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def as_daemon(pid, *argv):
    """A command with the user, groups, capabilities, mounts and network of that process."""
    status = status_of(pid)
    names = run(["capsh", f"--decode={status['CapBnd']}"]).stdout.strip().split("=")[1]
    listed = [name for name in names.split(",") if name]
    sets = ",".join(["-all", *(f"+{name.removeprefix('cap_')}" for name in listed)])
    groups = ",".join(status["Groups"].split())
    return run(["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "/usr/bin/setpriv",
                f"--reuid={status['Uid'].split()[0]}", f"--regid={status['Gid'].split()[0]}", f"--groups={groups}", f"--bounding-set={sets}",
                f"--inh-caps={sets}", f"--ambient-caps={sets}", "--no-new-privs", *argv], check=False, timeout=60)


@pytest.mark.parametrize("name", DAEMONS)
def test_rights_are_as_few_as_said(device, name):
    status = status_of(device.pid_of(name))
    wanted = {"understudy-vrrpd": {"cap_net_admin", "cap_net_raw"}, "understudy-syncd": {"cap_dac_override", "cap_chown", "cap_fowner"}, "understudy-notifyd": set()}[name]
    for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        decoded = run(["capsh", f"--decode={status[kind]}"]).stdout.strip().split("=")[1]
        assert {each for each in decoded.split(",") if each} == wanted, kind
    assert status["NoNewPrivs"] == "1"
    assert len(set(status["Uid"].split())) == 1 and status["Uid"].split()[0] != "0"


@pytest.mark.parametrize("name", DAEMONS)
def test_a_process_can_what_is_said_and_nothing_else(device, name):
    device.write("/var/lib/words/letter", "dear\n", 0o600)
    device.write("/run/probe.py", PROBE, 0o644)
    wait_until(lambda: os.path.exists(device.file("/var/lib/understudy/notify/events.db")), 10, "the events")
    set_secret(device, "geheim")
    done = as_daemon(device.pid_of(name), "/usr/bin/python3", "/run/probe.py", name, ",".join(DAEMONS), json.dumps(ATTEMPTS))
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert not [what for what, code in outcome.items() if code not in (0, 1)], done.stderr
    assert {what for what, code in outcome.items() if code == 0} == CAN[name]


def test_the_page_says_what_is_tried():
    text = (TREE / "docs/security.md").read_text(encoding="utf-8")
    for what in ATTEMPTS:
        assert f"| {what} |" in text, what
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:5]] for line in text.splitlines() if line.startswith("| ")}
    listed = text[text.index("| tried |"):].split("\n\n")[0].splitlines()[2:]
    assert {line.split("|")[1].strip() for line in listed} == set(ATTEMPTS)
    for what in ATTEMPTS:
        assert rows[what] == ["yes" if what in CAN[name] else "no" for name in DAEMONS], what


# ---- People ----

# As whoever runs it: calls each method with empty arguments, and prints the names of the errors.
CALLS = """
import json, os, sys
import gi
from gi.repository import Gio, GLib
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
empty = {"s": "''", "b": "false", "h": "0", "o": "'/'", "d": "0.0"}
said = []
for service, interface, method, signature in json.loads(sys.argv[1]):
    values = []
    for kind in signature:
        values.append(GLib.Variant.parse(GLib.VariantType(kind), empty.get(kind, "[]" if kind[0] == "a" else "0"), None, None))
    fds = Gio.UnixFDList.new_from_array([os.open("/dev/null", os.O_RDONLY)])
    try:
        bus.call_with_unix_fd_list_sync(f"org.understudy.{service}", f"/org/understudy/{service}", interface, method, GLib.Variant.new_tuple(*values), None, 0,
                                        10000, fds, None)
        said.append("")
    except GLib.Error as error:
        said.append(Gio.DBusError.get_remote_error(error) or error.message)
print(json.dumps(said))
"""
# Signals that one process receives, until it is asked for them.
LISTEN = """
import sys
from gi.repository import Gio, GLib
bus, loop, seen = Gio.bus_get_sync(Gio.BusType.SYSTEM), GLib.MainLoop(), []
def got(_bus, sender, path, interface, signal, _args):
    if path.startswith("/org/understudy"):
        seen.append(signal)
def ask():
    bus.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", None, None, 0, 20000, None)
def asked(_fd, _condition):
    ask()
    GLib.idle_add(loop.quit, priority=GLib.PRIORITY_LOW)  # behind what came before the answer
bus.signal_subscribe(None, None, None, None, None, 0, got)
ask()
print("listening", flush=True)
GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, 0, GLib.IOCondition.IN, asked)
loop.run()
print(",".join(seen) or "nothing")
"""
SERVICES = {"Supervisor1": ("Supervisor1",), "Vrrp1": ("Election1", "Vrrp1"), "Sync1": ("Sync1", "Peer1"), "Notify1": ("Notify1",)}
ACCESS = "org.understudy.Access"


def methods():
    """(service, interface, method, types of its arguments, level) of all that the contracts have at the services' roots."""
    found = []
    for service, interfaces in SERVICES.items():
        for name in interfaces:
            root = ElementTree.parse(TREE / f"dbus/interfaces/org.understudy.{name}.xml").getroot()
            for method in root.iter("method"):
                level = next((each.get("value") for each in method.findall("annotation") if each.get("name") == ACCESS), "view")
                found.append((service, f"org.understudy.{name}", method.get("name"),
                              [arg.get("type") for arg in method.findall("arg") if arg.get("direction") == "in"], level))
    return found


def person(name, *argv):
    uid, level = PEOPLE[name]
    return ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", *argv]


@pytest.mark.parametrize("who", PEOPLE)
def test_a_person_cannot_call_what_is_above_the_group(device, who):
    device.write("/run/calls.py", CALLS, 0o644)
    denied = [each for each in methods() if each[4] not in MAY[who] and not (who == "stranger" and each[2] == "Raise")]
    done = device.run(person(who, "/usr/bin/python3", "/run/calls.py", json.dumps([each[:4] for each in denied])), check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    for each, error in zip(denied, json.loads(done.stdout)):
        assert error == "org.freedesktop.DBus.Error.AccessDenied", (each, error)
    assert bool(denied) == (who != "administrator")


def test_an_administrator_gives_no_commands(device):
    """Neither an application's nor the one that reboots: root writes those."""
    words = ["busctl", "call", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1", "SetSettings", "sssa{sv}"]
    before = device.read("/etc/understudy/device.conf")
    wanted = before.replace("[device]\n", "[device]\nreboot-command=/usr/bin/touch /run/mine\n")
    for file, text in (("applications.d/words.conf", SLEEPER), ("applications.d/mine.conf", SLEEPER), ("device.conf", wanted)):
        for options in (["0"], ["1", "dry_run", "b", "true"]):
            done = device.run(person("administrator", *words, file, text, "", *options), check=False)
            assert done.returncode != 0 and "root-only: " in done.stderr, (file, done.stderr)
    assert device.read("/etc/understudy/device.conf") == before
    # Others of device.conf are his to change.
    assert device.run(person("administrator", *words, "device.conf", before.replace("model=", "model=other "), "", "0")).returncode == 0
    assert device.run(person("administrator", *words, "device.conf", before, "", "0")).returncode == 0


# With empty arguments they change nothing.
HARMLESS = {"view": [("Supervisor1", "org.understudy.Supervisor1", "Timeline", ["u"]), ("Supervisor1", "org.understudy.Supervisor1", "Settings", ["s"])],
            "operate": [("Supervisor1", "org.understudy.Supervisor1", "ResetHealth", []), ("Supervisor1", "org.understudy.Supervisor1", "SetMode", ["s", "a{sv}"])],
            "administer": [("Supervisor1", "org.understudy.Supervisor1", "SetSettings", ["s", "s", "s", "a{sv}"]), ("Supervisor1", "org.understudy.Supervisor1", "Reload", [])]}


@pytest.mark.parametrize("who", PEOPLE)
def test_a_person_can_call_what_the_group_may(device, who):
    device.write("/run/calls.py", CALLS, 0o644)
    wanted = [call for level in MAY[who] for call in HARMLESS[level]]
    done = device.run(person(who, "/usr/bin/python3", "/run/calls.py", json.dumps(wanted)), check=False, timeout=60)
    for call, error in zip(wanted, json.loads(done.stdout)):
        assert error != "org.freedesktop.DBus.Error.AccessDenied", call


def set_secret(device, text, who="administrator"):
    return device.run(person(who, "understudy", "secret", "set", "mail.boss"), input=text, check=False)


def test_a_password_is_set_and_never_read(device):
    for who in PEOPLE:
        done = set_secret(device, f"geheim of {who}\n", who)
        assert (done.returncode == 0) == (who == "administrator"), done.stderr
    path = device.file("/etc/understudy/secrets.d/mail.boss")
    assert open(path, encoding="utf-8").read() == "geheim of administrator"
    found = os.stat(path)
    gid = next(int(line.split(":")[2]) for line in device.read("/etc/group").splitlines() if line.startswith("understudy-notify:"))
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 0, gid)
    for who in PEOPLE:
        assert device.run(person(who, "/usr/bin/cat", "/etc/understudy/secrets.d/mail.boss"), check=False).returncode != 0


@pytest.mark.parametrize("who", PEOPLE)
def test_properties_and_signals(device, who):
    """A stranger sees nothing of the pair on the bus, events and changes of role included."""
    read = device.run(person(who, "busctl", "get-property", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1", "Role"),
                      check=False)
    assert (read.returncode == 0) == (who != "stranger")
    device.write("/run/listen.py", LISTEN, 0o644)
    listening = device.popen(person(who, "/usr/bin/python3", "/run/listen.py"), stdin=-1, stdout=-1, text=True)
    assert listening.stdout.readline() == "listening\n"
    for text in ("heard", "again"):
        device.run(["busctl", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", "Raise", *raise_words(text)])
    out, _ = listening.communicate("\n", timeout=30)
    assert (out == "nothing\n") == (who == "stranger"), out


def test_anybody_raises_events_of_his_own(device):
    words = ["busctl", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", "Raise"]
    assert device.run(person("stranger", *words, *raise_words("from outside")), check=False).returncode == 0


def raise_words(text):
    root = ElementTree.parse(TREE / "dbus/interfaces/org.understudy.Notify1.xml").getroot()
    types = [arg.get("type") for method in root.iter("method") if method.get("name") == "Raise" for arg in method.findall("arg") if arg.get("direction") == "in"]
    values = {"s": text, "y": "3", "u": "0", "x": "0", "t": "0", "a{sv}": "0", "b": "false"}
    return ["".join(types), *(values[each] for each in types)]


@pytest.mark.parametrize("path, readable", [
    ("/etc/understudy/pair.conf", True), ("/etc/understudy/device.conf", True), ("/run/understudy/supervisor/state", True),
    ("/var/lib/understudy/supervisor/term", False), ("/var/lib/understudy/sync/key.pem", False), ("/var/lib/understudy/notify/events.db", False),
    ("/var/lib/words/letter", False), ("/run/understudy/private/supervisor", False)])
def test_files_that_a_person_sees(device, path, readable):
    device.write("/var/lib/words/letter", "dear\n", 0o600)
    for who in PEOPLE:
        done = device.run(person(who, "/usr/bin/test", "-r", path), check=False)
        assert (done.returncode == 0) == readable, (who, path)
        assert device.run(person(who, "/usr/bin/test", "-w", path), check=False).returncode != 0


def test_nobody_else_takes_a_name(device):
    for who in PEOPLE:
        for service in SERVICES:
            done = device.run(person(who, "busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                                     f"org.understudy.{service}", "4"), check=False)
            assert done.returncode != 0 and "ccess" in done.stderr, (who, service, done.stderr)


def test_nobody_speaks_for_an_application(device):
    """Anybody may send to the socket of sd_notify; the kernel says who it was."""
    state = ["busctl", "get-property", "org.understudy.Supervisor1", "/org/understudy/Supervisor1/application/words", "org.understudy.Application1", "StatusText"]
    send = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'STATUS=forged', '/run/understudy/supervisor/notify')"
    assert device.run(person("stranger", "/usr/bin/python3", "-c", send), check=False).returncode == 0
    assert "forged" not in device.run(state).stdout
