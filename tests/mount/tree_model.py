# SPDX-License-Identifier: MIT
"""A workspace, its forks and its checkpoints as a model of them, and the same through a mount.

World chooses operations and says what each makes of the trees; do() does one through the mount, and
compare() tells the first difference. kill_trees.py and random_trees.py use it.
"""
import copy
import os

from mount_lib import command, read

MOST = 4              # forks, and checkpoints, at a time
PATHS = [f"d{d}/e{e}/f{f}" for d in range(2) for e in range(2) for f in range(4)]


class World:
    """What all trees hold: the workspace, its forks, its checkpoints."""

    def __init__(self, space):
        self.space = space
        self.trees = {space: {}}  # name -> path -> text
        self.kept = {}            # checkpoints of the workspace, likewise
        self.removed = {}         # of the workspace: what is in the trash
        self.joined = set()       # forks that were merged
        self.over = set()         # those of which a rollback may have taken back what was merged
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
        fresh = sorted(set(forks) - self.over)
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
        fresh = sorted(set(forks) - self.over)
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
        self.over |= self.joined
        self.removed.clear()  # what it took away is in the checkpoint that undoes it

    def do_merge(self, fork):
        own = {path: text for path, text in self.trees[fork].items() if f"/of-{fork}-" in path}
        self.trees[self.space] |= own
        self.joined.add(fork)

    def do_discard(self, name):
        self.trees.pop(name, None)
        self.kept.pop(name, None)
        self.joined.discard(name)
        self.over.discard(name)

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


def difference(top, files, free=()):
    """The first path that is not what it must be, "" without one; those in `free` may be anything."""
    seen = files_below(top)
    for path in sorted(seen.keys() | files.keys()):
        if seen.get(path) != files.get(path) and path not in free:
            return (f"{top.name}/{path}: saw {str(seen.get(path))[:40]!r}; "
                    f"wanted {str(files.get(path))[:40]!r}")
    return ""


def raise_it(error):
    raise error


def compare(mount, world, free=()):
    """The first difference, "" without one; paths in `free` may hold anything."""
    spaces = mount / "workspaces"
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
    return next(filter(None, (difference(top, files, free) for top, files in wanted.items())), "")
