#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Generations of paths, conditions on them, and what agents may not overwrite: refused, and kept."""
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from mount_lib import (TESTDIR, Mount, expect, expect_eq, expect_errno, expect_has, kill,
                       main, need, read, renameat2, run, tell, wait_until)

M = Mount.of("generations")
NOREPLACE = 1
SITE = M / "workspaces/site"
CONFLICTS = M / "sys/conflicts"

# One who wants to publish on the generation that it has seen: sets the condition, says so, waits
# for a line, publishes by the way it was given and says what came of it.
PUBLISHER = """
import errno, os, sys
path, way = sys.argv[1:3]
fd = os.open(path, os.O_RDWR)
os.setxattr(fd, "user.agentfs.if-gen", os.getxattr(fd, "user.agentfs.gen"))
mine = f"{path}.{os.getpid()}"
if way == "rename":
    with open(mine, "w") as file: file.write(mine)
print("ready", flush=True)
sys.stdin.readline()
try:
    if way == "rename": os.rename(mine, path)
    elif way == "truncate": os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    elif way == "write": os.pwrite(fd, mine.encode(), 0)
    elif way == "unlink": os.unlink(path)
    print("done", flush=True)
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
sys.stdin.readline()
"""

# Counts a file up so often, each time from what it has read by the generation that it had before.
COUNTER = """
import os, sys
path, way, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
mine = f"{path}.{os.getpid()}"
while wanted > 0:
    try:
        generation = os.getxattr(path, "user.agentfs.gen")
        with open(path) as file: seen = file.read()
        if not seen.strip("\\0"): continue  # it is being written
        if way == "rename":
            with open(mine, "w") as file: file.write(str(int(seen) + 1))
        os.setxattr(path, "user.agentfs.if-gen", generation)
        if way == "rename":
            os.rename(mine, path)
        else:
            with open(path, "w") as file: file.write(str(int(seen) + 1))
        wanted -= 1
    except OSError: pass
"""

# Counts a file up so often from what it has read, and begins anew where that is refused.
COUNTING_COMMAND = """
import errno, os, sys
mine, wanted = "t." + sys.argv[1], int(sys.argv[2])
while wanted > 0:
    try:
        with open("count") as file: seen = file.read()
        with open(mine, "w") as file: file.write(str(int(seen) + 1))
        os.rename(mine, "count")
        wanted -= 1
    except OSError as error:
        if error.errno != errno.ESTALE: raise
"""

