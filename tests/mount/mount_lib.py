# SPDX-License-Identifier: MIT
"""Mounts of a test's own, and the processes behind them; lib.py has the checks.

`Mount()` is the one that scripts/run-mount-tests made, `Mount.of(NAME)` one below TESTDIR.
"""
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import lib  # noqa: E402
from lib import (AGENTFS, EXCHANGE, command, expect, expect_eq, expect_errno,  # noqa: E402, F401
                 expect_has, fail, main, need, read, renameat2, run, skip, wait_until)

TESTDIR = pathlib.Path(lib.TESTDIR)
MNT = pathlib.Path(lib.MNT)
STATE = pathlib.Path(lib.STATE)
OPTIONS = os.environ.get("MOUNT_OPTIONS", "")  # of run-mount-tests; those of a test come after them


def acl(*entries):
    """An ACL's attribute of (tag, permissions, id): linux/posix_acl_xattr.h."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def tell(path, text):
    """Writes a text to a file that takes one, as `echo text > path` does."""
    lib.write(text, path)


def last_row(top):
    """The number of the newest row of a workspace's feed."""
    return json.loads(read(top / ".agentfs/events.jsonl").splitlines()[-1])["seq"]


def rows_after(top, sequence):
    """The rows of a workspace's feed behind that one, however many."""
    while text := read(top / f".agentfs/events/{sequence}"):
        for row in map(json.loads, text.splitlines()):
            sequence = row["seq"]
            yield row


def in_own_mounts(mark):
    """The script once more, in a mount namespace that ends with it; `mark` is set in there."""
    if mark in os.environ:
        return
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        skip("no mount namespaces to be had")
    os.environ[mark] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


