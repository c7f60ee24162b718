# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/netns/shared_lab.py: what a case leaves behind when it failed is not lent to another."""

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netns"))
from shared_lab import Shared  # noqa: E402  (its folder must be on the path first)


def lent(shared, fails=False, mend=None):
    request = SimpleNamespace(node=SimpleNamespace(has_failed=False))
    lending = shared.lend(request, mend)
    what = next(lending)
    request.node.has_failed = fails
    with contextlib.suppress(StopIteration):
        next(lending)
    return what


def test_made_anew_after_a_failure():
    made, ended, mended = [], [], []

    @contextlib.contextmanager
    def make():
        made.append(len(made))
        yield made[-1]
        ended.append(made[-1])

    def broken(what):
        raise TimeoutError(what)

    with Shared(make) as shared:
        assert not made
        assert [lent(shared, mend=mended.append), lent(shared, mend=mended.append), lent(shared, True, mended.append)] == [0, 0, 0]
        assert mended == [0, 0] and ended == [0]
        assert lent(shared) == 1
        with pytest.raises(TimeoutError):
            lent(shared, mend=broken)
        assert ended == [0, 1] and lent(shared) == 2
    assert ended == [0, 1, 2]
