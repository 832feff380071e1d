#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Nothing is lost: what programs remove and overwrite is in .agentfs, and comes back by restore."""
import contextlib
import errno
import mmap
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import threading

from mount_lib import (EXCHANGE, Mount, acl, command, expect, expect_eq, expect_errno, expect_has, kill, main,
                       read, renameat2, run, tell, wait_until)

M = Mount.of("history")
SITE = M / "workspaces/site"
OURS = SITE / ".agentfs"


def shell(line, code=0, cwd=None):
    return run(["sh", "-c", line], code=code, cwd=cwd or SITE)


def ctl(line):
    return command(OURS / "ctl", line)


def newest(path):
    """Path below versions/ of the newest version."""
    names = sorted(os.listdir(OURS / "versions" / path), key=int)
    return f"{path}/{names[-1]}"


def previous(path):
    return read(OURS / "versions" / newest(path))


def tree(top):
    """Every path below with its type, mode and content."""
    seen = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            kind = os.lstat(path).st_mode
            key = os.path.relpath(path, top)
            if stat.S_ISLNK(kind):
                seen[key] = ("link", os.readlink(path))
            elif stat.S_ISDIR(kind):
                seen[key] = ("directory", stat.S_IMODE(kind))
            else:
                with open(path, "rb") as file:
                    seen[key] = (stat.S_IMODE(kind), os.lstat(path).st_mtime_ns, file.read())
    return seen


def fill(top, count=40):
    """A small project: directories, modes, an empty file, a link, an unreadable directory."""
    (top / "src/deep/er").mkdir(parents=True)
    for number in range(count):
        (top / "src" / f"f{number}.c").write_text(f"int f{number};\n" * (number + 1))
    (top / "src/deep/er/x").write_bytes(bytes(range(256)) * 100)
    (top / "src/empty").touch()
    (top / "src/run").write_text("#!/bin/sh\n")
    (top / "src/run").chmod(0o755)
    (top / "src/link").symlink_to("deep/er/x")
    (top / "src/bare").mkdir(mode=0o750)
    os.utime(top / "src/f1.c", ns=(1_000_000_007, 1_234_567_890_123_456_789))


def mount_it():
    M.mount()
    SITE.mkdir()


def it_is_there_and_is_not_listed():
    expect(".agentfs" not in os.listdir(SITE), "ls -a lists .agentfs")
    expect_eq(sorted(os.listdir(OURS)), ["README", "conflicts", "ctl", "diff", "events.jsonl", "forks",
                                          "limits", "log", "snapshots", "status", "trash", "usage", "versions"])
    (SITE / "a/b").mkdir(parents=True)
    expect_eq(sorted(os.listdir(SITE / "a/b/.agentfs")), sorted(os.listdir(OURS)))
    expect(not os.path.exists(M / "workspaces/.agentfs"), "/workspaces has .agentfs")
    expect(not os.path.exists(M / "tmp/.agentfs"), "/tmp has .agentfs")
    expect_has(read(OURS / "README"), "restore PATH [VERSION]")


def ways_to_overwrite():
    path = SITE / "f"
    path.write_text("one\n")
    expect(not (OURS / "versions/f").exists(), "a file that was made has a version")
    shell("echo two > f")
    expect_eq(previous("f"), "one\n", "after >")
    shell("sed -i s/two/three/ f")
    expect_eq(previous("f"), "two\n", "after sed -i")
    shell("echo four > g && mv g f")
    expect_eq(previous("f"), "three\n", "after mv")
    with open(path, "r+", encoding="utf-8") as file:
        file.write("F")
        file.write("O")
    expect_eq(read(path), "FOur\n")
    expect_eq(previous("f"), "four\n", "after r+")
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[0:4] = b"mmap"
        memory.flush()
    expect_eq(previous("f"), "FOur\n", "after mmap")
    os.truncate(path, 2)
    expect_eq(previous("f"), "mmap\n", "after truncate")
    count = len(os.listdir(OURS / "versions/f"))
    shell("echo appended >> f")
    expect_eq(len(os.listdir(OURS / "versions/f")), count, "versions after an append")
    version = newest("f")[2:]
    expect_has(ctl(f"restore f {version}"), f"restored /workspaces/site/f from {version}")
    expect_eq(read(path), "mmap\n")


def what_another_closed_meanwhile_is_kept():
    """A program that holds its log open writes over what others have put there since."""
    for name, start in (("made", None), ("emptied", "old\n"), ("changed", "first state\n")):
        path, place = SITE / f"held-{name}", OURS / f"versions/held-{name}"
        if start is not None:
            path.write_text(start)
        flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if name == "emptied" else 0)
        held = os.open(path, flags)
        os.pwrite(held, b"mine", 0)
        shell(f"echo precious >> held-{name}")
        theirs = read(path)
        expect_has(theirs, "precious\n", name)
        os.pwrite(held, b"XX", 0)
        os.pwrite(held, b"XX", 1)
        os.ftruncate(held, 3)
        os.close(held)
        kept = [read(place / each) for each in sorted(os.listdir(place), key=int)]
        expect_eq(kept, ([start] if start else []) + [theirs], name)
        rows = [row["data"] for row in M.journal() if row["data"].get("path") == f"/workspaces/site/held-{name}"]
        expect_eq(sum("kept" in row for row in rows), len(kept), f"rows of {name}")


def whatever_way_another_changed_it():
    """The state at its close is kept, also where it was synced, cut or stored through a mapping."""
    def synced(_path, other):
        os.pwrite(other, b"B", 3)
        os.fsync(other)

    def cut(_path, other):
        os.ftruncate(other, 5)

    def cut_by_path(path, _other):
        os.truncate(path, 5)

    def mapped(_path, other):
        with mmap.mmap(other, 10) as memory:
            memory[1:5] = b"BBBB"
            memory.flush()

    for way in (synced, cut, cut_by_path, mapped):
        path, place = SITE / f"way-{way.__name__}", OURS / f"versions/way-{way.__name__}"
        path.write_text("0123456789")
        held = os.open(path, os.O_RDWR)
        os.pwrite(held, b"A", 0)
        other = os.open(path, os.O_RDWR)
        way(path, other)
        os.close(other)
        theirs = read(path)
        os.pwrite(held, b"Z" * 10, 0)
        os.close(held)
        kept = [read(place / each) for each in sorted(os.listdir(place), key=int)]
        expect(theirs in kept and kept[0] == "0123456789", f"{way.__name__}: {theirs} is not in {kept}")


def what_was_written_is_told_before_its_name_goes():
    for way in ("gone", "over", "moved", "emptied"):
        path = SITE / f"told-{way}"
        path.write_text("first\n")
        count = len(M.journal())
        file = os.open(path, os.O_RDWR)
        os.pwrite(file, b"FIRST", 0)
        if way == "gone":
            path.unlink()
        elif way == "over":
            (SITE / "told-new").write_text("new\n")
            (SITE / "told-new").rename(path)
        elif way == "moved":
            path.rename(SITE / "told-else")
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
        rows = [row for row in M.journal()[count:] if row["data"].get("path") == f"/workspaces/site/{path.name}"
                and row["kind"] == "tree.write"]
        expect_eq(len(rows), 1, f"rows of what was written, {way}")
        expect_eq((rows[0]["data"]["bytes"], "number" in rows[0]["data"]["kept"]), (5, True), way)
        os.close(file)


