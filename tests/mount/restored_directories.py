#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A directory comes back as it was when its removal began."""
import contextlib
import os
import threading

from mount_lib import Mount, acl, command, expect, expect_eq, expect_errno, expect_has, kill, main, run, wait_until

M = Mount.of("restored-directories")
SITE = M / "workspaces/site"
OURS = SITE / ".agentfs"


def names(top):
    return sorted(os.path.relpath(os.path.join(directory, name), top)
                  for directory, below, files in os.walk(top) for name in below + files)


def make(name, files=("a.c", "deep/b.c", "deep/er/c.c")):
    top = SITE / name
    for file in files:
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_text(f"{file}\n", encoding="utf-8")
    return top


def remove_with_old(name):
    """A directory of which old.c goes, then a.c is written, then all goes."""
    top = make(name, ("old.c", "a.c"))
    run(["rm", top / "old.c"])
    (top / "a.c").write_text("later\n", encoding="utf-8")
    run(["rm", "-rf", top])
    return top


def mount_it():
    M.mount()
    SITE.mkdir()


def what_was_gone_before_stays_in_the_trash():
    top = make("project", ("old.c", "deep/old.c", "gone/old.c", "a.c", "deep/b.c"))
    run(["rm", "-r", top / "old.c", top / "deep/old.c", top / "gone"])
    (top / "a.c").write_text("a.c, later\n", encoding="utf-8")
    before = names(top)
    run(["rm", "-rf", top])
    command(OURS / "ctl", "restore project")
    expect_eq(names(top), before, "what came back")
    expect_eq(names(OURS / "trash/project"), ["deep", "deep/old.c", "gone", "gone/old.c", "old.c"])
    command(OURS / "ctl", "restore project/old.c")
    command(OURS / "ctl", "restore project/gone")
    expect_eq(names(top), sorted([*before, "old.c", "gone", "gone/old.c"]), "by their own paths")


def what_came_with_older_times_tells_it_as_well():
    """Copied, unpacked, renamed, a link or a directory: the time at which it came is no mtime of it."""
    def older(path):
        path.write_text("older\n", encoding="utf-8")
        os.utime(path, (1e9, 1e9))

    ways = {"dated": lambda top: older(top / "k"),
            "over": lambda top: (top / "a.c").rename(top / "b.c"),
            "renamed": lambda top: (top / "a.c").rename(top / "k"),
            "linked": lambda top: (top / "k").hardlink_to(top / "a.c"),
            "pointed": lambda top: (top / "k").symlink_to("a.c"),
            "deeper": lambda top: (top / "k").mkdir(),
            "carried": lambda top: (top / "deep").rename(top / "deeper")}
    for name, way in ways.items():
        top = make(name, ("old.c", "a.c", "b.c", "deep/d.c"))
        for each in top.iterdir():
            os.utime(each, (1e9, 1e9))
        run(["rm", top / "old.c"])
        way(top)
        before = names(top)
        run(["rm", "-r", top])
        command(OURS / "ctl", f"restore {name}")
        expect_eq(names(top), before, name)
    # Nor is what was set on a file between two removals a change of what it holds.
    top = make("closed", ("a.c", "b.c"))
    run(["rm", top / "a.c"])
    (top / "b.c").chmod(0o600)
    run(["rm", "-r", top])
    command(OURS / "ctl", "restore closed")
    expect_eq(names(top), ["a.c", "b.c"], "what was set is no change")


def a_file_that_is_new_tells_it_as_well():
    top = make("saved", ("main.c", ".main.c.swp"))
    run(["rm", top / ".main.c.swp"])
    (top / "new.c").write_text("new\n", encoding="utf-8")
    run(["rm", "-rf", top])
    command(OURS / "ctl", "restore saved")
    expect_eq(names(top), ["main.c", "new.c"])


def it_may_be_there_again():
    top = remove_with_old("again")
    top.mkdir()
    command(OURS / "ctl", "restore again")
    expect_eq(names(top), ["a.c"])


def what_went_by_several_processes_comes_back_whole():
    for name, line in {
            "emptied": "rm -r emptied/* && rmdir emptied",
            "found": r"find found -depth -type f -exec rm {} \; -o -depth -exec rmdir {} \;",
            "half": "rm -r half/deep && rm -rf half", "cleaned": "rm cleaned/a.c; rm -rf cleaned",
    }.items():
        top = make(name)
        before = names(top)
        run(["sh", "-c", line], cwd=SITE)
        expect(not top.exists(), f"{name} is still there")
        command(OURS / "ctl", f"restore {name}")
        expect_eq(names(top), before, line)


