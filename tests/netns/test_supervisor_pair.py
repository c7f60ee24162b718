# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two paired devices whose application echoes datagrams at the service address: kills, swaps, modes, power, in every role."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from echo_lab import APPLICATION, ECHO
from shared_lab import Shared

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from lab.net import stays, wait_until  # noqa: E402  (the demo's folder must be on the path first)
from lab.pair import SERVICE, Pair  # noqa: E402

pytestmark = pytest.mark.timed(100, real_time=True)

PHONE = "192.0.2.100"
PROCESSES = ("keeper", "supervisor", "vrrpd", "syncd", "notifyd")
BUS = ["busctl", "--json=short", "call", "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "org.understudy.Supervisor1"]


class Line:
    """Sends a numbered datagram every 5 ms and remembers when each was answered."""

    def __init__(self, host):
        self.socket = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((PHONE, 0))
        self.socket.setblocking(False)
        self.answered, self.run = [], True
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        number = 0
        while self.run:
            number += 1
            with contextlib.suppress(OSError):
                self.socket.sendto(str(number).encode(), (SERVICE, 5060))
            if select.select([self.socket], [], [], 0.005)[0]:
                with contextlib.suppress(OSError):
                    while self.socket.recv(100):
                        self.answered.append(time.monotonic())
            time.sleep(0.003)

    def longest_gap_ms(self, begin, end):
        moments = [begin, *(moment for moment in list(self.answered) if begin <= moment <= end), end]
        return max((b - a) * 1000 for a, b in zip(moments, moments[1:]))

    def wait_answered(self, after, timeout_s=10):
        wait_until(lambda: self.answered and self.answered[-1] > after, timeout_s, "an answer")

    def stop(self):
        self.run = False
        self.thread.join()
        self.socket.close()


@contextlib.contextmanager
def pair_with_echo(build):
    with Pair(build, {"echo": APPLICATION}) as pair:
        for device in (pair.first, pair.second):
            device.write("/usr/local/bin/echo", ECHO, 0o755)
            os.makedirs(device.file("/var/lib/echo"))
        for device in (pair.first, pair.second):
            pair.switch_on(device)
        pair.watches["alpha"].wait_role("master", 30)
        wait_until(lambda: pair.watches["beta"].sync("Role") is not None, 15, "its syncd")
        pair.pair_and_join()
        pair.wait_settled()
        host = pair.lab.net.namespace("phones")
        pair.lan.connect(host, "eth0", f"{PHONE}/24")
        pair.line = Line(host)
        pair.line.wait_answered(time.monotonic())
        try:
            yield pair
        finally:
            pair.line.stop()


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: pair_with_echo(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request, Pair.wait_settled)


def call(device, method, signature, *args):
    return device.run([*BUS, method, signature, *args], check=False)


def get(device, prop):
    done = device.run(["busctl", "--json=short", "get-property", "org.understudy.Supervisor1", "/org/understudy/Supervisor1",
                       "org.understudy.Supervisor1", prop])
    return json.loads(done.stdout)["data"]


def changes(pair):
    return {name: len(watch.roles) for name, watch in pair.watches.items()}


def events(pair, device, since):
    return [event["name"] for event in pair.watch(device).events if event["t_ms"] >= since]


def job_of(device, done):
    path = json.loads(done.stdout)["data"][0]

    def state():
        out = device.run(["busctl", "--json=short", "call", "org.understudy.Supervisor1", path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                          "org.understudy.Job1"], check=False)
        if out.returncode:
            return None
        return {key: value["data"] for key, value in json.loads(out.stdout)["data"][0].items()}

    wait_until(lambda: (state() or {}).get("State") in ("done", "failed", "cancelled"), 20, "the job's end")
    return state()


@pytest.mark.timed(50)
@pytest.mark.parametrize("role", ["master", "backup"])
@pytest.mark.parametrize("process", PROCESSES)
def test_kill(pair, process, role):
    device = pair.master() if role == "master" else pair.backup()
    leader, before = pair.master(), changes(pair)
    group, supervisor = leader.pid_of("python3"), device.pid_of("understudy-supervisor")
    begin = time.monotonic()
    killed = device.kill(f"understudy-{process}")
    device.wait_process(f"understudy-{process}", not_pid=killed)
    if process == "keeper":
        device.wait_process("understudy-supervisor", not_pid=supervisor)  # a new keeper has one of its own
    pair.wait_settled()
    end = time.monotonic()
    assert changes(pair) == before
    assert pair.master() is leader and leader.pid_of("python3") == group
    assert pair.addresses.doubled_ms(begin, end) == 0
    assert pair.line.longest_gap_ms(begin, end) < 250  # the demo measures; here other tests run beside


@pytest.mark.timed(100)
def test_swap_there_and_back(pair):
    for _ in range(2):
        old, new = pair.master(), pair.backup()
        begin = time.monotonic()
        job = job_of(old, call(old, "Swap", "a{sv}", "0"))
        assert job["State"] == "done" and job["Progress"] == 1.0 and job["Error"] == ""
        assert pair.master() is new
        pair.line.wait_answered(time.monotonic())
        assert pair.line.longest_gap_ms(begin, time.monotonic()) < 1000
        pair.wait_settled()


def test_refusals_have_codes(pair):
    master, backup = pair.master(), pair.backup()
    before = changes(pair)
    for device, words, code in ((backup, ("Swap", "a{sv}", "0"), "not-master"), (backup, ("TakeOver", "a{sv}", "0"), "master-alive"),
                                (master, ("TakeOver", "a{sv}", "0"), "is-master"), (master, ("SetMode", "sa{sv}", "idle", "0"), "a mode is")):
        done = call(device, *words)
        assert done.returncode != 0 and code in done.stderr
    version = backup.read("/etc/understudy/pair.conf")
    backup.write("/etc/understudy/pair.conf", version.replace("[pair]\n", "[pair]\ngui-port=7778\n"))
    assert call(backup, "Reload", "").returncode == 0
    wait_until(lambda: any(text.startswith("settings-differ") for text in get(master, "Problems")), 5, "a difference seen")
    done = call(master, "Swap", "a{sv}", "0")
    assert done.returncode != 0 and "settings-differ" in done.stderr
    backup.write("/etc/understudy/pair.conf", version)
    assert call(backup, "Reload", "").returncode == 0
    wait_until(lambda: not any(text.startswith("settings-differ") for text in get(master, "Problems")), 5, "no difference any more")
    assert changes(pair) == before


def test_a_swap_waits_for_the_word_of_a_peer_that_is_backup_again(pair):
    """Its syncd had just been about to tell when it was asked."""
    old, new = pair.master(), pair.backup()
    new.ports["eth0"].cut()
    wait_until(lambda: pair.watch(old).peer().get("role") == "fault", 10, "the Master knows")
    done = call(old, "Swap", "a{sv}", "0")
    assert done.returncode != 0 and "peer-not-backup" in done.stderr
    syncd = new.kill("understudy-syncd", signal.SIGSTOP)
    try:
        new.ports["eth0"].plug()
        pair.watch(new).wait_role("backup", 5)
        with old.popen([*BUS, "Swap", "a{sv}", "0"], stdout=subprocess.PIPE, text=True) as order:
            assert stays(lambda: order.poll() is None, 0.5), "it was refused at once"
            os.kill(syncd, signal.SIGCONT)
            done = subprocess.CompletedProcess([], order.wait(10), order.stdout.read())
    finally:
        os.kill(syncd, signal.SIGCONT)
    assert done.returncode == 0 and job_of(old, done)["State"] == "done"
    pair.wait_settled()
    assert pair.master() is new


def test_settings_of_the_pair_are_changed_on_both(pair):
    master, backup = pair.master(), pair.backup()
    before, hash_before = changes(pair), get(master, "PairHash")
    text = master.read("/etc/understudy/pair.conf")
    master.write("/etc/understudy/pair.conf", text.replace("[pair]\n", "[pair]\n# for the tests\nsync-interval-s=59\n"))
    assert call(master, "Reload", "").returncode == 0
    assert get(master, "PairHash") != hash_before and get(master, "PairRevision")[2] >= 1
    wait_until(lambda: get(backup, "PairHash") == get(master, "PairHash"), 5, "the same on the Backup")
    assert get(backup, "PairRevision") == get(master, "PairRevision")
    assert "# for the tests" in backup.read("/etc/understudy/pair.conf")
    assert changes(pair) == before


def test_mode_is_set_from_the_master_and_exchanged_by_a_swap(pair):
    old, new = pair.master(), pair.backup()
    since = time.monotonic()
    assert call(old, "SetMode", "sa{sv}", "passive", "0").returncode == 0
    wait_until(lambda: get(new, "Mode") == "passive", 5, "the Backup's mode")
    pair.watch(new).wait(lambda: any(hold[0] == "passive" for hold in pair.watch(new).vrrp("Holds") or []), 5, "hold passive")
    wait_until(lambda: any(event["name"] == "up passive" and event["priority"] == 2 for event in pair.watch(old).events), 5, "up passive")
    killed = new.kill("understudy-supervisor")
    new.wait_process("understudy-supervisor", not_pid=killed)
    wait_until(lambda: new.run(["busctl", "status", "org.understudy.Supervisor1"], check=False).returncode == 0, 5, "its bus name")
    assert get(new, "Mode") == "passive"
    pair.wait_settled()
    assert job_of(old, call(old, "Swap", "a{sv}", "0"))["State"] == "done"
    pair.wait_settled()
    assert pair.master() is new and get(new, "Mode") == "active" and get(old, "Mode") == "passive"
    assert call(old, "SetMode", "sa{sv}", "active", "0").returncode == 0
    assert since < time.monotonic()


def test_an_order_whose_receiver_dies_is_answered_by_the_next_one(pair):
    """Neither of the two devices waits for an answer that nobody will give."""
    master, backup = pair.master(), pair.backup()
    supervisor = backup.kill("understudy-supervisor", signal.SIGSTOP)
    order = master.popen([*BUS, "SetMode", "sa{sv}", "passive", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert stays(lambda: order.poll() is None, 0.3)
    os.kill(supervisor, signal.SIGKILL)
    said = order.communicate(timeout=5)
    assert order.returncode != 0 and "has ended" in said[1], said
    assert get(backup, "Mode") == "active"


def test_one_that_is_passive_and_leads_by_order_hands_over(pair):
    """It is active from then on, and the other, which leads, passive once it has heard so."""
    old, new = pair.master(), pair.backup()
    assert call(old, "SetMode", "sa{sv}", "passive", "0").returncode == 0
    wait_until(lambda: get(new, "Mode") == "passive", 5, "the Backup's mode")
    assert call(new, "TakeOver", "a{sv}", "1", "force", "b", "true").returncode == 0
    pair.wait_settled()
    assert pair.master() is new and get(new, "Mode") == "passive" and get(old, "Mode") == "active"
    assert job_of(new, call(new, "Swap", "a{sv}", "0"))["State"] == "done"
    pair.wait_settled()
    wait_until(lambda: get(old, "Mode") == "passive", 5, "the mode of who leads")
    assert pair.master() is old and get(new, "Mode") == "active"
    assert call(new, "TakeOver", "a{sv}", "1", "force", "b", "true").returncode == 0
    pair.wait_settled()
    assert call(new, "SetMode", "sa{sv}", "active", "0").returncode == 0
    wait_until(lambda: get(old, "Mode") == "active", 5, "both are active")


def test_a_passive_backup_dies_in_the_midst_of_a_swap(pair):
    """It never led: who handed over to it leads again, and is not passive in its place."""
    old, new = pair.master(), pair.backup()
    assert call(new, "SetMode", "sa{sv}", "passive", "0").returncode == 0
    wait_until(lambda: pair.watch(old).peer().get("mode") == "passive", 5, "the Master knows")
    new.run(["touch", "/run/slow-start"])
    ordered = call(old, "Swap", "a{sv}", "0")
    pair.watch(new).wait_role("taking-over", 10)
    pair.power_cut(new)
    pair.watch(old).wait_role("master", 10)
    job = job_of(old, ordered)
    assert job["State"] == "failed" and job["Error"].startswith("peer-late: ")
    assert get(old, "Mode") == "active"
    pair.line.wait_answered(time.monotonic())
    pair.switch_on(new)
    pair.wait_settled()
    assert call(old, "SetMode", "sa{sv}", "active", "0").returncode == 0


def test_forced_takeover(pair):
    old, new = pair.master(), pair.backup()
    assert call(new, "TakeOver", "a{sv}", "1", "force", "b", "true").returncode == 0
    pair.watch(new).wait_role("master", 5)
    pair.watch(old).wait_role("backup", 5)


def test_supervisor_killed_while_taking_over(pair):
    old, new = pair.master(), pair.backup()
    new.run(["touch", "/run/slow-start"])
    old.ports["eth0"].cut()
    try:
        pair.watch(new).wait_role("taking-over", 5)
        application = wait_until(lambda: new.pid_of("python3"), 5, "the application's process")
        before = changes(pair)
        killed = new.kill("understudy-supervisor")
        new.wait_process("understudy-supervisor", not_pid=killed)
        new.run(["rm", "/run/slow-start"])
        pair.watch(new).wait_role("master", 5)
        assert new.pid_of("python3") == application
        wait_until(lambda: len(pair.watch(new).roles) > before[new.name], 5, "the signal, late because its sender was just born")
        assert [role["new"] for role in pair.watch(new).roles[before[new.name]:]] == ["master"]
        pair.line.wait_answered(time.monotonic())
    finally:
        old.ports["eth0"].plug()


def test_supervisor_killed_right_after_the_first_answer(pair):
    """The phones come first, and then it is told: by the next supervisor, where that one is dead by then."""
    old, new = pair.master(), pair.backup()
    before, since = changes(pair), len(pair.watch(new).events)
    supervisor = new.pid_of("understudy-supervisor")
    cut = time.monotonic()
    pair.power_cut(old)
    while not (pair.line.answered and pair.line.answered[-1] > cut + 0.2):
        assert time.monotonic() < cut + 10, "no answer"
    os.kill(supervisor, signal.SIGKILL)
    new.wait_process("understudy-supervisor", not_pid=supervisor)
    pair.watch(new).wait_role("master", 5)
    pair.watch(new).wait(lambda: "failover" in [event["name"] for event in pair.watch(new).events[since:]], 10, "the event")
    # One that died between telling it and writing down that it has is followed by one that tells it again, by the same number.
    assert len({role["sequence"] for role in pair.watch(new).roles[before[new.name]:] if role["new"] == "master"}) == 1
    taken = [one for one in json.loads(call(new, "Timeline", "u", "10").stdout)["data"][0] if one["device"]["data"] == new.name][-3:]
    assert [one["new"]["data"] for one in {one["sequence"]["data"]: one for one in taken}.values()][-2:] == ["taking-over", "master"]
    pair.switch_on(old)


def test_supervisor_killed_while_handing_over(pair):
    """Nobody finishes that swap: the device serves again, and says why it was away."""
    old = pair.master()
    old.run(["touch", "/run/slow-stop"])
    done = call(old, "Swap", "a{sv}", "0")
    assert done.returncode == 0
    pair.watch(old).wait_role("handing-over", 5)
    killed = old.kill("understudy-supervisor")
    old.wait_process("understudy-supervisor", not_pid=killed)
    old.run(["rm", "/run/slow-stop"])
    pair.watch(old).wait_role("master", 10)
    pair.line.wait_answered(time.monotonic())
    assert pair.master() is old


def resigned(pair, device):
    return [event["name"] for event in pair.watch(device).events].count("resigned")


def test_failed_application_gives_up_once(pair):
    old, new = pair.master(), pair.backup()
    before = {device.name: resigned(pair, device) for device in (old, new)}
    for device in (old, new):
        device.run(["touch", "/var/lib/echo/broken"])
    old.kill("python3")
    pair.watch(old).wait(lambda: resigned(pair, old) > before[old.name], 30, "giving up")
    wait_until(lambda: get(new, "Role") in ("taking-over", "master"), 10, "the other one leads")
    # It fails there as well; but the first one did, too, so it stays where it is.
    wait_until(lambda: any(problem.startswith("application-failed") for problem in get(new, "Problems")), 30, "the other fails too")
    path = ["org.understudy.Supervisor1", "/org/understudy/Supervisor1/application/echo", "org.understudy.Application1"]
    wait_until(lambda: "failed" in new.run(["busctl", "get-property", *path, "State"]).stdout, 30, "failed for good")
    wait_until(lambda: get(old, "Peer").get("failed", {}).get("data") == ["echo"], 10, "which it says")
    assert resigned(pair, old) == before[old.name] + 1
    assert resigned(pair, new) == before[new.name] and get(new, "Role") in ("taking-over", "master")
    # Why, with its last words, on either device. Before them may be what it said in other cases.
    for device in (old, new):
        wait_until(lambda device=device: re.search(r"^ +failed +echo \(exit 1\)\n( +said .*\n)* +said +my files are broken$",
                                                   device.run(["understudy", "timeline", "--count", "8"]).stdout, re.M), 5, f"why, on {device.name}")
    # Mended on the first, which says so: now it is given the service.
    old.run(["rm", "/var/lib/echo/broken"])
    old.run(["understudy", "reset-health"])
    pair.watch(new).wait(lambda: resigned(pair, new) > before[new.name], 30, "giving up to the one that was mended")
    pair.watch(old).wait_role("master", 20)
    pair.line.wait_answered(time.monotonic(), 20)
    new.run(["rm", "/var/lib/echo/broken"])
    for device in (old, new):
        device.run(["understudy", "reset-health"])


def test_a_change_that_breaks_the_application_is_undone(pair):
    """Before anybody gives up; the Backup has what was good, too, and the change is kept by its commit."""
    master, backup = pair.master(), pair.backup()
    count, before = len(pair.watch(master).events), changes(pair)
    config = "/var/lib/echo/config"
    master.write(config, "good")
    wait_until(lambda: backup.read(config) == "good", 10, "applied on the Backup")
    for text in ("worse", "bad"):
        master.write(config, text)
        wait_until(lambda text=text: backup.read(config) == text, 10, "the bad one applied, too")
    master.kill("python3")

    def undone():
        return [event["description"] for event in pair.watch(master).events[count:] if event["name"] == "config-undone"]
    pair.watch(master).wait(lambda: len(undone()) == 2, 40, "both undone, the newest first")
    pair.line.wait_answered(time.monotonic(), 20)
    assert master.read(config) == "good"
    wait_until(lambda: backup.read(config) == "good", 10, "good on the Backup")
    assert all("Application echo failed after a change of the configuration (1 change: echo.echo/config)" in text for text in undone()), undone()
    assert changes(pair) == before and "resigned" not in [event["name"] for event in pair.watch(master).events[count:]]
    history = json.loads(master.run(["understudy", "--json", "history", config]).stdout)
    text = json.dumps(history)
    assert text.count("Undo ") == 2


def test_backup_down_and_up_again(pair):
    master, backup = pair.master(), pair.backup()
    count = len(pair.watch(master).events)
    pair.power_cut(backup)
    wait_until(lambda: [event for event in pair.watch(master).events[count:] if event["name"] == "down"], 10, "down")
    (down,) = [event for event in pair.watch(master).events[count:] if event["name"] == "down"]
    assert (down["application"], down["priority"], down["description"]) == ("REDUNDANCY", 3, "Backup device is DOWN")
    pair.switch_on(backup)
    wait_until(lambda: [event for event in pair.watch(master).events[count:] if event["name"] == "up active"], 20, "up active")
    (up,) = [event for event in pair.watch(master).events[count:] if event["name"] == "up active"]
    assert (up["priority"], up["description"]) == (1, f"Backup device with ID {backup.name} is UP (Active mode)")


@pytest.mark.timed(100)
def test_common_power_loss_newer_data_leads(pair):
    """Both off, both on: the one that led last has something the other has not, and leads though it comes up later."""
    master, backup = pair.master(), pair.backup()
    pair.power_cut(backup)
    stored = pair.watch(master).sync("Stored")["config"]
    master.write("/var/lib/echo/newer", "yes\n")
    wait_until(lambda: pair.watch(master).sync("Stored")["config"] != stored, 10, "a commit")
    pair.power_cut(master)
    begin = time.monotonic()
    pair.switch_on(backup)
    pair.watch(backup).wait(lambda: any(hold[0] == "cold-boot" for hold in pair.watch(backup).vrrp("Holds") or []), 5, "hold cold-boot")
    pair.switch_on(master)
    pair.wait_settled()
    assert pair.master() is master and backup.read("/var/lib/echo/newer") == "yes\n"
    assert pair.addresses.doubled_ms(begin, time.monotonic()) == 0
    assert time.monotonic() - begin < 14  # nobody waited for the end of the wait


def test_common_power_loss_same_data(pair):
    """The one that is up first leads."""
    master, backup = pair.master(), pair.backup()
    for device in (backup, master):  # the other way round the Backup may have taken over meanwhile
        pair.power_cut(device)
    begin = time.monotonic()
    pair.switch_on(backup)
    pair.switch_on(master)
    pair.wait_settled()
    assert pair.master() is backup
    assert pair.addresses.doubled_ms(begin, time.monotonic()) == 0


@pytest.mark.timed(50)
def test_timeline_of_both_devices(pair):
    old, new = pair.master(), pair.backup()
    pair.power_cut(old)
    pair.watch(new).wait_role("master", 5)
    pair.switch_on(old)
    pair.wait_settled()

    def taken_over():
        return [one for one in json.loads(call(new, "Timeline", "u", "50").stdout)["data"][0]
                if one["device"]["data"] == new.name and one["new"]["data"] == "taking-over"][-1]

    wait_until(lambda: "first_phone" in taken_over()["evidence"]["data"], 10, "the first phone")
    transitions = json.loads(call(new, "Timeline", "u", "50").stdout)["data"][0]
    moments = [one["time_ms"]["data"] for one in transitions]
    assert moments == sorted(moments) and {one["device"]["data"] for one in transitions} == {"alpha", "beta"}
    taken = taken_over()
    phases = {phase["name"]["data"]: phase["end_ms"]["data"] - phase["begin_ms"]["data"] for phase in taken["phases"]["data"]}
    assert set(phases) == {"detection", "addresses", "settle", "application echo", "drop lifted", "serving", "first phone"}
    assert 200 < phases["detection"] < 450
    evidence = taken["evidence"]["data"]
    assert evidence["carrier"]["data"] is True
    assert evidence["first_phone"]["data"] == PHONE
    # The phone asked all the time: it was served as soon as anybody could be.
    assert 0 <= phases["first phone"] < 1000
    lost = evidence["lost"]["data"]
    assert lost["heard"]["data"] is True and {each["changes"]["data"] for each in lost["refs"]["data"].values()} == {0}
    text = new.run(["understudy", "timeline"]).stdout
    assert "first phone" in text and "no change that the other device told of" in text
