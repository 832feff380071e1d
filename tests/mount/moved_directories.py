#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What changes below a directory that is renamed all the time is told under the name that the directory
has at that row.

One renames a directory there and back, or exchanges two; others make, write, empty, chmod and remove in
it by a descriptor of it, or have what they removed restored by its path.
"""
import os
import time

from mount_lib import EXCHANGE, MNT, command, expect, last_row, main, renameat2, rows_after

TOP = MNT / "workspaces/moved"
PREFIX = "/workspaces/moved/"
ROUNDS = 600


class Mover:
    """Another process that makes its changes again and again, until this ends."""

    def __init__(self, change):
        self.change = change

    def __enter__(self):
        reading, self.writing = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(reading)
            return self
        os.close(self.writing)
        os.set_blocking(reading, False)
        status = 1
        try:
            while not self.is_over(reading):
                self.change()
            status = 0
        finally:
            os._exit(status)

    @staticmethod
    def is_over(reading):
        try:
            return os.read(reading, 1) == b""
        except BlockingIOError:
            return False

    def __exit__(self, *_):
        os.close(self.writing)
        expect(os.waitpid(self.pid, 0)[1] == 0, "who renames has failed")


def work_in(directory, number):
    name = f"x{number}"
    file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=directory)
    os.write(file, b"%d\n" % number)
    os.close(file)
    os.close(os.open(name, os.O_WRONLY | os.O_TRUNC, dir_fd=directory))
    os.chmod(name, 0o600, dir_fd=directory)
    os.mkdir(f"d{number}", dir_fd=directory)
    os.rmdir(f"d{number}", dir_fd=directory)
    os.unlink(name, dir_fd=directory)


def misplaced(rows, places):
    """Rows of a path below the directory while that had another name; `places`: name -> which."""
    found = []
    for row in rows:
        path, other = (row.get(key, "").removeprefix(PREFIX) for key in ("path", "other"))
        if row["op"] == "rename" and "/" not in path:
            taken = places.pop(path)
            if row.get("exchange"):
                places[path] = places[other]
            places[other] = taken
        elif path.split("/")[0] not in places:
            found.append((row["seq"], row["op"], path))
    return found


def a_directory_that_is_renamed():
    TOP.mkdir()
    (TOP / "d").mkdir()
    (TOP / "d/r").write_text("one\n")
    before = last_row(TOP)

    def there_and_back():
        (TOP / "d").rename(TOP / "e")
        (TOP / "e").rename(TOP / "d")

    directory = os.open(TOP / "d", os.O_DIRECTORY)
    with Mover(there_and_back):
        for number in range(ROUNDS):
            work_in(directory, number)
    rows = list(rows_after(TOP, before))
    expect(sum(row["op"] == "remove" for row in rows) == 2 * ROUNDS, f"{len(rows)} rows")
    wrong = misplaced(rows, {"d": 1})
    expect(not wrong, f"{len(wrong)} of {len(rows)} rows under a name that the directory had not: {wrong[:4]}")
    trash = TOP / ".agentfs/trash"
    gone = set(os.listdir(trash / "d"))
    expect(gone == {f"{kind}{number}" for number in range(ROUNDS) for kind in "xd"}, f"the trash of d has {len(gone)}")
    os.close(directory)


def which_is_which(rows):
    """Each of the two directories has what its rows say, whichever name it has."""
    at = {"f": 1, "g": 2}
    files = {1: set(), 2: set()}
    wrong = []
    for row in rows:
        path, other = (row.get(key, "").removeprefix(PREFIX) for key in ("path", "other"))
        if row.get("exchange"):
            at[path], at[other] = at[other], at[path]
            continue
        top, _, name = path.partition("/")
        if not name or top not in at:
            continue
        there = files[at[top]]
        if row["op"] == "create":
            (wrong.append(row) if name in there else there.add(name))
        elif row["op"] == "remove":
            (there.discard(name) if name in there else wrong.append(row))
    return files, at, wrong


def two_that_are_exchanged():
    descriptors = []
    for name in "fg":
        (TOP / name).mkdir()
        descriptors.append(os.open(TOP / name, os.O_DIRECTORY))
    before = last_row(TOP)
    with Mover(lambda: renameat2(TOP / "f", TOP / "g", EXCHANGE)):
        for number in range(ROUNDS):
            file = os.open(f"{number % 7}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptors[number % 2])
            os.close(file)
            if number % 3:
                os.unlink(f"{number % 7}", dir_fd=descriptors[number % 2])
    rows = list(rows_after(TOP, before))
    files, at, wrong = which_is_which(rows)
    expect(not wrong, f"{len(wrong)} of {len(rows)} rows of a file that is there, or is not: {wrong[:3]}")
    for name, which in at.items():
        expect(set(os.listdir(TOP / name)) == files[which], f"{name}: {os.listdir(TOP / name)}, told {files[which]}")
    for descriptor in descriptors:
        os.close(descriptor)


def what_is_restored_meanwhile():
    for name in "hi":
        (TOP / name).mkdir()
        (TOP / name / "r").write_text("one\n")
        (TOP / name / "r").unlink()
    before = last_row(TOP)
    descriptors = [os.open(TOP / name, os.O_DIRECTORY) for name in "hi"]
    until = time.monotonic() + 10
    with Mover(lambda: renameat2(TOP / "h", TOP / "i", EXCHANGE)):
        for _ in range(ROUNDS):
            try:
                command(TOP / ".agentfs/ctl", "restore h/r")
            except OSError:
                pass  # it was moved away under the restore
            for descriptor in descriptors:
                try:
                    os.unlink("r", dir_fd=descriptor)
                except FileNotFoundError:
                    pass
            if time.monotonic() > until:
                break
    rows = list(rows_after(TOP, before))
    at, has, wrong = {"h": 1, "i": 2}, {1: False, 2: False}, []
    for row in rows:
        path, other = (row.get(key, "").removeprefix(PREFIX) for key in ("path", "other"))
        if row.get("exchange"):
            at[path], at[other] = at[other], at[path]
        elif row["op"] == "rename":
            has[at[other[0]]] = True
        elif path in ("h/r", "i/r") and row["op"] in ("create", "remove"):
            was, has[at[path[0]]] = has[at[path[0]]], row["op"] == "create"
            if was == (row["op"] == "create"):
                wrong.append(row)
    expect(not wrong, f"{len(wrong)} of {len(rows)} rows: {wrong[:3]}")
    expect_none_lay_ready(rows)
    for descriptor in descriptors:
        os.close(descriptor)


def expect_none_lay_ready(rows):
    """What a restore has lying ready for its rename is nobody's work."""
    wrong = [row for row in rows if ".agentfs-" in row["path"]]
    expect(not wrong, f"{len(wrong)} of {len(rows)} rows tell of what lay ready: {wrong[:3]}")
    kept = [path for kind in ("trash", "versions") for path in (TOP / ".agentfs" / kind).rglob(".agentfs-*")]
    expect(not kept, f"{len(kept)} of what lay ready are kept: {kept[:3]}")


def what_is_restored_while_all_is_removed():
    """Also of what lies ready, which a listing has."""
    top = TOP / "k"
    top.mkdir()
    (top / "r").write_text("one\n")
    (top / "r").unlink()
    before = last_row(TOP)

    def remove_all():
        for name in os.listdir(top):
            (top / name).unlink(missing_ok=True)

    with Mover(remove_all):
        for _ in range(ROUNDS):
            try:
                command(TOP / ".agentfs/ctl", "restore k/r")
            except OSError:
                pass  # it was removed under the restore
    rows = list(rows_after(TOP, before))
    expect(any(row["op"] == "remove" for row in rows), f"{len(rows)} rows")
    expect_none_lay_ready(rows)


main(a_directory_that_is_renamed, two_that_are_exchanged, what_is_restored_meanwhile,
     what_is_restored_while_all_is_removed)
