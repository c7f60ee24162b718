# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pairing kept up: keys that change, devices that move, and an end that the other one hears of."""

import random
import socket
import ssl
import threading
import time

import pytest
from sync_lab import FILES, PEER, PORT, CallError, SyncLab, host, keys
from test_sync_pairing import fingerprint, make_key, tls_client

FOLDER = "/var/lib/understudy/sync"


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.start()
        lab.pair()
        yield lab


def at_rest(one, other):
    """They are connected, each with one key, and each knows that of the other."""
    return (one.get("Connected") and other.get("Connected") and not one.get("NextFingerprint") and not other.get("NextFingerprint")
            and one.get("PairRecord")["peer_fingerprint"] == other.get("Fingerprint")
            and other.get("PairRecord")["peer_fingerprint"] == one.get("Fingerprint"))


def wait_at_rest(lab):
    lab.alpha.wait(lambda: at_rest(lab.alpha, lab.beta), "both at rest", 20)


def copy_key(device, folder, name="old"):
    """The device's key as it is now, in the hands of somebody else."""
    files = []
    for part in ("key", "cert"):
        files.append(folder / f"{name}-{part}.pem")
        files[-1].write_bytes(device.at(f"{FOLDER}/{part}.pem").read_bytes())
    return files


def knock(device, host_, key, certificate):
    """What somebody with that key gets to hear on the peer port: the status of an answer, "alert", or "nobody" where nobody listens."""
    try:
        with tls_client(device, host_, PORT, key, certificate) as tls:
            tls.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            return tls.recv(4096).decode().split()[1]
    except ConnectionRefusedError:
        return "nobody"
    except ssl.SSLError as error:
        assert "alert" in str(error), error
        return "alert"


def never_gone(device, since):
    return not [values for _, _, member, values in device.client.heard()[since:]
                if member == "PropertiesChanged" and values[0] == PEER and values[1].get("Connected") is False]


# ---- the end ----


def test_unpair_is_heard_by_the_other(lab, tmp_path):
    key = copy_key(lab.beta, tmp_path)
    inside = tls_client(lab.beta, lab.alpha.lan, PORT, *key)
    inside.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"404" in inside.recv(4096)
    lab.alpha.peer1("Unpair")
    assert not lab.alpha.get("Paired") and not lab.alpha.get("Connected")
    assert not inside.recv(4096), "what was open is shut"
    assert knock(lab.beta, lab.alpha.lan, *key) == "nobody"
    lab.beta.wait(lambda: lab.beta.get("PairRecord").get("revoked"), "told")
    assert lab.beta.wait(lambda: lab.beta.notices("unpaired by the peer"), "an event")
    lab.alpha.wait(lambda: lab.alpha.get("Untold") == "", "it knows that it was heard")
    assert not lab.alpha.at(f"{FOLDER}/unpaired.json").exists()
    lab.beta.wait(lambda: not lab.beta.get("Connected"), "the link is closed")
    with pytest.raises(CallError) as revoked:
        lab.beta.sync("SyncNow")
    assert "revoked: the peer has ended the pairing" in str(revoked.value)
    # It stays so, and the two may pair again without more ado.
    lab.beta.kill()
    lab.beta.start()
    assert lab.beta.get("PairRecord")["revoked"]
    lab.beta.join(lab.alpha.lan, lab.alpha.open_pairing())
    lab.alpha.wait(lambda: lab.alpha.get("Connected") and lab.beta.get("Connected"), "connected again")
    assert not lab.beta.get("PairRecord")["revoked"]


def test_unpair_while_the_other_is_away(lab):
    lab.beta.kill()
    lab.alpha.peer1("Unpair")
    assert lab.alpha.get("Untold") == "beta"
    lab.alpha.kill()
    lab.alpha.start()
    assert not lab.alpha.get("Paired") and lab.alpha.get("Untold") == "beta"
    lab.beta.start()
    lab.beta.wait(lambda: lab.beta.get("PairRecord").get("revoked"), "told", 20)
    lab.alpha.wait(lambda: lab.alpha.get("Untold") == "", "it knows that it was heard")
    # Whose peer has ended it forgets it alone.
    lab.beta.peer1("Unpair")
    assert not lab.beta.get("Paired") and lab.beta.get("Untold") == ""


