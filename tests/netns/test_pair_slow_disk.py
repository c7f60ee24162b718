# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk on which every wait takes two seconds, on one device or on both: nothing that phones notice waits for it.

What waits for the disk (fsync and its like) is made slow in our own processes, from the moment a test says so.
"""

import json
import os
import re
import shutil
import time

import pytest
from pair_lab import answers_again, pair_with_pbx, pbx_runs_on, wait_until
from test_pair_settings import DEVICE_CONF, PAIR_CONF, alike, change, result, with_key

pytestmark = pytest.mark.timed(100, real_time=True)

SLOW_MS = 2000  # who has waited for the disk once has waited longer than everything below may take
DAEMONS = ("keeper", "supervisor", "vrrpd", "syncd", "notifyd")
WHERE = ("backup", "master", "both")


@pytest.fixture
def pair(build):
    def prepare(device):
        shutil.copy(build / "tests/netns/slow-disk.so", device.file("/usr/lib/slow-disk.so"))
        device.write("/etc/ld.so.preload", "/usr/lib/slow-disk.so\n")
    with pair_with_pbx(build, prepare) as pair:
        yield pair


def slow(pair, where):
    """From now on; returns the Master and the Backup."""
    master, backup = pair.master(), pair.backup()
    for device in {"master": (master,), "backup": (backup,), "both": (master, backup)}[where]:
        device.write("/run/slow-disk", "".join(f"understudy-{name} {SLOW_MS}\n" for name in DAEMONS))
    return master, backup


def nobody_waited(pair):
    """No decision shares its thread with the disk: the waits of which the library told are all of other threads."""
    waits = [(device.name, line) for device in (pair.first, pair.second) if device.awake()
             for line in re.findall(r"^slow-disk: .*", device.console(), re.M)]
    return [each for each in waits if re.search(r"understudy-(keeper|supervisor|vrrpd|syncd|notifyd) main ", each[1])]


@pytest.mark.parametrize("where", WHERE)
def test_swap(pair, where):
    master, backup = slow(pair, where)
    begin = time.monotonic()
    done = master.run(["understudy", "swap", "--json"], check=False, timeout=120)
    assert done.returncode == 0 and json.loads(done.stdout)["state"] == "done", done.stdout + done.stderr + master.console()[-3000:]
    pair.watch(backup).wait_role("master", 5)
    answers_again(pair, time.monotonic())
    assert pair.probe.silence_ms(begin)[0] < SLOW_MS and pair.addresses.doubled_ms(begin) == 0
    assert pbx_runs_on(backup) and not pbx_runs_on(master)
    assert nobody_waited(pair) == []


@pytest.mark.parametrize("where", ("backup", "both"))
def test_power_cut(pair, where):
    master, backup = slow(pair, where)
    begin = time.monotonic()
    pair.power_cut(master)
    answers_again(pair, time.monotonic(), 5)
    assert pair.probe.silence_ms(begin)[0] < SLOW_MS
    pair.watch(backup).wait_role("master", 5)
    assert nobody_waited(pair) == []


@pytest.mark.parametrize("where", ("backup", "both"))
def test_power_cut_in_the_midst_of_an_apply(pair, where):
    """The old version of the data or the new one, at once."""
    master, backup = slow(pair, where)
    for number in range(3):
        master.write(f"/var/lib/scribe/page-{number}", "new")
    pair.watch(backup).wait(lambda: pair.watch(backup).sync("Activity") in ("staging", "applying"), 60, "an apply under way")
    begin = time.monotonic()
    pair.power_cut(master)
    answers_again(pair, time.monotonic(), 5)
    assert pair.probe.silence_ms(begin)[0] < SLOW_MS
    assert nobody_waited(pair) == []


@pytest.mark.timed(100)
@pytest.mark.parametrize("where", WHERE)
def test_modes_and_settings(pair, where):
    master, backup = slow(pair, where)
    begin, orders = time.monotonic(), []
    for mode in ("passive", "active"):
        orders.append(master.popen(["understudy", "mode", mode]))
        wait_until(lambda mode=mode: [hold["name"] for hold in json.loads(backup.run(["understudy", "status", "--json"]).stdout)["holds"]] ==
                   (["passive"] if mode == "passive" else []), 5, mode)
    assert time.monotonic() - begin < SLOW_MS / 1000, "an order waited for the disk"
    if where != "master":
        assert [order.poll() for order in orders] == [None, None], "it is answered, and a loss of power would undo it"
    assert [order.wait(30) for order in orders] == [0, 0]
    said = master.run(["understudy", "settings", "set", "sync-interval-s", "33"], timeout=60).stdout
    assert said.splitlines()[0] == "pair.conf: changed on both devices", said
    for device in (master, backup):
        assert "sync-interval-s=33" in device.read("/etc/understudy/pair.conf")
    assert os.path.exists(backup.file("/etc/understudy/pair.conf"))
    assert pair.master() is master and pair.probe.silence_ms(begin)[0] < SLOW_MS / 4
    assert nobody_waited(pair) == []


@pytest.mark.timed(100)
@pytest.mark.parametrize("where", ("master", "backup"))
def test_a_change_of_settings_while_the_backup_still_writes_the_one_before(pair, where):
    """The Master has lost it before it could confirm, and has answered: what is ordered next, on either, waits for its disk, and is not refused for what
    nobody orders."""
    master, backup = slow(pair, "backup")
    first = master.popen(["understudy", "settings", "set", "sync-interval-s", "33"], stdout=-1, stderr=-1, text=True)
    wait_until(lambda: "sync-interval-s=33" in master.read(PAIR_CONF), 30, "committed by the Master")
    wait_until(lambda: os.path.exists(backup.file(f"{PAIR_CONF}.new")), 10, "on its way to the Backup's disk")
    master.kill("understudy-syncd")
    said = first.communicate(timeout=30)
    assert first.returncode == 0 and "has not confirmed" in said[0], said
    if where == "master":
        second = change(master, with_key(master.read(PAIR_CONF), "sync-interval-s", "34"))
    else:
        assert "sync-interval-s=33" not in backup.read(PAIR_CONF), "too late: it has the one before"
        second = change(backup, backup.read(DEVICE_CONF), file="device.conf")
    assert result(second)["scope"] == ("both" if where == "master" else "device")
    assert f"sync-interval-s={34 if where == 'master' else 33}" in backup.read(PAIR_CONF)
    wait_until(lambda: alike(pair), 10, "one version on both")
    assert pair.master() is master and nobody_waited(pair) == []
