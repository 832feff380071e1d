# SPDX-License-Identifier: MIT
import contextlib
import io
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import fixtures

import builds
import lanes
import outcome

NINJA = """[1/3] Building CXX object a.o
FAILED: a.o
/usr/bin/c++ -c a.cpp
a.cpp:1:1: error: this is no C++
[2/3] Building CXX object b.o
ninja: build stopped: subcommand failed.
"""
CLASH = """FAILED: CMakeFiles/agentfs_base.dir/Unity/unity_4_cxx.cxx.o
two.cpp:1:1: error: reference to 'kLimit' is ambiguous
"""

UNIT_ANY = """#!/bin/sh
case $1 in
  --list-test-names-only) echo one; exit 1 ;;
  "~[disk]") echo "$TMPDIR" > PLACE/memory
    echo "All tests passed (9 assertions in 3 test cases)" ;;
  "[disk]") echo "${TMPDIR-none}" > PLACE/disk
    echo "  SKIPPED: no disk"
    echo "All tests passed (1 assertion in 1 test case)" ;;
esac
"""


def built_by(answer):
    """builds.build replaced by `answer`, which is told what stands apart; and what it was asked."""
    asked = []

    def build(preset, options):
        asked.append(options[0])
        output = answer(options[0].removeprefix("-DAGENTFS_APART="))
        return outcome.Outcome(f"{preset} build", failed=1, output=output) if output else None
    return mock.patch.object(builds, "build", build), asked


