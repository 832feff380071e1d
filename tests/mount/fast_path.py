#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 900
# mount: none
"""Commands on an overlay of their workspace (fs=fast).

The same random operations through the mount, on an overlay and in a plain directory end in equal
trees, with the same errors on the way, and both journals tell of the same tree by the same author.
What others change meanwhile is merged or kept aside; forks do not see it; a kill in the middle of a
fold is followed by all of it. ROUNDS (12) of operations and of kills, SEED (1) from the environment.
"""
import errno
import glob
import json
import os
import pathlib
import random
import re
import shutil
import stat
import subprocess
import threading
import time

from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has, fail, kill,
                       is_alive, kinds_of, main, make_of_each_kind, read, run, skip, tell, wait_until, within)

ROUNDS = int(os.environ.get("ROUNDS", "12"))
SEED = int(os.environ.get("SEED", "1"))
M = Mount.of("fast")
SPACES = M / "workspaces"
PLAIN = TESTDIR / "plain"
LONG_AGO = 1_000_000_000

OPERATIONS = r'''
import os, random, socket, sys
rng = random.Random(sys.argv[1])
DIRECTORIES, FILES = "abc", "fghij"

def paths():
    files, directories = [], ["."]
    for top, names, leaves in os.walk("."):
        names.sort()
        if ".agentfs" in names:
            names.remove(".agentfs")
        directories += [os.path.join(top, name) for name in names
                        if not os.path.islink(os.path.join(top, name))]
        files += [os.path.join(top, name) for name in leaves] + [
            os.path.join(top, name) for name in names if os.path.islink(os.path.join(top, name))]
    return sorted(files), sorted(directories)

def new(names):
    return os.path.join(rng.choice(paths()[1]), rng.choice(names))

def some(which):
    found = paths()[which]
    return rng.choice(found) if found else new(FILES)

def put(path, flags, text):
    if os.path.lexists(path) and not os.path.isfile(path):
        raise OSError(1000, "no file")
    fd = os.open(path, flags | os.O_NOFOLLOW, 0o644)
    os.write(fd, text)
    os.close(fd)

def text():
    return bytes(rng.choice(b"abcdef\n") for _ in range(rng.choice((0, 3, 100, 9000))))

def make_socket(path):
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    one.close()

def remove_whole(path):
    if path == ".":
        return
    for top, names, leaves in os.walk(path, topdown=False):
        for name in leaves:
            os.unlink(os.path.join(top, name))
        for name in names:
            below = os.path.join(top, name)
            (os.unlink if os.path.islink(below) else os.rmdir)(below)
    os.rmdir(path)

def swap(one, other):
    os.rename(one, "t"), os.rename(other, one), os.rename("t", other)

def link_replace(path):
    os.symlink(rng.choice(FILES), path + ".new")
    os.rename(path + ".new", path)

def save(path):
    put(path + ".new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, text())
    os.rename(path + ".new", path)

def touch_read(path):
    if os.path.isfile(path) and not os.path.islink(path):
        os.close(os.open(path, os.O_RDWR))

def attribute(path):
    if not os.path.islink(path) and (os.path.isfile(path) or os.path.isdir(path)):
        os.setxattr(path, "user." + rng.choice("kl"), rng.choice((b"1", b"22")))

def plain_attribute(path):
    if not os.path.islink(path) and (os.path.isfile(path) or os.path.isdir(path)):
        os.removexattr(path, "user." + rng.choice("kl"))

def mode(path, modes):
    # Of the three only the plain one is run with root's right to enter what is closed.
    if not os.path.islink(path) and os.path.isdir(path) == (0o700 in modes):
        os.chmod(path, rng.choice(modes))

OPERATIONS = [
    lambda: os.mkdir(new(DIRECTORIES)), lambda: os.mkdir(new(DIRECTORIES)),
    lambda: os.mkdir(new(FILES)),
    lambda: put(new(FILES), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, text()),
    lambda: put(new(FILES), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, text()),
    lambda: put(new(FILES), os.O_CREAT | os.O_EXCL | os.O_WRONLY, text()),
    lambda: put(some(0), os.O_APPEND | os.O_WRONLY, text()),
    lambda: put(some(0), os.O_WRONLY, text()),
    lambda: save(new(FILES)),
    lambda: os.rename(some(1), new(DIRECTORIES)), lambda: os.rename(some(1), new(DIRECTORIES)),
    lambda: os.rename(some(0), new(FILES)), lambda: os.rename(some(0), new(FILES)),
    lambda: os.link(some(0), new(FILES), follow_symlinks=False),
    lambda: os.link(some(0), new(FILES), follow_symlinks=False),
    lambda: os.symlink(new(FILES), new(FILES)), lambda: link_replace(new(FILES)),
    lambda: os.unlink(some(0)), lambda: os.unlink(some(0)), lambda: os.rmdir(some(1)),
    lambda: remove_whole(some(1)), lambda: swap(some(1), some(1)),
    lambda: mode(some(0), (0o600, 0o644, 0o755)), lambda: mode(some(1), (0o700, 0o755)),
    lambda: os.utime(some(0), (1000000000, 1000000000), follow_symlinks=False),
    lambda: os.utime(some(1), (1000000000, 1000000000)),
    lambda: attribute(some(0)), lambda: attribute(some(1)),
    lambda: plain_attribute(some(0)), lambda: plain_attribute(some(1)),
    lambda: os.mkfifo(new(FILES)), lambda: make_socket(new(FILES)), lambda: touch_read(some(0)),
    lambda: os.truncate(some(0), rng.choice((0, 5, 5000))) if rng.random() < 0.3 else None,
]
os.umask(0o022)
log = []
for step in range(int(sys.argv[2])):
    number = rng.randrange(len(OPERATIONS))
    try:
        OPERATIONS[number]()
    except OSError as error:
        log.append(f"{step}:{number}:{error.errno}")
print(" ".join(log))
'''


def device(fs):
    (M / "etc/devices/local.toml").write_text(f'fs = "{fs}"\n', encoding="utf-8")
    expect_has(read(M / "dev/local/info"), f'"fs": "{fs}"')


