#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Merging forks: all or nothing, conflicts as files, told, kept and visible at once."""
import contextlib
import errno
import json
import mmap
import os
import signal
import shutil
import subprocess
import threading

from mount_lib import (TESTDIR, Mount, acl, command, expect, expect_eq, expect_errno, expect_has, kill,
                       kinds_of, main, make_of_each_kind, read, run, skip, tell, wait_until)

M = Mount.of("merges")
SPACES = M / "workspaces"


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def refused(name, space, line):
    expect_errno(name, tell, SPACES / space / ".agentfs/ctl", line + "\n")
    return M.last_error()


def conflicts_by_path(top):
    """The number of each, by the path that it is told by."""
    return {read(path).split("\t")[0]: path.parent.name
            for path in (top / ".agentfs/conflicts").glob("*/about")}


def make(space):
    top = SPACES / space
    (top / "src").mkdir(parents=True)
    (top / "lines").write_text("".join(f"{n}\n" for n in range(1, 21)))
    (top / "both").write_text("as it was\n")
    (top / "gone").write_text("to be removed\n")
    (top / "src/old.c").write_text("int main(void) { return 0; }\n")
    return top


def kill_daemon():
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")


def asked_of(name):
    """By its number the path of each conflict that is shown."""
    conflicts = SPACES / name / ".agentfs/conflicts"
    return {number: read(conflicts / number / "about").split("\t")[0]
            for number in os.listdir(conflicts) if number.isdigit()}


def mount_it():
    M.mount()


def what_both_did_is_there():
    ours, theirs = make("site"), SPACES / "try-1"
    ctl("site", "fork try-1")
    lines = (theirs / "lines").read_text()
    (theirs / "lines").write_text(lines.replace("3\n", "three\n", 1))
    (theirs / "gone").unlink()
    (theirs / "new/deep").mkdir(parents=True)
    (theirs / "new/deep/n").write_text("new\n")
    (theirs / "src/old.c").rename(theirs / "src/new.c")
    (ours / "lines").write_text(lines.replace("18\n", "eighteen\n"))
    read(ours / "gone")  # the host's kernel has cached it all
    os.listdir(ours / "src")
    held = os.open(ours / "gone", os.O_RDONLY)
    ctl("site", "merge try-1")
    merged = (ours / "lines").read_text().splitlines()
    expect("three" in merged and "eighteen" in merged, f"both changes: {merged}")
    expect(not (ours / "gone").exists(), "it is still there")
    expect_eq(os.read(held, 100), b"to be removed\n", "an open handle")
    os.close(held)
    expect_eq(os.listdir(ours / "src"), ["new.c"])
    expect_eq((ours / "new/deep/n").read_text(), "new\n")
    expect_eq((theirs / "lines").read_text().splitlines()[17], "18", "the fork")
    expect_eq(read(ours / ".agentfs/trash/gone"), "to be removed\n")
    names = sorted(os.listdir(ours / ".agentfs/versions/lines"), key=int)
    expect_eq(read(ours / ".agentfs/versions/lines" / names[-1]),
              lines.replace("18\n", "eighteen\n"))
    rows = [row["data"] for row in M.journal() if row["data"].get("merge") == "/workspaces/try-1"]
    expect({"/workspaces/site/lines", "/workspaces/site/gone"} <= {row["path"] for row in rows},
           f"rows: {json.dumps(rows)}")


def what_was_moved_and_changed_is_told_as_both():
    """The host's kernel, the journal and the feed know that the old name is free."""
    ours, theirs = make("moved"), SPACES / "moved-1"
    ctl("moved", "fork moved-1")
    (theirs / "both").rename(theirs / "src/both.c")
    with open(theirs / "src/both.c", "a") as file:
        file.write("and more\n")
    (theirs / "gone").rename(theirs / "mode")
    (theirs / "mode").chmod(0o600)
    for name in ("both", "gone"):
        read(ours / name)
    head = len(M.journal())
    ctl("moved", "merge moved-1")
    for name in ("both", "gone"):
        expect_errno("ENOENT", os.stat, ours / name)
        with open(ours / name, "a") as file:
            file.write("not lost\n")
        expect_eq((ours / name).read_text(), "not lost\n")
    expect_eq(sorted(os.listdir(ours)), ["both", "gone", "lines", "mode", "src"])
    expect_eq((ours / "src/both.c").read_text(), "as it was\nand more\n")
    expect_eq((ours / "mode").stat().st_mode & 0o777, 0o600)
    rows = [(row["kind"], row["data"]["path"], row["data"].get("other")) for row in M.journal()[head:]
            if row["data"].get("merge") == "/workspaces/moved-1"]
    top = "/workspaces/moved/"
    expect_eq(rows, [("tree.rename", top + "gone", top + "mode"),
                     ("tree.rename", top + "both", top + "src/both.c"),
                     ("tree.write", top + "src/both.c", None),
                     ("tree.attributes", top + "mode", None)])
    feed = read(ours / ".agentfs/events.jsonl")
    expect_has(feed, "src/both.c")


def what_one_side_puts_into_a_directory_that_the_other_renamed_goes_along():
    """Whoever of the two did which; told as renames, and taken back by a rollback of the merge."""
    for space, renamer in (("along", "fork"), ("along-too", "parent")):
        parent, fork = make(space), SPACES / f"{space}-1"
        (parent / "src/deep").mkdir()
        (parent / "src/deep/one.c").write_text("one\n")
        ctl(space, f"fork {space}-1")
        renames, puts = (fork, parent) if renamer == "fork" else (parent, fork)
        (renames / "src").rename(renames / "lib")
        (puts / "src/new.c").write_text("new\n")
        (puts / "src/deep/two.c").write_text("two\n")
        (puts / "src/tests").mkdir(mode=0o750)
        (puts / "src/tests/a.c").write_text("first\n")
        (puts / "src/tests/a.c").write_text("second\n")
        inode = (parent / "src/tests").stat().st_ino if puts is parent else None
        head = len(M.journal())
        ctl(space, "checkpoint before")
        answer = ctl(space, f"merge {space}-1")
        expect_has(answer, "src: renamed to lib in " + ("theirs" if renames is fork else "ours"))
        found = sorted(str(path.relative_to(parent)) for path in (parent / "lib").rglob("*"))
        expect_eq(found, ["lib/deep", "lib/deep/one.c", "lib/deep/two.c", "lib/new.c", "lib/old.c", "lib/tests",
                          "lib/tests/a.c"])
        expect(not (parent / "src").exists(), "src is lib")
        expect_eq((parent / "lib/tests").stat().st_mode & 0o777, 0o750)
        if puts is parent:
            expect_eq(len(os.listdir(parent / ".agentfs/versions/lib/tests/a.c")), 1)
            expect_eq((parent / "lib/tests").stat().st_ino, inode)
            rows = [(row["kind"], row["data"].get("other")) for row in M.journal()[head:]
                    if row["data"]["path"] == f"/workspaces/{space}/src/tests"]
            expect_eq(rows, [("tree.rename", f"/workspaces/{space}/lib/tests")])
        # Both have it now, and go on from there.
        expect_has(ctl(f"{space}-1", f"merge {space}"), "0 conflicts")
        run(["diff", "-r", parent, fork])
        expect_has(ctl(space, f"merge {space}-1"), ": 0 changes, 0 conflicts")
        ctl(space, "rollback before")
        expect_eq((parent / "src").exists(), puts is parent)
        run(["diff", "-r", parent, parent / ".agentfs/snapshots/before"])


def what_is_renamed_and_rewritten_with_its_old_time_is_changed():
    """The size and the time of modification are those of the other name, and the bytes are not."""
    ours, theirs = make("disguised"), SPACES / "disguised-try"
    (ours / "d").mkdir()
    (ours / "d/below").write_text("one\n")
    (ours / "plain").write_text("same\n")
    ctl("disguised", "fork disguised-try")
    (theirs / "d").rename(theirs / "e")
    (theirs / "both").rename(theirs / "moved")
    (theirs / "plain").rename(theirs / "simple")
    for name, text in (("e/below", "two\n"), ("moved", "as it is!\n")):
        was = os.stat(theirs / name)
        with open(theirs / name, "r+b") as file:
            file.write(text.encode())
        os.utime(theirs / name, ns=(was.st_atime_ns, was.st_mtime_ns))
        expect_eq(os.stat(theirs / name).st_size, was.st_size, f"size of {name}")
    status = read(theirs / ".agentfs/status").splitlines()
    expect(any(line.startswith("R100") and "simple" in line for line in status), f"status: {status}")
    for name in ("e/below", "moved"):
        expect(not any(line.startswith("R100") and name in line for line in status), f"{name}: {status}")
    expect_has(read(theirs / ".agentfs/diff"), "+two\n")
    ctl("disguised", "merge disguised-try")
    expect_eq((ours / "e/below").read_text(), "two\n")
    expect_eq((ours / "moved").read_text(), "as it is!\n")


def what_changes_places_with_a_directory_is_there():
    ours, theirs = make("places"), SPACES / "places-1"
    (ours / "down").mkdir()
    (ours / "down/one").write_text("one\n")
    ctl("places", "fork places-1")
    (theirs / "both").rename(theirs / "aside")
    (theirs / "both").mkdir()
    (theirs / "aside").rename(theirs / "both/deep")
    (theirs / "down/one").rename(theirs / "aside")
    (theirs / "down").rmdir()
    (theirs / "aside").rename(theirs / "down")
    ctl("places", "merge places-1")
    expect_eq((ours / "both/deep").read_text(), "as it was\n")
    expect_eq((ours / "down").read_text(), "one\n")
    (ours / "both/deep").unlink()
    (ours / "both").rmdir()
    (ours / "down").unlink()
    expect_eq(sorted(os.listdir(ours)), ["gone", "lines", "src"])


def each_merge_begins_where_the_last_one_ended():
    """Neither comes back what was changed since, nor is it asked for again."""
    ours, theirs = make("twice"), SPACES / "twice-1"
    ctl("twice", "fork twice-1")
    (theirs / "both").write_text("by the fork\n")
    (theirs / "gone").unlink()
    ctl("twice", "merge twice-1")
    (ours / "both").write_text("as it was\n")
    (ours / "gone").write_text("there again\n")
    (theirs / "more").write_text("more\n")
    ctl("twice", "merge twice-1")
    expect_eq((ours / "both").read_text(), "as it was\n")
    expect_eq((ours / "gone").read_text(), "there again\n")
    expect_eq((ours / "more").read_text(), "more\n")
    (theirs / "more").write_text("more and more\n")
    ctl("twice", "merge twice-1")
    expect_eq((ours / "more").read_text(), "more and more\n")
    ctl("twice-1", "merge twice")
    expect_eq((theirs / "both").read_text(), "as it was\n")
    (theirs / "both").write_text("by the fork again\n")
    kill_daemon()
    ctl("twice", "merge twice-1")
    expect_eq((ours / "both").read_text(), "by the fork again\n")
    expect_eq(os.listdir(ours / ".agentfs/snapshots"), [])


def a_file_with_another_name_is_not_kept():
    """It goes on changing under that."""
    ours = make("names")
    (ours / "one").write_text("hi\n")
    os.link(ours / "one", ours / "two")
    ctl("names", "fork names-1")
    (SPACES / "names-1/one").unlink()
    ctl("names", "merge names-1")
    expect(not (ours / "one").exists(), "the name is gone")
    with open(ours / "two", "r+b") as file:
        file.write(b"HO")
    versions = ours / ".agentfs/versions/one"
    expect_eq([read(one) for one in versions.glob("*")] if versions.exists() else [], [],
              "what is kept of it")
    expect_eq(os.lstat(ours / "two").st_nlink, 1)


def one_file_under_two_names_stays_one():
    ours, theirs = make("pair"), SPACES / "pair-1"
    for name in ("both", "gone", "lines"):
        os.link(ours / name, ours / "src" / name)
    ctl("pair", "fork pair-1")
    (theirs / "src/both").chmod(0o600)
    with open(theirs / "gone", "a") as file:
        file.write("not at all\n")
    os.chown(theirs / "lines", 12, 34)
    for name in ("both", "gone", "lines"):
        read(ours / name)
        os.stat(ours / "src" / name)
    ctl("pair", "merge pair-1")
    for name, mode, text in (("both", 0o600, "as it was\n"), ("gone", 0o644, "to be removed\nnot at all\n"),
                             ("lines", 0o644, (theirs / "lines").read_text())):
        one, other = (ours / name).stat(), (ours / "src" / name).stat()
        expect_eq((one.st_ino, one.st_nlink, one.st_mode & 0o777),
                  (other.st_ino, 2, mode), name)
        expect_eq(one.st_mode, other.st_mode, name)
        expect_eq((ours / name).read_text(), text)
        with open(ours / name, "a") as file:
            file.write("and on\n")
        expect_eq((ours / "src" / name).read_text(), text + "and on\n")
    (theirs / "src/both").unlink()
    (theirs / "src/both").write_text("as it was\n")
    (theirs / "src/both").chmod(0o640)
    (theirs / "both").chmod(0o644)
    ctl("pair", "merge pair-1")
    expect_eq([(ours / name).stat().st_mode & 0o777 for name in ("both", "src/both")], [0o644, 0o640])
    expect_eq([(ours / name).read_text() for name in ("both", "src/both")], ["as it was\nand on\n"] * 2)


def a_directory_of_somebodys_own_called_agentfs_is_work_like_any_other():
    space = make("called")
    (space / "sub").mkdir()
    (space / ".agentfs/notes").write_text("base\n")
    ctl("called", "fork called-2")
    fork = space.parent / "called-2"
    (fork / ".agentfs/notes").write_text("the work of a day\n")
    (fork / "sub/.agentfs/plan").write_text("a plan\n")
    expect_eq(read(fork / ".agentfs/status"), "M\t.agentfs/notes\nA\tsub/.agentfs/plan\n")
    ctl("called", "merge called-2")
    ctl("called", "discard called-2")
    expect_eq((space / ".agentfs/notes").read_text(), "the work of a day\n")
    expect_eq((space / "sub/.agentfs/plan").read_text(), "a plan\n")


