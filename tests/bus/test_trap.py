# SPDX-License-Identifier: LGPL-2.1-or-later
"""understudy-trap with net-snmp's snmptrapd at the other end, and with others that hang or mean somebody else."""

import os
import re
import signal
import socket
import subprocess
import threading

import pytest

import snmp_lab
from notify_place import Place

ENGINE = "0x80001f8804" + b"dev-a".hex()
V3_TRAP = {"version": "3", "user": "traps", "auth-password": "authentic8", "priv-password": "private88"}
V3_INFORM = {**V3_TRAP, "user": "informs", "kind": "inform"}
EVENT = {"id": "41", "application": "REDUNDANCY", "name": "down", "priority": "3", "description": "Backup device is DOWN", "reference": "status", "device": "dev-a",
         "recovery": "false"}


@pytest.fixture(scope="module")
def place(build):
    place = Place(build)
    yield place
    place.close()


@pytest.fixture(scope="module")
def receiver(build, tmp_path_factory):
    users = "".join(f"createUser {engine} {user} SHA-256 authentic8 AES private88\nauthUser log {user} priv\n"
                    for engine, user in ((f"-e {ENGINE}", "traps"), ("", "informs")))
    users += f"createUser -e {ENGINE} plain SHA authentic8\nauthUser log plain auth\n"
    with snmp_lab.Receiver(build, tmp_path_factory.mktemp("trapd"), users + "authCommunity log nobody-guesses\n") as receiver:
        yield receiver


def job_text(target, to, deadline_ms=8000, event=None, **job):
    groups = {"job": {"id": "m-1.snmp", "time-ms": 1700000000123, "deadline-ms": deadline_ms, **job}, "target": target, "to": {"list": "".join(f"{each};" for each in to)},
              "message": {"subject": "Backup device is DOWN", "body": "Backup device is DOWN"}, "event": EVENT if event is None else event}
    return "".join(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()) for name, keys in groups.items())


def deliver(place, target, *to, env=None, **more):
    done = place.run(place.build / "notifyd/trap/understudy-trap", user="understudy-notify", input=job_text(target, to, **more), env=env)
    assert done.returncode == 0, done.stderr
    answers = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    assert [each[1] for each in answers] == list(to), done.stdout
    return [(outcome, words) for outcome, _, words in answers]


@pytest.mark.parametrize("target, words", [
    ({"community": "nobody-guesses"}, "sent; nobody acknowledges a trap"),
    ({"community": "nobody-guesses", "version": "2c", "kind": "inform"}, "acknowledged"),
    (V3_TRAP, "sent; nobody acknowledges a trap"),
    (V3_INFORM, "acknowledged"),
    ({"version": "3", "user": "plain", "auth": "sha", "priv": "none", "auth-password": "authentic8"}, "sent; nobody acknowledges a trap"),
], ids=["v2c trap", "v2c inform", "v3 trap", "v3 inform", "v3 trap that is not encrypted"])
def test_arrives_with_all_that_is_known_by_name(place, receiver, target, words):
    message = f"m-{os.urandom(4).hex()}"
    assert deliver(place, target, receiver.address, id=message) == [("accepted", words)]
    line = receiver.wait_for(message)
    for part in ('SNMPv2-MIB::snmpTrapOID.0 = OID: UNDERSTUDY-MIB::understudyEventRaised',
                 'UNDERSTUDY-MIB::understudyEventTime.41 = STRING: 2023-11-14,22:13:20.1,+0:0', 'UNDERSTUDY-MIB::understudyEventPriority.41 = Gauge32: 3',
                 'UNDERSTUDY-MIB::understudyEventApplication.41 = STRING: REDUNDANCY', 'UNDERSTUDY-MIB::understudyEventName.41 = STRING: down',
                 'UNDERSTUDY-MIB::understudyEventDescription.41 = STRING: Backup device is DOWN', 'UNDERSTUDY-MIB::understudyEventReference.41 = STRING: status',
                 'UNDERSTUDY-MIB::understudyEventDevice.41 = STRING: dev-a', 'UNDERSTUDY-MIB::understudyEventRecovery.0 = INTEGER: false(2)',
                 f'UNDERSTUDY-MIB::understudyEventMessage.0 = STRING: {message}'):
        assert part in line, line


def test_what_is_no_event_has_the_message(place, receiver):
    message = f"m-{os.urandom(4).hex()}"
    deliver(place, {"community": "nobody-guesses"}, receiver.address, id=message, event={})
    line = receiver.wait_for(message)
    assert "understudyEventName.0 = STRING: Backup device is DOWN" in line and "understudyEventDescription.0 = STRING: Backup device is DOWN" in line


def test_text_is_made_harmless_and_cut(place, receiver):
    message = f"m-{os.urandom(4).hex()}"
    event = {**EVENT, "description": "é" * 5000, "name": "two\\nlines\\tand Grüße"}
    deliver(place, {"community": "nobody-guesses"}, receiver.address, id=message, event=event)
    line = receiver.wait_for(message)
    assert "understudyEventName.41 = STRING: two lines and Grüße" in line
    assert re.search(r"understudyEventDescription.41 = STRING: (é+)", line).group(1) == "é" * 512


