#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Mount and umount, one daemon a state, and what follows the death or silence of a daemon."""
import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time

from mount_lib import (AGENTFS, OPTIONS, TESTDIR, Mount, expect, expect_eq, expect_has, fail,
                       is_alive, kill, main, name_of, read, run, skip, wait_until)

SOON = 20  # seconds; generous, since the machine may be busy


def gone(mount):
    """The mount is no mount any more, and the state is free."""
    expect(not os.path.ismount(mount.mnt), f"{mount.mnt}: still mounted")
    expect_eq(mount.daemon(), 0, "daemon.pid of an unmounted state")


def begins_and_ends():
    """mount returns when the mount answers, umount when the daemon has gone."""
    mount = Mount.of("plain")
    mount.mount()
    daemon = mount.answers()
    expect_eq(mount.daemon(), daemon, "daemon.pid and sys/kernel/pid")
    expect_eq(name_of(daemon), "agentfs", "the daemon's name")
    watcher = mount.watcher()
    expect_eq(name_of(watcher), "agentfs-watch", "the watcher's name")
    expect_has(run([AGENTFS, "mount", "--state", TESTDIR / "another", mount.mnt], code=1),
               f"by pid {daemon}", "a second mount at the same place")
    mount.umount()
    gone(mount)
    expect(not is_alive(daemon), "the daemon lives on after umount")
    for _ in range(5):
        expect(not os.path.exists(f"/proc/{daemon}"), "the daemon is a process yet after umount")
        expect(not is_alive(watcher), "the watcher lives on after umount")
        mount.mount()
        daemon, watcher = mount.answers(), mount.watcher()
        mount.umount()
    expect_has(mount.umount(code=1), "not mounted", "umount of what is not mounted")
    link = TESTDIR / "link"
    link.symlink_to(mount.mnt)
    for word in (link, f"{link}/"):
        run([AGENTFS, "mount", "--state", mount.state, word])
        mount.answers()
        run([AGENTFS, "umount", word])
        gone(mount)


def what_is_above_a_link_is_above_where_it_leads():
    """LINK/../mnt, as the kernel has it, and so for the state."""
    top = TESTDIR / "above"
    for path in ("mnt", "real/mnt", "real/deep", "real/state"):
        (top / path).mkdir(parents=True)
    (top / "real/state").chmod(0o700)
    (top / "link").symlink_to(top / "real/deep")
    mount = Mount(top / "real/mnt", top / "real/state")
    for word, state in (("link/../mnt", "link/../state"), ("./link/../mnt/./", "real/deep/../state/")):
        run([AGENTFS, "mount", "--state", state, word], cwd=top)
        expect_eq([os.path.ismount(top / path) for path in ("mnt", "real/mnt")], [False, True], word)
        expect_eq(mount.daemon(), mount.answers(), "the daemon of the state")
        run([AGENTFS, "umount", word], cwd=top)
        gone(mount)
    run([AGENTFS, "mount", "--state", mount.state, f"{top}/real/mnt"])
    run([AGENTFS, "umount", "real/mnt/sys/.."], cwd=top)
    gone(mount)


