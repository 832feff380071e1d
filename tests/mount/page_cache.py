#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What was written is read from the host's cache, and never an older content of it."""
import contextlib
import ctypes
import mmap
import os
import platform
import struct
import subprocess
import sys
import threading

from mount_lib import AGENTFS, Mount, command, expect, expect_eq, main, read, run, tell, wait_until

M = Mount.of("page-cache")
SPACE = M / "workspaces/site"
PAGE = mmap.PAGESIZE
FILES = 20


def begin():
    M.mount()
    SPACE.mkdir()


def what_was_written_is_known():
    before = M.operations("read")
    for number in range(FILES):
        (SPACE / f"f{number}").write_bytes(bytes([number]) * PAGE * 4)
    for number in range(FILES):
        expect_eq((SPACE / f"f{number}").read_bytes(), bytes([number]) * PAGE * 4, f"f{number}")
        with open(SPACE / f"f{number}", "r+b", buffering=0) as file:
            file.seek(PAGE)
            file.write(b"changed")
        expect_eq((SPACE / f"f{number}").read_bytes()[PAGE:PAGE + 7], b"changed", f"f{number}")
    # What is asked of /sys/fs/stats itself is read through the daemon.
    asked = M.operations("read") - before
    expect(asked < FILES // 2, f"{asked} reads of what was written")


def what_others_changed_is_not():
    path = SPACE / "f0"
    held = open(path, "rb")
    command(SPACE / ".agentfs/ctl", "checkpoint one")
    later = b"L" * PAGE * 4
    with open(path, "r+b") as file:
        file.write(later)
    expect_eq(held.read(), later, "by the descriptor that was open")
    expect_eq((SPACE / ".agentfs/snapshots/one/f0").read_bytes()[PAGE:PAGE + 7], b"changed", "kept")
    command(SPACE / ".agentfs/ctl", "rollback one")
    expect_eq(path.read_bytes()[PAGE:PAGE + 7], b"changed", "after the rollback")
    command(SPACE / ".agentfs/ctl", "fork try")
    with open(M / "workspaces/try/f0", "r+b") as file:
        file.write(later)
    command(SPACE / ".agentfs/ctl", "merge try")
    expect_eq(path.read_bytes(), later, "after the merge")
    os.truncate(path, PAGE)
    os.truncate(path, 2 * PAGE)
    expect_eq(path.read_bytes(), later[:PAGE] + bytes(PAGE), "cut off and made longer")
    held.close()
    M.verify()
    M.umount()


class Direct:
    """io_submit(2): one direct write of a whole file at a time, told as done by io_getevents(2)."""
    SETUP, GETEVENTS, SUBMIT, PWRITE = 206, 208, 209, 1

    def __init__(self, path, size):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.context = ctypes.c_ulong()
        self.must(self.SETUP, 1, ctypes.byref(self.context))
        self.bytes = mmap.mmap(-1, size)
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)

    def must(self, call, *words):
        result = self.libc.syscall(ctypes.c_long(call), *words)
        expect(result >= 0, f"system call {call}: {os.strerror(ctypes.get_errno())}")
        return result

    def write(self, byte):
        self.bytes[:] = byte * len(self.bytes)
        place = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        order = ctypes.create_string_buffer(struct.pack(
            "QIIHhIQQqQII", 0, 0, 0, self.PWRITE, 0, self.file, place, len(self.bytes), 0, 0, 0, 0))
        orders = (ctypes.c_void_p * 1)(ctypes.addressof(order))
        expect_eq(self.must(self.SUBMIT, self.context, ctypes.c_long(1), orders), 1)
        done = ctypes.create_string_buffer(32)
        self.must(self.GETEVENTS, self.context, ctypes.c_long(1), ctypes.c_long(1), done, None)
        expect_eq(struct.unpack("QQqq", done.raw)[2], len(self.bytes), "written")


