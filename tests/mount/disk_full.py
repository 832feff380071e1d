#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A full disk: ENOSPC with a sentence, the daemon goes on, nothing acknowledged is lost."""
import errno
import itertools
import os
import shutil
import subprocess
import threading

from mount_lib import (AGENTFS, TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has, fail,
                       in_own_mounts, is_alive, kill, main, read, run, skip, tell, wait_until)

# Everything happens in a mount namespace of its own, where the state lies on a small tmpfs.
if os.geteuid() != 0:
    skip("not root, who alone can mount a tmpfs")
in_own_mounts("DISK_FULL_INSIDE")

SCENARIO = {"name": "after", "tasks": [{"match": "*", "after": "Written.", "steps": [
    {"text": "I write.", "calls": [{"name": "write",
                                    "arguments": {"path": "result", "text": "result\n"}}]}]}]}


def fill(path):
    """Writes until the disk is full, down to the last byte; the bytes that were taken."""
    taken = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for size in (1 << 18, 4096, 64, 1):
        while True:
            try:
                taken += os.write(handle, b"x" * size)
            except OSError as error:
                expect_eq(error.errno, errno.ENOSPC, "errno of a write to a full disk")
                break
    os.close(handle)
    return taken


def mount_on(name, size):
    """A mount whose state lies on a tmpfs of that size."""
    mount = Mount.of(name)
    run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount.state])
    mount.mount()
    return mount


def make():
    mount = mount_on("full", "24m")
    mount.script_model("after", SCENARIO)
    (mount / "workspaces/w").mkdir()
    return mount


def fill_by_host(mount):
    """What something else on the disk takes away: a file beside the state's own."""
    return fill(mount.state / "ballast")


def full():
    """Writes fail with ENOSPC, reads go on, and when there is space again so does work."""
    mount = make()
    pid = mount.spawn("name=kept model=after workspace=w")
    daemon = mount.answers()
    (mount / "workspaces/w/kept").write_text("kept\n")
    taken = fill(mount / "workspaces/w/big")
    expect(taken > 4 << 20, f"only {taken} bytes fitted")
    fill_by_host(mount)
    acknowledged = control_writes_on_full_disk(mount, pid)
    trees_on_full_disk(mount)
    agent_on_full_disk(mount, pid)
    reads_go_on(mount, pid, daemon)
    (mount.state / "ballast").unlink()
    os.unlink(mount / "workspaces/w/big")
    wait_until(10, lambda: free_bytes(mount.state) > 4 << 20, "the space of the removed file")
    work_goes_on(mount, pid, daemon, acknowledged)


def until_refused(act):
    """Acts until the disk refuses it, which a shorter record may take longer to meet; how often it
    was done."""
    for n in range(100000):
        try:
            act(n)
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, "errno of a control write to a full disk")
            return n
    fail("a full disk took a hundred thousand control writes")
    return 0


def control_writes_on_full_disk(mount, pid):
    """Until one fails; the last name that was acknowledged."""
    done = until_refused(lambda n: command(mount.proc(pid, "name"), f"name-{n}"))
    name = f"name-{done - 1}" if done > 0 else "kept"
    sentence = mount.last_error()
    expect_has(sentence, "ENOSPC", "the newest error")
    expect("space" in sentence or "full" in sentence, f"no sentence: {sentence!r}")
    expect_eq(mount.get(pid, "name").strip(), name, "the name, after a write that failed")
    until_refused(lambda _: command(mount / "proc/clone", "name=more"))
    done = until_refused(lambda n: command(mount.proc(pid, "ctl"), f"nice {n % 10 + 1}"))
    priority = (done - 1) % 10 + 1 if done > 0 else 0
    expect_eq(mount.get(pid, "priority"), f"{priority}\n", "the priority, after a refused write")
    return name


def trees_on_full_disk(mount):
    """Names are made as long as their rows fit into the journal, and not beyond that."""
    folder = mount / "workspaces/w"
    acts = {"folder": os.mkdir,
            "file": lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)),
            "link": lambda path: os.symlink("kept", path)}
    for what, act in acts.items():
        for n in range(10000):
            path = folder / f"{what}-{n}"
            try:
                act(path)
            except OSError as error:
                expect_eq(error.errno, errno.ENOSPC, f"errno of a {what} on a full disk")
                expect(not os.path.lexists(path), f"a {what} that failed left its name")
                break
        else:
            fail(f"a full disk took ten thousand of {what}")
    expect_errno("ENOSPC", mount.model, "new", base_url="http://127.0.0.1:1/v1")
    expect(not os.path.exists(mount.state / "etc/models/new.toml"),
           "a document that was refused is there")


def agent_on_full_disk(mount, pid):
    """A message is taken or refused, not half; nothing hangs."""
    expect_errno("ENOSPC", tell, mount.proc(pid, "chat"), "work\n")
    expect_eq(mount.state_of(pid), "idle", "the state after a message that was refused")


def reads_go_on(mount, pid, daemon):
    expect_eq(mount.answers(), daemon, "the daemon")
    expect_eq(read(mount / "workspaces/w/kept"), "kept\n", "a file on a full disk")
    expect_has(mount.get(pid, "status"), "State:\tidle", "status on a full disk")
    mount.verify()


def work_goes_on(mount, pid, daemon, acknowledged):
    expect_eq(mount.get(pid, "name").strip(), acknowledged, "the name")
    command(mount.proc(pid, "name"), "afterwards")
    tell(mount.proc(pid, "chat"), "work\n")
    expect_eq(mount.wait(pid).strip(), "[script] Written.", "a run after there was space again")
    expect_eq(read(mount / "workspaces/w/result"), "result\n", "what it wrote")
    mount.verify()
    expect_eq(mount.answers(), daemon, "the daemon, which should have lived through it")
    mount.umount()
    mount.fsck()
    mount.mount()
    expect_eq(mount.get(pid, "name"), "afterwards\n", "the name after a remount")
    expect_eq(read(mount / "workspaces/w/kept"), "kept\n", "the file after a remount")
    mount.verify()
    mount.umount()


def free_bytes(path):
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def ends_whole(mount):
    """Its journal is whole, and its state when it is unmounted."""
    mount.verify()
    mount.umount()
    mount.fsck()


