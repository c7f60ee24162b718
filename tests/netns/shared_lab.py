# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is made once for the cases of a file, as a pair of devices, and made anew after one of them has failed: what a case has left behind when
it failed is nobody else's trouble, nor its own when it is measured again (`timed`)."""

import contextlib


class Shared:
    """make() gives a context manager, as `Pair`; what that gives is lent to one case after the other."""

    def __init__(self, make):
        self.make, self.kept = make, contextlib.ExitStack()
        self.what = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def drop(self):
        self.what = None
        self.kept.close()

    def lend(self, request, mend=None):
        """For a fixture to yield from. mend(what) makes it whole again for the next one."""
        if self.what is None:
            self.what = self.kept.enter_context(self.make())
        yield self.what
        if request.node.has_failed:
            self.drop()
        elif mend:
            try:
                mend(self.what)
            except BaseException:
                self.drop()
                raise
