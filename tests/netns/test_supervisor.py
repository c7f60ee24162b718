# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keeper and supervisor on a whole device, with applications that are only what their names say."""

import ctypes
import json
import os
import re
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.device import Lab  # noqa: E402  (the demo's folder must be on the path first)
from lab.net import wait_until  # noqa: E402

from echo_lab import REPLY  # noqa: E402

NAME, ROOT = "org.understudy.Supervisor1", "/org/understudy/Supervisor1"
DEVICE = "[device]\nid=alpha\nname=Alpha\n\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n"
PAIR = "[pair]\ngroup-id=51\nfirst-answer-ms=20000\n\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n"

# Says READY=1 when the file named by its argument is there.
NOTIFIES = """\
#!/usr/bin/python3
import os, socket, sys, time
said = False
while True:
    if not said and os.path.exists(sys.argv[1]):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b"READY=1\\nSTATUS=at your service", os.environ["NOTIFY_SOCKET"])
        said = True
    time.sleep(0.01)
"""

# Ignores SIGTERM, and has a child that went into a session of its own and ignores it too.
CLINGS = """\
#!/usr/bin/python3
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
time.sleep(1000)
"""

# Answers datagrams on the service address of its argument, once it may; ready when its socket is bound.
ANSWERS = """\
#!/usr/bin/python3
import os, socket, sys, time
while not os.path.exists("/run/may-answer"):
    time.sleep(0.01)
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.bind((sys.argv[1], 5060))
    open("/run/answering", "w").close()
    while True:
        data, sender = here.recvfrom(100)
        here.sendto(data, sender)
"""

# At the first SIGUSR1 it binds its port at the service address, at the second it begins to read and answers; /run/said has how far it is.
QUEUES = "#!/usr/bin/python3\n" + REPLY + """\
import signal, socket, sys
def say_and_wait(word):
    with open("/run/said", "w") as out:
        out.write(word)
    signal.sigwait({signal.SIGUSR1})
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
say_and_wait("begun")
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.bind((sys.argv[1], 5060))
    say_and_wait("bound")
    while True:
        data, sender = here.recvfrom(4000)
        here.sendto(reply(data), sender)
"""


def application(command, **more):
    keys = {"command": command, **{key.replace("_", "-"): value for key, value in more.items()}}
    return "[application]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())