def run_in(space, line, fs="fast", takes_it=True):
    """The output and the ending's words; fs=fast must have been taken, or not."""
    device(fs)
    os.chdir(SPACES / space)
    try:
        reply = within(120, lambda: command(M / "dev/local/exec", line), line[:100])
    finally:
        os.chdir("/")
    expect(fs != "fast" or ("# fs=fast " in reply) == takes_it, f"on an overlay: {reply[-500:]}")
    return reply


def tree(top):
    """Everything of a tree that a program can see, but times of its own making."""
    seen, names = {}, {}
    for directory, below, leaves in os.walk(top):
        if ".agentfs" in below:
            below.remove(".agentfs")
        for name in [*below, *leaves, "."]:
            path = os.path.normpath(os.path.join(directory, name))
            if name == "." and directory != str(top):
                continue
            its = os.lstat(path)
            here = os.path.relpath(path, top)
            kind, content = stat.S_IFMT(its.st_mode), b""
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = file.read()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            bears = kind in (stat.S_IFREG, stat.S_IFDIR)
            extra = {attribute: os.getxattr(path, attribute) for attribute in os.listxattr(path)
                     if attribute in ("user.k", "user.l")} if bears else {}
            old = its.st_mtime if its.st_mtime < LONG_AGO + 1 else None
            seen[here] = [kind, content, extra, old, its.st_uid, its.st_gid]
            if here != ".":
                seen[here].append(stat.S_IMODE(its.st_mode))
            if kind != stat.S_IFDIR:
                names.setdefault((its.st_dev, its.st_ino), []).append(here)
    for group in names.values():
        for here in group:
            seen[here].append(sorted(group))
    return seen


def difference(one, other):
    for path in sorted(set(one) | set(other)):
        if one.get(path) != other.get(path):
            return f"{path}: {str(one.get(path))[:300]} and {str(other.get(path))[:300]}"
    return ""


def replay(before, rows, space):
    """The names that the journal's rows leave of those before."""
    top = f"/workspaces/{space}"
    names = {path for path in before if path != "."}
    for row in rows:
        operation, data = row["kind"].removeprefix("tree."), row["data"]
        if not data.get("path", "").startswith(top + "/"):
            continue
        path = os.path.relpath(data["path"], top)
        other = os.path.relpath(data["other"], top) if "other" in data else None
        if operation in ("create", "mkdir", "symlink", "mknod", "link"):
            names.add(path)
        elif operation == "remove":
            names = {one for one in names if one != path and not one.startswith(path + "/")}
        elif operation == "rename":
            def moved(one, source, target):
                return target + one[len(source):]
            inside = {one for one in names if one == path or one.startswith(path + "/")}
            there = {one for one in names if one == other or one.startswith(other + "/")}
            names -= inside | there
            names |= {moved(one, path, other) for one in inside}
            if data.get("exchange"):
                names |= {moved(one, other, path) for one in there}
    return names


def named(rows, space):
    top = f"/workspaces/{space}/"
    return {data[key].removeprefix(top) for row in rows for data in [row["data"]]
            for key in ("path", "other") if data.get(key, "").startswith(top)}


def tree_rows(after):
    return [row for row in M.journal() if row["seq"] > after and row["kind"].startswith("tree.")]


def setup():
    if os.geteuid() != 0:
        skip("overlays are made by a daemon of root")
    M.mount()
    PLAIN.mkdir()
    for space in ("slow", "quick"):
        (SPACES / space).mkdir()
    PLAIN.chmod(stat.S_IMODE((SPACES / "slow").stat().st_mode))
    (M / "home/root/operations.py").write_text(OPERATIONS, encoding="utf-8")
    (TESTDIR / "operations.py").write_text(OPERATIONS, encoding="utf-8")


def one_round(number):
    arguments = f"{SEED}-{number} {random.Random(number).choice((5, 40, 120))}"
    line = f"/usr/bin/python3 /home/root/operations.py {arguments}"
    before = tree(SPACES / "quick")
    plain = subprocess.run(f"/usr/bin/python3 {TESTDIR}/operations.py {arguments}", shell=True,
                           cwd=PLAIN, capture_output=True, text=True, check=True, timeout=60).stdout
    start = M.head()
    slow = run_in("slow", line, "coherent").partition("# exit=")[0]
    middle = M.head()
    quick = run_in("quick", line).partition("# exit=")[0]
    expect_eq(slow.strip(), plain.strip(), "errors of the operations through the mount")
    expect_eq(quick.strip(), plain.strip(), "errors of the operations on an overlay")
    wanted, seen = tree(PLAIN), tree(SPACES / "quick")
    expect_eq(difference(wanted, tree(SPACES / "slow")), "", "plain and through the mount")
    expect_eq(difference(wanted, seen), "", "plain and on an overlay")
    rows = tree_rows(start)
    told_slow = [row for row in rows if row["seq"] <= middle]
    told_quick = [row for row in rows if row["seq"] > middle]
    names = {path for path in seen if path != "."}
    expect_eq(sorted(replay(before, told_slow, "slow") ^ names), [], "names by the mount's rows")
    told = [[row["kind"][5:], row["data"]["path"][18:], row["data"].get("other", "")[18:]]
            for row in told_quick]
    expect_eq(sorted(replay(before, told_quick, "quick") ^ names), [],
              f"names by the fold's rows; of {sorted(before)} became {sorted(names)} by {told}")
    authors = {json.dumps([row["by"], row["user"], row.get("via", "")]) for row in rows}
    expect_eq(len(authors), min(1, len(rows)), f"authors {authors}")  # a round may change nothing
    check_contents(before, seen, told_quick)


def check_contents(before, after, rows):
    """What has other bytes than before, under one of its names, is told of."""
    told = named(rows, "quick")
    for path, what in after.items():
        if what[0] != stat.S_IFREG or path not in before or before[path][0] != what[0]:
            continue
        is_told = any(one == name or name.startswith(one + "/")
                      for name in what[-1] for one in told)
        expect(before[path][1] == what[1] or is_told, f"{path}: changed, and no row tells of it")


