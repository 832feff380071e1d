#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Root's mount with -o allow_other: another user works in it with their own rights alone."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

from others_lib import GROUP, PLACE, as_user, enter  # before mount_lib, whose paths it sets
from mount_lib import (AGENTFS, Mount, command, expect, expect_eq, expect_errno, expect_has, main, read, run,
                       tell, wait_until)

OTHER = 51500
HOME = f"user{OTHER}"
AS_OTHER = as_user(OTHER)


def as_other(line, **more):
    """What a shell line of the other user says."""
    return run([*AS_OTHER, "sh", "-c", line], cwd=MOUNT.mnt, **{"code": None, **more})


def exec_as_other(line, directory="/"):
    """The reply to a command line of the other user, from a directory of the mount."""
    return as_other(f"cd ./{directory} && exec 9<>{MOUNT.mnt}/dev/local/exec && "
                    f"echo '{line}' >&9 && cat <&9")


# Changes a file in one way; says its mode as it is right after.
CHANGE = """
import os, sys
way, path = sys.argv[1:]
os.stat(path)
if way == "truncate":
    os.truncate(path, 1)
else:
    fd = os.open(path, os.O_RDWR | (os.O_TRUNC if way == "O_TRUNC" else 0))
    if way == "write":
        os.write(fd, b"x")
    elif way == "fallocate":
        os.posix_fallocate(fd, 0, 8192)
    elif way == "copy_file_range":
        source = os.path.join(os.path.dirname(path), "source")
        os.copy_file_range(os.open(source, os.O_RDONLY), fd, 100)
print(f"{os.stat(path).st_mode & 0o7777:04o}")
"""


def setup():
    MOUNT.mount("-o", "allow_other")
    public = MOUNT / "workspaces/public"
    (public / "closed").mkdir(parents=True)
    (public / "closed").chmod(0o700)
    (public / "closed/secret").write_text("rootsecret\n")
    (public / "file").write_text("kept\n")
    for name, owner, group, mode in (("theirs", OTHER, OTHER, 0o755), ("team", 0, GROUP, 0o2775)):
        (MOUNT / "workspaces" / name).mkdir()
        os.chown(MOUNT / "workspaces" / name, owner, group)
        os.chmod(MOUNT / "workspaces" / name, mode)


# Opens files without end, half of them without a name, and says how many and why no more.
HOARD = """
import errno, os, sys
held = []
try:
    while len(held) < 2000:
        path = f"{sys.argv[1]}/hoard-{len(held)}"
        held.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        if len(held) % 2:
            os.unlink(path)
except OSError as error:
    print(len(held), errno.errorcode[error.errno], flush=True)
sys.stdin.read()
"""


HOARD_BY_TWO = HOARD.replace("import errno, os, sys\n", """
import concurrent.futures, errno, os, sys
pools = [concurrent.futures.ThreadPoolExecutor(1) for _ in range(2)]
""").replace("os.open(path, os.O_RDWR | os.O_CREAT, 0o600)",
             "pools[len(held) % 2].submit(os.open, path, os.O_RDWR | os.O_CREAT, 0o600).result()")


def nobody_takes_all_open_files():
    """Some of the daemon's limit stays its own, half of the rest is all that one user gets, and
    three quarters of that one process."""
    small = Mount.of("small")
    limited = ["prlimit", "--nofile=800:800", "setpriv", "--bounding-set=-sys_resource",
               "--inh-caps=-sys_resource", AGENTFS]
    run([*limited, "mount", "--state", small.state, "-o", "allow_other", small.mnt])
    shared = small / "workspaces/shared"
    shared.mkdir()
    shared.chmod(0o777)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    start = lambda words, hoard=HOARD: subprocess.Popen(
        [*map(str, words), sys.executable, "-c", hoard, shared], **pipes)
    with start(AS_OTHER) as first:
        expect_eq(first.stdout.readline().split(), ["108", "EMFILE"], "of one process")
        second = start(AS_OTHER)
        expect_eq(second.stdout.readline().split(), ["35", "ENFILE"], "of one user, with the 108")
        with start([]) as own:
            count, code = own.stdout.readline().split()
            expect_eq(code, "ENFILE")
            expect(100 <= int(count) <= 143, f"root could open {count} files beside the 143")
            expect_has(command(small / "dev/local/exec", "echo of a command"), "of a command\n")
            (shared / "hoard-1").unlink()
            own.stdin.close()
        (shared / "after").write_text("after\n")
        first.stdin.close()
        second.communicate()
    expect_has(run([*AS_OTHER, "cat", small / "proc/self/errors"]), "as many as one user may")
    with start([]) as own:
        expect_eq(own.stdout.readline().split(), ["215", "EMFILE"], "of one process of root's")
        expect("hoard-1" in os.listdir(shared), "root cannot look any more")
        own.stdin.close()
    # By two threads of it, one after the other.
    with start([], HOARD_BY_TWO) as own:
        expect_eq(own.stdout.readline().split(), ["215", "EMFILE"], "of one process of two threads")
        own.stdin.close()
    expect_has((small / "proc/self/errors").read_text(), "files open here, as many as one may")
    small.umount()


