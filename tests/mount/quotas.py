#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Limits of workspaces and users: nothing is written that would be more, and what is told is so."""
import errno
import mmap
import os
import shutil
import signal
import subprocess

from mount_lib import (STATE, TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has,
                       kill, main, need, read, renameat2, run, tell, wait_until)

M = Mount.of("quotas")
SPACES = M / "workspaces"
BLOCK = 4096
USER = 54_321
RENAME_WHITEOUT = 4


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def limit(space, text):
    tell(SPACES / space / ".agentfs/limits", text + "\n")


def table(path):
    """The lines of a usage file."""
    pairs = (line.split("\t") for line in read(path).splitlines())
    return {name: int(value) if value.isdigit() else value for name, value in pairs}


def usage(space):
    return table(SPACES / space / ".agentfs/usage")


def walked(top):
    """What lies below as the mount shows it, each inode once."""
    seen = {}
    for directory, names, files in os.walk(top):
        for path in [directory, *(os.path.join(directory, each) for each in names + files)]:
            status = os.lstat(path)
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values()), len(seen)


def expect_exact(space):
    told = usage(space)
    expect_eq((told["bytes"], told["inodes"]), walked(SPACES / space), f"usage of {space}")


def make(space, text=""):
    (SPACES / space).mkdir()
    if text:
        limit(space, text)
        usage(space)  # has been counted when this is answered
    return SPACES / space


def room(space, blocks):
    """Limits the workspace to so many blocks more than it holds."""
    limit(space, f"bytes={usage(space)['bytes'] + blocks * BLOCK}")
    return usage(space)


def write_all(descriptor, offset, count):
    """The host's kernel hands a large write over in pieces, the first of which may fit."""
    while count > 0:
        put = os.pwrite(descriptor, b"x" * count, offset)
        count, offset = count - put, offset + put


def write_at(path, offset, count, flags=os.O_WRONLY | os.O_CREAT):
    descriptor = os.open(path, flags, 0o644)
    try:
        write_all(descriptor, offset, count)
    finally:
        os.close(descriptor)


def restart():
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")


def mount_it():
    M.mount()


def limits_are_text():
    make("text")
    path = SPACES / "text/.agentfs/limits"
    expect_eq(read(path), "bytes unlimited\ninodes unlimited\n")
    limit("text", "bytes=10G inodes=100000")
    expect_eq(read(path), "bytes 10737418240\ninodes 100000\n")
    tell(path, read(path))
    limit("text", "# a comment\ninodes=7 # and one more")
    expect_eq(read(path), "bytes 10737418240\ninodes 7\n")
    for wrong in ("bytes=lots", "bytes=-1", "files=3", "bytes", "inodes=1.5", "bytes=9999999999G"):
        expect_errno("EINVAL", limit, "text", wrong)
        expect_has(M.last_error(), "would do" if wrong != "files=3" else "inodes=NUMBER")
    expect_eq(read(path), "bytes 10737418240\ninodes 7\n")
    for wrong in ("bytes=0", "inodes=0", "0", "bytes=1G bytes=2G"):
        expect_errno("EINVAL", limit, "text", wrong)
    expect_has(M.last_error(), "/workspaces/text: limits: bytes is there twice")
    limit("text", "bytes = 2G\ninodes= 9")
    expect_eq(read(path), "bytes 2147483648\ninodes 9\n")
    limit("text", "bytes=unlimited inodes=unlimited")
    expect_eq(read(path), "bytes unlimited\ninodes unlimited\n")
    told = usage("text")
    expect_eq((told["bytes_limit"], told["inodes_limit"], told["inodes"]), ("unlimited", "unlimited", 1))


