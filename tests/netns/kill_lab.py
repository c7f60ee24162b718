# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kill matrix: every process of either device, at every phase of whatever a pair goes through, and what must be true afterwards.

A case is (phase, side, process, delay in us): something is set going, at its phase plus the delay the process is killed, and the pair must
be right again soon after, with nothing lost. Side is what the device was when the case began. Every case can be replayed from its name.
"""

import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from echo_lab import APPLICATION, ECHO  # noqa: E402
from gi.repository import GLib  # noqa: E402  (its version is asked for by watch, from the demo's folder)
from lab.net import wait_until  # noqa: E402
from lab.pair import SERVICE, Pair  # noqa: E402
from watch import NOTIFY, SUPERVISOR, SYNC  # noqa: E402

PHONE = "192.0.2.100"
DATA = "/var/lib/echo"
PROGRAMS = {
    "keeper": "understudy-keeper", "supervisor": "understudy-supervisor", "vrrpd": "understudy-vrrpd", "syncd": "understudy-syncd",
    "notifyd": "understudy-notifyd", "bus": "dbus-daemon", "application": None,
}
LASTING = ("standalone", "backup", "master", "fault")
RIGHT_WITHIN_S = 5
BOOT_S = 10  # of a whole device, with its first look at the other

# Phase -> (the longest delay after it in us, sides on which the application runs then).
PHASES = {
    "rest": (100_000, ("master",)),
    "cut/cut": (400_000, ("master",)),
    "cut/taking-over": (30_000, ("backup",)),
    "cut/started": (60_000, ("backup",)),
    "cut/master": (30_000, ("backup",)),
    "cut/healed": (300_000, ("backup",)),
    "forced/ordered": (60_000, ("master",)),
    "forced/taking-over": (30_000, ("backup",)),
    "forced/master": (30_000, ("backup",)),
    "swap/prepare": (5_000, ("master",)),
    "swap/commit": (20_000, ("master",)),
    "swap/apply": (20_000, ("master",)),
    "swap/stop": (20_000, ("master",)),
    "swap/last-commit": (20_000, ()),
    "swap/last-apply": (20_000, ()),
    "swap/take": (5_000, ()),
    "swap/leads": (30_000, ("backup",)),
    "swap/taking-over": (60_000, ("backup",)),
    "swap/done": (30_000, ("backup",)),
    "passive-swap/take": (20_000, ()),
    "passive-swap/leads": (30_000, ("backup",)),
    "passive-swap/taking-over": (60_000, ("backup",)),
    "mode/passive": (20_000, ("master",)),
    "mode/active": (20_000, ("master",)),
    "boot/born": (50_000, ("master",)),
    "boot/backup": (100_000, ("master",)),
    "cold/born": (50_000, ()),
    "cold/master": (100_000, ("master",)),
}
# What the job says of itself when the phase begins: its progress.
SWAP_STEPS = {"prepare": 0.0, "commit": 0.1, "apply": 0.2, "stop": 0.5, "last-commit": 0.6, "last-apply": 0.7, "take": 0.8, "leads": 0.9,
              "done": 1.0}

# There is a time between address and readiness.
SLOW_STARTER = APPLICATION.replace("ready=notify", "ready=notify\nenvironment=START_MS=30")


@dataclasses.dataclass(frozen=True)
class Case:
    phase: str
    side: str
    process: str
    delay_us: int

    def __str__(self):
        return f"{self.phase.replace('/', '-at-')}:{self.side}:{self.process}:{self.delay_us}"


def matrix(rng):
    """Every case once, in an order and with delays of rng's."""
    cases = [Case(phase, side, process, rng.randrange(longest))
             for phase, (longest, with_application) in PHASES.items() for side in ("master", "backup") for process in PROGRAMS
             if process != "application" or side in with_application]
    rng.shuffle(cases)
    return cases


def sample(seed, count):
    """count cases: of every phase and of every process some, before any comes twice as often."""
    rng = random.Random(seed)
    chosen, seen = [], {}
    for _ in range(count):
        rest = [case for case in matrix(rng) if case not in chosen]
        best = min(rest, key=lambda case: (seen.get(case.phase, 0) + seen.get((case.process, case.side), 0)))
        chosen.append(best)
        for key in (best.phase, (best.process, best.side)):
            seen[key] = seen.get(key, 0) + 1
    return chosen


