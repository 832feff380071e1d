#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A submodule is in a commit of a checkpoint or turn as git would add it, checked out or not."""
import random

from commits_lib import AGAIN, Commits
from mount_lib import Mount, command, main, need

M = Mount.of("submodules")
SPACES = M / "workspaces"
COMMITS = Commits(M)
git, checkpoint, expect_added = COMMITS.git, COMMITS.checkpoint, COMMITS.expect_added


def setup():
    need("git")
    M.mount()


def a_submodule_that_is_not_checked_out_has_the_commit_of_the_branch():
    (SPACES / "below").mkdir()
    git("below", "init", "-q", "-b", "main")
    for name in ("first", "second"):
        git("below", "commit", "-q", "--allow-empty", "-m", name)
    COMMITS.branches("above", random.Random(1))
    git("above", "submodule", "--quiet", "add", "../below", "below")
    git("above", "commit", "-q", "-m", "with it")
    git("above", "branch", "newer")
    git("above/below", "checkout", "-q", "HEAD~")
    git("above", "commit", "-q", "-am", "with an older one")
    git("above", "branch", "older")
    git("above", "submodule", "--quiet", "deinit", "-f", "below")
    expect_added("above", checkpoint("above", "deinit"), "after deinit")
    for count, branch in enumerate(("older", "newer", "one", "newer", "older", "main")):
        git("above", "checkout", "-q", branch)
        expect_added("above", checkpoint("above", f"b{count}"), branch)
        command(SPACES / "above/.agentfs/ctl", f"rollback b{count}")
        expect_added("above", checkpoint("above", f"r{count}"), f"{branch} after a rollback")


NEXT = AGAIN.format("far/mod")
CHANGES_OF_A_SUBMODULE = {
    "back": ("rm -rf far", "git reset -q --hard", "echo 2 > top", "echo 3 > far/f"),
    "made": ("rm -rf far/mod", "mkdir far/mod; echo 4 > top", "echo 5 > top"),
    "moved": ("mv far moved", "echo 5 > moved/mod/file", "mv moved far"),
    "bare": ("rm far/mod/.git", "echo 6 > far/mod/file", "rm -rf far/mod/*", "rmdir far/mod"),
    "unnamed": ("git rm -q --cached .gitmodules; rm .gitmodules", f"{NEXT}; echo 2 > top", f"{NEXT}; echo 3 > top"),
    "slash": ("printf '[submodule \"far/mod\"]\n\tpath = ./far/mod/\n' > .gitmodules", f"{NEXT}; echo 2 > top"),
    "ignored": ("echo far > .gitignore", "mv far other; mkdir far; echo 3 > far/z", "echo 2 > top; echo 4 > far/z"),
    "ignored-swapped": ("echo far > .gitignore; mkdir b; echo 1 > b/z", "mv far t; mv b far; mv t b", "echo 2 > far/z"),
    "other": ("rm -rf far/mod", "echo 7 > far/mod", "rm far/mod; mkdir far/mod; echo 8 > far/mod/new"),
}


def a_submodule_is_a_commit_wherever_its_directory_goes():
    for name, lines in CHANGES_OF_A_SUBMODULE.items():
        for kind in ("checkpoint", "turn"):
            space = f"{name}-{kind}"
            COMMITS.with_submodule(space)
            for line, commit in COMMITS.after_each(kind, space, ("echo 1 > top", *lines)):
                expect_added(space, commit, f"{space}: {line}")


def whole():
    M.verify()
    M.umount()


main(setup, a_submodule_that_is_not_checked_out_has_the_commit_of_the_branch,
     a_submodule_is_a_commit_wherever_its_directory_goes, whole)