def dd_stops_at_the_limit():
    top = make("small", "bytes=8M")
    done = subprocess.run(["dd", "if=/dev/zero", f"of={top}/big", "bs=1M", "count=20"],
                          capture_output=True, text=True, check=False)
    expect(done.returncode != 0, "dd wrote 20 MiB into 8")
    expect_has(done.stderr, "quota exceeded")
    expect_has(M.last_error(), "/workspaces/small/.agentfs/limits")
    told = usage("small")
    expect(told["bytes"] <= 8 << 20, f"{told['bytes']} bytes are held")
    expect(os.stat(top / "big").st_size > 6 << 20, "it stopped long before")
    expect_exact("small")
    whole = os.statvfs(top)
    expect_eq(whole.f_blocks * whole.f_frsize, 8 << 20, "df of the workspace")
    expect(whole.f_bavail * whole.f_frsize <= (8 << 20) - told["bytes"], "room that is not there")
    os.truncate(top / "big", 1 << 20)
    expect(usage("small")["bytes"] < 2 << 20, "truncate gave nothing back")
    write_at(top / "more", 0, 4 << 20)
    expect_errno("EDQUOT", write_at, top / "more", 4 << 20, 4 << 20)
    (top / "more").unlink()
    expect_exact("small")


def the_top_of_the_mount_has_the_room_of_the_disk():
    told, disk = os.statvfs(M.mnt), os.statvfs(M.state)
    expect(disk.f_blocks > 0, "the disk of the state has no size")
    expect_eq((told.f_blocks * told.f_frsize, told.f_files),
              (disk.f_blocks * disk.f_frsize, disk.f_files))


def inodes_are_counted():
    top = make("few", "inodes=4")
    (top / "d").mkdir()
    (top / "f").touch()
    (top / "l").symlink_to("f")
    for act in (lambda: (top / "g").touch(), lambda: (top / "e").mkdir(),
                lambda: (top / "m").symlink_to("f"), lambda: os.mkfifo(top / "p")):
        expect_errno("EDQUOT", act)
    expect_eq(sorted(os.listdir(top)), ["d", "f", "l"])
    os.link(top / "f", top / "d/f")  # no inode more
    (top / "f").write_text("in place\n")
    os.statvfs(top)
    expect_eq((os.statvfs(top).f_files, os.statvfs(top).f_ffree), (4, 0))
    (top / "l").unlink()
    (top / "g").touch()
    expect_exact("few")


def names_and_holes_are_free():
    top = make("links")
    room("links", 16)
    write_at(top / "a", 0, 8 * BLOCK)
    os.link(top / "a", top / "b")
    held = usage("links")
    (top / "a").unlink()
    expect_eq(usage("links"), held | {"history_trash": usage("links")["history_trash"]})
    write_at(top / "sparse", 1 << 30, BLOCK)
    os.truncate(top / "sparse", 1 << 34)
    write_at(top / "b", 0, 8 * BLOCK, os.O_WRONLY)  # in place
    expect_exact("links")
    descriptor = os.open(top / "b", os.O_RDWR)
    (top / "b").unlink()
    expect_errno("EDQUOT", write_at, top / "c", 0, 12 * BLOCK)
    expect_eq(os.fstat(descriptor).st_nlink, 0)
    os.close(descriptor)
    wait_until(10, lambda: usage("links")["bytes"] < held["bytes"], "the room of what was open")
    (top / "c").unlink()
    write_at(top / "c", 0, 12 * BLOCK)
    expect_exact("links")