def freed_from_inside():
    """With the disk full to the last byte, removing a file through the mount frees it."""
    mount = mount_on("inside", "16m")
    (mount / "workspaces/w").mkdir()
    fill(mount / "workspaces/w/big")
    fill_by_host(mount)
    os.unlink(mount / "workspaces/w/big")
    # The host's kernel forgets the file in its own time; its space is free from then on.
    wait_until(10, lambda: free_bytes(mount.state) > 4 << 20, "the space of the removed file")
    (mount / "workspaces/w/small").write_text("small\n")
    ends_whole(mount)


def what_is_removed_makes_room_for_its_rows_first():
    """While another takes all that becomes free: nothing that is there can not be removed."""
    mount = mount_on("taken", "48m")
    top = mount / "workspaces/w"
    top.mkdir()
    for number in range(4000):
        (top / f"s{number}").write_bytes(b"x")
    stop, full_once = threading.Event(), threading.Event()

    def take():
        handle = os.open(top / "big", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        while not stop.is_set():
            try:
                os.write(handle, b"x" * (128 << 10))
            except OSError as error:
                expect_eq(error.errno, errno.ENOSPC, "errno of a write to a full disk")
                full_once.set()
        os.close(handle)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    expect(full_once.wait(60), "the disk was not full after a minute")
    for number in range(4000):
        (top / f"s{number}").unlink()
    stop.set()
    taker.join()
    (top / "big").unlink()
    wait_until(10, lambda: free_bytes(mount.state) > 1 << 20, "the space of what was removed")
    (top / "after").write_text("after\n")
    ends_whole(mount)


def a_mount_begins_on_a_full_disk():
    """What there is can be read and removed: that is how a disk gets room again."""
    mount = mount_on("begins", "24m")
    space = mount / "workspaces/w"
    space.mkdir()
    for name in ("kept", "removed"):
        (space / name).write_text(f"{name}\n")
    mount.umount()
    fill_by_host(mount)
    mount.fsck()
    mount.mount()
    expect_eq(read(space / "kept"), "kept\n")
    (space / "removed").unlink()
    (mount.state / "ballast").unlink()
    (space / "later").write_text("later\n")
    mount.umount()
    mount.fsck()
    mount.mount()
    expect_eq(sorted(os.listdir(space)), ["kept", "later"])
    mount.umount()


def what_checkpoints_hold_can_be_given_up():
    """Where removing files makes no room, the room for the rows of `discard` is there still."""
    mount = mount_on("held", "24m")
    top = mount / "workspaces/w"
    top.mkdir()
    refused = 0
    ctl = lambda line: command(top / ".agentfs/ctl", line)
    for number in range(3000):
        path, of_ten = top / f"{number}", number % 10 == 0
        acts = [lambda: path.write_bytes(b"x" * 20_000), lambda: os.link(path, f"{path}-linked"),
                path.unlink]
        if of_ten:
            acts += [lambda: ctl(f"checkpoint c{number}"), lambda: ctl("rollback c0")]
        for act in acts:
            try:
                act()
            except OSError as error:
                expect(error.errno in (errno.ENOSPC, errno.ENOENT), f"{path}: {error}")
                refused += 1
    made = [name for name in os.listdir(top / ".agentfs/snapshots") if name != "README"]
    expect(refused > 100, f"only {refused} were refused")
    for name in made:
        try:
            ctl(f"discard {name}")
        except OSError as error:
            fail(f"discard {name} of {len(made)}: {error}: {mount.last_error()}")
    wait_until(20, lambda: free_bytes(mount.state) > 4 << 20, "the room of what was discarded")
    for path in top.iterdir():
        path.unlink()
    (top / "after").write_text("after\n")
    ends_whole(mount)


def can_have_ext4():
    return os.path.exists("/dev/loop-control") and shutil.which("mkfs.ext4")


def mount_on_ext4(name):
    return mount_on_image(name, 48, ["mkfs.ext4", "-q", "-F"])


def mount_on_image(name, mebibytes, maker):
    mount = Mount.of(name)
    image = mount.state.parent / f"{name}-image"
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    run([*maker, image])
    run(["mount", "-o", "loop", image, mount.state])
    mount.mount()
    return mount, image


def forks_give_their_room():
    """To the last byte: one that is discarded, and a file of its own that nobody has looked at yet."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("forked")
    top = mount / "workspaces/w"
    (top / "d").mkdir(parents=True)
    for number in range(100):
        (top / "d" / f"{number}").write_text(f"{number}\n")
    forks = [mount / f"workspaces/try-{number}" for number in range(2)]
    for fork in forks:
        command(top / ".agentfs/ctl", f"fork {fork.name}")
        (fork / "d/1").write_text("changed\n")
        (fork / "large").write_bytes(os.urandom(4 << 20))
    mount.umount()
    mount.mount()
    fill_by_host(mount)
    (forks[1] / "large").unlink()
    command(top / ".agentfs/ctl", f"discard {forks[0].name}")
    expect_eq([fork.exists() for fork in forks], [False, True], "the forks")
    expect_eq((forks[1] / "d/1").read_text(), "changed\n", "the other one's")
    (mount.state / "ballast").unlink()
    ends_whole(mount)
    image.unlink()


def a_disk_that_writes_elsewhere_what_is_written_again_kills_nobody():
    """Its pages that are mapped and changed need new room, which there may not be."""
    if not os.path.exists("/dev/loop-control") or not shutil.which("mkfs.btrfs"):
        return
    mount, image = mount_on_image("elsewhere", 150, ["mkfs.btrfs", "-q", "-f", "-M"])
    top = mount / "workspaces/w"
    top.mkdir()
    for number in range(20):
        (top / f"f{number}").write_text(f"{number}\n" * 100)
    for number in range(40):
        (top / f"r{number}").write_text(f"{number}\n" * 20)
    os.sync()
    fill_by_host(mount)
    daemon = mount.daemon()
    for number in range(20):
        try:
            (top / f"f{number}").rename(top / f"g{number}")
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, f"errno of rename {number}")
    expect_eq(mount.daemon(), daemon, "the daemon")
    removed = []
    for number in range(40):
        try:
            (top / f"r{number}").unlink()
            removed.append(f"/workspaces/w/r{number}")
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, f"errno of unlink {number}")
            expect((top / f"r{number}").exists(), f"r{number} is gone, and it was refused")
    expect(len(removed) > 20, f"removed: {removed}")
    (mount.state / "ballast").unlink()
    os.sync()
    (top / "after").write_text("after\n")
    expect_eq([row["data"]["path"] for row in mount.journal()
               if row["kind"] == "tree.remove" and "/r" in row["data"]["path"]], removed, "what is told of it")
    ends_whole(mount)
    image.unlink()


def blocks_that_are_smaller_than_pages_kill_nobody():
    """A mapping of a file may lack the room of a page there, though a byte of it has been written."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("small-blocks")
    top = mount / "workspaces/w"
    top.mkdir()
    expect_eq(os.statvfs(mount.state).f_bsize, 1024, "bytes of a block")
    for number in range(50):
        (top / f"f{number}").write_text(f"{number}\n" * 100)
    for number in range(6):
        fill_by_host(mount)
        (top / f"f{number}").unlink()
        daemon = mount.daemon()
        kill(mount.watcher())
        kill(daemon)
        wait_until(20, lambda: not is_alive(daemon), "the end of the daemon")
        run(["fusermount3", "-uz", mount.mnt])
        expect("FAIL" not in mount.fsck(), f"fsck, {number}")
        (mount.state / "ballast").unlink()
        expect_eq([path.name for path in mount.state.glob("*-shm")], [], "what is mapped")
        mount.mount()
    ends_whole(mount)
    image.unlink()


def what_checkpoints_read_can_be_removed():
    """On a disk where a directory takes room, too: what is removed must be kept for them first."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("on-ext4")
    top = mount / "workspaces/w"
    for name in ("a", "b", "c", "d"):
        (top / name).mkdir(parents=True)
        (top / name / "large").write_bytes(os.urandom(1 << 20))
    ctl = lambda line: command(top / ".agentfs/ctl", line)
    ctl("checkpoint one")
    ctl("fork w-fork")
    (top / "e").write_text("more\n")
    fill_by_host(mount)
    expect_errno("ENOSPC", tell, top / "e", "x" * (1 << 20))
    expect_has(mount.last_error(), "/workspaces/w/e")
    expect_errno("ENOSPC", (top / "a/new").write_text, "new\n")
    expect_has(mount.last_error(), "no room to keep the directory")
    (top / "a/large").unlink()
    os.truncate(top / "b/large", 0)
    open(top / "c/large", "wb").close()
    (mount / "workspaces/w-fork/d/large").unlink()
    ctl("discard one")
    (top / "d/large").unlink()
    (top / "d").rmdir()
    expect_eq(sorted(os.listdir(top)), ["a", "b", "c", "e"])
    expect_eq([(top / name / "large").stat().st_size for name in ("b", "c")], [0, 0])
    (mount.state / "ballast").unlink()
    ends_whole(mount)
    image.unlink()


def history_gives_way():
    """What is removed is kept, and many times the disk is written: it holds its share, not all."""
    mount = mount_on("gives_way", "64m")
    top = mount / "workspaces/w"
    top.mkdir()
    for number in range(60):
        path = top / f"{number}/file-{number % 3}"
        path.parent.mkdir()
        path.write_bytes(bytes([number]) * (4 << 20))
        expect_eq(path.stat().st_size, 4 << 20, "its size")
        path.unlink()
        path.parent.rmdir()
    expect(len(os.listdir(top / ".agentfs/trash")) > 1, "nothing is in the trash")
    ends_whole(mount)


def a_busy_file_crowds_nothing_out():
    """A file that is written in place again and again, as a database is, keeps some old contents,
    and what was removed once stays in the trash."""
    mount = mount_on("busy", "64m")
    work = mount / "workspaces/w"
    work.mkdir()
    (work / "notes").write_text("written once\n", encoding="ascii")
    (work / "notes").unlink()
    (work / "busy").write_bytes(bytes([255]) * (1 << 19))
    for number in range(60):
        with open(work / "busy", "r+b") as busy:
            busy.write(bytes([number]) * 4096)
    versions = work / ".agentfs/versions/busy"
    wait_until(60, lambda: len(os.listdir(versions)) < 16, "the disk's share of versions")
    expect_eq(read(work / ".agentfs/trash/notes"), "written once\n", "what was removed")
    held = sorted(os.listdir(versions))
    expect(len(held) > 4, f"versions that are left: {held}")
    expect_eq((versions / held[-1]).read_bytes()[:2], bytes([58, 58]), "the newest")
    command(work / ".agentfs/ctl", "restore notes")
    expect_eq(read(work / "notes"), "written once\n", "restored")
    mount.umount()
    mount.fsck()
    run(["umount", mount.state])


def what_is_refused_keeps_nothing():
    """A version is kept before the change; where the disk then refuses that, it is dropped."""
    mount = mount_on("no_zeroes", "16m")
    (mount / "workspaces/w").mkdir()
    path = mount / "workspaces/w/file"
    path.write_bytes(b"whole" * 1000)
    for _ in range(3):
        done = subprocess.run(["fallocate", "--zero-range", "--length", "4096", path],
                              stderr=subprocess.DEVNULL, check=False)
        expect(done.returncode != 0, "a tmpfs zeroed a range, which it cannot")
    expect_eq(path.read_bytes(), b"whole" * 1000, "the file")
    expect("file" not in os.listdir(mount / "workspaces/w/.agentfs/versions"), "a version is told")
    mount.umount()
    past = [line for line in mount.fsck().splitlines() if "past: " in line]
    expect_eq(len(past), 1, f"lines of the past: {past}")


def seen(top):
    """What a directory holds: of each name type, mode, owner, times but of reading, and bytes."""
    found = {}
    for path in sorted(top.rglob("*")):
        at = path.lstat()
        text = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path.relative_to(top))] = (at.st_mode, at.st_uid, at.st_mtime_ns, text)
    return found


def changes_of(top, number):
    """Every kind of change, each of files of its own: name -> what does it."""
    def path(name):
        return top / f"{name}-{number}"

    return {
        "rename": lambda: os.rename(path("a"), path("new")),
        "rename over": lambda: os.rename(path("b"), path("c")),
        "rename of a directory": lambda: os.rename(path("d"), path("e")),
        "chmod": lambda: os.chmod(path("f"), 0o600),
        "chown": lambda: os.chown(path("f"), 7, 7),
        "utime": lambda: os.utime(path("f"), (1, 1)),
        "setxattr": lambda: os.setxattr(path("f"), "user.x", b"y"),
        "O_TRUNC": lambda: os.close(os.open(path("g"), os.O_WRONLY | os.O_TRUNC)),
        "O_CREAT | O_TRUNC": lambda: os.close(
            os.open(path("g"), os.O_WRONLY | os.O_TRUNC | os.O_CREAT)),
        "truncate": lambda: os.truncate(path("g"), 1),
        "link": lambda: os.link(path("f"), path("linked")),
        "mkfifo": lambda: os.mkfifo(path("fifo")),
    }


def removing_gives_inodes_back():
    """Also where it is these that the disk lacks: then nothing is kept of what is removed."""
    mount = mount_on("inodes", "64m,nr_inodes=2000")
    top = mount / "workspaces/many"
    top.mkdir()
    number = 0
    while True:
        try:
            (top / f"f{number}").write_text("x\n")
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, "errno of a file too many")
            break
        number += 1
    expect(number > 500, f"only {number} files fitted")
    for name in os.listdir(top):
        (top / name).unlink()
    free = lambda: os.statvfs(mount.state).f_favail
    wait_until(20, lambda: free() > number * 3 // 4, "inodes that are free again")
    (top / "again").write_text("again\n")
    mount.umount()
    run(["umount", mount.state])


def exhaust_inodes(mount):
    """By others' files; where they are."""
    ballast = mount.state / "ballast"
    ballast.mkdir()
    number = 0
    while True:
        try:
            (ballast / f"{number}").touch()
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, "errno of a file too many")
            return ballast
        number += 1