class Place:
    """One device and what one asks its supervisor."""

    def __init__(self, lab, name="alpha"):
        self.lan = lab.net.switch("lan")
        self.device = lab.device(name, {"eth0": (self.lan, "192.0.2.11/24")})
        self.device.write("/etc/understudy/device.conf", DEVICE)
        for program, text in (("notifies", NOTIFIES), ("clings", CLINGS), ("answers", ANSWERS), ("queues", QUEUES)):
            self.device.write(f"/usr/local/bin/{program}", text, 0o755)

    def application(self, name, command, **more):
        self.device.write(f"/etc/understudy/applications.d/{name}.conf", application(command, **more))

    def start(self, role="standalone"):
        self.device.start()
        self.lan.speak_until(lambda: self.get("Role") == role, 10, f"role {role}: {self.device.console()[-1500:]}")

    def get(self, prop, path=ROOT, interface=NAME):
        done = self.device.run(["busctl", "--json=short", "get-property", NAME, path, interface, prop], check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    def app(self, name, prop):
        return self.get(prop, f"{ROOT}/application/{name}", "org.understudy.Application1")

    def call(self, method, signature="", *args, path=ROOT, interface=NAME, check=True):
        return self.device.run(["busctl", "--json=short", "call", NAME, path, interface, method, *([signature] if signature else []), *args],
                               check=check)

    def wait_role(self, role, timeout_s=10):
        wait_until(lambda: self.get("Role") == role, timeout_s, f"role {role}: {self.device.console()[-1500:]}")

    def wait_app(self, name, state, timeout_s=10):
        wait_until(lambda: self.app(name, "State") == state, timeout_s, f"{name} {state}: {self.device.console()[-1500:]}")

    def pids(self):
        """Everybody but init, the bus and what the test itself runs in there. Of two with one name the elder: the other is its child, about to be something else."""
        return {name: pid for pid, name in sorted(self.device.processes(), reverse=True) if name not in ("init", "dbus-daemon")}

    def group(self, name):
        """The processes of one application."""
        path = f"{self.device.cgroup}/understudy-apps/{name}/cgroup.procs"
        with open(path, encoding="ascii") as procs:
            return {int(line) for line in procs}

    def events(self):
        done = self.device.run(["busctl", "--json=short", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1",
                                "List", "a{sv}", "0"], check=False)
        if done.returncode:
            return []
        return [{key: value["data"] for key, value in event.items()} for event in json.loads(done.stdout)["data"][0]]

    def wait_event(self, name, timeout_s=10):
        return wait_until(lambda: next((event for event in self.events() if event["name"] == name), None), timeout_s, f"event {name}")


@pytest.fixture
def place(build):
    with Lab(build) as lab:
        yield Place(lab)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# Applications.


def test_order_and_readiness(place):
    place.application("database", "/usr/local/bin/notifies /run/database-ready", ready="notify")
    place.application("sip", "/bin/sleep 1001", needs="database", ready="command", ready_command="/usr/bin/test -e /run/sip-ready")
    place.application("gui", "/bin/sleep 1002", needs="sip")
    place.application("alone", "/bin/sleep 1003", user="nobody")
    place.start()
    place.wait_app("alone", "running")
    place.wait_app("database", "starting")
    assert place.app("sip", "State") == "waiting" and place.app("gui", "State") == "waiting"
    place.device.run(["touch", "/run/database-ready"])
    place.wait_app("sip", "starting")
    assert place.app("database", "State") == "running" and place.app("database", "StatusText") == "at your service"
    assert place.app("gui", "State") == "waiting"
    place.device.run(["touch", "/run/sip-ready"])
    place.wait_app("gui", "running")
    (pid,) = place.group("alone")
    wait_until(lambda: os.stat(f"/proc/{pid}").st_uid == 65534, 5, "its user")  # it runs from the moment when it is a process
    assert place.app("gui", "Needs") == ["sip"]
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        assert "CapEff:\t0000000000000000" in status.read()


def test_ends_are_followed_by_a_pause_and_an_event(place):
    place.application("bad", "/bin/sh -c 'exit 3'", restart_delay_ms="10")
    place.application("missing", "/usr/local/bin/not-there", restart_delay_ms="10")
    place.start()
    place.wait_app("bad", "failed")
    place.wait_app("missing", "failed")
    assert place.app("bad", "LastExit") == "exit 3" and place.app("missing", "LastExit") == "exit 127"
    assert place.app("bad", "Restarts") >= 5  # tolerated; it is tried again meanwhile
    assert place.wait_event("application-failed")["priority"] == 3
    assert "not-there: cannot be executed: No such file" in place.device.read("/run/understudy/log/missing")
    # The doctor looks when nothing else is to be done.
    wait_until(lambda: any(text.startswith("application-failed:") for text in place.get("Problems")), 5, "the doctor says so")


def test_killed_application_is_started_again(place):
    place.application("sip", "/bin/sleep 1001", restart_delay_ms="10")
    place.start()
    place.wait_app("sip", "running")
    (first,) = place.group("sip")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: place.app("sip", "Restarts") == 1 and place.app("sip", "State") == "running", 5, "another one")
    assert place.app("sip", "LastExit") == "signal 9"
    assert first not in place.group("sip")


def test_stop_is_for_certain(place):
    place.application("clings", "/usr/local/bin/clings", stop_timeout_ms="300")
    place.start()
    place.wait_app("clings", "running")
    before = wait_until(lambda: len(place.group("clings")) == 2 and place.group("clings"), 5, "the child that forked away")
    began = time.monotonic()
    place.call("Restart", "s", "", path=f"{ROOT}/application/clings", interface="org.understudy.Application1")
    wait_until(lambda: place.app("clings", "State") == "running" and not before & place.group("clings"), 5, "a new one, none of the old")
    assert time.monotonic() - began > 0.3
    assert not any(alive(pid) for pid in before)


def test_end_in_order(place):
    place.application("database", "/bin/sleep 1001")
    place.application("sip", "/bin/sleep 1002", needs="database")
    place.application("clings", "/usr/local/bin/clings", stop_timeout_ms="300")
    place.start()
    for name in ("database", "sip", "clings"):
        place.wait_app(name, "running")
    pids = place.pids()
    place.device.kill("understudy-keeper", signal.SIGTERM)
    wait_until(lambda: "understudy-keeper ended (exit 0)" in place.device.console(), 10, "its end")
    assert not [name for name, pid in pids.items() if alive(pid)]


