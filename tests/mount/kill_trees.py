#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 1500
# mount: none
"""kill -9 of the daemon while a workspace is changed, forked, kept, merged, restored, taken back.

A worker does random operations on a workspace and its forks and notes each that has returned. After
each kill and remount all trees together must be what a model of them was before or after the one
operation that was under way. ROUNDS (6) and SEED (1) are taken from the environment.
"""
import copy
import errno
import os
import random
import re
import signal
import subprocess
import time

from mount_lib import TESTDIR, Mount, command, expect, fail, kill, main, read, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "6"))
SEED = int(os.environ.get("SEED", "1"))
ROUNDS_A_SPACE = 20   # rounds until the next workspace, so that none grows for ever
LONGEST = 0.8         # seconds of work before the kill
BACK_WITHIN = 20      # seconds from the kill to a mount that answers
MOST = 4              # forks, and checkpoints, at a time
PATHS = [f"d{d}/e{e}/f{f}" for d in range(2) for e in range(2) for f in range(4)]
OF_DEATH = {errno.ENOTCONN, errno.ECONNABORTED, errno.ENOENT, errno.EIO}


class World:
    """What all trees hold: the workspace, its forks, its checkpoints."""

    def __init__(self, space):
        self.space = space
        self.trees = {space: {}}  # name -> path -> text
        self.kept = {}            # checkpoints of the workspace, likewise
        self.removed = {}         # of the workspace: what is in the trash
        self.merged = set()       # forks that were: what they change now would be in conflict
        self.made = 0             # names given so far

    def choose(self, rng):
        """The next operation: a verb and its words."""
        forks = sorted(set(self.trees) - {self.space})
        kinds = ["write"] * 8 + ["remove", "restore"] * 2 + ["rename"]
        kinds += ["fork", "fork-kept"] if len(forks) < MOST else ["discard"]
        kinds += ["checkpoint"] if len(self.kept) < MOST else ["discard-kept"]
        kinds += ["write-fork"] * 3 + ["merge", "discard"] if forks else []
        kinds += ["rollback"] if self.kept else []
        return getattr(self, "choose_" + rng.choice(kinds).replace("-", "_"))(rng, forks)

    def choose_write(self, rng, _forks):
        return ("write", self.space, rng.choice(PATHS), f"{rng.randrange(10**6)}\n" * 40)

    def choose_write_fork(self, rng, forks):
        """Names of its own, so that a merge has no conflict to tell of."""
        fresh = sorted(set(forks) - self.merged)
        if not fresh:
            return self.choose_write(rng, forks)
        fork = rng.choice(fresh)
        return ("write", fork, f"d0/of-{fork}-{rng.randrange(3)}", f"{rng.randrange(10**6)}\n")

    def choose_remove(self, rng, forks):
        present = sorted(set(self.trees[self.space]) & set(PATHS))
        if not present:
            return self.choose_write(rng, forks)
        return ("remove", rng.choice(present))

    def choose_restore(self, rng, forks):
        gone = sorted(set(self.removed) - set(self.trees[self.space]))
        if not gone:
            return self.choose_remove(rng, forks)
        return ("restore", rng.choice(gone))

    def choose_rename(self, rng, forks):
        present = sorted(set(self.trees[self.space]) & set(PATHS))
        absent = sorted(set(PATHS) - set(self.trees[self.space]))
        if not present or not absent:
            return self.choose_write(rng, forks)
        return ("rename", rng.choice(present), rng.choice(absent))

    def choose_fork(self, _rng, _forks):
        return ("fork", f"{self.space}-{self.made}")

    def choose_fork_kept(self, rng, forks):
        if not self.kept:
            return self.choose_fork(rng, forks)
        return ("fork", f"{self.space}-{self.made}", rng.choice(sorted(self.kept)))

    def choose_checkpoint(self, _rng, _forks):
        return ("checkpoint", f"kept-{self.made}")

    def choose_rollback(self, rng, _forks):
        return ("rollback", rng.choice(sorted(self.kept)))

    def choose_merge(self, rng, forks):
        fresh = sorted(set(forks) - self.merged)
        return ("merge", rng.choice(fresh)) if fresh else self.choose_discard(rng, forks)

    def choose_discard(self, rng, forks):
        return ("discard", rng.choice(forks))

    def choose_discard_kept(self, rng, _forks):
        return ("discard", rng.choice(sorted(self.kept)))

    def after(self, operation):
        """The world when it is done."""
        world = copy.deepcopy(self)
        world.made += 1
        getattr(world, "do_" + operation[0])(*operation[1:])
        return world

    def do_write(self, tree, path, text):
        self.trees[tree][path] = text
        if tree == self.space:
            self.removed.pop(path, None)  # a name that is there again is not in the trash

    def do_remove(self, path):
        self.removed[path] = self.trees[self.space].pop(path)

    def do_restore(self, path):
        self.trees[self.space][path] = self.removed.pop(path)

    def do_rename(self, old, new):
        self.trees[self.space][new] = self.trees[self.space].pop(old)
        self.removed.pop(new, None)

    def do_fork(self, name, kept=""):
        self.trees[name] = dict(self.kept[kept] if kept else self.trees[self.space])

    def do_checkpoint(self, name):
        self.kept[name] = dict(self.trees[self.space])

    def do_rollback(self, name):
        self.trees[self.space] = dict(self.kept[name])
        self.removed.clear()  # what it took away is in the checkpoint that undoes it

    def do_merge(self, fork):
        own = {path: text for path, text in self.trees[fork].items() if f"/of-{fork}-" in path}
        self.trees[self.space] |= own
        self.merged.add(fork)

    def do_discard(self, name):
        self.trees.pop(name, None)
        self.kept.pop(name, None)
        self.merged.discard(name)

    def halfway(self, operation):
        """What else may be seen of one that was under way: writing is two calls."""
        if operation[0] != "write":
            return []
        world = copy.deepcopy(self)
        world.trees[operation[1]][operation[2]] = ""
        return [world]


