# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device of a pair as net-snmp's manager sees it: everything by name, through an snmpd that also is absent, restarts and hangs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))

import snmp_lab  # noqa: E402  (the folder must be on the path first)
from pair_lab import Pair, wait_until  # noqa: E402
from shared_lab import Shared  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

SLEEPER = "[application]\ndescription=Sleeps soundly\ncommand=/bin/sleep 1000000\nuser=nobody\n\n[data words]\npath=/var/lib/words\nref=config\n"
UNDERSTUDY, V2, V3 = "UNDERSTUDY-MIB::understudyMIB", "VRRP-MIB::vrrpMIB", "VRRPV3-MIB::vrrpv3MIB"
UPTIME = ".1.3.6.1.2.1.1.3"


def ticks(value):
    """Of "Timeticks: (12345) 0:02:03.45"."""
    return int(value.split("(")[1].split(")")[0])


@contextlib.contextmanager
def pair_with_agent(build, folder):
    with Pair(build, {"words": SLEEPER}) as pair:
        for device in pair.devices.values():
            os.makedirs(device.file("/var/lib/words"))
        pair.first.write("/etc/understudy/device.conf", pair.first.read("/etc/understudy/device.conf") + f"\n[snmp]\nagentx=unix:{snmp_lab.SOCKET}\n")
        pair.start()
        pair.wait_settled()
        agent = snmp_lab.Agent(build, pair.first, folder)
        agent.start()
        try:
            agent.wait(UNDERSTUDY, "understudySeenEvents.0", "INTEGER: 1")
            yield pair, agent
        finally:
            agent.stop()


@pytest.fixture(scope="module")
def shared(build, tmp_path_factory):
    with Shared(lambda: pair_with_agent(build, tmp_path_factory.mktemp("snmp"))) as shared:
        yield shared


@pytest.fixture
def both(shared, request):
    yield from shared.lend(request)


@pytest.fixture
def pair(both):
    return both[0]


@pytest.fixture
def agent(both):
    return both[1]


def test_everything_by_name(pair, agent):
    device, other = pair.first, pair.second
    agent.wait(UNDERSTUDY, "understudyPeerConnected.0", "INTEGER: 1")
    agent.wait(UNDERSTUDY, "understudyPeerRole.0", "INTEGER: 4")
    seen = agent.walk(UNDERSTUDY)
    for name, value in {
            "understudyDeviceId.0": f"STRING: {device.name}", "understudyRole.0": "INTEGER: 6", "understudyMode.0": "INTEGER: 2", "understudyEnabled.0": "INTEGER: 1",
            "understudyTermDevice.0": f"STRING: {device.name}", "understudySettingsError.0": "STRING: ", "understudyPeerId.0": f"STRING: {other.name}",
            "understudyPeerMode.0": "INTEGER: 2", "understudySyncError.0": "STRING: ", "understudyApplicationDescription.\"words\"": "STRING: Sleeps soundly",
            "understudyApplicationState.\"words\"": "INTEGER: 5", "understudyTakeoverDevice.0": f"STRING: {device.name}", "understudySeenSupervisor.0": "INTEGER: 1",
            "understudySeenElection.0": "INTEGER: 1", "understudySeenSync.0": "INTEGER: 1"}.items():
        assert seen[name] == value, (name, seen.get(name))
    assert len(seen["understudyRefStored.\"config\""]) == len("STRING: ") + 40
    assert "understudyRefAppliedLag.\"config\"" in seen and "understudyTakeoverDuration.0" in seen and "understudyEventName.1" in seen
    assert not [name for name in seen if not name.startswith("understudy") or "." not in name]
    assert seen["understudyApplicationPid.\"words\""] != "Gauge32: 0"

    # The router by its standard MIB, and none by that of the other version.
    vrrp = {name.split(".")[0]: value for name, value in agent.walk(V3).items()}
    assert vrrp["vrrpv3OperationsStatus"] == "INTEGER: 3" and vrrp["vrrpv3OperationsAddrCount"] == "INTEGER: 1" and vrrp["vrrpv3OperationsRowStatus"] == "INTEGER: 1"
    assert vrrp["vrrpv3OperationsVirtualMacAddr"].startswith("STRING: 0:0:5e:0:1:")
    assert agent.walk(V2) == {}


def test_counters_that_began_anew_say_when(pair, agent):
    device = pair.first
    names = ("vrrpv3GlobalStatisticsDiscontinuityTime", "vrrpv3StatisticsRowDiscontinuityTime")

    def told():
        found = {name.split(".")[0]: value for name, value in agent.walk(V3).items()}
        return [ticks(found[name]) if name in found else None for name in names]

    def uptime():
        (value,) = agent.walk(UPTIME).values()
        return ticks(value)

    wait_until(lambda: told() == [0, 0], 30, "vrrpd has counted for longer than there is snmpd", 0.1)
    before = uptime()
    pid = device.pid_of("understudy-vrrpd")
    device.kill("understudy-vrrpd")
    device.wait_process("understudy-vrrpd", not_pid=pid)
    when, _ = wait_until(lambda: (said := told())[0] and said, 30, "vrrpd counts anew", 0.1)
    assert before - 100 <= when <= uptime() + 100, (before, when)
    assert told() == [when, when]
    pair.wait_settled()