def test_paired_again_before_it_was_told(lab):
    lab.beta.kill()
    lab.alpha.peer1("Unpair")
    lab.beta.at(f"{FOLDER}/peer.json").unlink()
    lab.beta.start()
    lab.beta.join(lab.alpha.lan, lab.alpha.open_pairing())
    lab.alpha.wait(lambda: lab.alpha.get("Connected") and lab.beta.get("Connected"), "connected again")
    assert lab.alpha.get("Untold") == "" and not lab.beta.get("PairRecord")["revoked"]


# ---- keys ----


@pytest.mark.timed(100)
def test_a_new_key_for_each_in_turn(lab, tmp_path):
    for device, other in ((lab.alpha, lab.beta), (lab.beta, lab.alpha)):
        before = device.get("Fingerprint")
        old = copy_key(device, tmp_path, device.name)
        since = len(lab.alpha.client.heard()), len(lab.beta.client.heard())
        assert knock(device, other.lan, *old) == "404"
        device.peer1("RotateKey")
        wait_at_rest(lab)
        assert device.get("Fingerprint") != before
        assert device.get("Fingerprint") == fingerprint(device.at(f"{FOLDER}/cert.pem"))
        assert not device.at(f"{FOLDER}/key-next.pem").exists()
        assert knock(device, other.lan, *old) == "alert", "the old key is a stranger's"
        assert never_gone(lab.alpha, since[0]) and never_gone(lab.beta, since[1]), "nobody was missed"
        assert other.get("PairRecord")["pairing"] != other.get("PairRecord")["peer_fingerprint"], "it is the same pairing"
        lab.alpha.write(f"{FILES}/{device.name}", "after")
        lab.in_step()
        assert lab.beta.read(f"{FILES}/{device.name}") == "after"


def test_both_rotate_at_once(lab):
    before = lab.alpha.get("Fingerprint"), lab.beta.get("Fingerprint")
    lab.alpha.peer1("RotateKey")
    lab.beta.peer1("RotateKey")
    wait_at_rest(lab)
    assert lab.alpha.get("Fingerprint") != before[0] and lab.beta.get("Fingerprint") != before[1]


def test_a_new_key_while_the_peer_is_away(lab):
    before = lab.alpha.get("Fingerprint")
    lab.beta.kill()
    lab.alpha.peer1("RotateKey")
    announced = lab.alpha.get("NextFingerprint")
    assert announced and lab.alpha.get("Fingerprint") == before, "the one in use stays until the peer has the other"
    lab.alpha.peer1("RotateKey")
    assert lab.alpha.get("NextFingerprint") == announced, "one at a time"
    lab.alpha.kill()
    lab.alpha.start()
    assert lab.alpha.get("NextFingerprint") == announced
    lab.beta.start()
    wait_at_rest(lab)
    assert lab.alpha.get("Fingerprint") == announced


def test_a_new_key_without_a_peer(lab):
    lab.alpha.peer1("Unpair")
    before = lab.alpha.get("Fingerprint")
    lab.alpha.peer1("RotateKey")
    assert lab.alpha.get("Fingerprint") != before and lab.alpha.get("NextFingerprint") == ""


def test_no_rotation_while_a_pairing_is_open(lab):
    lab.alpha.open_pairing()
    with pytest.raises(CallError) as busy:
        lab.alpha.peer1("RotateKey")
    assert busy.value.name == "org.understudy.Error.Busy"


def test_a_certificate_left_behind_by_a_kill(lab):
    """Between the rename of the key and the making of its certificate."""
    lab.beta.kill()
    lab.alpha.peer1("RotateKey")
    announced = lab.alpha.get("NextFingerprint")
    lab.alpha.kill()
    # As beta would have it after the word, alpha after the rename.
    record = lab.beta.at(f"{FOLDER}/peer.json")
    record.write_text(record.read_text().replace('"joined"', f'"peer_fingerprint_next" : "{announced}", "joined"', 1))
    lab.alpha.at(f"{FOLDER}/key-next.pem").rename(lab.alpha.at(f"{FOLDER}/key.pem"))
    lab.alpha.start()
    assert lab.alpha.get("Fingerprint") == announced
    lab.beta.start()
    wait_at_rest(lab)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_of_a_rotation(lab, seed):
    chance = random.Random(seed)
    for _ in range(6):
        chance.choice((lab.alpha, lab.beta)).peer1("RotateKey")
        victim = chance.choice((lab.alpha, lab.beta))
        time.sleep(chance.uniform(0, 0.12))  # the moment is what is tried
        victim.kill()
        victim.start()
        lab.alpha.wait(lambda: lab.alpha.get("Connected") and lab.beta.get("Connected"), "connected", 20)
    wait_at_rest(lab)


# ---- addresses ----