def owners_and_attributes_are_merged_each_by_itself():
    space = make("dressed")
    for name in ("own", "both", "bytes", "moved", "clash"):
        (space / name).write_text("one\n")
        os.setxattr(space / name, "user.k", b"a")
    ctl("dressed", "fork dressed-2")
    fork = space.parent / "dressed-2"
    expect_eq(read(fork / ".agentfs/status"), "")
    os.setxattr(fork / "own", "user.k", b"b")
    os.removexattr(fork / "both", "user.k")
    os.setxattr(space / "both", "user.other", b"ours")
    (space / "both").write_text("ours\n")
    os.setxattr(fork / "bytes", "user.k", b"b")
    (fork / "bytes").write_text("theirs\n")
    (fork / "moved").rename(fork / "away")
    os.setxattr(fork / "away", "user.k", b"b")
    if os.geteuid() == 0:
        os.chown(fork / "own", 34, 34)
        os.chown(fork / "bytes", 33, 33)
        (fork / "bytes").chmod(0o4711)
        os.chown(fork / "both", 0, 34)
        (fork / "both").chmod(0o2755)
    status = read(fork / ".agentfs/status")
    expect_has(status, "M\town\tattributes\n")
    expect_has(status, "R100\tmoved\taway\tattributes\n")
    expect_has(read(fork / ".agentfs/diff"), "# own: its owner or extended attributes changed\n")
    ctl("dressed", "merge dressed-2")
    told = {name: {key: os.getxattr(space / name, key) for key in os.listxattr(space / name)
                   if key.startswith("user.") and not key.startswith("user.agentfs")}
            for name in ("own", "both", "bytes", "away")}
    expect_eq(told, {"own": {"user.k": b"b"}, "both": {"user.other": b"ours"},
                     "bytes": {"user.k": b"b"}, "away": {"user.k": b"b"}}, "attributes")
    expect_eq([read(space / name) for name in ("own", "both", "bytes")],
              ["one\n", "ours\n", "theirs\n"], "bytes")
    if os.geteuid() == 0:
        expect_eq((space / "own").stat().st_uid, 34, "the owner")
        bytes_of = (space / "bytes").stat()
        expect_eq((bytes_of.st_uid, oct(bytes_of.st_mode)), (33, "0o104711"), "of theirs' bytes")
        both = (space / "both").stat()
        expect_eq((both.st_gid, oct(both.st_mode)), (34, "0o100755"), "set-ID of others' bytes")
    os.setxattr(space / "clash", "user.k", b"ours")
    os.setxattr(fork / "clash", "user.k", b"theirs")
    refused("EBUSY", "dressed", "merge dressed-2")
    about = [read(path) for path in (space / ".agentfs/conflicts").glob("*/about")]
    expect_has(about[0], "both sides changed its user.k")
    ctl("dressed", "merge dressed-2 partial")
    ctl("dressed", "resolve 1 theirs")
    expect_eq(os.getxattr(space / "clash", "user.k"), b"theirs")
    ctl("dressed", "discard dressed-2")


def owners_and_attributes_of_directories_are_merged_too():
    space = make("drawers")
    for name in ("own", "shared", "clash"):
        (space / name).mkdir()
        (space / name / "f").write_text("one\n")
        os.setxattr(space / name, "user.k", b"a")
    ctl("drawers", "fork drawers-2")
    fork = space.parent / "drawers-2"
    os.setxattr(fork / "own", "user.k", b"b")
    os.removexattr(fork / "shared", "user.k")
    (fork / "shared").chmod(0o2775)
    os.setxattr(space / "shared", "user.other", b"ours")
    if os.geteuid() == 0:
        os.chown(fork / "own", 34, 34)
    expect_eq(read(fork / ".agentfs/status"),
              "M\town/\tattributes\nM\tshared/\tmode 755 2775\tattributes\n")
    inode = (space / "own").stat().st_ino
    ctl("drawers", "merge drawers-2")
    told = {name: {key: os.getxattr(space / name, key) for key in os.listxattr(space / name)
                   if key.startswith("user.") and not key.startswith("user.agentfs")}
            for name in ("own", "shared")}
    expect_eq(told, {"own": {"user.k": b"b"}, "shared": {"user.other": b"ours"}}, "attributes")
    expect_eq(oct((space / "shared").stat().st_mode), "0o42775")
    expect_eq(((space / "own").stat().st_ino, read(space / "own/f")), (inode, "one\n"))
    if os.geteuid() == 0:
        expect_eq((space / "own").stat().st_uid, 34, "the owner")
    os.setxattr(space / "clash", "user.k", b"ours")
    os.setxattr(fork / "clash", "user.k", b"theirs")
    os.setxattr(fork / "own", "user.k", b"c")
    refused("EBUSY", "drawers", "merge drawers-2")
    expect_eq(os.getxattr(space / "own", "user.k"), b"b", "a refused merge changes nothing")
    about = [read(path) for path in (space / ".agentfs/conflicts").glob("*/about")]
    expect_has(about[0], "both sides changed its user.k")
    ctl("drawers", "merge drawers-2 partial")
    expect_eq(os.getxattr(space / "own", "user.k"), b"c", "partial")
    expect_has(refused("ENOTSUP", "drawers", "resolve 1 theirs"), "is a directory")
    os.setxattr(space / "clash", "user.k", b"theirs")
    ctl("drawers", "resolve 1 ours")
    ctl("drawers", "merge drawers-2")
    ctl("drawers", "discard drawers-2")


def what_is_set_on_a_directory_is_not_lost_where_the_other_side_moves_or_removes_it():
    """Nor on a file that is a link there; `resolve` ends it, and the next merge has nothing to do."""
    space = make("moved-drawers")
    for name in ("turned", "emptied"):
        (space / name).mkdir()
        (space / name / "f").write_text(f"{name}\n")
    (space / "relinked").write_text("one\n")
    ctl("moved-drawers", "fork moved-drawers-2")
    fork = space.parent / "moved-drawers-2"
    (space / "turned").chmod(0o700)
    os.setxattr(space / "emptied", "user.k", b"v")
    os.setxattr(space / "relinked", "user.k", b"v")
    (fork / "turned").rename(fork / "away")
    shutil.rmtree(fork / "emptied")
    (fork / "relinked").unlink()
    (fork / "relinked").symlink_to("away")
    refused("EBUSY", "moved-drawers", "merge moved-drawers-2")
    ctl("moved-drawers", "merge moved-drawers-2 partial")
    about = "".join(read(path) for path in (space / ".agentfs/conflicts").glob("*/about"))
    expect_eq(about.count("changed in ours, removed or renamed in theirs"), 2, about)
    expect_has(about, "the other made it a file of another type")
    expect_eq(oct((space / "turned").stat().st_mode), "0o40700")
    expect_eq(os.getxattr(space / "emptied", "user.k"), b"v")
    for path in list((space / ".agentfs/conflicts").glob("*/about")):
        ctl("moved-drawers", f"resolve {path.parent.name} ours")
    expect_eq(os.getxattr(space / "relinked", "user.k"), b"v")
    ctl("moved-drawers", "merge moved-drawers-2")
    ctl("moved-drawers", "discard moved-drawers-2")


def a_mode_and_an_acl_are_both_taken_once():
    """A merge that is asked for again finds nothing new in what it has put together itself."""
    space = make("both-kinds")
    for name in ("a", "b"):
        (space / name).mkdir()
        (space / name).chmod(0o755)
    (space / "f0").write_text("one\n")
    ctl("both-kinds", "fork both-kinds-2")
    fork = space.parent / "both-kinds-2"
    nobody = 0xFFFFFFFF
    listed = acl((1, 7, nobody), (4, 5, nobody), (8, 4, 4), (0x10, 5, nobody), (0x20, 5, nobody))
    try:
        os.setxattr(fork / "a", "system.posix_acl_access", listed)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return  # a disk without ACLs
        raise
    (space / "a").chmod(0o700)
    (fork / "b").chmod(0o711)
    (space / "f0").write_text("ours\n")
    (fork / "f0").unlink()
    expect_has(read(fork / ".agentfs/status"), "M\ta/\tattributes\n")
    ctl("both-kinds", "merge both-kinds-2 partial")
    found = os.getxattr(space / "a", "system.posix_acl_access")
    wanted = acl((1, 7, nobody), (4, 5, nobody), (8, 4, 4), (0x10, 0, nobody), (0x20, 0, nobody))
    expect_eq((found, oct((space / "a").stat().st_mode), oct((space / "b").stat().st_mode)),
              (wanted, "0o40700", "0o40711"))
    refused("EBUSY", "both-kinds", "merge both-kinds-2")
    expect_has(read(space / ".agentfs/conflicts/1/about"), "f0")
    expect(not (space / ".agentfs/conflicts/2").exists(), "a conflict of what was merged")
    ctl("both-kinds", "resolve 1 ours")
    ctl("both-kinds", "discard both-kinds-2")


def what_takes_the_place_of_a_link_has_its_own_attributes():
    space = make("retyped")
    (space / "e").symlink_to("nowhere")
    ctl("retyped", "fork retyped-fork")
    fork = SPACES / "retyped-fork"
    (fork / "e").unlink()
    (fork / "e").write_text("new\n")
    os.setxattr(fork / "e", "user.k", b"v")
    nobody = 0xFFFFFFFF
    listed = acl((1, 6, nobody), (2, 6, 1000), (4, 4, nobody), (0x10, 6, nobody), (0x20, 4, nobody))
    os.setxattr(fork / "e", "system.posix_acl_access", listed)
    for source, to in (("retyped-fork", "retyped"), ("retyped", "retyped-fork")):
        ctl(to, f"merge {source}")
        expect_eq(os.getxattr(SPACES / to / "e", "user.k"), b"v", to)
        expect_eq(os.getxattr(SPACES / to / "e", "system.posix_acl_access"), listed, to)


def what_ours_has_no_more_is_taken_as_it_is():
    """With its permissions and attributes."""
    space = make("halves")
    (space / "mode").write_text("one\n")
    (space / "mode").chmod(0o600)
    (space / "marked").write_text("one\n")
    os.setxattr(space / "marked", "user.k", b"a")
    (space / "plain").write_text("one\n")
    (space / "plain").chmod(0o644)
    ctl("halves", "fork halves-2")
    fork = space.parent / "halves-2"
    for name in ("mode", "marked", "plain"):
        (space / name).unlink()
        (fork / name).write_text("two\n")
    ctl("halves", "merge halves-2 partial")
    about = {read(path / "about").split()[0].rsplit("/", 1)[-1].rstrip(":"): path.name
             for path in (space / ".agentfs/conflicts").iterdir() if path.name != "README"}
    expect_eq(sorted(about), ["marked", "mode", "plain"])
    for name, number in about.items():
        ctl("halves", f"resolve {number} theirs")
        expect_eq(read(space / name), "two\n")
        expect_eq(os.stat(space / name).st_mode, os.stat(fork / name).st_mode, name)
    expect_eq(os.getxattr(space / "marked", "user.k"), b"a")
    ctl("halves", "discard halves-2")


def capabilities_are_of_the_bytes_that_have_them():
    """A write takes them away, and so does what is merged in its stead."""
    if os.geteuid() != 0:
        return
    space, value = make("capable"), b"\x01\0\0\x02\x20" + bytes(15)
    for name in ("written", "given"):
        (space / name).write_text("one\n")
    os.setxattr(space / "written", "security.capability", value)
    ctl("capable", "fork capable-2")
    fork = space.parent / "capable-2"
    (fork / "written").write_text("two\n")
    (fork / "given").write_text("two\n")
    os.setxattr(fork / "given", "security.capability", value)
    ctl("capable", "merge capable-2")
    expect_eq("security.capability" in os.listxattr(space / "written"), False, "of new bytes")
    expect_eq(os.getxattr(space / "given", "security.capability"), value, "of theirs")
    ctl("capable", "discard capable-2")


def what_is_in_the_way_of_theirs_is_told():
    """A directory of ours where theirs has a file, and a file on the way to it."""
    top = SPACES / "ways"
    (top / "d").mkdir(parents=True)
    (top / "d/x").write_text("base\n")
    (top / "f").write_text("base\n")
    ctl("ways", "fork ways-1")
    shutil.rmtree(top / "d")
    (top / "f").unlink()
    (top / "d").write_text("ours\n")
    (top / "f").mkdir()
    for path in ("d/x", "f"):
        (SPACES / "ways-1" / path).write_text("theirs\n")
    ctl("ways", "merge ways-1 partial")
    for number in (1, 2):
        expect_has(refused("ENOTSUP", "ways", f"resolve {number} theirs"), "in its way")
    (top / "d").unlink()
    (top / "f").rmdir()
    for number, path in ((1, "d/x"), (2, "f")):
        ctl("ways", f"resolve {number} theirs")
        expect_eq((top / path).read_text(), "theirs\n")


def links_are_counted_after_a_merge():
    """Of a file whose other name was replaced the host's kernel is told how many are left."""
    top = SPACES / "counted"
    (top / "d").mkdir(parents=True)
    (top / "f").write_text("one\n")
    os.link(top / "f", top / "d/l")
    ctl("counted", "fork counted-1")
    expect_eq((os.stat(top / "f").st_nlink, os.stat(top / "d/l").st_nlink), (2, 2))
    (SPACES / "counted-1/new").write_text("two\n")
    (SPACES / "counted-1/new").rename(SPACES / "counted-1/f")
    ctl("counted", "merge counted-1")
    expect_eq(((top / "f").read_text(), (top / "d/l").read_text()), ("two\n", "one\n"))
    expect_eq((os.stat(top / "f").st_nlink, os.stat(top / "d/l").st_nlink), (1, 1))


def attributes_of_the_system_stay():
    """Those that nobody has changed, and those that theirs has, whatever their space of names."""
    if os.geteuid() != 0:
        return
    top, theirs = SPACES / "marked-so", SPACES / "marked-so-1"
    top.mkdir()
    (top / "f").write_text("one\n")
    os.setxattr(top / "f", "security.test", b"old")
    ctl("marked-so", "fork marked-so-1")
    (theirs / "f").write_text("two\n")
    (theirs / "new").mkdir()
    os.setxattr(theirs / "new", "security.test", b"new")
    ctl("marked-so", "merge marked-so-1")
    expect_eq(os.getxattr(top / "f", "security.test"), b"old")
    expect_eq(os.getxattr(top / "new", "security.test"), b"new")