def test_a_manager_changes_nothing(pair, agent):
    done = subprocess.run(["nsenter", f"--target={pair.first.pid}", "--net", "snmpset", "-v2c", "-c", "given", "-t", "5", "-r", "0", snmp_lab.ADDRESS,
                           "UNDERSTUDY-MIB::understudyMode.0", "i", "3"], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, **snmp_lab.names(agent.build, agent.folder)})
    assert done.returncode != 0 and "notWritable" in done.stderr, done.stderr
    assert agent.walk(UNDERSTUDY)["understudyMode.0"] == "INTEGER: 2"


def raise_event(device, text, priority):
    device.run(["busctl", "call", "org.understudy.Notify1", "/org/understudy/Notify1", "org.understudy.Notify1", "Raise", "ssyssa{sv}", "SIP", "rejected",
                str(priority), text, "", "0"])


def test_an_event_is_seen(pair, agent):
    before = agent.walk(UNDERSTUDY)
    number = int(before["understudyEventsRaisedHigh.0"].split()[-1])
    raise_event(pair.first, "A phone was rejected", 3)
    agent.wait(UNDERSTUDY, "understudyEventsRaisedHigh.0", f"Counter32: {number + 1}")
    wait_until(lambda: "STRING: A phone was rejected" in agent.walk(UNDERSTUDY).values(), 30, "the event in the table", 0.1)


def test_a_new_master_is_told_as_the_standard_says(pair, agent, build, tmp_path):
    """vrrpv3NewMaster, with the address and the interface of this device, and why; nobody is told of a Master that only goes on."""
    device, other = pair.first, pair.second
    modules = "UNDERSTUDY-MIB:SNMPv2-MIB:VRRPV3-MIB"
    transitions = {name.split(".")[0]: value for name, value in agent.walk(V3).items()}["vrrpv3StatisticsMasterTransitions"]
    with snmp_lab.Receiver(build, tmp_path, "authCommunity log told\n", device, snmp_lab.SINK, modules) as receiver:
        for master in (device, other):
            master.run(["understudy", "swap"], timeout=60)
            pair.wait_settled()
        wait_until(lambda: receiver.lines_with("VRRPV3-MIB::vrrpv3NewMaster"), 30, "vrrpv3NewMaster", 0.1)
        (line,) = receiver.lines_with("VRRPV3-MIB::vrrpv3NewMaster")
    index = device.run(["cat", "/sys/class/net/eth0/ifindex"]).stdout.strip()
    assert "vrrpv3StatisticsNewMasterReason." in line and "priority(1)" in line, line
    assert f"vrrpv3OperationsMasterIpAddr.{index}." in line, (index, line)
    count = int(transitions.split()[-1]) + 1
    wait_until(lambda: f"Counter32: {count}" in agent.walk(V3).values(), 30, "one transition more", 0.1)
    assert pair.master() is device


def test_snmpd_comes_and_goes(pair, agent):
    """Killed, absent, there again: so are we, and are the same process all along."""
    pid = pair.first.pid_of("understudy-snmp")
    agent.stop()
    assert agent.walk(UNDERSTUDY, timeout_s=1) == {}
    agent.start()
    agent.wait(UNDERSTUDY, "understudySeenSupervisor.0", "INTEGER: 1")
    assert pair.first.pid_of("understudy-snmp") == pid


def told(device, number=2):
    """(name, text) of the last events of notifyd's own, the newest last."""
    events = json.loads(device.run(["understudy", "--json", "events", "--count", "100"]).stdout)
    return [(event["name"], event["description"]) for event in reversed(events) if event["name"].startswith("snmpd ")][-number:]


def test_an_snmpd_that_is_not_reached_is_said(pair, agent):
    """As an event, which says what to do; and that it is mended, when it is."""
    device, folder = pair.first, os.path.dirname(snmp_lab.SOCKET)
    agent.stop()
    wait_until(lambda: told(device, 1) and told(device, 1)[0] == ("snmpd not reached", f"nobody listens at {snmp_lab.SOCKET}: snmpd does not run; as root: systemctl status snmpd"),
               40, "it is said that nobody listens", 0.2)
    os.chmod(device.file(folder), 0o700)
    try:
        agent.start()
        wait_until(lambda: told(device, 1)[0][1].startswith(f"snmpd's folder {folder} lets only its owner in; as root: chmod 755 {folder}"), 40, "it is said that the folder is closed", 0.2)
    finally:
        os.chmod(device.file(folder), 0o755)
    wait_until(lambda: told(device, 1)[0][0] == "snmpd reached", 40, "it is said that it is reached", 0.2)
    agent.wait(UNDERSTUDY, "understudySeenSupervisor.0", "INTEGER: 1")
    assert [name for name, _ in told(device, 3)] == ["snmpd not reached", "snmpd not reached", "snmpd reached"]