def random_operations():
    """Equal trees, errors and journals."""
    for number in range(1, ROUNDS + 1):
        try:
            one_round(number)
        except AssertionError as error:
            raise AssertionError(f"round {number}, SEED={SEED}: {error}") from error
        if number == max(1, ROUNDS // 2):
            command(SPACES / "quick/.agentfs/ctl", "checkpoint middle")
            kept = tree(SPACES / "quick")
    expect_eq(difference(kept, tree(SPACES / "quick/.agentfs/snapshots/middle")), "",
              "a checkpoint after folds over it")
    M.umount()
    output = M.fsck()
    expect("FAIL" not in output, f"fsck: {output}")
    M.mount()
    expect_eq(difference(tree(PLAIN), tree(SPACES / "quick")), "", "after a remount")
    expect_eq(os.listdir(M.state / "fast"), [], "what is left below STATE/fast")


class Held:
    """A fast command that does its work, and then waits for our word to end."""

    def __init__(self, space, line):
        self.go = M / "home/root/go"
        self.ready = M / "home/root/ready"
        for path in (self.go, self.ready):
            if path.exists():
                path.unlink()
        whole = f"({line}); touch ~/ready; while [ ! -e ~/go ]; do sleep 0.01; done"
        self.reply = None
        self.thread = threading.Thread(target=self.run, args=(space, whole), daemon=True)
        device("fast")
        os.chdir(SPACES / space)
        self.thread.start()
        wait_until(30, self.ready.exists, f"the work of {line!r}")
        os.chdir("/")

    def run(self, space, whole):
        try:
            self.reply = command(M / "dev/local/exec", whole)
        except OSError as error:
            self.reply = error

    def end(self):
        self.go.touch()
        self.thread.join(60)
        expect(not self.thread.is_alive(), "the command does not end")
        return self.reply


def space_of(name, **files):
    (SPACES / name).mkdir()
    for path, text in files.items():
        (SPACES / name / path).write_text(text, encoding="utf-8")
    return SPACES / name


def what_others_append_or_set_meanwhile_stays():
    """An append keeps no old content, so what is kept next is not what the command saw."""
    lines = "".join(f"line {number}\n" for number in range(20))
    top = space_of("appended", added=lines, marked="one\n")
    for name in ("dressed", "gone"):
        (top / name).mkdir()
    held = Held("appended", "echo mine >> added; echo mine >> marked; chmod 711 dressed; rm -r gone")
    with open(top / "added", "a", encoding="utf-8") as file:
        file.write("theirs\n")
    (top / "added").write_text("first\n" + (top / "added").read_text(), encoding="utf-8")
    for name in ("marked", "dressed", "gone"):
        os.setxattr(top / name, "user.theirs", b"v")
    reply = held.end()
    expect_eq((top / "added").read_text(), "first\n" + lines + "theirs\n")
    expect_eq((top / "marked").read_text(), "one\n")
    for name in ("marked", "dressed", "gone"):
        expect_eq(os.getxattr(top / name, "user.theirs"), b"v", name)
    expect_eq(reply.count("# conflict: "), 3, reply)
    expect_has(reply, "dressed: others set attributes of it")


def conflicts():
    """What others change meanwhile: merged, or kept aside; nothing is lost."""
    lines = "".join(f"line {number}\n" for number in range(20))
    top = space_of("shared", merged=lines, fought=lines, removed="old\n", kept="old\n", other="1\n")
    (top / "d").mkdir()
    (top / "d/old").write_text("old\n", encoding="utf-8")
    held = Held("shared", "sed -i 's/line 2$/ours/' merged; sed -i 's/line 5$/mine/' fought; "
                "echo mine >removed; rm kept; echo mine >both; rm -r d; mkdir n; echo n >n/n")
    expect_eq(sorted(os.listdir(top)), sorted(["merged", "fought", "removed", "kept", "other", "d"]),
              "what others see while it runs")
    (top / "merged").write_text(lines.replace("line 17\n", "theirs\n"), encoding="utf-8")
    (top / "fought").write_text(lines.replace("line 5\n", "theirs\n"), encoding="utf-8")
    (top / "removed").unlink()
    (top / "kept").write_text("theirs\n", encoding="utf-8")
    (top / "both").write_text("theirs\n", encoding="utf-8")
    (top / "d/new").write_text("theirs\n", encoding="utf-8")
    reply = held.end()
    both = lines.replace("line 2\n", "ours\n").replace("line 17\n", "theirs\n")
    expect_eq((top / "merged").read_text(), both, "a file that both changed in other places")
    expect_eq((top / "fought").read_text(), lines.replace("line 5\n", "theirs\n"), "fought")
    expect(not (top / "removed").exists(), "what others removed is back")
    expect_eq((top / "kept").read_text(), "theirs\n", "what the command removed and others changed")
    expect_eq((top / "both").read_text(), "theirs\n", "what both made")
    expect_eq(os.listdir(top / "d"), ["new"], "a directory that the command removed")
    expect_eq((top / "n/n").read_text(), "n\n", "what only the command made")
    theirs = {}
    for number in os.listdir(M / "sys/conflicts"):
        if number.isdigit():
            theirs[number] = (M / "sys/conflicts" / number / "theirs").read_text()
    expect_eq(sorted(theirs.values()),
              sorted([lines.replace("line 5\n", "mine\n"), "mine\n", "mine\n"]), "kept aside")
    expect_has(reply, "# fs=fast folded", "reply")
    expect_eq(reply.count("# conflict: "), 5, f"conflicts told in {reply}")


def commits_meanwhile():
    """The daemon's own commits have no row; a gc in the command knows nothing of them."""
    top = space_of("collected", a="one\n")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=u", "-c", "user.email=u@u",
                                                  "commit", "-q", "-m", "one"]):
        run(["git", "-C", top, *words])
    (top / "a").write_text("two\n", encoding="utf-8")
    tell(top / ".agentfs/ctl", "checkpoint early")
    early = top / ".git/refs/agentfs/checkpoints/early"
    wait_until(20, early.exists, "the first checkpoint's commit")
    held = Held("collected", "git pack-refs --all --prune; git gc -q --prune=now; git log >log")
    (top / "a").write_text("three\n", encoding="utf-8")
    tell(top / ".agentfs/ctl", "checkpoint late")
    wait_until(20, (top / ".git/refs/agentfs/checkpoints/late").exists, "the checkpoint's commit")
    expect_has(held.end(), "# fs=fast folded", "reply")
    run(["git", "-C", top, "fsck", "--strict"])
    for name, text in (("early", "two\n"), ("late", "three\n")):
        expect_eq(run(["git", "-C", top, "show", f"refs/agentfs/checkpoints/{name}:a"]), text, name)
    expect(not list((top / ".git/refs/heads").iterdir()), "what the command packed is loose")


