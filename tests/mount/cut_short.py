#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What a kill cuts short is ended by the next start: once, and with nothing of before in its place."""
import json
import os
import signal

from mount_lib import (Mount, command, expect, expect_eq, kill, last_row, main, rows_after, run,
                       wait_until)

LINKS = 40
FILES = 2000
M = Mount.of("cut-short")
SPACES = M / "workspaces"


def rows(below="/", kind="tree."):
    """What the state's own journal tells of paths there: it answers also while the daemon does not."""
    for segment in sorted((M.state / "journal/segments").glob("*.jsonl")):
        for line in segment.read_bytes().split(b"\n")[:-1]:  # behind the last one it is being written
            if f'"kind":"{kind}'.encode() in line and f'"path":"{below}'.encode() in line:
                yield json.loads(line)


def kept_numbers():
    """The paths of what was kept, by number."""
    numbers = {}
    for row in rows():
        kept = row["data"].get("kept")
        if isinstance(kept, dict) and "number" in kept:
            numbers.setdefault(kept["number"], set()).add(row["data"]["path"])
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


def cut(line, space, *which):
    """The daemon is killed between the rows of this, and the next one is there."""
    before = len(list(rows(*which)))

    def told():
        return len(list(rows(*which))) - before

    child = os.fork()
    if child == 0:
        try:
            command(SPACES / space / ".agentfs/ctl", line)
        finally:
            os._exit(0)
    daemon = M.daemon()
    wait_until(60, told, f"the first row of {line!r}")
    kill(daemon, signal.SIGSTOP)
    expect(told() < FILES, f"{line!r} was over before it was cut")
    kill(daemon, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until(60, lambda: M.answers() not in (0, daemon), "a mount that answers")


def no_number_of_a_version_is_given_again():
    (SPACES / "ours").mkdir()
    for each in range(FILES):
        (SPACES / "ours" / f"f{each}").touch()
    command(SPACES / "ours/.agentfs/ctl", "fork theirs")
    for each in range(FILES):
        (SPACES / "theirs" / f"f{each}").unlink()
    cut("merge theirs", "ours", "/workspaces/ours/", "tree.replaced")
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
    cut("restore d", "again", "/workspaces/again/d/", "tree.rename")
    expect_eq(len(os.listdir(top / "d")), FILES, "what has come back")
    told = [(row["op"], row["path"]) for row in rows_after(top, before)]
    expect_eq([row for row in told if row[0] == "write"], [], "rows of what was there already")
    expect_eq(len(told), len(set(told)), "rows, each told once")
    kept = os.listdir(top / ".agentfs/versions/d/n0")
    expect_eq(len(kept), 1, f"versions of a link: {kept}")


main(removed_links, no_number_of_a_version_is_given_again, nothing_is_restored_twice)