def what_was_resolved_is_not_asked_for_again():
    ours, theirs = make("parted"), SPACES / "parted-1"
    ctl("parted", "fork parted-1")
    (theirs / "both").write_text("theirs\n")
    (theirs / "lines").write_text("theirs, too\n")
    (ours / "both").write_text("ours\n")
    refused("EBUSY", "parted", "merge parted-1")
    ctl("parted", "merge parted-1 partial")
    expect_eq((ours / "lines").read_text(), "theirs, too\n")
    refused("EBUSY", "parted", "resolve 1 merged")
    expect_eq((ours / "both").read_text(), "ours\n")
    M.umount()
    M.mount()
    conflicts = ours / ".agentfs/conflicts"
    expect_eq([read(conflicts / "1" / side) for side in ("base", "ours", "theirs")],
              ["as it was\n", "ours\n", "theirs\n"], "after a restart")
    expect_has(read(conflicts / "1/about"), "both\tcontent")
    ctl("parted", "resolve 1 ours")
    M.umount()
    M.mount()
    expect(not (conflicts / "1").exists(), "it is asked for again after a restart")
    (theirs / "later").write_text("later\n")
    ctl("parted", "merge parted-1")
    expect_eq((ours / "both").read_text(), "ours\n")
    expect_eq((ours / "later").read_text(), "later\n")


def what_ours_renamed_and_was_resolved_as_theirs_is_not_asked_for_again():
    """By then it is no renamed file any more: theirs is under the name that ours gave it, and under no other."""
    binary = bytes(range(256)) * 40
    cases = {
        "a-text": ("one\ntwo\nthree\n" * 20, lambda path: path.write_text("all of it anew\n" * 30)),
        "a-binary": (binary, lambda path: path.write_bytes(bytes(reversed(binary)))),
        "a-link": ("one\ntwo\nthree\n" * 20, lambda path: (path.unlink(), path.symlink_to("elsewhere"))),
    }
    for name, (text, does) in cases.items():
        ours, theirs = make(f"ren-{name}"), SPACES / f"ren-{name}-1"
        text = text if isinstance(text, bytes) else text.encode()
        (ours / "f").write_bytes(text)
        ctl(ours.name, f"fork {theirs.name}")
        (ours / "f").rename(ours / "g")
        with open(ours / "g", "r+b") as file:
            file.write(b"OURS")
        does(theirs / "f")
        (theirs / "clean").write_text("clean\n")
        refused("EBUSY", ours.name, f"merge {theirs.name}")
        expect_eq(list(asked_of(ours.name).values()), ["g"], name)
        ctl(ours.name, "resolve all theirs")
        ctl(ours.name, f"merge {theirs.name}")
        expect(not os.path.lexists(ours / "f"), f"{name}: it is there by its old name")
        if name == "a-link":
            expect_eq(os.readlink(ours / "g"), "elsewhere", name)
        else:
            expect_eq((ours / "g").read_bytes(), (theirs / "f").read_bytes(), name)
        expect_eq((ours / "clean").read_text(), "clean\n", name)


def an_empty_file_goes_with_the_directory_that_one_side_renamed():
    for number, renames_here in enumerate((True, False)):
        ours, theirs = SPACES / f"pkg-{number}", SPACES / f"pkg-{number}-1"
        (ours / "pkg").mkdir(parents=True)
        for name in ("a.py", "b.py", "c.py"):
            (ours / "pkg" / name).write_text(f"{name}\n" * 9)
        for name in ("moved", "edited", "closed", "kept"):
            (ours / "pkg" / name).touch()
        ctl(ours.name, f"fork {theirs.name}")
        one, other = (ours, theirs) if renames_here else (theirs, ours)
        (one / "pkg").rename(one / "pkg2")
        (other / "pkg/moved").rename(other / "pkg/moved2")
        (other / "pkg/edited").write_text("edited\n")
        (other / "pkg/closed").chmod(0o600)
        ctl(ours.name, f"merge {theirs.name}")
        expect_eq(os.listdir(ours), ["pkg2"], "at the top")
        expect_eq(sorted(os.listdir(ours / "pkg2")),
                  ["a.py", "b.py", "c.py", "closed", "edited", "kept", "moved2"], f"renamed here: {renames_here}")
        expect_eq((ours / "pkg2/edited").read_text(), "edited\n")
        expect_eq((ours / "pkg2/closed").stat().st_mode & 0o777, 0o600)


def what_both_renamed_of_directories_in_each_other_has_one_place():
    cases = (  # what is there, what one side does, what the other does, what is there then
        ("mkdir -p d/s/t; seq 9 >d/s/t/g", "mv d D", "mv d/s d/S", ["D/S/t/g"]),
        ("mkdir a c; seq 9 >a/x; seq 20 29 >c/y", "mv a c/A", "mv c C; echo n >a/n", ["C/A/n", "C/A/x", "C/y"]),
        ("mkdir -p d/sub; echo a >d/a", "rmdir d/sub", "mv d D", ["D/a"]),
        ("mkdir -p d/sub; echo a >d/a", "mv d/sub d/sub2", "mv d D", ["D/a", "D/sub2"]))
    for number, (before, one, other, wanted) in enumerate(cases):
        for is_turned in (False, True):
            ours = SPACES / f"both-{number}-{is_turned:d}"
            theirs = SPACES / f"{ours.name}-f"
            ours.mkdir()
            run(["sh", "-ec", before], cwd=ours)
            ctl(ours.name, f"fork {theirs.name}")
            for top, line in ((ours, other if is_turned else one), (theirs, one if is_turned else other)):
                run(["sh", "-ec", line], cwd=top)
            ctl(ours.name, f"merge {theirs.name}")
            found = [path for path in ours.rglob("*") if ".agentfs" not in path.parts]
            expect_eq(sorted(str(path.relative_to(ours)) for path in found
                             if not path.is_dir() or not os.listdir(path)), wanted, f"{one} | {other} | {is_turned}")


def what_a_refused_merge_shows_and_what_was_resolved_of_it_stay_over_a_restart():
    """Be it a stop or a kill: what was ended as ours is not asked for again, and each path keeps its number."""
    for name, is_killed in (("kept-told", False), ("kept-killed", True)):
        ours, theirs = make(name), SPACES / f"{name}-1"
        ctl(name, f"fork {theirs.name}")
        for top in (ours, theirs):
            for path in ("both", "gone", "lines"):
                (top / path).write_text(f"{top.name}'s {path}\n")
        conflicts = ours / ".agentfs/conflicts"

        def restart():
            if is_killed:
                kill_daemon()
            else:
                M.umount()
                M.mount()

        refused("EBUSY", name, f"merge {theirs.name}")
        restart()
        expect_eq(asked_of(name), {"1": "both", "2": "gone", "3": "lines"}, f"{name}: after a restart")
        expect_eq([read(conflicts / "1" / side) for side in ("base", "ours", "theirs")],
                  ["as it was\n", f"{name}'s both\n", f"{theirs.name}'s both\n"], name)
        (theirs / "gone").write_text("theirs, since\n")
        expect_eq(read(conflicts / "2" / "theirs"), "theirs, since\n", f"{name}: theirs is what it has now")
        ctl(name, "resolve 1 ours")
        ctl(name, "resolve 3 ours")
        restart()
        expect_eq(asked_of(name), {"2": "gone"}, f"{name}: what was resolved")
        refused("EBUSY", name, f"merge {theirs.name}")
        expect_eq(asked_of(name), {"2": "gone"}, f"{name}: what is asked for again")
        ctl(name, "resolve 2 ours")
        restart()
        (theirs / "new").write_text("new\n")
        ctl(name, f"merge {theirs.name}")
        expect_eq([read(ours / path) for path in ("both", "gone", "lines", "new")],
                  [f"{name}'s both\n", f"{name}'s gone\n", f"{name}'s lines\n", "new\n"], name)
        restart()
        expect_eq(asked_of(name), {}, f"{name}: once it is merged")


def many_conflicts_are_ended_by_one_command():
    """All, or those of what is ignored and not tracked; what cannot be ended is told, with how far it came."""
    ours = SPACES / "built"
    (ours / "out").mkdir(parents=True)
    run(["git", "-C", ours, "init", "-q"])
    (ours / ".gitignore").write_text("out/\n*.o\n")
    for name in ("a.o", "kept.o", "out/x", "main.c"):
        (ours / name).write_text("base\n")
    run(["git", "-C", ours, "add", "-f", ".gitignore", "kept.o", "main.c"])
    ctl("built", "fork built-f")
    for top, text in ((ours, "ours\n"), (SPACES / "built-f", "theirs\n")):
        for name in ("a.o", "kept.o", "out/x", "out/new"):
            (top / name).write_text(text)
    (SPACES / "built-f/main.c").write_text("theirs\n")
    refused("EBUSY", "built", "merge built-f")
    conflicts = ours / ".agentfs/conflicts"

    def left():
        return sorted(read(one / "about").split("\t")[0]
                      for one in conflicts.iterdir() if one.name.isdigit())

    expect_eq(left(), ["a.o", "kept.o", "out/new", "out/x"])
    expect_has(refused("EINVAL", "built", "resolve some ours"), "all or ignored")
    ctl("built", "resolve ignored ours")
    expect_eq(left(), ["kept.o"])
    expect_has(refused("ENOENT", "built", "resolve ignored ours"), "names")
    ctl("built", "merge built-f partial")
    expect_eq((ours / "main.c").read_text(), "theirs\n", "what was clean")
    ctl("built", "resolve all theirs")
    expect_eq((ours / "kept.o").read_text(), "theirs\n", "all of theirs")
    expect_eq((ours / "a.o").read_text(), "ours\n", "what is ignored")
    ctl("built", "merge built-f")
    expect_eq((ours / "a.o").read_text(), "ours\n", "what was ended is not asked again")
    # Where it is not known what git tracks, none is.
    for top, text in ((ours, "ours, again\n"), (SPACES / "built-f", "theirs, again\n")):
        (top / "a.o").write_text(text)
    refused("EBUSY", "built", "merge built-f")
    run(["git", "-C", ours, "update-index", "--split-index"])
    expect_has(refused("ENOTSUP", "built", "resolve ignored ours"), "a split one")
    run(["git", "-C", ours, "update-index", "--no-split-index"])
    run(["git", "-C", SPACES / "built-f", "add", "-f", "a.o"])
    expect_has(refused("ENOENT", "built", "resolve ignored ours"), "names")
    run(["git", "-C", SPACES / "built-f", "rm", "-q", "--cached", "a.o"])
    ctl("built", "resolve ignored ours")
    # One that cannot be ended so: those before it are.
    for top in (ours, SPACES / "built-f"):
        (top / "first").write_text(f"{top.name}\n")
        (top / "second").write_text(f"{top.name}\n")
    (SPACES / "built-f/second").unlink()
    (SPACES / "built-f/second").mkdir()
    refused("EBUSY", "built", "merge built-f")
    expect_has(refused("ENOTSUP", "built", "resolve all theirs"), "1 of 2 conflicts were ended before it")
    expect_eq((ours / "first").read_text(), "built-f\n", "before it")
    expect_eq(left(), ["second"])


def hundreds_of_conflicts_are_ended_up_to_the_first_that_is_made_by_hand():
    ours, theirs = make("hundreds"), SPACES / "hundreds-1"
    names = [f"f{n:03}" for n in range(230)]
    for name in names:
        (ours / name).write_text("base\n")
    ctl("hundreds", "fork hundreds-1")
    for name in names:
        (ours / name).write_text("ours\n")
        (theirs / name).write_text("theirs\n")
    (theirs / "f150").write_text("base\n")
    (ours / "f150").rename(ours / "f150-ours")
    (ours / "f150-ours").write_text("base\n")
    (theirs / "f150").rename(theirs / "f150-theirs")
    refused("EBUSY", "hundreds", "merge hundreds-1")
    asked = len(asked_of("hundreds"))
    told = refused("ENOTSUP", "hundreds", "resolve all theirs")
    names.remove("f150")
    ended = [name for name in names if (ours / name).read_text() == "theirs\n"]
    expect(len(ended) > 100, f"ended: {len(ended)}")
    expect_has(told, f"({len(ended)} of {asked} conflicts were ended before it)")
    left = {path: number for number, path in asked_of("hundreds").items()}
    expect_eq(sorted(name for name in names if name not in left), ended, "what is asked for no more")
    ctl("hundreds", f"resolve {left['f150-ours']} ours")
    ctl("hundreds", "resolve all theirs")
    expect_eq({(ours / name).read_text() for name in names}, {"theirs\n"})


def what_is_written_to_a_file_that_a_merge_removes_is_told_or_refused():
    """By a descriptor of before: what it had written has a row, and what it would write is ESTALE, as where
    another file comes in its place. Where the merge is taken back it is told as ever."""
    ours, theirs = make("goes"), SPACES / "goes-1"
    for name in ("one", "linked"):
        (ours / name).write_text("old\n")
    os.link(ours / "linked", ours / "other")
    ctl("goes", "fork goes-1")
    for name in ("one", "linked"):
        (theirs / name).unlink()
    opened = {name: os.open(ours / name, os.O_RDWR) for name in ("one", "linked")}
    os.pwrite(opened["one"], b"old\n", 0)  # as it was, so that it is not in conflict
    ctl("goes", "merge goes-1")
    expect_errno("ESTALE", os.pwrite, opened["one"], b"NEW\n", 0)
    expect_errno("ESTALE", os.ftruncate, opened["one"], 0)
    os.pwrite(opened["linked"], b"by its other name\n", 0)
    for descriptor in opened.values():
        os.close(descriptor)
    told = [(row["op"], os.path.basename(row["path"]))
            for row in map(json.loads, read(ours / ".agentfs/events.jsonl").splitlines())]
    expect(("write", "one") in told[told.index(("fork", "goes-1")):told.index(("remove", "one"))],
           f"no row of what was written before: {told}")
    versions = ours / ".agentfs/versions/one"
    expect_eq([read(versions / name) for name in os.listdir(versions)], ["old\n"] * 2, "versions")
    expect_eq(read(ours / "other"), "by its other name\n")


def what_a_conflict_lists_can_be_read():
    """Whatever either side is by now."""
    ours, theirs = make("listed"), SPACES / "listed-f"
    ctl("listed", "fork listed-f")
    for number, top in enumerate((ours, theirs)):
        (top / "lines").write_text(f"{number}\n")
    refused("EBUSY", "listed", "merge listed-f")
    conflict = ours / ".agentfs/conflicts/1"
    for change in (lambda: None, lambda: (ours / "lines").write_bytes(b"a\0b"),
                   lambda: (ours / "lines").unlink(), lambda: (ours / "lines").mkdir(),
                   lambda: (theirs / "lines").write_bytes(b"a\0b"), lambda: (theirs / "lines").unlink()):
        change()
        for name in os.listdir(conflict):
            (conflict / name).read_bytes()


