#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 1500
# mount: none
"""kill -9 of the daemon while a workspace is changed, forked, kept, merged, restored, taken back.

A worker does random operations on a workspace and its forks and notes each that has returned. After
each kill and remount all trees together must be what a model of them was before or after the one
operation that was under way. ROUNDS (6) and SEED (1) are taken from the environment.
"""
import errno
import json
import os
import random
import re
import signal
import subprocess
import time

from mount_lib import (TESTDIR, Mount, command, expect, fail, is_alive, kill, main,
                       wait_until)
from tree_model import PATHS, World, compare, difference, do, reason

ROUNDS = int(os.environ.get("ROUNDS", "6"))
SEED = int(os.environ.get("SEED", "1"))
ROUNDS_A_SPACE = 20   # rounds until the next workspace, so that none grows for ever
LONGEST = 0.8         # seconds of work before the kill
BACK_WITHIN = 20      # seconds from the kill to a mount that answers
OF_DEATH = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.EIO}


class Worker:
    """A process that works until the daemon is dead, and its notes on the host."""

    def __init__(self, mount, world, number):
        self.notes = TESTDIR / f"tree-notes-{number}"
        self.pid = os.fork()
        if self.pid == 0:
            with open(self.notes, "w", encoding="utf-8") as notes:
                self.work(mount, world, random.Random(f"{SEED}-{number}"), notes)
            os._exit(0)

    @staticmethod
    def work(mount, world, rng, notes):
        while True:
            operation = world.choose(rng)
            try:
                reply = do(mount, world, operation)
            except BaseException as error:  # pylint: disable=broad-except  # told, and judged
                number = error.errno if isinstance(error, OSError) else 0
                notes.write(f"failed\t{number}\t{time.monotonic_ns()}\t{operation}\t{error}; "
                            f"{reason(mount, world)}\n")
                return
            undo = re.search(r"undo-\d+", reply)
            notes.write(f"done\t{undo[0] if undo else ''}\n")
            notes.flush()
            world = world.after(operation)

    def end(self, killed_at):
        """The undo names of what has returned, in order."""
        deadline = time.monotonic() + 30
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                fail("the worker is stuck in a call 30 s after the kill")
            time.sleep(0.01)
        lines = [line.split("\t") for line in
                 self.notes.read_text(encoding="utf-8").splitlines()]
        last = lines[-1]
        if last[0] == "failed":
            expect(int(last[2]) > killed_at and int(last[1]) in OF_DEATH,
                   f"{last[3]}, after {len(lines) - 1} operations: {last[4]}")
        return [line[1] for line in lines if line[0] == "done"]