def what_is_closed_and_not_written_over_is_not_kept():
    path, place = SITE / "appended", OURS / "versions/appended"
    held = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(3):
        shell("echo theirs >> appended")
        os.write(held, f"{number}\n".encode())
    copy = os.dup(held)
    os.close(copy)  # no other open
    os.ftruncate(held, 4)
    os.close(held)
    texts = [read(place / each) for each in os.listdir(place)]
    expect_eq(texts, ["theirs\n0\ntheirs\n1\ntheirs\n2\n"])


def vim():
    if not shutil.which("vim"):
        return
    (SITE / "v").write_text("before\n")
    shell("vim -es -u NONE -c 's/before/after/' -c wq v </dev/null", code=None)
    expect_eq(read(SITE / "v"), "after\n")
    expect_eq(previous("v"), "before\n", "what vim's save kept under the file's own name")


def what_a_backup_was_made_of():
    """The file's own name has it, too, once the backup goes; and it stays, whatever is ignored."""
    path, backup = SITE / "edited", SITE / "edited~"
    contents = lambda: [read(OURS / "versions/edited" / name)
                        for name in sorted(os.listdir(OURS / "versions/edited")) if name.isdigit()]
    path.write_text("one\n")
    for text in ("two\n", "three\n"):
        path.rename(backup)
        path.write_text(text)
    expect_eq(contents(), ["one\n"], "of which the backup was replaced")
    backup.unlink()
    expect_eq(contents(), ["one\n", "two\n"], "when it has gone")
    ctl("drop edited~")
    ctl("restore edited")
    expect_eq(read(path), "two\n")
    path.rename(SITE / "another")
    (SITE / "another").unlink()
    expect_eq(len(contents()), 3, "of one that was only renamed nothing more")
    expect_errno("ENOENT", lambda: read(OURS / "trash/edited"))


def rm_and_restore():
    fill(SITE)
    before = tree(SITE / "src")
    shutil.rmtree(SITE / "src")
    expect_eq(set(os.listdir(OURS / "trash/src")),
              {f"f{n}.c" for n in range(40)} | {"deep", "empty", "run", "link", "bare"})
    expect_eq(read(OURS / "trash/src/f3.c"), "int f3;\n" * 4)
    expect_eq(os.stat(OURS / "trash/src/f1.c").st_mtime_ns, 1_234_567_890_123_456_789)
    tell(OURS / "ctl", "restore src\n")
    expect_eq(tree(SITE / "src"), before, "what restore brought back")
    expect(not (OURS / "trash/src").exists(), "what is back is still in the trash")
    (SITE / "src/f2.c").unlink()
    tell(OURS / "ctl", "restore src/f2.c\n")
    expect_eq(tree(SITE / "src"), before, "one file restored")


def odd_times_come_back():
    """Before 1970, and beyond what 64 bits of nanoseconds hold, of which the nearest is told."""
    odd = SITE / "odd"
    odd.mkdir()
    most = 2**63 - 1
    times = {"half": (-500_000_000, -500_000_000), "old": (-(10**18) - 1, -(10**18) - 1), "0": (0, 0),
             "far": (10_413_792_000 * 10**9, most), "now": (1_500_000_000 * 10**9,) * 2}
    for name, (time, _) in times.items():
        (odd / name).write_text(name, encoding="utf-8")
        os.utime(odd / name, ns=(time, time))
    shutil.rmtree(odd)
    for name, (_, time) in times.items():
        kept = OURS / "trash/odd" / name
        expect_eq(os.stat(kept).st_mtime_ns, time, f"the time of the trash's {name}")
    tell(OURS / "ctl", "restore odd\n")
    for name, (_, time) in times.items():
        expect_eq(read(odd / name), name)
        expect_eq(os.stat(odd / name).st_mtime_ns, time, f"the time of {name}")
    shutil.rmtree(odd)


def names_come_back_as_status_writes_them():
    """Names that are no UTF-8, or have blanks and quotes, in the quotes that git gives them."""
    names = {b"n\xff\xfe": '"n\\377\\376"', b'a "b" ': '"a \\"b\\" "', b"two\nlines": '"two\\nlines"'}
    top = M / "workspaces/names"
    top.mkdir()
    told = lambda line: command(top / ".agentfs/ctl", line)
    told("checkpoint before")
    for name, quoted in names.items():
        path = os.path.join(os.fsencode(top), name)
        with open(path, "wb") as file:
            file.write(name)
        expect_has(read(top / ".agentfs/status"), f"A\t{quoted}\n")
        os.unlink(path)
        told(f"restore {quoted}")
        with open(path, "rb") as file:
            expect_eq(file.read(), name, quoted)
        os.unlink(path)
        told(f"drop {quoted}")
        expect_errno("ENOENT", told, f"restore {quoted}")
    expect_errno("EINVAL", told, 'fork "f\\377"')
    expect_errno("EINVAL", told, 'restore "f\\000"')


def a_file_that_came_after_a_directory():
    """Either comes back, and what cannot come back says why and has changed nothing."""
    top = SITE / "after"
    (top / "dir").mkdir(parents=True)
    (top / "dir/a").write_text("A\n")
    shutil.rmtree(top / "dir")
    (top / "dir").write_text("file\n")
    expect_errno("ENOTDIR", ctl, "restore after/dir/a")
    expect_has(M.last_error(), "no directory has this name now")
    (top / "dir").unlink()
    both = OURS / "trash/after/dir"
    expect_eq(sorted(read(both / name) for name in os.listdir(both)), ["A\n", "file\n"], "in the trash")
    ctl("restore after/dir")
    expect_eq(read(top / "dir"), "file\n")
    (top / "dir").unlink()
    ctl("restore after/dir/a")
    expect_eq(read(top / "dir/a"), "A\n")
    shutil.rmtree(top)


def a_version_is_told_from_a_file_that_has_its_number_as_a_name():
    path = SITE / "turned"
    path.write_text("one\n")
    path.write_text("two\n")
    number = os.path.basename(newest("turned"))
    path.unlink()
    path.mkdir()
    (path / number).write_text("inner one\n")
    (path / number).write_text("inner two\n")
    expect_eq(previous(f"turned/{number}"), "inner one\n", "of the file")
    expect_has(os.listdir(OURS / "versions/turned"), f"0{number}", "the versions of the path")
    expect_eq(read(OURS / "versions/turned" / f"0{number}"), "one\n", "its first version")
    ctl(f"restore turned/{number} {int(os.path.basename(newest(f'turned/{number}')))}")
    expect_eq(read(path / number), "inner one\n", "what was brought back")
    shutil.rmtree(path)


