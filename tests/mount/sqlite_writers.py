#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 900
"""SQLite under concurrent writers in both journal modes, while checkpoints are taken; a killed
writer's transaction is rolled back by the next one.

ROUNDS (1) databases a mode; each writer inserts ROWS rows, one or two a transaction.
"""
import os
import signal
import sqlite3

from mount_lib import MNT, command, expect_eq, main

ROUNDS = int(os.environ.get("ROUNDS", "1"))
WRITERS = 3
ROWS = 60
SPACE = MNT / "workspaces/databases"


def connect(path):
    return sqlite3.connect(path, timeout=60, isolation_level=None)


def write_rows(path, writer):
    database = connect(path)
    for number in range(ROWS):
        database.execute("BEGIN IMMEDIATE")
        total = database.execute("SELECT count(*) FROM rows").fetchone()[0]
        database.execute("INSERT INTO rows VALUES (?, ?, ?)", (writer, number, total))
        database.execute("UPDATE total SET n = n + 1")
        database.execute("COMMIT")
    database.close()


def start(act, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            act(*arguments)
            os._exit(0)
        except BaseException as error:  # pylint: disable=broad-except  # told by the exit
            print(f"a writer: {error}", flush=True)
            os._exit(1)
    return pid


def make(path, mode):
    database = connect(path)
    expect_eq(database.execute(f"PRAGMA journal_mode={mode}").fetchone()[0], mode)
    database.execute("CREATE TABLE rows (writer, number, total UNIQUE)")
    database.execute("CREATE TABLE total (n)")
    database.execute("INSERT INTO total VALUES (0)")
    database.close()


def check(path, rows):
    database = connect(path)
    expect_eq(database.execute("PRAGMA integrity_check").fetchone()[0], "ok", str(path))
    expect_eq(database.execute("SELECT n FROM total").fetchone()[0], rows, "the total")
    expect_eq(database.execute("SELECT count(*) FROM rows").fetchone()[0], rows, "the rows")
    database.close()


def write_and_wait(path, told):
    database = connect(path)
    database.execute("PRAGMA cache_size = 1")  # so that most of it reaches the file
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE total SET n = -1")
    database.execute("UPDATE rows SET writer = randomblob(5000)")
    os.write(told, b"x")
    signal.pause()


def a_writer_is_killed(path):
    """In the middle of a transaction: its lock goes with it, and so does what it wrote."""
    ready, tell = os.pipe()
    pid = start(write_and_wait, path, tell)
    os.close(tell)
    expect_eq(os.read(ready, 1), b"x", "what the writer said")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)


def writers(mode):
    for round_number in range(ROUNDS):
        path = SPACE / f"{mode}-{round_number}.db"
        make(path, mode)
        pids = [start(write_rows, path, writer) for writer in range(WRITERS)]
        command(SPACE / ".agentfs/ctl", f"checkpoint {mode}-{round_number}")
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        expect_eq(codes, [0] * WRITERS, "the writers' ends")
        check(path, WRITERS * ROWS)
        a_writer_is_killed(path)
        check(path, WRITERS * ROWS)
        command(SPACE / ".agentfs/ctl", f"fork {mode}-fork-{round_number}")
        check(MNT / f"workspaces/{mode}-fork-{round_number}" / path.name, WRITERS * ROWS)
        write_rows(MNT / f"workspaces/{mode}-fork-{round_number}" / path.name, "of the fork")
        check(path, WRITERS * ROWS)


def rollback_journal():
    SPACE.mkdir()
    writers("delete")


def write_ahead_log():
    writers("wal")


main(rollback_journal, write_ahead_log)