def texts_that_others_go_on_changing():
    """What they write after it was merged is neither lost nor told of as if it had been there."""
    lines = "".join(f"line {number}\n" for number in range(3_000))
    names = [f"f{number}" for number in range(24)]
    top = space_of("changing", **{name: lines for name in names})
    held = Held("changing", "for f in f*; do sed -i 's/^line 5$/mine/' $f; done")
    for name in names:
        (top / name).write_text(lines.replace("line 900\n", "theirs\n"), encoding="utf-8")
    number = max(os.listdir(M.state / "fast"), key=int)
    held.go.touch()
    written = []
    merged = set()
    while held.thread.is_alive():
        made = set(glob.glob(f"{M.state}/fast/{number}/made.*"))  # none where that has gone
        for _ in made - merged:
            name = names[len(written) % len(names)]
            try:
                with open(top / name, "r+", encoding="utf-8") as file:
                    file.seek(len(lines) - 10)
                    file.write("late")
                written.append(name)
            except OSError as error:
                expect_eq(error.errno, errno.ESTALE, name)
        merged |= made
    reply = held.end()
    expect(written, "nothing was written while texts were merged")
    for name in written:
        expect_has((top / name).read_text(encoding="utf-8"), "late", f"{name} after {reply}")
    mine = "".join((top / name).read_text(encoding="utf-8") for name in names) + "".join(kept_aside())
    expect(mine.count("mine\n") >= len(names), "what the command wrote is neither there nor aside")


def kept_aside():
    """What the conflicts have of those who were refused."""
    return [(M / "sys/conflicts" / number / "theirs").read_text()
            for number in os.listdir(M / "sys/conflicts") if number.isdigit()]


def links_that_others_change():
    """A file with two names that others change under one is theirs under both."""
    top = space_of("linked", a="one\n")
    os.link(top / "a", top / "b")
    held = Held("linked", "echo cmd >>a")
    with open(top / "b", "a", encoding="utf-8") as file:
        file.write("other\n")
    reply = held.end()
    for name in ("a", "b"):
        expect_eq((top / name).read_text(), "one\nother\n", name)
    expect_eq(os.lstat(top / "a").st_ino, os.lstat(top / "b").st_ino, "one file")
    expect_has(reply, " conflicts=2", "reply")
    expect("one\ncmd\n" in kept_aside(), "what the command wrote is kept")


def directories_that_others_move():
    """What a command did in a directory that others renamed is told, and kept."""
    for name, line, other in (("inside", "mkdir -p d/n/m; mkdir d/k; chmod 700 d", "e"),
                              ("renamed", "mv d x", "y")):
        top = space_of(name)
        (top / "d").mkdir()
        held = Held(name, line)
        (top / "d").rename(top / other)
        reply = held.end()
        expect_eq(sorted(os.listdir(top)), [other], "the workspace")
        expect("conflicts=0" not in reply and "# conflict: " in reply, f"told: {reply}")
        M.umount()
        M.mount()
        [kept] = (M.state / "fast").iterdir()
        made = "upper/d/n/m" if name == "inside" else "upper/x"
        expect((kept / made).is_dir(), f"{made} is kept below {kept}")
        [end] = [row["data"] for row in M.journal() if row["kind"] == "exec.end"
                 and row["data"].get("begin") == int(kept.name)]
        expect_eq(end["fold"], "kept", "the end's row")
        shutil.rmtree(kept)


def side_by_side():
    """Commands of one workspace at once: each is folded, whole."""
    top = space_of("crowd", **{f"own{one}": "old\n" for one in range(8)})
    device("fast")
    replies = {}

    def work(one):
        replies[one] = command(M / "dev/local/exec",
                               f"echo new{one} >own{one}; mkdir d{one}; seq 50 >d{one}/f; "
                               f"echo {one} >fought")
    os.chdir(top)
    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    os.chdir("/")
    expect_eq(sorted(replies), list(range(8)), "commands that ended")
    for one in range(8):
        expect_has(replies[one], "# fs=fast folded", f"reply {one}")
        expect_eq((top / f"own{one}").read_text(), f"new{one}\n", f"own{one}")
        expect_eq(len((top / f"d{one}/f").read_text().split()), 50, f"d{one}/f")
    last = (top / "fought").read_text().strip()
    kept = sum("sys/conflicts" in reply for reply in replies.values())
    expect(last.isdigit() and kept < 8, f"fought has {last!r}, {kept} kept aside")


def forks_meanwhile():
    """A fork and a checkpoint taken while it runs know nothing of it."""
    top = space_of("forked", a="a\n", b="b\n")
    held = Held("forked", "echo more >>a; rm b; echo c >c")
    command(top / ".agentfs/ctl", "checkpoint before")
    command(top / ".agentfs/ctl", "fork forked-2")
    held.end()
    expect_eq(sorted(os.listdir(top)), ["a", "c"], "the workspace")
    for other in (SPACES / "forked-2", top / ".agentfs/snapshots/before"):
        expect_eq({name: (other / name).read_text() for name in os.listdir(other)
                   if name != ".agentfs"}, {"a": "a\n", "b": "b\n"}, f"{other}")
    device("fast")
    os.chdir(SPACES / "forked-2")
    reply = command(M / "dev/local/exec", "echo d >d")
    os.chdir("/")
    expect_has(reply, "# fs=coherent: /workspaces/forked-2 is a fork", "reply in a fork")
    expect_eq((SPACES / "forked-2/d").read_text(), "d\n", "through the mount")