def what_is_resolved_before_anything_is_merged_is_not_asked_for_either():
    ours, theirs = make("early"), SPACES / "early-fork"
    ctl("early", "fork early-fork")
    for top, word in ((ours, "ours"), (theirs, "theirs")):
        (top / "both").write_text(f"{word}\n")
        (top / "gone").write_text(f"{word}, too\n")
    (theirs / "src/old.c").write_text("changed\n")
    (ours / "src/old.c").unlink()
    (theirs / "new").write_text("new\n")
    refused("EBUSY", "early", "merge early-fork")
    deleted, = [name for name in ("1", "2", "3")
                if read(ours / ".agentfs/conflicts" / name / "about").startswith("src/old.c")]
    refused("ENOENT", "early", f"resolve {deleted} merged")
    (ours / "src/old.c").write_text("changed\n")
    expect(not (ours / "new").exists(), "a refused merge changed something")
    ctl("early", "resolve 1 ours")
    (ours / "gone").write_text("by hand\n")
    refused("EBUSY", "early", "merge early-fork")
    ctl("early", "resolve 2 ours")
    ctl("early", "merge early-fork")
    expect_eq([(ours / name).read_text() for name in ("both", "gone", "new")],
              ["ours\n", "by hand\n", "new\n"])
    (theirs / "both").write_text("theirs again\n")
    refused("EBUSY", "early", "merge early-fork")


def what_a_rollback_took_back_can_be_merged_again():
    ours, theirs = make("again"), SPACES / "again-1"
    ctl("again", "checkpoint before")
    ctl("again", "fork again-1")
    (theirs / "made").write_text("made\n")
    ctl("again", "merge again-1")
    ctl("again", "rollback before")
    expect(not (ours / "made").exists(), "the rollback")
    ctl("again", "merge again-1")
    expect_eq((ours / "made").read_text(), "made\n")


def what_was_undone_since_a_merge_stays_so_after_a_rollback():
    """To a state that has the merge in it, of either side."""
    for side in ("into", "from"):
        top = f"kept-{side}"
        ours, theirs = make(top), SPACES / f"{top}-1"
        ctl(top, f"fork {top}-1")
        for name in ("removed", "renamed"):
            (theirs / name).write_text(f"{name}\n")
        (theirs / "src/old.c").write_text("theirs\n")
        ctl(top, f"merge {top}-1")
        rolled = top if side == "into" else f"{top}-1"
        (ours / "removed").unlink()
        (ours / "renamed").rename(ours / "named")
        (ours / "src/old.c").write_text("ours again\n")
        ctl(rolled, "checkpoint after")
        ctl(rolled, "rollback after")
        M.umount()
        M.mount()
        ctl(top, f"merge {top}-1")
        expect_eq([(ours / name).exists() for name in ("removed", "renamed", "named")], [False, False, True], side)
        expect_eq(read(ours / "src/old.c"), "ours again\n")
        (theirs / "later").write_text("later\n")
        ctl(f"{top}-1", f"merge {top}")
        expect_eq(read(theirs / "src/old.c"), "ours again\n")
        expect(not (theirs / "removed").exists(), "merged back")


def a_rollback_that_was_undone_has_taken_no_merge_back():
    """Be there another merge in between or not; with the state that undoes it goes what is known."""
    for between in (False, True):
        top = f"undone-{between}"
        ours, theirs = make(top), SPACES / f"{top}-1"
        ctl(top, f"fork {top}-1")
        ctl(top, "checkpoint before")
        (theirs / "removed").write_text("removed\n")
        ctl(top, f"merge {top}-1")
        (ours / "removed").unlink()
        (ours / "src/old.c").write_text("ours\n")
        states = set(os.listdir(ours / ".agentfs/snapshots"))
        ctl(top, "rollback before")
        (undo,) = set(os.listdir(ours / ".agentfs/snapshots")) - states
        if between:
            ctl(top, f"merge {top}-1")
            expect_eq(read(ours / "removed"), "removed\n", "as if it had not been merged")
        M.umount()
        M.mount()
        ctl(top, f"rollback {undo}")
        (theirs / "later").write_text("later\n")
        ctl(top, f"merge {top}-1")
        expect_eq([(ours / name).exists() for name in ("removed", "later")], [False, True], "a merge after it")
        ctl(f"{top}-1", f"merge {top}")
        expect(not (theirs / "removed").exists(), "merged back")
        expect_eq(read(theirs / "src/old.c"), "ours\n")


def what_both_added_is_one_only_where_nothing_differs():
    """A mode, an owner or an attribute of a file or a directory is nobody's to lose."""
    changes = {"mode": lambda path: path.chmod(0o700), "attribute": lambda path: os.setxattr(path, "user.x", b"2"),
               "owner": lambda path: os.chown(path, 1001, 1001), "nothing": lambda path: None}
    for name, change in changes.items():
        for kind in "file", "directory":
            top = f"added-{name}-{kind}"
            ours, theirs = make(top), SPACES / f"{top}-1"
            ctl(top, f"fork {top}-1")
            for side in ours, theirs:
                (side / "new").write_text("new\n") if kind == "file" else (side / "new").mkdir()
            change(theirs / "new")
            if kind == "directory":
                (theirs / "new/below").write_text("below\n")
            if name == "nothing":
                ctl(top, f"merge {top}-1")
                continue
            expect_has(refused("EBUSY", top, f"merge {top}-1"), "1 conflict")
            ctl(top, f"merge {top}-1 partial")
            before = os.stat(theirs / "new")
            ctl(top, "resolve 1 ours")
            ctl(f"{top}-1", f"merge {top}")
            after = os.stat(theirs / "new")
            seen = [(one.st_mode, one.st_uid) for one in (before, after, os.stat(ours / "new"))]
            expect_eq(seen[1], seen[2], f"{top}: what was resolved as ours: {seen}")


def a_name_that_theirs_renames_is_not_written_as_one_of_ours():
    """Of a file that has all four names here, and theirs has two of them as files of their own."""
    ours, theirs = make("names-1-side"), SPACES / "names-2-side"
    ctl("names-1-side", "fork names-2-side")
    lines = "".join(f"{n}\n" for n in range(12))
    for side, names in ((ours, "q"), (theirs, "qrs")):
        (side / "p").write_text(lines)
        for name in "qrs":
            os.link(side / "p", side / name) if name in names else (side / name).write_text(lines)
    ctl("names-2-side", "merge names-1-side")
    (ours / "r").write_text("a\n" + lines)
    os.link(ours / "p", ours / "t")
    (ours / "s").unlink()
    (theirs / "p").write_text(lines + "b\n")
    ctl("names-2-side", "merge names-1-side")
    expect_eq({name: (theirs / name).read_text() for name in "pqrt"},
              {name: "a\n" + lines + "b\n" for name in "pqr"} | {"t": lines + "b\n"})
    expect(not (theirs / "s").exists(), "s is renamed in theirs")


def rolled_back(top, deeds, rolled, merged_after=()):
    """A fork's file comes, and then `deeds` are done to one side; what both have after merges."""
    ours, theirs = make(top), SPACES / f"{top}-1"
    ctl(top, f"fork {top}-1")
    side = {"into": top, "from": f"{top}-1"}[rolled]
    ctl(side, "checkpoint early")
    (theirs / "made").write_text("made\n")
    ctl(top, f"merge {top}-1")
    for name in merged_after:
        (ours / name).unlink()
    for deed in deeds:
        ctl(side, deed)
    return ours, theirs


def a_rollback_that_is_done_again_is_as_done_once():
    """Of either side, and whichever is merged next: nothing goes that nobody removed."""
    for rolled in "into", "from":
        for next_into in "into", "from":
            seen = []
            for number, deeds in enumerate((["rollback early"],
                                            ["rollback early", "rollback undo-1", "rollback undo-2"])):
                top = f"done-{rolled}-{next_into}-{number}"
                ours, theirs = rolled_back(top, deeds, rolled)
                M.umount()
                M.mount()
                if next_into == "into":
                    ctl(top, f"merge {top}-1")
                else:
                    ctl(f"{top}-1", f"merge {top}")
                seen.append([(side / "made").exists() for side in (ours, theirs)])
            expect_eq(seen[0], seen[1], f"{rolled} rolled back, {next_into} merged")
            expect(True in seen[0], f"gone on both sides: {rolled}, {next_into}")


def a_state_after_the_merge_has_it_however_it_is_come_to():
    """By way of one from before, and by an undoing whose name another one had."""
    for rolled in "into", "from":
        top = f"forward-{rolled}"
        ours, theirs = rolled_back(top, [], rolled, ["made"])
        side = {"into": top, "from": f"{top}-1"}[rolled]
        for deed in "checkpoint late", "rollback early", "rollback late":
            ctl(side, deed)
        (theirs / "later").write_text("later\n")
        ctl(top, f"merge {top}-1")
        expect_eq([(ours / name).exists() for name in ("made", "later")], [False, True], rolled)
    ours, theirs = make("named-again"), SPACES / "named-again-1"
    ctl("named-again", "fork named-again-1")
    for deed in "checkpoint early", "rollback early", "discard undo-1":
        ctl("named-again-1", deed)
    (theirs / "made").write_text("made\n")
    ctl("named-again", "merge named-again-1")
    (ours / "made").unlink()
    for deed in "rollback early", "rollback undo-1":
        ctl("named-again-1", deed)
    (theirs / "later").write_text("later\n")
    ctl("named-again", "merge named-again-1")
    expect_eq([(ours / name).exists() for name in ("made", "later")], [False, True])


def between_two_merges_the_first_is_what_the_next_begins_from():
    """Where the second was taken back."""
    ours, theirs = make("two-merges"), SPACES / "two-merges-1"
    ctl("two-merges", "fork two-merges-1")
    (theirs / "first").write_text("first\n")
    ctl("two-merges", "merge two-merges-1")
    (ours / "first").unlink()
    ctl("two-merges", "checkpoint between")
    (theirs / "second").write_text("second\n")
    ctl("two-merges", "merge two-merges-1")
    ctl("two-merges", "rollback between")
    M.umount()
    M.mount()
    ctl("two-merges", "merge two-merges-1")
    expect_eq([(ours / name).exists() for name in ("first", "second")], [False, True])


def a_rollback_cut_short_forgets_with_the_change_only():
    """A kill before the change leaves an order of a state that is not there, one behind it the order."""
    ours, theirs = make("lasting"), SPACES / "lasting-1"
    ctl("lasting", "checkpoint before")
    ctl("lasting", "fork lasting-1")
    records = M.state / "merge-bases/workspaces"
    earlier = set(os.listdir(records))
    (theirs / "both").write_text("theirs\n")
    ctl("lasting", "merge lasting-1")
    record, = set(os.listdir(records)) - earlier
    tree = record.split(".")[0]
    (before,) = [path for path in (M.state / "trees/.workspaces/lines" / tree).glob("snap.*")
                 if os.readlink(path).endswith(" before")]
    order, log = records / f"{tree}.rollback", records / f"{tree}.rollbacks"
    to = f"{tree} {before.name.split('.')[1]}"
    M.umount()
    order.write_text(f"never-made\n{to}\n")
    M.mount()
    expect_eq(set(os.listdir(records)) - earlier, {record})
    (ours / "both").write_text("ours\n")
    ctl("lasting", "merge lasting-1")
    expect_eq((ours / "both").read_text(), "ours\n", "theirs was merged before")
    ctl("lasting", "rollback before")
    M.umount()
    log.unlink()
    order.write_text(f"undo-1\n{to}\n")
    M.mount()
    expect(log.exists() and not order.exists(), f"{os.listdir(records)}")
    ctl("lasting", "merge lasting-1")
    expect_eq((ours / "both").read_text(), "theirs\n")
    ctl("lasting", "discard lasting-1")
    left = {name for name in set(os.listdir(records)) - earlier if not name.endswith(".rollbacks")}
    expect_eq(left, set(), "a fork that is gone")


def a_home_and_a_workspace_of_one_number_are_two():
    mount = Mount.of("numbers")
    mount.mount()
    for top in "home", "workspaces":
        ours, theirs = mount / top / "ours", mount / top / "theirs"
        ours.mkdir()
        command(ours / ".agentfs/ctl", "fork theirs")
        (theirs / "made").write_text("made\n")
        if top == "workspaces":
            command(theirs / ".agentfs/ctl", "checkpoint first")
        command(ours / ".agentfs/ctl", "merge theirs")
        expect_eq((ours / "made").read_text(), "made\n", top)
    mount.umount()


def a_merge_and_what_takes_the_whole_tree_do_not_mix():
    ours, theirs = make("whole"), SPACES / "whole-1"
    (ours / "d").mkdir()
    names = [f"d/{n}" for n in range(60)]
    for name in names:
        (ours / name).write_text("0")
    ctl("whole", "checkpoint c0")
    ctl("whole", "fork whole-1")
    for number in range(1, 13):
        for name in names:
            (theirs / name).write_text(str(number))
        deeds = ("merge whole-1", f"checkpoint c{number}", f"fork whole-c{number}", "rollback c0")
        shells = [subprocess.Popen(["sh", "-c", f"echo '{deed}' > {ours}/.agentfs/ctl"],
                                   stderr=subprocess.DEVNULL)
                  for deed in (deeds if number % 2 else deeds[:3])]
        for shell in shells:
            shell.wait()
        for top in ours, SPACES / f"whole-c{number}", ours / f".agentfs/snapshots/c{number}":
            states = {(top / name).read_text() for name in names}
            expect_eq(len(states), 1, f"round {number}: {top}: {states}")
            expect(not os.path.exists(top / ".agentfs-merge"), f"{top} has what a merge made ready")
        ctl("whole", "merge whole-1")
        expect_eq({(ours / name).read_text() for name in names}, {str(number)}, "merged again")


def a_rollback_ends_the_conflicts_of_what_it_takes_back():
    ours, theirs = make("ended"), SPACES / "ended-1"
    ctl("ended", "checkpoint before")
    ctl("ended", "fork ended-1")
    (ours / "both").write_text("ours\n")
    ctl("ended", "checkpoint ours")
    (theirs / "both").write_text("theirs\n")
    (theirs / "clean").write_text("clean\n")
    ctl("ended", "merge ended-1 partial")
    ctl("ended", "rollback ours")
    refused("ENOENT", "ended", "resolve 1 ours")
    refused("EBUSY", "ended", "merge ended-1")
    ctl("ended", "merge ended-1 partial")
    ctl("ended", "resolve 1 theirs")
    ctl("ended", "rollback ours")
    expect(not (ours / "clean").exists(), "the rollback")
    refused("EBUSY", "ended", "merge ended-1")
    ctl("ended", "merge ended-1 partial")
    expect_eq((ours / "clean").read_text(), "clean\n")
    ctl("ended", "discard ended-1")
    refused("ENOENT", "ended", "resolve 1 theirs")
    expect_eq((ours / "both").read_text(), "ours\n", "a refused resolve")


