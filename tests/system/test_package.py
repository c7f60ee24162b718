# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package on whole machines: installed, booted, upgraded while it leads, removed, purged."""

import os
import shutil
import stat
import time

import image
import pytest
from lab.net import wait_until

DEVICE = """\
[device]
id=alone

[interface lan]
device=eth0
address=192.0.2.11/24
"""
SLEEPER = """\
[application]
command=/bin/sleep infinity
"""
NAMES = ["org.understudy.Notify1", "org.understudy.Supervisor1", "org.understudy.Sync1", "org.understudy.Vrrp1"]
# Every user and group that the package makes.
USERS = ["understudy-notify", "understudy-sync", "understudy-vrrp"]
GROUPS = [*USERS, "understudy", "understudy-operate", "understudy-private", "understudy-view"]
# What is where, whose, and with which mode; what is not a daemon of its own among it.
OF_ROOT = {f"/usr/lib/understudy/understudy-{name}": 0o755 for name in ("keeper", "mail", "notifyd", "sms", "snmp", "supervisor", "syncd", "trap", "unite", "vrrpd")} | {
    "/usr/bin/understudy": 0o755, "/etc/understudy": 0o755, "/etc/understudy/applications.d": 0o755, "/etc/understudy/ca.d": 0o755,
    "/var/lib/understudy": 0o755, "/usr/share/snmp/mibs/UNDERSTUDY-MIB.txt": 0o644, "/usr/lib/udev/rules.d/70-understudy-leds.rules": 0o644,
    "/usr/share/dbus-1/system.d/org.understudy.conf": 0o644, "/usr/share/doc/understudy/README.md": 0o644,
    "/usr/share/doc/understudy/administration.md": 0o644, "/usr/share/doc/understudy/examples/pair-notify.conf": 0o644,
    "/usr/share/doc/understudy/examples/snmpd.conf": 0o644}
PROGRAMS = ["understudy-keeper", "understudy-notifyd", "understudy-supervisor", "understudy-syncd", "understudy-vrrpd"]


def names_on_bus(machine):
    listing = machine.run(["busctl", "--system", "list", "--acquired", "--no-legend"]).stdout
    return sorted(line.split()[0] for line in listing.splitlines() if line.startswith("org.understudy."))


def unit(machine, name):
    return machine.run(["systemctl", "show", "--value", f"--property={name}", "understudy.service"]).stdout.strip()


def complaints(machine):
    """What Understudy logged as a warning or worse since the last boot."""
    return machine.journal("--boot", "--unit=understudy.service", "--priority=warning")


def dpkg(machine, *words):
    return machine.run(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *words], timeout=120).stdout


def rights(machine, path):
    """(mode, user, group) by their names on the machine."""
    found = os.stat(machine.place(path))
    users, groups = ({int(line.split(":")[2]): line.split(":")[0] for line in machine.read(f"/etc/{name}").splitlines()} for name in ("passwd", "group"))
    return stat.S_IMODE(found.st_mode), users[found.st_uid], groups[found.st_gid]


def check_installed(machine):
    """Each file with its rights; the users may not log in; whoever is told of what is readable by notifyd alone."""
    assert {path: rights(machine, path) for path in OF_ROOT} == {path: (mode, "root", "root") for path, mode in OF_ROOT.items()}
    assert rights(machine, "/etc/understudy/secrets.d") == (0o750, "root", "understudy-notify")
    shells = {line.split(":")[0]: line.split(":")[6] for line in machine.read("/etc/passwd").splitlines()}
    assert {shells[name] for name in USERS} == {"/usr/sbin/nologin"}
    assert set(GROUPS) <= {line.split(":")[0] for line in machine.read("/etc/group").splitlines()}