def what_others_write_meanwhile_takes_nothing_from_it():
    top = make("busy", [f"d{number % 20}/f{number}" for number in range(2000)])
    before = set(names(top))
    written = top / "d19/f1999"

    def write():
        """Until it is gone."""
        try:
            while True:
                with open(written, "r+", encoding="utf-8") as file:
                    file.write("line\n")
        except FileNotFoundError:
            return

    writer = threading.Thread(target=write)
    writer.start()
    run(["rm", "-rf", top])
    writer.join()
    command(OURS / "ctl", "restore busy")
    expect_eq(before - set(names(top)), set(), "what did not come back")


def times_that_are_to_come_hide_nothing():
    top = make("ahead")
    os.utime(top / "deep/b.c", (4_000_000_000, 4_000_000_000))
    before = names(top)
    run(["sh", "-c", "rm -r ahead/deep; rm -r ahead"], cwd=SITE)
    command(OURS / "ctl", "restore ahead")
    expect_eq(names(top), before)


def what_is_a_file_now_is_in_nobodys_way():
    """Of what lay below it, which comes back once it is moved away; all else comes back, itself too."""
    top = make("kind", ("x", "deep/y"))
    (SITE / "aside").write_text("aside\n")
    run(["rm", "-r", top])
    top.write_text("one\n")
    (SITE / "aside").unlink()
    command(OURS / "ctl", "restore .")
    expect_eq((SITE / "aside").read_text(), "aside\n", "restored with all")
    expect_eq(top.read_text(), "one\n", "what is a file now")
    top.write_text("two\n")
    command(OURS / "ctl", "restore kind")
    expect_eq(top.read_text(), "one\n", "the file that it is now")
    expect_errno("ENOTDIR", command, OURS / "ctl", "restore kind/deep/y")
    top.unlink()
    command(OURS / "ctl", "restore kind/deep/y")
    expect_eq((top / "deep/y").read_text(), "deep/y\n", "once it was moved away")
    run(["rm", "-r", top])


def a_directory_is_what_it_was_whatever_had_its_name_since():
    """A file, which went or was renamed, or another directory."""
    between = {"file": "echo x > NAME; rm NAME", "moved": "echo x > NAME; mv NAME NAME-aside",
               "other": "mkdir NAME; rmdir NAME"}
    for name, line in between.items():
        top = make(f"own-{name}", ("f",))
        os.setxattr(top, "user.own", b"1")
        os.chmod(top, 0o700)
        run(["rm", "-r", top])
        run(["sh", "-ec", line.replace("NAME", str(top))])
        command(OURS / "ctl", f"restore {top.name}/f")
        expect_eq(f"{top.stat().st_mode & 0o7777:o}", "700", name)
        expect_eq(os.getxattr(top, "user.own"), b"1", name)
        expect_eq((top / "f").read_text(), "f\n")


def a_start_changes_nothing_of_it():
    top = remove_with_old("kept")
    M.umount()
    M.mount()
    command(OURS / "ctl", "restore kept")
    expect_eq(names(top), ["a.c"])
    M.verify()
    M.umount()


def what_is_set_on_a_removed_file_is_not_in_its_past():
    """By a descriptor that was open: the past has the same inode by a link until then."""
    file = SITE / "tagged"
    file.write_text("text\n", encoding="utf-8")
    os.setxattr(file, "user.k", b"before")
    opened = os.open(file, os.O_RDONLY)
    file.unlink()
    os.setxattr(opened, "user.k", b"after")
    os.setxattr(opened, "user.new", b"1")
    expect_eq(os.getxattr(opened, "user.k"), b"after")
    os.close(opened)
    command(OURS / "ctl", "restore tagged")
    expect_eq(os.getxattr(file, "user.k"), b"before")
    expect("user.new" not in os.listxattr(file), f"{os.listxattr(file)}")


def a_link_comes_back_with_its_attributes():
    """Which only the privileged may set on one."""
    if os.geteuid() != 0:
        return
    top = make("links", ())
    top.mkdir()
    (top / "link").symlink_to("nowhere")
    os.setxattr(top / "link", "trusted.test", b"value", follow_symlinks=False)
    run(["rm", "-r", top])
    command(OURS / "ctl", "restore links")
    expect_eq(os.readlink(top / "link"), "nowhere")
    expect_eq(os.getxattr(top / "link", "trusted.test", follow_symlinks=False), b"value")


