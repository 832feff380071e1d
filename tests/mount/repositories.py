#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""/src/repos: bare repositories, made, cloned, pushed to and cleaned up by plain git."""
import os
import shutil
import subprocess

from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has, main, need,
                       read, run)

M = Mount.of("repositories")
REPOS = M / "src/repos"
IDENTITY = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0"]
PUSHERS = 8


def git(place, *words, **more):
    return run(["git", *IDENTITY, "-C", place, *words], **more)


def commit(clone, name, text):
    (clone / name).write_text(text, encoding="utf-8")
    git(clone, "add", name)
    git(clone, "commit", "-q", "-m", name)


def setup():
    need("git")
    M.mount()
    expect_has("\n".join(os.listdir(M.mnt)), "src", "the root")
    expect_eq(sorted(os.listdir(M / "src")), ["README", "repos"], "/src")
    expect_has(read(M / "src/README"), "repos/", "the text of /src")


def clone_and_push():
    run(["git", "init", "-q", "--bare", "-b", "main", REPOS / "site.git"])
    run(["git", "clone", "-q", REPOS / "site.git", TESTDIR / "outside"], code=None)
    outside = TESTDIR / "outside"
    commit(outside, "a", "1\n")
    git(outside, "push", "-q", "origin", "HEAD:main")
    run(["git", "clone", "-q", REPOS / "site.git", M / "workspaces/inside"])
    inside = M / "workspaces/inside"
    expect_eq(read(inside / "a"), "1\n", "what was pushed")
    commit(inside, "b", "2\n")
    git(inside, "tag", "-a", "v1", "-m", "one")
    git(inside, "push", "-q", "--follow-tags", "origin", "HEAD:main")
    git(outside, "pull", "-q", "--tags", "origin", "main")
    expect_eq(read(outside / "b"), "2\n", "what was pulled")
    expect_eq(git(outside, "describe").strip(), "v1", "the tag")


def a_push_that_is_behind_is_refused():
    behind = TESTDIR / "behind"
    run(["git", "clone", "-q", REPOS / "site.git", behind])
    git(behind, "reset", "-q", "--hard", "HEAD^")
    commit(behind, "c", "3\n")
    before = git(REPOS / "site.git", "rev-parse", "main")
    git(behind, "push", "-q", "origin", "HEAD:main", code=1)
    expect_eq(git(REPOS / "site.git", "rev-parse", "main"), before, "main")


def many_push_at_once():
    """Each its own branch: all succeed. All one branch: one does, and nothing is torn."""
    clones = []
    for number in range(PUSHERS):
        clone = TESTDIR / f"clone-{number}"
        run(["git", "clone", "-q", REPOS / "site.git", clone])
        commit(clone, f"n{number}", f"{number}\n" * 1000)
        clones.append(clone)
    for shared in (False, True):
        started = [subprocess.Popen(["git", *IDENTITY, "push", "-q", "origin",
                                     f"HEAD:{'shared' if shared else f'b{number}'}"],
                                    cwd=clone, stderr=subprocess.PIPE)
                   for number, clone in enumerate(clones)]
        ended = [(each.communicate(timeout=60), each.returncode)[1] for each in started]
        expect_eq(sum(code == 0 for code in ended), 1 if shared else PUSHERS,
                  f"pushes that succeeded ({ended})")
    site = REPOS / "site.git"
    for number, clone in enumerate(clones):
        expect_eq(git(site, "rev-parse", f"b{number}"), git(clone, "rev-parse", "HEAD"),
                  f"branch {number}")
    expect_eq(git(site, "fsck", "--strict", "--no-dangling"), "", "git fsck")


def gc_and_the_disk():
    site = REPOS / "site.git"
    git(site, "gc", "-q", "--prune=now")
    expect_eq(git(site, "fsck", "--strict", "--no-dangling"), "", "git fsck")
    plain = M.state / "trees/src/repos/site.git"
    expect_eq(git(plain, "for-each-ref"), git(site, "for-each-ref"), "refs on the disk")


def hooks_are_the_pushers():
    """Git runs them, as whoever pushes; the daemon runs nothing."""
    hook = REPOS / "site.git/hooks/post-receive"
    hook.write_text(f"#!/bin/sh\necho $PPID >{TESTDIR}/hook\n", encoding="utf-8")
    hook.chmod(0o755)
    clone = TESTDIR / "outside"
    commit(clone, "hook", "1\n")
    git(clone, "push", "-q", "origin", "HEAD:hooked")
    first = read(TESTDIR / "hook")
    # A commit of the daemon's in a workspace runs none.
    (M / "workspaces/inside/.git/hooks/post-commit").write_text(
        f"#!/bin/sh\necho daemon >{TESTDIR}/hook\n", encoding="utf-8")
    (M / "workspaces/inside/.git/hooks/post-commit").chmod(0o755)
    (M / "workspaces/inside/a").write_text("2\n", encoding="utf-8")
    (M / "workspaces/inside/.agentfs/ctl").write_text("checkpoint one\n", encoding="utf-8")
    git(M / "workspaces/inside", "push", "-q", "origin", "main")
    hook.unlink()
    expect(first.strip().isdigit(), f"the hook: {first!r}")
    expect(read(TESTDIR / "hook") != "daemon\n", "the daemon ran a hook")


