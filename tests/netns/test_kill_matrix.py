# SPDX-License-Identifier: LGPL-2.1-or-later
"""Crash-only: any process of either device is killed at any phase of whatever happens; soon after the pair is right and nothing is lost.

Which cases, and how many microseconds into their phase, is chosen by a seed ($UNDERSTUDY_SEED, else the time of day), which pytest prints.
One case again: `UNDERSTUDY_KILL='swap-at-take:backup:vrrpd:3021' pytest tests/netns/test_kill_matrix.py`; all of a run: the seed again.
`tests/run --long netns` runs the whole matrix three times.
"""

import os
import random

import pytest
from kill_lab import PHASES, Case, KillPair, Run, matrix, sample
from shared_lab import Shared

pytestmark = pytest.mark.timed(100, real_time=True)

SEED = int(os.environ["UNDERSTUDY_SEED"])  # conftest.py sees to it
SAMPLED = 60
ROUNDS = 3


def named(text):
    phase, side, process, delay_us = text.rsplit(":", 3)
    phase = phase.replace("-at-", "/")
    assert phase in PHASES
    return Case(phase, side, process, int(delay_us))


ASKED = [named(text) for text in os.environ.get("UNDERSTUDY_KILL", "").split()]


@pytest.fixture(scope="module")
def shared(build):
    with Shared(lambda: KillPair(build)) as shared:
        yield shared


@pytest.fixture
def pair(shared, request):
    yield from shared.lend(request)


def kill(pair, case, record_property):
    run = Run(pair, case)
    try:
        run.note()
        run.go()
        run.check()
        run.clean()
    except Exception as error:
        story = run.story() if hasattr(run, "consoles") else ""
        raise AssertionError(f"seed {SEED}; again: UNDERSTUDY_KILL='{case}'\n{type(error).__name__}: {error}\n{story}") from error
    record_property("right_ms", round(run.right_ms))


@pytest.mark.parametrize("case", ASKED or sample(SEED, SAMPLED), ids=str)
def test_kill(pair, case, record_property):
    kill(pair, case, record_property)


@pytest.mark.long
@pytest.mark.parametrize("case", [case for round in range(ROUNDS) for case in matrix(random.Random(SEED + 1 + round))], ids=str)
def test_kill_everything_everywhere(pair, case, record_property):
    kill(pair, case, record_property)
