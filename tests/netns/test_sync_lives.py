# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever happens to a pair, nothing that was applied, and nothing that a device has stored that still has its disk, is lost (life_lab.py).

Each life is made from a number; which ones is chosen by a seed ($UNDERSTUDY_SEED, else the time of day), which pytest prints. One again:
`UNDERSTUDY_LIFE='1234' pytest tests/netns/test_sync_lives.py` (its decisions; what the machine does meanwhile is its own).
"""

import os
import random

import pytest
from life_lab import Life
from sync_lab import SyncLab

SAMPLED, ALL = 30, 1000
NUMBERS = random.Random(int(os.environ["UNDERSTUDY_SEED"])).sample(range(10 ** 6), ALL)  # conftest.py sees to it
ASKED = [int(word) for word in os.environ.get("UNDERSTUDY_LIFE", "").split()]


class Labs:
    """The two devices of this worker; a life that failed takes them along."""

    def __init__(self, build, folder):
        self.build, self.folder, self.lab = build, folder, None

    def get(self):
        if not self.lab:
            self.lab = SyncLab(self.build, self.folder)
        return self.lab

    def drop(self):
        if self.lab:
            self.lab.close()
        self.lab = None


@pytest.fixture(scope="module")
def labs(build, tmp_path_factory):
    labs = Labs(build, tmp_path_factory.mktemp("lives"))
    yield labs
    labs.drop()


def live(labs, number):
    life = None
    try:
        life = Life(labs.get(), number)
        life.live()
        life.check()
    except BaseException as error:
        labs.drop()
        if not isinstance(error, Exception):
            raise
        story = "\n".join(life.story) if life else "it did not begin"
        raise AssertionError(f"again: UNDERSTUDY_LIFE='{number}'\n{type(error).__name__}: {error}\n{story}") from error


@pytest.mark.parametrize("number", ASKED or NUMBERS[:SAMPLED])
def test_nothing_is_lost(labs, number):
    live(labs, number)


@pytest.mark.long
@pytest.mark.parametrize("number", NUMBERS[SAMPLED:])
def test_nothing_is_lost_in_a_thousand_lives(labs, number):
    live(labs, number)
