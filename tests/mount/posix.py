#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""System calls on plain files of the mount, each done on a directory of the host as well: the same
results, the same errors."""
import ctypes
import errno
import fcntl
import mmap
import os
import sqlite3
import stat
import subprocess
import sys

from lib import EXCHANGE, LIBC, MNT, NOREPLACE, TESTDIR, Wrong, expect, expect_eq, main, renameat2

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


def fallocate(descriptor, mode, offset, size):
    call = LIBC.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if call(descriptor, mode, offset, size) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Case:
    """Does something in a directory and notes what it saw."""

    def __init__(self, top):
        self.top = top
        self.is_plain = not top.startswith(MNT)
        self.seen = []

    def path(self, name):
        if isinstance(name, bytes):
            return os.path.join(os.fsencode(self.top), name)
        return os.path.join(self.top, name)

    def see(self, what, value):
        self.seen.append((what, value))

    def attempt(self, what, call, *arguments, **words):
        try:
            self.see(what, call(*arguments, **words))
        except OSError as error:
            self.see(what, errno.errorcode[error.errno])

    def put(self, name, text="x"):
        data = text if isinstance(text, bytes) else text.encode()
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def get(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()


def rename_flags(c):
    a, b = c.put("a", "1"), c.put("b", "2")
    c.attempt("NOREPLACE over a file", renameat2, a, b, NOREPLACE)
    c.attempt("EXCHANGE", renameat2, a, b, EXCHANGE)
    c.see("exchanged", (c.get("a"), c.get("b")))
    c.attempt("NOREPLACE", renameat2, a, c.path("c"), NOREPLACE)
    c.attempt("EXCHANGE with nothing", renameat2, b, c.path("d"), EXCHANGE)
    c.attempt("both flags", renameat2, b, c.path("c"), NOREPLACE | EXCHANGE)
    c.attempt("unknown flag", renameat2, b, c.path("c"), 64)
    os.makedirs(c.path("dir/sub"))
    c.attempt("EXCHANGE file and directory", renameat2, b, c.path("dir"), EXCHANGE)
    c.see("kinds", (os.path.isdir(b), os.path.isfile(c.path("dir"))))
    c.attempt("a directory into itself", os.rename, b, c.path("b/sub/x"))
    os.mkdir(c.path("full"))
    c.put("full/file")
    os.mkdir(c.path("empty"))
    c.attempt("over a full directory", os.rename, c.path("empty"), c.path("full"))
    c.attempt("over an empty directory", os.rename, c.path("full"), c.path("empty"))
    c.attempt("file over directory", os.rename, c.path("c"), c.path("empty"))
    c.see("names", sorted(os.listdir(c.top)))


def links(c):
    a = c.put("a", "1")
    c.attempt("link", os.link, a, c.path("b"))
    c.see("nlink", os.stat(a).st_nlink)
    c.see("one inode", os.stat(a).st_ino == os.stat(c.path("b")).st_ino)
    c.put("b", "22")
    c.see("through the other name", c.get("a"))
    os.unlink(a)
    c.see("left", (c.get("b"), os.stat(c.path("b")).st_nlink))
    c.attempt("link over", os.link, c.path("b"), c.path("b"))
    c.attempt("symlink", os.symlink, "no/where", c.path("s"))
    c.see("readlink", os.readlink(c.path("s")))
    c.see("size of a link", os.lstat(c.path("s")).st_size)
    c.attempt("stat of a dangling link", os.stat, c.path("s"))
    c.attempt("a link over", os.symlink, "x", c.path("s"))
    os.symlink("loop", c.path("loop"))
    c.attempt("a loop", os.stat, c.path("loop"))
    c.attempt("link to a directory", os.link, c.top, c.path("hard"))


def attributes(c):
    a = c.put("a", "1")
    for mode in (0o600, 0o4755, 0o2750, 0o000, 0o644):
        c.attempt("chmod", os.chmod, a, mode)
        c.see("mode", oct(os.stat(a).st_mode))
    c.attempt("utime", os.utime, a, ns=(1_234_567_890_123_456_789, 987_654_321_987_654_321))
    c.see("times", (os.stat(a).st_atime_ns, os.stat(a).st_mtime_ns))
    os.symlink("a", c.path("s"))
    c.attempt("utime of a link", os.utime, c.path("s"), ns=(5, 7), follow_symlinks=False)
    c.see("times of a link", os.lstat(c.path("s")).st_mtime_ns)
    c.see("times behind it", os.stat(c.path("s")).st_mtime_ns)
    if os.geteuid() == 0:
        c.attempt("chown", os.chown, a, 12345, 54321)
        c.see("owner", (os.stat(a).st_uid, os.stat(a).st_gid))
        c.attempt("chmod setuid", os.chmod, a, 0o4755)
        c.attempt("chown drops setuid", os.chown, a, 1, 1)
        c.see("mode", oct(os.stat(a).st_mode))
    for mode in (0o4755, 0o6755, 0o2745, 0o755):
        c.attempt("chmod before a chown to itself", os.chmod, a, mode)
        c.attempt("chown to itself", os.chown, a, -1, -1)
        c.see("mode after a chown to itself", oct(os.stat(a).st_mode))
    os.mkdir(c.path("d"), 0o700)
    c.see("mode of a directory", oct(os.stat(c.path("d")).st_mode))
    c.see("nlink of a directory", os.stat(c.path("d")).st_nlink >= 1)


def extended_attributes(c):
    a = c.put("a")
    c.attempt("set", os.setxattr, a, "user.one", b"\0value\xff")
    c.attempt("get", os.getxattr, a, "user.one")
    c.attempt("create over", os.setxattr, a, "user.one", b"2", os.XATTR_CREATE)
    c.attempt("replace nothing", os.setxattr, a, "user.two", b"2", os.XATTR_REPLACE)
    c.attempt("an empty value", os.setxattr, a, "user.two", b"")
    c.see("list", sorted(name for name in os.listxattr(a) if name.startswith("user.")))
    c.attempt("remove", os.removexattr, a, "user.one")
    c.attempt("remove again", os.removexattr, a, "user.one")
    c.attempt("get nothing", os.getxattr, a, "user.one")
    c.attempt("on a directory", os.setxattr, c.top, "user.dir", b"3")
    c.attempt("of a directory", os.getxattr, c.top, "user.dir")


def sparse(c):
    a = c.path("a")
    with open(a, "w+b") as file:
        d = file.fileno()
        c.attempt("ftruncate up", os.ftruncate, d, 1 << 20)
        os.pwrite(d, b"data", 512 << 10)
        c.attempt("first data", os.lseek, d, 0, os.SEEK_DATA)
        c.attempt("hole after", os.lseek, d, 512 << 10, os.SEEK_HOLE)
        c.attempt("data at the end", os.lseek, d, 900 << 10, os.SEEK_DATA)
        c.attempt("hole past the end", os.lseek, d, 2 << 20, os.SEEK_HOLE)
        c.attempt("fallocate", os.posix_fallocate, d, 0, 2 << 20)
        c.see("size", os.fstat(d).st_size)
        c.attempt("keep size", fallocate, d, KEEP_SIZE, 2 << 20, 1 << 20)
        c.see("size kept", os.fstat(d).st_size)
        c.attempt("punch", fallocate, d, PUNCH_HOLE | KEEP_SIZE, 512 << 10, 4096)
        c.see("punched", os.pread(d, 4, 512 << 10))
        c.attempt("zero", fallocate, d, ZERO_RANGE, 0, 4096)
        c.attempt("ftruncate down", os.ftruncate, d, 3)
        c.see("size", (os.fstat(d).st_size, os.pread(d, 10, 0)))
    c.attempt("truncate by path", os.truncate, a, 10)
    c.see("content", c.get("a"))
    c.attempt("negative", os.truncate, a, -1)


def mapped(c):
    a = c.put("a", b"x" * 10000)
    with open(a, "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as view:
            view[5000:5005] = b"HELLO"
            view.flush()
            c.see("read after flush", os.pread(file.fileno(), 5, 5000))
            os.pwrite(file.fileno(), b"world", 5000)
            c.see("mapped after write", view[5000:5005])
            view[9999:10000] = b"!"
    c.see("after unmapping", c.get("a")[9990:])
    code = ("import mmap, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); "
            "m[0:5] = b'child'; m.close()")
    subprocess.run([sys.executable, "-c", code, a], check=True)
    c.see("written by a child's map", c.get("a")[:6])


def locks(c):
    a = c.put("a")
    code = ("import fcntl, sys; f = open(sys.argv[1], 'r+')\n"
            "try: getattr(fcntl, sys.argv[2])(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print('got')\n"
            "except OSError as e: print(e.errno)")

    def other(kind):
        return subprocess.run([sys.executable, "-c", code, a, kind], capture_output=True,
                              text=True, check=True).stdout.strip()

    for kind in ("flock", "lockf"):
        with open(a, "r+b") as file:
            getattr(fcntl, kind)(file, fcntl.LOCK_EX)
            c.see(f"{kind} held", other(kind))
            getattr(fcntl, kind)(file, fcntl.LOCK_UN)
            c.see(f"{kind} released", other(kind))
            getattr(fcntl, kind)(file, fcntl.LOCK_EX)
        c.see(f"{kind} closed", other(kind))
    with open(a, "r+b") as file:  # a blocking lock waits, and gets it
        fcntl.flock(file, fcntl.LOCK_EX)
        waiting = subprocess.Popen([sys.executable, "-c", code.replace(" | fcntl.LOCK_NB", ""), a,
                                    "flock"], stdout=subprocess.PIPE, text=True)
        c.see("still waiting", waiting.poll())
        fcntl.flock(file, fcntl.LOCK_UN)
        c.see("then", waiting.communicate(timeout=20)[0].strip())


def appends(c):
    a = c.put("a", "")
    code = ("import os, sys; d = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
            "for n in range(500): os.write(d, (sys.argv[2] * 99 + '\\n').encode())")
    writers = [subprocess.Popen([sys.executable, "-c", code, a, letter]) for letter in "abc"]
    c.see("ends", [writer.wait() for writer in writers])
    lines = c.get("a").splitlines()
    c.see("lines", len(lines))
    c.see("whole lines", all(len(line) == 99 and len(set(line)) == 1 for line in lines))


def unlinked(c):
    a = c.put("a", "before")
    descriptor = os.open(a, os.O_RDWR)
    os.unlink(a)
    c.see("names", os.listdir(c.top))
    c.attempt("read", os.pread, descriptor, 10, 0)
    c.attempt("write", os.pwrite, descriptor, b"after!!", 0)
    c.attempt("read again", os.pread, descriptor, 10, 0)
    c.see("nlink", os.fstat(descriptor).st_nlink)
    c.attempt("ftruncate", os.ftruncate, descriptor, 2)
    c.see("size", os.fstat(descriptor).st_size)
    c.attempt("fchmod", os.fchmod, descriptor, 0o600)
    c.put("a", "new")
    c.see("both", (c.get("a"), os.pread(descriptor, 10, 0)))
    os.close(descriptor)
    other = c.put("b", "replaced")
    descriptor = os.open(other, os.O_RDONLY)
    os.rename(c.path("a"), other)
    c.see("replaced while open", (os.pread(descriptor, 10, 0), c.get("b")))
    os.close(descriptor)
    c.see("names", os.listdir(c.top))


def nameless(c):
    """Where the host's libfuse does not pass it on, the error is that of a disk without it."""
    if 'feature="tmpfile"\ton' not in open(MNT + "/sys/fs/stats").read():
        c.attempt("none", os.open, "/proc" if c.is_plain else c.top, os.O_TMPFILE | os.O_RDWR)
        return
    give_name = lambda fd, name: LIBC.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100,
                                             os.fsencode(c.path(name)), 0x400)
    fd = os.open(c.top, os.O_TMPFILE | os.O_RDWR, 0o640)
    c.see("names", os.listdir(c.top))
    c.see("write", os.write(fd, b"without a name"))
    status = os.fstat(fd)
    c.see("status", (oct(status.st_mode), status.st_nlink, status.st_size, status.st_uid))
    c.see("given a name", give_name(fd, "a"))
    c.see("and another", give_name(fd, "b"))
    c.see("over one that is there", (give_name(fd, "a"), ctypes.get_errno()))
    c.see("links", os.fstat(fd).st_nlink)
    c.see("one file", os.path.samefile(c.path("a"), c.path("b")))
    c.see("more is written", os.write(fd, b" before"))
    c.see("read", c.get("b"))
    os.close(fd)
    c.see("names then", sorted(os.listdir(c.top)))
    fd = os.open(c.top, os.O_TMPFILE | os.O_WRONLY | os.O_EXCL, 0o600)
    c.see("never to be named", (give_name(fd, "c"), ctypes.get_errno()))
    c.attempt("truncate", os.ftruncate, fd, 1 << 20)
    os.close(fd)
    c.attempt("read only", os.open, c.top, os.O_TMPFILE | os.O_RDONLY)
    c.attempt("in a file", os.open, c.path("a"), os.O_TMPFILE | os.O_RDWR)
    os.mkdir(c.path("sgid"), 0o2755)
    os.chown(c.path("sgid"), -1, 4321)
    os.chmod(c.path("sgid"), 0o2755)
    old = os.umask(0o027)
    fd = os.open(c.path("sgid"), os.O_TMPFILE | os.O_RDWR, 0o666)
    os.umask(old)
    c.see("its group and mode", (os.fstat(fd).st_gid, oct(os.fstat(fd).st_mode)))
    os.ftruncate(fd, 4096)
    with mmap.mmap(fd, 4096) as mapped_bytes:
        mapped_bytes[:5] = b"bytes"
    c.see("by a mapping", os.pread(fd, 5, 0))
    os.close(fd)


