#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Who watches directories (inotify) is told of what the daemon changed itself."""
import ctypes
import os
import select
import stat
import struct
import threading
import time

from mount_lib import AGENTFS, TESTDIR, Mount, command, expect, expect_eq, main, read, run, tell

M = Mount.of("watchers")
SPACES = M / "workspaces"
LIBC = ctypes.CDLL(None, use_errno=True)
CREATE, MODIFY, CLOSE_WRITE, ATTRIB, DELETE, DELETE_SELF = 0x100, 0x2, 0x8, 0x4, 0x200, 0x400
NAMES = {CREATE: "create", MODIFY: "modify", CLOSE_WRITE: "close-write", ATTRIB: "attrib",
         DELETE: "delete", DELETE_SELF: "delete-self"}
SECONDS = 10


class Watch:
    """inotify(7) on some directories; collects (directory, event, name) until it has what is wanted."""

    def __init__(self, *directories):
        self.fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        expect(self.fd >= 0, "inotify_init1")
        self.places, self.seen = {}, []
        for place in directories:
            number = LIBC.inotify_add_watch(self.fd, os.fsencode(place), sum(NAMES))
            expect(number >= 0, f"inotify_add_watch {place}: {os.strerror(ctypes.get_errno())}")
            self.places[number] = place.name

    def collect(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return
        data, at = os.read(self.fd, 65536), 0
        while at < len(data):
            number, mask, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            at += 16 + length
            for bit, word in NAMES.items():
                if mask & bit:
                    self.seen.append((self.places.get(number, "?"), word, name))

    def expect(self, *wanted):
        deadline = time.monotonic() + SECONDS
        while not set(wanted) <= set(self.seen) and time.monotonic() < deadline:
            self.collect(deadline - time.monotonic())
        missing = set(wanted) - set(self.seen)
        expect(not missing, f"events that did not come: {missing}; those that came: {self.seen}")

    def expect_gone(self, *paths):
        self.expect(*[(os.path.basename(path), "delete-self", "") for path in paths])

    def gone(self):
        """What has gone until now, each name as often as that was told."""
        return sorted(place for place, word, _ in self.seen if word == "delete-self")

    def close(self):
        os.close(self.fd)


def ctl(space, line):
    return command(SPACES / space / ".agentfs/ctl", line)


def make(space):
    top = SPACES / space
    (top / "src").mkdir(parents=True)
    for name in ("changed", "gone", "mode", "old", "same"):
        (top / name).write_text(f"{name}\n" * 20)
    (top / "src/deep").write_text("deep\n")
    return top


def mount_it():
    M.mount()


def a_merge_is_seen_as_if_each_change_were_made_there():
    top, other = make("site"), SPACES / "try-1"
    ctl("site", "fork try-1")
    (other / "changed").write_text("otherwise\n")
    (other / "gone").unlink()
    (other / "mode").chmod(0o755)
    (other / "made").write_text("made\n")
    (other / "empty").write_text("")
    (other / "src/deep").write_text("deeper\n")
    (other / "new").mkdir()
    (other / "link").symlink_to("made")
    (other / "old").rename(other / "moved")
    with open(other / "moved", "a") as file:
        file.write("more\n")
    os.listdir(top)
    journal = len(M.journal())
    watch = Watch(top, top / "src")
    ctl("site", "merge try-1")
    watch.expect(("site", "modify", "changed"), ("site", "close-write", "changed"),
                 ("site", "delete", "gone"), ("site", "attrib", "mode"),
                 ("site", "create", "made"), ("site", "close-write", "made"),
                 ("site", "create", "empty"), ("site", "close-write", "empty"),
                 ("site", "create", "new"), ("site", "create", "link"),
                 ("site", "delete", "old"), ("site", "create", "moved"),
                 ("site", "close-write", "moved"),
                 ("src", "modify", "deep"))
    expect(not [each for each in watch.seen if each[2] == "same"], f"{watch.seen}")
    watch.close()
    expect_eq((top / "changed").read_text(), "otherwise\n")
    expect_eq((top / "made").read_text(), "made\n")
    expect_eq((top / "empty").read_text(), "")
    expect_eq((top / "mode").stat().st_mode & 0o777, 0o755)
    expect_eq(os.readlink(top / "link"), "made")
    expect(not (top / "gone").exists(), "gone is there again")
    expect((top / "new").is_dir(), "new is no directory")
    rows = [row for row in M.journal()[journal:] if "announce" in str(row)]
    expect_eq(rows, [], "rows of what nobody did")


def links_that_lead_elsewhere_are_seen():
    """By a merge and a rollback; so is a link in the place of a file, and a file in that of a link."""
    top, other = make("links"), SPACES / "links-f"
    (top / "link").symlink_to("one")
    (top / "former").symlink_to("one")
    ctl("links", "fork links-f")
    (other / "link").unlink()
    (other / "link").symlink_to("two")
    (other / "former").unlink()
    (other / "former").write_text("a file\n")
    (other / "changed").unlink()
    (other / "changed").symlink_to("two")
    ctl("links", "checkpoint before")
    for line in ("merge links-f", "rollback before"):
        seen = [os.lstat(top / name) for name in ("link", "former", "changed")]
        expect_eq(len(seen), 3, "the caches have them")
        watch = Watch(top)
        ctl("links", line)
        file, link = ("former", "changed") if line.startswith("merge") else ("changed", "former")
        watch.expect(("links", "create", "link"), ("links", "create", link), ("links", "modify", file))
        watch.close()
    expect_eq(os.readlink(top / "link"), "one")


def a_restore_and_a_rollback_are_seen():
    top = make("back")
    ctl("back", "checkpoint before")
    (top / "gone").unlink()
    watch = Watch(top)
    ctl("back", "restore gone")
    watch.expect(("back", "create", "gone"), ("back", "close-write", "gone"))
    (top / "changed").write_text("otherwise\n")
    (top / "added").write_text("added\n")
    (top / "same").unlink()
    watch.close()
    watch = Watch(top)
    ctl("back", "rollback before")
    watch.expect(("back", "modify", "changed"), ("back", "delete", "added"),
                 ("back", "create", "same"))
    watch.close()
    if tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 16):
        below = top / "src"
        watch = Watch(below)
        (below / "more").write_text("more\n")
        ctl("back", "rollback before")
        watch.expect(("src", "delete", "more"))
        (below / "after").write_text("after\n")
        watch.expect(("src", "close-write", "after"))
        watch.close()
        (below / "after").unlink()
    expect_eq((top / "changed").read_text(), "changed\n" * 20)
    expect_eq(sorted(os.listdir(top)), ["changed", "gone", "mode", "old", "same", "src"])


