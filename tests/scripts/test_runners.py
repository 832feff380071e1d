# SPDX-License-Identifier: MIT
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import fixtures

import catch_summary
import mounts
import programs

# What Catch2 2.13 and 3.7 print in the end.
PASSED = "====\nAll tests passed (31 assertions in 12 test cases)\n"
FAILED = "test cases: 12 | 9 passed | 3 failed\nassertions: 31 | 28 passed | 3 failed\n"
SKIPPED = "test cases: 12 | 10 passed | 2 skipped\nassertions: 31 | 31 passed\n"
EXPECTED = "test cases: 4 | 2 passed | 1 failed | 1 failed as expected\n"


class CatchSummary(unittest.TestCase):
    def test_counts_both_versions(self):
        self.assertEqual(catch_summary.count(PASSED, 0), (12, 0, 0))
        self.assertEqual(catch_summary.count(FAILED, 3), (9, 3, 0))
        self.assertEqual(catch_summary.count(SKIPPED, 0), (10, 0, 2))
        self.assertEqual(catch_summary.count(EXPECTED, 1), (3, 1, 0))

    def test_a_told_skip_is_no_pass(self):
        self.assertEqual(catch_summary.count("a.cpp:7: warning:\n  SKIPPED: no namespaces\n" + PASSED, 0), (11, 0, 1))

    def test_a_crash_or_silence_is_a_failure(self):
        self.assertEqual(catch_summary.count("", 0), (0, 1, 0))
        self.assertEqual(catch_summary.count(PASSED, -11), (12, 1, 0))
        self.assertEqual(catch_summary.count("No tests ran\n", 0), (0, 1, 0))


class Programs(unittest.TestCase):
    def test_tells_how_a_program_ended(self):
        self.assertEqual(programs.run(["sh", "-c", "echo x; exit 3"], 30).how(), "exit 3")
        self.assertEqual(programs.run(["sh", "-c", "kill -SEGV $$"], 30).how(), "SIGSEGV")

    def test_ends_a_program_that_hangs_and_what_it_started(self):
        with tempfile.TemporaryDirectory() as top:
            child = pathlib.Path(top, "child")
            ended = programs.run(["sh", "-c", f"sleep 1000 & echo $! >'{child}'; wait"], 1)
            self.assertTrue(ended.hung)
            self.assertTrue(gone(int(child.read_text())))


def gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
    return False


# `mount` leaves a process in a session of its own, as a daemon does.
DAEMON = """#!/bin/sh
case $1 in
  mount) setsid sleep 1000 >/dev/null 2>&1 & echo $! >>"$TESTDIR/daemons" ;;
  umount) echo umount >>"$TESTDIR/daemons" ;;
esac
"""


@unittest.skipIf(mounts.unusable(), "no FUSE filesystem can be mounted here")
class MountTests(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = pathlib.Path(holder.name)
        self.scripts = self.top / "tests/mount"
        subprocess.run(["cp", "-r", fixtures.ROOT / "scripts", self.top / "scripts"], check=True)
        fixtures.executable(self.top / "bin/agentfs", DAEMON)
        self.pids = self.top / "pids"

    def script(self, name, text):
        fixtures.executable(self.scripts / name, f"#!/bin/sh\n{text}\n")

    def run_them(self, *words):
        ended = subprocess.run(
            [sys.executable, "-B", self.top / "scripts/run-mount-tests", *words, self.top / "bin"],
            capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(self.top)})
        return ended.returncode, ended.stdout

    def test_counts_and_shows(self):
        self.script("good.sh", 'test -d "$MNT" && test -d "$TESTDIR" && test -x "$AGENTFS"')
        self.script("bad.sh", "echo something is wrong; exit 1")
        self.script("skipped.sh", "echo no such tool here; exit 77")
        report = self.top / "report"
        self.run_them("--report", report)
        rows = {row.split("\t")[0]: row.split("\t")[3] for row in report.read_text().splitlines()}
        self.assertEqual(rows["good.sh"], "")
        self.assertIn("something is wrong | bad.sh: ", rows["bad.sh"])
        code, output = self.run_them()
        self.assertEqual(code, 1)
        self.assertIn("something is wrong", output)
        self.assertIn("SKIPPED mount/skipped.sh: no such tool here", output)
        self.assertEqual(output.splitlines()[-1], "1 passed, 1 failed, 1 skipped")

    def test_ends_the_daemons_and_removes_the_directories(self):
        self.script("good.sh", f'cat "$TESTDIR/daemons" >"{self.pids}"')
        self.assertEqual(self.run_them()[0], 0)
        self.assertTrue(gone(int(self.pids.read_text())))
        self.assertEqual(list(self.top.glob(mounts.PREFIX + "*")), [])

    def test_a_script_that_hangs_has_failed(self):
        self.script("slow.sh", "sleep 1000")
        self.script("slower.sh", "# timeout: 2\nsleep 1000")
        code, output = self.run_them("--timeout", "1")
        self.assertEqual(code, 1)
        for name in "slow.sh", "slower.sh":
            self.assertIn(f"{name}: did not end within", output)

    def test_what_a_dead_run_left_is_cleared_away(self):
        old = self.top / (mounts.PREFIX + "old")
        old.mkdir()
        (old / "runner").write_text("1 0\n", encoding="utf-8")
        left = subprocess.Popen(["sleep", "1000"],
                                env=os.environ | {mounts.MARK: str(old / "test")})
        self.script("good.sh", "true")
        self.assertEqual(self.run_them()[0], 0)
        self.assertNotEqual(left.wait(10), 0)
        self.assertFalse(old.exists())


if __name__ == "__main__":
    unittest.main()