def leave_inodes(ballast, count):
    """So many, and none that the daemon or the host's kernel has given back since."""
    files = list(ballast.iterdir())
    while os.statvfs(ballast).f_favail < count:
        files.pop().unlink()
    for number in itertools.count():
        if os.statvfs(ballast).f_favail <= count:
            return
        (ballast / f"for-{count}-{number}").touch()


def forks_go_where_no_inode_is_left():
    """And a mount begins there, after an end and after a kill."""
    mount = mount_on("no-inodes", "64m,nr_inodes=1500")
    top = mount / "workspaces/w"
    top.mkdir()
    (top / "file").write_text("file\n")
    ctl = lambda line: command(top / ".agentfs/ctl", line)
    for name in ("one", "two", "three"):
        ctl(f"fork {name}")
        for number in range(30):
            (mount / "workspaces" / name / f"{number}").write_text("its own\n")
    mount.umount()
    exhaust_inodes(mount)
    expect_eq(os.statvfs(mount.state).f_favail, 0, "free inodes")
    mount.mount()
    expect_eq((top / "file").read_text(), "file\n", "after a start")
    ctl("discard one")
    wait_until(20, lambda: os.statvfs(mount.state).f_favail >= 30, "the inodes of the fork")
    for number in range(100):
        try:
            (mount.state / f"ballast/more-{number}").touch()
        except OSError:
            break
    daemon = mount.answers()  # there is no inode for its daemon.pid
    kill(daemon)
    wait_until(20, lambda: mount.answers() != daemon, "another daemon")
    expect_eq((top / "file").read_text(), "file\n", "after a kill")
    ctl("discard two")
    wait_until(20, lambda: os.statvfs(mount.state).f_favail >= 30, "the inodes of the second fork")
    expect_eq((mount / "workspaces/three/7").read_text(), "its own\n", "of the third")
    (top / "after").write_text("after\n")
    shutil.rmtree(mount.state / "ballast")
    ends_whole(mount)
    run(["umount", mount.state])


