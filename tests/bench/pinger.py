# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that asks one address at a steady beat and notes when each answer came; and the service that answers.

Run as a program inside the client's namespace: pinger.py FILE ADDRESS INTERVAL_US COUNT. FILE is a table shared with the benchmark:
two 64-bit numbers a probe, CLOCK_MONOTONIC nanoseconds of sending and of the answer, 0 for not (yet). On a device: pinger.py echo. That is a
process, and not the kernel's ping, because it must fall silent when its device is frozen.
"""

import mmap
import os
import select
import socket
import struct
import sys
import time

ENTRY = 16
PORT = 7
IP_PKTINFO = 8
RR_PRIORITY = 5  # below the daemons under test, above everything else


class Pinger:
    """The benchmark's end of the table."""

    def __init__(self, namespace, folder, address, interval_us=1000, seconds=300):
        self.count = seconds * 1000000 // interval_us
        self.interval_ns = interval_us * 1000
        self.path = folder / f"probe-{namespace.host_name}"
        with open(self.path, "wb") as file:
            file.truncate(self.count * ENTRY)
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.words = memoryview(self.map).cast("q")
        self.process = namespace.popen(["/usr/bin/python3", __file__, str(self.path), address, str(interval_us), str(self.count)])

    def _index(self, at_ns):
        """The first probe sent at or after the moment; sending times only grow."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            sent = self.words[2 * middle]
            if sent and sent < at_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def _window(self, begin_ns, end_ns):
        for i in range(self._index(begin_ns), self.count):
            sent = self.words[2 * i]
            if not sent or sent >= end_ns:
                return
            yield sent, self.words[2 * i + 1]

    def unanswered_ms(self, begin_ns, end_ns):
        """How many probes sent in the window found no answer, as the time they stand for."""
        return sum(1 for _, answered in self._window(begin_ns, end_ns) if not answered) * self.interval_ns / 1e6

    def silence_ms(self, begin_ns, end_ns):
        """The longest time between two answers in the window; the window's ends count as answers."""
        answers = sorted(answered for _, answered in self._window(begin_ns, end_ns) if answered)
        edges = [begin_ns, *answers, end_ns]
        return max(after - before for before, after in zip(edges, edges[1:])) / 1e6

    def answered_lately(self, span_ns=50_000_000):
        """Whether the last probes (but the newest few, which may be under way) were all answered."""
        end = time.monotonic_ns() - 10_000_000
        window = list(self._window(end - span_ns, end))
        return len(window) > 0 and all(answered for _, answered in window)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.words.release()
        self.map.close()
        self.path.unlink()


def serve(namespace):
    """The answering service in a device's namespace."""
    return namespace.popen(["/usr/bin/python3", __file__, "echo"])


def ask(path, address, interval_ns, count):
    with open(path, "r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setblocking(False)
    now = time.monotonic_ns
    due = now()
    for i in range(count):
        words[2 * i] = now()
        try:
            link.sendto(i.to_bytes(8, "big"), (address, PORT))
        except OSError:  # no neighbour, no carrier: an unanswered probe
            pass
        due = max(due + interval_ns, now() - 10 * interval_ns)
        while True:
            left_ns = due - now()
            if left_ns > 0 and not select.select([link], [], [], left_ns / 1e9)[0]:
                break
            try:
                number = int.from_bytes(link.recv(64), "big")
            except OSError:
                if left_ns <= 0:
                    break
                continue
            if number <= i and not words[2 * number + 1]:
                words[2 * number + 1] = now()


def echo():
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    link.bind(("", PORT))
    while True:
        data, control, _flags, address = link.recvmsg(64, 64)
        local = next(value for _, kind, value in control if kind == IP_PKTINFO)[4:8]
        try:  # from the address that was asked
            link.sendmsg([data], [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=I4s4x", 0, local))], 0, address)
        except OSError:  # which has gone
            pass


def main():
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RR_PRIORITY))
    if sys.argv[1] == "echo":
        echo()
    ask(sys.argv[1], sys.argv[2], int(sys.argv[3]) * 1000, int(sys.argv[4]))


if __name__ == "__main__":
    main()
