#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""The data trees as a session of their own on io_uring: nothing waits there, and it ends well.

data_session.py runs the same with such a session on the classic channel.
"""
import concurrent.futures
import errno
import fcntl
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys

from lib import command
from mount_lib import (AGENTFS, Mount, expect, expect_eq, expect_errno, expect_has, is_alive, kill,
                       main, name_of, read, run, skip, wait_until, within)

SOON = 20  # seconds
TREES = ("home", "src/repos", "tmp", "workspaces")
SETTING = pathlib.Path("/sys/module/fuse/parameters/enable_uring")
OPTION = "data_session" if pathlib.Path(sys.argv[0]).stem == "data_session" else "io_uring"
mount = Mount.of("apart")
W = mount / "workspaces/w"


def is_on():
    return mount.has(OPTION)


def begin():
    mount.mount("-o", OPTION)
    if not is_on():
        mount.umount()
        skip(f"-o {OPTION} is not to be had here")
    W.mkdir()


def own_mounts():
    """Where below the test's directory something is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split(" ")[4] for line in table]
    return sorted(point for point in points if point.startswith(str(mount.mnt.parent)))


def expect_whole():
    expect_eq(own_mounts(), sorted(str(mount / tree) for tree in ("", *TREES)), "what is mounted")
    expect(is_on(), "sys/fs/stats: the trees are no session of their own")


def expect_gone(daemon):
    wait_until(SOON, lambda: not is_alive(daemon), "the daemon's end")
    expect_eq(own_mounts(), [], "mounts that are left")
    expect_eq(mount.daemon(), 0, "daemon.pid of an unmounted state")


def exec_in(place, line):
    """The words that a command line in a sandbox there says."""
    os.chdir(place)
    try:
        return mount.exec(line, seconds=SOON)[0].split()
    finally:
        os.chdir("/")


def two_sessions():
    """Files of the trees are one session's, all else another's; both are counted."""
    expect_whole()
    expect(os.stat(W).st_dev != os.stat(mount.mnt).st_dev, "one device for both sessions")
    before = mount.operations("write", "data")
    (W / "file").write_text("text")
    expect_eq(mount.operations("write", "data") - before, 1, "writes of the data session")
    before = mount.operations("write", "tree")
    command(mount / "proc/clone", "name=one workspace=w")
    expect(mount.operations("write", "tree") > before, "a control file was not the other session's")
    expect_eq(exec_in(W, "cat file; echo; ls .agentfs/ctl"), ["text", ".agentfs/ctl"], "in a sandbox")
    expect_errno("EXDEV", os.link, W / "file", mount / "tmp/file")


def files_are_not_polled():
    """io_uring(7) would ask 128 times before each write; what can be waited for is elsewhere."""
    (W / "polled").write_text("x")
    before = mount.operations("poll", "data")
    with open(W / "polled", "r+b") as file:
        for _ in range(100):
            poll = select.poll()
            poll.register(file, select.POLLIN | select.POLLOUT)
            expect_eq(poll.poll(0), [(file.fileno(), select.POLLIN | select.POLLOUT)], "of a file")
    expect(mount.operations("poll", "data") - before <= 1, f"{mount.operations('poll', 'data') - before} requests of 100 polls")
    with open(W / ".agentfs/follow", "rb", buffering=0) as events:
        poll = select.poll()
        poll.register(events, select.POLLIN)
        expect_eq(poll.poll(0), [], "before anything happens")
        (W / "polled").write_text("y")
        expect(poll.poll(SOON * 1000), "no event of a change")


def histories():
    """What .agentfs has is led to by links, from every directory, and takes commands."""
    below = W / "a/b"
    below.mkdir(parents=True)
    (below / "old").write_text("one")
    (below / "old").write_text("two")
    for place in (W, below):
        names = {entry.name: entry.is_symlink() for entry in os.scandir(place / ".agentfs")}
        expect_eq([name for name, link in names.items() if not link], ["README"], "what is no link")
        for name in names:
            expect(os.path.exists(place / ".agentfs" / name), f"{name} of {place}: leads nowhere")
    expect_has(read(below / ".agentfs/log"), "a/b/old", "log")
    expect_eq((W / ".agentfs/versions/a/b/old" / "000001").exists() or
              len(os.listdir(W / ".agentfs/versions/a/b/old")), 1, "versions")
    expect_has(command(W / ".agentfs/ctl", "checkpoint first"), "kept as first", "ctl")
    (below / "old").unlink()
    expect_eq((W / ".agentfs/snapshots/first/a/b/old").read_text(), "two", "a snapshot")
    expect_has(command(below / ".agentfs/ctl", "rollback first"), "first", "ctl of a directory")
    expect_eq((below / "old").read_text(), "two", "after rollback")
    expect_errno("EPERM", (W / ".agentfs/log").unlink)
    (W / ".agentfs/mine").write_text("mine")  # makes a directory of the user's own, below ours
    expect_eq(os.listdir(W / ".agentfs"), ["mine"], "a real .agentfs")
    expect_has(read(W / ".agentfs/log"), ".agentfs/mine", "log beside a file of the user's")
    expect_errno("EACCES", os.rename, W / "file", W / ".agentfs/status")
    line = "cat .agentfs/mine; echo; echo 'checkpoint two' >.agentfs/ctl && ls .agentfs/snapshots"
    expect_eq(exec_in(W, line), ["mine", "first", "two", "undo-1"], "in a sandbox")


