#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 3600
"""fsx in a workspace, with mmap; in every second round checkpoints are taken meanwhile.

ROUNDS (1) runs of 100,000 operations with seeds from SEED (1) on. FSX names the program.
"""
import os
import shutil
import subprocess

from mount_lib import MNT, command, expect_eq, fail, main, skip

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
OPERATIONS = 100_000
PROGRAM = os.environ.get("FSX") or shutil.which("fsx")


def runs():
    if not PROGRAM or not os.access(PROGRAM, os.X_OK):
        skip("fsx is neither in PATH nor named by FSX")
    space = MNT / "workspaces/fsx"
    space.mkdir()
    taken = 0
    for seed in range(SEED, SEED + ROUNDS):
        words = [PROGRAM, "-q", "-N", str(OPERATIONS), "-S", str(seed), "-l", "262144",
                 str(space / f"file-{seed}")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True) as fsx:
            while fsx.poll() is None:
                taken += checkpoint(space, seed) if seed % 2 == 0 else 0
                wait_a_little(fsx)
            output = fsx.stdout.read()
        if fsx.returncode != 0:
            fail(f"fsx -S {seed}: exit {fsx.returncode}: {output[-3000:]}")
        expect_eq(os.path.exists(space / f"file-{seed}"), True, "its file")
        os.unlink(space / f"file-{seed}")
    print(f"{ROUNDS} runs of {OPERATIONS:,} operations from seed {SEED} on, {taken} checkpoints "
          "meanwhile")


def checkpoint(space, seed):
    command(space / ".agentfs/ctl", f"checkpoint during-{seed}")
    command(space / ".agentfs/ctl", f"discard during-{seed}")
    return 1


def wait_a_little(process):
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        pass


main(runs)