class Lanes(unittest.TestCase):
    def test_without_words_all_but_the_lanes_on_demand_run(self):
        wanted, names = lanes.expand([])
        self.assertEqual(wanted, ["check", "unit", "contract", "wire", "issues", "mount", "asan",
                                  "tsan"])
        self.assertEqual(names, [])

    def test_words_are_lanes_or_names(self):
        self.assertEqual(lanes.expand(["tsan", "unit", "unit_base", "rename.sh"]),
                         (["unit", "tsan"], ["unit_base", "rename.sh"]))

    def test_unknown_names_are_found(self):
        self.assertEqual(lanes.unknown_names(["unti", "run_demo.sh"])[0], ["unti"])

    def test_a_build_shows_the_steps_that_failed(self):
        self.assertEqual(builds.failed_steps(NINJA),
                         ["FAILED: a.o", "a.cpp:1:1: error: this is no C++"])
        self.assertEqual(builds.failed_steps("CMake Error: no\n"), ["CMake Error: no"])

    def test_only_the_targets_that_do_not_build_together_are_built_apart(self):
        later = CLASH.replace("base", "kernel")
        outputs = {"": CLASH, "agentfs_base": later, "agentfs_base;agentfs_kernel": ""}
        replaced, asked = built_by(outputs.get)
        told = io.StringIO()
        with replaced, contextlib.redirect_stdout(told):
            self.assertIsNone(builds.build_together("asan"))
        self.assertEqual(asked, [f"-DAGENTFS_APART={apart}" for apart in outputs])
        self.assertIn("agentfs_base, agentfs_kernel: only one source at a time", told.getvalue())
        self.assertIn("'kLimit' is ambiguous", told.getvalue())

    def test_what_does_not_build_apart_either_has_failed(self):
        alone = CLASH.replace("Unity/unity_4_cxx.cxx", "two.cpp")
        replaced, asked = built_by({"": CLASH, "agentfs_base": alone}.get)
        with replaced:
            self.assertEqual(builds.build_together("asan").output, alone)
        self.assertEqual(len(asked), 2)
        replaced, asked = built_by({"": alone}.get)
        with replaced:
            self.assertEqual(builds.build_together("asan").output, alone)
        self.assertEqual(len(asked), 1)

    def test_a_release_is_compiled_together_where_that_is_asked_for(self):
        for together in (False, True):
            asked = []

            def build(preset, options):
                asked.extend((preset, *options))
                return outcome.Outcome("a build", failed=1, output="")

            with mock.patch.object(lanes, "TOGETHER", together), \
                    mock.patch.object(lanes, "build", build), \
                    mock.patch.object(builds, "build", build), \
                    contextlib.redirect_stdout(io.StringIO()):
                lanes.lane_release(["unit"])
            self.assertEqual(asked, ["release", "-DAGENTFS_TESTS=ON", "-DAGENTFS_TOGETHER=" +
                                     ("ON" if together else "OFF")] +
                             (["-DAGENTFS_APART="] if together else []))

    def test_what_is_built_while_others_wait_is_left_where_they_have_ended(self):
        with tempfile.TemporaryDirectory() as place:
            done, ended = pathlib.Path(place, "done"), pathlib.Path(place, "ended")
            steps = {"asan": (["true"], ["sh", "-c", f"echo asan >> {done}"]),
                     "tsan": (["sh", "-c", f"mkfifo {place}/never; echo tsan >> {done}"],
                              ["sh", "-c", f"cat {place}/never; echo > {ended}"])}
            with mock.patch.object(builds, "commands_of", lambda preset, _: steps[preset]):
                began = time.monotonic()
                with builds.built_meanwhile(steps):
                    while not done.exists() or done.read_text() != "asan\ntsan\n":
                        self.assertLess(time.monotonic() - began, 60)
                self.assertFalse(ended.exists())
                with builds.built_meanwhile([]):
                    pass

    def test_a_release_builds_what_comes_later_while_mount_scripts_run(self):
        asked = []

        @contextlib.contextmanager
        def built_meanwhile(presets):
            asked.append(("begin", *presets))
            yield
            asked.append("end")

        def run_mounts(*_, **__):
            asked.append("mount")
            return []

        with mock.patch.object(lanes, "build", lambda *_, **__: None), \
                mock.patch.object(lanes, "TOGETHER", False), \
                mock.patch.object(lanes, "built_meanwhile", built_meanwhile), \
                mock.patch.object(lanes, "run_mounts", run_mounts):
            lanes.lane_release(["mount", "posix.py"], ["asan", "tsan"])
        self.assertEqual(asked, [("begin", "asan", "tsan"), "mount", "end"])

    def test_files_lie_in_memory_where_there_is_room_and_are_gone_afterwards(self):
        with tempfile.TemporaryDirectory() as above:
            with mock.patch.object(lanes, "MEMORY", above), mock.patch.object(lanes, "ROOM", 1):
                with lanes.in_memory() as directory:
                    self.assertEqual(os.path.dirname(directory), above)
                    self.assertEqual(os.stat(directory).st_mode & 0o7777, 0o1777)
                self.assertEqual(os.listdir(above), [])
            with mock.patch.object(lanes, "MEMORY", above + "/missing"), lanes.in_memory() as none:
                self.assertIsNone(none)
            with mock.patch.object(lanes, "ROOM", 1 << 62), lanes.in_memory() as none:
                self.assertIsNone(none)

    def test_names_the_mount_scripts_that_failed(self):
        with tempfile.TemporaryDirectory() as above:
            report = pathlib.Path(above, "release", "mount-tests.tsv")
            report.parent.mkdir()

            def run(*_, **__):
                report.write_text("a.sh\tpassed\t1\t\nb.py\tfailed\t2\tone\nc.py\tfailed\t2\ttwo\n")
                return subprocess.CompletedProcess([], 1)

            with mock.patch.object(lanes, "BUILD", pathlib.Path(above)), \
                    mock.patch.object(lanes.subprocess, "run", run):
                outcome = lanes.run_mounts("release")[0]
            self.assertEqual(outcome.title(), "mount scripts (b.py, c.py)")
            self.assertEqual(outcome.which, {"b.py": "one", "c.py": "two"})

    def test_what_needs_a_disk_has_one_and_the_rest_lies_in_memory(self):
        with tempfile.TemporaryDirectory() as place:
            script = fixtures.executable(pathlib.Path(place, "any"), UNIT_ANY.replace("PLACE", place))
            program = lanes.Program("unit_any", "unit", [script], 60)
            with mock.patch.dict(os.environ):
                os.environ.pop("TMPDIR", None)
                outcome = lanes.run_program(program, 1, "/m")
            self.assertEqual((outcome.passed, outcome.failed, outcome.skipped), (3, 0, 1))
            self.assertEqual(outcome.notes, ("SKIPPED: no disk",))
            self.assertEqual([pathlib.Path(place, name).read_text() for name in ("memory", "disk")],
                             ["/m\n", "none\n"])


if __name__ == "__main__":
    unittest.main()