def what_has_no_way_back_stays_and_is_told():
    top = SITE / "ways"
    for name in ("a", "y/s/q", "z"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    elsewhere = M / "workspaces/ways-elsewhere"
    elsewhere.mkdir()
    for way in ("file", "link"):
        for name in ("a", "z"):
            (top / name).unlink()
        shutil.rmtree(top / "y")
        if way == "file":
            (top / "y").write_text("in the way\n")
        else:
            os.symlink("../../ways-elsewhere", top / "y")
        for path in ("ways/y/s", "ways/y/s/q"):
            expect_errno("ENOTDIR", ctl, f"restore {path}")
            expect_has(M.last_error(), "ways/y: no directory has this name now")
        expect_eq((os.listdir(top), os.listdir(elsewhere)), (["y"], []))
        before = os.lstat(top / "y")
        said = ctl("restore ways")
        expect_has(said, "restored 2 paths")
        expect_has(said, "2 paths stay in the trash, since /workspaces/site/ways/y is no directory now")
        expect_eq((sorted(os.listdir(top)), os.listdir(elsewhere)), (["a", "y", "z"], []))
        expect_eq(os.lstat(top / "y").st_mtime_ns, before.st_mtime_ns, "what is in the way")
        (top / "y").rename(SITE / "aside")
        ctl("restore ways")
        (SITE / "aside").unlink()
        expect_eq([read(top / name) for name in ("a", "y/s/q", "z")], ["a", "y/s/q", "z"])
    elsewhere.rmdir()
    shutil.rmtree(top)


def a_directory_that_was_made_again_gets_its_mode_with_what_was_in_it():
    top = SITE / "closed"
    top.mkdir(mode=0o700)
    top.chmod(0o700)
    os.setxattr(top / ".", "user.z", b"z")
    (top / "secret").write_text("secret\n")
    shutil.rmtree(top)
    top.mkdir(mode=0o755)
    ctl("restore closed")
    expect_eq((os.stat(top).st_mode & 0o777, os.getxattr(top, "user.z"), os.listdir(top)), (0o700, b"z", ["secret"]))
    top.chmod(0o750)
    (top / "secret").unlink()
    ctl("restore closed")
    expect_eq((os.stat(top).st_mode & 0o777, os.listdir(top)), (0o750, ["secret"]), "of one that stayed")
    shutil.rmtree(top)


def names_of_one_file_come_back_as_such():
    """Hard links, FIFOs, sockets and links of a directory that was removed are there as before."""
    top = SITE / "several"
    (top / "sub").mkdir(parents=True)
    (top / "a").write_text("shared\n")
    os.link(top / "a", top / "sub/b")
    os.link(top / "a", top / "z")
    os.link(top / "a", SITE / "outside")
    os.symlink("a", top / "link")
    os.utime(top / "link", ns=(10**18, 10**18 + 1), follow_symlinks=False)
    os.mkfifo(top / "fifo", 0o640)
    nobody = 2**32 - 1
    listed = acl((1, 7, nobody), (2, 5, 4711), (4, 5, nobody), (16, 5, nobody), (32, 0, nobody))
    for name, value in (("user.note", b"\xff\0kept"), ("system.posix_acl_access", listed),
                        ("system.posix_acl_default", listed)):
        os.setxattr(top / "sub", name, value)
    os.setxattr(top / "fifo", "system.posix_acl_access", listed)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(top / "socket"))
    (top / "alone").write_text("alone\n")
    if os.geteuid() == 0:
        os.setxattr(top / "alone", "security.capability", b"\x01\0\0\x02\x20" + bytes(15))
    xattrs = lambda: {f"{path.name}: {name}": os.getxattr(path, name)
                      for path in (top / "sub", top / "fifo", top / "sub/b", top / "alone")
                      for name in os.listxattr(path) if not name.startswith("user.agentfs")}
    attributes = xattrs()
    look = lambda: {str(path.relative_to(top)): (oct(path.lstat().st_mode), path.lstat().st_mtime_ns)
                    for path in sorted(top.rglob("*")) if path.is_symlink() or not path.is_dir()}
    before = look()
    shutil.rmtree(top)
    trash = OURS / "trash/several"
    expect_eq(sorted(os.listdir(trash)), ["alone", "fifo", "link", "socket", "sub"], "the trash")
    expect_errno("ENOENT", ctl, "restore several/z")
    expect_has(M.last_error(), "has another, since")
    (SITE / "outside").unlink()
    expect_eq(read(trash / "z"), "shared\n")
    expect_eq(len(os.listdir(OURS / "versions/several/sub/b")), 1, "versions of what is whole now")
    ctl("restore several")
    expect_eq(look(), before, "what came back")
    expect_eq(xattrs(), attributes, "its extended attributes and ACLs")
    numbers = {(top / name).stat().st_ino for name in ("a", "sub/b", "z")}
    expect_eq((len(numbers), (top / "z").stat().st_nlink), (1, 3), "files, and names of it")
    with open(top / "z", "a", encoding="utf-8") as file:
        file.write("more\n")
    expect_eq(read(top / "sub/b"), "shared\nmore\n")
    (top / "z").unlink()
    M.umount()
    M.mount()
    (top / "a").unlink()
    (top / "sub/b").unlink()
    ctl("restore several/z")
    expect_eq(read(top / "z"), "shared\nmore\n", "one of the names alone")
    shutil.rmtree(top)


def an_empty_file_comes_back_with_its_attributes():
    top = SITE / "hollow"
    top.mkdir()
    nobody = 2**32 - 1
    listed = acl((1, 6, nobody), (2, 6, 4711), (4, 4, nobody), (16, 6, nobody), (32, 4, nobody))
    for name in ("made", "emptied"):
        (top / name).write_text("" if name == "made" else "text\n")
        os.setxattr(top / name, "user.note", b"kept")
        os.setxattr(top / name, "system.posix_acl_access", listed)
        os.truncate(top / name, 0)
    (top / "made").unlink()
    ctl("restore hollow/made")
    shutil.rmtree(top)
    ctl("restore hollow")
    for name in ("made", "emptied"):
        expect_eq((os.getxattr(top / name, "user.note"), os.getxattr(top / name, "system.posix_acl_access")),
                  (b"kept", listed), name)
    shutil.rmtree(top)


def a_directory_comes_back_as_it_was_with_the_first_file_in_it():
    """Also where it is there again, by its own name."""
    private, lists = SITE / "private", acl((1, 7, 0xFFFFFFFF), (2, 5, 33), (4, 0, 0xFFFFFFFF), (0x10, 5, 0xFFFFFFFF),
                                           (0x20, 0, 0xFFFFFFFF))
    (private / "inner").mkdir(parents=True)
    os.setxattr(private / "inner", "system.posix_acl_default", lists)
    os.chown(private, 65534, 65534)
    for path, mode in ((private / "inner", 0o2770), (private, 0o700)):
        path.chmod(mode)
    for name in ("secret", "other"):
        (private / "inner" / name).write_text("secret\n")

    def dress():
        return [(os.stat(path).st_mode & 0o7777, os.stat(path).st_uid) for path in (private, private / "inner")]

    was = dress()
    shutil.rmtree(private)
    ctl("restore private/inner/secret")
    expect_eq(dress(), was)
    expect_eq(os.getxattr(private / "inner", "system.posix_acl_default"), lists)
    expect_eq(os.listdir(private / "inner"), ["secret"])
    [number] = [words[4] for words in (line.split("\t") for line in read(OURS / "log").splitlines())
                if words[2:4] == ["remove", "private"]]
    os.chown(private, 0, 0)
    private.chmod(0o755)
    ctl(f"restore private {number}")
    expect_eq(dress(), was, "restored by its own name")
    private.chmod(0o755)
    ctl("restore private/inner/other")
    ctl("restore private")
    expect_eq(dress(), was, "restored without a number")
    shutil.rmtree(private)


