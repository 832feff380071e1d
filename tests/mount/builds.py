#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What make builds after a merge or a restore is of what is there; a database is merged with no log of another."""
import os
import sqlite3
import threading
import time

from mount_lib import Mount, command, expect, expect_eq, expect_errno, main, need, read, run, tell

M = Mount.of("builds")
SPACES = M / "workspaces"
FILE_CLOCK = 5  # CLOCK_REALTIME_COARSE, by which files have their times
COPIES = "out: in\n\tcp in out\nout2: in2\n\tcp in2 out2\n"


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def make(top, *targets):
    run(["make", "-s", *targets], cwd=top)


def project(name):
    need("make")
    top = SPACES / name
    top.mkdir()
    (top / "Makefile").write_text(COPIES)
    for source in ("in", "in2"):
        (top / source).write_text("1\n")
    make(top, "out", "out2")
    return top


def mount_it():
    M.mount()


def a_source_that_theirs_changed_after_its_build_is_built():
    """And one that was built after its change is not: what comes is as old among itself as it was there."""
    ours = project("order")
    ctl("order", "fork order-1")
    theirs = SPACES / "order-1"
    for source, texts in (("in", ("2\n", "3\n")), ("in2", ("2\n",))):
        for text in texts:
            (theirs / source).write_text(text)
            os.utime(theirs / source)
            if text == "2\n":
                make(theirs, source.replace("in", "out"))
    expect_eq((read(theirs / "in"), read(theirs / "out"), read(theirs / "out2")), ("3\n", "2\n", "2\n"))
    ctl("order", "merge order-1")
    built = (ours / "out2").stat().st_mtime_ns
    make(ours, "out", "out2")
    expect_eq((read(ours / "out"), read(ours / "out2")), ("3\n", "2\n"), "what is built")
    expect_eq((ours / "out2").stat().st_mtime_ns, built, "what was built already")


def what_theirs_built_first_is_built_again_of_what_ours_changed():
    ours = SPACES / "products"
    ours.mkdir()
    (ours / "Makefile").write_text(COPIES)
    (ours / "in").write_text("1\n")
    ctl("products", "fork products-1")
    make(SPACES / "products-1", "out")
    (ours / "in").write_text("2\n")
    ctl("products", "merge products-1")
    make(ours, "out")
    expect_eq(read(ours / "out"), "2\n", "what is built")


def what_was_built_while_a_merge_went_on_is_built_again():
    ours = project("beside")
    (ours / "before").mkdir()  # its files are replaced before `in` is: until then the old one is read
    for number in range(1_000):
        (ours / f"before/{number}").write_text(f"{number}\n")
    ctl("beside", "fork beside-1")
    theirs = SPACES / "beside-1"
    (theirs / "in").write_text("2\n")
    for number in range(1_000):
        (theirs / f"before/{number}").write_text(f"{-number - 1}\n")
    merged = threading.Thread(target=lambda: ctl("beside", "merge beside-1"))
    merged.start()
    begun = []
    while merged.is_alive():
        begun.append(time.clock_gettime_ns(FILE_CLOCK))
        (ours / f"out.{len(begun)}").write_text(read(ours / "in"))
    merged.join()
    expect(begun, "nothing was built meanwhile")
    source = (ours / "in").stat().st_mtime_ns  # who had the old one open by then may end later
    stale = [number for number, began in enumerate(begun, 1)
             if read(ours / f"out.{number}") == "1\n" and began > source]
    expect_eq(stale, [], f"of {len(begun)} copies those of the old file that were begun after the new one's time")


def what_a_restore_puts_in_the_place_of_another_is_built():
    top = project("restored")
    (top / "in").write_text("bad\n")
    make(top, "out")
    ctl("restored", "restore in")
    expect_eq(read(top / "in"), "1\n", "restored")
    make(top, "out")
    expect_eq(read(top / "out"), "1\n", "what is built")
    before = (top / "in2").stat().st_mtime_ns
    (top / "in2").unlink()
    ctl("restored", "restore in2")
    expect_eq((top / "in2").stat().st_mtime_ns, before, "the time of what was removed")


def rows_of(path):
    with sqlite3.connect(path) as database:
        expect_eq(database.execute("pragma integrity_check").fetchone(), ("ok",), str(path))
        return [row[0] for row in database.execute("select a from t order by a")]


def end_with_a_log(path, text):
    """A program that is killed leaves what it has committed in the log."""
    run(["python3", "-c", "import os, sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\n"
         "d.execute('insert into t values(?)', (sys.argv[2],))\nd.commit()\nos._exit(0)", path, text])


def a_database_that_both_sides_changed_loses_no_side():
    for name, one, other in (("log-ours", "log-ours", "log-ours-1"), ("log-theirs", "log-theirs-1", "log-theirs")):
        ours = SPACES / name
        ours.mkdir()
        with sqlite3.connect(ours / "db") as database:
            database.execute("pragma journal_mode=wal")
            database.execute("create table t(a)")
            database.executemany("insert into t values(?)", ((f"{number:04}" * 20,) for number in range(500)))
        database.close()
        ctl(name, f"fork {name}-1")
        end_with_a_log(SPACES / one / "db", "log")
        expect((SPACES / one / "db-wal").stat().st_size > 0, "no log")
        with sqlite3.connect(SPACES / other / "db") as database:
            database.execute("insert into t values('pages')")
        database.close()
        expect_errno("EBUSY", tell, ours / ".agentfs/ctl", f"merge {name}-1\n")
        told = [read(path) for path in (ours / ".agentfs/conflicts").glob("*/about")]
        expect(told and all("both are of one database" in line for line in told), f"{name}: {told}")
        expect_eq(rows_of(SPACES / one / "db")[500:], ["log"], one)
        expect_eq(rows_of(SPACES / other / "db")[500:], ["pages"], other)


main(mount_it, a_source_that_theirs_changed_after_its_build_is_built,
     what_theirs_built_first_is_built_again_of_what_ours_changed,
     what_was_built_while_a_merge_went_on_is_built_again,
     what_a_restore_puts_in_the_place_of_another_is_built,
     a_database_that_both_sides_changed_loses_no_side)