def readdress(device, lan, peer, tell=True):
    """The device gets other addresses, and then, unless it is down, hears of it."""
    for name, old, new in (("eth0", device.lan, lan), ("eth1", device.peer, peer)):
        if host(new) != old:
            device.namespace.ip("addr", "flush", "dev", name)
            device.namespace.ip("addr", "add", new, "dev", name)
    text = device.read("/etc/understudy/device.conf")
    head = text.split("[interface lan]")[0]
    device.write("/etc/understudy/device.conf", head + f"[interface lan]\ndevice=eth0\n{keys(lan)}\n\n[interface peer]\ndevice=eth1\n{keys(peer)}\n")
    device.lan, device.peer = host(lan), host(peer)
    if tell:
        device.sync("Reload")


def knows(device, other):
    told = device.get("PairRecord")["peer_addresses"]
    return [host(one) for name in ("lan", "peer") for one in told[name]] == [other.lan, other.peer]


@pytest.mark.timed(100)
def test_a_device_moves_while_the_link_is_up(lab):
    for device, other, lan, peer in ((lab.beta, lab.alpha, "192.0.2.112/24", "198.51.100.2/30"), (lab.alpha, lab.beta, "192.0.2.111/24", "198.51.100.1/30"),
                                     (lab.beta, lab.alpha, "192.0.2.112/24", "203.0.113.2/30")):
        if peer.startswith("203."):
            other.namespace.ip("addr", "add", "203.0.113.1/30", "dev", "eth1")
        since = len(other.client.heard())
        readdress(device, lan, peer)
        other.wait(lambda: knows(other, device), "it knows the new addresses")
        other.wait(lambda: '"before" : []' in other.read(f"{FOLDER}/peer.json"), "and has forgotten the old ones")
        assert never_gone(other, since)
        # It would find it by itself.
        device.kill()
        other.kill()
        for one in (device, other):
            one.start()
        other.wait(lambda: other.get("Connected") and device.get("Connected"), "connected")
        lab.alpha.set_role("lead")
        lab.beta.set_role("follow")
        lab.alpha.write(f"{FILES}/moved", peer)
        lab.in_step()


def test_both_have_moved_while_apart(lab):
    lab.beta.kill()
    lab.alpha.kill()
    readdress(lab.alpha, "192.0.2.111/24", "198.51.100.1/30", tell=False)
    readdress(lab.beta, "192.0.2.112/24", "198.51.100.2/30", tell=False)
    for port in (lab.alpha.ports[1], lab.beta.ports[1]):
        port.block()
    for device in (lab.alpha, lab.beta):
        device.start()
    with pytest.raises(CallError) as nobody:
        lab.alpha.peer1("SetPeerAddress", "(s)", ("192.0.2.77",), timeout_ms=20000)
    assert nobody.value.name == "org.understudy.Error.NotReachable"
    with pytest.raises(CallError) as nonsense:
        lab.alpha.peer1("SetPeerAddress", "(s)", ("over there",))
    assert nonsense.value.name == "org.freedesktop.DBus.Error.InvalidArgs"
    assert not lab.alpha.get("Connected")
    lab.alpha.peer1("SetPeerAddress", "(s)", (lab.beta.lan,), timeout_ms=20000)
    assert lab.alpha.get("Connected")
    for device, other in ((lab.alpha, lab.beta), (lab.beta, lab.alpha)):
        device.wait(lambda d=device, o=other: d.get("Connected") and knows(d, o), "it knows where the other is")
    lab.alpha.wait(lambda: '"place"' not in lab.alpha.read(f"{FOLDER}/peer.json"), "it says so itself now")


def test_another_device_where_the_peer_is_said_to_be(lab, tmp_path):
    key, certificate = make_key(tmp_path, "impostor")
    lab.beta.kill()
    lab.alpha.wait(lambda: not lab.alpha.get("Connected"), "the peer is away")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with lab.beta.namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.beta.lan, PORT))
        listener.listen(16)
        def serve():
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                try:
                    near.settimeout(5)
                    context.wrap_socket(near, server_side=True).close()
                except OSError:
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        before = lab.alpha.read(f"{FOLDER}/peer.json")
        with pytest.raises(CallError) as wrong:
            lab.alpha.peer1("SetPeerAddress", "(s)", (lab.beta.lan,), timeout_ms=20000)
        assert wrong.value.name == "org.understudy.Error.Refused" and "wrong-key: " in str(wrong.value)
        assert lab.alpha.read(f"{FOLDER}/peer.json") == before
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