def test_end_in_order_though_the_supervisor_dies_on_the_way(place):
    place.application("clings", "/usr/local/bin/clings", stop_timeout_ms="2000")
    place.application("sip", "/bin/sh -c 'echo started >> /run/starts; exec sleep 1001'")
    place.start()
    for name in ("sip", "clings"):
        place.wait_app(name, "running")
    wait_until(lambda: len(place.group("clings")) > 1, 5, "one that clings by now")
    pids = place.pids()
    place.device.kill("understudy-keeper", signal.SIGTERM)
    wait_until(lambda: place.app("clings", "State") == "stopping" and place.app("sip", "State") == "stopped", 5, "its stop under way")
    place.device.kill("understudy-supervisor")
    wait_until(lambda: "understudy-keeper ended" in place.device.console(), 15, "its end")
    assert "understudy-keeper ended (exit 0)" in place.device.console()
    assert "lets go of the service" not in place.device.console()
    assert place.device.read("/run/starts") == "started\n", "what has stopped stays so"
    assert not [name for name, pid in pids.items() if alive(pid)]


def test_end_while_syncd_is_to_come_again(place):
    place.application("sip", "/bin/sleep 1001")
    place.start()
    place.wait_app("sip", "running")
    place.device.kill("understudy-syncd", signal.SIGSTOP)  # it takes its time to end
    place.device.write("/etc/understudy/applications.d/sip.conf",
                       application("/bin/sleep 1001") + "\n[data more]\nkind=files\npath=/srv/more\nref=config\n")
    place.call("Reload")
    wait_until(lambda: "syncd is restarted" in place.device.console(), 5, "its restart")
    place.device.kill("understudy-keeper", signal.SIGTERM)
    wait_until(lambda: "understudy-keeper ended (exit 0)" in place.device.console(), 12, "the end of all")


# The supervisor's own death.


def test_supervisor_killed(place):
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("sip", "/usr/local/bin/notifies /run/ready", ready="notify")
    place.device.start()
    place.wait_role("taking-over")
    place.wait_app("sip", "starting")
    place.device.run(["touch", "/run/ready"])
    place.wait_role("master")
    before, sequence = place.pids(), place.get("RoleSequence")
    place.device.kill("understudy-supervisor")
    place.device.wait_process("understudy-supervisor", not_pid=before["understudy-supervisor"])
    wait_until(lambda: place.get("Role") == "master" and place.app("sip", "State") == "running", 5, "as before")
    after = place.pids()
    assert {name for name in before if before[name] != after.get(name)} == {"understudy-supervisor"}
    assert place.get("RoleSequence") == sequence and place.app("sip", "Restarts") == 0
    # It is watched as before: how it ends is told.
    os.kill(place.group("sip").pop(), signal.SIGKILL)
    wait_until(lambda: place.app("sip", "Restarts") == 1, 5, "a restart")
    assert place.app("sip", "LastExit") == "signal 9"


class Traced:
    """A process that is stopped at the end of each of its system calls."""

    SEIZE, INTERRUPT, SYSCALL, INFO = 0x4206, 0x4207, 24, 0x420E
    OPTIONS = 1 | 0x100000  # stops at system calls are told from others; it goes when we do
    EXIT = 2

    def __init__(self, pid):
        self.pid, self.libc = pid, ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long
        self._do(self.SEIZE, 0, self.OPTIONS)
        self._do(self.INTERRUPT)
        os.waitpid(pid, 0)

    def _do(self, request, address=0, data=0):
        if self.libc.ptrace(request, self.pid, address, data) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def ends(self):
        """Goes on to the end of each call; what it brought."""
        while True:
            self._do(self.SYSCALL)
            _, status = os.waitpid(self.pid, 0)
            assert os.WIFSTOPPED(status), status
            if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
                continue
            info = ctypes.create_string_buffer(88)  # op, architecture, two pointers; then what is said of an end
            self._do(self.INFO, len(info), ctypes.addressof(info))
            if info.raw[0] == self.EXIT:
                yield struct.unpack_from("=q", info.raw, 24)[0]


