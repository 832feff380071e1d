#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 600
# mount: none
"""Many checkpoints of one tree with a change between each: each keeps what it kept, and neither
taking nor reading one depends on how many there are. Prints what they cost; asserts no times.

ROUNDS (40) checkpoints of a tree of twenty times as many files.
"""
import os
import random
import statistics
import time

from mount_lib import Mount, command, expect, expect_eq, main, read

ROUNDS = int(os.environ.get("ROUNDS", "40"))
SEED = int(os.environ.get("SEED", "1"))
FILES = 20 * ROUNDS
A_DIRECTORY = 20
M = Mount.of("snapshots")
SPACE = M / "workspaces/many"
SNAPSHOTS = SPACE / ".agentfs/snapshots"


def name(number):
    return f"d{number // A_DIRECTORY}/f{number % A_DIRECTORY}"


def plant():
    M.mount()
    for number in range(FILES):
        path = SPACE / name(number)
        if number % A_DIRECTORY == 0:
            path.parent.mkdir(parents=True)
        path.write_text("as planted\n")


def timed(act):
    begun = time.monotonic_ns()
    act()
    return (time.monotonic_ns() - begun) / 1e6


def changed_before(number):
    """The file that was changed before a checkpoint: those of all directories in turns."""
    return (number * A_DIRECTORY + number // (FILES // A_DIRECTORY)) % FILES


def tell(what, values):
    """The first and the last tenth: single ones are of the machine's noise."""
    tenth = max(1, len(values) // 10)
    first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
    print(f"{what}: the first {tenth} {first:.2f} ms, the last {last:.2f} ms: "
          f"{last / first:.2f} times")


def take():
    taken = []
    for number in range(ROUNDS):
        (SPACE / name(changed_before(number))).write_text(f"before {number}\n")
        taken.append(timed(lambda: command(SPACE / ".agentfs/ctl", f"checkpoint c{number}")))
    tell("taking", taken)
    expect_eq(len(os.listdir(SNAPSHOTS)), ROUNDS, "checkpoints")


def text_in(file, snapshot):
    """What a file must hold in a checkpoint; the latest change at or before it."""
    for number in range(snapshot, -1, -1):
        if changed_before(number) == file:
            return f"before {number}\n"
    return "as planted\n"


def read_them():
    """Each of them: what was changed last, what was changed next, and some at random."""
    rng = random.Random(SEED)
    for snapshot in range(ROUNDS):
        files = {changed_before(snapshot), changed_before((snapshot + 1) % ROUNDS),
                 *rng.sample(range(FILES), 3)}
        for file in files:
            expect_eq(read(SNAPSHOTS / f"c{snapshot}" / name(file)), text_in(file, snapshot),
                      f"{name(file)} in c{snapshot}")


def walk(top):
    entries = 0
    for directory, _, names in os.walk(top):
        for each in names:
            os.stat(os.path.join(directory, each))
            entries += 1
    expect_eq(entries, FILES, f"files in {top}")


def walk_some():
    """Whole ones, cold: the oldest, the newest and some between; beside the workspace itself."""
    chosen = sorted({ROUNDS * each // 8 for each in range(8)} | {ROUNDS - 1})
    M.umount()
    M.mount()
    seen = {f"c{number}": timed(lambda n=number: walk(SNAPSHOTS / f"c{n}")) for number in chosen}
    seen["the workspace"] = timed(lambda: walk(SPACE))
    print("walking: " + ", ".join(f"{what} {value:.0f} ms" for what, value in seen.items()))
    views = [value for what, value in seen.items() if what != "the workspace"]
    print(f"walking: the slowest of {len(views)} took {max(views) / min(views):.2f} times the "
          "fastest")


def after_a_restart_they_are_the_same():
    read_them()
    M.verify()
    M.umount()
    output = M.fsck(timeout=300)
    expect("FAIL" not in output, f"fsck: {output}")


main(plant, take, read_them, walk_some, after_a_restart_they_are_the_same)
