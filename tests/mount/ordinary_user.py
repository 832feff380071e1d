#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""An ordinary user mounts, works and unmounts, through fusermount3."""
import os
import pathlib
import platform
import shutil
import subprocess
import sys

import mount_lib
from mount_lib import (Mount, command, expect, expect_eq, expect_errno, expect_has,
                       in_own_mounts, main, need, read, run, tell, wait_until)

NOBODY = 65534
UNNAMED = 54321  # without an entry in passwd
PLACE = pathlib.Path("/mnt")
# A disk that does not tell when a file was made; where there are loop devices.
SMALL = PLACE / "small-inodes"
BIN = pathlib.Path(mount_lib.AGENTFS).parent


def refuse_the_unnamed():
    """fusermount3 mounts for users with a name only: mount says so, and doctor."""
    for name in ("unnamed", "unnamed/mnt"):
        (PLACE / name).mkdir(mode=0o700)
        os.chown(PLACE / name, UNNAMED, UNNAMED)
    reasons = (("mount", "--state", PLACE / "unnamed/state", PLACE / "unnamed/mnt"), "username"), \
        (("doctor", "--state", PLACE / "unnamed/state"), "FAIL user")
    for words, reason in reasons:
        ended = subprocess.run(["setpriv", "--reuid", str(UNNAMED), "--regid", str(UNNAMED),
                                "--clear-groups", "--inh-caps=-all", PLACE / "bin/agentfs", *words],
                               capture_output=True, text=True, check=False, timeout=60)
        expect_eq(ended.returncode, 1, f"agentfs {words[0]} of a user without a name")
        said = ended.stdout + ended.stderr
        expect_has(said, reason, f"agentfs {words[0]}")
        expect_has(said, f"uid {UNNAMED} has no entry in passwd", f"agentfs {words[0]}")


def enter():
    """As root: a mount namespace with a place of their own and a /dev/fuse that they may open."""
    need("unshare", "setpriv", "fusermount3", "bwrap")
    if os.geteuid() != 0:
        return  # an ordinary user already
    in_own_mounts("USER_INSIDE")
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", PLACE])
    run(["mknod", "-m", "666", PLACE / "fuse", "c", "10", "229"])
    run(["mount", "--bind", PLACE / "fuse", "/dev/fuse"])
    (PLACE / "bin").mkdir()
    for name in ("agentfs", "agentfs-sandbox", "agentfs-commit"):
        shutil.copy(BIN / name, PLACE / "bin" / name)
    shutil.copytree(os.path.dirname(os.path.abspath(__file__)), PLACE / "tests")
    refuse_the_unnamed()
    for name in ("user", "user/home", "user/data", "user/run"):
        (PLACE / name).mkdir(mode=0o700)
        os.chown(PLACE / name, NOBODY, NOBODY)
    (PLACE / "shared").mkdir()
    (PLACE / "shared").chmod(0o1777)
    (PLACE / "shared/others").write_text("others\n")
    if os.path.exists("/dev/loop-control") and shutil.which("mkfs.ext4"):
        with open(PLACE / "image", "wb") as file:
            file.truncate(48 << 20)
        run(["mkfs.ext4", "-q", "-F", "-I", "128", PLACE / "image"])
        SMALL.mkdir()
        run(["mount", "-o", "loop", PLACE / "image", SMALL])
        os.chown(SMALL, NOBODY, NOBODY)
    given = {"AGENTFS": PLACE / "bin/agentfs", "TESTDIR": PLACE / "user",
             "HOME": PLACE / "user/home", "XDG_DATA_HOME": PLACE / "user/data",
             "XDG_RUNTIME_DIR": PLACE / "user/run"}
    os.environ.update({name: str(path) for name, path in given.items()})
    os.chdir(PLACE / "user")
    os.execvp("setpriv", ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
                          "--clear-groups", "--inh-caps=-all",
                          sys.executable, str(PLACE / "tests" / os.path.basename(__file__))])


SCENARIO = {"name": "little", "tasks": [{"match": "*", "after": "It says {{result:1}}.", "steps": [
    {"text": "I ask.", "calls": [{"name": "exec", "arguments": {"command": "id -u; echo x >made"}}]}
]}]}