def test_readiness_outlives_the_supervisor_that_heard_of_it(place):
    """It is said once. Killed when it has just read it, the supervisor has told nobody yet."""
    place.application("sip", "/usr/local/bin/notifies /run/ready", ready="notify")
    place.start()
    place.wait_app("sip", "starting")
    supervisor = place.device.pid_of("understudy-supervisor")
    traced = Traced(supervisor)
    place.device.write("/run/ready", "")
    said = len(b"READY=1\nSTATUS=at your service")
    assert next(brought for brought in traced.ends() if brought == said)
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    place.device.wait_process("understudy-supervisor", not_pid=supervisor)
    place.wait_app("sip", "running")
    assert place.app("sip", "StatusText") == "at your service" and place.app("sip", "Restarts") == 0


@pytest.mark.timed(40)  # for the report of a parent that stands still nobody waits for longer than 200 ms
def test_application_that_ended_while_no_supervisor_lived(place):
    place.application("sip", "/bin/sleep 1001", restart_delay_ms="10")
    place.start()
    place.wait_app("sip", "running")
    (pid,) = place.group("sip")
    supervisor = place.device.kill("understudy-supervisor", signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: place.app("sip", "Restarts") == 1 and place.app("sip", "State") == "running", 5, "another one")
    assert place.app("sip", "LastExit") == "signal 9"  # the keeper kept it


@pytest.mark.timed(100)
def test_frozen_supervisor_is_replaced(place):
    place.application("sip", "/bin/sleep 1001")
    place.start()
    place.wait_app("sip", "running")
    before = place.pids()
    began = time.monotonic()
    place.device.kill("understudy-supervisor", signal.SIGSTOP)
    place.device.wait_process("understudy-supervisor", not_pid=before["understudy-supervisor"])
    assert 2.4 < time.monotonic() - began < 4.5
    wait_until(lambda: place.app("sip", "State") == "running", 5, "its view")
    assert place.group("sip") == {before["sleep"]}


def test_keeper_killed(place):
    place.application("sip", "/usr/local/bin/notifies /run/ready", ready="notify")
    place.application("other", "/bin/sleep 1002", restart_delay_ms="10")
    place.start()
    place.wait_app("sip", "starting")
    before = place.pids()
    place.device.kill("understudy-keeper")
    place.device.wait_process("understudy-supervisor", not_pid=before["understudy-supervisor"])
    wait_until(lambda: place.app("sip", "State") == "starting", 5, "its view")
    after = place.pids()
    assert {name for name in before if before[name] != after.get(name)} == {"understudy-keeper", "understudy-supervisor"}
    # The notify socket went over, and the children of the old keeper are still seen to end.
    place.device.run(["touch", "/run/ready"])
    place.wait_app("sip", "running")
    os.kill(place.group("other").pop(), signal.SIGKILL)
    wait_until(lambda: place.app("other", "Restarts") == 1 and place.app("other", "State") == "running", 5, "another one")
    assert place.get("RoleSequence") == 1


def test_new_version_takes_over_in_place(place):
    """As a package upgrade does it: other files on disk, then SIGUSR1. What is new is replaced, what is not goes on, so does the application."""
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("sip", "/bin/sleep 1001", restart_delay_ms="10")
    place.start("master")
    wait_until(lambda: "sleep" in place.pids(), 5, "its program")
    before, sequence = place.pids(), place.get("RoleSequence")
    for name in ("keeper", "vrrpd", "syncd"):
        program = f"/usr/lib/understudy/understudy-{name}"
        place.device.run(["cp", "-p", program, f"{program}.new"])
        place.device.run(["mv", f"{program}.new", program])
    place.device.kill("understudy-keeper", signal.SIGUSR1)
    for name in ("supervisor", "vrrpd", "syncd"):
        place.device.wait_process(f"understudy-{name}", not_pid=before[f"understudy-{name}"])
    wait_until(lambda: place.get("Role") == "master" and place.app("sip", "State") == "running", 10, "as before")
    after = place.pids()
    others = {name for name in before if before[name] != after.get(name)} - {"vrrpd-heir"}
    assert others == {f"understudy-{name}" for name in ("supervisor", "vrrpd", "syncd")}
    assert not os.readlink(f"/proc/{after['understudy-keeper']}/exe").endswith("(deleted)")
    assert place.get("RoleSequence") == sequence
    os.kill(place.group("sip").pop(), signal.SIGKILL)
    wait_until(lambda: place.app("sip", "Restarts") == 1 and place.app("sip", "State") == "running", 5, "another one")
    # It is the reaper of them all as before, and ends as one that was never renewed.
    place.device.kill("understudy-keeper", signal.SIGTERM)
    wait_until(lambda: "understudy-keeper ended (exit 0)" in place.device.console(), 12, "the end of all")