def no_history_beside_its_own():
    site = REPOS / "site.git"
    expect(not (site / ".agentfs").exists(), ".agentfs: is there")
    expect_errno("ENOENT", os.listdir, REPOS / ".agentfs")
    past = sum(len(files) for _, _, files in os.walk(M.state / "past"))
    git(site, "branch", "-D", "b0")
    (site / "description").write_text("changed\n", encoding="utf-8")
    expect_eq(sum(len(files) for _, _, files in os.walk(M.state / "past")), past, "contents kept")
    moved = [row for row in M.journal() if row["kind"] == "tree.rename"
             and row["data"].get("other") == "/src/repos/site.git/refs/heads/main"]
    expect(moved and moved[0]["by"] and moved[0]["command"].startswith("git"), "no row of the first push")


def names():
    os.rename(REPOS / "site.git", REPOS / "web.git")
    expect_eq(os.listdir(REPOS), ["web.git"], "after a rename")
    run(["git", "clone", "-q", REPOS / "web.git", TESTDIR / "again"])
    expect_errno("EXDEV", os.rename, REPOS / "web.git", M / "workspaces/web.git")
    expect_errno("EPERM", os.mkdir, M / "src/more")
    # A mount of its own where it is on io_uring, which the host's kernel keeps.
    expect_errno("EBUSY" if os.path.ismount(REPOS) else "EPERM", os.rmdir, REPOS)
    M.script_model("pusher", {"tasks": [{"match": "*", "after": "Done.", "steps": [
        {"text": "", "calls": [
            {"name": "read", "arguments": {"path": "/src/repos/web.git/HEAD"}},
            {"name": "write", "arguments": {"path": "/src/repos/web.git/HEAD", "text": "x"}}]},
        {"text": "Done."}]}]})
    agent = M.spawn("name=pusher model=pusher")
    M.proc(agent, "chat").write_text("go\n", encoding="utf-8")
    expect_has(M.wait(agent), "Done.", "the agent")
    expect_has(M.get(agent, "calls/1/result"), "ref: refs/heads/main", "what an agent reads")
    expect_has(M.get(agent, "calls/2/result"), "not this agent's to change", "what it writes")


def a_rollback_waits_for_a_gc():
    """What git would remove after it has packed it would go from the tree that is back."""
    top = M / "workspaces/packed"
    run(["git", "init", "-q", top])
    commit(top, "a", "1\n")
    control = top / ".agentfs/ctl"
    command(control, "checkpoint before")
    for prefix in ([], ["unshare", "--pid", "--fork", "--kill-child"]):
        # A git that waits, in the place of one that packs.
        packing = subprocess.Popen([*prefix, "git", "-C", top, "cat-file", "--batch"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        packing.stdin.write(b"HEAD\n")
        packing.stdin.flush()
        packing.stdout.readline()  # it runs
        (top / ".git/gc.pid").write_text(f"{1 if prefix else packing.pid} {os.uname().nodename}")
        expect_errno("EBUSY", command, control, "rollback before")
        expect_has(M.last_error(), "`git gc` packs its repository (process", "why")
        packing.communicate()
        expect_has(command(control, "rollback before"), "is as it was", "when that has ended")


def after_a_restart():
    M.umount()
    expect_has(M.fsck(), "ok   shared: 1 in /src/repos", "fsck")
    M.mount()
    run(["git", "clone", "-q", REPOS / "web.git", TESTDIR / "later"])
    M.umount()
    plain = M.state / "trees/src/repos/web.git"
    for pack in (plain / "objects/pack").glob("*.pack"):
        pack.unlink()
    expect_has(M.fsck(code=1), "FAIL shared: web.git: refs/heads/", "fsck of a damaged one")
    shutil.rmtree(plain)
    os.symlink("/", plain)
    expect_has(M.fsck(), "ok   shared: 0 in", "fsck of a link")


main(setup, clone_and_push, a_push_that_is_behind_is_refused, many_push_at_once, gc_and_the_disk,
     hooks_are_the_pushers, no_history_beside_its_own, names, a_rollback_waits_for_a_gc, after_a_restart)
