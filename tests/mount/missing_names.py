#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What is not there is asked for once, and found as soon as anything has made it."""
import os
import shutil
import threading

from lib import LIBC
from mount_lib import (EXCHANGE, TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has, fail, main,
                       need, read, renameat2, run, skip, tell, wait_until)

M = Mount.of("missing")
SPACES = M / "workspaces"
SITE = SPACES / "site"
HOST = TESTDIR / "missing-host"
NAMES = ("new.txt", "sub/new.txt", "fresh/deep/new.txt")  # in directories there are, and in none


def ask(top=SITE):
    """Each of the names and all on the way to them are asked for, and are not there."""
    for name in NAMES:
        parts = name.split("/")
        for count in range(1, len(parts) + 1):
            path = top / "/".join(parts[:count])
            if not path.exists():
                expect_errno("ENOENT", os.stat, path)


def expect_all(text, top=SITE):
    for name in NAMES:
        expect_eq(read(top / name), text, name)


def write_all(top, text):
    for name in NAMES:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)


def remove_all(top=SITE):
    (top / "new.txt").unlink()
    (top / "sub/new.txt").unlink()
    shutil.rmtree(top / "fresh")


def ctl(line, name="site"):
    return command(SPACES / name / ".agentfs/ctl", line)


def begin():
    if os.geteuid() != 0:
        skip("overlays are made by a daemon of root")
    M.mount()
    (SITE / "sub").mkdir(parents=True)
    (SITE / "sub/there").write_text("there\n")


def they_are_asked_for_once():
    ask()
    before = M.operations("lookup")
    for _ in range(100):
        ask()
        expect(not os.path.exists(SITE / "sub/none"), "sub/none is there")
    asked = M.operations("lookup") - before
    expect(asked < 50, f"{asked} lookups of what was known not to be there")


def what_is_made_through_the_mount_is_there():
    ask()
    write_all(SITE, "own\n")
    expect_all("own\n")
    remove_all()
    ask()
    (SITE / "a").write_text("a\n")
    expect_errno("ENOENT", os.stat, SITE / "b")
    os.rename(SITE / "a", SITE / "b")
    expect_eq(read(SITE / "b"), "a\n")
    expect_errno("ENOENT", os.stat, SITE / "c")
    os.link(SITE / "b", SITE / "c")
    expect_eq(read(SITE / "c"), "a\n")
    expect_errno("ENOENT", os.stat, SITE / "d")
    unnamed = os.open(SITE, os.O_TMPFILE | os.O_WRONLY)
    os.write(unnamed, b"d\n")
    expect_eq(LIBC.linkat(-100, f"/proc/self/fd/{unnamed}".encode(), -100, os.fsencode(SITE / "d"), 0x400), 0,
              "linkat(AT_SYMLINK_FOLLOW)")
    os.close(unnamed)
    expect_eq(read(SITE / "d"), "d\n")
    for name in "bcd":
        (SITE / name).unlink()


def forks_and_workspaces_are_there():
    for path in (SPACES / "try", M / "home/nobody-yet", SPACES / "own"):
        expect_errno("ENOENT", os.stat, path)
    ctl("fork try")
    expect((SPACES / "try/sub/there").exists(), "the fork")
    (SPACES / "own").mkdir()
    expect((SPACES / "own").is_dir(), "the workspace")


def what_a_merge_brings_is_there():
    write_all(SPACES / "try", "theirs\n")
    ask()
    ctl("merge try")
    expect_all("theirs\n")
    remove_all()


def what_a_restore_brings_is_there():
    ask()
    for name in ("new.txt", "sub/new.txt", "fresh"):
        ctl(f"restore {name}")
    expect_all("theirs\n")


def what_a_rollback_brings_is_there():
    ctl("checkpoint full")
    remove_all()
    ask()
    before = os.open(SITE / "sub", os.O_PATH)
    expect_errno("ENOENT", os.stat, "new.txt", dir_fd=before)
    ctl("rollback full")
    expect_all("theirs\n")
    expect(os.stat("new.txt", dir_fd=before), "by the directory of before")
    os.close(before)
    remove_all()


def what_a_command_on_an_overlay_makes_is_there():
    own = SPACES / "own"
    (own / "sub").mkdir()
    (M / "etc/devices/local.toml").write_text('fs = "fast"\n')
    ask(own)
    os.chdir(own)
    try:
        reply = command(M / "dev/local/exec",
                        f"mkdir -p fresh/deep && for n in {' '.join(NAMES)}; do echo fast > $n; done")
    finally:
        os.chdir("/")
    expect_has(reply, "# fs=fast folded", "the reply")
    expect_all("fast\n", own)


def what_an_agent_writes_is_there():
    ask()
    M.script_model("writes", {"name": "writes", "tasks": [{"match": "*", "after": "Done.", "steps": [
        {"text": "Next.", "calls": [{"name": "write", "arguments": {"path": name, "text": "agent\n"}}]}
        for name in NAMES]}]})
    pid = M.spawn("name=writes model=writes workspace=site")
    tell(M.proc(pid, "chat"), "go\n")
    M.wait(pid)
    expect_all("agent\n")
    remove_all()


def what_happens_in_an_imported_directory_is_there():
    (HOST / "sub").mkdir(parents=True)
    (HOST / "sub/there").write_text("there\n")
    command(M / "sys/workspaces/ctl", f"import {HOST} as site2")
    ask(SPACES / "site2")
    write_all(HOST, "host\n")
    ask(SPACES / "site2")
    ctl("rebase", "site2")
    expect_all("host\n", SPACES / "site2")
    remove_all(HOST)
    ctl("rebase", "site2")
    ask(SPACES / "site2")
    write_all(SPACES / "site2", "ours\n")
    ctl("commit", "site2")
    expect_all("ours\n", HOST)
    ask(SITE)