def tour():
    """mount, a workspace, exec, an agent, umount; and again, from the default state."""
    expect(os.geteuid() != 0, "root, which is no ordinary user")
    mount = Mount.of("tour")
    mount.mount()
    expect_eq(mount.answers(), mount.daemon(), "the daemon")
    (mount / "workspaces/w").mkdir()
    (mount / "workspaces/w/file").write_text("text\n")
    expect_eq(read(mount / "workspaces/w/file"), "text\n", "a file")
    expect_eq(os.stat(mount / "workspaces/w/file").st_uid, os.geteuid(), "its owner")
    output, ending = mount.exec("echo $((6 * 7)); cat /etc/shadow")
    expect(output.startswith("42\n") and ending["exit"] != "0", f"exec: {output} {ending}")
    mount.script_model("little", SCENARIO)
    pid = mount.spawn("name=little model=little workspace=w")
    tell(mount.proc(pid, "chat"), "work\n")
    expect_has(mount.wait(pid), f"It says {os.geteuid()}.", "the answer")
    expect_eq(read(mount / "workspaces/w/made"), "x\n", "what its command wrote")
    history = mount.state / "git"
    expect(list(history.iterdir()), "no history of the workspace")
    mount.verify()
    mount.umount()
    mount.fsck()
    run([mount_lib.AGENTFS, "mount", mount.mnt])
    expect((pathlib.Path(os.environ["XDG_DATA_HOME"]) / "agentfs/daemon.pid").exists(),
           "the state is not below XDG_DATA_HOME")
    mount.umount()


def killed():
    """The watcher of an ordinary user starts a killed daemon again; a stale mount is cleaned."""
    mount = Mount.of("killed")
    mount.mount()
    pid = mount.spawn("name=kept")
    daemon = mount.daemon()
    mount_lib.kill(daemon)
    mount_lib.wait_until(20, lambda: mount.answers() != daemon, "another daemon")
    expect_eq(mount.get(pid, "name"), "kept\n", "the name")
    mount_lib.wait_until(20, lambda: mount.daemon() == mount.answers(), "daemon.pid")
    both = mount.watcher(), mount.daemon()
    for pid_of_one in both:
        mount_lib.kill(pid_of_one)
    mount_lib.wait_until(20, lambda: not any(map(mount_lib.is_alive, both)), "their end")
    mount.mount()
    expect_eq(mount.get(pid, "name"), "kept\n", "the name")
    mount.umount()


def imports():
    """A directory of theirs: its files, also those nobody may write, are lent and brought back."""
    mount = Mount.of("imports")
    mount.mount()
    top = mount.mnt.parent / "host"
    (top / "closed").mkdir(parents=True)
    (top / "closed/fixed").write_text("fixed\n")
    (top / "closed/fixed").chmod(0o444)
    (top / "open").write_text("open\n")
    for name in ("write-only", "removed", "changed-there"):
        (top / name).write_text("there\n")
    command(mount / "sys/workspaces/ctl", f"import {top} as w")
    space = mount / "workspaces/w"
    expect_eq(read(space / "closed/fixed"), "fixed\n", "a file that is lent")
    os.setxattr(space / "write-only", "user.k", b"v")
    (space / "write-only").chmod(0o200)
    with open(space / "write-only", "a", encoding="utf-8") as file:
        file.write("added\n")
    for name in ("write-only", "removed"):
        (space / name).chmod(0o200)
        (space / name).unlink()
        command(space / ".agentfs/ctl", f"restore {name}")
        (space / name).chmod(0o600)
    expect_eq((read(space / "write-only"), read(space / "removed")), ("there\nadded\n", "there\n"),
              "lent files that were closed to their owner")
    expect_eq(os.getxattr(space / "write-only", "user.k"), b"v", "what was restored closed")
    (space / "changed-there").chmod(0o200)
    (space / "changed-there").unlink()
    (top / "changed-there").write_text("changed\n")
    command(space / ".agentfs/ctl", "restore changed-there")
    (space / "changed-there").chmod(0o600)
    expect_eq(read(space / "changed-there"), "there\n", "a copy of what was closed when it went")
    (top / "changed-there").unlink()
    (space / "changed-there").unlink()
    command(space / ".agentfs/ctl", "rebase")
    (space / "closed/fixed").chmod(0o644)
    (space / "closed/fixed").write_text("written\n")
    with open(space / "open", "a", encoding="utf-8") as file:
        file.write("more\n")
    expect_eq(read(space / "open"), "open\nmore\n", "a file that was added to")
    expect_eq(read(top / "open"), "open\n", "the directory")
    command(space / ".agentfs/ctl", "commit")
    expect_eq(read(top / "open"), "open\nmore\n", "the directory after commit")
    (top / "again").write_text("again\n")
    (top / "again").chmod(0o444)
    command(space / ".agentfs/ctl", "rebase")
    os.link(space / "again", space / "again-2")
    expect_eq(((space / "again-2").stat().st_nlink, read(space / "again-2")), (2, "again\n"))
    (top / "last").write_text("last\n")
    (top / "last").chmod(0o444)
    command(space / ".agentfs/ctl", "rebase")
    (space / "d").mkdir()
    (space / "d/f").write_text("f\n")
    command(space / ".agentfs/ctl", "checkpoint c")
    (space / "d/f").unlink()
    command(space / ".agentfs/ctl", "restore d/f")
    expect_eq(read(mount / "proc/self/errors"), "", "what failed")
    mount.umount()
    closed = [mount.state / "merge-conflicts", mount.state / "staged"]
    for one in closed:
        one.mkdir(exist_ok=True)
        one.chmod(0)
        expect_has(run([mount_lib.AGENTFS, "fsck", "--state", mount.state], code=1),
                   f"FAIL layout: {one.name}: Permission denied")
        one.chmod(0o700)
    expect_has(run([mount_lib.AGENTFS, "fsck", "--state", mount.state, "--solidify"]), "ok   solidify")
    plain = mount.state / "trees/workspaces/w/last"
    expect_eq((read(plain), oct(plain.stat().st_mode)), ("last\n", "0o100444"), "the file by itself")


