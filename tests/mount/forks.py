#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Forks, checkpoints and rollbacks of whole workspaces: at once, and no byte crosses."""
import contextlib
import errno
import itertools
import json
import mmap
import os
import pathlib
import shutil
import sqlite3
import signal
import stat
import subprocess
import threading
import time

from mount_lib import (EXCHANGE, STATE, TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has,
                       kill, main, need, read, renameat2, rows_after, run, tell, wait_until)

M = Mount.of("forks")
SPACES = M / "workspaces"
OLD = b"what it was before\n"
NEW = b"WHAT IT IS NOW, AND LONGER\n"


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def refused(name, space, line):
    expect_errno(name, tell, SPACES / space / ".agentfs/ctl", line + "\n")


def shell(line, cwd, **more):
    return run(["sh", "-c", line], cwd=cwd, **more)


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def overwrite(path, data):
    with open(path, "wb") as file:
        file.write(data)


def no_number_of_the_disk_is_shown_for_two_trees():
    """What a tree gives up another gets, and both are of one device. A double has 53 bits."""
    (SPACES / "numbered").mkdir()
    bits = {}
    for tree in ("workspaces/numbered", "tmp", "home/" + os.listdir(M / "home")[0]):
        (M / tree / "f").touch()
        number, own = ((top / tree / "f").stat().st_ino for top in (M, M.state / "trees"))
        expect(number < 2**53, f"{tree}: {number}")
        bits[tree] = number ^ own
        (listed,) = (entry.inode() for entry in os.scandir(M / tree) if entry.name == "f")
        expect_eq(listed, number, f"the listing of {tree}")
        os.unlink(M / tree / "f")
    expect_eq(bits.pop("workspaces/numbered"), 0)
    expect_eq(sorted(bits.values()), [1 << 50, 3 << 50])


def restart(hard):
    """Ends the daemon, and waits for one that serves the same state."""
    if not hard:
        M.umount()
        M.mount()
        return
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")


def links_of(path, seen):
    """The number of the first name of the same file: equal where the hard links are."""
    status = os.lstat(path)
    return seen.setdefault(status.st_ino, len(seen)), status.st_nlink


def one_of(path, seen):
    """All of an entry that its copy in a fork must have, too."""
    status = os.lstat(path)
    attributes = {name: os.getxattr(path, name, follow_symlinks=False)
                  for name in os.listxattr(path, follow_symlinks=False)
                  if not name.startswith("user.agentfs.")}
    same = [stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns,
            status.st_ctime_ns, status.st_ino & 0xFFFFFFFF, sorted(attributes.items())]
    if stat.S_ISDIR(status.st_mode):
        return tuple(same)
    content = (os.readlink(path) if stat.S_ISLNK(status.st_mode) else
               bytes_of(path) if stat.S_ISREG(status.st_mode) else None)
    return (*same, status.st_size, *links_of(path, seen), content)


def tree(top):
    """Each path below, as bytes, with all that a fork shares."""
    top = os.fsencode(top)
    seen, result = {}, {}
    for directory, names, files in os.walk(top):
        names.sort()
        for name in sorted(names + files):
            path = os.path.join(directory, name)
            result[os.path.relpath(path, top)] = one_of(path, seen)
    return result


def contents(top):
    """Each path below with its type, permissions and content: what a copy has, too."""
    result = {}
    for path, entry in tree(top).items():
        result[path] = (entry[0], entry[-1] if len(entry) > 7 else None)
    return result


def expect_same_tree(seen, wanted, what):
    for path in sorted(seen.keys() | wanted.keys()):
        expect_eq(seen.get(path), wanted.get(path), f"{what}: {os.fsdecode(path)}")


