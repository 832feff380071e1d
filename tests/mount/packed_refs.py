#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""The refs of the daemon's commits are packed once there are many: no state has all of them anew."""
import os
import threading

from mount_lib import Mount, command, expect, expect_eq, main, need, run, wait_until

MOST = 128  # kernel/packed_refs.cpp
M = Mount.of("packed-refs")
SPACES = M / "workspaces"
REFS = "refs/agentfs/checkpoints"


def git(space, *words, **more):
    return run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", SPACES / space, *words],
               **more)


def commits():
    return [row["data"]["name"] for row in M.journal() if row["kind"] == "checkpoint.commit"]


def checkpoint(space, name):
    command(SPACES / space / ".agentfs/ctl", f"checkpoint {name}")
    wait_until(30, lambda: name in commits(), f"the commit of {name}")


def loose(space):
    return set(os.listdir(SPACES / space / ".git" / REFS))


def refs(space):
    lines = git(space, "for-each-ref", "--format=%(objectname) %(refname)", REFS).splitlines()
    return {line.split("/")[-1]: line.split()[0] for line in lines}


def many(space, name, count=MOST):
    """As so many checkpoints would leave them."""
    head = git(space, "rev-parse", "HEAD")
    names = {f"{name}-{each}" for each in range(count)}
    (SPACES / space / ".git" / REFS).mkdir(parents=True, exist_ok=True)
    for each in names:
        (SPACES / space / ".git" / REFS / each).write_text(head, encoding="utf-8")
    return names


def repository(space):
    (SPACES / space).mkdir()
    git(space, "init", "-q", "-b", "main")
    (SPACES / space / "f").write_text("1\n", encoding="utf-8")
    git(space, "add", "-A")
    git(space, "commit", "-q", "-m", "first")


def setup():
    need("git")
    M.mount()


def a_commit_packs_what_is_beside_its_ref():
    repository("w")
    git("w", "tag", "-a", "-m", "told", "v1")
    git("w", "pack-refs", "--all")
    tag = git("w", "show-ref", "-d", "--tags")
    made = many("w", "old")
    checkpoint("w", "few")
    expect_eq(loose("w"), made | {"few"}, f"of {MOST} refs none is packed")
    before = refs("w")
    checkpoint("w", "more")
    expect_eq(loose("w"), {"more"}, "the refs that are files of their own")
    after = refs("w")
    expect_eq({name: id for name, id in after.items() if name != "more"}, before, "the others")
    expect_eq(git("w", "show-ref", "-d", "--tags"), tag, "the user's tag, and what it is peeled to")
    expect(not (SPACES / "w/.git/packed-refs.lock").exists(), "no lock is left")
    git("w", "update-ref", "-d", f"{REFS}/old-7")
    git("w", "pack-refs", "--all")
    expect_eq(set(refs("w")), set(after) - {"old-7"}, "what git makes of it")
    expect_eq(git("w", "fsck", "--strict", "--no-dangling"), "", "git fsck")


def states_of_before_have_what_they_had():
    then = SPACES / "w/.agentfs/snapshots/more/.git"
    expect_eq(len(os.listdir(then / REFS)), MOST + 1, "the refs of a state of before")
    seen = run(["git", "--git-dir", then, "for-each-ref", REFS]).splitlines()
    expect_eq(len(seen), MOST + 1, "what git finds there")
    command(SPACES / "w/.agentfs/ctl", "fork fork more")
    expect_eq(len(refs("fork")), MOST + 1, "what it finds in a fork of that")
    checkpoint("fork", "own")
    expect_eq(len(loose("fork")), 1, "the refs of a fork are packed, too")
    expect_eq(len(refs("fork")), MOST + 2, "and there")
    expect_eq(len(os.listdir(then / REFS)), MOST + 1, "the state of before is as it was")


def a_lock_of_gits_is_heeded():
    repository("locked")
    made = many("locked", "old", MOST + 1)
    lock = SPACES / "locked/.git/packed-refs.lock"
    lock.write_text("", encoding="utf-8")
    checkpoint("locked", "meanwhile")
    expect_eq(loose("locked"), made | {"meanwhile"}, "nothing is packed")
    expect(not (SPACES / "locked/.git/packed-refs").exists(), "nothing is made")
    lock.unlink()
    checkpoint("locked", "then")
    expect_eq(loose("locked"), {"then"}, "what is packed once it is gone")


def what_is_none_is_left_alone():
    repository("odd")
    made = many("odd", "old", MOST + 1)
    packed = SPACES / "odd/.git/packed-refs"
    for name, make in (("text", lambda: packed.write_text("hello\n", encoding="utf-8")),
                       ("fifo", lambda: os.mkfifo(packed))):
        make()
        before = os.lstat(packed)
        checkpoint("odd", name)
        expect_eq(os.lstat(packed).st_ino, before.st_ino, f"packed-refs, a {name}")
        expect(made <= loose("odd"), "every ref is where it was")
        packed.unlink()


def the_repository_of_another_stays_theirs():
    if os.geteuid() != 0:
        return
    repository("theirs")
    many("theirs", "old", MOST + 1)
    git_directory = SPACES / "theirs/.git"
    for top, directories, files in os.walk(git_directory):
        for name in [".", *directories, *files]:
            os.chown(os.path.join(top, name), 4242, 4343)
    command(SPACES / "theirs/.agentfs/ctl", "checkpoint one")
    wait_until(30, lambda: "one" in commits(), "the commit")
    wait_until(30, lambda: len(loose("theirs")) <= 1, "the refs are packed")
    found = os.stat(git_directory / "packed-refs")
    expect_eq((found.st_uid, found.st_gid), (4242, 4343), "whose the packed refs are")


def none_is_lost_beside_git():
    repository("busy")
    expected = set()

    def pack():
        while not done.is_set():
            git("busy", "pack-refs", "--all", code=None)

    for number in range(4):
        expected |= many("busy", f"n{number}", MOST + 1) | {f"c{number}"}
        done = threading.Event()
        beside = threading.Thread(target=pack)
        beside.start()
        checkpoint("busy", f"c{number}")
        done.set()
        beside.join()
        expect_eq(set(refs("busy")) ^ expected, set(), f"refs lost or made, round {number}")


main(setup, a_commit_packs_what_is_beside_its_ref, states_of_before_have_what_they_had,
     a_lock_of_gits_is_heeded, what_is_none_is_left_alone, the_repository_of_another_stays_theirs,
     none_is_lost_beside_git)