def changing_a_file_clears_set_id_bits_as_on_a_disk():
    # Without that the host's kernel clears what it clears for any FUSE; a set-group-id bit that
    # nobody may execute with is not among it.
    is_told = MOUNT.has("handle_killpriv_v2")
    places = {"the mount": MOUNT / "workspaces/public/set-id", "a disk": PLACE / "set-id"}
    for place in places.values():
        place.mkdir(mode=0o755)
        (place / "source").write_text("what is copied\n")
    for way in ("write", "O_TRUNC", "truncate", "fallocate", "copy_file_range"):
        for mode in (0o4777, 0o2777, 0o6777, 0o0777, *([0o2767] if is_told else [])):
            for who, words in (("other", AS_OTHER), ("root", [])):
                said = {}
                for name, place in places.items():
                    path = place / f"{way}-{mode:o}-{who}"
                    path.write_text("as it was\n")
                    path.chmod(mode)
                    said[name] = run([*words, sys.executable, "-c", CHANGE, way, path]).strip()
                expect_eq(said["the mount"], said["a disk"], f"{mode:o} after {way} by {who}")
    rows = [line for line in read(MOUNT / "workspaces/public/.agentfs/events.jsonl").splitlines()
            if "set-id/write-4777-other" in line]
    expect_has(rows[-2], '"op":"attributes"', "the row of the mode")
    expect_has(rows[-2], f'"user":"user{OTHER}"', "whose change it was")


def commands_have_their_users_rights():
    said = exec_as_other("id -u; id -g; cat closed/secret; echo lost >file", "workspaces/public")
    expect_has(said, f"{OTHER}\n{OTHER}\n", "the ids of a command")
    expect("rootsecret" not in said, f"a command read what is closed to its user: {said}")
    expect_eq(read(MOUNT / "workspaces/public/file"), "kept\n", "root's file")
    expect_has(exec_as_other("echo x >~/mine && echo x >made", "workspaces/team"), "# exit=0",
               "a command in its home and its group's workspace")
    home = next(path for path in (MOUNT / "home").iterdir() if os.stat(path).st_uid == OTHER)
    expect_eq(os.stat(home).st_mode & 0o7777, 0o700, "the mode of a home")
    for path in (home / "mine", MOUNT / "workspaces/team/made"):
        expect_eq(os.stat(path).st_uid, OTHER, f"the owner of {path.name}")
    output, _ = MOUNT.exec("id -u")
    expect_eq(output, "0\n", "root's own command")


def agents_have_their_owners_rights():
    calls = [{"name": "exec", "arguments": {"command": "id -u; echo x >by-command"}},
             {"name": "write", "arguments": {"path": "by-tool", "text": "x\n"}},
             {"name": "read", "arguments": {"path": "/workspaces/public/closed/secret"}},
             {"name": "ctl", "arguments": {"path": "/dev/llm/calls/chat", "line": "hello"}}]
    steps = [{"text": "Next.", "calls": [call]} for call in calls]
    MOUNT.script_model("calls", {"tasks": [{"match": "*", "steps": steps}], "after": "Done."})
    said = as_other("exec 9<>proc/clone; echo workspace=public >&9; tail -n 1 proc/self/errors")
    expect_has(said, "EACCES", "an agent in a workspace of root's")
    expect_has(said, "no right to write there", "an agent in a workspace of root's")
    pid = as_other("exec 9<>proc/clone; echo model=calls workspace=theirs >&9; cat <&9").strip()
    expect(pid.isdigit(), f"a spawn in a workspace of their own: {pid}")
    as_other(f"echo go >proc/{pid}/chat; cat proc/{pid}/wait", code=0)
    results = [MOUNT.get(pid, f"calls/{number + 1}/result") for number in range(len(calls))]
    expect_has(results[0], f"{OTHER}\n", "the uid of an agent's command")
    for name in ("by-command", "by-tool"):
        expect_eq(os.stat(MOUNT / "workspaces/theirs" / name).st_uid, OTHER, f"owner of {name}")
    expect("rootsecret" not in results[2], f"a tool read what is closed: {results[2]}")
    expect_has(results[3], "another user", "a tool that asks root's model")


def what_was_refused_shows_nobody_what_has_its_place_by_now():
    """Neither another's file that was renamed to it, nor what a link there leads to."""
    top = MOUNT / "workspaces/theirs"
    as_other("echo mine >workspaces/theirs/asked", code=0)
    steps = [{"text": "Next.", "calls": [{"name": "write", "arguments": {"path": "asked", "text": "agent\n"}}]}]
    MOUNT.script_model("refused", {"tasks": [{"match": "*", "steps": steps}], "after": "Done."})
    pid = as_other("exec 9<>proc/clone; echo model=refused workspace=theirs >&9; cat <&9").strip()
    as_other(f"echo go >proc/{pid}/chat; cat proc/{pid}/wait", code=0)
    number = as_other("ls sys/conflicts | grep -v README | tail -n 1").strip()
    sides = f"cat sys/conflicts/{number}/ours sys/conflicts/{number}/merged sys/conflicts/{number}/about"
    expect_has(as_other(sides), "mine\n")
    (top / "roots").write_text("rootsecret\n")
    (top / "roots").chmod(0o600)
    as_other("cd workspaces/theirs && mv asked kept && mv roots asked", code=0)
    said = as_other(sides)
    expect("rootsecret" not in said, said)
    expect_has(said, "Permission denied")
    expect_has(run(["sh", "-c", sides], cwd=MOUNT.mnt), "rootsecret", "what root is shown")
    for secret in ("/workspaces/public/closed/secret", MOUNT / "workspaces/public/closed/secret"):
        as_other(f"cd workspaces/theirs && rm -f asked && ln -s {secret} asked", code=0)
        said = as_other(sides) + run(["sh", "-c", sides], cwd=MOUNT.mnt)
        expect("rootsecret" not in said, said)
    as_other(f"cd workspaces/theirs && rm -f asked && mv kept asked && echo take ours >{MOUNT.mnt}/sys/conflicts/{number}/ctl",
             code=0)


