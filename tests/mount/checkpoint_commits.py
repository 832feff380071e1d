#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Checkpoints become git commits: as they were, of everybody's changes, beside the user's own."""
import os
import pathlib
import random
import shutil
import signal
import threading

from mount_lib import (EXCHANGE, Mount, command, expect, expect_eq, expect_has, kill, main, need, read,
                       renameat2, run, tell, wait_until)

ROUNDS = 4
M = Mount.of("checkpoints")
SPACES = M / "workspaces"


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def git(space, *words, **more):
    return run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", SPACES / space, *words],
               **more)


def rows(kind):
    return [row for row in M.journal() if row["kind"] == kind]


def checkpoint(space, name):
    """Makes one, and gives the record of its commit."""
    before = len(rows("checkpoint.commit"))
    ctl(space, f"checkpoint {name}")
    wait_until(30, lambda: len(rows("checkpoint.commit")) > before, f"the commit of {name}")
    return rows("checkpoint.commit")[-1]["data"]


def users_state(space):
    return (read(SPACES / space / ".git/HEAD"), (SPACES / space / ".git/index").read_bytes(),
            git(space, "for-each-ref", "refs/heads", "refs/tags", "refs/stash"))


def setup():
    need("git")
    M.mount()
    (SPACES / "site").mkdir()
    git("site", "init", "-q", "-b", "main")
    for name in ("a", "b", "c"):
        (SPACES / "site" / name).write_text(f"{name}\n", encoding="utf-8")
    (SPACES / "site/.gitignore").write_text("*.o\nbuild/\n", encoding="utf-8")
    (SPACES / "site/out").mkdir()
    (SPACES / "site/out/keep.o").write_text("tracked\n", encoding="utf-8")
    git("site", "add", "-A")
    git("site", "add", "-f", "out/keep.o")
    git("site", "commit", "-q", "-m", "first")


def beside_the_users_own():
    site = SPACES / "site"
    (site / "a").write_text("changed\n", encoding="utf-8")
    (site / "b").unlink()
    (site / "x.o").write_text("ignored\n", encoding="utf-8")
    os.symlink("a", site / "link")
    before = users_state("site")
    ctl("site", "checkpoint one")
    (site / "a").write_text("later\n", encoding="utf-8")
    wait_until(30, lambda: rows("checkpoint.commit"), "the first commit")
    made = rows("checkpoint.commit")[-1]["data"]
    ref = "refs/agentfs/checkpoints/one"
    expect_eq(made["ref"], ref, "the ref that the journal tells of")
    expect_eq(git("site", "rev-parse", ref).strip(), made["commit"], "the ref")
    expect_eq(users_state("site"), before, "HEAD, the index and the user's refs")
    expect_eq(git("site", "show", f"{ref}:a"), "changed\n", "the file as it was")
    expect_eq(git("site", "ls-tree", "-r", "--name-only", ref), ".gitignore\na\nc\nlink\nout/keep.o\n",
              "what is in the commit")
    expect_eq(git("site", "rev-parse", f"{ref}^"), git("site", "rev-parse", "HEAD"), "its parent")
    user = run(["id", "-un"]).strip()
    expect_has(git("site", "log", "-1", "--format=%an|%s", ref), f"{user} (pid 1)|checkpoint one",
               "author and message")
    expect_eq(git("site", "fsck", "--strict", "--no-dangling"), "", "git fsck")


def only_what_changed():
    site = SPACES / "site"
    made = checkpoint("site", "two")
    expect_eq(made["paths"], 1, "paths looked at")
    expect_eq(git("site", "show", f"{made['commit']}:a"), "later\n", "the change after the first")
    # Open for writing all the time: its row comes when it is closed.
    with open(site / "log", "w", encoding="utf-8") as log:
        log.write("1\n")
        log.flush()
        checkpoint("site", "three")
        log.write("2\n")
        log.flush()
        made = checkpoint("site", "four")
    expect_eq(git("site", "show", f"{made['commit']}:log"), "1\n2\n", "a file open for writing")
    expect_eq(git("site", "show", "refs/agentfs/checkpoints/three:log"), "1\n", "before that")
    made = checkpoint("site", "five")
    expect_eq(git("site", "diff", "--stat", "refs/agentfs/checkpoints/four", made["commit"]), "",
              "nothing has changed")


def after_a_rollback():
    site = SPACES / "site"
    (site / "after").write_text("x\n", encoding="utf-8")
    made = checkpoint("site", "six")
    ctl("site", "rollback two")
    expect(not (site / "after").exists(), "after: is still there")
    # The workspace's own repository went back with it, and so the last commit is not there.
    seven = checkpoint("site", "seven")
    expect("error" not in seven, f"seven: {seven}")
    expect_eq(git("site", "ls-tree", "-r", "--name-only", seven["commit"]),
              ".gitignore\na\nc\nlink\nout/keep.o\n", "what is in the commit")
    expect(made["commit"] != seven["commit"], "the two are one commit")


def after_a_rollback_whatever_the_names():
    space = SPACES / os.fsdecode(b"odd\xff")
    odd = space / os.fsdecode(b"d\xff")
    odd.mkdir(parents=True)
    git(space.name, "init", "-q")
    commits = []
    for text in "one", "two", None:
        if text is None:
            ctl(space.name, "rollback one")
        else:
            (odd / "a").write_text(text, encoding="utf-8")
        commits.append(checkpoint(space.name, text or "three")["commit"])
    expect_eq([git(space.name, "show", f"{commit}:{odd.name}/a") for commit in commits], ["one", "two", "one"])


