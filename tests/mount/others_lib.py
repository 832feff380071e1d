# SPDX-License-Identifier: MIT
"""Other users on root's mount, in a mount namespace with a place that they may enter.

Imported before mount_lib, whose paths it sets; enter() before the first mount.
"""
import os
import pathlib
import shutil
import sys

PLACE = pathlib.Path("/mnt")
if "OTHERS_INSIDE" not in os.environ:
    os.environ["OTHERS_FROM"] = os.path.dirname(os.environ.get("AGENTFS", "/"))
    os.environ.update(AGENTFS=str(PLACE / "bin/agentfs"), TESTDIR=str(PLACE / "test"))

from mount_lib import TESTDIR, need, run, skip  # noqa: E402

GROUP = 51600


def enter():
    """The script once more, inside."""
    need("unshare", "setpriv", "bwrap", "setfacl")
    if os.geteuid() != 0:
        skip("not root, who alone can be another user")
    if "OTHERS_INSIDE" not in os.environ:
        os.environ["OTHERS_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable,
                              *sys.argv])
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", PLACE])
    os.mkdir(PLACE / "bin")
    TESTDIR.mkdir()
    for name in ("agentfs", "agentfs-sandbox", "agentfs-commit"):
        shutil.copy(pathlib.Path(os.environ["OTHERS_FROM"]) / name, PLACE / "bin" / name)


def as_user(uid):
    """What a command line begins with that is another user's."""
    return ["setpriv", "--reuid", uid, "--regid", uid, "--groups", GROUP, "--inh-caps=-all"]
