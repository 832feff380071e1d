#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""Line endings in commits of checkpoints and turns are those that git's program would store."""
from commits_lib import Commits
from mount_lib import Mount, expect_eq, main, need

M = Mount.of("endings")
COMMITS = Commits(M)
# What is stored first, and the lines of a shell that follow: after each, the commit is git's.
CASES = {
    "kept": (r"printf 'a\r\n' > f; git add f; git commit -qm 1; printf '* text=auto\n' > .gitattributes",
             r"printf 'c\r\n' >> f", "git add -A; git commit -qm 2", r"printf 'd\r\n' >> f; printf 'd\r\n' > g"),
    "input": (r"printf 'a\r\n' > f", r"git config core.autocrlf input; printf 'c\r\n' >> f; printf 'd\r\n' > g"),
    "untouched": (r"printf 'a\r\n' > f; printf 'u\r\n' > untouched; printf 'u\n' > unix",
                  r"printf '* text=auto\n' > .gitattributes"),
    "text": (r"printf 'a\r\n' > f; git add f; git commit -qm 1; printf 'f text\n' > .gitattributes",
             r"printf 'c\r\n' >> f"),
    "known": (r"printf '*.a text\n*.b -text\n*.c binary\n*.d text eol=crlf\n*.e text=auto diff=x -merge\n' >"
              r" .gitattributes; for e in a b c d e; do printf 'a\r\n' > f.$e; done",
              r"for e in a b c d e; do printf 'c\r\n' >> f.$e; printf 'c\r\n' > g.$e; done"),
    "split": (r"printf 'a\r\n' > f; printf 'x\n' > g; git add f g; git commit -qm 1;"
              r" printf '* text=auto\n' > .gitattributes; git update-index --split-index", r"printf 'c\r\n' >> f",
              r"printf 'd\r\n' >> f; printf 'y\n' >> g"),
    "sparse": (r"mkdir in out; printf 'a\r\n' > in/f; printf 'b\n' > out/g; git add in out; git commit -qm 1;"
               r" printf '* text=auto\n' > .gitattributes; git sparse-checkout set --cone --sparse-index in",
               r"printf 'c\r\n' >> in/f", r"printf 'd\r\n' >> in/f"),
    "unmerged": (r"printf 'a\r\n' > f; git add f; git commit -qm 1; git branch b; printf 'm\r\n' > f; git commit -qam 2;"
                 r" git checkout -q b; printf 'b\r\n' > f; git commit -qam 3; git checkout -q main;"
                 r" printf '* text=auto\n' > .gitattributes", r"printf 'x\n' > g; git merge -q b || true",
                 r"printf 'both\r\n' > f"),
    "guessed": (r"printf '* text=auto\n' > .gitattributes; printf 'a\r\nb\rc\r\n' > lone; printf 'x\n' > g",
                r"printf 'a\r\nb\r\n' > lone; printf 'a\013\r\n' > tab; printf 'a\r\n\032' > dos; printf 'a\r\n' > text;"
                r" printf 'a\177\r\n' > del; printf '\033\010\f\t\r\n' > controls"),
    "macro": (r"printf '[attr]mine diff -merge\n*.x mine text\n' > .gitattributes; printf 'a\r\n' > f.x",
              r"printf 'c\r\n' >> f.x"),
}
# Rules that git ignores, or reads in another way than libraries do: files are as they lie.
AS_THEY_LIE = {
    "remark": "f text # unix line ends", "nothing": "f text=", "number": "f text=1", "twice": "f eol=lf eol=crlf",
    "early": "* text=auto\nf mac\n[attr]mac -text", "macros": "[attr]mac text\nf mac",
    "back": "f binary\nf -binary", "name": "f text _x,y", "tab": "f\\013text", "feed": "\\ff text", "zero": "f text\\0\n.hidden text",
}


def setup():
    need("git")
    M.mount()


def a_commit_has_what_git_would_add():
    for name, (first, *lines) in CASES.items():
        for kind in ("checkpoint", "turn"):
            space = f"{name}-{kind}"
            COMMITS.repository(space, first)
            for line, commit in COMMITS.after_each(kind, space, lines):
                COMMITS.expect_added(space, commit, f"{space}: {line}")


def below_rules_that_are_read_otherwise_files_are_as_they_lie():
    for name, rules in AS_THEY_LIE.items():
        for kind in ("checkpoint", "turn"):
            space = f"{name}-{kind}"
            top = COMMITS.repository(space, f"printf '{rules}\n' > .gitattributes; printf 'a\\r\\nb\\0\\r\\n' > f")
            for line, commit in COMMITS.after_each(kind, space, (r"printf 'c\r\n' >> f",)):
                expect_eq(COMMITS.git(space, "cat-file", "-s", f"{commit}:f").strip(), str((top / "f").stat().st_size),
                          f"bytes of {space}: {rules!r}: {line}")


def whole():
    M.verify()
    M.umount()
    M.fsck()


main(setup, a_commit_has_what_git_would_add, below_rules_that_are_read_otherwise_files_are_as_they_lie, whole)
