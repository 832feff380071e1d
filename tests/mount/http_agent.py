#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An agent on a model behind HTTP repairs a C program in a git workspace."""
import json
import os
import subprocess

import model_server
from model_server import DONE, call, delta, event, usage
from mount_lib import (STATE, TESTDIR, MNT, Mount, expect, expect_eq, expect_has, main, need, read,
                       run, tell)

KEY = "sk-loopback-5f1d9c0b7e"
PRICES = {"usd_per_million_in": 2.0, "usd_per_million_out": 8.0, "usd_per_million_cached": 0.5}
PROGRAM = """#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  int total = 0;
  for (int i = 1; i <= argc; ++i) total += atoi(argv[i]);
  printf("total %d\\n", total);
  return 0;
}
"""
MAKEFILE = """total: total.c
\tgcc -O1 -o total total.c

check: total
\t./total 1 2 39 | grep -x 'total 42'
"""
FAULT = "i <= argc"
REPAIR = "i < argc"
SPENT = {0: (900, 40, 0), 2: (1200, 30, 800), 3: (1500, 60, 1100), 4: (1700, 20, 1600),
         5: (1900, 25, 1800)}
mount = Mount()


def two_reads():
    """Two calls in one answer, their arguments in turns, cut inside words and escapes."""
    first, second = json.dumps({"path": "total.c"}), json.dumps({"path": "Makefile"})
    chunks = [delta(role="assistant", content="I read the program – and how it is built."),
              call(0, "call_r1", "read"), call(1, "call_r2", "read")]
    for at in range(0, max(len(first), len(second)), 3):
        chunks += [call(index, arguments=words[at:at + 3])
                   for index, words in ((0, first), (1, second)) if words[at:at + 3]]
    return chunks + [delta("tool_calls"), usage(*SPENT[0]), DONE]


def one_call(results, identity, name, **arguments):
    return [call(0, identity, name, json.dumps(arguments)), delta("tool_calls"),
            usage(*SPENT[results]), DONE]


class Mender:
    """The model: the next step follows from the conversation it is sent."""

    def __init__(self):
        self.refused = self.cut = False

    def __call__(self, exchange):
        results = exchange.results()
        if not results and not self.refused:
            self.refused = True
            exchange.answer(429, {"error": {"message": "slow down"}}, Retry_After="1")
        elif not results:
            exchange.stream(two_reads(), pieces=1)
        elif len(results) == 2:
            chunks = one_call(2, "call_x1", "exec", command="make check")
            if self.cut:
                exchange.stream(chunks)
                return
            self.cut = True
            exchange.stream(chunks, cut=len(event(chunks[0])) - 9)
        elif len(results) == 3:
            exchange.stream(one_call(3, "call_e1", "edit", path="total.c", old_text=FAULT,
                                     new_text=REPAIR), pieces=7)
        elif len(results) == 4:
            exchange.stream(one_call(4, "call_x2", "exec", command="make -B check"), pieces=1)
        else:
            words = [delta(content=piece) for piece in ("Repaired: ", "the loop ran one too far; ",
                                                        results[4].splitlines()[-2])]
            exchange.stream([*words, delta("stop"), usage(*SPENT[5]), DONE], pieces=1)


def git(*words):
    return run(["git", "-C", mount / "workspaces/sum", *words]).strip()


def make_workspace():
    run(["git", "init", "-q", "-b", "trunk", mount / "workspaces/sum"])
    folder = mount / "workspaces/sum"
    (folder / "total.c").write_text(PROGRAM)
    (folder / "Makefile").write_text(MAKEFILE)
    git("add", "total.c", "Makefile")
    git("commit", "-q", "-m", "first")
    git("branch", "other")
    (folder / "notes").write_text("staged, not committed\n")
    git("add", "notes")
    return [git("rev-parse", "HEAD"), git("symbolic-ref", "HEAD"), git("ls-files", "-s"),
            git("for-each-ref", "refs/heads")]


def repair():
    """The agent finishes, and everything that happened can be read."""
    need("git", "gcc", "make", "bwrap")
    server = model_server.ModelServer(Mender())
    key_file = TESTDIR / "key"
    key_file.write_text(KEY + "\n")
    key_file.chmod(0o600)
    mount.model("web", base_url=server.base_url, model="little", key_file=str(key_file),
                backoff_ms=50, **PRICES)
    before = make_workspace()
    pid = mount.spawn("name=mender workspace=sum model=web")
    tell(mount.proc(pid, "chat"), "make check fails; repair it\n")
    answer = mount.wait(pid, 120)
    expect_has(answer, "Repaired: the loop ran one too far", "wait")
    expect_has(answer, "total 42", "wait")
    check_requests(server)
    check_conversation(pid)
    check_ledger(pid)
    check_usage(pid)
    check_commits(pid, before)
    check_journal(pid)
    check_key_is_nowhere()
    server.close()