@pytest.mark.timed(100)
def test_daemon_killed_is_back_at_once(place):
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("sip", "/bin/sleep 1001")
    place.start("master")
    wait_until(lambda: "sleep" in place.pids(), 5, "its program")  # a role is reached with the process, which has yet to execute it
    before = place.pids()
    sequence = place.get("RoleSequence")
    for name in ("understudy-vrrpd", "understudy-notifyd"):
        began = time.monotonic()
        place.device.kill(name)
        place.device.wait_process(name, not_pid=before[name])
        assert time.monotonic() - began < 1
    wait_until(lambda: not any(text.startswith("election-absent") for text in place.get("Problems")), 5, "vrrpd's link")
    assert place.get("Role") == "master" and place.get("RoleSequence") == sequence
    assert place.group("sip") == {before["sleep"]}


def test_a_wish_for_debug_messages_reaches_everybody(place):
    place.device.unit = False  # the unit's command, with the variable that `systemctl edit` would set
    place.device.services = [["/usr/bin/env", "G_MESSAGES_DEBUG=all", "/usr/lib/understudy/understudy-keeper"]]
    place.start()
    for name in ("supervisor", "vrrpd", "syncd", "notifyd"):
        pid = place.device.wait_process(f"understudy-{name}")
        assert b"G_MESSAGES_DEBUG=all" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"), name


def test_no_supervisor_can_be_had(place):
    """Five failed starts: the keeper lets go by itself."""
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("clings", "/usr/local/bin/clings")
    place.start("master")
    before = place.pids()
    group = wait_until(lambda: len(place.group("clings")) == 2 and place.group("clings"), 5, "the child that forked away")
    place.device.write("/usr/lib/understudy/understudy-supervisor", "#!/bin/sh\nexit 1\n", 0o755)
    place.device.kill("understudy-supervisor")
    wait_until(lambda: not any(alive(pid) for pid in (*group, before["understudy-vrrpd"])), 5, "nobody serves any more")
    assert "192.0.2.10" not in place.device.run(["ip", "address"]).stdout
    assert "understudy" not in place.device.run(["nft", "list", "tables"]).stdout
    assert place.device.pid_of("understudy-keeper") == before["understudy-keeper"]


@pytest.mark.parametrize("successor", [pytest.param("exit 1", id="ends"), pytest.param("exec sleep 1000", id="hangs", marks=pytest.mark.long)])
def test_supervisor_dies_for_good_between_address_and_readiness(place, successor):
    """The address is up and its traffic dropped; nobody will lift that any more but the keeper, who also lets go of everything else."""
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("sip", "/usr/local/bin/notifies /run/never", ready="notify")
    place.device.start()
    place.wait_role("taking-over")
    place.wait_app("sip", "starting")
    wait_until(lambda: "192.0.2.10" in place.device.run(["ip", "address"]).stdout, 5, "the address")
    wait_until(lambda: "192.0.2.10 timeout" in place.device.run(["nft", "list", "ruleset"]).stdout, 5, "the drop has an end")
    before, group = place.pids(), place.group("sip")
    assert group
    place.device.write("/usr/lib/understudy/understudy-supervisor", f"#!/bin/sh\n{successor}\n", 0o755)
    place.device.kill("understudy-supervisor")
    wait_until(lambda: not any(alive(pid) for pid in (*group, before["understudy-vrrpd"])), 40, "nobody serves any more")
    assert "192.0.2.10" not in place.device.run(["ip", "address"]).stdout
    assert "understudy" not in place.device.run(["nft", "list", "tables"]).stdout
    assert place.device.pid_of("understudy-keeper") == before["understudy-keeper"]