def rolled_back_meanwhile():
    """What ran in a state that is no more changes nothing, and stays where it is told."""
    top = space_of("back", a="a\n")
    command(top / ".agentfs/ctl", "checkpoint one")
    (top / "b").write_text("b\n", encoding="utf-8")
    held = Held("back", "echo mine >c")
    command(top / ".agentfs/ctl", "rollback one")
    reply = held.end()
    expect(not (top / "c").exists(), f"folded into another state: {reply}")
    kept = [path for path in (M.state / "fast").iterdir() if (path / "upper/c").exists()]
    expect_eq(len(kept), 1, f"kept of it; reply {reply}")
    shutil.rmtree(kept[0])


def a_state_that_the_sandbox_cannot_reach():
    """Root in a user namespace has no way through somebody's closed directory: then it is the mount."""
    top = TESTDIR / "somebodys"
    mount = Mount(TESTDIR / "closed/mnt", top / "state")
    mount.mnt.mkdir(parents=True)
    mount.state.mkdir(mode=0o700, parents=True)
    os.chown(top, 4321, 4321)
    top.chmod(0o700)
    mount.mount()
    (mount / "workspaces/site").mkdir()
    (mount / "etc/devices/local.toml").write_text('fs = "fast"\n', encoding="utf-8")
    os.chdir(mount / "workspaces/site")
    try:
        reply = command(mount / "dev/local/exec", "echo made >made")
    finally:
        os.chdir("/")
    expect_has(reply, f"# fs=coherent: the state lies in {top}")
    expect_eq(read(mount / "workspaces/site/made"), "made\n")
    mount.umount()


def rollbacks_of_another_beside():
    """A rollback has the host's kernel forget names; what commands work on stays where it is."""
    other = space_of("rolled", a="a\n")
    command(other / ".agentfs/ctl", "checkpoint one")
    space_of("beside", a="a\n")
    done = threading.Event()

    def roll_back():
        while not done.is_set():
            command(other / ".agentfs/ctl", "rollback one")

    thread = threading.Thread(target=roll_back)
    thread.start()
    try:
        for number in range(10):
            run_in("beside", f"echo {number} >n{number}")
    finally:
        done.set()
        thread.join()
    expect_eq(sorted(path.name for path in (SPACES / "beside").iterdir()),
              ["a"] + [f"n{number}" for number in range(10)], "what ten commands made")


def other_names():
    """Of a file that has another name nothing is kept: it goes on changing under that."""
    top = space_of("names", l1="hi\n")
    os.link(top / "l1", top / "l2")
    os.chdir(top)
    command(M / "dev/local/exec", "mv l1 l3; rm l3")
    os.chdir("/")
    expect(not (top / "l1").exists(), "the name is gone")
    (top / "l2").write_text("changed\n", encoding="utf-8")
    with open(top / "l2", "r+b") as file:
        file.write(b"CH")
    versions = top / ".agentfs/versions/l1"
    expect_eq([one.read_text() for one in versions.glob("*")] if versions.exists() else [], [],
              "what is kept of l1")
    expect_eq(os.lstat(top / "l2").st_nlink, 1)
    for round in range(5):
        linked = space_of(f"linked{round}", f="a")
        os.link(linked / "f", linked / "g")
        run_in(linked.name, "printf b >>f; chmod 600 g; ln f h")
        links = [os.lstat(linked / name).st_nlink for name in "fgh"]
        expect_eq(links, [3, 3, 3], "names of a file that was changed under two")


def versions():
    """What a fold replaces and removes can be had again."""
    top = space_of("past", a="first\n", b="second\n")
    (top / ".git").mkdir()
    (top / ".git/object").write_text("first\n", encoding="utf-8")
    run_in("past", "echo new >a; rm b; echo new >.git/object")
    expect_eq((top / ".git/object").read_text(), "new\n", "a file of a repository")
    found = set(os.listdir(top / ".agentfs/versions")) - {"README"}
    expect_eq(sorted(found), ["a", "b"], "versions")
    command(top / ".agentfs/ctl", "restore b")
    expect_eq((top / "b").read_text(), "second\n", "what was removed")


def access_lists():
    """Those that a command sets or takes away, also where it changes nothing else."""
    seen = {}
    for fs in ("fast", "coherent"):
        top = space_of(f"lists-{fs}", f="file\n", g="file\n")
        for name in ("set", "default", "taken"):
            (top / name).mkdir()
        for name in ("taken", "g"):
            run(["setfacl", "-m", "u:0:rwx", top / name])
        run_in(top.name, "setfacl -m u:0:rwx set; setfacl -m u:0:r f; setfacl -d -m g::rwx default; "
                         "setfacl -b taken g; echo n >default/n", fs)
        seen[fs] = {name: {key: os.getxattr(top / name, key) for key in os.listxattr(top / name)
                           if key.startswith("system.posix_acl")}
                    for name in ("set", "default", "taken", "f", "g", "default/n")}
    expect_eq(seen["fast"], seen["coherent"])
    expect_eq({name: [*lists] for name, lists in seen["fast"].items() if lists},
              {"set": ["system.posix_acl_access"], "default": ["system.posix_acl_default"],
               "f": ["system.posix_acl_access"]})


def attributes_that_others_set():
    """What they closed meanwhile is not opened by a command that touches it."""
    top = space_of("closed", key="key\n", f="file\n")
    (top / "d").mkdir()
    held = Held("closed", "echo n >d/new; touch -d 2001-01-01 key; echo more >>f")
    for name in ("d", "key"):
        (top / name).chmod(0o700)
        os.setxattr(top / name, "user.k", b"others")
    reply = held.end()
    for name in ("d", "key"):
        expect_eq((oct(os.stat(top / name).st_mode)[-3:], os.getxattr(top / name, "user.k")), ("700", b"others"), reply)
    expect_eq(((top / "d/new").read_text(), (top / "f").read_text()), ("n\n", "file\nmore\n"))
    expect("conflicts=1" in reply, reply)


def times_of_directories():
    """A directory's time that is set is told; one that goes with what is made in it is not."""
    top = space_of("times")
    for name in ("d", "e"):
        (top / name).mkdir()
        os.utime(top / name, (LONG_AGO, LONG_AGO))
    after = M.journal()[-1]["seq"]
    run_in("times", "touch -d 2003-03-03 d; touch e/b")
    told = {(row["kind"], row["data"]["path"].rpartition("/")[2]) for row in tree_rows(after)}
    expect_eq(told, {("tree.attributes", "d"), ("tree.create", "b")})
    expect(os.stat(top / "d").st_mtime > LONG_AGO, "the time")


