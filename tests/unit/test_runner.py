# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests/runner.py counts: a case that did not pass is never lost."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import runner  # noqa: E402

CASES = [
    # TAP, exit code, what meson said -> passed, failed, skipped
    ("1..2\nok 1 /a\nok 2 /b\n", 0, "OK", (2, 0, 0)),
    ("TAP version 13\n1..2\n# note\nok 1 /a\n    ok 1 inner\nok 2 /b # comment\n", 0, "OK", (2, 0, 0)),
    ("1..2\nok 1 /a\nnot ok 2 /b - expected 1\n", 1, "FAIL", (1, 1, 0)),
    ("1..2\nok 1 /a\nok 2 /b # SKIP no such device\n", 0, "OK", (1, 0, 1)),
    ("1..2\nok 1 /a # skip\nok 2 /b\n", 0, "OK", (1, 0, 1)),
    ("1..0 # SKIP not here\n", 0, "SKIP", (0, 0, 1)),
    ("1..1\nnot ok 1 /a # TODO later\n", 0, "OK", (0, 1, 0)),
    ("1..3\nok 1 /a\n", -11, "ERROR", (1, 1, 0)),  # crashed
    ("1..3\nok 1 /a\n", 0, "OK", (1, 1, 0)),  # ended early and called it good
    ("1..2\nok 1 /a\nok 2 /b\n", 1, "ERROR", (2, 1, 0)),  # all passed, then the leak checker spoke
    ("ok 1 /a\n", -9, "TIMEOUT", (1, 1, 0)),
    ("1..1\nok 1 /a\nBail out! lost the bus\n", 1, "ERROR", (1, 1, 0)),
    ("", 77, "SKIP", (0, 0, 1)),
    ("", 1, "FAIL", (0, 1, 0)),
    ("hello\n", 0, "OK", (1, 0, 0)),  # no TAP program
]


@pytest.mark.parametrize("text, returncode, result, want", CASES)
def test_count_tap(text, returncode, result, want):
    count = runner.Count("x")
    runner.count_tap(count, "program", text, returncode, result)
    assert (count.passed, count.failed, count.skipped) == want
    assert len(count.notes) == count.failed + count.skipped
