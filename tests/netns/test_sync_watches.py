# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel that gives no more inotify watches, and clocks that jump."""

import time

import pytest
from database_lab import look
from sync_lab import DATABASE, FILES, pair  # noqa: F401
from test_sync_healing import sound
from test_sync_luck import SYNCD, change, is_state, lab, order  # noqa: F401


def test_too_few_watches(lab):  # noqa: F811
    """An event, and everything is looked at again and again."""
    alpha, beta = lab.alpha, lab.beta
    for i in range(20):
        alpha.write(f"{FILES}/folder{i}/file.cfg", "first\n")
    lab.in_step()
    order(alpha, SYNCD, "watches", 6)
    alpha.set_role("idle")
    alpha.set_role("lead")
    alpha.wait(lambda: alpha.notices("too few watches"), "told of")
    lab.in_step()
    for i in range(20):
        alpha.write(f"{FILES}/folder{i}/file.cfg", "second\n")
    beta.wait(lambda: all(beta.read(f"{FILES}/folder{i}/file.cfg") == "second\n" for i in range(20)), "found without being told", 40)
    order(alpha)
    alpha.write(f"{FILES}/folder19/more.cfg", "third\n")
    beta.wait(lambda: beta.read(f"{FILES}/folder19/more.cfg") == "third\n", "there are watches again, sooner or later", 40)
    assert 1 <= len(alpha.notices("too few watches")) <= 3, "each ref tells once"


def jump(lab, devices, jumps):  # noqa: F811
    """Nothing is lost, held up or removed for it."""
    for number, seconds in enumerate(jumps, 1):
        for device in devices:
            order(device, SYNCD, "clock", seconds)
        change(lab, number)
        lab.in_step()
        is_state(lab, number)
        for device in (lab.alpha, lab.beta):
            device.sync("Tidy", timeout_ms=60000)
            device.wait(lambda d=device: sound(d), f"whole after {seconds} s", 30)
        change(lab, 50 + number)  # what came before is used again
        change(lab, number)
        lab.in_step()
        is_state(lab, number)
    for device in (lab.alpha, lab.beta):
        order(device)
        assert device.get("Diverged") == [] and look(device.at(DATABASE)) == len(jumps)
        device.wait(lambda d=device: sound(d), "whole", 30)


TEN_YEARS, TO_1970 = 315_360_000, -int(time.time()) + 60


def test_clocks_that_jump(lab):  # noqa: F811
    jump(lab, [lab.alpha, lab.beta], (TEN_YEARS, TO_1970))


@pytest.mark.long
@pytest.mark.parametrize("side", ["alpha", "beta", "both"])
def test_clocks_that_jump_to_and_fro(lab, side):  # noqa: F811
    jump(lab, {"alpha": [lab.alpha], "beta": [lab.beta], "both": [lab.alpha, lab.beta]}[side], (TEN_YEARS, TO_1970, 86_400, 0))