# Publishes on the generation that it finds, and says what came of it.
ANOTHER = """
import errno, os, sys
path = sys.argv[1]
try:
    os.setxattr(path, "user.agentfs.if-gen", os.getxattr(path, "user.agentfs.gen"))
    with open(path + ".new", "w") as file: file.write("another")
    os.rename(path + ".new", path)
    print("done")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


def gen(path):
    return int(os.getxattr(path, "user.agentfs.gen"))


def writer(path):
    return os.getxattr(path, "user.agentfs.writer").decode()


def agent(name, *steps, profile=""):
    """Spawns an agent whose model makes these calls, one a turn; gives its pid, which runs."""
    calls = [{"text": "Next.", "calls": [{"name": tool, "arguments": arguments}]}
             for tool, arguments in steps]
    M.script_model(name, {"name": name, "tasks": [
        {"match": "*", "after": "Done.", "steps": calls}]})
    pid = M.spawn(f"name={name} model={name} workspace=site {profile}".strip())
    tell(M.proc(pid, "chat"), "go\n")
    return pid


def result(pid, number):
    return M.get(pid, f"calls/{number}/result")


def state(pid, number):
    return M.get(pid, f"calls/{number}/state").strip()


def until(name):
    """A command that ends when the test has made the file."""
    return ("exec", {"command": f"while [ ! -e {name} ]; do sleep 0.02; done"})


def reached(pid, number):
    """The agent is at its call of this number."""
    def there():
        path = M.proc(pid, f"calls/{number}/state")
        return path.exists() and read(path).strip() == "running"
    wait_until(30, there, f"call {number} of {pid}")


def conflicts():
    return sorted((int(name) for name in os.listdir(CONFLICTS) if name.isdigit()))


def mount_it():
    M.mount()
    SITE.mkdir()


def names_have_generations():
    path = SITE / "a.txt"
    path.write_text("one\n")
    seen = [gen(path)]
    path.write_text("two\n")
    seen.append(gen(path))
    (SITE / "b.txt").write_text("three\n")
    (SITE / "b.txt").rename(path)
    seen.append(gen(path))
    path.unlink()
    path.write_text("four\n")
    seen.append(gen(path))
    expect_eq(seen, sorted(set(seen)), "generations of one name, each greater than the last")
    os.chmod(path, 0o600)
    os.setxattr(path, "user.other", b"x")
    expect_eq(gen(path), seen[-1], "after changes of mode and attributes")
    (SITE / "d/e").mkdir(parents=True)
    (SITE / "d/e/f").write_text("deep\n")
    before = gen(SITE / "d/e/f")
    (SITE / "d").rename(SITE / "moved")
    after = gen(SITE / "moved/e/f")
    expect(after > before, f"below a directory that was renamed: {before}, then {after}")
    expect_eq(after, gen(SITE / "moved"))
    expect_has(writer(path), "(python3)", "the writer")
    expect_eq(gen(SITE / "moved/e/f"), after, "asked again")


def they_are_told():
    rows = [json.loads(line) for line in read(M / "sys/gen/table.jsonl").splitlines()]
    by_path = {row["path"]: row for row in rows}
    row = by_path["/workspaces/site/a.txt"]
    expect_eq(row["gen"], gen(SITE / "a.txt"))
    expect_eq(row["writer"], writer(SITE / "a.txt"))
    expect(row["time"].endswith("Z"), f"time: {row}")
    expect_eq([row["gen"] for row in rows], sorted(row["gen"] for row in rows), "order")


def hashes():
    path = SITE / "hashed"
    for text in (b"", b"abc", b"x" * 3_000_000):
        path.write_bytes(text)
        wanted = run(["b2sum", "-l", "256", path]).split()[0]
        for _ in range(2):
            expect_eq(os.getxattr(path, "user.agentfs.hash").decode(), wanted)
    with open(path, "r+b") as file:
        file.write(b"y")
    expect_eq(os.getxattr(path, "user.agentfs.hash").decode(),
              run(["b2sum", "-l", "256", path]).split()[0], "after a byte was changed")


def copies_do_not_carry_them():
    path = SITE / "a.txt"
    expect_eq([name for name in os.listxattr(path) if "agentfs" in name], [])
    for name in ("gen", "writer", "hash", "anything"):
        expect_errno("EPERM", os.setxattr, path, f"user.agentfs.{name}", b"1")
        expect_errno("EPERM", os.removexattr, path, f"user.agentfs.{name}")
    expect_errno("ENODATA", os.getxattr, path, "user.agentfs.if-gen")
    expect_errno("ENODATA", os.getxattr, path, "user.agentfs.anything")
    (M / "tmp/t").write_text("t")
    expect_errno("ENODATA", os.getxattr, M / "tmp/t", "user.agentfs.gen")
    run(["cp", "-a", SITE, TESTDIR / "copy"])
    run(["cp", "-a", SITE, M / "workspaces/copied"])
    expect_eq(read(M / "workspaces/copied/a.txt"), read(path))
    if shutil.which("rsync"):
        run(["rsync", "-aX", f"{SITE}/", TESTDIR / "synced/"])
        run(["rsync", "-aX", f"{TESTDIR}/synced/", SITE / "back/"])
    run(["tar", "--xattrs", "-C", SITE, "-cf", TESTDIR / "t.tar", "."])


def conditions():
    path = SITE / "cond"
    path.write_text("0\n")
    expect_errno("ESTALE", os.setxattr, path, "user.agentfs.if-gen", b"1")
    expect_errno("EINVAL", os.setxattr, path, "user.agentfs.if-gen", b"0")
    expect_errno("EINVAL", os.setxattr, path, "user.agentfs.if-gen", b"x")
    expect_has(M.last_error(), "cond: not a generation (x)", "why there is no such condition")
    expect_errno("EPERM", os.setxattr, path, "user.agentfs.gen", b"7")
    expect_has(M.last_error(), "user.agentfs.gen is told by agentfs and not set", "why it is not")
    expect_errno("EPERM", os.removexattr, path, "user.agentfs.hash")
    expect_has(M.last_error(), "user.agentfs.hash is told by agentfs and cannot be removed")
    os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
    path.write_text("1\n")
    path.write_text("2\n")  # used once
    expect_eq(read(path), "2\n")
    os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
    run(["sh", "-c", f"echo other > {path}"])
    expect_errno("ESTALE", path.write_text, "3\n")
    expect_eq(read(path), "other\n", "what was there")
    path.write_text("4\n")
    os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
    run(["rm", path])
    expect_errno("ESTALE", path.write_text, "5\n")
    expect(not path.exists(), "what was refused was made")
    (SITE / "new").write_text("new\n")
    for publish in (lambda: os.link(SITE / "new", path), lambda: renameat2(SITE / "new", path, NOREPLACE),
                    lambda: os.symlink("new", path), lambda: os.mkfifo(path), lambda: os.mkdir(path)):
        path.write_text("6\n")
        os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
        expect_errno("EEXIST", publish)
        run(["rm", path])
        expect_errno("ESTALE", publish)
        expect_has(M.last_error(), "cond: was removed since it had generation")
        expect(not path.exists(), "what was refused was made")
        publish()
        path.rmdir() if path.is_dir() else path.unlink()


# Opens a file, and writes each line that it is given over the beginning of it, synced or not.
HOLDER = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
for line in sys.stdin:
    os.pwrite(fd, line.encode()[:1], 0)
    if line.endswith("s\\n"):
        os.fsync(fd)
    print("written", flush=True)
"""