def a_file_named_as_ours_is_the_users():
    """Also for who has looked at what explains the directory before."""
    for place in ("versions", "trash"):
        expect_has(read(OURS / place / "README"), OURS.parent.name)
        run(["ls", "-l", OURS / place])
    for text in ("one\n", "two\n"):
        (SITE / "README").write_text(text)
    (SITE / "README").unlink()
    expect_eq(read(OURS / "trash/README"), "two\n")
    expect_eq(len(os.listdir(OURS / "versions/README")), 2, "versions of README")
    ctl("drop README")


def what_a_rollback_brought_back_is_not_in_the_trash():
    """Nor is it replaced where the rest of its directory comes back."""
    M.mount()
    top = M / "workspaces/rolled"
    (top / "dir").mkdir(parents=True)
    (top / "dir/x").write_text("1\n")
    told = lambda line: command(top / ".agentfs/ctl", line)
    (top / "dir/one").write_text("one\n")
    os.link(top / "dir/one", top / "dir/two")
    told("checkpoint before")
    (top / "dir/later").write_text("later\n")
    shutil.rmtree(top / "dir")
    told("rollback before")
    expect_eq(os.listdir(top / ".agentfs/trash/dir"), ["later"], "the trash")
    (top / "whole/of/it").mkdir(parents=True)
    (top / "whole/of/x").write_text("x\n")
    told("checkpoint again")
    shutil.rmtree(top / "whole")
    expect("whole" in os.listdir(top / ".agentfs/trash"), "what was removed")
    told("rollback again")
    expect("whole" not in os.listdir(top / ".agentfs/trash"), "all of it is there again")
    with open(top / "dir/x", "a", encoding="utf-8") as file:
        file.write("2\n")
    told("restore dir")
    expect_eq((read(top / "dir/x"), read(top / "dir/later")), ("1\n2\n", "later\n"))
    expect_errno("ENOENT", told, "restore dir/none")
    (top / "dir/one").unlink()
    with open(top / "dir/two", "a", encoding="utf-8") as file:
        file.write("two\n")
    (top / "dir/two").unlink()
    told("restore dir")
    expect_eq(read(top / "dir/one"), "one\ntwo\n", "a name of a file that a checkpoint has, too")
    expect((top / "dir/one").samefile(top / "dir/two"), "they are two files")
    M.verify()
    M.umount()
    M.fsck()


def what_is_forgotten_under_one_name():
    """drop of one of a removed file's names leaves its bytes to the others, until they go."""
    top = M / "workspaces/several"
    top.mkdir()
    told = lambda line: command(top / ".agentfs/ctl", line)
    held = lambda: sum(1 for _, _, files in os.walk(M.state / "past") for _ in files)
    before = held()
    (top / "a").write_text("one file\n")
    os.link(top / "a", top / "b")
    os.link(top / "a", top / "c")
    for name in "abc":
        (top / name).unlink()
    expect_has(told("drop c"), "for other names of the file")
    expect_eq(sorted(os.listdir(top / ".agentfs/trash")), ["README", "a", "b"])
    expect_errno("ENOENT", told, "restore c")
    M.umount()
    M.mount()
    told("restore a")
    expect_eq(read(top / "a"), "one file\n", "what has another name that was forgotten")
    expect_eq(held(), before + 1, "contents that are kept")
    told("drop a")
    told("drop b")
    expect_eq(held(), before, "contents kept that nothing has a name of")
    shutil.rmtree(top)


def no_name_takes_the_bytes_of_another_file():
    """Of a file whose last name is not kept, or was forgotten, nothing comes back as its other."""
    top = M / "workspaces/reused"
    (top / ".git").mkdir(parents=True)
    told = lambda line: command(top / ".agentfs/ctl", line)
    for number in range(20):
        (top / f"a{number}").write_text("one\n")
        os.link(top / f"a{number}", top / f".git/b{number}")
        os.unlink(top / f"a{number}")
        os.unlink(top / f".git/b{number}")
        (top / f"c{number}").write_text("one\n")
        os.link(top / f"c{number}", top / f"d{number}")
        os.unlink(top / f"c{number}")
        os.unlink(top / f"d{number}")
        told(f"drop c{number}")
        told(f"drop d{number}")
    for number in range(60):
        (top / f"z{number}").write_text("unrelated\n")
        os.unlink(top / f"z{number}")
    trash = top / ".agentfs/trash"
    expect_eq({name[0] for name in os.listdir(trash) if name != "README"}, {"z"}, "the trash")
    expect_errno("ENOENT", told, "restore a0")
    expect_errno("ENOENT", told, "restore c0")
    shutil.rmtree(top)


def restore_makes_versions():
    path = SITE / "r"
    path.write_text("old\n")
    shell("echo new > r")
    tell(OURS / "ctl", "restore r\n")
    expect_eq(read(path), "old\n")
    expect_eq(previous("r"), "new\n", "what restore replaced")
    expect_eq(os.stat(path).st_nlink, 1, "links of what was restored")
    with open(path, "r+", encoding="utf-8") as file:
        file.write("OLD")
    texts = [read(OURS / "versions/r" / name) for name in os.listdir(OURS / "versions/r")]
    expect_eq(sorted(texts), ["new\n", "old\n", "old\n"])
    rows = [row for row in M.journal() if row["data"].get("other", "") == "/workspaces/site/r"]
    expect_eq(rows[-1]["user"], "root" if os.getuid() == 0 else rows[-1]["user"])
    expect("kept" in rows[-1]["data"], f"no `kept` in {rows[-1]}")


def mistakes_are_told():
    for line, name in (("restore ../../etc/passwd", "EINVAL"), ("restore nowhere", "ENOENT"),
                       ("restore r 999999", "ENOENT"), ("restore r x", "EINVAL"),
                       ("restore", "EINVAL"), ("drop nowhere", "ENOENT")):
        expect_errno(name, tell, OURS / "ctl", line + "\n")
    expect_errno("EINVAL", tell, OURS / "ctl", "restore r 99999999999999999999\n")
    expect_has(M.last_error(), "99999999999999999999 is too large; the largest is 18446744073709551615")
    expect_errno("EACCES", open, OURS / newest_path("r"), "r+")
    expect_errno("EPERM", os.unlink, OURS / "log")


def newest_path(path):
    return "versions/" + newest(path)


