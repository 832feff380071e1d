#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Bytes that the host's kernel reads and writes past the daemon: attributes, rows, and crashes."""
import errno
import mmap
import os
import subprocess
import sys
import threading

from mount_lib import (EXCHANGE, Mount, command, expect, expect_eq, expect_errno, expect_has, is_alive,
                       kill, main, read, renameat2, run, skip, tell, wait_until)

SOON = 20  # seconds
mount = Mount.of("past")
W = mount / "workspaces/w"


def begin():
    mount.mount("-o", "passthrough")
    if not mount.has("passthrough"):
        mount.umount()
        skip("passthrough is not to be had here")
    W.mkdir()


def rows(name, operation="write"):
    return [row["data"] for row in mount.journal() if row["kind"] == f"tree.{operation}"
            and row["data"]["path"] == f"/workspaces/w/{name}"]


def bytes_pass():
    """Reads and writes reach no daemon, and the disk has them at once."""
    before = mount.operations("read") + mount.operations("write")
    with open(W / "file", "wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"0123456789")
        expect_eq((mount.state / "trees/workspaces/w/file").stat().st_size, 1000, "on the disk")
        expect_eq(os.stat(W / "file").st_size, 1000, "size while it is open")
    expect_eq((W / "file").read_bytes(), b"0123456789" * 100, "what was written")
    # What is asked of /sys/fs/stats itself is read through the daemon.
    expect(mount.operations("read") + mount.operations("write") - before < 20, "bytes came through the daemon")
    expect_eq([row.get("bytes") for row in rows("file")], [1000], "rows of the writer")


def a_file_without_a_name_is_counted_where_it_was_made():
    """No checkpoint is taken under what is written past the daemon, whatever its name was then."""
    space = mount / "workspaces/n"
    space.mkdir()
    made = os.open(space, os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(made, b"one")
    for linked in (False, True):
        if linked:
            run(["ln", "-L", f"/proc/{os.getpid()}/fd/{made}", space / "linked"])
            expect_eq((space / "linked").read_bytes(), b"one")
        expect_errno("EBUSY", tell, space / ".agentfs/ctl", "checkpoint under-it\n")
    os.close(made)
    tell(space / ".agentfs/ctl", "checkpoint after-it\n")
    expect_eq((space / "linked").read_bytes(), b"one")


def where_it_lies_now_counts():
    """A file that is open past the daemon lies where it, or its workspace, has been renamed to."""
    spaces = mount / "workspaces"
    for name in ("here", "there", "first"):
        (spaces / name).mkdir()
    with open(spaces / "here/f", "wb", buffering=0) as moved:
        with open(spaces / "first/f", "wb", buffering=0) as stays:
            moved.write(b"one")
            stays.write(b"one")
            os.rename(spaces / "here/f", spaces / "there/f")
            os.rename(spaces / "first", spaces / "second")
            for name in ("there", "second"):
                for order in ("checkpoint now", f"fork {name}-1"):
                    expect_errno("EBUSY", tell, spaces / name / ".agentfs/ctl", order + "\n")
            tell(spaces / "here/.agentfs/ctl", "checkpoint now\n")
    for name in ("there", "second"):
        wait_until(SOON, lambda space=spaces / name: is_taken(space), f"a checkpoint of {name}")
        (spaces / name / "f").write_bytes(b"two")
        expect_eq((spaces / name / ".agentfs/snapshots/now/f").read_bytes(), b"one", name)


def is_taken(space):
    try:
        tell(space / ".agentfs/ctl", "checkpoint now\n")
    except OSError:
        return False
    return True


def versions_follow():
    """What was kept before a directory got another name is found below that."""
    spaces = mount / "workspaces"
    (spaces / "old").mkdir()
    (spaces / "old/f").write_bytes(b"original")
    file = os.open(spaces / "old/f", os.O_WRONLY)
    os.rename(spaces / "old", spaces / "new")
    os.pwrite(file, b"CHANGED!", 0)
    os.rename(spaces / "new/f", spaces / "new/g")
    os.pwrite(file, b"again", 0)
    os.close(file)
    kept = spaces / "new/.agentfs/versions"
    wait_until(SOON, lambda: (kept / "f").exists(), "a version of new/f")
    [number] = os.listdir(kept / "f")
    expect_eq((kept / "f" / number).read_bytes(), b"original")
    for name in ("one", "two"):
        (spaces / name).mkdir()
        (spaces / name / "f").write_bytes(name.encode())
    files = [os.open(spaces / "one/f", os.O_WRONLY) for _ in range(2)]
    renameat2(spaces / "one", spaces / "two", EXCHANGE)
    for file in files:
        os.pwrite(file, b"ONE", 0)
        os.close(file)
    kept = spaces / "two/.agentfs/versions/f"
    wait_until(SOON, kept.exists, "a version of two/f")
    expect_eq({(kept / number).read_bytes() for number in os.listdir(kept)} - {b"ONE"}, {b"one"})
    log = [line.split("\t") for line in (spaces / "new/.agentfs/log").read_text().splitlines()]
    told = [(words[2], words[3]) for words in log if len(words) > 3]
    (spaces / "old").mkdir()
    expect(not (spaces / "old/.agentfs/versions/f").exists(), f"a stranger's history; log {told}")


def nothing_is_replaced_under_a_writer():
    """What agentfs would put in the place of a file that is written past it waits."""
    path = W / "replaced"
    path.write_bytes(b"one")
    path.write_bytes(b"two")
    [number] = os.listdir(W / ".agentfs/versions/replaced")
    file = os.open(path, os.O_WRONLY)
    expect_errno("EBUSY", tell, W / ".agentfs/ctl", f"restore replaced {number}\n")
    os.pwrite(file, b"six", 0)
    os.close(file)
    expect_eq(path.read_bytes(), b"six")
    expect_eq([one for one in os.listdir(W) if one.startswith(".agentfs-")], [], "left behind")
    wait_until(SOON, lambda: is_restored(number), "a restore")
    expect_eq(path.read_bytes(), b"one")
    expect_eq(versions("replaced")[1:], [b"two", b"six"], "versions")


def what_a_command_changed_takes_no_file_that_is_being_written():
    """Its work is taken over from an overlay; who has opened the file by then writes to that or is told."""
    (mount / "etc/devices/local.toml").write_text('fs = "fast"\n')
    path = W / "shared"
    path.write_text("base\n")
    os.chdir(W)
    line = "mkdir many; cd many; seq 4000 | xargs touch; echo mine >>../shared"
    end = threading.Thread(target=command, args=(mount / "dev/local/exec", line))
    end.start()
    wait_until(60, lambda: not end.is_alive() or any(
        '"phase":"folding"' in read(one) for one in mount.state.glob("fast/*/order")), "the end of the command")
    file = os.open(path, os.O_WRONLY)
    end.join()
    os.chdir("/")
    (mount / "etc/devices/local.toml").unlink()
    try:
        os.pwrite(file, b"theirs\n", 5)
    except OSError as error:
        expect_eq(error.errno, errno.ESTALE)
    else:
        expect_has(read(path), "theirs\n")
    finally:
        os.close(file)


def is_restored(number):
    try:
        tell(W / ".agentfs/ctl", f"restore replaced {number}\n")
    except OSError:
        return False
    return True


def attributes_follow():
    """Size and times are those of the disk, whoever wrote and however."""
    path, disk = W / "map", mount.state / "trees/workspaces/w/map"

    def same(when):
        here, there = os.stat(path), os.stat(disk)
        for what in ("st_size", "st_mtime_ns", "st_ctime_ns", "st_blocks"):
            expect_eq(getattr(here, what), getattr(there, what), f"{what} {when}")

    with open(path, "w+b", buffering=0) as file:
        file.write(bytes(8192))
        same("after writing")
        os.utime(path, ns=(1, 1))
        same("after utime")
        mapping = mmap.mmap(file.fileno(), 8192)
        os.stat(path)
        mapping[5] = 65
        same("after a change in a mapping")
        mapping[5000] = 66
        mapping.flush()
        same("after msync")
        file.truncate(100)
        same("after ftruncate")
        os.truncate(path, 4096)
        same("after truncate while it is open")
        with open(path, "ab", buffering=0) as more:
            more.write(b"end")
            same("after an append")
        expect_eq(mapping[5], 65, "the mapping")
        mapping.close()
    same("after close")
    with open(path, "rb") as file:
        expect_eq(file.read()[4096:], b"end", "the end of the file")
    expect(rows("map"), "no row of the mapping")


def opens_share():
    """Readers and writers of one file see each other."""
    path = W / "shared"
    path.write_bytes(b"one")
    with open(path, "rb", buffering=0) as reader, open(path, "r+b", buffering=0) as writer, \
            open(path, "ab", buffering=0) as appender:
        writer.write(b"ONE")
        appender.write(b"two")
        expect_eq(reader.read(), b"ONEtwo", "what the reader sees")
        os.posix_fallocate(writer.fileno(), 0, 100)
        expect_eq(os.fstat(reader.fileno()).st_size, 100, "size after fallocate")
        os.unlink(path)
        writer.write(b"!")
        reader.seek(0)
        expect_eq(reader.read(7), b"ONE!wo\0", "after unlink")
        writer.truncate(0)
        expect_eq(reader.read(), b"", "after truncation")


def readers_come_first():
    """What readers hold open is written through the daemon, and their cache is never old."""
    path, large = W / "first", W / "large"
    path.write_bytes(b"one")
    for text in (b"two", b"six", b"ten"):
        expect(path.read_bytes() not in (text,), "read before it was written")
        with open(path, "wb", buffering=0) as writer:  # past the daemon, which drops the cache
            writer.write(text)
        expect_eq(path.read_bytes(), text, "what was written past the daemon")
        with open(path, "rb", buffering=0) as reader, open(path, "r+b", buffering=0) as writer:
            expect_eq(reader.read(), text, "a reader that came first")
            writer.write(text.upper())
            reader.seek(0)
            expect_eq(reader.read(), text.upper(), "what was written beside it")
        expect_eq(os.stat(path).st_mtime_ns,
                  os.stat(mount.state / "trees/workspaces/w/first").st_mtime_ns, "mtime")
    large.write_bytes(b"x" * (2 << 20))
    before = mount.operations("read")
    expect_eq(len(large.read_bytes()), 2 << 20, "a large file")
    expect(mount.operations("read") - before < 3, "a large file was read through the daemon")


def rows_tell():
    """An open that writes nothing has no row of writing; O_TRUNC has one; two writers are named."""
    path = W / "rows"
    path.write_bytes(b"12345")
    with open(path, "r+b", buffering=0):
        pass
    expect_eq([row.get("bytes") for row in rows("rows")], [5], "after an idle open")
    with open(path, "wb", buffering=0) as file:
        file.write(b"123")
    expect_eq([row.get("bytes") for row in rows("rows")], [5, 3], "after O_TRUNC")
    expect_eq(len(rows("rows", "truncate")), 1, "rows of truncation")
    with open(path, "wb", buffering=0) as one, open(path, "r+b", buffering=0):
        one.write(b"abc")
    expect_eq([row.get("writers") for row in rows("rows")], [None, None, 2], "writers")


def versions(name):
    place = W / ".agentfs/versions" / name
    numbers = sorted(os.listdir(place), key=int) if place.exists() else []
    return [(place / number).read_bytes() for number in numbers]


def nothing_is_lost():
    """What is written over has a version, by whichever way the bytes go."""
    path, large = W / "kept", W / "kept-large"
    path.write_bytes(b"one")
    before = mount.operations("write")
    with open(path, "r+b", buffering=0) as file:
        file.write(b"two")
    expect_eq(mount.operations("write") - before, 1, "writes over what is to be kept")
    path.write_bytes(b"three")
    expect_eq(versions("kept"), [b"one", b"two"], "versions")
    before = mount.operations("write")
    for words in (b"t", b"T", b""):
        tell_in_place(path, words)
    expect_eq(mount.operations("write") - before, 0, "writes of who has come to write")
    wait_until(SOON, lambda: versions("kept") == [b"one", b"two", b"three", b"three"],
               "a version for each that has written, and none for who has not")
    expect_eq(path.read_bytes(), b"Three")
    run(["touch", path])
    with open(os.open(path, os.O_WRONLY), "wb", buffering=0) as file:
        os.utime(file.fileno(), (1e9, 1e9))
    before = mount.operations("write")
    with open(path, "ab", buffering=0) as file:
        file.write(b"four")
    expect_eq(mount.operations("write") - before, 1, "writes of who adds")
    expect_eq(len(versions("kept")), 4, "versions after touch and futimens")
    first = b"x" * (1 << 20)
    large.write_bytes(first)
    before = mount.operations("write")
    with open(large, "rb", buffering=0) as reader:  # past the daemon, and all others with it
        with open(large, "r+b", buffering=0):
            pass
        expect_eq(versions("kept-large"), [], "versions after an idle open")
        with open(large, "r+b", buffering=0) as writer:
            writer.write(b"second")
        with open(large, "r+b", buffering=0) as one, open(large, "r+b", buffering=0) as two:
            one.write(b"third!")
            two.write(b"fourth")
        expect_eq(reader.read(6), b"fourth", "what the reader sees")
    expect_eq(mount.operations("write") - before, 0, "writes that the daemon saw")
    second = b"second" + first[6:]
    expect_eq(versions("kept-large"), [first, second], "versions of the large file")


def who_appends_past_the_daemon_keeps_nothing():
    """It takes nothing away, also where others read the file or append to it as well."""
    path = W / "log"
    with open(path, "ab", buffering=0) as first:  # past the daemon, since it is empty, and all others with it
        for number in range(20):
            before = mount.operations("write")
            with open(path, "ab", buffering=0) as file:
                file.write(b"%d\n" % number)
                first.write(b"first\n")
            expect_eq(mount.operations("write"), before, "writes that the daemon saw")
    expect_eq(versions("log"), [], "versions of what was appended to")
    expect_eq(len(path.read_bytes().splitlines()), 40, "lines")
    with open(path, "ab", buffering=0) as one, open(path, "ab", buffering=0) as two:
        whole = path.read_bytes()
        os.truncate(two.fileno(), 2)
        one.write(b"end\n")
    expect_eq((versions("log"), path.read_bytes()), ([whole], b"0\nend\n"), "cut by who appends")


def what_is_kept_beside_who_appends_has_the_size_that_its_row_says():
    path, stop = W / "beside", threading.Event()
    path.touch()
    with open(path, "ab", buffering=0) as appender:
        def append():
            while not stop.is_set():
                appender.write(b"line\n")

        thread = threading.Thread(target=append)
        thread.start()
        for number in range(100):
            tell_in_place(path, b"%03d" % number)
        stop.set()
        thread.join()
    kept = [row["kept"] for row in rows("beside") if "kept" in row]
    expect(len(kept) > 50, f"{len(kept)} versions")
    expect_eq([row["size"] for row in kept], [len(each) for each in versions("beside")], "sizes")


def each_content_is_kept_once_while_another_has_it_open():
    path = W / "held"
    ways = {"in place": lambda: tell_in_place(path, b"rootwork"),
            "truncated": lambda: path.write_bytes(b"rootwork")}
    for way, change in ways.items():
        path.write_bytes(b"original")
        before = versions("held")
        holder = os.open(path, os.O_WRONLY)
        change()
        expect_eq(versions("held")[len(before):], [b"original"], way)
        os.pwrite(holder, b"R", 0)
        os.close(holder)
        expect_eq(versions("held")[len(before):], [b"original", b"rootwork"], f"{way}, both")
        expect_eq(path.read_bytes(), b"Rootwork")
    before, lines = versions("held"), len(rows("held"))
    holder = os.open(path, os.O_WRONLY)
    tell_in_place(path, b"by root")
    os.close(holder)
    expect_eq(versions("held")[len(before):], [b"Rootwork"], "of who wrote, and not of who did not")
    expect_eq(len(rows("held")) - lines, 1, "rows")


def what_is_synced_again_and_again_is_kept_once():
    """As those who write one database do: it is a close that ends a content."""
    path = W / "synced"
    path.write_bytes(b"original")
    one, two = (os.open(path, os.O_WRONLY) for _ in range(2))
    for number in range(5):
        os.pwrite(one, b"sync-%03d" % number, 0)
        os.fsync(one)
    expect_eq(versions("synced"), [b"original"], "while nobody closes it")
    os.close(one)
    os.pwrite(two, b"The End!", 0)
    os.close(two)
    expect_eq(versions("synced"), [b"original", b"sync-004"], "what it was at each close")
    expect_eq(path.read_bytes(), b"The End!")


def tell_in_place(path, text):
    file = os.open(path, os.O_WRONLY)
    os.write(file, text)
    os.close(file)


def a_limit_shuts_nobody_out():
    path = W / "limited"
    path.write_bytes(b"original")
    holder = os.open(path, os.O_WRONLY)
    tell(W / ".agentfs/limits", "bytes=3M\n")
    expect_eq(path.read_bytes(), b"original", "under a limit that came later")
    tell_in_place(path, b"Original")
    os.close(holder)
    holder = os.open(path, os.O_WRONLY)
    tell(W / ".agentfs/limits", "unlimited\n")
    tell_in_place(path, b"ORiginal")
    os.close(holder)
    expect_eq(path.read_bytes(), b"ORiginal")


def what_is_written_past_the_daemon_does_not_come_under_a_limit():
    """The limit could not see it: whoever moves it copies it, or closes it first."""
    limited = mount / "workspaces/limited"
    limited.mkdir()
    tell(limited / ".agentfs/limits", "bytes=1M\n")
    holder = os.open(W / "moves", os.O_WRONLY | os.O_CREAT)
    expect_errno("EXDEV", os.rename, W / "moves", limited / "moves")
    expect_has(read(mount / "proc/self/errors"), "past the daemon")
    os.close(holder)
    os.rename(W / "moves", limited / "moves")
    expect_errno("EDQUOT", (limited / "moves").write_bytes, bytes(2 << 20))


def crash():
    """What was written and never closed is accounted for by the daemon that comes after a crash."""
    code = ("import os, sys\nf = open(sys.argv[1], 'ab', buffering=0)\nf.write(b'before')\n"
            "print(flush=True)\nsys.stdin.readline()\nf.write(b' after')\nprint(flush=True)\n"
            "sys.stdin.readline()\n")
    (W / "d0").mkdir()
    writer = subprocess.Popen([sys.executable, "-c", code, W / "d0/crash"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    writer.stdout.readline()
    daemon = mount.daemon()
    os.rename(W / "d0", W / "d1")  # it is found by the path that it has then
    expect_eq([row for row in rows("d1/crash") if "bytes" in row], [], "before anything is closed")
    kill(daemon)
    wait_until(SOON, lambda: not is_alive(daemon) and mount.answers() != daemon, "another daemon")
    found = rows("d1/crash")
    expect_eq([(row.get("bytes"), row.get("found_at_start")) for row in found], [(6, True)],
              "the row of the crash")
    print("go", file=writer.stdin, flush=True)
    writer.stdout.readline()
    expect_eq((W / "d1/crash").read_bytes(), b"before after", "what the descriptor went on to write")
    writer.communicate()
    mount.verify()


def switched_off():
    """Without the option every byte comes through the daemon."""
    mount.umount()
    mount.mount("-o", "passthrough,nopassthrough")
    expect_has(read(mount / "sys/fs/stats"), 'feature="passthrough"\toff', "sys/fs/stats")
    before = mount.operations("write")
    with open(W / "slow", "wb", buffering=0) as file:
        for _ in range(10):
            file.write(b"0123456789")
    expect_eq(mount.operations("write") - before, 10, "writes that the daemon saw")
    expect_eq([row.get("bytes") for row in rows("slow")], [100], "rows of the writer")
    mount.umount()


def who_opens_what_has_set_id_bits_goes_through_the_daemon():
    """A reader, too: a writer that comes after it would go its way, and nobody clear the bits."""
    (W / "runs").write_bytes(b"x" * (2 << 20))
    (W / "runs").chmod(0o6777)
    before = mount.operations("read")
    (W / "runs").read_bytes()
    expect(mount.operations("read") > before, "read past the daemon")
    (W / "runs").unlink()


main(begin, bytes_pass, a_file_without_a_name_is_counted_where_it_was_made,
     where_it_lies_now_counts, versions_follow, nothing_is_replaced_under_a_writer,
     what_a_command_changed_takes_no_file_that_is_being_written, attributes_follow,
     opens_share, readers_come_first, who_opens_what_has_set_id_bits_goes_through_the_daemon, rows_tell,
     nothing_is_lost, who_appends_past_the_daemon_keeps_nothing,
     what_is_kept_beside_who_appends_has_the_size_that_its_row_says, each_content_is_kept_once_while_another_has_it_open,
     what_is_synced_again_and_again_is_kept_once, a_limit_shuts_nobody_out,
     what_is_written_past_the_daemon_does_not_come_under_a_limit, crash,
     switched_off)
