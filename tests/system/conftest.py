# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests on whole machines share: a pair of them, and their last words when a test fails."""

import re
import sys
from pathlib import Path

import pytest

for _folder in (Path(__file__).parent, Path(__file__).resolve().parents[2] / "demo"):
    sys.path.insert(0, str(_folder))

import machine  # noqa: E402  (the folders must be on the path first)
import pbx  # noqa: E402
from lab.pair import SERVICE, Pair  # noqa: E402
from phones import accounts  # noqa: E402
from probe import Probe  # noqa: E402

PHONE = "192.0.2.100"
# The PBX as Debian's unit starts it, beside an application that is a process of Understudy's own.
APPLICATIONS = {
    "kamailio": re.sub(r"^command=.*$", "unit=kamailio.service", pbx.APPLICATION_TEXT, flags=re.M),
    "sleeper": "[application]\ncommand=/bin/sleep infinity\n",
}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.excinfo is not None:
        for house in machine.houses:
            outcome.get_result().sections += house.last_words()


@pytest.fixture
def house(request):
    """Closed after the report of the test was made, also that of a fixture which uses this one and fails."""
    place = machine.House()
    request.addfinalizer(place.close)
    return place


@pytest.fixture
def pair(house, request):
    """Two machines with the package, paired, the applications on the Master, and a host of phones that asks it all the time."""
    made = Pair(None, APPLICATIONS, lab=house)
    request.addfinalizer(made.close)
    pbx.install(made.first, SERVICE, accounts(3), {})
    pbx.install(made.second, SERVICE, None, None)
    made.start()
    made.host = house.net.namespace("phones")
    made.lan.connect(made.host, "eth0", f"{PHONE}/24")
    made.probe = Probe(made.host, PHONE, SERVICE)
    request.addfinalizer(made.probe.stop)
    made.probe.wait_answers(20)
    return made
