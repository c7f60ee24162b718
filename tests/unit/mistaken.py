# SPDX-License-Identifier: LGPL-2.1-or-later
"""A simulator with a mistake in it: its parts are compiled once, and the one with the mistake anew."""

import os
import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "tests" / "sim" / "README.md").read_text(encoding="utf-8")


class Parts:
    objects = {}  # of each source, for all simulators that have it

    def __init__(self, folder, sources):
        """@sources: where each is in the tree; no two of one name."""
        self.sources = {Path(source).stem: source for source in sources}
        flags = subprocess.run(["pkg-config", "--cflags", "gio-2.0"], capture_output=True, text=True, check=True).stdout.split()
        self.compiler = ["cc", "-std=gnu11", "-D_GNU_SOURCE", f"-I{TOP}", f"-I{TOP}/tests/sim", *flags]
        self.libraries = subprocess.run(["pkg-config", "--libs", "gio-2.0"], capture_output=True, text=True, check=True).stdout.split()
        waiting, running = [name for name, source in self.sources.items() if source not in self.objects], []
        for name in waiting:
            (folder / f"{name}.c").write_text(self.text(name), encoding="utf-8")
        done = {self.sources[name]: folder / f"{name}.o" for name in waiting}
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                running.append(self.compile(folder, waiting.pop(), "-O1"))
            assert running.pop(0).wait() == 0
        self.objects.update(done)

    def text(self, name):
        return (TOP / self.sources[name]).read_text(encoding="utf-8")

    def compile(self, folder, name, optimized):
        """By its bare name, so that what is made does not depend on where."""
        return subprocess.Popen([*self.compiler, optimized, "-c", f"{name}.c", "-o", f"{name}.o"], cwd=folder)

    def link(self, folder, replaced=()):
        program = folder / "sim-mistaken"
        parts = [folder / f"{name}.o" if name in replaced else self.objects[source] for name, source in self.sources.items()]
        subprocess.run(["cc", "-o", program, *parts, *self.libraries], check=True)
        return program

    def with_mistake(self, folder, name, right, wrong):
        """@right, @wrong: a text each, or as many of each where one mistake is in several places."""
        text = self.text(name)
        for before, after in [(right, wrong)] if isinstance(right, str) else zip(right, wrong, strict=True):
            assert text.count(before) == 1, f"{self.sources[name]} is not what it was"
            text = text.replace(before, after)
        (folder / f"{name}.c").write_text(text, encoding="utf-8")
        assert self.compile(folder, name, "-O0").wait() == 0
        return self.link(folder, [name])

    def invariants(self, prefix=""):
        """Those of the simulator's files whose names begin so."""
        text = "".join(self.text(name) for name, source in self.sources.items() if source.startswith(f"tests/sim/{prefix}"))
        calls = re.findall(r"sim_break\(sim, ([^;]*?)%", text, re.DOTALL) + re.findall(r"sim_break\(sim, ([^;]*?)\);", text, re.DOTALL)
        return {name for call in calls for name in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', call)}


def run(program, *arguments):
    """Seeds from 1 on, whatever the run around this one has been told."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UNDERSTUDY_")}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=600, env=environment)


def broken_seeds(text, most=1000000):
    """Those that are known besides, because they have broken something once, are beyond that."""
    found = {int(seed): invariant for seed, invariant in re.findall(r'^# seed (\d+) breaks "([a-z-]+)"', text, re.MULTILINE)}
    return {seed: invariant for seed, invariant in found.items() if seed <= most}


def find(program, wanted, *steps):
    """What breaks, of so many seeds from there on, step after step until all @wanted have."""
    found = set()
    for first, count in steps:
        done = run(program, "--first", str(first), "--count", str(count), "--explain", "0", "--jobs", "2")
        found |= {name for seed, name in broken_seeds(done.stdout, first + count - 1).items() if seed >= first}
        if wanted <= found:
            break
    return found