def test_install_configure_boot_remove_purge(house):
    """As an administrator does it: nothing runs before device.conf is there, all of it after the next boot, nothing is left at the end."""
    machine = house.device("alone", {"eth0": (house.net.switch("lan"), "192.0.2.11/24")}, installed=False)
    machine.boot()
    shutil.copy(image.package(), machine.file("/root/package.deb"))
    dpkg(machine, "--install", "/root/package.deb")
    assert (unit(machine, "ActiveState"), unit(machine, "UnitFileState"), unit(machine, "ConditionResult")) == ("inactive", "enabled", "no")
    assert machine.state() == "running"
    check_installed(machine)
    assert machine.run(["understudy", "status"], check=False).returncode == 3

    machine.write("/etc/understudy/device.conf", DEVICE)
    machine.write("/etc/understudy/applications.d/sleeper.conf", SLEEPER)
    machine.reboot()
    wait_until(lambda: machine.state() == "running", 40, "booted", 0.05)
    wait_until(lambda: names_on_bus(machine) == NAMES, 20, "its names on the bus", 0.05)
    wait_until(lambda: machine.pid_of("sleep"), 10, "its application")
    status = machine.run(["understudy", "status"])
    assert "standalone" in status.stdout
    assert "standalone" in machine.journal("--boot", "--unit=understudy.service") and complaints(machine) == ""
    # The bus policy: a stranger may raise an event, and see nothing.
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    assert machine.run([*as_nobody, "understudy", "status"], check=False).returncode != 0
    machine.run([*as_nobody, "busctl", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", "Raise",
                 "ssyssa{sv}", "MG", "call quality warning", "2", "Line 3: 12% loss", "", "0"])
    machine.run(["setpriv", "--reuid=nobody", "--regid=understudy-view", "--clear-groups", "understudy", "status"])

    dpkg(machine, "--remove", "understudy")
    assert unit(machine, "ActiveState") == "inactive"
    assert [name for _, name in machine.processes() if name in (*PROGRAMS, "sleep")] == []
    assert os.path.exists(machine.place("/etc/understudy/device.conf")) and os.path.isdir(machine.place("/var/lib/understudy"))
    dpkg(machine, "--install", "/root/package.deb")
    wait_until(lambda: names_on_bus(machine) == NAMES, 20, "its names on the bus after a new installation", 0.05)

    machine.run(["understudy", "secret", "set", "mail.boss"], input="a password\n")
    assert rights(machine, "/etc/understudy/secrets.d/mail.boss") == (0o640, "root", "understudy-notify")
    assert rights(machine, "/var/lib/understudy/notify") == (0o700, "understudy-notify", "understudy-notify")
    dpkg(machine, "--purge", "understudy")
    assert [place for place in ("/etc/understudy", "/var/lib/understudy", "/run/understudy", "/usr/lib/understudy",
                                "/usr/share/doc/understudy") if os.path.exists(machine.place(place))] == []
    assert machine.state() == "running"


@pytest.mark.timed(100)
def test_upgrade_then_removal_on_a_running_master(pair, tmp_path):
    """The upgrade replaces every program and changes no role, stops no application, loses no answer. The removal hands over."""
    master, backup = pair.master(), pair.backup()
    before = {name: len(watch.roles) for name, watch in pair.watches.items()}
    pids = {name: master.pid_of(name) for name in (*PROGRAMS, "kamailio", "sleep")}
    shutil.copy(image.newer_package(tmp_path), master.file("/root/newer.deb"))
    master.run(["understudy", "secret", "set", "mail.boss"], input="a password\n")
    master.run(["understudy", "event", "raise", "SIP", "before the upgrade"])
    kept = ["/etc/understudy/device.conf", "/etc/understudy/pair.conf", "/etc/understudy/secrets.d/mail.boss"]
    own = {path: (master.read(path), rights(master, path)) for path in kept}
    begin = time.monotonic()
    dpkg(master, "--install", "/root/newer.deb")

    def runs_new(name):
        pid = master.pid_of(name)
        try:
            return pid and not os.readlink(f"/proc/{pid}/exe").endswith("(deleted)")
        except FileNotFoundError:
            return False

    for name in PROGRAMS:
        wait_until(lambda name=name: runs_new(name), 15, f"the new {name}")
    pair.wait_settled(40)
    assert pair.master() is master and before == {name: len(watch.roles) for name, watch in pair.watches.items()}
    for name in ("kamailio", "sleep", "understudy-keeper"):
        assert master.pid_of(name) == pids[name], name
    assert pair.probe.silence_ms(begin)[0] < 1000 and pair.addresses.doubled_ms(begin) == 0
    assert master.run(["dpkg-query", "--show", "--showformat=${Version}", "understudy"]).stdout.endswith("+newer")

    assert {path: (master.read(path), rights(master, path)) for path in kept} == own
    assert "before the upgrade" in master.run(["understudy", "events"]).stdout

    begin = time.monotonic()
    dpkg(master, "--remove", "understudy")
    pair.watch(backup).wait_role("master", 15)
    pair.probe.wait_answer_sent_after(begin + 0.3, 15)
    assert [name for _, name in master.processes() if name in (*PROGRAMS, "kamailio", "sleep")] == []
    # A PBX of its own again: nothing keeps its unit from starting.
    assert "understudy" not in master.run(["systemctl", "cat", "kamailio.service"]).stdout
