#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Records whose end was changed or cut, and parts of a state that are gone: fsck changes nothing and tells."""
import shutil

from merges_lib import merged_state
from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, expect_errno, expect_has,
                       main)


def imported_state(name):
    """A workspace that lends from a directory of the host; unmounted."""
    mount, host = Mount.of(name), TESTDIR / f"{name}-host"
    host.mkdir()
    for file in ("a", "b", "c"):
        (host / file).write_text(f"{file}\n")
    mount.mount()
    command(mount / "sys/workspaces/ctl", f"import {host} as lent")
    mount.umount()
    mount.fsck()
    return mount, host


def change_last(path, change):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if change == "flip" else data[:-1])


def a_look_leaves_the_end_of_records_as_it_is():
    for change in ("flip", "cut"):
        for repair in (False, True):
            mount, host = imported_state(f"ends-{change}-{repair}")
            entries = mount.state / "imports/1/entries"
            change_last(entries, change)
            damaged = entries.read_bytes()
            expect_has(mount.fsck(), "note imports: import 1: the records do not end with a line")
            expect_eq(entries.read_bytes(), damaged, f"{change}: records that were looked at")
            if repair:
                expect_has(mount.fsck("--repair"), "mend imports: import 1: the records did not end")
                expect("do not end" not in mount.fsck(), "told once more")
            mount.mount()
            (host / "a").write_text("changed there\n")
            command(mount / "workspaces/lent/.agentfs/ctl", "rebase")
            expect_eq((mount / "workspaces/lent/a").read_text(), "changed there\n")
            expect_eq((mount / "workspaces/lent/c").read_text(), "c\n")
            mount.umount()
            expect("do not end" not in mount.fsck(), "told after the next record")


def a_look_leaves_the_numbers_of_a_forest_as_they_are():
    mount, _ = imported_state("numbers")
    for name in ("home", "workspaces"):
        ids = mount.state / f"trees/.{name}/ids"
        with open(ids, "ab") as file:
            file.write(b"garbage")
        before = ids.read_bytes()
        mount.fsck()
        expect_eq(ids.read_bytes(), before, f"numbers of {name} that were looked at")


def an_import_that_a_tree_lends_from_was_made():
    """Also where its directory lies empty, as a disk's own check may leave it."""
    mount, _ = imported_state("emptied")
    place = mount.state / "imports/1"
    shutil.rmtree(place)
    place.mkdir()
    for option in ((), ("--repair",)):
        expect_has(mount.fsck(*option, code=1), "FAIL imports: import 1: ")
    mount.mount()
    expect_errno("EBUSY", (mount / "workspaces/lent/a").read_text)
    mount.umount()
    expect(place.is_dir(), "a start has removed it")
    expect_has(mount.fsck(code=1), "FAIL imports: import 1: ")


def records_of_merges_are_written_anew_without_their_directory():
    for gone in ("merge-bases", "merge-bases/workspaces"):
        mount, *_ = merged_state(f"without-{gone.replace('/', '-')}")
        shutil.rmtree(mount.state / gone)
        expect_has(mount.fsck(code=1), "which told of a merge of b into a")
        expect_has(mount.fsck("--repair"), "it is written anew from the state that was merged")
        expect("mend" not in mount.fsck("--repair"), "mended once more")


def merges_around_a_rollback_are_mended_at_once():
    mount, *_ = merged_state("around", back=True)
    for record in (mount.state / "merge-bases/workspaces").iterdir():
        record.unlink()
    expect_has(mount.fsck("--repair"), "mend merges")
    expect("mend" not in mount.fsck("--repair"), "mended once more")


def trees_that_are_gone_are_no_power_cut():
    for gone in ("trees", "trees/workspaces"):
        mount = Mount.of(f"gone-{gone.replace('/', '-')}")
        mount.mount()
        (mount / "workspaces/ours").mkdir()
        mount.umount()
        shutil.rmtree(mount.state / gone)
        for option in ((), (), ("--repair",)):
            expect_has(mount.fsck(*option, code=1), "FAIL tops: /workspaces/ours is not there, nor was")
        mount.mount()
        (mount / "workspaces/ours").mkdir()
        mount.umount()
        mount.fsck()


def a_line_of_a_merge_that_was_cut_is_damaged():
    mount, *_ = merged_state("cut-lines", back=True)
    for file in (mount.state / "merge-bases/workspaces").glob("[0-9]*[0-9s]"):
        if file.name.endswith("conflicts"):
            continue
        whole = file.read_bytes()
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            expect_has(mount.fsck(code=1), f"FAIL merges: merge-bases/workspaces/{file.name}")
        file.write_bytes(whole)
    mount.fsck()


def a_directory_in_the_place_of_a_segment_or_the_lock_is_set_aside():
    for pattern in ("journal/segments/*.jsonl", "lock"):
        mount, *_ = merged_state(f"directory-{pattern[:4]}")
        [place] = mount.state.glob(pattern)
        place.unlink()
        (place / "below").mkdir(parents=True)
        expect_has(mount.mount(code=1), "`agentfs fsck --repair` sets it aside")
        name = place.relative_to(mount.state)
        told = f"layout: {name}: is a directory, and no file; "
        expect_has(mount.fsck(code=1), f"FAIL {told}--repair sets it aside")
        said = mount.fsck("--repair", code=None)
        expect_has(said, f"mend {told}it is in ")
        expect("FAIL layout" not in said, said)
        mount.mount()
        expect_eq((mount / "workspaces/a/kept").read_text(), "kept\n")
        mount.umount()


main(a_look_leaves_the_end_of_records_as_it_is, a_look_leaves_the_numbers_of_a_forest_as_they_are,
     an_import_that_a_tree_lends_from_was_made,
     records_of_merges_are_written_anew_without_their_directory,
     merges_around_a_rollback_are_mended_at_once, trees_that_are_gone_are_no_power_cut,
     a_line_of_a_merge_that_was_cut_is_damaged,
     a_directory_in_the_place_of_a_segment_or_the_lock_is_set_aside)
