# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all scenario tests share: where the programs under test are, the option for long tests, and the seed of those that choose."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from files import Files  # noqa: E402
from timed import Timed  # noqa: E402

TOP = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run the tests marked as long")


def pytest_configure(config):
    # Terminated, a run takes away what it made, as after Ctrl-C. (A worker may be in a thread, where nobody may say so.)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Before the workers are started, so that all of them choose the same.
    os.environ.setdefault("UNDERSTUDY_SEED", str(int(time.time())))
    config.addinivalue_line("markers", "long: takes minutes; run with --long only")
    config.addinivalue_line("markers", "alone: leaves others no processor; tests/run runs it after them, one by one")
    config.addinivalue_line("markers", "timed(stall_ms, real_time=False): checks a bound in real time, which is void when the machine itself stood still for longer (timed.py)")
    config.pluginmanager.register(Timed(TOP / "build"), "timed")
    config.pluginmanager.register(Files(), "files")


def pytest_report_header(config):
    return f"UNDERSTUDY_SEED={os.environ['UNDERSTUDY_SEED']}"


def shares(item):
    """Whether the case uses something that was made once for its whole file."""
    return any(definitions[-1].scope == "module" and definitions[-1].baseid for definitions in item._fixtureinfo.name2fixturedefs.values())


@pytest.hookimpl(tryfirst=True)  # before the workers name the groups
def pytest_collection_modifyitems(config, items):
    """Long tests are left out, not skipped: a skip says that something was missing. Cases that share something stay together, in their order,
    with one worker, and come first: nobody waits for the last of them while the others have nothing left to do."""
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
    for item in items:
        if shares(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: not item.get_closest_marker("xdist_group"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """For fixtures that must know when they end: of this attempt, one that is voided and made again included."""
    report = (yield).get_result()
    item.has_failed = report.failed or (call.when != "setup" and item.has_failed)


@pytest.fixture(scope="session")
def build():
    """The build folder whose programs are tested; tests/run names it, else it is build/ in the source."""
    folder = Path(os.environ.get("UNDERSTUDY_BUILD", TOP / "build"))
    assert (folder / "build.ninja").exists(), f"{folder} is no build folder: meson setup build && ninja -C build"
    return folder
