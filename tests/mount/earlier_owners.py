#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What a workspace's name was another user's for is not told to who has it next."""
import os
import select
import shutil
import subprocess
import sys

from others_lib import as_user, enter  # before mount_lib, whose paths it sets
from mount_lib import Mount, expect, expect_eq, expect_has, main, read, run, wait_until

ANNA, BERT = 51500, 51501
SECRETS = ("secret", "plan")
TOLD = ("log", "events.jsonl", "events/0", "versions", "trash", "usage")


def shell(uid, line, **more):
    """What a shell line of a user says."""
    return run([*as_user(uid), "sh", "-c", line], cwd=MOUNT.mnt, **{"code": None, **more})


def make(uid, name="site"):
    """A private workspace."""
    top = MOUNT / "workspaces" / name
    top.mkdir()
    top.chmod(0o700)
    os.chown(top, uid, uid)
    return top


def all_told(uid, *more, name="site"):
    """Everything that the history tells a user, or refuses to."""
    out = ""
    for one in TOLD:
        path = f"workspaces/{name}/.agentfs/{one}"
        out += shell(uid, f"cat {path} || ls -R {path}; :")
    for line in ("restore secrat", "drop plan", *more):
        out += shell(uid, f"echo '{line}' >workspaces/{name}/.agentfs/ctl").replace(line, "")
    return out


def a_rename_takes_nobody_elses_past_along():
    """It stays with the path, for who had it to have it again."""
    os.chmod(MOUNT / "workspaces", 0o1777)
    shell(ANNA, "cd workspaces && mkdir moves && echo 1 >moves/secret && mkdir -m 700 moves/p && echo 1 >moves/p/plan && rm -r moves",
          code=0)
    shell(BERT, "cd workspaces && mkdir moves && echo bert >moves/own && rm moves/own && mv moves moved && mkdir other", code=0)
    for name in ("moves", "moved"):
        expect("secret" not in all_told(BERT, name=name) and "plan" not in all_told(BERT, name=name), name)
    expect_eq(sorted(os.listdir(MOUNT / "workspaces/moved/.agentfs/trash")), ["README", "own"])
    shell(ANNA, "cd workspaces && mkdir moves && echo restore . >moves/.agentfs/ctl", code=0)
    expect_eq(sorted(os.listdir(MOUNT / "workspaces/moves")), ["p", "secret"])
    shutil.rmtree(MOUNT / "workspaces/moves")


def who_follows_is_told_until_the_workspace_is_anothers():
    top = make(ANNA, "given")
    follow = subprocess.Popen([*map(str, as_user(ANNA)), "cat", top / ".agentfs/follow"], stdout=subprocess.PIPE)
    wait_until(30, lambda: (top / "probe").write_text("probe\n") and
               select.select([follow.stdout], [], [], 0.05)[0], "the first line")
    os.utime(top)
    shell(ANNA, "echo 1 >workspaces/given/still-hers", code=0)
    os.chown(top, BERT, BERT)
    shell(BERT, "echo 1 >workspaces/given/secret", code=0)
    told = follow.communicate(timeout=30)[0].decode()  # ends by itself
    expect_has(told, "still-hers")
    expect("secret" not in told, told)
    shutil.rmtree(top)


def who_acts_for_several_shows_each_their_own():
    """As a file server does: what it has looked at for one is not what another is given."""
    make(ANNA, "served").chmod(0o755)
    shell(ANNA, "echo 1 >workspaces/served/secret", code=0)
    said = run([sys.executable, "-c", SERVER, str(ANNA), str(BERT),
                *(MOUNT / f"workspaces/served/.agentfs/{name}" for name in ("log", "events.jsonl", "usage"))])
    expect_eq(said, "EACCES\n" * 3)
    shutil.rmtree(MOUNT / "workspaces/served")


SERVER = """
import errno, os, sys
anna, bert = map(int, sys.argv[1:3])
for path in sys.argv[3:]:
    os.seteuid(anna)
    os.stat(path)
    os.seteuid(0)
    os.seteuid(bert)
    try:
        print(open(path).read())
    except OSError as error:
        print(errno.errorcode[error.errno])
    os.seteuid(0)
"""


def setup():
    MOUNT.mount("-o", "allow_other")


def who_has_the_name_next_is_told_nothing_of_it():
    top = make(ANNA)
    shell(ANNA, "cd workspaces/site && mkdir plans && echo 1 >secret && echo 2 >secret && "
          "echo 3 >plans/plan && rm -r secret plans", code=0)
    for secret in SECRETS:
        expect_has(all_told(ANNA), secret, "what its owner is told")
    shutil.rmtree(top)
    make(BERT)
    shell(BERT, "echo bert >workspaces/site/own && rm workspaces/site/own", code=0)
    expect_not_told()
    for path in ("versions/secret", "versions/plans", "trash/secret", "trash/plans"):
        said = shell(BERT, f"stat workspaces/site/.agentfs/{path}")
        expect("No such file" in said, f"{path}: {said}")
    for secret in SECRETS:
        expect_has(read(MOUNT / "workspaces/site/.agentfs/log"), secret, "root's log")
    expect_has(os.listdir(MOUNT / "workspaces/site/.agentfs/trash"), "secret", "root's trash")


def expect_not_told():
    told = all_told(BERT, "restore secret", "drop secret", "restore plans", "drop plans/plan")
    expect_has(told, "own")
    for secret in SECRETS:
        expect(secret not in told, f"{secret} is told to another user:\n{told}")


def after_a_restart_neither():
    MOUNT.umount()
    setup()
    expect_not_told()


def who_had_it_gets_back_what_is_theirs():
    shutil.rmtree(MOUNT / "workspaces/site")
    make(ANNA)
    shell(ANNA, "echo 'restore secret' >workspaces/site/.agentfs/ctl", code=0)
    expect_eq(shell(ANNA, "cat workspaces/site/secret"), "2\n")
    expect("own" not in shell(ANNA, "ls -R workspaces/site/.agentfs/trash"), "Bert's file is told")


def a_workspace_takes_its_past_to_another_name():
    os.rename(MOUNT / "workspaces/site", MOUNT / "workspaces/moved")
    expect_has(shell(ANNA, "ls workspaces/moved/.agentfs/versions"), "secret")
    make(BERT)
    shell(BERT, "echo bert >workspaces/site/own && rm workspaces/site/own", code=0)
    expect_not_told()
    MOUNT.verify()
    MOUNT.umount()


enter()
MOUNT = Mount.of("others")
main(setup, who_acts_for_several_shows_each_their_own, who_follows_is_told_until_the_workspace_is_anothers,
     who_has_the_name_next_is_told_nothing_of_it, a_rename_takes_nobody_elses_past_along, after_a_restart_neither,
     who_had_it_gets_back_what_is_theirs, a_workspace_takes_its_past_to_another_name)
