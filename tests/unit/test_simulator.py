# SPDX-License-Identifier: LGPL-2.1-or-later
"""The simulator finds mistakes: a rule of vrrpd that is broken on purpose breaks an invariant, the seed replays exactly, the trace can be read, and the
faults shrink. Each mistake is one of the table in tests/sim/README.md."""

import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "tests" / "sim" / "README.md").read_text(encoding="utf-8")
SIM = [f"tests/sim/{name}.c" for name in ("run", "world", "device", "check", "scenario")]
TESTED = [f"vrrpd/rules/{name}.c" for name in ("machine", "candidate", "judge", "holds", "link-watch", "sleep")] + ["vrrpd/wire/packet.c", "settings/ip.c"]

MISTAKES = {
    # As the table calls it: file, what is there, what is there instead, and what it breaks.
    "a listening Master does not yield": ("machine", "if (higher || machine->listening) {", "if (higher) {", {"sleeper-leads", "speaks-after-sleep"}),
    "no Master yields": ("machine", "if (higher || machine->listening) {", "if (machine->listening) {", {"keeps-against-higher", "keeps-against-newer",
                                                                                                     "speaks-after-sleep"}),
    "no skew": ("machine", "return (256 - priority) * (gint64)unit_cs * CENTISECOND_US / 256;", "return priority + unit_cs == 0;", {"too-early"}),
    "priority 0 is ignored": ("machine", "machine->resigned = true;", "if (event->priority == 0)\n\t\t\treturn;", {"resignation-ignored"}),
    "the interval is not learned": ("machine", "if (machine->version == 3)\n\t\tmachine->master_interval_cs = event->interval_cs;", "", {"preempts"}),
    "a Backup keeps the addresses": ("machine", "hear(machine, event);\n\t\tadd_kind(out, VRRP_STEP_DROP);", "hear(machine, event);",
                                     {"addresses-without-role"}),
    "holds are ignored": ("candidate", "bool open = !self->deaf && !vrrp_holds_any(&self->holds) && ", "bool open = !self->deaf && ", {"held-takes-over", "passive-takes-over"}),
    "a lower Master is preempted": ("machine", "\thear(machine, event);\n\tmachine->resigned = false;",
                                    "\tif (event->priority < machine->priority)\n\t\treturn;\n\thear(machine, event);\n\tmachine->resigned = false;",
                                    {"preempts", "resigned-without-zero"}),
    "isolated, and says that it lives": ("judge", "return carrier && link_alive && !applications_failed;",
                                         "(void)link_alive;\n\treturn carrier && !applications_failed;", {"alive-though-isolated"}),
    "alone is as good as serving": ("judge", "return link_steady ? VRRP_STANDING_SERVING : VRRP_STANDING_ALONE;",
                                    "(void)link_steady;\n\treturn VRRP_STANDING_SERVING;", {"keeps-against-better", "yields-to-worse"}),
    "a Backup sleeps an interval too long": ("sleep", "MIN(machine->deadline_us, tick_at_us) : machine->deadline_us;",
                                             "MIN(machine->deadline_us, tick_at_us) + master_interval_us(machine) : machine->deadline_us;", {"too-late"}),
    "a Backup sleeps on when the Master resigns": ("device", "device->rung |= rings(sim, device, packet);", "(void)rings;", {"too-late"}),
    "a queue that ran over is no reason to wait": ("machine", "if (now_us - event->received_us > interval_us(machine->master_interval_cs)) {",
                                                   "if (now_us < 0) {", {"preempts", "too-early"}),
    "a Backup counts from when it woke": ("sleep", "? received_us : now_us;", "? now_us : now_us;", {"too-late"}),
    "a Backup that woke late takes it for planned": ("sleep", "\t\t\tself->late_us = now_us;", "\t\t\tself->late_us = 0;", {"too-early"}),
    "what another path has brought before counts again": ("sleep", "\t\treturn false;", "\t\treturn true;", {"ghost-counts", "preempts", "too-early"}),
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """The simulator and the parts of vrrpd that it runs, compiled once; a mistake is one file compiled anew."""
    folder = tmp_path_factory.mktemp("sim")
    flags = subprocess.run(["pkg-config", "--cflags", "gio-2.0"], capture_output=True, text=True, check=True).stdout.split()
    compiler = ["cc", "-std=gnu11", "-O1", "-D_GNU_SOURCE", f"-I{TOP}", *flags]
    running = [subprocess.Popen([*compiler, "-c", TOP / source, "-o", folder / (Path(source).stem + ".o")]) for source in SIM + TESTED]
    assert not [process.args for process in running if process.wait()]
    return folder, compiler


def link(objects, tmp_path, replaced=None):
    folder, _ = objects
    parts = {Path(source).stem: folder / (Path(source).stem + ".o") for source in SIM + TESTED} | (replaced or {})
    libraries = subprocess.run(["pkg-config", "--libs", "gio-2.0"], capture_output=True, text=True, check=True).stdout.split()
    program = tmp_path / "sim-mistaken"
    subprocess.run(["cc", "-o", program, *parts.values(), *libraries], check=True)
    return program


def with_mistake(objects, tmp_path, name):
    part, right, wrong, _ = MISTAKES[name]
    folder = "tests/sim" if part == "device" else "vrrpd/rules"
    text = (TOP / folder / f"{part}.c").read_text(encoding="utf-8")
    assert text.count(right) == 1, f"{name}: {part}.c is not what it was"
    source = tmp_path / f"{part}.c"
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    subprocess.run([*objects[1], f"-I{TOP}/{folder}", "-c", source, "-o", tmp_path / f"{part}.o"], check=True)
    return link(objects, tmp_path, {part: tmp_path / f"{part}.o"})


def run(program, *arguments):
    """Seeds from 1 on, whatever the run around this one has been told."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600, env=environment)


def broken_seeds(text):
    return {int(seed): invariant for seed, invariant in re.findall(r'^# seed (\d+) breaks "([a-z-]+)"', text, re.MULTILINE)}


def shrunk(text):
    part = text[text.index("# shrunk to:"):]
    return re.findall(r"^#   (round \d+: .*)$", part, re.MULTILINE)


def test_without_a_mistake_nothing_breaks(objects, tmp_path):
    done = run(link(objects, tmp_path), "--count", "300")
    assert done.returncode == 0 and not broken_seeds(done.stdout)


def test_the_result_is_said_where_somebody_looks(objects, tmp_path):
    """tests/run --long sim shows nothing else of it: which seeds those were, and what came of them."""
    place = tmp_path / "progress"
    for build, end in ((lambda: link(objects, tmp_path), "none broken"), (lambda: with_mistake(objects, tmp_path, "no skew"), "invariants broken")):
        environment = {**os.environ, "UNDERSTUDY_SEED": "700", "UNDERSTUDY_PROGRESS": str(place)}
        subprocess.run([build(), "--count", "200"], capture_output=True, env={k: v for k, v in environment.items() if k != "UNDERSTUDY_LONG"}, timeout=600)
        last = place.read_text(encoding="utf-8").splitlines()[-1]
        assert re.fullmatch(rf"sim-mistaken: \d+ takeovers in 200 scenarios, seeds 700 to 899, \d+ s: {end}", last), last


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_replayed_and_shrunk(objects, tmp_path, name):
    assert f"| {name} |" in README, "the table knows it"
    program = with_mistake(objects, tmp_path, name)
    done = run(program, "--count", "1000", "--jobs", "2")
    seeds = broken_seeds(done.stdout)
    assert done.returncode == 1 and "not ok" in done.stdout and seeds, "not found"
    assert set(seeds.values()) & MISTAKES[name][3], seeds
    seed = min(seeds)
    first, second = (run(program, "--seed", str(seed), "--trace") for _ in range(2))
    assert first.returncode == 1 and first.stdout == second.stdout, "the same seed is the same world"
    assert broken_seeds(first.stdout) == {seed: seeds[seed]}
    # To be read: what happened when, to whom, and what broke.
    trace = first.stdout[:first.stdout.index(f"# seed {seed} breaks")].splitlines()
    assert all(re.match(r" *\d+\.\d{3} ms  (--|\*\*|!!|[A-E]) ", line) for line in trace), trace[:3]
    broke = [line for line in trace if "!! " + seeds[seed] in line]
    assert seeds[seed] in trace[-1] or broke and float(trace[-1].split()[0]) - float(broke[0].split()[0]) < 1, "a trace ends where it broke"
    few = shrunk(first.stdout)
    faults = [line for line in trace if " ** begins:" in line]
    assert len(few) <= max(len(faults), 1), (few, faults)


def test_what_is_left_of_the_faults_is_what_it_takes(objects, tmp_path):
    """Shrinking leaves less than there was, of most seeds; and by hand too nothing can be left out."""
    program = with_mistake(objects, tmp_path, "holds are ignored")
    seeds = sorted(broken_seeds(run(program, "--count", "200").stdout))[:8]
    less = 0
    for seed in seeds:
        text = run(program, "--seed", str(seed), "--trace").stdout
        faults = re.findall(r" \*\* begins: ", text[:text.index("# shrunk to:")])
        less += len(shrunk(text)) < len(faults)
    assert len(seeds) >= 4 and less >= len(seeds) // 2, (less, len(seeds))


def test_the_table_counts_what_it_says():
    """Every mistake of this file is a row of the table, and found there by what is found here."""
    rows = {cells[0].strip(): cells for cells in (line.strip("|\n").split("|") for line in README.splitlines() if line.startswith("| "))}
    for name, (_, _, _, invariants) in MISTAKES.items():
        assert set(re.findall(r"`([a-z-]+)`", rows[name][2])) & invariants, name
