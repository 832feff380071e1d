#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""The feed of changes: each changed path once, in order, with its author, over restarts too."""
import contextlib
import json
import os
import select
import signal
import subprocess

from mount_lib import (Mount, expect, expect_eq, expect_errno, expect_has, kill, main, read, run,
                       wait_until)

M = Mount.of("changes")
SITE = M / "workspaces/site"
OURS = SITE / ".agentfs"

WRITERS = r"""
set -e
printf 'int main(void) { return 1; }\n' > main.c
sed -i s/1/0/ main.c
cc -o main main.c
git init -q . && git -c user.name=t -c user.email=t@t commit -q --allow-empty -m 0
git add main.c && git -c user.name=t -c user.email=t@t commit -qm 1
git rm -q --cached main.c && git reset -q --hard
python3 - <<'END'
import mmap, os
fd = os.open("mapped", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
with mmap.mmap(fd, 4096) as memory:
    memory[:5] = b"mmap\n"
END
mv main renamed
rm main.c
"""


def events(text):
    return [json.loads(line) for line in text.splitlines() if not line.startswith("#")]


def shell(line):
    return run(["sh", "-c", line], cwd=SITE)


def of(path, seen):
    whole = f"/workspaces/site/{path}"
    return [e for e in seen if whole in (e.get("path"), e.get("other"))]


def mount_it():
    M.mount()
    SITE.mkdir()


def each_writer_is_told_with_its_name():
    shell(WRITERS)
    seen = events(read(OURS / "events.jsonl"))
    expect_eq([e["seq"] for e in seen], sorted({e["seq"] for e in seen}))
    for path, command, operation in (("main.c", "sh", "write"), ("main.c", "sed", "rename"),
                                     ("main", "ld", "write"), ("main.c", "git", "create"),
                                     ("mapped", "python3", "write"), ("renamed", "mv", "rename"),
                                     ("main.c", "rm", "remove")):
        mine = [e for e in of(path, seen)
                if e["op"] == operation and e.get("command", "").startswith(command)]
        if command == "ld":
            mine = [e for e in of(path, seen) if "ld" in e.get("command", "")]
        if command == "git":
            mine = [e for e in of(path, seen) if e.get("command", "") == "git"]
            mine = mine or [e for e in seen if e.get("command", "") == "git"]
        expect(mine, f"no {operation} of {path} by {command}: {of(path, seen)}")
        expect(all(e["by"] and e["user"] for e in mine), f"without an author: {mine}")
    log = read(OURS / "log")
    expect_has(log, "\trename\tmain -> renamed\t")
    deep = "/".join(["a-rather-long-name"] * 12)
    for name in (os.fsencode(deep), b"not-\xe9-utf8", "grün".encode(), b"two words\n"):
        os.makedirs(os.fsencode(SITE) + b"/named/" + name)
    named = [line.split("\t")[3] for line in read(OURS / "log").splitlines() if "\tmkdir\t" in line]
    for shown in (f"named/{deep}", r'"named/not-\351-utf8"', "named/grün", r'"named/two words\n"'):
        expect_has(named, shown, "names that the log tells")
    removed = [line for line in log.splitlines() if "\tremove\tmain.c\t" in line][-1]
    version = removed.split("\t")[-1]
    expect_eq(read(OURS / "versions/main.c" / version), "int main(void) { return 0; }\n")


def the_old_content_is_named():
    (SITE / "note").write_text("one\n")
    (SITE / "note").write_text("two\n")
    last = [e for e in of("note", events(read(OURS / "events.jsonl"))) if "version" in e][-1]
    expect_eq(read(OURS / f"versions/note/{last['version']:06}"), "one\n")


