# SPDX-License-Identifier: MIT
"""Directories of the host that workspaces are made of."""
import os
import shutil

from mount_lib import TESTDIR, Mount, command, expect_errno, is_alive, kill, read, tell, wait_until

M = Mount.of("imports")
SPACES = M / "workspaces"
HOST = TESTDIR / "imports-host"


def make(name):
    """A project with all kinds of files, and a git repository."""
    top = HOST / name
    shutil.rmtree(top, ignore_errors=True)
    (top / "src/deep").mkdir(parents=True)
    (top / "main.c").write_text("int main(void) { return 0; }\n")
    (top / "lines").write_text("".join(f"{n}\n" for n in range(1, 21)))
    (top / "src/tool.sh").write_text("#!/bin/sh\necho tool\n")
    (top / "src/tool.sh").chmod(0o755)
    (top / "src/deep/data").write_bytes(bytes(range(256)) * 1000)
    (top / "empty").write_text("")
    os.symlink("src/tool.sh", top / "link")
    os.mkfifo(top / "pipe")
    for path in ("main.c", "lines"):
        os.utime(top / path, (1_600_000_000, 1_600_000_000))
    return top


def state_of(top):
    """What rsync would look at, and the bytes."""
    found = {}
    for at, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(at, name)
            info = os.lstat(path)
            content = None
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, top)] = (info.st_mode, info.st_mtime_ns if content is not None else 0,
                                                 content)
    return found


def inodes(top):
    return {path: (os.lstat(top / path).st_ino, os.lstat(top / path).st_ctime_ns) for path in state_of(top)}


def take(top, name):
    command(M / "sys/workspaces/ctl", f"import {top} as {name}")
    return SPACES / name


def ctl(name, line):
    try:
        return command(SPACES / name / ".agentfs/ctl", line)
    except OSError as error:
        raise AssertionError(f"{line}: {M.last_error()}") from error


def refused(code, space, line):
    expect_errno(code, tell, SPACES / space / ".agentfs/ctl", line + "\n")
    return M.last_error()


def status(name):
    return read(SPACES / name / ".agentfs/status").splitlines()


def conflicts_of(name):
    return sorted(number for number in os.listdir(SPACES / name / ".agentfs/conflicts") if number != "README")


def mount_it():
    HOST.mkdir(exist_ok=True)
    M.mount()


def rows_of(kind, name):
    top = f"/workspaces/{name}/"
    return {row["data"]["path"].removeprefix(top) for row in M.journal()
            if row["kind"] == kind and row["data"]["path"].startswith(top)}


def end_daemon():
    """Without a watcher that starts it again."""
    daemon = M.daemon()
    kill(M.watcher())
    kill(daemon)
    wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
