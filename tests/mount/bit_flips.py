#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""One bit of a file of the state is flipped: fsck tells it where it can be known, the daemon serves
the rest or refuses with a sentence that names the file, and after `fsck --repair` it serves.
ROUNDS (12) of any bit of any file, and SEED (1), are taken from the environment."""
import hashlib
import os
import random
import shutil
import subprocess

from mount_lib import (AGENTFS, Mount, TESTDIR, command, expect, expect_eq, expect_errno, expect_has,
                       main, need, read, tell, within)

ANSWER = "[script] There are many lines."
SCENARIO = {"name": "many", "tasks": [{"match": "*", "after": "There are many lines.", "steps": [
    {"text": "I count.", "calls": [{"name": "exec", "arguments": {"command": "seq 1 20000"}}]},
    {"text": "I keep it.", "calls": [{"name": "write",
                                      "arguments": {"path": "kept", "text": "kept\n"}}]}]}]}
ROUNDS = int(os.environ.get("ROUNDS", "12"))
SEED = int(os.environ.get("SEED", "1"))
MARK = "trusted.agentfs." if os.geteuid() == 0 else "user.agentfs.forest."


def make_state():
    """A state with segments, a blob, a commit, versions and documents; the pid of the agent."""
    need("bwrap")
    mount = Mount.of("whole")
    mount.mount()
    (mount / "etc/agentfs.toml").write_text("journal_segment_bytes = 4096\n", encoding="utf-8")
    mount.umount()
    mount.mount()
    mount.script_model("many", SCENARIO)
    work = mount / "workspaces/w"
    work.mkdir()
    pid = mount.spawn("name=counter model=many workspace=w")
    tell(mount.proc(pid, "chat"), "count\n")
    expect_eq(mount.wait(pid).strip(), ANSWER, "the answer")
    for number in range(20):
        (work / "often").write_text(f"{number}\n" * 50, encoding="utf-8")
    (work / "gone").write_text("gone\n", encoding="utf-8")
    (work / "gone").unlink()
    mount.umount()
    expect(len(segments(mount)) > 3, "the journal has few segments")
    return mount, pid


def copy_of(whole, name):
    mount = Mount.of(name)
    shutil.rmtree(mount.state)
    shutil.copytree(whole.state, mount.state, symlinks=True)
    return mount


def segments(mount):
    return sorted((mount.state / "journal/segments").glob("*.jsonl"))


def flip(path, at, bit=1):
    mode = path.stat().st_mode
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)
    path.chmod(mode & 0o7777)


def flip_text(path, piece, last=False):
    """The first byte of `piece`, wherever the file has it first, or last."""
    data = path.read_bytes()
    flip(path, data.rindex(piece) if last else data.index(piece))


def repair(mount, code):
    return mount.fsck("--repair", code=code)


def serves(mount, pid, what):
    """The mount answers, the agent's past is there, and a workspace can be worked in."""
    within(60, mount.mount, f"{what}: mount")
    expect_eq(read(mount / "workspaces/w/kept"), "kept\n", f"{what}: a file")
    expect_has(mount.get(pid, "chat"), "There are many lines.", f"{what}: chat")
    expect((mount / "workspaces/w/.agentfs/versions/often").is_dir(), f"{what}: versions")
    (mount / "workspaces/w/after").write_text("after\n", encoding="utf-8")
    command(mount.proc(pid, "name"), "afterwards")
    mount.spawn("name=second model=default")
    verdict = read(mount / "sys/journal/verify")
    mount.umount()
    return verdict


# --- what is flipped; each gives back the part that fsck names, "" where nobody can know

def a_sealed_segment(mount):
    flip_text(segments(mount)[1], b'"kind"')
    return "journal"


def a_newline_between_records(mount):
    flip_text(segments(mount)[1], b"\n")
    return "journal"


def the_newest_record(mount):
    flip_text(segments(mount)[-1], b'"seq"', last=True)
    return "journal"


def the_hash_of_the_newest_record(mount):
    flip(segments(mount)[-1], -10)
    return "journal"