def a_disk_that_is_read_only_is_told():
    mount = mount_on("read-only", "16m")
    (mount / "workspaces/w").mkdir()
    mount.umount()
    run(["mount", "-o", "remount,ro", mount.state])
    for words in (("fsck",), ("mount", mount.mnt)):
        ended = subprocess.run([AGENTFS, *words, "--state", mount.state], capture_output=True,
                               text=True, check=False)
        expect(ended.returncode != 0, f"agentfs {words[0]} has gone on")
        expect_has(ended.stderr, f"{mount.state}: lies on a disk that is mounted read-only")
    run(["mount", "-o", "remount,rw", mount.state])
    mount.mount()
    expect((mount / "workspaces/w").is_dir(), "the workspace")
    ends_whole(mount)
    run(["umount", mount.state])


def a_refused_rollback_leaves_no_state_of_it():
    mount = mount_on("rollback", "64m,nr_inodes=1000")
    top = mount / "workspaces/w"
    top.mkdir()
    (top / "file").write_text("one\n")
    command(top / ".agentfs/ctl", "checkpoint one")
    (top / "file").write_text("two\n")
    ballast = mount.state / "ballast"
    ballast.mkdir()
    try:
        for number in range(1000):
            (ballast / f"{number}").touch()
    except OSError as error:
        expect_eq(error.errno, errno.ENOSPC, "errno of a file too many")
    states = lambda: (read(top / ".agentfs/forks"), os.listdir(top / ".agentfs/snapshots"))
    before, refused = states(), 0
    for left in sorted(ballast.iterdir()):
        try:
            command(top / ".agentfs/ctl", "rollback one")
            break
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, "errno of a rollback on a full disk")
        sentence = mount.last_error()
        for piece in ("/workspaces/w: is not taken back to one", "`discard` of checkpoints and forks"):
            expect_has(sentence, piece, "a refused rollback")
        refused += 1
        expect_eq(states(), before, f"the states after {refused} refused rollbacks")
        expect_eq(read(top / "file"), "two\n")
        left.unlink()
    # What a refused one began goes with it, so those that follow have the room of what is removed.
    expect(1 < refused < 50, f"{refused} refused rollbacks")
    expect_eq(read(top / "file"), "one\n", "after the rollback")
    for left in sorted(ballast.iterdir())[:20]:
        left.unlink()
    command(top / ".agentfs/ctl", "rollback undo-1")
    expect_eq(read(top / "file"), "two\n", "after the undo")
    mount.umount()
    mount.fsck()
    run(["umount", mount.state])


