#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 600
# mount: none
"""A directory of the state whose block the disk has changed: told by name, set aside, the rest served.

An ext4 image finds by its checksums that the block is another, and refuses to list the directory.
"""
import os
import shutil
import subprocess

from mount_lib import (AGENTFS, TESTDIR, Mount, command, expect, expect_eq, expect_has, in_own_mounts, main,
                       need, run)

# Else a namespace that anybody makes meanwhile keeps the image mounted, and its last writes out of it.
in_own_mounts("DAMAGED_INSIDE")

IMAGE = TESTDIR / "image"
WHOLE = TESTDIR / "whole"
DISK = TESTDIR / "disk"
BLOCK = 1024
TOLD = "Bad message; the disk's own check (for ext4 e2fsck) may bring it back; --repair"
# What is in them has records elsewhere, or is to be had again; the rest of the state goes on.
SET_ASIDE = ("journal", "journal/segments", "keys", "blobs", "etc", "etc/models",
             "etc/profiles/default/context.d", "git", "log", "tree-orders", "past", "past/0", "past/new",
             "past/rights", "merge-bases", "merge-bases/workspaces", "trees/.workspaces/rights",
             "trees/.workspaces/trash")
# Of trees that were never forked or kept.
NEVER_KEPT = ("trees/workspaces/alone", "trees/workspaces/alone/d", "trees/src/repos")
# These have the trees themselves: the disk's own check is to have them first.
LEFT = ("trees", "trees/workspaces", "trees/home", "trees/.workspaces", "trees/.workspaces/lines",
        "trees/.workspaces/apart", "imports")


def make_state():
    with open(WHOLE, "wb") as file:
        file.truncate(64 << 20)
    run(["mkfs.ext4", "-q", "-F", "-b", str(BLOCK), WHOLE])
    run(["mount", "-o", "loop", WHOLE, DISK])
    mount = Mount(TESTDIR / "mnt", DISK / "state")
    mount.mnt.mkdir()
    mount.state.mkdir(mode=0o700)
    mount.mount()
    top, source = mount / "workspaces/w", TESTDIR / "source"
    (top / "d").mkdir(parents=True)
    (mount / "workspaces/alone/d").mkdir(parents=True)
    (mount / "workspaces/alone/d/f").touch()
    for text in ("one\n", "two\n"):
        for name in ("a", "d/b"):
            (top / name).write_text(text)
    command(top / ".agentfs/ctl", "checkpoint before")
    (top / "a").write_text("three\n")
    command(top / ".agentfs/ctl", "fork other")
    (mount / "workspaces/other/d/b").write_text("other\n")
    command(top / ".agentfs/ctl", "merge other")
    source.mkdir()
    (source / "lent").write_text("lent\n")
    command(mount / "sys/workspaces/ctl", f"import {source} as lent")
    mount.umount()
    run(["umount", DISK])
    return mount


def change_blocks(inode):
    """Others in the place of those that the directory lists its names in."""
    said = run(["debugfs", "-R", f"blocks <{inode}>", IMAGE])
    blocks = [word for word in said.split() if word.isdigit()]
    expect(blocks, f"inode {inode}: no block")
    with open(IMAGE, "r+b") as image:
        for block in blocks:
            image.seek(int(block) * BLOCK)
            image.write(os.urandom(BLOCK))


def clear(inode):
    run(["debugfs", "-w", "-R", f"clri <{inode}>", IMAGE])


def damage(state, changes):
    """Of an image like the whole one: directories, and what is done to the inode of each."""
    shutil.copyfile(WHOLE, IMAGE)
    run(["mount", "-o", "loop", IMAGE, DISK])
    inodes = [(state / name).stat().st_ino for name in changes]
    run(["umount", DISK])
    for inode, change in zip(inodes, changes.values()):
        change(inode)
    run(["mount", "-o", "loop", IMAGE, DISK])
    for name in changes:
        try:
            os.listdir(state / name)
        except OSError:
            continue
        raise AssertionError(f"{name} can be listed still")


def what_trees_have(mount):
    top = mount / "workspaces"
    return {name: (top / name).read_text() for name in ("w/a", "w/d/b", "other/a", "other/d/b", "lent/lent")}


