#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""A disk whose times go by the tick of the clock: two changes within one have equal times.

So it is with every disk before Linux 6.13, and with ext3 (mounted by ext4's program) since.
"""
import hashlib
import os
import shutil

from mount_lib import TESTDIR, Mount, expect_eq, in_own_mounts, main, run, skip

ROUNDS = 300

if os.geteuid() != 0:
    skip("not root, who alone can mount a disk")
if not os.path.exists("/dev/loop-control") or not shutil.which("mkfs.ext3"):
    skip("no ext3 on a loop device to be had here")
in_own_mounts("COARSE_TIMES_INSIDE")


def mount_on_ext3(name, *options):
    mount = Mount.of(name)
    image = TESTDIR / f"{name}-image"
    with open(image, "wb") as file:
        file.truncate(200 << 20)
    run(["mkfs.ext3", "-q", "-F", "-I", "256", image])
    run(["mount", "-t", "ext3", "-o", "loop", image, mount.state])
    mount.mount(*options)
    (mount / "workspaces/w").mkdir()
    return mount


def end(mount):
    mount.umount()
    run(["umount", "-l", mount.state])


def write(path, text, flags=0):
    file = os.open(path, os.O_WRONLY | flags)
    os.pwrite(file, text, 0)
    os.close(file)


def gen(path):
    return int(os.getxattr(path, "user.agentfs.gen"))


def the_hash_is_of_the_bytes():
    mount = mount_on_ext3("hashes")
    path, wrong = mount / "workspaces/w/f", 0
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    for number in range(ROUNDS):
        text = b"%08d" % number
        os.pwrite(file, text, 0)
        told = os.getxattr(path, "user.agentfs.hash").decode()
        wrong += told != hashlib.blake2b(text, digest_size=32).hexdigest()
    os.close(file)
    expect_eq(wrong, 0, f"hashes of an older text, of {ROUNDS}")
    end(mount)


def what_is_written_past_the_daemon_is_told():
    """Also a text as long as the one before, and each once: who has the number may count on it."""
    mount = mount_on_ext3("past", "-o", "passthrough")
    if not mount.has("passthrough"):
        end(mount)
        return print("passthrough is not to be had here")
    path = mount / "workspaces/w/f"
    write(path, b"%08d" % ROUNDS, os.O_CREAT)
    unseen, moved = 0, 0
    for number in range(ROUNDS):
        before = gen(path)
        write(path, b"%08d" % number)
        after = gen(path)
        unseen += before == after
        os.stat(path)
        moved += after != gen(path)
    expect_eq((unseen, moved), (0, 0), f"writes without a generation, and generations without a write")
    versions = {(mount / "workspaces/w/.agentfs/versions/f" / name).read_bytes()
                for name in os.listdir(mount / "workspaces/w/.agentfs/versions/f")}
    lost = [number for number in range(ROUNDS - 1) if b"%08d" % number not in versions]
    expect_eq(lost, [], "texts that are no version")
    end(mount)


def what_a_later_write_took_is_a_version():
    mount = mount_on_ext3("kept")
    path = mount / "workspaces/w/f"
    for number in range(ROUNDS):
        write(path, b"A%07d" % number, os.O_CREAT)
        first, second = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
        os.pwrite(first, b"B%07d" % number, 0)
        os.pwrite(second, b"C%07d" % number, 0)
        os.close(second)
        os.pwrite(first, b"D%07d" % number, 0)
        os.close(first)
    place = mount / "workspaces/w/.agentfs/versions/f"
    versions = {(place / name).read_bytes() for name in os.listdir(place)}
    lost = [number for number in range(ROUNDS) if b"A%07d" % number not in versions]
    expect_eq(lost, [], "texts that are no version")
    end(mount)


if __name__ == "__main__":
    main(the_hash_is_of_the_bytes, what_is_written_past_the_daemon_is_told,
         what_a_later_write_took_is_a_version)
