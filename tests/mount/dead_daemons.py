#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A killed daemon that cannot go does not keep its mount and its state.

A client holds the lock of a directory until the daemon answers it; a thread of the daemon waits for
this lock, to say that a name there is over. When the daemon is killed then, neither ends by itself.
"""
import errno
import os
import pathlib
import signal
import subprocess
import sys

from mount_lib import (AGENTFS, OPTIONS, TESTDIR, Mount, command, expect, expect_eq, expect_has,
                       is_alive, kill, main, read, run, skip, wait_until)

if "io_uring" in OPTIONS:
    skip("answers on io_uring cannot be held back")

SOON = 20  # seconds
HELD = TESTDIR / "held"
os.environ["HELD_REPLIES"] = str(HELD)
LATE = TESTDIR / "late-questions"
os.environ["LATE_QUESTIONS"] = str(LATE)


def mount_with(library, mount, *arguments):
    preloaded = {"LD_PRELOAD": os.path.join(os.path.dirname(AGENTFS), f"tests/lib{library}.so"),
                 "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    os.environ.update(preloaded)
    mount.mount(*arguments)
    for variable in preloaded:
        del os.environ[variable]


class Client:
    """A process that does one thing with a file of the mount, when told, and holds nothing else."""

    def __init__(self, path, flags, act):
        go, self.going = os.pipe()
        opened, is_open = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                file = os.open(path, flags)
                os.write(is_open, b".")
                os.read(go, 1)
                act(file)
            except OSError as error:
                os._exit(error.errno)
            os._exit(0)
        os.read(opened, 1)
        for each in (go, opened, is_open):
            os.close(each)

    def go(self):
        os.write(self.going, b".")
        os.close(self.going)

    def end(self, what):
        """It has ended, and by an error that tells of the daemon's death."""
        seen = []
        wait_until(SOON, lambda: seen.append(os.waitpid(self.pid, os.WNOHANG)) or seen[-1][0],
                   f"{what}: the end of its call after the daemon's death")
        number = os.waitstatus_to_exitcode(seen[-1][1])
        expect(number in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO),
               f"{what}: saw errno {number}")


def place_of(thread):
    """The function of the host's kernel that it waits in; "" of one that is over."""
    try:
        return read(thread / "wchan")
    except OSError:
        return ""


def waiting_in(process, place):
    return [thread for thread in pathlib.Path("/proc").glob(f"{process}/task/*")
            if place_of(thread) == place]


class Stuck:
    """A mount whose daemon has been killed at that instant; the watcher, too, where `both`."""

    def __init__(self, name, both):
        self.mount = Mount.of(name)
        mount_with("held_replies", self.mount, "--hang-seconds", "600")
        self.daemon, watcher = self.mount.daemon(), self.mount.watcher()
        space = self.mount / "workspaces/w"
        (space / "d").mkdir(parents=True)
        (space / "d/kept").write_text("kept\n", encoding="utf-8")
        command(space / ".agentfs/ctl", "checkpoint a")
        (space / "d/later").write_text("later\n", encoding="utf-8")
        self.making = Client(space / "d", os.O_RDONLY,
                             lambda directory: os.mkdir("new", dir_fd=directory))
        self.rolling = Client(space / ".agentfs/ctl", os.O_WRONLY,
                              lambda control: os.write(control, b"rollback a\n"))
        HELD.touch()
        self.making.go()
        wait_until(SOON, lambda: waiting_in(self.making.pid, "request_wait_answer"),
                   "the client's wait for an answer")
        self.rolling.go()
        wait_until(SOON, self.threads, "a thread of the daemon that waits for the lock")
        if both:
            kill(watcher)
        os.kill(self.daemon, signal.SIGKILL)
        wait_until(SOON, lambda: not is_alive(self.daemon), "the daemon's death")
        HELD.unlink()
        expect(self.threads(), "the dead daemon has gone, by itself: nothing is tested here")

    def threads(self):
        return waiting_in(self.daemon, "fuse_reverse_inval_entry")

    def expect_free(self):
        self.making.end("the client that held the lock")
        self.rolling.end("who asked for the rollback")
        expect(not self.threads(), "a thread of the dead daemon is left")

    def expect_served(self):
        expect_eq(read(self.mount / "workspaces/w/d/kept"), "kept\n", "what was acknowledged")
        self.mount.verify()
        self.mount.umount()
        expect_has(self.mount.fsck(), "ok", "fsck")


def mount_takes_the_place_of_a_daemon_that_cannot_go():
    stuck = Stuck("mounted", both=True)
    stuck.mount.mount()
    stuck.expect_free()
    stuck.expect_served()