def a_tree_named_as_a_text_has_its_history():
    """Also where somebody has read that text before."""
    expect_has(read(mount / ".agentfs/workspaces/README"), "<name>/")
    for name in ("README", "ctl", "events"):
        top = mount / "workspaces" / name
        top.mkdir()
        (top / "f").write_text("one\n")
        (top / "f").unlink()
        expect_has(read(top / ".agentfs/log"), "f")
        expect_eq(read(top / ".agentfs/trash/f"), "one\n")
        command(top / ".agentfs/ctl", "restore f")
        expect_eq(read(top / "f"), "one\n")
    expect_eq(os.listdir(mount / ".agentfs/workspaces").count("README"), 1, "in the list")
    shutil.rmtree(mount / "workspaces/README")
    expect_has(read(mount / ".agentfs/workspaces/README"), "<name>/")


def readers(path, count):
    return [subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             text=True) for _ in range(count)]


def is_blocked(process, system_call):
    """Whether it is in this call of x86-64 or of arm64."""
    try:
        words = read(f"/proc/{process.pid}/syscall").split()
    except OSError:
        return False
    return bool(words) and words[0] in {"read": ("0", "63"), "flock": ("73", "32")}[system_call]


def waiting_holds_nothing_up():
    """Readers of what blocks, more than there are requests of a queue, get a change, or a signal."""
    waiting = readers(W / ".agentfs/follow", 40)
    for process in waiting:
        wait_until(SOON, lambda one=process: is_blocked(one, "read"), "a reader that waits")
    for number in range(20):
        path = W / f"beside-{number}"
        within(SOON, lambda one=path: one.write_text("x"), "a write beside readers that wait")
        within(SOON, path.unlink, "an unlink beside readers that wait")
    expect_has(waiting[0].stdout.readline(), "beside-0", "what a reader got")
    for number, process in enumerate(waiting):
        process.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
    for process in waiting:
        process.communicate(timeout=SOON)
        expect(process.returncode in (-signal.SIGTERM, -signal.SIGKILL), "how a reader ended")


def locks_are_killable():
    """A flock(2) or fcntl(2) lock that waits ends by a signal, and holds nobody up."""
    path = W / "lock"
    path.touch()
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'r+'), fcntl.LOCK_EX)"
    with open(path, "r+", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(20)]
        for process in waiting:
            wait_until(SOON, lambda one=process: is_blocked(one, "flock"), "a lock that waits")
        within(SOON, (W / "beside").touch, "a file made beside locks that wait")
        for process in waiting:
            process.terminate()
            expect_eq(process.wait(SOON), -signal.SIGTERM, "how a waiting lock ended")


def commands_hold_nothing_up():
    """Forks, merges and checkpoints go on while the trees are worked in, and the other way."""
    ctl = W / ".agentfs/ctl"

    def work(letter):
        for number in range(300):
            path = W / f"work-{letter}{number % 7}"
            path.write_text(letter * number)
            os.rename(path, W / f"done-{letter}{number % 7}")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        working = [pool.submit(work, letter) for letter in "abcd"]
        for number in range(5):
            for line in (f"fork side-{number}", f"merge side-{number}", f"checkpoint c{number}",
                         f"discard side-{number}"):
                within(SOON, lambda text=line: command(ctl, text), line)
        for future in working:
            future.result(SOON * 3)
    mount.verify()


def wait_for_another(dead):
    """Its pid is told once nothing of what it was put together from is mounted any more."""
    wait_until(SOON, lambda: mount.answers() != dead, "another daemon")
    wait_until(SOON, lambda: mount.daemon() == mount.answers(), "daemon.pid")


def killed_daemons():
    """kill -9: another daemon serves all of it at the same place; what is written is there."""
    for number in range(3):
        daemon = mount.daemon()
        (W / f"kept-{number}").write_text("kept")
        left = os.open(W / "open", os.O_WRONLY | os.O_CREAT)
        kill(daemon)
        wait_for_another(daemon)
        expect_errno("ENOTCONN", os.write, left, b"x")
        expect_errno("ENOTCONN", os.close, left)
        expect_whole()
        expect_eq((W / f"kept-{number}").read_text(), "kept", "a file after kill -9")
    mount.verify()


def hanging_daemon():
    """One that hangs is ended, and so is a caller who waits for it in the trees."""
    mount.umount()
    mount.mount("-o", OPTION, "--hang-seconds", "2")
    daemon = mount.daemon()
    kill(daemon, signal.SIGSTOP)
    with subprocess.Popen(["ls", W / "none"], stderr=subprocess.DEVNULL) as caller:
        expect(caller.wait(SOON) != 0, "a caller of a stopped daemon got an answer")
    wait_for_another(daemon)
    expect_whole()


