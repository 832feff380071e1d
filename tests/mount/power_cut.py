#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 1500
# mount: none
"""The power goes, at any instant, while a workspace is changed, forked, merged and taken back, or
while commands on an overlay change it (fs=fast).

The state lies on ext4 on a disk that remembers in which order it was written. Each operation, or
of every second disk each third one, is followed by fsync of what it made. Then the disk is put
together as it was at random instants, of what was not flushed by then only some, and mounted: all
that was synced before is there, what came after it has happened up to one or another, and the
journal is whole and knows of all that was synced. ROUNDS (2) disks of each kind, CUTS instants of
each; SEED (1).
"""
import os
import random
import struct
import subprocess
import time
import types

from mount_lib import (AGENTFS, TESTDIR, Mount, command, expect, expect_has, in_own_mounts, main,
                       need, run, skip, wait_until, within)
from tree_model import PATHS, World, compare, do

if os.geteuid() != 0:
    skip("not root, who alone can mount a disk")
if not os.path.exists("/dev/loop-control"):
    skip("no loop devices to be had")
in_own_mounts("POWER_CUT_INSIDE")

ROUNDS = int(os.environ.get("ROUNDS", "2"))
CUTS = 5
SEED = int(os.environ.get("SEED", "1"))
OPERATIONS = 60     # of a disk
COMMANDS = 30       # of one that commands on an overlay change
MIB = 96            # its size
HEAD = struct.Struct("=QQ")
FLUSH = (1 << 64) - 1
DISK = TESTDIR / "disk"


class LoggedDisk:
    """ext4 on a file that remembers, mounted at DISK."""

    def __init__(self, number):
        top = TESTDIR / f"power-{number}"
        (top / "raw").mkdir(parents=True)
        self.image, self.log, self.raw = top / "image", top / "log", top / "raw"
        make_image(self.image)
        self.begun = self.image.read_bytes()
        program = os.path.join(os.path.dirname(AGENTFS), "tests/logged_disk")
        run([program, self.image, self.log, self.raw])
        wait_until(10, (self.raw / "disk").exists, "the disk")
        run(["mount", "-o", "loop,commit=1", self.raw / "disk", DISK])

    def position(self):
        return self.log.stat().st_size

    def end(self):
        unmount(DISK)
        unmount(self.raw)

    def entries(self):
        """Position behind it, offset, bytes: each write, and each flush as FLUSH."""
        log, at = self.log.read_bytes(), 0
        while at + HEAD.size <= len(log):
            offset, length = HEAD.unpack_from(log, at)
            at += HEAD.size + length
            yield at, offset, log[at - length:at]

    def cut(self, position, rng, image):
        """As it may be found when the power goes there: what was not flushed is there or not."""
        disk, waiting = bytearray(self.begun), []
        for behind, offset, data in self.entries():
            if behind > position:
                break
            if offset == FLUSH:
                write_all(disk, waiting)
                waiting = []
            else:
                waiting.append((offset, data))
        share = rng.choice((0, 0.5, 1))
        write_all(disk, [one for one in waiting if rng.random() < share])
        image.write_bytes(disk)


def unmount(place):
    """The watcher, and the loop device, let go of it a moment after the daemon's end."""
    wait_until(20, lambda: subprocess.run(["umount", place], capture_output=True,
                                          check=False).returncode == 0, f"umount {place}")


def write_all(disk, writes):
    for offset, data in writes:
        disk[offset:offset + len(data)] = data