def umount_ends_a_daemon_that_cannot_go():
    stuck = Stuck("unmounted", both=True)
    stuck.mount.umount()
    stuck.expect_free()
    expect(not os.path.ismount(stuck.mount.mnt), "still mounted")
    stuck.mount.mount()
    stuck.expect_served()


def fsck_reads_the_state_of_a_daemon_that_cannot_go():
    stuck = Stuck("checked", both=True)
    expect("FAIL" not in stuck.mount.fsck(), "fsck of what was killed")
    stuck.expect_free()
    stuck.mount.mount()
    stuck.expect_served()


def the_watcher_does_not_wait_until_it_counts_as_hung():
    stuck = Stuck("watched", both=False)
    wait_until(SOON, lambda: stuck.mount.daemon() not in (0, stuck.daemon), "the next daemon")
    wait_until(SOON, lambda: os.path.exists(stuck.mount / "sys/kernel/pid"), "its mount")
    stuck.expect_free()
    stuck.expect_served()


def who_is_late_to_ask_takes_a_dead_mount_for_no_living_one():
    """The next daemon was mounted over it, or was refused and counted as one that died."""
    mount = Mount.of("late")
    mount_with("late_questions", mount)
    (mount / "workspaces/w").mkdir()
    (mount / "workspaces/w/kept").write_text("kept\n", encoding="utf-8")
    daemon = mount.daemon()
    LATE.touch()
    os.kill(daemon, signal.SIGKILL)
    wait_until(SOON, lambda: mount.daemon() not in (0, daemon), "the next daemon")
    wait_until(SOON, lambda: os.path.exists(mount / "sys/kernel/pid"), "its mount")
    LATE.unlink()
    expect_eq(read(mount / "workspaces/w/kept"), "kept\n", "what was acknowledged")
    expect_eq(read("/proc/self/mountinfo").count(f" {mount.mnt} "), 1, "how often it is mounted")
    mount.umount()
    expect(not os.path.ismount(mount.mnt), "still mounted")


LEADERLESS = """
import ctypes, os, threading
threading.Thread(target=threading.Event().wait).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)  # of one thread
"""


def another_program_that_has_the_pid_of_a_dead_daemon_is_left_alone():
    """Its main thread has ended, and it goes on, as one may."""
    mount = Mount.of("reused")
    with subprocess.Popen([sys.executable, "-c", LEADERLESS]) as program:
        wait_until(SOON, lambda: not is_alive(program.pid), "the end of its main thread")
        (mount.state / "daemon.pid").write_text(f"{program.pid}\n", encoding="ascii")
        mount.mount()
        mount.umount()
        expect_eq(program.poll(), None, "the end of a program that is none of ours")
        program.kill()


# Dead but for one thread, which holds the connection of a mount of its own.
DYING = """
import ctypes, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
words = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"its", sys.argv[1].encode(), b"fuse", 0, words) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
with open("/proc/self/comm", "w") as name:
    name.write("agentfs")
threading.Thread(target=threading.Event().wait).start()
libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""
WITHIN = "WITHIN_A_USER_NAMESPACE"


def what_lives_is_not_cut_off_for_a_dead_daemon_of_another_mount():
    """Nor where that one's connections cannot be: who is root of a user namespace may cut off none."""
    apart = ["unshare", "-Urm", "--propagation", "private"]
    if WITHIN not in os.environ:
        if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
            return print("no user namespaces to be had")
        name = what_lives_is_not_cut_off_for_a_dead_daemon_of_another_mount.__name__
        return print(run([*apart, sys.executable, "-B", __file__, name],
                         env=os.environ | {WITHIN: "1"}))
    place = TESTDIR / "its"
    place.mkdir()
    living, other = Mount.of("living"), Mount.of("other")
    living.mount()
    with subprocess.Popen([sys.executable, "-c", DYING, place]) as dying:
        try:
            wait_until(SOON, lambda: not is_alive(dying.pid), "the end of its main thread")
            expect_eq(dying.poll(), None, "how it ended")
            (other.state / "daemon.pid").write_text(f"{dying.pid}\n", encoding="ascii")
            told = run([AGENTFS, "mount", "--state", other.state, living.mnt], code=1)
            expect_has(told, f"the daemon (pid {dying.pid}) was killed and cannot go")
            expect_eq(living.answers(), living.daemon(), "who answers there")
        finally:
            dying.kill()
    return living.umount()


main(mount_takes_the_place_of_a_daemon_that_cannot_go, umount_ends_a_daemon_that_cannot_go,
     fsck_reads_the_state_of_a_daemon_that_cannot_go,
     the_watcher_does_not_wait_until_it_counts_as_hung,
     who_is_late_to_ask_takes_a_dead_mount_for_no_living_one,
     another_program_that_has_the_pid_of_a_dead_daemon_is_left_alone,
     what_lives_is_not_cut_off_for_a_dead_daemon_of_another_mount)
