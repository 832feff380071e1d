#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What a kill cuts short of an import, a commit, a rebase or an uncommit is made whole, or was never begun."""
import errno
import os
import shutil
import signal
import subprocess
import time

from imports_lib import M, SPACES, ctl, end_daemon, make, mount_it, refused, rows_of, state_of, status, take
from mount_lib import expect, expect_eq, expect_has, kill, main, tell, wait_until


def kill_in(name, line, has_begun):
    """Ends the daemon with a kill once the command has begun; what follows it is there on return."""
    writing = subprocess.Popen(["sh", "-c", f"echo {line} > {SPACES / name}/.agentfs/ctl"], stderr=subprocess.DEVNULL)
    wait_until(20, lambda: writing.poll() is not None or has_begun(), f"{line} has begun")
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    writing.wait()
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")


def a_commit_that_a_kill_cut_short_is_ended_and_taken_back_whole():
    """Killed as the contents are written beside, as the first name has been changed, and the last."""
    files = [f"f{n}" for n in range(300)]
    for number in range(3):
        name = f"kill{number}"
        top = make(name)
        for file in files:
            (top / file).write_text(f"{file} before\n")
        before = state_of(top)
        space = take(top, name)
        for file in files:
            (space / file).write_text(f"{file} after\n")
        shutil.rmtree(space / "src/deep")
        (space / "src/deep").write_text("a file now\n")
        begun = (lambda: any(entry.name.startswith(".agentfs-") for entry in os.scandir(top)),
                 lambda: "after" in (top / "f0").read_text(), lambda: "after" in (top / "f99").read_text())
        kill_in(name, "commit", begun[number])
        expect(not [one for one in os.listdir(top) if one.startswith(".agentfs")], "left there")
        changed = {file for file in files if "after" in (top / file).read_text()}
        expect(changed in (set(), set(files)), f"{len(changed)} of 300 were written")
        if not changed:
            ctl(name, "commit")
        expect_eq({(top / file).read_text() for file in files}, {f"{file} after\n" for file in files})
        expect_eq(status(name), [])
        expect_eq(rows_of("tree.commit", name), {*files, "src/deep", "src/deep/data"})
        ctl(name, "uncommit")
        expect_eq({path: one[::2] for path, one in state_of(top).items()},
                  {path: one[::2] for path, one in before.items()}, "the directory after uncommit")
        refused("ENOENT", name, "uncommit")
    M.verify()


def an_uncommit_that_a_kill_cut_short_is_ended():
    top = make("unkilled")
    files = [f"f{n}" for n in range(300)]
    for file in files:
        (top / file).write_text(f"{file} before\n")
    space = take(top, "unkilled")
    for file in files:
        (space / file).write_text(f"{file} after\n")
    ctl("unkilled", "commit")
    kill_in("unkilled", "uncommit", lambda: "before" in (top / "f99").read_text())
    expect_eq({(top / file).read_text() for file in files}, {f"{file} before\n" for file in files})
    expect_eq(rows_of("tree.uncommit", "unkilled"), set(files))
    expect_eq(status("unkilled"), sorted(f"M\t{file}" for file in files))
    refused("ENOENT", "unkilled", "uncommit")


def what_was_changed_there_after_a_kill_is_nobodys_commit():
    """While no daemon runs: the order cannot be ended there, and nothing of it is written over."""
    top = make("meanwhile")
    root = "/workspaces/meanwhile"
    files = [f"f{n}" for n in range(300)]
    for file in files:
        (top / file).write_text(f"{file} before\n")
    space = take(top, "meanwhile")
    for file in files:
        (space / file).write_text(f"{file} after\n")
    writing = subprocess.Popen(["sh", "-c", f"echo commit > {space}/.agentfs/ctl"], stderr=subprocess.DEVNULL)
    wait_until(20, lambda: writing.poll() is not None or "after" in (top / "f10").read_text(), "the commit has begun")
    end_daemon()
    writing.wait()
    is_cut_short = any(M.state.glob("imports/*/mark"))
    (top / "f0").write_text("on top of it\n")
    written = {file for file in files if "after" in (top / file).read_text()}
    M.mount()
    expect_eq((top / "f0").read_text(), "on top of it\n")
    expect_eq({file for file in files if "after" in (top / file).read_text()}, written)
    expect_eq([line.split("\t")[1] for line in status("meanwhile") if line.startswith("!")], ["f0"])
    rows = [row for row in M.journal() if row["kind"] == "tree.commit" and row["data"]["path"].startswith(str(root))]
    told = {row["data"]["path"].removeprefix(f"{root}/") for row in rows if row["data"]["path"] != str(root)}
    expect_eq(told, written | {"f0"}, "what was written there, as the journal tells it")
    expect_eq({(tuple(row["by"]), row["user"]) for row in rows}, {((1,), "root")}, "who did it")
    unfinished = [row["data"]["unfinished"] for row in rows if row["data"]["path"] == str(root)]
    expect_eq(len(unfinished), int(is_cut_short), "rows that tell of a commit that was cut short")
    if is_cut_short:
        expect_has(unfinished[0], "f0")
        expect_has(unfinished[0], "nothing more was written")
        expect_has((space / ".agentfs/events.jsonl").read_text(), "unfinished")
    expect_has(refused("EBUSY", "meanwhile", "uncommit"), "f0")
    expect_eq({file for file in files if "after" in (top / file).read_text()}, written, "after a refused uncommit")
    expect_eq((top / "f0").read_text(), "on top of it\n")
    ctl("meanwhile", "rebase")
    expect_eq((space / "f0").read_text(), "on top of it\n", "what was changed there, after a rebase")
    ctl("meanwhile", "commit")
    expect_eq({file for file in files if "after" in (top / file).read_text()}, set(files) - {"f0"})
    expect_eq(status("meanwhile"), [])