def times_beside_a_reader():
    """Who looks at a directory while its command ends is shown what it has in the end."""
    top = space_of("looked")
    (top / "d").mkdir()
    ended = threading.Event()

    def look():
        while not ended.is_set():
            os.stat(top / "d")

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    try:
        for year in range(2001, 2021):
            run_in("looked", f"touch -d {year}-03-03T00:00:00Z d")
            expect_eq(time.gmtime(os.stat(top / "d").st_mtime).tm_year, year, "the time of d")
    finally:
        ended.set()
        reader.join()


def rows_of_directories():
    """Renames are told such that each finds what those before it have left."""
    for name, line in (("into", "mv a/b t; mkdir c; mv a c/a; mkdir a; mv t a/c; echo >a/c/f"),
                       ("nest", "mv a t; mkdir a; mv t/b a/b; mv t a/t; echo >a/b/f")):
        top = space_of(name)
        (top / "a/b").mkdir(parents=True)
        before, start = tree(top), M.head()
        run_in(name, line)
        rows = tree_rows(start)
        names = {path for path in tree(top) if path != "."}
        told = [[row["kind"], row["data"]["path"], row["data"].get("other")] for row in rows]
        expect_eq(sorted(replay(before, rows, name) ^ names), [], f"{name}: names by {told}")
    top = space_of("returned")
    (top / "d").mkdir()
    start = M.head()
    run_in("returned", "mv d t; mv t d; echo >d/g")
    told = [(row["kind"], row["data"]["path"]) for row in tree_rows(start)]
    expect_eq(told, [("tree.attributes", "/workspaces/returned"),
                     ("tree.create", "/workspaces/returned/d/g")], "of what came back")


def quotas():
    """What would not fit changes nothing, and stays where it is told."""
    top = space_of("small", a="a\n")
    tell(top / ".agentfs/limits", "bytes=1000000")
    device("fast")
    os.chdir(top)
    descriptor = os.open(M / "dev/local/exec", os.O_RDWR)
    try:
        os.write(descriptor, b"echo b >b; head -c 5000000 /dev/zero | tr '\\0' x >c\n")
        reply = os.read(descriptor, 1 << 20)
        fail(f"five megabytes in one: {reply}")
    except OSError as error:
        expect_eq(os.strerror(error.errno), "Disk quota exceeded", "errno")
    finally:
        os.close(descriptor)
        os.chdir("/")
    sentence = M.last_error()
    expect_has(sentence, "a larger limit in /workspaces/small/.agentfs/limits", "sentence")
    expect_has(sentence, "with room it can be copied from there, or the command run again",
               "sentence")
    expect_eq(os.listdir(top), ["a"], "the workspace")
    [kept] = (M.state / "fast").iterdir()
    expect_has(sentence, f"is kept in {kept}/upper;", "sentence")
    expect_eq((kept / "upper/b").read_text(), "b\n", "what is kept of b")
    expect_eq((kept / "upper/c").stat().st_size, 5_000_000, "what is kept of c")
    end = [row["data"] for row in M.journal() if row["kind"] == "exec.end"][-1]
    expect_eq(end["fold"], "kept", f"the row {end}")
    shutil.rmtree(kept)
    run_in("small", "echo b >b")
    expect_eq((top / "b").read_text(), "b\n", "what fits")


def what_limits_refuse_is_bounded():
    """Whose overlays were kept with some megabytes has no other until they are taken away."""
    top = space_of("refused")
    tell(top / ".agentfs/limits", "bytes=1000000")
    fill = "head -c 12000000 /dev/zero | tr '\\0' x >c; wc -c <c"
    for number in (1, 2):
        expect_errno("EDQUOT", run_in, "refused", fill)
        expect_eq(len(os.listdir(M.state / "fast")), number, "overlays that are kept")
    reply = run_in("refused", fill, takes_it=False)
    expect_has(reply, "# fs=coherent: what earlier commands of /workspaces/refused have left below ")
    expect_has(reply, " is more than 16 MiB: it is to be taken from there or removed first")
    expect((top / "c").stat().st_size < 1_000_000, "the limit")
    expect_eq(len(os.listdir(M.state / "fast")), 2, "overlays that are kept")
    space_of("other")
    expect_has(run_in("other", "echo b >b"), "# fs=fast folded paths=1 ", "of another workspace")
    for overlay in (M.state / "fast").iterdir():
        shutil.rmtree(overlay)
    (top / "c").unlink()
    expect_has(run_in("refused", "echo b >b"), "# fs=fast folded paths=1 ", "when they are gone")


def on_fail_and_dry_run():
    """What an agent's call can say."""
    top = space_of("said", a="a\n")
    def call(**arguments):
        return {"name": "exec", "arguments": {"command": "echo x >>a; echo b >b; exit 3",
                                              **arguments}}
    looked_at = "mkdir .agentfs; echo x >.agentfs/x; echo x >>a; echo b >b"
    calls = [call(fs="fast", dry_run=True, command=looked_at), call(fs="fast", on_fail="drop"),
             call(fs="coherent", on_fail="drop"), call(fs="fastest"), call(fs="fast")]
    steps = [{"text": "I work.", "calls": [one]} for one in calls] + [{"text": "Done."}]
    M.script_model("fast", {"tasks": [{"match": "*", "steps": steps}]})
    pid = M.spawn("name=fast model=fast workspace=said")
    tell(M.proc(pid, "chat"), "go\n")
    M.wait(pid)
    rows = [row for row in M.journal() if row["kind"] == "call.end" and row["by"][:1] == [pid]]
    results = [row["data"]["result"] for row in rows]
    expect_eq(len(results), len(calls), f"results {results}")
    expect_has(results[0], "M\ta\nA\tb\n", "a dry run")
    expect_has(results[0], "left out, the name is the mount's", "a dry run")
    expect("is kept" not in results[0], f"a dry run keeps nothing: {results[0]}")
    expect_has(results[1], "what it changed is dropped", "on_fail=drop")
    expect_has(results[1], "# fs=fast dropped paths=2 conflicts=0", "on_fail=drop")
    expect_has(results[2], "take fs=fast", "on_fail=drop without fs=fast")
    expect_has(results[3], "coherent and fast are", "an unknown fs")
    expect_has(results[4], "# fs=fast folded paths=2", "the default is to fold")
    expect_eq((top / "a").read_text(), "a\nx\n", "folded once")
    ends = [row["data"] for row in M.journal()
            if row["kind"] == "exec.end" and row["data"].get("fold") and row["by"][:1] == [pid]]
    expect_eq([(end["fold"], end["paths"]) for end in ends],
              [("shown", 2), ("dropped", 2), ("folded", 2)], "the rows of the ends")
    folded = [row for row in M.journal() if row["data"].get("fold") and row["kind"] == "tree.write"
              and row["data"]["path"] == "/workspaces/said/a"]
    expect_eq([row["by"][0] for row in folded], [pid], "the author of the fold's row")
    expect(folded[0].get("via", "").startswith("call:"), f"the call: {folded[0]}")


