#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Merges of hard links: a name goes by what both sides made of it, wherever the file has others.

Each case is made twice, with the fork as theirs and with its parent as theirs.
"""
import subprocess

from mount_lib import MNT, command, expect_eq, main

SPACES = MNT / "workspaces"
PAIR = "echo old >n; ln n d; echo other >a"  # one file under two names, and another one
REPLACED = "echo new >t; mv t d"  # as editors write
CASES = [  # what is there, what ours does, what theirs does, what is right
    ("echo old >n; ln n d", "mv n a", REPLACED, {"a": "old", "d": "new"}),
    (PAIR, "mv n a", REPLACED, {"a": "old", "d": "new"}),
    (PAIR, "rm a; mv n a", REPLACED, {"a": "old", "d": "new"}),
    (PAIR, "mv a b; mv n a", REPLACED, {"a": "old", "b": "other", "d": "new"}),
    (PAIR, "ln -f n a; rm n", REPLACED, {"a": "old", "d": "new"}),
    (PAIR, REPLACED, "mv n a", {"a": "old", "d": "new"}),
    (PAIR, "mv n a", f"{REPLACED}; mv d b", {"a": "old", "b": "new"}),
    # One more name of a file gets what theirs has written to that, as README has it.
    (PAIR, "ln d more", REPLACED, {"a": "other", "d": "new", "more": "new", "n": "old"}),
    (PAIR, "ln -f d a", REPLACED, {"a": "new", "d": "new", "n": "old"}),
]


def texts_of(top):
    return {path.name: path.read_text().strip() for path in top.iterdir() if path.is_file()}


def shell(line, top):
    subprocess.run(["sh", "-ec", line], cwd=top, check=True)


def each_name_has_what_was_made_of_it():
    for number, (before, by_ours, by_theirs, wanted) in enumerate(CASES):
        for is_fork_theirs in (True, False):
            parent = SPACES / f"case-{number}-{is_fork_theirs:d}"
            parent.mkdir()
            shell(before, parent)
            command(parent / ".agentfs/ctl", f"fork {parent.name}-fork")
            fork = SPACES / f"{parent.name}-fork"
            ours, theirs = (parent, fork) if is_fork_theirs else (fork, parent)
            shell(by_ours, ours)
            shell(by_theirs, theirs)
            command(ours / ".agentfs/ctl", f"merge {theirs.name}")
            expect_eq(texts_of(ours), wanted, f"{before} | {by_ours} | {by_theirs}, {ours.name}")


main(each_name_has_what_was_made_of_it)
