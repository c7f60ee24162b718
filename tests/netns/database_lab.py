# SPDX-License-Identifier: LGPL-2.1-or-later
"""Databases of an application, as they are left, copied, and looked at."""

import contextlib
import os
import sqlite3
import tempfile

from sync_lab import BOOK

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)"


def leave_wal(device, row):
    """As kill -9 of an application leaves it: rows only in -wal."""
    code = ("import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1], isolation_level=None)\nd.execute('PRAGMA journal_mode=wal')\n"
            "d.execute(sys.argv[2])\nd.execute(sys.argv[3])\nos._exit(0)")
    device.python(code, BOOK, TABLE, f"INSERT INTO t VALUES ({row}, 'x', 'x')").communicate()


@contextlib.contextmanager
def copied(path):
    """A connection to a copy of the database: SQLite resolves paths itself, so ours of the device lead it astray."""
    handle, copy = tempfile.mkstemp(suffix=".sqlite")
    with open(path, "rb") as source, open(handle, "wb") as target:
        target.write(source.read())
    database = sqlite3.connect(copy)
    try:
        yield database
    finally:
        database.close()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(f"{copy}{suffix}"):
                os.unlink(f"{copy}{suffix}")


def has_table(path):
    """Whether the application had come to make its table when the snapshot was taken."""
    with copied(path) as database:
        return database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 1


def look(path):
    """Newest row of a database that nobody writes, and whether it is sound: with none of its companions."""
    for suffix in ("-wal", "-shm", "-journal"):
        assert not os.path.exists(f"{path}{suffix}")
    with copied(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert database.execute("SELECT count(*) FROM t WHERE a <> b").fetchone()[0] == 0
        return database.execute("SELECT coalesce(max(id), 0) FROM t").fetchone()[0]