def history_gives_nobody_more_to_read():
    """Who has a workspace may remove what others have in it, and not read it in the trash either."""
    top = MOUNT / "workspaces/theirs"
    tell(top / ".agentfs/ctl", "checkpoint before\n")
    for name in ("secret", "changed", "open"):
        (top / name).write_text("rootsecret\n")
        (top / name).chmod(0o644 if name == "open" else 0o600)
    (top / "changed").write_text("rootsecret again\n")
    for name in ("secret", "changed", "open"):
        expect_has(as_other("cat workspaces/theirs/.agentfs/diff"), f"# {name}: not", "a diff")
    as_other("rm -f workspaces/theirs/secret workspaces/theirs/open")
    for _ in range(2):  # the second time root has read it just before
        for path in ("trash/secret", "versions/secret/*", "versions/changed/*", "trash/open"):
            said = as_other(f"cat workspaces/theirs/.agentfs/{path} 2>&1")
            expect("rootsecret" not in said, path)
            expect_has(said, "Permission denied", path)
        expect_has(run(["sh", "-c", "cat trash/secret versions/*/0*"], cwd=top / ".agentfs"), "rootsecret")
    expect("again" not in as_other("cat workspaces/theirs/.agentfs/diff"), "a diff")
    closed = MOUNT / "workspaces/closed"
    closed.mkdir(mode=0o700)
    for path in ("workspaces/closed/.agentfs/log", "sys/workspaces/closed/log", ".agentfs/workspaces/closed/log"):
        expect_has(as_other(f"cat {path} 2>&1"), "Permission denied", path)
    for line in ("restore secret", "drop secret"):
        said = as_other(f"echo {line} >workspaces/theirs/.agentfs/ctl; tail -n 1 proc/self/errors")
        expect_has(said, "is uid 0's, and not for uid", line)


def a_restore_is_the_owners_and_leaves_nothing_where_it_is_refused():
    space = MOUNT / "workspaces/theirs-to-restore"
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    own = f"cd {space} && "
    for mode in (0o4755, 0o6755, 0o2755, 0o1755):
        as_other(own + f"echo x > bits && chmod {mode:o} bits && rm bits && echo 'restore bits' > .agentfs/ctl", code=0)
        expect_eq(f"{(space / 'bits').stat().st_mode & 0o7777:o}", f"{mode:o}", "a mode that came back")
    (space / "d").mkdir(0o700)
    (space / "d/file").write_text("file\n")
    os.chown(space / "d/file", OTHER, OTHER)
    shutil.rmtree(space / "d")
    tell(space / ".agentfs/limits", "inodes=3\n")  # the directory's would fit
    said = as_other(own + f"echo 'restore d/file' > .agentfs/ctl; tail -n 1 {MOUNT.mnt}/proc/self/errors")
    expect_has(said, "EDQUOT")
    expect("d" not in os.listdir(space), f"{os.listdir(space)}")


def rollbacks_leave_others_files_as_they_are():
    """Though the workspace is the other's: its undo can be discarded."""
    space = MOUNT / "workspaces/theirs-to-roll"
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    own = f"cd {space} && "
    as_other(own + "mkdir d && echo one > d/own && echo 'checkpoint a' > .agentfs/ctl", code=0)
    as_other(own + "echo two > d/own && mkdir new && echo 'rollback a' > .agentfs/ctl", code=0)
    expect_eq(read(space / "d/own"), "one\n")
    as_other(own + "mkdir new", code=0)
    for place in ("new/private", "private"):
        (space / place).mkdir(0o700)
        (space / place / "doc").write_text("the only copy\n")
        said = as_other(own + "echo 'rollback a' > .agentfs/ctl; "
                        f"tail -n 1 {MOUNT.mnt}/proc/self/errors")
        expect_has(said, f"{place} is another user's", "a rollback by the workspace's owner")
        expect_eq(read(space / place / "doc"), "the only copy\n")
        shutil.rmtree(space / place)
    as_other(own + "echo 'rollback a' > .agentfs/ctl", code=0)
    fork = f"{space.name}-fork"
    as_other(own + f"echo 'fork {fork}' > .agentfs/ctl", code=0)
    (MOUNT / "workspaces" / fork / "doc").write_text("the only copy\n")
    as_other(own + f"echo 'discard {fork}' > .agentfs/ctl")
    expect_eq(read(MOUNT / "workspaces" / fork / "doc"), "the only copy\n")
    (MOUNT / "workspaces" / fork / "doc").unlink()
    as_other(own + f"echo 'discard {fork}' > .agentfs/ctl", code=0)


def refused(space, user, line):
    """What errors say of a line that a user's ctl refuses."""
    return run([*as_user(user), "sh", "-c", f"cd {space} && ! echo '{line}' > .agentfs/ctl && "
                f"tail -n 1 {MOUNT.mnt}/proc/self/errors"])


def open_space(name):
    """A workspace of the other user in which everybody may make something; and a third one."""
    space = MOUNT / "workspaces" / name
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    space.chmod(0o777)
    return space, lambda line: run([*as_user(OTHER + 1), "sh", "-c", line], cwd=space)