def what_another_is_writing_counts():
    """Also before that one closes the file, or after its fsync."""
    path = SITE / "held"
    for way in ("write", "replace", "truncate", "unlink", "ask"):
        path.write_text("0\n")
        seen = str(gen(path)).encode()
        other = subprocess.Popen([sys.executable, "-c", HOLDER, path], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def write(line, to=other):
            to.stdin.write(line)
            to.stdin.flush()
            expect_eq(to.stdout.readline(), "written\n")
        write("1s\n")
        if way == "ask":
            write("1\n")
            expect_errno("ESTALE", os.setxattr, path, "user.agentfs.if-gen", seen)
            expect(gen(path) > int(seen), "the generation of what was not told yet")
        else:
            os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
            write("2\n")
        if way == "write":
            expect_errno("ESTALE", lambda: path.open("r+b", buffering=0).write(b"3"))
        elif way == "replace":
            (SITE / "held.new").write_text("3")
            expect_errno("ESTALE", (SITE / "held.new").rename, path)
        elif way == "truncate":
            expect_errno("ESTALE", path.write_text, "3")
        elif way == "unlink":
            expect_errno("ESTALE", path.unlink)
        other.stdin.close()
        expect_eq(other.wait(), 0, "who had it open")
        expect_eq(read(path), "1\n" if way == "ask" else "2\n", f"what the other wrote ({way})")
    path.write_text("own\n")
    with path.open("r+b", buffering=0) as file:
        os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
        file.write(b"O")
        file.write(b"W")
        os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
        file.write(b"N")
    expect_eq(read(path), "OWN\n", "what the one writer wrote")


def a_condition_is_of_a_file_with_one_name():
    """What is written by another name is told of that one."""
    path, other = SITE / "linked", SITE / "linked-too"
    path.write_text("one\n")
    os.link(path, other)
    for name in (path, other):
        expect_errno("EMLINK", os.setxattr, name, "user.agentfs.if-gen", str(gen(name)).encode())
    other.unlink()
    os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
    path.write_text("two\n")


def a_file_without_its_name_is_stale():
    path, other = SITE / "taken", SITE / "other"
    for take_name in (lambda: other.rename(path), path.unlink):
        path.write_text("one\n")
        other.write_text("two\n")
        descriptor = os.open(path, os.O_RDWR)
        seen = os.getxattr(descriptor, "user.agentfs.gen")
        take_name()
        expect_errno("ESTALE", os.getxattr, descriptor, "user.agentfs.gen")
        expect_has(M.last_error(), "open it by its name again")
        expect_errno("ESTALE", os.setxattr, descriptor, "user.agentfs.if-gen", seen)
        expect_has(M.last_error(), "open it by its name again")
        os.close(descriptor)
    other.write_text("two\n")
    other.rename(path)
    expect(gen(path) > 0, "the name has no generation any more")
    path.unlink()


def of_two_one_publishes():
    for way in ("rename", "truncate", "write", "unlink"):
        path = SITE / f"race-{way}"
        path.write_text("at first, and long enough to be overwritten\n" * 9)
        both = [subprocess.Popen([sys.executable, "-c", PUBLISHER, path, way], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
        for one in both:
            expect_eq(one.stdout.readline(), "ready\n", way)
        for one in both:
            one.stdin.write("\n")
            one.stdin.flush()
        seen = sorted(one.stdout.readline().strip() for one in both)
        for one in both:
            one.communicate("\n", timeout=20)
        lost = "ENOENT" if way == "unlink" and "ENOENT" in seen else "ESTALE"
        expect_eq(seen, [lost, "done"], f"what became of two that {way}")


def of_many_who_count_none_is_lost():
    """What is read after a generation is of it or of a later one, also out of the host's cache."""
    for way in ("rename", "truncate"):
        path = SITE / f"count-{way}"
        path.write_text("0")
        each = 120
        counters = [subprocess.Popen([sys.executable, "-c", COUNTER, path, way, str(each)]) for _ in range(4)]
        expect_eq([one.wait(200) for one in counters], [0] * 4, way)
        expect_eq(path.read_text(), str(each * 4), way)


def of_threads_who_count_none_is_lost():
    path = SITE / "count-threads"
    path.write_text("0")

    def count(wanted):
        while wanted > 0:
            try:
                generation = os.getxattr(path, "user.agentfs.gen")
                seen = path.read_text()
                if not seen.strip("\0"):
                    continue  # it is being written
                os.setxattr(path, "user.agentfs.if-gen", generation)
                path.write_text(str(int(seen) + 1))
                wanted -= 1
            except OSError as error:
                expect_eq(error.errno, errno.ESTALE, "why it was refused")
    with ThreadPoolExecutor() as threads:
        for counted in [threads.submit(count, 40) for _ in range(4)]:
            counted.result(timeout=200)
    expect_eq(path.read_text(), "160")


def move(path):
    return path.rename(path.with_name("moved"))


def move_directory(path):
    return path.parent.rename(SITE / "cut-moved") / path.name


def start_a_program(path):
    run(["true"])  # closes what it has inherited
    return path


def who_has_cut_a_file_has_it_until_it_is_written():
    """Under whatever name, and as long as it has it open itself."""
    for way in (start_a_program, move, move_directory):
        (SITE / "cut").mkdir()
        path = SITE / "cut/file"
        path.write_text("one")
        os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
        with path.open("w") as file:
            path = way(path)
            expect_eq(run([sys.executable, "-c", ANOTHER, path]).strip(), "ESTALE", way.__name__)
            file.write("two")
        expect_eq(read(path), "two", way.__name__)
        expect_eq(run([sys.executable, "-c", ANOTHER, path]).strip(), "done", f"after {way.__name__}")
        expect_eq(read(path), "another", way.__name__)
        shutil.rmtree(path.parent)


def who_has_cut_what_has_gone_holds_up_nobody():
    """It goes on writing a file without a name, and not the one that has the name since."""
    path = SITE / "gone"
    for way in ("rm", "mv"):
        path.write_text("one")
        os.setxattr(path, "user.agentfs.if-gen", str(gen(path)).encode())
        with path.open("w") as file:
            run(["sh", "-c", "rm gone; echo new >gone" if way == "rm" else
                 "echo new >other; mv other gone"], cwd=SITE)
            expect_eq(run([sys.executable, "-c", ANOTHER, path]).strip(), "done", way)
            file.write("two")
        expect_eq(read(path), "another", way)
        path.unlink()


def an_unread_file_is_refused():
    path = SITE / "unread.txt"
    path.write_text("a person's\n")
    pid = agent("unread", ("write", {"path": "unread.txt", "text": "the agent's\n"}),
                ("read", {"path": "unread.txt"}),
                ("write", {"path": "unread.txt", "text": "the agent's\n"}),
                ("write", {"path": "unread.txt", "text": "again\n"}),
                ("write", {"path": "new.txt", "text": "new\n"}),
                ("write", {"path": "new.txt", "text": "newer\n"}))
    M.wait(pid)
    expect_eq(state(pid, 1), "failed")
    expect_has(M.get(pid, "errors"), "ESTALE")
    for piece in ("has not read it", "read it, then write", "/sys/conflicts/"):
        expect_has(result(pid, 1), piece)
    expect_eq([state(pid, number) for number in range(2, 7)], ["done"] * 5)
    expect_eq(read(path), "again\n")
    expect_eq(read(SITE / "new.txt"), "newer\n")
    number = conflicts()[-1]
    expect_eq(read(CONFLICTS / f"{number}/theirs"), "the agent's\n")
    expect_eq(read(CONFLICTS / f"{number}/ours"), "again\n")
    path.unlink()
    path.mkdir()
    expect_eq(read(CONFLICTS / f"{number}/ours"), "", "what a directory has for a text")
    expect_eq((CONFLICTS / f"{number}/ours").stat().st_size, 0)
    path.rmdir()
    path.write_text("again\n")
    tell(CONFLICTS / f"{number}/ctl", "take ours\n")
    expect_eq(read(path), "again\n")
    expect(number not in conflicts(), "an ended conflict is there")


EDITS = itertools.count()


def edited_meanwhile(name, text, other):
    """An agent reads, a person changes, the agent writes `text`: its pid."""
    path = SITE / name
    go = f"go-{name}-{next(EDITS)}"  # another each time: one that is there already ends the wait
    pid = agent(name.partition(".")[0], ("read", {"path": name}), until(go),
                ("write", {"path": name, "text": text}))
    reached(pid, 2)
    path.write_text(other)
    (SITE / go).touch()
    M.wait(pid)
    return pid


LINES = "".join(f"line {number}\n" for number in range(1, 21))


def a_stale_write_is_refused_and_kept():
    (SITE / "plan.txt").write_text(LINES)
    mine = LINES.replace("line 2\n", "line two, the agent's\n")
    theirs = LINES.replace("line 18\n", "line eighteen, a person's\n")
    pid = edited_meanwhile("plan.txt", mine, theirs)
    expect_eq(state(pid, 3), "failed")
    expect_has(M.get(pid, "errors"), "ESTALE")
    for piece in ("since this process saw it", "read it again", "(python3)"):
        expect_has(result(pid, 3), piece)
    expect_eq(read(SITE / "plan.txt"), theirs)
    number = conflicts()[-1]
    at = CONFLICTS / str(number)
    expect_eq(read(at / "base"), LINES)
    expect_eq(read(at / "ours"), theirs)
    expect_eq(read(at / "theirs"), mine)
    both = theirs.replace("line 2\n", "line two, the agent's\n")
    expect_eq(read(at / "merged"), both)
    expect_has(read(at / "about"), "merged\tclean")
    expect_has(read(at / "about"), "/workspaces/site/plan.txt")
    return number, mine, both


def a_kill_keeps_all():
    number, mine, _ = a_stale_write_is_refused_and_kept()
    before = {path: gen(SITE / path) for path in ("a.txt", "moved/e/f", "plan.txt", "new.txt")}
    old = M.daemon()
    kill(old, signal.SIGKILL)
    wait_until(30, lambda: M.daemon() not in (0, old), "another daemon")
    wait_until(30, lambda: os.path.exists(SITE / "a.txt"), "the mount is back")
    expect_eq({path: gen(SITE / path) for path in before}, before, "generations after kill -9")
    M.umount()
    M.mount()
    expect_eq({path: gen(SITE / path) for path in before}, before, "generations after a restart")
    at = CONFLICTS / str(number)
    expect_eq(read(at / "theirs"), mine)
    expect_eq(read(at / "base"), LINES)
    expect_errno("EINVAL", tell, at / "ctl", "take anything\n")
    tell(at / "ctl", "take theirs\n")
    expect_eq(read(SITE / "plan.txt"), mine)
    expect(number not in conflicts(), "an ended conflict is there")
    expect_eq(os.listdir(M.state / "conflicts"), [str(one) for one in conflicts()])
    M.umount()
    M.mount()
    expect(number not in conflicts(), "an ended conflict is there again")


def both_go_together():
    number, _, both = a_stale_write_is_refused_and_kept()
    tell(CONFLICTS / f"{number}/ctl", "take merged\n")
    expect_eq(read(SITE / "plan.txt"), both)
    (SITE / "plan.txt").write_text(LINES)
    mine = LINES.replace("line 2\n", "line two, the agent's\n")
    clash = LINES.replace("line 2\n", "line two, a person's\n")
    edited_meanwhile("plan.txt", mine, clash)
    number = conflicts()[-1]
    expect_has(read(CONFLICTS / f"{number}/about"), "merged\tmarkers")
    expect_errno("EBUSY", tell, CONFLICTS / f"{number}/ctl", "take merged\n")
    expect_eq(read(SITE / "plan.txt"), clash)
    pid = agent("dropper", ("ctl", {"path": f"/sys/conflicts/{number}/ctl", "line": "drop"}))
    M.wait(pid)
    expect_has(M.get(pid, "errors"), "EPERM")
    tell(CONFLICTS / f"{number}/ctl", "drop\n")
    expect(number not in conflicts(), "a dropped conflict is there")


def commands_of_agents():
    (SITE / "conf").write_text("colour=red\n")
    (SITE / "list").write_text("1\n2\n")
    pid = agent("sed", ("exec", {"command": "cat conf list"}), until("go-sed"),
                ("exec", {"command": "sed -i s/blue/green/ conf"}),
                ("exec", {"command": "echo mine > list"}),
                ("exec", {"command": "echo mine > fresh && mv fresh list"}),
                ("exec", {"command": "rm list"}),
                ("exec", {"command": "cat list && echo mine > list"}),
                ("exec", {"command": "echo mine > never-seen"}))
    reached(pid, 2)
    (SITE / "conf").write_text("colour=blue\n")
    (SITE / "list").write_text("1\n2\n3\n")
    (SITE / "never-seen").write_text("theirs\n")
    (SITE / "go-sed").touch()
    M.wait(pid)
    expect_has(result(pid, 3), "exit=0", "sed -i reads what it replaces")
    expect_eq(read(SITE / "conf"), "colour=green\n")
    for number in (4, 5, 6):
        expect_has(result(pid, number), "Stale file handle")
        expect("exit=0" not in result(pid, number), f"call {number}: {result(pid, number)}")
    expect_has(result(pid, 7), "exit=0")
    expect_has(result(pid, 8), "exit=0")
    expect_eq(read(SITE / "list"), "mine\n")
    expect_eq(read(SITE / "never-seen"), "mine\n")
    expect_has(M.get(pid, "errors"), "since this process saw it")
    expect_eq(read(CONFLICTS / f"{conflicts()[-1]}/theirs"), "mine\n", "what mv would have put there")


def of_agents_that_count_none_is_lost():
    """Each says what it has done by its answer, so that what is refused it does again."""
    each = 150
    (SITE / "count").write_text("0")
    (SITE / "count.py").write_text(COUNTING_COMMAND)
    counters = [agent(f"counter-{name}", ("exec", {"command": f"python3 count.py {name} {each}"}))
                for name in "ab"]
    for pid in counters:
        M.wait(pid, 200)
        expect_has(result(pid, 1), "exit=0")
    expect_eq(read(SITE / "count"), str(each * len(counters)))


def what_is_ignored_is_not_checked():
    (SITE / ".gitignore").write_text("build/\n*.log\n")
    (SITE / "build").mkdir()
    (SITE / "build/out").write_text("old\n")
    (SITE / "x.log").write_text("old\n")
    pid = agent("builder", ("write", {"path": "build/out", "text": "new\n"}),
                ("write", {"path": "x.log", "text": "new\n"}),
                ("write", {"path": "a.txt", "text": "new\n"}))
    M.wait(pid)
    expect_eq([state(pid, number) for number in (1, 2, 3)], ["done", "done", "failed"])


def policies():
    (M / "etc/history.toml").write_text('stale_writes = "merge"\n')
    (SITE / "plan.txt").write_text(LINES)
    mine = LINES.replace("line 2\n", "line two, the agent's\n")
    theirs = LINES.replace("line 18\n", "line eighteen, a person's\n")
    pid = edited_meanwhile("plan.txt", mine, theirs)
    expect_eq(state(pid, 3), "done")
    expect_has(result(pid, 3), "merged with what another had changed")
    expect_eq(read(SITE / "plan.txt"), theirs.replace("line 2\n", "line two, the agent's\n"))
    (SITE / "plan.txt").write_text(LINES)
    pid = edited_meanwhile("plan.txt", mine, LINES.replace("line 2\n", "line two, a person's\n"))
    expect_eq(state(pid, 3), "failed")
    (M / "etc/history.toml").write_text('stale_writes = "allow"\n')
    (SITE / "plan.txt").write_text(LINES)
    pid = edited_meanwhile("plan.txt", mine, theirs)
    expect_eq(state(pid, 3), "done")
    expect_eq(read(SITE / "plan.txt"), mine)
    expect_errno("EBADMSG", (M / "etc/history.toml").write_text, 'stale_writes = "never"\n')


need("b2sum")
def what_a_tool_deletes_is_in_the_trash_whatever_its_name():
    names = ["plain", ".env", "4913", "a.lock", "a~", ".agentfs-0123456789ab"]
    for name in names:
        (SITE / name).write_text("precious\n")
    pid = agent("deleter", *(("delete", {"path": name}) for name in names))
    wait_until(30, lambda: state(pid, len(names)) == "done", "the last call")
    for name in names:
        expect(not (SITE / name).exists(), f"{name}: is still there")
        expect_eq(read(SITE / ".agentfs/trash" / name), "precious\n", name)


main(mount_it, names_have_generations, they_are_told, hashes, copies_do_not_carry_them, conditions,
     what_another_is_writing_counts, a_condition_is_of_a_file_with_one_name, a_file_without_its_name_is_stale, of_two_one_publishes,
     of_many_who_count_none_is_lost, of_threads_who_count_none_is_lost,
     who_has_cut_a_file_has_it_until_it_is_written,
     who_has_cut_what_has_gone_holds_up_nobody, an_unread_file_is_refused, a_kill_keeps_all, both_go_together, commands_of_agents, of_agents_that_count_none_is_lost, what_is_ignored_is_not_checked, policies,
     what_a_tool_deletes_is_in_the_trash_whatever_its_name)