def names_end_where_their_directory_has_passed_the_limit():
    """A directory grows with them: by a block it may pass it, and then takes no more."""
    top = make("named")
    (top / "f").write_text("")
    room("named", 8)
    for act in (lambda name: os.link(top / "f", top / name),
                lambda name: os.close(os.open(top / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
                lambda name: os.symlink("f", top / name)):
        made = 0
        try:
            for made in range(20_000):
                act(f"{made:0200}")
        except OSError as error:
            expect_eq(error.errno, errno.EDQUOT, str(error))
            expect_has(M.last_error(), "named")
        expect(made < 19_999, "names without end")
        expect_exact("named")
        for path in top.iterdir():
            if path.name != "f":
                path.unlink()


def what_has_no_name_counts_where_it_was():
    top = make("nameless")
    room("nameless", 16)
    held = usage("nameless")["bytes"]
    gone = os.open(top / "gone", os.O_RDWR | os.O_CREAT)
    (top / "gone").unlink()
    write_all(gone, 0, 8 * BLOCK)
    expect_errno("EDQUOT", write_all, gone, 8 * BLOCK, 12 * BLOCK)
    os.ftruncate(gone, 0)
    os.close(gone)
    wait_until(10, lambda: usage("nameless")["bytes"] == held, "the room of what is gone")
    if not M.has("tmpfile"):
        return
    made = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o600)
    write_all(made, 0, 8 * BLOCK)
    expect_eq(usage("nameless")["bytes"], held + 8 * BLOCK)
    expect_errno("EDQUOT", write_all, made, 8 * BLOCK, 12 * BLOCK)
    os.ftruncate(made, 6 * BLOCK)
    run(["ln", "-L", f"/proc/{os.getpid()}/fd/{made}", top / "named"])
    expect_exact("nameless")
    os.close(made)
    expect_exact("nameless")
    early = make("nameless-before")
    made = os.open(early, os.O_TMPFILE | os.O_RDWR, 0o600)
    write_all(made, 0, 8 * BLOCK)
    room("nameless-before", 4)
    expect(usage("nameless-before")["bytes"] >= 8 * BLOCK, "what was open before is not counted")
    expect_errno("EDQUOT", write_all, made, 8 * BLOCK, 12 * BLOCK)
    os.close(made)
    expect_exact("nameless-before")
    never = os.open(top, os.O_TMPFILE | os.O_RDWR, 0o600)
    write_all(never, 0, 4 * BLOCK)
    os.close(never)
    expect_exact("nameless")


def a_mapping_is_refused_when_it_is_written_back():
    top = make("mapped")
    os.truncate(os.open(top / "m", os.O_RDWR | os.O_CREAT), 64 * BLOCK)
    room("mapped", 4)
    with open(top / "m", "r+b") as file, mmap.mmap(file.fileno(), 64 * BLOCK) as mapping:
        mapping[:64 * BLOCK] = b"y" * (64 * BLOCK)
        expect_errno("EDQUOT", mapping.flush)
    expect(usage("mapped")["bytes"] <= usage("mapped")["bytes_limit"], "more than the limit")
    expect_exact("mapped")
    on_disk = (M.state / "trees/workspaces/mapped/m").read_bytes()
    expect(b"\0" in on_disk, "nothing was refused")
    wait_until(10, lambda: (top / "m").read_bytes() == on_disk, "what was refused is not shown")


def a_rename_is_paid_for_where_it_arrives():
    source, target = make("source"), make("target")
    write_at(source / "f", 0, 8 * BLOCK)
    room("target", 4)
    limit("source", "bytes=1G")
    expect_errno("EDQUOT", os.rename, source / "f", target / "f")
    expect((source / "f").exists(), "it is gone")
    room("target", 10)
    os.rename(source / "f", target / "f")
    expect_exact("source")
    expect_exact("target")
    os.rename(target, SPACES / "renamed")
    expect_has(read(SPACES / "renamed/.agentfs/limits"), "bytes ")
    expect("unlimited" not in read(SPACES / "renamed/.agentfs/limits").splitlines()[0], "no limit")
    expect_errno("EDQUOT", write_at, SPACES / "renamed/g", 0, 64 * BLOCK)
    expect_exact("renamed")


def forks_inherit():
    top = make("parent")
    write_at(top / "f", 0, 8 * BLOCK)
    held = room("parent", 8)
    ctl("parent", "fork child")
    expect_eq(read(SPACES / "child/.agentfs/limits"), read(top / ".agentfs/limits"))
    expect_eq(usage("child")["bytes"], held["bytes"])
    child = SPACES / "child"
    write_at(child / "f", 0, BLOCK, os.O_WRONLY)  # its own inode from now on, and no more bytes
    expect_eq(usage("child")["bytes"], held["bytes"])
    expect_errno("EDQUOT", write_at, child / "g", 0, 16 * BLOCK)
    (child / "g").unlink()
    write_at(child / "h", 0, 4 * BLOCK)
    expect_exact("child")
    expect_eq(usage("parent")["bytes"], held["bytes"])
    ctl("parent", "merge child")
    expect((top / "h").exists(), "the merge brought nothing")
    expect_exact("parent")
    write_at(child / "i", 0, 3 * BLOCK)
    limit("parent", f"bytes={usage('parent')['bytes'] + BLOCK}")
    expect_errno("EDQUOT", tell, top / ".agentfs/ctl", "merge child\n")
    expect(not (top / "i").exists(), "a merge that does not fit has brought something")
    expect_exact("parent")


def a_rollback_counts_anew():
    top = make("back")
    write_at(top / "f", 0, 4 * BLOCK)
    limit("back", "bytes=1G")
    before = usage("back")["bytes"]
    ctl("back", "checkpoint early")
    (top / "d").mkdir()
    for number in range(20):
        write_at(top / f"d/{number}", 0, BLOCK)
    expect_exact("back")
    ctl("back", "rollback early")
    expect_eq(usage("back")["bytes"], before)
    expect_exact("back")
    write_at(top / "g", 0, BLOCK)
    expect_exact("back")


def a_killed_daemon_forgets_nothing():
    top = make("kept")
    for number in range(200):
        write_at(top / f"f{number}", 0, BLOCK)
    room("kept", 50)
    text = read(top / ".agentfs/limits")
    worker = subprocess.Popen(["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > w$((i % 40)); done"],
                              cwd=top, stderr=subprocess.DEVNULL)
    wait_until(30, lambda: (top / "w39").exists(), "some writing")
    restart()
    worker.kill()
    worker.wait()
    expect_eq(read(top / ".agentfs/limits"), text)
    expect_exact("kept")
    expect_errno("EDQUOT", write_at, top / "big", 0, 51 * BLOCK)


def two_writers_at_once():
    top = make("two")
    limit_of = room("two", 512)["bytes_limit"]
    writers = [subprocess.Popen(["dd", "if=/dev/zero", f"of={top}/{name}", "bs=4k"],
                                stderr=subprocess.DEVNULL) for name in ("a", "b")]
    for writer in writers:
        expect(writer.wait(timeout=60) != 0, "dd of endless zeros ended well")
    held = usage("two")["bytes"]
    expect(limit_of - 3 * BLOCK <= held <= limit_of, f"{held} bytes held of {limit_of}")
    expect_exact("two")


def a_clone_fails_cleanly():
    need("git")
    source = TESTDIR / "repository"
    source.mkdir()
    run(["git", "init", "-q", source])
    for number in range(40):
        (source / f"f{number}").write_bytes(os.urandom(64 << 10))
    who = ["-c", "user.name=n", "-c", "user.email=e"]
    run(["git", "-C", source, "add", "."])
    run(["git", "-C", source, *who, "commit", "-qm", "one"])
    top = make("clone", "bytes=1M")
    done = subprocess.run(["git", "clone", "-q", "--no-local", source, top / "c"], text=True,
                          capture_output=True, check=False)
    expect(done.returncode != 0, "2.5 MiB were cloned into 1")
    expect_has(done.stderr.lower(), "quota exceeded")
    expect(usage("clone")["bytes"] <= 1 << 20, "more than the limit")
    shutil.rmtree(top / "c", ignore_errors=True)
    expect_exact("clone")
    limit("clone", "unlimited")
    run(["git", "clone", "-q", "--no-local", source, top / "c"])


def agents_cannot_lift_it():
    make("caged", "bytes=1M")
    M.script_model("lifter", {"tasks": [{"match": "*", "steps": [
        {"text": "I try.", "calls": [{"name": "exec", "arguments": {
            "command": "(echo unlimited > .agentfs/limits) 2> errors || lift=refused; "
                       "head -c 3000000 /dev/zero > big 2> errors || write=refused; "
                       "echo lift $lift, write $write"}}]},
        {"text": "It said {{result:1}}"}]}]})
    pid = M.spawn("name=lifter workspace=caged model=lifter")
    tell(M.proc(pid, "chat"), "lift it\n")
    answer = M.wait(pid)
    expect_has(answer, "lift refused, write refused")
    expect_eq(read(SPACES / "caged/.agentfs/limits"), "bytes 1048576\ninodes unlimited\n")
    expect(usage("caged")["bytes"] <= 1 << 20, "an agent wrote more than the limit")


def users_have_limits_too():
    limits = M / f"sys/users/{USER}/limits"
    expect_eq(read(limits), "bytes unlimited\ninodes unlimited\n")
    expect_has(os.listdir(M / "sys/users"), str(os.getuid()))
    mine = table(M / f"sys/users/{os.getuid()}/usage")
    expect(mine["inodes"] > 0, f"nothing of mine: {mine}")
    if os.getuid() != 0:
        return
    one, two = make("one"), make("two-users")
    write_at(one / "f", 0, 4 * BLOCK)
    write_at(two / "g", 0, 4 * BLOCK)
    tell(limits, f"bytes={6 * BLOCK} inodes=2\n")
    expect_eq(table(M / f"sys/users/{USER}/usage")["inodes"], 0)
    os.chown(one / "f", USER, USER)
    expect_errno("EDQUOT", os.chown, two / "g", USER, USER)
    expect_errno("EDQUOT", write_at, one / "f", 4 * BLOCK, 4 * BLOCK, os.O_WRONLY)
    told = table(M / f"sys/users/{USER}/usage")
    expect_eq((told["bytes"], told["inodes"]), (4 * BLOCK, 1))
    restart()
    told = table(M / f"sys/users/{USER}/usage")
    expect_eq((told["bytes"], told["inodes"], told["bytes_limit"]), (4 * BLOCK, 1, 6 * BLOCK))
    tell(limits, "unlimited\n")
    os.chown(two / "g", USER, USER)


def a_limit_holds_when_its_write_returns():
    """However much there is to be counted first, in a tree and of a user who never had one."""
    space = make("many")
    for number in range(3000):
        (space / f"f{number}").touch()
    limit("many", "inodes=3001")
    expect_errno("EDQUOT", (space / "more").touch)
    limit("many", "unlimited")
    if os.getuid() != 0:
        return
    os.chown(space / "f0", USER + 1, USER + 1)
    tell(M / f"sys/users/{USER + 1}/limits", "inodes=1\n")
    expect_errno("EDQUOT", os.chown, space / "f1", USER + 1, USER + 1)
    tell(M / f"sys/users/{USER + 1}/limits", "unlimited\n")


def what_forks_and_merges_change_counts_for_the_user():
    if os.getuid() != 0:
        return
    limits, told = M / "sys/users/0/limits", M / "sys/users/0/usage"
    top = make("owned")
    (top / "f").write_text("base\n")
    tell(limits, "bytes=1G\n")
    before = table(told)
    ctl("owned", "fork owned-try")
    write_at(SPACES / "owned-try/big", 0, 64 * BLOCK)
    expect(table(told)["bytes"] >= before["bytes"] + 64 * BLOCK, "a fork's file is not counted")
    expect_user_exact(told, limits)
    ctl("owned", "merge owned-try")
    expect((top / "big").exists(), "the merge brought nothing")
    expect_user_exact(told, limits)
    os.rename(SPACES / "owned-try", SPACES / "owned-other")
    expect_user_exact(told, limits)
    ctl("owned", "discard owned-other")
    expect_user_exact(told, limits)
    ctl("owned", "checkpoint full")
    (top / "big").unlink()
    expect_user_exact(told, limits)
    ctl("owned", "rollback full")
    expect((top / "big").exists(), "the rollback brought nothing")
    expect_user_exact(told, limits)
    tell(limits, "unlimited\n")


def expect_user_exact(told, limits):
    """What is counted for the user is what a look at everything finds, which no limit has."""
    counted = table(told)
    text = read(limits)
    tell(limits, "unlimited\n")
    looked_at = table(told)
    tell(limits, text)
    table(told)  # has been counted when this is answered
    expect_eq((counted["bytes"], counted["inodes"]), (looked_at["bytes"], looked_at["inodes"]),
              "usage of the user")


def discarded_forks_give_a_user_room_again():
    if os.getuid() != 0:
        return
    limits, told = M / "sys/users/0/limits", M / "sys/users/0/usage"
    top = make("rounds")
    tell(limits, f"bytes={table(told)['bytes'] + 64 * BLOCK}\n")
    held = table(told)["bytes"]
    for _ in range(4):
        ctl("rounds", "fork round")
        write_at(SPACES / "round/big", 0, 40 * BLOCK)
        ctl("rounds", "discard round")
        write_at(top / "small", 0, BLOCK)  # at once: nothing is refused for what is gone
        (top / "small").unlink()
    expect(table(told)["bytes"] <= held + 4 * BLOCK, f"{table(told)['bytes']} held, {held} before")
    write_at(top / "most", 0, 40 * BLOCK)
    tell(limits, "unlimited\n")


def a_restore_that_does_not_fit_brings_nothing():
    top = make("restored")
    (top / "src").mkdir()
    for n in range(20):
        write_at(top / f"src/f{n}", 0, 4 * BLOCK)
    shutil.rmtree(top / "src")
    limit("restored", f"bytes={30 * BLOCK}")
    expect_errno("EDQUOT", tell, top / ".agentfs/ctl", "restore src\n")
    expect_eq(os.listdir(top), [], "what a refused restore left")
    limit("restored", "unlimited")
    ctl("restored", "restore src")
    expect_eq(len(os.listdir(top / "src")), 20)


def a_merge_counts_what_is_held():
    """No holes, and nothing is given back for one of several names."""
    top = make("merged", "bytes=4M")
    write_at(top / "big", 0, 3 << 20)
    os.link(top / "big", top / "second")
    ctl("merged", "fork merged-1")
    other = SPACES / "merged-1"
    limit("merged-1", "bytes=unlimited")
    (other / "hole").touch()
    os.truncate(other / "hole", 1 << 30)
    ctl("merged", "merge merged-1")
    expect_eq((top / "hole").stat().st_size, 1 << 30, "the file of one hole")
    (other / "second").unlink()
    write_at(other / "more", 0, 2 << 20)
    expect_errno("EDQUOT", ctl, "merged", "merge merged-1")
    expect(not (top / "more").exists(), "it passed the limit")
    (other / "big").unlink()
    ctl("merged", "merge merged-1")
    expect_eq(sorted(os.listdir(top)), ["hole", "more"], "with room for it")
    expect_exact("merged")


def a_merge_is_judged_by_who_will_own_its_files():
    if os.getuid() != 0:
        return
    top = make("judged")
    os.chown(top, USER + 2, USER + 2)
    limits = M / f"sys/users/{USER + 2}/limits"
    tell(limits, f"bytes={64 * BLOCK}\n")
    ctl("judged", "fork judged-1")
    fork = SPACES / "judged-1"
    write_at(fork / "roots", 0, 100 * BLOCK)
    ctl("judged", "merge judged-1")
    expect_eq((top / "roots").stat().st_uid, 0)
    os.chown(top, 0, 0)
    write_at(fork / "theirs", 0, 40 * BLOCK)
    os.chown(fork / "theirs", USER + 2, USER + 2)
    expect_errno("EDQUOT", ctl, "judged", "merge judged-1")
    expect_has(M.last_error(), f"/sys/users/{USER + 2}/limits")
    expect(not (top / "theirs").exists(), "it passed the limit")
    write_at(top / "shared", 0, 40 * BLOCK)
    tell(limits, "unlimited\n")
    ctl("judged", "merge judged-1")
    ctl("judged", "fork judged-2")
    tell(limits, f"bytes={table(M / f'sys/users/{USER + 2}/usage')['bytes'] + 60 * BLOCK}\n")
    os.chown(SPACES / "judged-2/shared", USER + 2, USER + 2)
    expect_errno("EDQUOT", ctl, "judged", "merge judged-2")
    expect_eq((top / "shared").stat().st_uid, 0)
    tell(limits, "unlimited\n")
    ctl("judged", "merge judged-2")
    expect_eq((top / "shared").stat().st_uid, USER + 2)


def what_keeping_takes_beside_a_file_counts():
    """Where the disk needs a block more for what a snapshot notes beside a file: as ext4 does."""
    top = make("marked", "bytes=1G")
    (top / "below").mkdir()
    for number in range(120):
        path = top / f"below/{number}"
        path.write_text("bytes")
        os.setxattr(path, "user.note", b"x" * number)
    expect_exact("marked")
    ctl("marked", "fork marked-1")
    expect_exact("marked-1")
    (top / "below/new").touch()
    expect_exact("marked")
    expect_exact("marked-1")
    (SPACES / "marked-1/below/new").touch()
    expect_exact("marked-1")
    for number in range(0, 120, 2):  # each has an inode of its own from now on
        write_at(SPACES / f"marked-1/below/{number}", 0, 1, os.O_WRONLY)
    expect_exact("marked-1")
    ctl("marked", "checkpoint one")
    (top / "below/newer").touch()
    for space in ("marked", "marked-1"):
        expect_exact(space)
    told = [usage(space) for space in ("marked", "marked-1")]
    restart()
    expect_eq([usage(space) for space in ("marked", "marked-1")], told)
    for space in ("marked", "marked-1"):
        expect_exact(space)


def the_journal_tells_it():
    rows = [row["data"] for row in M.journal() if row["kind"] == "quota.set"]
    expect_eq((rows[0]["path"], rows[0]["bytes"], rows[0]["inodes"]),
              ("/workspaces/text", 10 << 30, 100000))
    M.verify()
    M.umount()
    expect(STATE != M.state, "a state of its own")


def what_two_steps_of_a_rename_reserved_is_given_back():
    one, two = make("whiteout-1", "bytes=10M"), make("whiteout-2", "bytes=10M")
    (one / "f").write_bytes(b"x" * (6 << 20))
    renameat2(one / "f", two / "f", RENAME_WHITEOUT)
    (two / "f").unlink()
    expect(usage("whiteout-2")["bytes"] <= 4 * BLOCK, "what was renamed there and removed is counted")
    run(["dd", "if=/dev/zero", f"of={two}/g", "bs=1M", "count=5", "status=none"], timeout=20)
    expect_exact("whiteout-2")


main(mount_it, limits_are_text, what_two_steps_of_a_rename_reserved_is_given_back, dd_stops_at_the_limit,
     the_top_of_the_mount_has_the_room_of_the_disk, inodes_are_counted, names_and_holes_are_free,
     names_end_where_their_directory_has_passed_the_limit,
     what_has_no_name_counts_where_it_was, a_mapping_is_refused_when_it_is_written_back,
     a_rename_is_paid_for_where_it_arrives, forks_inherit, a_rollback_counts_anew,
     a_killed_daemon_forgets_nothing, two_writers_at_once, a_clone_fails_cleanly, agents_cannot_lift_it, users_have_limits_too,
     a_limit_holds_when_its_write_returns,
     what_forks_and_merges_change_counts_for_the_user, discarded_forks_give_a_user_room_again,
     a_restore_that_does_not_fit_brings_nothing, a_merge_counts_what_is_held,
     a_merge_is_judged_by_who_will_own_its_files, what_keeping_takes_beside_a_file_counts,
     the_journal_tells_it)