def conflicts_come_back_with_the_merge_that_left_them():
    """By undoing the rollback that ended them, also after a start; what was taken and removed does not."""
    for restarts in (False, True):
        for rolled in ("ours", "theirs"):
            name = f"back-{restarts}-{rolled}"
            ours, theirs = make(name), SPACES / f"{name}-f"
            ctl(name, f"fork {theirs.name}")
            for top in (ours, theirs):
                (top / "both").write_text(f"{top.name}\n")
            top = ours.name if rolled == "ours" else theirs.name
            ctl(top, "checkpoint before")
            (theirs / "taken").write_text("taken\n")
            ctl(name, f"merge {theirs.name} partial")
            (ours / "taken").unlink()
            ctl(top, "rollback before")
            expect_eq(os.listdir(ours / ".agentfs/conflicts"), ["README"], f"{name}: before the merge")
            if restarts:
                M.umount()
                M.mount()
            ctl(top, "rollback undo-1")
            if restarts:
                M.umount()
                M.mount()
            (left,) = (one for one in os.listdir(ours / ".agentfs/conflicts") if one != "README")
            expect_eq(read(ours / ".agentfs/conflicts" / left / "theirs"), f"{theirs.name}\n")
            expect_has(refused("EBUSY", name, f"merge {theirs.name}"), "1 in conflict")
            ctl(name, f"resolve {left} ours")
            ctl(name, f"merge {theirs.name}")
            expect_eq((read(ours / "both"), (ours / "taken").exists()), (f"{name}\n", False), name)
            ctl(name, f"discard {theirs.name}")


def what_was_resolved_is_asked_again_by_a_rollback_to_between():
    """After a start, too; and not by one to after it."""
    ours, theirs = make("between"), SPACES / "between-f"
    ctl("between", "fork between-f")
    for top in (ours, theirs):
        (top / "both").write_text(f"{top.name}\n")
    (theirs / "taken").write_text("taken\n")
    ctl("between", "merge between-f partial")
    (ours / "taken").unlink()
    ctl("between", "checkpoint open")
    ctl("between", "resolve 1 theirs")
    ctl("between", "checkpoint resolved")
    M.umount()
    M.mount()
    (ours / "later").write_text("later\n")
    ctl("between", "rollback resolved")
    expect_eq(os.listdir(ours / ".agentfs/conflicts"), ["README"], "after all were ended")
    ctl("between", "rollback open")
    (left,) = (one for one in os.listdir(ours / ".agentfs/conflicts") if one != "README")
    ctl("between", f"resolve {left} ours")
    (theirs / "new").write_text("new\n")
    ctl("between", "merge between-f")
    expect_eq((read(ours / "both"), (ours / "taken").exists(), (ours / "new").exists()),
              ("between\n", False, True))


def what_was_resolved_in_a_state_is_so_when_it_is_back():
    """One of two, or both; by undoing, or by a checkpoint after it; with an earlier merge's beside them."""
    def conflicts():
        return sorted(read(ours / ".agentfs/conflicts" / one / "about").split("\t")[0]
                      for one in os.listdir(ours / ".agentfs/conflicts") if one != "README")

    def resolve(name):
        (number,) = (one for one in os.listdir(ours / ".agentfs/conflicts") if one != "README" and
                     read(ours / ".agentfs/conflicts" / one / "about").startswith(f"{name}\t"))
        ctl(ours.name, f"resolve {number} ours")

    for both, restarts in ((False, False), (True, False), (False, True), (True, True)):
        top = f"state-{both}-{restarts}"
        ours, theirs = make(top), SPACES / f"{top}-f"
        for name in ("e", "f", "g"):
            (ours / name).write_text("base\n")
        ctl(top, f"fork {theirs.name}")
        for name, merged in (("e", False), ("f", True), ("g", True)):
            for space in (ours, theirs):
                (space / name).write_text(f"{space.name}\n")
            if not merged:  # an earlier one, which is over
                ctl(top, f"merge {theirs.name} partial")
                resolve(name)
                ctl(top, "checkpoint before")
        ctl(top, f"merge {theirs.name} partial")
        expect_eq(conflicts(), ["f", "g"])
        ctl(top, "checkpoint open")
        resolve("f")
        if both:
            resolve("g")
        ctl(top, "checkpoint after")
        left = [] if both else ["g"]
        expect_eq(conflicts(), left)
        for back, seen in (("before", []), ("undo-1", left), ("open", ["f", "g"]), ("undo-3", left), ("open", ["f", "g"]),
                           ("after", left), ("before", []), ("after", left)):
            ctl(top, f"rollback {back}")
            if restarts:
                M.umount()
                M.mount()
            expect_eq(conflicts(), seen, f"{top}: {back}")
        if not both:
            resolve("g")
        ctl(top, f"merge {theirs.name}")
        expect_eq([read(ours / name) for name in ("e", "f", "g")], [f"{top}\n"] * 3)
        ctl(top, f"discard {theirs.name}")


def what_is_in_conflict_there_is_not_taken_back_here():
    """What a fork has taken and not ended yet is ours from before, and no change of the fork's."""
    space = make("both-ways")
    for name in ("c", "x"):
        (space / name).write_text("1\n")
    ctl("both-ways", "fork both-ways-f")
    fork = SPACES / "both-ways-f"
    (space / "c").write_text("ours\n")
    (fork / "c").write_text("theirs\n")
    (space / "x").write_text("bad\n")
    (space / "l").write_text("l\n")
    ctl("both-ways-f", "merge both-ways partial")
    expect_eq((read(fork / "x"), read(fork / "l")), ("bad\n", "l\n"))
    (space / "x").write_text("1\n")
    (space / "l").unlink()
    expect_has(refused("EBUSY", "both-ways", "merge both-ways-f"), "both-ways-f: a merge left 1 in conflict")
    ctl("both-ways-f", "resolve 1 ours")
    ctl("both-ways", "merge both-ways-f")
    expect_eq((read(space / "x"), read(space / "c"), (space / "l").exists()), ("1\n", "theirs\n", False))


def conflicts_with_what_is_gone_can_be_ended():
    space = make("left-alone")
    ctl("left-alone", "fork left-alone-f")
    fork = SPACES / "left-alone-f"
    for name in ("c", "d"):
        (space / name).write_text("ours\n")
        (fork / name).write_text("theirs\n")
    ctl("left-alone", "merge left-alone-f partial")
    shutil.rmtree(fork)
    for number in (1, 2):
        ctl("left-alone", f"resolve {number} ours")
    expect_eq([read(space / name) for name in ("c", "d")], ["ours\n"] * 2)
    ctl("left-alone", "fork left-alone-g")
    (SPACES / "left-alone-g/c").write_text("another\n")
    ctl("left-alone", "merge left-alone-g")
    expect_eq(read(space / "c"), "another\n")


def conflicts_stay_while_another_is_merged():
    """A merge that left paths comes first: what `resolve` takes is never another's."""
    ours = make("stays")
    for each in ("stays-1", "stays-2"):
        ctl("stays", f"fork {each}")
        (SPACES / each / "both").write_text(f"{each}\n")
    (SPACES / "stays-2/clean").write_text("clean\n")
    (ours / "both").write_text("ours\n")
    ctl("stays", "merge stays-1 partial")
    for line in ("merge stays-2", "merge stays-2 partial"):
        expect_has(refused("EBUSY", "stays", line), "`resolve 1 ours`")
        expect_eq(read(ours / ".agentfs/conflicts/1/theirs"), "stays-1\n")
    ctl("stays", "resolve 1 theirs")
    expect_eq((ours / "both").read_text(), "stays-1\n")
    refused("EBUSY", "stays", "merge stays-2")
    expect_eq(read(ours / ".agentfs/conflicts/1/theirs"), "stays-2\n")
    ctl("stays", "merge stays-2 partial")
    expect_eq((ours / "clean").read_text(), "clean\n")


def who_has_open_what_a_merge_replaced_is_refused():
    ours, theirs = make("replaced"), SPACES / "replaced-1"
    ctl("replaced", "fork replaced-1")
    for name in ("both", "lines"):
        (theirs / name).write_text("theirs\n")
    files = [os.open(ours / "both", os.O_WRONLY | os.O_APPEND), os.open(ours / "lines", os.O_RDWR)]
    os.pwrite(files[1], b"1\n", 0)  # what is there already
    ctl("replaced", "merge replaced-1")
    for file in files:
        expect_errno("ESTALE", os.write, file, b"nowhere\n")
        os.close(file)
    expect_eq([(ours / name).read_text() for name in ("both", "lines")], ["theirs\n"] * 2)


def who_writes_beside_a_merge_loses_nothing():
    """What write(2) took is in the file, or the merge found it and made it a conflict; or ESTALE."""
    ours = make("beside")
    (ours / "log").write_text("-" * 4096)
    for number in range(12):
        (ours / f"more{number}").write_text(f"{number}\n")
    for turn in range(12):
        theirs = SPACES / f"beside-{turn}"
        ctl("beside", f"fork beside-{turn}")
        (theirs / "log").write_text(f"{turn:04}" + "-" * 4092)
        for number in range(12):
            (theirs / f"more{number}").write_text(f"{number} {turn}\n")
        file = os.open(ours / "log", os.O_RDWR)
        os.pwrite(file, b"<", 4000 + turn)  # it has written before
        merged = threading.Thread(target=lambda: os.system(
            f"echo 'merge beside-{turn}' 2>/dev/null > '{ours}/.agentfs/ctl'"))
        merged.start()
        taken = 0
        while merged.is_alive():
            try:
                taken += os.pwrite(file, b"#", 100 + taken % 3000)
            except OSError as error:
                expect_eq(error.errno, errno.ESTALE)
                break
        merged.join()
        os.close(file)
        wanted = min(taken, 3000)
        text = (ours / "log").read_bytes()
        expect_eq(text[100:100 + wanted].count(b"#"), wanted, f"round {turn}: of {taken} writes, those in the file")
        ctl("beside", f"discard beside-{turn}")


def a_workspace_is_not_renamed_beside_its_merge():
    """All or nothing of it has both its old and its new name: the rename or the merge is refused."""
    for turn in range(8):
        ours = make(f"named{turn}")
        for number in range(40):
            (ours / f"f{number}").write_text(f"old {number}\n")
        ctl(ours.name, f"fork named{turn}-try")
        for number in range(40):
            (SPACES / f"named{turn}-try/f{number}").write_text(f"new {number}\n")
        merging = subprocess.Popen(["sh", "-c", f"echo 'merge named{turn}-try' > '{ours}/.agentfs/ctl'"],
                                   stderr=subprocess.DEVNULL)
        other = SPACES / f"renamed{turn}"
        while merging.poll() is None:
            try:
                ours.rename(other)
                break
            except OSError as error:
                expect_eq(error.errno, errno.EBUSY)
        merging.wait()
        at = other if other.exists() else ours
        words = {(at / f"f{number}").read_text().split()[0] for number in range(40)}
        expect_eq(len(words), 1, f"round {turn}: {words}")
        disk = {(M.state / "trees/workspaces" / at.name / f"f{number}").read_text().split()[0] for number in range(40)}
        expect_eq(disk, words, f"round {turn}, on the disk")
    expect_eq(os.listdir(M.state / "merges"), [], "orders of merges")


def a_refused_merge_leaves_what_is_to_be_resolved():
    ours = make("left")
    for each in ("left-1", "left-2"):
        ctl("left", f"fork {each}")
    (SPACES / "left-1/both").write_text("left-1\n")
    (SPACES / "left-2/gone").write_text("left-2\n")
    for name in ("both", "gone"):
        (ours / name).write_text("ours\n")
    ctl("left", "merge left-1 partial")
    refused("EBUSY", "left", "merge left-1")
    refused("EBUSY", "left", "merge left-2 partial")
    M.umount()
    M.mount()
    refused("EBUSY", "left", "merge left-2 partial")
    ctl("left", "resolve 1 theirs")
    expect_eq((ours / "both").read_text(), "left-1\n")
    ctl("left", "merge left-2 partial")


def a_merge_waits_until_the_conflicts_of_the_last_one_are_ended():
    """What it took passes for ours by then: a name that theirs gave a file would be ours."""
    ours, theirs = make("waits"), SPACES / "waits-1"
    (ours / "a").write_text("base\n")
    ctl("waits", "fork waits-1")
    (ours / "a").unlink()
    (theirs / "a").rename(theirs / "b")
    (theirs / "a").write_text("new\n")
    ctl("waits", "merge waits-1 partial")
    for line in ("merge waits-1", "merge waits-1 partial"):
        expect_has(refused("EBUSY", "waits", line), "`resolve 1 ours`")
        expect_eq((read(ours / "b"), (ours / "a").exists()), ("base\n", False), line)
        expect_eq(read(ours / ".agentfs/conflicts/1/theirs"), "new\n", line)
    ctl("waits", "resolve 1 theirs")
    ctl("waits", "merge waits-1")
    expect_eq((read(ours / "a"), read(ours / "b")), ("new\n", "base\n"))


def a_path_keeps_its_number_while_it_is_in_conflict():
    ours, theirs = make("numbers"), SPACES / "numbers-1"
    ctl("numbers", "fork numbers-1")
    for top in (ours, theirs):
        for name in ("both", "gone", "lines"):
            (top / name).write_text(f"{top.name}'s {name}\n")
    refused("EBUSY", "numbers", "merge numbers-1")
    expect_eq(asked_of("numbers"), {"1": "both", "2": "gone", "3": "lines"})
    ctl("numbers", "resolve 2 ours")
    (theirs / "also").write_text("theirs\n")
    (ours / "also").write_text("ours\n")
    refused("EBUSY", "numbers", "merge numbers-1")
    expect_eq(asked_of("numbers"), {"1": "both", "3": "lines", "4": "also"})
    ctl("numbers", "merge numbers-1 partial")
    ctl("numbers", "resolve 4 ours")
    M.umount()
    M.mount()
    refused("EBUSY", "numbers", "merge numbers-1")
    expect_eq(asked_of("numbers"), {"1": "both", "3": "lines"}, "after a restart")
    (ours / "gone").write_text("numbers-1's gone\n")
    (theirs / "src/old.c").write_text("theirs\n")
    (ours / "src/old.c").write_text("ours\n")
    refused("EBUSY", "numbers", "merge numbers-1")
    expect_eq(asked_of("numbers"), {"1": "both", "3": "lines"}, "what came since waits")
    for number in "1", "3":
        ctl("numbers", f"resolve {number} ours")
    refused("EBUSY", "numbers", "merge numbers-1")
    expect_eq(list(asked_of("numbers").values()), ["src/old.c"])


