#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What several processes change in one workspace is told in an order that makes the same tree of nothing.

They make, link, rename, exchange, remove and restore files and directories of few names, so that they are
in each other's way, by paths and by descriptors of directories that others rename meanwhile. SEED (1) and
ROUNDS (6) of a second are taken from the environment.
"""
import os
import random
import time

from mount_lib import EXCHANGE, MNT, command, expect, expect_eq, last_row, main, renameat2, rows_after

TOP = MNT / "workspaces/told"
PREFIX = "/workspaces/told/"
PROCESSES = 5
SEED = int(os.environ.get("SEED", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "6"))
MAKES = ("create", "mkdir", "symlink", "link")


class Worker:
    """One of the processes: each step is a change that the others may make impossible."""

    def __init__(self, number):
        self.rng = random.Random(f"{SEED}-{number}")
        self.held = []
        self.steps = [self.write] * 4 + [self.remove] * 3 + [self.make_directory] * 3 + \
            [self.remove_directory, self.rename, self.rename, self.rename_directory] + \
            [self.exchange] * 2 + [self.link, self.symlink, self.hold, self.restore] + \
            [self.work_in_held] * 2

    def run(self, until):
        while time.monotonic() < until:
            try:
                self.rng.choice(self.steps)()
            except OSError:
                pass  # it is not there, or is in the way

    def directory(self):
        return "/".join(self.rng.choice("ABC") for _ in range(self.rng.randint(1, 3)))

    def name(self):
        return self.rng.choice("abcd")

    def file(self):
        return os.path.join(self.directory() if self.rng.random() < 0.7 else "", self.name())

    def write(self):
        file = os.open(self.file(), os.O_CREAT | os.O_WRONLY | self.rng.choice([0, os.O_EXCL]), 0o644)
        os.write(file, b"x" * self.rng.randint(0, 9))
        os.close(file)

    def remove(self):
        os.unlink(self.file())

    def make_directory(self):
        os.mkdir(self.directory())

    def remove_directory(self):
        os.rmdir(self.directory())

    def rename(self):
        os.rename(self.file(), self.file())

    def rename_directory(self):
        os.rename(self.directory(), self.directory())

    def exchange(self):
        place = self.rng.choice([self.file, self.directory])
        renameat2(place(), place(), EXCHANGE)

    def link(self):
        os.link(self.file(), self.file())

    def symlink(self):
        os.symlink("elsewhere", self.file())

    def hold(self):
        self.held.append(os.open(self.directory(), os.O_DIRECTORY))
        if len(self.held) > 4:
            os.close(self.held.pop(0))

    def work_in_held(self):
        directory = self.rng.choice(self.held or [os.open(".", os.O_DIRECTORY)])
        step = self.rng.randrange(3)
        if step == 0:
            os.close(os.open(self.name(), os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=directory))
        elif step == 1:
            os.unlink(self.name(), dir_fd=directory)
        else:
            os.rename(self.name(), self.name(), src_dir_fd=directory, dst_dir_fd=directory)

    def restore(self):
        command(".agentfs/ctl", f"restore {self.rng.choice([self.file, self.directory])()}")


class Told:
    """The tree that the rows make: of a directory what is in it, of all else None."""

    def __init__(self):
        self.top = {}

    def place(self, path):
        *above, name = path.removeprefix(PREFIX).split("/")
        directory = self.top
        for each in above:
            directory = directory[each]
        return directory, name

    def follow(self, row):
        """Raises KeyError where there is nothing to be changed like that."""
        directory, name = self.place(row["path"])
        if row["op"] in MAKES:
            if name in directory:
                raise KeyError(name)
            directory[name] = {} if row["op"] == "mkdir" else None
        elif row["op"] == "remove":
            if directory.pop(name):
                raise KeyError(name)
        elif row["op"] == "rename":
            target, new = self.place(row["other"])
            if row.get("exchange"):
                directory[name], target[new] = target[new], directory[name]
            else:
                target[new] = directory.pop(name)


def tree(top):
    with os.scandir(top) as entries:
        return {entry.name: tree(entry.path) if entry.is_dir(follow_symlinks=False) else None
                for entry in entries}


def all_at_once():
    until = time.monotonic() + ROUNDS
    children = []
    for number in range(PROCESSES):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.chdir(TOP)
                Worker(number).run(until)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for child in children:
        expect_eq(os.waitpid(child, 0)[1], 0, "a process that changes names")


def what_is_told_makes_the_tree():
    TOP.mkdir()
    before = last_row(TOP)
    all_at_once()
    told, wrong, rows = Told(), [], list(rows_after(TOP, before))
    for number, row in enumerate(rows):
        try:
            told.follow(row)
        except (KeyError, TypeError):
            wrong.append(rows[max(0, number - 3):number + 2])
    expect(len(rows) > 100, f"{len(rows)} rows")
    expect(not wrong, f"seed {SEED}: {len(wrong)} of {len(rows)} rows do not follow from those before: {wrong[:2]}")
    expect_eq(told.top, tree(TOP), f"seed {SEED}: the tree that the rows make")


main(what_is_told_makes_the_tree)
