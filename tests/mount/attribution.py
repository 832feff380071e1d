#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each change has its row in the journal, with its author, whatever made it: shells, tools, memory
maps, and what a sandboxed command forked and let go."""
import mmap
import os
import subprocess

from lib import (EXCHANGE, expect, expect_eq, journal_end, journal_rows, last_error, main, mnt, read,
                 renameat2, run, script_model, skip, spawn, write)

W = mnt("workspaces/w")
ENVIRONMENT = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null")
me = 0


def setup():
    global me
    os.mkdir(W)
    me = int(os.readlink(mnt("proc/self")).split("/")[-1])
    row = changes(0, "/workspaces/w")[-1]
    expect_eq((row["kind"], row["command"], row["host_pid"]),
              ("tree.mkdir", "python3", os.getpid()), "row of the workspace")


def changes(after, path=None):
    rows = [row for row in journal_rows(after) if row["kind"].startswith("tree.")]
    return [row for row in rows if path in (None, row["data"]["path"], row["data"].get("other"))]


def brief(rows):
    return [(row["kind"].removeprefix("tree."), os.path.relpath(row["data"]["path"],
                                                               "/workspaces/w")) for row in rows]


def target(row):
    """Where the change is to be seen: the new name of what was renamed."""
    return row["data"].get("other") or row["data"]["path"]


def shell(command, wanted, program):
    """Runs it in the workspace; these are the changes of names, in order, each once, by it."""
    after = journal_end()
    process = subprocess.Popen(["bash", "-c", command], cwd=W, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env=ENVIRONMENT)
    stderr = process.communicate(timeout=60)[1]
    expect_eq(process.returncode, 0, f"exit of {command}: {stderr}")
    rows = changes(after)
    for row in rows:
        expect_eq(row["by"], [me], f"lineage of {row}")
        expect_eq(row["command"], program, f"command of {row}")
        expect(row["host_pid"] > 0, f"no host pid: {row}")
        expect_eq(row["user"], row_user(), f"user of {row}")
    names = [one for one in brief(rows) if one[0] not in ("write", "open")]
    expect_eq(names, wanted, f"changes of names by {command}")
    return rows


def row_user():
    return read("proc/self/owner").strip()


def bytes_of(rows, path):
    return [row["data"].get("bytes") for row in rows
            if row["kind"] == "tree.write" and row["data"]["path"] == f"/workspaces/w/{path}"]


def shells():
    rows = shell("echo hello >file", [("create", "file")], "bash")
    expect_eq(bytes_of(rows, "file"), [6], "bytes of echo")
    rows = shell("echo more >>file", [], "bash")
    expect_eq(bytes_of(rows, "file"), [5], "bytes of an append")
    shell("exec mkdir directory", [("mkdir", "directory")], "mkdir")
    shell("exec ln -s file link", [("symlink", "link")], "ln")
    shell("exec ln file hard", [("link", "hard")], "ln")
    rows = shell("exec mv file moved", [("rename", "file")], "mv")
    expect_eq(rows[-1]["data"]["other"], "/workspaces/w/moved", "the new name")
    shell("exec rm moved", [("remove", "moved")], "rm")
    shell("exec rm -r directory", [("remove", "directory")], "rm")
    shell("exec rm link hard", [("remove", "link"), ("remove", "hard")], "rm")


def attributes():
    shell("echo x >a", [("create", "a")], "bash")
    shell("exec chmod 0600 a", [("attributes", "a")], "chmod")
    expect_eq(shell("exec chmod 0600 a", [], "chmod"), [], "rows of what changes nothing")
    shell("exec touch -d @1 a", [("attributes", "a")], "touch")
    shell("exec truncate -s 100 a", [("truncate", "a")], "truncate")


def tools():
    shell("printf 'one\\n' >text", [("create", "text")], "bash")
    after = journal_end()
    run(["sed", "-i", "s/one/two/", "text"], cwd=W)
    rows = changes(after)
    expect(all(row["command"] == "sed" for row in rows), f"commands of {brief(rows)}")
    kinds = [kind for kind, _ in brief(rows)]
    expect_eq([kinds.count("create"), kinds.count("rename")], [1, 1], f"rows of sed: {kinds}")
    expect_eq(changes(after, "/workspaces/w/text")[-1]["data"]["other"], "/workspaces/w/text",
              "where sed renamed to")


def compiler():
    shell("echo 'int main(void) { return 0; }' >main.c", [("create", "main.c")], "bash")
    after = journal_end()
    run(["gcc", "-o", "program", "main.c"], cwd=W)
    rows = changes(after, "/workspaces/w/program")
    expect(rows, "the program has no row")
    expect(all(row["command"] in ("ld", "collect2", "ld.bfd", "ld.gold", "ld.lld", "ld.mold",
                                  "gcc", "mold") for row in rows),
           f"commands of the program's rows: {[row['command'] for row in rows]}")


def git_checkout():
    run(["git", "init", "-q", "-b", "main", "."], cwd=W, env=ENVIRONMENT)
    run(["git", "add", "main.c"], cwd=W, env=ENVIRONMENT)
    run(["git", "commit", "-qm", "first"], cwd=W, env=ENVIRONMENT)
    with open(os.path.join(W, "main.c"), "w", encoding="utf-8") as file:
        file.write("broken")
    after = journal_end()
    run(["git", "checkout", "-q", "--", "main.c"], cwd=W, env=ENVIRONMENT)
    rows = changes(after, "/workspaces/w/main.c")
    expect(rows and all(row["command"] == "git" for row in rows), f"rows of main.c: {rows}")
    expect("create" in [kind for kind, _ in brief(rows)], f"rows of main.c: {brief(rows)}")


def memory_map():
    path = os.path.join(W, "mapped")
    with open(path, "wb") as file:
        file.write(b"x" * 8192)
    after = journal_end()
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        view[0:5] = b"hello"
    with open(path, "rb") as file:
        expect_eq(file.read(5), b"hello", "what was mapped")
    rows = changes(after, "/workspaces/w/mapped")
    expect(rows, "a write by memory map has no row")
    expect_eq({(tuple(row["by"]), row["host_pid"], row["command"]) for row in rows},
              {((me,), os.getpid(), "python3")}, "authors")


def a_process_that_changes_its_user():
    """What it writes by one descriptor is of who it is when it writes."""
    if os.geteuid() != 0:
        return
    after = journal_end()
    fd = os.open(os.path.join(W, "handed"), os.O_RDWR | os.O_CREAT, 0o666)
    child = os.fork()
    if child == 0:
        os.write(fd, b"of root")
        os.setgroups([])
        os.setresuid(65534, 65534, 65534)
        os.write(fd, b", and of nobody")
        os._exit(0)
    expect_eq(os.waitpid(child, 0)[1], 0, "the child")
    os.close(fd)
    rows = [row for row in changes(after, "/workspaces/w/handed") if row["kind"] == "tree.write"]
    expect_eq([(row["user"], row["data"]["bytes"]) for row in rows],
              [("root", 7), ("nobody", 15)], "rows of the writes")


def many_names():
    """One row a change."""
    after = journal_end()
    run(["bash", "-c", "for n in {1..200}; do : >many-$n; done; rm many-*"], cwd=W)
    kinds = [kind for kind, name in brief(changes(after)) if name.startswith("many-")]
    expect_eq([kinds.count("create"), kinds.count("remove")], [200, 200], "rows of names")


def reads_leave_nothing():
    after = journal_end()
    run(["bash", "-c", "cat text main.c mapped >/dev/null; ls -lR . >/dev/null; grep -r x ."],
        cwd=W)
    expect_eq(brief(changes(after)), [], "rows of reads")


def control_writes():
    pid = spawn(name="controlled")
    after = journal_end()
    write("nice 3\nnice 4\n", "proc", pid, "ctl")
    write("called\n", "proc", pid, "name")
    rows = [row for row in journal_rows(after) if row["kind"] == "control.write"]
    expect_eq([(row["data"]["path"], row["data"]["text"]) for row in rows],
              [(f"/proc/{pid}/ctl", "nice 3"), (f"/proc/{pid}/ctl", "nice 4"),
               (f"/proc/{pid}/name", "called")], "rows of control writes")
    for row in rows:
        expect_eq((row["by"], row["host_pid"], row["command"], row["file"]),
                  ([me], os.getpid(), "python3", row["data"]["path"]), "author")
        expect_eq(row["data"]["bytes"], len(row["data"]["text"]), "bytes")
    after = journal_end()
    try:
        write("frobnicate\n", "proc", pid, "ctl")
    except OSError:
        expect_eq(last_error()[0], "EINVAL")
    expect_eq([row["kind"] for row in journal_rows(after)], [], "rows of a command that failed")


AGENT_COMMAND = r"""
echo one > by-shell
mkdir by-directory && mv by-shell by-directory/moved && ln -s moved by-directory/link
printf 'int main(void){return 0;}\n' > by-agent.c && gcc -o by-program by-agent.c
sed -i s/0/1/ by-agent.c
(setsid sh -c '(echo orphan > by-orphan; exec true) &' </dev/null >/dev/null 2>&1)
python3 - <<'END'
import mmap, os
with open("by-map", "w+b") as f:
    f.truncate(4096)
    with mmap.mmap(f.fileno(), 0) as m: m[0:5] = b"hello"
