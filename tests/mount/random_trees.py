#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A workspace is changed, forked, kept, merged, restored and taken back at random, and all trees and
states are compared with a model of them again and again, by the daemon that did it and by the next.

ROUNDS (20) of 25 operations and SEED (1) are taken from the environment.
"""
import os
import random
import re

from mount_lib import Mount, command, expect, main
from tree_model import PATHS, World, compare, difference, do

ROUNDS = int(os.environ.get("ROUNDS", "20"))
SEED = int(os.environ.get("SEED", "1"))
EVERY = 25  # operations from one comparison to the next
MOST_UNDONE = 5

M = Mount.of("random")


class Run:
    def __init__(self):
        self.random = random.Random(SEED)
        self.world = World("site")
        self.undone = {}  # what a rollback took away, by the name it told
        self.done = []
        for path in PATHS:
            (M / "workspaces/site" / path).parent.mkdir(parents=True, exist_ok=True)

    def step(self):
        operation = self.world.choose(self.random)
        undo = re.search(r"undo-\d+", do(M, self.world, operation))
        if undo:
            self.undone[undo[0]] = dict(self.world.trees["site"])
        self.world = self.world.after(operation)
        self.done.append(operation[:3])

    def check(self):
        wrong = compare(M, self.world)
        for name, files in self.undone.items():
            wrong = wrong or difference(M / "workspaces/site/.agentfs/snapshots" / name, files)
        expect(not wrong, f"SEED={SEED}, after {len(self.done)} operations: {wrong}; the last ones: "
                          f"{self.done[-EVERY:]}")

    def forget(self):
        for name in self.undone:
            command(M / "workspaces/site/.agentfs/ctl", f"discard {name}")
        self.undone.clear()


def random_operations():
    """Each comparison looks at every tree, every checkpoint and what rollbacks took away."""
    M.mount()
    run = Run()
    for number in range(1, ROUNDS * EVERY + 1):
        run.step()
        if number % EVERY == 0:
            run.check()
            if len(run.undone) > MOST_UNDONE:
                run.forget()
    M.umount()
    M.mount()
    run.check()


main(random_operations)