def what_a_merge_removes_comes_back():
    ours = make("removed")
    make_of_each_kind(ours / "kinds")
    before = kinds_of(ours / "kinds")
    ctl("removed", "fork removed-1")
    shutil.rmtree(SPACES / "removed-1/kinds")
    ctl("removed", "merge removed-1")
    expect(not (ours / "kinds").exists(), "it is still there")
    ctl("removed", "restore kinds")
    expect_eq(kinds_of(ours / "kinds"), before)


def conflicts_are_of_a_tree_and_not_of_a_name():
    ours, theirs = make("named"), SPACES / "named-1"
    ctl("named", "fork named-1")
    (ours / "both").write_text("ours\n")
    (theirs / "both").write_text("theirs\n")
    ctl("named", "merge named-1 partial")
    ours.rename(SPACES / "renamed")
    make("named")
    expect(not (ours / ".agentfs/conflicts/1").exists(), "conflicts of another tree")
    refused("ENOENT", "named", "resolve 1 theirs")
    theirs.rename(SPACES / "renamed-1")
    expect_eq(read(SPACES / "renamed/.agentfs/conflicts/1/theirs"), "theirs\n")
    M.umount()
    M.mount()
    ctl("renamed", "resolve 1 theirs")
    expect_eq((SPACES / "renamed/both").read_text(), "theirs\n")
    (SPACES / "renamed-1/both").write_text("theirs again\n")
    ctl("renamed", "merge renamed-1")
    expect_eq((SPACES / "renamed/both").read_text(), "theirs again\n")


def what_both_have_removed_by_now_is_resolved():
    ours, theirs = make("neither"), SPACES / "neither-1"
    ctl("neither", "fork neither-1")
    (ours / "gone").write_text("changed\n")
    (theirs / "gone").unlink()
    refused("EBUSY", "neither", "merge neither-1")
    (ours / "gone").unlink()
    ctl("neither", "resolve 1 theirs")
    expect_eq(os.listdir(ours / ".agentfs/conflicts"), ["README"], "conflicts")
    ctl("neither", "merge neither-1")


def theirs_is_taken_whole():
    ours, theirs = make("modes"), SPACES / "modes-1"
    ctl("modes", "fork modes-1")
    (ours / "both").chmod(0o755)
    (theirs / "both").chmod(0o600)
    (ours / "gone").rename(ours / "gone-here")
    (theirs / "gone").rename(theirs / "gone-there")
    ctl("modes", "merge modes-1 partial")
    conflicts = ours / ".agentfs/conflicts"
    for number in "1", "2":
        if read(conflicts / number / "about").startswith("both"):
            ctl("modes", f"resolve {number} theirs")
            continue
        expect_has(refused("ENOTSUP", "modes", f"resolve {number} theirs"), "gone-there")
        ctl("modes", f"resolve {number} ours")
    expect_eq(os.stat(ours / "both").st_mode & 0o777, 0o600)
    for top, mode in (ours, 0o700), (theirs, 0o640):
        (top / "lines").chmod(mode)
    (theirs / "lines").write_text("<<<<<<< no marker of ours\n")
    ctl("modes", "merge modes-1 partial")
    ctl("modes", "resolve 1 merged")
    expect_eq((ours / "lines").read_text(), "<<<<<<< no marker of ours\n")
    (ours / "both").unlink()
    (ours / "both").symlink_to("lines")
    (theirs / "both").write_text("changed there\n")
    ctl("modes", "merge modes-1 partial")
    ctl("modes", "resolve 1 theirs")
    expect_eq(((ours / "both").is_symlink(), read(ours / "both")), (False, "changed there\n"))
    ctl("modes", "merge modes-1")
    for top in ours, theirs:
        (top / "both").unlink()
    (ours / "both").write_text("a file\n")
    (theirs / "both").symlink_to("lines")
    ctl("modes", "merge modes-1 partial")
    ctl("modes", "resolve 1 theirs")
    expect_eq(os.readlink(ours / "both"), "lines")
    ctl("modes", "merge modes-1")


def what_is_open_for_writing_is_kept_as_it_was_when_it_was_merged():
    ours, theirs = make("open"), SPACES / "open-1"
    ctl("open", "fork open-1")
    (theirs / "lines").write_text((theirs / "lines").read_text().replace("3\n", "three\n", 1))
    with open(ours / "lines", "a", encoding="utf-8") as file:
        file.write("early\n")
        file.flush()
        ctl("open", "merge open-1")
        version = max((ours / ".agentfs/versions/lines").iterdir())
        kept = read(version)
        expect(kept.endswith("early\n"), kept)
        expect_errno("ESTALE", os.write, file.fileno(), b"late\n")
    expect_eq(read(version), kept, "a version that goes on changing")


def the_same_again_changes_nothing():
    head = M.head()
    ctl("site", "merge try-1")
    rows = [row for row in M.journal() if row["kind"].startswith("tree.")]
    expect_eq(rows[-1]["kind"], "tree.merge")
    expect(M.head() != head, "the merge itself is told")


def what_a_merge_makes_ready_is_nobodys_to_see():
    ours, aside = make("aside"), SPACES / "aside/.agentfs-merge"
    expect_errno("EPERM", aside.mkdir)
    expect_has(M.last_error(), "another one would do", "why it is not made")
    expect_errno("EPERM", (ours / "src").rename, aside)
    seen = []

    def look():
        while not over.is_set():
            seen.extend(set(os.listdir(ours)) & {aside.name})
            for act in (lambda: os.listdir(aside), (aside / "mine").touch, aside.rmdir,
                        lambda: aside.rename(ours / "mine")):
                try:
                    act()
                    seen.append(act)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        seen.append(error)
    over = threading.Event()
    looking = threading.Thread(target=look)
    looking.start()
    for number in range(5):
        theirs = SPACES / f"aside-{number}"
        ctl("aside", f"fork {theirs.name}")
        for file in range(100):
            (theirs / f"n{file}").write_text(f"{number}\n")
        ctl("aside", f"merge {theirs.name}")
        expect_eq((ours / "n99").read_text(), f"{number}\n")
    over.set()
    looking.join()
    expect_eq(seen, [])


def what_conflicts_have_of_theirs_is_what_was_merged():
    """Whatever is done in the fork until they are ended, which the next merge brings."""
    ours, theirs, names = make("then"), SPACES / "then-1", ("rewritten", "removed", "replaced", "renamed")
    for name in names:
        (ours / name).write_text("base\n")
    ctl("then", "fork then-1")
    for name in names:
        (ours / name).write_text("ours\n")
        (theirs / name).write_text("as merged\n")
    ctl("then", "merge then-1 partial")
    (theirs / "rewritten").write_text("half a sent")
    (theirs / "removed").unlink()
    (theirs / "replaced").unlink()
    (theirs / "replaced").symlink_to("/etc/passwd")
    (theirs / "renamed").rename(theirs / "named")
    conflicts = ours / ".agentfs/conflicts"
    for restarted in (False, True):
        if restarted:
            M.umount()
            M.mount()
        for number in ("1", "2", "3", "4"):
            expect_eq(read(conflicts / number / "theirs"), "as merged\n", f"conflict {number}")
    for number in ("1", "2", "3", "4"):
        ctl("then", f"resolve {number} theirs")
    expect_eq([read(ours / name) for name in names], ["as merged\n"] * 4, "what was taken")
    ctl("then", "merge then-1")
    expect_eq(read(ours / "rewritten"), "half a sent", "what was done after the merge")
    expect_eq([(ours / name).is_file() for name in ("removed", "renamed", "named")], [False, False, True])
    expect((ours / "replaced").is_symlink(), "the link in the place of a file")
    ctl("then", "discard then-1")
    shutil.rmtree(ours)


def memory_of(pid):
    return next(int(line.split()[1]) for line in open(f"/proc/{pid}/status", encoding="ascii")
                if line.startswith("VmRSS"))


def who_looks_at_conflicts_of_large_files_has_them_read_by_nobody():
    """Their sizes are known without their bytes, which nobody holds in memory, be they many."""
    large, names = 100 << 20, [f"f{n}" for n in range(4)]
    make("large")
    for name in names:
        (SPACES / "large" / name).touch()
        os.truncate(SPACES / "large" / name, large)
    ctl("large", "fork large-try")
    for space in ("large", "large-try"):
        for name in names:
            with open(SPACES / space / name, "r+b") as file:
                file.write(space.encode())
    ctl("large", "merge large-try partial")
    before, conflicts = memory_of(M.daemon()), SPACES / "large/.agentfs/conflicts"
    seen = [path for number in conflicts.iterdir() if number.is_dir()
            for path in number.iterdir() if path.name in ("base", "ours", "theirs")]
    expect_eq([path.stat().st_size for path in seen], [large] * 12, "the sizes of their sides")
    for path in seen:
        with open(path, "rb") as file:
            begins = {"base": b"\0\0", "ours": b"large\0", "theirs": b"large-try\0"}[path.name]
            expect_eq(file.read(len(begins)), begins, f"{path}")
            file.seek(-2, os.SEEK_END)
            expect_eq(file.read(), b"\0\0", f"the end of {path}")
    expect(memory_of(M.daemon()) - before < 60 << 10, "the daemon has grown by more than 60 MiB")
    ctl("large", "discard large-try")
    shutil.rmtree(SPACES / "large")


def conflicts_are_files():
    ours, theirs = make("two"), SPACES / "two-fork"
    ctl("two", "fork two-fork")
    (ours / "both").write_text("ours\n")
    (theirs / "both").write_text("theirs\n")
    (theirs / "clean").write_text("clean\n")
    refused("EBUSY", "two", "merge two-fork")
    expect(not (ours / "clean").exists(), "a part was merged")
    expect_eq((ours / "both").read_text(), "ours\n")
    conflicts = ours / ".agentfs/conflicts"
    expect_eq([n for n in os.listdir(conflicts) if n != "README"], ["1"])
    for side, text in (("base", "as it was\n"), ("ours", "ours\n"), ("theirs", "theirs\n")):
        expect_eq(read(conflicts / "1" / side), text)
    expect_has(read(conflicts / "1/merged"), "<<<<<<<")
    expect_has(read(conflicts / "1/about"), "both\tcontent")
    ctl("two", "merge two-fork partial")
    expect_eq((ours / "clean").read_text(), "clean\n")
    expect_eq((ours / "both").read_text(), "ours\n", "no markers in the source")
    refused("EINVAL", "two", "resolve 1 mine")
    refused("ENOENT", "two", "resolve 7 ours")
    ctl("two", "resolve 1 theirs")
    expect_eq((ours / "both").read_text(), "theirs\n")
    expect_eq([n for n in os.listdir(conflicts) if n != "README"], [])


def the_fork_takes_over_from_its_parent():
    (SPACES / "two/from-parent").write_text("p\n")
    ctl("two-fork", "merge two partial")
    expect_eq((SPACES / "two-fork/from-parent").read_text(), "p\n")


def strangers_are_refused():
    make("stranger")
    refused("EINVAL", "two", "merge stranger")
    refused("EINVAL", "two", "merge nothing-of-this-name")
    refused("EINVAL", "two", "merge two-fork halfway")


def a_kill_leaves_all_or_nothing():
    for number in range(4):
        name = f"kill{number}"
        ours, theirs = make(name), SPACES / f"{name}-fork"
        for n in range(300):
            (ours / f"f{n}").write_text(f"{n} before\n")
        ctl(name, f"fork {name}-fork")
        for n in range(300):
            (theirs / f"f{n}").write_text(f"{n} after\n")
        merging = subprocess.Popen(["sh", "-c", f"echo merge {name}-fork > {ours}/.agentfs/ctl"],
                                   stderr=subprocess.DEVNULL)
        wait_until(20, lambda: (ours / ".agentfs-merge").exists() or merging.poll() is not None,
                   "the merge has begun")
        kill_daemon()
        merging.wait()
        states = {(ours / f"f{n}").read_text().split()[1] for n in range(300)}
        expect_eq(len(states), 1, f"round {number}: {states}")
        expect(not (ours / ".agentfs-merge").exists(), "what was staged is still there")
        ctl(name, f"merge {name}-fork")
        expect_eq((ours / "f299").read_text(), "299 after\n")
    M.verify()


def conflicts_that_were_told_stay_where_a_kill_undoes_the_merge_after_them():
    M.umount()  # who starts daemons again gives up after six within a minute
    M.mount()
    undone = 0
    for number in range(5):
        name = f"told{number}"
        ours, theirs = make(name), SPACES / f"{name}-fork"
        for n in range(300):
            (ours / f"f{n}").write_text("before\n")
        ctl(name, f"fork {theirs.name}")
        for n in range(300):
            (theirs / f"f{n}").write_text("after\n")
        for top in (ours, theirs):
            for path in ("both", "gone", "lines"):
                (top / path).write_text(f"{top.name}'s {path}\n")
        refused("EBUSY", name, f"merge {theirs.name}")
        ctl(name, "resolve 2 ours")
        merging = subprocess.Popen(["sh", "-c", f"echo merge {theirs.name} partial > {ours}/.agentfs/ctl"],
                                   stderr=subprocess.DEVNULL)
        orders = M.state / "merges"
        wait_until(20, lambda: (orders.exists() and os.listdir(orders)) or merging.poll() is not None,
                   "the merge is under way")
        kill_daemon()
        merging.wait()
        expect_eq(asked_of(name), {"1": "both", "3": "lines"}, f"round {number}")
        if (ours / "f0").read_text() == "before\n":
            undone += 1
            ctl(name, f"merge {theirs.name} partial")
        expect_eq((ours / "f299").read_text(), "after\n")
        ctl(name, "resolve all theirs")
        ctl(name, f"merge {theirs.name}")
        expect_eq([read(ours / path) for path in ("both", "gone", "lines")],
                  [f"{theirs.name}'s both\n", f"{name}'s gone\n", f"{theirs.name}'s lines\n"], name)
    print(f"{undone} of 5 merges were undone")
    M.verify()


