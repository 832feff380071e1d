#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""With the daemon stopped, each workspace that was never a fork is a complete plain directory.

The same after kill -9, and for the parents of forks, and whatever was done in them. ROUNDS (2)
random histories of SEED (1).
"""
import hashlib
import os
import random
import shutil
import signal
import stat

from mount_lib import Mount, command, expect, expect_eq, is_alive, kill, main, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "2"))
SEED = int(os.environ.get("SEED", "1"))
STEPS = 150
M = Mount.of("plain")
SPACES = M / "workspaces"


def entry_of(path):
    status = os.lstat(path)
    seen = [stat.filemode(status.st_mode), status.st_uid, status.st_gid]
    if stat.S_ISLNK(status.st_mode):
        return (*seen, os.readlink(path))
    names = sorted(name for name in os.listxattr(path)
                   if name.startswith("user.") and not name.startswith("user.agentfs."))
    seen.append([(name, os.getxattr(path, name)) for name in names])
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            seen += [status.st_mtime_ns, hashlib.sha256(file.read()).hexdigest()]
    return tuple(map(str, seen))


def tree(top):
    found = {}
    for directory, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = entry_of(path)
    return found


class History:
    """Random changes of a workspace."""

    def __init__(self, rng, space):
        self.random, self.space, self.top = rng, space, SPACES / space
        self.top.mkdir()
        self.forks = 0

    def any_path(self, wanted):
        found = [os.path.join(directory, name) for directory, folders, files in os.walk(self.top)
                 for name in (folders if wanted == "directory" else files)]
        return self.random.choice(sorted(found)) if found else None

    def new_path(self):
        folder = self.any_path("directory") if self.random.random() < 0.8 else None
        return os.path.join(folder or self.top, f"n{self.random.randrange(10**9)}")

    def step(self):
        kinds = ["make"] * 5 + ["folder"] * 2 + ["write", "append", "cut", "mode", "times",
                 "attribute", "symlink", "link", "fifo", "remove", "rename", "rename-folder",
                 "remove-folder", "fork", "checkpoint"]
        kind = self.random.choice(kinds)
        path = self.any_path("directory" if kind.endswith("-folder") else "file")
        if kind in ("make", "folder", "symlink", "fifo"):
            getattr(self, f"do_{kind}")(self.new_path())
        elif kind in ("fork", "checkpoint"):
            self.forks += 1
            command(self.top / ".agentfs/ctl", f"{kind} {self.space}-{self.forks}")
        elif path and (kind.endswith("-folder") or stat.S_ISREG(os.lstat(path).st_mode)):
            getattr(self, "do_" + kind.replace("-", "_"))(path)

    def data(self):
        return self.random.randbytes(self.random.randrange(1, 20000))

    def do_make(self, path):
        with open(path, "wb") as file:
            file.write(self.data())

    def do_folder(self, path):
        os.mkdir(path)

    def do_write(self, path):
        with open(path, "r+b") as file:
            file.seek(self.random.randrange(1000))
            file.write(self.data())

    def do_append(self, path):
        with open(path, "ab") as file:
            file.write(self.data())

    def do_cut(self, path):
        os.truncate(path, self.random.randrange(30000))

    def do_mode(self, path):
        os.chmod(path, self.random.choice((0o600, 0o640, 0o755)))

    def do_times(self, path):
        os.utime(path, ns=(1, self.random.randrange(10**18)))

    def do_attribute(self, path):
        os.setxattr(path, "user.colour", self.data()[:20])

    def do_symlink(self, path):
        os.symlink(f"to/{self.random.randrange(100)}", path)

    def do_link(self, path):
        os.link(path, self.new_path())

    def do_fifo(self, path):
        os.mkfifo(path)

    def do_remove(self, path):
        os.unlink(path)

    def do_rename(self, path):
        os.rename(path, self.new_path())

    def do_rename_folder(self, path):
        os.rename(path, self.top / f"n{self.random.randrange(10**9)}")

    def do_remove_folder(self, path):
        if self.random.random() < 0.3:
            shutil.rmtree(path)


def end(hard):
    """Stops the daemon, politely or not; the mount is gone after that."""
    if not hard:
        M.umount()
        return
    daemon, watcher = M.daemon(), M.watcher()
    kill(watcher)
    kill(daemon, signal.SIGKILL)
    wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
    M.umount(code=None)


def plain_directories():
    for number in range(ROUNDS):
        M.mount()
        histories = [History(random.Random(f"{SEED}-{number}-{each}"), f"w{number}-{each}")
                     for each in range(2)]
        for history in histories:
            for _ in range(STEPS):
                history.step()
        wanted = {history.space: tree(history.top) for history in histories}
        end(hard=number % 2 == 1)
        for space, entries in wanted.items():
            seen = tree(M.state / "trees/workspaces" / space)
            for path in sorted(seen.keys() | entries.keys()):
                expect_eq(seen.get(path), entries.get(path),
                          f"round {number}, SEED={SEED}: {space}/{path} on the disk")
            expect(entries, f"{space} is empty")
    print(f"{2 * ROUNDS} workspaces were complete without the daemon")


main(plain_directories)