class FileHandle(ctypes.Structure):
    """Of name_to_handle_at(2)."""
    _fields_ = [("length", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]


def a_file_handle_is_of_one_mount():
    """In the next one its number is perhaps another file's, which it must not lead to."""
    if os.geteuid() != 0:
        return  # root alone opens by handle
    libc = ctypes.CDLL(None, use_errno=True)

    def handle_of(path):
        handle, place = FileHandle(length=128), ctypes.c_int()
        found = libc.name_to_handle_at(-100, bytes(path), ctypes.byref(handle), ctypes.byref(place), 0)
        expect_eq(found, 0, f"name_to_handle_at: {os.strerror(ctypes.get_errno())}")
        return handle

    def open_by(handle):
        directory = os.open(mount / "workspaces", os.O_RDONLY)
        opened = libc.open_by_handle_at(directory, ctypes.byref(handle), os.O_RDONLY)
        os.close(directory)
        return opened if opened >= 0 else -ctypes.get_errno()

    mount = Mount.of("handles")
    mount.mount()
    for name in ("one", "other"):
        (mount / "workspaces" / name).mkdir()
        (mount / "workspaces" / name / "f").write_text(f"{name}\n")
    mount.umount()
    mount.mount()
    handle = handle_of(mount / "workspaces/one/f")
    opened = open_by(handle)
    expect_eq(os.read(opened, 10), b"one\n", "in the same mount")
    os.close(opened)
    mount.umount()
    mount.mount()
    handle_of(mount / "workspaces/other/f")
    expect_eq(open_by(handle), -errno.ESTALE, "in the next one")
    mount.umount()


def one_daemon_a_state():
    """A second daemon on the same state is refused with the pid of the first."""
    mount = Mount.of("one")
    mount.mount()
    other = TESTDIR / "one/other"
    other.mkdir()
    for more in ((), ("--foreground",)):
        said = run([AGENTFS, "mount", *more, "--state", mount.state, other], code=1)
        expect_has(said, f"pid {mount.daemon()}", f"a second daemon {more}")
    said = mount.fsck(code=2)
    expect_has(said, f"pid {mount.daemon()}", "fsck of a state in use")
    (mount.state / "lock").unlink()
    said = run([AGENTFS, "mount", "--state", mount.state, other], code=1)
    expect_has(said, f"pid {mount.daemon()}", "a second daemon where the lock was removed")
    mount.answers()
    mount.umount()
    inside = mount.state / "inside"
    inside.mkdir()
    expect_has(run([AGENTFS, "mount", "--state", mount.state, inside], code=1), "contain",
               "a mount inside its state")


def errno_of_listing(path):
    try:
        os.listdir(path)
    except OSError as error:
        return error.errno
    return 0


def state_of_the_dead():
    """A state whose daemon was killed is taken over, its stale mount cleaned, nothing lost."""
    mount = Mount.of("dead")
    mount.mount()
    pid = mount.spawn("name=before")
    watcher, daemon = mount.watcher(), mount.daemon()
    kill(watcher)
    kill(daemon)
    wait_until(SOON, lambda: not is_alive(daemon), "the daemon's end")
    # A call that the daemon had begun is aborted; from then on the mount is not connected.
    wait_until(SOON, lambda: errno_of_listing(mount.mnt) == errno.ENOTCONN, "a stale mount")
    expect_eq(mount.daemon(), daemon, "daemon.pid that the dead one left")
    mount.mount()
    expect(mount.answers() != daemon, "the pid of the dead daemon")
    expect_eq(mount.get(pid, "name"), "before\n", "the name of a process")
    mount.verify()
    mount.umount()
    mount.mount()
    kill(mount.watcher())
    kill(mount.daemon())
    mount.umount()  # of a stale mount
    expect(not os.path.ismount(mount.mnt), "a stale mount is still there after umount")


def watcher_starts_it_again():
    """kill -9 of the daemon alone: within seconds another one serves."""
    mount = Mount.of("watched")
    mount.mount()
    watcher = mount.watcher()
    pid = mount.spawn("name=before")
    # What stands below the mountpoint is never to be reached, not for an instant.
    code = ("import os, sys\nwhile True:\n try: os.mkdir(sys.argv[1])\n"
            " except OSError: continue\n else: break")
    maker = subprocess.Popen([sys.executable, "-c", code, os.path.join(mount.mnt, "lost")])
    for _ in range(3):
        daemon = mount.daemon()
        kill(daemon)
        wait_until(SOON, lambda dead=daemon: mount.answers() != dead, "another daemon")
        wait_until(SOON, lambda: mount.daemon() == mount.answers(), "daemon.pid")
        expect_eq(mount.watcher(), watcher, "the watcher")
        expect_eq(mount.get(pid, "name"), "before\n", "the name of a process")
    if os.geteuid() == 0:
        expect(maker.poll() is None, "a directory was made below the mountpoint")
    maker.kill()
    maker.wait()
    mount.umount()
    gone(mount)
    wait_until(SOON, lambda: not is_alive(watcher), "the watcher's end")


def umount_beside_a_restart():
    """What is unmounted after its daemon was killed stays so, at whatever moment of the restart."""
    mount = Mount.of("raced")
    # The moments are what is tested: nothing is expected of where the restart is at each, and a
    # busy machine has more of them.
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(2 * os.cpu_count())]
    try:
        for delay in [0, 5, 10, 15, 20, 30, 50, 100, 200] * 3:
            mount.mount()
            watcher = mount.watcher()
            kill(mount.daemon())
            threading.Event().wait(delay / 1000)
            mount.umount()
            wait_until(SOON, lambda ended=watcher: not is_alive(ended), "the watcher's end")
            expect(not os.path.ismount(mount.mnt),
                   f"it is mounted again, unmounted after {delay} ms")
    finally:
        for each in busy:
            each.kill()
            each.wait()


