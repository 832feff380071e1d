#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What git keeps from a worktree is in a commit of a checkpoint or turn as git's index has it."""
import hashlib
import random

from commits_lib import AGAIN, FILES, Commits
from mount_lib import Mount, command, expect, expect_eq, main, need, run, wait_until

ROUNDS = 12
M = Mount.of("away")
SPACES = M / "workspaces"

COMMITS = Commits(M)
git, recorded, checkpoint = COMMITS.git, COMMITS.recorded, COMMITS.checkpoint
expect_added = COMMITS.expect_added


def step(space, random_numbers):
    """One of what people do there; gives what it was."""
    kind = random_numbers.choice(["switch"] * 4 + ["sparse", "edit", "remove", "stage", "whole"])
    git(space, "reset", "-q", "--hard") if kind in ("switch", "sparse", "whole") else None
    if kind == "switch":
        words = ("checkout", "-q", random_numbers.choice(("main", "one", "two")))
    elif kind == "sparse":
        index = random_numbers.choice(("--sparse-index", "--no-sparse-index"))
        below = random_numbers.sample(["in", "out/deep", "out/near", "far"], random_numbers.randint(1, 2))
        words = ("sparse-checkout", "set", "--cone", index, *below)
    elif kind == "whole":
        words = ("sparse-checkout", "disable")
    elif kind == "stage":
        words = ("add", "-A")
    else:
        words = ()
        there = [path for path in FILES if (SPACES / space / path).exists()]
        for path in random_numbers.sample(there, min(2, len(there))):
            if kind == "edit":
                (SPACES / space / path).write_text(f"{random_numbers.random()}\n")
            else:
                (SPACES / space / path).unlink()
    if words:
        git(space, *words)
    return " ".join((kind, *words))


def setup():
    need("git")
    M.mount()


def a_sparse_checkout_is_of_the_branch_that_is_checked_out():
    for seed in range(3):
        numbers = random.Random(seed)
        space = f"sparse-{seed}"
        COMMITS.branches(space, numbers)
        git(space, "sparse-checkout", "set", "--cone", "--no-sparse-index", "in")
        done = []
        for count in range(ROUNDS):
            done.append(step(space, numbers))
            expect_added(space, checkpoint(space, f"c{count}"), f"seed {seed}: {done}")


def a_commit_is_of_its_own_index():
    """Though another branch is checked out before it is made."""
    COMMITS.branches("soon", random.Random(7))
    git("soon", "sparse-checkout", "set", "--cone", "--no-sparse-index", "in")
    for count, branch in enumerate(("one", "two", "main", "two", "one")):
        git("soon", "checkout", "-q", branch)
        (SPACES / "soon/in/more").write_text(f"{count}\n")
        before = len(recorded("checkpoint.commit"))
        command(SPACES / "soon/.agentfs/ctl", f"checkpoint s{count}")
        wanted = git("soon", "ls-tree", "-r", branch, "out", "far")
        git("soon", "checkout", "-q", "main" if branch != "main" else "one")
        wait_until(30, lambda: len(recorded("checkpoint.commit")) > before, "the commit")
        commit = recorded("checkpoint.commit")[-1]["commit"]
        expect_eq(git("soon", "ls-tree", "-r", commit, "out", "far"), wanted, branch)


def a_rollback_has_the_index_of_its_state():
    for kind in ("--no-sparse-index", "--sparse-index"):
        space = "back" + kind
        COMMITS.branches(space, random.Random(3))
        git(space, "sparse-checkout", "set", "--cone", kind, "far")
        checkpoint(space, "first")
        git(space, "checkout", "-q", "one")
        checkpoint(space, "second")
        command(SPACES / space / ".agentfs/ctl", "rollback first")
        expect_added(space, checkpoint(space, "third"), f"after a rollback, {kind}")


FILE_ABOVE = {
    "sparse": ("git sparse-checkout set --no-cone /in/ /f1 '!/f1/under'; git reset -q other",
               "echo 1 > y", "echo 2 > f1", "echo 3 > y"),
    "marked": ("git reset -q other; git update-index --skip-worktree f1/under", "echo 1 > y", "echo 2 > f1"),
    "link": ("git reset -q other; git update-index --skip-worktree f1/under", "rm f1; ln -s in f1", "echo 1 > y"),
}


def a_file_in_the_place_of_a_directory_of_what_is_away_is_in_the_commit():
    for name, lines in FILE_ABOVE.items():
        for kind in ("checkpoint", "turn"):
            space = f"above-{name}-{kind}"
            (SPACES / space).mkdir()
            git(space, "init", "-q", "-b", "main")
            run(["sh", "-ec", "mkdir in; echo 1 > in/x; echo file > f1; git add -A; git commit -qm main;"
                 " git checkout -q -b other; git rm -q f1; mkdir f1; echo 1 > f1/under; git add -A;"
                 " git commit -qm other; git checkout -q main"], cwd=SPACES / space)
            for line, commit in COMMITS.after_each(kind, space, ("echo 0 > y", *lines)):
                expect_added(space, commit, f"{space}: {line}")


def rewrite_index(space, change):
    index = SPACES / space / ".git/index"
    text = change(index.read_bytes()[:-20])
    index.write_bytes(text + hashlib.sha1(text).digest())


def with_mode(text, path, mode):
    """An index of version 3 whose entry of the path, with both flags, has another mode."""
    at = text.index(path) - 2 - 2 - 20 - 4 * 4  # the flags, the id, the size, the group, the user, the mode
    return text[:at] + mode.to_bytes(4, "big") + text[at + 4:]


