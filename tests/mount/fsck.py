#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""What fsck says of a state that is whole, and of one in which a byte was flipped."""
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess

from merges_lib import merged_state
from mount_lib import (TESTDIR, AGENTFS, Mount, command, expect, expect_eq, expect_errno,
                       expect_has, main, need, read, run, tell)

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
    nothing = TESTDIR / "nothing"
    nothing.mkdir()
    for name in ("", "lost+found", "notes"):  # as where the disk of a state is not mounted
        (nothing / name).mkdir(exist_ok=True)
        for options in ((), ("--repair",)):
            expect_has(run([AGENTFS, "fsck", "--state", nothing, *options], code=2), "no state", "fsck")
    expect_eq(sorted(os.listdir(nothing)), ["lost+found", "notes"])
    damaged_journal(whole)
    torn_journal(whole, pid, seen)
    cut_journal(whole)
    lost_key(whole)
    damaged_blob(whole)
    damaged_store(whole, pid, seen)
    damaged_document(whole)
    half_done_merge(whole)
    rehash(whole)
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
    size = segment.stat().st_size
    expect_has(mount.fsck(), "26 bytes after the last whole line", "fsck of a torn journal")
    expect_eq(segment.stat().st_size, size, "the torn segment, looked at")
    mended = copy_of(mount, "torn-mended")
    expect_has(mended.fsck("--repair"), "mend journal", "repair")
    expect("note journal" not in mended.fsck(), "fsck after that")
    mount.mount()
    mount.verify()
    expect_eq(everything(mount, pid), seen, "what a mount of a torn journal shows")
    command(mount.proc(pid, "name"), "afterwards")
    mount.verify()
    mount.umount()
    mount.fsck()


def cut_journal(whole):
    """Whole lines that are gone from the end leave a chain that is whole, before the next start and
    after it."""
    mount = copy_of(whole, "cut")
    segment = sorted((mount.state / "journal/segments").glob("*.jsonl"))[-1]
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-3]))
    expect_has(mount.fsck(code=1), "the journal ends at", "fsck of a cut journal")
    mount.mount()
    mount.umount()
    found = [line for line in mount.fsck().splitlines() if line.startswith("note journal: ")]
    expect(any("records were lost or taken away" in line for line in found),
           f"fsck after a start that found the journal cut says nothing of it: {found}")


def lost_key(whole):
    mount = copy_of(whole, "key")
    (mount.state / "keys/journal.ed25519").unlink()
    expect_has(mount.fsck(), "note key: ")


