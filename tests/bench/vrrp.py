#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast and how calm the election is, beside keepalived. Every figure: README.md here."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from election_lab import ADDRESSES, Config, ElectionLab, wait_until  # noqa: E402
from frame import OURS, Figure, Promise, Rejected, Trial, at_most, both, median_at_most_peer, run  # noqa: E402
from measure import cpu_ns, dirty_kb  # noqa: E402
from observer import FLOODER  # noqa: E402

BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", Path(__file__).resolve().parents[2] / "build"))
CONFIGS = ["v2_1s", "v3_100ms", "v3_10ms_vmac"]
LIVES = {"v2_1s": 2, "v3_100ms": 10, "v3_10ms_vmac": 10}
REPEAT = 2  # heals and thaws in one life
LIFE = ["first_advert_excess", "cable", "freeze", "sigterm", "sigkill", "sigkill_doubled", "sigkill_takeovers", "doubled", "thaw_blackhole",
        "heal_blackhole"]
RR_PRIORITY = 4
FLOOD_PER_S, FLOOD_S = 100_000, 5
STALL_MS = 10  # a third of the silence after which a Backup leads at the shortest interval
MS = 1_000_000


def figures():
    found = {}
    for name in CONFIGS:
        config = Config(name)
        interval = config.interval_ms
        found[f"first_advert_excess/{name}"] = Figure("ms", both(
            Promise("median at most 1 ms", lambda ours, _: sorted(ours)[len(ours) // 2] <= 1), median_at_most_peer("keepalived")), 2)
        found[f"cable/{name}"] = Figure("ms")
        found[f"freeze/{name}"] = Figure("ms")
        found[f"sigterm/{name}"] = Figure("ms")
        found[f"sigkill/{name}"] = Figure("ms", at_most(20, "ms"))
        found[f"sigkill_doubled/{name}"] = Figure("ms", at_most(0, "ms"))
        found[f"sigkill_takeovers/{name}"] = Figure("count", at_most(0, "a kill"), 0)
        found[f"doubled/{name}"] = Figure("ms", at_most(interval, "ms"))
        found[f"thaw_blackhole/{name}"] = Figure("ms", at_most(interval, "ms"))
        found[f"heal_blackhole/{name}"] = Figure("ms", at_most(interval, "ms"))
    for name in CONFIGS:
        found[f"false_takeovers/{name}"] = Figure("per 20 s", at_most(0, "a run"), 0)
    for name in CONFIGS[1:]:
        found[f"flood_packets/{name}"] = Figure("per s", Promise(f"median at least {FLOOD_PER_S}", lambda ours, _: sorted(ours)[len(ours) // 2] >= FLOOD_PER_S), 0)
        found[f"flood_missed/{name}"] = Figure("count", at_most(0, "a flood"), 0)
        found[f"flood_takeovers/{name}"] = Figure("count", at_most(0, "a flood"), 0)
    for name in CONFIGS:
        promise = median_at_most_peer("keepalived") if name != "v2_1s" else None
        found[f"cpu_master/{name}"] = Figure("ms per 20 s", promise)
        found[f"cpu_backup/{name}"] = Figure("ms per 20 s", promise)
    for name in CONFIGS:
        found[f"dirty_kb/{name}"] = Figure("kB", at_most(1024, "kB"), 0)
    return found


# ---- One life of a pair: everything that may happen to it, one after the other ----

class Life:
    def __init__(self, lab):
        self.lab, self.config = lab, lab.config
        self.found = {f"{name}/{self.config.name}": [] for name in LIFE}
        self.interval_s = self.config.interval_ms / 1000
        self.bound_s = self.config.bound_ms(1) / 1000  # no Backup waits longer
        self.watch_s = max(1, 4 * self.interval_s)

    def note(self, name, value):
        self.found[f"{name}/{self.config.name}"].append(value)

    def silence_ms(self, begin, end):
        return max(probe.silence_ms(begin, end) for probe in self.lab.probes)

    def unanswered_ms(self, begin, end):
        return max(probe.unanswered_ms(begin, end) for probe in self.lab.probes)

    def wait_first_advert(self, backup, begin):
        wait_until(lambda: self.lab.observer.adverts_between(begin, source=backup.address), self.bound_s + 5, f"{backup.name} takes over")
        backup.leads()

    def watch(self, seconds=None):
        """Lets the clients go on for a while, and their last probes be answered; returns the end."""
        time.sleep(seconds or self.watch_s)
        end = time.monotonic_ns()
        time.sleep(0.02)
        return end

    def note_first_advert(self, master, backup, fault):
        adverts = self.lab.observer.adverts_between(self.lab.begin_ns)
        first = next(at for at, source, _ in adverts if source == backup.address and at > fault)
        last = max(at for at, source, _ in adverts if source == master.address and at < first)
        self.note("first_advert_excess", (first - last) / MS - self.config.bound_ms(backup.priority(self.config)))

    def cable(self):
        master = self.lab.settle()
        backup = self.lab.others(master)
        begin = time.monotonic_ns()
        master.lan_port.cut()
        self.wait_first_advert(backup, begin)
        end = self.watch(0.3)
        self.note("cable", self.silence_ms(begin, end))
        self.note_first_advert(master, backup, begin)
        master.lan_port.plug()

    def freeze(self):
        master = self.lab.settle()
        backup = self.lab.others(master)
        begin = time.monotonic_ns()
        self.lab.freeze(master)
        self.wait_first_advert(backup, begin)
        end = self.watch(max(0.4, self.interval_s))
        self.note("freeze", self.silence_ms(begin, end))
        self.note_first_advert(master, backup, begin)
        begin = time.monotonic_ns()
        self.lab.thaw(master)
        self.note("thaw_blackhole", self.unanswered_ms(begin, self.watch()))

    def sigterm(self):
        master = self.lab.settle()
        backup = self.lab.others(master)
        begin = time.monotonic_ns()
        master.terminate()
        self.wait_first_advert(backup, begin)
        self.note("sigterm", self.silence_ms(begin, self.watch(0.3)))
        master.after_terminate()

    def sigkill(self):
        master = self.lab.settle()
        backup = self.lab.others(master)
        begin = time.monotonic_ns()
        master.crash()
        end = self.watch(self.bound_s + 0.3)
        self.note("sigkill", self.silence_ms(begin, end))
        self.note("sigkill_doubled", self.lab.observer.doubled_ms(begin, end))
        self.note("sigkill_takeovers", self.lab.observer.gains(backup.name, begin, end))
        master.after_crash()

    def heal(self):
        master = self.lab.settle()
        backup = self.lab.others(master)
        begin = time.monotonic_ns()
        self.lab.trunk.cut()
        self.wait_first_advert(backup, begin)
        self.watch(max(0.4, self.interval_s))
        wait_until(lambda: all(probe.answered_lately() for probe in self.lab.probes), 10, "each side has its Master")
        begin = time.monotonic_ns()
        self.lab.trunk.plug()
        end = self.watch()
        self.note("doubled", self.lab.observer.doubled_ms(begin, end))
        self.note("heal_blackhole", self.unanswered_ms(begin, end))

    def live(self):
        self.cable()
        self.sigterm()
        self.sigkill()
        for _ in range(REPEAT):
            self.freeze()
            self.heal()
        self.lab.check_clock()
        return self.found


def life(config, subject):
    with ElectionLab(BUILD, subject, config) as lab:
        return Life(lab).live()


# ---- A flood of adverts that are nobody's, from a host on the LAN ----

def flood_frame():
    """A stranger's advert for the pair's group, of the highest priority."""
    from test_vrrp_input import frame
    from test_vrrp_wire import advert
    return frame(advert(priority=254), FLOODER).hex()


def flood(config, subject):
    with ElectionLab(BUILD, subject, config, 20000) as lab:
        namespace = lab.net.namespace("flooder")
        lab.lan.connect(namespace, "eth0", f"{FLOODER}/24")
        master = lab.settle()
        begin = time.monotonic_ns()
        process = namespace.popen([BUILD / "tests" / "netns" / "flood", "eth0", str(FLOOD_PER_S * 1.01), str(FLOOD_S), flood_frame()],
                                  stdout=subprocess.PIPE, text=True)
        sent, seconds, _ = (float(word) for word in process.communicate(timeout=60)[0].split())
        end = time.monotonic_ns()
        wait_until(lambda: lab.observer.adverts_between(end), 5 + 4 * config.interval_ms / 1000, "a later advert, so that all of the flood's are read")
        beats = []
        for at, _, _ in lab.observer.adverts_between(begin, end, ADDRESSES[master.name]):  # each is seen at both switches
            if not beats or at - beats[-1] > config.interval_ms * MS / 2:
                beats.append(at)
        missed = max(0, int((end - begin) / MS / config.interval_ms) - len(beats))
        return {f"flood_packets/{config.name}": [sent / seconds], f"flood_missed/{config.name}": [missed],
                f"flood_takeovers/{config.name}": [sum(lab.observer.gains(device.name, begin, end) for device in lab.devices)]}


# ---- Cost, and calm under load: all subjects at the same time, each in its own network ----

def labs_of(stack, config, subjects, probe_us):
    return {subject: stack.enter_context(ElectionLab(BUILD, subject, config, probe_us)) for subject in subjects}


def cost(config, seconds, subjects):
    with ExitStack() as stack:
        labs = labs_of(stack, config, subjects, probe_us=20000)
        time.sleep(1)
        masters = {subject: lab.settle() for subject, lab in labs.items()}
        devices = {(subject, name): device for subject, lab in labs.items()
                   for name, device in (("cpu_master", masters[subject]), ("cpu_backup", lab.others(masters[subject])))}
        parties = {party: device.pids() for party, device in devices.items()}
        before, begin = {party: cpu_ns(pids) for party, pids in parties.items()}, time.monotonic()
        time.sleep(seconds)
        after, took = {party: cpu_ns(pids) for party, pids in parties.items()}, time.monotonic() - begin
        ended = [f"{subject} {device.name}" for (subject, name), device in devices.items()
                 if device.pids() != parties[subject, name]]
        if ended:
            raise RuntimeError(f"processes ended by themselves: {', '.join(ended)}")
        found = {subject: {} for subject in subjects}
        for (subject, name), pids in parties.items():
            found[subject][f"{name}/{config.name}"] = [(after[subject, name] - before[subject, name]) / MS * 20 / took]
            found[subject].setdefault(f"dirty_kb/{config.name}", []).append(dirty_kb(pids))
        return found


def false_takeovers(config, seconds, subjects):
    with ExitStack() as stack:
        labs = labs_of(stack, config, subjects, probe_us=20000)
        backups = {subject: lab.others(lab.settle()) for subject, lab in labs.items()}
        hogs = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _ in range(4)]
        try:
            begin = time.monotonic_ns()
            time.sleep(seconds)
            end = time.monotonic_ns()
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        time.sleep(0.2)
        found = {}
        for subject, lab in labs.items():
            lab.check_clock()
            backup = backups[subject]
            spoken = len(lab.observer.adverts_between(begin, end, lab.others(backup).address))
            if spoken < seconds * 1000 / config.interval_ms / 4:
                raise Rejected(f"{subject} hardly spoke: {spoken} adverts")
            found[subject] = {f"false_takeovers/{config.name}": [lab.observer.gains(backup.name, begin, end) * 20 / seconds]}
        return found


def trials(quick):
    found = []
    for name in sorted(CONFIGS, reverse=True) if quick else CONFIGS:  # then the slow one last: it takes minutes
        config = Config(name)
        subjects = [OURS, "keepalived", *(["keepalived-answering"] if name == "v3_100ms" and not quick else [])]
        names = [f"{figure}/{name}" for figure in LIFE]
        found.append(Trial(f"life/{name}", names, subjects, LIVES[name], lambda subject, config=config: life(config, subject),
                           seconds=75 if name == "v2_1s" else 13, stall_ms=STALL_MS))
        if config.interval_ms < 1000:
            found.append(Trial(f"flood/{name}", [f"{figure}/{name}" for figure in ("flood_packets", "flood_missed", "flood_takeovers")],
                               [OURS, "keepalived"], 3, lambda subject, config=config: flood(config, subject), seconds=12, stall_ms=STALL_MS))
        seconds = 3 if quick else 20
        found.append(Trial(f"cost/{name}", [f"{figure}/{name}" for figure in ("cpu_master", "cpu_backup", "dirty_kb")], [OURS, "keepalived"], 1 if name == "v2_1s" else 3,
                           lambda subjects, config=config, seconds=seconds: cost(config, seconds, subjects), together=True, seconds=seconds + 6))
        found.append(Trial(f"load/{name}", [f"false_takeovers/{name}"], [OURS, "keepalived", "keepalived-default"], 10 if name == "v3_10ms_vmac" else 1,
                           lambda subjects, config=config, seconds=seconds: false_takeovers(config, seconds, subjects), together=True,
                           seconds=seconds + 8, stall_ms=STALL_MS))
    return found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Its own waiting must not be what is measured; what it starts does not inherit that.
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(RR_PRIORITY))
    return run("vrrp", __doc__, figures(), trials, packages=["keepalived"])


if __name__ == "__main__":
    sys.exit(main())
