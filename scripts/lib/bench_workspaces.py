# SPDX-License-Identifier: MIT
"""`scripts/bench workspaces`: the same work in a workspace and on the disk under the state
directory, in turns; ratios beside their targets, and what the host's kernel asked for each
operation. It prints; it judges nothing."""
import argparse
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import bench_places as places
import bench_table
import mounts

BIG = 64           # MiB of the file that is read and written in a stream
FORKS = 1000       # of one repository
CHANGED = 10       # files that a turn changes
MODEL = "bench"


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table. `target` is a ratio to the disk, or with `limit` an amount; 0: none."""
    name: str
    title: str
    target: float = 0.0
    limit: str = ""     # ms or MiB: an amount that is not compared with the disk's

    def goal(self):
        return f"≤ {self.target:g} {self.limit}".rstrip() if self.target else ""


SMALL = (
    Line("create", "create, write 4 KiB, close", 5.5),
    Line("stat-first", "stat, the first since it was written"),
    Line("read", "open, read 4 KiB, close, the second time", 6),
    Line("stat", "stat after reading", 1.4),
    Line("missing", "stat of what is not there, the second time"),
    Line("list", "repeated readdir and stat, an entry", 1.5),
    Line("rename", "rename", 5),
    Line("unlink", "unlink", 4),
)
DATA = (
    Line("stream-write", "sequential write, 1 MiB", 1.2),
    Line("stream-read", "sequential read, 1 MiB", 1.1),
    Line("random-write", "random write, 4 KiB", 1.2),
    Line("append", "append, 100 bytes", 2),
)
REPOSITORY = (
    Line("clone", "git clone", 4.5),
    Line("status", "git status, the second", 1.0),
    Line("tar", "tar x", 6),
    Line("copy", "cp -a", 5),
    Line("grep", "grep -r", 4.5),
    Line("remove", "rm -rf", 2.5),
)
NEEDED = {"status": ("clone",), "copy": ("tar",), "grep": ("tar", "copy"),
          "remove": ("tar", "copy")}
FORKING = (
    Line("fork", "fork; disk: cp -al", 2, "ms"),
    Line("checkpoint", "checkpoint; disk: cp -al", 2, "ms"),
    Line("rollback", "rollback; disk: cp -al", 2, "ms"),
    Line("fork-status", "first git status in a fork; disk: parent's", 1.5),
)
FORKS_ROOM = Line("forks-room", f"{FORKS:,} forks of it", 100, "MiB")
TURN = Line("turn", f"a turn's commit of {CHANGED} changed files", 15, "ms")
KEPT = Line("kept", f"a checkpoint's, of {CHANGED} changed files", 15, "ms")
ALL = (*SMALL, *DATA, *REPOSITORY, *FORKING, FORKS_ROOM, TURN, KEPT)


def work_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e9


@dataclasses.dataclass
class Sizes:
    """How much of everything."""
    files: int
    small: int = 2000
    writes: int = 4000
    big: int = BIG
    forks: int = FORKS


class Run:
    """All that is measured on one filesystem: its places, and the numbers of each line."""

    def __init__(self, top, sizes, arguments):
        self.top, self.sizes = top, sizes
        self.rounds = arguments.rounds
        self.operations = places.build_operations(arguments.build)
        self.host = places.Host(top / "disk")
        self.places = {"disk": self.host}
        self.example = ""   # why it is left out, of the lines in `broken` or of all
        self.broken = set()
        try:
            self.open_mounts(arguments, sizes)
        except BaseException:
            self.close()
            raise
        self.seen = {}      # line -> place -> nanoseconds of each round (or an amount)
        self.work = {}      # line -> place -> nanoseconds of CPU, caller and daemon
        self.requests = {}  # line -> of each round, operation -> number for one

    def open_mounts(self, arguments, sizes):
        self.own = places.Agentfs(self.top / "agentfs", arguments.build, arguments.options)
        self.places["agentfs"] = self.own
        if not arguments.no_history:
            self.places["forgetful"] = places.Agentfs(
                self.top / "forgetful", arguments.build, arguments.options, history=False)
        if arguments.against is not None:
            self.places["against"] = places.Agentfs(self.top / "against", arguments.build,
                                                    arguments.against)
        if arguments.compare:
            program, self.example = places.build_example(arguments.build)
            if program:
                passthrough = self.own.features().get("passthrough") == "on"
                self.places["example"] = places.Example(self.top / "example", program, passthrough)
                if not self.places["example"].holds(sizes.files):
                    self.broken = {"clone", "tar"}
                    self.example = (f"for repositories of {sizes.files:,} files: it may not hold "
                                    "so many open (ulimit -Hn)")

    def close(self):
        for place in self.places.values():
            try:
                place.stop()
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(error, file=sys.stderr)

    def note(self, line, place, value):
        self.seen.setdefault(line.name, {}).setdefault(place, []).append(value)

    def turns(self, number):
        """The places, each round in another order."""
        order = list(self.places.items())
        at = number % len(order)
        return order[at:] + order[:at]

    def measure(self, line, name, place, act, count=1):
        """Notes what act() gives, nanoseconds for one and those of the caller's CPU, and what was
        asked for each of `count`."""
        before, worked = place.requests(), place.work()
        value, work = act()
        worked = place.work() - worked
        after = place.requests()
        self.note(line, name, value)
        # Times of whole programs are of all of them, not for each.
        parts = count if line in SMALL or line in DATA else 1
        self.work.setdefault(line.name, {}).setdefault(name, []).append(work + worked / parts)
        if place is self.own:
            self.requests.setdefault(line.name, []).append(
                {each: (after[each] - before.get(each, 0) - place.of_asking.get(each, 0)) / count
                 for each in after})

    def small_lines(self, number):
        folders = {name: place.fresh("small") for name, place in self.places.items()}
        counts = {line.name: self.sizes.small for line in SMALL}
        counts |= {"stream-write": self.sizes.big, "stream-read": self.sizes.big,
                   "random-write": self.sizes.writes, "append": self.sizes.writes}
        for line in (*SMALL, *DATA):
            for name, place in self.turns(number):
                count = counts[line.name]
                words = (self.operations, line.name.removesuffix("-first"), folders[name], count)
                if line.name in ("read", "missing"):
                    place.run(*words)
                self.measure(line, name, place, lambda: map(float, place.run(*words).split()),
                             count)

    def timed(self, place, *words, **more):
        """What a program took: nanoseconds, and nanoseconds of its CPU."""
        began, worked = time.monotonic_ns(), work_of_children()
        place.run(*words, **more)
        return time.monotonic_ns() - began, work_of_children() - worked

    def repository_lines(self, number, source, archive):
        folders = {name: place.fresh("repository") for name, place in self.places.items()}
        for line in REPOSITORY:
            for name, place in self.turns(number):
                folder = folders[name]
                if name == "example" and {line.name, *NEEDED.get(line.name, ())} & self.broken:
                    continue
                commands = {
                    "clone": ("git", "clone", "-q", "--no-hardlinks", source, folder / "clone"),
                    "status": ("git", "-C", folder / "clone", "status", "--porcelain"),
                    "tar": ("tar", "-xf", archive, "-C", folder),
                    "copy": ("cp", "-a", folder / "tree", folder / "copy"),
                    "grep": ("sh", "-c", f"! grep -rF 'is not in there' {folder}/copy"),
                    "remove": ("rm", "-rf", folder / "copy"),
                }
                try:
                    if line.name == "status":
                        place.settle(folder / "clone")
                    self.measure(line, name, place,
                                 lambda: self.timed(place, *commands[line.name]), self.sizes.files)
                except RuntimeError as error:  # the example's own, which is no news of ours
                    if name != "example":
                        raise
                    self.example = str(error).splitlines()[0]
                    self.broken.add(line.name)
        for folder in folders.values():
            shutil.rmtree(folder)

    def fork_lines(self, number):
        """In the workspace `parent`, which holds the repository; beside it a copy of links."""
        links = self.host.directory / "links"
        copied, _ = self.timed(self.host, "cp", "-al", self.host.directory / "parent", links)
        shutil.rmtree(links)
        parent, fork = self.own.mnt / "workspaces/parent", f"fork-{number}"

        def status(folder):
            return self.timed(self.own, "git", "-C", folder, "status", "--porcelain")

        def change():
            (parent / "changed").write_text(f"{number}\n", encoding="utf-8")

        self.own.settle(parent)
        for line, prepare, control in (
                (FORKING[0], change, f"fork {fork}"),
                (FORKING[1], change, f"checkpoint kept-{number}"),
                (FORKING[2], change, f"rollback kept-{number}")):
            prepare()
            self.note(line, "disk", copied)
            self.measure(line, "agentfs", self.own,
                         lambda: (self.own.control("parent", control), 0))
            if line is FORKING[1]:  # what comes next would wait for its commit
                bench_table.checkpoint_time(self.own.mnt, "parent", f"kept-{number}")
        status(parent)
        self.note(FORKING[3], "disk", status(parent)[0])
        self.measure(FORKING[3], "agentfs", self.own,
                     lambda: status(self.own.mnt / "workspaces" / fork), self.sizes.files)
        self.own.control("parent", f"discard {fork}")

    def room(self):
        """What is removed in the background meanwhile is no failure."""
        told = self.host.run("sh", "-c", 'du -s -B1 "$0" 2>/dev/null || true', self.own.state)
        return int(told.split()[0])

    def many_forks(self):
        before = self.room()
        for number in range(self.sizes.forks):
            self.own.control("parent", f"fork many-{number}")
        self.note(FORKS_ROOM, "agentfs",
                  (self.room() - before) / self.sizes.forks * FORKS / (1 << 20))
        for number in range(self.sizes.forks):
            self.own.control("parent", f"discard many-{number}")

    def turn_line(self, number):
        """The time between the last row of a turn's calls and the row of its commit."""
        calls = [{"name": "write", "arguments": {"path": f"f{number}-{each}", "text": f"{each}\n"}}
                 for each in range(CHANGED)]
        scenario = self.top / "scenario.json"
        scenario.write_text(json.dumps({"name": "bench", "tasks": [{"match": "*", "steps": [
            {"text": "I write.", "calls": calls}, {"text": "Done."}]}]}), encoding="utf-8")
        (self.own.mnt / f"etc/models/{MODEL}-{number}.toml").write_text(
            f'driver = "script"\nscenario = "{scenario}"\n', encoding="utf-8")
        with open(self.own.mnt / "proc/clone", "r+b", buffering=0) as clone:
            clone.write(f"name=bench-{number} model={MODEL}-{number} workspace=turns\n".encode())
            pid = clone.read(64).decode().split()[0]
        process = self.own.mnt / "proc" / pid
        (process / "chat").write_text("Write.\n", encoding="utf-8")
        (process / "wait").read_text(encoding="utf-8")
        self.note(TURN, "agentfs", bench_table.commit_time(self.own.mnt, int(pid)))

    def kept_line(self, number):
        """The time between the rows of a checkpoint and of its commit, in a workspace of its own,
        whose first commit is not of few files."""
        kept = self.own.mnt / "workspaces/kept"
        if number == 0:
            self.own.control("kept", "checkpoint first")
            bench_table.checkpoint_time(self.own.mnt, "kept", "first")
        files = self.host.run("git", "-C", kept, "ls-files").split()
        for name in files[::max(1, len(files) // CHANGED)][:CHANGED]:
            (kept / name).write_text(f"{number}\n", encoding="utf-8")
        self.own.control("kept", f"checkpoint {number}")
        self.note(KEPT, "agentfs", bench_table.checkpoint_time(self.own.mnt, "kept", str(number)))

    def measure_all(self, source, archive):
        parent = self.own.mnt / "workspaces/parent"
        for place in (parent, self.own.mnt / "workspaces/kept", self.host.directory / "parent"):
            self.host.run("git", "clone", "-q", "--no-hardlinks", source, place)
        (self.own.mnt / "workspaces/turns").mkdir()
        for number in range(self.rounds):
            print(f"{self.top.parent}: round {number + 1} of {self.rounds}", file=sys.stderr,
                  flush=True)
            self.small_lines(number)
            self.repository_lines(number, source, archive)
            self.fork_lines(number)
            self.turn_line(number)
            self.kept_line(number)
        self.many_forks()


def make_source(top, files):
    """A bare repository of so many files, a hundred a directory, and an archive of them."""
    tree = top / "tree"
    for index in range(files):
        path = tree / f"d{index // 100:03}/f{index % 100:02}.txt"
        if index % 100 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(f"file {index}\n" * (index % 400 + 1), encoding="utf-8")
    environment = os.environ | places.ENVIRONMENT
    archive, source = top / "tree.tar", top / "source.git"
    places.run(["tar", "-cf", archive, "-C", top, "tree"], environment)
    for words in (["init", "-q"], ["add", "-A"],
                  ["-c", "gc.auto=0", "commit", "-q", "-m", "all"], ["gc", "-q"]):
        places.run(["git", "-C", tree, *words], environment)
    places.run(["git", "clone", "-q", "--bare", tree, source], environment)
    shutil.rmtree(tree)
    return source, archive


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench workspaces")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--state", choices=("tmpfs", "disk", "both"), default="both")
    parser.add_argument("--options", default="", help="of the mount, as -o takes them")
    parser.add_argument("--against", help="beside a mount with these options; '' for none")
    parser.add_argument("--compare", choices=("passthrough_hp",))
    parser.add_argument("--no-history", action="store_true",
                        help="leave out the mount that keeps nothing of the past")
    parser.add_argument("--quick", action="store_true", help="one small round of all")
    parser.add_argument("--json", type=pathlib.Path, help="write the numbers to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.files = 1, min(arguments.files, 100)
    return arguments


def folders_of(arguments):
    """kind of state -> where its directories go; what cannot be had is told."""
    wanted = {"tmpfs": places.find_tmpfs, "disk": places.find_disk}
    found = {}
    for kind in wanted if arguments.state == "both" else [arguments.state]:
        folder = wanted[kind]()
        if folder is None:
            print(f"skipped: {kind}: no directory that we may write to is on one", file=sys.stderr)
        else:
            found[kind] = folder
    return found


def measure_on(folder, arguments):
    sizes = Sizes(arguments.files)
    if arguments.quick:
        sizes = Sizes(arguments.files, small=40, writes=40, big=2, forks=5)
    root = mounts.make_root(folder)
    try:
        source, archive = make_source(root, arguments.files)
        run = Run(root / "run", sizes, arguments)
        try:
            run.measure_all(source, archive)
            return bench_table.Result(run, ALL, places.kind_of(root))
        finally:
            run.close()
    finally:
        mounts.remove_root(root)


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reason = mounts.unusable()
    if reason:
        sys.exit(f"scripts/bench: nothing can be mounted here ({reason})")
    results = {}
    for kind, folder in folders_of(arguments).items():
        results[kind] = measure_on(folder, arguments)
        results[kind].show()
    if len(results) > 1:
        bench_table.beside(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(
            {kind: result.numbers() for kind, result in results.items()}, indent=1) + "\n",
            encoding="utf-8")


if __name__ == "__main__":
    main()
