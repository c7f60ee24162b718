# SPDX-License-Identifier: LGPL-2.1-or-later
"""The MIB file has nothing that smilint finds fault with, at its strictest."""

import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def lint(folder, file):
    (folder / "smi.conf").write_text(f"path {TOP / 'tests/bus/mibs'}:/usr/share/snmp/mibs\n", encoding="utf-8")
    done = subprocess.run(["smilint", "-c", folder / "smi.conf", "-l", "6", "-s", "-m", file], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout + done.stderr  # its exit status is always 0


def test_the_mib_is_clean(build, tmp_path):
    assert lint(tmp_path, Path(build) / "data/mibs/UNDERSTUDY-MIB.txt") == ""


def test_what_is_wrong_is_found(build, tmp_path):
    text = (Path(build) / "data/mibs/UNDERSTUDY-MIB.txt").read_text(encoding="utf-8")
    broken = tmp_path / "UNDERSTUDY-MIB.txt"
    broken.write_text(text.replace("MAX-ACCESS  not-accessible", "MAX-ACCESS  read-only", 3), encoding="utf-8")
    assert "UNDERSTUDY-MIB" in lint(tmp_path, broken)
