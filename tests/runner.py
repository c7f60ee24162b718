# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds Understudy twice (plain, and with the sanitizers) and runs its test suites. Started by tests/run.

A suite is the meson tests of that suite name, which run in both builds, and the pytest files in tests/<suite>/, which use the plain
build (those of `bus` both). Every test case is counted. The run fails when a case fails or is skipped, and when a suite that was asked for has no test.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PLAIN = TOP / "build-tests"
SANITIZED = TOP / "build-asan"
ALWAYS = ("unit", "bus", "netns")
SANITIZED_SCENARIOS = ("bus",)  # single daemons; whole devices are about time, which the sanitizers stretch
WHEN_THERE = ("system", "sim", "fuzz", "web")
WORKERS = 2  # more make and delete so many namespaces that the kernel's lock for addresses is held for seconds, and elections wait for it
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1:abort_on_error=0",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "LSAN_OPTIONS": f"suppressions={TOP}/tests/lsan.supp:print_suppressions=0",
    "G_SLICE": "always-malloc",
}


class Broken(Exception):
    """Nothing can be tested: the build failed, or what was asked for is not there."""


def say(text):
    print(text, flush=True)


def shortened(text, most=200):
    """Names of cases may hold whole inputs."""
    return text if len(text) <= most else f"{text[:most]}..."


class Count:
    """Test cases of one suite in one build."""

    def __init__(self, title):
        self.title = title
        self.passed = self.failed = self.skipped = 0
        self.notes = []  # "name: what", of all that did not pass
        self.seconds = 0.0

    def fail(self, note):
        self.failed += 1
        self.notes.append(f"FAILED  {shortened(note)}")

    def skip(self, note):
        self.skipped += 1
        self.notes.append(f"SKIPPED {shortened(note)}")

    @property
    def cases(self):
        return self.passed + self.failed + self.skipped


def children_die_with_us():
    """A terminated run ends what it started; Ctrl-C reaches everybody by the terminal."""

    def on_signal(number, _frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGHUP, on_signal)


def start(command, **more):
    return subprocess.Popen([str(word) for word in command], cwd=TOP, stdin=subprocess.DEVNULL, **more)


def finish(child):
    """Waits; on the way out by an exception the child is ended first."""
    try:
        return child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def configured_here(folder):
    """Whether @folder was set up by meson for this very place; a copied tree brings folders that were not."""
    try:
        info = json.loads((folder / "meson-info" / "meson-info.json").read_text(encoding="utf-8"))
        return Path(info["directories"]["source"]) == TOP and (folder / "build.ninja").exists()
    except (OSError, ValueError, KeyError):
        return False


