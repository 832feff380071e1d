# SPDX-License-Identifier: MIT
"""Which files belong to the project."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(root=ROOT, *below):
    """Paths relative to the root of all files that are tracked or could be, sorted."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard", "--", *below],
        capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = set(filter(None, listed.stdout.split("\0")))
    else:  # not a repository, or one that git does not trust
        names = {path.relative_to(root).as_posix() for top in below or ("",)
                 for path in (root / top).rglob("*")}
        names = {n for n in names if not n.startswith((".git/", "build/"))}
    return sorted(name for name in names if (root / name).is_file())


def changed(root=ROOT):
    """Files that differ from the commit that the upstream branch, or else main, has."""
    for base in ("@{upstream}", "origin/HEAD", "main~1", "HEAD~1"):
        merged = subprocess.run(["git", "-C", str(root), "merge-base", "HEAD", base],
                                capture_output=True, text=True, check=False)
        if merged.returncode == 0:
            break
    else:
        return files(root)
    seen = subprocess.run(["git", "-C", str(root), "diff", "--name-only", merged.stdout.strip()],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    new = subprocess.run(["git", "-C", str(root), "ls-files", "-o", "--exclude-standard"],
                         capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in {*seen, *new} if (root / name).is_file())