def spread(name):
    """Three directories of twenty files, in a repository."""
    space = SPACES / name
    for directory in ("d0", "d1", "d2"):
        (space / directory).mkdir(parents=True)
        for number in range(20):
            (space / directory / f"f{number}").write_text(f"{directory} {number}\n", encoding="utf-8")
    git(name, "init", "-q")
    git(name, "commit", "-q", "--allow-empty", "-m", "first")
    return space


def expect_recorded(space, commit, what):
    """All that is there now is in the commit, and nothing else."""
    seen = {str(path.relative_to(space)): path.read_text(encoding="utf-8")
            for path in space.rglob("*") if path.is_file() and ".git" not in path.parts}
    told = git(space.name, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
    expect_eq(sorted(told), sorted(seen), f"{what}: the names")
    git(space.name, "read-tree", commit)
    expect_eq(git(space.name, "diff", "--stat"), "", f"{what}: the contents")


def what_a_rollback_changed_alone_is_looked_at():
    space = spread("spread")
    for name in ("one", "two", "three"):
        (space / "d0/f0").write_text(f"{name}\n", encoding="utf-8")
        checkpoint("spread", name)
        git("spread", "add", "d1")
        git("spread", "commit", "-q", "--allow-empty", "-m", f"the user's after {name}")
    ctl("spread", "fork spread-before")
    ctl("spread", "fork spread-two two")
    (space / "d0/f0").write_text("later\n", encoding="utf-8")
    checkpoint("spread", "later")
    git("spread", "commit", "-q", "--allow-empty", "-m", "the user's last")
    ctl("spread", "rollback two")
    for name in ("spread", "spread-before", "spread-two"):
        expect_eq(git(name, "fsck", "--no-dangling"), "", f"git fsck in {name}")
        git(name, "gc", "-q")
        expect("later" not in git(name, "for-each-ref"), f"{name}: has the ref of a later commit")
    (space / "d2/f2").write_text("x\n", encoding="utf-8")
    made = checkpoint("spread", "four")
    expect("error" not in made, f"four: {made}")
    expect_recorded(space, made["commit"], "four")
    expect_eq(made["paths"], 2, "paths that differ between one, whose commit is left, and four")
    expect_eq(git("spread", "rev-parse", "refs/agentfs/checkpoints/four^"),
              git("spread", "rev-parse", "refs/agentfs/checkpoints/one"), "its parent")
    ctl("spread", "fork spread-fork")
    (SPACES / "spread-fork/d1/f1").write_text("y\n", encoding="utf-8")
    made = checkpoint("spread-fork", "of-a-fork")
    expect_eq(made["paths"], 1, "paths that have changed in the fork")
    expect_recorded(SPACES / "spread-fork", made["commit"], "of a fork")


def commits_are_what_was_there_whatever_was_rolled_back():
    space, chance, kept = spread("chance"), random.Random(7), []

    def change():
        directory = chance.choice([each for each in space.iterdir() if each.name != ".git"])
        path = directory / f"f{chance.randrange(24)}"
        kind = chance.randrange(7)
        if kind == 0:
            path.unlink(missing_ok=True)
        elif kind == 1 and not (space / "moved").exists():
            directory.rename(space / "moved")
        elif kind == 2:
            directory.chmod(chance.choice((0o755, 0o750)))
        elif kind == 3:
            (directory / "new").mkdir(exist_ok=True)
            (directory / "new/deep").write_text(f"{chance.random()}\n", encoding="utf-8")
        else:
            path.write_text(f"{chance.random()}\n", encoding="utf-8")

    for number in range(24):
        for _ in range(chance.randrange(4)):
            change()
        if chance.random() < 0.3:
            git("chance", "commit", "-q", "--allow-empty", "-a", "-m", "the user's")
        if kept and chance.random() < 0.5:
            ctl("chance", f"rollback {chance.choice(kept)}")
            if chance.random() < 0.3:
                ctl("chance", f"rollback {chance.choice(sorted(os.listdir(space / '.agentfs/snapshots')))}")
        if chance.random() < 0.3:
            ctl("chance", f"checkpoint unwaited-{number}")
            change()
        made = checkpoint("chance", f"c{number}")
        while made["name"] != f"c{number}":
            wait_until(30, lambda: rows("checkpoint.commit")[-1]["data"]["name"] == f"c{number}", "its commit")
            made = rows("checkpoint.commit")[-1]["data"]
        expect("error" not in made, f"{made}")
        expect_recorded(space, made["commit"], f"c{number}")
        kept.append(f"c{number}")
    expect_eq(git("chance", "fsck", "--strict", "--no-dangling"), "", "git fsck")


def a_rollback_waits():
    """The lock of the ref holds the commit up: it is whole in one .git, or in the other."""
    (SPACES / "site/a").write_text("nine\n", encoding="utf-8")
    lock = SPACES / "site/.git/refs/agentfs/checkpoints/nine.lock"
    ctl("site", "checkpoint before-nine")
    lock.touch()
    os.utime(lock, times=(0, lock.stat().st_mtime - 57))  # nobody's in three seconds
    ctl("site", "checkpoint nine")
    ctl("site", "rollback before-nine")
    wait_until(30, lambda: rows("checkpoint.commit")[-1]["data"]["name"] == "nine", "the commit")
    expect("error" not in rows("checkpoint.commit")[-1]["data"], f"{rows('checkpoint.commit')[-1]}")
    lock.unlink(missing_ok=True)
    expect_eq(git("site", "fsck", "--strict", "--no-dangling"), "", "git fsck")
    made = checkpoint("site", "ten")
    expect("error" not in made, f"ten: {made}")
    expect_eq(git("site", "show", f"{made['commit']}:a"), read(SPACES / "site/a"), "the state of ten")


def ignored_directories():
    """A tracked file in one that is ignored stays as it was until it is written itself."""
    space = SPACES / "built"
    (space / "build").mkdir(parents=True)
    git("built", "init", "-q")
    for name, text in ((".gitignore", "build/\n"), ("build/tracked", "1\n"), ("build/more", "1\n")):
        (space / name).write_text(text, encoding="utf-8")
    git("built", "add", "-f", ".gitignore", "build/tracked", "build/more")
    git("built", "commit", "-q", "-m", "first")
    (space / "build/junk").write_text("junk\n", encoding="utf-8")

    def tracked(made):
        return git("built", "ls-tree", "-r", "--name-only", made["commit"], "build/")

    expect_eq(tracked(checkpoint("built", "one")), "build/more\nbuild/tracked\n", "at first")
    (space / "build/tracked").write_text("2\n", encoding="utf-8")
    os.rename(space / "build", space / "gone")
    os.rename(space / "gone", space / "build")
    made = checkpoint("built", "two")
    expect_eq(tracked(made), "build/more\nbuild/tracked\n", "after two renames")
    expect_eq(git("built", "show", f"{made['commit']}:build/tracked"), "2\n", "what was written")
    # All of it is compared in a fork of a checkpoint.
    ctl("built", "fork built-2 one")
    (SPACES / "built-2/build/more").unlink()
    made = checkpoint("built-2", "three")
    expect_eq(git("built-2", "ls-tree", "-r", "--name-only", made["commit"]),
              ".gitignore\nbuild/tracked\n", "of the fork")
    expect_eq(git("built-2", "show", f"{made['commit']}:build/tracked"), "1\n", "as it was at one")


def what_git_tracks_is_in_though_it_is_ignored():
    """From when on it is tracked; in the commits of turns, too."""
    space = SPACES / "forced"
    (space / "build").mkdir(parents=True)
    git("forced", "init", "-q")
    (space / ".gitignore").write_text("build/\n", encoding="utf-8")
    (space / ".git/info/exclude").write_text("*.o\n", encoding="utf-8")
    for name in ("a.o", "b.o", "build/a", "build/b"):
        (space / name).write_text("1\n", encoding="utf-8")
    git("forced", "add", "-f", ".gitignore", "a.o", "build/a")
    (space / "a.o").write_text("2\n", encoding="utf-8")

    def held(name):
        made = checkpoint("forced", name)
        return made, git("forced", "ls-tree", "-r", "--name-only", made["commit"]).split()

    made, names = held("one")
    expect_eq(names, [".gitignore", "a.o", "build/a"], "at first")
    expect_eq(git("forced", "show", f"{made['commit']}:a.o"), "2\n", "as it lies there")
    git("forced", "add", "-f", "b.o", "build/b")
    expect_eq(held("two")[1], [".gitignore", "a.o", "b.o", "build/a", "build/b"], "tracked since")
    for name in ("a.o", "build/b"):
        (space / name).write_text("3\n", encoding="utf-8")
    (space / "c.o").write_text("ignored\n", encoding="utf-8")
    (space / "build/b").rename(space / "build/c")
    (space / "b.o").unlink()
    made, names = held("three")
    expect_eq(names, [".gitignore", "a.o", "build/a"], "after changes")
    expect_eq(git("forced", "show", f"{made['commit']}:a.o"), "3\n", "as it was written")
    # A tracked one that becomes a directory is tracked no more.
    (space / "a.o").unlink()
    (space / "a.o").mkdir()
    (space / "a.o/in").write_text("ignored\n", encoding="utf-8")
    expect_eq(held("directory")[1], [".gitignore", "build/a"], "a directory of an ignored name")
    shutil.rmtree(space / "a.o")
    (space / "a.o").write_text("3\n", encoding="utf-8")
    git("forced", "add", "-f", "build/c")
    ctl("forced", "fork forced-2")
    made = checkpoint("forced-2", "four")
    expect_eq(git("forced-2", "ls-tree", "-r", "--name-only", made["commit"]).split(),
              [".gitignore", "a.o", "build/a", "build/c"], "in a fork")
    ctl("forced", "rollback one")
    expect_eq(held("five")[1], [".gitignore", "a.o", "build/a"], "as it was at one")


def a_directory_in_the_place_of_a_tracked_file_is_none_after_a_rollback():
    space = SPACES / "placed"
    (space / "build").mkdir(parents=True)
    git("placed", "init", "-q")
    (space / ".gitignore").write_text("build/\n", encoding="utf-8")
    for name in "ab":
        (space / "build" / name).write_text("1\n", encoding="utf-8")
    git("placed", "add", "-f", ".gitignore", "build/a", "build/b")
    git("placed", "commit", "-q", "-m", "first")
    checkpoint("placed", "one")
    (space / "build/a").write_text("2\n", encoding="utf-8")
    checkpoint("placed", "two")
    ctl("placed", "rollback one")
    (space / "build/a").unlink()
    (space / "build/a").mkdir()
    (space / "build/a/in").write_text("ignored\n", encoding="utf-8")
    made = checkpoint("placed", "three")
    expect_eq(git("placed", "ls-tree", "-r", "--name-only", made["commit"]).split(), [".gitignore", "build/b"])


def what_a_sparse_checkout_leaves_out_stays():
    """What git keeps away from the worktree is no removal; what is removed beside it is one."""
    space = SPACES / "sparse"
    for name in ("in", "out/deep", "out/near"):
        (space / name).mkdir(parents=True)
        (space / name / "f").write_text("1\n")
    (space / "top").write_text("1\n")
    git("sparse", "init", "-q")
    git("sparse", "add", "-A")
    git("sparse", "commit", "-q", "-m", "first")

    def changed(made):
        return git("sparse", "diff", "--name-status", "HEAD", made["commit"])

    expect_eq(changed(checkpoint("sparse", "all")), "", "before")
    for kind, name in (("--no-sparse-index", "one"), ("--sparse-index", "two")):
        git("sparse", "sparse-checkout", "set", "--cone", kind, "in")
        expect(not (space / "out").exists(), "what lies outside is there")
        expect_eq(changed(checkpoint("sparse", name)), "", kind)
    git("sparse", "sparse-checkout", "set", "--cone", "--no-sparse-index", "out/near")
    (space / "out/near/f").unlink()
    (space / "out/near/g").write_text("2\n")
    expect_eq(changed(checkpoint("sparse", "three")), "D\tout/near/f\nA\tout/near/g\n", "its own")
    shutil.rmtree(space / "out")
    expect_eq(changed(checkpoint("sparse", "four")), "D\tout/near/f\n", "a directory that has both")
    (space / "top").unlink()
    expect_eq(changed(checkpoint("sparse", "five")), "D\tout/near/f\nD\ttop\n", "a file")


def each_name_of_a_linked_file_is_what_it_is():
    """By whichever of them it was changed; in a fork, too, which has its own numbers."""
    (SPACES / "twin").mkdir()
    git("twin", "init", "-q", "-b", "main")
    (SPACES / "twin/deep").mkdir()
    (SPACES / "twin/f").write_text("one\n", encoding="utf-8")
    (SPACES / "twin/plain").write_text("plain\n", encoding="utf-8")
    os.link(SPACES / "twin/f", SPACES / "twin/deep/g")
    git("twin", "add", "-A")
    git("twin", "commit", "-q", "-m", "first")
    checkpoint("twin", "one")
    ctl("twin", "fork twin-f")
    for space in ("twin", "twin-f"):
        for number, name in enumerate(("f", "deep/g", "f")):
            with open(SPACES / space / name, "a", encoding="utf-8") as file:
                file.write(f"{number} {name}\n")
            made = checkpoint(space, f"more{number}")
            for each in ("f", "deep/g"):
                expect_eq(git(space, "show", f"{made['ref']}:{each}"), read(SPACES / space / each), f"{name}, {each}")
        (SPACES / space / "deep/g").chmod(0o755)
        expect_has(git(space, "ls-tree", checkpoint(space, "mode")["ref"], "f"), "100755")
        (SPACES / space / "deep/g").write_text("by a name that goes\n", encoding="utf-8")
        (SPACES / space / "deep/g").unlink()
        made = checkpoint(space, "gone")
        expect_eq(git(space, "show", f"{made['ref']}:f"), "by a name that goes\n")


def what_is_ignored_no_more_is_in():
    """By whichever rules; and the files of a repository that is one no more."""
    space = SPACES / "rules"
    (space / "sub").mkdir(parents=True)
    git("rules", "init", "-q", "-b", "main")
    (space / ".gitignore").write_text("*.o\n", encoding="utf-8")
    (space / "sub/.gitignore").write_text("*.p\n", encoding="utf-8")
    (space / ".git/info/exclude").write_text("*.q\n", encoding="utf-8")
    for name in ("a.o", "sub/a.o", "sub/a.p", "a.q"):
        (space / name).write_text(f"{name}\n", encoding="utf-8")
    git("rules", "init", "-q", "nested")
    (space / "nested/f").write_text("nested\n", encoding="utf-8")
    def held(name):
        return git("rules", "ls-tree", "-r", "--name-only", checkpoint("rules", name)["ref"]).split()
    first = held("first")
    expect_eq(first, [".gitignore", "sub/.gitignore"])
    for number, (deed, more) in enumerate(((lambda: (space / "sub/.gitignore").write_text("*.x\n"), ["sub/a.p"]),
                                          (lambda: (space / ".git/info/exclude").unlink(), ["a.q"]),
                                          (lambda: (space / ".gitignore").write_text("x\n"), ["a.o", "sub/a.o"]),
                                          (lambda: shutil.rmtree(space / "nested/.git"), ["nested/f"]))):
        deed()
        first = sorted(first + more)
        expect_eq(held(f"k{number}"), first, f"{number}")


def a_turn_after_a_rollback_has_what_is_there():
    """Also what nobody has looked into since, which is on the disk only when somebody does."""
    M.script_model("writer", {"name": "writer", "tasks": [{"match": "*", "steps": [
        {"text": "I write.", "calls": [{"name": "write", "arguments": {"path": "{{last_user}}", "text": "text\n"}}]},
        {"text": "done"}]}]})
    space = SPACES / "turned"
    for name in ("d/e", "o"):
        (space / name).mkdir(parents=True)
    git("turned", "init", "-q", "-b", "main")
    for name in ("a", "d/q", "d/e/r", "o/s"):
        (space / name).write_text("1\n", encoding="utf-8")
    git("turned", "add", "-A")
    git("turned", "commit", "-q", "-m", "first")
    pid = M.spawn("name=writer model=writer workspace=turned")

    def turn(name):
        tell(M.proc(pid, "chat"), f"{name}\n")
        M.wait(pid)
        ref = f"refs/agentfs/turns/{pid}"
        return (git("turned", "ls-tree", "-r", "--name-only", ref).split(),
                git("turned", "diff", "--name-status", "main", ref).split())

    ctl("turned", "checkpoint c1")
    (space / "more").write_text("1\n", encoding="utf-8")
    ctl("turned", "rollback c1")
    expect_eq(turn("three"), (["a", "d/e/r", "d/q", "o/s", "three"], ["A", "three"]), "after a rollback")
    ctl("turned", "rollback undo-1")
    (space / ".gitignore").write_text("x\n", encoding="utf-8")
    expect_eq(turn("four"), ([".gitignore", "a", "d/e/r", "d/q", "four", "more", "o/s"],
                             ["A", ".gitignore", "A", "four", "A", "more"]), "after its undo")


def rules_are_gits_own_and_what_is_none_is_none():
    """.gitignore before .git/info/exclude; a link or a directory of such a name is a path as others."""
    space = SPACES / "rules-of"
    (space / "sub").mkdir(parents=True)
    git("rules-of", "init", "-q")
    (space / ".git/info/exclude").write_text("f\n.gitignore\nd/\n", encoding="utf-8")
    (space / ".gitignore").write_text("!f\n!.gitignore\n!d/\n", encoding="utf-8")
    (space / "d").mkdir()
    for name in ("f", "d/x", "sub/f"):
        (space / name).write_text("1\n", encoding="utf-8")
    def held(name):
        return git("rules-of", "ls-tree", "-r", "--name-only", checkpoint("rules-of", name)["ref"]).split()
    expect_eq(held("one"), [".gitignore", "d/x", "f", "sub/f"])
    (space / "rules").write_text("*.t\n", encoding="utf-8")
    (space / "x.t").write_text("1\n", encoding="utf-8")
    (space / "sub/.gitignore").symlink_to("../rules")
    (space / "sub/x.t").write_text("1\n", encoding="utf-8")
    (space / "d/.gitignore").mkdir()
    (space / "d/.gitattributes").mkdir()
    (space / "d/.gitignore/g").write_text("1\n", encoding="utf-8")
    expect_eq(held("two"), [".gitignore", "d/.gitignore/g", "d/x", "f", "rules", "sub/.gitignore", "sub/f",
                            "sub/x.t", "x.t"])


def other_rules_cost_what_they_leave_out_less():
    """Not the rest of the directory, which is in already."""
    space = SPACES / "fewer"
    (space / "sub").mkdir(parents=True)
    git("fewer", "init", "-q")
    (space / ".gitignore").write_text("*.o\n*.p\nout/\n", encoding="utf-8")
    (space / "out").mkdir()
    for name in ["a.o", "sub/a.o", "a.p", "out/x", *(f"sub/f{number}" for number in range(40))]:
        (space / name).write_text("1\n", encoding="utf-8")
    checkpoint("fewer", "one")
    (space / ".gitignore").write_text("*.p\n", encoding="utf-8")
    made = checkpoint("fewer", "two")
    expect_eq(made["paths"], 4, "paths that were looked at: the rules, two files, a directory")
    expect_eq(git("fewer", "diff", "--name-only", f"{made['ref']}^", made["ref"]).split(),
              [".gitignore", "a.o", "out/x", "sub/a.o"])


def many_files_are_what_git_would_add():
    """Those that git has read are not read again; whatever the index says of them, and has no more."""
    space = SPACES / "many"
    space.mkdir()
    git("many", "init", "-q")
    for number in range(400):
        (space / f"d{number % 7}").mkdir(exist_ok=True)
        (space / f"d{number % 7}/f{number}").write_text(f"{number:04}\n", encoding="utf-8")
    (space / "d1/.gitignore").write_text("*.o\n", encoding="utf-8")
    (space / "d1/link").symlink_to("f1")
    for path in space.glob("d*/*"):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    git("many", "add", "-A")
    git("many", "commit", "-q", "-m", "first")
    (space / "d0/f0").write_text("new!\n", encoding="utf-8")
    os.utime(space / "d0/f0", (1e9, 1e9))
    (space / "d0/f7").chmod(0o755)
    (space / "d0/f14").unlink()
    (space / "d0/f21").unlink()
    (space / "d0/f21").symlink_to("f28")
    (space / "d1/f1").rename(space / "d1/renamed")
    (space / "d2/f9").unlink()
    (space / "d2/f9").mkdir()
    (space / "d2/f9/below").write_text("1\n", encoding="utf-8")
    (space / "d1/x.o").write_text("ignored\n", encoding="utf-8")
    (space / "d1/added").write_text("1\n", encoding="utf-8")
    blob = git("many", "rev-parse", ":d3/f3").strip()
    (space / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()

    def expect_as_git(name):
        commit = checkpoint("many", name)
        expect("error" not in commit, f"{commit}")
        index = {"env": {**os.environ, "GIT_INDEX_FILE": str(M.state / f"index-{name}")}}
        git("many", "read-tree", "--empty", **index)
        git("many", "add", "-A", **index)
        expect_eq(git("many", "rev-parse", f"{commit['ref']}^{{tree}}"), git("many", "write-tree", **index), name)

    expect_as_git("lacking")
    git("many", "add", "-A")
    for path in space.glob("d*/f*[05]"):
        path.write_text("later\n", encoding="utf-8")
    git("many", "add", "-A")
    (space / "d5/f5").write_text("LATER\n", encoding="utf-8")
    ctl("many", "discard lacking")
    expect_as_git("later")
    # What a setting of the user's has changed on its way into the index lies there otherwise.
    (space / "d0/eol").write_bytes(b"one\r\ntwo\r\n")
    os.utime(space / "d0/eol", (1e9, 1e9))
    git("many", "-c", "core.autocrlf=input", "add", "-A")
    for path in space.glob("d*/f*"):
        path.chmod(0o755)
    git("many", "-c", "core.autocrlf=input", "add", "-A")
    commit = checkpoint("many", "eol")
    expect_eq(git("many", "cat-file", "-s", f"{commit['ref']}:d0/eol").strip(), "10", "as it lies there")


def other_attributes_count_for_what_nobody_has_touched():
    """Line endings are stored as the rules of now say, and not as those of when a file was read."""
    space = "attributes"
    (SPACES / space / "d").mkdir(parents=True)
    git(space, "init", "-q", "-b", "main")
    for path in ("top", "d/below"):
        (SPACES / space / path).write_bytes(b"one\r\ntwo\r\n")
    rules, below = SPACES / space / ".gitattributes", SPACES / space / "d/.gitattributes"
    changes = {"first": lambda: rules.write_text("* text\n", encoding="utf-8"),
               "below": lambda: below.write_text("* -text\n", encoding="utf-8"),
               "none": lambda: (rules.unlink(), below.unlink()),
               "again": lambda: rules.write_text("* text\n", encoding="utf-8"),
               "own": lambda: (SPACES / space / ".git/info/attributes").write_text("* -text\n", encoding="utf-8")}
    wanted = {"first": ["8", "8"], "below": ["8", "10"], "none": ["10", "10"], "again": ["8", "8"],
              "own": ["10", "10"]}
    for name, change in changes.items():
        change()
        commit = checkpoint(space, name)["commit"]
        sizes = [git(space, "cat-file", "-s", f"{commit}:{path}").strip() for path in ("top", "d/below")]
        expect_eq(sizes, wanted[name], f"bytes of what is stored, {name}")


def other_attributes_of_a_turn_count_for_what_nobody_has_touched():
    """And what others have changed there is in a commit of theirs."""
    space, rules = "turned-rules", "* text\n"
    M.script_model("ruler", {"name": "ruler", "tasks": [{"match": "*", "steps": [
        {"text": "I write.", "calls": [{"name": "write", "arguments": {"path": "{{last_user}}", "text": rules}}]},
        {"text": "done"}]}]})
    (SPACES / space / "d/e").mkdir(parents=True)
    git(space, "init", "-q", "-b", "main")
    for path in ("top", "d/below", "d/e/deep"):
        (SPACES / space / path).write_bytes(b"one\r\ntwo\r\n")
    git(space, "add", "-A")
    git(space, "commit", "-q", "-m", "first")
    pid = M.spawn(f"name=ruler model=ruler workspace={space}")
    ref = f"refs/agentfs/turns/{pid}"
    tell(M.proc(pid, "chat"), "first\n")
    M.wait(pid)
    first = git(space, "rev-parse", ref).strip()
    (SPACES / space / "d/others").write_bytes(b"one\r\n")
    tell(M.proc(pid, "chat"), "d/.gitattributes\n")
    M.wait(pid)
    sizes = {path: git(space, "cat-file", "-s", f"{ref}:{path}").strip()
             for path in ("top", "d/below", "d/e/deep", "d/others")}
    expect_eq(sizes, {"top": "10", "d/below": "8", "d/e/deep": "8", "d/others": "4"}, "bytes of what is stored")
    expect_eq(git(space, "diff", "--name-status", first, f"{ref}~"), "A\td/others\n", "what is others'")


def submodules_are_their_commits():
    """As it was at the checkpoint: of one that has files of its own and of one inside it."""
    for name in ("inner", "outer", "parent"):
        (SPACES / name).mkdir()
        git(name, "init", "-q", "-b", "main")
        (SPACES / name / "f").write_text("1\n")
        git(name, "add", "f")
        git(name, "commit", "-q", "-m", "first")
    for above, below in (("outer", "inner"), ("parent", "outer")):
        git(above, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", f"../{below}", below)
        git(above, "commit", "-q", "-m", f"with {below}")
    git("parent", "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--recursive")

    def entry(name):
        return git("parent", "ls-tree", f"refs/agentfs/checkpoints/{name}", "outer").split()[:3]

    def head():
        return git("parent/outer", "rev-parse", "HEAD").strip()

    (SPACES / "parent/outer/f").write_text("2\n")
    (SPACES / "parent/f").write_text("2\n")
    checkpoint("parent", "before")
    expect_eq(entry("before"), ["160000", "commit", head()])
    expect_eq(git("parent", "diff", "--stat", "HEAD", "refs/agentfs/checkpoints/before", "--", "outer"), "")
    git("parent/outer", "commit", "-q", "-am", "second")
    checkpoint("parent", "after")
    expect_eq(entry("after"), ["160000", "commit", head()])
    (SPACES / "parent/outer/inner/f").write_text("3\n")
    git("parent", "submodule", "--quiet", "absorbgitdirs")
    checkpoint("parent", "inside")
    expect_eq(entry("inside"), ["160000", "commit", head()])
    expect_eq(git("parent", "ls-tree", "-r", "--name-only", "refs/agentfs/checkpoints/inside").split(),
              [".gitmodules", "f", "outer"])
    indexed = git("parent", "rev-parse", ":outer").strip()
    expect(indexed != head(), "nothing to tell them apart by")
    git("parent", "submodule", "--quiet", "deinit", "-f", "outer")  # which is not checked out any more
    checkpoint("parent", "deinit")
    expect_eq(entry("deinit"), ["160000", "commit", indexed])


def a_linked_worktree_has_none_and_is_told_so():
    git("site", "worktree", "add", "-q", "../linked", "-b", "linked")
    (SPACES / "linked/a").write_text("linked\n", encoding="utf-8")
    expect_has(ctl("linked", "checkpoint kept"), "no commit is made of it: its .git is a file")
    expect_eq(read(SPACES / "linked/.agentfs/snapshots/kept/a"), "linked\n")
    git("site", "worktree", "remove", "-f", "../linked")


def paths_as_long_as_can_be():
    """Such a path is left out, and all else committed."""
    (SPACES / "long").mkdir()
    git("long", "init", "-q", "-b", "main")
    (SPACES / "long/a").write_text("a\n", encoding="utf-8")
    os.chdir(SPACES / "long")
    for _ in range(16):
        os.mkdir("d" * 254)
        os.chdir("d" * 254)
    pathlib.Path("leaf").write_text("deep\n", encoding="utf-8")
    os.chdir("/")
    made = checkpoint("long", "one")
    expect_eq(git("long", "show", f"{made['commit']}:a"), "a\n", "what is beside it")
    (SPACES / "long/a").write_text("changed\n", encoding="utf-8")
    made = checkpoint("long", "two")
    expect_eq(git("long", "show", f"{made['commit']}:a"), "changed\n", "the next one")


def names_as_long_as_can_be():
    """Of a checkpoint that git takes no ref of, and of a workspace whose repository lies elsewhere."""
    name = "n" * 255
    (SPACES / name).mkdir()
    git(name, "init", "-q", "-b", "main")
    made = [checkpoint(name, one)["commit"] for one in ("c" * 251, "d:e" * 84, "e" * 255, "f" * 250)]
    refs = git(name, "for-each-ref", "--format=%(objectname)", "refs/agentfs/checkpoints")
    expect_eq(sorted(refs.split()), sorted(made), "commits that refs lead to")
    other = "p" * 255
    (SPACES / other).mkdir()
    pid = M.spawn(f"name=writer model=writer workspace={other}")
    tell(M.proc(pid, "chat"), "one\n")
    M.wait(pid)
    repositories = list((M.state / "git").iterdir())
    shown = [run(["git", "--git-dir", one, "ls-tree", "-r", "--name-only", f"refs/agentfs/turns/{pid}"]).split()
             for one in repositories]
    expect_eq(shown, [["one"]], "a turn in a workspace of 255 bytes")


def in_a_fork():
    (SPACES / "site/new").write_text("n\n", encoding="utf-8")
    ctl("site", "fork try-1")
    (SPACES / "try-1/c").write_text("fork\n", encoding="utf-8")
    made = checkpoint("try-1", "mine")
    expect_eq(git("try-1", "diff", "--name-only", "refs/agentfs/checkpoints/ten",
                  made["commit"]), "c\nnew\n", "what differs from the parent's last")
    expect_eq(git("site", "for-each-ref", "refs/agentfs/checkpoints/mine"), "",
              "the fork's ref in the parent")


def dropped():
    ctl("site", "discard seven")
    expect_has(git("site", "for-each-ref", "refs/agentfs"), "checkpoints/seven",
               "the ref of a checkpoint that was dropped")


def a_hostile_repository_is_told():
    space = SPACES / "bad"
    space.mkdir()
    git("bad", "init", "-q")
    (space / ".git/config").unlink()
    os.mkfifo(space / ".git/config")
    (space / "a").write_text("1\n", encoding="utf-8")
    made = checkpoint("bad", "one")
    expect_has(made["error"], "is not a plain file", "the record")
    expect_has(M.last_error(), "is not a plain file", "errors")
    expect_has("\n".join(os.listdir(space / ".agentfs/snapshots")), "one", "the checkpoint")
    (SPACES / "plain").mkdir()
    before = len(rows("checkpoint.commit"))
    ctl("plain", "checkpoint one")
    expect_eq(len(rows("checkpoint.commit")), before, "commits without a repository")
    expect(not (M.state / "git/plain.git").exists(), "a repository for a plain workspace")


def a_killed_daemon():
    """A held lock of the ref keeps the commit waiting, as long as it takes to kill the daemon."""
    site = SPACES / "site"
    (site / "a").write_text("before the kill\n", encoding="utf-8")
    lock = site / ".git/refs/agentfs/checkpoints/eight.lock"
    lock.touch()
    before = len(rows("checkpoint.commit"))
    ctl("site", "checkpoint eight")
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    (site / "a").write_text("after the kill\n", encoding="utf-8")
    wait_until(30, lambda: len(rows("checkpoint.commit")) > before, "the commit of eight")
    made = rows("checkpoint.commit")[-1]["data"]
    expect_eq(made["name"], "eight", "what was committed")
    expect_eq(git("site", "show", f"{made['commit']}:a"), "before the kill\n", "as it was")
    expect(not (M.state / "staged").exists() or not os.listdir(M.state / "staged"),
           "staged: not empty")


def killed_at_any_instant():
    """Each checkpoint that was acknowledged becomes a commit with what was there then, once."""
    site, chance = SPACES / "site", random.Random(7)
    for number in range(ROUNDS):
        for each in range(2):
            (site / "a").write_text(f"{number}.{each}\n", encoding="utf-8")
            ctl("site", f"checkpoint k{number}.{each}")
        (site / "a").write_text("after\n", encoding="utf-8")
        threading.Event().wait(chance.uniform(0, 0.08))
        daemon = M.daemon()
        kill(daemon, signal.SIGKILL)
        wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    names = {f"k{number}.{each}" for number in range(ROUNDS) for each in range(2)}

    def made():
        return [row["data"] for row in rows("checkpoint.commit") if row["data"]["name"] in names]

    wait_until(60, lambda: len(made()) >= len(names), "all commits")
    expect_eq(sorted(data["name"] for data in made()), sorted(names), "commits")
    for data in made():
        expect("error" not in data, f"{data}")
        expect_eq(git("site", "show", f"{data['ref']}:a"), f"{data['name'][1:]}\n", data["name"])
    expect_eq(git("site", "fsck", "--strict", "--no-dangling"), "", "git fsck")


def whole():
    M.verify()
    M.umount()
    M.fsck()


def when_it_may(rename):
    """A rename that is refused while a commit takes longer than others can be kept waiting."""
    def is_done():
        try:
            rename()
        except OSError as error:
            expect_eq(error.errno, errno.EBUSY)
            return False
        return True
    wait_until(60, is_done, "a rename")


def a_workspace_that_is_renamed_takes_its_commits_along():
    for way in ("moved", "exchanged"):
        ours, others = f"{way}-one", f"{way}-two"
        for name in (ours, others):
            (SPACES / name).mkdir()
            git(name, "init", "-q")
            (SPACES / name / "who").write_text(f"{name}\n")
            git(name, "add", "-A")
            git(name, "commit", "-q", "-m", "first")
        for number in range(1_500):
            (SPACES / ours / f"f{number}").write_text(f"{number}\n")
        ctl(ours, "checkpoint c")
        if way == "moved":
            when_it_may(lambda ours=ours, way=way: (SPACES / ours).rename(SPACES / f"{way}-three"))
            (SPACES / others).rename(SPACES / ours)
            new = f"{way}-three"
        else:
            when_it_may(lambda ours=ours, others=others:
                        renameat2(SPACES / ours, SPACES / others, EXCHANGE))
            new = others
        ref = "refs/agentfs/checkpoints/c"
        wait_until(60, lambda new=new, ref=ref: git(new, "for-each-ref", ref), f"{way}: the commit")
        expect_eq(git(new, "show", f"{ref}:who"), f"{way}-one\n")
        expect_eq(git(new, "show", f"{ref}:f7"), "7\n")
        expect_eq(git(ours, "for-each-ref", "refs/agentfs"), "", "in the repository of the other one")


main(setup, beside_the_users_own, only_what_changed, after_a_rollback,
     after_a_rollback_whatever_the_names, what_a_rollback_changed_alone_is_looked_at,
     commits_are_what_was_there_whatever_was_rolled_back, a_rollback_waits, ignored_directories,
     what_git_tracks_is_in_though_it_is_ignored,
     a_directory_in_the_place_of_a_tracked_file_is_none_after_a_rollback,
     what_a_sparse_checkout_leaves_out_stays, each_name_of_a_linked_file_is_what_it_is,
     what_is_ignored_no_more_is_in, other_rules_cost_what_they_leave_out_less,
     rules_are_gits_own_and_what_is_none_is_none, a_turn_after_a_rollback_has_what_is_there,
     many_files_are_what_git_would_add, other_attributes_count_for_what_nobody_has_touched,
     other_attributes_of_a_turn_count_for_what_nobody_has_touched,
     submodules_are_their_commits,
     a_linked_worktree_has_none_and_is_told_so,
     paths_as_long_as_can_be, names_as_long_as_can_be, in_a_fork, dropped,
     a_hostile_repository_is_told, a_killed_daemon,
     killed_at_any_instant, a_workspace_that_is_renamed_takes_its_commits_along, whole)
