#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 3600
"""pjdfstest in a workspace: nothing may fail that does not fail on the disk below the state.

PJDFSTEST names the directory of its built source; needs root, and a mount for all users.
"""
import os
import pathlib
import re
import shutil
import subprocess

from mount_lib import MNT, TESTDIR, expect, fail, main, need, skip

SOURCE = os.environ.get("PJDFSTEST", "")


def find_source():
    """The directory that holds the program and tests/."""
    if SOURCE:
        found = pathlib.Path(SOURCE)
    else:
        program = shutil.which("pjdfstest")
        found = pathlib.Path(program).resolve().parent if program else None
    if not found or not (found / "tests").is_dir() or not os.access(found / "pjdfstest", os.X_OK):
        skip("pjdfstest is neither in PATH beside its tests/ nor in the directory PJDFSTEST")
    return found


def failures(source, where):
    """The assertions that fail there, as file:number, and how many there are."""
    where.mkdir(mode=0o755)
    scripts = sorted((source / "tests").rglob("*.t"))
    ended = subprocess.run(["prove", "--merge", "-v", *map(str, scripts)], cwd=where, timeout=1800,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    failed, passed, file = set(), 0, "?"
    for line in ended.stdout.splitlines():
        if match := re.match(r"(/\S+/tests/(\S+\.t)) \.\.", line):
            file = match[2]
            line = line.partition(".. ")[2]
        if match := re.match(r"(not )?ok (\d+)(.*)", line):
            if match[1] and "# TODO" not in match[3]:
                failed.add(f"{file}:{match[2]}")
            passed += not match[1]
    if not passed:
        fail(f"nothing passed: {ended.stdout[-2000:]}")
    return failed, passed


def as_on_the_disk():
    need("prove")
    if os.geteuid() != 0:
        skip("pjdfstest needs root")
    source = find_source()
    space = MNT / "workspaces/pjdfstest"
    space.mkdir(mode=0o755)
    for top in (TESTDIR, *TESTDIR.parents):  # other users walk through all of these
        if "agentfs-mount-tests-" in str(top):
            top.chmod(0o755)
    on_disk, of_disk = failures(source, TESTDIR / "disk")
    seen, passed = failures(source, space / "mount")
    more = sorted(seen - on_disk)
    expect(not more, f"{len(more)} fail that do not on the disk: {' '.join(more[:100])}")
    print(f"{passed:,} passed, {of_disk:,} on the disk; {len(seen)} fail, {len(on_disk)} on the "
          "disk")


main(as_on_the_disk)
