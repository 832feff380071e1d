#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Descriptors of control files, call by call: counts, offsets, origins of replies, closing."""
import io
import os
import signal
import threading

from lib import (Wrong, command, expect, expect_eq, expect_errno, expect_has, journal_end,
                 last_error, main, mnt, read, spawn, wait_until, write)

pid = 0


def priority():
    return int(read("proc", pid, "priority"))


def make_process():
    global pid
    pid = spawn(name="lines")


def whole_count_or_error():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    text = b"# comment\nnice 1\nnice 2\n# end\n"
    expect_eq(os.write(descriptor, text), len(text), "count")
    expect_errno("EINVAL", os.write, descriptor, b"nice 3\nfrobnicate\nnice 4\n")
    expect_eq(priority(), 3, "the lines before the one that failed have run, those after it not")
    expect_eq(os.write(descriptor, b"nice 5\n"), 7, "count after a failure")
    expect_eq(priority(), 5)
    os.close(descriptor)


def dropped_with_the_failure():
    """A line that was begun is dropped when the write that would complete it fails."""
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.write(descriptor, b"frob")
    expect_errno("EINVAL", os.write, descriptor, b"nicate\nnice 6")
    os.write(descriptor, b"nice 7\n")
    os.close(descriptor)
    expect_eq(priority(), 7)


def gaps_and_overlaps():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.write(descriptor, b"nice 1\n")
    expect_errno("EINVAL", os.pwrite, descriptor, b"nice 2\n", 100)
    expect_errno("EINVAL", os.pwrite, descriptor, b"nice 2\n", 3)
    expect_eq(priority(), 1)
    os.pwrite(descriptor, b"nice 3\n", 7)
    os.close(descriptor)
    expect_eq(priority(), 3, "a write at the next byte")


def any_offset_to_begin_with():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.pwrite(descriptor, b"nice 4\n", 4096)
    os.pwrite(descriptor, b"nice 5\n", 4103)
    os.close(descriptor)
    expect_eq(priority(), 5)


def append():
    """O_APPEND arrives at the size of the text, which does not grow by what is written."""
    with open(mnt("proc", pid, "ctl"), "ab", buffering=0) as file:
        for wanted in (1, 2, 3):
            file.write(f"nice {wanted}\n".encode())
            expect_eq(priority(), wanted)


def offsets_of_both_ways_do_not_count():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_RDWR)
    os.pwrite(descriptor, b"nice 6\n", 1000)
    os.pwrite(descriptor, b"nice 7\n", 0)
    os.close(descriptor)
    expect_eq(priority(), 7)


def truncate_and_mode_are_ignored():
    end = journal_end()
    size = os.stat(mnt("proc", pid, "ctl")).st_size
    os.truncate(mnt("proc", pid, "ctl"), 0)
    with open(mnt("proc", pid, "ctl"), "r+b", buffering=0) as file:
        os.ftruncate(file.fileno(), 0)
    os.chmod(mnt("proc", pid, "ctl"), 0o600)
    expect_eq(os.stat(mnt("proc", pid, "ctl")).st_size, size, "size after a truncate")
    expect_eq(journal_end(), end, "the journal's last number")


def replies_binary():
    with open(mnt("proc/clone"), "r+b", buffering=0) as file:
        for name in (b"one", b"two"):
            file.write(b"name=" + name + b"\n")
            reply = file.read(65536)
            expect_eq(read("proc", int(reply), "name").strip(), name.decode())
            expect_eq(file.read(65536), b"", "what follows the reply")


def replies_seek():
    with open(mnt("proc/clone"), "r+b", buffering=0) as file:
        file.write(b"name=sought\n")
        file.seek(0)
        first = file.read(65536)
        file.seek(0)
        expect_eq(file.read(65536), first, "the reply, read from 0 again")
        file.seek(1)
        expect_eq(file.read(65536), first[1:], "the reply from its second byte")


def replies_buffered():
    """io.BufferedRandom writes when it turns to reading, and seeks on its way."""
    with io.BufferedRandom(open(mnt("dev/local/exec"), "r+b", buffering=0)) as file:
        file.write(b"echo one; echo two\n")
        file.flush()
        expect_eq(file.readline(), b"one\n")
        expect_eq(file.readline(), b"two\n")


