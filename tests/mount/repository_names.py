#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A file that has, or had, a name below .git is kept and guarded like any other; `.agentfs` stays what it is."""
import os

from mount_lib import EXCHANGE, Mount, command, expect_eq, expect_errno, main, read, renameat2, tell

M = Mount.of("repository_names")
SPACES = M / "workspaces"


def space(name):
    top = SPACES / name
    (top / ".git").mkdir(parents=True)
    return top


def mount_it():
    M.mount()


def rewrite(path, *texts):
    for text in texts:
        path.write_text(text)


def moved_out(top):
    (top / ".git/tmp").write_text("v1\n")
    (top / ".git/tmp").rename(top / "notes")


def linked_into(top):
    (top / "notes").write_text("v1\n")
    os.link(top / "notes", top / ".git/keep")


def linked_out_of(top):
    (top / ".git/keep").write_text("v1\n")
    os.link(top / ".git/keep", top / "notes")
    (top / ".git/keep").stat()


def had_one_for_a_moment(top):
    (top / "notes").write_text("v1\n")
    os.link(top / "notes", top / "x")
    (top / "x").rename(top / ".git/x")
    (top / ".git/x").unlink()


def has_one_that_is_moved_there(top):
    (top / "notes").write_text("v1\n")
    os.link(top / "notes", top / "x")
    (top / "x").rename(top / ".git/x")


def is_counted(top):
    linked_into(top)
    read(top / ".agentfs/usage")


def is_limited(top):
    linked_into(top)
    tell(top / ".agentfs/limits", "bytes=1G\n")
    read(top / ".agentfs/usage")
    (top / ".git/keep").rename(top / ".git/other")


def exchanged_there_and_back(top):
    linked_into(top)
    (top / "y").write_text("y\n")
    for _ in range(2):
        renameat2(top / "y", top / ".git/keep", EXCHANGE)


def is_open_in_a_directory_that_comes_out(top):
    (top / ".git/sub/deep").mkdir(parents=True)
    (top / ".git/sub/deep/notes").write_text("v1\n")
    HELD.append(os.open(top / ".git/sub/deep/notes", os.O_RDONLY))
    HELD.append(os.open(top / ".git/sub/deep", os.O_PATH | os.O_DIRECTORY))
    (top / ".git/sub").rename(top / "sub")
    for text in ("v2\n", "v3\n"):
        place = os.open("notes", os.O_WRONLY | os.O_TRUNC, dir_fd=HELD[-1])
        os.write(place, text.encode())
        os.close(place)
    versions = sorted(os.listdir(top / ".agentfs/versions/sub/deep/notes"))
    expect_eq([read(top / f".agentfs/versions/sub/deep/notes/{one}") for one in versions], ["v1\n", "v2\n"])
    linked_into(top)


HELD = []
WAYS = (moved_out, linked_into, linked_out_of, had_one_for_a_moment, has_one_that_is_moved_there, is_counted,
        is_limited, exchanged_there_and_back, is_open_in_a_directory_that_comes_out)


def what_is_written_over_is_a_version():
    for way in WAYS:
        top = space(way.__name__)
        way(top)
        rewrite(top / "notes", "v2\n", "v3\n")
        versions = sorted(os.listdir(top / ".agentfs/versions/notes"))
        expect_eq([read(top / f".agentfs/versions/notes/{one}") for one in versions], ["v1\n", "v2\n"], way.__name__)
        command(top / ".agentfs/ctl", "restore notes")
        expect_eq(read(top / "notes"), "v2\n", way.__name__)
    while HELD:
        os.close(HELD.pop())


def a_condition_holds():
    top = space("condition")
    moved_out(top)
    generation = os.getxattr(top / "notes", "user.agentfs.gen")
    os.setxattr(top / "notes", "user.agentfs.if-gen", generation)
    child = os.fork()
    if child == 0:
        os.setsid()
        (top / "notes").write_text("of another\n")
        os._exit(0)
    os.waitpid(child, 0)
    expect_errno("ESTALE", (top / "notes").write_text, "mine\n")
    expect_eq(read(top / "notes"), "of another\n")


def one_that_is_found_there_first_keeps_what_it_had():
    """After a mount nothing is known of the other name."""
    top = space("found")
    linked_into(top)
    M.umount()
    M.mount()
    (top / ".git/keep").write_text("v2\n")
    expect_eq(read(top / "notes"), "v2\n")
    kept = sorted((top / ".agentfs/versions/.git/keep").iterdir())
    expect_eq([read(one) for one in kept], ["v1\n"])


def what_lies_in_a_repository_alone_is_not_kept():
    top = space("inside")
    (top / "notes").write_text("v1\n")
    (top / "notes").rename(top / ".git/notes")
    rewrite(top / ".git/notes", "v2\n", "v3\n")
    expect_errno("ENOENT", os.listdir, top / ".agentfs/versions/.git/notes")


def a_directory_that_gets_the_name_of_ours_does_not_hide_it():
    top = space("ours")
    (top / "x").mkdir()
    (top / "x/mine").write_text("mine\n")
    (top / "x").rename(top / ".agentfs")
    command(top / ".agentfs/ctl", "checkpoint c")
    expect_eq(os.listdir(top / ".agentfs/snapshots"), ["c"])
    expect_eq(read(top / ".agentfs/mine"), "mine\n")
    (top / ".agentfs").rename(top / "y")
    command(top / ".agentfs/ctl", "checkpoint d")
    expect_eq(sorted(os.listdir(top / "y")), ["mine"])


main(mount_it, what_is_written_over_is_a_version, a_condition_holds,
     one_that_is_found_there_first_keeps_what_it_had, what_lies_in_a_repository_alone_is_not_kept,
     a_directory_that_gets_the_name_of_ours_does_not_hide_it)