def names(c):
    c.put("n" * 255, "long")
    c.attempt("256 bytes", os.stat, c.path("n" * 256))
    c.attempt("256 bytes, made", os.mkdir, c.path("n" * 256))
    c.put(b"\xff\xfe not utf-8 \x80", "bytes")
    c.put(b" lead\ttab\nline\\", "odd")
    c.put("caf\u00e9 \u4e16\u754c", "words")
    c.see("names", sorted(os.listdir(os.fsencode(c.top))))
    c.see("read", c.get(b"\xff\xfe not utf-8 \x80"))
    c.attempt("renamed", os.rename, c.path(b"\xff\xfe not utf-8 \x80"), c.path(b"\xfd"))
    c.attempt("removed", os.unlink, c.path(b"\xfd"))
    c.attempt("not a directory", os.stat, c.path("n" * 255) + "/x")
    deep = c.top
    for _ in range(40):
        deep = os.path.join(deep, "deep")
    os.makedirs(deep)
    c.see("deep", os.path.isdir(deep))


def directories(c):
    c.attempt("rmdir of nothing", os.rmdir, c.path("none"))
    os.makedirs(c.path("d/e"))
    c.attempt("rmdir of a full one", os.rmdir, c.path("d"))
    c.attempt("unlink of a directory", os.unlink, c.path("d"))
    c.attempt("mkdir over", os.mkdir, c.path("d"))
    c.attempt("rmdir of a file", os.rmdir, c.put("f"))
    c.attempt("open for writing", os.open, c.path("d"), os.O_WRONLY)
    c.attempt("O_DIRECTORY of a file", os.open, c.path("f"), os.O_RDONLY | os.O_DIRECTORY)
    c.attempt("O_EXCL over", os.open, c.path("f"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    before = os.stat(c.path("d")).st_mtime_ns
    c.put("d/new")
    c.see("mtime of the directory moved", os.stat(c.path("d")).st_mtime_ns > before)
    for number in range(300):
        c.put(f"d/{number}")
    with os.scandir(c.path("d")) as entries:  # removed while they are listed
        for entry in entries:
            if entry.is_file():
                os.unlink(entry.path)
    c.see("left", os.listdir(c.path("d")))


def database(c):
    """SQLite with a write-ahead log, which maps memory and locks ranges, from two processes."""
    with sqlite3.connect(c.path("base")) as base:
        c.see("mode", base.execute("pragma journal_mode=wal").fetchone())
        base.execute("create table t(x)")
    base.close()
    code = ("import sqlite3, sys; d = sqlite3.connect(sys.argv[1], timeout=60)\n"
            "for n in range(50):\n"
            "    with d: d.execute('insert into t values(?)', (n,))")
    writers = [subprocess.Popen([sys.executable, "-c", code, c.path("base")]) for _ in range(2)]
    c.see("ends of the writers", [writer.wait(timeout=120) for writer in writers])
    with sqlite3.connect(c.path("base")) as base:
        c.see("rows", base.execute("select count(*), sum(x) from t").fetchone())
        c.see("check", base.execute("pragma integrity_check").fetchone())
    base.close()


def special(c):
    c.attempt("fifo", os.mkfifo, c.path("fifo"))
    c.attempt("kind", lambda: stat.S_ISFIFO(os.stat(c.path("fifo")).st_mode))
    c.attempt("fsync", lambda: os.fsync(os.open(c.put("f"), os.O_RDWR)))
    c.attempt("fsync of a directory", lambda: os.fsync(os.open(c.top, os.O_RDONLY)))
    d = os.open(c.put("g", b"0123456789"), os.O_RDWR)
    c.attempt("copy_file_range", os.copy_file_range, d, d, 4, 0, 10)
    c.see("copied", os.pread(d, 20, 0))
    c.attempt("statvfs", lambda: os.statvfs(c.top).f_namemax)
    c.attempt("dup", lambda: os.write(os.dup(d), b"AB"))
    c.see("after dup", os.pread(d, 3, 0))


def access_lists(c):
    """A list is a mode, too, also for who asks for the mode alone."""
    a = c.put("a")
    os.chmod(a, 0o600)
    mode = lambda: subprocess.run(["stat", "-c", "%a", a], capture_output=True, text=True, check=True).stdout
    c.see("the mode before", mode())
    c.attempt("setfacl", subprocess.check_call, ["setfacl", "-m", "u:33:rw", a])
    c.see("the mode with a list", mode())
    c.attempt("setfacl -b", subprocess.check_call, ["setfacl", "-b", a])
    c.see("the mode without", mode())


CASES = (rename_flags, links, attributes, extended_attributes, access_lists, sparse, mapped, locks,
         appends, unlinked, nameless, names, directories, database, special)


def compare(case, top):
    plain = Case(os.path.join(TESTDIR, "plain", case.__name__))
    ours = Case(os.path.join(MNT + top, case.__name__))
    for one in (plain, ours):
        subprocess.run(["rm", "-rf", one.top], check=True)  # of a place that failed
        os.makedirs(one.top)
        case(one)
    for (what, wanted), (_, seen) in zip(plain.seen, ours.seen):
        expect_eq(seen, wanted, f"{case.__name__} in {top}: {what}")
    expect_eq(len(ours.seen), len(plain.seen), f"{case.__name__}: things seen")
    subprocess.run(["rm", "-rf", plain.top, ours.top], check=True)
    expect(not os.path.exists(ours.top), f"{ours.top}: left by rm -rf")


def every_case():
    os.mkdir(MNT + "/workspaces/w")
    wrong = []
    home = "/home/" + os.listdir(MNT + "/home")[0]
    for top in ("/workspaces/w", home, "/tmp"):
        for case in CASES:
            try:
                compare(case, top)
            except Wrong as error:
                wrong.append(str(error))
            except OSError as error:
                wrong.append(f"{case.__name__} in {top}: {error}")
    if wrong:
        raise Wrong("\n  ".join(wrong))


main(every_case)
