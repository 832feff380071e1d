#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A checkpoint or fork that is made beside other work is of one moment, which its row in the feed has, too."""
import contextlib
import itertools
import os
import threading

from mount_lib import Mount, expect_eq, main, tell, wait_until

M = Mount.of("states")
SPACES = M / "workspaces"
ROUNDS = 40


def ctl(name, line):
    tell(SPACES / name / ".agentfs/ctl", f"{line}\n")


def setup():
    M.mount()


@contextlib.contextmanager
def beside(*jobs):
    """Each in a thread of its own, again and again."""
    over, failed = threading.Event(), []

    def repeat(job):
        number = 0
        try:
            while not over.is_set():
                job(number)
                number += 1
        except BaseException as error:  # pylint: disable=broad-except  # told below
            failed.append(error)

    threads = [threading.Thread(target=repeat, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]


def what_stands_before_its_row_is_in_it_and_nothing_else():
    top = SPACES / "told"
    top.mkdir()

    def makes(letter):
        return lambda number: (top / f"{letter}{number}").touch()

    seen = {}
    with beside(makes("a"), makes("b"), makes("c")):
        for number in range(ROUNDS):
            ctl("told", f"checkpoint k{number}")
            ctl("told", f"fork told-{number}")
    for number in range(ROUNDS):
        seen[f"k{number}"] = set(os.listdir(top / f".agentfs/snapshots/k{number}"))
        seen[f"told-{number}"] = set(os.listdir(SPACES / f"told-{number}"))
    made, wanted = set(), {}
    for row in journal_of("told"):
        if row["kind"] == "tree.create":
            made.add(os.path.basename(row["data"]["path"]))
        elif row["kind"] == "tree.checkpoint":
            wanted[row["data"]["name"]] = set(made)
        elif row["kind"] == "tree.fork":
            wanted[os.path.basename(row["data"]["path"])] = set(made)
    for name, names in seen.items():
        expect_eq(sorted(names - wanted[name]), [], f"{name}: is there, and told later")
        expect_eq(sorted(wanted[name] - names), [], f"{name}: was told, and is not there")


def journal_of(name):
    return [row for row in M.journal()
            if row["kind"].startswith("tree.") and row["data"]["path"].startswith(f"/workspaces/{name}")]


def none_has_what_a_restore_has_lying_ready():
    top = SPACES / "restored"
    (top / "d").mkdir(parents=True)
    for number in range(10):
        (top / f"d/f{number}").write_text(f"{number}\n" * 1000)

    def restores(_):
        for number in range(10):
            (top / f"d/f{number}").unlink()
        ctl("restored", "restore d")

    with beside(restores):
        for number in range(ROUNDS):
            ctl("restored", f"checkpoint k{number}")
            ctl("restored", f"fork restored-{number}")
    for number in range(ROUNDS):
        for state in (top / f".agentfs/snapshots/k{number}", SPACES / f"restored-{number}"):
            expect_eq([name for name in os.listdir(state / "d") if not name.startswith("f")], [], str(state))
    M.verify()


def none_has_what_an_agent_writes_before_it_is_whole():
    top = SPACES / "written"
    top.mkdir()
    steps = [{"text": "Next.", "calls": [{"name": "write", "arguments": {"path": "f", "text": f"{n}\n" * 100_000}}]}
             for n in range(2)]
    M.script_model("writer", {"name": "writer", "tasks": [{"match": "*", "steps": steps}]})
    pid = M.spawn("name=writer model=writer workspace=written limits=turns=60")
    tell(M.proc(pid, "chat"), "go\n")
    made = itertools.count()

    def has_ended():
        number = next(made)
        ctl("written", f"checkpoint k{number}")
        ctl("written", f"fork written-{number}")
        return M.state_of(pid) in ("dead", "waiting", "idle")

    wait_until(60, has_ended, "the end of who writes")
    for number in range(next(made)):
        for state in (top / f".agentfs/snapshots/k{number}", SPACES / f"written-{number}"):
            expect_eq([name for name in os.listdir(state) if name != "f"], [], str(state))


def end():
    M.umount()
    M.fsck()


main(setup, what_stands_before_its_row_is_in_it_and_nothing_else, none_has_what_a_restore_has_lying_ready,
     none_has_what_an_agent_writes_before_it_is_whole, end)
