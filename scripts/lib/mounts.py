# SPDX-License-Identifier: MIT
"""Daemons and mounts that a test leaves behind: found by a mark in their environment, and ended."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

MARK = "AGENTFS_TEST_ROOT"
PREFIX = "agentfs-mount-tests-"


def unusable():
    """Why no FUSE filesystem can be mounted here, or None."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/fuse: {error.strerror}"
    if os.geteuid() == 0:
        status = pathlib.Path("/proc/self/status").read_text(encoding="utf-8")
        effective = int(re.search(r"^CapEff:\s*(\w+)", status, re.M)[1], 16)
        if not effective & (1 << 21):
            return "root without CAP_SYS_ADMIN may not mount"
    elif not shutil.which("fusermount3"):
        return "fusermount3 is not installed"
    return None


def mounts_below(directory):
    """Mount points at or below a directory, innermost first. Never touches the mounts."""
    found = []
    top = str(directory)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split(" ")[4])
            if point == top or point.startswith(top + "/"):
                found.append(point)
    return sorted(found, key=len, reverse=True)


def detach(point):
    commands = [["fusermount3", "-uz", point]]
    if os.geteuid() == 0:
        commands.insert(0, ["umount", "-l", point])
    for command in commands:
        if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                          check=False).returncode == 0:
            return


def marked(root):
    """The pids whose environment names this root, or a directory below it."""
    wanted = f"{MARK}={root}".encode()
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as environment:
                if any(value == wanted or value.startswith(wanted + b"/")
                       for value in environment.read().split(b"\0")):
                    found.append(int(entry))
        except OSError:
            continue
    return found


def sweep(root):
    """Ends every process marked with the root and detaches every mount below it."""
    deadline = time.monotonic() + 10
    while (pids := marked(root)) and time.monotonic() < deadline:
        for pid in pids:  # stopped first: a watcher must not start a daemon while its turn comes
            signal_process(pid, signal.SIGSTOP)
        for pid in pids:
            signal_process(pid, signal.SIGKILL)
        for point in mounts_below(root):
            detach(point)
        time.sleep(0.01)
    for point in mounts_below(root):
        detach(point)


def signal_process(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass


def start_time(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def make_root(below=None):
    """A fresh directory for one run of the tests; what dead runs left is cleared away first."""
    top = pathlib.Path(below or tempfile.gettempdir()).resolve()
    for old in top.glob(PREFIX + "*"):
        try:
            pid, started = (old / "runner").read_text(encoding="utf-8").split()
            if old.stat().st_uid == os.getuid() and start_time(pid) != started:
                remove_root(old)
        except (OSError, ValueError):
            continue
    root = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX, dir=top))
    (root / "runner").write_text(f"{os.getpid()} {start_time(os.getpid())}\n", encoding="utf-8")
    return root


def remove_root(root):
    sweep(root)
    if not mounts_below(root):
        subprocess.run(["chmod", "-R", "u+rwX", str(root)], capture_output=True, check=False)
        shutil.rmtree(root, ignore_errors=True)
