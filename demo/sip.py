# SPDX-License-Identifier: LGPL-2.1-or-later
"""Just enough SIP over UDP for probes: messages out, replies matched by Call-ID, and one call that can be held for a while."""

import itertools
import os
import re
import select
import time

_serial = itertools.count(1)
T1_S = 0.5


class SipError(Exception):
    """A request that was refused or never answered."""


def header(message, name):
    """The first value of a header, or ""."""
    found = re.search(rf"^{name}\s*:\s*(.*?)\r?$", message, re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else ""


def headers(message, name):
    return re.findall(rf"^{name}\s*:\s*(.*?)\r?$", message, re.IGNORECASE | re.MULTILINE)


def status(message):
    """200 of "SIP/2.0 200 OK"; 0 for a request."""
    return int(message[8:11]) if message.startswith("SIP/2.0 ") else 0


def host_text(address):
    """As URIs and Via have it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def request(method, uri, here, call_id, cseq, from_tag, to, extra="", branch=None):
    """here: (address, port) of the sender."""
    branch = branch or f"z9hG4bK{call_id}{cseq}{method}"
    host = host_text(here[0])
    return (f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{here[1]};branch={branch};rport\r\n"
            f"Max-Forwards: 70\r\n"
            f"From: <sip:probe@{host}>;tag={from_tag}\r\n"
            f"To: {to}\r\n"
            f"Call-ID: {call_id}\r\n"
            f"CSeq: {cseq} {method}\r\n"
            f"Contact: <sip:probe@{host}:{here[1]}>\r\n"
            f"{extra}"
            f"Content-Length: 0\r\n\r\n")


def request_within(reply, method, here, cseq, from_tag):
    """A request in the dialog that reply, a 200 to an INVITE of ours, has set up."""
    target = header(reply, "Contact").strip("<>").split(">")[0]
    routes = "".join(f"Route: {route}\r\n" for route in reversed(headers(reply, "Record-Route")))
    call_id = header(reply, "Call-ID")
    return request(method, target, here, call_id, cseq, from_tag, header(reply, "To"), routes, branch=f"z9hG4bK{call_id}{method}")


class Call:
    """One call to a number through the PBX: INVITE, 200, ACK; later BYE, 200. Requests are repeated as RFC 3261 17.1 says."""

    def __init__(self, sock, here, server):
        self.sock = sock
        self.here = here
        self.server = server
        self.call_id = f"{os.getpid()}-{next(_serial)}-{time.monotonic_ns()}"
        self.tag = f"t{next(_serial)}"
        self.answer = ""

    def _send(self, text):
        self.sock.sendto(text.encode(), self.server)

    def _transact(self, text, method, timeout_s):
        """Sends until a final reply comes; returns it."""
        deadline = time.monotonic() + timeout_s
        interval, again = T1_S, 0.0
        while time.monotonic() < deadline:
            now = time.monotonic()
            if now >= again:
                self._send(text)
                again, interval = now + interval, min(interval * 2, 4.0)
            if not select.select([self.sock], [], [], max(0.0, min(again, deadline) - now))[0]:
                continue
            reply = self.sock.recv(65535).decode(errors="replace")
            if header(reply, "Call-ID") != self.call_id or not header(reply, "CSeq").endswith(f" {method}"):
                continue
            if status(reply) >= 200:
                return reply
            again = deadline
        raise SipError(f"{method}: no final reply within {timeout_s} s")

    def start(self, number, timeout_s=8.0):
        """Rings number and waits until it is answered; returns how long that took in ms."""
        begin = time.monotonic()
        uri = f"sip:{number}@{host_text(self.server[0])}"
        reply = self._transact(request("INVITE", uri, self.here, self.call_id, 1, self.tag, f"<{uri}>"), "INVITE", timeout_s)
        if status(reply) != 200:
            raise SipError(f"INVITE {number}: {reply.splitlines()[0]}")
        self.answer = reply
        self._send(request_within(reply, "ACK", self.here, 1, self.tag))
        return (time.monotonic() - begin) * 1000

    def end(self, timeout_s=8.0):
        """Hangs up; returns how long the BYE took in ms."""
        begin = time.monotonic()
        reply = self._transact(request_within(self.answer, "BYE", self.here, 2, self.tag), "BYE", timeout_s)
        if status(reply) != 200:
            raise SipError(f"BYE: {reply.splitlines()[0]}")
        return (time.monotonic() - begin) * 1000
