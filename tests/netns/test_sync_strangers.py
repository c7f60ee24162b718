# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whoever is not the peer: he is told so, costs nothing that stays, and keeps nobody else out."""

import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path

import pytest
from sync_lab import FILES, PAIRING_PORT, PORT, SyncLab
from test_sync_pairing import make_key

HELLO = bytes.fromhex("160301020001000001fc0303")  # the first bytes of a ClientHello, and never the rest
GROWTH_KB = 4096
AT_THE_DOOR = 8 + 12  # from one address, and what a device has open anyway, coming and going


@pytest.fixture
def lab(build, tmp_path):
    with SyncLab(build, tmp_path) as lab:
        lab.stranger = lab.net.namespace("gamma")
        lab.switch.connect(lab.stranger, "eth0", "192.0.2.66/24")
        lab.start()
        yield lab


def resident_kb(device):
    status = Path(f"/proc/{device.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def open_files(device):
    return len(os.listdir(f"/proc/{device.process.pid}/fd"))


def names_of_files(device):
    folder = f"/proc/{device.process.pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"{folder}/{name}")


def wait_closed(device, files):
    """Waits until no more than files are open."""
    try:
        device.wait(lambda: open_files(device) <= files, "nothing of them stays open", 30)
    except TimeoutError as error:
        raise AssertionError(f"{error}\n{files} at first, now {sorted(names_of_files(device))}") from None


def links(device):
    """How many connections of the peer port it has, either way. One that it has not accepted yet is established, and has no inode."""
    rows = [row.split() for row in Path(f"/proc/{device.process.pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and any(end.endswith(f":{PORT:04X}") for end in row[1:3]) and row[9] != "0" for row in rows)


def inner_sockets(device):
    """Connected ones without a name: a connection that has come in has a pair of them inside once its handshake is over."""
    table = Path(f"/proc/{device.process.pid}/net/unix").read_text().splitlines()[1:]
    nameless = {row.split()[6] for row in table if row.split()[5] == "03" and len(row.split()) == 7}
    return sum(link.startswith("socket:[") and link[8:-1] in nameless for link in names_of_files(device))


def pair(lab):
    lab.inner_sockets = inner_sockets(lab.alpha)
    lab.pair()


def files_at_rest(lab):
    """Of alpha: both have dialled both addresses of the other, and nothing else goes on."""
    lab.in_step()
    lab.alpha.wait(lambda: links(lab.alpha) == 4 and inner_sockets(lab.alpha) == lab.inner_sockets + 2 * 2, "all paths are open", 30)
    return open_files(lab.alpha)


def reach(lab, port):
    raw = lab.stranger.socket(socket.AF_INET, socket.SOCK_STREAM)
    raw.settimeout(10)
    raw.connect((lab.alpha.lan, port))
    return raw


def tls(lab, port, key=None, certificate=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if key:
        context.load_cert_chain(certificate, key)
    return context.wrap_socket(reach(lab, port))


def is_refused(lab, *key):
    """With an alert, and before anything was answered."""
    try:
        with tls(lab, PORT, *key) as stranger:
            stranger.sendall(b"GET /repo.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n")
            return stranger.recv(4096) and False
    except ssl.SSLError as error:
        return "alert" in str(error)


def knock(lab, number, key):
    """One of five kinds of strangers."""
    kind = number % 5
    if kind == 0:
        assert is_refused(lab)
    elif kind < 3:
        assert is_refused(lab, *key)
    else:
        with reach(lab, PORT) as raw:
            raw.sendall(HELLO if kind == 3 else b"GET / HTTP/1.1\r\n\r\n")


def strangers(lab, folder, attempts):
    pair(lab)
    key = make_key(folder, "stranger")
    for number in range(60):
        knock(lab, number, key)
    files, memory = files_at_rest(lab), resident_kb(lab.alpha)
    for number in range(attempts):
        knock(lab, number, key)
        if number == attempts // 2:
            lab.alpha.write(f"{FILES}/meanwhile", "applied")
            lab.in_step()
            assert lab.beta.read(f"{FILES}/meanwhile") == "applied"
    assert lab.alpha.get("Connected") and lab.beta.get("Connected")
    assert resident_kb(lab.alpha) - memory < GROWTH_KB
    wait_closed(lab.alpha, files)
    return lab.alpha.notices("peer key refused")


def test_strangers_are_refused_and_leave_nothing(lab, tmp_path):
    notices = strangers(lab, tmp_path, 300)
    assert 1 <= len(notices) <= 2 and "192.0.2.66" in notices[0], "one for the cause, at most one a minute"


@pytest.mark.long
def test_ten_thousand_strangers(lab, tmp_path):
    notices = strangers(lab, tmp_path, 10000)
    assert len(notices) <= 15, "at most one a minute"


class Loiterers:
    """Connections that are begun and never ended, made anew as soon as they are shut."""

    def __init__(self, lab, port, count, begin):
        self.ended, self.sockets = threading.Event(), []
        self.threads = [threading.Thread(target=self.loiter, args=(lab, port, count // 4, begin), daemon=True) for _ in range(4)]
        self.full = threading.Semaphore(0)
        for thread in self.threads:
            thread.start()
        for _ in self.threads:
            assert self.full.acquire(timeout=60)

    def loiter(self, lab, port, count, begin):
        mine, told = [], False
        while not self.ended.is_set():
            try:
                if len(mine) == count:
                    if not told:
                        self.full.release()
                    told = True
                    mine.pop(0).close()
                    self.ended.wait(0.05)
                mine.append(begin(lab, port))
            except OSError:
                pass
        for each in mine:
            each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)


def half_a_hello(lab, port):
    raw = reach(lab, port)
    raw.sendall(HELLO)
    return raw


def test_loiterers_at_the_peer_port(lab):
    pair(lab)
    files = files_at_rest(lab)
    with Loiterers(lab, PORT, 200, half_a_hello):
        lab.alpha.wait(lambda: open_files(lab.alpha) <= files + AT_THE_DOOR, "no more than that come in", 30)
        for number in range(3):
            lab.alpha.write(f"{FILES}/meanwhile", str(number))
            lab.in_step()
            assert lab.beta.read(f"{FILES}/meanwhile") == str(number)
        lab.beta.kill()
        lab.beta.start()
        lab.beta.wait(lambda: lab.beta.get("Connected"), "the peer comes in")
        lab.alpha.wait(lambda: open_files(lab.alpha) <= files + AT_THE_DOOR, "no more than that come in", 30)
    wait_closed(lab.alpha, files)


def test_a_loiterer_has_his_time(lab):
    pair(lab)
    with half_a_hello(lab, PORT) as raw:
        assert not raw.recv(1), "shut by the device"


def test_the_peer_leaves_nothing_open(lab):
    """Each fetch is a connection of its own, and ended by the one that fetches."""
    pair(lab)
    files = files_at_rest(lab)
    for number in range(12):
        lab.alpha.write(f"{FILES}/often", str(number))
        lab.in_step()
    wait_closed(lab.alpha, files)


def test_loiterers_at_the_pairing_port(lab, tmp_path):
    key = make_key(tmp_path, "stranger")
    files = open_files(lab.alpha)
    code = lab.alpha.open_pairing()
    with Loiterers(lab, PAIRING_PORT, 60, lambda lab, port: tls(lab, port, *key)):
        # Who is shown out is still there for a moment.
        lab.alpha.wait(lambda: open_files(lab.alpha) <= files + AT_THE_DOOR + 8 * 2 + 4, "each has a pair of sockets inside")
        lab.beta.join(lab.alpha.lan, code)
    assert lab.alpha.signals("Pairing") == [("paired", "paired")]
    lab.alpha.wait(lambda: lab.alpha.get("Connected"), "connected")