def what_ends_a_conflict_is_there():
    for name, text in (("site", None), ("try", "theirs\n")):
        path = SPACES / name / "sub/there"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    expect_errno("EBUSY", ctl, "merge try")
    ctl("merge try partial")
    expect_errno("ENOENT", os.stat, SITE / "sub/there")
    (number,) = [name for name in os.listdir(SITE / ".agentfs/conflicts") if name.isdigit()]
    ctl(f"resolve {number} theirs")
    expect_eq(read(SITE / "sub/there"), "theirs\n")


def what_the_daemon_makes_in_a_repository_is_there():
    need("git")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", SITE]
    run([*git, "init", "-q"])
    run([*git, "add", "-A"])
    run([*git, "commit", "-qm", "one"])
    run([*git, "config", "core.logAllRefUpdates", "always"])
    shutil.rmtree(SITE / ".git/logs")
    above = ("agentfs", "agentfs/checkpoints", "agentfs/checkpoints/committed")
    made = [SITE / f".git/{top}/{name}" for top in ("refs", "logs/refs") for name in above]
    made += [SITE / f".git/objects/{number:02x}" for number in range(256)]
    before = [path for path in made if path.exists()]
    (SITE / "later").write_text("later\n")
    ctl("checkpoint committed")
    wait_until(30, lambda: "checkpoints/committed" in run([*git, "for-each-ref"]), "the commit of a checkpoint")
    expect((SITE / ".git/refs/agentfs/checkpoints/committed").is_file(), "the reference")
    expect([path for path in made if path.exists()] > before, "no directory of objects is to be seen")
    listed = {path for path in (SITE / ".git").rglob("*") if path in made}
    expect_eq({path for path in made if path.exists()}, listed, "what is there by name, and listed")
    run([*git, "fsck", "--strict"])


def what_it_makes_in_a_renamed_repository_is_there():
    """The mount has known it as a directory like any other, and so has the host's kernel."""
    need("git")
    for way in ("renamed", "exchanged"):
        top = SPACES / way
        (top / ".git").mkdir(parents=True)
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", top]
        run(["git", "init", "-q", "--bare", top / "store"])
        run(["git", "--git-dir", top / "store", "config", "core.bare", "false"])
        made = [f"objects/{number:02x}" for number in range(256)]
        made += ["refs/agentfs", "refs/agentfs/checkpoints", "refs/agentfs/checkpoints/one"]
        for name in made:
            expect_errno("ENOENT", os.stat, top / "store" / name)
        for at, _, _ in os.walk(top / "store"):
            os.listdir(at)
        if way == "renamed":
            (top / ".git").rmdir()
            (top / "store").rename(top / ".git")
        else:
            renameat2(top / "store", top / ".git", EXCHANGE)
        (top / "file").write_text(f"{way}\n")
        run([*git, "add", "file"])
        run([*git, "commit", "-qm", "one"])
        (top / "file").write_text(f"{way} and more\n")
        ctl("checkpoint one", way)
        wait_until(30, lambda: "refs/agentfs/checkpoints/one" in run([*git, "for-each-ref"]),  # pylint: disable=cell-var-from-loop
                   f"the commit in a repository that was {way}")
        listed = {str(path.relative_to(top / ".git")) for path in (top / ".git").rglob("*")} & set(made)
        expect_eq({name for name in made if (top / ".git" / name).exists()}, listed, f"{way}: by name, and listed")
        run([*git, "gc", "-q", "--prune=now"])
        run([*git, "fsck", "--strict"])
        expect_has(run([*git, "log", "--oneline", "refs/agentfs/checkpoints/one"]), "checkpoint one", "its commits")


def nobody_misses_what_came_meanwhile():
    """Others ask for the names the whole time; each is found when the merge has answered."""
    ended = threading.Event()
    wrong = []

    def look():
        while not ended.is_set():
            for number in range(20):
                for path in (SITE / f"race/{number}", SITE / f"r{number}"):
                    if os.path.exists(path) and not os.path.lexists(path):
                        wrong.append(str(path))

    threads = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    for one in threads:
        one.start()
    ctl("fork racer")
    racer = SPACES / "racer"
    for number in range(20):
        (racer / "race").mkdir(exist_ok=True)
        (racer / f"race/{number}").write_text("x")
        (racer / f"r{number}").write_text("x")
        ctl("merge racer")
        for path in (SITE / f"race/{number}", SITE / f"r{number}"):
            if not path.exists():
                fail(f"{path}: is not there, and the merge that brings it has answered")
    ended.set()
    for one in threads:
        one.join()


def end():
    M.verify()
    M.umount()


main(begin, they_are_asked_for_once, what_is_made_through_the_mount_is_there, forks_and_workspaces_are_there,
     what_a_merge_brings_is_there, what_a_restore_brings_is_there, what_a_rollback_brings_is_there,
     what_a_command_on_an_overlay_makes_is_there, what_an_agent_writes_is_there,
     what_happens_in_an_imported_directory_is_there, what_ends_a_conflict_is_there,
     what_the_daemon_makes_in_a_repository_is_there, what_it_makes_in_a_renamed_repository_is_there,
     nobody_misses_what_came_meanwhile, end)
