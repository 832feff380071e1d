#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Renames that leave a whiteout, and overlays with their upper directory in a workspace, as of a container."""
import ctypes
import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import threading

from mount_lib import (TESTDIR, Mount, expect, expect_eq, expect_errno, kill, kinds_of, main, read, run, tell,
                       wait_until)

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
OTHER = 65534
SHARED = ["-o", "allow_other"] if os.geteuid() == 0 else []

M = Mount.of("overlays")
SPACES = M / "workspaces"
LIBC = ctypes.CDLL(None, use_errno=True)


def rename(old, new, flags=WHITEOUT):
    at = ctypes.c_int(-100)
    if LIBC.renameat2(at, os.fsencode(old), at, os.fsencode(new), ctypes.c_uint(flags)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(old))


def is_whiteout(path):
    its = os.lstat(path)
    return stat.S_ISCHR(its.st_mode) and its.st_rdev == 0


def told(space):
    lines = read(space / ".agentfs/events.jsonl").splitlines()
    return [(row["op"], os.path.relpath(row["path"], f"/workspaces/{space.name}")) for row in map(json.loads, lines)]


def setup():
    M.mount(*SHARED)
    SPACES.chmod(0o1777)


def what_has_gone_leaves_a_whiteout_of_who_renamed_it():
    top = SPACES / "plain"
    (top / "d").mkdir(parents=True)
    (top / "a").write_text("a\n")
    (top / "b").write_text("b\n")
    (top / "d/in").write_text("in\n")
    expect_errno("EINVAL", rename, top / "a", top / "b", WHITEOUT | EXCHANGE)
    expect_errno("EEXIST", rename, top / "a", top / "b", WHITEOUT | NOREPLACE)
    expect_errno("ENOENT", rename, top / "none", top / "b")
    expect_eq(sorted(os.listdir(top)), ["a", "b", "d"], "what is refused changes nothing")
    rename(top / "a", top / "b")
    expect_eq((is_whiteout(top / "a"), (top / "b").read_text()), (True, "a\n"))
    rename(top / "d", top / "e", WHITEOUT | NOREPLACE)
    expect_eq((is_whiteout(top / "d"), (top / "e/in").read_text()), (True, "in\n"))
    rename(top / "e/in", top / "out")
    expect(is_whiteout(top / "e/in"), "from one directory into another")
    expect_eq(told(top)[-6:], [("rename", "a"), ("mknod", "a"), ("rename", "d"), ("mknod", "d"),
                               ("rename", "e/in"), ("mknod", "e/in")])
    (version,) = os.listdir(top / ".agentfs/versions/b")
    expect_eq(read(top / ".agentfs/versions/b" / version), "b\n", "what was replaced is kept")
    M.umount()
    M.mount(*SHARED)
    expect_eq([is_whiteout(top / name) for name in ("a", "d", "e/in")], [True] * 3, "after a restart")


def forks_checkpoints_and_rollbacks_have_them():
    top = SPACES / "past"
    top.mkdir()
    (top / "a").write_text("a\n")
    tell(top / ".agentfs/ctl", "checkpoint before\n")
    tell(top / ".agentfs/ctl", "fork past-1\n")
    rename(SPACES / "past-1/a", SPACES / "past-1/b")
    expect_eq(sorted(os.listdir(top)), ["a"], "what was forked")
    rename(top / "a", top / "c")
    tell(top / ".agentfs/ctl", "checkpoint after\n")
    tell(top / ".agentfs/ctl", "rollback before\n")
    expect_eq((sorted(os.listdir(top)), (top / "a").read_text()), (["a"], "a\n"))
    tell(top / ".agentfs/ctl", "rollback after\n")
    expect_eq((sorted(os.listdir(top)), is_whiteout(top / "a")), (["a", "c"], True))
    expect_eq((is_whiteout(SPACES / "past-1/a"), (SPACES / "past-1/b").read_text()), (True, "a\n"))


def an_ordinary_user_makes_them_where_they_may_write():
    if os.geteuid() != 0:
        return
    top = SPACES / "theirs"
    top.mkdir()
    os.chown(top, OTHER, OTHER)
    code = ("import ctypes,os\nopen('a','w').close()\n"
            "print(ctypes.CDLL(None).renameat2(-100, b'a', -100, b'b', 4), os.lstat('a').st_uid)")
    said = run(["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", "/usr/bin/python3", "-c",
                code], cwd=top)
    expect_eq(said.split(), ["0", str(OTHER)])
    expect(is_whiteout(top / "a"), "theirs")


def a_limit_counts_them():
    top = SPACES / "limited"
    top.mkdir()
    for n in range(4):
        (top / f"f{n}").touch()
    tell(top / ".agentfs/limits", "inodes=8\n")
    made = []
    for n in range(4):
        try:
            rename(top / f"f{n}", top / f"g{n}")
            made.append(n)
        except OSError as error:
            expect_eq(errno.errorcode[error.errno], "EDQUOT")
    expect(0 < len(made) < 4, f"made: {made}")
    expect_eq(sorted(os.listdir(top)), sorted([f"f{n}" for n in range(4)] + [f"g{n}" for n in made]))
    expect_eq([n for n in range(4) if is_whiteout(top / f"f{n}")], made, "what is refused is as it was")