def a_blob(mount):
    blob = next(path for path in (mount.state / "blobs").rglob("*") if len(path.name) == 64)
    flip(blob, blob.stat().st_size // 2)
    return "blobs"


def a_commit(mount):
    top = mount.state / "git/w.git"
    ref = next(path for path in (top / "refs/agentfs").rglob("*") if path.is_file())
    name = ref.read_text(encoding="ascii").strip()
    flip(top / "objects" / name[:2] / name[2:], -3)
    return "repositories"


def the_config_of_a_repository(mount):
    flip_text(mount.state / "git/w.git/config", b"bare")
    return "repositories"


def the_store(mount):
    path = mount.state / "agentfs.sqlite"  # which of its copies is the row's, SQLite knows
    path.write_bytes(path.read_bytes().replace(b'"counter"', b'"cNunter"'))
    return "store"


def an_old_content(mount):
    kept = [path for path in (mount.state / "past").rglob("*often")]
    expect(kept, "nothing of `often` is kept")
    flip(kept[0], 3)
    return ""


def the_key(mount):
    flip(mount.state / "keys/journal.ed25519", 5)
    return "key"


def a_document(mount):
    flip_text(mount.state / "etc/models/many.toml", b"=")
    return "documents"


def times(mount):
    path = mount.state / "times"
    flip(path, path.stat().st_size // 2)
    return ""


def the_pid(mount):
    (mount.state / "daemon.pid").write_text("1p34\n", encoding="ascii")
    return ""


FLIPS = (a_sealed_segment, a_newline_between_records, the_newest_record,
         the_hash_of_the_newest_record, a_blob, a_commit, the_config_of_a_repository, the_store,
         an_old_content, the_key, a_document, times, the_pid)
REMAIN = ("journal", "documents")  # told for ever, or until a person writes it anew


def each_flip():
    whole, pid = make_state()
    expect(all(line.startswith("ok ") for line in whole.fsck().splitlines()),
           f"fsck of the whole state: {whole.fsck()}")
    for act in FLIPS:
        name = act.__name__
        mount = copy_of(whole, name)
        part = act(mount)
        said = mount.fsck(code=1 if part else 0)
        if part:
            expect_has(said, f"FAIL {part}", f"{name}: fsck")
        verdict = serves(mount, pid, name)
        expect_eq(verdict.startswith("ok "), part != "journal", f"{name}: {verdict}")
        repaired(mount, pid, name, part)


def repaired(mount, pid, name, part):
    remains = part in REMAIN
    said = repair(mount, 1 if remains else 0)
    if remains:
        expect_has(said, f"FAIL {part}", f"{name}: fsck --repair")
    serves(mount, pid, f"{name}, repaired")
    again = mount.fsck(code=1 if remains else 0)
    expect_eq({line.split()[1] for line in again.splitlines() if line.startswith("FAIL")},
              {f"{part}:"} if remains else set(), f"{name}: a second fsck: {again}")


def any_bit():
    """Any bit of any file: whoever looks says so or serves, and neither dies nor hangs."""
    whole = Mount(TESTDIR / "whole/mnt", TESTDIR / "whole/state")
    chosen = random.Random(SEED)
    for number in range(ROUNDS):
        mount = copy_of(whole, f"any-{number}")
        files = sorted(path for path in mount.state.rglob("*")
                       if path.is_file() and not path.is_symlink() and path.stat().st_size)
        path = chosen.choice(files)
        at = chosen.randrange(path.stat().st_size)
        flip(path, at, 1 << chosen.randrange(8))
        what = f"seed {SEED}, round {number}: byte {at} of {path.relative_to(mount.state)}"
        for options in ((), ("--repair", "--rehash")):
            ended = within(60, lambda given=options: subprocess.run(
                [AGENTFS, "fsck", *given, "--state", mount.state], check=False,
                capture_output=True, text=True), what)
            expect(ended.returncode in (0, 1, 2), f"{what}: fsck {options}: {ended}")
            said = within(60, lambda: mount.mount(code=None), what)
            if not os.path.ismount(mount.mnt):
                expect(str(mount.state) in said, f"{what}: mount says {said!r}")
                continue
            for name in ("sys/journal/verify", "sys/kernel/digest", "proc/self/status"):
                read(mount / name)
            os.listdir(mount / "workspaces/w")
            mount.umount()
        shutil.rmtree(mount.state)


def told_at_start(mount, piece):
    mount.mount()
    mount.umount()
    told = [line for line in read(segments(mount)[-1]).splitlines() if '"state.problem"' in line]
    expect_has("\n".join(told), piece, "told by the start")


def the_key_is_as_it_was():
    """A flipped bit of it is mended, and what a start has mended is told; what is worse is set aside."""
    mount = Mount.of("key")
    mount.mount()
    mount.umount()
    key = mount.state / "keys/journal.ed25519"
    whole = key.read_bytes()
    for at, bit in ((3, 0x10), (70, 1), (128, 4)):
        flip(key, at, bit)
        told_at_start(mount, "one bit of it was flipped")
        expect_eq(key.read_bytes(), whole, f"the key, byte {at}")
    flip(key, 3)
    expect_has(mount.fsck("--repair"), "one bit of it was flipped", "fsck --repair")
    expect_eq(key.read_bytes(), whole, "the key after fsck")
    key.write_bytes(bytes(len(whole)))
    told_at_start(mount, "a new one signs from here on")
    told_at_start(mount, "was lost or replaced")
    expect(key.read_bytes() != whole, "another key")
    expect_eq([path.read_bytes() for path in mount.state.glob("quarantine/*/keys/*")].count(
        bytes(len(whole))), 1, "the damaged key is set aside")
    mount.fsck()


def the_format():
    """A damaged number is known by its copy; without one nobody can guess it, and that is said."""
    mount = Mount.of("format")
    mount.mount()
    mount.umount()
    number, copy = mount.state / "format", mount.state / "format.copy"
    whole = copy.read_bytes()
    for bit in range(8):
        flip(number, 0, 1 << bit)
        expect_has(mount.fsck(), "mend format", f"bit {bit}: fsck")
        flip(number, 0, 1 << bit)
        told_at_start(mount, f"{number}: said")
        expect_eq(read(number), "5\n", f"bit {bit}: the format")
    number.unlink()
    told_at_start(mount, "was gone; its copy says 5")
    for at in range(len(whole)):
        flip(copy, at)
        mount.fsck()
        expect_eq(copy.read_bytes(), whole, f"byte {at}: the copy")
    number.write_text("x\n", encoding="ascii")
    copy.write_text(f"6 {hashlib.blake2b(b'6', digest_size=32).hexdigest()}\n", encoding="ascii")
    expect_has(mount.mount(code=1), "has format 6", "a newer build's")
    copy.write_bytes(whole)
    for text in ("9\n", "x\n"):
        number.write_text(text, encoding="ascii")
        if text == "x\n":
            copy.unlink()
        for said in (mount.fsck("--repair", code=2), mount.mount(code=1)):
            expect_has(said, f"has format {text.strip()}", "a damaged format")
    number.write_text("1\n", encoding="ascii")
    mount.mount()
    mount.umount()
    expect_eq(read(number), "5\n", "the format after a migration")


def forked_state(name):
    mount = Mount.of(name)
    mount.mount()
    work = mount / "workspaces/w"
    (work / "below").mkdir(parents=True)
    (work / "below/file").write_text("one\n", encoding="utf-8")
    command(work / ".agentfs/ctl", "fork try")
    (work / "later").write_text("later\n", encoding="utf-8")
    mount.umount()
    return mount


def flip_mark(path, name):
    value = bytearray(os.getxattr(path, MARK + name))
    value[0] ^= 0x08
    os.setxattr(path, MARK + name, bytes(value))


def marks():
    """A tree whose mark is damaged is told and not served, until it is mended; the others are."""
    for name in ("tree", "hollow"):
        mount = forked_state(f"mark-{name}")
        mount.fsck()
        top = mount.state / "trees/workspaces/try"
        flip_mark(top, name)
        expect_has(mount.fsck(code=1), "FAIL trees: workspaces: try", f"mark of {name}")
        within(60, mount.mount, f"mark of {name}: mount")
        expect_eq(read(mount / "workspaces/w/below/file"), "one\n", "the other tree")
        expect_errno("EBADMSG", lambda: os.listdir(mount / "workspaces/try"))
        expect_has(os.listdir(mount / "workspaces"), "w", "the list of workspaces")
        mount.umount()
        expect_has(repair(mount, 0), "mend trees: try", f"mark of {name}, mended")
        mount.fsck()
        mount.mount()
        expect_eq(read(mount / "workspaces/try/below/file"), "one\n", "the fork, mended")
        mount.umount()


def copies():
    """A copy, file by file, of a state with forks: recognised; with --solidify before, complete."""
    for name, is_solid in (("copied-hollow", False), ("copied-solid", True)):
        mount = forked_state(name)
        if is_solid:
            said = mount.fsck("--solidify")
            expect_has(said, "workspaces: 2 trees are plain", "fsck --solidify")
            mount.fsck("--solidify")
        other = Mount.of(f"{name}-copy")
        shutil.rmtree(other.state)
        subprocess.run(["cp", "-dR", "--preserve=mode,links,timestamps", mount.state, other.state],
                       check=True)
        plain = other.state / "trees/workspaces/try"
        expect_eq((plain / "below/file").exists(), is_solid, "a file of the fork in the copy")
        expect_has(other.fsck(code=1), "this is a copy", "fsck of the copy")
        expect_has(other.mount(code=1), "fsck --repair", "mount of the copy")
        repair(other, 0)
        other.fsck()
        other.mount()
        expect_eq(read(other / "workspaces/w/later"), "later\n", "the workspace in the copy")
        if is_solid:
            expect_eq(read(other / "workspaces/try/below/file"), "one\n", "the fork in the copy")
            (other / "workspaces/try/below/file").write_text("two\n", encoding="utf-8")
        expect_eq(read(other / "workspaces/w/below/file"), "one\n", "after the fork was written to")
        command(other / "workspaces/w/.agentfs/ctl", "fork again")
        other.umount()
        mount.mount()
        expect_eq(read(mount / "workspaces/try/below/file"), "one\n", "where it was made")
        mount.umount()


main(each_flip, any_bit, the_key_is_as_it_was, the_format, marks, copies)