def a_real_directory_stays_usable():
    (SITE / ".agentfs/context.d").mkdir(parents=True)
    (SITE / ".agentfs/context.d/10-rules.md").write_text("Be brief.\n")
    expect_eq(os.listdir(OURS), ["context.d"])
    expect(".agentfs" in os.listdir(SITE), "the real directory is not listed")
    expect_has(read(OURS / "README"), "restore")
    expect((OURS / "trash").is_dir(), "trash is not there any more")
    os.rename(SITE / ".agentfs/context.d/10-rules.md", SITE / "moved.md")
    os.rename(SITE / "moved.md", SITE / ".agentfs/moved.md")
    expect_eq(read(SITE / ".agentfs/moved.md"), "Be brief.\n")
    expect_errno("EACCES", os.rename, SITE / ".agentfs/moved.md", SITE / ".agentfs/log")
    shutil.rmtree(SITE / ".agentfs")
    expect(".agentfs" not in os.listdir(SITE), "rm -rf left the real directory")


def table():
    """Where the files of ours are themselves: with io_uring they are links in a workspace."""
    return (OURS / "log").resolve().parent


def what_is_not_kept_is_told():
    etc = M / "etc/history.toml"
    etc.write_text("days = 0\n")
    (SITE / "brief").write_text("x\n")
    (SITE / "brief").unlink()
    expect_errno("ENOENT", tell, OURS / "ctl", "restore brief\n")
    expect_has(M.last_error(), "nothing is kept while days is 0 in /etc/history.toml")
    etc.unlink()
    expect_errno("ENOENT", tell, OURS / "ctl", "fork my site\n")
    expect_has(M.last_error(), "a name of the fork that has blanks is one word in double quotes")


def what_cannot_be_done_to_a_generated_file_is_told():
    (SITE / "mine").write_text("mine\n")
    for name, word, act, args in (
            ("EPERM", "log: removing", os.unlink, (table() / "log",)),
            ("EPERM", "trash: removing", os.rmdir, (table() / "trash",)),
            ("EACCES", "log: is generated", os.rename, (SITE / "mine", OURS / "log"))):
        expect_errno(name, act, *args)
        expect_has(M.last_error(), word)
    expect_eq(read(SITE / "mine"), "mine\n")


def saved_by_names_that_tell_nothing():
    """They lie with the user's until they are renamed onto one of ours."""
    for others in ((), ("kept.md",)):
        for other in others:
            (OURS / other).write_text("the user's\n")
            expect_errno("EACCES", os.rename, OURS / other, OURS / "log")
        for name, most in (("t.out", 6000), ("tmpk3_x9a0b", 7000), ("sedAbCdEf", 8000)):
            (OURS / name).write_text(f"inodes {most}\n")
            os.rename(OURS / name, OURS / "limits")
            expect_has(read(OURS / "limits"), f"inodes {most}")
            expect_eq([one for one in (*others, name) if (OURS / one).exists()], list(others))
        expect_eq(".agentfs" in os.listdir(SITE), bool(others), "a directory of the user's")
        (OURS / "t.out").write_text("inodes nonsense\n")
        expect_errno("EINVAL", os.rename, OURS / "t.out", OURS / "limits")
        (OURS / "t.out").unlink()
    shutil.rmtree(OURS)


def a_file_is_saved_beside_its_name():
    """As sed, vim and many tools do: a temporary file, renamed onto it."""
    run(["sed", "-i", "s/inodes.*/inodes 5000/", table() / "limits"])
    expect_has(read(OURS / "limits"), "inodes 5000")
    saved = table() / ".limits.tmp.1"
    saved.write_text("inodes nonsense\n")
    expect_errno("EINVAL", os.rename, saved, table() / "limits")
    expect_has(M.last_error(), "nonsense")
    saved.write_text("inodes unlimited\n")
    os.rename(saved, table() / "limits")
    expect_has(read(OURS / "limits"), "inodes unlimited")
    expect(".agentfs" not in os.listdir(SITE), "saving a file of ours made a directory of the user's")
    if not (OURS / "log").is_symlink():
        saved_by_names_that_tell_nothing()
    # What is the user's stays the user's.
    (OURS / "sedAbCdEf").write_text("not ours\n")
    shutil.move(OURS / "sedAbCdEf", OURS / "notes.md")
    (OURS / ".notes.md.swp").write_text("the user's\n")
    expect_eq(sorted(os.listdir(OURS)), [".notes.md.swp", "notes.md"])
    expect_eq(read(M.state / "trees/workspaces" / SITE.name / ".agentfs/notes.md"), "not ours\n")
    shutil.rmtree(OURS)


def unlinked_while_open():
    path = SITE / "open"
    path.write_text("still here\n")
    with open(path, encoding="utf-8") as file:
        expect_eq(os.fstat(file.fileno()).st_nlink, 1)
        path.unlink()
        expect_eq(os.fstat(file.fileno()).st_nlink, 0, "links of a removed file")
        expect_eq(file.read(), "still here\n")
    expect_eq(read(OURS / "trash/open"), "still here\n")


def what_is_kept_is_not_written_any_more():
    """By whoever has it open, be it before the name goes or after."""
    for number, act in enumerate((os.unlink, lambda path: os.rename(SITE / "over", path))):
        path = SITE / f"held-{number}"
        path.write_text("old\n")
        (SITE / "over").write_text("other\n")
        with open(path, "r+b", buffering=0) as held, open(path, "r+b", buffering=0) as late:
            with mmap.mmap(late.fileno(), 0) as mapped:
                act(path)
                held.write(b"NEW")
                mapped[0:1] = b"X"
                mapped.flush()
                expect_eq(held.seek(0), 0)
                expect_eq(held.read(), b"XEW\n", "what its own descriptor reads")
                expect_eq(previous(path.name), "old\n", "what is kept of it")
        expect_eq(previous(path.name), "old\n", "what is kept of it, when it is closed")
        ctl(f"restore {path.name}")
        expect_eq(read(path), "old\n", "what is restored")


def what_is_removed_and_opened_again_is_another_file():
    """By a descriptor a file can be written that has no name any more: not what is kept of it."""
    for number, flags in enumerate((os.O_WRONLY | os.O_TRUNC, os.O_RDWR)):
        path = SITE / f"again-{number}"
        path.write_text("as it was\n")
        with open(path, "rb") as held:
            path.unlink()
            again = os.open(f"/proc/self/fd/{held.fileno()}", flags)
            os.write(again, b"NEW")
            os.close(again)
            expect_eq(os.fstat(held.fileno()).st_nlink, 0, "its names")
            expect_eq(held.read(3), b"NEW", "what is written")
        expect_eq(read(OURS / "trash" / path.name), "as it was\n", path.name)


def what_a_restore_replaces_is_not_written_any_more():
    """Who has it open is told; acknowledged, such a write would be nowhere."""
    path = SITE / "replaced"
    path.write_text("one\n")
    path.write_text("two\n")
    with open(path, "r+b", buffering=0) as held:
        ctl("restore replaced")
        expect_errno("ESTALE", held.write, b"nowhere")
        expect_errno("ESTALE", held.truncate, 1)
        expect_has(M.last_error(), "open it again")
    expect_eq((read(path), previous("replaced")), ("one\n", "two\n"), "the file and its version")
    with open(path, "r+b", buffering=0) as held:
        held.write(b"THREE\n")
    expect_eq(read(path), "THREE\n")