def hanging_daemon():
    """Callers of a daemon that hangs get an error, and another one serves."""
    mount = Mount.of("hang")
    mount.mount("--hang-seconds", "2")
    daemon = mount.daemon()
    kill(daemon, signal.SIGSTOP)
    asked = [subprocess.Popen(["cat", mount / "sys/kernel/pid"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) for _ in range(3)]
    for caller in asked:
        try:
            answer, _ = caller.communicate(timeout=SOON)
        except subprocess.TimeoutExpired:
            fail("a caller is stuck with a daemon that hangs")
        # One that began late may have been answered by the next daemon.
        expect(caller.returncode != 0 or int(answer) != daemon, "a stopped daemon has answered")
    wait_until(SOON, lambda: mount.answers() != daemon, "another daemon")
    expect(not is_alive(daemon), "the daemon that hung is still there")
    mount.verify()
    mount.umount()


def a_refused_mount_makes_nothing():
    """Neither a state for no mountpoint, nor one inside it, where the next mount would find it."""
    top = TESTDIR / "refused"
    place = top / "mnt"
    place.mkdir(parents=True)
    for state, mountpoint in ((top / "state", top / "nowhere"), (place / "in", place), (place / "in/deep", place),
                              (top / "state", top / "file/x")):
        (top / "file").write_text("")
        run([AGENTFS, "mount", "--state", state, mountpoint], code=1)
        expect_eq((sorted(os.listdir(top)), os.listdir(place)), (["file", "mnt"], []), f"{state}, {mountpoint}")
    for option in ("nosuchoption", "max_read=abc", "subtype=other"):
        run([AGENTFS, "mount", "--state", top / "state", "-o", f"{option},noprobe", place], code=1)
        expect_eq((sorted(os.listdir(top)), os.path.ismount(place)), (["file", "mnt"], False), option)
    for mountpoint in (".", "./", "../mnt/.", "../mnt//"):
        done = subprocess.run([AGENTFS, "mount", "--state", "in", mountpoint], cwd=place, stderr=subprocess.PIPE,
                              text=True, check=False)
        expect_has(done.stderr, "may not contain each other", mountpoint)
        expect_eq(os.listdir(place), [], mountpoint)


def a_start_that_takes_long_is_no_hanging():
    """What reads a large state on a busy machine says nothing until it serves."""
    mount = Mount.of("slow-start")
    mount.mount("--hang-seconds", "1")
    watcher = mount.watcher()
    log = mount.state / "log/agentfs.log"

    def starting(dead):
        children = read(f"/proc/{watcher}/task/{watcher}/children").split()
        return next((int(one) for one in children if int(one) != dead and name_of(one) == "agentfs"), None)

    for _ in range(20):  # until one is stopped before it serves
        daemon, served = mount.daemon(), read(log).count("mounted at")
        kill(daemon, signal.SIGKILL)
        wait_until(SOON, lambda: starting(daemon) is not None, "the next daemon")
        slow = starting(daemon)
        kill(slow, signal.SIGSTOP)
        if read(log).count("mounted at") == served:
            break
        kill(slow, signal.SIGCONT)
        wait_until(SOON, lambda: mount.answers() == slow, "the mount")
    else:
        fail("every start was faster than the test")
    until = time.monotonic() + 3
    wait_until(SOON, lambda: time.monotonic() > until or not is_alive(slow), "three times the silence")
    expect(is_alive(slow), "a daemon was ended while it started")
    kill(slow, signal.SIGCONT)
    wait_until(SOON, lambda: mount.answers() == slow, "the mount by the slow one")
    mount.umount()


def signals_end_it():
    """SIGTERM, SIGINT and SIGHUP unmount cleanly, and the watcher lets it be."""
    mount = Mount.of("signals")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        mount.mount()
        daemon, watcher = mount.daemon(), mount.watcher()
        kill(daemon, number)
        wait_until(SOON, lambda: not is_alive(watcher) and not is_alive(daemon), "the end of both")
        gone(mount)
    mount.fsck()


def is_asking(watcher, daemon):
    children = read(f"/proc/{watcher}/task/{watcher}/children").split()
    stats = (read(f"/proc/{child}/stat") for child in children if int(child) != daemon)
    return any(stat.rpartition(")")[2].split()[0] in "SD" for stat in stats)


def asked_by_the_watcher():
    """Who is asking whether the daemon hangs does not make the mount busy for umount(2)."""
    if os.geteuid() != 0 or "io_uring" in OPTIONS or "data_session" in OPTIONS:
        return  # an ordinary user's umount waits for it; the other one is busy in any case
    mount = Mount.of("asked")
    mount.mount("--hang-seconds", "6")
    daemon, watcher = mount.daemon(), mount.watcher()
    kill(daemon, signal.SIGSTOP)
    wait_until(SOON, lambda: is_asking(watcher, daemon), "the watcher's question")
    unmounted = ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(mount.mnt), 0)
    why = os.strerror(ctypes.get_errno())
    kill(daemon, signal.SIGCONT)
    expect_eq(unmounted, 0, f"umount2 while the watcher asks: {why}")
    wait_until(SOON, lambda: not is_alive(watcher) and not is_alive(daemon), "the end of both")
    gone(mount)


