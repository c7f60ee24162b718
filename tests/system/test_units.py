# SPDX-License-Identifier: LGPL-2.1-or-later
"""Applications that are units of systemd: started, watched and stopped by way of process 1, never by the system bus."""

import json
import os
import signal
import time

import pbx
import pytest
from lab.net import wait_until
from lab.pair import SERVICE, Pair
from phones import accounts
from probe import Probe

NAME, ROOT = "org.understudy.Supervisor1", "/org/understudy/Supervisor1"
DEVICE = "[device]\nid=alpha\nname=Alpha\n\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n"
UNIT = "[Unit]\nDescription=A PBX\n{unit}\n[Service]\nExecStart={start}\nRestart=always\n{service}\n[Install]\nWantedBy=multi-user.target\n"

# Leaves a child of its own session behind, and goes when it is told to.
LEAVES = "/bin/sh -c 'setsid sleep 1002 & exec sleep 1003'"
CLINGS = "/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'"


class Place:
    """One machine, and what one asks its supervisor."""

    def __init__(self, house):
        self.machine = house.device("alpha", {"eth0": (house.net.switch("lan"), "192.0.2.11/24")})
        self.machine.write("/etc/understudy/device.conf", DEVICE)

    def unit(self, name, start="/usr/bin/sleep 1001", unit="", service="", enabled=True, **more):
        self.machine.write(f"/etc/systemd/system/{name}.service", UNIT.format(start=start, unit=unit, service=service))
        if enabled:
            wants = self.machine.place("/etc/systemd/system/multi-user.target.wants")
            os.makedirs(wants, exist_ok=True)
            os.symlink(f"/etc/systemd/system/{name}.service", f"{wants}/{name}.service")
        self.application(name, **more)

    def application(self, name, **more):
        keys = {"unit": f"{name}.service", **{key.replace("_", "-"): value for key, value in more.items()}}
        self.machine.write(f"/etc/understudy/applications.d/{name}.conf",
                           "[application]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))

    def app(self, name, prop):
        done = self.machine.run(["busctl", "--json=short", "get-property", NAME, f"{ROOT}/application/{name}",
                                 "org.understudy.Application1", prop], check=False)
        return json.loads(done.stdout)["data"] if done.returncode == 0 else None

    def wait_app(self, name, state, timeout_s=20):
        wait_until(lambda: self.app(name, "State") == state, timeout_s, f"{name} {state}")

    def show(self, name, prop):
        return self.machine.run(["systemctl", "show", "--value", f"--property={prop}", f"{name}.service"]).stdout.strip()

    def events(self):
        done = self.machine.run(["busctl", "--json=short", "call", "org.understudy.Notify1", "/org/understudy/Notify1",
                                 "org.understudy.Notify1", "List", "a{sv}", "0"], check=False)
        return [event["description"]["data"] for event in json.loads(done.stdout)["data"][0]] if done.returncode == 0 else []

    def wait_event(self, text, timeout_s=30):
        return wait_until(lambda: next((event for event in self.events() if text in event), None), timeout_s, f"event: {text}")

    def reload(self):
        self.machine.run(["busctl", "call", NAME, ROOT, NAME, "Reload"])

    def wait_reloaded(self, name, timeout_s=20):
        """systemd has read that it must not start the unit again by itself."""
        wait_until(lambda: self.show(name, "Restart") == "no", timeout_s, f"{name}: its drop-in read", 0.05)


@pytest.fixture
def place(house):
    return Place(house)


def test_life_of_a_unit(place):
    """Found running at boot or started, followed over its own and the supervisor's death, and let go when it is no application any more."""
    place.unit("pbx", needs="database", restart_delay_ms="10")
    place.unit("database")
    place.machine.boot()
    place.wait_app("pbx", "running")
    place.wait_reloaded("pbx")
    first = int(place.show("pbx", "MainPID"))
    assert place.app("pbx", "Pid") == first

    place.machine.run(["kill", "-9", str(first)])
    wait_until(lambda: place.app("pbx", "Restarts") == 1 and place.app("pbx", "State") == "running", 20, "started again")
    assert place.app("pbx", "LastExit") == "signal 9 (signal)"
    wait_until(lambda: place.app("pbx", "Pid") not in (0, first), 5, "its new pid")

    second = place.app("pbx", "Pid")
    wait_until(lambda: f"unit pbx.service {second} " in (place.machine.read("/run/understudy/supervisor/processes") or ""), 5, "its record")
    supervisor = place.machine.kill("understudy-supervisor")
    place.machine.wait_process("understudy-supervisor", not_pid=supervisor)
    wait_until(lambda: place.app("pbx", "State") == "running", 10, "found again")
    assert place.app("pbx", "Pid") == second == int(place.show("pbx", "MainPID"))

    place.machine.run(["systemctl", "stop", "pbx.service"])  # a person does; it is wanted all the same
    wait_until(lambda: place.app("pbx", "State") == "running" and place.app("pbx", "Pid") not in (0, second), 20, "running against that wish")

    place.machine.run(["systemctl", "daemon-reexec"])  # process 1 hangs up, and is asked anew
    third = place.app("pbx", "Pid")
    place.machine.run(["kill", "-9", str(third)])
    wait_until(lambda: place.app("pbx", "State") == "running" and place.app("pbx", "Pid") not in (0, second, third), 20, "followed by the new one")

    os.unlink(place.machine.place("/etc/understudy/applications.d/pbx.conf"))
    place.reload()
    wait_until(lambda: place.show("pbx", "ActiveState") == "inactive", 20, "stopped with its settings")
    wait_until(lambda: not os.path.exists(place.machine.place("/etc/systemd/system/pbx.service.d")), 5, "its drop-in gone")
    assert place.app("database", "State") == "running" and place.app("database", "Restarts") == 0


def test_units_that_do_not_do_what_they_should(place):
    """Each has its reason, and the others are not affected."""
    place.unit("good")
    place.unit("masked", enabled=False, restart_delay_ms="1")
    os.unlink(place.machine.file("/etc/systemd/system/masked.service"))
    os.symlink("/dev/null", place.machine.file("/etc/systemd/system/masked.service"))
    place.application("absent", restart_delay_ms="1")
    place.unit("ends", start="/bin/sh -c 'echo I cannot; exit 3'", restart_delay_ms="1")
    place.unit("late", start="/bin/sleep 1004", service="Type=notify", ready_timeout_ms="300")
    place.unit("leaves", start=LEAVES, service="KillMode=process")
    place.unit("clings", start=CLINGS, service="TimeoutStopSec=90", stop_timeout_ms="300")
    place.machine.boot()
    assert "masked" in place.wait_event("Application masked has failed")
    assert "not found" in place.wait_event("Application absent has failed")
    ended = place.wait_event("Application ends has failed")
    assert "(exit 3)" in ended and "I cannot" in ended
    assert "(not ready within 300 ms)" in place.wait_event("Application late has failed")
    wait_until(lambda: place.app("late", "State") == "failed" and place.show("late", "ActiveState") != "active", 10, "late is gone")

    for name in ("leaves", "clings"):
        place.wait_app(name, "running")
        begin, before = time.monotonic(), place.app(name, "Pid")
        place.machine.run(["busctl", "call", NAME, f"{ROOT}/application/{name}", "org.understudy.Application1", "Restart", "s", "it is to begin anew"])
        wait_until(lambda name=name, before=before: place.app(name, "State") == "running" and place.app(name, "Pid") not in (0, before), 20,
                   f"{name} again")
        assert time.monotonic() - begin < 20
    place.wait_event("Application clings did not stop within 300 ms and was killed")
    procs = place.machine.run(["systemctl", "show", "--value", "--property=TasksCurrent", "leaves.service"]).stdout.strip()
    assert procs in ("2", "[not set]"), "what the first one left behind is gone"
    assert place.app("good", "State") == "running" and place.app("good", "Restarts") == 0


def test_keeper_s_last_resort_stops_units(place):
    place.unit("pbx", start=CLINGS, service="TimeoutStopSec=1")
    place.machine.boot()
    place.wait_app("pbx", "running")
    wait_until(lambda: "unit pbx.service " in (place.machine.read("/run/understudy/supervisor/processes") or ""), 5, "its record")
    place.machine.write("/usr/lib/understudy/understudy-supervisor", "#!/bin/sh\nexit 1\n", 0o755)
    place.machine.kill("understudy-supervisor")
    wait_until(lambda: place.show("pbx", "ActiveState") in ("inactive", "failed"), 30, "stopped")


@pytest.fixture
def pair(house, request):
    text = pbx.APPLICATION_TEXT
    kept = [line for line in text.splitlines() if line.partition("=")[0] not in ("command", "user", "group", "stop-signal", "ready", "ready-command")]
    kept.insert(kept.index("[application]") + 1, f"unit=kamailio.service\nready=sip-options\nready-address=udp {SERVICE}:5060\n")
    made = Pair(None, {"kamailio": "\n".join(kept) + "\n"}, lab=house)
    request.addfinalizer(made.close)
    pbx.install(made.first, SERVICE, accounts(3), {})
    pbx.install(made.second, SERVICE, None, None)
    made.start()
    made.host = house.net.namespace("phones")
    made.lan.connect(made.host, "eth0", "192.0.2.100/24")
    made.probe = Probe(made.host, "192.0.2.100", SERVICE)
    request.addfinalizer(made.probe.stop)
    made.probe.wait_answers(30)
    return made


def test_takeover_of_a_unit_while_the_bus_is_frozen(pair):
    """On the Backup nobody can start it; then the bus stands still, and the takeover starts it all the same."""
    master, backup = pair.master(), pair.backup()
    assert master.pid_of("kamailio") and not backup.pid_of("kamailio")
    backup.run(["systemctl", "start", "kamailio.service"])
    assert backup.run(["systemctl", "is-active", "kamailio.service"], check=False).stdout.strip() == "inactive"
    assert not backup.pid_of("kamailio")
    # Not even with what hinders it taken away.
    dropin = "/etc/systemd/system/kamailio.service.d/understudy.conf"
    backup.run(["sh", "-c", f"rm {dropin} && systemctl daemon-reload && systemctl start kamailio.service"], check=False)
    wait_until(lambda: "though no application may" in backup.run(["understudy", "events"]).stdout, 20, "told of")
    wait_until(lambda: not backup.pid_of("kamailio") and os.path.exists(backup.place(dropin)), 20, "stopped again, and kept back again")
    bus = backup.kill("dbus-daemon", signal.SIGSTOP)
    begin = time.monotonic()
    pair.power_cut(master)
    pair.probe.wait_answer_sent_after(begin + 0.3, 20)
    assert backup.pid_of("kamailio")
    os.kill(bus, signal.SIGCONT)
    pair.watch(backup).wait_role("master", 15)