def an_index_with_a_mode_that_no_tree_has_stops_no_commit():
    """As git never writes one."""
    for mode in (0, 0o100664, 0o160755, 0o777777):
        space = f"mode-{mode:o}"
        (SPACES / space).mkdir()
        git(space, "init", "-q", "-b", "main")
        (SPACES / space / "odd-name").write_text("1\n")
        git(space, "add", "-A")
        git(space, "update-index", "--skip-worktree", "odd-name")
        (SPACES / space / "odd-name").unlink()
        rewrite_index(space, lambda text, mode=mode: with_mode(text, b"odd-name", mode))
        (SPACES / space / "other").write_text("2\n")
        expect_eq(git(space, "ls-tree", "--name-only", checkpoint(space, "odd")), "other\n", space)


def an_index_that_names_what_lies_outside_stops_no_commit():
    """As git never writes one."""
    COMMITS.with_submodule("crooked")
    there = git("crooked", "rev-parse", "HEAD:far/mod").strip()
    git("crooked", "update-index", "--add", "--cacheinfo", f"160000,{there},zz/x")
    rewrite_index("crooked", lambda text: text.replace(b"zz/x", b"../x"))
    lines = (AGAIN.format("far/mod"), f"{AGAIN.format('far/mod')}; cp .git/index new; mv new .git/index")
    for kind in ("checkpoint", "turn"):
        for line, commit in COMMITS.after_each(kind, "crooked", lines):
            expect_eq(git("crooked", "rev-parse", f"{commit}:far/mod"), git("crooked/far/mod", "rev-parse", "HEAD"),
                      f"{kind} after {line}")


SPARSE = {"patterns": ("--no-cone", "in/"), "cone": ("--cone", "--no-sparse-index", "in"),
          "index": ("--cone", "--sparse-index", "in")}


def rules_that_are_kept_away_leave_out_what_they_name():
    for name, words in SPARSE.items():
        for kind in ("checkpoint", "turn"):
            space = f"rules-{name}-{kind}"
            for path, text in ((".gitignore", "*.log\n.env\n"), ("in/f", "f\n"), ("out/f", "f\n"),
                               ("out/.gitignore", "*.o\n/top\n#no\nd/x\n"), ("out/deep/f", "f\n")):
                (SPACES / space / path).parent.mkdir(parents=True, exist_ok=True)
                (SPACES / space / path).write_text(text)
            git(space, "init", "-q", "-b", "main")
            git(space, "add", "-A")
            git(space, "commit", "-q", "-m", "first")
            git(space, "sparse-checkout", "set", *words)
            lines = ("echo 1 > in/f", "echo 2 > in/.env; echo 2 > in/x.log; echo 2 > in/new",
                     "mkdir -p out/deep/d; for p in a.o top b deep/a.o deep/top deep/kept.log"
                     " deep/x.log deep/.env deep/d/x; do echo 3 > out/$p; done",
                     "mkdir out/d; echo 4 > out/d/x; echo 4 > out/d/y")
            for line, commit in COMMITS.after_each(kind, space, lines):
                expect_added(space, commit, f"{space}: {line}")


def a_partial_clone_has_what_it_was_promised():
    COMMITS.branches("whole", random.Random(5))
    git("whole", "config", "uploadpack.allowFilter", "true")
    run(["git", "clone", "-q", "--filter=blob:none", "--sparse", f"file://{SPACES}/whole", SPACES / "part"])
    git("part", "sparse-checkout", "set", "--cone", "in")
    checkpoint("part", "before")
    git("part", "checkout", "-q", "-b", "one", "origin/one")
    (SPACES / "part/top").write_text("changed\n")
    commit = checkpoint("part", "after")
    missing = git("part", "rev-list", "--objects", "--missing=print", commit).count("?")
    expect(missing > 0, "nothing is missing")
    expect_added("part", commit, "a partial clone")


def turns_have_the_branch_that_their_agent_checked_out():
    numbers = random.Random(11)
    COMMITS.branches("turns", numbers)
    git("turns", "sparse-checkout", "set", "--cone", "--no-sparse-index", "in")
    pid = COMMITS.worker("turns")
    for line in ("echo 0 > in/zero", "rm in/zero; git checkout -q one", "git checkout -q two", "echo 1 > in/more",
                 "git checkout -q main", "git sparse-checkout set --cone out/near",
                 "rm -rf out; echo 2 > top", "git checkout -q -f main", "mv out aside; mv aside out", "git checkout -q -f one",
                 "git sparse-checkout set --cone --sparse-index far", "git checkout -q two"):
        expect_added("turns", COMMITS.turn(pid, line), line)
    before = git("turns", "rev-parse", f"refs/agentfs/turns/{pid}")
    COMMITS.turn(pid, "touch top; git status -s")
    expect_eq(git("turns", "rev-parse", f"refs/agentfs/turns/{pid}"), before, "a turn that changed nothing")


def whole():
    M.verify()
    M.umount()
    M.fsck()
    expect(not any((M.state / "staged").iterdir()) if (M.state / "staged").exists() else True,
           "copies for commits stayed")


main(setup, a_sparse_checkout_is_of_the_branch_that_is_checked_out, a_commit_is_of_its_own_index,
     a_rollback_has_the_index_of_its_state,
     a_file_in_the_place_of_a_directory_of_what_is_away_is_in_the_commit,
     an_index_that_names_what_lies_outside_stops_no_commit,
     an_index_with_a_mode_that_no_tree_has_stops_no_commit,
     rules_that_are_kept_away_leave_out_what_they_name,
     a_partial_clone_has_what_it_was_promised, turns_have_the_branch_that_their_agent_checked_out, whole)