def test_supervisor_that_hangs_at_each_start(place):
    """Killed for its silence each time; five of them are as good as none, though they take their time."""
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.application("clings", "/usr/local/bin/clings")
    place.start("master")
    before = place.pids()
    group = wait_until(lambda: len(place.group("clings")) == 2 and place.group("clings"), 5, "the child that forked away")
    place.device.write("/usr/lib/understudy/understudy-supervisor", "#!/bin/sh\nexec sleep 1000\n", 0o755)
    place.device.kill("understudy-supervisor")
    wait_until(lambda: not any(alive(pid) for pid in (*group, before["understudy-vrrpd"])), 40, "nobody serves any more")
    assert "192.0.2.10" not in place.device.run(["ip", "address"]).stdout


# Settings.


def test_bad_settings_at_first_start(place):
    place.device.write("/etc/understudy/pair.conf", PAIR.replace("51", "256"))
    place.application("sip", "/bin/sleep 1001")
    place.device.start()
    wait_until(lambda: "understudy-keeper ended (exit 2)" in place.device.console(), 5, "exit 2")
    assert "/etc/understudy/pair.conf:2: " in place.device.console()
    assert not {"sleep", "understudy-vrrpd", "understudy-notifyd"} & set(place.pids())


def test_last_good_settings_stay_in_use(place):
    place.application("sip", "/bin/sleep 1001")
    place.start()
    place.wait_app("sip", "running")
    before, sip = place.pids(), place.group("sip")  # not by its name: it may have yet to execute it
    assert len(sip) == 1
    place.device.write("/etc/understudy/device.conf", DEVICE + "colour=green\n")
    refused = place.call("Reload", check=False)
    assert refused.returncode != 0 and "/etc/understudy/device.conf:" in refused.stderr
    assert "colour" in place.get("SettingsError")
    assert place.wait_event("settings")["priority"] == 2
    place.device.kill("understudy-supervisor")
    place.device.wait_process("understudy-supervisor", not_pid=before["understudy-supervisor"])
    wait_until(lambda: "colour" in (place.get("SettingsError") or ""), 5, "the error, still")
    assert place.app("sip", "State") == "running" and place.group("sip") == sip
    # A daemon that dies now comes back with them too.
    place.device.kill("understudy-vrrpd")
    place.device.wait_process("understudy-vrrpd", not_pid=before["understudy-vrrpd"])
    wait_until(lambda: place.device.run(["busctl", "get-property", "org.understudy.Vrrp1", "/org/understudy/Vrrp1", "org.understudy.Election1",
                                         "State"], check=False).returncode == 0, 5, "vrrpd with the last good settings")
    place.device.write("/etc/understudy/device.conf", DEVICE.replace("Alpha", "Other"))
    place.call("Reload")
    assert place.get("SettingsError") == "" and place.get("DeviceName") == "Other"
    wait_until(lambda: not place.device.run(["sh", "-c", "cat /proc/[0-9]*/mountinfo | grep supervisor/settings"], check=False).stdout, 5,
               "nobody looks at the old ones any more")


def test_reload_adds_and_removes_applications(place):
    place.application("one", "/bin/sleep 1001")
    place.application("clings", "/usr/local/bin/clings", stop_timeout_ms="300")
    place.start()
    for name in ("one", "clings"):
        place.wait_app(name, "running")
    place.application("two", "/bin/sleep 1002")
    supervisor = place.pids()["understudy-supervisor"]
    place.device.run(["rm", "/etc/understudy/applications.d/one.conf", "/etc/understudy/applications.d/clings.conf"])
    place.call("Reload")
    place.wait_app("two", "running")
    for name in ("one", "clings"):
        wait_until(lambda name=name: place.app(name, "State") is None, 5, f"{name} gone")
    assert not {"1001", "clings"} & set(place.device.run(["ps", "-eo", "args"]).stdout.split())
    assert place.pids()["understudy-supervisor"] == supervisor


# Traffic while nobody answers yet.


def answers_ping(host, address):
    request = struct.pack("!BBHHH", 8, 0, 0xFFFF - (0x0800 + 0x5553 + 1), 0x5553, 1)
    with host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as line:
        line.settimeout(1)
        for _ in range(5):
            line.sendto(request, (address, 0))
            try:
                if line.recv(100)[20:26] == struct.pack("!BBHH", 0, 0, 0xFFFF - (0x5553 + 1), 0x5553):
                    return True
            except TimeoutError:
                continue
    return False


