#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What fsck says of a state that is whole, and of one in which a byte was flipped."""
import os
import pathlib
import shutil

from mount_lib import (TESTDIR, AGENTFS, Mount, command, expect, expect_eq, expect_has, main, need,
                       read, run, tell)

ANSWER = "[script] There are many lines."
SCENARIO = {"name": "many", "tasks": [{"match": "*", "after": "There are many lines.", "steps": [
    {"text": "I count.", "calls": [{"name": "exec", "arguments": {"command": "seq 1 20000"}}]},
    {"text": "I keep it.", "calls": [{"name": "write",
                                      "arguments": {"path": "kept", "text": "kept\n"}}]}]}]}


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x01
    path.write_bytes(data)


def make_state():
    """A state with a run, a commit and a blob in it; unmounted. The pid of the agent."""
    need("bwrap")
    mount = Mount.of("whole")
    mount.mount()
    mount.script_model("many", SCENARIO)
    (mount / "workspaces/w").mkdir()
    pid = mount.spawn("name=counter model=many workspace=w")
    tell(mount.proc(pid, "chat"), "count\n")
    expect_eq(mount.wait(pid).strip(), ANSWER, "the answer")
    seen = everything(mount, pid)
    mount.umount()
    return mount, pid, seen


def everything(mount, pid):
    """What a mount shows of the process and the journal."""
    names = ("chat", "usage", "status", "calls/1/result", "calls/_all.jsonl", "messages/_all.jsonl")
    return {name: mount.get(pid, name) for name in names
            if os.path.exists(mount.proc(pid, name))} | {"head": read(mount / "sys/journal/head")}


def copy_of(whole, name):
    """The same state, to be damaged."""
    mount = Mount.of(name)
    shutil.rmtree(mount.state)
    shutil.copytree(whole.state, mount.state, symlinks=True)
    return mount


def segment_of(mount):
    return sorted((mount.state / "journal/segments").glob("*.jsonl"))[0]


def fsck_and_damage():
    """fsck tells where a state is damaged, and a store that is damaged is filled anew."""
    whole, pid, seen = make_state()
    said = whole.fsck()
    expect(said and all(line.startswith("ok ") for line in said.splitlines()), f"fsck: {said}")
    expect_has(run([AGENTFS, "fsck", "--state", TESTDIR / "none"], code=2), "no state", "fsck")
    expect(not (TESTDIR / "none").exists(), "fsck made a state")
    damaged_journal(whole)
    torn_journal(whole, pid, seen)
    damaged_blob(whole)
    damaged_store(whole, pid, seen)
    damaged_document(whole)
    expect_has(whole.fsck(), "ok ", "the whole one, afterwards")


def damaged_journal(whole):
    for name, piece in (("text", b'"kept'), ("first", b'"seq":1'), ("hash", b'"hash":"')):
        mount = copy_of(whole, f"journal-{name}")
        segment = segment_of(mount)
        flip(segment, segment.read_bytes().index(piece) + len(piece) + 1)
        expect_has(mount.fsck(code=1), "FAIL journal", f"fsck, journal ({name}) damaged")
        said = mount.mount(code=None)
        if not os.path.ismount(mount.mnt):
            expect_has(said, "journal", "mount of a damaged journal")
            continue
        expect(not read(mount / "sys/journal/verify").startswith("ok"),
               f"sys/journal/verify says ok of a damaged journal ({name})")
        mount.umount()


def torn_journal(whole, pid, seen):
    """Half a record at the end is what a crash leaves: it was not acknowledged, and is dropped."""
    mount = copy_of(whole, "torn")
    segment = sorted((mount.state / "journal/segments").glob("*.jsonl"))[-1]
    with open(segment, "ab") as file:
        file.write(b'{"seq":99999,"time":"2026-')
    mount.mount()
    mount.verify()
    expect_eq(everything(mount, pid), seen, "what a mount of a torn journal shows")
    command(mount.proc(pid, "name"), "afterwards")
    mount.verify()
    mount.umount()
    mount.fsck()


def damaged_blob(whole):
    mount = copy_of(whole, "blob")
    blobs = [path for path in (mount.state / "blobs").rglob("*") if len(path.name) == 64]
    expect(blobs, "a result of 100 kB is no blob")
    blobs[0].chmod(0o600)
    flip(blobs[0], blobs[0].stat().st_size // 2)
    expect_has(mount.fsck(code=1), "FAIL blobs", "fsck, blob damaged")
    blobs[0].unlink()


def damaged_store(whole, pid, seen):
    for name in ("header", "middle", "empty", "missing"):
        mount = copy_of(whole, f"store-{name}")
        store = mount.state / "agentfs.sqlite"
        if name == "header":
            flip(store, 3)
        elif name == "middle":
            data = bytearray(store.read_bytes())
            for at in range(8192, len(data)):
                data[at] ^= 0x55
            store.write_bytes(data)
        elif name == "empty":
            store.write_bytes(b"")
        else:
            store.unlink()
        if name in ("header", "middle"):
            expect_has(mount.fsck(code=1), "FAIL store", f"fsck, store damaged ({name})")
        mount.mount()
        mount.verify()
        # A store that does not fit its journal is told in the journal, which moves the head.
        now = everything(mount, pid)
        told = [row for row in mount.journal() if row["kind"] == "state.problem"]
        expect_eq(len(told), 1 if name == "middle" else 0, f"rows about {name}")
        expect_eq({**now, "head": ""} if told else now, {**seen, "head": ""} if told else seen,
                  f"what a mount shows after {name}")
        mount.umount()
        expect_has(mount.fsck(), "ok   store", f"fsck after a mount ({name})")


def damaged_document(whole):
    mount = copy_of(whole, "document")
    document = pathlib.Path(mount.state / "etc/models/many.toml")
    document.write_text("driver = [\n", encoding="utf-8")
    said = mount.fsck(code=1)
    expect_has(said, "FAIL documents", "fsck, document damaged")
    expect_has(said, "many.toml", "fsck, document damaged")
    mount.mount()
    mount.verify()
    mount.umount()


main(fsck_and_damage)
