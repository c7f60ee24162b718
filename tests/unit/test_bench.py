# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmarks' common frame: turns, raw values, table, promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import frame  # noqa: E402

FIGURES = {"silence/a": frame.Figure("ms", frame.at_most(20, "ms")), "cost/a": frame.Figure("ms", frame.median_at_most_peer("peer"))}


def trial(measure, **more):
    return frame.Trial("all", list(FIGURES), ["ours", "peer"], more.pop("runs", 3), measure, **more)


def run(tmp_path, measure, *words, **more):
    file = tmp_path / "values.json"
    status = frame.run("it", "a test", FIGURES, lambda quick: [trial(measure, **more)], argv=["--json", str(file), *words])
    return status, json.loads(file.read_text()) if file.exists() else None


def test_subjects_take_turns_and_raw_values_are_written(tmp_path, capsys):
    order = []

    def measure(subject):
        order.append(subject)
        return {"silence/a": [len(order), 7.5], "cost/a": [1 if subject == "ours" else 2]}

    status, values = run(tmp_path, measure)
    assert status == 0
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert values == {"silence/a": {"unit": "ms", "ours": [1, 7.5, 4, 7.5, 5, 7.5], "peers": {"peer": [2, 7.5, 3, 7.5, 6, 7.5]}},
                      "cost/a": {"unit": "ms", "ours": [1, 1, 1], "peers": {"peer": [2, 2, 2]}}}
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| cost/a")]
    assert len(lines) == 1 and "1.0 [1.0-1.0]" in lines[0] and lines[0].rstrip(" |").endswith("yes")


def test_broken_promise_is_shown(tmp_path, capsys):
    run(tmp_path, lambda subject: {"silence/a": [21 if subject == "ours" else 1], "cost/a": [3 if subject == "ours" else 2]})
    assert capsys.readouterr().out.count("**no**") == 2


def test_only_and_runs(tmp_path):
    status, values = run(tmp_path, lambda subject: {"silence/a": [1], "cost/a": [1]}, "--only", "cost/*", "--runs", "2")
    assert status == 0 and list(values) == ["cost/a"] and values["cost/a"]["ours"] == [1, 1]
    assert run(tmp_path, lambda subject: {}, "--only", "nothing")[0] == 2


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
def test_the_elections_figures_are_all_measured_in_every_configuration(quick):
    import vrrp

    names = ["first_advert_excess", "cable", "freeze", "sigterm", "sigkill", "doubled", "thaw_blackhole", "heal_blackhole", "false_takeovers",
             "cpu_master", "cpu_backup", "dirty_kb"]
    promised = {f"{name}/{config}" for name in names for config in ("v2_1s", "v3_100ms", "v3_10ms_vmac")}
    figures, trials = vrrp.figures(), vrrp.trials(quick)
    assert promised <= set(figures)
    assert {name for trial in trials for name in trial.figures} == set(figures)
    assert all({frame.OURS, "keepalived"} <= set(trial.subjects) for trial in trials)


def test_together(tmp_path):
    status, values = run(tmp_path, lambda subjects: {subject: {"cost/a": [len(subjects)]} for subject in subjects}, together=True, runs=1)
    assert status == 0 and values["cost/a"] == {"unit": "ms", "ours": [2], "peers": {"peer": [2]}}


class StallsOnce:
    """Says of the first run that the machine stood still in it, and an ordinary process in each."""

    asked = 0

    def __init__(self, program):
        assert program == frame.STALLS

    def stalls(self, begin, end):
        assert begin <= end
        StallsOnce.asked += 1
        return [(end, 400, "ordinary"), (end, 11 if StallsOnce.asked == 1 else 9, "real-time")]

    def close(self):
        pass


def test_a_run_in_which_the_machine_stood_still_is_repeated(tmp_path, capsys, monkeypatch):
    measured = []

    def measure(subject):
        measured.append(subject)
        return {"silence/a": [len(measured)], "cost/a": [1]}

    monkeypatch.setattr(frame, "Watcher", StallsOnce)
    status, values = run(tmp_path, measure, runs=1, stall_ms=10)
    assert status == 0 and measured == ["ours", "ours", "peer"]
    assert values["silence/a"]["ours"] == [2]
    assert "rejected: the machine stood still for 11 ms; 10 are too much" in capsys.readouterr().out


def test_rejected_runs_are_repeated_and_failures_told(tmp_path, capsys):
    calls = []

    def measure(subject):
        calls.append(subject)
        if subject == "peer":
            raise RuntimeError("does not start")
        if len(calls) == 1:
            raise frame.Rejected("clock")
        return {"silence/a": [1]}

    status, values = run(tmp_path, measure, runs=1)
    assert status == 1 and values["silence/a"] == {"unit": "ms", "ours": [1], "peers": {}}
    output = capsys.readouterr().out
    assert "1 runs were rejected" in output and "does not start" in output


@pytest.mark.parametrize("words,want", [(["--json", "x", "--quick"], ["--quick"]), (["--json=x"], []), (["--only", "a"], ["--only", "a"])])
def test_command_without_file(words, want):
    assert frame.strip_json(words) == want


def names(executable):
    """The benchmarks, or what they are made of."""
    return sorted(path.name for path in BENCH.glob("*.py") if bool(path.stat().st_mode & 0o100) == executable)


@pytest.mark.parametrize("name", names(True))
def test_every_benchmark_starts(name, tmp_path):
    done = subprocess.run([BENCH / name, "--only", "nothing"], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and done.stdout.startswith("no figure matches"), done.stderr


@pytest.mark.parametrize("name", names(False))
def test_what_a_benchmark_is_made_of_is_imported_by_itself(name, tmp_path):
    done = subprocess.run([sys.executable, "-B", "-c", f"import {name[:-3]}"], cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BENCH)},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_service_beside_a_burst_answers(tmp_path):
    """It is a program, which imports by itself what it needs."""
    from caller import Caller

    address = f"unix:path={tmp_path}/bus"
    with subprocess.Popen(["dbus-daemon", "--session", f"--address={address}", "--nofork", "--nopidfile", "--print-address"], stdout=subprocess.PIPE) as bus:
        try:
            assert bus.stdout.readline().startswith(address.encode())
            with subprocess.Popen([sys.executable, BENCH / "caller.py", tmp_path / "bus", "org.example.Echo"], cwd="/", env={"PATH": os.environ["PATH"]},
                                  stdout=subprocess.PIPE) as service:
                assert service.stdout.readline().startswith(b":1.")
                caller = Caller(tmp_path / "bus")
                caller.destination = "org.freedesktop.DBus"
                caller.hello()
                caller.destination = "org.example.Echo"
                assert caller.ask("/", "org.freedesktop.DBus.Peer", "Ping") > 0
                service.kill()
        finally:
            bus.kill()


def test_every_figure_is_explained():
    sys.path.insert(0, str(BENCH))
    import vrrp

    text = (BENCH / "README.md").read_text(encoding="utf-8")
    assert [name for name in vrrp.figures() if f"`{name.split('/')[0]}/C`" not in text] == []