def who_watches_a_file_hears_that_it_went():
    """By a merge or a restore: what has its name from then on is another file."""
    top, other = make("single"), SPACES / "single-1"
    (top / "linked").write_text("linked\n")
    os.link(top / "linked", top / "src/link")
    ctl("single", "fork single-1")
    (other / "changed").write_text("otherwise\n")
    (other / "src/deep").write_text("deeper\n")
    (other / "gone").unlink()
    (other / "linked").unlink()
    files = ("changed", "gone", "same", "linked", "src/deep")
    watch = Watch(*[top / name for name in files])
    ctl("single", "merge single-1")
    watch.expect_gone("changed", "gone", "deep")
    (top / "same").write_text("written\n")  # after what is told of the merge
    watch.expect(("same", "modify", ""))
    expect_eq(set(watch.gone()), {"changed", "gone", "deep"}, "files that are gone")
    expect_eq(os.stat(top / "src/link").st_nlink, 1, "the name that is left")
    watch.close()
    version = sorted(os.listdir(top / ".agentfs/versions/changed"))[0]
    watch = Watch(top / "changed")
    ctl("single", f"restore changed {int(version)}")
    watch.expect_gone("changed")
    watch.close()
    expect_eq((top / "changed").read_text(), "changed\n" * 20)


def who_watches_what_an_agent_writes_hears_that_it_is_another_file():
    top = make("agent-files")
    scenario = {"name": "two", "tasks": [{"match": "*", "after": "Done.", "steps": [
        {"text": "I read.", "calls": [{"name": "read", "arguments": {"path": "changed"}}]},
        {"text": "I write.", "calls": [
            {"name": "write", "arguments": {"path": "changed", "text": "by an agent\n"}}]}]}]}
    M.script_model("two", scenario)
    watch = Watch(top / "changed")
    pid = M.spawn("name=replacer model=two workspace=agent-files")
    tell(M.proc(pid, "chat"), "write\n")
    M.wait(pid)
    watch.expect_gone("changed")
    watch.close()
    expect_eq(read(top / "changed"), "by an agent\n")


