# SPDX-License-Identifier: MIT
"""The measurements of scripts/bench: interleaved rounds, medians, spreads and ratios."""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import mounts

GROUPS = ("synthetic", "control", "files", "stream", "git", "messages")
SCENARIO = '{"name": "bench", "steps": [], "after": "Done."}\n'
REPOSITORY = {"GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
              "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
              "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
              "GIT_OPTIONAL_LOCKS": "0", "AGENTFS_NO_PROBE": "1"}


class Bench:
    """One daemon with a state of its own, a directory beside it, and what was measured."""

    def __init__(self, build, arguments):
        self.measure_program = str(build / "measure")
        self.agentfs = str(build / "agentfs")
        self.rounds = arguments.rounds
        self.files = arguments.files
        self.options = ["-o", arguments.options] if arguments.options else []
        self.top = mounts.make_root(arguments.directory)
        self.mnt, self.host = self.top / "mnt", self.top / "host"
        self.environment = os.environ | REPOSITORY | {mounts.MARK: str(self.top / "bench")}
        self.tree = None

    def start(self):
        self.mnt.mkdir()
        self.host.mkdir()
        self.run(self.agentfs, "mount", "--state", str(self.top / "state"), *self.options,
                 str(self.mnt))
        self.tree = self.mnt / "workspaces/bench"
        self.tree.mkdir()
        scenario = self.top / "scenario.json"
        scenario.write_text(SCENARIO, encoding="utf-8")
        (self.mnt / "etc/models/bench.toml").write_text(
            f'driver = "script"\nscenario = "{scenario}"\n', encoding="utf-8")

    def stop(self):
        if str(self.mnt) in mounts.mounts_below(self.top):
            subprocess.run([self.agentfs, "umount", str(self.mnt)], check=False, timeout=60,
                           env=self.environment)
        mounts.remove_root(self.top)

    def run(self, *command):
        return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env=self.environment,
                              stdout=subprocess.PIPE, text=True, timeout=900).stdout

    def measure(self, *words):
        """What the program measured: name -> number."""
        output = self.run(self.measure_program, *map(str, words))
        return {name: float(number) for name, number in map(str.split, output.splitlines())}

    def spawn(self, number):
        """Makes agents on the model of the benchmark; their pids."""
        pids = []
        for index in range(number):
            with open(self.mnt / "proc/clone", "r+b", buffering=0) as clone:
                clone.write(f"name=bench-{index} model=bench workspace=bench\n".encode())
                pids.append(clone.read(64).decode().split()[0])
        return pids

    def interleaved(self, first, second):
        """Runs both in turns; the results of each: name -> numbers."""
        results = ({}, {})
        for number in range(self.rounds):
            turns = ((0, first), (1, second))
            for side, measured in turns if number % 2 == 0 else reversed(turns):
                for name, value in measured().items():
                    results[side].setdefault(name, []).append(value)
        return results