def check_requests(server):
    expect_eq(len(server.requests), 7, "requests: 5 steps, one 429, one cut")
    for exchange in server.requests:
        expect_eq(exchange.handler.path, "/v1/chat/completions", "path")
        expect_eq(exchange.headers.get("Authorization"), "Bearer " + KEY, "the key")
        expect_eq(exchange.body["model"], "little", "the model's name")
    expect_eq(server.requests[0].body, server.requests[1].body, "the request after a 429")
    expect_eq(server.requests[2].body, server.requests[3].body, "the request after a cut")
    last = server.requests[-1].messages
    answered = [m["tool_call_id"] for m in last if m["role"] == "tool"]
    asked = [c["id"] for m in last if m["role"] == "assistant" for c in m.get("tool_calls", [])]
    expect_eq(answered, asked, "each call is answered, in order")
    names = {tool["function"]["name"] for tool in last and server.requests[-1].body["tools"]}
    expect_eq(names, {"ctl", "delete", "edit", "exec", "list", "read", "search", "write"}, "tools")


def check_conversation(pid):
    expect_eq(mount.state_of(pid), "idle", "state")
    status = mount.get(pid, "status")
    expect_has(status, "Outcome:\tanswered\n", "status")
    chat = mount.get(pid, "chat")
    for piece in ("make check fails; repair it", "I read the program – and how it is built.",
                  "Repaired: the loop", "edit", "exec"):
        expect_has(chat, piece, "chat")
    messages = sorted(os.listdir(mount.proc(pid, "messages")))
    expect_eq(len([m for m in messages if m.endswith("-tool.md")]), 5, f"messages ({messages})")


def check_ledger(pid):
    seen = {}
    for number in sorted(int(n) for n in os.listdir(mount.proc(pid, "calls")) if n.isdigit()):
        call_of = lambda name, n=number: mount.get(pid, f"calls/{n}/{name}")  # noqa: E731
        seen[number] = (call_of("tool").strip(), call_of("state").strip())
        json.loads(call_of("request"))
    expect_eq(seen, {1: ("read", "done"), 2: ("read", "done"), 3: ("exec", "done"),
                     4: ("edit", "done"), 5: ("exec", "done")}, "the ledger")
    expect_has(mount.get(pid, "calls/1/result"), FAULT, "what the first read gave")
    expect_has(mount.get(pid, "calls/2/result"), "check: total", "what the second read gave")
    expect("# exit=0" not in mount.get(pid, "calls/3/result"), "the check succeeded before repair")
    expect_has(mount.get(pid, "calls/5/result"), "# exit=0", "the check after the repair")


def check_usage(pid):
    spent_in = sum(spent[0] for spent in SPENT.values())
    spent_out = sum(spent[1] for spent in SPENT.values())
    cached = sum(spent[2] for spent in SPENT.values())
    micro = (spent_in - cached) * 2 + cached * 0.5 + spent_out * 8
    seen = mount.usage(pid)
    wanted = {"tokens": spent_in + spent_out, "tokens_in": spent_in, "tokens_out": spent_out,
              "tokens_cached": cached, "calls": 5, "turns": 5, "retries": 2}
    expect_eq({name: int(seen[name]) for name in wanted}, wanted, "usage")
    expect_eq(round(float(seen["usd"]) * 1e6), round(micro), "usd, in millionths")


def check_commits(pid, before):
    after = [git("rev-parse", "HEAD"), git("symbolic-ref", "HEAD"), git("ls-files", "-s"),
             git("for-each-ref", "refs/heads")]
    expect_eq(after, before, "HEAD, its branch, the index, the branches")
    ref = f"refs/agentfs/turns/{pid}"
    log = git("log", "--format=%H", ref).splitlines()
    changed = [git("show", "--format=", "--name-only", commit).splitlines()
               for commit in log if commit != before[0]]
    expect(changed and all(changed), f"a commit without a change: {changed}")
    expect(any("total.c" in paths for paths in changed), f"no commit has total.c: {changed}")
    edits = [paths for paths in changed if "total.c" in paths and "notes" not in paths]
    expect(edits, f"the repair is no commit of its own: {changed}")
    expect_has(git("show", f"{ref}:total.c"), REPAIR, "the program in the last commit")
    expect_has(read(mount / "workspaces/sum/total.c"), REPAIR, "the program")


def check_journal(pid):
    mount.verify()
    mine = [r for r in mount.journal() if r.get("data", {}).get("pid") == pid]
    count = lambda kind: sum(r["kind"] == kind for r in mine)  # noqa: E731
    expect_eq({kind: count(kind) for kind in ("model.begin", "model.end", "call.begin", "call.end",
                                              "run.begin", "run.end")},
              {"model.begin": 5, "model.end": 5, "call.begin": 5, "call.end": 5, "run.begin": 1,
               "run.end": 1}, "rows of the journal")
    compiled = [r for r in mount.journal() if r["kind"].startswith("tree.")
                and str(r["data"].get("path", "")).endswith("/total")]
    expect(compiled, "the linker's output is not in the journal")
    expect(all(pid in r.get("by", []) for r in compiled),
           f"the linker's author: {compiled[0]}")


def check_key_is_nowhere():
    for place in (MNT, STATE):
        ended = subprocess.run(["grep", "-r", "-l", "-a", KEY, str(place)], text=True, timeout=60,
                               capture_output=True, check=False)
        expect_eq((ended.returncode, ended.stdout), (1, ""), f"the key in {place}")


main(repair)