def a_file_becomes_a_directory():
    """In an import, here or there: with another directory in it, which the file's mode would close."""
    mount = Mount.of("into_directories")
    mount.mount()
    top = mount.mnt.parent / "turns"
    top.mkdir()
    for name in ("here", "there"):
        (top / name).write_text("a file\n")
        (top / name).chmod(0o600)
    command(mount / "sys/workspaces/ctl", f"import {top} as t")
    space = mount / "workspaces/t"

    def turn(path):
        path.unlink()
        (path / "sub").mkdir(parents=True)
        (path / "sub/in").write_text("in\n")

    turn(space / "here")
    command(space / ".agentfs/ctl", "commit")
    expect_eq(read(top / "here/sub/in"), "in\n", "what was committed")
    turn(top / "there")
    command(space / ".agentfs/ctl", "rebase")
    expect_eq(read(space / "there/sub/in"), "in\n", "what was taken over")
    command(space / ".agentfs/ctl", "uncommit")
    expect_eq((read(top / "here"), oct((top / "here").stat().st_mode)), ("a file\n", "0o100600"))
    command(space / ".agentfs/ctl", "commit")
    expect_eq(read(space / ".agentfs/status"), "", "what differs in the end")
    expect_eq(read(mount / "proc/self/errors"), "", "what failed")
    mount.umount()
    mount.fsck()


def attributes_of_what_nobody_may_write():
    """Are there in an import, in what is committed and in what is taken back."""
    mount = Mount.of("closed_attributes")
    mount.mount()
    top = mount.mnt.parent / "marked"
    (top / "rod").mkdir(parents=True)
    names = ("ro", "rw", "rod", "rod/in")
    for name in names:
        if name != "rod":
            (top / name).write_text(f"{name}\n")
        os.setxattr(top / name, "user.k", name.encode())
    for name, mode in (("ro", 0o444), ("rod/in", 0o400), ("rod", 0o555)):
        (top / name).chmod(mode)
    command(mount / "sys/workspaces/ctl", f"import {top} as marked")
    space = mount / "workspaces/marked"

    def marks(place):
        return {name: os.getxattr(place / name, "user.k").decode() for name in names if (place / name).exists()}

    expect_eq(marks(space), {name: name for name in names}, "imported")
    (space / "ro").unlink()
    (space / "rw").chmod(0o444)
    (space / "rod").chmod(0o755)
    (space / "rod").rename(space / "moved")
    (space / "moved").chmod(0o555)
    command(space / ".agentfs/ctl", "commit")
    expect_eq([os.getxattr(top / name, "user.k") for name in ("rw", "moved", "moved/in")],
              [b"rw", b"rod", b"rod/in"], "committed")
    command(space / ".agentfs/ctl", "uncommit")
    expect_eq(marks(top), {name: name for name in names}, "taken back")
    expect_eq([oct((top / name).stat().st_mode & 0o777) for name in names],
              ["0o444", "0o644", "0o555", "0o400"], "their modes")
    (top / "rod").chmod(0o755)
    mount.umount()


