#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""st_size is exact: what stat measured is what every tool reads, mapped and in pieces too."""
import mmap
import os
import pathlib
import re
import select
import shutil
import signal
import stat
import subprocess
import tarfile
import threading
import time

from lib import (MNT, TESTDIR, Wrong, expect, expect_eq, expect_errno, mnt, read, run,
                 script_model, spawn, wait_until, write)

# What moves by itself, from one moment to the next.
MOVING = ["sys/kernel/clock", "sys/kernel/uptime", "sys/kernel/metrics", "sys/fs/stats"]
# One value a file, which may be the empty line.
VALUES = re.compile(r"proc/\d+/(cwd|deadline|heartbeat|limits|model|name|owner|parent|priority|"
                    r"profile|started|state|workspace)$|sys/kernel/(abi|pid|uptime|version)$")
pid = 0
waiting = 0


def make_processes():
    """One with a conversation, one whose run does not end by itself."""
    global pid, waiting
    os.mkdir(mnt("workspaces/w"))
    script_model("short", {"tasks": [{"match": "*", "steps": [
        {"text": "I look.", "calls": [{"name": "exec", "arguments": {"command": "seq 2000"}}]},
        {"text": "Done."}]}]})
    script_model("slow", {"tasks": [{"match": "*", "steps": [
        {"text": "Wait.", "calls": [{"name": "exec", "arguments": {"command": "sleep 250"}}]},
        {"text": "Done."}]}]})
    pid = spawn(name="talks", workspace="w", model="short")
    waiting = spawn(name="waits", workspace="w", model="slow")
    write("look\n", "proc", pid, "chat")
    expect_eq(read("proc", pid, "wait"), "[script] Done.\n", "the answer")
    write("wait\n", "proc", waiting, "chat")
    wait_until(20, lambda: read("proc", waiting, "state") == "waiting-tool\n", "a tool call")


def listed_files():
    found = []
    for directory, _, names in os.walk(MNT):
        paths = [os.path.join(directory, name) for name in names]
        found += [path for path in paths if stat.S_ISREG(os.lstat(path).st_mode)]
    expect(len(found) > 100, f"only {len(found)} files are listed")
    return found


def read_in_pieces(path, size):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        text = b""
        while piece := os.read(descriptor, size):
            text += piece
        return text
    finally:
        os.close(descriptor)


def pinned(path):
    """stat, then open and read: the size of the first is that of the second."""
    size = os.stat(path).st_size
    text = read_in_pieces(path, 1 << 20)
    expect_eq(len(text), size, f"bytes of {path}")
    return text


def mapped(path):
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return expect_eq(file.read(), b"", f"a file of size 0, {path}")
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            text = bytes(view)
            expect_eq(len(text), size, f"mapped bytes of {path}")
            expect_eq(file.read(), text, f"read and mapped, {path}")
            expect(not text.endswith(b"\0"), f"{path}: padded with NUL")


def every_file():
    for path in listed_files():
        text = pinned(path)
        mapped(path)
        if not any(path.endswith(name) for name in MOVING):
            expect_eq(read_in_pieces(path, 7), text, f"{path} in pieces of 7")
        if VALUES.search(path):
            expect(text.endswith(b"\n") and text.count(b"\n") == 1, f"{path}: {text}")
        elif text and "/workspaces/" not in path and "/calls/" not in path:
            expect(text.endswith(b"\n"), f"{path}: no newline at its end: {text[-80:]}")


def who_changes_something_sees_it_in_what_it_measured_before():
    changes = {"write": lambda name: pathlib.Path(mnt("workspaces/w", name)).write_text("1\n"),
               "mkdir": lambda name: os.mkdir(mnt("workspaces/w", name)),
               "rename": lambda name: os.rename(mnt("workspaces/w/write"), mnt("workspaces/w", name)),
               "remove": lambda name: os.unlink(mnt("workspaces/w/rename"))}
    log = mnt("workspaces/w/.agentfs/log")
    for name, change in changes.items():
        before = os.stat(log).st_size
        change(name)
        text = read_in_pieces(log, 1 << 20)
        expect(len(text) > before, f"after {name}: {text[-100:]}")
        expect_eq(read_in_pieces(log, 1 << 20), text, f"again, after {name}")


def copies_of(copy, path):
    expect_eq(os.stat(copy).st_size, len(read_in_pieces(copy, 1 << 20)), copy)
    moving = any(path.endswith(name) for name in MOVING)
    with open(copy, "rb") as file:
        text = file.read()
    expect(b"\0" not in text, f"{copy}: padded with NUL")
    if not moving:
        with open(path, "rb") as file:
            expect_eq(text, file.read(), f"the copy of {path}")


def copying_tools():
    copy = os.path.join(TESTDIR, "one")
    for path in [mnt(name) for name in MOVING] + [mnt("proc", pid, "context"),
                                                  mnt("proc", pid, "events.jsonl")]:
        for tool in (["cp"], ["rsync", "--checksum"], ["cp", "--reflink=never", "--sparse=always"]):
            if not shutil.which(tool[0]):
                continue
            run([*tool, path, copy])
            copies_of(copy, path)
            os.unlink(copy)
        shutil.copyfile(path, copy)
        copies_of(copy, path)