def a_rollback_gives_no_right_back_that_another_has_taken_away():
    """By an ACL, a default one, or any other attribute of their directory."""
    taken = {"acl": "setfacl -x u:{} {}", "default": "setfacl -d -x u:{} {}", "user": "setfattr -x user.k {1}"}
    for name, take in taken.items():
        space, as_third = open_space(f"taken-{name}")
        as_third(f"mkdir -m 770 q; setfacl -m u:{OTHER}:rwx,d:u:{OTHER}:rwx,u:33:rwx,d:u:33:rwx q; "
                 "setfattr -n user.k -v 1 q; echo theirs > q/f; chmod 644 q/f")
        as_other(f"cd {space} && mkdir own && echo 'checkpoint k' > .agentfs/ctl", code=0)
        as_third(take.format(OTHER, "q"))
        now = run(["getfacl", "-cpn", space / "q"])
        expect_has(refused(space, OTHER, "rollback k"), "q is another user's", name)
        expect_eq(run(["getfacl", "-cpn", space / "q"]), now, name)
        expect_eq("user.k" in os.listxattr(space / "q"), name != "user")
        tell(space / ".agentfs/ctl", "rollback k\n")
    os.setxattr(space / "q", "trusted.k", b"1")
    expect_has(refused(space, OTHER, "rollback k"), "q is another user's", "root's attribute")
    os.removexattr(space / "q", "trusted.k")
    as_other(f"cd {space} && setfattr -n user.k -v 1 own && echo 'rollback k' > .agentfs/ctl", code=0)
    expect_eq(os.listxattr(space / "own"), [])


def nothing_is_named_in_a_directory_that_another_has_closed():
    space, as_third = open_space("closed-since")
    as_third("mkdir -m 777 p w; echo a > p/a")
    as_other(f"cd {space} && echo m > p/m && echo w > w/m", code=0)
    for line, path in (("echo evil > p/evil", "p/evil"), ("rm p/m", "p/m"), ("mv p/m moved", "p/m"),
                       ("echo more >> p/m", "p/m"), ("mkdir -p p/new/deep", "p/new")):
        as_other(f"cd {space} && echo 'fork closed-since-f' > .agentfs/ctl", code=0)
        as_third("chmod 700 p")
        as_other(f"cd workspaces/closed-since-f && {line}", code=0)
        expect_has(refused(space, OTHER, "merge closed-since-f"), f"{path}: uid {OTHER} may not", line)
        expect_eq(sorted(os.listdir(space / "p")), ["a", "m"], line)
        as_other(f"cd {space} && echo 'discard closed-since-f' > .agentfs/ctl", code=0)
        as_third("chmod 777 p")
    as_other(f"cd {space} && echo 'fork closed-since-f' > .agentfs/ctl", code=0)
    as_third("chmod 700 p")
    as_other("cd workspaces/closed-since-f && echo fine > w/new && rm w/m", code=0)
    as_other(f"cd {space} && echo 'merge closed-since-f' > .agentfs/ctl", code=0)
    expect_eq(os.listdir(space / "w"), ["new"])
    as_other(f"cd {space} && echo 'checkpoint k' > .agentfs/ctl", code=0)
    os.unlink(space / "p/m")
    expect_has(refused(space, OTHER, "rollback k"), f"p/m: uid {OTHER} may not", "what would be back")
    expect_eq(os.listdir(space / "p"), ["a"])
    as_third("chmod 777 p")
    expect_has(refused(space, OTHER, "rollback k"), "p is another user's", "a mode")
    as_other(f"cd {space} && echo 'checkpoint open' > .agentfs/ctl && echo n > p/n && echo 'rollback open' > .agentfs/ctl",
             code=0)
    expect_eq(os.listdir(space / "p"), ["a"])


def a_directory_of_ones_own_that_is_read_only_is_as_one_has_it():
    """What its owner may open by chmod is merged, discarded and rolled back."""
    space, _ = open_space("read-only")
    own = f"cd {space} && "
    as_other(own + "mkdir a d && echo 1 > a/f && echo 1 > d/f && chmod 555 a d && echo 'fork read-only-1' > .agentfs/ctl",
             code=0)
    as_other("cd workspaces/read-only-1 && mv a b && echo more >> b/f", code=0)
    as_other(own + "echo 'merge read-only-1' > .agentfs/ctl && echo 'discard read-only-1' > .agentfs/ctl", code=0)
    expect_eq([read(space / "b/f"), (space / "a").exists()], ["1\nmore\n", False], "renamed")
    for change in ("chmod 755 d && echo > d/h && chmod 555 d", "chmod 755 d && rm d/f"):
        as_other(own + "echo 'fork read-only-2' > .agentfs/ctl", code=0)
        as_other(f"cd workspaces/read-only-2 && {change}", code=0)
        as_other(own + "echo 'discard read-only-2' > .agentfs/ctl", code=0)
        expect(not (MOUNT / "workspaces/read-only-2").exists(), change)
    as_other(own + "echo 'checkpoint c0' > .agentfs/ctl && chmod 755 d && echo 2 > d/g && "
             "echo 'rollback c0' > .agentfs/ctl && test ! -e d/g", code=0)
    as_other(own + "echo 'rollback undo-1' > .agentfs/ctl", code=0)
    expect_eq(read(space / "d/g"), "2\n", "what had been undone")
    as_other(own + "echo 'fork read-only-3' > .agentfs/ctl", code=0)
    as_other("cd workspaces/read-only-3 && chmod 755 b && echo > b/new", code=0)
    as_other(own + "echo 'merge read-only-3' > .agentfs/ctl && test -e b/new", code=0)