def a_restore_beside_a_writer_loses_nothing():
    """What was closed before both is there or a version, whichever comes first."""
    path, versions = SITE / "raced", OURS / "versions/raced"
    path.write_text("first\n")
    path.write_text("second\n")
    first = min(name for name in os.listdir(versions) if name.isdigit())
    told = []

    def overwrite():
        try:
            with open(path, "r+b", buffering=0) as file:
                file.write(b"X" * 24)
        except OSError as error:
            told.append(error.errno)

    for number in range(120):
        content = f"content {number:04}\n"
        path.write_text(content)
        writer = threading.Thread(target=overwrite)
        writer.start()
        ctl(f"restore raced {first}")
        writer.join()
        kept = [name for name in os.listdir(versions) if name.isdigit()]
        texts = [read(versions / name) for name in sorted(kept)[-4:]] + [read(path)]
        expect_has(texts, content, f"round {number}")
    expect_eq(set(told) - {errno.ESTALE}, set(), "errors of the writer")


def the_past_goes_along_with_a_directory():
    """Of a workspace, too; what is made under the old name has none of it."""
    old, new = M / "workspaces/old", M / "workspaces/new"
    told = lambda line: command(new / ".agentfs/ctl", line)
    (old / "src/deep").mkdir(parents=True)
    for path in (old / "main.c", old / "src/deep/x.c"):
        path.write_text("one\n")
        path.write_text("two\n")
    (old / "src/gone").write_text("gone\n")
    (old / "src/gone").unlink()
    old.rename(new)
    (new / "src").rename(new / "lib")
    old.mkdir()
    for name in ("versions", "trash"):
        expect_eq(os.listdir(old / ".agentfs" / name), ["README"], f"{name} of the new one")
    for restarted in (False, True):
        if restarted:
            M.umount()
            M.mount()
        ours = new / ".agentfs"
        for path in ("main.c", "lib/deep/x.c"):
            numbers = [name for name in os.listdir(ours / "versions" / path) if name.isdigit()]
            expect_eq([read(ours / "versions" / path / each) for each in numbers], ["one\n"], path)
        expect_eq(read(ours / "trash/lib/gone"), "gone\n")
    told("restore lib/gone")
    expect_eq(read(new / "lib/gone"), "gone\n")
    (new / "src").mkdir()
    (new / "src/x").write_text("x\n")
    (new / "src/x").unlink()
    renameat2(new / "src", new / "lib", EXCHANGE)
    expect_eq(read(new / ".agentfs/trash/lib/x"), "x\n", "after an exchange")
    told("drop src")
    shutil.rmtree(new)
    old.rmdir()
    M.verify()


def what_is_not_kept():
    shell("git init -q repo && cd repo && git config user.email a@b && git config user.name a && "
          "echo 1 > t && git add t && git commit -qm 1 && echo 2 > t && git commit -qam 2 && "
          "git checkout -q HEAD~1")
    expect_eq(read(SITE / "repo/t"), "1\n")
    expect_has([read(OURS / "versions/repo/t" / n) for n in os.listdir(OURS / "versions/repo/t")],
               "2\n", "git checkout")
    expect(not (OURS / "versions/repo/.git").exists(), "versions below .git")
    (M / "tmp/x").write_text("x")
    (M / "tmp/x").unlink()
    (SITE / "hard").write_text("two names\n")
    os.link(SITE / "hard", SITE / "hard2")
    (SITE / "hard").unlink()
    expect(not (OURS / "trash/hard").exists(), "a name of two was kept")
    (SITE / "hard2").unlink()
    expect_eq(read(OURS / "trash/hard2"), "two names\n")
    (M / "etc/history.toml").write_text("largest_bytes = 10\n")
    (SITE / "big").write_text("more than ten bytes\n")
    (SITE / "big").unlink()
    row = [r for r in M.journal() if r["data"].get("path") == "/workspaces/site/big"][-1]
    expect_has(row["data"]["kept"]["reason"], "more than 10")
    told = [line for line in read(OURS / "log").splitlines() if "\tremove\tbig\t" in line][-1]
    expect_has(told, "- (20 bytes are more than 10)", "what the log says of it")
    (M / "etc/history.toml").unlink()


def programs_read_it():
    run(["tar", "cf", "/dev/null", "-C", OURS, "versions", "trash"])
    copy = M.state.parent / "copy"
    shutil.copytree(OURS / "versions", copy, symlinks=True)
    expect_eq(run(["diff", "-r", copy, OURS / "versions"]), "")
    expect_has(read(OURS / "log"), "\tremove\t")
    expect_has(read(OURS / "usage"), "history_bytes\t")


def a_real_directory_is_listed():
    """Also where the host's kernel keeps the listing of before it was made, and by making in it."""
    top = M / "workspaces/listed"
    top.mkdir()
    (top / "a").touch()
    for _ in range(3):
        expect_eq(os.listdir(top), ["a"])
    (top / ".agentfs/context.d").mkdir()
    expect_eq(sorted(os.listdir(top)), [".agentfs", "a"])
    shutil.rmtree(top)


def forgetting():
    (SITE / "secret").write_text("password\n")
    (SITE / "secret").unlink()
    tell(OURS / "ctl", "drop secret\n")
    expect(not (OURS / "trash/secret").exists(), "it is still in the trash")
    held = run(["grep", "-rl", "password", M.state / "past"], code=None)
    expect_eq(held, "", "files of the store that hold it")


def what_a_kill_finds_half_forgotten_is_forgotten():
    """By who asked for it; fsck finds nothing amiss in between."""
    own = Mount.of("half-forgotten")
    own.mount()
    space = own / "workspaces/w"
    space.mkdir()
    for number in range(1500):
        (space / f"f{number % 30}").write_text(f"{number}\n")
    drops, daemon = own.state / "drops", own.daemon()
    asked = subprocess.Popen(["sh", "-c", "echo drop . > .agentfs/ctl"], cwd=space, stderr=subprocess.DEVNULL)
    wait_until(20, lambda: drops.exists() and [name for name in os.listdir(drops) if not name.endswith("-new")], "an order")
    kill(daemon, signal.SIGKILL)
    asked.wait()
    wait_until(30, lambda: own.answers() not in (0, daemon), "a mount that answers")
    expect_eq(os.listdir(drops), [])
    expect_eq([name for name in os.listdir(space / ".agentfs/versions") if name != "README"], [])
    rows = [row for row in own.journal() if row["kind"] == "history.drop"]
    expect_eq({row["data"]["reason"] for row in rows}, {"asked"})
    own.umount()
    own.fsck()


