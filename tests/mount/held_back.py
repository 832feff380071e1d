#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What may not happen: agents beyond what they were given, half commands, others' replies."""
import errno
import os
import signal
import subprocess
import sys

from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has,
                       main, read, tell)

MOUNT = Mount()


def run_calls(name, workspace, calls):
    """Lets an agent make these calls, one a turn; their results in order."""
    steps = [{"text": "Next.", "calls": [call]} for call in calls]
    MOUNT.script_model(name, {"tasks": [{"match": "*", "steps": steps}], "after": "Done."})
    pid = MOUNT.spawn(f"name={name} model={name} workspace={workspace}")
    tell(MOUNT.proc(pid, "chat"), "go\n")
    MOUNT.wait(pid)
    return [MOUNT.get(pid, f"calls/{number + 1}/result") for number in range(len(calls))]


def write_call(path, text="x\n"):
    return {"name": "write", "arguments": {"path": path, "text": text}}


def agents_change_what_is_theirs():
    for workspace in ("own", "other"):
        os.mkdir(MOUNT / "workspaces" / workspace)
    (MOUNT / "workspaces/other/kept").write_text("kept\n")
    results = run_calls("keen", "own", [
        write_call("mine"),
        write_call("/etc/devices/local.toml", 'sandbox = "none"\n'),
        write_call("../../etc/agentfs.toml", "reap_after_seconds = 1\n"),
        write_call("/workspaces/other/kept"),
        {"name": "delete", "arguments": {"path": "/workspaces/other"}},
        {"name": "edit", "arguments": {"path": "/workspaces/other/kept", "old_text": "kept",
                                       "new_text": "lost"}}])
    expect_has(results[0], "created", "a file of its own")
    for result, what in zip(results[1:3], ("the sandbox's settings", "the kernel's settings")):
        expect_has(result, "their owner", what)
    for result in results[3:]:
        expect_has(result, "not this agent's to change", "another workspace")
    expect_eq(read(MOUNT / "workspaces/other/kept"), "kept\n", "the other workspace's file")
    expect(not (MOUNT / "etc/devices/local.toml").exists(), "an agent made a document")


def links_lead_no_tool_out():
    for workspace in ("near", "victim"):
        os.mkdir(MOUNT / "workspaces" / workspace)
    for name in ("file", "gone"):
        (MOUNT / "workspaces/victim" / name).write_text("kept\n")
    results = run_calls("crafty", "near", [
        {"name": "exec", "arguments": {"command": "ln -s ../victim v; ln -s ../victim/file vf"}},
        write_call("v/made"), write_call("vf"),
        {"name": "edit", "arguments": {"path": "v/file", "old_text": "kept", "new_text": "lost"}},
        {"name": "delete", "arguments": {"path": "v/gone"}}])
    for result, what in zip(results[1:], ("write", "write to a link", "edit", "delete")):
        expect_has(result, "not this agent's to change", what)
    expect_eq(sorted(os.listdir(MOUNT / "workspaces/victim")), ["file", "gone"], "the victim")
    expect_eq(read(MOUNT / "workspaces/victim/file"), "kept\n", "the victim's file")


def children_stay_where_their_parents_are():
    for workspace in ("nest", "elsewhere"):
        os.mkdir(MOUNT / "workspaces" / workspace)
    (result,) = run_calls("parent", "nest", [
        {"name": "ctl", "arguments": {"path": "/proc/clone", "line": "workspace=elsewhere"}}])
    expect_has(result, "works in its parent's workspace", "a child in another workspace")


def links_let_no_command_out():
    outside = TESTDIR / "outside"
    outside.mkdir()
    (outside / "secret").write_text("hostsecret\n")
    os.symlink(outside, MOUNT / "workspaces/link")
    expect_errno("ENOENT", MOUNT.spawn, "name=out workspace=link")
    os.mkdir(MOUNT / "workspaces/swapped")
    MOUNT.script_model("swap", {"tasks": [{"match": "*", "steps": [
        {"text": "I look.", "calls": [{"name": "exec", "arguments": {"command": "cat secret"}}]}]}],
        "after": "Done."})
    pid = MOUNT.spawn("name=swap model=swap workspace=swapped")
    os.rmdir(MOUNT / "workspaces/swapped")
    os.symlink(outside, MOUNT / "workspaces/swapped")
    tell(MOUNT.proc(pid, "chat"), "go\n")
    MOUNT.wait(pid)
    result = MOUNT.get(pid, "calls/1/result")
    expect("hostsecret" not in result, f"a link led a command to the host: {result!r}")