def what_is_removed_is_kept_again_as_soon_as_there_is_room():
    mount = mount_on("room_again", "24m")
    space = mount / "workspaces/w"
    space.mkdir()
    for name in ("first", "second"):
        (space / name).write_text(f"{name}\n")
    fill_by_host(mount)
    (space / "first").unlink()
    (mount.state / "ballast").unlink()
    (space / "second").unlink()
    command(space / ".agentfs/ctl", "restore second")
    expect_eq(read(space / "second"), "second\n")
    ends_whole(mount)


def what_is_refused_has_not_happened():
    """Also where the bytes are there and only the journal has no room for the row."""
    mount = mount_on("refused", "24m")
    top, disk = mount / "workspaces/w", mount.state / "trees/workspaces/w"
    top.mkdir()
    for number in range(42):  # two are left alone
        for name in "abcfg":
            (top / f"{name}-{number}").write_text(f"{name} {number}\n")
        (top / f"d-{number}").mkdir()
    command(top / ".agentfs/ctl", "checkpoint early")
    (top / "later").write_text("later\n")
    for name in [f"{name}-{number}" for name in "abcfg" for number in range(40)]:
        os.utime(top / name)  # so that each has an inode of its own again
    fill_by_host(mount)
    until_refused(lambda n: os.utime(top / "later", (n, n)))
    refused = set()

    def attempt(name, change):
        before = seen(disk)
        try:
            change()
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, f"errno of {name} on a full disk")
            expect_eq(seen(disk), before, f"the disk after {name}, which was refused")
            expect_eq({path: what[0] for path, what in seen(top).items()},
                      {path: what[0] for path, what in before.items()},
                      f"the mount after {name}, which was refused")
            refused.add(name)

    for number in range(40):
        for name, change in changes_of(top, number).items():
            attempt(name, change)
    # What empties a file makes room, in which the row of what is done after it may fit.
    makes_room, may_fit = {"O_TRUNC", "O_CREAT | O_TRUNC"}, {"truncate", "link", "mkfifo"}
    expect_eq(refused - may_fit, set(changes_of(top, 0)) - makes_room - may_fit,
              "what a full disk refuses in the end")
    expect_has(mount.last_error(), "makes room", "what would help")
    until_refused(lambda n: os.utime(top / "later", (n, n)))
    expect_errno("ENOSPC", os.utime, top / "c-39", (1, 1))
    told = [line for line in read(mount / "proc/self/errors").splitlines() if "c-39" in line]
    expect_eq(len(told), 1, f"sentences about one refusal: {told}")
    attempt("rollback", lambda: command(top / ".agentfs/ctl", "rollback early"))
    os.unlink(top / "a-40")
    expect_has(read(top / ".agentfs/events.jsonl"), '"op":"remove","path":"/workspaces/w/a-40"',
               "the row of a removal on a full disk")
    (mount.state / "ballast").unlink()
    os.rename(top / "a-41", top / "new-41")
    command(top / ".agentfs/ctl", "rollback early")
    expect_eq(read(top / "a-40"), "a 40\n", "a file after the rollback")
    ends_whole(mount)


def restore_on_full_disk():
    """A directory that does not fit comes back later, whole, and with nothing beside its files."""
    mount = mount_on("restore", "32m")
    space = mount / "workspaces/w"
    (space / "d").mkdir(parents=True)
    texts = {f"{n}": os.urandom(20_000) for n in range(60)}
    for name, text in texts.items():
        (space / "d" / name).write_bytes(text)
    run(["rm", "-r", space / "d"])
    fill_by_host(mount)
    ballast = mount.state / "ballast"
    os.truncate(ballast, ballast.stat().st_size - (150 << 10))
    expect_errno("ENOSPC", tell, space / ".agentfs/ctl", "restore d\n")
    expect_eq(os.listdir(space), [], "what a refused restore left")
    ballast.unlink()
    command(space / ".agentfs/ctl", "restore d")
    expect_eq({path.name: path.read_bytes() for path in (space / "d").iterdir()}, texts,
              "what came back")
    mount.verify()
    mount.umount()


def run_on_full_disk():
    """A run whose records do not fit waits for space, and then ends as if nothing had been."""
    mount = mount_on("run", "16m")
    steps = [{"text": f"Step {n}.", "delay_ms": 300,
              "calls": [{"name": "write", "arguments": {"path": f"file-{n}", "text": f"{n}\n"}}]}
             for n in range(4)]
    mount.script_model("slow", {"name": "slow", "tasks": [
        {"match": "*", "after": "All four.", "steps": steps}]})
    (mount / "workspaces/w").mkdir()
    pid = mount.spawn("name=slow model=slow workspace=w")
    tell(mount.proc(pid, "chat"), "work\n")
    wait_until(20, lambda: mount.state_of(pid) == "waiting-model", "a model call")
    fill_by_host(mount)
    wait_until(20, lambda: "ENOSPC" in mount.get(pid, "errors"), "a word about it in errors")
    daemon = mount.answers()
    (mount.state / "ballast").unlink()
    expect_eq(mount.wait(pid).strip(), "[script] All four.", "the answer")
    expect_eq(mount.answers(), daemon, "the daemon")
    mount.verify()
    mount.umount()


def imported(name, disk="size=16m"):
    """A mount with a workspace `w` of a directory of the host."""
    mount = Mount.of(name)
    run(["mount", "-t", "tmpfs", "-o", disk, "tmpfs", mount.state])
    mount.mount()
    host = TESTDIR / f"{name}-host"
    host.mkdir()
    for n in range(3):
        (host / f"f{n}").write_text(f"{n}\n")
    command(mount / "sys/workspaces/ctl", f"import {host} as w")
    return mount, host