def make_image(image):
    with open(image, "wb") as file:
        file.truncate(MIB << 20)
    run(["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image])


def touched(world, operation):
    """The files that an operation writes, as (tree, path)."""
    verb, *words = operation
    if verb == "command":
        return [file for one in words for file in touched(world, one)]
    if verb == "write":
        return [(words[0], words[1])]
    if verb in ("remove", "restore", "rename"):
        return [(world.space, path) for path in words]
    if verb == "merge":
        return [(world.space, path) for path in world.trees[words[0]]]
    return []


def sync(mount, world, operation):
    """What a careful program does: each file, then the directory."""
    places = []
    for tree, path in touched(world, operation):
        file = mount / "workspaces" / tree / path
        places += [file, file.parent, mount / "workspaces" / tree]
    for place in [*places, mount / "workspaces" / world.space, mount / "workspaces"]:
        if place.exists():  # and is not gone again
            sync_one(place)


def sync_one(path):
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


class Round:
    """One disk: what was done on it, and until when each was synced."""
    kind, most, world = "disk", OPERATIONS, World

    def __init__(self, number):
        self.number, self.rng = number, random.Random(f"{SEED}-{number}")
        self.disk = LoggedDisk(f"{self.kind}-{number}")
        self.mount = Mount(DISK / "mnt", DISK / "state")
        self.mount.mnt.mkdir()
        self.mount.state.mkdir(mode=0o700)
        self.share = 1 if number % 2 else 0.3  # of the operations that are synced
        self.worlds, self.operations = [], []
        self.synced = []  # how many operations, the position on the disk, the journal's head

    def work(self):
        self.mount.mount()
        world = self.world("s")
        for path in PATHS:
            (self.mount / "workspaces/s" / path).parent.mkdir(parents=True, exist_ok=True)
            sync_one((self.mount / "workspaces/s" / path).parent)
        for directory in ("workspaces/s/d0", "workspaces/s/d1", "workspaces/s", "workspaces"):
            sync_one(self.mount / directory)
        self.note(world)
        for _ in range(self.most):
            operation = world.choose(self.rng)
            self.do(world, operation)
            self.operations.append(operation)
            world = world.after(operation)
            if self.rng.random() < self.share:
                self.sync()
                self.note(world)
            else:
                self.worlds.append(world)
        self.sync()
        self.synced.append((self.most, self.disk.position(), self.mount.head()))
        self.mount.umount()
        self.disk.end()

    def do(self, world, operation):
        do(self.mount, world, operation)

    def note(self, world):
        self.worlds.append(world)
        self.synced.append((len(self.operations), self.disk.position(), self.mount.head()))

    def sync(self):
        """What was done since the last time."""
        for done in range(self.synced[-1][0], len(self.operations)):
            sync(self.mount, self.worlds[done], self.operations[done])
        if self.share < 1:  # forks have files that nobody has synced by name
            run(["sync", "-f", DISK])

    def look(self):
        """Cuts the power CUTS times."""
        image = TESTDIR / "cut"
        for cut in range(CUTS):
            position = self.rng.randrange(self.synced[0][1], self.synced[-1][1])
            self.disk.cut(position, self.rng, image)
            begin = max(one for one in self.synced if one[1] <= position)
            end = min((one[0] for one in self.synced if one[1] > position), default=self.most)
            what = f"{self.kind} {self.number}, cut {cut} at {position}, SEED={SEED}: {begin[0]} operations, " \
                   f"then perhaps {self.operations[begin[0]:end]}"
            run(["mount", "-o", "loop", image, DISK])
            try:
                self.check(begin, end, what)
            finally:
                unmount(DISK)

    def check(self, begin, end, what):
        output = self.mount.fsck(code=None)
        self.mount.mount()
        try:
            expect("FAIL" not in output, f"{what}: fsck: {output}")
            free = set()
            for done in range(begin[0], end):
                free |= {path for _, path in touched(self.worlds[done], self.operations[done])}
            wrong = [compare(self.mount, world, free) for world in self.worlds[begin[0]:end + 1]]
            expect("" in wrong, f"{what}: {wrong}")
            expect(self.mount.head() >= begin[2], f"{what}: the journal ends at "
                   f"{self.mount.head()}; it was synced to {begin[2]}")
            self.mount.verify()
        finally:
            self.mount.umount()


class Commands(World):
    """What commands of one to four steps make of a workspace that is not forked."""

    def choose(self, rng):
        world, steps = self, []
        for _ in range(rng.randrange(1, 5)):
            kind = rng.choice(("choose_write", "choose_remove", "choose_rename"))
            steps.append(getattr(world, kind)(rng, []))
            world = world.after(steps[-1])
        return ("command", *steps)

    def do_command(self, *steps):
        for verb, *words in steps:
            getattr(self, "do_" + verb)(*words)


def line_of(step):
    """A step of a command as the shell does it."""
    verb, *words = step
    if verb == "write":
        return f"printf '{words[2]}' > {words[1]}".replace("\n", "\\n")
    return " ".join({"remove": ["rm", *words], "rename": ["mv", *words]}[verb])


class OverlayRound(Round):
    """A disk that commands on an overlay change, each folded in as it ends."""
    kind, most, world = "overlay", COMMANDS, Commands

    def do(self, world, operation):
        device = self.mount / "etc/devices/local.toml"
        if not device.exists() or "fast" not in device.read_text(encoding="utf-8"):
            device.write_text('fs = "fast"\n', encoding="utf-8")
        line = " && ".join(map(line_of, operation[1:]))
        os.chdir(self.mount / "workspaces" / world.space)
        try:
            reply = within(60, lambda: command(self.mount / "dev/local/exec", line), line)
        finally:
            os.chdir("/")
        expect_has(reply, "# fs=fast ")
        expect_has(reply, "# exit=0")


def what_an_fsync_replaces_is_kept_by_it():
    """Of a file that is written in place, the version before: nobody can fsync that."""
    need("mkfs.ext4", "losetup")
    DISK.mkdir()
    disk, image = LoggedDisk("kept"), TESTDIR / "cut"
    mount = Mount(DISK / "mnt", DISK / "state")
    mount.mnt.mkdir()
    mount.state.mkdir(mode=0o700)
    mount.mount()
    (mount / "workspaces/w").mkdir()
    for place in ("workspaces/w", "workspaces"):
        sync_one(mount / place)
    before, after, positions = os.urandom(300_000), os.urandom(300_000), []
    for by_another in (False, True):
        file = mount / f"workspaces/w/file-{by_another}"
        file.write_bytes(before)
        sync_one(file)
        with open(file, "r+b", buffering=0) as opened:
            opened.write(after)
            if not by_another:
                os.fsync(opened)
        if by_another:
            sync_one(file)
        positions.append(disk.position())
    mount.umount()
    disk.end()
    for by_another, position in zip((False, True), positions):
        nothing_more = types.SimpleNamespace(choice=lambda _: 0, random=lambda: 1)
        disk.cut(position, nothing_more, image)
        run(["mount", "-o", "loop", image, DISK])
        mount.mount()
        top = mount / "workspaces/w"
        name = f"file-{by_another}"
        versions = sorted((top / ".agentfs/versions" / name).iterdir())
        expect((top / name).read_bytes() == after, f"{name}: what was synced is lost")
        expect(versions and versions[-1].read_bytes() == before, f"{name}: the version is lost")
        mount.umount()
        unmount(DISK)


def rounds_of(kind):
    begun = time.monotonic()
    for number in range(1, ROUNDS + 1):
        one = kind(number)
        one.work()
        one.look()
    print(f"{kind.kind}: {ROUNDS} of {kind.most} operations, {ROUNDS * CUTS} cuts, "
          f"{time.monotonic() - begun:.0f} s")


def rounds():
    rounds_of(Round)


def rounds_of_commands_on_an_overlay():
    rounds_of(OverlayRound)


main(what_an_fsync_replaces_is_kept_by_it, rounds, rounds_of_commands_on_an_overlay)
