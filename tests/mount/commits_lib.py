# SPDX-License-Identifier: MIT
"""Commits of checkpoints and turns beside what git's program would add."""
import os
import shutil

from mount_lib import TESTDIR, command, expect_eq, run, tell, wait_until

SHELL = {"name": "shell", "tasks": [{"match": "*", "steps": [
    {"text": "I do.", "calls": [{"name": "exec", "arguments": {"command": "{{last_user}}"}}]},
    {"text": "done"}]}]}

# What the branches have, or not.
FILES = [f"{directory}/{name}" for directory in ("in", "out/deep", "out/near", "far") for name in "abc"]

# A line of a shell: one more commit in the repository below.
AGAIN = "git -C {} -c user.name=a -c user.email=a@b commit -q --allow-empty -m again"


class Commits:
    """Those of the workspaces of a mount."""

    def __init__(self, mount):
        self.mount = mount
        self.spaces = mount / "workspaces"

    def git(self, space, *words, **more):
        return run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always",
                    "-C", self.spaces / space, *words], **more)

    def repository(self, space, line):
        """Made with what a line of a shell leaves in it; gives its directory."""
        top = self.spaces / space
        top.mkdir()
        self.git(space, "init", "-q", "-b", "main")
        for key in ("user.name", "user.email"):  # of the lines that commit
            self.git(space, "config", key, "a")
        run(["sh", "-c", line], cwd=top)
        self.git(space, "add", "-A")
        self.git(space, "commit", "-q", "--allow-empty", "-m", "first")
        return top

    def branches(self, space, random_numbers):
        """A repository of branches that have other files, of other contents."""
        (self.spaces / space).mkdir()
        self.git(space, "init", "-q", "-b", "main")
        for branch in ("main", "one", "two"):
            if branch != "main":
                self.git(space, "checkout", "-q", "-b", branch, "main")
            for path in FILES:
                file = self.spaces / space / path
                if random_numbers.random() < 0.6:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(f"{path} of {branch}\n")
                elif file.exists():
                    file.unlink()
            (self.spaces / space / "top").write_text(f"{branch}\n")
            self.git(space, "add", "-A")
            self.git(space, "commit", "-q", "-m", branch)

    def with_submodule(self, space):
        """A repository with one below far/, and files."""
        if not (self.spaces / "module").exists():
            (self.spaces / "module").mkdir()
            self.git("module", "init", "-q", "-b", "main")
            (self.spaces / "module/file").write_text("of the module\n")
            self.git("module", "add", "-A")
            self.git("module", "commit", "-q", "-m", "first")
        (self.spaces / space).mkdir()
        self.git(space, "init", "-q", "-b", "main")
        self.git(space, "submodule", "--quiet", "add", "../module", "far/mod")
        (self.spaces / space / "far/f").write_text("f\n")
        (self.spaces / space / "top").write_text("top\n")
        self.git(space, "add", "-A")
        self.git(space, "commit", "-q", "-m", "first")

    def recorded(self, kind):
        return [row["data"] for row in self.mount.journal() if row["kind"] == kind]

    def checkpoint(self, space, name):
        before = len(self.recorded("checkpoint.commit"))
        command(self.spaces / space / ".agentfs/ctl", f"checkpoint {name}")
        wait_until(30, lambda: len(self.recorded("checkpoint.commit")) > before, f"the commit of {name}")
        return self.recorded("checkpoint.commit")[-1]["commit"]

    def worker(self, space):
        """An agent whose turns run what it is told; gives its pid."""
        if not (self.mount / "etc/models/shell.toml").exists():
            self.mount.script_model("shell", SHELL)
        return self.mount.spawn(f"name=worker model=shell workspace={space}")

    def turn(self, pid, line):
        tell(self.mount.proc(pid, "chat"), f"{line}\n")
        self.mount.wait(pid)
        return f"refs/agentfs/turns/{pid}"

    def after_each(self, kind, space, lines):
        """Runs lines of a shell there; gives each and the commit after it, of a "checkpoint" or a "turn"."""
        pid = self.worker(space) if kind == "turn" else None
        for count, line in enumerate(lines):
            if pid:
                yield line, self.turn(pid, line)
            else:
                run(["sh", "-c", line], cwd=self.spaces / space)
                yield line, self.checkpoint(space, f"{space}-{count}")

    def added(self, space):
        """The tree of what git itself would add, by an index of our own, of the time of the user's."""
        index = TESTDIR / "index"
        shutil.copy2(self.spaces / space / ".git/index", index)
        mine = {**os.environ, "GIT_INDEX_FILE": str(index)}
        self.git(space, "add", "-A", "--sparse", env=mine)
        return self.git(space, "ls-tree", "-r", self.git(space, "write-tree", env=mine).strip())

    def expect_added(self, space, commit, what):
        expect_eq(self.git(space, "ls-tree", "-r", commit), self.added(space), what)
