# SPDX-License-Identifier: LGPL-2.1-or-later
"""A supervisor's sign of life: a timer that vrrpd has open as well (Election1.Lease), set anew each second.

As a program, `lease.py SOCKET FD`: keeps the lease FD alive until it is killed; one that has run out it hands over again.
"""

import ctypes
import os
import sys
import time

SECONDS = 3
CLOCK_BOOTTIME, NONBLOCK, CLOEXEC = 7, 0o4000, 0o2000000

libc = ctypes.CDLL(None, use_errno=True)


class Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "s", "ns")]


def make():
    fd = libc.timerfd_create(CLOCK_BOOTTIME, NONBLOCK | CLOEXEC)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "timerfd_create")
    return fd


def arm(fd, seconds=SECONDS, interval_s=0):
    """Returns whether it was running until now."""
    former = Spec()
    if libc.timerfd_settime(fd, 0, ctypes.byref(Spec(interval_s, 0, seconds, 0)), ctypes.byref(former)) < 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")
    return (former.s, former.ns) != (0, 0)


def hand_over(connection, fd):
    from gi.repository import Gio, GLib

    fds = Gio.UnixFDList.new()
    fds.append(fd)
    connection.call_with_unix_fd_list_sync(None, "/org/understudy/Vrrp1", "org.understudy.Election1", "Lease", GLib.Variant("(h)", (0,)), None,
                                           Gio.DBusCallFlags.NONE, 5000, fds, None)


def line_to(socket):
    """A connection to vrrpd over which descriptors may go: the first message must have none (dbus/bus-server.h), and be answered before one that has."""
    from gi.repository import Gio

    line = Gio.DBusConnection.new_for_address_sync(f"unix:path={socket}", Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
    line.call_sync(None, "/", "org.freedesktop.DBus.Peer", "Ping", None, None, Gio.DBusCallFlags.NONE, 10000, None)
    return line


def main():
    socket, fd = sys.argv[1], int(sys.argv[2])
    parent = os.getppid()
    while os.getppid() == parent:
        if not arm(fd):
            hand_over(line_to(socket), fd)  # or ends, when nobody is there
        time.sleep(1)


if __name__ == "__main__":
    main()
