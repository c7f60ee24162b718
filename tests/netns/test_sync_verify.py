# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether both devices have the same bytes: what Verify finds, and what it does not mistake for a difference."""

import os
import shutil

import pytest
from sync_lab import BOOK, DATABASE, FILES, CallError, lab  # noqa: F401  (fixtures)

SETS = {"pbx.etc": "config", "pbx.book": "config", "pbx.contacts": "volatile"}


@pytest.fixture
def pair(lab):  # noqa: F811
    alpha = lab.alpha
    alpha.write(f"{FILES}/main.cfg", "first\n")
    alpha.write(f"{FILES}/sub/inner", "inner\n")
    alpha.at(f"{FILES}/empty").mkdir()
    os.symlink("main.cfg", alpha.at(f"{FILES}/link"))
    for path in (DATABASE, BOOK):
        alpha.sql(path, "pragma journal_mode=wal", "create table t (x)", "insert into t values (1)")
    lab.pair()
    for device in (lab.alpha, lab.beta):
        device.write(f"{FILES}/own.local", device.name)
        device.write(f"{FILES}/machine-id", device.name)
    lab.in_step()
    return lab.alpha, lab.beta


def verify(device):
    """By set."""
    return {report["set"]: report for report in device.sync("Verify", timeout_ms=60000)[0]}


def problems(report):
    return {(side, kind): report[side][kind] for side in ("here", "there") for kind in ("differs", "missing", "extra") if report[side][kind]}


def test_two_that_are_the_same(pair):  # noqa: F811
    alpha, beta = pair
    for device in pair:
        found = verify(device)
        kept = found.pop("stored")
        assert kept["verdict"] == "same" and kept["here"]["files"] > 10 and problems(kept) == {}, "what the refs lead to"
        assert {name: report["ref"] for name, report in found.items()} == SETS
        for report in found.values():
            assert (report["verdict"], problems(report)) == ("same", {}), report
            assert report["here"]["tree"] == report["there"]["tree"] != "" and report["here"]["bytes"] > 0
    assert found["pbx.etc"]["here"]["files"] == 6, "main.cfg, link, sub, sub/inner, empty, and the set's folder"
    assert alpha.get("VerifyProgress") == beta.get("VerifyProgress") == -1


def test_what_differs_is_named_on_its_side(pair):  # noqa: F811
    alpha, beta = pair
    beta.at(f"{FILES}/main.cfg").write_text("FIRST\n")  # of the same length
    beta.at(f"{FILES}/sub/inner").unlink()
    beta.at(f"{FILES}/empty").rmdir()
    beta.at(f"{FILES}/link").unlink()
    beta.at(f"{FILES}/link").write_text("main.cfg")
    beta.at(f"{FILES}/more").mkdir()
    beta.at(f"{FILES}/more/file").write_text("x")
    beta.sql(BOOK, "insert into t values (2)")
    for device, side in ((alpha, "there"), (beta, "here")):
        found = verify(device)
        assert found["pbx.etc"]["verdict"] == found["pbx.book"]["verdict"] == "differs"
        assert found["pbx.contacts"]["verdict"] == "same"
        assert problems(found["pbx.etc"]) == {(side, "differs"): ["link", "main.cfg"], (side, "missing"): ["empty", "sub/inner"],
                                              (side, "extra"): ["more", "more/file"]}
        assert problems(found["pbx.book"]) == {(side, "differs"): ["book.sqlite"]}
    shutil.rmtree(beta.at(FILES))
    report = verify(alpha)["pbx.etc"]
    assert report["verdict"] == "differs" and report["there"]["n_missing"] == 6 and report["here"]["n_missing"] == 0


def test_rights_count_and_a_set_that_only_one_has(pair):  # noqa: F811
    alpha, beta = pair
    os.chmod(beta.at(f"{FILES}/main.cfg"), 0o600)
    assert problems(verify(alpha)["pbx.etc"]) == {("there", "differs"): ["main.cfg"]}
    text = beta.read("/etc/understudy/applications.d/pbx.conf")
    beta.write("/etc/understudy/applications.d/pbx.conf", text[:text.index("[data book]")])
    beta.sync("Reload")
    report = verify(alpha)["pbx.book"]
    assert report["verdict"] == "differs" and not report["there"] and report["here"]["files"] == 1


def test_what_is_written_meanwhile_is_no_difference(pair):  # noqa: F811
    """Each side is right in itself; whether they had the same state when they were read is luck."""
    alpha, _ = pair
    writer = alpha.python("import sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n"
                          "print('begun', flush=True)\n"
                          "for i in range(100):\n d.execute('insert into t values (?)', (i,))\n open(sys.argv[2], 'w').write(str(i))\n", DATABASE,
                          f"{FILES}/main.cfg")
    assert writer.stdout.readline() == "begun\n"
    found = verify(alpha)
    assert found["pbx.book"]["verdict"] == "same"
    assert writer.wait(60) == 0
    alpha.wait_applied(alpha.commit())
    assert {report["verdict"] for report in verify(alpha).values()} == {"same"}, "and when it is quiet they are the same"


def test_it_needs_the_peer(pair):  # noqa: F811
    alpha, beta = pair
    beta.kill()
    alpha.wait(lambda: not alpha.get("Connected"), "gone")
    with pytest.raises(CallError) as refused:
        verify(alpha)
    assert refused.value.name == "org.understudy.Error.NotReachable"
    beta.start()
    alpha.wait(lambda: alpha.get("Connected"), "connected")
    beta.set_role("follow")
    alpha.wait_applied(alpha.commit())
    assert {report["verdict"] for report in verify(alpha).values()} == {"same"}


def test_the_peer_dies_in_the_midst(pair):  # noqa: F811
    alpha, beta = pair
    beta.process.send_signal(19)  # SIGSTOP: it will not answer
    alpha.client.connection.call(None, "/org/understudy/Sync1", "org.understudy.Sync1", "Verify", None, None, 0, 30000, None,
                                 None)
    alpha.wait(lambda: alpha.get("VerifyProgress") >= 0, "under way")
    with pytest.raises(CallError, match="busy"):
        verify(alpha)
    alpha.wait(lambda: alpha.get("VerifyProgress") == -1, "given up", timeout_s=20)
    beta.process.send_signal(18)
    alpha.wait(lambda: alpha.get("Connected"), "connected")
    assert verify(alpha)["pbx.etc"]["verdict"] == "same"
