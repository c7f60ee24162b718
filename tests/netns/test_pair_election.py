# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator asks about an election, on a running pair: by the command line, by busctl, by the doctor, and after a firewall has spoken."""

import json
import os
import re
import signal
import socket
import time

import pytest
from pair_lab import Pair, stays, wait_until
from test_vrrp_wire import advert, checksum

pytestmark = pytest.mark.timed(100, real_time=True)

NOTHING = "[application]\ndescription=Waits\ncommand=/bin/sleep 100000\n"
FIREWALL = "192.0.2.66"
NAME, PATH, ELECTION = "org.understudy.Vrrp1", "/org/understudy/Vrrp1", "org.understudy.Election1"


@pytest.fixture
def pair(build):
    with Pair(build, {"nothing": NOTHING}) as pair:
        pair.start()
        yield pair


def said(device, *words):
    return device.run(["understudy", *words]).stdout


def busctl(device, interface, name):
    return json.loads(device.run(["busctl", "--json=short", "get-property", NAME, PATH, interface, name]).stdout)["data"]


def speak_as_a_firewall(pair, group_id, times):
    """Another VRRP router, that owns what it owns: priority 255 with our group id."""
    firewall = pair.lab.net.namespace("firewall")
    port = pair.lan.connect(firewall, "eth0", f"{FIREWALL}/24")
    port.wait_forwarding()
    message = advert(priority=255, vrid=group_id, addresses=("192.0.2.1",))
    header = bytes([0x45, 0xC0, 0, 20 + len(message), 0, 0, 0, 0, 255, 112, 0, 0]) + socket.inet_aton(FIREWALL) + socket.inet_aton("224.0.0.18")
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    with firewall.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.bind(("eth0", 0x0800))
        for _ in range(times):
            sock.send(bytes.fromhex("01005e000012 02000000aa01 0800") + header + message)


def doctor(device):
    """Its codes, each with its text; the exit code says whether a takeover would work."""
    return {finding["code"]: finding["text"] for finding in json.loads(device.run(["understudy", "doctor", "--json"], check=False).stdout)}


def test_all_that_is_asked_about_an_election(pair):
    master, backup = pair.master(), pair.backup()
    addresses = {device: device.peer_address for device in (master, backup)}
    lan = {device: device.lan_address for device in (master, backup)}
    wait_until(lambda: busctl(master, ELECTION, "Standing") == "serving", 10, "the Master is within reach")

    # State, since when, why, who is Master, paths and when last heard, priority and why.
    text = said(master, "election")
    for line in (r"state +master for \d+ m?s \([a-z-]+\)", r"Master +this device", r"priority +\d+: serving, step \d, offset [01]",
                 rf"path lan +{re.escape(lan[backup])} on eth0, (not heard yet|heard .* ago)", r"last stranger +none", r"sent +\d+"):
        assert re.search(rf"^ +{line}", text, re.M), (line, text)
    text = said(backup, "election")
    for line in (r"state +backup for \d+ m?s \([a-z-]+\)", rf"Master +{re.escape(lan[master])}, priority \d+, adverts every 100 ms",
                 r"priority +\d+: not-serving, step \d, offset [01]", r"takes over +after 30\d(\.\d)? ms without an advert",
                 rf"path lan +{re.escape(lan[master])} on eth0, heard \d+ m?s ago", rf"path peer +{re.escape(addresses[master])} on eth1, heard \d+ m?s ago",
                 r"last stranger +none", r"counted +\d+"):
        assert re.search(rf"^ +{line}", text, re.M), (line, text)
    assert "\nElection\n" in said(backup, "status") and "path peer" in said(backup, "status")
    # The same by busctl.
    assert [busctl(device, ELECTION, "State") for device in (master, backup)] == ["master", "backup"]
    for device in master, backup:
        assert busctl(device, ELECTION, "SinceUs") > 0 and busctl(device, ELECTION, "Reason") and busctl(device, ELECTION, "Sequence") > 0
        assert re.match(r"(not-)?serving, step \d, offset [01]", busctl(device, ELECTION, "PriorityReason")) and busctl(device, ELECTION, "Priority") > 0
        paths = {path["name"]["data"] or path["interface"]["data"]: path for path in busctl(device, ELECTION, "Paths")}
        assert set(paths) == {"lan", "peer"} and all(path["open"]["data"] for path in paths.values())
        assert busctl(device, NAME, "Counters")["drop-stranger"] == 0 and busctl(device, ELECTION, "Holds") == []
    # Settings that have just been taken over begin an election anew, which has heard nobody before the next advert.
    wait_until(lambda: {"lan", addresses[master]} == set(busctl(backup, ELECTION, "LastHeard")), 5, "both are heard")
    heard = busctl(backup, ELECTION, "LastHeard")
    wait_until(lambda: all(busctl(backup, ELECTION, "LastHeard").get(name, 0) > heard[name] for name in heard), 5, "both are heard on")

    # Holds.
    said(master, "mode", "passive", "--reason", "to look at it")
    wait_until(lambda: re.search(r"^ +passive +for \d+ m?s ", said(backup, "election"), re.M), 5, "the hold is shown")
    assert "takes over   not by itself: it is held" in re.sub(r"takes over +", "takes over   ", said(backup, "election"))
    assert [hold[0] for hold in busctl(backup, ELECTION, "Holds")] == ["passive"]
    said(master, "mode", "active")
    wait_until(lambda: busctl(backup, ELECTION, "Holds") == [], 5, "it is lifted")

    # The last stranger: a firewall, with the priority of one who owns the address.
    counts = {device: busctl(device, ELECTION, "Sequence") for device in (master, backup)}
    speak_as_a_firewall(pair, busctl(master, NAME, "GroupId"), 30)
    for device in master, backup:
        wait_until(lambda d=device: busctl(d, ELECTION, "LastStranger")[2] == 30, 5, "all are counted")
        assert busctl(device, ELECTION, "LastStranger")[:2] == [FIREWALL, "stranger"]
        assert re.search(rf"^ +last stranger +{re.escape(FIREWALL)}: stranger, 30 times, the last .*ago", said(device, "election"), re.M)
        wait_until(lambda d=device: FIREWALL in doctor(d).get("group-id-used", ""), 5, "the doctor knows")
    assert {device: busctl(device, ELECTION, "Sequence") for device in (master, backup)} == counts and pair.master() is master

    def events():
        return [event for event in json.loads(said(master, "events", "--json")) if event["name"] == "stranger"]

    wait_until(events, 10, "an event")
    assert all(FIREWALL in event["description"] for event in events())
    assert sorted(event["device"] for event in events()) in ([master.name], sorted([master.name, backup.name])), "one a device and cause, not thirty"