def with_room(mount, room, act):
    """act() while the disk has only so much room; whether it was refused."""
    fill_by_host(mount)
    os.truncate(mount.state / "ballast", (mount.state / "ballast").stat().st_size - room)
    try:
        act()
    except OSError as error:
        expect_eq(error.errno, errno.ENOSPC, f"errno with {room} bytes of room")
        return True
    finally:
        (mount.state / "ballast").unlink()
    return False


def end_ext4(mount, image):
    mount.verify()
    mount.umount()
    mount.fsck()
    run(["umount", mount.state])
    os.unlink(image)


def a_partial_merge_that_was_refused_leaves_nothing():
    """But its conflicts to look at: wherever the room ends, the two are merged later as if never asked before."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("partial")
    refused = 0
    for blocks in (*range(8), 12, 16, 24, 32):
        top, fork = mount / f"workspaces/w{blocks}", mount / f"workspaces/w{blocks}-1"
        top.mkdir()
        for n in range(6):
            (top / f"f{n}").write_bytes(os.urandom(6000))
        command(top / ".agentfs/ctl", f"fork {fork.name}")
        (top / "f1").write_bytes(os.urandom(6000))
        theirs = {name: os.urandom(6000) for name in ("f1", "f4", "new")}
        for name, text in theirs.items():
            (fork / name).write_bytes(text)
        (fork / "f2").unlink()
        before = {name: (top / name).read_bytes() for name in os.listdir(top)}
        if not with_room(mount, blocks << 12, lambda: command(top / ".agentfs/ctl", f"merge {fork.name} partial")):
            continue
        refused += 1
        expect_eq({name: (top / name).read_bytes() for name in os.listdir(top)}, before, f"{blocks} blocks: ours")
        command(top / ".agentfs/ctl", f"merge {fork.name} partial")
        (number,) = (name for name in os.listdir(top / ".agentfs/conflicts") if name != "README")
        command(top / ".agentfs/ctl", f"resolve {number} theirs")
        command(top / ".agentfs/ctl", f"merge {fork.name}")
        expect_eq({name: (top / name).read_bytes() for name in theirs}, theirs, f"{blocks} blocks: what was merged")
        expect(not (top / "f2").exists(), f"{blocks} blocks: what theirs removed")
    expect(refused > 2, f"only {refused} were refused")
    end_ext4(mount, image)


def a_rollback_with_little_room_is_refused_or_known_to_merges():
    """One that is refused has changed nothing; after the others the fork's work comes by a merge again."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("back")
    refused = 0
    for blocks in (*range(7), 0, 1, 2, 1, 1):
        name = f"w{len(os.listdir(mount / 'workspaces'))}"
        top, fork = mount / "workspaces" / name, mount / f"workspaces/{name}-1"
        top.mkdir()
        (top / "f").write_text("one\n")
        command(top / ".agentfs/ctl", "checkpoint c")
        command(top / ".agentfs/ctl", f"fork {fork.name}")
        (fork / "merged").write_text("merged\n")
        command(top / ".agentfs/ctl", f"merge {fork.name}")
        (top / "f").write_text("two\n")
        if with_room(mount, blocks << 12, lambda: command(top / ".agentfs/ctl", "rollback c")):
            refused += 1
            expect_eq(((top / "f").read_text(), os.listdir(top / ".agentfs/snapshots")), ("two\n", ["c"]),
                      f"{blocks} blocks: what a refused rollback left")
            command(top / ".agentfs/ctl", "rollback c")
        expect_eq((top / "f").read_text(), "one\n", f"{blocks} blocks: rolled back")
        command(top / ".agentfs/ctl", f"merge {fork.name}")
        expect_eq(read(top / "merged"), "merged\n", f"{blocks} blocks: what is merged again")
    expect(refused > 0, "none was refused")
    end_ext4(mount, image)


def a_restore_of_a_directory_is_whole_or_refused_before_it_begins():
    """Also where the disk counts as free what it keeps for itself."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("returns")
    refused = 0
    for blocks in (0, 1, 2, 5, 9, 14, 40, 70, 200):
        top = mount / f"workspaces/w{blocks}"
        (top / "d/below").mkdir(parents=True)
        texts = {f"{at}f{n}": os.urandom(5000) for n in range(4) for at in ("d/", "d/below/")}
        for path, text in texts.items():
            (top / path).write_bytes(text)
        shutil.rmtree(top / "d")
        if with_room(mount, blocks << 12, lambda: command(top / ".agentfs/ctl", "restore d")):
            refused += 1
            expect_eq(os.listdir(top), [], f"{blocks} blocks: what a refused restore left")
            command(top / ".agentfs/ctl", "restore d")
        expect_eq({path: (top / path).read_bytes() for path in texts}, texts, f"{blocks} blocks: what came back")
    expect(refused > 2, f"only {refused} were refused")
    end_ext4(mount, image)


def a_restore_of_many_small_files_is_whole_or_refused():
    """What is told of each takes more than their bytes."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("many")
    top = mount / "workspaces/w"
    (top / "d").mkdir(parents=True)
    for n in range(600):
        (top / "d" / f"{n}").write_text(f"{n}\n" * 20)
    shutil.rmtree(top / "d")
    refused = 0
    for room in range(1 << 20, 8 << 20, 1 << 19):
        if not with_room(mount, room, lambda: command(top / ".agentfs/ctl", "restore d")):
            break
        refused += 1
        expect_eq(os.listdir(top), [], f"{room} bytes: what a refused restore left")
    expect(0 < refused < 12, f"{refused} were refused")
    expect_eq({path.name: path.read_text() for path in (top / "d").iterdir()},
              {f"{n}": f"{n}\n" * 20 for n in range(600)}, "what came back")
    end_ext4(mount, image)


