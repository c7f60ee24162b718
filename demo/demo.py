# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two devices on one machine, a real PBX, real phones; the Master breaks and calls go on through the other. Started by demo/run."""

import argparse
import os
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from report import FAULTS, Report  # noqa: E402  (this folder must be on the path first)
from steps import Story  # noqa: E402


def options(argv):
    parser = argparse.ArgumentParser(prog="demo/run", description=__doc__, epilog="Needs root. Takes everything down at its end, also after Ctrl-C.")
    parser.add_argument("--fault", choices=FAULTS, help="break the Master in this way only (default: each in turn)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="the whole story N times; the other device has the higher address each time")
    parser.add_argument("--ipv6", action="store_true", help="in a network that has no IPv4")
    parser.add_argument("--notify", action="store_true", help="a mail, an SMS and an SNMP inform tell that the Master has failed, to servers in the lab")
    parser.add_argument("--check", action="store_true", help="unattended: exit 0 only when every step and every target was kept")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--keep", action="store_true", help="leave the lab up at the end, and say how to look round")
    parser.add_argument("--build", default=os.path.join(os.path.dirname(HERE), "build"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.repeat < 1:
        parser.error("--repeat: at least 1")
    return chosen


def tell(story, report, faults):
    """The whole story with one pair."""
    story.pair_up()
    story.begin_notifying()
    story.telephone()
    for i, fault in enumerate(faults):
        story.change()
        story.break_master(fault)
        if i == 0:
            story.look()
        if fault == "power":
            story.wait_down()
        story.bring_back()
        story.swap()
    story.kill_everything()
    story.finish()


def look_round(story, build, report):
    """The lab stays; says how to see it from the host. Returns after Ctrl-C."""
    pair, host = story.pair, story.host
    master, backup = pair.master(), pair.backup()
    command = os.path.abspath(os.path.join(build, "ctl", "understudy"))
    report.title("The lab is up: look round from another terminal; Ctrl-C here takes it down")
    story.draw()
    lines = []
    for device in (master, backup):
        bus = device.bus_address()
        lines += [f"# {device.name}", f"export DBUS_SYSTEM_BUS_ADDRESS={bus}", f"{command} status", f"{command} timeline", ""]
    bus = master.bus_address()
    service = "org.understudy.Supervisor1 /org/understudy/Supervisor1"
    lines += [
        "# the bus of the Master", f"busctl --address={bus} tree org.understudy.Supervisor1",
        *(f"busctl --address={bus} introspect org.understudy.{name}1 /org/understudy/{name}1"
          for name in ("Supervisor", "Vrrp", "Sync", "Notify")),
        f"busctl --address={bus} get-property {service} org.understudy.Supervisor1 Role",
        f"busctl --address={bus} monitor org.understudy.Supervisor1",
        f"busctl --address={bus} call org.understudy.Notify1 /org/understudy/Notify1 org.understudy.Notify1 Raise 'ssyssa{{sv}}' "
        "MG 'call quality warning' 2 'Line 3: 12% loss' '' 0",
        f"dbus-send --bus={bus} --print-reply --dest={service} org.freedesktop.DBus.Properties.Get string:org.understudy.Supervisor1 string:Role",
        f"dbus-send --bus={bus} --print-reply --dest=org.understudy.Sync1 /org/understudy/Sync1 org.freedesktop.DBus.Properties.GetAll "
        "string:org.understudy.Sync1",
        f"dbus-send --bus={bus} --print-reply --dest={service} org.freedesktop.DBus.Introspectable.Introspect", "",
        *(line for device in (master, backup)
          for line in (f"# a shell on {device.name}; its console", f"nsenter -t {device.pid} -a --root --wd sh", f"tail -f {device.path}/console.log", "")),
        "# pull its LAN cable, and put it back",
        f"ip -n {pair.lan.namespace.host_name} link set {master.ports['eth0'].name} down",
        f"ip -n {pair.lan.namespace.host_name} link set {master.ports['eth0'].name} up", "",
        "# a phone that calls 1001 through the service address",
        f"ip netns exec {host.host_name} sipp {story.phones.server}:5060 -i {story.phones.address} -sf {HERE}/sipp/call.xml "
        f"-inf {story.phones.table('one', ['1001'])} -m 1",
    ]
    for line in lines:
        report.print(f"  {line}")
    story.phones.start_calling(list(story.users)[:story.phones.count])
    while True:
        signal.pause()


def listen_for_the_end():
    """The first Ctrl-C (or SIGTERM, or the terminal's end) ends the demo; later ones must not disturb its taking everything down."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(*_):
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, end)


def one_run(chosen, report, faults, higher, conclude):
    """One story; with conclude (for --keep) its results are told while the lab is still up."""
    with Story(chosen.build, report, higher, "ipv6" if chosen.ipv6 else "ipv4", chosen.notify) as story:
        try:
            tell(story, report, faults)
        except Exception:
            for device in story.pair.lab.devices:
                report.print(f"  console of {device.name}:")
                report.quote("\n".join(device.console().splitlines()[-40:]))
            raise
        finally:
            story.collect()
        if conclude:
            good = conclude()
            try:
                look_round(story, chosen.build, report)
            except KeyboardInterrupt:  # its proper end
                report.print()
            return good
    return None


def run(chosen):
    report = Report(time.monotonic())
    faults = [chosen.fault] if chosen.fault else list(FAULTS)

    def conclude():
        good = report.judge(faults)
        if chosen.json:
            report.write(chosen.json, good)
        return good

    for i in range(chosen.repeat):
        higher = ("beta", "alpha")[i % 2]
        report.title(f"Run {i + 1} of {chosen.repeat}; {higher} has the higher addresses")
        last = i == chosen.repeat - 1
        try:
            good = one_run(chosen, report, faults, higher, conclude if chosen.keep and last else None)
        except KeyboardInterrupt:
            report.fail("interrupted; everything is taken down")
            conclude()
            return 130
        except Exception as error:  # the next run may still tell something
            report.fail(f"run {i + 1}: {type(error).__name__}: {error}")
            if chosen.check:
                traceback.print_exc()
            good = None
    if good is None:
        good = conclude()
    return 0 if good else 1


def main():
    chosen = options(sys.argv[1:])
    if os.geteuid() != 0:
        print("demo/run: needs root (namespaces, network)", file=sys.stderr)
        return 1

    listen_for_the_end()
    return run(chosen)


if __name__ == "__main__":
    sys.exit(main())