def a_merge_of_what_is_clean_is_begun_from_after_a_kill():
    """In a workspace of any name; what was taken back by hand since stays so."""
    M.umount()  # who starts daemons again gives up after six within a minute
    M.mount()
    for number in range(4):
        name = os.fsdecode(b"half\xff%d" % number)
        ours, theirs = make(name), SPACES / f"half{number}-fork"
        files = [f"f{n}" for n in range(300)]
        for file in files:
            (ours / file).write_text("before\n")
        ctl(name, f"fork {theirs.name}")
        for file in [*files, "both"]:
            (theirs / file).write_text("theirs\n")
        (ours / "both").write_text("ours\n")
        order = M.state / "merges" / os.fsencode(f"/workspaces/{name}").hex()
        ctl_file = os.open(ours / ".agentfs/ctl", os.O_WRONLY)
        merging = subprocess.Popen(["sh", "-c", f"echo merge {theirs.name} partial >&{ctl_file}"],
                                   pass_fds=[ctl_file], stderr=subprocess.DEVNULL)
        os.close(ctl_file)
        while merging.poll() is None:  # no pause: the order is soon gone
            with contextlib.suppress(OSError):
                if b'"done":true' in order.read_bytes():
                    break
        kill_daemon()
        merging.wait()
        expect_eq({(ours / file).read_text() for file in files}, {"theirs\n"})
        ctl(name, "resolve 1 ours")
        (ours / "f0").write_text("before\n")
        ctl(name, f"merge {theirs.name}")
        expect_eq((ours / "f0").read_text(), "before\n", f"round {number}")
        expect_eq((ours / "both").read_text(), "ours\n")
    M.verify()


def a_rollback_that_cannot_end_the_conflicts_takes_the_merge_back_nevertheless():
    for name, restarts in ("unended", False), ("unended-too", True):
        ours, theirs = make(name), SPACES / f"{name}-fork"
        ctl(name, f"fork {theirs.name}")
        ctl(name, "checkpoint before")
        (ours / "both").write_text("ours\n")
        (theirs / "both").write_text("theirs\n")
        (theirs / "new").write_text("theirs\n")
        ctl(name, f"merge {theirs.name} partial")
        records = M.state / "merge-conflicts"
        aside = records.with_name("aside")
        records.rename(aside)
        records.write_text("")  # as a disk that fails
        expect_errno("ENOTDIR", tell, ours / ".agentfs/ctl", "rollback before\n")
        records.unlink()
        aside.rename(records)
        if restarts:
            M.umount()
            M.mount()
        expect_eq((ours / "both").read_text(), "as it was\n")
        expect_eq([one for one in os.listdir(ours / ".agentfs/conflicts") if one.isdigit()], [])
        ctl(name, f"merge {theirs.name}")
        expect_eq((ours / "both").read_text(), "theirs\n")
        expect_eq((ours / "new").read_text(), "theirs\n")
    M.umount()
    M.mount()
    expect_eq((ours / "both").read_text(), "theirs\n")
    M.verify()


def a_fork_of_what_a_rollback_took_away_brings_that_back():
    """Whichever way it is merged. One that was made before does not: to it the rollback is a change."""
    for number, (line, from_fork) in enumerate((("fork {} undo-1", True), ("fork {} undo-1", False), (None, True))):
        name = f"rescue-{number}"
        ours, theirs = SPACES / name, SPACES / f"{name}-fork"
        ours.mkdir()
        (ours / "old").write_text("old\n")
        ctl(name, "checkpoint c0")
        (ours / "work").write_text("work\n")
        if line is None:
            ctl(name, f"fork {theirs.name}")
        ctl(name, "rollback c0")
        if line is not None:
            ctl(name, line.format(theirs.name))
        (theirs / "more").write_text("more\n")
        (ours / "other").write_text("other\n")
        M.umount()
        M.mount()
        into, other = (ours, theirs) if from_fork else (theirs, ours)
        ctl(into.name, f"merge {other.name}")
        expect_eq("work" in os.listdir(into), line is not None, f"{into.name}: what was undone: {os.listdir(into)}")
        ctl(other.name, f"merge {into.name}")
        for top in (ours, theirs):
            expect_eq(sorted(os.listdir(top)), ["more", "old", "other"] + ["work"] * (line is not None), f"{top.name}")


def a_rollback_to_after_a_partial_merge_leaves_its_conflicts_and_what_it_took():
    """What was taken and removed since does not come back; what had been resolved meanwhile is asked again."""
    for number, (resolves, restarts, side) in enumerate(((False, False, "ours"), (False, True, "ours"),
                                                         (True, False, "ours"), (False, True, "theirs"))):
        name = f"partly-{number}"
        ours, theirs = SPACES / name, SPACES / f"{name}-f"
        ours.mkdir()
        (ours / "old").write_text("old\n")
        ctl(name, f"fork {theirs.name}")
        for top in (ours, theirs):
            (top / "both").write_text(f"{top.name}\n")
        (theirs / "taken").write_text("taken\n")
        ctl(name, f"merge {theirs.name} partial")
        (ours / "taken").unlink()
        rolled = name if side == "ours" else theirs.name
        ctl(rolled, "checkpoint c")
        if resolves:
            ctl(name, "resolve 1 theirs")
        (SPACES / rolled / "later").write_text("later\n")
        ctl(rolled, "rollback c")
        if restarts:
            M.umount()
            M.mount()
        refused("EBUSY", name, f"merge {theirs.name}")
        (left,) = (one for one in os.listdir(ours / ".agentfs/conflicts") if one != "README")
        expect_eq([read(ours / ".agentfs/conflicts" / left / one) for one in ("ours", "theirs")],
                  [f"{name}\n", f"{theirs.name}\n"], "the conflict")
        ctl(name, f"resolve {left} theirs")
        expect_eq((ours / "both").read_text(), f"{theirs.name}\n")
        ctl(name, f"merge {theirs.name}")
        expect_eq(sorted(os.listdir(ours)), ["both", "old"], f"{name}")
        (theirs / "new").write_text("new\n")
        ctl(name, f"merge {theirs.name}")
        expect_eq(sorted(os.listdir(ours)), ["both", "new", "old"], f"{name}, merged again")


def what_was_resolved_and_merged_back_stays_so_over_rollbacks_to_after_that():
    """Be it by the one or the other: the two begin from that merge, and not from the one with conflicts."""
    for rolled in ("over-w", "over-f"):
        name, fork = f"{rolled}-1", f"{rolled}-2"
        ours = make(name)
        ctl(name, f"fork {fork}")
        for top in (name, fork):
            (SPACES / top / "both").write_text(f"{top}\n")
        ctl(name, f"merge {fork} partial")
        ctl(name, "resolve 1 ours")
        ctl(fork, f"merge {name}")
        top = name if rolled == "over-w" else fork
        ctl(top, "checkpoint k")
        (SPACES / top / "x").write_text("x\n")
        ctl(top, "rollback k")
        expect_eq(os.listdir(ours / ".agentfs/conflicts"), ["README"], rolled)
        ctl(name, f"merge {fork}")
        ctl(fork, f"merge {name}")
        expect_eq([read(SPACES / one / "both") for one in (name, fork)], [f"{name}\n"] * 2)


def rollbacks_beside_discards_of_other_trees_are_made():
    """What is written down of a rollback is nobody's to clear away."""
    for name in ("turning", "passing"):
        top = make(name)
        ctl(name, "checkpoint c")
        ctl(name, f"fork {name}-1")
        (top / "more").write_text("more\n")
        ctl(name, f"merge {name}-1")
    over = threading.Event()
    discarded, wrong = [], []

    def discards():
        try:
            while not over.is_set():
                ctl("passing", "fork passing-gone")
                ctl("passing", "discard passing-gone")
                discarded.append(1)
        except (AssertionError, OSError) as error:
            wrong.append(error)

    other = threading.Thread(target=discards)
    other.start()
    try:
        for _ in range(120):
            ctl("turning", "rollback c")
            ctl("turning", "discard undo-1")
    finally:
        over.set()
        other.join()
    expect_eq(wrong, [])
    expect(discarded, "nothing was discarded meanwhile")
    expect_eq([name for name in os.listdir(M.state / "merge-bases/workspaces") if "prepared" in name], [])


def what_is_new_has_the_owner_that_made_it():
    """And no set-user-id that is of other bytes."""
    if os.geteuid() != 0:
        skip("not root, who alone gives files away")
    ours = make("owned")
    (ours / "tool").write_text("root's\n")
    (ours / "kept").write_text("root's\n")
    ctl("owned", "fork owned-fork")
    theirs = SPACES / "owned-fork"
    for name in ("new", "tool"):
        (theirs / name).unlink(missing_ok=True)
        (theirs / name).write_text("theirs\n")
    for name in ("new", "tool", "kept"):
        os.chown(theirs / name, 65534, 65534)
        (theirs / name).chmod(0o6755)
    ctl("owned", "merge owned-fork")
    found = {name: (os.stat(ours / name).st_uid, os.stat(ours / name).st_mode & 0o7777)
             for name in ("new", "tool", "kept")}
    expect_eq(found, dict.fromkeys(found, (65534, 0o6755)), "owners and modes")
    for name in ("tool", "kept"):
        (ours / name).write_text("ours\n")
        os.chown(theirs / name, 0, 0)
        (theirs / name).chmod(0o6755)
    ctl("owned", "merge owned-fork")
    found = {name: (os.stat(ours / name).st_uid, os.stat(ours / name).st_mode & 0o7777)
             for name in ("tool", "kept")}
    expect_eq(found, dict.fromkeys(found, (0, 0o755)), "of bytes that theirs' owner never saw")


def what_theirs_moves_onto_a_new_file_of_ours_is_in_conflict():
    ours, theirs = make("onto"), SPACES / "onto-fork"
    ctl("onto", "fork onto-fork")
    (theirs / "gone").rename(theirs / "taken")
    (theirs / "src").rename(theirs / "lib")
    (ours / "gone").unlink()
    shutil.rmtree(ours / "src")
    (ours / "taken").write_text("unrelated\n")
    (ours / "lib").mkdir()
    os.symlink("elsewhere", ours / "lib/old.c")
    for into, other in (("onto", "onto-fork"), ("onto-fork", "onto")):
        refused("EBUSY", into, f"merge {other}")
        conflicts = SPACES / into / ".agentfs/conflicts"
        listed = "".join(read(conflicts / str(number) / "about") for number in (1, 2))
        for name in ("taken", "lib/old.c"):
            expect_has(listed, name, f"conflicts of {into}")
    (ours / "taken").write_text("to be removed\n")
    (ours / "lib/old.c").unlink()
    (ours / "lib/old.c").write_text("int main(void) { return 0; }\n")
    ctl("onto", "merge onto-fork")


def what_a_mapping_has_written_is_merged_and_told():
    ours, theirs = make("mapped"), SPACES / "mapped-fork"
    ctl("mapped", "fork mapped-fork")
    with open(theirs / "both", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:2] = b"AS"
        expect_eq(read(theirs / ".agentfs/status"), "M\tboth\n")
        mapping[3:5] = b"IT"
        expect_has(read(theirs / ".agentfs/diff"), "+AS IT was", "diff")
        mapping[6:9] = b"WAS"
        ctl("mapped", "merge mapped-fork")
        expect_eq(read(ours / "both"), "AS IT WAS\n")


def a_name_of_theirs_is_told_with_a_conflict_and_not_taken_back():
    ours, theirs = make("other-name"), SPACES / "other-name-fork"
    ctl("other-name", "fork other-name-fork")
    (theirs / "lines").rename(theirs / "numbers")
    for top, word in ((ours, "ours"), (theirs, "theirs")):
        path = top / ("lines" if top == ours else "numbers")
        path.write_text(read(path).replace("3\n", f"{word}\n", 1))
    ctl("other-name", "merge other-name-fork partial")
    expect_has(read(ours / ".agentfs/conflicts/1/about"), "theirs has it as numbers", "about")
    for side in ("theirs", "merged"):
        expect_has(refused("ENOTSUP", "other-name", f"resolve 1 {side}"), "named numbers", side)
    (ours / "lines").rename(ours / "numbers")
    (ours / "numbers").write_text(read(theirs / "numbers"))
    ctl("other-name", "resolve 1 ours")
    ctl("other-name", "merge other-name-fork")
    ctl("other-name-fork", "merge other-name")
    for top in (ours, theirs):
        expect(not (top / "lines").exists(), f"the old name in {top}")
        expect_has(read(top / "numbers"), "theirs\n", f"{top}")


def theirs_is_not_taken_by_way_of_a_link():
    ours, theirs = make("by-link"), SPACES / "by-link-fork"
    ctl("by-link", "fork by-link-fork")
    (theirs / "src/old.c").write_text("theirs\n")
    shutil.rmtree(ours / "src")
    elsewhere = SPACES / "by-link-elsewhere"
    elsewhere.mkdir()
    os.symlink("../by-link-elsewhere", ours / "src")
    ctl("by-link", "merge by-link-fork partial")
    refused("ENOTSUP", "by-link", "resolve 1 theirs")
    expect_eq(os.listdir(elsewhere), [])
    (ours / "src").unlink()
    ctl("by-link", "resolve 1 theirs")
    expect_eq(read(ours / "src/old.c"), "theirs\n")


def what_is_merged_or_removed_by_resolve_is_not_reached_by_way_of_a_link():
    ours, theirs = make("way-of-link"), SPACES / "way-of-link-fork"
    elsewhere = SPACES / "way-of-link-elsewhere"
    elsewhere.mkdir()
    text = "".join(f"{n}\n" for n in range(1, 21))
    for name in ("src/text", "src/goes", "text"):
        (ours / name).write_text(text)
        (elsewhere / os.path.basename(name)).write_text(f"of another workspace: {name}\n")
    before = {name: read(elsewhere / name) for name in os.listdir(elsewhere)}
    ctl("way-of-link", "fork way-of-link-fork")
    for name in ("src/text", "text"):
        (ours / name).write_text(text.replace("2\n", "two\n", 1))
        (ours / name).chmod(0o600)
        (theirs / name).write_text(text.replace("20\n", "twenty\n"))
        (theirs / name).chmod(0o640)
    (ours / "src/goes").write_text("changed\n")
    (theirs / "src/goes").unlink()
    ctl("way-of-link", "merge way-of-link-fork partial")
    conflicts = {read(about).split("\t")[0]: about.parent.name
                 for about in (ours / ".agentfs/conflicts").glob("*/about")}
    expect_eq(sorted(conflicts), ["src/goes", "src/text", "text"])
    shutil.rmtree(ours / "src")
    os.symlink("../way-of-link-elsewhere", ours / "src")
    (ours / "text").unlink()
    os.symlink("../way-of-link-elsewhere/text", ours / "text")
    for name in ("src/text", "text"):
        expect_has(refused("ENOTSUP", "way-of-link", f"resolve {conflicts[name]} merged"), name)
    ctl("way-of-link", f"resolve {conflicts['src/goes']} theirs")
    expect_eq({name: read(elsewhere / name) for name in os.listdir(elsewhere)}, before)
    (ours / "src").unlink()
    (ours / "src").mkdir()
    (ours / "text").unlink()
    for name in ("src/text", "text"):
        (ours / name).write_text(text.replace("2\n", "two\n", 1))
        ctl("way-of-link", f"resolve {conflicts[name]} merged")
        expect_has(read(ours / name), "\ntwo\n")
        expect_has(read(ours / name), "\ntwenty\n")


