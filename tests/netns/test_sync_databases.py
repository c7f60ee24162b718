# SPDX-License-Identifier: LGPL-2.1-or-later
"""SQLite databases from the Master to the Backup: whole, while they are written, and never beside an old journal."""

import contextlib
import os
import subprocess

import pytest
from database_lab import TABLE, has_table, leave_wal, look
from sync_lab import BOOK, DATABASE, CallError, lab, pair  # noqa: F401  (fixtures)


WRITER = """
import random, select, sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
database.execute(f"PRAGMA journal_mode={sys.argv[2]}")
database.execute("PRAGMA synchronous=OFF")
database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
n = 0
while not select.select([sys.stdin], [], [], 0.002)[0]:
    n += 1
    text = random.Random(n).randbytes(random.Random(n).randrange(10, 4000)).hex()
    database.execute("BEGIN")
    database.execute("INSERT INTO t VALUES (?, ?, ?)", (n, text, text))
    database.execute("DELETE FROM t WHERE id < ?", (n - 60,))
    database.execute("COMMIT")
database.close()
print(n)
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("path", [DATABASE, BOOK], ids=["volatile", "config"])
def test_a_live_database(pair, lab, mode, path):  # noqa: F811
    alpha, beta = pair
    writer = alpha.python(WRITER, path, mode)
    try:
        beta.wait(lambda: beta.at(path).exists() and has_table(beta.at(path)), "the database comes, with its table")
        seen = set()
        for _ in range(8):
            applied = len([s for s in beta.signals("AppliedHere")])
            beta.wait(lambda n=applied: len(beta.signals("AppliedHere")) > n, "a snapshot")
            seen.add(look(beta.at(path)))
        assert len(seen) >= 4, "it goes on while it is written"
    finally:
        last = int(writer.communicate("stop")[0])
    lab.in_step()
    assert look(beta.at(path)) == last
    # Nobody writes any more: there is nothing to commit any more either.
    head = alpha.get("Stored")
    assert alpha.commit() == head


COMES_AND_GOES = """
import os, sqlite3, sys, time
os.setgid(65534)
os.setuid(65534)
for n in range(int(sys.argv[2])):
    deadline = time.monotonic() + 1
    while True:
        try:
            database = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
            database.execute("PRAGMA journal_mode=wal")
            database.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
            database.execute("INSERT INTO t VALUES (?, 'x', 'x')", (n,))
            database.close()
            break
        except sqlite3.OperationalError as error:
            database.close()  # a connection that found -shm not its own goes on to say so; the application is started again
            if time.monotonic() > deadline:
                sys.exit(f"{error}: {sorted(os.listdir(os.path.dirname(sys.argv[1])))}")
"""


def test_an_application_that_opens_its_database_again_and_again(pair, lab):  # noqa: F811
    """It may close, and take -wal and -shm away, between our look and our opening: the ones that we make then must be its own."""
    alpha, beta = pair
    os.chown(alpha.at(os.path.dirname(BOOK)), 65534, 65534)
    user = alpha.python(COMES_AND_GOES, BOOK, 2000, stderr=subprocess.PIPE)
    while user.poll() is None:
        with contextlib.suppress(CallError):  # busy, when it was opened while it was copied as a file: the next commit has it
            alpha.commit()
    assert user.communicate()[1] == "" and user.returncode == 0
    assert alpha.process.poll() is None, alpha.log.read_text()[-3000:]
    lab.in_step()
    assert look(beta.at(BOOK)) == 1999


def test_rows_in_the_wal_of_a_dead_application_travel(pair, lab):  # noqa: F811
    alpha, beta = pair
    leave_wal(alpha, 7)
    assert alpha.at(f"{BOOK}-wal").exists()
    lab.in_step()
    assert look(beta.at(BOOK)) == 7


def test_who_led_before_brings_in_what_its_dead_application_left(pair, lab):  # noqa: F811
    """The database is the same, but a takeover would wait for SQLite to read -wal and to write it all to the disk."""
    alpha, beta = pair
    leave_wal(alpha, 7)
    lab.in_step()
    beta.set_role("lead", term=2)
    alpha.set_role("follow", term=2)
    alpha.wait(lambda: not alpha.at(f"{BOOK}-wal").exists() and alpha.get("Activity") == "idle", "-wal is no more")
    assert look(alpha.at(BOOK)) == 7
    assert alpha.get("Diverged") == beta.get("Diverged") == []


def test_old_journals_go_before_a_new_database_comes(pair, lab):  # noqa: F811
    """A new database beside an old -wal would open with the old rows and be found sound."""
    alpha, beta = pair
    leave_wal(beta, 99)
    alpha.sql(BOOK, TABLE, "INSERT INTO t VALUES (1, 'x', 'x')")
    lab.in_step()
    assert look(beta.at(BOOK)) == 1
    kept = beta.wait(lambda: beta.get("Diverged"), "what was there is kept")[-1]
    beta.sql(BOOK, "INSERT INTO t VALUES (2, 'x', 'x')")
    blob = subprocess.run(["nsenter", f"--target={beta.holder.pid}", "--mount", "--root", "--wd", "git", "--git-dir=/var/lib/understudy/sync/repo.git",
                           "show", f"{kept}:pbx.book/book.sqlite"], capture_output=True, check=True).stdout
    (beta.lab.folder / "kept.sqlite").write_bytes(blob)
    assert look(beta.lab.folder / "kept.sqlite") == 99


def test_a_database_in_use_on_the_backup_is_not_replaced(pair, lab):  # noqa: F811
    alpha, beta = pair
    alpha.sql(BOOK, TABLE)
    lab.in_step()
    user = beta.python("import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.execute('SELECT count(*) FROM t').fetchone()\n"
                       "print('open', flush=True)\nsys.stdin.read()", BOOK)
    assert user.stdout.readline() == "open\n"
    alpha.sql(BOOK, "INSERT INTO t VALUES (1, 'x', 'x')")
    beta.wait(lambda: "in-use" in beta.get("LastError"), "it says so")
    user.communicate()
    beta.sync("SyncNow")
    assert look(beta.at(BOOK)) == 1
    beta.wait(lambda: beta.get("LastError") == "", "and no more")