def within(seconds, act, what):
    """The result of act(), which may block: run in a thread that a failure leaves behind."""
    box = {}

    def body():
        try:
            box["result"] = act()
        except BaseException as error:  # pylint: disable=broad-except  # told to who waits
            box["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        fail(f"{what}: did not return within {seconds} s")
    if "error" in box:
        raise box["error"]
    return box["result"]


def make_of_each_kind(top):
    """A directory with one of each that a tree holds, most of which have no bytes to be kept."""
    (top / "void").mkdir(parents=True)
    (top / "data").write_text("data\n", encoding="utf-8")
    (top / "empty").touch()
    (top / "link").symlink_to("data")
    os.mkfifo(top / "fifo")
    (top / "name").write_text("of two names\n", encoding="utf-8")
    os.link(top / "name", top / "void/other")
    os.utime(top / "name", (1, 1))


def kinds_of(top):
    """Of each path below: mode, number of names, and what it leads to."""
    return {str(path.relative_to(top)): (oct(path.lstat().st_mode),
                                         0 if path.is_dir() else path.lstat().st_nlink,
                                         os.readlink(path) if path.is_symlink() else "")
            for path in sorted(top.rglob("*"))}


class Mount:
    """One mount: paths, and what its files say. `of()` makes one below TESTDIR."""

    def __init__(self, mnt=MNT, state=STATE):
        self.mnt, self.state = pathlib.Path(mnt), pathlib.Path(state)

    @staticmethod
    def of(name):
        top = TESTDIR / name
        (top / "mnt").mkdir(parents=True)
        (top / "state").mkdir(mode=0o700)
        return Mount(top / "mnt", top / "state")

    def mount(self, *options, **more):
        given = ("-o", OPTIONS) if OPTIONS else ()
        return run([AGENTFS, "mount", "--state", self.state, *given, *options, self.mnt], **more)

    def umount(self, *options, **more):
        return run([AGENTFS, "umount", *options, self.mnt], **more)

    def fsck(self, *options, **more):
        return run([AGENTFS, "fsck", *options, "--state", self.state], **more)

    def has(self, feature):
        return f'feature="{feature}"\ton' in read(self / "sys/fs/stats")

    def operations(self, name, session=""):
        """How often the host's kernel has asked for an operation, of one session or of all."""
        lines = read(self / "sys/fs/stats").splitlines()
        return sum(int(line.split("\t")[1]) for line in lines
                   if f'session="{session}' in line and f',operation="{name}"' in line)

    def __truediv__(self, path):
        return self.mnt / path

    def proc(self, pid, name):
        return self.mnt / "proc" / str(pid) / name

    def get(self, pid, name):
        return read(self.proc(pid, name))

    def state_of(self, pid):
        return self.get(pid, "state").strip()

    def spawn(self, line):
        reply = command(self / "proc/clone", line).strip()
        expect(reply.isdigit(), f"spawn {line}: saw {reply!r}; wanted a pid")
        return int(reply)

    def wait(self, pid, seconds=60):
        """What /proc/PID/wait gives."""
        return run(["cat", self.proc(pid, "wait")], timeout=seconds)

    def last_error(self):
        lines = read(self / "proc/self/errors").splitlines()
        return lines[-1] if lines else ""

    def journal(self):
        """Every record, in order."""
        return lib.journal_rows(top=self.mnt)

    def head(self):
        return int(read(self / "sys/journal/head").split("\t")[0])

    def verify(self):
        seen = read(self / "sys/journal/verify")
        expect(seen.startswith("ok "), f"sys/journal/verify: {seen!r}")

    def usage(self, pid):
        lines = self.get(pid, "usage").splitlines()[1:]
        return {words[0]: words[1] for words in (line.split("\t") for line in lines)}

    def model(self, name, **settings):
        """Saves /etc/models/NAME.toml."""
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
        (self / f"etc/models/{name}.toml").write_text(text, encoding="utf-8")

    def script_model(self, name, scenario):
        path = TESTDIR / f"{name}.json"
        path.write_text(json.dumps(scenario), encoding="utf-8")
        self.model(name, driver="script", scenario=str(path))

    def exec(self, line, **more):
        """Runs a command line on /dev/local: (output, words of the last line)."""
        reply = within(more.get("seconds", 60), lambda: command(self / "dev/local/exec", line),
                       f"exec {line!r}")
        output, mark, ending = reply.rpartition("# exit=")
        expect(mark, f"exec {line!r}: no ending in {reply!r}")
        return output, dict(re.findall(r"(\w+)=(\S*)", mark[2:] + ending))

    def daemon(self):
        """The daemon's pid, 0 where there is none."""
        try:
            return int(read(self.state / "daemon.pid"))
        except (OSError, ValueError):
            return 0

    def answers(self):
        """The pid that the mount gives; its own errors are the caller's."""
        return int(read(self / "sys/kernel/pid"))

    def watcher(self):
        return parent_of(self.daemon())


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def name_of(pid):
    try:
        return read(f"/proc/{pid}/comm").strip()
    except OSError:
        return ""


def status_of(pid):
    """The fields of /proc/PID/status; {} for a process that has ended."""
    try:
        lines = read(f"/proc/{pid}/status").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_confined(pid):
    """Whether it has given up what it could gain, as agentfs-commit does once it has its order."""
    return status_of(pid).get("NoNewPrivs") == "1"


def committers(daemon):
    """The processes of agentfs-commit: those at work, and those that wait."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()
            and name_of(pid) == "agentfs-commit" and parent_of(pid) == daemon]


def is_alive(pid):
    try:
        return "\nState:\tZ" not in read(f"/proc/{pid}/status")
    except OSError:
        return False


def kill(pid, number=signal.SIGKILL):
    """Only ever a process of ours: the daemon and watcher of this test. It has stopped, where told."""
    expect(pid > 1 and name_of(pid).startswith("agentfs"), f"{pid} ({name_of(pid)}): not ours")
    os.kill(pid, number)
    if number == signal.SIGSTOP:
        wait_until(10, lambda: threads_run(pid) == 0, f"process {pid}: all its threads stopped")


def threads_run(pid):
    """How many of its threads are not stopped."""
    threads = os.listdir(f"/proc/{pid}/task")
    return sum(not status_of(f"{pid}/task/{each}").get("State", "T").startswith("T")
               for each in threads)
