# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pairing and the link: who gets in, who does not, and what the two say to each other."""

import hashlib
import hmac
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from gi.repository import GLib
from sync_lab import PAIRING_PORT, PEER, PORT, CallError, SyncLab, lab  # noqa: F401  (fixtures)

JOIN, PAIR, OFFER, HELD, STORED, DONE, NO = range(5, 12)  # what is said in pairing, in this order


def stored(device):
    return device.at("/var/lib/understudy/sync/peer.json").exists()


def make_key(folder, name):
    """Somebody's own key, as the product makes them."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=understudy",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


def fingerprint(certificate):
    """As everybody else computes it."""
    public = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, check=True, capture_output=True).stdout
    return hashlib.sha256(der).hexdigest()


def tls_client(device, host, port, key=None, certificate=None):
    """A TLS connection from the device's place in the network."""
    raw = device.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(5)
    raw.connect((host, port))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if key:
        context.load_cert_chain(certificate, key)
    return context.wrap_socket(raw)


def test_pair_and_join(lab):  # noqa: F811
    alpha, beta = lab.alpha, lab.beta
    code = alpha.open_pairing()
    assert len(code.strip().replace("-", "")) == 32
    assert alpha.get("PairingUntilMs") > time.time() * 1000
    beta.join(alpha.lan, code)
    alpha.wait(lambda: alpha.get("Paired"), "paired")
    assert alpha.signals("Pairing") == [("paired", "paired")]
    assert alpha.get("PairingUntilMs") == 0
    ours, theirs = alpha.get("PairRecord"), beta.get("PairRecord")
    assert (ours["peer_id"], ours["offset"], ours["joined"]) == ("beta", 1, False)
    assert (theirs["peer_id"], theirs["offset"], theirs["joined"]) == ("alpha", 0, True)
    assert ours["peer_fingerprint"] == beta.get("Fingerprint") and theirs["peer_fingerprint"] == alpha.get("Fingerprint")
    assert ours["peer_addresses"] == {"lan": [f"{beta.lan}/24"], "peer": [f"{beta.peer}/30"]}
    assert theirs["pair_conf"] == alpha.read("/etc/understudy/pair.conf") and "pair_conf" not in ours
    assert beta.get("FirstSyncDone") is False and alpha.get("FirstSyncDone") is True
    assert os.stat(alpha.at("/var/lib/understudy/sync/key.pem")).st_mode & 0o777 == 0o600
    for device in (alpha, beta):
        device.wait(lambda d=device: d.get("Connected"), "connected")


def test_the_code_is_accepted_as_people_type_it(lab):  # noqa: F811
    code = lab.alpha.open_pairing()
    lab.beta.join(lab.alpha.lan, "  " + code.lower().replace("-", " "))
    assert lab.beta.get("Paired")


def test_pairing_survives_a_restart(lab):  # noqa: F811
    lab.pair()
    for device in (lab.alpha, lab.beta):
        device.kill()
        device.start()
        assert device.get("Paired")
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: d.get("Connected"), "connected")


def test_wrong_code(lab):  # noqa: F811
    lab.alpha.open_pairing()
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, "A" * 32)
    assert refused.value.name == "org.understudy.Error.Refused"
    assert not stored(lab.alpha) and not stored(lab.beta)
    assert not lab.alpha.get("Paired") and not lab.beta.get("Paired")
    assert lab.alpha.get("PairingUntilMs") > 0, "one slip does not end the pairing"


def test_not_a_code(lab):  # noqa: F811
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, "hello")
    assert refused.value.name == "org.freedesktop.DBus.Error.InvalidArgs"


def test_five_wrong_codes_end_it(lab):  # noqa: F811
    code = lab.alpha.open_pairing()
    for _ in range(5):
        with pytest.raises(CallError):
            lab.beta.join(lab.alpha.lan, "A" * 32)
    lab.alpha.wait(lambda: lab.alpha.signals("Pairing"), "the pairing ends")
    assert lab.alpha.signals("Pairing")[0][0] == "failed"
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, code)
    assert refused.value.name == "org.understudy.Error.NotReachable"
    assert not stored(lab.alpha) and not stored(lab.beta)