def neither_a_rollback_nor_a_fork_gives_a_workspace_back_to_another():
    space = MOUNT / "workspaces/given"
    space.mkdir()
    command(space / ".agentfs/ctl", "checkpoint start")
    os.chown(space, OTHER, OTHER)
    space.chmod(0o700)
    said = as_other(f"cd {space} && echo work > b && echo 'rollback start' > .agentfs/ctl; "
                    f"tail -n 1 {MOUNT.mnt}/proc/self/errors")
    expect_has(said, "was uid 0's at start")
    expect_eq((space.stat().st_uid, read(space / "b")), (OTHER, "work\n"))
    said = as_other(f"echo 'fork given-then start' > {space}/.agentfs/ctl; tail -n 1 {MOUNT.mnt}/proc/self/errors")
    expect_has(said, "was uid 0's at start")
    expect(not (MOUNT / "workspaces/given-then").exists(), "a fork of another's")


def what_one_has_by_a_further_group_comes_back():
    space = MOUNT / "workspaces/grouped"
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    as_other(f"cd {space} && echo a > a && chgrp {GROUP} a && mkdir d && chgrp {GROUP} d && chmod 2770 d && "
             "echo b > d/b && rm -r a d && echo 'restore a' > .agentfs/ctl && echo 'restore d' > .agentfs/ctl", code=0)
    expect_eq([(space / name).stat().st_gid for name in ("a", "d", "d/b")], [GROUP] * 3)
    expect_eq(oct((space / "d").stat().st_mode), "0o42770")


def what_has_a_group_of_others_comes_back_without_it():
    """And what that group could do, the user's own cannot."""
    space = MOUNT / "workspaces/regrouped"
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    as_other(f"cd {space} && echo f > file && chmod 6764 file && mkdir d && echo b > d/b && chmod 2770 d && "
             "mkfifo fifo && chmod 620 fifo && ln -s file link && echo l > listed && "
             f"setfacl -m u:{OTHER + 1}:rw,g::rw listed", code=0)
    names = ["file", "d", "fifo", "link", "listed"]
    for name in (*names, "d/b"):
        os.chown(space / name, OTHER, GROUP + 1, follow_symlinks=False)
    (space / "file").chmod(0o6764)
    (space / "d").chmod(0o2770)
    as_other(f"cd {space} && rm -r {' '.join(names)}", code=0)
    for name in names:
        as_other(f"cd {space} && echo 'restore {name}' > .agentfs/ctl", code=0)
    all_of = {name: (space / name).lstat() for name in (*names, "d/b")}
    expect_eq({(status.st_uid, status.st_gid) for status in all_of.values()}, {(OTHER, OTHER)})
    expect_eq({name: f"{status.st_mode & 0o7777:o}" for name, status in all_of.items() if name != "link"},
              {"file": "4744", "d": "700", "fifo": "600", "listed": "644", "d/b": "644"})
    expect_eq(os.readlink(space / "link"), "file")
    expect_eq([read(space / name) for name in ("file", "d/b", "listed")], ["f\n", "b\n", "l\n"])


def a_link_tells_nobody_what_lies_behind_it():
    """What a path was is theirs, whatever has its place by now."""
    space, secret = MOUNT / "workspaces/linking", MOUNT / "workspaces/hidden-place"
    secret.mkdir(0o700)
    (secret / "there").write_text("root's\n")
    space.mkdir()
    os.chown(space, OTHER, OTHER)
    own = f"cd {space} && "
    as_other(own + "mkdir d && echo one > d/there && echo one > d/none && rm -r d && ln -s ../hidden-place d", code=0)
    for name in ("there", "none"):
        as_other(own + f"echo 'drop d/{name}' > .agentfs/ctl", code=0)


def merges_give_nobody_more_either():
    """Neither to read, in conflicts, nor to write, into the files of others."""
    top = MOUNT / "workspaces/merged"
    top.mkdir()
    os.chown(top, OTHER, OTHER)
    top.chmod(0o777)
    for name in ("key", "taken"):
        (top / name).write_text("ROOTSECRET\n")
        (top / name).chmod(0o600)
    as_other("cd workspaces/merged && echo fork merged-1 >.agentfs/ctl && cd ../merged-1 && "
             "rm -f key taken && echo mine >key && echo mine >taken && chmod 644 taken", code=0)
    (top / "key").write_text("ROOTSECRET again\n")
    for line in ("merge merged-1", "merge merged-1 partial"):
        as_other(f"echo {line} >workspaces/merged/.agentfs/ctl")
        said = as_other("cat workspaces/merged/.agentfs/conflicts/*/*; cat workspaces/merged/taken")
        expect("ROOTSECRET" not in said, f"what a conflict shows: {said}")
    tell(top / ".agentfs/ctl", "merge merged-1 partial\n")
    said = as_other("cat workspaces/merged/.agentfs/conflicts/*/*")
    expect("ROOTSECRET" not in said, f"what a conflict shows: {said}")
    expect_has(said, "key", "what is in conflict")
    as_other("echo merge merged-1 >workspaces/merged/.agentfs/ctl; "
             "echo resolve 1 ours >workspaces/merged/.agentfs/ctl")


def copies_have_the_acls_of_their_origin_alone():
    """Not those that their directory gives to what is made in it."""
    top = MOUNT / "workspaces/acls"
    (top / "above/below").mkdir(parents=True)
    (top / "above/below/file").write_text("text\n")
    (top / "above/below").chmod(0o750)
    (top / "above/below/file").chmod(0o600)
    run(["setfacl", "-d", "-m", f"u:{OTHER}:rwx", top / "above"])
    before = run(["sh", "-c", "getfacl -cpR above/below"], cwd=top)
    tell(top / ".agentfs/ctl", "fork acls-1\n")
    tell(top / ".agentfs/ctl", "checkpoint one\n")
    for place in (top, MOUNT / "workspaces/acls-1"):
        (place / "above/below/new").touch()
        (place / "above/below/new").unlink()
        expect_eq(run(["sh", "-c", "getfacl -cpR above/below"], cwd=place), before, f"in {place}")
    shutil.rmtree(top / "above/below")
    tell(top / ".agentfs/ctl", "restore above/below\n")
    (top / "above/below/new").unlink()
    expect_eq(run(["sh", "-c", "getfacl -cpR above/below"], cwd=top), before, "what was restored")