class Rounds:
    def __init__(self):
        self.mount = Mount.of("trees")
        self.random = random.Random(SEED)
        self.world = None
        self.done = {}
        self.after = 0
        self.back = []
        self.read = {}  # of each segment of the journal, so many bytes

    def start_space(self, number):
        space = f"s{number}"
        for path in PATHS:
            (self.mount / "workspaces" / space / path).parent.mkdir(parents=True, exist_ok=True)
        if self.world:
            for name in sorted(self.world.trees):
                if name != self.world.space:
                    self.ctl(f"discard {name}")
        self.world = World(space)

    def ctl(self, line):
        return command(self.mount / "workspaces" / self.world.space / ".agentfs/ctl", line)

    def round(self, number):
        if number % ROUNDS_A_SPACE == 1:
            self.start_space(number)
        worker = Worker(self.mount, self.world, number)
        time.sleep(self.random.uniform(0.02, LONGEST))
        killed_at = time.monotonic_ns()
        self.kill(number % 2 == 0)
        undone = worker.end(killed_at)
        world, rng, undo, done = self.world, random.Random(f"{SEED}-{number}"), {}, []
        for name in undone:
            operation = world.choose(rng)
            self.done[operation[0]] = self.done.get(operation[0], 0) + 1
            done.append(operation[0])
            if name:
                undo[name] = dict(world.trees[world.space])
            world = world.after(operation)
        under_way = world.choose(rng)
        worlds = [world, world.after(under_way), *world.halfway(under_way)]
        self.world, may_be = self.find(worlds, under_way)
        self.check_rows(done, under_way[0], may_be)
        self.check_undone(undo)
        self.mount.verify()

    def kill(self, both):
        """The daemon, or first the watcher that would start it again; and back."""
        daemon, watcher = self.mount.daemon(), self.mount.watcher()
        begun = time.monotonic()
        if both:
            kill(watcher)
        kill(daemon, signal.SIGKILL)
        if both:
            wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
            self.mount.mount(timeout=BACK_WITHIN)
        wait_until(BACK_WITHIN, lambda: self.mount.answers() not in (0, daemon),
                   "a mount that answers")
        self.back.append(time.monotonic() - begun)
        wait_until(5, lambda: self.mount.daemon() == self.mount.answers(), "daemon.pid")

    def find(self, worlds, under_way):
        """Which of the worlds the mount shows."""
        wrong = [compare(self.mount, world) for world in worlds]
        if "" not in wrong:
            fail(f"under way: {under_way[:3]}; seen as before it: {wrong[0]}; as after it: "
                 f"{wrong[1]}; as halfway: {wrong[2:]}")
        found = wrong.index("")
        # A rollback to what is there already may have been done: then merges begin anew.
        if under_way[0] == "rollback" and not wrong[1]:
            found = 1
        self.after += found == 1
        return worlds[found], {index for index, text in enumerate(wrong) if not text}

    def check_rows(self, done, under_way, may_be):
        """What was done with a whole tree has one row, whether its call returned or not. `may_be`: of
        the one under way, as which worlds the mount can be seen: 0 without it, 1 with it."""
        told = [row["kind"] for row in self.new_rows()]
        for verb in ("fork", "checkpoint", "rollback", "merge"):
            wanted = {done.count(verb) + (verb == under_way and each) for each in may_be & {0, 1}}
            seen = told.count(f"tree.{verb}")
            expect(seen in wanted or not wanted,
                   f"{seen} rows of {verb}, wanted {wanted}; under way: {under_way}")

    def new_rows(self):
        for segment in sorted((self.mount.state / "journal/segments").glob("*.jsonl")):
            with open(segment, "rb") as file:
                file.seek(self.read.get(segment.name, 0))
                lines = file.read()
                self.read[segment.name] = file.tell()
            yield from map(json.loads, lines.splitlines())

    def check_undone(self, undo):
        """What each rollback took away is kept under the name that it told."""
        snapshots = self.mount / "workspaces" / self.world.space / ".agentfs/snapshots"
        for name, files in undo.items():
            wrong = difference(snapshots / name, files)
            expect(not wrong, f"{wrong}; rollbacks of this round: {sorted(undo)}")
        for name in os.listdir(snapshots):
            if name.startswith("undo-"):
                self.ctl(f"discard {name}")


def rounds():
    """Kills, remounts and checks, ROUNDS times."""
    all_rounds = Rounds()
    all_rounds.mount.mount()
    for number in range(1, ROUNDS + 1):
        try:
            all_rounds.round(number)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            raise AssertionError(f"round {number} of {ROUNDS}, SEED={SEED}: {error}") from error
    all_rounds.mount.umount()
    output = all_rounds.mount.fsck()
    expect("FAIL" not in output, f"fsck: {output}")
    back = sorted(all_rounds.back)
    counts = ", ".join(f"{number} {verb}" for verb, number in sorted(all_rounds.done.items()))
    print(f"{ROUNDS} rounds: acknowledged and found again: {counts}; {all_rounds.after} under way "
          f"were found done; back after {back[len(back) // 2]:.2f} s (median), {back[-1]:.2f} s "
          "(longest)")


main(rounds)