def fill(top):
    """All kinds of files that a workspace may hold."""
    (top / "src/deep/er").mkdir(parents=True)
    for number in range(30):
        (top / f"src/f{number}.c").write_text(f"int f{number};\n" * (number + 1))
    (top / "src/deep/er/x").write_bytes(bytes(range(256)) * 100)
    (top / "empty").touch()
    (top / "run").write_text("#!/bin/sh\n")
    (top / "run").chmod(0o755)
    (top / "hard").write_text("two names\n")
    os.link(top / "hard", top / "src/hard2")
    (top / "link").symlink_to("src/deep/er/x")
    (top / "dangling").symlink_to("no/where")
    (top / "fixed").write_text("read only\n")
    (top / "fixed").chmod(0o444)
    (top / "closed").mkdir()
    (top / "closed/in").write_text("in a directory of 0555\n")
    (top / "closed").chmod(0o555)
    os.setxattr(top / "run", "user.colour", b"blue")
    os.setxattr(top / "src", "user.colour", b"red")
    overwrite(os.fsencode(top) + b"/not-\xff\xfe-utf-8", b"bytes\n")
    with open(top / "sparse", "wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 23)
        file.write(b"in the middle")
    os.mkfifo(top / "fifo")
    os.utime(top / "src/f1.c", ns=(1_000_000_007, 1_234_567_890_123_456_789))


def mount_it():
    M.mount()
    (SPACES / "site").mkdir()
    fill(SPACES / "site")


def a_fork_is_its_parent():
    before = tree(SPACES / "site")
    expect_has(ctl("site", "fork try-1"), "/workspaces/try-1 is a fork of /workspaces/site")
    tell(SPACES / "site/.agentfs/ctl", "fork try-2\n")
    expect_same_tree(tree(SPACES / "try-1"), before, "the fork")
    expect_same_tree(tree(SPACES / "site"), before, "the parent")
    holes = os.stat(SPACES / "try-1/sparse")
    expect(holes.st_blocks * 512 < holes.st_size // 2, f"{holes.st_blocks} blocks: not sparse")
    expect_eq(read(SPACES / "try-1/.agentfs/status"), "")
    expect_eq(read(SPACES / "try-1/.agentfs/diff"), "")
    numbers = {os.lstat(SPACES / name / "run").st_ino for name in ("site", "try-1", "try-2")}
    expect_eq(len(numbers), 3, "inode numbers of one file in three trees")


def each_goes_its_way():
    """Everything that changes in one tree; the two others stay what they were."""
    whole = {name: contents(SPACES / name) for name in ("site", "try-1", "try-2")}
    for name in ("try-1", "site"):
        shell("set -e; echo changed > src/f3.c; sed -i s/int/long/ src/f4.c; rm src/f5.c;"
              "mv src/f6.c src/g6.c; echo more >> src/f7.c; chmod 600 src/f8.c; mkdir new;"
              "echo x > new/x; ln -s x new/link; : > src/f9.c; truncate -s 5 src/f10.c;"
              "mv src/deep moved; echo other > hard; touch -d @77 src/f11.c;"
              "setfattr -n user.colour -v green run 2>/dev/null || true; rm -r closed || "
              "{ chmod 755 closed; rm -r closed; }; rm dangling; ln -s else dangling",
              SPACES / name)
        expect_eq(read(SPACES / name / "src/hard2"), "other\n", "the other name of a file")
        for other in {"site", "try-1", "try-2"} - {name}:
            expect_same_tree(contents(SPACES / other), whole[other], f"{other} after {name}")
        whole[name] = contents(SPACES / name)
    restart(hard=False)
    for name, wanted in whole.items():
        expect_same_tree(contents(SPACES / name), wanted, f"{name} after a restart")


def write_in_place(path):
    with open(path, "r+b") as file:
        file.write(NEW)


def write_by_map(path):
    os.truncate(path, len(NEW))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:] = NEW
        memory.flush()


def write_truncated(path):
    overwrite(path, NEW)


def write_renamed(path):
    overwrite(f"{path}.new", NEW)
    os.rename(f"{path}.new", path)


def write_removed(path):
    os.unlink(path)
    overwrite(path, NEW)


def write_appended(path):
    os.truncate(path, 0)
    with open(path, "ab") as file:
        file.write(NEW)


def write_copied(path):
    overwrite(f"{path}.new", NEW)
    with open(f"{path}.new", "rb") as source, open(path, "r+b") as file:
        os.copy_file_range(source.fileno(), file.fileno(), len(NEW))


def no_byte_crosses():
    """Each way to write, in parent and fork, with readers that were there before."""
    ways = [write_in_place, write_by_map, write_truncated, write_renamed, write_removed,
            write_appended, write_copied]
    cases = list(itertools.product(ways, ("ours", "theirs"), ("opened", "mapped", "neither")))
    (SPACES / "ours").mkdir()
    for number in range(len(cases)):
        overwrite(SPACES / f"ours/{number}", OLD)
    ctl("ours", "fork theirs")
    for number, (way, writer, held) in enumerate(cases):
        reader = {"ours": "theirs", "theirs": "ours"}[writer]
        case = f"{way.__name__} in {writer}, {held}"
        with open(SPACES / reader / str(number), "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if held == "mapped" else None
            first = file.read(1) if held == "opened" else b""
            way(SPACES / writer / str(number))
            expect_eq(bytes_of(SPACES / writer / str(number)), NEW, case)
            expect_eq(bytes_of(SPACES / reader / str(number)), OLD, case)
            expect_eq(first + file.read(), OLD, f"{case}: by the handle")
            if memory:
                expect_eq(memory[:], OLD, f"{case}: in memory")
                memory.close()
        way(SPACES / reader / str(number))
        overwrite(SPACES / writer / str(number), b"")
        expect_eq(bytes_of(SPACES / reader / str(number)), NEW, f"{case}: back")


def what_was_written_before_a_rollback_is_told_at_its_path():
    """Though the file is of a state that is over when it is closed."""
    space = SPACES / "closed-late"
    (space / "d").mkdir(parents=True)
    for name in ("f", "d/f"):
        overwrite(space / name, OLD)
    ctl("closed-late", "checkpoint s")
    handles = [os.open(space / name, os.O_WRONLY) for name in ("f", "d/f")]
    for handle in handles:
        os.write(handle, NEW)
    ctl("closed-late", "rollback s")
    for handle in handles:
        expect_errno("ESTALE", os.write, handle, b"too late")
        os.close(handle)
    for name in ("f", "d/f"):
        expect_eq(bytes_of(space / name), OLD)
        told = f"\twrite\t{name}\t0"  # and a version's number
        wait_until(10, lambda row=told: row in read(space / ".agentfs/log"), f"the row of {name}")
        versions = space / ".agentfs/versions" / name
        expect_eq([bytes_of(versions / one) for one in os.listdir(versions)], [OLD])


RENAMER = """
import os
while True:
    for names in (("e", "x"), ("x", "e")):
        try:
            os.rename(*names)
        except FileNotFoundError:
            pass
"""


def a_rollback_is_told_where_it_happened():
    """Between what was changed before it, and after it in the state that it brought back."""
    space = SPACES / "ordered"
    (space / "d/e").mkdir(parents=True)
    ctl("ordered", "checkpoint s")
    renamer = subprocess.Popen(["python3", "-c", RENAMER], cwd=space / "d")
    for _ in range(30):
        ctl("ordered", "rollback s")
    renamer.kill()
    renamer.wait()
    name = "e"
    for row in rows_after(space, 0):
        if row["op"] == "rollback":
            name = "e"
        if row["op"] == "rename":
            expect_eq(row["path"][-1], name, f"what was renamed, as row {row['seq']} has it")
            name = row["other"][-1]
    expect_eq(os.listdir(space / "d"), [name], "what the log comes to")


def handles_that_were_open_stay_the_parents():
    (SPACES / "held").mkdir()
    plain = os.open(SPACES / "held/plain", os.O_RDWR | os.O_CREAT)
    append = os.open(SPACES / "held/append", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    gone = os.open(SPACES / "held/gone", os.O_RDWR | os.O_CREAT)
    for handle in (plain, append, gone):
        os.write(handle, b"before ")
    os.unlink(SPACES / "held/gone")
    ctl("held", "fork held-too")
    expect(not (SPACES / "held-too/gone").exists(), "what was removed is in the fork")
    for handle in (plain, append, gone):
        os.write(handle, b"after")
    expect_eq(os.pread(gone, 99, 0), b"before after")
    for name in ("plain", "append"):
        expect_eq(read(SPACES / "held" / name), "before after")
        expect_eq(read(SPACES / "held-too" / name), "before ")
    with mmap.mmap(plain, 0) as memory:
        ctl("held", "fork held-three")
        memory[:6] = b"BEFORE"
        memory.flush()
    expect_eq(read(SPACES / "held/plain"), "BEFORE after")
    expect_eq(read(SPACES / "held-three/plain"), "before after")
    for handle in (plain, append, gone):
        os.close(handle)


def what_was_written_through_a_mapping_is_kept():
    """Nobody has asked for it to be written back."""
    top = SPACES / "mapped"
    top.mkdir()
    overwrite(top / "file", OLD * 1000)
    with open(top / "file", "r+b") as opened, mmap.mmap(opened.fileno(), 0) as pages:
        pages[5000:5003] = b"one"
        ctl("mapped", "fork mapped-1")
        expect_eq(bytes_of(SPACES / "mapped-1/file")[5000:5003], b"one")
        pages[5000:5003] = b"two"
        ctl("mapped", "checkpoint kept")
        pages[5000:5003] = b"new"
        expect_eq(bytes_of(top / ".agentfs/snapshots/kept/file")[5000:5003], b"two")
        ctl("mapped", "rollback kept")
        expect_eq(bytes_of(top / "file")[5000:5003], b"two")
        undone = [name for name in os.listdir(top / ".agentfs/snapshots") if name != "kept"]
        expect_eq(len(undone), 1)
        expect_eq(bytes_of(top / ".agentfs/snapshots" / undone[0] / "file")[5000:5003], b"new")
    expect_eq(bytes_of(SPACES / "mapped-1/file")[5000:5003], b"one")


def forks_of_forks():
    (SPACES / "g0/d/e").mkdir(parents=True)
    for number in range(8):
        (SPACES / f"g0/d/e/{number}").write_text("0")
    for number in range(1, 8):
        ctl(f"g{number - 1}", f"fork g{number}")
        (SPACES / f"g{number}/d/e/{number}").write_text(str(number))
    (SPACES / "g0/d/e/7").write_text("late")
    shutil.rmtree(SPACES / "g3/d/e")
    for hard in (False, True):
        for number in (0, 1, 2, 4, 5, 6, 7):
            texts = [read(SPACES / f"g{number}/d/e/{each}") for each in range(8)]
            wanted = [str(each) if each <= number else "0" for each in range(8)]
            wanted[7] = "late" if number == 0 else wanted[7]
            expect_eq(texts, wanted, f"g{number}")
        expect_eq(os.listdir(SPACES / "g3/d"), [])
        restart(hard)
    family = [line.split("\t")[:2] for line in read(SPACES / "g3/.agentfs/forks").splitlines()[1:]]
    expect_eq(family, [[f"g{each}", f"g{each - 1}" if each else "-"] for each in range(8)])
    every = M / "sys/workspaces"
    expect_eq(read(every / "g3/forks"), read(SPACES / "g3/.agentfs/forks"))
    expect_eq(sorted(os.listdir(every)), ["README", "ctl", "events.jsonl"], "what who walks the mount finds")
    expect_errno("ENOENT", os.stat, every / "g9")


def checkpoints_are_directories():
    space = SPACES / "kept"
    space.mkdir()
    fill(space)
    before = contents(space)
    expect_has(ctl("kept", "checkpoint before-refactor"), "is kept as before-refactor")
    expect_errno("EINVAL", ctl, "kept", "checkpoint undo-1")
    expect_has(M.last_error(), "before-undo-1, would do", "a name that rollbacks give")
    shutil.rmtree(space / "src")
    (space / "run").write_text("#!/bin/false\n")
    view = space / ".agentfs/snapshots/before-refactor"
    expect_same_tree(contents(view), before, "the snapshot")
    expect_errno("EROFS", overwrite, view / "run", b"")
    expect_errno("EROFS", os.unlink, view / "src/f1.c")
    expect_errno("EROFS", os.mkdir, view / "d")
    expect_has(M.last_error(), "a snapshot, which nobody can change")
    expect_has(M.last_error(), "/workspaces: snapshot before-refactor of kept: /", "which one it is")
    expect_errno("EROFS", os.chmod, view / "src/f1.c", 0o600)
    expect_has(M.last_error(), "snapshot before-refactor of kept: /src/f1.c", "what of it")
    expect_errno("EPERM", os.chmod, space / ".agentfs/log", 0o600)
    expect_has(M.last_error(), "/log: its attributes are fixed")
    expect_errno("EROFS", os.rename, view / "run", view / "walk")
    ctl("kept", "fork from-before before-refactor")
    expect_same_tree(contents(SPACES / "from-before"), before, "a fork of a checkpoint")
    shell("cp -a .agentfs/snapshots/before-refactor/src .", space)
    expect_same_tree({path: entry for path, entry in contents(space).items() if path != b"run"},
                     {path: entry for path, entry in before.items() if path != b"run"}, "cp -a")
    (space / "src/f1.c").write_text("of the copy\n")
    expect_same_tree(contents(view), before, "the snapshot after a change to its copy")


def rollback_and_back():
    space = SPACES / "kept"
    later, wanted = contents(space), contents(space / ".agentfs/snapshots/before-refactor")
    for hard in (False, True):
        expect_has(ctl("kept", "rollback before-refactor"), "undoes this")
        expect_same_tree(contents(space), wanted, "after the rollback")
        restart(hard)
        expect_same_tree(contents(space), wanted, "after the rollback and a restart")
        undo = sorted(name for name in os.listdir(space / ".agentfs/snapshots")
                      if name.startswith("undo-"))[-1]
        ctl("kept", f"rollback {undo}")
        expect_same_tree(contents(space), later, "the rollback undone")
        expect_same_tree(contents(SPACES / "from-before"), wanted, "the fork meanwhile")


# Linux can be told to ask for each name again; before, directories below the top are others.
ALL_NAMES_EXPIRE = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 16)


def who_has_a_file_open_over_a_rollback_sees_that_it_is_another():
    """As after a rename over it; directories, and what git looks at of a number, stay."""
    top = SPACES / "over"
    (top / "d").mkdir(parents=True)
    for name in ("f", "d/same"):
        (top / name).write_text("first\n")
    tell(top / ".agentfs/ctl", "checkpoint kept\n")
    (top / "f").write_text("second\n")
    seen = set()
    for _ in range(3):
        before = {name: (top / name).stat() for name in ("f", "d", "d/same")}
        opened = [(os.open(top / name, os.O_RDWR), before[name]) for name in ("f", "d/same")]
        tell(top / ".agentfs/ctl", "rollback kept\n")
        after = {name: (top / name).stat() for name in before}
        for name, was in before.items():
            is_other = after[name].st_ino != was.st_ino
            expect_eq(is_other, name != "d", f"{name} has another number")
            expect_eq(after[name].st_ino & 0xFFFFFFFF, was.st_ino & 0xFFFFFFFF, name)
        for file, was in opened:
            its = os.fstat(file)
            expect_eq((its.st_ino, its.st_nlink), (was.st_ino, 0), "of what is open")
            os.close(file)
        listed = {entry.name: entry.inode() for entry in os.scandir(top) if entry.name == "f"}
        expect_eq(listed, {"f": after["f"].st_ino}, "in the listing")
        seen.add(after["f"].st_ino)
    expect_eq(len(seen), 3, "a number for each state")
    restart(False)
    expect_eq({name: (top / name).stat().st_ino for name in after},
              {name: its.st_ino for name, its in after.items()}, "after a remount")
    shutil.rmtree(top)


def a_database_that_is_open_over_a_rollback_is_left_whole():
    """SQLite asks by the number whether its file still has its name."""
    top = SPACES / "database"
    top.mkdir()
    database = sqlite3.connect(top / "s.db", isolation_level=None)
    database.execute("create table t(v)")
    database.executemany("insert into t values(?)", [("x" * 300,) for _ in range(300)])
    tell(top / ".agentfs/ctl", "checkpoint kept\n")
    database.execute("update t set v = v || 'y'")
    tell(top / ".agentfs/ctl", "rollback kept\n")
    try:
        database.execute("update t set v = v || 'z'")
        raise AssertionError("a write to what is over was taken")
    except sqlite3.OperationalError:
        pass
    database.close()
    expect_eq(os.listdir(top), ["s.db"])
    again = sqlite3.connect(top / "s.db")
    expect_eq(again.execute("pragma integrity_check").fetchall(), [("ok",)])
    expect_eq(again.execute("select count(*), sum(length(v)) from t").fetchall(), [(300, 90000)])
    again.close()
    shutil.rmtree(top)


def a_shell_may_stay_where_it_is():
    (SPACES / "cwd/sub").mkdir(parents=True)
    (SPACES / "cwd/sub/f").write_text("first\n")
    (SPACES / "cwd/top").write_text("first\n")
    ctl("cwd", "checkpoint c")
    shell("""set -e
echo second > sub/f; echo second > top
echo 'rollback c' > .agentfs/ctl
test "$(cat sub/f top)" = "first
first"
echo third > top; echo third > sub/f; mkdir d; echo x > d/x
test "$(cat sub/f top)" = "third
third"
echo 'rollback c' > .agentfs/ctl
test ! -e d; test "$(pwd -P)" = "$PWD"
""", SPACES / "cwd")
    if ALL_NAMES_EXPIRE:
        shell("""set -e
cd sub; mkdir deep; echo second > f
echo 'rollback c' > .agentfs/ctl
undo=$(ls -v .agentfs/snapshots | grep undo | tail -1)
test "$(cat f)" = first; test "$(ls)" = f; test ! -e deep
echo fourth > f; echo other > g
test "$(cat ../sub/f ../sub/g)" = "fourth
other"
echo "rollback $undo" > .agentfs/ctl
test "$(cat f; ls)" = "second
deep
f"
""", SPACES / "cwd")
    shell("cd sub; echo 'rollback c' > ../.agentfs/ctl; cat f; cd ../sub && echo again > f",
          SPACES / "cwd")
    expect_eq(read(SPACES / "cwd/sub/f"), "again\n")


def who_works_there_sees_at_once_what_a_rollback_brought_back():
    if not ALL_NAMES_EXPIRE:
        return
    space = SPACES / "at-once"
    for number in range(60):
        (space / "a").mkdir(parents=True)
        for more in range(150 if number >= 40 else 0):  # all names of the mount expire then
            (space / f"more-{more}").touch()
        os.chdir(space / "a")
        pathlib.Path("x").write_text("old\n")
        os.utime(".", (1e9, 1e9))
        ctl("at-once", "checkpoint c")
        pathlib.Path("x").write_text("new\n")
        pathlib.Path("f").write_text("later\n")
        os.utime(".", (1e9, 1e9))
        held = os.open(".", os.O_RDONLY)
        ctl("at-once", "rollback c")
        if number % 2:
            (space / "a").stat()
        expect_eq((os.getcwd(), pathlib.Path("x").read_text(), os.listdir("."), os.getcwd()),
                  (str(space / "a"), "old\n", ["x"], str(space / "a")), f"round {number}")
        pathlib.Path("g").write_text("here\n")
        expect_eq((read(space / "a/g"), sorted(os.listdir(held))), ("here\n", ["g", "x"]))
        os.close(held)
        os.chdir("/")
        shutil.rmtree(space)


def many_names_at_the_top_are_all_asked_for_again():
    space = SPACES / "wide"
    space.mkdir()
    for number in range(300):
        (space / f"n{number}").write_text("kept\n")
    (space / "d").mkdir()
    ctl("wide", "checkpoint many")
    for number in range(300):
        (space / f"n{number}").write_text("later\n")
        (space / f"d/{number}").write_text("later\n")
    def numbers():  # as git looks at them
        return {name: (space / name).stat().st_ino & 0xFFFFFFFF for name in os.listdir(space)}
    before = numbers()
    ctl("wide", "rollback many")
    expect_eq(numbers(), before)
    expect_eq({(space / f"n{number}").read_text() for number in range(300)}, {"kept\n"})
    expect_eq(os.listdir(space / "d"), [])
    expect(not (space / "d/7").exists(), "a name of the state that is over")
    ctl("wide", "rollback undo-1")
    expect_eq({(space / f"n{number}").read_text() for number in range(300)}, {"later\n"})
    expect_eq(len(os.listdir(space / "d")), 300)


def dropping_leaves_the_others_whole():
    (SPACES / "old/d").mkdir(parents=True)
    for number in range(20):
        (SPACES / f"old/d/{number}").write_text(f"{number}\n")
    ctl("old", "fork middle")
    (SPACES / "middle/d/0").write_text("of the middle\n")
    ctl("middle", "fork young")
    shutil.rmtree(SPACES / "old")
    wanted = contents(SPACES / "middle")
    for hard in (True, False):
        expect_same_tree(contents(SPACES / "middle"), wanted, "after rm -rf of the parent")
        expect_same_tree(contents(SPACES / "young"), wanted, "and of its fork")
        restart(hard)
    (SPACES / "old").mkdir()
    (SPACES / "old/d").write_text("another workspace of this name\n")
    expect_same_tree(contents(SPACES / "young"), wanted, "beside a new tree of the old name")
    refused("ENOENT", "old", "discard middle")
    ctl("young", "fork last")
    refused("ENOENT", "middle", "discard last")
    ctl("middle", "discard young")
    expect(not (SPACES / "young").exists(), "what was discarded is there")
    line = (SPACES / "middle/.agentfs/log").read_text().splitlines()[-1].split("\t")
    expect_eq(line[2:4], ["discard", "/workspaces/young"])
    expect_same_tree(contents(SPACES / "last"), wanted, "a fork of what was discarded")
    ctl("last", "checkpoint c")
    ctl("last", "discard c")
    expect_eq(os.listdir(SPACES / "last/.agentfs/snapshots"), [])
    refused("ENOENT", "last", "rollback c")
    for hard in (True, False):
        family = (SPACES / "middle/.agentfs/forks").read_text()
        expect("last\t(discarded) of middle\t-\n" in family, family)
        restart(hard)
    ctl("last", "fork of-last")
    refused("ENOENT", "middle", "discard of-last")
    refused("EINVAL", "middle", "merge last")
    ctl("middle", "discard last")
    expect_same_tree(contents(SPACES / "of-last"), wanted, "a fork of a fork of what was discarded")


def a_name_of_two_discards_neither():
    """Nobody knows whether the fork is meant or the checkpoint."""
    space = SPACES / "two"
    space.mkdir()
    ctl("two", "checkpoint c")
    refused("EINVAL", "two", "fork undo-1")
    ctl("two", "fork two-other")
    (SPACES / "two-other/work").write_text("mine\n")
    (SPACES / "two-other").rename(SPACES / "undo-1")
    ctl("two", "rollback c")
    expect_eq(sorted(os.listdir(space / ".agentfs/snapshots")), ["c", "undo-2"], "the name of a fork was given")
    (SPACES / "undo-1").rename(SPACES / "undo-2")
    for fork, name in (("undo-2", "undo-2"), ("undo-2", "c")):
        if fork != name:
            (SPACES / fork).rename(SPACES / name)
        refused("EEXIST", "two", f"discard {name}")
        expect_has(M.last_error(), "with the fork's directory under another name")
        expect_eq(read(SPACES / name / "work"), "mine\n")
    (SPACES / "c").rename(SPACES / "two-mine")
    ctl("two", "discard c")
    expect_eq(read(SPACES / "two-mine/work"), "mine\n")
    ctl("two", "discard two-mine")
    expect(not (SPACES / "two-mine").exists(), "what was discarded is there")
    expect_eq(os.listdir(space / ".agentfs/snapshots"), ["undo-2"])


def where_a_process_works_stays():
    ctl("site", "fork busy")
    pid = M.spawn("name=worker workspace=busy")
    refused("EBUSY", "site", "discard busy")
    expect((SPACES / "busy/run").exists(), "it is gone all the same")
    tell(M.proc(pid, "ctl"), "kill\n")
    wait_until(30, lambda: M.state_of(pid).startswith("dead"), "the process is dead")
    ctl("site", "discard busy")
    expect("busy" not in os.listdir(SPACES), "it is still listed")


def mistakes_are_told():
    listed = os.listdir(SPACES)
    ctl("site", "checkpoint taken")
    for line, name in (("fork", "EINVAL"), ('fork ""', "EINVAL"), ("fork .", "EINVAL"),
                       ("fork ..", "EINVAL"), ("fork a/b", "EINVAL"), ("fork .agentfs", "EINVAL"),
                       ("fork site", "EEXIST"), ("fork try-1", "EEXIST"),
                       (f"fork {'x' * 300}", "ENAMETOOLONG"), ("fork y nowhere", "ENOENT"),
                       ("fork a b c", "EINVAL"), ("checkpoint taken", "EEXIST"),
                       ("checkpoint a/b", "EINVAL"), ("checkpoint ..", "EINVAL"),
                       (f"checkpoint {'x' * 300}", "ENAMETOOLONG"), ("checkpoint", "EINVAL"),
                       ("rollback nowhere", "ENOENT"), ("rollback", "EINVAL"),
                       ("discard site", "ENOENT"), ("discard ..", "ENOENT"),
                       ("discard kept", "ENOENT"), ("discard nowhere", "ENOENT")):
        refused(name, "site", line)
    expect_has(M.last_error(), "nowhere")
    for line, name, piece in (("merge try-l", "EINVAL", "did you mean try-1"),
                              ("restore a b", "EINVAL", "a path with blanks is one word in double quotes"),
                              ("checkpoint a b", "EINVAL", "what has blanks is one word in double quotes"),
                              ("discard try-l", "ENOENT", "did you mean try-1")):
        refused(name, "site", line)
        expect_has(M.last_error(), piece, line)
    expect_errno("ENOTDIR", tell, M / "sys/workspaces/ctl", "import /etc/passwd as passwd\n")
    expect_has(M.last_error(), "/etc/passwd: is no directory; one of the host, as /etc, would do")
    (SPACES / "a-file").touch()
    refused("EEXIST", "site", "fork a-file")
    (SPACES / "a-file").unlink()
    expect_eq(sorted(os.listdir(SPACES)), sorted(listed))
    expect_eq(os.listdir(SPACES / "site/.agentfs/snapshots"), ["taken"])
    expect_errno("EXDEV", os.link, SPACES / "site/run", SPACES / "try-1/run2")
    expect_errno("EXDEV", os.rename, SPACES / "site/run", SPACES / "try-1/run2")
    expect_errno("EXDEV", os.rename, SPACES / "site/src", SPACES / "src")


def the_diff_is_a_patch():
    need("git")
    space = SPACES / "patched"
    space.mkdir()
    shell("mkdir d; seq 100 > numbers; seq 100 > d/old; printf 'no end' > end; "
          "head -c 3000 /dev/urandom > binary; printf '#!/bin/sh\n' > tool; "
          "echo gone > gone; ln -s numbers link; echo 'a b' > 'with space'", space)
    copy = TESTDIR / "copy"
    shell(f"cp -a patched {copy}", SPACES)
    ctl("patched", "fork patches")
    fork = SPACES / "patches"
    shell("set -e; sed -i 50s/.*/fifty/ numbers; mv d/old d/new; echo ending >> end; "
          "printf %16s x | dd of=binary bs=16 seek=9 conv=notrunc 2>/dev/null; chmod +x tool; rm gone; "
          "ln -sfn tool link; mkdir -p n/m; echo new > n/m/f; : > empty; "
          "echo c >> 'with space'; head -c 999 /dev/urandom > fresh", fork)
    (TESTDIR / "patch").write_bytes(bytes_of(fork / ".agentfs/diff"))
    shell("git apply --whitespace=nowarn ../patch", copy)
    expect_same_tree(contents(copy), contents(fork), "the patched copy")
    paths = set(read(fork / ".agentfs/status").replace("\n", "\t").split("\t"))
    expect({"numbers", "d/new", "end", "binary", "tool", "gone", "n/m/f"} <= paths, f"only {paths}")
    expect_eq(read(space / ".agentfs/diff"), "", "the parent's")


def git_reads_nothing_again():
    need("git")
    space = SPACES / "repository"
    space.mkdir()
    shell("git init -q . && git config user.email a@b && git config user.name a && mkdir d && "
          "for i in $(seq 200); do echo $i > d/$i; done && git add . && git commit -qm 1 && "
          "touch -d '1 minute ago' d/* && git update-index -q --refresh && git status -s", space)
    ctl("repository", "fork cloned")
    fork = SPACES / "cloned"
    expect_eq(shell("GIT_OPTIONAL_LOCKS=0 git diff-files", fork), "", "entries to read again")
    expect_eq(shell("git status --porcelain", fork), "")
    (fork / "d/7").write_text("changed\n")
    expect_eq(shell("git status --porcelain", fork), " M d/7\n")
    expect_eq(shell("git status --porcelain", space), "")
    shell("git commit -qam 2 && git gc -q && git fsck --strict 2>&1", fork)
    expect_eq(shell("git log --oneline | wc -l; git fsck --strict 2>&1", space), "1\n")
    restart(hard=False)
    ctl("repository", "fork cloned-2")
    expect_eq(shell("GIT_OPTIONAL_LOCKS=0 git diff-files", SPACES / "cloned-2"), "",
              "entries to read again after a restart")


def who_goes_into_a_new_fork_stays_there():
    """Also where watchers are told of it by a helper that has to be started first."""
    (SPACES / "whole").mkdir()
    here = os.getcwd()
    for number in range(6):
        if number % 2 == 0:
            os.chdir(here)
            restart(hard=False)
        ctl("whole", f"fork whole-{number}")
        os.chdir(SPACES / f"whole-{number}")
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            expect_eq(os.getcwd(), str(SPACES / f"whole-{number}"))
    os.chdir(here)


def a_number_given_again_is_no_other_directory():
    """The disk gives the inode number of a removed directory to the next one at once."""
    for number in range(6):
        top = SPACES / f"again{number}"
        (top / "build").mkdir(parents=True)
        (top / "src/lib").mkdir(parents=True)
        (top / "src/lib/main.c").write_text("precious\n")
        (top / "build/o").write_text("o\n")
        ctl(top.name, "checkpoint start")
        ctl(top.name, "rollback start")
        (top / "NOTE").write_text("note\n")
        ctl(top.name, "checkpoint good")
        shutil.rmtree(top / "build")
        with open(top / "src/lib/main.c", "a", encoding="utf-8") as file:
            file.write("bad\n")
        kept = top / ".agentfs/snapshots/good"
        expect_eq(sorted(os.listdir(kept / "src/lib")), ["main.c"])
        ctl(top.name, "rollback good")
        expect_eq(read(top / "src/lib/main.c"), "precious\n")
        expect_eq(read(top / "build/o"), "o\n")


def a_fork_of_a_checkpoint_has_that_as_its_base():
    top = SPACES / "based"
    top.mkdir()
    for name in ("a", "b"):
        (top / "x").write_text(f"{name}\n")
        ctl("based", f"checkpoint {name}")
    (top / "x").write_text("c\n")
    ctl("based", "rollback b")
    ctl("based", "fork of-a a")
    expect_eq(read(SPACES / "of-a/x"), "a\n")
    expect_eq(read(SPACES / "of-a/.agentfs/status"), "")


def names_do_not_lead_from_one_tree_to_another():
    for name in ("left", "right"):
        (SPACES / name / "d").mkdir(parents=True)
    (SPACES / "left/x").write_text("x\n")
    expect_errno("EXDEV", os.link, SPACES / "left/x", SPACES / "right/x")
    expect_errno("EXDEV", os.rename, SPACES / "left/d", SPACES / "right/e")
    os.rename(SPACES / "left/x", SPACES / "right/x")
    shutil.move(SPACES / "left/d", SPACES / "right/e")
    expect((SPACES / "right/e").is_dir(), "mv copies")
    refused("EEXIST", "based", "checkpoint of-a")
    refused("EEXIST", "based", "fork b")


def held_by(tree):
    """Bytes of the disk that the trees take, without what a tree itself has."""
    def du(*paths):  # what goes meanwhile is told by its exit
        return int(run(["du", "-scB1", *paths], code=None).splitlines()[-1].split()[0])
    trees = M.state / "trees"
    return du(trees) - du(trees / "workspaces" / tree)


def room_comes_back_soon():
    """Of what a discarded checkpoint alone had; also when the daemon ends before."""
    space = SPACES / "room"
    space.mkdir()
    for round_ in ("now", "later"):
        (space / "large").write_bytes(os.urandom(5 << 20))
        before = held_by("room")
        ctl("room", "checkpoint c")
        os.remove(space / "large")
        ctl("room", "drop .")
        expect(held_by("room") > before + (4 << 20), "the checkpoint holds the file")
        ctl("room", "discard c")
        if round_ == "later":
            restart(hard=True)
        wait_until(20, lambda: held_by("room") < before + (1 << 20), f"the room back, {round_}")


def homes_can_be_forked():
    home = next(iter(sorted(os.listdir(M / "home"))), None)
    if home is None or not (M / "home" / home / ".agentfs").exists():
        return
    (M / "home" / home / "note").write_text("mine\n")
    command(M / "home" / home / ".agentfs/ctl", "checkpoint c")
    (M / "home" / home / "note").write_text("changed\n")
    command(M / "home" / home / ".agentfs/ctl", "rollback c")
    expect_eq(read(M / "home" / home / "note"), "mine\n")


def killed_in_the_middle():
    """What was answered is there, what was not is there whole or not at all."""
    space = SPACES / "killed"
    (space / "d").mkdir(parents=True)
    for number in range(50):
        (space / f"d/{number}").write_text("0\n")
    script = """i=0
while :; do i=$((i+1))
  for f in d/*; do echo $i > "$f"; done || exit
  echo "checkpoint c$i" > .agentfs/ctl && echo "fork k$i" > .agentfs/ctl && echo $i > ../told
  [ $((i % 3)) = 0 ] && echo "rollback c$((i-1))" > .agentfs/ctl
done"""
    for start in (3, 7):
        for name in [each for each in os.listdir(SPACES) if each[:1] == "k" and each[1:].isdigit()]:
            ctl("killed", f"discard {name}")
        for name in os.listdir(space / ".agentfs/snapshots"):
            ctl("killed", f"discard {name}")
        (SPACES / "told").write_text("0")
        with subprocess.Popen(["sh", "-c", script], cwd=space, stderr=subprocess.DEVNULL) as worker:
            wait_until(60, lambda: int(read(SPACES / "told") or 0) >= start, "some rounds")
            daemon = M.daemon()
            kill(daemon, signal.SIGKILL)
            worker.kill()
        wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
        last = int(read(SPACES / "told") or 0)
        for number in range(1, last + 1):
            view = space / f".agentfs/snapshots/c{number}/d"
            for where in (view, SPACES / f"k{number}/d"):
                texts = {read(where / str(each)) for each in range(50)}
                expect_eq(texts, {f"{number}\n"}, f"{where} of {last}")
    M.verify()


def leave_order(name, **order):
    """An order that a killed daemon's program had given, at the next start."""
    order = {"other": "", "host_pid": 1, "host_command_hex": b"killed".hex(), "process": 1, "via": "",
             "file": ""} | order
    (M.state / "tree-orders" / name).write_text(json.dumps(order))


def what_a_kill_kept_from_being_told_is_told_by_the_start():
    """An order lies in the state while a tree is forked, kept or rolled back, until its row."""
    space = SPACES / "untold"
    space.mkdir()
    (space / "f").write_text("1\n")
    ctl("untold", "checkpoint kept")
    ctl("untold", "fork untold-2 kept")
    (space / "later").write_text("2\n")
    ctl("untold", "rollback kept")
    mine = [row for row in M.journal() if row["data"].get("path", "").startswith("/workspaces/untold")
            and row["kind"] in ("tree.fork", "tree.checkpoint", "tree.rollback")]
    expect_eq([row["kind"] for row in mine], ["tree.checkpoint", "tree.fork", "tree.rollback"])
    events = [json.loads(line) for line in read(space / ".agentfs/events.jsonl").splitlines()]
    [forked] = [event for event in events if event["op"] == "fork"]
    expect_eq(forked["checkpoint"], "kept")
    log = read(space / ".agentfs/log")
    for piece in ("\t/workspaces/untold: kept\t", "untold-2: at kept\t", "untold: kept (undo-1 undoes it)\t"):
        expect_has(log, piece)
    last = max(row["seq"] for row in M.journal())
    orders = M.state / "tree-orders"
    expect_eq(list(orders.iterdir()), [])

    def leave(row, head, **changed):
        data = row["data"] | changed
        details = {key: data[key] for key in ("name", "undo", "checkpoint") if key in data}
        leave_order(f"{row['kind']}-{head}{len(changed)}", operation=row["kind"].partition(".")[2],
                    head=head, path=data["path"], other=data.get("other", ""), details=details)

    M.umount()
    for row in mine:
        leave(row, row["seq"] - 1)                     # told already
        leave(row, last)                               # not told
        leave(row, last, path="/workspaces/untold-none")  # not done
    (orders / "cut").write_text('{"operation": "fo')
    M.mount()
    again = [row for row in M.journal() if row["seq"] > last and row["kind"] in
             ("tree.fork", "tree.checkpoint", "tree.rollback")]
    expect_eq(sorted(row["kind"] for row in again), ["tree.checkpoint", "tree.fork", "tree.rollback"])
    for row in again:
        [first] = [one for one in mine if one["kind"] == row["kind"]]
        expect_eq(sorted(row["data"]["tops"]) if "tops" in row["data"] else None,
                  ["f", "later"] if "tops" in row["data"] else None)
        if row["kind"] != "tree.rollback":
            expect_eq(row["data"]["state"], first["data"]["state"])
        expect_eq(row["command"], "killed")
    expect_eq(list(orders.iterdir()), [])


def a_discard_that_was_told_is_done_by_the_start():
    """Its row comes before its last step."""
    space = SPACES / "undone"
    space.mkdir()
    (space / "f").write_text("1\n")
    for name in ("undone-2", "undone-3"):
        ctl("undone", f"fork {name}")
    for line in ("discard undone-2", "fork undone-2", "checkpoint kept", "discard kept", "checkpoint kept"):
        ctl("undone", line)
    rows = [row for row in M.journal() if row["kind"] in ("tree.discard", "tree.fork")]
    first = next(row["seq"] for row in rows if row["data"]["path"] == "/workspaces/undone-2") - 1
    [forked] = [row["data"]["state"] for row in rows if row["seq"] > first and row["kind"] == "tree.fork"
                and row["data"]["path"] == "/workspaces/undone-3"]
    last = max(row["seq"] for row in M.journal())
    M.umount()
    lines = max(int(each.name) for each in M.state.glob("trees/.workspaces/lines/*"))

    for name, head, path, details in (
            ("told", first, "undone-2", {"tree": lines}),
            ("another", first, "undone-2", {"tree": lines + 1}),
            ("untold", last, "undone-3", {"tree": lines - 1}),
            ("checkpoint", first, "undone", {"name": "kept", "state": forked})):
        leave_order(name, operation="discard", head=head, path=f"/workspaces/{path}",
                    details=details)
    M.mount()
    expect_eq(sorted(name for name in os.listdir(SPACES) if name.startswith("undone")), ["undone", "undone-3"])
    expect("kept" not in os.listdir(space / ".agentfs/snapshots"), "a discarded checkpoint is there")
    expect_eq(max(row["seq"] for row in M.journal() if row["kind"] == "tree.discard") <= last, True)


def a_discard_that_the_disk_refuses_is_not_told():
    """Its limits and the log stay with a fork that is not gone."""
    space = SPACES / "refusing"
    space.mkdir()
    (space / "f").write_text("1\n")
    ctl("refusing", "fork refusing-2")
    fork = SPACES / "refusing-2"
    (fork / "f").write_text("2\n")
    tell(fork / ".agentfs/limits", "inodes=100\n")
    limits, log = read(fork / ".agentfs/limits"), read(fork / ".agentfs/log")
    newest = max((M.state / "trees/.workspaces/lines").iterdir(), key=lambda each: int(each.name))
    barred = newest / "leaving.0"
    barred.write_text("in the way")
    with open(fork / "f", "r+", encoding="utf-8") as file:
        refused("ENOTDIR", "refusing", "discard refusing-2")
        file.write("3\n")
    expect_eq(read(fork / "f"), "3\n")
    expect_eq(read(fork / ".agentfs/limits"), limits)
    expect(read(fork / ".agentfs/log").startswith(log), "the log goes on")
    barred.unlink()
    ctl("refusing", "discard refusing-2")
    expect(not fork.exists(), "a discarded fork is there")
    expect_eq(list(newest.glob("leaving.*")), [])


def the_journal_tells_it():
    rows = [row["data"] for row in M.journal()
            if row["kind"] in ("tree.fork", "tree.checkpoint", "tree.rollback", "tree.discard")]
    texts = json.dumps(rows)
    for piece in ("/workspaces/try-1", "before-refactor", "undo-1"):
        expect_has(texts, piece, "the journal's rows")
    expect_has(read(SPACES / "kept/.agentfs/log"), "\trollback\t")
    M.verify()
    M.umount()
    expect(STATE != M.state, "a state of its own")


def rollbacks_at_once_keep_what_was_written_through_mappings():
    """More of them than there are threads, each waiting for pages that come by the channel."""
    spaces = [f"together-{number}" for number in range(8)]
    held = []
    for space in spaces:
        (SPACES / space).mkdir()
        with open(SPACES / space / "f", "wb+") as file:
            file.truncate(len(NEW) + 300_000)
            ctl(space, "checkpoint one")
            held.append(mmap.mmap(file.fileno(), 0))
        held[-1][:len(NEW)] = NEW
        held[-1][300_000:] = NEW
    threads = [threading.Thread(target=ctl, args=(space, "rollback one")) for space in spaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for space in spaces:
        undo = bytes_of(SPACES / space / ".agentfs/snapshots/undo-1/f")
        expect_eq((undo[:len(NEW)], undo[300_000:]), (NEW, NEW), space)
        expect_eq(bytes_of(SPACES / space / "f").strip(b"\0"), b"", space)
    for mapping in held:
        try:
            mapping.close()
        except OSError as error:
            expect_eq(error.errno, errno.ESTALE)


def what_has_no_name_is_in_no_fork():
    """O_TMPFILE: of its own tree alone, which it may get a name in; after a rollback it may not."""
    if not M.has("tmpfile"):
        return
    top = SPACES / "nameless"
    top.mkdir()
    (top / "there").write_bytes(OLD)
    ctl("nameless", "checkpoint before")
    early = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o600)
    os.write(early, OLD)
    ctl("nameless", "fork nameless-fork")
    os.pwrite(early, NEW, 0)
    link = ["ln", "-L", f"/proc/{os.getpid()}/fd/{early}"]
    expect(subprocess.run([*link, SPACES / "nameless-fork/named"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0, "it got a name in another tree")
    run([*link, top / "named"])
    expect_eq(bytes_of(top / "named"), NEW)
    os.pwrite(early, b"w", 0)
    expect_eq(bytes_of(top / "named"), b"w" + NEW[1:])
    expect_eq(sorted(os.listdir(SPACES / "nameless-fork")), ["there"])
    ctl("nameless", "fork nameless-late")
    os.pwrite(early, b"x", 0)
    expect_eq(bytes_of(SPACES / "nameless-late/named"), b"w" + NEW[1:])
    expect_eq(bytes_of(top / "named"), b"x" + NEW[1:])
    os.close(early)
    rows = [row for row in M.journal() if row["kind"] == "tree.create"
            and row["data"]["path"] == "/workspaces/nameless/named"]
    expect_eq(len(rows), 1, "rows of its making")
    late = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o600)
    ctl("nameless", "rollback before")
    expect_errno("ESTALE", os.pwrite, late, OLD, 0)
    expect(subprocess.run(["ln", "-L", f"/proc/{os.getpid()}/fd/{late}", top / "late"],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0,
           "what was made before a rollback got a name after it")
    os.close(late)
    expect_eq(sorted(os.listdir(top)), ["there"])


def one_of_several_that_ask_for_the_same_checkpoint_gets_it():
    top = SPACES / "same-name"
    top.mkdir()
    for number in range(30):
        (top / "text").write_text(f"{number}\n")
        made = []

        def make(name=f"c{number}", made=made):
            try:
                tell(top / ".agentfs/ctl", f"checkpoint {name}\n")
                made.append(name)
            except FileExistsError:
                pass
        asking = [threading.Thread(target=make) for _ in range(4)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        expect_eq(made, [f"c{number}"], "made")
    expect_eq(sorted(os.listdir(top / ".agentfs/snapshots")), sorted(f"c{number}" for number in range(30)))


def what_is_discarded_is_not_made_again_by_a_restore():
    (SPACES / "restored").mkdir()
    for i in range(6):
        (SPACES / f"restored/{i}").write_text(f"{i}\n")
    for _ in range(12):
        ctl("restored", "fork gone")
        run(["sh", "-c", "rm -f gone/*"], cwd=SPACES)
        opened = [os.open(SPACES / "gone/.agentfs/ctl", os.O_WRONLY) for i in range(6)]

        def restore(at, ctls=tuple(opened)):
            with contextlib.suppress(OSError):
                os.write(ctls[at], f"restore {at}\n".encode())
        beside = [threading.Thread(target=restore, args=(i,)) for i in range(6)]
        for one in beside[:3]:
            one.start()
        discard = threading.Thread(target=lambda: ctl("restored", "discard gone"))
        discard.start()
        for one in beside[3:]:
            one.start()
        for one in [*beside, discard]:
            one.join()
        for one in opened:
            os.close(one)
        expect(not (SPACES / "gone").exists(), "what was discarded is there again")
    run(["rm", "-rf", "restored"], cwd=SPACES)


def a_discard_of_a_name_that_changes_takes_no_other_workspace():
    for number in range(25):
        main_name, fork_name = f"trunk{number}", f"trunk{number}-1"
        top = SPACES / main_name
        top.mkdir()
        (top / "text").write_text("trunk\n")
        ctl(main_name, f"fork {fork_name}")
        (SPACES / fork_name / "text").write_text("fork\n")

        def exchange(first=top, second=SPACES / fork_name):
            try:
                renameat2(first, second, EXCHANGE)
            except OSError as error:  # it is gone, or about to be
                expect(error.errno in (errno.ENOENT, errno.EBUSY, errno.EXDEV), str(error))
        other = threading.Thread(target=exchange)
        other.start()
        try:
            tell(top / ".agentfs/ctl", f"discard {fork_name}\n")
        except OSError as error:
            expect(error.errno in (errno.ENOENT, errno.ESTALE, errno.EBUSY), str(error))
        other.join()
        texts = {read(place / "text") for place in (top, SPACES / fork_name) if place.exists()}
        expect("trunk\n" in texts, f"round {number}: what is left: {texts}")


main(mount_it, no_number_of_the_disk_is_shown_for_two_trees, a_fork_is_its_parent, each_goes_its_way, no_byte_crosses,
     what_was_written_before_a_rollback_is_told_at_its_path, a_rollback_is_told_where_it_happened,
     handles_that_were_open_stay_the_parents, what_was_written_through_a_mapping_is_kept,
     rollbacks_at_once_keep_what_was_written_through_mappings,
     what_has_no_name_is_in_no_fork, forks_of_forks, checkpoints_are_directories, rollback_and_back,
     what_is_discarded_is_not_made_again_by_a_restore, who_has_a_file_open_over_a_rollback_sees_that_it_is_another,
     a_database_that_is_open_over_a_rollback_is_left_whole, a_shell_may_stay_where_it_is,
     who_works_there_sees_at_once_what_a_rollback_brought_back, many_names_at_the_top_are_all_asked_for_again,
     dropping_leaves_the_others_whole, a_name_of_two_discards_neither, where_a_process_works_stays, mistakes_are_told,
     the_diff_is_a_patch, git_reads_nothing_again, who_goes_into_a_new_fork_stays_there,
     a_number_given_again_is_no_other_directory, a_fork_of_a_checkpoint_has_that_as_its_base,
     names_do_not_lead_from_one_tree_to_another, room_comes_back_soon, homes_can_be_forked,
     killed_in_the_middle, what_a_kill_kept_from_being_told_is_told_by_the_start,
     a_discard_that_was_told_is_done_by_the_start, a_discard_that_the_disk_refuses_is_not_told,
     one_of_several_that_ask_for_the_same_checkpoint_gets_it,
     a_discard_of_a_name_that_changes_takes_no_other_workspace,
     the_journal_tells_it)
