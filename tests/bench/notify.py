#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast notifyd stores, lists and tells, and what it costs. Every figure: README.md here."""

import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bus"), str(HERE.parents[1] / "demo")]
from caller import Caller  # noqa: E402
from frame import OURS, Figure, Promise, Trial, at_most, run  # noqa: E402
from measure import dirty_kb  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
import snmp_lab  # noqa: E402
from lab.pair import Pair  # noqa: E402
from notify_place import NOTIFY, NOTIFY_PATH, Place, wait_until  # noqa: E402

BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", HERE.parents[1] / "build"))
ECHO = "echo"  # in notifyd's place: a service that answers each call at once, and does nothing else
NICE = 5  # as the supervisor starts it
STALL_MS = 5  # half of what others' calls may be delayed
BURST, STORED, TRAPS, PAGES = 10_000, 100_000, 25, 50
APPLICATIONS, EVENTS, WALKS = 20, 200, 10
FIGURES = {
    "event_to_trap": Figure("ms", Promise("median at most 20 ms", lambda ours, _: sorted(ours)[len(ours) // 2] <= 20)),
    "mib_walk": Figure("ms", at_most(200, "ms")),
    "burst_10000": Figure("ms", at_most(10_000, "ms"), 0),
    "burst_memory": Figure("kB", at_most(24 * 1024, "kB"), 0),
    "other_calls_delay": Figure("ms", at_most(10, "ms")),
    "bus_burst": Figure("ms", digits=0),
    "bus_calls_delay": Figure("ms", at_most(10, "ms")),
    "list_page_100k": Figure("ms", at_most(10, "ms")),
    "search_100k": Figure("ms"),
    "dirty_kb": Figure("kB", at_most(1536, "kB"), 0),
}

DEVICE = "[device]\nid=dev-a\nname=dev-a\n[interface lan]\ndevice=eth0\naddress=192.0.2.2/24\n"
PAIR = "[pair]\nenabled=false\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\nelects=true\n[events]\nkeep=100000\n"
SNMP = "[snmp bench]\nhost=127.0.0.1:{port}\nversion=2c\nkind=trap\n[rule bench]\napplication=TRAP\nactions=snmp:bench\n"

# Of @connections to @address so many calls are under way (a bus lets each have 128): all of them, or as many more as are answered; prints how long it took from the first
# to the last answer.
RAISER = """
import sys, time, gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib
left, path, name, connections, at_once = int(sys.argv[1]), sys.argv[2], sys.argv[3] or None, int(sys.argv[4]), int(sys.argv[5])
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | (Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION if name else Gio.DBusConnectionFlags.NONE)
buses = [Gio.DBusConnection.new_for_address_sync("unix:path=" + path, flags, None, None) for _ in range(connections)]
loop, numbers, begin = GLib.MainLoop(), iter(range(left)), time.monotonic()
def answered(connection, result):
    global left
    connection.call_finish(result)
    left -= 1
    if left == 0:
        loop.quit()
    call(connection)
def call(connection):
    for n in numbers:
        connection.call(name, "/org/understudy/Notify1", "org.understudy.Notify1", "Raise", GLib.Variant("(ssyssa{sv})", ("BURST", f"event {n}", n % 3 + 1,
                        "something of the usual length has happened to line 12", "", {})), None, 0, 60000, None, answered)
        break
for bus in buses:
    for _ in range(at_once):
        call(bus)
loop.run()
print((time.monotonic() - begin) * 1000)
"""

FILL = f"""
import sqlite3
with sqlite3.connect("/var/lib/understudy/notify/events.db") as db:
    db.executemany("INSERT INTO events(time_ms, priority, application, name, description, reference, device) VALUES(?, ?, ?, ?, ?, '', 'd')",
                   [(1700000000000 + i, 3 if i % 1000 == 0 else 1, 'SIP' if i % 5000 else 'RARE', f"event {{i}}",
                     "something of the usual length has happened to line 12") for i in range({STORED})])
"""


class Bench(Place):
    def __init__(self, more=""):
        super().__init__(BUILD)
        programs = self.root / "run/programs"
        programs.mkdir()
        shutil.copy(BUILD / "notifyd/understudy-notifyd", programs)
        shutil.copy(BUILD / "notifyd/trap/understudy-trap", programs)
        self.write("etc/understudy/device.conf", DEVICE)
        self.write("etc/understudy/pair.conf", PAIR + more)
        (self.root / "etc/understudy/secrets.d").mkdir()
        self.write("etc/understudy/secrets.d/snmp.bench", "public\n")
        # A tmpfs knows no fsync: the database lies on the disk.
        self.folder = tempfile.mkdtemp(dir="/var/tmp", prefix="understudy-bench-")
        os.chmod(self.folder, 0o700)
        os.chown(self.folder, 900, 900)
        assert self.run("mount", "--bind", self.folder, "/var/lib/understudy/notify").returncode == 0

    def __enter__(self):
        self.start_notifyd()
        return self

    def __exit__(self, *_):
        self.close()
        shutil.rmtree(self.folder)

    def start_notifyd(self):
        self.notifyd = self.start(["nice", "-n", str(NICE), "/run/programs/understudy-notifyd"], user="understudy-notify", stderr=subprocess.PIPE)
        wait_until(self.private_answers, "notifyd answers on its private socket")
        self.private_socket().call("SetPlace", "(a{sv})", {"leads": GLib.Variant("b", True)})

    def status_kb(self, key):
        for line in Path(f"/proc/{self.notifyd.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(key):
                return int(line.split()[1])
        raise KeyError(key)


def timed(function, *args, **more):
    begin = time.monotonic()
    function(*args, **more)
    return (time.monotonic() - begin) * 1000


def ask_meanwhile(bench, ask, *how):
    """How long 10,000 events took that are raised @how, and each ask() meanwhile."""
    calm = max(ask() for _ in range(200))
    raiser = bench.start(["/usr/bin/python3", "-c", RAISER, BURST, *how], stdout=subprocess.PIPE)
    delays = []
    while not select.select([raiser.stdout], [], [], 0.001)[0]:  # it says how long it took when all are answered
        delays.append(ask())
    print(f"    {len(delays)} other calls, without a burst at most {calm:.1f} ms", flush=True)
    return float(raiser.stdout.read()), delays


def burst(_subject):
    with Bench() as bench:
        caller = Caller(bench.root / "run/understudy/private/notify")
        wanted = GLib.Variant("(ss)", (NOTIFY, "Count"))
        took, delays = ask_meanwhile(bench, lambda: caller.ask(NOTIFY_PATH, "org.freedesktop.DBus.Properties", "Get", wanted),
                                     "/run/understudy/private/notify", "", 1, BURST)
        assert bench.private_socket().get("Count") == BURST
        return {"burst_10000": [took], "burst_memory": [bench.status_kb("VmHWM")], "other_calls_delay": [max(delays)]}


def bus_burst(subject):
    with Bench() as bench:
        bench.write("run/bus.conf", (bench.root / "run/bus.conf").read_text(encoding="utf-8").replace(
            "</busconfig>", "<policy context=\"mandatory\"><allow send_destination=\"*\"/></policy></busconfig>"))
        if subject == ECHO:
            bench.kill_notifyd(15)
        bench.start_bus()
        if subject == ECHO:
            bench.start(["nice", "-n", str(NICE), "/usr/bin/python3", HERE / "caller.py", "/run/bus", NOTIFY], user="understudy-notify", stdout=subprocess.DEVNULL)
        bench.wait_for_name(bench.system_bus())
        idler = bench.start(["/usr/bin/python3", HERE / "caller.py", "/run/bus"], stdout=subprocess.PIPE)
        caller = Caller(bench.root / "run/bus", "org.freedesktop.DBus")
        caller.hello()
        caller.destination = idler.stdout.readline().decode().strip()
        took, delays = ask_meanwhile(bench, lambda: caller.ask("/", "org.freedesktop.DBus.Peer", "Ping"), "/run/bus", NOTIFY, 4, 100)
        assert subject == ECHO or bench.private_socket().get("Count") == BURST
        return {"bus_burst": [took], "bus_calls_delay": [max(delays)]}


def pages(_subject):
    with Bench() as bench:
        bench.kill_notifyd(15)
        done = bench.run("/usr/bin/python3", "-c", FILL, user="understudy-notify", timeout=60)
        assert done.returncode == 0, done.stderr
        bench.start_notifyd()
        client = bench.private_socket()
        assert client.get("Count") == STORED
        number = GLib.Variant("u", 100)
        wanted = [{}, {"before": GLib.Variant("t", 50_000)}, {"min_priority": GLib.Variant("y", 3)}, {"application": GLib.Variant("s", "RARE")},
                  {"status": GLib.Variant("s", "read")}, {"acknowledged": GLib.Variant("b", True)}, {"since_ms": GLib.Variant("x", 1700000099000)},
                  {"since_ms": GLib.Variant("x", 1800000000000)}]

        def listed(**filters):
            """Until the answer is there; to make Python's objects of it takes longer than to get it."""
            asked = GLib.Variant("(a{sv})", (filters,))
            begin = time.monotonic()
            client.connection.call_sync(None, NOTIFY_PATH, NOTIFY, "List", asked, None, 0, 20000, None)
            return (time.monotonic() - begin) * 1000

        return {"list_page_100k": [listed(count=number, **wanted[i % len(wanted)]) for i in range(PAGES)],
                "search_100k": [listed(text=GLib.Variant("s", "no such text"))]}


def traps(_subject):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with Bench(SNMP.format(port=receiver.getsockname()[1])) as bench:
            client = bench.private_socket()
            found = []
            for i in range(TRAPS):
                begin = time.monotonic()
                client.raise_event("TRAP", f"event {i}", 3)
                receiver.recv(65536)
                found.append((time.monotonic() - begin) * 1000)
            return {"event_to_trap": found}


def walk(agent):
    """All our MIBs by numbers, so that what reading MIB files takes is not in it. How many instances."""
    enter = ["nsenter", f"--target={agent.device.pid}", "--net", "snmpbulkwalk", "-v2c", "-c", "seen", "-On", "-Cr100", snmp_lab.ADDRESS]
    lines = [subprocess.run([*enter, root], env={**os.environ, "MIBS": ""}, capture_output=True, text=True, check=True).stdout.splitlines()
             for root in (".1.3.6.1.4.1.8072.9999.9999.5798", ".1.3.6.1.2.1.68", ".1.3.6.1.2.1.207")]
    return len(lines[0]) + len(lines[1]) + len(lines[2])


def walks(_subject):
    sleeper = "[application]\ndescription=One of many\ncommand=/bin/sleep 1000000\nuser=nobody\n"
    with Pair(BUILD, {f"application-{i}": sleeper for i in range(APPLICATIONS)}) as pair, tempfile.TemporaryDirectory() as folder:
        device = pair.first
        device.write("/etc/understudy/device.conf", device.read("/etc/understudy/device.conf") + f"\n[snmp]\nagentx=unix:{snmp_lab.SOCKET}\n")
        pair.switch_on(device)
        pair.watches[device.name].wait_role("master", 30)
        raiser = ["busctl", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", "Raise", "ssyssa{sv}", "SIP", "rejected", "1"]
        for i in range(EVENTS):
            device.run([*raiser, f"something of the usual length has happened to line {i}", "", "0"])
        agent = snmp_lab.Agent(BUILD, device, Path(folder))
        agent.start()
        try:
            agent.wait("UNDERSTUDY-MIB::understudyMIB", "understudySeenSupervisor.0", "INTEGER: 1")
            wait_until(lambda: walk(agent) > EVENTS * 8 + APPLICATIONS * 6, "all events are shown")
            return {"mib_walk": [timed(walk, agent) for _ in range(WALKS)]}
        finally:
            agent.stop()


def idle(_subject):
    with Bench() as bench:
        bench.private_socket().raise_event("SIP", "one", 2)
        return {"dirty_kb": [dirty_kb([bench.notifyd.pid])]}


def trials(_quick):
    return [Trial("burst", ["burst_10000", "burst_memory", "other_calls_delay"], [OURS], 5, burst, seconds=10, stall_ms=STALL_MS),
            Trial("bus burst", ["bus_burst", "bus_calls_delay"], [OURS, ECHO], 5, bus_burst, seconds=10, stall_ms=STALL_MS),
            Trial("pages", ["list_page_100k", "search_100k"], [OURS], 3, pages, seconds=10),
            Trial("traps", ["event_to_trap"], [OURS], 3, traps, seconds=5),
            Trial("walks", ["mib_walk"], [OURS], 2, walks, seconds=15),
            Trial("idle", ["dirty_kb"], [OURS], 3, idle, seconds=2)]


if __name__ == "__main__":
    sys.exit(run("notify", __doc__, FIGURES, trials))
