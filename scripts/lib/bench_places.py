# SPDX-License-Identifier: MIT
"""Where `scripts/bench workspaces` works: a directory of the host, mounts of agentfs, and libfuse's
own example. All of one state directory's filesystem, so that they differ in nothing else."""
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import mounts

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE = 30  # seconds for a mount to be there
A_FILE = 4  # inodes for each file of a repository: of the clone, the archive, the copy, git's

ENVIRONMENT = {"GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@localhost",
               "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@localhost",
               "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
               "GIT_OPTIONAL_LOCKS": "0", "AGENTFS_NO_PROBE": "1"}


def run(words, environment, **more):
    """A program to its end; its output. What it said of a failure is in the error."""
    ended = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                           timeout=1800, check=False, errors="replace", **more)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit {ended.returncode}: "
                           f"{ended.stderr.strip()[-500:]}")
    return ended.stdout


class Host:
    """A plain directory. `directory` is where the lines do their work."""

    def __init__(self, top):
        self.top = top
        self.environment = os.environ | ENVIRONMENT | {mounts.MARK: str(top)}
        self.directory = top / "host"
        self.directory.mkdir(parents=True)

    def fresh(self, name):
        """An empty directory for a group of lines."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def run(self, *words, **more):
        return run(words, self.environment, **more)

    def settle(self, repository):
        """Its index is of a later second than its files, and their attributes are known. Git reads files
        of the index's second again at each status, which writes no other index here."""
        made = (repository / ".git/index").stat().st_mtime
        while time.time() < int(made) + 1:
            time.sleep(0.01)
        self.run("git", "-C", repository, "update-index", "-q", "--refresh")
        self.run("git", "-C", repository, "status", "--porcelain")

    def requests(self):
        """What the host's kernel has asked so far: operation -> number."""
        return {}

    def daemon(self):
        """Who serves it, 0 for the host's kernel."""
        return 0

    def work(self):
        """The nanoseconds of CPU that the threads of who serves it have had so far."""
        total = 0
        for path in pathlib.Path("/proc", str(self.daemon()), "task").glob("*/schedstat"):
            try:
                total += int(path.read_text(encoding="ascii").split()[0])
            except OSError:  # a thread that has ended
                continue
        return total

    def stop(self):
        pass


class Agentfs(Host):
    """A mount with a state of its own. Without history nothing of the past is kept."""

    def __init__(self, top, build, options, history=True):
        super().__init__(top)
        self.agentfs = build / "agentfs"
        self.mnt, self.state = top / "mnt", top / "state"
        self.mnt.mkdir()
        self.run(self.agentfs, "mount", "--state", self.state,
                 *(["-o", options] if options else []), self.mnt)
        if not history:
            (self.mnt / "etc/history.toml").write_text("days = 0\n", encoding="utf-8")
        self.directory = self.mnt / "workspaces/bench"
        self.directory.mkdir()
        first, second = self.requests(), self.requests()
        self.of_asking = {name: second[name] - first.get(name, 0) for name in second}

    def requests(self):
        stats = (self.mnt / "sys/fs/stats").read_text(encoding="utf-8")
        counts = {}
        for name, number in re.findall(r'operation="(\w+)"[^\t\n]*\t(\d+)$', stats, re.M):
            counts[name] = counts.get(name, 0) + int(number)
        return counts

    def daemon(self):
        return int((self.state / "daemon.pid").read_text(encoding="utf-8"))

    def features(self):
        stats = (self.mnt / "sys/fs/stats").read_text(encoding="utf-8")
        return dict(re.findall(r'^feature="([^"]*)"\t(on|off)$', stats, re.M))

    def control(self, workspace, line):
        """Writes a line to a workspace's ctl; the nanoseconds until it was done."""
        path = self.mnt / "workspaces" / workspace / ".agentfs/ctl"
        began = time.monotonic_ns()
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)
        return time.monotonic_ns() - began

    def stop(self):
        if str(self.mnt) in mounts.mounts_below(self.top):
            self.run(self.agentfs, "umount", self.mnt)


class Example(Host):
    """A directory of the host through libfuse's passthrough_hp, which holds a descriptor for each
    file that the host's kernel knows."""

    def __init__(self, top, program, passthrough):
        super().__init__(top)
        source, self.mnt = self.directory, top / "mnt"
        self.mnt.mkdir()
        options = [] if passthrough else ["--nopassthrough"]
        self.log = top / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(program), "--foreground", *options, str(source), str(self.mnt)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)
        deadline = time.monotonic() + PATIENCE
        while str(self.mnt) not in mounts.mounts_below(top):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{program}: {self.log.read_text(errors='replace')[-500:]}")
            time.sleep(0.01)
        self.directory = self.mnt

    def daemon(self):
        return self.process.pid

    @staticmethod
    def holds(files):
        """Whether it can have a repository of so many files."""
        return files * A_FILE < resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def stop(self):
        mounts.detach(str(self.mnt))
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def build_operations(build):
    """The program that does the small operations, built when its source is newer."""
    source = ROOT / "tests/bench/operations.cpp"
    program = build / "operations"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        run(["c++", "-std=c++20", "-O2", "-o", program, source], os.environ)
    return program


def build_example(build):
    """(the program, "") or (None, why there is none)."""
    install = build.parent / "fuse/install"
    source = install / "examples/passthrough_hp.cc"
    if not source.exists():
        return None, (f"{source} is not there; `rm -r {install.parent} && scripts/deps fuse` "
                      "fetches it with the private libfuse")
    program = build / "passthrough_hp"
    if not program.exists():
        flags = run(["pkg-config", "--static", "--cflags", "--libs", "fuse3"],
                    os.environ | {"PKG_CONFIG_PATH": str(install / "lib/pkgconfig")}).split()
        run(["c++", "-std=c++17", "-O2", "-o", program, source, *flags], os.environ)
    return program, ""


def find_tmpfs():
    """A directory on tmpfs that we may write to, or None."""
    for path in map(pathlib.Path, ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "/run"))):
        if os.access(path, os.W_OK | os.X_OK) and kind_of(path) == "tmpfs":
            return path
    return None


def find_disk():
    """A directory for temporary things that is not in memory, or None."""
    for path in map(pathlib.Path, (os.environ.get("TMPDIR", "/tmp"), "/var/tmp", ".")):
        if os.access(path, os.W_OK | os.X_OK) and kind_of(path) != "tmpfs":
            return path
    return None


def kind_of(path):
    return run(["stat", "-f", "-c", "%T", path], os.environ).strip()