def closed_imports():
    """What could not be read there any more is refused before anything is written; closed
    directories of theirs are opened for as long as it takes, and closed again."""
    mount = Mount.of("closed_imports")
    mount.mount()
    top = mount.mnt.parent / "host"
    (top / "ro/s").mkdir(parents=True)
    (top / "ro/s/g").write_text("g\n")
    (top / "ro/stays").write_text("stays\n")
    for name in ("t", "z", "k"):
        (top / name).write_text(f"{name}\n")
    for name in ("ro/s", "ro"):
        (top / name).chmod(0o555)
    command(mount / "sys/workspaces/ctl", f"import {top} as w")
    space, ctl = mount / "workspaces/w", mount / "workspaces/w/.agentfs/ctl"

    def there():
        found = {}
        for path in sorted(top.rglob("*")):
            bytes_of = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(top))] = (oct(path.stat().st_mode), bytes_of)
        return found

    other = mount.mnt.parent / "other"
    (other / "closed").mkdir(parents=True)
    (other / "f").touch()
    for name in ("closed", "f"):
        mode = (other / name).stat().st_mode
        (other / name).chmod(0)
        expect_errno("EACCES", tell, mount / "sys/workspaces/ctl", f"import {other} as none\n")
        expect_has(mount.last_error(), f"{other}/{name}: uid {os.geteuid()} may not read it")
        (other / name).chmod(mode)
    before = there()
    (space / "z").unlink()
    for name, mode, word in (("t", 0o000, "chmod u+r"), ("t", 0o200, "chmod u+r"),
                             ("new", 0o200, "chmod u+r"), ("d", 0o300, "chmod u+rwx")):
        if name == "d":
            (space / name).mkdir(exist_ok=True)
        else:
            with open(space / name, "a", encoding="utf-8") as file:
                file.write("more\n")
        (space / name).chmod(mode)
        expect_errno("EACCES", tell, ctl, "commit\n")
        expect_has(mount.last_error(), word)
        expect_eq(there(), before, "a commit that is refused")
        (space / name).chmod(0o700 if name == "d" else 0o600)
    command(ctl, "commit")
    expect_eq(read(top / "t"), "t\nmore\nmore\n")
    command(ctl, "uncommit")
    expect_eq(there(), before, "what was taken back")

    for name in ("new", "d/sub/f", "d/g"):
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_text("new\n")
    for name in ("d/sub", "d"):
        (space / name).chmod(0o500)
    for name in ("ro", "ro/s"):
        (space / name).chmod(0o755)
    shutil.rmtree(space / "ro/s")
    (space / "ro/stays").write_text("changed\n")
    (space / "ro").chmod(0o555)
    command(ctl, "commit")
    after = there()
    expect_eq((after["d"][0], after["ro"][0], after["ro/stays"][1], "ro/s" in after),
              ("0o40500", "0o40555", b"changed\n", False))
    command(ctl, "uncommit")
    expect_eq(there(), before, "what was taken back of closed directories")

    command(ctl, "checkpoint last")
    (space / "ro").chmod(0o755)
    (space / "ro/stays").write_text("stays\n")
    (space / "ro").chmod(0o555)
    (top / "ro").chmod(0o755)
    (top / "ro/more").write_text("more\n")
    (top / "ro").chmod(0o555)
    command(ctl, "rebase")
    expect_eq((read(space / "ro/more"), oct((space / "ro").stat().st_mode)), ("more\n", "0o40555"))
    before = there()

    # As a kill leaves it: open, and a note of what it was.
    mount.umount()
    (top / "ro").chmod(0o755)
    (mount.state / "imports/1/opened").write_bytes(b"365 ro\0")
    mount.mount()
    expect_eq(there(), before, "what a kill had left open")
    mount.umount()


def others_files_are_refused_before_anything_is_written():
    if not (PLACE / "shared").exists():
        return  # begun by an ordinary user, who cannot make what is somebody else's
    mount = Mount.of("shared_imports")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {PLACE}/shared as s")
    space, ctl = mount / "workspaces/s", mount / "workspaces/s/.agentfs/ctl"
    (space / "mine").write_text("mine\n")
    (space / "others").unlink()
    expect_errno("EPERM", tell, ctl, "commit\n")
    command(ctl, "restore others")
    (space / "others").chmod(0o600)
    expect_errno("EPERM", tell, ctl, "commit\n")
    expect_has(mount.last_error(), "others: is uid 0's there")
    expect_eq(os.listdir(PLACE / "shared"), ["others"])
    (space / "others").chmod(0o644)
    command(ctl, "commit")
    expect_eq(read(PLACE / "shared/mine"), "mine\n")
    mount.umount()


