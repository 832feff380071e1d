#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 900
# mount: none
"""Readers and writers of one file in two trees, by read, write, mmap, O_TRUNC and rename-over, in
random orders of opening, some of them from before the fork: no byte crosses.

A model says what each handle and each name holds; all are compared after each step. ROUNDS (4)
forks of CASES files each, SEED (1) from the environment.
"""
import errno
import mmap
import os
import random

from mount_lib import OPTIONS, Mount, command, expect, expect_eq, fail, main

ROUNDS = int(os.environ.get("ROUNDS", "4"))
SEED = int(os.environ.get("SEED", "1"))
CASES = 60
STEPS = 10
LENGTH = 3 * mmap.PAGESIZE
M = Mount.of("crossing")
SPACES = M / "workspaces"


class Inode:
    """The bytes that one file of one tree holds."""

    def __init__(self, data):
        self.data = bytearray(data)


class Handle:
    """An open descriptor, perhaps mapped, and what it must show."""

    def __init__(self, path, inode, flags, mapped):
        self.inode, self.memory = inode, None
        self.writes = flags & os.O_ACCMODE != os.O_RDONLY
        self.fd = os.open(path, flags)
        if flags & os.O_TRUNC:
            inode.data[:] = b""
        if mapped and len(inode.data) == LENGTH:
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if self.writes else 0)
            self.memory = mmap.mmap(self.fd, LENGTH, prot=protection)

    def write(self, at, text):
        """In memory where it is mapped, and then told to the file, as msync does."""
        end = at + len(text)
        if self.memory is not None and len(self.inode.data) == LENGTH:
            self.memory[at:end] = text
            self.memory.flush()
        else:
            os.pwrite(self.fd, text, at)
        if len(self.inode.data) < end:
            self.inode.data.extend(bytes(end - len(self.inode.data)))
        self.inode.data[at:end] = text

    def shows(self):
        """What is wrong with what it shows, or ""."""
        seen = os.pread(self.fd, 2 * LENGTH, 0)
        if seen != self.inode.data:
            return f"read gave {shown(seen)}; wanted {shown(self.inode.data)}"
        if self.memory is not None and len(self.inode.data) == LENGTH:
            seen = self.memory[:]
            if seen != self.inode.data:
                return f"memory shows {shown(seen)}; wanted {shown(self.inode.data)}"
        return ""

    def close(self):
        if self.memory is not None:
            self.memory.close()
        os.close(self.fd)


def shown(data):
    """Where the letters of a content change."""
    runs, before = [], None
    for at, byte in enumerate(data):
        if byte != before:
            runs.append(f"{at}:{chr(byte) if byte else '0'}")
            before = byte
    return f"{len(data)} bytes, " + " ".join(runs[:12])


