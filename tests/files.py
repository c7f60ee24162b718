# SPDX-License-Identifier: LGPL-2.1-or-later
"""A test that leaves files open harms another one, hours later and far away: select() takes no number above 1023. So each test file has to
leave the process as it found it."""

import gc
import os
import sys
import time

import pytest

KEPT = 16  # what libraries open at their first use and keep, and what the last test's values hold until the next one
WITHIN_S = 5


def let_go():
    """A signal of D-Bus that nobody has looked at holds its connection until the loop has turned."""
    glib = sys.modules.get("gi.repository.GLib")
    while glib and glib.MainContext.default().iteration(False):
        pass
    gc.collect()


def open_files():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the folder's own
            pass
    return found


class Files:
    def __init__(self):
        self.before = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self):
        if self.before is None:
            self.before = open_files()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item, nextitem):
        yield
        if nextitem and nextitem.path == item.path:
            return  # what the file shares may still be there
        deadline = time.monotonic() + WITHIN_S
        now = None
        while now is None or (len(now) > len(self.before) + KEPT and time.monotonic() < deadline):
            if now:
                time.sleep(0.05)  # GLib closes a connection in a thread of its own
            let_go()
            now = open_files()
        left = {name: what for name, what in now.items() if name not in self.before}
        if len(now) > len(self.before) + KEPT:
            self.before = now
            pytest.fail(f"{item.path.name} leaves {len(left)} files open: {left}", pytrace=False)
