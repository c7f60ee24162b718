# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/promises.md names only what there is: tests, simulated invariants, fuzzed parsers, measured figures; and no promise without one of them."""

import ast
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = TOP / "docs" / "promises.md"
TESTS = TOP / "tests"
SECTIONS = ["Election", "Roles, applications and orders", "Synchronisation", "Notices and SNMP"]


def rows_of(text):
    """(line, section, cells) of every row of every table, without heads and rulers."""
    lines = text.splitlines()
    section = None
    for number, line in enumerate(lines):
        if line.startswith("## "):
            section = line[3:]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if section and line.startswith("|") and not re.match(r"^\|[-| ]+\|$", line) and not re.match(r"^\|[-| ]+\|$", following):
            yield number + 1, section, [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


ROWS = list(rows_of(PAGE.read_text(encoding="utf-8")))


def names_in(cell):
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture(scope="module")
def c_tests(build):
    """The names of all C tests, from the programs themselves."""
    names = set()
    for program in sorted((build / "tests" / "unit").glob("*/test-*")) + sorted((build / "tests" / "bus").glob("test-bus-*")):
        if program.is_file():
            listed = subprocess.run([program, "-l"], capture_output=True, text=True, timeout=30, check=True)
            names |= set(listed.stdout.split())
    assert len(names) > 500
    return names


@lru_cache(maxsize=None)
def python_tests(path):
    text = path.read_text(encoding="utf-8")
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}, text


def has_case(text, case):
    """Whether the file names a parameter's id; or several, with hyphens between."""
    words = case.split("-")
    for end in range(len(words), 0, -1):
        first, rest = "-".join(words[:end]), "-".join(words[end:])
        if re.search(rf"(?<![\w-]){re.escape(first)}(?![\w-])", text) and (not rest or has_case(text, rest)):
            return True
    return False


@lru_cache(maxsize=None)
def figures(bench):
    """The figures of a benchmark, without their configurations; of one whose table docs/performance.md has, those that are in it."""
    sys.path.insert(0, str(TESTS / "bench"))
    module = __import__(bench)
    names = {name.split("/")[0] for name in (module.figures() if hasattr(module, "figures") else module.FIGURES)}
    page = (TOP / "docs" / "performance.md").read_text(encoding="utf-8")
    return names & set(re.findall(r"^ *\| ([a-z0-9_]+)(?:/\w+)? +\|", page, re.M)) if f"tests/run bench {bench} " in page else names


@lru_cache(maxsize=None)
def invariants():
    return set(re.findall(r'"([a-z][a-z-]+)"', "".join(path.read_text(encoding="utf-8") for path in (TESTS / "sim").glob("*.c"))))


def is_there(name, c_tests):
    if name.startswith("/"):
        return name in c_tests
    if match := re.fullmatch(r"(vrrp|takeover|notify|sync) ([a-z0-9_]+)", name):
        return match[2] in figures(match[1])
    if match := re.fullmatch(r"sim-(vrrp|pair)(?:: ([a-z-]+))?", name):
        return not match[2] or match[2] in invariants()
    if match := re.fullmatch(r"fuzz-([a-z0-9]+)", name):
        return (TESTS / "fuzz" / f"fuzz-{match[1]}.c").exists()
    if match := re.fullmatch(r"(bus|netns|system|unit)/([a-z0-9_]+): ([a-z0-9_]+)(?:\[([^\]]+)\])?", name):
        path = TESTS / match[1] / f"test_{match[2]}.py"
        if not path.is_file():
            return False
        functions, text = python_tests(path)
        return f"test_{match[3]}" in functions and (not match[4] or has_case(text, match[4]))
    return False


def test_each_section_has_its_rows():
    assert [line[3:] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")] == SECTIONS
    assert {section for _, section, _ in ROWS} == set(SECTIONS)


def test_rows_have_their_shape():
    assert [number for number, _, cells in ROWS if len(cells) != 2 or not cells[0] or not names_in(cells[1])] == []


def test_what_is_named_exists(c_tests):
    assert [(number, name) for number, _, cells in ROWS for name in names_in(cells[1]) if not is_there(name, c_tests)] == []


def test_no_promise_is_made_twice():
    promises = [cells[0] for _, _, cells in ROWS]
    assert sorted({promise for promise in promises if promises.count(promise) > 1}) == []


@pytest.mark.parametrize("name", ["/vrrp/packet/no-such-case", "vrrp no_such_figure", "sim-vrrp: no-such-invariant", "fuzz-nothing", "netns/vrrp_pair: no_such_test",
                                  "netns/no_such_file: nobody_preempts", "netns/vrrp_sets: paired[no-such-case]", "nonsense"])
def test_what_does_not_exist_is_found(name, c_tests):
    assert not is_there(name, c_tests)