def tar_of_all():
    name = os.path.join(TESTDIR, "all.tar")
    run(["tar", "-C", MNT, "-cf", name, "."], timeout=120)
    with tarfile.open(name) as archive:
        members = {member.name: member for member in archive.getmembers() if member.isfile()}
        for name in MOVING + [f"proc/{pid}/status", f"proc/{pid}/context"]:
            text = archive.extractfile(members["./" + name]).read()
            expect(text and b"\0" not in text and text.endswith(b"\n"), f"{name} in tar: {text}")
    expect_eq(len(members), len(listed_files()), "files in the archive")


def parallel_cats():
    """30 at once of what changes all the time: each reads a whole value."""
    patterns = {"sys/kernel/clock": None, "sys/kernel/uptime": r"\d+(\.\d+)?\n",
                "sys/kernel/metrics": None}
    for name, pattern in patterns.items():
        shown = re.sub(r"\d", "0", read(name)) if pattern is None else None
        cats = [subprocess.Popen(["cat", mnt(name)], stdout=subprocess.PIPE) for _ in range(30)]
        for cat in cats:
            text = cat.communicate(timeout=60)[0].decode()
            expect_eq(cat.returncode, 0, f"exit of cat {name}")
            if pattern:
                expect(re.fullmatch(pattern, text), f"{name}: {text!r}")
            elif name.endswith("clock"):
                expect_eq(re.sub(r"\d", "0", text), shown, f"the form of {name}")
            else:
                expect(text.endswith("\n") and "\0" not in text, f"{name}: {text[-80:]!r}")


def stat_then_open():
    """The state moves between a stat and the open that follows: still the bytes that were
    measured; and the descriptor goes on showing them."""
    write("x\n", "proc", pid, "name")
    path = mnt("proc", pid, "name")
    size = os.stat(path).st_size
    run(["bash", "-c", 'echo a-much-longer-name >"$1"', "-", path])
    with open(path, "rb") as file:
        expect_eq(os.fstat(file.fileno()).st_size, size, "fstat after the change")
        expect_eq(file.read(), b"x\n", "what was measured")
        file.seek(0)
        expect_eq(file.read(), b"x\n", "the same descriptor, again")
    expect_eq(read("proc", pid, "name"), "a-much-longer-name\n", "the open after that")


def mtime_moves_with_content():
    path = mnt("proc", pid, "name")
    number = os.stat(path).st_ino
    before = os.stat(path).st_mtime_ns
    read("proc", pid, "name")
    write("nice 3\n", "proc", pid, "ctl")
    expect_eq(os.stat(path).st_mtime_ns, before, "mtime after a change of another file")
    write("other\n", "proc", pid, "name")
    after = os.stat(path)
    expect(after.st_mtime_ns > before, f"mtime did not move: {after.st_mtime_ns} and {before}")
    expect_eq(after.st_ino, number, "st_ino after a change")
    expect(before % 1_000_000_000 or after.st_mtime_ns % 1_000_000_000, "no nanoseconds")


# Whatever opens a file for writing or cuts it; {} is the file.
WRITERS = ["echo '#' > {}", "echo '#' >> {}", "echo '#' 1<> {}", "truncate -s 0 {}",
           "python3 -c \"open('{}', 'r+').truncate(1)\"",
           "python3 -c \"import os; os.close(os.open('{}', os.O_RDONLY | os.O_TRUNC))\""]


