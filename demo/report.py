# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the demo says: running commentary with times, a drawing of the lab, the table at the end, and the file for programs."""

import json
import os
import statistics
import sys
import time

FAULTS = ("cable", "power", "freeze")
TARGETS = {"failover": 450, "swap": 300, "change": 300, "kill": 50}
COLOURS = {"good": "32", "bad": "31", "warn": "33", "role": "1;36", "dim": "2", "bold": "1", "clock": "2;36"}
ROLE_COLOURS = {"master": "good", "backup": "role", "off": "bad"}


class Report:
    """Collects results and tells them. Colour only on a terminal."""

    def __init__(self, origin, out=sys.stdout):
        self.origin = origin
        self.out = out
        self.colour = out.isatty() and os.environ.get("TERM", "dumb") != "dumb" and "NO_COLOR" not in os.environ
        self.failures = []
        self.checks = 0
        self.data = {
            "failover_outage_ms": {}, "swap_outage_ms": [], "contacts_before": None, "contacts_after": None, "call_after_failover": None,
            "late_contact_after_failover": None, "change_to_applied_ms": [], "roles": [], "events": [], "kills": [], "told_ms": {},
        }

    # Talking.

    def paint(self, colour, text):
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.colour and colour else text

    def print(self, text=""):
        print(text, file=self.out, flush=True)

    def title(self, text):
        self.print()
        self.print(self.paint("bold", f"── {text} ".ljust(100, "─")))

    def say(self, text, colour=None):
        clock = self.paint("clock", f"{time.monotonic() - self.origin:8.3f} s")
        self.print(f"{clock}  {self.paint(colour, text)}")

    def check(self, what, good, detail=""):
        """One promise that was looked at: kept or not."""
        self.checks += 1
        mark = self.paint("good", "ok ") if good else self.paint("bad", "NOT")
        self.say(f"{mark} {what}{f': {detail}' if detail != '' else ''}")
        if not good:
            self.failures.append(f"{what}{f': {detail}' if detail != '' else ''}")
        return good

    def fail(self, what):
        self.failures.append(what)
        self.say(f"{self.paint('bad', 'NOT')} {what}")

    def quote(self, text, limit=60):
        """What a command printed."""
        lines = text.rstrip().splitlines()
        for line in lines[:limit]:
            self.print(f"            │ {line}")
        if len(lines) > limit:
            self.print(f"            │ … {len(lines) - limit} lines more")

    # Drawing.

    def draw(self, lab_view):
        """lab_view: phones (text), service (address), devices: [{name, role, address, cable (bool), on (bool), holds (bool)}]."""
        left, right = lab_view["devices"]
        width = 30

        def cell(text, colour=None):
            return self.paint(colour, text.center(width))

        def cable(device):
            return ("│", None) if device["cable"] and device["on"] else ("✂ cable pulled" if device["on"] else "no power", "bad")

        def box(device, line):
            role = device["role"] if device["on"] else "off"
            rows = {
                0: ("┌" + "─" * 24 + "┐", None), 1: (f"│{device['name'].center(24)}│", "bold"),
                2: (f"│{role.upper().center(24)}│", ROLE_COLOURS.get(role, "warn")), 3: (f"│{device['address'].center(24)}│", None),
                4: (f"│{('+ ' + lab_view['service'] if device['holds'] else '').center(24)}│", "good"), 5: ("└" + "─" * 24 + "┘", None),
            }
            return cell(*rows[line])

        self.print()
        self.print("  " + lab_view["phones"].center(2 * width + 8).rstrip())
        self.print("  " + "│".center(2 * width + 8).rstrip())
        self.print("  " + ("═" * 22 + " LAN switch " + "═" * 22).center(2 * width + 8).rstrip())
        self.print("  " + cell(*cable(left)) + " " * 8 + cell(*cable(right)))
        for line in range(6):
            middle = "──peer──" if line == 2 else " " * 8
            self.print("  " + box(left, line) + middle + box(right, line))
        self.print()

    # Results.

    def least(self, name, value):
        """Keeps the worst of several counts."""
        known = self.data[name]
        self.data[name] = value if known is None else min(known, value)

    def judge(self, faults, with_targets=True):
        """The targets over everything measured; draws the table. Returns whether all is well."""
        data = self.data
        rows = [(f"failover, {fault}", data["failover_outage_ms"].get(fault, []), TARGETS["failover"]) for fault in faults]
        rows += [("swap", data["swap_outage_ms"], TARGETS["swap"]), ("change on Master → applied on Backup", data["change_to_applied_ms"],
                                                                      TARGETS["change"])]
        self.title("Result")
        self.print(f"  {'':38} {'n':>3} {'median':>9} {'least':>9} {'most':>9} {'allowed':>9}")
        for name, values, target in rows:
            if not values:
                self.failures.append(f"{name}: nothing measured")
                self.print(f"  {name:38} {0:>3} {'-':>9} {'-':>9} {'-':>9} {target:>6} ms  {self.paint('bad', 'NOT')}")
                continue
            median = statistics.median(values)
            good = median <= target
            if with_targets and not good:
                self.failures.append(f"{name}: median {median:.0f} ms, allowed {target} ms")
            self.print(f"  {name:38} {len(values):>3} {median:>6.0f} ms {min(values):>6.0f} ms {max(values):>6.0f} ms {target:>6} ms  "
                       + self.paint("good" if good else "bad", "ok" if good else "NOT"))
        if data["kills"]:
            self.print()
            self.print(f"  {'kill -9 of':22} {'on the':8} {'n':>3} {'role changes':>13} {'doubled':>9} {'outage':>9} {'allowed':>9}")
            for process, role in sorted({(kill["process"], kill["role"]) for kill in data["kills"]}):
                some = [kill for kill in data["kills"] if (kill["process"], kill["role"]) == (process, role)]
                worst = {key: max(kill[key] for kill in some) for key in ("role_changes", "doubled_ms", "outage_ms")}
                good = worst["role_changes"] == 0 and worst["doubled_ms"] == 0 and worst["outage_ms"] <= TARGETS["kill"]
                self.print(f"  {process:22} {role:8} {len(some):>3} {worst['role_changes']:>13} {worst['doubled_ms']:>6.0f} ms "
                           f"{worst['outage_ms']:>6.0f} ms {TARGETS['kill']:>6} ms  {self.paint('good' if good else 'bad', 'ok' if good else 'NOT')}")
        self.print()
        contacts = f"{data['contacts_after']} of {data['contacts_before']}"
        self.print(f"  contacts alive after each failover      {contacts}")
        self.print(f"  call after each failover                {yes_no(data['call_after_failover'])}")
        self.print(f"  contact of one second before the fault  {yes_no(data['late_contact_after_failover'])}")
        self.print()
        for failure in self.failures:
            self.print("  " + self.paint("bad", f"NOT {failure}"))
        good = not self.failures
        self.print(self.paint("good" if good else "bad",
                              f"  {self.checks} checks, {len(self.failures)} failed, {time.monotonic() - self.origin:.0f} s in all"))
        return good

    def write(self, path, good):
        """The file for programs, whole or not at all."""
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({**self.data, "failures": self.failures, "ok": good}, file, indent=1)
            file.write("\n")
        os.rename(f"{path}.new", path)


def yes_no(value):
    return {True: "yes", False: "NO", None: "-"}[value]
