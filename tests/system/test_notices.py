# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package's set-ups of notices on a whole machine, by the letter of the administrator's guide that came with it."""

import json
import os
import re
import shlex
import subprocess

import pytest
from lab.net import wait_until

ADDRESS = "192.0.2.11"
DEVICE = f"[device]\nid=alone\n\n[interface lan]\ndevice=eth0\naddress={ADDRESS}/24\n"
PAIR = "[pair]\nenabled=false\ngroup-id=51\n\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\nelects=true\n\n"
LED = "/sys/class/leds/platform:red:alarm"
TRIGGERS = "none disk-activity [heartbeat]"


@pytest.fixture
def machine(house):
    machine = house.device("alone", {"eth0": (house.net.switch("lan"), f"{ADDRESS}/24")})
    machine.write("/etc/understudy/device.conf", DEVICE)
    machine.write("/etc/understudy/pair.conf", PAIR)
    machine.boot()
    wait_until(lambda: machine.run(["understudy", "events"], check=False).returncode == 0, 20, "notifyd answers", 0.05)
    return machine


def guide(machine, chapter):
    """The blocks of that chapter, in their order."""
    text = machine.read("/usr/share/doc/understudy/administration.md")
    text = text[text.index(f"\n## {chapter}\n"):].split("\n## ")[1]
    return re.findall(r"^```(?:sh)?\n(.*?)^```$", text, flags=re.M | re.S)


def block_with(machine, chapter, words):
    (found,) = (block for block in guide(machine, chapter) if words in block)
    return found


def run_lines(machine, lines):
    for line in lines.splitlines():
        machine.run(shlex.split(line), timeout=60)


def events(machine):
    return json.loads(machine.run(["understudy", "--json", "events", "--count", "100"]).stdout)


# ---- LEDs ----


def give_a_led(machine):
    """As its kernel would show one, to root alone; beside what this machine's kernel has of classes."""
    machine.run(["sh", "-c", "cp -a /sys/class /run/class 2>/dev/null; mkdir -p /run/class/leds && mount --bind /run/class /sys/class"])
    os.makedirs(machine.place(LED))
    for name, text in (("brightness", "0"), ("max_brightness", "255"), ("trigger", TRIGGERS)):
        with open(machine.place(f"{LED}/{name}"), "w", encoding="ascii") as file:
            file.write(f"{text}\n")


def shown(machine, name):
    return machine.read(f"{LED}/{name}").strip()


def wait_blinking(machine):
    for value in ("255", "0", "255"):
        wait_until(lambda value=value: (shown(machine, "trigger"), shown(machine, "brightness")) == ("none", value), 10, f"it blinks: {value}", 0.01)


def wait_given_back(machine):
    """To its trigger; after which the kernel says again which there are."""
    wait_until(lambda: shown(machine, "trigger") == "heartbeat", 15, "the LED is given back", 0.01)
    assert shown(machine, "brightness") == "0"
    with open(machine.place(f"{LED}/trigger"), "r+", encoding="ascii") as file:
        file.write(TRIGGERS)


def test_a_led_shows_what_nobody_has_read(machine):
    machine.write("/etc/understudy/pair.conf", PAIR + block_with(machine, "LEDs", "[led front]"))
    machine.run(["understudy", "settings", "reload"])

    def what_is_in_the_way():
        refused = machine.run(["understudy", "notify", "test", "led:front"], check=False)
        assert refused.returncode != 0
        return machine.run(["understudy", "notify", "targets"]).stdout

    assert "this device has no LED platform:red:alarm" in what_is_in_the_way()
    give_a_led(machine)
    assert "the LED platform:red:alarm cannot be set: Permission denied" in what_is_in_the_way()
    # No udev here, so what its rule would do, as the guide says.
    for command in re.findall(r'RUN\+="([^"]*)"', machine.read("/usr/lib/udev/rules.d/70-understudy-leds.rules")):
        run_lines(machine, command.replace("/sys%p", LED))
    assert "Permission denied" not in machine.run(["understudy", "notify", "targets"]).stdout
    machine.run(["understudy", "events", "--unread", "--mark-read"])  # a machine in a machine has no real time, which is an event
    assert "pattern of priority 3" in machine.run(["understudy", "notify", "test", "led:front"]).stdout
    wait_blinking(machine)
    wait_given_back(machine)

    machine.run(["understudy", "event", "raise", "SIP", "of no importance", "--priority", "1"])
    machine.run(["understudy", "event", "raise", "SIP", "trunk down", "--priority", "2"])
    wait_blinking(machine)
    machine.run(["understudy", "events", "--unread", "--mark-read"])
    wait_given_back(machine)

    machine.run(["understudy", "event", "raise", "SIP", "trunk down", "--priority", "3"])
    wait_blinking(machine)
    machine.run(["systemctl", "stop", "understudy"], timeout=60)
    wait_given_back(machine)


# ---- SNMP ----


def ask(machine, what):
    """As a manager on its network does, by numbers."""
    done = subprocess.run(["nsenter", f"--net=/proc/{machine.pid}/ns/net", "snmpget", "-v2c", "-c", "SECRET", "-t", "1", "-r", "0", "-On", ADDRESS, what],
                          env={**os.environ, "MIBS": ""}, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_snmpd_is_set_up_from_nothing(machine):
    """With Debian's snmpd, which has run before: what is forgotten is said, and then done."""
    root = block_with(machine, "SNMP", "understudyMIB") and re.search(r"1\.3\.6\.1\.4\.1\.[\d.]*\d", machine.read("/usr/share/doc/understudy/administration.md"))[0]
    device_id = f".{root}.1.1.1.0"
    machine.run(["systemctl", "enable", "--now", "snmpd"])  # as its installation does
    machine.write("/etc/snmp/snmpd.conf.d/understudy.conf", block_with(machine, "SNMP", "agentXPerms"))
    machine.write("/etc/understudy/device.conf", f"{DEVICE}\n[snmp]\n")
    machine.run(["systemctl", "restart", "snmpd"])
    machine.run(["understudy", "settings", "reload"])
    said = wait_until(lambda: next((event["description"] for event in events(machine) if event["name"] == "snmpd not reached"), None), 40, "it is said", 0.2)
    open_it = block_with(machine, "SNMP", "systemctl restart snmpd")
    assert said.startswith("snmpd's folder /var/agentx lets only its owner in; as root: chmod 755 /var/agentx")
    assert "chmod 755 /var/agentx\n" in open_it and said in machine.journal("--boot", "--unit=understudy.service", "--priority=warning")
    assert "alone" not in ask(machine, device_id)

    run_lines(machine, open_it)
    wait_until(lambda: '"alone"' in ask(machine, device_id), 40, "a manager reads the device's id", 0.2)
    wait_until(lambda: "snmpd reached" in [event["name"] for event in events(machine)], 40, "it is said", 0.2)

    # It stays so: over a restart of snmpd, and over one of the machine.
    machine.run(["systemctl", "restart", "snmpd"])
    wait_until(lambda: '"alone"' in ask(machine, device_id), 40, "a manager reads it again", 0.2)
    machine.reboot()
    wait_until(lambda: '"alone"' in ask(machine, device_id), 60, "a manager reads it after a reboot", 0.2)
    assert [event["name"] for event in events(machine)].count("snmpd not reached") == 1
