#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 900
"""A C project is built in a workspace, taken over by a fork without building anything again, and
changed there; the parent's program stays what it was.

ROUNDS (1) projects of 30 files a round, with generated dependencies and an archive.
"""
import os

from mount_lib import MNT, command, expect, expect_eq, expect_has, main, need, read, run

ROUNDS = int(os.environ.get("ROUNDS", "1"))
FILES = 30 if ROUNDS == 1 else 300
MAKEFILE = """CFLAGS = -O1 -MMD -MP -Iinclude
OBJECTS = $(patsubst src/%.c,build/%.o,$(wildcard src/*.c))
program: main.o build/libparts.a
\t$(CC) -o $@ $^
build/libparts.a: $(OBJECTS)
\trm -f $@ && ar rcs $@ $^
build/%.o: src/%.c
\t@mkdir -p build
\t$(CC) $(CFLAGS) -c -o $@ $<
clean:
\trm -rf build program *.o *.d
-include $(OBJECTS:.o=.d) main.d
"""


def plant(space):
    for name in ("src", "include"):
        (space / name).mkdir(parents=True)
    (space / "Makefile").write_text(MAKEFILE)
    (space / "include/all.h").write_text(
        "#define FACTOR 1\n" + "".join(f"int f{n}(void);\n" for n in range(FILES)))
    for n in range(FILES):
        (space / f"src/f{n}.c").write_text(
            f'#include "all.h"\nint f{n}(void) {{ return {n} * FACTOR; }}\n')
    calls = " + ".join(f"f{n}()" for n in range(FILES))
    (space / "main.c").write_text(
        f'#include <stdio.h>\n#include "all.h"\nint main(void) {{ printf("%d\\n", {calls}); }}\n')


def make(space, *words):
    return run(["make", "-j2", *words], cwd=space, timeout=600)


def program(space):
    return run([space / "program"])


def builds():
    need("make", "cc", "ar")
    total = sum(range(FILES))
    for number in range(ROUNDS):
        space, fork = (MNT / f"workspaces/{name}{number}" for name in ("c-", "c-fork-"))
        plant(space)
        make(space)
        expect_eq(program(space), f"{total}\n")
        expect_has(make(space), "is up to date")
        command(space / ".agentfs/ctl", f"fork c-fork-{number}")
        expect_has(make(fork), "is up to date", "make in the fork")
        expect_eq(program(fork), f"{total}\n", "the fork's")
        header = fork / "include/all.h"
        header.write_text(read(header).replace("FACTOR 1", "FACTOR 2"))
        expect_has(make(fork), f"build/f{FILES - 1}.o", "make after a change of the header")
        expect_eq(program(fork), f"{2 * total}\n", "the fork's, changed")
        expect_has(make(space), "is up to date", "make in the parent")
        expect_eq(program(space), f"{total}\n", "the parent's")
        make(fork, "clean")
        expect(not (fork / "build").exists() and (space / "build").exists(), "make clean")


main(builds)