def test_expired_code(lab):  # noqa: F811
    code = lab.alpha.open_pairing(lifetime_s=1)
    lab.alpha.wait(lambda: lab.alpha.signals("Pairing"), "the pairing ends")
    assert lab.alpha.signals("Pairing")[0][0] == "expired"
    with pytest.raises(CallError):
        lab.beta.join(lab.alpha.lan, code)
    assert not stored(lab.alpha) and not stored(lab.beta)


class Joiner:
    """A joiner whose every word the test says when it likes. more: of the pairing that is opened for it, when its key has been made."""

    def __init__(self, lab, folder, code=None, **more):
        self.own_key = make_key(folder, "joiner")
        text = "join" + lab.alpha.get("Fingerprint") + fingerprint(self.own_key[1])
        code = code or lab.alpha.open_pairing(**more)
        self.tls = tls_client(lab.beta, lab.alpha.lan, PAIRING_PORT, *self.own_key)
        proof = hmac.new(code.strip().replace("-", "").encode(), text.encode(), "sha256").hexdigest()
        self.say(JOIN, proof=GLib.Variant("s", proof))
        assert self.hear() == PAIR

    def say(self, kind, **values):
        data = GLib.Variant("(ysstsa{sv})", (kind, "", "", 0, "", values)).get_data_as_bytes().get_data()
        self.tls.sendall(struct.pack(">I", len(data)) + data)

    def hear(self):
        """The kind of the next message."""
        data = self.read(struct.unpack(">I", self.read(4))[0])
        return data[0]

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.tls.recv(length - len(data))
            assert more, "the listener hung up"
            data += more
        return data

    def offer(self, device_id):
        self.say(OFFER, id=GLib.Variant("s", device_id), name=GLib.Variant("s", ""), model=GLib.Variant("s", ""), version=GLib.Variant("s", "1"),
                 addresses=GLib.Variant("a{sas}", {"lan": ["192.0.2.33/24"]}))

    def go_on(self):
        self.offer("gamma")
        assert self.hear() == HELD
        self.say(STORED)
        assert self.hear() == DONE


def test_a_wrong_code_does_not_end_a_pairing_under_way(lab, tmp_path):  # noqa: F811
    joiner = Joiner(lab, tmp_path)
    with pytest.raises(CallError):
        lab.beta.join(lab.alpha.lan, "A" * 32)
    joiner.go_on()
    lab.alpha.wait(lambda: lab.alpha.signals("Pairing"), "the pairing ends")
    assert lab.alpha.signals("Pairing") == [("paired", "paired")]
    assert lab.alpha.get("PairRecord")["peer_id"] == "gamma"


def test_two_of_the_same_id(lab, tmp_path):  # noqa: F811
    """device.conf was copied from one device to the other."""
    lab.beta.kill()
    lab.beta.write("/etc/understudy/device.conf", lab.beta.read("/etc/understudy/device.conf").replace("id=beta", "id=alpha"))
    lab.beta.start()
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, lab.alpha.open_pairing())
    assert refused.value.name == "org.understudy.Error.Refused" and 'the id "alpha"' in str(refused.value)
    lab.alpha.wait(lambda: lab.alpha.signals("Pairing"), "the pairing ends")
    assert lab.alpha.signals("Pairing")[0][0] == "failed"
    joiner = Joiner(lab, tmp_path)  # one that does not look
    joiner.offer("alpha")
    assert joiner.hear() == NO
    assert not stored(lab.alpha) and not stored(lab.beta)


def test_the_time_is_up_in_the_midst_of_a_pairing(lab, tmp_path):  # noqa: F811
    joiner = Joiner(lab, tmp_path, lifetime_s=2)
    over_ms = lab.alpha.get("PairingUntilMs") + 1000  # timers of seconds come a little late
    lab.alpha.wait(lambda: time.time() * 1000 > over_ms, "the time is up")
    joiner.go_on()
    lab.alpha.wait(lambda: lab.alpha.signals("Pairing"), "the pairing ends")
    assert lab.alpha.signals("Pairing") == [("paired", "paired")], "it came in time"
    assert lab.alpha.get("Paired")


