#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Workspaces made of a directory of the host: read where it lies, changed only by commit."""
import contextlib
import errno
import mmap
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from imports_lib import HOST, M, SPACES, conflicts_of, ctl, inodes, make, mount_it, refused, state_of, status, take
from mount_lib import (EXCHANGE, TESTDIR, Mount, acl, command, expect, expect_eq, expect_errno, expect_has,
                       kill, main, read, renameat2, run, skip, tell, wait_until)


def who_reads_a_file_goes_on_reading_it_whatever_becomes_of_its_attributes():
    """Its inode becomes one of its own, which is lent as it was: a descriptor from before reads the same."""
    mount, host = Mount.of("attributes-meanwhile"), TESTDIR / "attributes-host"
    host.mkdir()
    whole = os.urandom(4 << 20)
    mount.mount()
    changes = {"chmod": lambda path: os.chmod(path, 0o600), "utime": os.utime,
               "chown": lambda path: os.chown(path, os.getuid(), os.getgid() + (os.geteuid() == 0)),
               "xattr": lambda path: os.setxattr(path, "user.k", b"v"),
               "chmod of a fork's": lambda path: os.chmod(path, 0o600)}
    for number, (name, change) in enumerate(changes.items()):
        (host / f"file{number}").write_bytes(whole)
    command(mount / "sys/workspaces/ctl", f"import {host} as attributes")
    command(mount / "workspaces/attributes/.agentfs/ctl", "fork attributes-fork")
    for number, (name, change) in enumerate(changes.items()):
        tree = "attributes-fork" if "fork" in name else "attributes"
        path = mount / f"workspaces/{tree}/file{number}"
        with open(path, "rb", buffering=0) as file:
            first = os.pread(file.fileno(), 4096, 0)
            change(path)
            rest = b"".join(os.pread(file.fileno(), 1 << 20, at) for at in range(0, len(whole), 1 << 20))
        expect(first == whole[:4096] and rest == whole, f"{name}: other bytes than the directory's")
        expect(path.read_bytes() == whole, f"{name}: others read other bytes")
    mount.umount()


def is_what_the_directory_is_and_touches_nothing():
    top = make("plain")
    before = inodes(top)
    space = take(top, "plain")
    expect_eq(state_of(space), state_of(top), "the import")
    expect_eq(status("plain"), [])
    expect_eq(read(SPACES / "plain/.agentfs/diff"), "")
    (space / "main.c").write_text("changed\n")
    (space / "lines").unlink()
    (space / "src/tool.sh").chmod(0o700)
    (space / "src/deep").rename(space / "elsewhere")
    with open(space / "elsewhere/data", "r+b") as file:
        file.seek(1000)
        file.write(b"here")
    (space / "new").write_text("new\n")
    expect_eq(inodes(top), before, "the directory, after changes of the workspace")
    expect_eq((space / "elsewhere/data").read_bytes()[996:1008], bytes(range(228, 232)) + b"here" +
              bytes(range(236, 240)))
    expect_has("\n".join(status("plain")), "M\tmain.c")
    expect_has("\n".join(status("plain")), "D\tlines")


def reads_do_not_copy():
    top = make("lent")
    with open(top / "large", "wb") as file:
        file.write(os.urandom(4 << 20))
    space = take(top, "lent")
    expect_eq((space / "large").read_bytes(), (top / "large").read_bytes())
    subprocess.run(["cp", "-a", space / "large", space / "copy"], check=True)
    expect_eq((space / "copy").read_bytes(), (top / "large").read_bytes(), "a copy")
    (space / "copy").unlink()
    on_disk = M.state / "trees/workspaces/lent/large"
    if on_disk.exists():
        expect_eq(on_disk.stat().st_blocks, 0, "blocks of a file that was only read")
    os.truncate(space / "large", 100)
    expect_eq((space / "large").read_bytes(), (top / "large").read_bytes()[:100], "cut")
    with open(space / "main.c", "a") as file:
        file.write("// more\n")
    expect_eq((space / "main.c").read_text(), "int main(void) { return 0; }\n// more\n")
    with open(space / "src/deep/data", "r+b") as file:
        held = open(space / "src/deep/data", "rb")
        file.write(b"XY")
        file.flush()
        expect_eq(held.read(4), b"XY\x02\x03", "who has it open already")
        held.close()


def a_file_whose_mode_was_changed_is_cut_and_written():
    top = make("modes")
    space = take(top, "modes")
    for act in (lambda path: path.write_text("new\n"), lambda path: os.truncate(path, 0),
                lambda path: os.truncate(path, 3)):
        (top / "again").write_text("as it was\n")
        path = space / "main.c"
        path.chmod(0o640)
        act(path)
        seen = path.read_text()
        expect(seen in ("new\n", "", "\0\0\0"), f"after a cut: {seen!r}")
        expect_eq(path.stat().st_size, len(seen), "its size")
    (space / "lines").chmod(0o600)
    os.truncate(space / "lines", 0)
    expect_eq((space / "lines").read_text(), "")
    with open(space / "lines", "a") as file:
        file.write("x")
    expect_eq((space / "lines").read_text(), "x")


def commit_makes_the_directory_what_the_workspace_is():
    top = make("back")
    space = take(top, "back")
    (top / "keeps.log").write_text("not of the import\n")
    (space / "main.c").write_text("int main(void) { return 1; }\n")
    (space / "src/tool.sh").chmod(0o750)
    (space / "lines").unlink()
    shutil.rmtree(space / "src/deep")
    (space / "made/deep").mkdir(parents=True)
    (space / "made/deep/n").write_text("n\n")
    os.unlink(space / "link")
    os.symlink("elsewhere", space / "link")
    os.unlink(space / "empty")
    (space / "empty").mkdir()
    (space / "empty/inside").write_text("x\n")
    before = state_of(top)
    ctl("back", "commit")
    left = state_of(top)
    expect(left.pop("keeps.log") is not None, "a file that the import never saw")
    expect_eq({p: (m, c) for p, (m, _, c) in left.items()},
              {p: (m, c) for p, (m, _, c) in state_of(space).items()}, "the directory after commit")
    expect_eq([line for line in status("back") if not line.startswith("!")], [])
    expect(not [n for n in os.listdir(top) if n.startswith(".agentfs")], f"left: {os.listdir(top)}")
    rows = {row["data"]["path"]: row["data"] for row in M.journal() if row["kind"] == "tree.commit"}
    expect_eq(rows["/workspaces/back/main.c"]["host"], str(top / "main.c"))
    expect_eq((space / "main.c").read_text(), "int main(void) { return 1; }\n")
    ctl("back", "uncommit")
    after = state_of(top)
    expect_eq({path for path in after.keys() | before.keys() if after.get(path) != before.get(path)}, set(),
              "what is not as before, after uncommit")
    expect_has("\n".join(status("back")), "M\tmain.c")
    ctl("back", "commit")
    expect_eq((top / "main.c").read_text(), "int main(void) { return 1; }\n")


def import_of_many(name):
    """The directory, the workspace and their files, so many that a commit of all takes a while."""
    top = HOST / name
    top.mkdir()
    names = [f"f{number:04}" for number in range(1000)]
    for one in names:
        (top / one).write_text("theirs\n")
    return top, take(top, name), names


def begin_commit(top, space, names, text):
    """A thread that commits this text in all files, of which the first is there by now."""
    for name in names:
        (space / name).write_text(text)
    committing = threading.Thread(target=ctl, args=(space.name, "commit"))
    committing.start()
    wait_until(60, lambda: (top / names[0]).stat().st_size == len(text), "the first change there")
    return committing


def an_import_keeps_its_name_while_it_is_committed():
    """Another name had another turn, and what went left changes there that no row tells."""
    top, space, names = import_of_many("named")
    committing = begin_commit(top, space, names, "our own\n")
    expect_errno("EBUSY", os.rename, space, SPACES / "renamed")
    expect_has(M.last_error(), "a commit, a rebase or the like is under way between it and its directory")
    expect_errno("EBUSY", os.rmdir, space)  # as rm -rf in the end; else it is not empty
    committing.join()
    expect_eq({read(top / name) for name in names}, {"our own\n"}, "what the directory has")
    rows = [row["data"] for row in M.journal() if row["kind"] == "tree.commit" and row["data"]["host"].startswith(f"{top}/")]
    expect_eq(sorted(row["path"] for row in rows), [f"/workspaces/named/{name}" for name in names])
    os.rename(space, SPACES / "renamed")
    ctl("renamed", "uncommit")
    expect_eq({read(top / name) for name in names}, {"theirs\n"}, "after uncommit")
    shutil.rmtree(SPACES / "renamed")


def an_import_that_is_removed_beside_its_commit_takes_nothing_there_with_it():
    """`rm -rf` has emptied it when its last step is refused; that is not what the next commit is to write."""
    top, space, names = import_of_many("emptied")
    committing = begin_commit(top, space, names, "our own\n")
    expect_errno("EBUSY", os.rmdir, space)
    committing.join()
    (space / names[0]).write_text("not empty yet\n")
    ctl("emptied", "commit")
    expect_eq(read(top / names[0]), "not empty yet\n", "what is not empty")
    committing = begin_commit(top, space, names, "our own, again\n")
    run(["sh", "-c", f"rm -rf {space} || true"])
    committing.join()
    if space.exists():  # the commit was not over by then
        M.umount()
        M.mount()
        os.rename(space, SPACES / "emptied-2")
        os.rename(SPACES / "emptied-2", space)
        expect_errno("EBUSY", tell, space / ".agentfs/ctl", "commit\n")
        expect_has(M.last_error(), "nothing was removed in")
    expect_eq({read(top / name) for name in names}, {"our own, again\n"}, "what the directory has")
    if space.exists():
        ctl("emptied", "commit")
        expect_eq(os.listdir(top), [], "asked for once more")
        os.rmdir(space)


def what_is_stored_through_a_mapping_on_an_overlay_is_a_change_there():
    """As on the root of a container: the pages are of the file that the overlay's one is made of."""
    lower, upper, work, merged = (TESTDIR / f"overlay-{name}" for name in ("lower", "upper", "work", "merged"))
    for directory in (lower, upper, work, merged):
        directory.mkdir()
    (lower / "f").write_bytes(b"x" * mmap.PAGESIZE)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    made = subprocess.run(["mount", "-t", "overlay", "none", "-o", options, merged], check=False)
    if made.returncode != 0:
        return print("no overlay to be had here")
    try:
        with open(merged / "f", "r+b") as file, mmap.mmap(file.fileno(), mmap.PAGESIZE) as pages:
            pages[0] = ord("A")
            space = take(merged, "overlaid")
            with open(space / "f", "r+b") as ours:
                ours.seek(100)
                ours.write(b"ours")
            pages[0] = ord("B")
            refused("EBUSY", "overlaid", "commit")
            expect_has("\n".join(status("overlaid")), "!\tf\tchanged in ")
            expect_eq((merged / "f").read_bytes()[:1], b"B", "what is there")
        return shutil.rmtree(space)
    finally:
        run(["umount", "-l", merged])