def reading_goes_on_from_a_number():
    seen = [e["seq"] for e in events(read(OURS / "events.jsonl"))]
    middle = seen[len(seen) // 2]
    rest = [e["seq"] for e in events(read(OURS / f"events/{middle}"))]
    expect_eq(rest, [n for n in seen if n > middle])
    expect_eq(os.listdir(OURS / "events"), ["README"])
    expect_errno("ENOENT", lambda: read(OURS / "events/soon"))
    expect("events" not in os.listdir(OURS) and "follow" not in os.listdir(OURS), "both unlisted")


def who_follows_is_woken():
    follow = os.open(OURS / "follow", os.O_RDONLY | os.O_NONBLOCK)
    poller = select.poll()
    poller.register(follow, select.POLLIN)
    expect_eq(poller.poll(0), [])
    (M / "workspaces/other").mkdir()
    (M / "workspaces/other/x").write_text("x\n")
    for number in range(100):
        (SITE / "followed").write_text(f"{number}\n")
    (SITE / "the-end").touch()
    text = ""
    while "the-end" not in text:
        expect(poller.poll(10_000), f"nothing comes after {text[-200:]}")
        text += os.read(follow, 65_536).decode()
    os.close(follow)
    told = events(text)
    kept = [e for e in events(read(OURS / "events.jsonl")) if e["seq"] >= told[0]["seq"]]
    expect_eq(told, kept[:len(told)])
    expect(all("/workspaces/site/" in e["path"] for e in told), "of another workspace")


def all_workspaces_have_one_feed():
    everything = events(read(M / "sys/workspaces/events.jsonl"))
    roots = {"/".join(e["path"].split("/")[:3]) for e in everything}
    expect({"/workspaces/site", "/workspaces/other"} <= roots, f"only {roots}")


def nothing_is_lost_by_a_kill():
    writer = subprocess.Popen(["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > killed-$i; done"],
                              cwd=SITE, stderr=subprocess.DEVNULL)
    wait_until(20, lambda: (SITE / "killed-50").exists(), "50 files")
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(30, lambda: M.answers() not in (0, daemon), "a mount that answers")
    writer.kill()
    writer.wait()
    told = {e["path"] for e in events(read(OURS / "events.jsonl"))}
    made = sorted(int(name[7:]) for name in os.listdir(SITE) if name.startswith("killed-"))
    for number in made[:-1]:  # the last was perhaps not acknowledged
        expect(f"/workspaces/site/killed-{number}" in told, f"killed-{number} is not told")
    M.verify()


def what_is_written_and_not_closed_is_told_after_a_kill():
    """By the next daemon, once: of who wrote it, where it is or was."""
    odd = [".env", "4913", ".agentfs-0123456789ab"]
    names = ["in-place", "renamed-later", "closed", *odd]
    for name in names:
        (SITE / name).write_text("0" * 20, encoding="utf-8")
    (SITE / "log").write_text("", encoding="utf-8")
    before = events(read(OURS / "events.jsonl"))[-1]["seq"]
    held = [os.open(SITE / name, os.O_WRONLY) for name in names]
    held.append(os.open(SITE / "log", os.O_WRONLY | os.O_APPEND))
    for fd in held:
        os.write(fd, b"XXXX")
    os.close(held.pop(2))
    os.rename(SITE / "renamed-later", SITE / "renamed-now")
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(20, lambda: M.answers() not in (0, daemon), "another daemon")
    seen = [e for e in events(read(OURS / f"events/{before}")) if e["op"] == "write"]
    told = {os.path.basename(e["path"]) for e in seen}
    now = "renamed-now" in told  # what is written past the daemon is looked for
    expect_eq(told, {"closed", "in-place", "log", *odd, "renamed-now" if now else "renamed-later"})
    expect_eq(len(seen), 7, "rows")
    expect_eq({e["command"] for e in seen}, {"python3"}, "who wrote")
    expect_eq(read(SITE / "renamed-now")[:5], "XXXX0", "what was written")
    for fd in held:
        with contextlib.suppress(OSError):  # of the daemon that is gone
            os.close(fd)
    M.verify()


def what_is_written_is_told_whoever_asks_meanwhile():
    """Also of a write that is under way when the generation is read, which tells what was before."""
    top = SITE / "asked"
    top.mkdir()
    count = 200
    asking = subprocess.Popen(
        ["python3", "-c", "import os\n"
         f"for n in range({count}):\n"
         "    while not os.path.exists(f'{n}'): pass\n"
         "    for pause in range(n % 50 * 20): pass\n"
         "    os.getxattr(f'{n}', 'user.agentfs.gen')\n"], cwd=top)
    held = []
    for n in range(count):
        held.append(os.open(top / f"{n}", os.O_WRONLY | os.O_CREAT, 0o644))
        os.write(held[-1], bytes(1 << 18))
    expect_eq(asking.wait(60), 0)
    daemon = M.daemon()
    kill(daemon, signal.SIGKILL)
    wait_until(20, lambda: M.answers() not in (0, daemon), "another daemon")
    told = {e["path"] for e in events(read(OURS / "events.jsonl")) if e["op"] == "write"}
    untold = [n for n in range(count) if f"/workspaces/site/asked/{n}" not in told]
    expect_eq(untold, [], "files without a row of what was written")
    for fd in held:
        with contextlib.suppress(OSError):  # of the daemon that is gone
            os.close(fd)
    M.verify()


main(mount_it, each_writer_is_told_with_its_name, the_old_content_is_named,
     reading_goes_on_from_a_number, who_follows_is_woken, all_workspaces_have_one_feed,
     nothing_is_lost_by_a_kill, what_is_written_and_not_closed_is_told_after_a_kill,
     what_is_written_is_told_whoever_asks_meanwhile)