def space_of(name):
    mount = Mount.of(name)
    mount.mount()
    (mount / "workspaces/p").mkdir()
    return mount, mount / "workspaces/p"


def make(path, text, mode):
    path.write_text(text)
    path.chmod(mode)


def in_trash_and_checkpoint():
    """A file that its owner may not read is changed, removed and brought back like any other."""
    mount, space = space_of("closed")
    for name in ("mode", "gone", "trash"):
        make(space / name, "x\n", 0)
    os.setxattr(mount / "workspaces/p", "user.kept", b"1")
    command(space / ".agentfs/ctl", "checkpoint k")
    (space / "gone").unlink()
    (space / "mode").chmod(0o644)
    expect_eq(read(space / "mode"), "x\n", "a file that was closed at the checkpoint")
    kept = space / ".agentfs/snapshots/k/gone"
    expect_eq(os.stat(kept).st_mode & 0o7777, 0, "the mode that the checkpoint has")
    (space / "trash").unlink()
    command(space / ".agentfs/ctl", "restore trash")
    expect_eq(os.stat(space / "trash").st_mode & 0o7777, 0, "the mode of what was brought back")
    (space / "trash").chmod(0o600)
    expect_eq(read(space / "trash"), "x\n", "what was brought back")
    mount.umount()
    mount.fsck()


def merge_read_only():
    """Nobody wrote to ours: a file without write permission merges at the first try."""
    mount, space = space_of("readonly")
    make(space / "f", "x\n", 0o444)
    command(space / ".agentfs/ctl", "fork z")
    fork = mount / "workspaces/z"
    (fork / "f").chmod(0o644)
    make(fork / "f", "x\ny\n", 0o444)
    command(space / ".agentfs/ctl", "merge z")
    expect_eq(read(space / "f"), "x\ny\n", "the merged file")
    mount.umount()
    mount.fsck()


def merge_closed():
    """Files that nobody may read, new in the fork and changed in it, are merged, modes and all."""
    mount, space = space_of("mergeclosed")
    make(space / "old", "x\n", 0)
    command(space / ".agentfs/ctl", "fork z")
    fork = mount / "workspaces/z"
    make(fork / "new", "n\n", 0)
    (fork / "old").chmod(0o644)
    make(fork / "old", "y\n", 0)
    command(space / ".agentfs/ctl", "merge z")
    for name, text in (("new", "n\n"), ("old", "y\n")):
        expect_eq(os.stat(space / name).st_mode & 0o7777, 0, f"the mode of {name}")
        expect_eq(os.stat(fork / name).st_mode & 0o7777, 0, f"the mode of {name} in the fork")
        (space / name).chmod(0o600)
        expect_eq(read(space / name), text, name)
    mount.umount()
    mount.fsck()


def merge_in_closed_directory():
    """A directory without write permission takes part in a merge, and keeps its mode."""
    mount, space = space_of("closeddir")
    for name in ("d", "moved"):
        (space / name).mkdir()
        (space / name / "f").write_text("1\n")
        (space / name).chmod(0o555)
    command(space / ".agentfs/ctl", "fork z")
    fork = mount / "workspaces/z"
    (fork / "d").chmod(0o755)
    (fork / "d/n").write_text("n\n")
    (fork / "d/f").unlink()
    (fork / "d").chmod(0o555)
    (fork / "moved").rename(fork / "there")
    command(space / ".agentfs/ctl", "merge z")
    expect_eq(os.listdir(space / "d"), ["n"], "the merged directory")
    expect_eq(read(space / "there/f"), "1\n", "a file of the moved directory")
    for name in ("d", "there"):
        expect_eq(os.stat(space / name).st_mode & 0o7777, 0o555, f"the mode of {name}")
        (space / name).chmod(0o755)
    mount.umount()
    mount.fsck()