MAP = """
import mmap, os, sys
with open(sys.argv[1], "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 4096)
for name in os.listdir("/proc/self/fd"):  # Python keeps one of its own
    if int(name) > 2:
        try:
            os.close(int(name))
        except OSError:
            pass  # that of the listing
print("mapped", flush=True)
sys.stdin.readline()
mapping[0] = 65
mapping.flush()
os._exit(0)
"""


def refused_umount():
    """umount of what is in use is refused, and everything is where it was."""
    expect_has(run(["umount", mount.mnt], code=32), "busy", "umount, which knows one mount")
    for used in (W, mount / "home", mount.mnt):
        held = os.open(used, os.O_RDONLY)
        expect_has(mount.umount(code=1), f"(pid {os.getpid()})", f"umount with {used} open")
        os.close(held)
        expect_whole()
    inside = mount / "tmp/inside"
    inside.mkdir()
    run(["mount", "--bind", mount / "src", inside])
    expect_has(mount.umount(code=1), f"{inside} is mounted inside", "umount with a mount inside")
    run(["umount", inside])
    # What nobody is seen to hold is found by the kernel when other trees are away already.
    (W / "mapped").write_bytes(bytes(4096))
    with subprocess.Popen([sys.executable, "-c", MAP, W / "mapped"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as user:
        expect_eq(user.stdout.readline(), "mapped\n", "a process that maps a file")
        expect_has(mount.umount(code=1), "open", "umount with a mapping")
        expect_whole()
        user.communicate("write\n", timeout=SOON)
    expect_eq((W / "mapped").read_bytes()[:1], b"A", "what the mapping wrote")


def ways_to_end():
    """agentfs umount, umount -R, umount -l, and signals: nothing is left, and it comes again."""
    ways = [lambda: mount.umount(), lambda: mount.umount("--lazy"),
            lambda: run(["umount", "-R", mount.mnt]), lambda: run(["umount", "-l", mount.mnt]),
            lambda: kill(mount.daemon(), signal.SIGTERM)]
    for way in ways:
        expect_whole()
        expect_eq((W / "kept-0").read_text(), "kept", "a file of before")
        daemon = mount.daemon()
        way()
        expect_gone(daemon)
        mount.mount("-o", OPTION)


def expect_ended(act, *words):
    """The host's kernel takes a session down in its own time: what comes meanwhile is aborted."""
    try:
        act(*words)
    except OSError as error:
        expect(error.errno in (errno.ENOTCONN, errno.ECONNABORTED), f"after the end: {error}")
    else:
        expect(False, "it went through, after the end")


def open_after_lazy():
    """After a lazy umount an open file can be used to its end; a signal ends the daemon at once."""
    for last in ("close", "signal"):
        daemon = mount.daemon()
        file = os.open(W / "lazy", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        run(["umount", "-l", mount.mnt])
        os.write(file, f"before {last}\n".encode())
        expect(is_alive(daemon), "the daemon ended with a file open")
        if last == "close":
            os.close(file)
        else:
            kill(daemon, signal.SIGTERM)
        expect_gone(daemon)
        if last == "signal":
            expect_ended(os.write, file, b"x")
            expect_ended(os.close, file)
        mount.mount("-o", OPTION)
    expect_eq((W / "lazy").read_text(), "before close\nbefore signal\n", "what was written")


def ends_alone():
    """Where the trees' session ends by itself, the other serves them."""
    for tree in TREES:
        run(["umount", mount / tree])
    wait_until(SOON, lambda: not is_on() and (W / "kept-0").exists(), "the trees' coming back")
    (W / "classic").write_text("x")
    expect(not os.path.islink(W / ".agentfs/ctl"), "ctl is still a link")
    expect_has(read(W / ".agentfs/log"), "classic", "log")
    mount.umount()


def not_asked_for():
    """Without the option there is one session, and one mount."""
    mount.mount("-o", f"{OPTION},no{OPTION}")
    expect_eq(own_mounts(), [str(mount.mnt)], "what is mounted")
    expect_has(read(mount / "sys/fs/stats"), f'feature="{OPTION}"\toff', "sys/fs/stats")
    expect(not os.path.islink(W / ".agentfs/ctl"), "ctl is a link")
    mount.umount()


def not_to_be_had():
    """Where the kernel's is switched off one session serves all, and the log says why."""
    before = SETTING.read_text(encoding="utf-8").strip()
    try:
        SETTING.write_text("N", encoding="utf-8")
    except OSError:
        return
    try:
        mount.mount("-o", "io_uring")
    finally:
        SETTING.write_text(before, encoding="utf-8")
    expect_eq(own_mounts(), [str(mount.mnt)], "what is mounted")
    expect_has(read(mount.state / "log/agentfs.log"), "-o io_uring: the kernel's is switched off",
               "the log")
    mount.umount()


PARTS = (begin, two_sessions, files_are_not_polled, histories, a_tree_named_as_a_text_has_its_history,
         waiting_holds_nothing_up,
         locks_are_killable, commands_hold_nothing_up, killed_daemons, hanging_daemon, refused_umount,
         ways_to_end, open_after_lazy, ends_alone, not_asked_for)

if __name__ == "__main__":
    main(*PARTS, not_to_be_had)
