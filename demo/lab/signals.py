# SPDX-License-Identifier: LGPL-2.1-or-later
"""Listening to D-Bus without keeping the listener alive for ever."""

import weakref


def weakly(method):
    """method of an object as a callback that does not hold the object. A subscription holds its callback, a callback its object, and that the
    connection with its subscription: no collector sees that circle, and each would keep its sockets open until the end of the process."""
    held = weakref.WeakMethod(method)

    def call(*words):
        bound = held()
        if bound:
            bound(*words)

    return call