def patience():
    """Deadlines are those of an idle machine; one with twice as much to do as it has processors takes twice as long."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Twice:
    """Looks at both devices' application all the time: since when, and how long together, it ran on both."""

    def __init__(self, pair):
        self.pair, self.run, self.spans = pair, True, []
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _both(self):
        """A process of the first that was there before the second's was seen and still is: whatever held us up between, they ran together."""
        before = set(group(self.pair.first))
        return bool(before and group(self.pair.second) and before & set(group(self.pair.first)))

    def _work(self):
        since = None
        while self.run:
            both = self._both()
            now = time.monotonic()
            if both and since is None:
                since = now
            elif not both and since is not None:
                self.spans.append((since, now))
                since = None
            time.sleep(0.004)  # a sampling instrument's interval

    def ms(self, begin):
        return sum((end - max(start, begin)) * 1000 for start, end in self.spans if end > begin)

    def stop(self):
        self.run = False
        self.thread.join()


def group(device):
    """The processes of the application on one device."""
    try:
        with open(f"{device.cgroup}/understudy-apps/echo/cgroup.procs", encoding="ascii") as procs:
            return [int(line) for line in procs]
    except OSError:
        return []


class KillPair(Pair):
    """A pair whose application echoes, with what a case wants to know of it."""

    def __init__(self, build):
        super().__init__(build, {"echo": SLOW_STARTER})
        self.twice = None
        try:
            for device in (self.first, self.second):
                device.write("/usr/local/bin/echo", ECHO, 0o755)
                os.makedirs(device.file(DATA))
            self.start()
            host = self.lab.net.namespace("phones")
            self.lan.connect(host, "eth0", f"{PHONE}/24")
            self.phone = host.socket(2, 2)  # AF_INET, SOCK_DGRAM
            self.phone.bind((PHONE, 0))
            self.phone.settimeout(0.05)
            self.phone.connect((SERVICE, 5060))
            self.twice = Twice(self)
            self.pool = ThreadPoolExecutor(4)
            self.number = 0
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.twice:
            self.twice.stop()
            self.phone.close()
            self.pool.shutdown()
        super().close()

    def answered(self):
        """An answer to a request sent now."""
        self.number += 1
        question = str(self.number).encode()
        with contextlib.suppress(OSError):
            self.phone.send(question)
            while self.phone.recv(100) != question:
                pass
            return True
        return False

    def right(self):
        """Everything is as it should be; else what is not, in words."""
        roles = self.roles()
        if sorted(role or "" for role in roles.values()) != ["backup", "master"]:
            return f"roles {roles}"
        master = next(self.devices[name] for name, role in roles.items() if role == "master")
        backup = self.other(master)
        if not self.settled():
            return f"not settled: {self.describe()}"
        if self.addresses.holders() != [master.name]:
            return f"{SERVICE} is on {self.addresses.holders()}, the Master is {master.name}"
        if len(group(master)) != 1 or group(backup):
            return f"the application: {group(master)} on the Master, {group(backup)} on the Backup"
        for device in (master, backup):
            for name in filter(None, PROGRAMS.values()):
                if len([1 for _, known in device.processes() if known == name]) != 1:
                    return f"{device.name}: {[known for _, known in device.processes()]}"
        if self.get(master, "Term") != self.get(backup, "Term"):
            return f"terms {self.get(master, 'Term')} and {self.get(backup, 'Term')}"
        if self.peer_mode(master) != self.get(backup, "Mode"):
            return "the Master does not know its Backup's mode"
        return "" if self.answered() else "no answer at the service address"

    def get(self, device, name):
        return self.watch(device).get(SUPERVISOR, SUPERVISOR[0], name)

    def peer_mode(self, device):
        return self.watch(device).peer().get("mode")

    def wait_right(self, timeout_s):
        last = [""]

        def is_right():
            last[0] = self.right()
            return not last[0]
        try:
            wait_until(is_right, timeout_s, "right", 0.02)
        except TimeoutError:
            raise TimeoutError(f"not right within {timeout_s:.1f} s: {last[0]}") from None

    # Orders.

    def ask(self, device, method, signature=None, *values, service=SUPERVISOR, timeout_s=20):
        """Calls on the bus; what comes of it is told later."""
        parameters = GLib.Variant(signature, values) if signature else None
        return self.pool.submit(self.watch(device).call, service, service[0], method, parameters, timeout_s)

    def git(self, device, *words):
        return device.run(["git", "-c", "safe.directory=*", "--git-dir=/var/lib/understudy/sync/repo.git", *words], check=False).stdout

    def keeps(self, commit):
        """Whether a line of either device holds the commit."""
        return any(self.git(device, "for-each-ref", "--contains", commit, "--count=1").strip() for device in (self.first, self.second))


