#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What may not happen: agents beyond what they were given, half commands, others' replies."""
import errno
import os
import signal
import subprocess
import sys

from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has,
                       main, read, tell, wait_until)

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


class Told:
    """An agent that makes one call for each message, which the message's first word chooses."""

    def __init__(self, name, words="", **calls):
        MOUNT.script_model(name, {"tasks": [
            {"match": word, "steps": [{"text": word, "delay_ms": 1_000 if word == "late" else 0,
                                             "calls": [{"name": tool, "arguments": arguments}]},
                                            {"text": "done"}]}
            for word, (tool, arguments) in calls.items()]})
        self.pid = MOUNT.spawn(f"name={name} model={name} {words}")
        self.number = 0

    def begin(self, word):
        tell(MOUNT.proc(self.pid, "chat"), f"{word}\n")
        self.number += 1

    def end(self):
        MOUNT.wait(self.pid)
        return MOUNT.get(self.pid, f"calls/{self.number}/result")

    def do(self, word):
        self.begin(word)
        return self.end()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def an_edit_is_no_look_at_the_rest():
    space = MOUNT / "workspaces/looked"
    space.mkdir()
    path = space / "f"
    for number, way in enumerate(("miss", "edit", "")):
        path.write_text("alpha\nbeta\n")
        agent = Told(f"looker{number}", "workspace=looked", read=("read", {"path": "f"}),
                     miss=("edit", {"path": "f", "old_text": "no", "new_text": "x"}),
                     edit=("edit", {"path": "f", "old_text": "beta", "new_text": "BETA"}),
                     write=("write", {"path": "f", "text": "alpha\nBETA\n"}))
        agent.do("read")
        if way:
            append(path, "a person's\n")
            agent.do(way)
            expect_has(agent.do("write"), "since this process saw it")
            expect_has(read(path), "a person's\n")
        else:
            agent.do("edit")
            expect_has(agent.do("write"), "wrote")


def who_looks_at_a_context_shows_the_agent_nothing():
    rules = MOUNT / "workspaces/looked/AGENTS.md"
    for number, name in enumerate(("context", "context.why")):
        rules.write_text("rule one\n")
        agent = Told(f"ruled{number}", "workspace=looked", late=("write", {"path": "AGENTS.md", "text": "mine\n"}))
        agent.begin("late")
        wait_until(20, lambda agent=agent: any(
            row["kind"] == "model.begin" and row["data"]["pid"] == agent.pid for row in MOUNT.journal()), "a question")
        append(rules, "a person's\n")
        MOUNT.get(agent.pid, name)
        agent.end()
        expect_has(read(rules), "a person's\n")
    rules.unlink()


def what_an_edit_would_make_has_a_bound():
    (MOUNT / "workspaces/looked/big").write_text("a" * 100_000)
    agent = Told("grower", "workspace=looked", grow=(
        "edit", {"path": "big", "old_text": "a", "new_text": "b" * 2_000, "all": True}))
    expect_has(agent.do("grow"), "200000000 bytes")
    expect_eq((MOUNT / "workspaces/looked/big").stat().st_size, 100_000)


def who_has_no_tool_has_no_other_way_to_it():
    profile = MOUNT / "etc/profiles/bound"
    profile.mkdir()
    (profile / "profile.toml").write_text('tools = ["ctl", "read"]\n')
    line = "touch /workspaces/looked/sneaked"
    agent = Told("sneak", "workspace=looked profile=bound", late=("exec", {"command": line}),
                 exec=("ctl", {"path": "/dev/local/exec", "line": line}))
    expect_has(agent.do("exec"), "does not give that tool")
    agent.begin("late")
    (profile / "profile.toml").unlink()
    agent.end()
    expect_eq((MOUNT / "workspaces/looked/sneaked").exists(), False, "what a removed profile had not given")


def conflicts_of_others_are_theirs():
    others = MOUNT / "workspaces/others"
    others.mkdir()
    (others / "f").write_text("base\n")
    command(others / ".agentfs/ctl", "fork others-1")
    (others / "f").write_text("ours\n")
    (MOUNT / "workspaces/others-1/f").write_text("theirs\n")
    command(others / ".agentfs/ctl", "merge others-1 partial")
    agent = Told("resolver", "workspace=looked", all=(
        "ctl", {"path": "/workspaces/others/.agentfs/ctl", "line": "resolve all ours"}))
    agent.do("all")
    expect((others / ".agentfs/conflicts").exists() and os.listdir(others / ".agentfs/conflicts"), "none is left")


def a_directory_to_work_in_tells_nothing_of_the_host():
    home = MOUNT / "home" / os.environ.get("USER", "root")
    home.mkdir(exist_ok=True)
    (home / "out").symlink_to("/usr")
    (home / "round").symlink_to(MOUNT.mnt / "proc/self/context.d")
    for name in ("out", "out/bin", "out/none", "round"):
        expect_errno("ENOENT", tell, MOUNT / "proc/self/cwd", f"/home/{home.name}/{name}\n")


main(agents_change_what_is_theirs, links_lead_no_tool_out,
     children_stay_where_their_parents_are, links_let_no_command_out, a_scenario_tells_nothing,
     a_killed_writer_commands_nothing, a_part_of_a_message_is_none,
     a_refused_request_reads_no_other_reply, a_link_tells_what_it_names,
     passwords_stay_out_of_addresses, an_edit_is_no_look_at_the_rest,
     who_looks_at_a_context_shows_the_agent_nothing, what_an_edit_would_make_has_a_bound,
     who_has_no_tool_has_no_other_way_to_it, conflicts_of_others_are_theirs,
     a_directory_to_work_in_tells_nothing_of_the_host)