def fill(path):
    """To the last block that root is given."""
    with open(path, "wb") as file:
        at, size = 0, 1 << 24
        while size >= 1024:
            try:
                os.posix_fallocate(file.fileno(), at, size)
                at += size
            except OSError as error:
                expect_eq(error.errno, errno.ENOSPC, "errno on a full disk")
                size //= 2


@contextlib.contextmanager
def on_ext4(name, mebibytes, options=""):
    """A directory that is a small ext4; None where none is to be had."""
    image, top = TESTDIR / f"{name}.img", HOST / name
    top.mkdir()
    with open(image, "wb") as whole:
        whole.truncate(mebibytes << 20)
    made = shutil.which("mkfs.ext4") and subprocess.run(
        f"mkfs.ext4 -q -F {options} '{image}' && mount -o loop '{image}' '{top}'", shell=True, check=False)
    if not made or made.returncode != 0:
        print("no ext4 on a loop device to be had here")
        yield None
        return
    try:
        yield top
    finally:
        run(["umount", "-l", top])
        os.unlink(image)


def attributes_that_a_file_there_has_no_room_for_stop_no_commit():
    """ext4 says ENOSPC of them, however empty the disk is."""
    with on_ext4("small-blocks", 16, "-b 1024 -I 128") as top:
        if not top:
            return
        (top / "d").mkdir()
        for name in ("a", "b"):
            (top / "d" / name).write_text("theirs\n")
        space = take(top / "d", "attributed")
        for name in ("a", "b"):
            (space / name).write_text("ours\n")
        os.setxattr(space / "a", "user.x", b"x" * 1500)
        ctl("attributed", "commit")
        expect_eq([(top / "d" / name).read_text() for name in ("a", "b")], ["ours\n", "ours\n"])
        shutil.rmtree(space)


def attributes_that_a_full_disk_takes_no_more_stop_a_commit():
    """With blocks that ext4 counts as free, and gives nobody."""
    with on_ext4("full", 300, "-b 4096") as top:
        if not top:
            return
        (top / "d").mkdir()
        (top / "d/b").write_text("")
        (top / "d/b").chmod(0o644)
        space = take(top / "d", "without-room")
        (space / "b").chmod(0o700)
        os.setxattr(space / "b", "user.big", b"x" * 1500)
        fill(top / "ballast")
        refused("ENOSPC", "without-room", "commit")
        expect_eq((top / "d/b").stat().st_mode & 0o7777, 0o644, "the mode there")
        (top / "ballast").unlink()
        ctl("without-room", "commit")
        expect_eq(os.getxattr(top / "d/b", "user.big"), b"x" * 1500, "what was set")
        shutil.rmtree(space)


def a_commit_that_cannot_be_noted_says_what_it_made():
    mount, host = Mount.of("not-noted"), TESTDIR / "not-noted-host"
    host.mkdir()
    (host / "a").write_text("a")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as noted")
    space = mount / "workspaces/noted"
    (space / "a").write_text("ours")
    entries = mount.state / "imports/1/entries"
    entries.rename(entries.with_name("elsewhere"))
    expect_errno("ENOENT", command, space / ".agentfs/ctl", "commit")
    expect_eq((host / "a").read_text(), "ours")
    expect_has(mount.last_error(), f"1 change made in {host} before that", "the sentence")
    entries.with_name("elsewhere").rename(entries)
    command(space / ".agentfs/ctl", "commit")
    expect_eq(read(space / ".agentfs/status"), "")
    command(space / ".agentfs/ctl", "uncommit")
    expect_eq((host / "a").read_text(), "a")
    mount.umount()


def uncommit_takes_back_what_the_commit_wrote_and_nothing_else():
    top = make("own-work")
    space = take(top, "own-work")
    ctl("own-work", "pin")
    with open(space / "main.c", "a") as file:
        file.write("// the agent's\n")
    (space / "made").mkdir()
    (space / "made/n").write_text("n\n")
    ctl("own-work", "commit")
    (top / "lines").write_text("hours of work there\n")
    (top / "added").write_text("added there\n")
    ctl("own-work", "rebase")
    ctl("own-work", "uncommit")
    expect_eq((top / "lines").read_text(), "hours of work there\n")
    expect_eq((top / "added").read_text(), "added there\n")
    expect_eq((top / "main.c").read_text(), "int main(void) { return 0; }\n")
    expect(not (top / "made").exists(), "what the commit made is there still")
    expect_eq([line for line in status("own-work") if line.startswith("!")], [])
    expect_has(refused("ENOENT", "own-work", "uncommit"), "is left that could be taken back")


def uncommit_is_refused_whole_where_the_directory_has_gone_on():
    top = make("gone-on")
    space = take(top, "gone-on")
    for path in ("main.c", "lines"):
        (space / path).write_text("the agent's\n")
    (space / "made").mkdir()
    ctl("gone-on", "commit")
    (top / "lines").write_text("on top of it, there\n")
    (top / "made/theirs").write_text("theirs\n")
    before = state_of(top)
    told = refused("EBUSY", "gone-on", "uncommit")
    expect("lines" in told and "made" in told and "main.c" not in told, told)
    ctl("gone-on", "rebase")
    told = refused("EBUSY", "gone-on", "uncommit")
    expect("lines" in told and "made" in told and "main.c" not in told, told)
    expect_eq(state_of(top), before, "the directory, after refused uncommits")
    (top / "lines").write_text("the agent's\n")
    (top / "made/theirs").unlink()
    ctl("gone-on", "rebase")
    ctl("gone-on", "uncommit")
    expect_eq((top / "main.c").read_text(), "int main(void) { return 0; }\n")
    expect_has((top / "lines").read_text(), "20\n")


def commits_are_taken_back_one_after_the_other():
    top = make("stacked")
    space = take(top, "stacked")
    for text in ("first\n", "second\n"):
        (space / "main.c").write_text(text)
        ctl("stacked", "commit")
    (space / "lines").write_text("third\n")
    ctl("stacked", "commit")
    seen = []
    for _ in range(3):
        ctl("stacked", "uncommit")
        seen.append((top / "main.c").read_text())
    expect_eq(seen, ["second\n", "first\n", "int main(void) { return 0; }\n"])
    refused("ENOENT", "stacked", "uncommit")


def what_was_removed_comes_back_also_after_a_commit():
    top = make("trash")
    space = take(top, "trash")
    (space / "lines").unlink()
    shutil.rmtree(space / "src")
    ctl("trash", "commit")
    expect(not (top / "lines").exists() and not (top / "src").exists(), "the directory still has them")
    expect_eq(read(space / ".agentfs/trash/lines").splitlines()[0], "1")
    ctl("trash", "restore src")
    expect_eq((space / "src/deep/data").read_bytes(), bytes(range(256)) * 1000)
    expect_eq((space / "src/tool.sh").stat().st_mode & 0o777, 0o755)


def a_directory_that_drifted_is_told_and_not_overwritten():
    top = make("drift")
    space = take(top, "drift")
    (top / "main.c").write_text("somebody else's\n")
    (top / "lines").unlink()
    (top / "added").write_text("added\n")
    expect_eq([line.split("\t")[:2] for line in status("drift")],
              [["!", "added"], ["!", "lines"], ["!", "main.c"]])
    expect_errno("EBUSY", open, space / "main.c", "rb")
    expect_has(M.last_error(), "rebase")
    expect_errno("EBUSY", open, space / "lines", "rb")
    (space / "main.c").unlink()
    (space / "main.c").write_text("ours\n")
    (space / "src/tool.sh").write_text("ours, too\n")
    before = state_of(top)
    expect_has(refused("EBUSY", "drift", "commit"), "main.c")
    expect_eq(state_of(top), before, "a refused commit")


def nothing_is_written_where_a_directory_above_has_become_something_else():
    for number, become in enumerate((lambda path: None, lambda path: path.write_text("F"),
                                     lambda path: path.symlink_to("c"))):
        top = make(f"above-{number}")
        for name in ("a", "b", "c"):
            (top / name).mkdir()
        space = take(top, f"above-{number}")
        (space / "b").rmdir()
        (space / "a/x").write_text("1\n")
        (top / "a").rmdir()
        become(top / "a")
        told = refused("EBUSY", f"above-{number}", "commit")
        expect_has(told, "last looked at: a; nothing was written")
        expect((top / "b").is_dir(), "what was to be removed")


def what_a_commit_removed_before_it_was_stopped_is_known():
    """Of a file that becomes a directory: it goes back, or becomes one, at the next command."""
    top = make("stopped")
    (top / "a").mkdir()
    for name in ("a/stuck", "e"):
        (top / name).write_text(f"{name}\n")
    before = state_of(top)
    space = take(top, "stopped")
    for name in ("a/stuck", "e"):
        (space / name).unlink()
        (space / name).mkdir()
        (space / name / "in").write_text("in\n")
    (space / "src/deep/data").unlink()
    (space / "src/deep").rmdir()
    (space / "src/deep").symlink_to("..")

    def stop(line):
        run(["mount", "--bind", top / "a/stuck", top / "a/stuck"])
        told = refused("EBUSY", "stopped", line)
        run(["umount", top / "a/stuck"])
        expect_eq([one for one in status("stopped") if one.startswith("!")], [], "what others are said to have done")
        return told

    expect_has(stop("commit"), "and 2 begun with a removal")
    expect(not (top / "e").exists(), "nothing was removed before it was stopped")
    ctl("stopped", "uncommit")
    expect_eq(state_of(top), before, "after the uncommit")
    ctl("stopped", "commit")
    expect_eq((read(top / "a/stuck/in"), read(top / "e/in"), os.readlink(top / "src/deep")), ("in\n", "in\n", ".."))
    expect_eq(status("stopped"), [])
    stop("uncommit")
    expect(not (top / "e").exists(), "nothing was removed before it was stopped")
    ctl("stopped", "uncommit")
    expect_eq(state_of(top), before, "after the second uncommit")