def what_is_sparse_is_committed_where_its_data_fit():
    """Its size is more than the disk of the state has."""
    mount = mount_on("sparse", "24m")
    host = TESTDIR / "sparse-host"
    host.mkdir()
    for name in ("edited", "renamed"):
        with open(host / name, "wb") as file:
            file.truncate(200 << 20)
            file.seek(100 << 20)
            file.write(b"data")
    command(mount / "sys/workspaces/ctl", f"import {host} as w")
    top = mount / "workspaces/w"
    with open(top / "edited", "r+b") as file:
        file.seek(50 << 20)
        file.write(b"more")
    os.rename(top / "renamed", top / "other")
    command(top / ".agentfs/ctl", "commit")
    expect_eq(sorted(os.listdir(host)), ["edited", "other"])
    with open(host / "edited", "rb") as file:
        file.seek(50 << 20)
        expect_eq(file.read(4), b"more")
    expect((host / "edited").stat().st_blocks * 512 < 1 << 20, "holes there")
    command(top / ".agentfs/ctl", "uncommit")
    expect_eq(sorted(os.listdir(host)), ["edited", "renamed"])
    mount.verify()
    mount.umount()
    run(["umount", mount.state])


def commits_on_a_disk_that_keeps_room_for_itself():
    """It counts as free what nobody gets: what is refused has written nothing there, and a later one does all."""
    if not can_have_ext4():
        return
    mount, image = mount_on_ext4("keeps")
    refused = 0
    for blocks in (0, 1, 2, 4, 8, 14, 30, 60, 120):
        host = TESTDIR / f"keeps-host-{blocks}"
        host.mkdir()
        for n in range(6):
            (host / f"h{n}").write_bytes(os.urandom(9000))
        command(mount / "sys/workspaces/ctl", f"import {host} as w{blocks}")
        top = mount / f"workspaces/w{blocks}"
        for n in range(3):
            (top / f"h{n}").write_bytes(os.urandom(9000))
        (top / "h4").unlink()
        states = [{path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} for place in (host, top)]
        for verb in ("commit", "uncommit"):
            if with_room(mount, blocks << 12, lambda: command(top / ".agentfs/ctl", verb)):
                refused += 1
                expect_eq({path.name: path.read_bytes() for path in host.iterdir()}, states[0],
                          f"{blocks} blocks: there, after a refused {verb}")
                command(top / ".agentfs/ctl", verb)
            expect_eq({path.name: path.read_bytes() for path in host.iterdir()}, states[1], f"{blocks} blocks: {verb}")
            states.reverse()
    expect(refused > 4, f"only {refused} were refused")
    end_ext4(mount, image)


def rebase_on_full_disk():
    """Wherever the room ends, what was added on the host is not what the workspace has removed."""
    mount, host = imported("rebase")
    ctl, status = mount / "workspaces/w/.agentfs/ctl", mount / "workspaces/w/.agentfs/status"
    with open(mount / "workspaces/w/f1", "a", encoding="utf-8") as file:
        file.write("ours\n")
    (host / "added").write_bytes(os.urandom(100000))
    (host / "f2").write_text("theirs\n")
    told = read(status)
    expect_has(told, "!\tadded\tadded")
    refused = 0
    for room in [n << 12 for n in (*range(33), 40, 50)]:
        if not with_room(mount, room, lambda: command(ctl, "rebase")):
            break
        refused += 1
        expect_eq(read(status), told, f"status after a rebase that {room} bytes were too few for")
    expect(refused > 5, f"only {refused} were refused")
    command(ctl, "rebase")
    command(ctl, "commit")
    expect_eq(sorted(os.listdir(host)), ["added", "f0", "f1", "f2"], "the directory")
    expect_eq(read(host / "f1"), "1\nours\n")
    expect_eq(read(host / "f2"), "theirs\n")
    expect_eq(read(status), "")
    ends_whole(mount)


def commits_on_full_disk():
    """What is refused for want of room has written nothing; what was written is told."""
    mount, host = imported("commits")
    space = mount / "workspaces/w"
    log = space / ".agentfs/log"
    (space / "f0").write_bytes(os.urandom(50000))
    (space / "f1").unlink()
    (space / "new").write_text("new\n")
    was = {name: (host / name).read_bytes() for name in os.listdir(host)}
    for verb in ("commit", "uncommit"):
        before = {name: (host / name).read_bytes() for name in os.listdir(host)}
        refused = 0
        for room in range(0, 1 << 20, 24 << 10):
            rows = len([line for line in read(log).splitlines() if f"\t{verb}\t" in line])
            if not with_room(mount, room, lambda: command(space / ".agentfs/ctl", verb)):
                break
            refused += 1
            expect_eq({name: (host / name).read_bytes() for name in os.listdir(host)}, before, f"{verb}: {room} bytes")
            expect_eq(len([line for line in read(log).splitlines() if f"\t{verb}\t" in line]), rows)
        expect(refused > 2, f"only {refused} were refused")
        expect_has(read(log), f"\t{verb}\t")
    expect_eq({name: (host / name).read_bytes() for name in os.listdir(host)}, was, "taken back")
    ends_whole(mount)


def whole_or_refused_for_want_of_inodes(mount, act, seen):
    """With ever more of them free: nothing has changed where it was refused; when it was not."""
    before, left = seen(), exhaust_inodes(mount)
    for free in range(3, 300, 3):
        leave_inodes(left, free)
        try:
            act()
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, f"errno with {free} free inodes")
            expect_eq(seen(), before, f"with {free} free inodes, refused")
        else:
            shutil.rmtree(left)
            return free
    return fail("is refused with 300 free inodes")


def changes_where_few_inodes_are_left():
    """Commits, what takes them back, and merges."""
    mount, host = imported("few-inodes", "size=64m,nr_inodes=2500")
    space = mount / "workspaces/w"
    (space / "f0").write_text("changed\n")
    (space / "f1").unlink()
    for number in range(5):
        (space / f"new-{number}").write_text("new\n")

    def committed():
        status = read(space / ".agentfs/status")
        return {name: (host / name).read_text() for name in os.listdir(host)}, status

    for verb in ("commit", "uncommit"):
        refused = whole_or_refused_for_want_of_inodes(
            mount, lambda: command(space / ".agentfs/ctl", verb), committed)
        expect(refused > 6, f"{verb}: was made with {refused} free inodes")
    ours, theirs = mount / "workspaces/ours", mount / "workspaces/theirs"
    ours.mkdir()
    for number in range(12):
        (ours / f"f{number}").write_text("base\n")
    command(ours / ".agentfs/ctl", "fork theirs")
    for number in range(12):
        (theirs / f"f{number}").write_text("theirs\n")
    names = lambda: {name: (ours / name).read_text() for name in os.listdir(ours)}
    refused = whole_or_refused_for_want_of_inodes(
        mount, lambda: command(ours / ".agentfs/ctl", "merge theirs"), names)
    expect(refused > 6, f"merge: was made with {refused} free inodes")
    expect_eq(set(names().values()), {"theirs\n"}, "what was merged")
    ends_whole(mount)


