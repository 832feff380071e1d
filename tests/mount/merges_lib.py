# SPDX-License-Identifier: MIT
"""States with merges, unmounted, for what is damaged in them."""
from mount_lib import Mount, command


def merged_state(name, back=False):
    """Two files came from a fork and one went here again; `back`: a merge was rolled back before."""
    mount = Mount.of(name)
    mount.mount()
    ours, theirs = mount / "workspaces/a", mount / "workspaces/b"
    ours.mkdir()
    command(ours / ".agentfs/ctl", "fork b")
    command(ours / ".agentfs/ctl", "checkpoint before")
    if back:
        (theirs / "early").write_text("early\n")
        command(ours / ".agentfs/ctl", "merge b")
        command(ours / ".agentfs/ctl", "rollback before")
    for one in ("kept", "gone"):
        (theirs / one).write_text(f"{one}\n")
    command(ours / ".agentfs/ctl", "merge b")
    (ours / "gone").unlink()
    mount.umount()
    mount.fsck()
    return mount, ours, theirs