class Run:
    """One case on one pair."""

    def __init__(self, pair, case):
        self.pair, self.case = pair, case
        self.master, self.backup = pair.master(), pair.backup()
        self.victim = self.master if case.side == "master" else self.backup
        self.scenario, _, self.at = case.phase.partition("/")
        self.rested = self.scenario in ("rest", "mode", "boot")  # nobody's role may change by itself
        self.swaps = self.scenario in ("swap", "passive-swap")
        self.booted = {"boot": (self.backup,), "cold": (self.master, self.backup)}.get(self.scenario, ())
        self.killed = 0
        self.order = None

    # Before.

    def note(self):
        pair = self.pair
        pair.number += 1
        if self.scenario == "passive-swap":
            self.make_passive()
        self.words = f"{self.case} {pair.number}\n"
        self.master.write(f"{DATA}/known-to-both", self.words)
        (commits,) = pair.ask(self.master, "Commit", "(ss)", "test", "before", service=SYNC).result()
        pair.ask(self.master, "WaitApplied", "(a{ss}u)", commits, int(10000 * patience()), service=SYNC, timeout_s=20 * patience()).result()
        self.acknowledged = [commits["config"]]
        self.term = pair.get(self.master, "Term")
        self.modes = {device.name: pair.get(device, "Mode") for device in (self.master, self.backup)}
        self.sequences = {device.name: 0 if device in self.booted else pair.get(device, "RoleSequence") for device in (self.master, self.backup)}
        self.consoles = {device.name: len(device.console()) for device in (self.master, self.backup)}
        self.roles = {name: len(watch.roles) for name, watch in pair.watches.items()}
        self.jobs = len(pair.watch(self.master).jobs)
        self.processes = group(self.master)
        self.begin, self.begin_ms = time.monotonic(), time.time() * 1000 - 1

    # The moment.

    def wait_role(self, device, role):
        """By the signal, which is there sooner than an answer."""
        watch = self.pair.watch(device)
        watch.wait(lambda: any(change["new"] == role for change in watch.changes_since(self.roles[device.name])), 15, f"role {role}")

    def wait_step(self, step):
        watch, progress = self.pair.watch(self.master), SWAP_STEPS[step]
        watch.wait(lambda: any(job.get("Progress", -1) >= progress for job in watch.jobs[self.jobs:]), 15, f"step {step}")

    def strike(self):
        """The kill, at its moment."""
        process = self.case.process
        moment = time.monotonic() + self.case.delay_us / 1e6
        while time.monotonic() < moment:
            time.sleep(max(0.0, min(0.001, moment - time.monotonic())))
        if process == "application":
            # Where it is being stopped it may have gone already.
            stops = self.case.phase in ("swap/stop", "cut/cut", "forced/ordered")
            pids = group(self.victim) if stops else wait_until(lambda: group(self.victim), 5, "the application")
        else:
            pids = [wait_until(lambda: self.victim.pid_of(PROGRAMS[process]), 5, process)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed, self.dead = time.monotonic(), pids

    def commit_meanwhile(self):
        """A change on the Master while all this goes on; acknowledged or not, but if it is it must be kept."""
        self.master.write(f"{DATA}/meanwhile", self.words)
        self.meanwhile = self.pair.ask(self.master, "Commit", "(ss)", "test", "meanwhile", service=SYNC)

    def make_passive(self):
        pair = self.pair
        pair.ask(self.master, "SetMode", "(sa{sv})", "passive", {}).result()
        pair.watch(self.master).wait(lambda: pair.peer_mode(self.master) == "passive", 5, "passive")

    def go(self):
        """Everything up to the kill, and what belongs to the scenario after it."""
        pair, case, scenario, at = self.pair, self.case, self.scenario, self.at
        self.meanwhile = None
        if scenario not in ("boot", "cold"):
            self.commit_meanwhile()
        if scenario == "rest":
            self.strike()
        elif scenario == "cut":
            self.master.ports["eth0"].cut()
            try:
                if at == "started":
                    wait_until(lambda: group(self.backup), 15, "the application starts", 0.001)
                elif at in ("taking-over", "master"):
                    self.wait_role(self.backup, at)
                if at != "healed":
                    self.strike()
                pair.watch(self.backup).wait_role("master", 15)
            finally:
                self.master.ports["eth0"].plug()
            if at == "healed":
                self.strike()
        elif scenario == "forced":
            self.order = pair.ask(self.backup, "TakeOver", "(a{sv})", {"force": GLib.Variant("b", True)})
            if at != "ordered":
                self.wait_role(self.backup, at)
            self.strike()
        elif self.swaps:
            self.order = pair.ask(self.master, "Swap", "(a{sv})", {})
            self.wait_role(self.backup, at) if at == "taking-over" else self.wait_step(at)
            self.strike()
        elif scenario == "mode":
            if at == "active":
                self.make_passive()
            self.order = pair.ask(self.master, "SetMode", "(sa{sv})", at, {})
            self.strike()
        elif scenario == "boot":
            self.boot((self.backup,))
            if at == "backup":
                pair.watch(self.backup).wait_role("backup", 15)
            self.strike()
        elif scenario == "cold":
            self.boot((self.master, self.backup))
            if at == "master":
                wait_until(lambda: "master" in pair.roles().values(), 20, "a Master")
                # Whoever was first; side is what they are now.
                leader = next(pair.devices[name] for name, role in pair.roles().items() if role == "master")
                self.victim = leader if case.side == "master" else pair.other(leader)
            self.strike()

    def boot(self, devices):
        for device in devices:
            self.pair.power_cut(device)
        for device in devices:
            self.pair.switch_on(device)
        for device in devices:
            self.roles[device.name] = len(self.pair.watch(device).roles)

    # After.

    def check(self):
        pair, case = self.pair, self.case
        limit_s = (RIGHT_WITHIN_S + (BOOT_S if self.booted else 0)) * patience()
        pair.wait_right(limit_s)
        self.right_ms = (time.monotonic() - self.killed) * 1000
        self.wait_replaced(limit_s)
        self.end_order()
        self.wait_stays_right(limit_s)
        master, backup = pair.master(), pair.backup()

        assert pair.watch(backup).get(SUPERVISOR, SUPERVISOR[0], "Role") == "backup"
        scenario = self.scenario
        if self.rested:
            assert master is self.master, "the Master changed for a death that must not matter"
            if case.process != "application":
                assert group(master) == self.processes, "the application was touched"
        doubled_ms = pair.addresses.doubled_ms(self.begin)
        if scenario in ("forced", "cold"):
            # By adverts alone: until the next one has been heard.
            assert doubled_ms <= 200 * patience(), f"both held the address for {doubled_ms} ms"
        elif scenario != "cut":
            assert doubled_ms == 0, f"both held the address for {doubled_ms} ms"
        if scenario not in ("cut", "forced"):  # there the old Master learns of it from the new one's adverts
            assert pair.twice.ms(self.begin) == 0, "the application ran on both"
        else:
            assert pair.twice.ms(self.begin) <= 1000 * patience(), "the application ran on both"

        term = pair.get(master, "Term")
        assert tuple(term) >= tuple(self.term) and (master is self.master or term[0] > self.term[0]), f"the term went from {self.term} to {term}"
        self.check_data(master, backup)
        self.check_order(master, backup)
        self.check_telling()

    def check_data(self, master, backup):
        for device in (master, backup):
            assert device.read(f"{DATA}/known-to-both") == self.words, f"{device.name}: a change that both had is gone"
        if self.meanwhile:
            with contextlib.suppress(ConnectionError):
                self.acknowledged.append(self.meanwhile.result(15)[0]["config"])
        for commit in self.acknowledged:
            assert self.pair.keeps(commit), f"the acknowledged commit {commit} is on no line"

    def wait_replaced(self, timeout_s):
        """Whoever was killed has a successor; what was right before that may have been only because nobody had noticed."""
        if self.case.process != "application":
            self.victim.wait_process(PROGRAMS[self.case.process], timeout_s, *self.dead)

    def wait_stays_right(self, timeout_s):
        """Right, and still so after more than the time in which an election notices a death."""
        def rights():
            self.pair.wait_right(timeout_s)
            before = [self.pair.get(device, "RoleSequence") for device in (self.master, self.backup)]
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                if self.pair.right():
                    return False
            return before == [self.pair.get(device, "RoleSequence") for device in (self.master, self.backup)]
        wait_until(rights, timeout_s, "right for longer than a moment")

    def end_order(self):
        """What came of the order: "", "done", "set", or a refusal with its name."""
        self.outcome = ""
        if not self.order:
            return
        try:
            answer = self.order.result(25)
            self.outcome = "set"
        except ConnectionError as error:
            self.outcome = str(error).split(": ", 2)[-1]
            if self.case.process == "bus" and "closed" in self.outcome:
                self.outcome = ""  # nobody was there any more who could bring the answer
            return
        if self.swaps:
            state, error = self.pair.watch(self.master).wait(lambda: self.job_end(answer[0]), 15 * patience(), f"the end of {answer[0]}")
            self.outcome = error if state == "failed" else state

    def check_order(self, master, backup):
        modes = {device.name: self.pair.get(device, "Mode") for device in (self.master, self.backup)}
        assert re.match(r"(done|set|)$|[A-Za-z0-9.:-]+: .", self.outcome), f"refused without a name: {self.outcome!r}"
        if self.scenario == "mode":
            assert self.outcome != "set" or modes[backup.name] == self.at, "the mode that was said to be set is not"
        elif self.swaps:
            assert self.outcome != "done" or master is not self.master, "a swap that was said to be done is not"
            # The two exchange their modes, when and only when they exchange their roles.
            before = self.modes if master is self.master else dict(zip(self.modes, reversed(self.modes.values())))
            assert modes == before, f"modes {modes} after {self.outcome!r}, instead of {before}"
        else:
            assert modes == self.modes, f"modes {modes} instead of {self.modes}"

    def job_end(self, path):
        """(state, error) of an order that has ended."""
        place = (SUPERVISOR[0], path)
        state = self.pair.watch(self.master).get(place, "org.understudy.Job1", "State")
        return (state, self.pair.watch(self.master).get(place, "org.understudy.Job1", "Error")) if state in ("done", "failed", "cancelled") else None

    def check_telling(self):
        """Every change of role is in the timeline, and people were told of each that lasts."""
        pair = self.pair
        for device in (self.master, self.backup):
            now = pair.get(device, "RoleSequence")
            (transitions,) = pair.ask(device, "Timeline", "(u)", 100).result()
            # Numbers begin anew when a device boots; the time says which transitions are of this case.
            ours = [one for one in transitions if one["device"] == device.name and one["time_ms"] >= self.begin_ms and
                    self.sequences[device.name] < one["sequence"] <= now]
            missing = set(range(self.sequences[device.name] + 1, now + 1)) - {one["sequence"] for one in ours}
            assert not missing, f"{device.name}: transitions {sorted(missing)} are not in the timeline"
            # One that died between telling and noting what it had told has its successor tell it again, under the same number.
            wanted = [role for role in {one["sequence"]: one["new"] for one in ours}.values() if role in LASTING]

            def told(device=device, wanted=wanted):
                (events,) = pair.ask(device, "List", "(a{sv})", {"since_ms": GLib.Variant("x", int(self.begin_ms))}, service=NOTIFY).result()
                texts = [event["description"] for event in events if event["name"] == "role"]
                return all(sum(f"Device {device.name} is now {role}" in text for text in texts) >= wanted.count(role) for role in set(wanted))
            wait_until(told, 5 * patience(), f"{device.name}: events of {wanted}", 0.05)

    # At the end.

    def clean(self):
        """As before: the Backup is active."""
        master, backup = self.pair.master(), self.pair.backup()
        if self.pair.get(backup, "Mode") != "active":
            self.pair.ask(master, "SetMode", "(sa{sv})", "active", {}).result()
            self.pair.wait_right(RIGHT_WITHIN_S * patience())

    def story(self):
        """For an error: what the devices said since the case began."""
        parts = []
        for device in (self.master, self.backup):
            parts += [f"--- {device.name} (was {'Master' if device is self.master else 'Backup'}):", device.console()[self.consoles[device.name]:][-6000:]]
        return "\n".join(parts)