def killed_in_the_middle_of_rm():
    for number in range(4):
        top = SITE / f"kill{number}"
        top.mkdir()
        fill(top, 300)
        for each in range(150):
            (top / f"src/bare{each}").mkdir(mode=0o700)
            (top / f"src/link{each}").symlink_to(f"f{each}.c")
        before = tree(top)
        remover = subprocess.Popen(["rm", "-rf", str(top)], stderr=subprocess.DEVNULL)
        wait_until(20, lambda: not (top / f"src/f{number * 60}.c").exists(), "rm has begun")
        daemon = M.daemon()
        kill(daemon, signal.SIGKILL)
        remover.wait()
        wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
        left = tree(top) if top.exists() else {}
        if left.keys() != before.keys():
            tell(OURS / "ctl", f"restore kill{number}\n")
        after = tree(top)
        expect_eq({k: v for k, v in before.items() if v[0] != "directory"},
                  {k: v for k, v in after.items() if v[0] != "directory"}, f"round {number}")
        expect_eq(before.keys(), after.keys())
    M.verify()


def a_kill_finds_what_was_kept_of_open_files():
    """By paths longer than the names of the store, as below node_modules; by names that are no
    UTF-8; and where a directory on the way, or the workspace, has another name by then."""
    own = Mount.of("open-files")
    own.mount()
    space = own / "workspaces/w"
    below = pathlib.Path(*[f"some-directory-of-a-dependency-{number}" for number in range(9)])
    names = [below / "written", pathlib.Path("caf\udce9"), pathlib.Path("build/f")]
    for name in [*names, below / "removed"]:
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_text(f"old of {name.name}\n", errors="surrogateescape")
    (own / "workspaces/named").mkdir()
    (own / "workspaces/named/f").write_text("old of named\n")
    daemon = own.daemon()
    opened = [os.open(file, os.O_RDWR)
              for file in [*(space / name for name in names), own / "workspaces/named/f"]]
    for file in opened:
        os.pwrite(file, b"OLD", 0)
    (space / "build").rename(space / "build.old")
    (space / "build").mkdir()
    (space / "build/f").write_text("another\n")
    (own / "workspaces/named").rename(own / "workspaces/renamed")
    kill(daemon, signal.SIGKILL)
    for file in opened:
        with contextlib.suppress(OSError):  # nobody is there to answer
            os.close(file)
    wait_until(30, lambda: own.answers() not in (0, daemon), "a mount that answers")
    (space / below / "removed").unlink()
    for _ in range(2):
        versions = space / ".agentfs/versions"
        expect_eq(sorted(set(os.listdir(versions)) - {"README"}),
                  ["build.old", "caf\udce9", below.parts[0]])
        for name in [below / "written", pathlib.Path("caf\udce9"), pathlib.Path("build.old/f")]:
            kept = [each.read_text(errors="surrogateescape")
                    for each in sorted((versions / name).iterdir())]
            expect_eq(kept, [f"old of {name.name}\n"])
        other = own / "workspaces/renamed/.agentfs/versions/f"
        expect_eq([read(each) for each in sorted(other.iterdir())], ["old of named\n"])
        expect_eq(read(space / ".agentfs/trash" / below / "removed"), "old of removed\n")
        expect_eq(set(os.listdir(space / ".agentfs/trash")) - {"README"}, {below.parts[0]})
        own.umount()
        own.fsck()
        own.mount()
    written = {row["data"]["path"] for row in own.journal()
               if row["kind"] == "tree.write" and "found_at_start" in row["data"]}
    expect_eq(written, {f"/workspaces/w/{below}/written", "/workspaces/w/caf\ufffd",
                        "/workspaces/w/build.old/f", "/workspaces/renamed/f"})
    own.umount()


def a_restore_that_is_killed_is_ended():
    """The next daemon brings back the rest, with the modes of directories, and leaves nothing over."""
    M.umount()
    M.mount()  # its watcher gives up after five starts within a minute
    for number in range(4):
        top = SITE / f"cut{number}"
        (top / "closed").mkdir(parents=True)
        for each in range(60):
            (top / f"f{each}").write_text(f"{each}\n")
            (top / f"closed/f{each}").write_text(f"closed {each}\n")
            os.symlink(f"f{each}", top / f"link{each}")
        os.link(top / "f7", top / "closed/seven")
        (top / "closed").chmod(0o711)
        look = lambda top=top: {str(path.relative_to(top)): (oct(path.lstat().st_mode),
                                                             path.lstat().st_nlink)
                                for path in sorted(top.rglob("*"))}
        before = look()
        shutil.rmtree(top)
        teller = subprocess.Popen(["sh", "-c", f"echo 'restore {top.name}' > .agentfs/ctl"], cwd=SITE,
                                  stderr=subprocess.DEVNULL)
        wait_until(20, lambda top=top, last=f"f{15 * number}": (top / last).exists()
                   or (top / f"closed/{last}").exists(), "the restore has begun")
        daemon = M.daemon()
        kill(daemon, signal.SIGKILL)
        teller.wait()
        wait_until(30, lambda daemon=daemon: M.answers() not in (0, daemon), "a mount that answers")
        expect_eq(look(), before, f"round {number}")
        expect_eq(os.listdir(M.state / "restores"), [], "orders that are left")
        shutil.rmtree(top)
    M.verify()


def what_a_dead_daemon_kept_is_told_with_its_change():
    """The row that the next daemon writes names the version, as that of the dead one would have."""
    name = "untold"
    (SITE / name).write_text("first\n", encoding="utf-8")
    file = os.open(SITE / name, os.O_WRONLY)
    os.pwrite(file, b"FIRST", 0)
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    with contextlib.suppress(OSError):
        os.close(file)
    [number] = os.listdir(OURS / "versions" / name)
    expect_eq(read(OURS / "versions" / name / number), "first\n")
    rows = [row["data"] for row in M.journal() if row["data"].get("path") == f"/workspaces/site/{name}"]
    expect_eq((rows[-1].get("found_at_start"), rows[-1]["kept"]["number"]), (True, int(number)))
    last = read(OURS / "log").splitlines()[-1].split("\t")
    expect(number in last, f"the last line of log, {last}")


def a_restart_changes_nothing():
    seen = tree(OURS / "versions")
    M.umount()
    M.mount()
    expect_eq(tree(OURS / "versions").keys(), seen.keys())
    M.umount()
    for directory, _, files in os.walk(M.state / "past"):
        for name in files:
            expect_eq(os.lstat(os.path.join(directory, name)).st_nlink, 1, name)


def a_directory_of_somebodys_own_called_agentfs_comes_back():
    top = SITE / "owned"
    top.mkdir()
    (top / ".agentfs/foo").write_text("own\n")
    (top / ".agentfs").chmod(0o700)
    (top / ".agentfs/d").mkdir()  # which is close to `diff`
    (top / ".agentfs/d/z").write_text("deep\n")
    (top / "keep").write_text("keep\n")
    before = {path: path.lstat().st_mode for path in (top / ".agentfs", *top.rglob("*"))}
    shutil.rmtree(top / ".agentfs/d")
    run(["rm", "-r", top])
    tell(OURS / "ctl", "restore owned\n")
    tell(OURS / "ctl", "restore owned/.agentfs/d\n")
    expect_eq({path: path.lstat().st_mode for path in before}, before)
    expect_eq([(top / one).read_text() for one in (".agentfs/foo", ".agentfs/d/z", "keep")], ["own\n", "deep\n", "keep\n"])