def answers_ping6(host, address):
    """The kernel makes the checksum, and finds the host by neighbour discovery."""
    request = struct.pack("!BBHHH", 128, 0, 0, 0x5553, 1)
    with host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as line:
        line.settimeout(0.2)
        for _ in range(25):
            line.sendto(request, (address, 0))
            try:
                while True:
                    reply = line.recv(100)
                    if reply[:1] + reply[4:6] == b"\x81US":
                        return True
            except TimeoutError:
                continue
    return False


@pytest.mark.parametrize("service", ["192.0.2.10", "2001:db8::10"])
def test_traffic_is_dropped_until_ready_not_refused(place, service):
    v6 = ":" in service
    place.device.cabling["eth0"] = (place.lan, "192.0.2.11/24 2001:db8::11/64")
    place.device.write("/etc/understudy/device.conf", DEVICE + "address6=2001:db8::11/64\n")
    place.device.write("/etc/understudy/pair.conf", PAIR.replace("192.0.2.10/24", "192.0.2.10/24, 2001:db8::10/64"))
    place.application("sip", f"/usr/local/bin/answers {service}", ready="command", ready_command="/usr/bin/test -e /run/answering")
    net = place.device.lab.net
    phone = net.namespace("phone")
    place.lan.connect(phone, "eth0", "192.0.2.50/24 2001:db8::50/64")
    place.device.start()
    place.wait_role("taking-over")
    wait_until(lambda: f"{service} timeout" in place.device.run(["nft", "list", "ruleset"]).stdout, 5, "rules that end by themselves")
    with phone.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(0.3)  # of silence
        line.connect((service, 5060))  # so that "port unreachable" would be told
        assert answers_ping6(phone, service) if v6 else answers_ping(phone, service)
        for _ in range(3):
            line.send(b"x")
            with pytest.raises(TimeoutError):
                line.recv(10)
        place.device.run(["touch", "/run/may-answer"])
        place.wait_role("master")
        line.settimeout(5)
        line.send(b"x")
        assert line.recv(10) == b"x"
    # Nothing is dropped; who comes first is noted, and then there are no rules at all.
    assert not re.search(r"set held\d {[^}]*elements", place.device.run(["nft", "list", "ruleset"]).stdout)
    wait_until(lambda: "understudy" not in place.device.run(["nft", "list", "tables"]).stdout, 10, "no rules")
    transitions = json.loads(place.call("Timeline", "u", "10").stdout)["data"][0]
    taking_over = next(one for one in transitions if one["new"]["data"] == "taking-over")
    phases = {phase["name"]["data"]: phase for phase in taking_over["phases"]["data"]}
    assert {"addresses", "application sip", "drop lifted", "serving"} <= set(phases)
    assert phases["application sip"]["begin_ms"]["data"] < phases["application sip"]["end_ms"]["data"] <= phases["serving"]["begin_ms"]["data"]


@pytest.mark.parametrize("service", ["192.0.2.10", "2001:db8::10"])
def test_early_traffic_waits_in_the_socket_of_the_last_that_starts(place, service):
    """Nothing is refused while there is no socket, nothing waits while another application is not ready, and what has waited is answered without being sent again."""
    v6 = ":" in service
    place.device.cabling["eth0"] = (place.lan, "192.0.2.11/24 2001:db8::11/64")
    place.device.write("/etc/understudy/device.conf", DEVICE + "address6=2001:db8::11/64\n")
    place.device.write("/etc/understudy/pair.conf", PAIR.replace("192.0.2.10/24", "192.0.2.10/24, 2001:db8::10/64"))
    place.application("sip", f"/usr/local/bin/queues {service}", ready="sip-options", ready_address=f"udp {f'[{service}]' if v6 else service}:5060",
                      early_traffic="queue")
    place.application("other", "/bin/sleep 1000", ready="command", ready_command="/usr/bin/test -e /run/other")
    phone = place.device.lab.net.namespace("phone")
    place.lan.connect(phone, "eth0", "192.0.2.50/24 2001:db8::50/64")
    place.device.start()
    place.wait_role("taking-over")

    def signal_it(number):
        os.kill(*place.group("sip"), number)

    def wait_said(word):
        wait_until(lambda: place.device.read("/run/said") == word, 5, word)

    def queued():
        return re.search(r"set queued {[^}]*elements = { 5060 }", place.device.run(["nft", "-n", "list", "ruleset"]).stdout)

    with phone.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect((service, 5060))  # so that "port unreachable" would be told

        def is_silent_to(text):
            line.settimeout(0.3)
            line.send(text)
            with pytest.raises(TimeoutError):
                line.recv(10)

        wait_said("begun")
        signal_it(signal.SIGUSR1)
        wait_said("bound")
        wait_until(lambda: answers_ping6(phone, service) if v6 else answers_ping(phone, service), 5, "the address")
        is_silent_to(b"dropped")
        assert not queued()
        place.device.run(["touch", "/run/other"])
        wait_until(queued, 5, "the last one's port")
        signal_it(signal.SIGKILL)  # comes again without a socket
        wait_said("begun")
        wait_until(lambda: place.app("sip", "State") == "starting" and place.app("sip", "Restarts") == 1 and queued(), 5, "starting again")
        is_silent_to(b"refused?")
        signal_it(signal.SIGUSR1)
        wait_said("bound")
        is_silent_to(b"waits")
        signal_it(signal.SIGUSR1)
        line.settimeout(5)
        assert line.recv(10) == b"waits"
        place.wait_role("master")
    wait_until(lambda: "understudy" not in place.device.run(["nft", "list", "tables"]).stdout, 10, "no rules")
    taking_over = next(one for one in json.loads(place.call("Timeline", "u", "10").stdout)["data"][0] if one["new"]["data"] == "taking-over")
    assert taking_over["evidence"]["data"]["first_phone"]["data"] == ("2001:db8::50" if v6 else "192.0.2.50")


