# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the scenarios on whole devices share: a pair that runs Kamailio, a phone host with the probe, and small questions."""

import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

import pbx  # noqa: E402  (the demo's folder must be on the path first)
from lab.net import stays, wait_until  # noqa: E402, F401  (for those who use this)
from lab.pair import SERVICE, Pair  # noqa: E402
from phones import accounts  # noqa: E402
from probe import Probe  # noqa: E402
from shared_lab import Shared  # noqa: E402

PHONE = "192.0.2.100"
LAST_WORDS = "/var/lib/scribe/last-words"
SCRIBE = f"""\
[application]
description=Writes a file when it is told to stop
command=/bin/sh -c 'trap "date +%s.%N > {LAST_WORDS}; exit 0" TERM; while :; do sleep 3600 & wait $!; done'

[data words]
path=/var/lib/scribe
ref=config
"""


@contextlib.contextmanager
def pair_with_pbx(build, prepare=None):
    """A settled pair; prepare: called with each device before it is switched on."""
    with Pair(build, {"kamailio": pbx.APPLICATION_TEXT, "scribe": SCRIBE}) as pair:
        pbx.install(pair.first, SERVICE, accounts(3), {})
        pbx.install(pair.second, SERVICE, None, None)
        for device in (pair.first, pair.second):
            os.makedirs(device.file("/var/lib/scribe"))
            if prepare:
                prepare(device)
        pair.start()
        pair.host = pair.lab.net.namespace("phones")
        pair.lan.connect(pair.host, "eth0", f"{PHONE}/24")
        pair.probe = Probe(pair.host, PHONE, SERVICE)
        try:
            pair.probe.wait_answers(20)
            yield pair
        finally:
            pair.probe.stop()


@pytest.fixture
def new_pair(build):
    with pair_with_pbx(build) as pair:
        yield pair


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: pair_with_pbx(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    """A settled pair that cases before this one have used: whole again, whatever was cut, blocked or switched off. Who leads is what they have left."""
    yield from shared.lend(request, mend)


def mend(pair):
    for device in (pair.first, pair.second):
        if not device.pid:
            pair.switch_on(device)
        for port in device.ports.values():
            port.plug()
            port.unblock()
    pair.wait_settled(60)
    answers_again(pair, time.monotonic(), 20)


def answers_again(pair, moment, timeout_s=10):
    """The PBX answers requests sent after moment."""
    return pair.probe.wait_answer_sent_after(moment, timeout_s)


def pbx_runs_on(device):
    return bool(device.pid_of("kamailio"))
