# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/timed.py: what a machine that stood still voids, and that it hides no failure."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))
from timed import Watcher  # noqa: E402

# Says that it watches; then tells of one stall for each question: of so many milliseconds (the next of its words), which ended just now, or long ago,
# and which watcher's, where that is not one in real time.
SCRIPTED = """\
#!/usr/bin/python3
import sys, time
sys.stdin.readline()
print(".", flush=True)
for said in {said!r}:
    sys.stdin.readline()
    late_ms, ago_s, who = (*said, "real-time")[:3]
    print(int((time.monotonic() - ago_s) * 1e6), int(late_ms * 1000), who)
    print(".", flush=True)
for _ in sys.stdin:
    print(".", flush=True)
"""
CONFTEST = """\
import sys
sys.path.insert(0, {tests!r})
from timed import Timed
def pytest_configure(config):
    config.addinivalue_line("markers", "timed(stall_ms): x")
    config.pluginmanager.register(Timed("/nowhere"), "timed")
"""
TEST = """\
import pytest
from pathlib import Path
TRIES = Path(__file__).with_name("tries")
@pytest.fixture
def fresh():
    with open(TRIES, "a") as file:
        file.write("x")
    {setup}
    yield [len(TRIES.read_text())]
    with open(TRIES.with_name("ends"), "a") as file:
        file.write("x")
{mark}
def test_it(fresh):
    fresh.append(0)
    assert len(fresh) == 2, "a fixture is used twice"
    assert fresh[0] in {passes}, "the product is too slow"
"""
FAILS, VOIDED = "1 failed", "void: the machine stood still for "


def outcome(folder, said, passes=(), mark="@pytest.mark.timed(20)", setup="pass", words=()):
    """(times measured, what pytest said) of a test that passes at its passes'th time, on a machine of which the watcher says so."""
    program = folder / "stalls"
    program.write_text(SCRIPTED.format(said=said), encoding="utf-8")
    program.chmod(0o755)
    (folder / "conftest.py").write_text(CONFTEST.format(tests=str(TESTS)), encoding="utf-8")
    (folder / "test_it.py").write_text(TEST.format(mark=mark, passes=tuple(passes), setup=setup), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words, "test_it.py"], cwd=folder, text=True, check=False,
                          capture_output=True, env={**environment, "UNDERSTUDY_STALLS": str(program), "PYTHONDONTWRITEBYTECODE": "1"}, timeout=60)
    tries, ends = (folder / "tries").read_text(), folder / "ends"
    assert "raise" in setup or ends.read_text() == tries, "everything is taken away before it is measured again"
    return len(tries), done.stdout


@pytest.mark.parametrize("said", [[], [(19, 0)], [(20, 0)], [(5000, 6)], [(5000, 60)]], ids=["none", "short", "just as long", "ended before", "long ago"])
def test_without_a_stall_a_failure_is_one_at_once(tmp_path, said):
    tries, text = outcome(tmp_path, said)
    assert tries == 1 and FAILS in text and VOIDED not in text


def test_three_stalls_and_it_fails(tmp_path):
    tries, text = outcome(tmp_path, [(50, 0)] * 9)
    assert tries == 3 and FAILS in text and "the product is too slow" in text and text.count(VOIDED) >= 2


def test_measured_again_without_a_stall_it_fails(tmp_path):
    tries, text = outcome(tmp_path, [(50, 0)])
    assert tries == 2 and FAILS in text


@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "by a worker"])
def test_what_was_voided_is_told(tmp_path, words):
    tries, text = outcome(tmp_path, [(50, 0)], passes=[2], words=words)
    assert tries == 2 and "1 passed" in text
    assert f"test_it.py::test_it: {VOIDED}50 ms at " in text and "(real-time); 20 ms are too much" in text


@pytest.mark.parametrize("who, tries", [("real-time", 2), ("ordinary", 1)])
def test_for_what_is_real_time_only_that_counts(tmp_path, who, tries):
    mark = "@pytest.mark.timed(20, real_time=True)"
    assert outcome(tmp_path, [(50, 0, who)], passes=[2], mark=mark)[0] == tries


def test_a_stall_voids_no_success(tmp_path):
    tries, text = outcome(tmp_path, [(50, 0)] * 9, passes=[1])
    assert tries == 1 and "1 passed" in text and VOIDED not in text


def test_only_what_is_marked_is_measured_again(tmp_path):
    tries, text = outcome(tmp_path, [(5000, 0)] * 9, mark="")
    assert tries == 1 and FAILS in text


def test_what_cannot_be_set_up_is_no_measurement(tmp_path):
    tries, text = outcome(tmp_path, [(5000, 0)] * 9, setup="raise RuntimeError('no lab')")
    assert tries == 1 and "1 error" in text


def test_a_bound_with_much_room_is_not_voided(tmp_path):
    folder = tmp_path
    (folder / "tries").write_text("")
    (folder / "ends").write_text("")
    tries, text = outcome(folder, [(5000, 0)] * 9, mark="@pytest.mark.timed(101)")
    assert tries == 0 and "passed" not in text


def test_the_watcher_sees_a_machine_that_stands_still(build):
    """It cannot be made to; but what watches can be stopped itself."""
    watcher = Watcher(build / "tests/netns/stalls")
    try:
        begin = time.monotonic()
        watcher.stalls(begin, begin)
        os.kill(watcher.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, watcher.process.pid, os.WSTOPPED)  # each of its threads stands
        stopped = time.monotonic()
        while time.monotonic() < stopped + 0.1:
            time.sleep(0.01)
        os.kill(watcher.process.pid, signal.SIGCONT)
        found = []
        while True:  # each of them says so when it has its next turn
            found += watcher.stalls(begin, time.monotonic())
            late = [who for _, late_ms, who in found if late_ms > 80]
            if "ordinary" in late and len(late) >= 1 + len(os.sched_getaffinity(0)):
                break
            assert time.monotonic() < stopped + 10, found
        assert watcher.stalls(time.monotonic() + 1, time.monotonic() + 2) == []
    finally:
        watcher.close()
    assert watcher.process.returncode == 0


def take_a_processor(seconds, real_time):
    """The first, for so long; in real time above everything of ours. Returns the pid."""
    pid = os.fork()
    if pid:
        return pid
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if real_time:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    os._exit(0)


def test_what_takes_a_processor_for_itself_is_no_machine_that_stands_still():
    """The kernel keeps it back for 50 ms of each second, where somebody else waits for that processor."""
    program = Path(os.environ.get("UNDERSTUDY_BUILD", TESTS.parent / "build")) / "tests/netns/stalls"
    watcher = Watcher(program)
    try:
        begin = time.monotonic()
        pids = [take_a_processor(3.5, real_time) for real_time in (False, True)]
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
        told = [(when, late_ms) for when, late_ms, who in watcher.stalls(begin, time.monotonic()) if who == "real-time" and late_ms > 25]
    finally:
        watcher.close()
    # A machine that did stand still meanwhile is told of each of its processors.
    alone = [one for one in told if sum(abs(one[0] - other[0]) < 0.005 for other in told) == 1]
    assert len(alone) < 2, told