def a_scenario_tells_nothing():
    home = MOUNT / "home" / subprocess.check_output(["id", "-un"], text=True).strip()
    (TESTDIR / "private").write_text("hostsecret: not a scenario\n")
    for name, path in (("plain", TESTDIR / "private"), ("linked", home / "linked.json")):
        if name == "linked":
            os.symlink(TESTDIR / "private", path)
            path = "/" + str(path.relative_to(MOUNT.mnt))
        MOUNT.model(name, driver="script", scenario=str(path))
        pid = MOUNT.spawn(f"name={name} model={name}")
        tell(MOUNT.proc(pid, "chat"), "go\n")
        answer = MOUNT.wait(pid)
        expect_has(answer, "scenario", "the failure")
        for seen in (answer, MOUNT.get(pid, "chat"), MOUNT.get(pid, "errors")):
            expect("hostsecret" not in seen, f"{name}: quoted: {seen!r}")


def a_killed_writer_commands_nothing():
    pid = MOUNT.spawn("name=target")
    path = str(MOUNT.proc(pid, "ctl"))
    code = (f"import os, signal\nfd = os.open({path!r}, os.O_WRONLY)\nos.write(fd, b'kill')\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n")
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    expect_eq(ended.returncode, -signal.SIGKILL, "the writer's end")
    expect_eq(MOUNT.state_of(pid), "idle", "the state after half a command")
    handle = os.open(path, os.O_WRONLY)
    os.write(handle, b"kill")
    os.close(handle)
    expect_eq(MOUNT.state_of(pid), "dead", "the state after an unterminated line that was closed")


def a_part_of_a_message_is_none():
    pid = MOUNT.spawn("name=listener")
    handle = os.open(MOUNT.proc(pid, "chat"), os.O_WRONLY)
    try:
        with expect_failure(errno.EMSGSIZE):
            for _ in range(40):
                os.write(handle, b"b" * 65536)
        with expect_failure(errno.EINVAL):
            os.write(handle, b"the rest\n")
    finally:
        os.close(handle)
    expect_eq(MOUNT.get(pid, "messages/_all.jsonl"), "", "messages after one that was too long")
    expect_eq(MOUNT.get(pid, "chat"), "", "the conversation")


class expect_failure:  # pylint: disable=invalid-name  # reads as a function
    """A block that ends with this errno."""

    def __init__(self, code):
        self.code = code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        expect(kind is not None and issubclass(kind, OSError), f"no error; wanted {self.code}")
        expect_eq(errno.errorcode[error.errno], errno.errorcode[self.code], "errno")
        return True


def a_refused_request_reads_no_other_reply():
    command(MOUNT / "proc/clone", "name=first")
    handle = os.open(MOUNT / "proc/clone", os.O_RDWR)
    try:
        with expect_failure(errno.ENOENT):
            os.write(handle, b"model=nosuchmodel\n")
        expect_eq(os.pread(handle, 100, 18), b"", "what the descriptor reads after a refusal")
    finally:
        os.close(handle)
    expect_errno("EINVAL", command, MOUNT / "proc/clone", "name=one name=two")


def a_link_tells_what_it_names():
    os.mkdir(MOUNT / "workspaces/links")
    (MOUNT / "workspaces/links/file").write_text("x\n")
    os.link(MOUNT / "workspaces/links/file", MOUNT / "workspaces/links/name")
    rows = [record["data"] for record in MOUNT.journal() if record["kind"] == "tree.link"]
    expect_eq((rows[-1]["path"], rows[-1]["other"]),
              ("/workspaces/links/name", "/workspaces/links/file"), "the row of a hard link")


def passwords_stay_out_of_addresses():
    path = MOUNT / "etc/models/password.toml"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(handle, b'base_url = "http://user:hidden@127.0.0.1:1/v1"\n')
    with expect_failure(errno.EBADMSG):
        os.close(handle)
    expect(not (MOUNT.state / "etc/models/password.toml").exists(), "the address was kept")


main(agents_change_what_is_theirs, links_lead_no_tool_out,
     children_stay_where_their_parents_are, links_let_no_command_out, a_scenario_tells_nothing,
     a_killed_writer_commands_nothing, a_part_of_a_message_is_none,
     a_refused_request_reads_no_other_reply, a_link_tells_what_it_names,
     passwords_stay_out_of_addresses)