def what_is_written_directly_is_read():
    """While others read it by the cache, from where no older page comes afterwards."""
    if platform.machine() != "x86_64":
        return  # the numbers of the system calls are of this one
    path, size = SPACE / "direct", 160 * PAGE
    direct = Direct(path, size)
    direct.write(b"0")
    over = threading.Event()

    def read_on():
        while not over.is_set():
            path.read_bytes()

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        for number in range(150):
            wanted = b"ab"[number % 2:][:1]
            direct.write(wanted)
            expect(path.read_bytes() == wanted * size, f"round {number}: older bytes")
    finally:
        over.set()
        reader.join()
        os.close(direct.file)


MANY = """
import os, sys
ends = []
for _ in range(100):
    end, other = os.pipe()
    if os.fork() == 0:
        wrong = 0
        for _ in range(100):
            try:
                os.close(os.open(sys.argv[1], os.O_RDONLY))
            except OSError:
                wrong += 1
        os.write(other, b"%d" % wrong)
        os._exit(0)
    os.close(other)
    ends.append(end)
print(sum(int(os.read(end, 10)) for end in ends))
"""


APPENDER = """
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for number in range(int(sys.argv[2])):
    os.write(log, b"line %d\\n" % number)
"""


def who_appends_while_others_empty_the_file_loses_nothing():
    """Each line is in the file or in a version of it, and nobody has written behind a hole."""
    path, lines = SPACE / "log", 1500
    path.touch()
    with subprocess.Popen([sys.executable, "-c", APPENDER, path, str(lines)]) as appender:
        while appender.poll() is None:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    expect_eq(appender.returncode, 0)
    versions = [version.read_bytes() for version in (SPACE / ".agentfs/versions/log").iterdir()]
    now = path.read_bytes()
    expect_eq(now, (M.state / "trees/workspaces/site/log").read_bytes(), "in the host's cache")
    found = b"".join([now, *versions])
    expect(b"\0" not in found, "a hole")
    expect_eq(set(range(lines)) - {int(line.split()[1]) for line in found.splitlines()}, set())
    with open(path, "ab") as log:
        log.write(b"line -1\n")
    expect_eq(path.read_bytes(), now + b"line -1\n", "who came later")


# Stores and writes back until the file has no such page any more.
KEEPS_WRITING_BACK = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    pages = mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE)
print("ready", flush=True)
while True:
    pages[mmap.PAGESIZE] = (pages[mmap.PAGESIZE] + 1) % 256
    pages.flush()
"""


def what_is_written_back_of_a_mapping_makes_no_file_longer():
    path = SPACE / "mapped"
    longer = 0
    for _ in range(40):
        path.write_bytes(b"o" * 2 * PAGE)
        with subprocess.Popen([sys.executable, "-c", KEEPS_WRITING_BACK, path], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as mapper:
            expect_eq(mapper.stdout.readline(), b"ready\n")
            with open(path, "wb", buffering=0) as file:
                file.write(b"new\n")
            mapper.kill()
        longer += path.read_bytes() != b"new\n"
    expect_eq(longer, 0, "files that have bytes of before behind the new ones")


STORES = """
import mmap, sys
with open(sys.argv[1], "w+b") as file:
    file.truncate(1 << 20)
    pages = mmap.mmap(file.fileno(), 1 << 20)