def shown_in_fork():
    """A fork shows links and times of a file as they were, whatever its mode."""
    mount, space = space_of("shown")
    for mode in (0o644, 0o400, 0o200, 0):
        make(space / f"{mode:o}", "x\n", mode)
    (space / "link").symlink_to("644")
    known = {name: os.lstat(space / name) for name in os.listdir(space)}
    command(space / ".agentfs/ctl", "fork z")
    fork = mount / "workspaces/z"
    (fork / "new").write_text("n\n")

    def check(top):
        for name, was in known.items():
            now = os.lstat(top / name)
            expect_eq((now.st_nlink, now.st_mode, now.st_ctime_ns),
                      (was.st_nlink, was.st_mode, was.st_ctime_ns), f"{top.name}/{name}")
    check(space)
    check(fork)
    mount.umount()
    mount.mount()
    check(space)
    check(fork)
    mount.umount()
    mount.fsck()


def closed_directories():
    """A directory that its owner may not enter does not stay so for ever by a checkpoint or a fork."""
    mount, space = space_of("shut")
    modes = (0, 0o100, 0o200, 0o300, 0o400, 0o500)
    for mode in modes:
        (space / f"{mode:o}/below").mkdir(parents=True)
        make(space / f"{mode:o}/below/f", "kept\n", 0o644)
        (space / f"{mode:o}").chmod(mode)
    ctl = lambda line: command(space / ".agentfs/ctl", line)
    ctl("checkpoint k")
    ctl("fork z")
    fork = mount / "workspaces/z"
    (fork / "new").write_text("new\n")
    (space / "new").write_text("new\n")
    read(space / ".agentfs/status")
    for mode in modes[::2]:
        (space / f"{mode:o}").chmod(0o755)
        (space / f"{mode:o}/below/f").write_text("changed\n")
    ctl("rollback k")
    mount.umount()
    mount.mount()
    for top in (space, fork):
        for mode in modes:
            place = top / f"{mode:o}"
            expect_eq(os.lstat(place).st_mode & 0o777, mode, str(place))
            place.chmod(0o755)
            expect_eq((place / "below/f").read_text(), "kept\n", str(place))
            (place / "below/f").write_text("written\n")
            (place / "more").write_text("more\n")
            place.chmod(mode)
    ctl("fork y")
    mount.umount()
    mount.fsck()
    expect_has(run([mount_lib.AGENTFS, "fsck", "--state", mount.state, "--solidify"]), "ok   solidify")
    mount.mount()
    for mode in modes:
        place = mount / f"workspaces/y/{mode:o}"
        place.chmod(0o755)
        expect_eq((place / "below/f").read_text(), "written\n", str(place))
    mount.umount()


def a_restore_into_a_closed_directory_is_refused_by_its_path():
    mount, space = space_of("into")
    (space / "p").mkdir()
    (space / "p/f").write_text("text\n")
    (space / "p/f").unlink()
    (space / "p").chmod(0o500)
    mount_lib.expect_errno("EACCES", command, space / ".agentfs/ctl", "restore p/f")
    expect_has(mount.last_error(), "/workspaces/p/p/f: ")
    (space / "p").chmod(0o700)
    command(space / ".agentfs/ctl", "restore p/f")
    expect_eq((space / "p/f").read_text(), "text\n")
    mount.umount()


