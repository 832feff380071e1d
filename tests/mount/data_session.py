#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""The data trees as a session of their own on the classic channel: what io_uring.py asks of one."""
import io_uring as shared
from mount_lib import expect, main


def by_requests_of_its_own():
    """Nothing of it is on io_uring, whatever the host's kernel has."""
    expect(not shared.mount.has("io_uring"), "sys/fs/stats: on io_uring")


main(shared.begin, by_requests_of_its_own, *shared.PARTS[1:])