pages[8192:8197] = b"hello"
print("ready", flush=True)
sys.stdin.read()
"""


def what_is_stored_through_a_mapping_is_no_hole():
    """Copies that leave out the holes had zeros for it, and its hash was that of what was there before."""
    path = SPACE / "sparse"
    with subprocess.Popen([sys.executable, "-c", STORES, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as mapper:
        expect_eq(mapper.stdout.readline(), b"ready\n")
        copied = SPACE / "copied"
        run(["cp", "--sparse=always", "--reflink=never", path, copied])
        expect_eq(copied.read_bytes()[8192:8197], b"hello", "cp")
        mapper.stdin.close()
    with subprocess.Popen([sys.executable, "-c", STORES, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as mapper:
        expect_eq(mapper.stdout.readline(), b"ready\n")
        told = []

        def is_told():
            try:
                told.append(os.getxattr(path, "user.agentfs.hash").decode())
            except BlockingIOError:  # what was stored is still being written
                return False
            return True
        wait_until(20, is_told, "a hash")
        expect_eq(told, run(["b2sum", "-l", "256", path]).split()[:1], "the hash")
        mapper.stdin.close()


def who_asks_what_is_in_a_mapping_is_answered_at_once_on_each_cpu():
    """On io_uring the requests of a CPU have one thread, which waited for what was asked by way of it."""
    cpus = os.sched_getaffinity(0)
    try:
        for number, cpu in enumerate([*sorted(cpus)[:4]] * 4):
            path = SPACE / f"on-a-cpu-{number}"
            os.sched_setaffinity(0, {cpu})
            with open(path, "w+b") as file:
                file.truncate(16 * PAGE)
                with mmap.mmap(file.fileno(), 16 * PAGE) as pages:
                    pages[8 * PAGE] = 65
                    at = os.lseek(file.fileno(), 0, os.SEEK_DATA)
                    expect_eq(at, 8 * PAGE, f"where the data is, asked on CPU {cpu}")
                    pages[12 * PAGE] = 66
                    told = os.getxattr(path, "user.agentfs.hash").decode()
                    expect_eq([told], run(["b2sum", "-l", "256", path]).split()[:1], "the hash")
    finally:
        os.sched_setaffinity(0, cpus)


def what_is_stored_through_a_mapping_while_a_merge_is_made_is_there():
    """What both have changed is no text to be merged: ours stays, and the merge says so."""
    def told(path, line):
        with contextlib.suppress(OSError):  # what a refusal says is of no matter here
            tell(path, line)

    for attempt in range(2):
        ours = M / f"workspaces/merged{attempt}"
        (ours / "many").mkdir(parents=True)
        for number in range(300):
            (ours / f"many/{number}").write_text("one\n")
        (ours / "mapped").write_bytes(b"base" + b"." * PAGE)
        command(ours / ".agentfs/ctl", f"fork theirs{attempt}")
        theirs = M / f"workspaces/theirs{attempt}"
        for path in [*(f"many/{number}" for number in range(300)), "mapped"]:
            with open(theirs / path, "r+b") as file:
                file.write(b"theirs")
        merge = threading.Thread(target=told, args=(ours / ".agentfs/ctl", f"merge theirs{attempt}\n"))
        merge.start()
        staging = M.state / f"trees/workspaces/{ours.name}/.agentfs-merge"
        wait_until(20, lambda: staging.exists() or not merge.is_alive(), "what the merge has ready")  # noqa: B023
        with open(ours / "mapped", "r+b") as file, mmap.mmap(file.fileno(), PAGE) as pages:
            pages[100:105] = b"ours!"
            merge.join()
        expect_eq((ours / "mapped").read_bytes()[100:105], b"ours!")


def files_that_were_closed_count_no_more():
    """Of that the daemon hears later, of all that are asked for at once as soon as of those."""
    small = Mount.of("closing")
    privileges = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
    run(["prlimit", "--nofile=800:800", *(privileges if os.geteuid() == 0 else []),
         AGENTFS, "mount", "--state", small.state, small.mnt])
    space = small / "workspaces/w"
    space.mkdir()
    (space / "f").write_text("one\n")
    expect_eq(run([sys.executable, "-c", MANY, space / "f"]).strip(), "0", "opens that were refused")
    small.umount()


main(begin, what_was_written_is_known, what_is_stored_through_a_mapping_is_no_hole,
     who_asks_what_is_in_a_mapping_is_answered_at_once_on_each_cpu,
     what_is_stored_through_a_mapping_while_a_merge_is_made_is_there,
     what_is_written_back_of_a_mapping_makes_no_file_longer,
     what_is_written_directly_is_read, who_appends_while_others_empty_the_file_loses_nothing, what_others_changed_is_not,
     files_that_were_closed_count_no_more)
