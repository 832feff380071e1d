# SPDX-License-Identifier: MIT
"""Paths, and a program that stands in for agentfs."""
import os
import pathlib
import stat
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/lib"))

TREE = r"""{"version": "1.2.3", "directories": [
 {"path": "/", "doc": "All of it.", "files": [
   {"name": "README", "kind": "value", "mode": "0444", "listed": true, "doc": "This text."}]},
 {"path": "/proc/<pid>", "doc": ".starts with a dot and it's fine.", "files": [
   {"name": "ctl", "kind": "control", "mode": "0644", "listed": true, "doc": "Commands \\ lines.",
    "verbs": [{"word": "nice", "syntax": "nice N", "doc": "Sets the priority, -20 to 19."}]},
   {"name": "wait", "kind": "wait", "mode": "0444", "listed": false, "doc": "Blocks."}]},
 {"path": "/dev/llm/<model>", "doc": "A model.", "files": []},
 {"path": "/etc/models", "doc": "Models.", "files": []},
 {"path": "/sys/kernel", "doc": "The kernel.", "files": []}],
 "settings": [{"document": "models", "key": "base_url", "type": "string", "default": "",
               "doc": "Where it listens."}],
 "syscalls": [{"name": "proc.nice", "doc": "Sets a priority.", "effect": "process",
               "fields": [{"name": "niceness", "type": "integer", "doc": "From -20 to 19."}]}]}"""

HELP = """An operating system for LLM agents
Usage: agentfs [OPTIONS] SUBCOMMAND

Options:
  -h,--help                   Print this help message and exit
  --version                   Display program version information and exit
  --dump-tree TEXT:{json}     Print the tree that the rows make.

Subcommands:
  mount                       Mounts the tree at a directory.
  umount                      Ends a mount.
"""

MOUNT_HELP = """Mounts the tree at a directory.
Usage: agentfs mount [OPTIONS] mountpoint

Positionals:
  mountpoint TEXT REQUIRED    Directory to mount at.

Options:
  -h,--help                   Print this help message and exit
  --state DIR                 Where all that is kept lies;
                              made when it is not there.
  -f,--foreground             Do not leave for the background.
  -o TEXT ...                 Options of the mount.
"""

UMOUNT_HELP = """Ends a mount.
Usage: agentfs umount [OPTIONS] mountpoint

Positionals:
  mountpoint TEXT REQUIRED    The mount.

Options:
  -h,--help                   Print this help message and exit
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


def describing_binary(directory):
    """A program with agentfs' --dump-tree and --help."""
    texts = {"--dump-tree json": TREE, "--help": HELP, "mount --help": MOUNT_HELP,
             "umount --help": UMOUNT_HELP}
    cases = "".join(f"'{words}') cat <<'END'\n{text}\nEND\n;;\n" for words, text in texts.items())
    return executable(directory / "agentfs", f"#!/bin/sh\ncase \"$*\" in\n{cases}*) exit 9 ;;\nesac\n")


def shims(directory, **texts):
    """PATH with programs of these names and texts in front."""
    for name, text in texts.items():
        executable(directory / name.replace("_", "-"), "#!/bin/sh\n" + text)
    return f"{directory}:{os.environ['PATH']}"