def test_a_newer_code_withdraws_the_older(lab, tmp_path):  # noqa: F811
    older, newer = lab.alpha.open_pairing(), lab.alpha.open_pairing()
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, older)
    assert refused.value.name == "org.understudy.Error.Refused"
    joiner = Joiner(lab, tmp_path, newer)
    with pytest.raises(CallError) as busy:
        lab.alpha.open_pairing()
    assert busy.value.name == "org.understudy.Error.Busy"
    joiner.go_on()
    lab.alpha.wait(lambda: len(lab.alpha.signals("Pairing")) == 2, "both have ended")
    assert lab.alpha.signals("Pairing") == [("failed", "a newer code was asked for"), ("paired", "paired")]


def test_a_code_is_good_once(lab):  # noqa: F811
    code = lab.alpha.open_pairing()
    lab.beta.join(lab.alpha.lan, code)
    lab.beta.peer1("Unpair")
    lab.alpha.wait(lambda: lab.alpha.get("PairRecord")["revoked"], "told")
    before = lab.alpha.read("/var/lib/understudy/sync/peer.json")
    with pytest.raises(CallError):
        lab.beta.join(lab.alpha.lan, code)
    lab.alpha.open_pairing()
    with pytest.raises(CallError):
        lab.beta.join(lab.alpha.lan, code)
    assert not stored(lab.beta) and lab.alpha.read("/var/lib/understudy/sync/peer.json") == before


