#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 3600
# mount: none
"""pjdfstest in a workspace: nothing may fail that does not fail on the disk below the state.

PJDFSTEST names the directory of its built source. Needs root.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess

from mount_lib import TESTDIR, Mount, expect, fail, main, need, skip

GROUPS = 4
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


def group(source, where, scripts):
    """The assertions that fail and those that pass, as file:number."""
    where.mkdir(mode=0o755)
    ended = subprocess.run(["prove", "--merge", "-v", *map(str, scripts)], cwd=where, timeout=1800,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    failed, passed, file = set(), set(), "?"
    for line in ended.stdout.splitlines():
        if match := re.match(rf"{re.escape(str(source))}/tests/(\S+\.t) \.\.+ ?(.*)", line):
            file, line = match[1], match[2]
        if match := re.match(r"(not )?ok (\d+)(.*)", line):
            if match[1] and "# TODO" not in match[3]:
                failed.add(f"{file}:{match[2]}")
            elif not match[1]:
                passed.add(f"{file}:{match[2]}")
    if not passed:
        fail(f"nothing passed: {ended.stdout[-2000:]}")
    return failed, passed


def results_in(source, where):
    """The same of all scripts, a few groups at a time: they mostly sleep."""
    where.mkdir(mode=0o755)
    scripts = sorted((source / "tests").rglob("*.t"))
    with concurrent.futures.ThreadPoolExecutor(GROUPS) as pool:
        results = list(pool.map(lambda n: group(source, where / str(n), scripts[n::GROUPS]),
                                range(GROUPS)))
    return tuple(set().union(*sets) for sets in zip(*results))


def script_of(assertion):
    """One that finds that its filesystem is not meant passes by a single assertion."""
    return assertion.partition(":")[0]


def as_on_the_disk():
    need("prove")
    if os.geteuid() != 0:
        skip("pjdfstest needs root")
    source = find_source()
    mount = Mount.of("all-users")
    mount.mount("-o", "allow_other")
    space = mount / "workspaces/pjdfstest"
    space.mkdir(mode=0o755)
    for top in (TESTDIR, *TESTDIR.parents):  # other users walk through all of these
        if "agentfs-mount-tests-" in str(top):
            top.chmod(0o755)
    failed_there, passed_there = results_in(source, TESTDIR / "disk-below-the-state")
    failed, passed = results_in(source, space / "mount")
    mount.umount()
    more = sorted(failed - failed_there)
    expect(not more, f"{len(more)} fail that do not on the disk: {' '.join(more[:100])}")
    lost = passed_there - passed
    left_out = {file for file in map(script_of, lost)
                if sum(script_of(each) == file for each in passed) == 1}
    lost = sorted(each for each in lost if script_of(each) not in left_out)
    expect(not lost, f"{len(lost)} are not tried that pass on the disk: {' '.join(lost[:100])}")
    print(f"{len(passed):,} passed, {len(passed_there):,} on the disk; {len(failed)} fail, "
          f"{len(failed_there)} on the disk; left out by pjdfstest itself on this kind of "
          f"filesystem: {', '.join(sorted(left_out)) or 'none'}")


main(as_on_the_disk)