def what_is_beside_the_trees_is_set_aside():
    mount = make_state()
    for name in SET_ASIDE:
        damage(mount.state, {name: change_blocks})
        said = mount.fsck(code=1)
        expect_has(said, f"FAIL layout: {name}: {TOLD} sets it aside")
        said = mount.fsck("--repair", code=None)
        expect_has(said, f"mend layout: {name}: Bad message; it is in ")
        expect("not mended" not in said, said)
        again = mount.fsck(code=None)
        expect("FAIL layout" not in again, again)
        expect_has(again, "was set aside as what the disk does not give")
        mount.mount()
        expect_eq(what_trees_have(mount), {"w/a": "three\n", "w/d/b": "other\n", "other/a": "three\n",
                                           "other/d/b": "other\n", "lent/lent": "lent\n"}, name)
        (mount / "workspaces/w/a").write_text("four\n")
        command(mount / "workspaces/w/.agentfs/ctl", "checkpoint after")
        mount.umount()
        run(["umount", DISK])


def trees_are_left_to_the_disks_own_check():
    mount = Mount(TESTDIR / "mnt", DISK / "state")
    for name in LEFT:
        damage(mount.state, {name: change_blocks})
        before = sorted(os.listdir((mount.state / name).parent))
        refused = subprocess.run([AGENTFS, "mount", "--state", mount.state, mount.mnt], capture_output=True,
                                 text=True, check=False)
        expect_eq(refused.returncode, 1, f"{name}: {refused}")
        expect_has(refused.stderr, f"{mount.state}/{name}")
        expect_has(refused.stderr, "`agentfs fsck` says more")
        expect_has(mount.fsck(code=1), f"FAIL layout: {name}: {TOLD} has nothing")
        said = mount.fsck("--repair", code=None)
        expect("mend layout" not in said, said)
        after = sorted(os.listdir((mount.state / name).parent))
        expect_eq([one for one in after if one != "quarantine"], before, f"beside {name}")
        run(["umount", DISK])


def what_has_no_inode_is_told_and_the_rest_mended():
    mount = Mount(TESTDIR / "mnt", DISK / "state")
    damage(mount.state, {"past/rights": clear, "tree-orders": clear, "keys": change_blocks})
    said = mount.fsck("--repair", code=1)
    for name in ("past/rights", "tree-orders"):
        expect_has(said, f"FAIL layout: {name}: Structure needs cleaning")
    expect_has(said, "--repair has nothing to put in its place")
    expect_has(said, "mend layout: keys: Bad message; it is in ")
    expect("sets it aside" not in mount.fsck(code=1), "what cannot be set aside is said to be")
    run(["umount", DISK])


def what_was_never_kept_is_looked_at():
    mount = Mount(TESTDIR / "mnt", DISK / "state")
    cases = [(name, change_blocks, "Bad message") for name in NEVER_KEPT]
    cases += [(name, clear, "Structure needs cleaning") for name in (*NEVER_KEPT, "trees/workspaces/alone/d/f")]
    for name, change, why in cases:
        damage(mount.state, {name: change})
        expect_has(mount.fsck(code=1), f"FAIL layout: {name}: {why}; the disk's own check")
        run(["umount", DISK])


def one_workspace_without_an_inode_is_refused_and_the_others_are_served():
    mount = Mount(TESTDIR / "mnt", DISK / "state")
    damage(mount.state, {"trees/workspaces/other": clear})
    expect_has(mount.fsck(code=1), "other")
    mount.mount()
    expect_eq([(mount / "workspaces" / name).read_text() for name in ("w/a", "w/d/b", "lent/lent")],
              ["three\n", "other\n", "lent\n"], "the others")
    mount.umount()
    run(["umount", DISK])


def damaged_directories():
    need("mkfs.ext4", "debugfs", "losetup")
    DISK.mkdir()
    what_is_beside_the_trees_is_set_aside()
    trees_are_left_to_the_disks_own_check()
    what_has_no_inode_is_told_and_the_rest_mended()
    what_was_never_kept_is_looked_at()
    one_workspace_without_an_inode_is_refused_and_the_others_are_served()


main(damaged_directories)
