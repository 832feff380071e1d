#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two who change one name at once: the rows of it are in the order in which it changed, and what went
is in the trash, whichever came first.

A removal meets a restore, which the daemon makes itself, or an open that empties the file; the host's
kernel keeps neither apart from it. Other processes keep the CPUs busy, so that one is often put aside
half-way.
"""
import os
import signal
import threading

from mount_lib import MNT, Mount, command, expect, last_row, main, read, rows_after

TOP = MNT / "workspaces/one-name"
ROUNDS = 300
STEPS = 40
SAVES = 1500


class Busy:
    """As many processes that do nothing but keep a CPU as there are, and one more."""

    def __enter__(self):
        self.pids = []
        for _ in range((os.cpu_count() or 1) + 1):
            pid = os.fork()
            while pid == 0:
                pass
            self.pids.append(pid)

    def __exit__(self, *_):
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def at_once(*acts):
    start = threading.Barrier(len(acts))

    def run(act):
        start.wait()
        try:
            act()
        except FileNotFoundError:
            pass

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def restore(path):
    def act():
        versions = TOP / ".agentfs/versions" / path.relative_to(TOP)
        number = max(name for name in os.listdir(versions) if name.isdigit())
        command(TOP / ".agentfs/ctl", f"restore {path.relative_to(TOP)} {number}")
    return act


def empty(path):
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def remove_after(path, steps):
    """So that it meets each moment of the other."""
    def act():
        for _ in range(steps * 1000):
            pass
        path.unlink()
    return act


def race(kind, other):
    directory = TOP / kind
    directory.mkdir()
    paths = [directory / f"f{number}" for number in range(ROUNDS)]
    for path in paths:
        path.write_text("one\n")
        path.write_text("and two\n")
    before = last_row(TOP)
    with Busy():
        for number, path in enumerate(paths):
            at_once(other(path), remove_after(path, number % STEPS))
    rows = {}  # of each path, in order: the operation, and the version that it has kept
    for row in rows_after(TOP, before):
        rows.setdefault(row["path"], []).append((row["op"], row.get("version")))
    gone = TOP / ".agentfs/trash" / kind
    trash = os.listdir(gone) if gone.exists() else []  # each may have come back
    for path in paths:
        told = rows[f"/workspaces/one-name/{kind}/{path.name}"]
        is_there = path.exists()
        is_told = told[-1][0] != "remove"
        expect(is_told == is_there or other is empty, f"{path.name} is there: {is_there}; {told}")
        expect(is_there or path.name in trash, f"{path.name} is gone, and not in the trash; {told}")
        kept = [version for _, version in told if version]
        expect(kept == sorted(kept), f"{path.name}: the versions that its rows tell of are {kept}; {told}")


def a_removal_and_a_restore():
    TOP.mkdir()
    race("restored", restore)


def a_removal_and_an_open_that_empties():
    race("emptied", empty)


def save(path, text):
    """With a backup by a link, as editors do."""
    backup = path.with_name(path.name + "~")
    backup.unlink(missing_ok=True)
    try:
        os.link(path, backup)
    except FileExistsError:
        pass  # restored just now
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.rename(path)


def two_names_of_a_file_that_go_at_once():
    """One is replaced by a restore, one by a save: what the file held is kept by whichever comes last."""
    top = TOP / "names"
    top.mkdir()
    path = top / "f"
    path.write_text("first")
    saving = os.fork()
    if saving == 0:
        status = 1
        try:
            for number in range(SAVES):
                save(path, f"<{number}>")
            status = 0
        finally:
            os._exit(status)
    ended = 0
    while not ended:
        try:
            command(TOP / ".agentfs/ctl", "restore names/f~")
        except OSError:
            pass  # there is none just now
        ended, status = os.waitpid(saving, os.WNOHANG)
    expect(status == 0, "who saves has failed")
    places = [top, *(TOP / ".agentfs" / kept / "names" for kept in ("versions", "trash"))]
    found = {file.read_text() for place in places for file in place.rglob("*") if file.is_file()}
    lost = {f"<{number}>" for number in range(SAVES)} - found
    expect(not lost, f"{len(lost)} of {SAVES} contents that were saved are nowhere: {sorted(lost)[:5]}")


def append(path, number):
    with open(path, "ab") as file:
        file.write(b"%d\n" % number)


def an_open_that_empties_and_others_that_grow_or_cut():
    """What each of them took away has a row: nothing is kept that no row tells of."""
    path = TOP / "grows"
    path.write_text("first\n")
    before = last_row(TOP)
    versions = TOP / ".agentfs/versions/grows"
    with Busy():
        for number in range(4 * ROUNDS):
            path.write_bytes(b"" if number % 2 else b"some\n")
            at_once(empty(path), lambda: os.truncate(path, 3), lambda: append(path, number))
    told = {row["version"] for row in rows_after(TOP, before) if "version" in row}
    kept = {int(number) for number in os.listdir(versions) if number.isdigit()}
    expect(kept <= told, f"{len(kept - told)} versions of {len(kept)} that no row tells of: {sorted(kept - told)[:5]}")
    mount = Mount()
    mount.umount()
    mount.mount()
    adopted = {int(number) for number in os.listdir(versions) if number.isdigit()} - told
    expect(not adopted, f"{len(adopted)} contents that no row told of: {sorted(adopted)[:5]}")


main(a_removal_and_a_restore, a_removal_and_an_open_that_empties, two_names_of_a_file_that_go_at_once,
     an_open_that_empties_and_others_that_grow_or_cut)
