# SPDX-License-Identifier: LGPL-2.1-or-later
"""A takeover as those learn of it who are to know: by mail, SMS and SNMP, each from a real server."""

import time

import pytest
from pair_lab import Pair
from receivers import Receivers

PHONES = "192.0.2.100"
SLEEPER = "[application]\ncommand=/bin/sleep 1000000\nuser=nobody\n"


TOLD_S = 1  # after the takeover


@pytest.mark.timed(100)
def test_a_pulled_cable_is_told_by_mail_sms_and_snmp(build):
    """Within a second of the takeover, which begins with the first change of role: the mail is in the server's hands, the SMS in the SMSC's, the inform at its receiver."""
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
            watch, before = pair.watch(pair.second), len(pair.watch(pair.second).roles)
            begin = time.monotonic()
            pair.first.ports["eth0"].cut()
            watch.wait_role("master", 15)
            told = {kind: receivers.wait(kind, "has taken over", begin, 20) for kind in ("mail", "sms", "snmp")}
            assert [kind for kind, found in told.items() if not found] == [], told
            taken_over_s = watch.origin + watch.changes_since(before)[0]["t_ms"] / 1000 - begin
            late_s = {kind: round(at_s - taken_over_s, 3) for kind, (at_s, _) in told.items()}
            assert max(late_s.values()) <= TOLD_S, late_s
    finally:
        receivers.stop()