def what_is_new_in_ones_own_import_is_in_its_diff():
    host = pathlib.Path(MOUNT.state).parent / "diff-host"
    host.mkdir()
    (host / "h").write_text("h\n")
    tell(MOUNT / "sys/workspaces/ctl", f"import {host} as taken\n")
    os.chown(MOUNT / "workspaces/taken", OTHER, OTHER)
    as_other("echo mine > workspaces/taken/mine", code=0)
    expect_has(as_other("cat workspaces/taken/.agentfs/diff", code=0), "+mine")
    shutil.rmtree(MOUNT / "workspaces/taken")


def attributes_come_back_to_who_may_not_write_the_file():
    as_other("cd workspaces/theirs && mkdir d && setfacl -d -m u:1000:rwx d && echo hi > d/i && "
             "setfattr -n user.k -v 1 d/i && setfattr -n user.k -v 2 d && setfacl -m u:1001:r d/i && chmod 400 d/i && "
             "chmod 500 d && chmod 700 d && rm -rf d && echo restore d > .agentfs/ctl", code=0)
    expect_eq([os.getxattr(MOUNT / "workspaces/theirs" / name, "user.k") for name in ("d/i", "d")], [b"1", b"2"])
    expect_eq(os.stat(MOUNT / "workspaces/theirs/d/i").st_mode & 0o700, 0o400)
    as_other("rm -rf workspaces/theirs/d", code=0)


def what_binds_a_workspace_is_not_its_owners_to_lift():
    limits = MOUNT / "workspaces/theirs/.agentfs/limits"
    tell(limits, "bytes=1M\n")
    said = as_other(f"echo unlimited >{limits.relative_to(MOUNT.mnt)}; tail -n 1 proc/self/errors")
    expect_has(said, "for root or the mount's owner to set", "a limit of root's")
    tell(limits, "unlimited\n")


def who_owns_a_directory_has_its_ctl():
    """All that it does with the directory; what the host's own directories are asked is not theirs."""
    top = "workspaces/mine"
    os.mkdir(MOUNT / top)
    os.chown(MOUNT / top, OTHER, OTHER)
    for place in (top, f"{top}/sub", f"home/{HOME}"):
        as_other(f"mkdir -p {place} && echo one >{place}/file && stat {place}/.agentfs/ctl", code=0)
        control = as_other(f"stat -Lc '%u %g %a' {place}/.agentfs/ctl", code=0)
        expect_eq(control, f"{OTHER} {OTHER} 644\n", f"{place}: whose its ctl is")
    for line in ("echo checkpoint was", "echo two >{}/file; rm {}/sub/file; echo rollback was",
                 "rm {}/sub/file; echo restore sub/file", "echo fork mine-1",
                 "echo three >workspaces/mine-1/file; echo merge mine-1", "echo discard mine-1",
                 "echo drop sub/file"):
        as_other(f"{line.replace('{}', top)} >{top}/.agentfs/ctl", code=0)
    expect_eq(read(MOUNT / top / "file"), "three\n", "what was merged")
    expect_eq(read(MOUNT / top / "sub/file"), "one\n", "what was restored")
    rows = read(MOUNT / top / ".agentfs/events.jsonl").splitlines()
    merge = next(row for row in rows if '"op":"merge"' in row)
    expect_has(merge, f'"user":"user{OTHER}"', "whose merge it was")
    for place in ("workspaces/public", "workspaces/team"):
        said = as_other(f"echo checkpoint theirs >{place}/.agentfs/ctl")
        expect_has(said, "Permission denied", f"the ctl of root's {place}")
    for name in ("daemon", "user4711"):
        said = as_other(f"echo fork {name} >home/{HOME}/.agentfs/ctl; tail -n 1 proc/self/errors")
        expect_has(said, f"one such as {HOME}-2 would do", "a fork of a home")
    as_other(f"echo fork {HOME}-2 >home/{HOME}/.agentfs/ctl && cat home/{HOME}-2/file", code=0)
    host = PLACE / "host"
    host.mkdir()
    (host / "file").write_text("the host's\n")
    os.chown(host, OTHER, OTHER)
    tell(MOUNT / "sys/workspaces/ctl", f"import {host} as brought\n")
    expect_eq(os.stat(MOUNT / "workspaces/brought").st_uid, OTHER, "the owner of what was imported")
    said = as_other("echo x >workspaces/brought/file2; echo commit >workspaces/brought/.agentfs/ctl;"
                    "tail -n 1 proc/self/errors")
    expect_has(said, "who mounted it may", "a commit by who has the workspace")
    expect(not (host / "file2").exists(), "a commit into the host by another user")


# Opens a file, begins to write, and has its starter go on by the descriptor.
HANDED_ON = """
import array, os, socket, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, sys.argv[2].encode())
channel = socket.socket(fileno=int(sys.argv[3]))
channel.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
channel.recv(1)
"""