def do(mount, world, operation):
    """Does it through the mount; the reply of a command."""
    spaces = mount / "workspaces"
    top = spaces / world.space
    verb, *words = operation
    if verb == "write":
        (spaces / words[0] / words[1]).write_text(words[2], encoding="utf-8")
    elif verb == "remove":
        (top / words[0]).unlink()
    elif verb == "rename":
        os.rename(top / words[0], top / words[1])
    else:
        return command(top / ".agentfs/ctl", " ".join(operation))
    return ""


def reason(mount, world):
    """What the mount says of the last failure, if there still is one to say it."""
    try:
        conflicts = mount / "workspaces" / world.space / ".agentfs/conflicts"
        told = [read(about) for about in sorted(conflicts.glob("*/about"))]
        return " ".join([mount.last_error(), *told]).replace("\t", " ").replace("\n", "; ")
    except OSError as error:
        return str(error)


def files_below(top):
    found = {}
    for directory, _, names in os.walk(top, onerror=raise_it):
        for name in names:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = read(path)
    return found


def difference(top, files):
    """The first path that is not what it must be, "" without one."""
    seen = files_below(top)
    for path in sorted(seen.keys() | files.keys()):
        if seen.get(path) != files.get(path):
            return (f"{top.name}/{path}: saw {str(seen.get(path))[:40]!r}; "
                    f"wanted {str(files.get(path))[:40]!r}")
    return ""


def raise_it(error):
    raise error


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
        world, rng, undo = self.world, random.Random(f"{SEED}-{number}"), {}
        for name in undone:
            operation = world.choose(rng)
            self.done[operation[0]] = self.done.get(operation[0], 0) + 1
            if name:
                undo[name] = dict(world.trees[world.space])
            world = world.after(operation)
        under_way = world.choose(rng)
        self.world = self.find([world, world.after(under_way), *world.halfway(under_way)],
                               under_way)
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
            wait_until(10, lambda: not os.path.exists(f"/proc/{daemon}"), "the daemon's end")
            self.mount.mount(timeout=BACK_WITHIN)
        wait_until(BACK_WITHIN, lambda: self.mount.answers() not in (0, daemon),
                   "a mount that answers")
        self.back.append(time.monotonic() - begun)
        wait_until(5, lambda: self.mount.daemon() == self.mount.answers(), "daemon.pid")

    def find(self, worlds, under_way):
        """Which of the worlds the mount shows."""
        wrong = [self.compare(world) for world in worlds]
        if "" not in wrong:
            fail(f"under way: {under_way[:3]}; seen as before it: {wrong[0]}; as after it: "
                 f"{wrong[1]}; as halfway: {wrong[2:]}")
        found = wrong.index("")
        self.after += found == 1
        return worlds[found]

    def compare(self, world):
        """The first difference, "" without one."""
        spaces = self.mount / "workspaces"
        names = {name for name in os.listdir(spaces)
                 if name == world.space or name.startswith(world.space + "-")}
        if names != set(world.trees):
            return f"trees: saw {sorted(names)}; wanted {sorted(world.trees)}"
        snapshots = spaces / world.space / ".agentfs/snapshots"
        kept = {name for name in os.listdir(snapshots) if not name.startswith("undo-")}
        if kept != set(world.kept):
            return f"checkpoints: saw {sorted(kept)}; wanted {sorted(world.kept)}"
        wanted = {spaces / name: files for name, files in world.trees.items()}
        wanted |= {snapshots / name: files for name, files in world.kept.items()}
        return next(filter(None, map(difference, wanted.keys(), wanted.values())), "")

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