for _ in range(2):  # forks twice, leaves the session, goes on alone
    if os.fork(): break
    os.setsid()
else:
    open("by-daemon", "w").write("daemon")
    os._exit(0)
END
for n in $(seq 50); do test -s by-daemon && test -s by-orphan && break; sleep 0.1; done
rm by-directory/link; cat by-daemon by-orphan
"""


def agent(name="w"):
    script_model("worker", {"tasks": [{"match": "*", "steps": [
        {"text": "I work.", "calls": [
            {"name": "write", "arguments": {"path": "by-tool", "text": "tool\n"}},
            {"name": "exec", "arguments": {"command": AGENT_COMMAND}}]},
        {"text": "Done: {{result:2}}"}]}]})
    pid = spawn(name=f"worker-{name}", workspace=name, model="worker")
    after = journal_end()
    write("work\n", "proc", pid, "chat")
    answer = read("proc", pid, "wait")
    if "sandbox" in answer and "not" in answer and "exit=0" not in answer:
        skip(f"no sandbox here: {answer.strip()[:200]}")
    expect("daemon" in answer and "orphan" in answer, f"the answer: {answer}")
    rows = [row for row in changes(after) if "/by-" in target(row)]
    for row in rows:
        expect_eq(row["by"], [pid, me], f"lineage of {row['kind']} {row['data']}")
        call = "call:1" if target(row).endswith("by-tool") else "call:2"
        expect_eq(row.get("via"), call, f"via of {row['kind']} {row['data']}")
    seen = {os.path.relpath(path, f"/workspaces/{name}") for row in rows
            for path in (row["data"]["path"], target(row))}
    wanted = {"by-tool", "by-shell", "by-directory", "by-directory/link", "by-agent.c",
              "by-program", "by-orphan", "by-map", "by-daemon"}
    expect_eq(wanted - seen, set(), "paths without a row")
    commands = {row["data"]["path"].split(f"/{name}/")[1]: row["command"] for row in rows
                if row["kind"] == "tree.create" and row["via"] == "call:2"}
    expect_eq((commands["by-map"], commands["by-daemon"], commands["by-orphan"],
               commands["by-shell"]), ("python3", "python3", "sh", "sh"), "commands")
    end = [row for row in journal_rows(after) if row["kind"] == "exec.end"][-1]
    late = [row for row in rows if row["seq"] > end["seq"]]
    expect_eq(brief(late), [], "changes told after the command was reported as ended")
    expect(all(row["host_pid"] > 0 for row in rows if row["via"] == "call:2"), "no host pid")


def agent_without_a_sandbox():
    os.mkdir(mnt("workspaces/v"))
    with open(mnt("etc/devices/local.toml"), "w", encoding="utf-8") as file:
        file.write('sandbox = "none"\n')
    agent("v")
    os.remove(mnt("etc/devices/local.toml"))


def the_log_has_a_line_a_change_whatever_a_program_calls_itself():
    for name, shown in (("x)\tremove\tkey", '"x)\\tremove\\tkey"'), ("a\nline", '"a\\nline"'),
                        ("two words", '"two words"'), ("plain", "plain")):
        before = read("workspaces/w/.agentfs/log").splitlines()
        program = f"import ctypes,os; ctypes.CDLL(None).prctl(15, {name.encode()!r}, 0, 0, 0); " \
                  "os.mkdir('named'); os.rmdir('named')"
        subprocess.run(["python3", "-c", program], cwd=W, check=True)
        lines = [line.split("\t") for line in read("workspaces/w/.agentfs/log").splitlines()]
        expect_eq([line[1:4] for line in lines[len(before):]],
                  [[f"{me}<root ({shown})", operation, "named"] for operation in ("mkdir", "remove")])


def names_that_change_places_are_told_apart_from_a_rename():
    for name in ("left", "right"):
        with open(os.path.join(W, name), "w", encoding="utf-8") as file:
            file.write(name)
    renameat2(os.path.join(W, "left"), os.path.join(W, "right"), EXCHANGE)
    expect_eq(read("workspaces/w/.agentfs/log").splitlines()[-1].split("\t")[2:4],
              ["rename", "left <-> right"])


def person_in_the_sandbox():
    """The same for a command of a person."""
    after = journal_end()
    write("cd /home/* && echo x > by-person && rm by-person\n", "dev/local/exec")
    rows = [row for row in changes(after) if row["data"]["path"].endswith("/by-person")]
    kinds = [row["kind"] for row in rows if row["kind"] not in ("tree.write", "tree.open")]
    expect_eq(kinds, ["tree.create", "tree.remove"], "rows")
    expect_eq({tuple(row["by"]) for row in rows}, {(me,)}, "lineage")


def chain():
    expect(read("sys/journal/verify").startswith("ok "), read("sys/journal/verify"))
    seqs = [row["seq"] for row in journal_rows()]
    expect_eq(seqs, list(range(1, len(seqs) + 1)), "numbers of the records")


main(setup, shells, attributes, tools, compiler, git_checkout, memory_map, a_process_that_changes_its_user, many_names,
     reads_leave_nothing, control_writes, agent,
     agent_without_a_sandbox, the_log_has_a_line_a_change_whatever_a_program_calls_itself,
     names_that_change_places_are_told_apart_from_a_rename, person_in_the_sandbox, chain)