def test_vrrpd_is_calm_or_says_that_it_cannot_be(pair):
    """In real time, all of its memory locked; where a machine refuses that, it is a problem and no silence."""
    for device in pair.first, pair.second:
        pid = device.pid_of("understudy-vrrpd")
        problems = str(busctl(device, ELECTION, "Problems"))
        real_time = os.sched_getscheduler(pid) == os.SCHED_RR
        assert real_time != ("no-realtime" in problems), problems
        # The thread that changes addresses, right behind the loop and before everything ordinary: a takeover waits for it.
        priorities = {tid: os.sched_getparam(tid).sched_priority for tid in map(int, os.listdir(f"/proc/{pid}/task"))}
        own = priorities.pop(pid)
        assert list(priorities.values()) == ([own - 1] if real_time else [0]), (own, priorities)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        locked, mapped = (int(status[name].split()[0]) for name in ("VmLck", "VmSize"))
        assert (locked > mapped / 2) != ("memory-not-locked" in problems), (locked, mapped, problems)


def test_a_killed_vrrpd_is_back_at_once(pair):
    """Its sockets are still being closed then, which takes longer (heir.h): nobody waits for that."""
    master = pair.master()
    words = ["busctl", "get-property", NAME, PATH, ELECTION, "Standing"]
    sequences = {device: busctl(device, ELECTION, "Sequence") for device in (pair.first, pair.second)}
    took_s = []
    for _ in range(3):
        wait_until(lambda: "serving" in master.run(words, check=False).stdout, 10, "all is well")
        pid = master.pid_of("understudy-vrrpd")
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda old=pid: master.pid_of("understudy-vrrpd") not in (0, old), 5, "the next one", 0.001)
        took_s.append(time.monotonic() - begin)
    assert min(took_s) < 0.03, took_s
    wait_until(lambda: "serving" in master.run(words, check=False).stdout, 10, "all is well")
    assert {device: busctl(device, ELECTION, "Sequence") for device in (pair.first, pair.second)} == sequences and pair.master() is master


def test_one_way_only_is_what_the_doctor_says(build):
    """Two devices with nothing but the LAN between them."""
    with Pair(build, {"nothing": NOTHING}) as pair:
        for device in pair.first, pair.second:
            other = pair.other(device).lan_address
            text = device.read("/etc/understudy/device.conf")
            text = re.sub(r"\[interface peer\]\ndevice=eth1\n.*?\n\n", "", text, flags=re.S)
            device.write("/etc/understudy/device.conf", re.sub(r"(?m)^addresses=.*$", f"addresses={other}", text))
            device.peer_address = device.lan_address
        pair.start()
        for device in pair.first, pair.second:
            wait_until(lambda d=device: "service LAN alone" in doctor(d).get("no-peer-path", ""), 10, "no independent path")
            assert "no-peer-path" in said(device, "status")


def held(device):
    """By what vrrpd is kept from taking over; None while it does not answer."""
    done = device.run(["busctl", "--json=short", "get-property", NAME, PATH, ELECTION, "Holds"], check=False)
    return [name for name, _reason, _since in json.loads(done.stdout)["data"]] if done.returncode == 0 else None


def test_a_supervisor_that_stands_still_is_missed_until_it_goes_on(pair):
    master, backup = pair.master(), pair.backup()
    wait_until(lambda: held(backup) == [], 10, "nothing keeps the Backup from taking over")
    # A vrrpd that was killed hears of the supervisor again, and goes on hearing of it.
    old = backup.kill("understudy-vrrpd")
    backup.wait_process("understudy-vrrpd", not_pid=old)
    wait_until(lambda: held(backup) == [], 10, "it answers")
    assert stays(lambda: held(backup) == [], 4)
    keeper = backup.kill("understudy-keeper", signal.SIGSTOP)  # who would have another one take its place
    supervisor = backup.kill("understudy-supervisor", signal.SIGSTOP)
    try:
        wait_until(lambda: held(backup) == ["no-supervisor"], 10, "it is missed")
        os.kill(supervisor, signal.SIGCONT)
        wait_until(lambda: held(backup) == [], 10, "it is missed no longer")
    finally:
        for pid in (supervisor, keeper):
            os.kill(pid, signal.SIGCONT)
    assert backup.pid_of("understudy-supervisor") == supervisor and pair.master() is master
