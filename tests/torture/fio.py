#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 3600
"""fio --verify in a workspace: every engine, sequential and random, and again after a restart of
the daemon, by a read of what was written. ROUNDS (1) times, SEED (1)."""
import os

from mount_lib import Mount, command, main, need, run, skip

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
ENGINES = ("psync", "mmap", "libaio", "io_uring")
M = Mount()


def job(name, engine, seed, *more):
    return ["fio", f"--name={name}", f"--directory={M / 'workspaces/fio'}", f"--ioengine={engine}",
            "--size=16m", "--bsrange=512-64k", "--blockalign=512", "--verify=crc32c",
            f"--randseed={seed}", "--iodepth=8", "--verify_fatal=1", "--thread", *more]


def usable(engine):
    listed = run(["fio", "--enghelp"])
    return engine in listed.split()


def everything_is_read_as_written():
    need("fio")
    space = M / "workspaces/fio"
    space.mkdir()
    engines = [engine for engine in ENGINES if usable(engine)]
    if not engines:
        skip("fio has no engine of ours")
    jobs = 0
    for number in range(ROUNDS):
        for engine in engines:
            for pattern in ("write", "randwrite", "randrw"):
                name = f"{engine}-{pattern}-{number}"
                run(job(name, engine, SEED + number, f"--rw={pattern}", "--do_verify=1",
                        "--verify_backlog=64"), timeout=300)
                jobs += 1
                command(space / ".agentfs/ctl", f"checkpoint {name}")
        M.umount()
        M.mount()
        for engine in engines:
            run(job(f"{engine}-randwrite-{number}", engine, SEED + number, "--rw=randwrite",
                    "--verify_only"), timeout=300)
            for pattern in ("write", "randwrite", "randrw"):
                (space / f"{engine}-{pattern}-{number}.0.0").unlink()
                command(space / ".agentfs/ctl", f"discard {engine}-{pattern}-{number}")
    print(f"{jobs} jobs of 16 MiB by {', '.join(engines)}; and read again after a restart")


main(everything_is_read_as_written)