def who_watches_what_a_rollback_ends_hears_that_it_went():
    """Each file of the tree is another one then; a directory is the one that is at its place."""
    top = make("rolled")
    ctl("rolled", "checkpoint before")
    (top / "added/below").mkdir(parents=True)
    (top / "added/below/file").write_text("added\n")
    (top / "changed").write_text("otherwise\n")
    os.symlink("changed", top / "link")
    opened = open(top / "changed", encoding="utf-8")
    left = ("changed", "same", "src/deep", "added", "added/below", "added/below/file")
    watch = Watch(top, top / "src", *[top / name for name in left])
    ctl("rolled", "rollback before")
    watch.expect_gone(*left)
    (top / "src/made").write_text("made\n")
    watch.expect(("src", "create", "made"))
    expect_eq(watch.gone(), sorted(map(os.path.basename, left)), "what has gone, each once")
    expect_eq([each for each in watch.seen if "agentfs" in each[2]], [], "how it was told")
    expect_eq(opened.read(), "otherwise\n", "what was open")
    opened.close()
    expect_eq(sorted(os.listdir(top)), ["changed", "gone", "mode", "old", "same", "src"])
    expect_eq([os.stat(top / name).st_nlink for name in ("changed", "same", "src/deep")], [1, 1, 1])
    expect_eq([name for name in os.listdir(SPACES) if "left" in name], [], "names in /workspaces")
    watch.close()
    watch = Watch(top / "changed")  # of the files that are there now
    ctl("rolled", "rollback before")
    watch.expect_gone("changed")
    watch.close()


def who_watches_a_directory_that_a_merge_removes_hears_it():
    """Or renames, which is another one then; what stays hears nothing."""
    top = make("pruned")
    for name in ("away/below", "moved", "kept"):
        (top / name).mkdir(parents=True)
        (top / name / "file").write_text(f"{name}\n" * 20)
    ctl("pruned", "fork pruned-1")
    other = SPACES / "pruned-1"
    run(["rm", "-r", other / "away"])
    (other / "moved").rename(other / "other")
    watch = Watch(*[top / name for name in ("away", "away/below", "away/below/file", "moved", "kept")])
    ctl("pruned", "merge pruned-1")
    watch.expect_gone("away", "below", "file", "moved")
    (top / "kept/made").write_text("made\n")
    watch.expect(("kept", "create", "made"))
    expect_eq(watch.gone(), ["away", "below", "file", "moved"], "what has gone, each once")
    watch.close()


def who_watches_what_is_in_a_tree_that_goes_hears_it():
    make("going")
    ctl("going", "fork going-1")
    fork = SPACES / "going-1"
    watch = Watch(fork, fork / "changed", fork / "src", fork / "src/deep", SPACES / "going/same")
    ctl("going", "discard going-1")
    watch.expect_gone("going-1", "changed", "src", "deep")
    (SPACES / "going/same").write_text("written\n")
    watch.expect(("same", "modify", ""))
    expect_eq(watch.gone(), ["changed", "deep", "going-1", "src"], "what has gone, each once")
    watch.close()


def forks_appear_and_go():
    make("parent")
    watch = Watch(SPACES)
    ctl("parent", "fork child")
    watch.expect(("workspaces", "create", "child"))
    ctl("parent", "discard child")
    watch.expect(("workspaces", "delete", "child"))
    watch.close()


def what_an_agent_writes_by_its_tools_is_seen():
    top = make("agents")
    scenario = {"name": "one", "tasks": [{"match": "*", "after": "Done.", "steps": [
        {"text": "I write.", "calls": [
            {"name": "write", "arguments": {"path": "by-agent", "text": "hello\n"}}]}]}]}
    M.script_model("one", scenario)
    watch = Watch(top)
    pid = M.spawn("name=writer model=one workspace=agents")
    tell(M.proc(pid, "chat"), "write\n")
    M.wait(pid)
    watch.expect(("agents", "create", "by-agent"), ("agents", "close-write", "by-agent"))
    watch.close()
    expect_eq(read(top / "by-agent"), "hello\n")


def what_is_gone_is_told_of_though_others_have_missed_it():
    """Somebody asks for it the whole time, so that the host's kernel knows that it is not there."""
    top, other = make("missed"), SPACES / "missed-1"
    ctl("missed", "fork missed-1")
    for name in ("changed", "gone", "mode", "src/deep"):
        (other / name).unlink()
    (other / "src").rmdir()
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            for name in ("changed", "gone", "mode", "src", "src/deep"):
                os.path.lexists(top / name)

    asking = threading.Thread(target=ask, daemon=True)
    watch = Watch(top)
    asking.start()
    try:
        ctl("missed", "merge missed-1")
        watch.expect(*[("missed", "delete", name) for name in ("changed", "gone", "mode", "src")])
    finally:
        ended.set()
        asking.join()
        watch.close()


