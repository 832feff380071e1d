#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What the next merges make of conflicts that resolve has ended."""
import os
import subprocess

from mount_lib import TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has, main, read, tell

M = Mount.of("resolved")
SPACES = M / "workspaces"


def ctl(space, line):
    try:
        return command(SPACES / space / ".agentfs/ctl", line)
    except OSError as error:
        raise AssertionError(f"{line}: {M.last_error()}") from error


def refused(space, line, name="EBUSY"):
    expect_errno(name, tell, SPACES / space / ".agentfs/ctl", line + "\n")
    return M.last_error()


def asked_of(space):
    """The paths of the conflicts that are shown, in their order."""
    conflicts = SPACES / space / ".agentfs/conflicts"
    numbers = sorted((name for name in os.listdir(conflicts) if name.isdigit()), key=int)
    return [read(conflicts / number / "about").split("\t")[0] for number in numbers]


def shell(line, top):
    subprocess.run(["sh", "-ec", line], cwd=top, check=True)


def pair(name, line):
    """A workspace with what the line makes in it, and a fork of it."""
    ours = SPACES / name
    ours.mkdir()
    shell(line, ours)
    ctl(name, f"fork {name}-f")
    return ours, SPACES / f"{name}-f"


def files_of(top):
    return sorted(str(path.relative_to(top)) for path in top.rglob("*")
                  if path.is_file() and ".agentfs" not in path.parts)


def mount_it():
    M.mount()


def what_theirs_renames_after_that_is_asked_for():
    cases = {  # what is there, what theirs and ours do, how it ends, what theirs renames, what is in conflict
        "directory": ("mkdir d; echo a >d/a; seq 9 >d/m", "echo A >d/a", "echo 1 >d/a", "ours", "mv d e", ["d/a"]),
        "file": ("echo a >a", "echo A >a", "echo 1 >a", "ours", "mv a b", ["a"]),
        "mode": ("echo a >a", "chmod 700 a", "chmod 750 a", "ours", "mv a b", ["a"]),
        "theirs": ("seq 9 >a", "echo A >>a", "echo 1 >>a", "theirs", "mv a b", ["a"]),
    }
    for name, (before, by_theirs, by_ours, side, renames, asked) in cases.items():
        name = f"renames-{name}"
        ours, theirs = pair(name, before)
        shell(by_theirs, theirs)
        shell(by_ours, ours)
        refused(name, f"merge {theirs.name}")
        ctl(name, f"resolve 1 {side}")
        if side == "theirs":
            with open(ours / "a", "a") as file:
                file.write("more\n")
        before = files_of(ours)
        shell(renames, theirs)
        expect_has(refused(name, f"merge {theirs.name}"), "1 conflict")
        expect_eq(asked_of(name), asked, name)
        expect_eq(files_of(ours), before, name)
        ctl(name, "resolve 1 ours")
        ctl(name, f"merge {theirs.name}")
        expect_eq(asked_of(name), [], f"{name}: what was ended with the new name is asked for again")


def what_is_put_into_a_directory_in_conflict_does_not_ask_for_it_again():
    for name, does in {"mode": "chmod 700 d", "attribute": "setfattr -n user.k -v v d"}.items():
        name = f"into-{name}"
        ours, theirs = pair(name, "mkdir d; echo a >d/a")
        shell("mv d e", ours)
        shell(does, theirs)
        refused(name, f"merge {theirs.name}")
        expect_eq(asked_of(name), ["d"], name)
        ctl(name, "resolve 1 ours")
        (theirs / "d/n").write_text("n\n")
        ctl(name, f"merge {theirs.name}")
        expect_eq(files_of(ours), ["e/a", "e/n"], name)
    for name, does in {"mode": "chmod 711 d", "attribute": "setfattr -n user.k -v w d",
                       "another": "setfattr -n user.l -v v d"}.items():
        name = f"anew-{name}"
        ours, theirs = pair(name, "mkdir d; echo a >d/a")
        shell("mv d e", ours)
        shell("chmod 700 d; setfattr -n user.k -v v d", theirs)
        refused(name, f"merge {theirs.name}")
        ctl(name, "resolve 1 ours")
        shell(does, theirs)
        refused(name, f"merge {theirs.name}")
        expect_eq(asked_of(name), ["d"], name)


def theirs_comes_in_directories_as_theirs_has_them():
    ours, theirs = pair("closed", "mkdir d; for i in a b c; do echo $i >d/$i; done; chmod 700 d")
    shell("mv d e; setfattr -n user.k -v v e; mkdir -m 750 e/in; mv e/b e/in/b", theirs)
    shell("rm d/a d/b", ours)
    refused("closed", f"merge {theirs.name}")
    expect_eq(asked_of("closed"), ["e/a", "e/in/b"])
    ctl("closed", "resolve all theirs")
    for path, mode in {"e": 0o700, "e/in": 0o750, "e/a": 0o644}.items():
        expect_eq((ours / path).stat().st_mode & 0o777, mode, path)
    expect_eq(os.getxattr(ours / "e", "user.k"), b"v")
    ctl("closed", f"merge {theirs.name}")
    expect_eq(files_of(ours), ["e/a", "e/c", "e/in/b"])