def awake_or_not():
    """A thread stays awake for the next request where there is another CPU and nobody says no."""
    mount = Mount.of("awake")
    for option, state in (("busy_poll", "on" if os.cpu_count() > 1 else "off"),
                          ("busy_poll,nobusy_poll", "off")):
        mount.mount("-o", option)
        expect_has(read(mount / "sys/fs/stats"), f'feature="busy_poll"\t{state}', "sys/fs/stats")
        mount.umount()


def the_kernel_reads_no_more_at_once():
    """-o max_read= is the kernel's own, and what is read is whole."""
    mount = Mount.of("max-read")
    mount.mount("-o", "max_read=8192")
    expect_has(read("/proc/self/mountinfo"), "max_read=8192", "the kernel's options")
    text = "".join(f"{number}\n" for number in range(20_000))
    (mount / "workspaces/w").mkdir()
    (mount / "workspaces/w/long").write_text(text, encoding="ascii")
    expect_eq(read(mount / "workspaces/w/long"), text, "a file of many reads")
    mount.umount()
    expect_has(mount.mount("-o", "max_read=x", code=1), "max_read=x", "no number")


def cpus_are_kept_awake():
    """Where a CPU without work halts, and root mounts, none does while something is asked."""
    kept = "CPUs without work: kept from halting" in run([AGENTFS, "doctor"], code=None)
    mount = Mount.of("awake-cpus")
    for option, state in (("busy_poll", "on" if kept else "off"), ("nobusy_poll", "off")):
        mount.mount("-o", option)
        expect_has(read(mount / "sys/fs/stats"), f'feature="awake_cpus"\t{state}', "sys/fs/stats")
        if state == "on":
            with open("/dev/cpu_dma_latency", "rb", buffering=0) as device:
                def is_held():
                    (mount / "no-such-name").exists()
                    return int.from_bytes(os.pread(device.fileno(), 4, 0), sys.byteorder) == 0
                wait_until(SOON, is_held, "a latency of 0")
        mount.umount()


