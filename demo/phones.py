# SPDX-License-Identifier: LGPL-2.1-or-later
"""The phone host: 50 sipp phones that register once and answer calls, a caller that calls one of them every second, and a listener on the
wire that counts every REGISTER, so that nobody can mistake a phone that registered again for one that was remembered."""

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from lab.net import wait_until
from pbx import PORT
from sip import Call, SipError, host_text

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST_NUMBER = 1001
ANSWER_PORT = 6000
ETH_P_ALL = 0x0003
ETH_P_IPV4, ETH_P_IPV6 = b"\x08\x00", b"\x86\xdd"


def numbers(count):
    return [str(FIRST_NUMBER + i) for i in range(count)]


def accounts(count, spare=0):
    """{user: password} of the phones, and of some spare lines beside them."""
    return {number: f"pw{number}" for number in numbers(count + spare)}


def udp_start(frame):
    """Where the UDP header of an Ethernet frame begins; 0 when it has none."""
    if frame[12:14] == ETH_P_IPV4 and frame[23] == socket.IPPROTO_UDP:
        return 14 + (frame[14] & 15) * 4
    return 54 if frame[12:14] == ETH_P_IPV6 and frame[20] == socket.IPPROTO_UDP else 0


class RegisterCounter:
    """Counts the REGISTER requests that leave the phone host, on a packet socket of its own."""

    def __init__(self, namespace, interface):
        self.count = 0
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(0.2)
        self._run = True
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while self._run:
            try:
                frame = self._socket.recv(2048)
            except TimeoutError:
                continue
            except OSError:
                return
            start = udp_start(frame) if len(frame) > 72 else 0
            if start:
                to_port = struct.unpack("!H", frame[start + 2:start + 4])[0]
                if to_port == PORT and frame[start + 8:start + 17] == b"REGISTER ":
                    self.count += 1

    def stop(self):
        self._run = False
        self._thread.join()
        self._socket.close()


class Phones:
    """Everything that runs on the phone host. server is the service address."""

    def __init__(self, namespace, interface, address, server, count):
        self.namespace = namespace
        self.address = address
        self.server = server
        self.count = count
        self.folder = tempfile.mkdtemp(prefix="understudy-phones-")
        self.registers = RegisterCounter(namespace, interface)
        self._processes = []
        self._caller = None
        self._next_port = 7000

    def _port(self):
        self._next_port += 10
        return self._next_port

    def _sipp(self, scenario, *words):
        return [shutil.which("sipp") or "/usr/bin/sipp", *(() if scenario == "answer" else (f"{host_text(self.server)}:{PORT}",)),
                "-sf", f"{HERE}/sipp/{scenario}.xml", "-i", self.address, "-nostdin", *map(str, words)]

    def table(self, name, rows):
        """A file for sipp's -inf."""
        path = f"{self.folder}/{name}.csv"
        with open(path, "w", encoding="ascii") as table:
            table.write("SEQUENTIAL\n" + "".join(f"{row}\n" for row in rows))
        return path

    def _spawn(self, argv):
        process = self.namespace.popen(argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._processes.append(process)
        return process

    def answer(self):
        """From now on every call to any of the phones is picked up."""
        self._spawn(self._sipp("answer", "-p", ANSWER_PORT))
        wanted = f":{ANSWER_PORT:04X} "
        wait_until(lambda: wanted in self.namespace.run(["cat", "/proc/net/udp", "/proc/net/udp6"]).stdout, 5, "the phones listen", 0.02)

    def register(self, users, rate=100, timeout_s=30):
        """Registers {user: password} with digest authentication; returns how many were accepted."""
        users = dict(users)
        table = self.table(f"users{self._port()}",
                            (f"{user};[authentication username={user} password={password}]" for user, password in users.items()))
        return self._batch("register", table, len(users), rate, timeout_s, "-key", "contact_port", ANSWER_PORT)

    def call_each(self, users, rate=50, timeout_s=30):
        """One call to each of users; returns how many were answered and hung up in good order."""
        users = list(users)
        table = self.table(f"calls{self._port()}", users)
        return self._batch("call", table, len(users), rate, timeout_s)

    def _batch(self, scenario, table, count, rate, timeout_s, *words):
        port = self._port()
        stats = f"{self.folder}/{scenario}{port}.stat"
        argv = self._sipp(scenario, "-p", port, "-inf", table, "-m", count, "-r", rate, "-recv_timeout", 8000, "-trace_stat", "-stf", stats,
                          "-fd", 1, *words)
        process = self._spawn(argv)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._processes.remove(process)
        return last_statistics(stats).get("SuccessfulCall(C)", 0)

    def start_calling(self, users):
        """A call every second to one of users after the other, until stop_calling()."""
        table = self.table("caller", users)
        self._stats = f"{self.folder}/caller.stat"
        self._caller = self._spawn(self._sipp("call", "-p", self._port(), "-inf", table, "-r", 1, "-rp", 1000, "-trace_stat", "-stf", self._stats,
                                              "-fd", 1))

    def calls(self):
        """(placed, answered, failed) by the caller until now."""
        row = last_statistics(self._stats) if self._caller else {}
        return row.get("OutgoingCall(C)", 0), row.get("SuccessfulCall(C)", 0), row.get("FailedCall(C)", 0)

    def stop_calling(self):
        if self._caller:
            self._caller.kill()
            self._caller.wait()
            self._processes.remove(self._caller)
            self._caller = None

    def held_call(self):
        """A call that is set up with start(number) and hung up with end()."""
        sock = self.namespace.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.address, 0))
        return Call(sock, sock.getsockname(), (self.server, PORT))

    def try_call(self, number, timeout_s=8.0):
        """Whether a call to number is answered and hung up."""
        call = self.held_call()
        try:
            call.start(number, timeout_s)
            call.end(timeout_s)
            return True
        except SipError:
            return False
        finally:
            call.sock.close()

    def stop(self):
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []
        self.registers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def last_statistics(path):
    """The last whole line of a sipp statistics file, by column."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read().split("\n")[:-1]
    except FileNotFoundError:
        return {}
    if len(lines) < 2:
        return {}
    return {name: int(value) if value.isdigit() else value for name, value in zip(lines[0].split(";"), lines[-1].split(";"))}