def removed_while_open_and_closed_to_reading():
    """What cannot be copied is kept by its name, with what is written to its end."""
    mount, space = space_of("written")
    for mode in (0o200, 0):
        for over in (False, True):
            name = f"f{mode:o}-{over}"
            file = os.open(space / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
            os.write(file, b"first\n")
            if over:
                (space / "new").write_text("new\n")
                (space / "new").rename(space / name)
            else:
                (space / name).unlink()
            kept = [row["data"]["kept"] for row in mount.journal() if "kept" in row["data"]][-1]
            expect("number" in kept, f"{name}: {kept}")
            os.write(file, b"last\n")
            expect_eq(os.fstat(file).st_nlink, 0, name)
            os.close(file)
            command(space / ".agentfs/ctl", f"restore {name} {kept['number']}")
            (space / name).chmod(0o600)
            expect_eq((space / name).read_text(), "first\nlast\n", name)
    mount.umount()
    mount.fsck()


def status_of_what_cannot_be_searched():
    """A directory whose names can be read and nothing else is told, and the rest is compared."""
    mount, space = space_of("listed")
    for mode in (0o400, 0o444):
        (space / f"d{mode:o}").mkdir()
        (space / f"d{mode:o}/f").write_text("text\n")
    (space / "zz").write_text("before\n")
    command(space / ".agentfs/ctl", "checkpoint k")
    (space / "zz").write_text("after\n")
    for mode in (0o400, 0o444):
        (space / f"d{mode:o}").chmod(mode)
    status = read(space / ".agentfs/status").splitlines()
    for name in ("d400", "d444"):
        expect(any(line.startswith("#") and f" {name}/: may not be looked into" in line for line in status),
               f"status of {name}: {status}")
    expect(any(line.endswith("\tzz") for line in status), f"status: {status}")
    expect_has(read(space / ".agentfs/diff"), "+after\n")
    command(space / ".agentfs/ctl", "fork listed-2")
    (mount / "workspaces/listed-2/d444").chmod(0o755)
    (mount / "workspaces/listed-2/d444/more").write_text("more\n")
    mount_lib.expect_errno("EACCES", command, space / ".agentfs/ctl", "merge listed-2")
    expect_has(mount.last_error(), "d444: may not be looked into")
    for name in ("d400", "d444"):
        (space / name).chmod(0o755)
    mount.umount()


def merges_of_what_cannot_be_seen():
    """What a fork did in a directory that its owner closed is not left behind for nothing."""
    mount, space = space_of("unseen")
    ctl = lambda line: command(space / ".agentfs/ctl", line)
    (space / "kept").mkdir()
    (space / "kept/f").write_text("kept\n")
    (space / "kept").chmod(0)
    (space / "one").write_text("a\n")
    os.link(space / "one", space / "two")
    ctl("fork z")
    fork = mount / "workspaces/z"
    (fork / "two").unlink()
    with open(fork / "one", "a", encoding="utf-8") as file:
        file.write("more\n")
    ctl("merge z")
    expect_eq((space / "one").read_text(), "a\nmore\n", "merged beside a closed directory")
    expect_eq(sorted(os.listdir(space)), ["kept", "one"])
    (fork / "shut").mkdir()
    (fork / "shut/f").write_text("precious\n")
    (fork / "shut").chmod(0)
    expect_has(read(fork / ".agentfs/status"), "# shut/: may not be looked into")
    mount_lib.expect_errno("EACCES", ctl, "merge z")
    expect_has(mount.last_error(), "shut: may not be looked into")
    expect_eq(sorted(os.listdir(space)), ["kept", "one"])
    (fork / "shut").chmod(0o755)
    ctl("merge z")
    expect_eq((space / "shut/f").read_text(), "precious\n", "merged when it was opened")
    for top in (space, fork):
        (top / "kept").chmod(0o755)
        expect_eq((top / "kept/f").read_text(), "kept\n", "what nobody changed")
    mount.umount()
    mount.fsck()


def workspaces_closed_to_their_owner_stop_nothing():
    mount = Mount.of("shut-tops")
    mount.mount()
    tops = [mount / "workspaces" / name for name in ("plain", "kept", "open")]
    for top in tops:
        top.mkdir()
        (top / "f").write_text(f"{top.name}\n")
    tops.append(mount / "home/nobody")
    command(tops[1] / ".agentfs/ctl", "checkpoint c")
    (tops[1] / "f").write_text("later\n")
    for mode in (0o000, 0o111, 0o333):
        for top in (tops[0], tops[1], tops[3]):
            top.chmod(mode)
        mount.umount()
        expect("FAIL" not in mount.fsck(), "fsck of closed workspaces")
        mount.mount()
        expect_eq((tops[2] / "f").read_text(), "open\n", "another workspace")
        for top in (tops[0], tops[1], tops[3]):
            expect_eq(top.stat().st_mode & 0o777, mode, f"the mode of {top.name}")
            top.chmod(0o755)
        expect_eq((tops[0] / "f").read_text(), "plain\n", "what was closed")
        expect_eq((tops[1] / ".agentfs/snapshots/c/f").read_text(), "kept\n", "its checkpoint")
    mount.verify()
    mount.umount()
    mount.fsck()


def commits_have_what_can_be_seen():
    """A directory that its owner closed is as the last commit has it, and keeps no commit from being made."""
    mount = Mount.of("closed-commits")
    mount.mount()
    space = mount / "workspaces/w"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", space]
    for name in ("d", "e"):
        (space / name).mkdir(parents=True)
        (space / name / "f").write_text(f"{name}\n")
    run([*git, "init", "-q"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-q", "-m", "first"])
    commits = lambda: [row["data"] for row in mount.journal() if row["kind"] == "checkpoint.commit"]
    for number, mode in enumerate((0o000, 0o300, 0o400)):
        (space / "d").chmod(mode)
        (space / "top").write_text(f"{mode}\n")
        (space / f"new-{number}").mkdir()
        (space / f"new-{number}/f").write_text("new\n")
        (space / f"new-{number}").chmod(mode)
        command(space / ".agentfs/ctl", f"checkpoint k{number}")
        wait_until(30, lambda: len(commits()) > number, "the commit")
        expect_has(commits()[-1], "ref", f"mode {mode:o}")
        held = run([*git, "ls-tree", "-r", "--name-only", commits()[-1]["ref"]]).split()
        # Where it may be searched, what a path names is seen.
        seen = [f"new-{one}/f" for one in range(number + (1 if mode & 0o100 else 0))]
        expect_eq(held, ["d/f", "e/f", *seen, "top"], f"mode {mode:o}")
        for name in ("d", f"new-{number}"):
            (space / name).chmod(0o755)
        (space / f"new-{number}/f").write_text("newer\n")
    mount.umount()
    mount.fsck()


def more_directories_than_descriptors():
    """Without file handles each known node takes a descriptor, of which there are not so many."""
    if tuple(map(int, platform.release().split(".")[:2])) < (6, 18):
        return  # nothing makes such a kernel forget
    mount = Mount.of("many")
    run(["prlimit", "--nofile=800:800", mount_lib.AGENTFS, "mount", "--state", mount.state, mount.mnt])
    top = mount / "workspaces/w"
    top.mkdir()
    for number in range(2000):
        (top / f"d{number}").mkdir()
        (top / f"d{number}/f").write_text("text\n")
    for _ in range(2):
        seen = sum(len(files) for _, _, files in os.walk(top))
        expect_eq(seen, 2000, "files that a walk sees")
        for number in range(0, 2000, 100):
            expect_eq((top / f"d{number}/f").read_text(), "text\n", f"d{number}/f")
    # What is known to be missing in a directory keeps the host's kernel from forgetting that.
    for number in range(2000):
        expect(not (top / f"d{number}/.gitignore").exists(), f"d{number}/.gitignore is there")
    shutil.rmtree(top)
    mount.verify()
    mount.umount()


def no_two_files_have_one_number_where_the_disk_tells_no_time_of_making():
    """It gives inode numbers again, and what a link is marked with lies in a row."""
    if not SMALL.exists():
        return
    mount = Mount.of("small")
    mount.state.rmdir()
    os.symlink(SMALL, mount.state)
    mount.mount()
    first, fork, second = (mount / "workspaces" / name for name in ("first", "first-fork", "second"))
    first.mkdir()
    for number in range(60):
        os.symlink("old", first / f"{number}")
    command(first / ".agentfs/ctl", "fork first-fork")
    for number in range(60):
        os.utime(fork / f"{number}", (1, 1), follow_symlinks=False)
    shutil.rmtree(fork)
    shutil.rmtree(first)
    mount.umount()
    mount.mount()
    second.mkdir()
    for number in range(200):
        os.symlink("new", second / f"{number}")
    numbers = lambda top: [os.lstat(top / f"{number}").st_ino & 0xFFFFFFFF for number in range(200)]
    given = numbers(second)
    command(second / ".agentfs/ctl", "fork second-fork")
    mount.umount()
    mount.mount()
    expect_eq(len(set(given)), 200, "numbers of 200 links")
    expect_eq(numbers(second), given, "after a start")
    expect_eq(numbers(mount / "workspaces/second-fork"), given, "in the fork")
    mount.verify()
    mount.umount()
    mount.fsck()


enter()
main(tour, killed, imports, a_file_becomes_a_directory, attributes_of_what_nobody_may_write,
     closed_imports, others_files_are_refused_before_anything_is_written,
     merge_read_only, shown_in_fork, in_trash_and_checkpoint, merge_closed,
     merge_in_closed_directory, closed_directories, removed_while_open_and_closed_to_reading,
     a_restore_into_a_closed_directory_is_refused_by_its_path,
     status_of_what_cannot_be_searched,
     merges_of_what_cannot_be_seen,
     workspaces_closed_to_their_owner_stop_nothing, commits_have_what_can_be_seen, more_directories_than_descriptors,
     no_two_files_have_one_number_where_the_disk_tells_no_time_of_making)