def what_another_has_opened_acts_with_nobodys_rights_but_theirs():
    """As a program with set-user-id is given it for its standard error."""
    top = "workspaces/handed"
    os.mkdir(MOUNT / top)
    os.chown(MOUNT / top, OTHER, OTHER)
    os.chmod(MOUNT / top, 0o755)
    tell(MOUNT / top / ".agentfs/limits", "bytes=20M\n")
    cases = ((f"{top}/.agentfs/limits", "bytes=1T # "), (f"{top}/.agentfs/ctl", "checkpoint handed "),
             ("dev/local/exec", "id -u >/tmp/handed # "), ("proc/clone", "name=handed # "))
    for path, begun in cases:
        ours, theirs = socket.socketpair()
        words = [*AS_OTHER, sys.executable, "-c", HANDED_ON, MOUNT / path, begun, theirs.fileno()]
        with subprocess.Popen([*map(str, words)], pass_fds=[theirs.fileno()]), ours:
            theirs.close()
            _, passed, _, _ = socket.recv_fds(ours, 1, 1)
            expect_errno("EPERM", os.write, passed[0], b"Password: \n")
            os.close(passed[0])  # by another than who has opened it
        expect_has(read(MOUNT / "proc/self/errors").splitlines()[-1],
                   f"opened by uid {OTHER}, written by uid 0; who writes opens it", path)
    expect_has(read(MOUNT / top / ".agentfs/limits"), "20", "a limit of root's")
    expect("handed" not in read(MOUNT / "proc/_all.jsonl"), "a process of root's")
    expect(not os.listdir(MOUNT / top / ".agentfs/snapshots"), "a checkpoint")
    # A redirection, which is what a descriptor is passed on for, goes on in files of bytes.
    as_other(f"echo begun > {top}/file && exec 3>>{top}/file && echo by >&3", code=0)
    file = os.open(MOUNT / top / "file", os.O_WRONLY | os.O_APPEND)
    run([*AS_OTHER, "sh", "-c", f"echo other >&{file}"], pass_fds=[file])
    os.close(file)
    expect_eq(read(MOUNT / top / "file"), "begun\nby\nother\n")


def homes_that_come_are_listed_and_counted():
    """Whoever lists /home before knows of one that is made at its user's first step."""
    newcomer = OTHER + 7
    tell(MOUNT / f"sys/users/{newcomer}/limits", "inodes=100\n")
    before = set(os.listdir(MOUNT / "home"))
    run([*as_user(newcomer), "touch", "tmp/by-newcomer"], cwd=MOUNT.mnt)
    wait_until(10, lambda: len(set(os.listdir(MOUNT / "home")) - before) == 1, "the home in a listing")
    usage = MOUNT / f"sys/users/{newcomer}/usage"
    wait_until(10, lambda: "inodes\t2\n" in read(usage), "the home and the file in usage")


def acls_hold_as_on_a_disk():
    """Entries that allow, entries that refuse, masks, and what directories give on."""
    said = {}
    for name, place in {"the mount": MOUNT / "workspaces/public/acl", "a disk": PLACE / "acl"}.items():
        place.mkdir(mode=0o755)
        for part, mode in (("closed", 0o700), ("open", 0o755)):
            (place / part).mkdir(mode=mode)
            (place / part / "file").write_text("what is told\n")
            (place / part / "file").chmod(mode & 0o666)
        told = []
        for line in (f"setfacl -m u:{OTHER}:rx closed; setfacl -m u:{OTHER}:r closed/file",
                     f"setfacl -m u:{OTHER}:--- open/file",
                     f"setfacl -m g:{GROUP}:rwx -m u:{OTHER}:rwx -m m:rx open",
                     "setfacl -m m:rwx open", f"setfacl -d -m g:{GROUP}:rwx -m u::rwx -m o:- open",
                     "setfacl -b closed", "chmod 700 open"):
            run(["sh", "-c", line], cwd=place)
            told.append(f"# {line}\n" + run([*AS_OTHER, "sh", "-c", f"cd {place}; umask 077; "
                        "cat closed/file; cat open/file; echo x >>open/file; : >open/new$$ && "
                        "rm open/new$$; umask 022; rm -rf open/made; mkdir open/made && "
                        "touch open/made/file && stat -c %a open/made open/made/file; "
                        "getfacl -cpR . | cat"], code=None).replace(str(place), "."))
        said[name] = re.sub(r"new\d+", "new", "".join(told))
    expect_eq(said["the mount"], said["a disk"], "what another user may where there are ACLs")
    expect_has(said["a disk"], "what is told", "what an ACL lets read")
    file = MOUNT / "workspaces/public/acl/open/new-file"
    file.touch()
    os.setxattr(file, "trusted.a", b"1")
    os.setxattr(file, "user.b", b"1")
    listed = as_other(f"{sys.executable} -c 'import os; print(os.listxattr(\"{file}\"))'")
    expect("trusted.a" in os.listxattr(file) and "trusted" not in listed, f"listed: {listed}")


def with_capabilities(names, *words, **more):
    """What a program of the other user says that has capabilities, as by setcap(8) or systemd."""
    have = ",".join(f"+{name}" for name in names)
    return run(["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", f"--inh-caps={have}",
                f"--ambient-caps={have}", *words], **{"code": None, **more})