def build(folder, *options):
    begin = time.monotonic()
    if not configured_here(folder):
        shutil.rmtree(folder, ignore_errors=True)
        done = subprocess.run(["meson", "setup", *options, str(folder)], cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            say(done.stdout + done.stderr)
            raise Broken(f"{folder.name} could not be set up")
    child = start(["ninja", "-C", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    output, shown = [], time.monotonic()
    for line in child.stdout:
        output.append(line)
        step = re.match(r"\[(\d+)/(\d+)\]", line)
        if step and time.monotonic() - shown > 5:
            shown = time.monotonic()
            say(f"  {folder.name}: {step[1]} of {step[2]}")
    if finish(child):
        say("".join(output[-200:]))
        raise Broken(f"{folder.name} could not be built")
    warnings = sum("warning:" in line for line in output)
    say(f"{folder.name}: built in {time.monotonic() - begin:.0f} s" + (f", {warnings} warnings" if warnings else ""))


def meson_suites(folder):
    """Suite name -> number of meson tests in it."""
    done = subprocess.run(["meson", "introspect", "--tests", str(folder)], cwd=TOP, capture_output=True, text=True, check=True)
    suites = {}
    for test in json.loads(done.stdout):
        for suite in test["suite"]:
            name = suite.rsplit(":", 1)[-1]
            suites[name] = suites.get(name, 0) + 1
    return suites


TAP_LINE = re.compile(r"^(?P<bad>not )?ok\b *(?P<number>\d+)? *-? *(?P<name>[^#]*?) *(?:# *(?:(?P<directive>SKIP|TODO)\b *(?P<why>.*)|.*))?$", re.I)


def count_tap(count, name, text, returncode, result):
    """Adds the cases of one TAP program; one that crashed, hung or fell short of its plan has at least one failure."""
    planned, seen, failed_before = None, 0, count.failed
    for line in text.splitlines():
        plan = re.match(r"1\.\.(\d+) *(?:# *SKIP\b *(.*))?$", line, re.I)
        if plan:
            planned = int(plan[1])
            if planned == 0 and plan[2] is not None:
                count.skip(f"{name}: {plan[2]}")
            continue
        case = TAP_LINE.match(line)
        if not case:
            continue
        seen += 1
        title = f"{name}: {case['name']}"
        if (case["directive"] or "").upper() == "SKIP":
            count.skip(f"{title}: {case['why']}")
        elif case["bad"]:
            count.fail(title)
        else:
            count.passed += 1
    if seen == 0 and planned is None and result == "OK":
        count.passed += 1  # a program that says no more than its exit code
    elif count.failed == failed_before:
        if returncode == 77:
            count.skip(name)
        elif result not in ("OK", "SKIP", "EXPECTEDFAIL") or returncode:
            count.fail(f"{name}: {result.lower()}, exit {returncode}, after {seen} of {planned if planned is not None else '?'} cases")
        elif planned is not None and seen < planned:
            count.fail(f"{name}: ran {seen} of {planned} cases")


def run_meson(suite, options, folder, sanitized):
    count = Count(f"{suite} (sanitizers)" if sanitized else suite)
    begin = time.monotonic()
    log = folder / "meson-logs" / f"tests-{suite}.json"
    log.unlink(missing_ok=True)
    say(f"\n== {count.title}")
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--suite", suite, "--logbase", f"tests-{suite}", "--print-errorlogs"]
    if sanitized:
        command += ["--timeout-multiplier", "4"]
    env = dict(os.environ, UNDERSTUDY_BUILD=str(folder), **(SANITIZER_ENV if sanitized else {}))
    if options.long and not sanitized:
        env["UNDERSTUDY_LONG"] = "1"
        if options.seed is not None:
            env["UNDERSTUDY_SEED"] = str(options.seed)
        env["UNDERSTUDY_PROGRESS"] = f"/proc/{os.getpid()}/fd/2"  # meson keeps what a test says until it ends
        command += ["--timeout-multiplier", "10"]
    status = finish(start(command, env=env))

    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()] if log.exists() else []
    for record in records:
        name = record["name"].rsplit(" / ", 1)[-1]
        count_tap(count, name, record.get("stdout", ""), record["returncode"], record["result"])
    if status and not count.failed:
        count.fail(f"meson test ended with {status}")
    count.seconds = time.monotonic() - begin
    return count


def run_pytest(suite, options, folder, sanitized):
    count = Count(f"{suite} (scenarios, sanitizers)" if sanitized else f"{suite} (scenarios)")
    begin = time.monotonic()
    say(f"\n== {count.title}")
    env = dict(os.environ, UNDERSTUDY_BUILD=str(folder), PYTHONDONTWRITEBYTECODE="1")
    if options.seed is not None:
        env["UNDERSTUDY_SEED"] = str(options.seed)
    complaints = folder / "meson-logs" / f"sanitizer-{suite}"
    if sanitized:
        # Daemons in scenarios run as users of their own, and nobody may look at their exit code: what they complain of goes to files.
        shutil.rmtree(complaints, ignore_errors=True)
        complaints.mkdir(parents=True)
        complaints.chmod(0o1777)
        env.update({name: f"{value}:log_path={complaints}/log" for name, value in SANITIZER_ENV.items() if name != "G_SLICE"})
        env["G_SLICE"] = SANITIZER_ENV["G_SLICE"]
    # First those that bear company, then, if there are any, those that want the machine for themselves.
    for marked, shared in (("not alone", ["-n", str(WORKERS), "--dist", "loadgroup"]), ("alone", [])):
        report = folder / "meson-logs" / f"pytest-{suite}{'' if shared else '-alone'}.xml"
        report.unlink(missing_ok=True)
        if not shared and not has_alone(suite):
            continue
        status = finish(start([sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}",
                               "-m", marked, *shared, *(["--long"] if options.long else []), f"tests/{suite}"], env=env))
        count_cases(count, report, status)
    for log in sorted(complaints.glob("log.*")) if sanitized else []:
        text = log.read_text(encoding="utf-8", errors="replace")
        say(text)
        summary = re.search(r"^SUMMARY: (.*)$", text, re.M)
        count.fail(f"a sanitizer complained: {summary[1] if summary else text.strip()[:200]}")
    count.seconds = time.monotonic() - begin
    return count


def count_cases(count, report, status):
    cases = ElementTree.parse(report).getroot().iter("testcase") if report.exists() else []
    for case in cases:
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(name)
        elif case.find("skipped") is not None:
            count.skip(f"{name}: {case.find('skipped').get('message')}")
        else:
            count.passed += 1
    if status not in (0, 1, 5) and not count.failed:
        count.fail(f"pytest ended with {status}")


def run_search():
    """Minutes of clang's libFuzzer, a bounded time for each parser."""
    count = Count("fuzz (search)")
    begin = time.monotonic()
    say(f"\n== {count.title}")
    child = start([TOP / "tests" / "fuzz" / "search"], stdout=subprocess.PIPE, text=True, errors="replace")
    output = []
    for line in child.stdout:
        output.append(line)
        say(line.rstrip("\n"))
    status = finish(child)
    if status == 2:
        raise Broken("the search of fuzz could not be made")
    count_tap(count, "search", "".join(output), status, "OK" if status == 0 else "FAIL")
    count.seconds = time.monotonic() - begin
    return count


def has_alone(suite):
    return any("mark.alone" in path.read_text(encoding="utf-8") for path in (TOP / "tests" / suite).rglob("test_*.py"))


def has_pytest(suite):
    return any((TOP / "tests" / suite).rglob("test_*.py"))


def bench(words):
    """`bench NAME --json FILE`: one measurement, which writes its numbers to FILE."""
    folder = TOP / "tests" / "bench"
    names = sorted(path.stem for path in folder.glob("*") if path.is_file() and os.access(path, os.X_OK)) if folder.exists() else []
    if not words or words[0] not in names:
        say(f"benchmarks: {', '.join(names) or 'none yet'}")
        raise Broken(f"there is no benchmark {words[0]!r}" if words else "which benchmark?")
    build(PLAIN, "--buildtype=debugoptimized")
    program = next(path for path in folder.glob("*") if path.stem == words[0] and os.access(path, os.X_OK))
    return finish(start([program, *words[1:]], env=dict(os.environ, UNDERSTUDY_BUILD=str(PLAIN))))


def run(options):
    there = {suite for suite in (*ALWAYS, *WHEN_THERE) if has_pytest(suite)}
    build(PLAIN, "--buildtype=debugoptimized", "-Dwerror=true")
    in_meson = meson_suites(PLAIN)
    suites = list(dict.fromkeys(options.suites)) or [*ALWAYS, *(s for s in WHEN_THERE if s in there or s in in_meson)]
    if any(suite in in_meson or (suite in there and suite in SANITIZED_SCENARIOS) for suite in suites):
        build(SANITIZED, "--buildtype=debugoptimized", "-Doptimization=1", "-Db_sanitize=address,undefined", "-Db_lundef=false")

    counts, empty = [], []
    for suite in suites:
        mine = []
        if suite in in_meson:
            mine += [run_meson(suite, options, PLAIN, False), run_meson(suite, options, SANITIZED, True)]
        if suite in there:
            mine.append(run_pytest(suite, options, PLAIN, False))
        if suite in there and suite in SANITIZED_SCENARIOS:
            mine.append(run_pytest(suite, options, SANITIZED, True))
        if suite == "fuzz" and options.long and suite in options.suites:
            mine.append(run_search())
        counts += mine
        if not sum(count.cases for count in mine):
            empty.append(suite)

    say("")
    for count in counts:
        for note in count.notes:
            say(f"{count.title}: {note}")
    for suite in empty:
        say(f"{suite}: FAILED  the suite ran no test")
    say(f"\n{'suite':32} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}")
    for count in counts:
        say(f"{count.title:32} {count.passed:7} {count.failed:7} {count.skipped:7} {count.seconds:8.1f}")
    passed, failed, skipped = (sum(getattr(count, what) for count in counts) for what in ("passed", "failed", "skipped"))
    bad = failed or ((skipped or empty) and not options.allow_skip)
    say(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Build Understudy and run its tests.",
        epilog="tests/run bench NAME --json FILE runs one benchmark instead.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join((*ALWAYS, *WHEN_THERE))}; default: all that have tests")
    parser.add_argument("--long", action="store_true", help="also run the tests marked as long, and with the suite fuzz named search for new inputs")
    parser.add_argument("--seed", type=int, help="what the simulations of --long and the kill matrix choose by; default: the time of day, which they print")
    parser.add_argument("--allow-skip", action="store_true", help="a skipped test or an empty suite does not fail the run")
    children_die_with_us()
    try:
        if sys.argv[1:2] == ["bench"]:
            return bench(sys.argv[2:])
        options = parser.parse_args()
        for suite in options.suites:
            if suite not in (*ALWAYS, *WHEN_THERE):
                raise Broken(f"there is no suite {suite!r}; there are {', '.join((*ALWAYS, *WHEN_THERE))}")
        return run(options)
    except Broken as broken:
        say(f"tests/run: {broken}")
        say("0 passed, 0 failed, 0 skipped")
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