class Case:
    """One file of a workspace and of its fork."""

    def __init__(self, rng, number, parent, fork):
        self.random, self.number = rng, number
        self.parent, self.fork = parent, fork
        self.inodes = {parent: Inode(b"o" * LENGTH)}
        self.handles = []
        self.log = []
        self.letters = iter("abcdefghijklmnpqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" * 4)
        self.path(parent).write_bytes(self.inodes[parent].data)

    def path(self, tree):
        return SPACES / tree / str(self.number)

    def step(self):
        tree = self.random.choice(sorted(self.inodes))
        kinds = ["open", "map", "open-write", "map-write", "write", "write", "write", "whole",
                 "truncate", "replace", "remove", "append", "copy", "cut", "close"]
        kind = self.random.choice(kinds)
        self.log.append(f"{kind} in {tree}")
        getattr(self, "do_" + kind.replace("-", "_"))(tree)
        self.check()

    def open(self, tree, flags, mapped):
        self.handles.append((tree, Handle(self.path(tree), self.inodes[tree], flags, mapped)))

    def do_open(self, tree):
        self.open(tree, os.O_RDONLY, False)

    def do_map(self, tree):
        self.open(tree, os.O_RDONLY, True)

    def do_open_write(self, tree):
        self.open(tree, os.O_RDWR, False)

    def do_map_write(self, tree):
        self.open(tree, os.O_RDWR, True)

    def do_write(self, tree):
        """By a handle that is open, if there is one."""
        writers = [handle for where, handle in self.handles if where == tree and handle.writes]
        if not writers:
            return self.do_open_write(tree)
        at = self.random.choice((0, 100, mmap.PAGESIZE - 50, mmap.PAGESIZE, LENGTH - 100))
        self.random.choice(writers).write(at, next(self.letters).encode() * 100)
        return None

    def do_whole(self, tree):
        """As a shell's > does."""
        data = next(self.letters).encode() * LENGTH
        self.path(tree).write_bytes(data)
        self.inodes[tree].data[:] = data

    def do_truncate(self, tree):
        self.open(tree, os.O_RDWR | os.O_TRUNC, False)

    def do_cut(self, tree):
        """Never under a mapping: touching it would be the end of this process."""
        if any(handle.memory is not None and handle.inode is self.inodes[tree]
               for _, handle in self.handles):
            return
        os.truncate(self.path(tree), 100)
        self.inodes[tree].data[:] = self.inodes[tree].data[:100].ljust(100, b"\0")

    def do_replace(self, tree):
        data = next(self.letters).encode() * LENGTH
        beside = self.path(tree).with_suffix(".new")
        beside.write_bytes(data)
        os.rename(beside, self.path(tree))
        self.inodes[tree] = Inode(data)

    def do_remove(self, tree):
        self.path(tree).unlink()
        data = next(self.letters).encode() * LENGTH
        self.path(tree).write_bytes(data)
        self.inodes[tree] = Inode(data)

    def do_append(self, tree):
        data = next(self.letters).encode() * 100
        with open(self.path(tree), "ab", buffering=0) as file:
            file.write(data)
        self.inodes[tree].data += data

    def do_copy(self, tree):
        """copy_file_range from the other tree's file, once there is one."""
        other = next((each for each in self.inodes if each != tree), tree)
        source = self.inodes[other].data[:mmap.PAGESIZE]
        if other == tree or not source:
            return
        with open(self.path(other), "rb") as file, open(self.path(tree), "r+b") as into:
            done = os.copy_file_range(file.fileno(), into.fileno(), len(source))
        data = self.inodes[tree].data
        data[:done] = source[:done]

    def do_close(self, _tree):
        if self.handles:
            self.handles.pop(self.random.randrange(len(self.handles)))[1].close()

    def check(self):
        for tree, inode in self.inodes.items():
            seen = self.path(tree).read_bytes()
            if seen != inode.data:
                fail(f"{self.path(tree)}: saw {shown(seen)}; wanted {shown(inode.data)}; "
                     f"{self.log}")
        for number, (tree, handle) in enumerate(self.handles):
            wrong = handle.shows()
            expect(not wrong, f"handle {number} of {self.path(tree)}: {wrong}; {self.log}")

    def fork_it(self):
        self.inodes[self.fork] = Inode(self.inodes[self.parent].data)
        self.log.append("fork")

    def end(self):
        for _, handle in self.handles:
            handle.close()
        self.handles.clear()
        self.log.append("all closed")
        self.check()


def fork_them(cases, parent, fork):
    """With all that is open; but with what is open past the daemon it is refused."""
    control = SPACES / parent / ".agentfs/ctl"
    try:
        command(control, f"fork {fork}")
    except OSError as error:
        expect(error.errno == errno.EBUSY and "passthrough" in OPTIONS, f"fork: {error}")
        for case in cases:
            case.end()
        command(control, f"fork {fork}")


def no_byte_crosses():
    M.mount()
    for number in range(ROUNDS):
        rng = random.Random(f"{SEED}-{number}")
        parent, fork = f"p{number}", f"f{number}"
        (SPACES / parent).mkdir()
        cases = [Case(rng, each, parent, fork) for each in range(CASES)]
        try:
            for case in cases:
                for _ in range(rng.randrange(5)):
                    case.step()
            fork_them(cases, parent, fork)
            for case in cases:
                case.fork_it()
                case.check()
            for case in cases:
                for _ in range(STEPS):
                    case.step()
            for case in cases:
                case.end()
        except AssertionError as error:
            raise AssertionError(f"round {number} of {ROUNDS}, SEED={SEED}: {error}") from error
    print(f"{ROUNDS} forks, {ROUNDS * CASES} files, {STEPS} steps and more each: no byte crossed")


def after_the_daemon_too():
    wanted = {path: path.read_bytes() for path in SPACES.glob("*/*") if path.is_file()}
    M.umount()
    M.mount()
    for path, data in wanted.items():
        expect_eq(path.read_bytes(), data, str(path))
    M.umount()


main(no_byte_crosses, after_the_daemon_too)