def readers_keep_their_size():
    """The host's kernel has one size for a node: a writer gets a node of its own."""
    code = ("import mmap, os, sys; d = os.open(sys.argv[1], os.O_RDONLY)\n"
            "m = mmap.mmap(d, 0, prot=mmap.PROT_READ)\n"
            "print(os.fstat(d).st_size, flush=True); sys.stdin.readline()\n"
            "print(os.fstat(d).st_size, len(os.read(d, 1 << 20)), len(bytes(m).rstrip(b'\\0')))")
    document = mnt("etc/agentfs.toml")
    for path in [document, mnt("proc/clone"), mnt("dev/local/exec"), mnt("proc", pid, "ctl")]:
        for writer in WRITERS:
            if path == document:
                pathlib.Path(document).write_text("# one\n# two\n", encoding="utf-8")
            with subprocess.Popen(["python3", "-c", code, path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True) as reader:
                size = int(reader.stdout.readline())
                run(["bash", "-c", writer.format(path)])
                after, _ = reader.communicate("\n", timeout=20)
            expect_eq(after.split(), [str(size)] * 3, f"{path} of a reader, after: {writer}")
    os.unlink(document)


def blocking_files_are_unlisted():
    names = os.listdir(mnt("proc", pid))
    for name in ("wait", "stream"):
        expect(name not in names, f"{name} is listed")
        expect(stat.S_ISREG(os.stat(mnt("proc", pid, name)).st_mode), f"{name} is no file")
        descriptor = os.open(mnt("proc", waiting, name), os.O_RDONLY | os.O_NONBLOCK)
        begun = time.monotonic()
        if name == "stream":  # what is there already comes at once
            try:
                while os.read(descriptor, 65536):
                    pass
                raise Wrong("the stream of a run under way ended")
            except BlockingIOError:
                pass
        else:
            expect_errno("EAGAIN", os.read, descriptor, 4096)
        expect(time.monotonic() - begun < 5, f"O_NONBLOCK of {name} blocked")
        os.close(descriptor)


def state_of(process):
    with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def descriptors_of(process):
    links = []
    for name in os.listdir(f"/proc/{process}/fd"):
        try:
            links.append(os.readlink(f"/proc/{process}/fd/{name}"))
        except FileNotFoundError:
            continue
    return links


def sleeping_in_read(process):
    """It has opened a file of the mount and sleeps."""
    return state_of(process.pid) == "S" and any(
        link.startswith(MNT + "/proc/") for link in descriptors_of(process.pid))


def interrupts():
    """Ctrl-C and kill -9 end readers at once; the files answer afterwards."""
    for name in ("wait", "stream"):
        for number in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
            cats = [subprocess.Popen(["cat", mnt("proc", waiting, name)], stdout=subprocess.DEVNULL)
                    for _ in range(10)]
            for cat in cats:
                wait_until(10, lambda cat=cat: sleeping_in_read(cat), f"cat {name} waits")
            for cat in cats:
                cat.send_signal(number)
            for cat in cats:
                expect_eq(cat.wait(timeout=10), -number, f"end of cat {name}")
    expect_eq(read("proc", waiting, "state"), "waiting-tool\n", "state after 60 interrupted reads")


def nothing_hangs():
    stuck = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if state_of(entry) == "D" and any(link.startswith(MNT) for link in
                                              descriptors_of(entry)):
                stuck.append(entry)
        except OSError:
            continue
    expect_eq(stuck, [], "processes in D state with a file of the mount")


def many_parked_readers():
    """More than there are worker threads; the mount goes on answering."""
    cats = [subprocess.Popen(["cat", mnt("proc", waiting, "wait")], stdout=subprocess.PIPE)
            for _ in range(60)]
    for cat in cats:
        wait_until(20, lambda cat=cat: sleeping_in_read(cat), "60 cats wait")
    expect_eq(read("proc", waiting, "name"), "waits\n", "another file meanwhile")
    write("cancel\n", "proc", waiting, "ctl")
    for cat in cats:
        cat.communicate(timeout=20)
    expect(all(cat.returncode in (0, 1) for cat in cats), "cats were ended by the cancel")


def polled(path, change):
    """A poll that waits is woken by the change (POLLPRI: there is a newer version than the one that
    was opened); one that came after it is answered at once."""
    descriptor = os.open(path, os.O_RDONLY)
    poll = select.poll()
    poll.register(descriptor, select.POLLPRI)
    before = read_in_pieces(path, 65536)
    expect_eq(poll.poll(300), [], f"poll of {path} before anything changed")
    timer = threading.Timer(0.2, change)
    timer.start()
    begun = time.monotonic()
    woken = poll.poll(20_000)
    timer.join()
    expect(woken, f"poll of {path}: not woken in {time.monotonic() - begun:.1f} s")
    expect_eq(poll.poll(0), woken, f"poll of {path} again")
    expect_eq(os.pread(descriptor, 1 << 20, 0), before, "what the descriptor shows")
    os.close(descriptor)
    return before, read_in_pieces(path, 65536)


def polls():
    before, after = polled(mnt("proc", pid, "events.jsonl"),
                           lambda: write("nice 9\n", "proc", pid, "ctl"))
    expect(after.startswith(before) and b'"value":9' in after[len(before):], "the new record")
    states = polled(mnt("proc", pid, "state"), lambda: write("stop\n", "proc", pid, "ctl"))
    expect_eq(states, (b"idle\n", b"stopped\n"), "states")
    write("cont\n", "proc", pid, "ctl")


def polls_of_many():
    """One change wakes all who wait for it."""
    code = ("import os, select, sys; d = os.open(sys.argv[1], os.O_RDONLY); p = select.poll()\n"
            "p.register(d, select.POLLPRI); print('waits', flush=True); print(p.poll(30000))")
    waiters = [subprocess.Popen(["python3", "-c", code, mnt("proc", pid, "state")],
                                stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for waiter in waiters:
        expect_eq(waiter.stdout.readline(), "waits\n", "a waiter")
    write("stop\n", "proc", pid, "ctl")
    for waiter in waiters:
        expect("[(3, 2)]" in waiter.communicate(timeout=30)[0], "a waiter was not woken")
    write("cont\n", "proc", pid, "ctl")


if __name__ == "__main__":
    from lib import main
    main(make_processes, every_file,
         who_changes_something_sees_it_in_what_it_measured_before, copying_tools, tar_of_all, parallel_cats, stat_then_open,
         mtime_moves_with_content, readers_keep_their_size, blocking_files_are_unlisted, interrupts, nothing_hangs, polls,
         polls_of_many, many_parked_readers, nothing_hangs)