# In syncd's place: notes what it is told to publish, and says what is on the files only when it may.
SAYS_LATE = """\
#!/usr/bin/python3
import os
from gi.repository import Gio, GLib
PLACE = "/run/understudy/private/syncd"
def answer(connection, message, body):
    reply = message.new_method_reply()
    if body:
        reply.set_body(body)
    connection.send_message(reply, Gio.DBusSendMessageFlags.NONE)
def say(connection, message):
    if not os.path.exists("/run/may-say"):
        return True
    answer(connection, message, GLib.Variant("(a{sv})", ({"AppliedTerm": GLib.Variant("(ts)", (7, "beta"))},)))
    return False
def heard(connection, message, incoming):
    if not incoming or message.get_message_type() != Gio.DBusMessageType.METHOD_CALL:
        return message
    body = message.get_body().unpack() if message.get_body() else ()
    if message.get_member() == "GetAll" and body[0] == "org.understudy.Sync1":
        GLib.timeout_add(10, say, connection, message)
    elif message.get_member() == "GetAll":
        answer(connection, message, GLib.Variant("(a{sv})", ({},)))
    else:
        if message.get_member() in ("Serve", "Publish"):
            with open(PLACE + "/told", "a") as out:
                print(message.get_member(), body[1].get("line") if body[0] == "state" else "", file=out)
        answer(connection, message, None)
    return None
def connected(server, connection):
    kept.append(connection)
    connection.add_filter(heard)
    return True
kept = []
if os.path.exists(PLACE + "/socket"):
    os.unlink(PLACE + "/socket")
server = Gio.DBusServer.new_sync(f"unix:path={PLACE}/socket", Gio.DBusServerFlags.NONE, Gio.dbus_generate_guid(), None, None)
server.connect("new-connection", connected)
server.start()
GLib.MainLoop().run()
"""


def test_what_is_on_the_files_is_told_when_it_is_known(place):
    """After a common power loss the other decides by it who leads: a state without it would say that there is nothing."""
    program, told = "/usr/lib/understudy/understudy-syncd", "/run/understudy/private/syncd/told"
    os.unlink(place.device.file(program))
    place.device.write(program, SAYS_LATE, 0o755)
    place.device.write("/etc/understudy/pair.conf", PAIR)
    place.start("master")

    def lines():
        return place.device.read(told).splitlines() if os.path.exists(place.device.file(told)) else []

    wait_until(lambda: "Serve " in lines(), 10, "the supervisor's first words")
    place.call("Reload")  # has it think, and publish whatever it would
    assert not [line for line in lines() if re.match("Publish .", line)]
    place.device.write("/run/may-say", "")
    wait_until(lambda: [line for line in lines() if re.match("Publish .", line)], 10, "its state")
    assert {line for line in lines() if re.match("Publish .", line)} == {"Publish 7"}