def a_commit_of_a_checkpoint_is_whole_or_none():
    """With ever more free inodes: what it writes has no directory, or the ref has none, or all is there."""
    mount = mount_on("commit-inodes", "64m,nr_inodes=2500")
    space = mount / "workspaces/w"
    space.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", space]
    run([*git, "init", "-q"])
    (space / "f").write_text("first\n")
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", "first"])
    commits = lambda: [row["data"] for row in mount.journal() if row["kind"] == "checkpoint.commit"]
    made = set()
    for number in range(80):
        left = exhaust_inodes(mount)
        leave_inodes(left, number // 2 + 2)
        try:
            (space / "f").write_text(f"{number}\n")
            command(space / ".agentfs/ctl", f"checkpoint k{number}")
        except OSError as error:
            expect_eq(error.errno, errno.ENOSPC, f"errno at {number}")
        else:
            of_it = lambda: [data for data in commits() if data["name"] == f"k{number}"]
            wait_until(30, of_it, f"the commit of k{number}")
            made.add("commit" in of_it()[0])
        shutil.rmtree(left)
        run([*git, "fsck", "--strict", "--no-dangling"])
    expect_eq(made, {False, True}, "whether there was one")
    mount.umount()
    run(["umount", mount.state])


def import_on_full_disk():
    """An import that was refused leaves nothing that fsck finds or that is in the next one's way."""
    mount, host = imported("import")
    (host / "folder").mkdir()
    for n in range(300):
        (host / f"folder/{n}").write_text(f"{n}\n")
    (host / "folder/below").write_text("below\n")
    line = f"import {host} as again"
    places = (mount.state / "imports", mount.state / "trees/workspaces")
    before = [sorted(os.listdir(place)) for place in places]
    refused = 0
    for room in range(0, 50 << 12, 1 << 12):
        if not with_room(mount, room, lambda: command(mount / "sys/workspaces/ctl", line)):
            break
        refused += 1
        left = f"left of an import that {room} bytes of room were not enough for"
        expect_eq([sorted(os.listdir(place)) for place in places], before, left)
    expect(refused > 3, f"only {refused} were refused")
    mount.umount()
    mount.fsck()
    mount.mount()
    expect_eq(read(mount / "workspaces/again/folder/below"), "below\n")
    mount.umount()


def a_write_to_a_file_of_several_names_is_made_for_all_or_none():
    """Of a file that a checkpoint has, too, its names get another inode: nothing of that is left where it fails."""
    mount = Mount.of("several")
    run(["mount", "-t", "tmpfs", "-o", "size=300m,nr_inodes=4000", "tmpfs", mount.state])
    mount.mount()
    refused = 0
    for free in range(8):
        top = mount / f"workspaces/w{free}"
        names = [top / directory / "a" for directory in ("p", "q", "r")]
        for name in names:
            name.parent.mkdir(parents=True)
        names[0].write_text("first\n")
        for name in names[1:]:
            os.link(names[0], name)
        command(top / ".agentfs/ctl", "checkpoint c")
        for name in names:  # each directory is kept for the checkpoint by now
            (name.parent / "t").touch()
        ballast = mount.state / "ballast"
        ballast.mkdir()
        for number in range(os.statvfs(mount.state).f_ffree - free - 1):
            (ballast / str(number)).touch()
        try:
            names[0].write_text("second\n")
        except OSError as error:
            refused += 1
            expect_eq(error.errno, errno.ENOSPC, f"with {free} inodes")
            expect_eq({read(name) for name in names}, {"first\n"}, f"refused with {free} inodes")
        shutil.rmtree(ballast)
        with open(names[1], "r+", encoding="utf-8") as file:
            file.write("thirdly\n")
        expect_eq({read(name) for name in names}, {"thirdly\n"}, f"after {free} inodes")
        (top / "q/a").chmod(0o600)
        (top / "r/a").unlink()
        command(top / ".agentfs/ctl", "discard c")
        names[0].write_text("important\n")
        notes = list(mount.state.rglob("moving.*"))
        expect_eq(notes, [], "notes of what is half done")
    expect(refused > 1, f"refused with {refused} numbers of free inodes alone")
    mount.umount()
    mount.fsck()
    mount.mount()
    for free in range(8):
        for directory in ("p", "q"):
            expect_eq(read(mount / f"workspaces/w{free}/{directory}/a"), "important\n", "after a start")
    mount.umount()


main(full, a_write_to_a_file_of_several_names_is_made_for_all_or_none, a_commit_of_a_checkpoint_is_whole_or_none, freed_from_inside, what_is_removed_is_kept_again_as_soon_as_there_is_room,
     removing_gives_inodes_back, forks_go_where_no_inode_is_left,
     a_disk_that_is_read_only_is_told, a_mount_begins_on_a_full_disk,
     what_is_removed_makes_room_for_its_rows_first, what_checkpoints_hold_can_be_given_up,
     forks_give_their_room, a_disk_that_writes_elsewhere_what_is_written_again_kills_nobody, blocks_that_are_smaller_than_pages_kill_nobody,
     what_checkpoints_read_can_be_removed, history_gives_way, a_busy_file_crowds_nothing_out,
     what_is_refused_keeps_nothing, what_is_refused_has_not_happened,
     a_refused_rollback_leaves_no_state_of_it, restore_on_full_disk, run_on_full_disk,
     a_partial_merge_that_was_refused_leaves_nothing, a_rollback_with_little_room_is_refused_or_known_to_merges,
     a_restore_of_a_directory_is_whole_or_refused_before_it_begins, a_restore_of_many_small_files_is_whole_or_refused,
     what_is_sparse_is_committed_where_its_data_fit, commits_on_a_disk_that_keeps_room_for_itself,
     rebase_on_full_disk, commits_on_full_disk, changes_where_few_inodes_are_left, import_on_full_disk)
