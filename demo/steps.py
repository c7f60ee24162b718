# SPDX-License-Identifier: LGPL-2.1-or-later
"""The story the demo tells, step by step: pair, telephone, change, break, look, bring back, swap, kill."""

import signal
import time

import pbx
from lab.net import wait_until
from lab.pair import Pair
from phones import Phones, accounts, numbers
from probe import Probe
from receivers import Receivers

N_PHONES = 50
N_SPARE = 9
N_CHANGES = 3
PHONES = {"ipv4": "192.0.2.100/24", "ipv6": "2001:db8::100/64"}
PROCESSES = ("keeper", "supervisor", "vrrpd", "syncd", "notifyd")
KILL_WATCH_S = 1.0
RETURN_MS = 100
STOP_S = 5
DOWN_S = 10
TOLD_S = 1  # within so many seconds of the takeover
MESSAGES = {"mail": "a mail to the boss", "sms": "an SMS to who is on duty", "snmp": "an SNMP inform to the control room"}


class Story:
    """One run through everything with one pair. Use as a context manager: it takes its lab down."""

    def __init__(self, build, report, higher, family="ipv4", notify=False):
        self.report = report
        self.users = accounts(N_PHONES, N_SPARE)
        self.spare = list(self.users)[N_PHONES:]
        self.short_numbers = {"900": numbers(1)[0]}
        self.broken = None
        self.events_before = 0
        self.phones, self.probe = None, None
        self.phones_address = PHONES[family].split("/")[0]
        self.receivers = Receivers(self.phones_address) if notify else None
        self.pair = Pair(build, {"kamailio": pbx.APPLICATION_TEXT}, higher=higher, origin=report.origin, family=family,
                         sections=self.receivers.settings() if notify else "")
        self.service = self.pair.services[0]
        try:
            pbx.install(self.pair.first, self.service, self.users, self.short_numbers)
            pbx.install(self.pair.second, self.service, None, None)
            self.host = self.pair.lab.net.namespace("phones")
            self.host_port = self.pair.lan.connect(self.host, "eth0", PHONES[family])
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def collect(self):
        """Hands over what was seen on the buses."""
        for watch in self.pair.watches.values():
            self.report.data["roles"] += watch.roles
            self.report.data["events"] += watch.events

    def close(self):
        if self.phones:
            self.phones.stop()
        if self.probe:
            self.probe.stop()
        if self.receivers:
            self.receivers.stop()
        self.pair.close()

    def draw(self):
        roles = self.pair.roles()
        holders = self.pair.addresses.holders()
        self.report.draw({
            "phones": f"phones {self.phones_address}: {N_PHONES} sipp phones, a caller, the probe", "service": self.service,
            "devices": [{"name": device.name, "role": roles[device.name] or ("frozen" if device.frozen else "?"),
                         "address": device.lan_address, "on": bool(device.pid), "cable": bool(device.pid) and device.ports["eth0"].carrier(), "holds": device.name in holders}
                        for device in (self.pair.first, self.pair.second)]})

    # Beginning.

    def pair_up(self):
        say = self.report.say
        self.report.title("Two devices become a pair")
        for device in (self.pair.first, self.pair.second):
            self.pair.switch_on(device)
            say(f"{device.name} is switched on: {device.lan_address}, bus {device.bus_address()}")
        self.pair.watch(self.pair.first).wait_role("master", 30)
        say(f"{self.pair.first.name} leads and runs the PBX")
        self.pair.watch(self.pair.second).wait(lambda: self.pair.watch(self.pair.second).role(), 15, "its supervisor")
        self.pair.pair_and_join()
        say("understudy pair showed a code, understudy join took it: each has the other's key")
        self.pair.wait_settled()
        self.report.check(f"{self.pair.second.name} follows and has everything", self.pair.backup() is self.pair.second)
        self.report.check(f"no Kamailio runs on {self.pair.second.name}", not self.pair.second.pid_of("kamailio"))

    def begin_notifying(self):
        """Who is to be told, and the passwords that this takes."""
        if not self.receivers:
            return
        self.report.title("Who is told when the Master fails")
        self.receivers.start(self.host)
        for device in (self.pair.first, self.pair.second):
            self.receivers.introduce(device)
            self.receivers.tell_secrets(device)
        self.report.say(f"a mail server, an SMS gateway and a receiver of SNMP informs run on {self.phones_address}; pair.conf names them, and each "
                        "device has their passwords")
        self.report.quote(self.pair.master().run(["understudy", "notify", "targets"]).stdout)
        for target in ("mail:boss", "sms:duty", "snmp:noc"):
            done = self.pair.master().run(["understudy", "notify", "test", target], check=False)
            self.report.check(f"understudy notify test {target}", done.returncode == 0, (done.stdout + done.stderr).strip())

    def told(self, begin, led):
        """Each of them knows soon after the takeover."""
        for kind, what in MESSAGES.items():
            found = self.receivers.wait(kind, "has taken over", begin, TOLD_S + 10)
            late_s = found[0] - (led - begin) if found else None
            self.report.check(f"{what} within {TOLD_S} s of the takeover", found is not None and late_s <= TOLD_S,
                              f"after {late_s * 1000:.0f} ms, {found[1]}" if found else "none came")
            if found:
                self.report.data["told_ms"].setdefault(kind, []).append(round(late_s * 1000, 1))

    def telephone(self):
        say = self.report.say
        self.report.title("Phones register and call")
        self.probe = Probe(self.host, self.phones_address, self.service)
        self.probe.wait_answers(20)
        self.phones = Phones(self.host, "eth0", self.phones_address, self.service, N_PHONES)
        self.phones.answer()
        users = {user: self.users[user] for user in list(self.users)[:N_PHONES]}
        registered = self.phones.register(users)
        say(f"{registered} phones registered through {self.service} with digest authentication")
        self.report.least("contacts_before", registered)
        self.report.check("all phones are registered", registered == N_PHONES, registered)
        self.report.check("a call is answered", self.phones.try_call(numbers(1)[0]))
        self.phones.start_calling(users)
        say("from now on a call is placed every second")
        self.pair.wait_settled()
        self.draw()

    # Change.

    def change(self):
        """A short number is added to the dial plan on the Master, and must be on the Backup."""
        master, backup = self.pair.master(), self.pair.backup()
        self.report.title(f"A configuration file changes on {master.name}")
        for _ in range(N_CHANGES):
            short = str(901 + len(self.short_numbers) % 90)
            self.short_numbers[short] = numbers(N_PHONES)[len(self.short_numbers) % N_PHONES]
            text = pbx.dialplan_text(self.short_numbers)
            begin = time.monotonic()
            master.write(pbx.DIALPLAN, text)
            wait_until(lambda text=text: backup.read(pbx.DIALPLAN) == text, 10, f"{pbx.DIALPLAN} on {backup.name}", 0.002)
            took = round((time.monotonic() - begin) * 1000, 1)
            self.report.data["change_to_applied_ms"].append(took)
            self.report.say(f"short number {short} written on {master.name}, on the disk of {backup.name} {took:.0f} ms later")
            self.pair.wait_settled()
        self.report.quote("\n".join(backup.read(pbx.DIALPLAN).splitlines()[-4:]))

    # Break.

    def break_master(self, fault):
        """The Master fails; the other must carry on with every registration, the newest configuration and without help."""
        master, backup = self.pair.master(), self.pair.backup()
        self.report.title(f"{fault}: " + {"cable": f"the LAN cable of {master.name} is pulled", "power": f"{master.name} loses its power",
                                          "freeze": f"every process of {master.name} stops where it is"}[fault])
        late = self.spare.pop(0)
        self.pair.wait_settled()
        late_registered = self.phones.register({late: self.users[late]})
        registered_at = time.monotonic()
        self.report.check(f"phone {late} registers one second before", late_registered == 1)
        self.probe.wait_answers(50)
        registers = self.phones.registers.count
        self.events_before = len(self.pair.watch(backup).events)
        while time.monotonic() < registered_at + 1.0:
            self.probe.wait_answers(1)
        begin = time.monotonic()
        if fault == "cable":
            master.ports["eth0"].cut()
        elif fault == "power":
            self.pair.power_cut(master)
        else:
            master.freeze()
        self.broken = (fault, master)
        self.report.say(f"{fault} at {begin - self.report.origin:.3f} s", "bad")
        self.pair.watch(backup).wait_role("master", 10)
        led = time.monotonic()
        self.probe.wait_answer_sent_after(led)
        self.probe.wait_answers(20)
        outage, since = self.probe.silence_ms(begin)
        self.report.data["failover_outage_ms"].setdefault(fault, []).append(round(outage, 1))
        self.report.say(f"{backup.name} is Master; no answer through {self.service} for {outage:.0f} ms", "good")
        if self.receivers:
            self.told(begin, led)
        called = self.phones.try_call(numbers(1)[0])
        self.report.data["call_after_failover"] = called and self.report.data["call_after_failover"] is not False
        self.report.check("a call succeeds after the failover", called)
        alive = self.phones.call_each(numbers(N_PHONES))
        self.report.least("contacts_after", alive)
        late_alive = self.phones.try_call(late)
        self.report.data["late_contact_after_failover"] = late_alive and self.report.data["late_contact_after_failover"] is not False
        newest = max(self.short_numbers)
        self.report.check(f"calls to all {N_PHONES} registered phones are answered", alive == N_PHONES, alive)
        self.report.check(f"phone {late}, registered one second before, is called too", late_alive)
        self.report.check("no phone had to register again", self.phones.registers.count == registers, self.phones.registers.count - registers)
        self.report.check(f"{backup.name} knows short number {newest}, the newest change", self.phones.try_call(newest))
        self.draw()

    def wait_down(self):
        """The guide's third event: the other device is gone."""
        watch = self.pair.watch(self.pair.master())
        event = watch.wait(lambda: next((event for event in watch.events[self.events_before:] if event["name"] == "down"), None), DOWN_S,
                           'event "down"')
        self.report.check("the event \"down\" was raised", True, event["description"])

    def look(self):
        """Why did it switch?"""
        self.report.say("understudy timeline:")
        self.report.quote(self.pair.master().run(["understudy", "timeline"]).stdout)

    def bring_back(self):
        fault, device = self.broken
        self.report.title(f"{device.name} comes back")
        master = self.pair.other(device)
        changes = len(self.pair.watch(master).roles)
        begin = time.monotonic()
        if fault == "cable":
            device.ports["eth0"].plug()
        elif fault == "power":
            self.pair.switch_on(device)
        else:
            device.thaw()
        self.broken = None
        self.pair.watch(device).wait_role("backup", 30)
        self.report.say(f"{device.name} is Backup {time.monotonic() - begin:.1f} s after its return")
        self.pair.wait_settled()
        outage, since = self.probe.silence_ms(begin)
        self.report.check(f"{master.name} stayed Master all the time", not self.pair.watch(master).changes_since(changes))
        self.report.check("its return disturbed no call", outage <= RETURN_MS,
                          f"longest silence {outage:.0f} ms, {max(0, since - begin) * 1000:.0f} ms after its return")
        wait_until(lambda: not device.pid_of("kamailio"), STOP_S, f"the end of Kamailio on {device.name}")
        self.report.check(f"no Kamailio runs on {device.name}", not device.pid_of("kamailio"))

    # Swap.

    def swap(self):
        master, backup = self.pair.master(), self.pair.backup()
        self.report.title(f"understudy swap: from {master.name} to {backup.name}")
        self.pair.wait_settled()
        self.probe.wait_answers(50)
        registers = self.phones.registers.count
        begin = time.monotonic()
        said = master.run(["understudy", "swap"], timeout=30)
        self.pair.watch(backup).wait_role("master", 15)
        self.pair.watch(master).wait_role("backup", 15)
        self.probe.wait_answer_sent_after(time.monotonic())
        self.probe.wait_answers(20)
        outage, _ = self.probe.silence_ms(begin)
        self.report.data["swap_outage_ms"].append(round(outage, 1))
        self.report.quote(said.stdout)
        self.report.say(f"{backup.name} is Master, {master.name} is Backup; no answer for {outage:.0f} ms", "good")
        self.pair.wait_settled()
        alive = self.phones.call_each(numbers(N_PHONES))
        self.report.check("calls to all registered phones are answered", alive == N_PHONES, alive)
        self.report.check("no phone had to register again", self.phones.registers.count == registers)

    # Kill.

    def kill_everything(self):
        """kill -9 of each of our processes on each device: nobody may notice."""
        self.report.title("kill -9 of every Understudy process, on the Master and on the Backup")
        begin = time.monotonic()
        roles = {name: len(watch.roles) for name, watch in self.pair.watches.items()}
        for role in ("master", "backup"):
            for process in PROCESSES:
                self.kill_one(self.pair.master() if role == "master" else self.pair.backup(), role, process)
        self.pair.wait_settled()
        late = sum(len(watch.changes_since(roles[name])) for name, watch in self.pair.watches.items())
        doubled = self.pair.addresses.doubled_ms(begin)
        self.report.check("nor did anything follow later", late == 0 and doubled == 0, f"{late} role changes, {doubled:.0f} ms doubled in all")

    def kill_one(self, device, role, process):
        self.pair.wait_settled()
        roles = {name: len(watch.roles) for name, watch in self.pair.watches.items()}
        call = self.phones.held_call()
        try:
            call.start(numbers(N_PHONES)[7])
            self.probe.wait_answers(20)
            begin = time.monotonic()
            old = device.kill(f"understudy-{process}", signal.SIGKILL)
            device.wait_process(f"understudy-{process}", 15, old)
            back_ms = (time.monotonic() - begin) * 1000
            end = time.monotonic() + KILL_WATCH_S
            while time.monotonic() < end:
                self.probe.wait_answers(1)
            outage, _ = self.probe.silence_ms(begin)
            doubled = self.pair.addresses.doubled_ms(begin)
            bye_ms = call.end()
        finally:
            call.sock.close()
        changes = sum(len(watch.changes_since(roles[name])) for name, watch in self.pair.watches.items())
        self.report.data["kills"].append({"process": process, "role": role, "role_changes": changes, "doubled_ms": doubled,
                                          "outage_ms": round(outage, 1)})
        self.report.check(f"{process} on {device.name} ({role})", changes == 0 and doubled == 0 and outage <= 50,
                          f"back after {back_ms:.0f} ms, {changes} role changes, {doubled:.0f} ms doubled, longest silence {outage:.0f} ms, "
                          f"the call's BYE answered after {bye_ms:.0f} ms")

    # End.

    def finish(self):
        placed, answered, failed = self.phones.calls()
        self.report.say(f"of the calls placed every second {answered} of {placed} were answered, {failed} failed")
        self.phones.stop_calling()
        events = [event for watch in self.pair.watches.values() for event in watch.events if event["name"] == "up active"]
        self.report.check("the event \"up active\" was raised", bool(events), events[0]["description"] if events else "")