def test_relayed_with_another_key(lab, tmp_path):  # noqa: F811
    """Somebody in between ends both TLS sessions with a key of his own and passes every byte on."""
    key, certificate = make_key(tmp_path, "mallory")
    code = lab.alpha.open_pairing()
    listener = lab.beta.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((lab.beta.lan, 9999))
    listener.listen(1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def pump(source, sink):
        try:
            while data := source.recv(4096):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def relay():
        near, _ = listener.accept()
        near = context.wrap_socket(near, server_side=True)
        far = tls_client(lab.beta, lab.alpha.lan, PAIRING_PORT, key, certificate)
        near.settimeout(10)
        back = threading.Thread(target=pump, args=(far, near))
        back.start()
        pump(near, far)
        back.join()

    thread = threading.Thread(target=relay)
    thread.start()
    with pytest.raises(CallError) as refused:
        lab.beta.join(f"{lab.beta.lan}:9999", code)
    thread.join()
    listener.close()
    assert refused.value.name == "org.understudy.Error.Refused"
    assert not stored(lab.alpha) and not stored(lab.beta)


def test_reflected_proof(lab, tmp_path):  # noqa: F811
    """A listener that knows no code sends the joiner's own message back."""
    key, certificate = make_key(tmp_path, "mirror")
    listener = lab.alpha.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((lab.alpha.lan, 9999))
    listener.listen(1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def mirror():
        near, _ = listener.accept()
        near = context.wrap_socket(near, server_side=True)
        near.settimeout(5)
        try:
            data = bytearray()
            while len(data) < 5:
                data += near.recv(65536)
            data[4] = 6  # the kind: "pair" instead of "join"
            near.sendall(data)
            near.recv(1)
        except OSError:
            pass
        near.close()

    thread = threading.Thread(target=mirror)
    thread.start()
    with pytest.raises(CallError) as refused:
        lab.beta.join(f"{lab.alpha.lan}:9999", "A" * 32)
    thread.join()
    listener.close()
    assert refused.value.name == "org.understudy.Error.Refused"
    assert not stored(lab.beta)


def test_nobody_listens(lab):  # noqa: F811
    with pytest.raises(CallError) as refused:
        lab.beta.join(lab.alpha.lan, "A" * 32)
    assert refused.value.name == "org.understudy.Error.NotReachable"


def test_a_killed_listener_stores_nothing_half(lab):  # noqa: F811
    code = lab.alpha.open_pairing()
    lab.alpha.kill()
    lab.alpha.start()
    with pytest.raises(CallError):
        lab.beta.join(lab.alpha.lan, code)
    assert not stored(lab.alpha) and not stored(lab.beta)


@pytest.mark.parametrize("with_key", [True, False], ids=["another key", "no key"])
def test_stranger_gets_an_alert_and_an_event(lab, tmp_path, with_key):  # noqa: F811
    lab.pair()
    key, certificate = make_key(tmp_path, "stranger")
    for _ in range(3):
        with pytest.raises(ssl.SSLError) as refused:
            stranger = tls_client(lab.beta, lab.alpha.lan, PORT, *((key, certificate) if with_key else ()))
            # TLS 1.3: the refusal comes after the client thinks it is done.
            stranger.sendall(b"GET /repo.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not stranger.recv(4096)
        assert "alert" in str(refused.value), refused.value
    notices = lab.alpha.wait(lambda: lab.alpha.notices("peer key refused"), "an event")
    assert len(notices) == 1 and lab.beta.lan in notices[0], "once per address"
    assert lab.alpha.get("Connected")


def test_a_peer_with_a_new_key_is_a_stranger(lab):  # noqa: F811
    lab.pair()
    lab.beta.kill()
    for name in ("key.pem", "cert.pem"):
        lab.beta.at(f"/var/lib/understudy/sync/{name}").unlink()
    lab.beta.start()
    lab.alpha.wait(lambda: lab.alpha.notices("peer key refused"), "an event")
    lab.alpha.wait(lambda: not lab.alpha.get("Connected"), "not connected")
    assert not lab.beta.get("Connected")


def test_the_fingerprint_is_that_of_the_public_key(lab):  # noqa: F811
    assert lab.alpha.get("Fingerprint") == fingerprint(lab.alpha.at("/var/lib/understudy/sync/cert.pem"))


# ---- the link ----


@pytest.mark.timed(100)
def test_one_path_lost_is_no_loss(lab):  # noqa: F811
    lab.pair()
    changes = len(lab.alpha.client.heard())
    lab.alpha.ports[1].block()
    lab.alpha.peer1("Serve", "(as)", (["mode"],))
    deadline = time.monotonic() + 2.5  # longer than the time-out of 1.5 s
    while time.monotonic() < deadline:
        assert lab.alpha.get("Connected") and lab.beta.get("Connected")
        time.sleep(0.02)
    assert not [s for s in lab.alpha.client.heard()[changes:] if "Connected" in str(s[3])]
    lab.alpha.ports[1].unblock()


@pytest.mark.timed(100)
def test_both_paths_lost_and_found(lab):  # noqa: F811
    lab.pair()
    began = time.monotonic()
    for port in lab.alpha.ports:
        port.block()
    blocked = time.monotonic()
    lab.alpha.wait(lambda: not lab.alpha.get("Connected"), "gone")
    assert time.monotonic() - began > 1.0 and time.monotonic() - blocked < 2.5
    lab.beta.wait(lambda: not lab.beta.get("Connected"), "gone")
    for port in lab.alpha.ports:
        port.unblock()
    for device in (lab.alpha, lab.beta):
        device.wait(lambda d=device: d.get("Connected"), "back")


def test_a_frozen_peer_is_noticed(lab):  # noqa: F811
    lab.pair()
    lab.beta.process.send_signal(19)  # SIGSTOP: the kernel goes on acknowledging
    try:
        lab.alpha.wait(lambda: not lab.alpha.get("Connected"), "gone", 4)
    finally:
        lab.beta.process.send_signal(18)
    lab.alpha.wait(lambda: lab.alpha.get("Connected"), "back")


@pytest.mark.timed(100)
def test_a_restart_of_syncd_is_not_a_lost_peer(lab):  # noqa: F811
    lab.pair()
    lab.beta.kill()
    lab.beta.start()
    lab.beta.wait(lambda: lab.beta.get("Connected"), "back")
    changed = [values for _, _, member, values in lab.alpha.client.heard()
               if member == "PropertiesChanged" and values[0] == PEER and values[1].get("Connected") is False]
    assert not changed


def variant(**values):
    from gi.repository import GLib
    return {key: GLib.Variant("s", value) if isinstance(value, str) else value for key, value in values.items()}


def test_publish(lab):  # noqa: F811
    lab.pair()
    lab.alpha.peer1("Publish", "(sa{sv})", ("state", variant(role="master")))
    lab.beta.wait(lambda: lab.beta.get("Published").get("state") == {"role": "master"}, "published")
    lab.beta.wait(lambda: ("state", {"role": "master"}) in lab.beta.signals("PeerPublished"), "the signal")
    # A peer that comes later hears it too.
    lab.beta.kill()
    lab.beta.start()
    lab.beta.wait(lambda: lab.beta.get("Published").get("state") == {"role": "master"}, "published anew")


@pytest.mark.parametrize("topic", ["nonsense", "swap", "sync"])
def test_publish_refused(lab, topic):  # noqa: F811
    with pytest.raises(CallError) as refused:
        lab.alpha.peer1("Publish", "(sa{sv})", (topic, {}))
    assert refused.value.name == "org.freedesktop.DBus.Error.InvalidArgs"


def ask(device, topic, values, timeout_ms, result):
    def run():
        try:
            result.append(device.peer1("Request", "(sa{sv}u)", (topic, values, timeout_ms))[0])
        except CallError as error:
            result.append(error.name)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_request_and_answer(lab):  # noqa: F811
    lab.pair()
    lab.beta.peer1("Serve", "(as)", (["mode", "swap"],))
    result = []
    thread = ask(lab.alpha, "mode", variant(mode="passive"), 5000, result)
    lab.beta.wait(lambda: lab.beta.signals("Requested"), "asked")
    serial, topic, values = lab.beta.signals("Requested")[0]
    assert (topic, values) == ("mode", {"mode": "passive"})
    lab.beta.peer1("Answer", "(tsa{sv})", (serial, "", variant(mode="passive")))
    thread.join()
    assert result == [{"mode": "passive"}]
    with pytest.raises(CallError) as twice:
        lab.beta.peer1("Answer", "(tsa{sv})", (serial, "", {}))
    assert twice.value.name == "org.understudy.Error.NotFound"


def test_request_error_keeps_its_name(lab):  # noqa: F811
    lab.pair()
    lab.beta.peer1("Serve", "(as)", (["swap"],))
    result = []
    thread = ask(lab.alpha, "swap", variant(phase="prepare"), 5000, result)
    lab.beta.wait(lambda: lab.beta.signals("Requested"), "asked")
    lab.beta.peer1("Answer", "(tsa{sv})", (lab.beta.signals("Requested")[0][0], "org.understudy.Error.Refused", variant(text="first-sync: no")))
    thread.join()
    assert result == ["org.understudy.Error.Refused"]


def test_request_without_an_owner(lab):  # noqa: F811
    lab.pair()
    result = []
    ask(lab.alpha, "swap", {}, 5000, result).join()
    assert result == ["org.understudy.Error.NotReachable"]


@pytest.mark.timed(100)
def test_request_has_a_deadline(lab):  # noqa: F811
    lab.pair()
    lab.beta.peer1("Serve", "(as)", (["swap"],))
    result, began = [], time.monotonic()
    ask(lab.alpha, "swap", {}, 300, result).join()
    assert result == ["org.understudy.Error.TimedOut"] and 0.25 < time.monotonic() - began < 2


def test_request_fails_when_the_peer_goes(lab):  # noqa: F811
    lab.pair()
    lab.beta.peer1("Serve", "(as)", (["swap"],))
    result = []
    thread = ask(lab.alpha, "swap", {}, 20000, result)
    lab.beta.wait(lambda: lab.beta.signals("Requested"), "asked")
    lab.beta.kill()
    thread.join()
    assert result == ["org.understudy.Error.NotReachable"]


def test_request_when_nobody_is_paired(lab):  # noqa: F811
    result = []
    ask(lab.alpha, "swap", {}, 1000, result).join()
    assert result == ["org.understudy.Error.NotReachable"]


def test_bad_settings_start_nothing(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.alpha.write("/etc/understudy/device.conf", "[device]\nid=alpha\nnonsense=1\n")
        process = subprocess.run(["nsenter", f"--target={lab.alpha.holder.pid}", "--mount", "--root", "--wd", str(lab.build / "syncd" / "understudy-syncd")],
                                 capture_output=True, text=True, timeout=20)
        assert process.returncode == 2 and "device.conf:3" in process.stderr
        assert not lab.alpha.at("/var/lib/understudy/sync/key.pem").exists()


