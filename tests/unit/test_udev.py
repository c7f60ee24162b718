# SPDX-License-Identifier: LGPL-2.1-or-later
"""udev's own reading of our rule: which devices it is for, and what is run then. (tests/bus does to files what it says.)"""

import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).resolve().parents[2] / "data" / "udev"
UDEVADM = "/var/cache/understudy-packages/udev/bin/udevadm"  # unpacked, not installed: nobody's devices are touched
DEVICE = "P: /devices/platform/panel/{subsystem}/red:alarm\nE: SUBSYSTEM={subsystem}\nA: brightness=0\\n\nA: max_brightness=255\\n\nA: trigger=[none] heartbeat\\n\n"
FILES = "/sys/devices/platform/panel/leds/red:alarm/brightness /sys/devices/platform/panel/leds/red:alarm/trigger"
GIVEN = [f"/bin/chgrp understudy-notify {FILES}", f"/bin/chmod g+w {FILES}"]
# In a mount namespace of its own our rules are the only ones.
ALONE = 'mount -t tmpfs tmpfs /usr/lib/udev/rules.d && cp "$1"/*.rules /usr/lib/udev/rules.d/ && shift && exec "$@"'


@pytest.mark.parametrize("subsystem, action, run", [("leds", "add", GIVEN), ("leds", "change", GIVEN), ("leds", "remove", []), ("backlight", "add", [])])
def test_leds_are_given_to_notifyd_alone(tmp_path, subsystem, action, run):
    (tmp_path / "panel").write_text(DEVICE.format(subsystem=subsystem), encoding="utf-8")
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", ALONE, "sh", RULES, "umockdev-run", "--device", tmp_path / "panel", "--",
                           UDEVADM, "test", "-a", action, f"/sys/devices/platform/panel/{subsystem}/red:alarm"],
                          capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and f"SUBSYSTEM={subsystem}" in done.stdout, done.stderr
    assert [line[len("run: '"):-1] for line in done.stdout.splitlines() if line.startswith("run: ")] == run
