#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What a kill cuts short is ended by the next start: once, and with nothing of before in its place."""
import json
import os
import signal
import time

from mount_lib import (Mount, command, expect, expect_eq, kill, last_row, main, read, rows_after,
                       run, wait_until)

LINKS = 40
FILES = 2000
M = Mount.of("cut-short")
SPACES = M / "workspaces"


def segments():
    """The state's own journal, which can be read also while the daemon does not answer."""
    for segment in sorted((M.state / "journal/segments").glob("*.jsonl")):
        yield segment.read_bytes()


def kept_numbers():
    """The paths of what was kept, by number."""
    numbers = {}
    for segment in segments():
        for line in segment.split(b"\n")[:-1]:  # behind the last one it is being written
            data = json.loads(line)["data"] if b'"kept"' in line else {}
            if isinstance(data.get("kept"), dict) and "number" in data["kept"]:
                numbers.setdefault(data["kept"]["number"], set()).add(data["path"])
    return numbers


def removed_links():
    """Versions without a file in the past: their numbers are in the journal alone."""
    M.mount()
    links = SPACES / "links"
    links.mkdir()
    for each in range(LINKS):
        (links / f"l{each}").symlink_to(f"target-{each}")
    for each in range(LINKS):
        (links / f"l{each}").unlink()


def cut(line, space, kind):
    """The daemon is killed between such rows of this, and the next one is there."""

    def all_told():
        return sum(segment.count(f'"kind":"{kind}"'.encode()) for segment in segments())

    before = all_told()
    child = os.fork()
    if child == 0:
        try:
            command(SPACES / space / ".agentfs/ctl", line)
        finally:
            os._exit(0)
    daemon = M.daemon()
    deadline = time.monotonic() + 60
    while all_told() == before:  # it is over within some 20 ms: no pause
        expect(time.monotonic() < deadline, f"no row of {line!r} within 60 s")
    kill(daemon, signal.SIGKILL)  # where it is over by then, what follows holds as well
    os.waitpid(child, 0)
    wait_until(60, lambda: M.answers() not in (0, daemon), "a mount that answers")


def no_number_of_a_version_is_given_again():
    (SPACES / "ours").mkdir()
    for each in range(FILES):
        (SPACES / "ours" / f"f{each}").touch()
    command(SPACES / "ours/.agentfs/ctl", "fork theirs")
    for each in range(FILES):
        (SPACES / "theirs" / f"f{each}").unlink()
    cut("merge theirs", "ours", "tree.replaced")
    expect_eq(os.listdir(SPACES / "ours"), [], "what the next start has made of the merge")
    twice = {number: paths for number, paths in kept_numbers().items() if len(paths) > 1}
    expect_eq(twice, {}, "numbers that were given twice")
    links = {f"l{each}" for each in range(LINKS)}
    expect_eq(links - set(os.listdir(SPACES / "links/.agentfs/trash")), set(), "gone from the trash")
    command(SPACES / "links/.agentfs/ctl", "restore .")
    expect_eq(set(os.listdir(SPACES / "links")), links, "what comes back")


def nothing_is_restored_twice():
    top = SPACES / "again"
    (top / "d").mkdir(parents=True)
    for each in range(0, FILES, 2):
        (top / f"d/n{each}").symlink_to(f"target-{each}")
        os.mkfifo(top / f"d/n{each + 1}")
    run(["rm", "-r", top / "d"])
    before = last_row(top)
    cut("restore d", "again", "tree.rename")
    expect_eq(len(os.listdir(top / "d")), FILES, "what has come back")
    told = [(row["op"], row["path"]) for row in rows_after(top, before)]
    expect_eq([row for row in told if row[0] == "write"], [], "rows of what was there already")
    expect_eq(len(told), len(set(told)), "rows, each told once")
    kept = os.listdir(top / ".agentfs/versions/d/n0")
    expect_eq(len(kept), 1, f"versions of a link: {kept}")


def a_rebase_is_told_once():
    host = M / "../host"
    host.mkdir()
    for each in range(FILES):
        (host / f"f{each}").write_text("1\n", encoding="utf-8")
    command(M / "sys/workspaces/ctl", f"import {host.resolve()} as taken")
    for each in range(FILES):
        (host / f"f{each}").write_text("another\n", encoding="utf-8")
    taken = SPACES / "taken"
    before = last_row(taken)
    cut("rebase", "taken", "tree.write")
    expect_eq({read(taken / f"f{each}") for each in range(FILES)}, {"another\n"}, "what it took over")
    told = [row["op"] for row in rows_after(taken, before)]
    expect_eq((told.count("rebase"), told.count("write")), (1, FILES), f"rows: {set(told)}")


main(removed_links, no_number_of_a_version_is_given_again, nothing_is_restored_twice,
     a_rebase_is_told_once)
