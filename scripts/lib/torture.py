# SPDX-License-Identifier: MIT
"""The parts of scripts/torture: each a program or a mount script, run in batches of rounds with a
seed for each, so that a failure names a batch that can be repeated."""
import argparse
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH_MINUTES = 60  # after which a batch is stuck


@dataclasses.dataclass(frozen=True)
class Part:
    name: str
    about: str          # what a round is
    rounds: int         # by default
    batch: int          # rounds in one go
    script: str = ""    # of tests/mount, or below tests
    case: str = ""      # of unit_forest
    seeds: str = "each" # each round has a seed of its own, or "batch": each batch


PARTS = (
    Part("model", "a history of 120 operations on a forest, compared with a model after each",
         2000, 100, case="A forest is what a model of it is*"),
    Part("crash", "a history in a process that is killed", 2000, 200,
         case="After a crash a forest is what it was*"),
    Part("kill-agents", "a kill -9 while an agent and a writer work", 1000, 25, "kill_rounds.py",
         seeds="batch"),
    Part("random-trees", "25 operations a round on forks, checkpoints, merges and rollbacks", 4000,
         80, "random_trees.py", seeds="batch"),
    Part("kill-trees", "a kill -9 among forks, checkpoints, merges, restores and rollbacks", 1000,
         50, "kill_trees.py", seeds="batch"),
    Part("power-cut", "a disk, 60 operations, and five instants at which its power went", 200, 20,
         "power_cut.py", seeds="batch"),
    Part("snapshots", "a checkpoint of a tree of twenty times as many files", 1000, 1000,
         "many_snapshots.py", seeds="batch"),
    Part("crossing", "a fork in the middle of 60 files' readers and writers", 200, 20,
         "crossing.py", seeds="batch"),
    Part("fast-path", "up to 120 operations through the mount, on an overlay and in a directory", 400,
         20, "fast_path.py", seeds="batch"),
    Part("plain", "two workspaces' histories, read without the daemon", 40, 10, "plain.py",
         seeds="batch"),
    Part("fsx", "100,000 operations with mmap", 100, 5, "../torture/fsx.py"),
    Part("pjdfstest", "all of it, beside the disk", 1, 1, "../torture/pjdfstest.py"),
    Part("stress-ng", "4 s of each stressor of filesystems", 3, 1, "../torture/stress_ng.py"),
    Part("fio", "twelve jobs with --verify, and a restart", 5, 1, "../torture/fio.py"),
    Part("sqlite", "concurrent writers in both journal modes", 20, 5, "sqlite_writers.py"),
    Part("build", "a C project of 300 files, and its fork", 6, 3, "c_project.py"),
)


@dataclasses.dataclass
class Batch:
    """What came of one: passed, failed or skipped."""
    result: str
    output: str


def command_of(part, build, options, report):
    if part.case:
        return [str(build / "tests/unit_forest"), part.case]
    script = ROOT / "tests/mount" / part.script
    words = [sys.executable, "-B", str(ROOT / "scripts/run-mount-tests"), "--jobs", "1",
             "--timeout", str(BATCH_MINUTES * 60), "--report", report, "--show", "--folder",
             str(script.parent)]
    return [*words, *(["--options", options] if options else []), str(build), script.name]


def run_batch(part, arguments, rounds, seed):
    """Its output with what the script printed, also when all is well."""
    with tempfile.TemporaryDirectory(prefix="agentfs-torture-") as top:
        report = pathlib.Path(top) / "report"
        words = command_of(part, arguments.build, arguments.options, str(report))
        environment = os.environ | {"ROUNDS": str(rounds), "SEED": str(seed),
                                    "AGENTFS_SEEDS": str(rounds), "AGENTFS_SEED": str(seed)}
        code, output = run_to_its_end(words, top, environment)
        if part.case:
            return Batch("failed" if code else "passed", output)
        results = report.read_text(encoding="utf-8").split("\t") if report.exists() else []
        return Batch(results[1] if len(results) > 1 else "failed", output)


def run_to_its_end(words, top, environment):
    """(exit code, output). What it runs takes down its mounts when it is told to end, so it is
    told: when it hangs, when we are told, and by the host's kernel when we are gone."""
    log = pathlib.Path(top) / "log"
    with open(log, "wb") as output, subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *words], cwd=top, env=environment, stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as child:
        try:
            code = child.wait((BATCH_MINUTES + 2) * 60)
        except subprocess.TimeoutExpired:
            code = 124
        finally:
            end(child)
    return code, log.read_text(encoding="utf-8", errors="replace")


def end(child):
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(60)
    except subprocess.TimeoutExpired:
        child.kill()


def told(output):
    """What a mount script printed when all was well."""
    return [line.strip() for line in output.splitlines() if line.startswith("          ")]


def run_part(part, arguments):
    """The result, after one line of it on the output."""
    began, done = time.monotonic(), 0
    rounds = arguments.rounds or part.rounds
    limit = arguments.minutes * 60 if arguments.minutes else float("inf")
    notes = []
    while done < rounds and time.monotonic() - began < limit:
        many = min(part.batch, rounds - done)
        # Scripts that draw all of a batch from one seed get one that no other batch has.
        seed = arguments.seed + (done if part.seeds == "each" else done // part.batch)
        batch = run_batch(part, arguments, many, seed)
        if batch.result == "skipped":
            reason = batch.output.strip().splitlines()[-1].partition(".py: ")[2]
            print(f"  SKIPPED {part.name}: {reason}", flush=True)
            return "skipped"
        if batch.result != "passed":
            print(f"  FAILED  {part.name}, batch of {many} rounds after {done}; again by: "
                  f"scripts/torture {part.name} --rounds {many} --seed {seed}\n{batch.output}",
                  flush=True)
            return "failed"
        done += many
        notes = told(batch.output)
    print(f"  ok      {part.name}  {done:,} of {rounds:,} rounds from seed {arguments.seed} on  "
          f"{time.monotonic() - began:.0f} s", flush=True)
    if notes and done > part.batch:
        print("          of the last batch:")
    for note in notes:
        print(f"          {note}", flush=True)
    return "passed"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/torture")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", default="", help="of the mounts, as -o takes them")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART")
    arguments = parser.parse_intermixed_args()
    arguments.build = arguments.build.absolute()
    unknown = [name for name in arguments.parts if name not in {part.name for part in PARTS}]
    if unknown:
        sys.exit(f"scripts/torture: no such part ({', '.join(unknown)}); "
                 f"{', '.join(part.name for part in PARTS)} are")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.list:
        for part in PARTS:
            print(f"{part.name:12} {part.rounds:5}  {part.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [part for part in PARTS if not arguments.parts or part.name in arguments.parts]
    results = [run_part(part, arguments) for part in chosen]
    counts = [results.count(word) for word in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*counts))
    return 1 if counts[1] else 0


if __name__ == "__main__":
    sys.exit(main())
