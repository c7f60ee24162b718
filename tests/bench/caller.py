# SPDX-License-Identifier: LGPL-2.1-or-later
"""One connection to a bus, or to a private socket, with as little between as there can be.

    caller.py BUS [NAME]

is a service there that answers every call at once and has nothing else to do; it prints its unique name when it can be called.
"""

import os
import socket
import struct
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402


class Caller:
    """Another service. What is told to everybody meanwhile it passes over, so that its own work is not in the figure."""

    def __init__(self, path, destination=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(100).startswith(b"OK")
        self.socket.sendall(b"BEGIN\r\n")
        self.unread = b""
        self.serial = 0
        self.destination = destination
        self.name = None  # on a bus: what it calls us

    def message(self):
        while True:
            if len(self.unread) >= 16:
                body, _, fields = struct.unpack_from("<III", self.unread, 4)
                size = 16 + (fields + 7) // 8 * 8 + body
                if len(self.unread) >= size:
                    message, self.unread = self.unread[:size], self.unread[size:]
                    return message
            piece = self.socket.recv(65536)
            assert piece, "the connection was closed"
            self.unread += piece

    def send(self, message):
        self.serial += 1
        message.set_serial(self.serial)
        self.socket.sendall(bytes(message.to_blob(Gio.DBusCapabilityFlags.NONE)))

    def ask(self, path, interface, method, body=None):
        """How long it took until the answer was there."""
        call = Gio.DBusMessage.new_method_call(self.destination, path, interface, method)
        if body:
            call.set_body(body)
        begin = time.monotonic()
        self.send(call)
        while (answer := self.message())[1] != 2:  # an error, 3, never comes
            pass
        if method == "Hello":
            self.name = Gio.DBusMessage.new_from_blob(answer, Gio.DBusCapabilityFlags.NONE).get_arg0()
        return (time.monotonic() - begin) * 1000

    def hello(self):
        """As everybody who comes to a bus."""
        self.ask("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        return self.name

    def echo(self):
        while True:
            call = self.message()
            if call[1] == 1:
                self.send(Gio.DBusMessage.new_from_blob(call, Gio.DBusCapabilityFlags.NONE).new_method_reply())


def main(bus, *names):
    service = Caller(bus, "org.freedesktop.DBus")
    service.hello()
    for name in names:
        service.ask("/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (name, 0)))
    print(service.name, flush=True)
    service.echo()


if __name__ == "__main__":
    main(*sys.argv[1:])