def replies_in_small_pieces():
    descriptor = os.open(mnt("dev/local/exec"), os.O_RDWR)
    os.write(descriptor, b"printf abcdefghij\n")
    pieces = b""
    while piece := os.read(descriptor, 3):
        pieces += piece
    os.close(descriptor)
    expect(pieces.startswith(b"abcdefghij\n# exit=0"), f"the reply in pieces of 3: {pieces}")


def replies_text():
    with open(mnt("dev/local/exec"), "r+", encoding="utf-8", buffering=1) as file:
        for word in ("caf\u00e9", "plain"):
            file.write(f"echo {word}\n")
            file.flush()
            file.seek(0)
            expect_eq(file.readline(), word + "\n", "first line of the reply")
            file.seek(0, os.SEEK_END)


def two_descriptors():
    """Each descriptor has its own reply and its own line."""
    first = os.open(mnt("dev/local/exec"), os.O_RDWR)
    second = os.open(mnt("dev/local/exec"), os.O_RDWR)
    os.write(first, b"echo fi")
    os.write(second, b"echo second\n")
    os.write(first, b"rst\n")
    expect_has(os.read(second, 4096).decode(), "second\n")
    expect_has(os.read(first, 4096).decode(), "first\n")
    os.close(first)
    os.close(second)


def many_at_once():
    """Tagged slots of one process, at once."""
    wrong = []

    def one(number):
        try:
            path = mnt(f"dev/local/exec@t{number}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"echo {number}")
            with open(path, encoding="utf-8") as file:
                expect_eq(file.readline(), f"{number}\n", f"slot {number}")
        except (Wrong, OSError) as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_eq(wrong, [], "failures of 8 at once")


def closed_without_newline():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.write(descriptor, b"nice 4")
    expect_eq(priority(), 7, "before the close")
    os.close(descriptor)
    expect_eq(priority(), 4, "after the close")
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.write(descriptor, b"frobnicate")
    expect_errno("EINVAL", os.close, descriptor)


def closed_for_both():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_RDWR)
    os.write(descriptor, b"nice 9")
    os.close(descriptor)
    wait_until(5, lambda: "nice 9" in last_error()[2], "the line in errors")
    expect_eq(last_error()[0], "EINVAL")
    expect_has(last_error()[2], "newline")
    expect_eq(priority(), 4)


def closed_by_a_dying_child():
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    os.write(descriptor, b"nice 1")
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    expect_eq(priority(), 4, "after the death of a child")
    os.write(descriptor, b"5\n")
    os.close(descriptor)
    expect_eq(priority(), 15)


def killed_in_the_middle_of_a_line():
    """Whoever dies has closed: write-only, by its opener."""
    child = os.fork()
    if child == 0:
        descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
        os.write(descriptor, b"frobnicate-killed")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until(5, lambda: "frobnicate-killed" in last_error()[2], "the line in errors")


def written_back():
    end = journal_end()
    for path in (f"proc/{pid}/ctl", "proc/clone", "dev/local/exec"):
        text = read(path)
        write(text, path)
    expect_eq(journal_end(), end, "the journal's last number")


def usage_is_comments():
    for path in (f"proc/{pid}/ctl", f"proc/{spawn(name='other')}/ctl"):
        lines = read(path).splitlines()
        expect(all(line.startswith("#") for line in lines), f"{path}: {lines}")
    write("nice 2\n", "proc", pid, "ctl")
    expect_has(read("proc", pid, "ctl"), '# last: "nice 2"\n# ok\n', "the caller's last result")
    expect_eq(command(mnt("proc", pid, "ctl"), "nice 3"), "", "the reply of a verb that has none")


def no_writeback():
    """A write has happened when it returns, for whoever looks."""
    descriptor = os.open(mnt("proc", pid, "ctl"), os.O_WRONLY)
    for wanted in list(range(-20, 20)) * 5:
        os.write(descriptor, f"nice {wanted}\n".encode())
        expect_eq(priority(), wanted)
    os.close(descriptor)


main(make_process, whole_count_or_error, dropped_with_the_failure, gaps_and_overlaps,
     any_offset_to_begin_with, append, offsets_of_both_ways_do_not_count,
     truncate_and_mode_are_ignored, replies_binary, replies_seek, replies_buffered,
     replies_in_small_pieces, replies_text, two_descriptors, many_at_once, closed_without_newline,
     closed_for_both, closed_by_a_dying_child, killed_in_the_middle_of_a_line, written_back,
     usage_is_comments, no_writeback)