def escapes():
    """An overlay shows its workspace and nothing else of the state."""
    (SPACES / "secret").mkdir()
    (SPACES / "secret/file").write_text("secret\n", encoding="utf-8")
    space_of("walls", a="a\n")
    os.symlink(str(M.state), SPACES / "walls/state")
    os.symlink("../secret/file", SPACES / "walls/beside")
    state = str(M.state)
    reply = run_in("walls", f"ls {state} {state}/fast; cat {state}/trees/workspaces/secret/file; "
                   "cat ../secret/file beside state/lock /proc/1/root/workspaces/secret/file; "
                   "awk '$5 == \"/workspaces/walls\"' /proc/self/mountinfo; "
                   "cat .agentfs/ctl; echo evil >../secret/file; mkdir .agentfs; "
                   "echo x >.agentfs/x; mknod null c 1 3; cp /bin/true t; chmod 4755 t")
    expect("\nsecret\n" not in reply and not reply.startswith("secret"), f"escaped: {reply}")
    expect_eq((SPACES / "secret/file").read_text(), "secret\n", "another workspace")
    expect_has(reply, "left out, the name is the mount's", "a reserved name")
    left = re.search("what is left out is kept below (.*)", reply)
    expect(left, f"where what was left out is: {reply}")
    upper = pathlib.Path(left[1])
    expect_eq((upper / ".agentfs/x").read_text(), "x\n", "what was left out")
    shutil.rmtree(upper.parent)
    expect_eq(sorted(os.listdir(SPACES / "walls")), ["a", "beside", "state", "t"], "what is there")


def what_is_left_out_is_bounded():
    """Under the mount's own names a command leaves no more than limits and some megabytes allow."""
    top = space_of("left")
    fill = "mkdir .agentfs; head -c {} /dev/zero >.agentfs/x; touch done"
    kept, gone = "what is left out is kept below", "what is left out has gone"
    for size in (20_000_000, 12_000_000, 12_000_000):
        before = len(os.listdir(M.state / "fast"))
        reply = run_in("left", fill.format(size))
        expect_has(reply, "left out, the name is the mount's")
        fits = size < 16 << 20 and before == 0
        expect_has(reply, kept if fits else gone, f"{size} bytes beside {before}")
        expect_eq(len(os.listdir(M.state / "fast")), before + fits, f"after {size} bytes")
        expect((top / "done").exists(), "the rest was folded")
        (top / "done").unlink()
    [overlay] = (M.state / "fast").iterdir()
    shutil.rmtree(overlay)
    tell(top / ".agentfs/limits", "bytes=1M")
    expect_has(run_in("left", fill.format(2_000_000)), gone)
    expect_eq(os.listdir(M.state / "fast"), [], "what is beside a workspace with a limit")


def kills():
    """kill -9 of the daemon in a fold: its next start ends it; no half is ever seen."""
    rng = random.Random(SEED)
    for number in range(1, ROUNDS + 1):
        name = f"kill-{number}"
        top = space_of(name, **{f"old{one}": "old\n" for one in range(100)})
        (top / "d").mkdir()
        for one in range(50):
            (top / f"d/{one}").write_text("x", encoding="utf-8")
        plain = TESTDIR / name
        subprocess.run(["cp", "-a", M.state / "trees/workspaces" / name, plain], check=True)
        line = (f"for i in $(seq 0 99); do case $((i % 3)) in 0) echo new$i >old$i;; 1) rm old$i;; "
                "esac; done; mkdir n; for i in $(seq 200); do echo $i >n/$i; done; mv d e; "
                "rm e/7; echo y >e/8; for i in $(seq 100); do echo $i >top$i; done")
        subprocess.run(["sh", "-c", line], cwd=plain, check=True)
        held = Held(name, line)
        held.go.touch()
        time.sleep(rng.uniform(0, 0.06))
        daemon, watcher = M.daemon(), M.watcher()
        if number % 2 == 0:
            kill(watcher)
        kill(daemon)
        if number % 2 == 0:
            wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
            M.mount(timeout=30)
        wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
        wait_until(5, lambda: M.daemon() == M.answers(), "daemon.pid")
        wrong = difference(without_times(tree(plain)), without_times(tree(top)))
        expect_eq(wrong, "", f"kill {number}, SEED={SEED}: the tree and what it should be")
        expect_eq(os.listdir(M.state / "fast"), [], f"kill {number}: left below STATE/fast")
        M.verify()
        shutil.rmtree(plain)
    ends = [row["data"] for row in M.journal() if row["kind"] == "exec.end"]
    print(f"{ROUNDS} kills, {sum(end.get('ended_by') == 'crash' for end in ends)} ended by a start")
    M.umount()
    output = M.fsck()
    expect("FAIL" not in output, f"fsck: {output}")
    order = M.state / "fast/7/order"
    order.parent.mkdir()
    order.write_text(json.dumps({"number": 7, "root": "/workspaces/gone", "phase": "kept",
                                 "command_hex": b"make".hex()}), encoding="utf-8")
    expect_has(M.fsck(), "what make changed in /workspaces/gone", "fsck of what was kept")
    order.write_text("{}", encoding="utf-8")
    expect_has(M.fsck(code=1), "FAIL commands", "fsck of a damaged order")