def a_file_called_like_a_temporary_one_comes_back_with_its_directory():
    own = SITE / "named/.agentfs-0123456789ab"
    own.parent.mkdir()
    own.write_text("somebody's\n")
    shutil.rmtree(own.parent)
    tell(OURS / "ctl", "restore named\n")
    expect_eq(read(own), "somebody's\n")


def what_a_crash_left_of_a_restore_is_gone():
    """The daemon puts a text beside the file, under such a name, before it renames it over."""
    left = SITE / "deep/er/.agentfs-0123456789ab"
    left.parent.mkdir(parents=True)
    left.write_text("half of a text\n")
    (left.parent / ".agentfs-note").write_text("a name of somebody's own\n")
    (M.state / "temporaries").write_bytes(b"/workspaces/site/deep/er/.agentfs-0123456789ab\0")
    held = os.open(left, os.O_WRONLY | os.O_APPEND)
    os.write(held, b"and more\n")
    count = len(M.journal())
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    expect_eq(os.listdir(left.parent), [".agentfs-note"])
    with contextlib.suppress(OSError):
        os.close(held)
    expect(not (OURS / "trash/deep/er" / left.name).exists(), "in the trash: nobody has made it")
    shutil.rmtree(SITE / "deep")
    tell(OURS / "ctl", "restore deep\n")
    expect_eq(os.listdir(left.parent), [".agentfs-note"])
    written = [row for row in M.journal()[count:] if row["kind"] == "tree.write"]
    expect_eq([row["data"]["path"] for row in written if row["data"]["path"].endswith(left.name)], [])


def who_stands_in_it_commands_no_other_workspace():
    first = M / "workspaces/stood-in"
    first.mkdir()
    (first / "f").write_text("old\n")
    place = os.open(first / ".agentfs", os.O_PATH | os.O_DIRECTORY)
    first.rename(M / "workspaces/stood-in-2")
    first.mkdir()
    expect_errno("ESTALE", os.open, "ctl", os.O_WRONLY, dir_fd=place)
    os.close(place)
    expect_eq(os.listdir(first / ".agentfs/snapshots"), [])
    expect_eq(os.listdir(M / "workspaces/stood-in-2/.agentfs/snapshots"), [])


def an_open_command_file_is_of_what_it_was_opened_of():
    first = M / "workspaces/bound"
    first.mkdir()
    (first / "f").write_text("old\n")
    ctl = os.open(first / ".agentfs/ctl", os.O_WRONLY)
    limits = os.open(first / ".agentfs/limits", os.O_WRONLY)
    for line in ("checkpoint one", "rollback one", "checkpoint two"):
        os.write(ctl, f"{line}\n".encode())
    second = first.rename(M / "workspaces/bound-2")
    first.mkdir()
    was = read(first / ".agentfs/limits")
    for opened, line in ((ctl, b"checkpoint three\n"), (limits, b"bytes=1000000\n")):
        expect_errno("ESTALE", os.write, opened, line)
        expect_has(M.last_error(), "opened again")
        os.close(opened)
    expect_eq(os.listdir(first / ".agentfs/snapshots"), [])
    expect_eq(read(first / ".agentfs/limits"), was)
    expect_eq(sorted(os.listdir(second / ".agentfs/snapshots")), ["one", "two", "undo-1"])


def ours_is_there_again_when_a_real_one_that_is_held_goes():
    top = M / "workspaces/held"
    top.mkdir()
    for take_away in (os.rmdir, lambda own: os.rename(own, top / "other"),
                      lambda own: os.rename(top / "other", own) or os.rmdir(own)):
        with open(top / ".agentfs/note", "w") as held:
            held.write("of the user\n")
            os.unlink(top / ".agentfs/note")
            take_away(top / ".agentfs")
            expect_has(read(top / ".agentfs/README"), "restore")
            command(top / ".agentfs/ctl", "checkpoint held")
            command(top / ".agentfs/ctl", "discard held")


def a_directory_of_documents_that_is_made_again_is_another():
    profile = M / "etc/profiles/again"
    profile.mkdir()
    held = os.open(profile, os.O_PATH | os.O_DIRECTORY)
    profile.rmdir()
    profile.mkdir()
    os.close(held)
    (profile / "context.d").mkdir()
    (profile / "context.d/10-rules.md").write_text("Be brief.\n")


def a_command_is_no_file():
    top = M / "workspaces/commands"
    top.mkdir()
    for name in ("checkpoint", "rollback", "merge", "discard"):
        expect_errno("EACCES", (top / ".agentfs" / name).write_text, "one\n")
        expect_has(M.last_error(), f"echo '{name} ")
    expect_eq(os.listdir(top), [])


main(mount_it, it_is_there_and_is_not_listed, who_stands_in_it_commands_no_other_workspace,
     a_command_is_no_file, an_open_command_file_is_of_what_it_was_opened_of,
     ours_is_there_again_when_a_real_one_that_is_held_goes,
     a_directory_of_documents_that_is_made_again_is_another, ways_to_overwrite,
     what_another_closed_meanwhile_is_kept, whatever_way_another_changed_it,
     what_was_written_is_told_before_its_name_goes, what_is_closed_and_not_written_over_is_not_kept, vim, rm_and_restore, odd_times_come_back,
     what_a_backup_was_made_of,
     a_file_called_like_a_temporary_one_comes_back_with_its_directory,
     a_directory_of_somebodys_own_called_agentfs_comes_back,
     names_come_back_as_status_writes_them, names_of_one_file_come_back_as_such,
     an_empty_file_comes_back_with_its_attributes,
     a_directory_comes_back_as_it_was_with_the_first_file_in_it, a_file_named_as_ours_is_the_users,
     what_is_forgotten_under_one_name,
     no_name_takes_the_bytes_of_another_file, a_file_that_came_after_a_directory,
     a_version_is_told_from_a_file_that_has_its_number_as_a_name,
     what_has_no_way_back_stays_and_is_told,
     a_directory_that_was_made_again_gets_its_mode_with_what_was_in_it,
     restore_makes_versions, mistakes_are_told, a_real_directory_stays_usable,
     what_is_not_kept_is_told, what_cannot_be_done_to_a_generated_file_is_told, a_file_is_saved_beside_its_name,
     a_real_directory_is_listed,
     unlinked_while_open, what_is_kept_is_not_written_any_more,
     what_is_removed_and_opened_again_is_another_file, what_is_not_kept, programs_read_it,
     the_past_goes_along_with_a_directory,
     what_a_restore_replaces_is_not_written_any_more, a_restore_beside_a_writer_loses_nothing,
     forgetting, what_a_kill_finds_half_forgotten_is_forgotten, killed_in_the_middle_of_rm, what_a_crash_left_of_a_restore_is_gone,
     a_restore_that_is_killed_is_ended, a_kill_finds_what_was_kept_of_open_files,
     what_a_dead_daemon_kept_is_told_with_its_change, a_restart_changes_nothing,
     what_a_rollback_brought_back_is_not_in_the_trash)
