# SPDX-License-Identifier: MIT
"""Runs one program to its end, within a deadline; of one that hangs, the stacks are taken."""
import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
import time

# What a shell starts in the background ignores SIGINT, and so does all that it starts in turn; the
# tests interrupt what they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclasses.dataclass
class Ended:
    code: int          # as subprocess gives it: negative for a signal
    output: str        # stdout and stderr as they came
    seconds: float
    hung: bool = False

    def how(self):
        """How it ended, in words: "exit 1", "SIGSEGV", "hung"."""
        if self.hung:
            return f"did not end within {self.seconds:.0f} s"
        if self.code >= 0:
            return f"exit {self.code}"
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal {-self.code}"


def processes_of_session(session):
    """The pids that belong to a session, oldest first."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append(int(entry))
    return sorted(found)


def stacks(pid):
    if not shutil.which("gdb"):
        return f"(no stacks of {pid}: gdb is not installed)\n"
    try:
        seen = subprocess.run(
            ["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "set pagination off",
             "-ex", "thread apply all bt 24"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60,
            check=False, start_new_session=True)
    except subprocess.TimeoutExpired:
        return f"(no stacks of {pid}: gdb did not end)\n"
    kept = [line for line in seen.stdout.splitlines() if line.startswith(("Thread", "#"))]
    return f"stacks of {pid}:\n" + "\n".join(kept[:400]) + "\n"


def kill_session(session):
    """Ends what a program left in its session, itself included."""
    for pid in processes_of_session(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run(command, timeout, cwd=None, env=None, stop=None):
    """Runs a program in a session of its own. `stop` is called before a hung one is killed."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        hung, extra = False, ""
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            hung = True
            extra = "".join(stacks(pid) for pid in processes_of_session(child.pid)[:6])
            if stop:
                stop()
        finally:
            kill_session(child.pid)
            child.wait()
        log.seek(0)
        output = log.read().decode("utf-8", "replace")
    return Ended(child.returncode, output + extra, time.monotonic() - began, hung)