def damaged_blob(whole):
    mount = copy_of(whole, "blob")
    blobs = [path for path in (mount.state / "blobs").rglob("*") if len(path.name) == 64]
    expect(blobs, "a result of 100 kB is no blob")
    blobs[0].chmod(0o600)
    flip(blobs[0], blobs[0].stat().st_size // 2)
    expect_has(mount.fsck(code=1), "FAIL blobs", "fsck, blob damaged")
    mount.fsck("--repair", code=None)
    expect_has(mount.fsck(), "in STATE/quarantine, damaged", "fsck, blob set aside")
    shutil.rmtree(mount.state / "quarantine")
    expect_has(mount.fsck(code=1), "is not there (blob", "fsck, blob missing")


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
    document.unlink()
    document.mkdir()
    expect_has(mount.fsck(code=1), "FAIL documents: /etc/models/many.toml: no regular file is there")
    document.rmdir()
    models = document.parent
    for stand_in in (models.touch, lambda: os.mkfifo(models), lambda: models.symlink_to("devices")):
        shutil.rmtree(models) if models.is_dir() and not models.is_symlink() else models.unlink()
        stand_in()
        expect_has(mount.fsck(code=1), "FAIL documents: /etc/models: no directory is there")


def half_done_merge(whole):
    """An order that cannot be read is set aside; one that can be is the next start's to end."""
    mount = copy_of(whole, "merge")
    name = b"/workspaces/w".hex()
    (mount.state / "merges").mkdir()
    (mount.state / "merges" / name).write_text("{", encoding="ascii")
    staged = mount.state / "trees/workspaces/w/.agentfs-merge"
    staged.mkdir()
    (staged / "1").write_text("replaced\n", encoding="ascii")
    expect_has(mount.fsck(code=1), "FAIL merges", "fsck, an order damaged")
    mount.mount()
    mount.umount()
    expect((staged / "1").exists(), "a start removed what a damaged order had replaced")
    expect_has(mount.fsck("--repair"), "mend merges", "repair")
    kept = next((mount.state / "quarantine").iterdir())
    expect_eq(read(kept / "trees/workspaces/w/.agentfs-merge/1"), "replaced\n", "what is kept")
    mount.fsck()
    mount.mount()
    mount.umount()


def rehash(whole):
    said = whole.fsck("--rehash")
    expect(re.search(r"ok   repositories: .*; [1-9]\d* objects, each has its hash", said),
           f"fsck --rehash: {said}")
    count = re.search(r"ok   rehash: (\d+) bytes", said)
    expect(count and int(count[1]) > 100_000, f"fsck --rehash: {said}")


def contents_without_a_row():
    """What was removed is had again where its row is lost, also of a file that a checkpoint has."""
    mount = Mount.of("rowless")
    mount.mount()
    top = mount / "workspaces/w"
    top.mkdir()
    for name in ("shared", "own"):
        (top / name).write_text(f"{name}\n")
        if name == "shared":
            command(top / ".agentfs/ctl", "checkpoint c")
    for name in ("shared", "own"):
        (top / name).unlink()
    mount.umount()
    with sqlite3.connect(mount.state / "agentfs.sqlite") as store:
        gone = store.execute("delete from object where collection = 'version'").rowcount
    store.close()
    expect(gone >= 2, f"{gone} rows of versions")
    expect_has(mount.fsck(code=None), "the next mount adopts them")
    mount.mount()
    for name in ("shared", "own"):
        expect_eq(read(top / ".agentfs/trash" / name), f"{name}\n")
        command(top / ".agentfs/ctl", f"restore {name}")
        expect_eq((top / name).read_text(), f"{name}\n")
    expect_eq(read(top / ".agentfs/snapshots/c/shared"), "shared\n")
    mount.umount()


def a_copy_without_marks():
    """What was a fork is not to be seen in it, and that is told."""
    mount, copy = Mount.of("marked"), Mount.of("unmarked")
    mount.mount()
    (mount / "workspaces/a/lib").mkdir(parents=True)
    (mount / "workspaces/a/lib/f").write_text("text\n")
    command(mount / "workspaces/a/.agentfs/ctl", "fork b")
    (mount / "workspaces/b/own").write_text("own\n")
    mount.umount()
    run(["cp", "-dR", "--preserve=mode,ownership,timestamps", f"{mount.state}/.", copy.state])
    said = copy.fsck("--repair", code=None)
    expect_has(said, "this copy has no extended attributes")
    expect_has(said, "is so of a, b")
    copy.mount()
    expect_eq((copy / "workspaces/a/lib/f").read_text(), "text\n")
    copy.umount()


def a_copy_of_an_import_reads_what_the_host_has():
    mount, copy, host = Mount.of("lending"), Mount.of("lent-copy"), TESTDIR / "lending-host"
    host.mkdir()
    for name in ("one", "two"):
        (host / name).write_text(f"{name}\n" * 100)
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as lent")
    (mount / "workspaces/lent/one").write_text("here\n")
    mount.umount()
    run(["cp", "-a", f"{mount.state}/.", copy.state])
    copy.fsck("--repair", code=None)
    expect("FAIL" not in copy.fsck(), "fsck of a copy that was made plain")
    copy.mount()
    expect_eq((copy / "workspaces/lent/one").read_text(), "here\n", "what was written here")
    expect_eq((copy / "workspaces/lent/two").read_text(), "two\n" * 100, "what the host has")
    (host / "two").write_text("other\n")
    expect_errno("EBUSY", (copy / "workspaces/lent/two").read_text)
    copy.umount()


def a_copy_of_an_import_without_its_marks_is_told():
    """What was lent is zeros there, in a hole or written out, and nothing else says so."""
    mount, host = Mount.of("bare-import"), TESTDIR / "bare-host"
    (host / "d").mkdir(parents=True)
    (host / "d/two").write_text("two\n" * 100)
    (host / "d/zeros").write_bytes(bytes(100))
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as lent")
    (mount / "workspaces/lent/d/new").write_text("here\n")
    mount.umount()
    for sparse in "always", "never":
        copy = Mount.of(f"bare-import-{sparse}")
        run(["cp", "-dR", f"--sparse={sparse}", "--preserve=mode,ownership,timestamps", f"{mount.state}/.", copy.state])
        copy.fsck("--repair", code=None)
        said = copy.fsck(code=1)
        expect_has(said, "import 1: lent/d/two: reads as zeros")
        expect("zeros:" not in said, said)
    mount.fsck()


def what_a_repaired_copy_lends_is_copied_by_solidify_and_known_to_a_command():
    """Its workspaces are plain ones; a checkpoint does not make them pass for whole."""
    mount, copy, host = Mount.of("straying"), Mount.of("stray-copy"), TESTDIR / "straying-host"
    host.mkdir()
    for name in ("one", "two"):
        (host / name).write_text(f"{name}\n" * 100)
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as lent")
    command(mount / "workspaces/lent/.agentfs/ctl", "fork lent-1")
    for tree in "lent", "lent-1":
        (mount / f"workspaces/{tree}/new").write_text("filled\n")
    mount.umount()
    shutil.rmtree(copy.state)
    run(["cp", "-a", mount.state, copy.state])
    copy.fsck("--repair")
    copy.mount()
    for tree in "lent", "lent-1":
        command(copy / f"workspaces/{tree}/.agentfs/ctl", "checkpoint c")
        expect_eq(read(copy / f"workspaces/{tree}/one"), "one\n" * 100, f"in {tree}")
    copy.umount()
    copy.fsck("--solidify")
    shutil.rmtree(host)
    for tree in "lent", "lent-1":
        for name in "one", "two":
            expect_eq((copy.state / f"trees/workspaces/{tree}/{name}").read_text(), f"{name}\n" * 100, f"{tree}/{name}")
    copy.mount()
    for tree in "lent", "lent-1":
        expect_eq(read(copy / f"workspaces/{tree}/two"), "two\n" * 100, f"in {tree}, without its source")
    copy.umount()


def a_repaired_copy_shares_nothing_with_the_past():
    """What is removed there is kept and comes back, and no write reaches what was kept before."""
    original, mount = Mount.of("shared"), Mount.of("shared-copy")
    original.mount()
    top = original / "workspaces/one"
    (top / "d").mkdir(parents=True)
    for name in ("f", "d/gone", "d/written"):
        (top / name).write_text(f"{name}\n")
    command(top / ".agentfs/ctl", "checkpoint c")
    command(top / ".agentfs/ctl", "fork two")
    (top / "new").write_text("replaced\n")
    os.rename(top / "new", top / "f")
    (top / "d/more").write_text("more\n")
    (version,) = os.listdir(top / ".agentfs/versions/f")
    original.umount()
    original.fsck("--solidify")
    shutil.rmtree(mount.state)
    run(["cp", "-a", original.state, mount.state])
    mount.fsck("--repair")
    mount.mount()
    one, two = mount / "workspaces/one", mount / "workspaces/two"
    for path in ("d/gone", "d/written"):
        expect_eq([(tree / path).stat().st_nlink for tree in (one, two)], [1, 1], path)
    (one / "d/gone").unlink()
    expect_eq(read(one / ".agentfs/trash/d/gone"), "d/gone\n", "in the trash")
    command(one / ".agentfs/ctl", "restore d/gone")
    expect_eq(read(one / "d/gone"), "d/gone\n", "restored")
    for path in (two / "f", one / "d/written"):
        with open(path, "r+", encoding="ascii") as file:
            file.write("X")
    mount.umount()
    mount.mount()
    expect_eq(read(one / ".agentfs/versions/f" / version), "f\n", "a version from before the copy")
    mount.umount()
    aside = [path for path in (mount.state / "quarantine").rglob("written") if path.is_file()]
    expect_eq({path.read_text() for path in aside}, {"d/written\n"}, "what was set aside")
    mount.fsck()


def forked_state(name):
    """A workspace with a fork and a checkpoint; unmounted."""
    mount = Mount.of(name)
    mount.mount()
    (mount / "workspaces/a/lib").mkdir(parents=True)
    (mount / "workspaces/a/lib/f").write_text("text\n")
    command(mount / "workspaces/a/.agentfs/ctl", "fork b")
    command(mount / "workspaces/a/.agentfs/ctl", "checkpoint c")
    mount.umount()
    expect("FAIL" not in mount.fsck() and "note trees" not in mount.fsck(), "fsck of a whole state")
    return mount


def records_of_the_forest_that_are_gone():
    """All of them at once are missed as one is."""
    mount = forked_state("forgotten")
    shutil.rmtree(mount.state / "trees/.workspaces")
    said = mount.fsck(code=1)
    for name in "ab":
        expect_has(said, f"FAIL trees: workspaces: {name}: was forked or kept, and all records")


def directories_that_are_gone_or_are_none():
    """Told; --repair sets aside what is in their place, and a line that is none is its tree's."""
    whole = forked_state("layout")
    whole.mount()
    (whole / "workspaces/plain").mkdir()
    (whole / "workspaces/plain/file").write_text("precious\n")
    (whole / "workspaces/gone").mkdir()
    (whole / "workspaces/gone").rmdir()
    whole.umount()
    expect("is not there" not in whole.fsck(), "of a whole state")
    shutil.rmtree(whole.state / "trees/workspaces/plain")
    expect_has(whole.fsck(), "/workspaces/plain is not there")
    for name in ("merges", "trees/src/repos", "past/rights", "trees/.workspaces/trash", "imports"):
        place = whole.state / name
        shutil.rmtree(place, ignore_errors=True)
        place.touch()
        expect_has(whole.fsck(code=1), f"{name}: is a file, and no directory")
        said = whole.fsck("--repair")
        expect_has(said, f"{name}: is a file, and no directory; it is in")
        whole.mount()
        whole.umount()
    for name in ("etc", "etc/profiles", "etc/profiles/default", "trees/src", "trees/home", "log", "journal"):
        place = whole.state / name
        place.rename(whole.state.parent / "kept")
        place.touch()
        refused = subprocess.run([AGENTFS, "mount", "--state", whole.state, whole.mnt], capture_output=True,
                                 text=True, check=False)
        expect_has(refused.stderr, f"{name}: is no directory; `agentfs fsck --repair` sets it aside", f"{refused}")
        expect_has(whole.fsck(code=1), f"FAIL layout: {name}: is a file, and no directory")
        said = whole.fsck("--repair", code=None)
        expect_has(said, f"mend layout: {name}: is a file, and no directory; it is in")
        expect("not mended" not in said, said)
        expect(place.is_dir(), f"{name} is not there again")
        shutil.rmtree(place)
        if name == "etc":
            expect_has(whole.fsck(), "note layout: etc: was not there, and is again, empty")
            shutil.rmtree(place)
        (whole.state.parent / "kept").rename(place)
        whole.fsck()
    line = next((whole.state / "trees/.workspaces/lines").iterdir())
    shutil.rmtree(line)
    line.touch()
    whole.mount()
    (whole / "workspaces/fresh").mkdir()
    whole.umount()
    expect_has(whole.fsck(code=1), f"lines/{line.name}: is a file, and no directory")
    shutil.rmtree(whole.state / "trees")
    expect_has(whole.fsck(code=1), "/workspaces/fresh is not there")


def files_that_are_none():
    """A directory, FIFO or link in the place of one refuses the mount until --repair has set it aside."""
    whole = forked_state("no-files")
    makes = {"a directory": lambda place: (place / "below").mkdir(parents=True), "a FIFO": os.mkfifo,
             "a link that leads to nothing": lambda place: place.symlink_to("/nowhere/at/all")}
    places = ("agentfs.sqlite", "agentfs.sqlite-wal", "trees/.home/marks", "trees/.workspaces/ids")
    for name in places:
        for kind, make in makes.items():
            place = whole.state / name
            place.unlink(missing_ok=True)
            make(place)
            expect_has(whole.fsck(code=1), f"FAIL layout: {name}: is {kind}, and no file; --repair sets it aside")
            expect_has(whole.fsck("--repair"),
                       f"mend layout: {name}: is {kind}, and no file; it is in")
            whole.mount()
            whole.umount()
            whole.fsck()


def rooms_of_a_forest_that_are_none():
    """Nothing is mounted until --repair has set them aside."""
    whole = forked_state("no-rooms")
    for name, make in (("here", os.mkdir), ("here", os.mkfifo), ("apart", os.mkfifo),
                       ("apart", lambda place: place.symlink_to("/nowhere/at/all")),
                       ("rights", lambda place: place.symlink_to("/nowhere/at/all"))):
        place = whole.state / "trees/.workspaces" / name
        if place.is_symlink() or not place.exists():
            place.unlink(missing_ok=True)
        else:
            shutil.rmtree(place)
        make(place)
        expect_has(whole.fsck(code=1), f"FAIL layout: trees/.workspaces/{name}: is ")
        expect_has(whole.fsck("--repair"), f"mend layout: trees/.workspaces/{name}: is ")
        whole.mount()
        whole.umount()
        whole.fsck()


def what_lies_in_the_place_of_a_kept_file_is_not_given_for_it():
    """No empty file, and nobody waits for a FIFO's other end."""
    whole = Mount.of("no-contents")
    host = TESTDIR / "imported"
    host.mkdir()
    (host / "lent").write_text("lent\n")
    whole.mount()
    file = whole / "workspaces/plain/file"
    file.parent.mkdir()
    file.write_text("precious\n")
    file.unlink()
    (whole / "sys/workspaces/ctl").write_text(f"import {host} as site\n")
    (whole / "workspaces/site/lent").unlink()
    whole.umount()
    for kept in [*(whole.state / "past/0").iterdir(), *(whole.state / "imports").glob("*/kept/*")]:
        kept.rename(whole.state.parent / kept.name)
        os.mkfifo(kept)
        whole.mount()
        path = "plain/.agentfs/trash/file" if "plain" in kept.name else "site/.agentfs/trash/lent"
        said = run(["timeout", "20", "cat", whole / "workspaces" / path], code=None)
        expect("precious" not in said and (said == "lent\n" or "Bad message" in said), f"{path}: {said!r}")
        whole.umount()
        name = kept.relative_to(whole.state)
        expect_has(whole.fsck(code=1), f"FAIL layout: {name}: is a FIFO, and no file")
        expect_has(whole.fsck("--repair", code=None),
                   f"mend layout: {name}: is a FIFO, and no file; it is in")
        (whole.state.parent / kept.name).rename(kept)
        whole.fsck()
    new = whole.state / "past/new/kept by somebody"
    new.write_text("precious\n")
    (whole.state / "past/new/17").touch()
    whole.fsck()
    expect_eq([one.name for one in new.parent.iterdir()], [new.name])


def a_record_that_is_none_is_its_trees():
    """The tree is refused, and nothing is given up; the others are served."""
    mount = forked_state("no-record")
    mount.mount()
    (mount / "workspaces/other").mkdir()
    (mount / "workspaces/other/f").write_text("other\n")
    mount.umount()
    place = next((mount.state / "trees/.workspaces/lines/1").glob("snap.*"))
    target = os.readlink(place)
    place.unlink()
    place.mkdir()
    expect_has(mount.fsck(code=1), f"{place.name}: Invalid argument")
    mount.mount()
    expect_errno("EBADMSG", os.listdir, mount / "workspaces/a")
    expect_has(read(mount.state / "log/agentfs.log"),
               f"lines/1: {place.name}: Invalid argument")
    expect_eq((mount / "workspaces/other/f").read_text(), "other\n", "another workspace")
    mount.umount()
    place.rmdir()
    os.symlink(target, place)
    expect("FAIL" not in mount.fsck(), "with the record again")
    mount.mount()
    expect_eq(read(mount / "workspaces/a/.agentfs/snapshots/c/lib/f"), "text\n", "a checkpoint")
    mount.umount()


def conflicts_that_were_cut_off():
    """What a merge left to be resolved is missed where its record is not whole."""
    mount = Mount.of("conflicts")
    mount.mount()
    (mount / "workspaces/a").mkdir()
    for file in "fg":
        (mount / "workspaces/a" / file).write_text("text\n")
    command(mount / "workspaces/a/.agentfs/ctl", "fork b")
    command(mount / "workspaces/a/.agentfs/ctl", "checkpoint c")
    for name in "ab":
        for file in "fg":
            (mount / "workspaces" / name / file).write_text(f"{name}\n")
    command(mount / "workspaces/a/.agentfs/ctl", "merge b partial")

    def each_damage_is_told(record):
        whole = record.read_bytes()
        lines = whole.splitlines(keepends=True)
        for damaged in (b"", whole[:len(whole) // 2], whole[:-2], b"".join(lines[:-1]), lines[0],
                        whole.replace(b'"f"', b'"F"')):
            record.write_bytes(damaged)
            expect_has(mount.fsck(code=1), f"FAIL merges: {record.relative_to(mount.state)}: ")
        record.write_bytes(re.sub(rb',"check":"[0-9a-f]*"', b"", whole))  # of an earlier build
        mount.fsck()
        record.write_bytes(whole)
        mount.fsck()

    mount.umount()
    mount.fsck()
    [record] = (mount.state / "merge-conflicts").iterdir()
    each_damage_is_told(record)
    (mount.state / "merges").rmdir()  # as in a copy without empty directories
    mount.mount()
    expect_eq([one for one in os.listdir(mount / "workspaces/a/.agentfs/conflicts") if one.isdigit()], ["1", "2"])
    command(mount / "workspaces/a/.agentfs/ctl", "rollback c")  # which ends them
    mount.umount()
    [record] = (mount.state / "merge-bases/workspaces").glob("*.conflicts")
    each_damage_is_told(record)
    mount.mount()
    command(mount / "workspaces/a/.agentfs/ctl", "rollback undo-1")
    expect_eq(len([one for one in os.listdir(mount / "workspaces/a/.agentfs/conflicts") if one.isdigit()]), 2)
    mount.umount()


def a_record_of_a_merge_that_is_damaged_or_gone():
    """The merges that it is for are refused, the rest goes on, and what is known is written anew."""
    def lost(record):
        record.unlink()

    def zeros(record):
        record.write_bytes(bytes(record.stat().st_size))

    def another_state(record):
        flip(record, 0)

    for damage in (lost, zeros, another_state):
        mount, ours, theirs = merged_state(f"merged-{damage.__name__}")
        [record] = (mount.state / "merge-bases/workspaces").iterdir()
        damage(record)
        expect_has(mount.fsck(code=1), f"FAIL merges: merge-bases/workspaces/{record.name}: ")
        mount.mount()
        expect_errno("EBADMSG", command, ours / ".agentfs/ctl", "merge b")
        expect_errno("EBADMSG", command, theirs / ".agentfs/ctl", "merge a")
        command(ours / ".agentfs/ctl", "fork c")
        (mount / "workspaces/c/more").write_text("more\n")
        command(ours / ".agentfs/ctl", "merge c")
        mount.umount()
        said = mount.fsck("--repair")
        expect_has(said, "written anew from the state that was merged")
        mount.mount()
        (theirs / "later").write_text("later\n")
        command(ours / ".agentfs/ctl", "merge b")
        expect_eq(sorted(path.name for path in ours.iterdir()), ["kept", "later", "more"], damage.__name__)
        mount.umount()
        mount.fsck()


def records_of_merges_around_a_rollback_are_written_anew():
    """Which of them holds, what is known of the rollback tells; where that is damaged, none does."""
    mount, ours, theirs = merged_state("around", back=True)
    records = mount.state / "merge-bases/workspaces"
    for record in records.glob("*.*.*"):
        record.unlink()
    expect_has(mount.fsck(code=1), "which told of a merge of b into a")
    mount.fsck("--repair")
    mount.fsck()
    mount.mount()
    (theirs / "later").write_text("later\n")
    command(ours / ".agentfs/ctl", "merge b")
    expect_eq(sorted(path.name for path in ours.iterdir()), ["early", "kept", "later"])
    mount.umount()
    (log,) = records.glob("*.rollbacks")
    known = log.read_bytes()
    log.write_bytes(b"")
    expect_has(mount.fsck(code=1), f"FAIL merges: merge-bases/workspaces/{log.name}: cannot be read")
    log.unlink()
    expect_has(mount.fsck(code=1),
               f"FAIL merges: merge-bases/workspaces/{log.name}: does not tell of the rollback that undo-1")
    mount.mount()
    expect_errno("EBADMSG", command, ours / ".agentfs/ctl", "merge b")
    mount.umount()
    log.write_bytes(known)
    mount.fsck()
    flip(log, 0)
    expect_has(mount.fsck(code=1), f"FAIL merges: merge-bases/workspaces/{log.name}: cannot be read")
    mount.mount()
    expect_errno("EBADMSG", command, ours / ".agentfs/ctl", "merge b")
    command(ours / ".agentfs/ctl", "rollback before")
    mount.umount()
    expect_has(mount.fsck("--repair"), "begin where it was forked")
    mount.fsck()
    mount.mount()
    command(ours / ".agentfs/ctl", "merge b")
    expect_eq(sorted(path.name for path in ours.iterdir()), ["early", "gone", "kept", "later"])
    mount.umount()
    mount.fsck()


def a_list_of_rollbacks_that_was_cut_off_stops_no_merge():
    """Before the first merge nobody waits for it to be on the disk; what is no file is told."""
    for name, damage in {"zeros": lambda log: log.write_bytes(bytes(log.stat().st_size)),
                         "empty": lambda log: log.write_bytes(b""),
                         "another": lambda log: (log.unlink(), log.mkdir())}.items():
        mount = Mount.of(f"before-{name}")
        mount.mount()
        ours, theirs = mount / "workspaces/a", mount / "workspaces/b"
        ours.mkdir()
        command(ours / ".agentfs/ctl", "checkpoint before")
        (ours / "gone").write_text("gone\n")
        command(ours / ".agentfs/ctl", "rollback before")
        command(ours / ".agentfs/ctl", "fork b")
        mount.umount()
        mount.fsck()
        (log,) = (mount.state / "merge-bases/workspaces").glob("*.rollbacks")
        damage(log)
        if name == "another":
            expect_has(mount.fsck(code=1), f"FAIL merges: merge-bases/workspaces/{log.name}")
            mount.fsck("--repair")
        mount.fsck()
        mount.mount()
        for number in range(2):
            (theirs / f"f{number}").write_text("1\n")
            command(ours / ".agentfs/ctl", "merge b")
            (ours / f"g{number}").write_text("1\n")
            command(theirs / ".agentfs/ctl", "merge a")
        expect_eq(sorted(path.name for path in ours.iterdir()), ["f0", "f1", "g0", "g1"], name)
        mount.umount()
        mount.fsck()


def states_of_merges_that_came_to_nothing_are_no_damage():
    """Refused, left in conflict, resolved, rolled back, its undoing discarded, or killed in between."""
    mount, ours, theirs = merged_state("nothing")
    records = mount.state / "merge-bases/workspaces"

    def whole(states):
        mount.umount()
        said = mount.fsck()
        mount.mount()
        labels = [os.readlink(path) for path in (mount.state / "trees/.workspaces").rglob("snap*")]
        expect_eq(len([one for one in labels if " base/" in one]), states, f"{labels}")
        return said

    def resolve(how):
        (number,) = [name for name in os.listdir(ours / ".agentfs/conflicts") if name.isdigit()]
        command(ours / ".agentfs/ctl", f"resolve {number} {how}")

    mount.mount()
    for name, where in (("a", ours), ("b", theirs)):
        (where / "kept").write_text(f"{name}\n")
    expect_errno("EBUSY", command, ours / ".agentfs/ctl", "merge b")
    whole(1)
    command(ours / ".agentfs/ctl", "checkpoint clean")
    command(ours / ".agentfs/ctl", "merge b partial")
    whole(2)
    command(ours / ".agentfs/ctl", "rollback clean")  # and the conflict is over, until that is undone
    whole(2)
    command(ours / ".agentfs/ctl", "merge b partial")
    resolve("ours")
    whole(3)  # to go back to `clean` would make the first count again
    command(ours / ".agentfs/ctl", "rollback clean")
    command(ours / ".agentfs/ctl", "merge b partial")
    resolve("theirs")
    whole(4)
    for undo in [name for name in os.listdir(ours / ".agentfs/snapshots") if name.startswith("undo-")]:
        command(ours / ".agentfs/ctl", f"discard {undo}")
    whole(2)
    mount.umount()
    for record in records.glob("*.*.*"):
        (records / f"{record.name.rsplit('.', 1)[0]}.unsettled").write_text("")  # as a kill leaves it
        record.unlink()
    mount.mount()
    whole(0)
    command(ours / ".agentfs/ctl", "merge b")
    mount.umount()
    mount.fsck()


def a_tree_that_lost_its_mark():
    """What its snapshots name is told, and mended; what is nowhere is told."""
    mount = forked_state("bare")
    top = mount.state / "trees/workspaces/a"
    for attribute in os.listxattr(top):
        if "agentfs" in attribute:
            os.removexattr(top, attribute)
    expect_has(mount.fsck(code=1), "FAIL trees: workspaces: a: has lost its mark")
    mount.mount()
    expect_errno("EBADMSG", os.listdir, mount / "workspaces/a")
    expect_eq(read(mount / "workspaces/b/lib/f"), "text\n", "the fork")
    command(mount / "workspaces/b/.agentfs/ctl", "checkpoint more")
    command(mount / "workspaces/b/.agentfs/ctl", "discard more")  # and all that nobody reads any more
    (mount / "workspaces/b/later").write_text("later\n")
    mount.umount()
    expect_has(read(mount.state / "log/agentfs.log"), "workspaces/a: not served: has lost its mark")
    expect_has(mount.fsck("--repair"), "a: bears the mark of line 1 again")
    mount.mount()
    expect_eq(read(mount / "workspaces/a/.agentfs/snapshots/c/lib/f"), "text\n", "a checkpoint")
    expect_eq(read(mount / "workspaces/b/lib/f"), "text\n", "the fork")
    mount.umount()
    shutil.rmtree(top)
    expect_has(mount.fsck(code=None), "line 1: has 2 snapshots, the newest named c, and no tree")


def a_tree_that_is_gone_or_lost_its_mark_after_a_rollback():
    mount = Mount.of("rolled-back")
    mount.mount()
    for name in ("lost", "gone"):
        (mount / f"workspaces/{name}/lib").mkdir(parents=True)
        (mount / f"workspaces/{name}/lib/f").write_text("text\n")
        command(mount / f"workspaces/{name}/.agentfs/ctl", "checkpoint c")
        (mount / f"workspaces/{name}/lib/f").write_text("later\n")
        command(mount / f"workspaces/{name}/.agentfs/ctl", "rollback c")
        (mount / f"workspaces/{name}/new").write_text("new\n")
    mount.umount()
    said = mount.fsck()
    expect("note trees" not in said, said)
    top = mount.state / "trees/workspaces"
    bear(top / "lost", ".tree")
    shutil.rmtree(top / "gone")
    said = mount.fsck(code=1)
    expect_has(said, "FAIL trees: workspaces: lost: has lost its mark")
    expect_has(said, "and no tree: that was removed")
    expect_has(mount.fsck("--repair"), "lost: bears the mark of line")
    mount.mount()
    expect_eq(read(mount / "workspaces/lost/.agentfs/snapshots/c/lib/f"), "text\n")
    mount.umount()


def records_of_an_import_that_are_gone():
    """What was lent is refused, and neither read as zeros nor as what another import lends."""
    mount, host = Mount.of("unrecorded"), TESTDIR / "unrecorded-host"
    mount.mount()
    for name in ("first", "second"):
        (host / name).mkdir(parents=True)
        (host / name / "f").write_text(f"{name}\n")
    command(mount / "sys/workspaces/ctl", f"import {host}/first as first")
    mount.umount()
    shutil.rmtree(mount.state / "imports")
    expect_has(mount.fsck(code=1), "import 1: ")
    mount.mount()
    expect_errno("EBUSY", (mount / "workspaces/first/f").read_text)
    command(mount / "sys/workspaces/ctl", f"import {host}/second as second")
    expect_eq((mount / "workspaces/second/f").read_text(), "second\n")
    expect_errno("EBUSY", (mount / "workspaces/first/f").read_text)
    mount.umount()


def a_removed_import_whose_records_are_gone():
    """What a fork of it reads is told by fsck and refused, and not read as zeros."""
    for name, damage in (("all", shutil.rmtree), ("entries", lambda at: os.truncate(at / "entries", 0))):
        mount, host = Mount.of(f"removed-{name}"), TESTDIR / f"removed-{name}-host"
        mount.mount()
        host.mkdir()
        (host / "f").write_text("lent\n")
        command(mount / "sys/workspaces/ctl", f"import {host} as gone-{name}")
        space = mount / f"workspaces/gone-{name}"
        command(space / ".agentfs/ctl", f"fork fork-{name}")
        shutil.rmtree(space)
        expect_eq(read(mount / f"workspaces/fork-{name}/f"), "lent\n")
        mount.umount()
        expect_has(mount.fsck(), "ok   imports")
        damage(mount.state / "imports/1")
        said = mount.fsck(code=1)
        expect_has(said, "FAIL imports: import 1: no record says where the bytes of a file lie")
        expect_has(said, "retired" if "retired" in said else "past")
        mount.mount()
        expect_errno("EBUSY", (mount / f"workspaces/fork-{name}/f").read_text)
        mount.umount()


def mark_name(path, ending):
    """The attribute's whole name, which is another of an ordinary user's state."""
    return next(name for name in os.listxattr(path) if name.endswith(ending))


def bear(path, ending, value=None):
    """Gives a file of the state another mark, or none."""
    name = mark_name(path, ending)
    os.removexattr(path, name)
    if value is not None:
        os.setxattr(path, name, value)


def a_fork_that_lost_its_mark():
    mount = forked_state("bare-fork")
    mount.mount()
    (mount / "workspaces/b/new").write_text("makes it more than empty\n")
    mount.umount()
    bear(mount.state / "trees/workspaces/b", ".tree")
    expect_has(mount.fsck(code=1), "FAIL trees: workspaces: b: reads from other trees, without a mark")
    mount.mount()
    expect_errno("EBADMSG", os.listdir, mount / "workspaces/b")
    expect_eq(read(mount / "workspaces/a/lib/f"), "text\n", "the parent")
    mount.umount()


def a_directory_of_a_fork_that_lost_its_mark():
    """It is empty on the disk: told and mended, and what was emptied here is neither."""
    mount = Mount.of("bare-directory")
    mount.mount()
    a, b = mount / "workspaces/a", mount / "workspaces/b"
    for name in ("lib/deep", "emptied"):
        (a / name).mkdir(parents=True)
        (a / name / "f").write_text("text\n")
    command(a / ".agentfs/ctl", "fork b")
    (b / "lib/new").write_text("so that lib is on the disk\n")
    (b / "emptied/f").unlink()
    (a / "lib/deep/f").write_text("the parent goes on\n")
    mount.umount()
    mount.fsck()
    bear(mount.state / "trees/workspaces/b/lib/deep", ".hollow")
    expect_has(mount.fsck(code=1), "FAIL trees: workspaces: b/lib/deep: empty, and has lost the mark")
    expect_has(mount.fsck("--repair"), "b/lib/deep: reads again what it was to read")
    mount.mount()
    expect_eq(read(b / "lib/deep/f"), "text\n", "the fork")
    expect_eq(os.listdir(b / "emptied"), [], "what was emptied")
    mount.umount()


def a_moved_directory_that_lost_its_mark_is_never_taken_for_an_empty_one():
    """Renamed in a fork, or after a rollback: told, not read, not merged, and mended by its number."""
    mount = Mount.of("moved-bare")
    mount.mount()
    a, b = mount / "workspaces/a", mount / "workspaces/b"
    for path in ("d/e/g", "back"):
        (a / path).mkdir(parents=True)
        (a / path / "f").write_text(path)
    command(a / ".agentfs/ctl", "checkpoint c")
    command(a / ".agentfs/ctl", "fork b")
    (b / "d/e").rename(b / "moved")
    command(a / ".agentfs/ctl", "rollback c")
    (a / "back").rename(a / "forth")
    mount.umount()
    mount.fsck()
    lost = {name: mount.state / "trees/workspaces" / name for name in ("a/forth", "b/moved")}
    for place in lost.values():
        bear(place, ".hollow")
    mount.fsck(code=1)
    mount.mount()
    for name in lost:
        expect_errno("EBADMSG", os.listdir, mount / "workspaces" / name)
    expect_errno("EBADMSG", tell, a / ".agentfs/ctl", "merge b")
    expect_eq(read(a / "d/e/g/f"), "d/e/g", "the parent")
    mount.umount()
    told = mount.fsck("--repair")
    for name in lost:
        expect_has(told, f"{name}: reads again what it was to read")
    mount.fsck()
    mount.mount()
    expect_eq(read(b / "moved/g/f"), "d/e/g", "the fork")
    expect_eq(read(a / "forth/f"), "back", "what was rolled back")
    mount.umount()


def a_kept_directory_that_leads_elsewhere():
    """What a fork reads is looked at to the end, by whichever ways."""
    mount = Mount.of("kept-mark")
    mount.mount()
    a = mount / "workspaces/a"
    (a / "d").mkdir(parents=True)
    (a / "d/f").write_text("text\n")
    command(a / ".agentfs/ctl", "fork b")
    (a / "new").write_text("so that the root is kept\n")
    mount.umount()
    mount.fsck()
    kept = next(mount.state.glob("trees/.workspaces/lines/*/past.*/d"))
    mark = os.getxattr(kept, mark_name(kept, ".hollow")).split()[:5]  # an earlier build's: no sum
    mark[2] = b"%d" % (int(mark[2]) + 1)
    bear(kept, ".hollow", b" ".join(mark))
    expect_has(mount.fsck(code=1), "workspaces: b/d: reads from what is not there", "fsck")


def a_shared_repository_that_lost_a_part():
    mount = Mount.of("shared-part")
    mount.mount()
    run(["git", "init", "-q", "--bare", mount / "src/repos/r.git"])
    mount.umount()
    for part in ("HEAD", "objects", "refs"):
        there = mount.state / "trees/src/repos/r.git" / part
        there.rename(mount.state / "aside")
        expect_has(mount.fsck(code=1), "FAIL shared: r.git", f"without {part}")
        (mount.state / "aside").rename(there)
    mount.fsck()


def an_import_that_cannot_be_read_for_a_while_stays_one():
    """What its directory held when it was last looked at is kept for it, until it has its mark again."""
    mount, host = Mount.of("blind"), TESTDIR / "blind-host"
    host.mkdir()
    (host / "file").write_text("theirs\n")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as w")
    (mount / "workspaces/w/file").write_text("ours\n")
    command(mount / "workspaces/w/.agentfs/ctl", "checkpoint c")
    mount.umount()
    tree = mount.state / "trees/workspaces/w"
    its_own = os.getxattr(tree, mark_name(tree, ".tree"))
    bear(tree, ".tree", b"damaged")
    mount.mount()
    expect_errno("EBADMSG", os.listdir, mount / "workspaces/w")
    mount.umount()
    bear(tree, ".tree", its_own)
    mount.fsck()
    mount.mount()
    command(mount / "workspaces/w/.agentfs/ctl", "commit")
    expect_eq(read(host / "file"), "ours\n")
    mount.umount()


def two_trees_of_one_mark():
    """Served is at most the one that a checkpoint names, until the other bears its own again."""
    mount = forked_state("double")
    mount.mount()
    for name in ("third", "fourth", "fifth"):
        command(mount / "workspaces/a/.agentfs/ctl", f"fork {name}")
    command(mount / "workspaces/b/.agentfs/ctl", "checkpoint own")
    mount.umount()
    trees = mount.state / "trees/workspaces"

    def mark(name):
        return os.getxattr(trees / name, mark_name(trees / name, ".tree"))

    its_own = mark("fourth")
    bear(trees / "third", ".tree", mark("b"))
    bear(trees / "fourth", ".tree", mark("fifth"))
    mount.fsck(code=1)
    mount.mount()
    for name in ("third", "fourth", "fifth"):
        expect_errno("EBADMSG", os.listdir, mount / f"workspaces/{name}")
    for name in "ab":
        expect_eq(read(mount / f"workspaces/{name}/lib/f"), "text\n", name)
    mount.umount()
    bear(trees / "fourth", ".tree", its_own)
    mount.fsck("--repair")
    mount.mount()
    for name in ("a", "b", "third", "fourth", "fifth"):
        expect_eq(read(mount / f"workspaces/{name}/lib/f"), "text\n", name)
    mount.umount()


def marks_of_an_import_that_are_gone():
    """What reads as zeros, or as what another path has, is told; so is a kept copy that was cut."""
    mount, host = Mount.of("unlent"), TESTDIR / "unlent-host"
    mount.mount()
    host.mkdir()
    for name in ("one", "two", "three", "kept", "hole", "moved"):
        (host / name).write_text(f"{name}\n")
    os.truncate(host / "hole", 0)
    os.truncate(host / "hole", 1 << 20)
    command(mount / "sys/workspaces/ctl", f"import {host} as lent")
    (mount / "workspaces/lent/kept").write_text("changed\n")
    (mount / "workspaces/lent/moved").rename(mount / "workspaces/lent/here")
    command(mount / "workspaces/lent/.agentfs/ctl", "commit")
    mount.umount()
    expect("note imports" not in mount.fsck(), "what is kept is said not to be")
    os.rename(mount.state / "imports/1/kept", mount.state / "aside")
    expect_has(mount.fsck(), "note imports: import 1: 2 files cannot be read (lent/here, for one)")
    os.rename(mount.state / "aside", mount.state / "imports/1/kept")
    (tree,) = (path for path in (mount.state / "trees/workspaces").iterdir() if path.name != "lent" and (path / "one").exists())
    bear(tree / "one", ".lent")
    bear(tree / "two", ".lent", b"1 99")
    run(["cp", "--sparse=always", tree / "three", tree / "copy"])
    os.rename(tree / "copy", tree / "three")
    (kept,) = (path for path in mount.state.glob("imports/1/kept/*") if path.read_text() == "kept\n")
    os.truncate(kept, 2)
    said = mount.fsck(code=1)
    for sentence in ("import 1: one: reads as zeros", "import 1: two: no record", "import 1: three: reads as zeros, perhaps", f"import 1: kept/{kept.name}: 2 bytes"):
        expect_has(said, sentence)
    expect("hole:" not in said, said)
    mount.mount()
    command(mount / "workspaces/lent/.agentfs/ctl", "uncommit")
    expect_eq((host / "kept").read_text(), "kept\n", "whole, since a version of it is")
    mount.umount()


def a_state_without_its_format():
    """Nor without the store, which the journal fills anew, is it somebody else's directory."""
    mount = forked_state("unformatted")
    for name in ("drops", "fast", "imports", "staged", "tree-orders", "unremoved"):
        (mount.state / name).mkdir(exist_ok=True)
    (mount.state / "temporaries").touch()
    for patterns in (("format*",), ("format*", "agentfs.sqlite*")):
        for file in (file for pattern in patterns for file in mount.state.glob(pattern)):
            file.unlink()
        mount.mount()
        for name in "ab":
            expect_eq(read(mount / f"workspaces/{name}/lib/f"), "text\n")
        mount.umount()
        mount.fsck()


def a_fifo_in_the_place_of_a_file_is_told():
    """And waited for by nobody."""
    whole = forked_state("waiting")
    for name in ("format", "keys/journal.ed25519", "trees/.workspaces/ids"):
        place = whole.state / name
        if not place.exists():
            continue
        place.rename(whole.state / "aside")
        os.mkfifo(place)
        for words in (("fsck",), ("mount", whole.mnt)):
            ended = subprocess.run([AGENTFS, *words, "--state", whole.state], capture_output=True,
                                   text=True, check=False, timeout=60)
            expect(ended.returncode != 0, f"{name} as a FIFO: agentfs {words[0]} has gone on")
            expect_has(ended.stdout + ended.stderr, "FIFO", f"{name}: agentfs {words[0]}")
        place.unlink()
        (whole.state / "aside").rename(place)
    first = lambda pattern: next(whole.state.glob(pattern), whole.state / "none")
    for place in (first("blobs/??/*"), first("journal/segments/*.jsonl"), whole.state / "past/paths.jsonl",
                  whole.state / "trees/.workspaces/ids", whole.state / "trees/.workspaces/marks",
                  whole.state / "times", whole.state / "open-files", whole.state / "log/agentfs.log"):
        kept = place.exists()
        if kept:
            place.rename(whole.state / "aside")
        place.parent.mkdir(exist_ok=True)
        os.mkfifo(place)
        whole.fsck(code=None, timeout=60)
        mounted = subprocess.run([AGENTFS, "mount", "--state", whole.state, whole.mnt], check=False,
                                 capture_output=True, timeout=60)
        if mounted.returncode == 0:
            whole.umount()
        place.unlink(missing_ok=True)
        if kept:
            (whole.state / "aside").rename(place)
    expect("FAIL" not in whole.fsck(), "with the files again")


def a_newer_format_is_left_alone():
    mount = forked_state("newer")
    (mount.state / "format").write_text("99\n")
    for words in (("fsck",), ("mount", mount.mnt)):
        ended = subprocess.run([AGENTFS, *words, "--state", mount.state], capture_output=True,
                               text=True, check=False)
        expect(ended.returncode != 0 and "echo" not in ended.stderr, ended.stderr)
        expect_has(ended.stderr, "the state has format 99")
        expect_has(ended.stderr, "and a newer one would do")


def links_between_trees():
    """A state of format 1: what two workspaces share gets an inode in each, once, and is listed."""
    mount = Mount.of("format-1")
    mount.mount()
    for name in ("a", "b"):
        (mount / f"workspaces/{name}").mkdir()
    (mount / "workspaces/a/file").write_text("shared\n", encoding="ascii")
    mount.umount()
    top = mount.state / "trees/workspaces"
    os.link(top / "a/file", top / "a/again")
    os.link(top / "a/file", top / "b/file")
    os.link(top / "a/file", top / "b/again")
    os.utime(top / "a/file", ns=(1, 1_234_567_891))
    (mount.state / "format").write_text("1\n", encoding="ascii")
    (mount.state / "format.copy").unlink()
    mount.fsck()
    inode = {name: (top / name).stat().st_ino for name in ("a/file", "a/again", "b/file", "b/again")}
    expect(inode["a/file"] == inode["a/again"] != inode["b/file"] == inode["b/again"], f"{inode}")
    expect_eq((top / "b/file").stat().st_mtime_ns, 1_234_567_891, "mtime of the copy")
    expect_eq(read(mount.state / "format"), "5\n", "the format")
    backup = next(mount.state.glob("backup-1-*"))
    expect_eq(len(read(backup / "shared-links.jsonl").splitlines()), 2, "links that are listed")
    expect(not (mount.state / "trees/.cut").exists(), "what was used meanwhile is left")
    os.link(top / "a/file", top / "b/later")  # not looked for again
    mount.mount()
    expect_eq(read(mount / "workspaces/b/again"), "shared\n", "a file of b")
    (mount / "workspaces/b/file").write_text("b\n", encoding="ascii")
    expect_eq(read(mount / "workspaces/a/file"), "shared\n", "a file of a")
    mount.umount()
    expect_has(mount.fsck(), "note kept: backup-1-", "fsck, of the backup")


main(fsck_and_damage, an_import_that_cannot_be_read_for_a_while_stays_one, a_copy_of_an_import_without_its_marks_is_told,
     what_a_repaired_copy_lends_is_copied_by_solidify_and_known_to_a_command, a_repaired_copy_shares_nothing_with_the_past, contents_without_a_row, a_copy_without_marks,
     a_copy_of_an_import_reads_what_the_host_has,
     records_of_an_import_that_are_gone, a_removed_import_whose_records_are_gone, records_of_the_forest_that_are_gone,
     conflicts_that_were_cut_off, a_record_of_a_merge_that_is_damaged_or_gone,
     records_of_merges_around_a_rollback_are_written_anew, a_list_of_rollbacks_that_was_cut_off_stops_no_merge,
     states_of_merges_that_came_to_nothing_are_no_damage,
     a_record_that_is_none_is_its_trees, directories_that_are_gone_or_are_none, files_that_are_none, rooms_of_a_forest_that_are_none,
     what_lies_in_the_place_of_a_kept_file_is_not_given_for_it,
     a_tree_that_lost_its_mark, a_fork_that_lost_its_mark,
     a_directory_of_a_fork_that_lost_its_mark, a_moved_directory_that_lost_its_mark_is_never_taken_for_an_empty_one,
     a_kept_directory_that_leads_elsewhere,
     a_shared_repository_that_lost_a_part,
     a_tree_that_is_gone_or_lost_its_mark_after_a_rollback, two_trees_of_one_mark,
     marks_of_an_import_that_are_gone, a_state_without_its_format,
     a_fifo_in_the_place_of_a_file_is_told, a_newer_format_is_left_alone, links_between_trees)
