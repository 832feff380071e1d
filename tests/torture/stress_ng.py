#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 3600
"""stress-ng's stressors of filesystems in a workspace, each for some seconds, with --verify.

ROUNDS (1) times all of them. A stressor that fails on the disk below the state as well is told, and
is no failure of ours.
"""
import os
import subprocess

from mount_lib import MNT, TESTDIR, expect, fail, main, need

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SECONDS = 4
STRESSORS = ("access", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany",
             "dup", "fallocate", "fcntl", "fiemap", "file-ioctl", "filename", "flock", "fpunch",
             "fstat", "getdent", "hdd", "inode-flags", "io", "iomix", "link", "locka", "lockf",
             "lockofd", "mmap", "msync", "open", "rename", "seek", "symlink", "sync-file", "touch",
             "unlink", "utime", "verity", "xattr")


def stress(stressor, where):
    """(exit code, output); 3 and 4 mean that it cannot be had here."""
    where.mkdir(exist_ok=True)
    options = ["--hdd-bytes", "8m", "--iomix-bytes", "8m", "--fallocate-bytes", "16m"]
    options += ["--mmap-file"] if stressor == "mmap" else []
    options += ["--mmap-bytes", "8m"] if stressor == "mmap" else []
    try:
        ended = subprocess.run(
            ["stress-ng", "--temp-path", str(where), "--verify", f"--{stressor}", "2", "--timeout",
             f"{SECONDS}s", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=180, check=False)
    except subprocess.TimeoutExpired as late:
        return 255, f"did not end within {late.timeout} s: {late.output}"
    return ended.returncode, ended.stdout


def unknown():
    """Stressors that this version of the program has not."""
    known = subprocess.run(["stress-ng", "--help"], capture_output=True, text=True, check=False)
    return {each for each in STRESSORS if f"--{each} N" not in known.stdout}


def all_of_them():
    need("stress-ng")
    missing, failed, others, passed = unknown(), [], [], 0
    for _ in range(ROUNDS):
        for stressor in sorted(set(STRESSORS) - missing):
            code, output = stress(stressor, MNT / "workspaces/stress")
            if code in (3, 4):
                others.append(stressor)
            elif code == 0 and "fail:" not in output:
                passed += 1
            elif stress(stressor, TESTDIR / "disk")[0] != 0:
                others.append(f"{stressor} (fails on the disk, too)")
            else:
                failed.append(f"{stressor}: exit {code}: {output[-1500:]}")
    if failed:
        fail("\n".join(failed))
    expect(passed, "none ran")
    print(f"{passed} stressors; not to be had here: {', '.join(sorted(missing)) or 'none'}; of no "
          f"use here: {', '.join(others) or 'none'}")


main(all_of_them)