def capabilities_open_what_they_open_on_a_disk():
    for place in (MOUNT / "workspaces/capable", PLACE / "capable"):
        (place / "closed/deep").mkdir(parents=True)
        (place / "closed/deep/file").write_text("roots\n")
        for one in ("closed/deep/file", "closed/deep", "closed"):
            (place / one).chmod(0o700)
        path = f"{place}/closed/deep/file"
        expect_eq(with_capabilities(["dac_read_search"], "cat", path), "roots\n")
        expect_eq(with_capabilities(["dac_read_search"], "ls", f"{place}/closed"), "deep\n")
        expect_has(with_capabilities(["dac_read_search"], "sh", "-c", f"echo x >{path}", code=2), "Permission denied")
        expect_eq(read(path), "roots\n")
        with_capabilities(["dac_override"], "sh", "-c", f"echo theirs >{path}", code=0)
        with_capabilities(["dac_override"], "mkdir", f"{place}/closed/new", code=0)
        expect_eq(read(path), "theirs\n")
        expect_has(with_capabilities(["dac_override"], "chmod", "644", path, code=1), "not permitted")
        with_capabilities(["dac_override", "fowner"], "chmod", "644", path, code=0)
        with_capabilities(["dac_override", "chown"], "chown", f"{OTHER}", path, code=0)
        expect_eq((os.stat(path).st_uid, os.stat(path).st_mode & 0o7777), (OTHER, 0o644))
        expect_eq(os.stat(f"{place}/closed/new").st_uid, OTHER)
        expect_has(as_other(f"cat {path}", code=1), "Permission denied")


def replies_are_their_own():
    """Also those that another user of one login session has asked for."""
    reply = MOUNT / "dev/local/exec"
    tell(reply, "echo rootsecret\n")
    expect("rootsecret" not in as_other("cat dev/local/exec"), "root's reply")
    expect_has(read(reply), "rootsecret", "root's own")
    tell(MOUNT / "proc/clone", "name=by-root\n")
    as_other("echo name=by-other > proc/clone")
    expect_eq(MOUNT.get(read(MOUNT / "proc/clone").strip(), "name"), "by-root\n")


def what_processes_say_is_their_owners():
    pid = MOUNT.spawn("name=rootish")
    for path in (f"proc/{pid}/chat", f"proc/{pid}/status", f"proc/{pid}/messages/_all.jsonl",
                 "sys/journal/segments/000000000001.jsonl"):
        expect_has(as_other(f"cat {path}"), "Permission denied", path)
    expect_has(as_other("ls sys/journal/segments"), "Permission denied", "the journal")
    expect_has(as_other("echo hello >dev/llm/default/chat"), "ermission denied", "root's model")
    expect("rootish" not in as_other("cat proc/_all.jsonl"), "root's process is told of")
    expect_has(read(MOUNT / "proc/_all.jsonl"), "rootish", "root's own list")
    own = as_other("exec 9<>proc/clone; echo name=own >&9; cat <&9").strip()
    as_other(f"echo text >proc/{own}/context.d/own.md && cat proc/{own}/chat proc/self/status "
             f"&& echo kill >proc/{own}/ctl", code=0)
    expect_eq(MOUNT.state_of(own), "dead", "their own process, killed by them")
    expect_eq(os.stat(MOUNT.proc(own, "status")).st_uid, OTHER, "the owner of its files")
    MOUNT.verify()
    MOUNT.umount()


def an_acl_of_a_member_leaves_the_set_group_id_bit():
    """Who is in the file's group by a supplementary one alone sets an ACL, as on the disk."""
    team = MOUNT / "workspaces/team"
    seen = []
    for place in (team, PLACE / "test/acl"):
        place.mkdir(exist_ok=True)
        for name, mode in (("shared", 0o2770), ("file", 0o2775)):
            path = place / name
            path.mkdir() if name == "shared" else path.write_text("")
            os.chown(path, OTHER, GROUP)
            path.chmod(mode)
        place.chmod(0o2775)
        told = [run([*AS_OTHER, "setfacl", "-m", "u:51501:rwx", str(place / name)], code=None)
                for name in ("shared", "file")]
        seen.append([f"{os.stat(place / name).st_mode & 0o7777:04o}" for name in ("shared", "file")] + told)
    expect_eq(seen[0][:2], seen[1][:2], f"modes: {seen}")
    expect_eq(seen[0][:2], ["2770", "2775"])


enter()
MOUNT = Mount.of("others")
main(setup, a_restore_is_the_owners_and_leaves_nothing_where_it_is_refused, nobody_takes_all_open_files, changing_a_file_clears_set_id_bits_as_on_a_disk,
     commands_have_their_users_rights, agents_have_their_owners_rights,
     what_was_refused_shows_nobody_what_has_its_place_by_now,
     history_gives_nobody_more_to_read, rollbacks_leave_others_files_as_they_are,
     a_rollback_gives_no_right_back_that_another_has_taken_away, nothing_is_named_in_a_directory_that_another_has_closed,
     a_directory_of_ones_own_that_is_read_only_is_as_one_has_it,
     neither_a_rollback_nor_a_fork_gives_a_workspace_back_to_another, what_one_has_by_a_further_group_comes_back, what_has_a_group_of_others_comes_back_without_it,
     a_link_tells_nobody_what_lies_behind_it, merges_give_nobody_more_either,
     copies_have_the_acls_of_their_origin_alone, attributes_come_back_to_who_may_not_write_the_file,
     what_is_new_in_ones_own_import_is_in_its_diff,
     what_binds_a_workspace_is_not_its_owners_to_lift,
     who_owns_a_directory_has_its_ctl, what_another_has_opened_acts_with_nobodys_rights_but_theirs,
     homes_that_come_are_listed_and_counted, acls_hold_as_on_a_disk,
     capabilities_open_what_they_open_on_a_disk, replies_are_their_own,
     an_acl_of_a_member_leaves_the_set_group_id_bit, what_processes_say_is_their_owners)