def holes_come_back_as_holes():
    """Data of a few bytes each, with more than that in between, at the beginning and at the end."""
    top = make("sparse", ())
    top.mkdir()
    file = top / "holes"
    with open(file, "wb") as out:
        for part in range(1, 5):
            out.seek(part << 20)
            out.write(b"data" * 100)
        out.truncate(6 << 20)
    blocks, text = file.stat().st_blocks, file.read_bytes()
    run(["rm", "-r", top])
    command(OURS / "ctl", "restore sparse")
    expect(file.read_bytes() == text, "what came back differs")
    expect_eq(file.stat().st_blocks, blocks, "blocks of what came back")


def what_is_done_while_it_comes_back_stays():
    """Written, removed and moved, also where a kill ends it and the next start brings the rest."""
    for is_killed in (False, True):
        top = SITE / f"large-{is_killed}"
        top.mkdir()
        each = [f"{number:04}" for number in range(5000)]
        for name in each:
            (top / name).write_text("old\n")
        os.link(top / each[2500], top / "linked")
        run(["rm", "-r", top])
        answers = []

        def restore():
            with contextlib.suppress(OSError):  # of who was killed
                answers.append(command(OURS / "ctl", f"restore {top.name}"))
        restoring = threading.Thread(target=restore)
        restoring.start()
        # Who asks the mount for what is not there yet would be told so until all is.
        disk = M.state / "trees/workspaces/site" / top.name
        wait_until(60, lambda: len(os.listdir(disk)) > 60, "what comes back")
        back = sorted(set(each) & set(os.listdir(disk)))
        (top / back[1]).write_text("mine\n")
        (top / back[2]).unlink()
        (top / back[3]).rename(top / "moved")
        (top / "other").write_text("mine\n")
        (top / "other").rename(top / back[0])
        late = []
        for name in sorted(set(each) - set(os.listdir(disk)), reverse=True):
            with contextlib.suppress(FileExistsError), open(top / name, "x", encoding="utf-8") as new:
                new.write("mine\n")
                late.append(name)
                break
        expect(late, "all was there again before anything was made: nothing is tested")
        if is_killed:
            daemon = M.daemon()
            kill(daemon)
            restoring.join()
            wait_until(60, lambda: M.daemon() not in (0, daemon), "the next daemon")
            wait_until(60, lambda: len(os.listdir(top)) == len(each), "all that comes back")
        restoring.join()
        for name in (back[0], back[1], *late):
            expect_eq((top / name).read_text(), "mine\n", f"{name}, killed: {is_killed}")
        expect_eq(sorted(set(each) - set(os.listdir(top))), back[2:4], "what is not there")
        for name in ("moved", back[4], "linked"):
            expect_eq((top / name).read_text(), "old\n", f"{name}, killed: {is_killed}")
        linked = (top / "linked").stat().st_ino == (top / each[2500]).stat().st_ino
        expect_eq(linked, not {each[2500]} & {back[0], *late}, "one file")
        if not is_killed:
            expect_has(answers[0], f"/{top.name}/{late[0]} has been made meanwhile, and stays so")


def attributes_that_fill_their_room_come_back():
    """What the directory would give it by its default ACL goes before they are set."""
    top = SITE / "attributes"
    top.mkdir()
    file = top / "f"
    file.write_text("text\n", encoding="utf-8")
    for name in ("user.large", "user.small"):
        for size in range(4096, 0, -1):
            with contextlib.suppress(OSError):
                os.setxattr(file, name, b"x" * size)
                break
    nobody = 0xFFFFFFFF
    wanted = {name: os.getxattr(file, name) for name in ("user.large", "user.small")}
    os.setxattr(top, "system.posix_acl_default", acl((1, 7, nobody), (2, 7, 1234), (4, 5, nobody), (16, 7, nobody), (32, 5, nobody)))
    file.unlink()
    command(OURS / "ctl", "restore attributes/f")
    expect_eq({name: os.getxattr(file, name) for name in wanted}, wanted, "what came back")
    expect_errno("ENODATA", os.getxattr, file, "system.posix_acl_access")


main(mount_it, attributes_that_fill_their_room_come_back, what_is_done_while_it_comes_back_stays, a_link_comes_back_with_its_attributes, holes_come_back_as_holes, what_was_gone_before_stays_in_the_trash, what_came_with_older_times_tells_it_as_well, a_file_that_is_new_tells_it_as_well,
     it_may_be_there_again, what_went_by_several_processes_comes_back_whole,
     what_others_write_meanwhile_takes_nothing_from_it, times_that_are_to_come_hide_nothing,
     what_is_set_on_a_removed_file_is_not_in_its_past, what_is_a_file_now_is_in_nobodys_way,
     a_directory_is_what_it_was_whatever_had_its_name_since, a_start_changes_nothing_of_it)