def test_nobody_notices_a_frozen_snmpd(pair, agent):
    device = pair.first
    pids = {name: device.pid_of(f"understudy-{name}") for name in ("supervisor", "vrrpd", "syncd", "notifyd", "snmp")}
    transitions = device.run(["understudy", "--json", "timeline"]).stdout
    os.kill(agent.pid(), signal.SIGSTOP)
    try:
        for number in range(3):  # each makes work for all of them
            raise_event(device, f"number {number}", 1)
            assert device.run(["understudy", "--json", "status"]).returncode == 0
    finally:
        os.kill(agent.pid(), signal.SIGCONT)
    agent.wait(UNDERSTUDY, "understudySeenSupervisor.0", "INTEGER: 1")
    assert {name: device.pid_of(f"understudy-{name}") for name in pids} == pids
    assert device.run(["understudy", "--json", "timeline"]).stdout == transitions


def dirty_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty"))


@pytest.mark.long
def test_snmpd_frozen_for_a_minute(pair, agent):
    """Longer than every wait of AgentX, with work for everybody all the time: nobody waits, nobody's memory grows, and after the thaw we are there."""
    device = pair.first
    pids = {name: device.pid_of(f"understudy-{name}") for name in ("supervisor", "vrrpd", "syncd", "notifyd", "snmp")}
    transitions = device.run(["understudy", "--json", "timeline"]).stdout
    slowest_s, warm, begin = 0, None, time.monotonic()
    os.kill(agent.pid(), signal.SIGSTOP)
    try:
        while time.monotonic() < begin + 60:
            asked = time.monotonic()
            raise_event(device, "while it is frozen", 1)
            assert device.run(["understudy", "--json", "status"]).returncode == 0
            slowest_s = max(slowest_s, time.monotonic() - asked)
            if not warm and asked > begin + 20:
                warm = {name: dirty_kb(pid) for name, pid in pids.items()}
    finally:
        os.kill(agent.pid(), signal.SIGCONT)
    grown = {name: dirty_kb(pid) - warm[name] for name, pid in pids.items()}
    assert max(grown.values()) < 1024, grown
    assert slowest_s < 5, slowest_s
    agent.wait(UNDERSTUDY, "understudySeenSupervisor.0", "INTEGER: 1")
    assert {name: device.pid_of(f"understudy-{name}") for name in pids} == pids
    assert device.run(["understudy", "--json", "timeline"]).stdout == transitions


def test_the_sub_agent_comes_back(pair, agent):
    pid = pair.first.pid_of("understudy-snmp")
    roles = pair.roles()
    pair.first.kill("understudy-snmp")
    pair.first.wait_process("understudy-snmp", not_pid=pid)
    agent.wait(UNDERSTUDY, "understudyRole.0", "INTEGER: 6")
    assert pair.roles() == roles


@pytest.mark.long
def test_what_is_not_known_is_said_so(pair, agent):
    """A daemon that hangs, after 12 s."""
    device = pair.first
    device.kill("understudy-notifyd", signal.SIGSTOP)
    try:
        wait_until(lambda: agent.walk(UNDERSTUDY).get("understudySeenEvents.0") == "INTEGER: 2", 60, "notifyd is not known", 0.5)
        seen = agent.walk(UNDERSTUDY)
        assert "understudyEventsUnread.0" not in seen and seen["understudyRole.0"] == "INTEGER: 6"
    finally:
        device.kill("understudy-notifyd", signal.SIGCONT)
    agent.wait(UNDERSTUDY, "understudySeenEvents.0", "INTEGER: 1")


def test_it_goes_with_its_section(pair, agent):
    device = pair.first
    text = device.read("/etc/understudy/device.conf")
    device.write("/etc/understudy/device.conf", text[:text.index("[snmp]")])
    device.run(["understudy", "settings", "reload"])
    wait_until(lambda: "understudy-snmp" not in [name for _, name in device.processes()], 10, "it has ended", 0.1)
    assert agent.walk(UNDERSTUDY) == {}
    device.write("/etc/understudy/device.conf", text)
    device.run(["understudy", "settings", "reload"])
    device.wait_process("understudy-snmp")
    agent.wait(UNDERSTUDY, "understudyRole.0", "INTEGER: 6")
