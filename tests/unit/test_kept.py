# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the system suite keeps between runs, asked for by several processes at once."""

import os
import subprocess
import sys
from pathlib import Path

SYSTEM = Path(__file__).resolve().parents[1] / "system"

# Each uses what it got to its end, as a test run does, and begins anew.
USE = """
import random
import image
for _ in range(60):
    folder = image.kept("thing", f"{random.randrange(6):016x}", lambda new: (new / "file").touch())
    assert (folder / "file").exists(), folder
    for lock in image._held:
        lock.close()
    image._held.clear()
"""


def test_nobody_loses_what_he_uses_while_others_make_and_remove(tmp_path):
    environment = {**os.environ, "UNDERSTUDY_TEST_CACHE": str(tmp_path), "PYTHONPATH": str(SYSTEM)}
    users = [subprocess.Popen([sys.executable, "-c", USE], env=environment) for _ in range(4)]
    assert [user.wait(60) for user in users] == [0] * len(users)
    subprocess.run([sys.executable, "-c", USE], env=environment, check=True)  # alone: nobody else holds what is to go
    assert len(list(tmp_path.glob("thing-*.lock"))) == 2
