# SPDX-License-Identifier: LGPL-2.1-or-later
"""What we say in the standard's VRRP MIBs, beside what keepalived's own sub-agent says there: the same objects, types and meaning, or a reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))

import snmp_lab  # noqa: E402  (the folder must be on the path first)
from pair_lab import Pair, wait_until  # noqa: E402
from vrrp_lab import Keepalived, Lab  # noqa: E402

SLEEPER = "[application]\ncommand=/bin/sleep 1000000\nuser=nobody\n"
MIBS = {2: "VRRP-MIB::vrrpMIB", 3: "VRRPV3-MIB::vrrpv3MIB"}
MASTER = ("INTEGER", "3")
STATES = {2: "vrrpOperState", 3: "vrrpv3OperationsStatus"}
SNMPD = "master agentx\nagentXSocket unix:{folder}/agentx\nrocommunity seen 127.0.0.1\n"
# What counts or passes is compared by its type alone.
GROWS = ("Counter32", "Counter64", "Timeticks")
# The differences, each explained in the README of snmp/.
DIFFERENT = {
    2: {"vrrpNotificationCntl", "vrrpOperAuthKey", "vrrpOperMasterIpAddr", "vrrpOperVirtualMacAddr"},
    3: {"vrrpv3OperationsVirtualMacAddr", "vrrpv3StatisticsRefreshRate"},
}


def columns(rows):
    """{object: (type, value)}; of each table one row is there."""
    found = {}
    for name, value in rows.items():
        kind, _, text = value.partition(": ")
        found[name.split(".")[0]] = (kind, None if kind in GROWS else text)
    return found


def keepalived_says(lab, folder, build, version, priority):
    other = Keepalived(lab, "other", "192.0.2.11", version, "0.1" if version == 3 else "1", priority,
                       global_extra=f"snmp_socket unix:{folder}/agentx\n    enable_snmp_rfcv{version}\n")
    (folder / "snmpd.conf").write_text(SNMPD.format(folder=folder), encoding="utf-8")
    environment = {**os.environ, **snmp_lab.names(build, folder, "VRRP-MIB:VRRPV3-MIB"), "SNMP_PERSISTENT_DIR": str(folder)}
    agent = subprocess.Popen(other.namespace.command(["/usr/sbin/snmpd", "-f", "-Lo", "-r", "-C", "-c", str(folder / "snmpd.conf"), "-I", "-smux", f"udp:{snmp_lab.ADDRESS}"]),
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        wait_until((folder / "agentx").exists, 20, "snmpd")
        other.start()
        other.wait_master()

        def walk():
            done = subprocess.run(other.namespace.command(["snmpbulkwalk", "-v2c", "-c", "seen", "-t", "5", "-r", "0", "-Oe", snmp_lab.ADDRESS, MIBS[version]]),
                                  env=environment, capture_output=True, text=True, check=False, timeout=60)
            return snmp_lab.rows_of(done.stdout)

        return wait_until(lambda: (said := columns(walk())).get(STATES[version]) == MASTER and said, 20, "keepalived's own words", 0.1)
    finally:
        agent.kill()
        agent.wait()


def ask_us(build, folder, version, priority, ask):
    """ask(what we say), until that is true; what we said last, if it never is."""
    with Pair(build, {"sleeper": SLEEPER}, settings={"vrrp-version": version, "priority": priority, "advert-interval-ms": 100 if version == 3 else 1000}) as pair:
        device = pair.first
        pair.switch_on(device)
        agent = snmp_lab.Agent(build, device, folder)
        agent.start()
        try:
            wait_until(lambda: os.path.exists(device.place(snmp_lab.SOCKET)), 20, "snmpd")  # else it is looked for again after 3 s only
            pair.watch(device).wait_role("master", 30)
            device.write("/etc/understudy/device.conf", device.read("/etc/understudy/device.conf") + f"\n[snmp]\nagentx=unix:{snmp_lab.SOCKET}\n")
            device.run(["understudy", "settings", "reload"])
            said = {}

            def answers():
                said.update(columns(agent.walk(MIBS[version])))
                return ask(said)

            try:
                wait_until(answers, 20, "all that we say", 0.1)  # what the daemons say comes one after the other
            except TimeoutError:
                pass
            return said
        finally:
            agent.stop()


@pytest.mark.parametrize("version", [pytest.param(2, marks=pytest.mark.long), 3])
def test_the_same_as_keepalived(build, tmp_path, version):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    with Lab(build) as lab:
        theirs = keepalived_says(lab, tmp_path / "theirs", build, version, 150)

    def different(ours):
        return {name for name in set(ours) | set(theirs) if ours.get(name) != theirs.get(name)}

    ours = ask_us(build, tmp_path / "ours", version, 150, lambda said: different(said) == DIFFERENT[version])
    unexplained = [f"{name}: {ours.get(name)}, keepalived {theirs.get(name)}" for name in sorted(different(ours) ^ DIFFERENT[version])]
    assert not unexplained, "\n".join(unexplained)
    assert len(set(ours) - DIFFERENT[version]) > 15
    readme = (Path(__file__).resolve().parents[2] / "snmp/README.md").read_text(encoding="utf-8")
    assert [name for name in DIFFERENT[version] if f"`{name}`" not in readme] == []