def test_several_receivers_one_of_them_absent(place, receiver):
    message = f"m-{os.urandom(4).hex()}"
    nobody = f"127.0.0.1:{snmp_lab.free_port()}"
    target = {"community": "nobody-guesses", "kind": "inform"}
    absent, there = deliver(place, target, nobody, receiver.address, id=message)
    assert absent[0] == "retry" and there == ("accepted", "acknowledged")
    receiver.wait_for(message)


@pytest.mark.parametrize("changed, outcome, words", [
    ({"auth-password": "wrong-wrong"}, "refused", "Authentication failure"),
    ({"user": "stranger"}, "refused", "Unknown user name"),
    ({"auth-password": "short"}, "refused", "shorter than 8"),
    ({"auth": "md4"}, "refused", "auth=md4 is not known"),
    ({"version": "1"}, "refused", "version=1 is not known"),
], ids=["wrong key", "unknown user", "short password", "unknown digest", "unknown version"])
def test_what_can_never_work_is_refused(place, receiver, changed, outcome, words):
    (got,) = deliver(place, {**V3_INFORM, **changed}, receiver.address)
    assert got[0] == outcome and words in got[1], got
    assert not any(secret in got[1] for secret in ("authentic8", "private88", "wrong-wrong"))


@pytest.mark.parametrize("to, outcome", [("no-such-host.invalid", "retry"), ("[::1", "refused"), ("127.0.0.1:99999", "refused")])
def test_bad_addresses(place, to, outcome):
    assert deliver(place, {"community": "x"}, to)[0][0] == outcome


@pytest.mark.parametrize("target", [V3_INFORM, {"community": "nobody-guesses", "kind": "inform"}], ids=["3", "2c"])
def test_frozen_receiver_is_a_retry_before_the_deadline(place, receiver, target):
    """Version 3 asks for the receiver's engine id first, and net-snmp waits for that in the midst of its call."""
    os.kill(receiver.process.pid, signal.SIGSTOP)
    try:
        ((outcome, _),) = deliver(place, target, receiver.address, deadline_ms=1500, id="m-frozen")
    finally:
        os.kill(receiver.process.pid, signal.SIGCONT)
    assert outcome == "retry"


def test_answers_of_nonsense(place):
    """Whoever is at that port says things that are no SNMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.1", 0))
        liar.settimeout(20)

        def lie():
            try:
                while True:
                    data, source = liar.recvfrom(65536)
                    for answer in (b"", b"\x30\x82\xff\xff", os.urandom(200), data[: len(data) // 2], data):
                        liar.sendto(answer, source)
            except OSError:
                pass

        thread = threading.Thread(target=lie, daemon=True)
        thread.start()
        for target in (V3_INFORM, {"community": "x", "kind": "inform"}):
            ((outcome, _),) = deliver(place, target, f"127.0.0.1:{liar.getsockname()[1]}", deadline_ms=1500)
            assert outcome in ("retry", "refused")


def engine_file(place):
    text = (place.root / "var/lib/understudy/notify/snmp-engine").read_text(encoding="utf-8")
    return {key: value for key, value in (line.split("=") for line in text.splitlines() if "=" in line)}


def test_a_receiver_takes_what_comes_after_another_boot_and_from_many_at_once(place, receiver):
    """It drops in silence what is older, by boots and time, than what it has seen."""
    deliver(place, V3_TRAP, receiver.address, id="m-before")
    receiver.wait_for("m-before")
    before = engine_file(place)
    path = place.root / "var/lib/understudy/notify/snmp-engine"
    path.write_text(path.read_text().replace(before["boot-id"], "another"))  # as if the device had been off since
    deliver(place, V3_TRAP, receiver.address, id="m-after")
    receiver.wait_for("m-after")
    after = engine_file(place)
    assert int(after["boots"]) == int(before["boots"]) + 1 and after["boot-id"] == before["boot-id"]

    running = [subprocess.Popen(place.command([place.build / "notifyd/trap/understudy-trap"], "understudy-notify"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for _ in range(6)]
    for number, each in enumerate(running):
        each.stdin.write(job_text(V3_TRAP, [receiver.address], id=f"m-many-{number}"))
        each.stdin.close()
    for each in running:
        assert each.stdout.read().startswith("accepted\t")
        assert each.wait(20) == 0
        each.stdout.close()
    for number in range(6):
        receiver.wait_for(f"m-many-{number}")
    assert engine_file(place)["boots"] == after["boots"]


def test_without_the_device_id_no_version_3(place, receiver):
    path = place.root / "etc/understudy/device.conf"
    kept = path.read_text()
    path.unlink()
    try:
        ((outcome, words),) = deliver(place, V3_TRAP, receiver.address)
        assert outcome == "retry" and "device.conf" in words
        ((outcome, _),) = deliver(place, {"community": "nobody-guesses"}, receiver.address)
        assert outcome == "accepted"
    finally:
        path.write_text(kept)


def test_no_job_is_said_so(place):
    done = place.run(place.build / "notifyd/trap/understudy-trap", user="understudy-notify", input="[job]\n")
    assert done.returncode == 2 and done.stdout == "" and "no job" in done.stderr
