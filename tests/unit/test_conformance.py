# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/vrrp-conformance.md names only what there is: files, functions, tests, departures; and no requirement without a test or a reason."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "vrrp-conformance.md"
README = TOP / "vrrpd" / "README.md"
SECTIONS = {  # of each RFC, those that a row may name
    "3768": r"(2\.[1-4]|5\.2\.[1-4]|5\.3\.([1-9]|10)|6\.[1-3]|6\.4\.[1-3]|7\.[1-3]|8\.[1-4]|9\.[1-3]|10)",
    "5798": r"(1|2\.[1-5]|5\.1\.[12]\.[1-4]|5\.2\.[1-9]|6\.[1-3]|6\.4\.[1-3]|7\.[1-4]|8\.1\.[1-3]|8\.2\.[1-3]|8\.3\.[12]|8\.4\.[123]|9|A)",
    "9568": r"(1|2\.[1-5]|5\.1\.[12]\.[1-4]|5\.2\.[1-9]|6\.[1-3]|6\.4\.[1-3]|7\.[1-4]|8\.1\.[1-3]|8\.2\.[1-4]|8\.3\.[12]|8\.4\.[12]|9)",
}
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "step", "text"}


def table_rows(text):
    """The cells of every row of every table, without heads and rulers."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and not re.match(r"^\|[-| ]+\|$", line):
            if number + 1 < len(lines) and re.match(r"^\|[-| ]+\|$", lines[number + 1]):
                continue
            yield number + 1, [cell.strip() for cell in line.strip("|").split("|")]


ROWS = list(table_rows(PAGE.read_text(encoding="utf-8")))


def departures_of_readme():
    text = README.read_text(encoding="utf-8")
    part = text[text.index("## Departures from the RFCs"):]
    part = part[:part.index("\n## ", 5)]
    return {re.fullmatch(r"`([a-z0-9-]+)`", cells[0]).group(1) for _, cells in table_rows(part)}


def applies(cells):
    return not cells[6].startswith("not applicable: ") or len(cells[6]) < 40


def departures_of(cells):
    """A rule that does not apply because of a departure is no departure of its own."""
    return [] if not applies(cells) else re.findall(r"departure `([a-z0-9-]+)`", cells[6])


@pytest.fixture(scope="module")
def c_tests(build):
    """The names of all C tests, from the programs themselves."""
    names = set()
    for folder in ("vrrpd", "settings"):
        for program in (build / "tests" / "unit" / folder).glob("test-*"):
            if program.is_file():
                listed = subprocess.run([program, "-l"], capture_output=True, text=True, timeout=30, check=True)
                names |= set(listed.stdout.split())
    assert len(names) > 100
    return names


def python_tests(prefix):
    path = TOP / "tests" / "netns" / f"test_vrrp_{prefix}.py"
    text = path.read_text(encoding="utf-8")
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}, text


def missing_test(name, c_tests):
    if name.startswith("/"):
        return name not in c_tests
    match = re.fullmatch(r"([a-z0-9_]+):([a-z0-9_]+)(?:\[([^\]]+)\])?", name)
    if not match:
        return True
    functions, text = python_tests(match[1])
    return f"test_{match[2]}" not in functions or bool(match[3] and not re.search(rf'["\']{re.escape(match[3])}["\']', text))


def names_in(cell):
    return re.findall(r"`([^`]+)`", cell)


def test_there_are_rows_of_each_rfc():
    assert len(ROWS) > 100
    for rfc in SECTIONS:
        assert sum(rfc in cells[0] for _, cells in ROWS) > 40, rfc


def test_rows_have_their_shape():
    bad = [number for number, cells in ROWS if len(cells) != 7 or cells[1] not in LEVELS or not cells[2]]
    assert bad == []


def test_sections_exist_in_the_rfcs():
    bad = []
    for number, cells in ROWS:
        for place in cells[0].split(", "):
            match = re.fullmatch(r"(3768|5798|9568) ([0-9A-Z.]+)", place)
            if not match or not re.fullmatch(SECTIONS[match[1]], match[2]):
                bad.append((number, place))
    assert bad == []


def test_code_exists():
    bad = []
    for number, cells in ROWS:
        for place in names_in(cells[3]):
            name, _, function = place.partition(":")
            path = next((path for path in (TOP / "vrrpd" / name, TOP / name) if path.is_file()), None)
            if not path or (function and not re.search(rf"^[A-Za-z].*\b{function}\(", path.read_text(encoding="utf-8"), re.M)):
                bad.append((number, place))
    assert bad == []


def test_tests_exist(c_tests):
    bad = [(number, name) for number, cells in ROWS for cell in (cells[4], cells[5]) for name in names_in(cell)
           if missing_test(name, c_tests)]
    assert bad == []


def test_every_requirement_has_tests_or_a_reason():
    """What applies has code and a test that shows it, and one that shows its breach to have no effect, or says why there can be none."""
    bad = []
    for number, cells in ROWS:
        if not applies(cells) or departures_of(cells):
            continue
        if not names_in(cells[3]) or not names_in(cells[4]) or not (names_in(cells[5]) or "no opposite: " in cells[6]):
            bad.append(number)
    assert bad == []


def test_departures_are_those_of_the_readme_and_tested():
    known = departures_of_readme()
    assert len(known) >= 9
    named = {name for _, cells in ROWS for name in departures_of(cells)}
    assert named == known
    assert [number for number, cells in ROWS if departures_of(cells) and not names_in(cells[4] + cells[5])] == []