def a_name_that_ours_gave_a_file_goes_on_being_that_file():
    ours, theirs = make("further-name"), SPACES / "further-name-fork"
    os.link(ours / "both", ours / "twin")
    ctl("further-name", "fork further-name-fork")
    with open(theirs / "both", "a") as file:
        file.write("more\n")
    os.link(ours / "both", ours / "src/third")
    os.unlink(ours / "gone")
    os.link(ours / "both", ours / "gone")
    ctl("further-name", "merge further-name-fork")
    names = [ours / name for name in ("both", "twin", "src/third", "gone")]
    expect_eq({read(name) for name in names}, {"as it was\nmore\n"})
    expect_eq({os.stat(name).st_ino for name in names}, {os.stat(names[0]).st_ino})
    expect_eq({os.stat(name).st_nlink for name in names}, {4})


def a_name_that_ours_gave_a_file_stays_where_theirs_makes_it_another_kind():
    """A link or FIFO in its place is no text of that file: its bytes would have no name any more."""
    ours, theirs = make("further-kind"), SPACES / "further-kind-fork"
    ctl("further-kind", "fork further-kind-fork")
    for name in ("both", "gone"):
        os.link(ours / name, ours / f"{name}-2")
        (theirs / name).unlink()
    (theirs / "both").symlink_to("gone")
    os.mkfifo(theirs / "gone")
    ctl("further-kind", "merge further-kind-fork")
    expect_eq((os.readlink(ours / "both"), (ours / "gone").is_fifo()), ("gone", True))
    expect_eq([read(ours / f"{name}-2") for name in ("both", "gone")], ["as it was\n", "to be removed\n"])


def theirs_removes_no_directory_that_ours_has_something_in():
    """Of a conflict about its mode: what is in it is no part of that, or a conflict of its own."""
    ours, theirs = make("kept-drawer"), SPACES / "kept-drawer-2"
    for name in ("mine", "other", "empty"):
        (ours / name).mkdir()
        (ours / name / "f").write_text(f"{name}\n")
    ctl("kept-drawer", f"fork {theirs.name}")
    for name in ("mine", "other", "empty"):
        (ours / name).chmod(0o700)
        shutil.rmtree(theirs / name)
    (ours / "mine/new").write_text("new\n")
    (ours / "other/f").write_text("ours\n")
    ctl("kept-drawer", f"merge {theirs.name} partial")
    numbers = conflicts_by_path(ours)
    expect_eq(sorted(numbers), ["empty", "mine", "other", "other/f"])
    for name in ("mine", "other"):
        expect_has(refused("ENOTSUP", "kept-drawer", f"resolve {numbers[name]} theirs"), "not empty")
    expect_eq((read(ours / "mine/new"), read(ours / "other/f")), ("new\n", "ours\n"))
    ctl("kept-drawer", f"resolve {numbers['empty']} theirs")
    expect(not (ours / "empty").exists(), "an empty one")
    ctl("kept-drawer", f"resolve {numbers['other/f']} theirs")
    ctl("kept-drawer", f"resolve {numbers['other']} theirs")
    ctl("kept-drawer", f"resolve {numbers['mine']} ours")
    expect_eq(sorted(set(os.listdir(ours)) & {"mine", "other", "empty"}), ["mine"])
    ctl("kept-drawer", f"merge {theirs.name}")


def a_conflict_is_told_by_a_name_that_leads_to_it():
    ours, theirs = make("odd-names"), SPACES / "odd-names-2"
    names = [b"tab\tand blank", b"\xff\xfe", "größe".encode(), b'quote"']
    for name in names:
        (ours / os.fsdecode(name)).write_text("base\n")
    ctl("odd-names", f"fork {theirs.name}")
    for name in names:
        (ours / os.fsdecode(name)).write_text("ours\n")
        (theirs / os.fsdecode(name)).write_text("theirs\n")
    refused("EBUSY", "odd-names", f"merge {theirs.name}")
    expect_eq(set(conflicts_by_path(ours)), {r'"tab\tand blank"', r'"\377\376"', "größe", r'"quote\""'})


def a_directory_that_theirs_removed_goes_with_the_last_conflict_in_it():
    ours, theirs = make("last-one"), SPACES / "last-one-2"
    for name in ("drawer/deep", "mine"):
        (ours / name).mkdir(parents=True)
        (ours / name / "f").write_text("base\n")
        (ours / name / "g").write_text("base\n")
    ctl("last-one", f"fork {theirs.name}")
    for name in ("drawer", "mine"):
        shutil.rmtree(theirs / name)
    for name in ("drawer/deep/f", "drawer/deep/g", "mine/f"):
        (ours / name).write_text("ours\n")
    (ours / "mine/new").write_text("new\n")
    ctl("last-one", f"merge {theirs.name} partial")
    numbers = conflicts_by_path(ours)
    ctl("last-one", f"resolve {numbers['drawer/deep/f']} theirs")
    expect_eq(os.listdir(ours / "drawer/deep"), ["g"])
    ctl("last-one", "resolve all theirs")
    expect_eq(sorted(set(os.listdir(ours)) & {"drawer", "mine"}), ["mine"])
    expect_eq(os.listdir(ours / "mine"), ["new"])
    ctl(theirs.name, "merge last-one")
    expect_eq(sorted(set(os.listdir(theirs)) & {"drawer", "mine"}), ["mine"])


def a_directory_that_ours_moved_and_theirs_removed_goes_with_the_last_conflict_in_it():
    ours, theirs = make("moved-away"), SPACES / "moved-away-2"
    for name in ("drawer/deep/f", "drawer/g", "half/f", "half/g", "single/f"):
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_text(f"{name}\n")
    ctl("moved-away", f"fork {theirs.name}")
    for name in ("drawer", "half", "single"):
        shutil.rmtree(theirs / name)
    (ours / "drawer").rename(ours / "case")
    for name in ("half/f", "single/f"):
        (ours / "mine" / name).parent.mkdir(parents=True)
        (ours / name).rename(ours / "mine" / name)
    (ours / "half/new").write_text("new\n")
    (ours / "single").rmdir()
    ctl("moved-away", f"merge {theirs.name} partial")
    ctl("moved-away", "resolve all theirs")
    # What ours made for one file of several is its own.
    names = {"drawer", "case", "half", "single", "mine"}
    expect_eq(sorted(set(os.listdir(ours)) & names), ["half", "mine"])
    expect_eq(os.listdir(ours / "mine"), ["half"])
    expect_eq(os.listdir(ours / "half"), ["new"])
    ctl(theirs.name, "merge moved-away")
    expect_eq(sorted(set(os.listdir(theirs)) & names), ["half", "mine"])


def modes_and_attributes_that_are_set_while_a_merge_is_made_stay():
    for number in range(4):
        ours, theirs = make(f"dressed-{number}"), SPACES / f"dressed-{number}-2"
        names = [f"n{i}" for i in range(40)]
        for name in names:
            (ours / name).write_text("base\n")
        ctl(ours.name, f"fork {theirs.name}")
        for name in names:
            (theirs / name).write_text("theirs\n")
        # Refused or not, as what is set is seen in time or comes to the file that has the name then.
        with subprocess.Popen(["sh", "-c", f"echo 'merge {theirs.name}' > .agentfs/ctl"], cwd=ours,
                              stderr=subprocess.DEVNULL) as merging:
            for name in names:
                os.chmod(ours / name, 0o600)
                os.setxattr(ours / name, "user.a", b"ours")
            merging.wait(60)
        for name in names:
            expect_eq(os.stat(ours / name).st_mode & 0o777, 0o600, f"the mode of {name}")
            expect_eq(os.getxattr(ours / name, "user.a"), b"ours", f"the attribute of {name}")


def git_apply_says_the_same():
    ours, theirs = make("patched"), SPACES / "patched-fork"
    ctl("patched", "fork patched-fork")
    (theirs / "lines").write_text("quite another text\n")
    (theirs / "new file").write_text("with a blank in its name\n")
    patch = TESTDIR / "patch"
    patch.write_text(read(theirs / ".agentfs/diff"))
    run(["git", "apply", patch], cwd=ours)
    expect_eq(run(["diff", "-r", ours, theirs]), "")


def a_workspace_with_the_longest_name_is_merged_into():
    name = "n" * 255
    top = SPACES / name
    top.mkdir()
    (top / "text").write_text("one\n")
    ctl(name, "fork of-a-long-name")
    (SPACES / "of-a-long-name/text").write_text("two\n")
    ctl(name, "merge of-a-long-name")
    expect_eq(read(top / "text"), "two\n")


main(mount_it, what_both_renamed_of_directories_in_each_other_has_one_place,
     a_workspace_with_the_longest_name_is_merged_into,
     what_both_did_is_there, what_was_moved_and_changed_is_told_as_both,
     what_one_side_puts_into_a_directory_that_the_other_renamed_goes_along,
     what_changes_places_with_a_directory_is_there, each_merge_begins_where_the_last_one_ended,
     a_file_with_another_name_is_not_kept, one_file_under_two_names_stays_one,
     links_are_counted_after_a_merge, attributes_of_the_system_stay,
     what_is_in_the_way_of_theirs_is_told, what_was_resolved_is_not_asked_for_again,
     what_a_refused_merge_shows_and_what_was_resolved_of_it_stay_over_a_restart,
     what_ours_renamed_and_was_resolved_as_theirs_is_not_asked_for_again,
     an_empty_file_goes_with_the_directory_that_one_side_renamed,
     a_fork_of_what_a_rollback_took_away_brings_that_back,
     a_rollback_to_after_a_partial_merge_leaves_its_conflicts_and_what_it_took,
     conflicts_come_back_with_the_merge_that_left_them,
     what_was_resolved_in_a_state_is_so_when_it_is_back,
     what_was_resolved_is_asked_again_by_a_rollback_to_between,
     what_was_resolved_and_merged_back_stays_so_over_rollbacks_to_after_that,
     rollbacks_beside_discards_of_other_trees_are_made,
     capabilities_are_of_the_bytes_that_have_them,
     a_directory_of_somebodys_own_called_agentfs_is_work_like_any_other,
     owners_and_attributes_are_merged_each_by_itself,
     owners_and_attributes_of_directories_are_merged_too,
     what_is_set_on_a_directory_is_not_lost_where_the_other_side_moves_or_removes_it, a_mode_and_an_acl_are_both_taken_once,
     what_takes_the_place_of_a_link_has_its_own_attributes,
     what_ours_has_no_more_is_taken_as_it_is,
     what_is_resolved_before_anything_is_merged_is_not_asked_for_either, many_conflicts_are_ended_by_one_command,
     what_is_written_to_a_file_that_a_merge_removes_is_told_or_refused,
     hundreds_of_conflicts_are_ended_up_to_the_first_that_is_made_by_hand, what_a_conflict_lists_can_be_read,
     what_both_added_is_one_only_where_nothing_differs, a_name_that_theirs_renames_is_not_written_as_one_of_ours,
     a_rollback_that_is_done_again_is_as_done_once, a_state_after_the_merge_has_it_however_it_is_come_to,
     between_two_merges_the_first_is_what_the_next_begins_from,
     what_a_rollback_took_back_can_be_merged_again,
     a_rollback_cut_short_forgets_with_the_change_only,
     a_home_and_a_workspace_of_one_number_are_two,
     a_merge_and_what_takes_the_whole_tree_do_not_mix,
     a_rollback_ends_the_conflicts_of_what_it_takes_back,
     what_is_in_conflict_there_is_not_taken_back_here, conflicts_with_what_is_gone_can_be_ended,
     conflicts_stay_while_another_is_merged,
     a_merge_waits_until_the_conflicts_of_the_last_one_are_ended,
     a_path_keeps_its_number_while_it_is_in_conflict,
     what_is_renamed_and_rewritten_with_its_old_time_is_changed, who_writes_beside_a_merge_loses_nothing,
     a_workspace_is_not_renamed_beside_its_merge,
     who_has_open_what_a_merge_replaced_is_refused, a_refused_merge_leaves_what_is_to_be_resolved,
     what_a_merge_removes_comes_back,
     conflicts_are_of_a_tree_and_not_of_a_name, what_both_have_removed_by_now_is_resolved,
     theirs_is_taken_whole, what_is_open_for_writing_is_kept_as_it_was_when_it_was_merged,
     the_same_again_changes_nothing, what_a_merge_makes_ready_is_nobodys_to_see,
     what_conflicts_have_of_theirs_is_what_was_merged,
     who_looks_at_conflicts_of_large_files_has_them_read_by_nobody,
     conflicts_are_files, what_was_undone_since_a_merge_stays_so_after_a_rollback,
     a_rollback_that_was_undone_has_taken_no_merge_back,
     the_fork_takes_over_from_its_parent, strangers_are_refused, a_kill_leaves_all_or_nothing, conflicts_that_were_told_stay_where_a_kill_undoes_the_merge_after_them,
     a_merge_of_what_is_clean_is_begun_from_after_a_kill,
     a_rollback_that_cannot_end_the_conflicts_takes_the_merge_back_nevertheless,
     what_theirs_moves_onto_a_new_file_of_ours_is_in_conflict,
     what_a_mapping_has_written_is_merged_and_told,
     a_name_of_theirs_is_told_with_a_conflict_and_not_taken_back,
     theirs_is_not_taken_by_way_of_a_link,
    what_is_merged_or_removed_by_resolve_is_not_reached_by_way_of_a_link, a_name_that_ours_gave_a_file_goes_on_being_that_file,
     a_name_that_ours_gave_a_file_stays_where_theirs_makes_it_another_kind,
     theirs_removes_no_directory_that_ours_has_something_in,
     a_conflict_is_told_by_a_name_that_leads_to_it,
     a_directory_that_theirs_removed_goes_with_the_last_conflict_in_it,
     a_directory_that_ours_moved_and_theirs_removed_goes_with_the_last_conflict_in_it,
     modes_and_attributes_that_are_set_while_a_merge_is_made_stay,
     what_is_new_has_the_owner_that_made_it, git_apply_says_the_same)
