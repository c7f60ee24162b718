# SPDX-License-Identifier: LGPL-2.1-or-later
"""The measuring instrument: SIP OPTIONS to the service address every few milliseconds, and the times of the answers.

Run as a process of its own in the phones' namespace (`probe.py LOCAL SERVER PORT INTERVAL_MS [NUMBER]`), so that nothing the demo does delays it;
it asks for real time and goes on without. With NUMBER each request is a new call to it, hung up as soon as it is answered. Every answer is one line on standard output: when its request went out and when it arrived, in
microseconds of CLOCK_MONOTONIC. The class Probe is the other end of that pipe.
"""

import os
import select
import socket
import subprocess
import sys
import threading
import time

from sip import host_text, request, request_within

INTERVAL_MS = 5


def main():
    local, server, port, interval_ms, called = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    except OSError:
        pass
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((local, 0))
    sock.setblocking(False)
    here = sock.getsockname()
    uri = f"sip:{called[0]}@{host_text(server)}" if called else f"sip:{host_text(server)}"
    method = "INVITE" if called else "OPTIONS"
    sent = {}
    due, serial = time.monotonic(), 0
    while True:
        now = time.monotonic()
        if now >= due:
            serial += 1
            sent[serial] = time.monotonic_ns() // 1000
            sent.pop(serial - 4000, None)
            try:
                sock.sendto(request(method, uri, here, f"probe{os.getpid()}-{serial}", serial, "p", f"<{uri}>").encode(), (server, port))
            except OSError:
                pass  # unreachable for now: counts as silence
            due = max(due + interval_ms / 1000, now)
        if not select.select([sock], [], [], max(0.0, due - time.monotonic()))[0]:
            continue
        try:
            reply = sock.recv(4096)
        except OSError:
            continue
        arrived = time.monotonic_ns() // 1000
        number, _, of = reply.partition(b"CSeq: ")[2].partition(b"\r")[0].partition(b" ")
        if not reply.startswith(b"SIP/2.0 200") or of != method.encode():
            continue
        if number.isdigit() and int(number) in sent:
            os.write(1, b"%d %d\n" % (sent.pop(int(number)), arrived))
        if called:
            for request_text in (request_within(reply.decode(), "ACK", here, int(number), "p"),
                                 request_within(reply.decode(), "BYE", here, int(number) + 1, "p")):
                sock.sendto(request_text.encode(), (server, port))


class Probe:
    """Starts the instrument and keeps what it saw. Times are seconds of time.monotonic()."""

    def __init__(self, namespace, local, server, port=5060, interval_ms=INTERVAL_MS, number=None):
        self._process = namespace.popen([sys.executable, os.path.abspath(__file__), local, server, str(port), str(interval_ms),
                                         *([number] if number else [])],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self._answers = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            sent, arrived = line.split()
            with self._changed:
                self._answers.append((int(sent) / 1e6, int(arrived) / 1e6))
                self._changed.notify_all()

    def _wait(self, found, timeout_s):
        with self._changed:
            if not self._changed.wait_for(found, timeout_s):
                raise TimeoutError(f"no answer through the service address within {timeout_s} s")

    def wait_answers(self, count=20, timeout_s=30):
        """Armed: waits for count answers from now on."""
        start = len(self._answers)
        self._wait(lambda: len(self._answers) >= start + count, timeout_s)

    def wait_answer_sent_after(self, moment, timeout_s=30):
        """Waits for the answer to a request that was sent after moment; returns when it arrived."""
        self._wait(lambda: self._answers and self._answers[-1][0] > moment, timeout_s)
        with self._changed:
            return next(arrived for sent, arrived in self._answers if sent > moment)

    def silence_ms(self, begin, end=None):
        """The longest time without an answer that overlaps [begin, end]: (length in ms, when it began)."""
        with self._changed:
            arrivals = [arrived for _, arrived in self._answers]
        end = end if end is not None else time.monotonic()
        before = [moment for moment in arrivals if moment <= begin][-1:] or [begin]
        inside = [moment for moment in arrivals if begin < moment <= end]
        after = [moment for moment in arrivals if moment > end][:1] or [end]
        points = before + inside + after
        gaps = [(later - earlier, earlier) for earlier, later in zip(points, points[1:])]
        length, start = max(gaps, default=(0.0, begin))
        return length * 1000, start

    def forget(self):
        """Drops old answers, so that a long run stays small."""
        with self._changed:
            del self._answers[:-2000]

    def stop(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=2)
        self._process.stdout.close()


if __name__ == "__main__":
    main()