class Overlay:
    """An overlay over `lower`, with its upper directory below `top`."""

    def __init__(self, lower, top):
        self.words = ["-o", f"lowerdir={lower},upperdir={top}/up,workdir={top}/work"]
        self.top, self.path = top, TESTDIR / f"merged-{top.name}"
        for path in (top / "up", top / "work", self.path):
            path.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        run(["mount", "-t", "overlay", "overlay", *self.words, self.path])
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)


def can_overlay():
    if os.geteuid() != 0:
        return False
    probe, lower = TESTDIR / "probe", TESTDIR / "probe-low"
    lower.mkdir()
    made = Overlay(lower, probe)
    tried = subprocess.run(["mount", "-t", "overlay", "overlay", *made.words, made.path], check=False,
                           capture_output=True)
    subprocess.run(["umount", "-l", made.path], check=False, capture_output=True)
    return tried.returncode == 0


def change(top):
    """As a container does: replaces, removes, renames what is below, and makes a directory anew."""
    (top / "a").write_text("changed\n")
    (top / "b").unlink()
    (top / "c").rename(top / "c-moved")
    (top / "a").rename(top / "d/a-moved")
    shutil.rmtree(top / "e")
    (top / "e").mkdir()
    (top / "e/new").write_text("new\n")
    os.link(top / "f", top / "f-too")
    (top / "new").write_text("of its own\n")
    (top / "new").rename(top / "newer")
    with open(top / "g", "a", encoding="utf-8") as file:
        file.write("appended\n")
    (top / "link").unlink()
    (top / "link").symlink_to("newer")
    shutil.move(top / "h", top / "h-moved")
    (top / "d/deep").chmod(0o600)


def fill(top):
    for name in "abcfg":
        (top / name).write_text(f"{name}\n")
    for name in "deh":
        (top / name / "below").mkdir(parents=True)
        (top / name / "deep").write_text(f"deep in {name}\n")
    (top / "link").symlink_to("a")


def texts_of(top):
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*"))
            if path.is_file() and not path.is_symlink()}


def an_overlay_is_what_it_is_on_the_disk():
    if not HAS_OVERLAYS:
        print("no overlay can be mounted here, not on the disk either")
        return
    lower = TESTDIR / "lower"
    lower.mkdir()
    fill(lower)
    seen = []
    (SPACES / "container").mkdir()
    for top in (TESTDIR / "on-disk", SPACES / "container"):
        overlay = Overlay(lower, top)
        with overlay as merged:
            change(merged)
            seen.append((kinds_of(merged), texts_of(merged)))
        with overlay as merged:
            expect_eq((kinds_of(merged), texts_of(merged)), seen[-1], f"{top}: mounted again")
        upper = top / "up"
        seen[-1] += (sorted(str(path.relative_to(upper)) for path in upper.rglob("*") if is_whiteout(path)),)
    expect_eq(seen[1], seen[0])
    expect_eq(seen[1][2], ["a", "b", "c", "h"], "whiteouts")
    expect_eq(os.getxattr(SPACES / "container/up/e", "trusted.overlay.opaque"), b"y")
    # What lies below in a workspace, and is a fork of what has an upper directory.
    (SPACES / "image").mkdir()
    fill(SPACES / "image")
    tell(SPACES / "image/.agentfs/ctl", "fork image-1\n")
    (SPACES / "layer").mkdir()
    with Overlay(SPACES / "image-1", SPACES / "layer") as merged:
        change(merged)
        expect_eq(texts_of(merged), seen[0][1], "over a fork")
    expect_eq(texts_of(SPACES / "image-1"), texts_of(lower), "a lower directory stays as it is")


def a_kill_leaves_each_name_once():
    """The whiteout comes with the rename: what is below does not come back, and nothing is there twice."""
    if not HAS_OVERLAYS:
        return
    lower = TESTDIR / "many"
    lower.mkdir()
    names = [f"f{n}" for n in range(400)]
    for name in names:
        (lower / name).write_text(f"{name}\n")
    for number in range(4):
        overlay = Overlay(lower, SPACES / f"killed-{number}")
        with overlay as merged:
            for name in names:  # so that a rename is all that is left to do
                (merged / name).write_text(f"{name} in {number}\n")
            moving = threading.Thread(target=move_all, args=(merged, names))
            moving.start()
            wait_until(20, lambda: (overlay.top / f"up/moved-f{20 * number}").exists(), "some are moved")
            daemon = M.daemon()
            kill(daemon, signal.SIGKILL)
            moving.join()
            wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
        with overlay as merged:
            there = set(os.listdir(merged))
            moved = [name for name in names if f"moved-{name}" in there]
            expect(moved, "nothing was moved")
            for name in names:
                expect_eq((name in there) + (f"moved-{name}" in there), 1, f"round {number}: {name}")
                now = name if name in there else f"moved-{name}"
                expect_eq((merged / now).read_text(), f"{name} in {number}\n")


def move_all(top, names):
    try:
        for name in names:
            (top / name).rename(top / f"moved-{name}")
    except OSError:
        pass  # the daemon is gone


def end():
    M.umount()
    M.fsck()


HAS_OVERLAYS = can_overlay()
main(setup, what_has_gone_leaves_a_whiteout_of_who_renamed_it, forks_checkpoints_and_rollbacks_have_them,
     an_ordinary_user_makes_them_where_they_may_write, a_limit_counts_them, an_overlay_is_what_it_is_on_the_disk,
     a_kill_leaves_each_name_once, end)