def what_others_mount_in_a_workspace_is_left_alone():
    """A volume over one of its directories: a merge changes what lies below."""
    top, other = make("volume"), SPACES / "volume-1"
    (top / "data").mkdir()
    for name in ("changed", "gone", "mode"):
        (top / "data" / name).write_text("below\n", encoding="utf-8")
    ctl("volume", "fork volume-1")
    (other / "data/changed").write_text("otherwise\n", encoding="utf-8")
    (other / "data/gone").unlink()
    (other / "data/mode").chmod(0o600)
    (other / "data/new").mkdir()
    outside = TESTDIR / "outside"
    outside.mkdir()
    for name in ("changed", "gone", "mode"):
        (outside / name).write_text("precious\n", encoding="utf-8")
        (outside / name).chmod(0o640)
    run(["mount", "--bind", outside, top / "data"])
    try:
        watch = Watch(top, top / "src")
        (other / "src/changed").write_text("the last to be told\n", encoding="utf-8")
        ctl("volume", "merge volume-1")
        watch.expect(("src", "modify", "changed"))
        (other / "last").write_text("told when the one before has been\n", encoding="utf-8")
        ctl("volume", "merge volume-1")
        watch.expect(("volume", "create", "last"))
        expect_eq(sorted(os.listdir(outside)), ["changed", "gone", "mode"], "names on the volume")
        for name in ("changed", "gone", "mode"):
            expect_eq((outside / name).read_text(encoding="utf-8"), "precious\n", name)
            expect_eq(stat.S_IMODE((outside / name).stat().st_mode), 0o640, name)
    finally:
        run(["umount", top / "data"])
    expect_eq((top / "data/changed").read_text(encoding="utf-8"), "otherwise\n", "what lies below")


def the_mount_can_be_taken_down_at_once():
    top = make("busy")
    ctl("busy", "fork busy-1")
    for number in range(300):
        (SPACES / "busy-1" / f"n{number}").write_text("x")
    ctl("busy", "merge busy-1")
    expect((top / "n299").exists(), "not merged")
    M.umount()


def what_is_mounted_there_by_then_is_left_alone():
    """A mount that was taken down lazily goes on for who is in it, and its changes are its own."""
    M.mount()
    top = SPACES / "lazy"
    (top / "d").mkdir(parents=True)
    for name in ("f", "g"):
        (top / name).write_text("before\n")
    ctl("lazy", "fork lazy-1")
    fork = SPACES / "lazy-1"
    (fork / "f").write_text("theirs\n")
    (fork / "g").unlink()
    (fork / "d").rmdir()
    (fork / "made").write_text("made\n")
    if (top / ".agentfs/ctl").is_symlink():  # which leads nowhere from a mount that was taken down
        return M.umount()
    os.chdir(top)
    M.umount("--lazy")
    run([AGENTFS, "mount", "--state", M.state.parent / "next", M.mnt])
    top.mkdir()
    for name in ("f", "g"):
        (top / name).write_text("precious\n")
    (top / "d").mkdir()
    for line in ("merge lazy-1", "fork lazy-2"):  # which is told of after the merge, and waits for that
        with open(".agentfs/ctl", "w", encoding="utf-8") as control:
            control.write(line + "\n")
    with open("f", encoding="utf-8") as old:
        expect_eq(old.read(), "theirs\n", "the old one")
    expect_eq(sorted(os.listdir(top)), ["d", "f", "g"])
    expect_eq([read(top / name) for name in ("f", "g")], ["precious\n"] * 2)
    os.chdir(TESTDIR)
    M.umount()


main(mount_it, a_merge_is_seen_as_if_each_change_were_made_there, links_that_lead_elsewhere_are_seen,
     a_restore_and_a_rollback_are_seen, who_watches_a_file_hears_that_it_went,
     who_watches_what_an_agent_writes_hears_that_it_is_another_file,
     who_watches_what_a_rollback_ends_hears_that_it_went,
     who_watches_a_directory_that_a_merge_removes_hears_it,
     who_watches_what_is_in_a_tree_that_goes_hears_it, forks_appear_and_go,
     what_an_agent_writes_by_its_tools_is_seen, what_is_gone_is_told_of_though_others_have_missed_it, what_others_mount_in_a_workspace_is_left_alone,
     the_mount_can_be_taken_down_at_once, what_is_mounted_there_by_then_is_left_alone)