def start_again():
    """With the watcher, which would start the daemon a few times a minute only."""
    daemon = M.daemon()
    kill(M.watcher())
    kill(daemon)
    wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
    M.mount(timeout=30)


def kill_while(space, line, is_there):
    """The command's number, after its daemon was killed when the journal had a line of it."""
    held = Held(space, line)
    begin = [row["seq"] for row in M.journal() if row["kind"] == "exec.begin"][-1]
    held.go.touch()
    wait_until(30, lambda: is_there(begin), "what the daemon is killed after")
    start_again()
    return begin


def lines_of(begin, what):
    """How many lines of the journal have this of the command."""
    segments = (M.state / "journal/segments").iterdir()
    return sum(path.read_bytes().count(what % begin) for path in segments)


def rows_are_told_once():
    """A kill while rows are told: the next start tells the rest, and the end."""
    top = space_of("once")
    (top / "d").mkdir()
    (top / "d/f").write_text("v\n", encoding="utf-8")
    before = tree(top)
    start = M.head()
    begin = kill_while("once", "mv d e; mkdir d; echo new >d/f; "
                       "for i in $(seq 5000); do echo $i >n$i; done",
                       lambda begin: lines_of(begin, b'"fold":%d') > 50)
    rows = [row for row in tree_rows(start) if row["data"].get("fold") == begin]
    told = [(row["kind"], row["data"]["path"]) for row in rows]
    expect_eq(len(told), len(set(told)), "rows, each once")
    expect_eq(len(told), 5003, "rows")
    names = {path for path in tree(top) if path != "."}
    expect_eq(sorted(replay(before, rows, "once") ^ names), [], "names by the rows")
    expect_eq(lines_of(begin, b'"begin":%d'), 1, "rows of the end")


def staged(space):
    """How much a fold has brought into the workspace so far."""
    try:
        return len(os.listdir(M.state / "trees/workspaces" / space / ".agentfs-merge"))
    except FileNotFoundError:
        return 0


def links_stay_one_file_over_a_kill():
    """What a fold had brought in goes back whole, also where a checkpoint shares the rest of the workspace."""
    for number in range(ROUNDS // 2):
        top = space_of(f"one-file{number}", a="x\n")
        command(top / ".agentfs/ctl", "checkpoint k")
        kill_while(top.name, "mv a g; mkdir d; ln g d/e; echo q >>g; for i in $(seq 300); do : >n$i; done",
                   lambda begin: staged(top.name) > 50 * number or lines_of(begin, b'"begin":%d') > 0)
        expect_eq(read(top / "g"), "x\nq\n", f"round {number}")
        expect_eq((top / "g").stat().st_ino, (top / "d/e").stat().st_ino, f"round {number}: one file")


def every_command_ends():
    """A kill at the end of a command: it has one row of its end after the next start."""
    rng = random.Random(SEED)
    space_of("ends")
    begins = []
    for number in range(ROUNDS * 2):
        held = Held("ends", f"mkdir n{number}; for i in $(seq 100); do echo $i >n{number}/$i; done")
        begins.append([row["seq"] for row in M.journal() if row["kind"] == "exec.begin"][-1])
        held.go.touch()
        time.sleep(rng.uniform(0, 0.03))
        start_again()
    expect_eq([lines_of(begin, b'"begin":%d') for begin in begins], [1] * len(begins), "ends")


def what_a_power_cut_brings_back_is_cleared():
    """The rows of a fold can outlive one that takes the removal of what was replaced."""
    top = space_of("cut", **{f"f{number}": "old\n" for number in range(300)})
    orders = {}

    def watch():
        while not done.is_set():
            for path in glob.glob(f"{M.state}/fast/*/order"):
                try:
                    orders[path] = pathlib.Path(path).read_bytes()
                except FileNotFoundError:
                    pass

    done = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    run_in("cut", "for i in $(seq 0 299); do echo new >f$i; done")
    done.set()
    watcher.join()
    [(path, order)] = orders.items()
    expect_has(order.decode(), '"phase":"folded"')
    M.umount()
    steps = json.loads(bytes.fromhex(json.loads(order)["record"]))["steps"]
    old = M.state / "trees/workspaces/cut/.agentfs-merge" / steps[0]["name"]
    old.parent.mkdir(0o700)
    old.write_text("old\n", encoding="utf-8")
    pathlib.Path(path).parent.mkdir()
    pathlib.Path(path).write_bytes(order)
    M.mount()
    expect(not old.parent.exists(), "what was replaced lies in the workspace")
    expect_eq(os.listdir(M.state / "fast"), [], "what is left below STATE/fast")
    expect_eq({read(top / f"f{number}") for number in range(300)}, {"new\n"})


def what_a_command_removes_comes_back():
    space = SPACES / "kinds"
    make_of_each_kind(space / "kinds")
    before = kinds_of(space / "kinds")
    run_in("kinds", "rm -r kinds")
    expect(not (space / "kinds").exists(), "it is still there")
    tell(space / ".agentfs/ctl", "restore kinds\n")
    expect_eq(kinds_of(space / "kinds"), before)


def without_times(seen):
    return {path: what[:3] + what[4:] for path, what in seen.items()}


main(setup, random_operations, other_names, versions, access_lists, times_of_directories, times_beside_a_reader,
     rows_of_directories, conflicts, commits_meanwhile, texts_that_others_go_on_changing,
     what_others_append_or_set_meanwhile_stays, attributes_that_others_set, links_that_others_change, directories_that_others_move,
     side_by_side, forks_meanwhile, rolled_back_meanwhile, rollbacks_of_another_beside,
     a_state_that_the_sandbox_cannot_reach, quotas, what_limits_refuse_is_bounded, on_fail_and_dry_run, escapes,
     what_is_left_out_is_bounded,
     rows_are_told_once, links_stay_one_file_over_a_kill, every_command_ends, what_a_power_cut_brings_back_is_cleared,
     what_a_command_removes_comes_back, kills)