def a_merge_of_another_fork_between_two_of_one_forgets_nothing():
    lines = "for i in a b c; do echo $i >$i; done"
    for name, restarts in {"between": False, "between-restarts": True}.items():
        ours, theirs = pair(name, lines)
        other, third = SPACES / f"{name}-g", SPACES / f"{name}-h"
        for fork in (other, third):
            ctl(name, f"fork {fork.name}")
        for top, file, text in ((theirs, "a", "A"), (other, "c", "C"), (third, "b", "B"), (ours, "a", "1"),
                                (ours, "b", "2")):
            (top / file).write_text(f"{text}\n")
        refused(name, f"merge {theirs.name}")
        expect_eq(asked_of(name), ["a"], name)
        ctl(name, "resolve 1 ours")
        ctl(name, f"merge {other.name}")
        refused(name, f"merge {third.name}")
        expect_eq(asked_of(name), ["b"], name)
        ctl(name, "resolve 1 ours")
        if restarts:
            M.umount()
            M.mount()
        (theirs / "n").write_text("n\n")
        for fork in (theirs, third):
            ctl(name, f"merge {fork.name}")
        expect_eq([(ours / file).read_text() for file in "abcn"], ["1\n", "2\n", "C\n", "n\n"], name)


def what_was_ended_before_another_merge_is_asked_for_when_it_is_taken_back():
    name = "taken-back"
    ours, theirs = pair(name, "echo a >a; echo b >b")
    ctl(name, f"fork {name}-g")
    ctl(name, "checkpoint before")
    (theirs / "a").write_text("A\n")
    (SPACES / f"{name}-g/b").write_text("B\n")
    (ours / "a").write_text("1\n")
    refused(name, f"merge {theirs.name}")
    ctl(name, "resolve 1 ours")
    ctl(name, f"merge {name}-g")
    ctl(name, "rollback before")
    (ours / "a").write_text("2\n")
    refused(name, f"merge {theirs.name}")
    expect_eq(asked_of(name), ["a"])


def what_was_ended_goes_with_the_fork_and_is_no_other_ones():
    name = "goes"
    ours, theirs = pair(name, "echo a >a; echo b >b")
    ctl(name, f"fork {name}-g")
    (theirs / "a").write_text("A\n")
    (SPACES / f"{name}-g/b").write_text("B\n")
    (ours / "a").write_text("1\n")
    refused(name, f"merge {theirs.name}")
    expect_has(refused(name, "resolve x ours", "EINVAL"), "that of a conflict, all or ignored would do")
    ctl(name, "resolve 1 ours")
    ctl(name, f"merge {name}-g")
    records = M.state / "merge-conflicts"
    kept = set(os.listdir(records))
    ctl(name, f"discard {theirs.name}")
    gone = kept - set(os.listdir(records))
    expect_eq(len(gone), 1, "records that went with the fork")


def what_a_rebase_was_refused_for_is_ended_once():
    host = TESTDIR / "rebased"
    (host / "d").mkdir(parents=True)
    (host / "a").write_text("a\n")
    (host / "d/b").write_text("b\n")
    command(M / "sys/workspaces/ctl", f"import {host} as imp")
    imp = SPACES / "imp"
    (imp / "a").write_text("mine\n")
    (imp / "d/b").unlink()
    (host / "a").write_text("the host's\n")
    (host / "d/b").write_text("the host's, too\n")
    refused("imp", "rebase")
    expect_eq(asked_of("imp"), ["a", "d/b"])
    ctl("imp", "resolve 1 ours")
    refused("imp", "rebase")
    expect_eq(asked_of("imp"), ["d/b"])
    (host / "n").write_text("new\n")
    number = next(name for name in os.listdir(imp / ".agentfs/conflicts") if name.isdigit())
    ctl("imp", f"resolve {number} ours")
    ctl("imp", "rebase")
    expect_eq((imp / "a").read_text(), "mine\n")
    expect_eq(files_of(imp), ["a", "n"])
    (host / "a").write_text("once more\n")
    refused("imp", "rebase")
    expect_eq(asked_of("imp"), ["a"])


def what_the_host_writes_after_that_is_asked_for():
    host = TESTDIR / "rewritten"
    host.mkdir()
    (host / "a").write_text("a\n")
    command(M / "sys/workspaces/ctl", f"import {host} as anew")
    (SPACES / "anew/a").write_text("mine\n")
    (host / "a").write_text("first\n")
    refused("anew", "rebase")
    ctl("anew", "resolve 1 ours")
    for change in (lambda path: path.write_text("again\n"), lambda path: path.chmod(0o600),
                   lambda path: os.setxattr(path, "user.k", b"v")):
        change(host / "a")
        refused("anew", "rebase")
        expect_eq(asked_of("anew"), ["a"])
        ctl("anew", "resolve all ours")
    ctl("anew", "rebase")


main(mount_it, what_theirs_renames_after_that_is_asked_for,
     what_is_put_into_a_directory_in_conflict_does_not_ask_for_it_again,
     theirs_comes_in_directories_as_theirs_has_them,
     a_merge_of_another_fork_between_two_of_one_forgets_nothing,
     what_was_ended_before_another_merge_is_asked_for_when_it_is_taken_back,
     what_was_ended_goes_with_the_fork_and_is_no_other_ones,
     what_a_rebase_was_refused_for_is_ended_once, what_the_host_writes_after_that_is_asked_for)