def what_is_read_while_it_changes_is_refused_and_never_a_mixture():
    """Opened before, and changed in place there: what was read before stands, the rest is an error."""
    top = make("torn")
    size = 8 << 20
    (top / "large").write_bytes(b"a" * size)
    space = take(top, "torn")
    with open(space / "large", "rb", buffering=0) as opened:
        expect_eq(os.pread(opened.fileno(), 4096, 0), b"a" * 4096)
        with open(top / "large", "r+b") as there:
            there.seek(size // 2)
            there.write(b"b" * (size // 2))
        expect_errno("EBUSY", os.pread, opened.fileno(), 4096, size - 4096)
        expect_has(M.last_error(), "rebase")
        command(SPACES / "torn/.agentfs/ctl", "rebase")
        with open(space / "large", "rb") as again:
            expect_eq(again.read(), b"a" * (size // 2) + b"b" * (size // 2))
        os.truncate(top / "large", 4096)
        expect_errno("EBUSY", os.pread, opened.fileno(), 4096, size - 8192)


def a_copy_that_is_refused_leaves_its_target_as_it_was():
    """copy_file_range(2) from what was changed in place there since it was opened."""
    top = make("copied")
    (top / "large").write_bytes(b"old-" * 50_000)
    space = take(top, "copied")
    (space / "target").write_bytes(b"T" * 200_000)
    with open(space / "target", "r+b", buffering=0) as target, open(space / "large", "rb", buffering=0) as large:
        expect_eq(os.copy_file_range(large.fileno(), target.fileno(), 4, 0, 8), 4, "bytes copied")
        with open(top / "large", "r+b") as there:
            there.write(b"NEW-" * 50_000)
        expect_errno("EBUSY", os.copy_file_range, large.fileno(), target.fileno(), 200_000, 0, 0)
        expect_has(M.last_error(), "rebase")
        wanted = b"T" * 8 + b"old-" + b"T" * 199_988
        expect(os.pread(target.fileno(), 200_000, 0) == wanted, "the target has other bytes")
        expect((M.state / "trees/workspaces/copied/target").read_bytes() == wanted, "the disk has other bytes")


def a_read_that_is_refused_says_why():
    """Of who has it open: changed in place, and replaced by a rename."""
    top = make("says-why")
    space = take(top, "says-why")
    with open(space / "main.c", "rb", buffering=0) as in_place, open(space / "lines", "rb", buffering=0) as renamed:
        (top / "main.c").write_text("in place\n")
        (top / "lines.new").write_text("by a rename\n")
        (top / "lines.new").rename(top / "lines")
        for file, path in ((in_place, "main.c"), (renamed, "lines")):
            expect_errno("EBUSY", os.pread, file.fileno(), 4096, 0)
            _, code, where, told = M.last_error().split("\t", 3)
            expect_eq((code, where), ("EBUSY", f"/workspaces/says-why/{path}"))
            expect_has(told, "rebase")


def what_was_let_go_is_not_let_go_again():
    """Rebase after rebase: the log has no state that is kept for nothing."""
    top = make("again")
    space = take(top, "again")
    for number in range(4):
        with open(top / "more", "a", encoding="utf-8") as file:
            file.write(f"there {number}\n")
        with open(space / "lines", "a", encoding="utf-8") as file:
            file.write(f"here {number}\n")
        ctl("again", "rebase")
        ctl("again", "commit")
    expect_eq((space / "more").read_text(), (top / "more").read_text())
    told = [line for line in read(M.state / "log/agentfs.log").splitlines() if "for nothing" in line]
    expect_eq(told, [], "agentfs.log")


def rebase_merges_what_happened_there():
    top = make("rebase")
    space = take(top, "rebase")
    text = (top / "lines").read_text()
    (top / "lines").write_text(text.replace("3\n", "three\n", 1))
    (top / "more").write_text("more\n")
    (top / "src/tool.sh").unlink()
    ctl("rebase", "rebase")
    expect_eq((space / "lines").read_text(), (top / "lines").read_text())
    expect_eq((space / "more").read_text(), "more\n")
    expect(not (space / "src/tool.sh").exists(), "what was removed there")
    expect_eq(status("rebase"), [])
    # Both sides, other lines; then the same one.
    (space / "lines").write_text((space / "lines").read_text().replace("18\n", "eighteen\n"))
    (top / "lines").write_text((top / "lines").read_text().replace("10\n", "ten\n"))
    ctl("rebase", "rebase")
    both = (space / "lines").read_text()
    expect("eighteen\n" in both and "ten\n" in both and "three\n" in both, both)
    (space / "main.c").write_text("ours\n")
    (top / "main.c").write_text("theirs\n")
    refused("EBUSY", "rebase", "rebase")
    expect_eq((space / "main.c").read_text(), "ours\n", "a refused rebase")
    expect_has("\n".join(status("rebase")), "!\tmain.c")
    conflicts = space / ".agentfs/conflicts"
    for side, text in (("base", "int main(void) { return 0; }\n"), ("ours", "ours\n"), ("theirs", "theirs\n")):
        expect_eq(read(conflicts / "1" / side), text, f"{side} of a refused rebase")
    expect_has(read(conflicts / "1/merged"), "theirs\n")
    ctl("rebase", "rebase partial")
    expect_eq((space / "main.c").read_text(), "ours\n")
    expect_has(refused("EBUSY", "rebase", "commit"), "conflict")
    expect_eq(read(conflicts / "1/theirs"), "theirs\n")
    expect_eq(read(conflicts / "1/base"), "int main(void) { return 0; }\n")
    M.umount()
    M.mount()
    expect_has(refused("EBUSY", "rebase", "commit"), "conflict", "after a restart")
    (top / "more").write_text("still more\n")
    expect_has(refused("EBUSY", "rebase", "rebase partial"), "conflict", "the base would move on")
    expect_eq(read(conflicts / "1/theirs"), "theirs\n")
    ctl("rebase", "resolve 1 ours")
    ctl("rebase", "rebase")
    ctl("rebase", "commit")
    expect_eq((top / "main.c").read_text(), "ours\n")
    expect_eq((top / "lines").read_text(), both)
    expect_eq(status("rebase"), [])


def a_file_called_like_one_of_the_daemons_own_is_a_file():
    top = make("called")
    (top / ".agentfs-00112233445e").write_text("there\n")
    space = take(top, "called")
    expect_eq((space / ".agentfs-00112233445e").read_text(), "there\n")
    (space / ".agentfs-00112233445f").write_text("ours\n")
    (space / ".agentfs-00112233445e").write_text("there, and here\n")
    ctl("called", "commit")
    expect_eq(status("called"), [])
    (top / "more").write_text("more\n")
    ctl("called", "rebase")
    expect_eq((space / ".agentfs-00112233445f").read_text(), "ours\n")
    expect_eq((top / ".agentfs-00112233445e").read_text(), "there, and here\n")
    expect_eq(state_of(top).keys(), state_of(space).keys())


def a_mode_set_here_and_bytes_changed_there_are_both_taken():
    """What is lent here is what it was there: nothing of it has to be read."""
    top = make("both-modes")
    space = take(top, "both-modes")
    for name in ("main.c", "lines"):
        (space / name).chmod(0o755)
    (top / "main.c").write_text("theirs\n")
    os.utime(top / "lines")
    (top / "src/tool.sh").chmod(0o700)
    (space / "src/tool.sh").chmod(0o700)
    ctl("both-modes", "rebase")
    expect_eq((space / "main.c").read_text(), "theirs\n")
    expect_eq((space / "lines").read_text(), (top / "lines").read_text())
    expect_eq([os.stat(space / name).st_mode & 0o777 for name in ("main.c", "lines")], [0o755, 0o755])
    ctl("both-modes", "commit")
    expect_eq(os.stat(top / "main.c").st_mode & 0o777, 0o755)
    expect_eq(status("both-modes"), [])


def another_name_made_here_stays_readable_whatever_happens_there():
    """Also in a fork; a name has the bytes it was given, as in any other workspace."""
    top = make("second-name")
    space = take(top, "second-name")
    text = (top / "lines").read_text()
    os.link(space / "lines", space / "again")
    expect_eq(os.stat(space / "lines").st_mtime_ns, os.stat(top / "lines").st_mtime_ns, "the time of what was linked")
    ctl("second-name", "fork second-fork")
    os.link(SPACES / "second-fork/main.c", SPACES / "second-fork/main-2")
    os.utime(top / "lines")
    (top / "main.c").write_text("changed there\n")
    expect_eq((SPACES / "second-fork/main-2").read_text(), "int main(void) { return 0; }\n")
    expect_eq((space / "again").read_text(), text)
    ctl("second-name", "rebase")
    expect_eq([(space / name).read_text() for name in ("lines", "again")], [text, text])
    ctl("second-name", "commit")
    expect_eq((top / "again").read_text(), text)
    (top / "lines").write_text("more of it\n")
    ctl("second-name", "rebase")
    expect_eq([(space / name).read_text() for name in ("lines", "again")], ["more of it\n", text])
    ctl("second-name", "commit")
    expect_eq(status("second-name"), [])


def what_was_recorded_anew_is_read_under_each_name_it_had():
    """What changes a file's mode, names or owner leaves its bytes what they are."""
    top = make("same-bytes")
    space = take(top, "same-bytes")
    ctl("same-bytes", "checkpoint before")
    (space / "main.c").rename(space / "moved.c")
    (space / "lines").chmod(0o600)
    text = {name: (top / name).read_text() for name in ("main.c", "lines")}
    (top / "main.c").chmod(0o640)
    (top / "lines").chmod(0o640)
    os.link(top / "src/tool.sh", top / "tool-2")
    expect_errno("EBUSY", (space / "lines").read_text)
    expect_eq((space / "moved.c").read_text(), text["main.c"], "before the rebase")
    refused("EBUSY", "same-bytes", "rebase")
    ctl("same-bytes", "rebase partial")
    expect_eq((space / "src/tool.sh").read_text(), "#!/bin/sh\necho tool\n")
    for number in conflicts_of("same-bytes"):
        ctl("same-bytes", f"resolve {number} ours")
    expect_eq((space / "moved.c").read_text(), text["main.c"])
    expect_eq((space / "lines").read_text(), text["lines"])
    for name in ("main.c", "lines", "src/tool.sh"):
        expect((space / ".agentfs/snapshots/before" / name).read_bytes(), f"{name} of the checkpoint")
    ctl("same-bytes", "commit")
    expect_eq(status("same-bytes"), [])
    expect_eq(os.stat(top / "lines").st_mode & 0o777, 0o600)


def what_was_moved_is_read_whatever_comes_in_its_place():
    top = make("moved")
    space = take(top, "moved")
    text = {name: (top / name).read_text() for name in ("main.c", "lines", "src/tool.sh")}
    (space / "main.c").rename(space / "main.c~")
    (space / "main.c").write_text("ours\n")
    renameat2(space / "lines", space / "src/tool.sh", EXCHANGE)
    for name in text:
        (top / name).write_text("theirs\n")
    moved = {"main.c~": "main.c", "src/tool.sh": "lines", "lines": "src/tool.sh"}
    for what in ("a change there", "a rebase", "a restart"):
        expect_eq([(space / name).read_text() for name in moved], [text[was] for was in moved.values()], what)
        if what == "a change there":
            ctl("moved", "rebase partial")
        M.umount()
        M.mount()
    for number in conflicts_of("moved"):
        expect_eq(read(space / f".agentfs/conflicts/{number}/theirs"), "theirs\n")
        ctl("moved", f"resolve {number} ours")
    ctl("moved", "commit")
    expect_eq([(top / name).read_text() for name in moved], [text[was] for was in moved.values()])
    expect_eq((top / "main.c").read_text(), "ours\n")
    expect_eq(status("moved"), [])


def what_is_removed_here_is_kept_whatever_becomes_of_it_there():
    """Also for who merges: a file that is removed and made anew has a base."""
    top = make("removed")
    lines = read(top / "lines")
    for name in ("d/one", "d/two", "cut", "merged"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(f"{name}\n")
    space = take(top, "removed")
    ctl("removed", "fork try")
    (SPACES / "try/merged").unlink()
    ctl("removed", "merge try")
    for name in ("d/one", "d/two", "lines"):
        (space / name).unlink()
    (space / "d").rmdir()
    (space / "lines").write_text("first\n" + lines)
    (space / "cut").write_text("ours\n")
    for name in ("d/one", "cut", "merged"):
        (top / name).write_text("theirs\n")
    (top / "d/two").unlink()
    with open(top / "lines", "a") as file:
        file.write("last\n")
    M.umount()
    M.mount()
    trash, versions = space / ".agentfs/trash", space / ".agentfs/versions"
    expect_eq([read(trash / name) for name in ("d/one", "d/two", "merged")], ["d/one\n", "d/two\n", "merged\n"])
    expect_eq(read(versions / "cut" / sorted(os.listdir(versions / "cut"))[0]), "cut\n")
    ctl("removed", "restore d")
    expect_eq([read(space / name) for name in ("d/one", "d/two")], ["d/one\n", "d/two\n"])
    expect_has(read(space / ".agentfs/diff"), "-cut\n+ours\n")
    expect_has(refused("EBUSY", "removed", "rebase"), "conflicts")
    ctl("removed", "rebase partial")
    expect_eq(read(space / "lines"), "first\n" + lines + "last\n", "a merge")


def what_is_restored_has_its_attributes_again():
    top = make("dressed")
    lists = acl((1, 6, 0xFFFFFFFF), (2, 6, 1234), (4, 4, 0xFFFFFFFF), (0x10, 6, 0xFFFFFFFF), (0x20, 4, 0xFFFFFFFF))
    for name in ("main.c", "src/tool.sh"):
        os.setxattr(top / name, "user.k", b"1")
        os.setxattr(top / name, "system.posix_acl_access", lists)
    space = take(top, "dressed")
    (space / "main.c").unlink()
    shutil.rmtree(space / "src")
    ctl("dressed", "restore main.c")
    ctl("dressed", "restore .")
    for place in (space, top):
        for name in ("main.c", "src/tool.sh"):
            expect_eq([os.getxattr(place / name, one) for one in ("user.k", "system.posix_acl_access")], [b"1", lists])
        with open(space / "main.c", "a") as file:
            file.write("more\n")
        ctl("dressed", "commit")


def a_restore_of_what_cannot_all_be_read_changes_nothing():
    top = make("unread")
    space = take(top, "unread")
    for name in ("src/tool.sh", "src/deep/data"):
        (space / name).unlink()
    (space / "src/deep").rmdir()
    newest = max((M.state / "imports").iterdir(), key=lambda path: int(path.name))
    for kept in (newest / "kept").iterdir():
        if kept.stat().st_size < 1000:
            kept.unlink()
    (top / "src/tool.sh").unlink()
    expect_has(refused("EBUSY", "unread", "restore src"), "nothing was restored")
    expect_eq(os.listdir(space / "src"), [])
    ctl("unread", "restore src/deep")
    expect_eq((space / "src/deep/data").read_bytes(), (top / "src/deep/data").read_bytes())


def what_the_host_renamed_is_no_change_of_ours():
    top = make("their-names")
    (top / "src/deep/more").write_text("more\n")
    space = take(top, "their-names")
    (top / "src").rename(top / "source")
    (top / "lines").rename(top / "numbers")
    ctl("their-names", "rebase")
    expect_eq(status("their-names"), [])
    expect_eq(read(space / ".agentfs/diff"), "")
    (top / "source/deep/more").unlink()
    (top / "numbers").unlink()
    ctl("their-names", "rebase")
    expect(not (space / "source/deep/more").exists() and not (space / "numbers").exists(), "what they removed")


def what_was_changed_there_in_place_is_read_though_its_time_stayed():
    """Also where it was read here before: nobody's commit overwrites it."""
    top = make("same-time")
    space = take(top, "same-time")
    expect_eq((space / "main.c").read_text()[:3], "int")
    with open(top / "main.c", "r+") as file:
        file.write("INT")
    os.utime(top / "main.c", (1_600_000_000, 1_600_000_000))
    ctl("same-time", "rebase")
    expect_eq((space / "main.c").read_text()[:3], "INT")


def lists_of_rights_go_along_with_a_mode():
    """A mode whose middle is an ACL's mask never comes without the ACL."""
    top = make("masks")
    for name in ("lines", "main.c"):
        (top / name).chmod(0o600)
    for name in ("src", "src/deep"):
        (top / name).chmod(0o700)
    space = take(top, "masks")
    nobody = 0xFFFFFFFF
    for path, here in ((space / "lines", 6), (space / "src", 7), (top / "main.c", 6), (top / "src/deep", 7)):
        value = acl((1, here, nobody), (2, 4, 33), (4, 0, nobody), (0x10, 4, nobody), (0x20, 0, nobody))
        os.setxattr(path, "system.posix_acl_access", value)
    ctl("masks", "rebase")
    ctl("masks", "commit")
    for name in ("lines", "src", "main.c", "src/deep"):
        both = [(os.getxattr(at / name, "system.posix_acl_access"), oct(os.stat(at / name).st_mode))
                for at in (top, space)]
        expect_eq(both[0], both[1], name)
    expect_eq(status("masks"), [])


def a_mode_is_of_all_names_there_and_set_once():
    top = make("one-mode")
    os.link(top / "main.c", top / "name-2")
    for number in "12":
        os.symlink("nowhere", top / f"link-{number}") if number == "1" else os.link(
            top / "link-1", top / "link-2", follow_symlinks=False)
    space = take(top, "one-mode")
    (space / "main.c").chmod(0o600)
    for _ in range(3):
        ctl("one-mode", "commit")
        expect_eq((status("one-mode"), oct(os.stat(top / "name-2").st_mode)), ([], "0o100600"))
    (space / "link-1").rename(space / "moved")
    (space / "link-2").unlink()
    os.symlink("elsewhere", space / "link-2")
    ctl("one-mode", "commit")
    expect_eq([os.readlink(top / name) for name in ("moved", "link-2")], ["nowhere", "elsewhere"])


def ours_is_not_taken_where_nobody_has_its_bytes():
    top = make("no-bytes")
    space = take(top, "no-bytes")
    for name in ("main.c", "lines"):
        (space / name).chmod(0o600)
        (top / name).unlink()
    refused("EBUSY", "no-bytes", "rebase")
    ctl("no-bytes", "rebase partial")
    expect_eq(conflicts_of("no-bytes"), ["1", "2"])
    expect_has(refused("EBUSY", "no-bytes", "resolve 1 ours"), "`resolve 1 theirs`")
    ctl("no-bytes", "resolve 1 theirs")
    left = next(name for name in ("main.c", "lines") if (space / name).exists())
    expect_errno("EBUSY", (space / left).read_bytes)
    expect_has(M.last_error(), "nobody has what it was")
    (space / left).write_text("by hand\n")
    ctl("no-bytes", "resolve 2 ours")
    ctl("no-bytes", "commit")
    expect_eq((top / left).read_text(), "by hand\n")
    expect_eq(status("no-bytes"), [])


def commits_keep_owners_and_bring_no_set_id():
    """What was another user's stays his, also where it was renamed or comes back."""
    if os.geteuid() != 0:
        skip("not root, who alone gives files away")
    top = make("owners")
    (top / "sid").write_text("sid\n")
    (top / "shared").mkdir()
    os.symlink("sid", top / "to-sid")
    for name, mode in (("sid", 0o4755), ("shared", 0o2770), ("to-sid", None)):
        os.chown(top / name, 65534, 65534, follow_symlinks=False)
        if mode:
            (top / name).chmod(mode)
    space = take(top, "owners")
    for name in ("sid", "shared", "to-sid"):
        os.rename(space / name, space / f"{name}2")
    (space / "new").write_text("new\n")
    (space / "new").chmod(0o6755)
    ctl("owners", "commit")
    owner = lambda name: (os.lstat(top / name).st_uid, os.lstat(top / name).st_gid,
                          os.lstat(top / name).st_mode & 0o7777)
    expect_eq(owner("sid2"), (65534, 65534, 0o755))
    expect_eq(owner("shared2"), (65534, 65534, 0o2770))
    expect_eq(owner("to-sid2")[:2], (65534, 65534))
    expect_eq(owner("new"), (0, 0, 0o755))
    ctl("owners", "commit")
    ctl("owners", "uncommit")
    expect_eq(owner("sid"), (65534, 65534, 0o4755))
    expect_eq(owner("shared"), (65534, 65534, 0o2770))
    expect_eq(owner("to-sid")[:2], (65534, 65534))


def rights_and_attributes_go_along():
    """An ACL lets in whom it lets in there; what is moved, new or taken back has what it had."""
    nobody, access, default = 2**32 - 1, "system.posix_acl_access", "system.posix_acl_default"
    listed = acl((1, 6, nobody), (2, 6, 1000), (4, 0, nobody), (16, 6, nobody), (32, 0, nobody))
    opened = acl((1, 7, nobody), (2, 7, 1000), (4, 0, nobody), (16, 7, nobody), (32, 0, nobody))
    top = HOST / "listed"
    shutil.rmtree(top, ignore_errors=True)
    (top / "closed").mkdir(parents=True)
    for name in ("stays", "goes", "moves", "closed/in"):
        (top / name).write_text(f"{name}\n")
        os.setxattr(top / name, "user.k", name.encode())
    try:
        os.setxattr(top / "stays", access, listed)
    except OSError:
        return  # a disk without
    os.setxattr(top / "moves", access, listed)
    os.setxattr(top / "closed", access, opened)
    os.setxattr(top / "closed", default, opened)
    run(["sh", "-c", f"echo 'import {top} as listed' > {SPACES.parent}/sys/workspaces/ctl"])
    space = SPACES / "listed"
    for name, value in (("stays", listed), ("moves", listed), ("closed", opened)):
        expect_eq(os.getxattr(space / name, access), value, f"the ACL of {name}, imported")
    expect(access not in os.listxattr(space / "closed/in"), "an ACL that is nowhere there")
    (space / "moves").rename(space / "closed/moved")
    (space / "goes").unlink()
    (space / "new").mkdir()
    (space / "new/file").write_text("new\n")
    os.setxattr(space / "new", default, opened)
    os.setxattr(space / "new/file", access, listed)
    os.setxattr(space / "new/file", "user.k", b"new")
    os.setxattr(space / "closed/moved", "user.own", b"mine")
    with open(space / "stays", "a") as file:
        file.write("more\n")
    ctl = space / ".agentfs/ctl"
    tell(ctl, "commit\n")
    expect_eq(read(space / ".agentfs/status"), "")
    for name, value in (("stays", listed), ("closed/moved", listed), ("new/file", listed)):
        expect_eq(os.getxattr(top / name, access), value, f"the ACL of {name}, there")
        expect_eq(os.stat(top / name).st_mode & 0o777, 0o660)
    expect_eq(os.getxattr(top / "new", default), opened)
    marks = {name: os.getxattr(top / name, "user.k") for name in ("stays", "closed/moved", "new/file")}
    expect_eq(marks, {"stays": b"stays", "closed/moved": b"moves", "new/file": b"new"})
    expect_eq(os.getxattr(top / "closed/moved", "user.own"), b"mine")
    tell(ctl, "uncommit\n")
    for name in ("stays", "goes", "moves"):
        expect_eq(os.getxattr(top / name, "user.k"), name.encode(), f"of {name}, taken back")
    expect_eq(os.getxattr(top / "moves", access), listed)


def a_default_acl_opens_nothing_that_is_moved_in():
    """What is made by a commit in a directory with one has what it has here, as mv(1) leaves it."""
    nobody, access, default = 2**32 - 1, "system.posix_acl_access", "system.posix_acl_default"
    opened = acl((1, 7, nobody), (2, 7, 1), (4, 0, nobody), (16, 7, nobody), (32, 0, nobody))
    top = HOST / "inherits"
    shutil.rmtree(top, ignore_errors=True)
    for name in ("d", "e", "d/comes-back"):
        (top / name).mkdir(parents=True)
    for name in ("k", "e/z", "d/stays", "d/goes", "d/comes-back/in"):
        (top / name).write_text("secret\n")
        (top / name).chmod(0o640)
    try:
        os.setxattr(top / "d", default, opened)
    except OSError:
        return  # a disk without
    run(["sh", "-c", f"echo 'import {top} as inherits' > {SPACES.parent}/sys/workspaces/ctl"])
    space = SPACES / "inherits"
    (space / "k").rename(space / "d/k2")
    (space / "e").rename(space / "d/e2")
    (space / "n").write_text("new\n")
    (space / "n").chmod(0o640)
    (space / "n").rename(space / "d/n")
    os.mkfifo(space / "pipe")
    (space / "pipe").rename(space / "d/pipe")
    (space / "d/stays").write_text("written\n")
    (space / "d/goes").unlink()
    shutil.rmtree(space / "d/comes-back")
    (space / "d/made").write_text("made in it\n")
    tell(space / ".agentfs/ctl", "commit\n")
    expect_eq(read(space / ".agentfs/status"), "")

    def have_one(names):
        return [name for name in names
                if any(one in os.listxattr(top / name) for one in (access, default))]

    expect_eq(have_one(("d/k2", "d/e2", "d/e2/z", "d/n", "d/pipe", "d/stays")), [], "after the commit")
    expect_eq(have_one(("d/made",)), ["d/made"], "what was made in it here has what that gives")
    tell(space / ".agentfs/ctl", "uncommit\n")
    expect_eq(have_one(("d/stays", "d/goes", "d/comes-back", "d/comes-back/in", "k", "e", "e/z")), [],
              "taken back")
    expect_eq([oct(os.stat(top / name).st_mode & 0o777) for name in ("d/goes", "k")], ["0o640"] * 2)


def what_users_have_set_is_there_as_it_is_here():
    """What is set or taken away here comes there with the change; what others set there stays."""
    top = HOST / "marked"
    shutil.rmtree(top, ignore_errors=True)
    for directory in ("moves", "changes", "goes"):
        (top / directory).mkdir(parents=True)
        os.setxattr(top / directory, "user.k", directory.encode())
    for name in ("stays", "moves/in"):
        (top / name).write_text(f"{name}\n")
        for mark in ("user.k", "user.gone"):
            os.setxattr(top / name, mark, name.encode())
    space = take(top, "marked")
    marks = lambda at: {name: os.getxattr(at, name) for name in os.listxattr(at) if name.startswith("user.")}
    expect_eq(marks(space / "moves"), {"user.k": b"moves"})
    expect_eq(marks(space / "stays"), {"user.k": b"stays", "user.gone": b"stays"})
    (space / "moves").rename(space / "moved")
    (space / "goes").rmdir()
    for name in ("stays", "moved/in"):
        os.removexattr(space / name, "user.gone")
        os.setxattr(space / name, "user.new", b"new")
    (space / "stays").write_text("changed\n")
    (space / "changes").chmod(0o750)
    os.setxattr(top / "changes", "user.k", b"theirs")
    ctl("marked", "commit")
    for name, had in (("stays", b"stays"), ("moved/in", b"moves/in")):
        expect_eq(marks(top / name), {"user.k": had, "user.new": b"new"}, name)
    expect_eq(marks(top / "moved"), {"user.k": b"moves"})
    expect_eq(marks(top / "changes"), {"user.k": b"theirs"})
    ctl("marked", "uncommit")
    for name in ("moves", "goes"):
        expect_eq(marks(top / name), {"user.k": name.encode()}, f"{name}, taken back")
    for name in ("stays", "moves/in"):
        expect_eq(marks(top / name), {"user.k": name.encode(), "user.gone": name.encode()}, f"{name}, taken back")


def what_a_conflict_lists_can_be_read():
    """Also where the directory changed again, so that nobody has what it held before."""
    top = make("lost")
    space = take(top, "lost")
    with open(space / "main.c", "a", encoding="utf-8") as file:
        file.write("ours\n")
    ctl("lost", "commit")  # the directory lends what was written there
    kept = list(max(M.state.glob("imports/*"), key=lambda path: int(path.name)).glob("kept/*"))
    (space / "main.c").write_text("ours again\n")
    (top / "main.c").write_text("theirs\n")
    for path in kept:
        path.unlink()
    conflict = space / ".agentfs/conflicts/1"
    for how in ("rebase", "rebase partial"):
        (refused("EBUSY", "lost", how) if how == "rebase" else ctl("lost", how))
        names = sorted(os.listdir(conflict))
        expect_eq({name: bool(read(conflict / name)) for name in names}, dict.fromkeys(names, True), how)
    (top / "main.c").write_text("once more\n")
    names = os.listdir(conflict)
    expect_eq({name: bool(read(conflict / name)) for name in names}, dict.fromkeys(names, True), "changed again")
    ctl("lost", "resolve 1 ours")
    refused("EBUSY", "lost", "rebase")
    ctl("lost", "rebase partial")
    expect_eq(read(conflict / "theirs"), "once more\n")
    ctl("lost", "resolve 1 theirs")
    ctl("lost", "commit")
    expect_eq(status("lost"), [])


def a_repository_that_goes_on_there_does_not_stop_a_pin():
    """What git changed there is not read from there; objects that a gc packed are told."""
    top = make("pin-git")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*", "-C", top]
    for line in (["init", "-q"], ["add", "lines"], ["commit", "-qm", "one"]):
        run([*git, *line])
    take(top, "pin-git")
    run([*git, "commit", "-q", "--allow-empty", "-m", "two"])
    expect_has(ctl("pin-git", "pin"), "bytes of")
    take(top, "pin-gc")
    run([*git, "gc", "-q"])
    expect_has(ctl("pin-gc", "pin"), "of its repository are gone there")
    (top / "main.c").write_text("changed there\n")
    space = take(top, "pin-changed")
    (top / "main.c").write_text("changed there again\n")
    expect_has(refused("EBUSY", "pin-changed", "pin"), "main.c")
    ctl("pin-changed", "rebase")
    ctl("pin-changed", "pin")
    expect_eq((space / "main.c").read_text(), "changed there again\n")


def pinned_it_needs_the_directory_no_more():
    top = make("pinned")
    space = take(top, "pinned")
    expected = state_of(top)
    ctl("pinned", "pin")
    shutil.rmtree(top)
    expect_eq({p: c for p, (_, _, c) in state_of(space).items()}, {p: c for p, (_, _, c) in expected.items()})
    (space / "main.c").write_text("changed\n")
    expect_has(status("pinned")[-1], "No such file")
    refused("ENOENT", "pinned", "commit")


def an_import_that_is_gone_leaves_nothing_open():
    """Neither its hidden tree nor a directory of records, and no descriptor, while the daemon goes on."""
    lines = M.state / "trees/.workspaces/lines"
    trees = M.state / "trees/workspaces"
    top = make("gone")

    def held():
        return {str(path) for path in (*lines.iterdir(), *trees.glob(".agentfs-host.*"))}

    def descriptors():
        places = []
        for fd in os.listdir(f"/proc/{M.daemon()}/fd"):
            try:
                places.append(os.readlink(f"/proc/{M.daemon()}/fd/{fd}"))
            except OSError:  # closed meanwhile
                pass
        return [place for place in places if "/lines/" in place]

    before, open_before = held(), len(descriptors())
    for n in range(4):
        space = take(top, f"gone-{n}")
        (space / "lines").write_text("other\n")
        if n % 2 == 0:
            ctl(f"gone-{n}", "checkpoint one")
        shutil.rmtree(space)
    wait_until(30, lambda: held() <= before, f"left: {held() - before}")
    wait_until(10, lambda: len(descriptors()) <= open_before, f"open: {descriptors()}")


def a_lent_file_shows_blocks_whatever_lies_beside_it():
    """Where what is noted of a file takes a block of the disk, tar would take it for one hole."""
    top = HOST / "noted"
    top.mkdir()
    for number in range(100, 120):
        (top / f"f{number}").write_text(f"{number}\n" * 3000)
    command(M / "sys/workspaces/ctl", f"import {top} as noted")
    space = SPACES / "noted"
    ctl("noted", "checkpoint c")
    for path in sorted(top.iterdir()):
        (space / path.name).chmod(0o640)
    ctl("noted", "fork noted-1")
    for tree in space, SPACES / "noted-1", space / ".agentfs/snapshots/c":
        for path in sorted(top.iterdir()):
            info = (tree / path.name).stat()
            expect(info.st_blocks * 512 >= info.st_size, f"{tree / path.name}: {info}")
    archive = TESTDIR / "noted.tar"
    run(["tar", "-S", "-cf", archive, "-C", space, "f119"])
    expect_eq(run(["tar", "-xOf", archive, "f119"]), (top / "f119").read_text(), "by tar --sparse")
    (top / "f118").write_text("changed there\n")
    command(space / ".agentfs/ctl", "rebase partial")
    expect("f118" not in os.listdir(space / ".agentfs/versions"), "a version of what only the host had")


def the_holes_of_a_lent_file_are_no_blocks():
    """Neither for who copies it nor in what it counts as, wherever it is read; nor once it is ours."""
    top = HOST / "sparse"
    top.mkdir()
    size = 64 << 20
    for name, data in (("some", b"data" * 1024), ("none", b"")):
        with open(top / name, "wb") as file:
            file.truncate(size)
            file.seek(size // 2)
            file.write(data)
    (top / "whole").write_bytes(b"x" * 100_000)
    space = take(top, "sparse")
    ctl("sparse", "checkpoint c")
    ctl("sparse", "fork sparse-1")
    for tree in space, SPACES / "sparse-1", space / ".agentfs/snapshots/c":
        for name in "some", "none":
            expect_eq((tree / name).stat().st_blocks, (top / name).stat().st_blocks, f"{tree / name}: blocks")
        expect((tree / "whole").stat().st_blocks * 512 >= 100_000, "blocks of what has no holes")
        copy = TESTDIR / f"sparse-copy-{tree.name}"
        run(["cp", "-a", tree / "some", copy])
        expect(copy.stat().st_blocks * 512 < 1 << 20, f"a copy out of {tree}: {copy.stat()}")
        expect(copy.read_bytes() == (top / "some").read_bytes(), f"the copy out of {tree} differs")
        archive = TESTDIR / "sparse.tar"
        run(["tar", "-S", "-cf", archive, "-C", tree, "some", "none"])
        expect(archive.stat().st_size < 1 << 20, f"tar -S out of {tree}: {archive.stat()}")
    with open(space / "some", "r+b") as file:
        file.write(b"ours")
    expect((space / "some").stat().st_blocks * 512 < 1 << 20, "holes stay holes when it becomes ours")
    ctl("sparse", "pin")
    expect_eq((space / "none").stat().st_blocks, 0, "what was pinned")


def what_the_host_has_no_more_is_no_version():
    """A version that nobody can read is not listed; what is lost later is said to be."""
    top = make("versions")
    command(M / "sys/workspaces/ctl", f"import {top} as versions")
    space = SPACES / "versions"
    (top / "main.c").write_text("changed there\n")
    command(space / ".agentfs/ctl", "rebase")
    versions = space / ".agentfs/versions"
    expect("main.c" not in os.listdir(versions), "a version of what only the host had")
    lines = (space / "lines").read_text()
    (space / "lines").unlink()
    (top / "lines").write_text("changed there\n")
    (version,) = (versions / "lines").iterdir()
    expect_eq(version.read_text(), lines, "what was removed here")
    newest = max((M.state / "imports").iterdir(), key=lambda path: int(path.name))
    for kept in (newest / "kept").iterdir():
        kept.unlink()
    expect_errno("EBUSY", version.read_bytes)
    expect_has(M.last_error(), "`pin` in .agentfs/ctl would have copied them before")
    expect(not [path for path in versions.rglob("main.c/*")], "unreadable")


def a_file_that_is_opened_to_be_written_keeps_its_capabilities():
    """And is cut to nothing now, not when the other trees' was last written."""
    top = make("capable")
    command(M / "sys/workspaces/ctl", f"import {top} as capable")
    space, value = SPACES / "capable", b"\x01\0\0\x02\x20" + bytes(15)
    if os.geteuid() == 0:
        os.setxattr(space / "main.c", "security.capability", value)
    command(space / ".agentfs/ctl", "checkpoint before")
    os.close(os.open(space / "main.c", os.O_RDWR))
    if os.geteuid() == 0:
        for place in (space, space / ".agentfs/snapshots/before"):
            expect_eq(os.getxattr(place / "main.c", "security.capability"), value, str(place))
    os.truncate(space / "lines", 0)
    expect(os.stat(space / "lines").st_mtime > time.time() - 600, "an mtime of before the change")


def a_rollback_past_a_rebase_does_not_undo_what_was_done_there():
    """What was taken over since is not seen any more, and rebase takes it over again."""
    top = make("past")
    space = take(top, "past")
    (space / "own").write_text("own\n")
    ctl("past", "checkpoint first")
    (top / "main.c").write_text("theirs\n")
    (top / "theirs/deep").mkdir(parents=True)
    (top / "theirs/deep/file").write_text("theirs\n")
    (top / "lines").unlink()
    ctl("past", "rebase")
    (space / "committed").write_text("committed\n")
    (space / "theirs/ours").write_text("ours\n")
    ctl("past", "commit")
    ctl("past", "checkpoint second")
    expected = state_of(top)
    ctl("past", "rollback first")
    expect(not (space / "committed").exists() and not (space / "theirs").exists(), "the state that was gone back to")
    drifted = ["lines", "main.c", "theirs", "theirs/deep", "theirs/deep/file", "theirs/ours"]
    expect_eq([line.split("\t")[1] for line in status("past") if line.startswith("!")], drifted)
    expect_eq([line for line in status("past") if not line.startswith("!")], ["D\tcommitted"])
    ctl("past", "commit")
    del expected["committed"]
    without = lambda found: {path: one[2] for path, one in found.items()}
    expect_eq(without(state_of(top)), without(expected), "the directory after the commit of an older state")
    ctl("past", "rebase")
    expect_eq((space / "main.c").read_text(), "theirs\n")
    expect_eq((space / "theirs/deep/file").read_text(), "theirs\n")
    expect(not (space / "lines").exists(), "what was removed there")
    ctl("past", "commit")
    expect_eq(without(state_of(top)), without(expected))
    expect_eq(status("past"), [])
    ctl("past", "rollback second")
    expect_eq([line for line in status("past") if line.startswith("!")], [])
    ctl("past", "commit")
    expect_eq((top / "committed").read_text(), "committed\n")
    M.umount()
    M.mount()
    ctl("past", "rollback first")
    expect_eq([line.split("\t")[1] for line in status("past") if line.startswith("!")], drifted, "after a restart")
    ctl("past", "discard second")
    M.verify()


def a_rollback_that_fails_leaves_what_was_taken_over():
    top = make("unmoved")
    space = take(top, "unmoved")
    ctl("unmoved", "checkpoint first")
    (top / "theirs").write_text("theirs\n")
    (top / "theirs too").write_text("theirs\n")
    ctl("unmoved", "rebase")
    (space / "theirs").unlink()
    records = M.state / "merge-bases/workspaces"
    aside = records.with_name("aside")
    records.rename(aside)
    records.write_text("")  # as a disk that takes nothing more
    expect_errno("ENOTDIR", tell, space / ".agentfs/ctl", "rollback first\n")
    records.unlink()
    aside.rename(records)
    for again in False, True:
        if again:
            M.umount()
            M.mount()
        expect_eq(status("unmoved"), ["D\ttheirs"])
        ctl("unmoved", "rebase")
        expect_eq(sorted(name for name in os.listdir(space) if "theirs" in name), ["theirs too"])
    ctl("unmoved", "rollback first")
    ctl("unmoved", "rebase")
    expect_eq(sorted(name for name in os.listdir(space) if "theirs" in name), ["theirs", "theirs too"])
    M.verify()


def forks_and_checkpoints_read_the_directory_too():
    top = make("family")
    space = take(top, "family")
    ctl("family", "checkpoint first")
    ctl("family", "fork family-2")
    (SPACES / "family-2/main.c").write_text("the fork's\n")
    expect_eq((space / "main.c").read_text(), "int main(void) { return 0; }\n")
    (space / "lines").write_text("gone\n")
    expect_eq(read(space / ".agentfs/snapshots/first/lines"), (top / "lines").read_text())
    ctl("family", "merge family-2")
    expect_eq((space / "main.c").read_text(), "the fork's\n")
    expect_has(read(space / ".agentfs/forks"), "family\t(import)")
    expect(not [n for n in os.listdir(SPACES) if n.startswith(".")], f"listed: {os.listdir(SPACES)}")
    ctl("family", "commit")
    expect_eq((top / "main.c").read_text(), "the fork's\n")
    ctl("family", "rollback first")
    expect_eq((space / "lines").read_text()[:4], "1\n2\n")
    ctl("family", "commit")
    expect_eq((top / "main.c").read_text(), "int main(void) { return 0; }\n")
    expect_eq((top / "lines").read_text()[:4], "1\n2\n")


def what_one_import_cannot_give_is_missed_by_no_other_tree():
    """fsck --solidify, which comes before a copy of the state: forks that come later are filled, too."""
    mount = Mount.of("stale")
    top = make("stale")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {top} as a-stale")
    (mount / "workspaces/work/d").mkdir(parents=True)
    (mount / "workspaces/work/d/f").write_text("work\n")
    command(mount / "workspaces/work/.agentfs/ctl", "fork work-1")
    mount.umount()
    (top / "lines").write_text("changed there\n")
    said = mount.fsck("--solidify", code=1)
    expect_has(said, "FAIL solidify: workspaces/a-stale: ")
    for path in ("work-1/d/f", "a-stale/src/deep/data", "a-stale/main.c"):
        expect((mount.state / "trees/workspaces" / path).stat().st_blocks > 0, f"{path} is not there")


def others_forks_that_come_and_go_do_not_disturb_a_rebase():
    """What they leave is settled meanwhile, which is not to take what the rebase has just kept."""
    mount = Mount.of("settled")
    mount.mount()
    over = threading.Event()

    def come_and_go(name):
        (mount / "workspaces" / name).mkdir()
        while not over.is_set():
            for line in ("fork {0}-f", "merge {0}-f", "discard {0}-f"):
                command(mount / "workspaces" / name / ".agentfs/ctl", line.format(name))

    others = [threading.Thread(target=come_and_go, args=(f"noise-{number}",)) for number in range(2)]
    for one in others:
        one.start()
    try:
        for number in range(60):
            top = make(f"settled-{number}")
            command(mount / "sys/workspaces/ctl", f"import {top} as i{number}")
            (top / "later").write_text("later\n")
            command(mount / f"workspaces/i{number}/.agentfs/ctl", "rebase")
            expect_eq(read(mount / f"workspaces/i{number}/later"), "later\n")
    finally:
        over.set()
        for one in others:
            one.join()
    mount.umount()
    mount.fsck()


def what_was_removed_comes_back_in_a_copy_without_attributes():
    """Once fsck --solidify has been there, which gives kept contents their bytes, too."""
    mount = Mount.of("solid-past")
    top = make("solid-past")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {top} as w")
    space = mount / "workspaces/w"
    (space / "main.c").unlink()
    (space / "lines").write_text("others\n")
    wanted = {name: (top / name).read_text() for name in ("main.c", "lines")}
    command(space / ".agentfs/ctl", "commit")
    mount.umount()
    expect("nothing but zeros" not in mount.fsck(), "what is lent")
    without = Mount.of("hollow-past")
    run(["rsync", "-a", f"{mount.state}/", f"{without.state}/"])
    without.fsck("--repair", code=None)
    expect_has(without.fsck(code=None), "of nothing but zeros")
    mount.fsck("--solidify")
    mount.fsck()
    copy = Mount.of("solid-past-copy")
    run(["rsync", "-a", f"{mount.state}/", f"{copy.state}/"])
    copy.fsck("--repair", code=None)
    copy.mount()
    space = copy / "workspaces/w"
    expect_eq(read(space / ".agentfs/trash/main.c"), wanted["main.c"])
    names = sorted(os.listdir(space / ".agentfs/versions/lines"), key=int)
    expect_eq(read(space / ".agentfs/versions/lines" / names[0]), wanted["lines"])
    command(space / ".agentfs/ctl", "restore main.c")
    expect_eq(read(space / "main.c"), wanted["main.c"])
    copy.umount()


def what_only_the_state_of_the_import_has_is_known_in_a_copy_without_attributes():
    """Of a file whose mode or attributes alone were changed, its own one is nobody's but that state's."""
    mount = Mount.of("solid-modes")
    top = make("solid-modes")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {top} as w")
    space = mount / "workspaces/w"
    (space / "main.c").chmod(0o600)
    os.setxattr(space / "lines", "user.z", b"1")
    mount.umount()
    mount.fsck("--solidify")
    copy = Mount.of("solid-modes-copy")
    run(["rsync", "-a", f"{mount.state}/", f"{copy.state}/"])
    copy.fsck("--repair")
    copy.mount()
    space = copy / "workspaces/w"
    for name in ("main.c", "lines"):
        expect_eq(read(space / name), (top / name).read_text(), name)
    copy.umount()
    copy.fsck()


def another_name_of_a_committed_file_stays_readable():
    top = make("links")
    (top / "a").write_text("hard\n")
    os.link(top / "a", top / "b")
    space = take(top, "links")
    ctl("links", "checkpoint c")
    with open(space / "a", "a") as file:
        file.write("more\n")
    ctl("links", "commit")
    expect_eq(status("links"), [])
    for path in (space / "b", space / ".agentfs/snapshots/c/b", space / ".agentfs/snapshots/c/a"):
        expect_eq(path.read_text(), "hard\n", str(path))
    ctl("links", "uncommit")
    expect_eq([(top / name).read_text() for name in "ab"], ["hard\n", "hard\n"])
    expect_eq(status("links"), ["M\ta"])


def other_names_of_a_file_do_not_stop_a_commit():
    top = make("names")
    for name in "abcd":
        (top / name).write_text("hard\n") if name in "ac" else os.link(top / chr(ord(name) - 1), top / name)
    space = take(top, "names")
    for name in "ab":
        (space / name).unlink()
    for name in "cd":
        with open(space / name, "a") as file:
            file.write(f"{name}\n")
    ctl("names", "commit")
    expect(not (top / "a").exists() and not (top / "b").exists(), "what was removed")
    expect_eq([(top / name).read_text() for name in "cd"], ["hard\nc\n", "hard\nd\n"])
    expect_eq(status("names"), [])
    ctl("names", "uncommit")
    expect_eq([(top / name).read_text() for name in "abcd"], ["hard\n"] * 4)


def a_rebase_beside_a_forks_conflicts_says_whose_they_are():
    top = make("asked")
    tell(M / "sys/workspaces/ctl", f"import {top} as asked\n")
    space, fork = SPACES / "asked", SPACES / "asked-fork"
    ctl = lambda line: command(space / ".agentfs/ctl", line)
    ctl("fork asked-fork")
    (space / "main.c").write_text("ours\n")
    (fork / "main.c").write_text("theirs\n")
    ctl("merge asked-fork partial")
    (top / "lines").write_text("there\n")
    for line in ("rebase", "rebase partial"):
        expect_errno("EBUSY", ctl, line)
        expect_has(M.last_error(), "a merge left 1 in conflict")
    ctl("resolve 1 ours")
    ctl("rebase")
    expect_eq((space / "lines").read_text(), "there\n", "taken over")


def a_repository_below_stays_there_and_stops_nothing():
    top = make("nested")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*"]
    run([*git, "init", "-q", top / "lib/part"])
    (top / "lib/part/n").write_text("n\n")
    run([*git, "-C", top / "lib/part", "add", "-A"])
    run([*git, "-C", top / "lib/part", "commit", "-q", "-m", "first"])
    space = take(top, "nested")
    shutil.rmtree(space / "lib")
    (space / "main.c").write_text("ours\n")
    told = ctl("nested", "commit")
    expect_has(told, "2 changes made")
    expect_has(told, "left there, with the directories it is in: lib/part/.git")
    expect_eq((top / "main.c").read_text(), "ours\n")
    expect_eq(os.listdir(top / "lib/part"), [".git"])
    run([*git, "-C", top / "lib/part", "fsck", "--strict"])
    expect_has(ctl("nested", "commit"), "0 changes made")
    ctl("nested", "uncommit")
    expect_eq((top / "lib/part/n").read_text(), "n\n")
    expect_eq(run([*git, "-C", top / "lib/part", "status", "--porcelain"]), "")


def a_repository_below_goes_and_comes_with_its_directory():
    """What is in it stays git's; a directory that holds one is removed, renamed and cloned there."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*"]
    top = make("goes")
    for name in ("lib/part", "moved", "worked-on"):
        run([*git, "init", "-q", top / name])
        (top / name / "n").write_text(f"{name}\n")
        run([*git, "-C", top / name, "add", "-A"])
        run([*git, "-C", top / name, "commit", "-q", "-m", "first"])
    space = take(top, "goes")
    (space / "worked-on/n").write_text("ours\n")
    run([*git, "-C", space / "worked-on", "commit", "-qam", "ours"])
    shutil.rmtree(top / "lib/part")
    (top / "moved").rename(top / "lib/there")
    shutil.rmtree(top / "worked-on")
    run([*git, "clone", "-q", top / "lib/there", top / "cloned"])
    (top / "main.c").write_text("theirs\n")
    told = "\n".join(status("goes"))
    expect_has(told, "!\tlib/part/n\tremoved")
    expect("/.git/" not in told, told)
    refused("EBUSY", "goes", "rebase")
    expect_eq(conflicts_of("goes"), ["1"])
    expect_has(read(space / ".agentfs/conflicts/1/about"), "worked-on/n\t")
    told = ctl("goes", "rebase partial")
    expect_has(told, "worked-on/.git: left as ours has it")
    expect_eq((space / "main.c").read_text(), "theirs\n")
    expect_eq(sorted(os.listdir(space / "lib")), ["there"])
    for name in ("lib/there", "cloned"):
        expect_eq(run([*git, "-C", space / name, "status", "--porcelain"]), "")
        run([*git, "-C", space / name, "fsck", "--strict"])
    expect(not (space / "moved").exists(), "it is lib/there")
    expect_eq((space / "worked-on/n").read_text(), "ours\n")
    ctl("goes", "resolve 1 ours")
    expect_eq(ctl("goes", "rebase"), f"{top}: nothing has changed there\n")


def what_no_import_has_keeps_its_directory():
    top = make("sockets")
    place = socket.socket(socket.AF_UNIX)
    place.bind(str(top / "src/deep/s"))
    place.close()
    space = take(top, "sockets")
    shutil.rmtree(space / "src")
    expect_has(ctl("sockets", "commit"), "left there, with the directories it is in: src/deep/s")
    expect_eq(sorted(state_of(top / "src")), ["deep", "deep/s"])
    (space / "src").write_text("a file in the place of it\n")
    told = refused("EBUSY", "sockets", "commit")
    expect_has(told, f"{top}/src/deep/s")
    expect("rebase" not in told, told)
    (top / "src/deep/s").unlink()
    ctl("sockets", "commit")
    expect_eq((top / "src").read_text(), "a file in the place of it\n")


def a_repository_is_worked_with():
    top = make("repo")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "safe.directory=*"]
    (top / "pipe").unlink()
    subprocess.run([*git, "init", "-q", top], check=True)
    subprocess.run([*git, "-C", top, "add", "."], check=True)
    subprocess.run([*git, "-C", top, "commit", "-qm", "first"], check=True)
    before = inodes(top)
    space = take(top, "repo")
    expect_eq(run([*git, "-C", space, "status", "--porcelain"]), "")
    (space / "main.c").write_text("changed\n")
    expect_eq(run([*git, "-C", space, "status", "--porcelain"]).strip(), "M main.c")
    subprocess.run([*git, "-C", space, "commit", "-qam", "second"], check=True)
    expect_eq(run([*git, "-C", space, "log", "--format=%s"]).split(), ["second", "first"])
    subprocess.run([*git, "-C", space, "fsck", "--strict"], check=True, capture_output=True)
    expect_eq(inodes(top), before, "the directory")
    ctl("repo", "commit")
    expect_eq(run([*git, "-C", top, "log", "--format=%s"]).split(), ["first"], "its .git is git's affair")
    expect_eq((top / "main.c").read_text(), "changed\n")


def a_worktrees_repository_is_left_alone():
    top = HOST / "tree-of"
    shutil.rmtree(top, ignore_errors=True)
    shutil.rmtree(HOST / "repository", ignore_errors=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    run([*git, "init", "-q", HOST / "repository"])
    (HOST / "repository/file").write_text("file\n")
    run([*git, "-C", HOST / "repository", "add", "-A"])
    run([*git, "-C", HOST / "repository", "commit", "-q", "-m", "first"])
    run([*git, "-C", HOST / "repository", "worktree", "add", "-q", top])
    run([*git, "init", "-q", top / "part", "--separate-git-dir", top / "inside"])
    (top / "part/.git").write_text("gitdir: ../inside\n")
    index = HOST / "repository/.git/worktrees/tree-of/index"
    before = index.read_bytes()
    space = take(top, "tree-of")
    expect_eq((space / "file").read_text(), "file\n")
    expect(not (space / ".git").exists(), "the way to the repository there is imported")
    expect_eq((space / "part/.git").read_text(), "gitdir: ../inside\n")
    run([*git, "-C", space / "part", "rev-parse", "--git-dir"])
    expect(subprocess.run([*git, "-C", space, "status"], capture_output=True, check=False).returncode != 0,
           "git works on the repository there")
    expect_eq(index.read_bytes(), before)
    expect_eq(status("tree-of"), [])


def bad_imports_are_refused():
    top = make("bad")
    for line, code in ((f"import {top}/none as x", "ENOENT"), (f"import {top}/main.c as x", "ENOTDIR"),
                       ("import relative as x", "EINVAL"), (f"import {top} is x", "EINVAL"),
                       (f"import {top} as a/b", "EINVAL"), (f"import {top} as .agentfs", "EINVAL"),
                       (f"import {top} as .agentfs-host.7", "EINVAL"),
                       (f"import {M.mnt} as x", "EDEADLOCK"), (f"import {M.mnt}/home as x", "EDEADLOCK"),
                       (f"import {M.state} as x", "EDEADLOCK"), (f"import {M.mnt.parent} as x", "EDEADLOCK"),
                       ("import / as x", "EDEADLOCK"), ("import /proc as x", "EINVAL")):
        expect_errno(code, tell, M / "sys/workspaces/ctl", line + "\n")
    expect(not (SPACES / "x").exists(), "something was made")
    take(top, "once")
    expect_errno("EEXIST", tell, M / "sys/workspaces/ctl", f"import {top} as once\n")
    (SPACES / "no-import").mkdir()
    for name in (".agentfs-host.9", ".agentfs", ".agentfs2"):
        expect_errno("EPERM", os.mkdir, SPACES / name)
        expect_errno("EPERM", os.rename, SPACES / "no-import", SPACES / name)
    for verb in ("commit", "rebase", "pin", "uncommit"):
        refused("EINVAL", "no-import", verb)
    refused("ENOENT", "once", "uncommit")
    hidden = [name for name in os.listdir(M.state / "trees/workspaces") if name.startswith(".agentfs-host.")]
    expect_has(refused("EINVAL", "once", f"merge {hidden[-1]}"), "rebase")


def all_of_it_survives_a_crash():
    top = make("crash")
    space = take(top, "crash")
    (space / "main.c").write_text("changed\n")
    before = state_of(space)
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    expect_eq(state_of(space), before)
    expect_eq(status("crash"), ["M\tmain.c"])
    ctl("crash", "commit")
    expect_eq((top / "main.c").read_text(), "changed\n")


def a_rollback_past_an_uncommit_leaves_it_taken_back():
    top = make("taken-back")
    space = take(top, "taken-back")
    ctl("taken-back", "checkpoint start")
    before = state_of(top)
    (space / "lines").write_text("work\n")
    (space / "new").write_text("work\n")
    ctl("taken-back", "commit")
    ctl("taken-back", "checkpoint committed")
    (space / "later").write_text("later\n")
    ctl("taken-back", "commit")
    ctl("taken-back", "uncommit")
    ctl("taken-back", "uncommit")
    without = lambda found: {path: one[2] for path, one in found.items()}
    expect_eq(without(state_of(top)), without(before), "the directory after both were taken back")
    expect_has(refused("ENOENT", "taken-back", "uncommit"), "is left that could be taken back")
    M.umount()
    M.mount()
    ctl("taken-back", "rollback committed")
    expect_eq(status("taken-back"), ["M\tlines", "A\tnew"])
    ctl("taken-back", "rebase")
    expect_eq((space / "lines").read_text(), "work\n", "after a rebase")
    ctl("taken-back", "commit")
    expect_eq(((top / "lines").read_text(), (top / "new").read_text()), ("work\n", "work\n"))
    ctl("taken-back", "rollback start")
    expect_eq(status("taken-back"), ["M\tlines", "D\tnew"])
    ctl("taken-back", "uncommit")
    expect_eq(without(state_of(top)), without(before))
    ctl("taken-back", "discard committed")
    expect_eq(status("taken-back"), [])


def theirs_of_a_conflict_is_what_it_was_after_a_rollback():
    top = make("kept-theirs")
    space = take(top, "kept-theirs")
    ctl("kept-theirs", "checkpoint start")
    (space / "main.c").write_text("ours\n")
    (top / "main.c").write_text("theirs\n")
    ctl("kept-theirs", "rebase partial")
    ctl("kept-theirs", "rollback start")
    expect_eq(read(space / ".agentfs/conflicts/1/theirs"), "theirs\n")
    M.umount()
    M.mount()
    expect_eq(read(space / ".agentfs/conflicts/1/theirs"), "theirs\n", "after a restart")
    ctl("kept-theirs", "resolve 1 theirs")
    expect_eq((space / "main.c").read_text(), "theirs\n")
    ctl("kept-theirs", "rebase")
    expect_eq(status("kept-theirs"), [])


def what_is_not_shown_of_a_file_moves_with_it():
    top = make("unseen")
    for name in ("main.c", "lines", "src/tool.sh"):
        os.setxattr(top / name, "trusted.unseen", b"as it was")
    space = take(top, "unseen")
    (space / "main.c").rename(space / "moved.c")
    (space / "lines").unlink()
    with open(space / "src/tool.sh", "a") as file:
        file.write("# more\n")
    ctl("unseen", "commit")
    for name in ("moved.c", "src/tool.sh"):
        expect_eq(os.getxattr(top / name, "trusted.unseen"), b"as it was", name)
    ctl("unseen", "uncommit")
    for name in ("main.c", "lines", "src/tool.sh"):
        expect_eq(os.getxattr(top / name, "trusted.unseen"), b"as it was", name)


def what_changes_there_is_no_copy_of_two_states():
    """copy_file_range(2) from an open file of the directory that is written there is refused as
    read(2) is: it is no mixture that nobody is told of."""
    host = HOST / "mixed"
    host.mkdir(parents=True)
    (host / "f").write_bytes(b"A" * 65536)
    tell(M / "sys/workspaces/ctl", f"import {host} as mixed\n")
    source = os.open(M / "workspaces/mixed/f", os.O_RDONLY)
    with open(host / "f", "r+b") as file:
        file.write(b"B" * 10000)
    target = os.open(M / "workspaces/mixed/copy", os.O_RDWR | os.O_CREAT)
    expect_errno("EBUSY", os.copy_file_range, source, target, 65536, 0, 0)
    expect_errno("EBUSY", os.pread, source, 65536, 0)
    os.close(source)
    os.close(target)


main(who_reads_a_file_goes_on_reading_it_whatever_becomes_of_its_attributes, mount_it,
     a_rebase_beside_a_forks_conflicts_says_whose_they_are,
     what_one_import_cannot_give_is_missed_by_no_other_tree,
     what_was_removed_comes_back_in_a_copy_without_attributes,
     others_forks_that_come_and_go_do_not_disturb_a_rebase,
     what_only_the_state_of_the_import_has_is_known_in_a_copy_without_attributes,
     a_file_called_like_one_of_the_daemons_own_is_a_file, is_what_the_directory_is_and_touches_nothing,
     reads_do_not_copy, a_file_whose_mode_was_changed_is_cut_and_written,
     commit_makes_the_directory_what_the_workspace_is,
     an_import_keeps_its_name_while_it_is_committed,
     an_import_that_is_removed_beside_its_commit_takes_nothing_there_with_it,
     attributes_that_a_file_there_has_no_room_for_stop_no_commit,
     attributes_that_a_full_disk_takes_no_more_stop_a_commit,
     what_is_stored_through_a_mapping_on_an_overlay_is_a_change_there,
     a_commit_that_cannot_be_noted_says_what_it_made, what_was_removed_comes_back_also_after_a_commit,
     uncommit_takes_back_what_the_commit_wrote_and_nothing_else,
     uncommit_is_refused_whole_where_the_directory_has_gone_on, commits_are_taken_back_one_after_the_other,
     a_directory_that_drifted_is_told_and_not_overwritten,
     what_a_commit_removed_before_it_was_stopped_is_known,
     nothing_is_written_where_a_directory_above_has_become_something_else,
     what_is_read_while_it_changes_is_refused_and_never_a_mixture,
     a_copy_that_is_refused_leaves_its_target_as_it_was, a_read_that_is_refused_says_why,
     what_was_let_go_is_not_let_go_again, rebase_merges_what_happened_there,
     a_mode_set_here_and_bytes_changed_there_are_both_taken,
     another_name_made_here_stays_readable_whatever_happens_there,
     what_was_recorded_anew_is_read_under_each_name_it_had,
     what_was_moved_is_read_whatever_comes_in_its_place,
     what_is_removed_here_is_kept_whatever_becomes_of_it_there, what_is_restored_has_its_attributes_again,
     a_restore_of_what_cannot_all_be_read_changes_nothing, what_the_host_renamed_is_no_change_of_ours,
     what_was_changed_there_in_place_is_read_though_its_time_stayed, lists_of_rights_go_along_with_a_mode,
     a_mode_is_of_all_names_there_and_set_once, ours_is_not_taken_where_nobody_has_its_bytes,
     commits_keep_owners_and_bring_no_set_id, rights_and_attributes_go_along,
     a_default_acl_opens_nothing_that_is_moved_in, what_users_have_set_is_there_as_it_is_here,
     what_a_conflict_lists_can_be_read, a_repository_that_goes_on_there_does_not_stop_a_pin,
     pinned_it_needs_the_directory_no_more, an_import_that_is_gone_leaves_nothing_open,
     a_lent_file_shows_blocks_whatever_lies_beside_it, the_holes_of_a_lent_file_are_no_blocks,
     what_the_host_has_no_more_is_no_version, a_file_that_is_opened_to_be_written_keeps_its_capabilities,
     a_rollback_past_a_rebase_does_not_undo_what_was_done_there,
     a_rollback_that_fails_leaves_what_was_taken_over, forks_and_checkpoints_read_the_directory_too,
     another_name_of_a_committed_file_stays_readable, other_names_of_a_file_do_not_stop_a_commit,
     a_repository_below_stays_there_and_stops_nothing,
     a_repository_below_goes_and_comes_with_its_directory, what_no_import_has_keeps_its_directory,
     a_repository_is_worked_with, a_worktrees_repository_is_left_alone, bad_imports_are_refused,
     what_changes_there_is_no_copy_of_two_states, all_of_it_survives_a_crash,
     a_rollback_past_an_uncommit_leaves_it_taken_back, theirs_of_a_conflict_is_what_it_was_after_a_rollback,
     what_is_not_shown_of_a_file_moves_with_it)
