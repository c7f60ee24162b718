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


class Shared:
    """One pair for the cases of a file that need no new one, as long as none of them fails."""

    def __init__(self, make):
        self.make, self.kept = make, contextlib.ExitStack()
        self.pair = None

    def get(self):
        if not self.pair:
            self.pair = self.kept.enter_context(self.make())
        return self.pair

    def drop(self):
        self.pair = None
        self.kept.close()


@pytest.fixture(scope="module")
def shared(build):
    shared = Shared(lambda: pair_with_pbx(build))
    yield shared
    shared.drop()


@pytest.fixture
def pair(shared, request):
    """A settled pair that cases before this one have used: whole again, whatever was cut, blocked or switched off. Who leads is what they have left."""
    yield shared.get()
    if request.node.has_failed:
        shared.drop()
    else:
        mend(shared.pair)


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