def open_files():
    """umount says that files are open; --lazy unmounts in spite of them."""
    mount = Mount.of("open")
    mount.mount()
    daemon, watcher = mount.daemon(), mount.watcher()
    (mount / "workspaces/w").mkdir()
    with open(mount / "workspaces/w/file", "w", encoding="utf-8") as file:
        said = mount.umount(code=1)
        expect_has(said, "open", "umount with an open file")
        expect_has(said, "--lazy", "umount with an open file")
        expect_has(said, f"(pid {os.getpid()})", "umount with an open file")
        expect_eq(mount.answers(), daemon, "the daemon after a umount that was refused")
        said = mount.umount("--lazy", timeout=SOON * 2)
        expect_has(said, f"(pid {os.getpid()})", "umount --lazy with an open file")
        expect(not os.path.ismount(mount.mnt), "still mounted after umount --lazy")
        expect_has(mount.mount(code=1), f"kill {daemon}", "a mount of a state in use")
        file.write("written after the lazy umount\n")
    wait_until(SOON, lambda: not is_alive(daemon) and not is_alive(watcher),
               "the end of both when the file is closed")
    mount.mount()
    expect_eq(read(mount / "workspaces/w/file"), "written after the lazy umount\n", "the file")
    mount.umount()


def waits_end_with_the_mount():
    """Who waits for what is to come does not keep a daemon whose mount was taken away."""
    mount = Mount.of("waiting")
    ways = [[AGENTFS, "umount", "--lazy", mount.mnt], ["fusermount3", "-uz", mount.mnt]]
    for lazily in ways:
        mount.mount()
        daemon = mount.daemon()
        (mount / "workspaces/w").mkdir(exist_ok=True)
        words = [["cat", mount / "workspaces/w/.agentfs/follow"],
                 ["cat", mount / "sys/workspaces/follow"]]
        is_open = (lambda pid: any(os.path.realpath(f"/proc/{pid}/fd/{fd}").endswith("/follow")
                                   for fd in os.listdir(f"/proc/{pid}/fd")))
        waiting = [subprocess.Popen(each, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                   for each in words]
        for each in waiting:
            wait_until(SOON, lambda pid=each.pid: is_open(pid), "a reader")
        (mount / "workspaces/w/seen").touch()
        expect_has(waiting[0].stdout.readline(), "seen", "the follow of a workspace")
        run(lazily, timeout=SOON * 2)
        for each in waiting:
            _, said = each.communicate(timeout=SOON)
            expect_has(said, "abort", "a reader whose mount was taken away")
        wait_until(SOON, lambda pid=daemon: not is_alive(pid), "the daemon's end")
        wait_until(SOON, lambda: not mount.daemon(), "daemon.pid")


def foreground():
    """--foreground runs the daemon alone, in the process that was started."""
    mount = Mount.of("foreground")
    words = [AGENTFS, "mount", "--foreground", "--state", str(mount.state), str(mount.mnt)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as daemon:
        wait_until(SOON, lambda: mount.answers() == daemon.pid, "a mount that answers")
        wait_until(SOON, lambda: mount.daemon() == daemon.pid, "daemon.pid")
        kill(daemon.pid, signal.SIGTERM)
        daemon.communicate(timeout=SOON)
        expect_eq(daemon.returncode, 0, "its exit after SIGTERM")
    gone(mount)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as daemon:
        wait_until(SOON, lambda: mount.answers() == daemon.pid, "a mount that answers")
        mount.umount()
        expect_eq(daemon.wait(SOON), 0, "its exit after umount")


def other_users():
    """Other users see the mount with -o allow_other only."""
    if os.geteuid() != 0:
        skip("not root, who alone can be another user")
    other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    mount = Mount.of("others")
    mount.mount()
    said = run([*other, "cat", "README"], code=1, cwd=mount.mnt)  # parents are closed to them
    expect_has(said, "Permission denied", "another user without allow_other")
    mount.umount()
    mount.mount("-o", "allow_other")
    expect_has(run([*other, "cat", "README"], cwd=mount.mnt), "An operating system for agents",
               "another user with allow_other")
    said = run([*other, "sh", "-c", "echo x >etc/models/x.toml"], code=2, cwd=mount.mnt)
    expect_has(said, "denied", "a document saved by another user")
    mount.umount()


def a_state_of_another_user():
    """Root would follow what that one may put there, and leave there what that one cannot read."""
    if os.geteuid() != 0:
        return
    mount = Mount.of("strange")
    mount.mount()
    mount.umount()
    victim = mount.state.parent / "victim"
    (victim / "new").mkdir(parents=True)
    (victim / "new/kept").write_text("kept\n")
    (mount.state / "blobs").rename(mount.state / "blobs-of-before")
    os.symlink(victim, mount.state / "blobs")
    os.chown(mount.state, 65534, 65534)
    before = {path: path.lstat().st_ctime_ns for path in mount.state.rglob("*")}
    for words in (("fsck", "--state", mount.state), ("fsck", "--repair", "--state", mount.state),
                  ("mount", "--state", mount.state, mount.mnt), ("doctor", "--state", mount.state)):
        ended = subprocess.run([AGENTFS, *words], capture_output=True, text=True, check=False)
        expect(ended.returncode != 0, f"agentfs {words[0]} has gone on")
        expect_has(ended.stdout + ended.stderr, "is nobody's, and this runs as uid 0; run it as that user")
    expect_eq((victim / "new/kept").read_text(), "kept\n", "what lies elsewhere")
    expect_eq({path: path.lstat().st_ctime_ns for path in mount.state.rglob("*")}, before, "the state")


def wrong_words():
    """What cannot be mounted is refused with a sentence."""
    mount = Mount.of("words")
    state = ["--state", mount.state]
    file = TESTDIR / "words/file"
    file.write_text("")
    (TESTDIR / "words/link").symlink_to("nowhere")
    for words, piece in (((*state, TESTDIR / "words/none"), "No such file"),
                         ((*state, file), "not a directory"),
                         (("--state", file / "s", mount.mnt), "words/file"),
                         ((*state, "-o", "nosuchoption", mount.mnt), "nosuchoption"),
         ((*state, "-o", "subtype=other", mount.mnt), "a mount of agentfs is known by its own"),
         ((*state, ""), "no mountpoint is named"),
         (("--state", "", mount.mnt), "no state is named"),
         (("--state", TESTDIR / "words/link", mount.mnt), "a link that leads nowhere")):
        expect_has(run([AGENTFS, "mount", *words], code=1), piece, f"mount {words}")
        expect(not os.path.ismount(mount.mnt), f"mounted by {words}")
    expect_has(run([AGENTFS, "moutn", mount.mnt], code=2), "moutn is no command, as mount, umount",
               "a misspelt command")
    (mount.state / "format").write_text("999\n")
    expect_has(mount.mount(code=1), "format", "a state of another format")
    (mount.state / "format").unlink()
    mount.mount()
    mount.umount()


main(begins_and_ends, what_is_above_a_link_is_above_where_it_leads, a_file_handle_is_of_one_mount, one_daemon_a_state, state_of_the_dead, umount_beside_a_restart,
     watcher_starts_it_again,
     hanging_daemon, a_start_that_takes_long_is_no_hanging, a_refused_mount_makes_nothing, signals_end_it, asked_by_the_watcher, awake_or_not,
     the_kernel_reads_no_more_at_once, cpus_are_kept_awake, open_files, waits_end_with_the_mount,
     foreground, other_users, a_state_of_another_user, wrong_words)
