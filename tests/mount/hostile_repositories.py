#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Workspaces whose .git was made to do harm: the turn's commit stays inside, and ends."""
from mount_lib import (TESTDIR, Mount, committers, expect, expect_eq, expect_has, is_confined, main,
                       name_of, need, read, run, tell, wait_until, within)

mount = None
OUTSIDE = TESTDIR / "outside"
IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b"]


def start(workspace, line):
    """An agent that runs one command line in the workspace."""
    (mount / "workspaces" / workspace).mkdir(exist_ok=True)
    mount.script_model(workspace, {"name": workspace, "tasks": [{"match": "*", "after": "Done.",
        "steps": [{"text": "I run.", "calls": [{"name": "exec", "arguments": {"command": line}}]}]
    }]})
    pid = mount.spawn(f"name={workspace} model={workspace} workspace={workspace}")
    tell(mount.proc(pid, "chat"), "work\n")
    return pid


def finish(pid, seconds=20):
    expect_has(mount.wait(pid, seconds), "Done.", f"the answer of {pid}")
    return mount.get(pid, "errors")


def outside():
    return run(["find", OUTSIDE, "-printf", "%p %s %l\n"]).splitlines()


def setup():
    global mount
    need("git", "bwrap")
    mount = Mount.of("hostile")
    mount.mount()
    run(["git", "init", "-q", OUTSIDE])
    (OUTSIDE / "taken").mkdir()
    (OUTSIDE / "file").write_text("text\n", encoding="utf-8")
    run(["git", "-C", OUTSIDE, "add", "file"])
    run(["git", "-C", OUTSIDE, *IDENTITY, "commit", "-q", "-m", "first"])


def leads_out():
    """A link, a gitdir: file, and links inside of .git, all to the host's directories."""
    taken = OUTSIDE / "taken"
    ways = {"link": f"ln -s {OUTSIDE}/.git .git",
            "file": f"echo gitdir: {OUTSIDE}/.git >.git",
            "refs": f"git init -q . && ln -s {taken} .git/refs/agentfs",
            "objects": f"git init -q . && rm -rf .git/objects && ln -s {taken} .git/objects"}
    before = outside()
    for workspace, way in ways.items():
        errors = finish(start(workspace, f"{way} && echo e >ee"))
        expect_eq(errors, "", f"errors of {workspace}")
        history = mount.state / "git" / f"{workspace}.git"
        names = run(["git", "--git-dir", history, "log", "--all", "--name-only", "--format="])
        expect_has(names, "ee", f"the history of {workspace}")
    expect_eq(outside(), before, "the host's repository")


def waits_for_nobody():
    """Four agents put a FIFO there at once; a fifth is served."""
    parts = ("config", "HEAD", "packed-refs", "index")
    line = "git init -q . && rm -f .git/{0} && mkfifo .git/{0} && echo e >ee"
    agents = {part: start(f"fifo{number}", line.format(part))
              for number, part in enumerate(parts)}
    for part, pid in agents.items():
        expect_has(finish(pid), f".git/{part} is not a plain file", f"errors beside {part}")
    expect_eq(finish(start("fine", "echo e >ee")), "", "errors of the fifth")


def memory(field):
    for line in read(f"/proc/{mount.daemon()}/status").splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0


def sizes():
    """Rules and settings of 2 GiB, and a file of 100, cost the daemon nothing."""
    before = memory("VmHWM")
    errors = finish(start("rules", "truncate -s 2G .gitignore && echo e >ee"), 60)
    expect_has(errors, ".gitignore is too large (2147483648 bytes)", "errors")
    line = "git init -q . && truncate -s 2G .git/config && echo e >ee"
    errors = finish(start("settings", line), 60)
    expect_has(errors, ".git/config is too large", "errors")
    expect_eq(finish(start("data", "truncate -s 100G data && echo e >ee"), 60), "", "errors")
    names = run(["git", "--git-dir", mount.state / "git/data.git", "log", "--all", "--name-only",
                 "--format="])
    expect_eq(names.split(), ["ee"], "what is recorded of it")
    grown = memory("VmHWM") - before
    expect(grown < 100 << 10, f"the daemon's memory grew by {grown} KiB")


def at_work():
    return [pid for pid in committers(mount.daemon()) if is_confined(pid)]


def ends_while_it_waits():
    """A FIFO that nobody looks for: umount ends the commit that waits for it."""
    line = "git init -q -b main . && mkfifo .git/refs/heads/main && echo e >ee"
    start("late", line)
    wait_until(20, at_work, "a commit that waits")
    pid = at_work()[0]
    within(20, mount.umount, "umount")
    wait_until(10, lambda: name_of(pid) != "agentfs-commit", "the end of the commit")
    mount.fsck()
    mount.mount()
    expect_eq(finish(start("later", "echo e >ee")), "", "errors after it")
    mount.umount()


main(setup, leads_out, waits_for_nobody, sizes, ends_while_it_waits)
