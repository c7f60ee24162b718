# SPDX-License-Identifier: LGPL-2.1-or-later
"""A takeover as those learn of it who are to know: by mail, SMS and SNMP, each from a real server."""

import time

import pytest
from pair_lab import Pair
from receivers import Receivers

PHONES = "192.0.2.100"
SLEEPER = "[application]\ncommand=/bin/sleep 1000000\nuser=nobody\n"


@pytest.mark.long
def test_a_pulled_cable_is_told_by_mail_sms_and_snmp(build):
    receivers = Receivers(PHONES)
    try:
        with Pair(build, {"sleeper": SLEEPER}, sections=receivers.settings()) as pair:
            host = pair.lab.net.namespace("phones")
            pair.lan.connect(host, "eth0", f"{PHONES}/24")
            pair.start()
            receivers.start(host)
            for device in (pair.first, pair.second):
                receivers.introduce(device)
                receivers.tell_secrets(device)
            begin = time.monotonic()
            pair.first.ports["eth0"].cut()
            pair.watch(pair.second).wait_role("master", 15)
            told = {kind: receivers.wait(kind, "has taken over", begin, 20) for kind in ("mail", "sms", "snmp")}
            assert [kind for kind, found in told.items() if not found] == [], told
    finally:
        receivers.stop()