def scaled(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def tell(title, base, seen):
    """A line: medians, the median of the rounds' ratios, and their range."""
    ratios = [mine / other for mine, other in zip(seen, base)]
    print(f"{title:44} {scaled(statistics.median(base)):>9} {scaled(statistics.median(seen)):>9} "
          f"{statistics.median(ratios):>8.2f}  {min(ratios):.2f}–{max(ratios):.2f}", flush=True)


def heading(text):
    print(f"\n{text:44} {'base':>9} {'agentfs':>9} {'ratio':>8}  range")


def synthetic(bench):
    heading("synthetic files, base /proc/self/status")
    pid = bench.spawn(1)[0]
    for name in ("state", "status", "chat"):
        path = bench.mnt / "proc" / pid / name
        base, seen = bench.interleaved(lambda: bench.measure("read", "/proc/self/status", 5000),
                                       lambda path=path: bench.measure("read", path, 2000))
        tell(f"open+read+close {name}", base["read"], seen["read"])


def control(bench):
    heading("a line to a control file, base a host file")
    ctl = bench.mnt / "proc" / bench.spawn(1)[0] / "ctl"
    base, seen = bench.interleaved(lambda: bench.measure("lines", bench.host / "f", 1000, "nice 0"),
                                   lambda: bench.measure("lines", ctl, 1000, "nice 0"))
    tell("write on an open descriptor", base["line"], seen["line"])
    tell("open+write+close", base["open+line"], seen["open+line"])


def files(bench):
    heading("4 KiB files, base the host directory")
    base, seen = bench.interleaved(lambda: bench.measure("files", bench.host, 2000),
                                   lambda: bench.measure("files", bench.tree, 2000))
    for name in base:
        tell(name, base[name], seen[name])


def stream(bench):
    heading("sequential, a MiB at a time, base a host file")
    base, seen = bench.interleaved(lambda: bench.measure("stream", bench.host / "big", 256),
                                   lambda: bench.measure("stream", bench.tree / "big", 256))
    for name in base:
        tell(f"{name} of 256 MiB", base[name], seen[name])


def make_repository(directory, count):
    """A repository of so many files in directories of a hundred."""
    directory.mkdir()
    for index in range(count):
        path = directory / f"d{index // 100:03}" / f"f{index % 100:02}.txt"
        if index % 100 == 0:
            path.parent.mkdir()
        path.write_text(f"file {index}\n" * 8, encoding="utf-8")


def git(bench):
    heading(f"git in {bench.files} files, base the host directory")
    places = (bench.host / "repository", bench.tree / "repository")
    made = []
    for place in places:
        began = time.monotonic_ns()
        make_repository(place, bench.files)
        made.append([time.monotonic_ns() - began])
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"], ["status"]):
            bench.run("git", "-C", str(place), *words)
    tell("making them (one round)", *made)

    def status(place):
        began = time.monotonic_ns()
        bench.run("git", "-C", str(place), "status", "--porcelain")
        return {"status": time.monotonic_ns() - began}

    base, seen = bench.interleaved(lambda: status(places[0]), lambda: status(places[1]))
    tell("git status", base["status"], seen["status"])


def messages(bench):
    print(f"\n{'messages on the script model':44} {'a second':>9}  range")
    for number in (1, 100):
        pids = bench.spawn(number)
        each = 200 if number == 1 else 10
        seen = [bench.measure("messages", bench.mnt, each, *pids)["messages"]
                for _ in range(bench.rounds)]
        print(f"{f'{number} agent' + 's' * (number > 1):44} {statistics.median(seen):>9.0f}  "
              f"{min(seen):.0f}–{max(seen):.0f}", flush=True)


def about(bench):
    memory = next(line for line in open("/proc/meminfo", encoding="utf-8") if "MemTotal" in line)
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(bench.top)], capture_output=True, text=True,
                          check=False).stdout.strip()
    system = os.uname()
    version = bench.run(bench.agentfs, "--version").strip()
    print(f"{version}; {system.sysname} {system.release}, {os.cpu_count()} cores, "
          f"{int(memory.split()[1]) // 1048576} GiB, on {kind}; "
          f"{'root' if os.geteuid() == 0 else 'ordinary user'}; {bench.rounds} rounds")
    stats = (bench.mnt / "sys/fs/stats").read_text(encoding="utf-8")
    print("; ".join(re.findall(r'^feature="(.*)\ton$', stats, re.M)).replace('"', ""))


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--directory", type=pathlib.Path)
    parser.add_argument("--options", default="")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_intermixed_args()
    unknown = [name for name in arguments.names if name not in GROUPS]
    if unknown:
        sys.exit(f"scripts/bench: no such measurement ({', '.join(unknown)}); "
                 f"{', '.join(GROUPS)} are")
    reason = mounts.unusable()
    if reason:
        sys.exit(f"scripts/bench: nothing can be mounted here ({reason})")
    bench = Bench(arguments.build, arguments)
    try:
        bench.start()
        about(bench)
        for name in arguments.names or GROUPS:
            globals()[name](bench)
            shutil.rmtree(bench.tree / "repository", ignore_errors=True)
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
