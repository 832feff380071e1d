#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What is ignored is in the commits of checkpoints and turns where git tracks it, and nowhere else."""
from commits_lib import AGAIN, Commits
from mount_lib import TESTDIR, Mount, expect_eq, main, need, run

M = Mount.of("ignored")
COMMITS = Commits(M)
OTHER = TESTDIR / "other"
CLONE = f"git clone -q {OTHER}"
# What is stored first, and the lines of a shell that follow: after each, the commit is what git would add.
CASES = {
    "below": ("printf 'out/\\n' > .gitignore", f"mkdir out; {CLONE} out/deps", AGAIN.format("out/deps"), "echo 1 > new"),
    "itself": ("printf '/d/*\\n!/d/keep\\n' > .gitignore; mkdir d; touch d/keep", f"{CLONE} d/x", AGAIN.format("d/x")),
    "init": ("printf 'out\\n' > .gitignore; mkdir out; touch out/x", f"rm -r out; {CLONE} out", AGAIN.format("out")),
    "forced": ("printf 'sub\\n' > .gitignore", f"{CLONE} sub; git add -f sub", AGAIN.format("sub")),
    "later": ("printf 'dist/\\n' > .gitignore", "mkdir dist; echo built > dist/app", "git add -f dist/app"),
    "sub-later": ("printf 'vendor/\\n' > .gitignore", f"{CLONE} vendor/r", "git add -f vendor/r"),
    "alone-later": ("printf 'r\\n' > .gitignore", f"{CLONE} r", "git add -f r"),
    "back": ("printf 'vendor/\\n' > .gitignore", f"{CLONE} vendor/r; git add -f vendor/r", "mv vendor v2", "mv v2 vendor"),
    "alone-back": ("printf 'r\\n' > .gitignore", f"{CLONE} r; git add -f r", "mv r r2", "mv r2 r"),
    "mark": ("printf '\\357\\273\\277node_modules/\\n' > .gitignore", "mkdir node_modules; echo 1 > node_modules/x"),
    "exclude": ("printf '\\357\\273\\277*.o\\n' > .git/info/exclude", "echo 1 > a.o; echo 1 > a.c"),
    "instead": ("mkdir build; echo 1 > build/x; ln -s build link", "echo 1 > new",
                "printf 'build\\nlink\\n' > .gitignore; git rm -rq --cached build link; rm -r build link; echo secret > build;"
                " echo secret > link", "echo secret >> build"),
}


def setup():
    need("git")
    OTHER.mkdir()
    run(["git", "-C", OTHER, "init", "-q"])
    run(["sh", "-c", AGAIN.format(OTHER)])
    M.mount()


def a_commit_has_what_git_would_add():
    for kind in ("checkpoint", "turn"):
        for name, (first, *lines) in CASES.items():
            space = f"{name}-{kind}"
            COMMITS.repository(space, first)
            ticking = [f"{line}; echo {count} > tick" for count, line in enumerate(lines)]  # each has a commit
            for line, commit in COMMITS.after_each(kind, space, ticking):
                COMMITS.expect_added(space, commit, f"{kind} of {name}, after {line}")


def what_git_has_been_told_to_forget_is_never_read_again():
    for kind in ("checkpoint", "turn"):
        space = f"forgotten-{kind}"
        COMMITS.repository(space, "echo 1 > .env; echo 1 > other")
        lines = ("echo .env > .gitignore; git rm -q --cached .env", "echo secret > .env; echo 2 > other",
                 "rm .env; echo 3 > other", "echo secret > .env; echo 4 > other")
        found = [COMMITS.git(space, "show", f"{commit}:.env", code=None)
                 for _, commit in COMMITS.after_each(kind, space, lines)]
        expect_eq(["secret" in one for one in found], [False] * len(lines), kind)
        expect_eq(found[:2], ["1\n"] * 2, f"{kind}: as the commit before has it")


def whole():
    M.verify()
    M.umount()


main(setup, a_commit_has_what_git_would_add, what_git_has_been_told_to_forget_is_never_read_again, whole)