def kill_in_a_rebase(name, delay):
    """A workspace of a directory where much was added, whose rebase is cut short."""
    top = make(name)
    space = take(top, name)
    (space / "main.c").write_text("ours\n")
    for n in range(1000):
        (top / f"added{n}").write_text(f"{n}\n")
    (top / "src/tool.sh").write_text("#!/bin/sh\necho other\n")
    (top / "lines").unlink()
    entries = max(M.state.glob("imports/*/entries"), key=lambda path: int(path.parent.name))
    size = entries.stat().st_size
    rebasing = subprocess.Popen(["sh", "-c", f"echo rebase > {space}/.agentfs/ctl"], stderr=subprocess.DEVNULL)
    wait_until(20, lambda: rebasing.poll() is not None or entries.stat().st_size > size, "the rebase has begun")
    time.sleep(delay)
    end_daemon()
    rebasing.wait()
    M.mount()
    return top, space


def a_kill_in_a_rebase_leaves_it_to_be_made_or_makes_it_whole():
    seen = set()
    for number, delay in enumerate((0, 0.02, 0.1, 0.3, 0.6, 0.8, 1, 1.4)):
        top, space = kill_in_a_rebase(f"rebase{number}", delay)
        lines = status(f"rebase{number}")
        drifted = {line.split("\t")[1] for line in lines if line.startswith("!")}
        wanted = {f"added{n}" for n in range(1000)} | {"src/tool.sh", "lines"}
        expect(drifted in (wanted, set()), f"{len(drifted)} of {len(wanted)} paths have changed there")
        expect_eq([line for line in lines if not line.startswith("!")], ["M\tmain.c"], f"after {delay} s")
        seen.add(bool(drifted))
        if drifted:
            ctl(f"rebase{number}", "rebase")
        ctl(f"rebase{number}", "commit")
        expect_eq(status(f"rebase{number}"), [])
        expect_eq((top / "main.c").read_text(), "ours\n")
        expect_eq((top / "src/tool.sh").read_text(), "#!/bin/sh\necho other\n")
        expect_eq({path: one[2] for path, one in state_of(space).items()},
                  {path: one[2] for path, one in state_of(top).items()}, f"after {delay} s")
        expect((top / "added999").exists() and not (top / "lines").exists(), "what was done there is undone")
    expect(True in seen, "no rebase was cut short")
    M.verify()


def a_kill_in_a_rollback_past_a_rebase_does_not_undo_what_was_done_there():
    """Wherever it is cut short: what the directory's owner has made stays, and comes back by rebase."""
    files = [f"f{n}" for n in range(300)]
    for number, delay in enumerate((0, 0.003, 0.01, 0.03)):
        name = f"unrolled{number}"
        top = make(name)
        for file in files:
            (top / file).write_text(f"{file} before\n")
        space = take(top, name)
        ctl(name, "checkpoint first")
        for file in files[:200]:
            (top / file).write_text(f"{file} theirs\n")
        ctl(name, "rebase")
        (space / "f299").write_text("ours\n")
        ctl(name, "commit")
        rolling = subprocess.Popen(["sh", "-c", f"echo rollback first > {space}/.agentfs/ctl"], stderr=subprocess.DEVNULL)
        time.sleep(delay)
        end_daemon()
        rolling.wait()
        M.mount()
        drifted = any(line.startswith("!") for line in status(name))
        try:
            tell(space / ".agentfs/ctl", "commit\n")
        except OSError as error:  # the directory was looked at, but the tree not taken back
            expect(drifted and error.errno == errno.EBUSY, f"a commit: {error}")
        theirs = {file for file in files if "theirs" in (top / file).read_text()}
        expect_eq(theirs, set(files[:200]), f"what the directory's owner has made, after {delay} s")
        if any(line.startswith("!") for line in status(name)):
            ctl(name, "rebase")
        expect_eq((space / "f0").read_text(), "f0 theirs\n")
        ctl(name, "commit")
        expect_eq(status(name), [])
    M.verify()


def a_kill_in_an_import_leaves_nothing_that_fsck_finds():
    top = make("cut-short")
    for n in range(500):
        (top / f"f{n}").write_text(f"{n}\n")
    imports = M.state / "imports"
    for number, delay in enumerate((0, 0, 0.001, 0.01, 0.03, 0.1)):
        before = os.listdir(imports)
        importing = subprocess.Popen(["sh", "-c", f"echo import {top} as cut{number} > {M.mnt}/sys/workspaces/ctl"],
                                     stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while len(os.listdir(imports)) == len(before) and time.monotonic() < deadline:
            pass
        time.sleep(delay)
        end_daemon()
        importing.wait()
        M.fsck()
        M.mount()
        if not (SPACES / f"cut{number}").exists():
            take(top, f"cut{number}")
        expect_eq(state_of(SPACES / f"cut{number}"), state_of(top), f"after {delay} s")
    M.umount()
    M.fsck()
    M.mount()


main(mount_it, a_commit_that_a_kill_cut_short_is_ended_and_taken_back_whole,
     an_uncommit_that_a_kill_cut_short_is_ended, what_was_changed_there_after_a_kill_is_nobodys_commit,
     a_kill_in_a_rebase_leaves_it_to_be_made_or_makes_it_whole,
     a_kill_in_a_rollback_past_a_rebase_does_not_undo_what_was_done_there,
     a_kill_in_an_import_leaves_nothing_that_fsck_finds)
