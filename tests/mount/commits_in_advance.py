#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""The processes of the next commits wait: idle, replaceable, confined once they have an order."""
import os
import signal

from mount_lib import (Mount, command, committers, expect, expect_eq, is_alive, is_confined, kill,
                       main, need, read, run, status_of, wait_until, within)

M = Mount.of("advance")
SPACES = M / "workspaces"


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def waiting():
    """Those that wait, in the order in which they are taken; they are started one after another."""
    return sorted(pid for pid in committers(M.daemon()) if not is_confined(pid))


def next_one(*others):
    """The process that is taken next, once two wait."""
    wait_until(20, lambda: len(set(waiting()) - set(others)) == 2, "two processes that wait")
    return next(pid for pid in waiting() if pid not in others)


def make(space):
    (SPACES / space).mkdir()
    run(["git", "init", "-q", "-b", "main", SPACES / space])


def checkpoint(name):
    """Makes one of the site, and waits for its commit."""
    (SPACES / "site/a").write_text(f"{name}\n", encoding="utf-8")
    ctl("site", f"checkpoint {name}")

    def made():
        return [row["data"] for row in M.journal() if row["kind"] == "checkpoint.commit"
                and row["data"]["name"] == name]

    wait_until(30, made, f"the commit of {name}")
    expect("error" not in made()[0], f"{made()[0]}")
    expect_eq(run(["git", "-C", SPACES / "site", "show", f"{made()[0]['commit']}:a"]), f"{name}\n",
              name)


def stuck(space):
    """A commit that waits for a FIFO; its process."""
    make(space)
    (SPACES / space / "a").write_text("a\n", encoding="utf-8")
    os.mkfifo(SPACES / space / ".git/refs/heads/main")
    before = [pid for pid in committers(M.daemon()) if is_confined(pid)]
    ctl(space, "checkpoint one")

    def found():
        return [pid for pid in committers(M.daemon()) if is_confined(pid) and pid not in before]

    wait_until(20, found, f"the process of {space}")
    return found()[0]


def bounds(pid):
    """What the process may do, as the host's kernel tells it."""
    status = status_of(pid)
    names = [name for name in status if name.startswith(("Cap", "NoNewPrivs", "Seccomp", "Sig"))]
    return {name: status[name] for name in names if name not in ("SigQ", "SigPnd")} | {
        "limits": read(f"/proc/{pid}/limits"), "cwd": os.readlink(f"/proc/{pid}/cwd")}


def descriptors(pid):
    links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    return {fd: link.split(":")[0] for fd, link in links.items()}


def setup():
    need("git")
    M.mount()
    make("site")


def none_before_the_first():
    expect_eq(committers(M.daemon()), [], "processes before a commit")
    checkpoint("one")
    first = next_one()
    # It closes the others itself, first of all.
    wait_until(20, lambda: descriptors(first) == {0: "socket", 1: "pipe", 2: "pipe"}, "nothing else that it holds")
    checkpoint("two")
    expect(not is_alive(first), f"{first}: serves a second order")
    next_one(first)


def killed():
    for number, count in enumerate((1, 2, 1)):
        pid = next_one()
        for each in waiting()[:count]:
            kill(each, signal.SIGKILL)
        checkpoint(f"killed-{number}")
        expect(not is_alive(pid), f"{pid}: still there")
    expect_eq(M.last_error(), "", "errors")


def confined_as_one_that_was_started_for_its_order():
    waited = next_one()
    before = bounds(waited)
    expect_eq(stuck("taken"), waited, "who serves the order")
    for pid in waiting():
        kill(pid, signal.SIGKILL)
    started = stuck("new")
    expect(started != waited, "one process for two orders")
    wait_until(20, lambda: bounds(started) == bounds(waited), "the same bounds")
    expect(bounds(waited) != before, f"confined before its order: {before}")
    if os.geteuid() == 0:
        expect_eq(bounds(waited)["CapEff"], "000000000000000a", "CAP_DAC_OVERRIDE and CAP_FOWNER")
    within(20, M.umount, "umount")
    wait_until(10, lambda: not is_alive(waited) and not is_alive(started), "the end of both")


def ends_with_the_daemon():
    M.mount()
    checkpoint("three")
    pid = next_one()
    M.umount()
    wait_until(10, lambda: not is_alive(pid), "the end of what waits, by umount")
    M.mount()
    checkpoint("four")
    pid, daemon = next_one(), M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(10, lambda: not is_alive(pid), "the end of what waits, by a killed daemon")
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    checkpoint("five")
    M.verify()
    M.umount()
    M.fsck()


main(setup, none_before_the_first, killed, confined_as_one_that_was_started_for_its_order,
     ends_with_the_daemon)
