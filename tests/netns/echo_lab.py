# SPDX-License-Identifier: LGPL-2.1-or-later
"""The application of the scenarios that need no PBX: it echoes datagrams at the service address, and answers OPTIONS."""

# What the programs of the scenarios answer: to OPTIONS as SIP wants it, to anything else the same.
REPLY = """\
import re
def reply(data):
    if not data.startswith(b"OPTIONS "):
        return data
    lines = [line for line in data.split(b"\\r\\n") if re.match(rb"(Via|From|To|Call-ID|CSeq):", line)]
    return b"\\r\\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])
"""

# Files in /run and /var/lib/echo say how it behaves: that it must not be ready yet, not stop yet, or not run at all; $START_MS, how long it
# takes to become ready.
ECHO = "#!/usr/bin/python3\n" + REPLY + """\
import os, signal, socket, sys, time
if os.path.exists("/var/lib/echo/broken"):
    sys.exit("my files are broken")
if os.path.exists("/var/lib/echo/config") and open("/var/lib/echo/config").read() != "good":
    sys.exit(2)
def stop(*_):
    while os.path.exists("/run/slow-stop"):
        time.sleep(0.005)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
time.sleep(int(os.environ.get("START_MS", 0)) / 1000)  # what others do with reading what they need
while os.path.exists("/run/slow-start"):
    time.sleep(0.005)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
    here.bind(("192.0.2.10", 5060))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    while True:
        data, sender = here.recvfrom(4000)
        here.sendto(reply(data), sender)
"""
APPLICATION = """\
[application]
command=/usr/local/bin/echo
ready=notify
restart-delay-ms=10

[data echo]
path=/var/lib/echo
ref=config
exclude=broken
"""
