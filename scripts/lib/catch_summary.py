# SPDX-License-Identifier: MIT
"""Counts the test cases of a Catch2 program from what it printed, for Catch2 2 and 3 alike."""
import re

ALL_PASSED = re.compile(r"^All tests passed \(.*?(\d+) test cases?\)", re.M)
TEST_CASES = re.compile(r"^test cases:(.*)$", re.M)
# Catch2 3 with skipped cases only among passed ones prints the table, too.
COUNT = re.compile(r"(\d+)\s+(passed|failed as expected|failed|skipped)")
SKIPPED = re.compile(r"^ *SKIPPED: .*$", re.M)  # told by WARN, which Catch2 indents


def count(output, code):
    """(passed, failed, skipped). A program without a summary, or that ended badly, has failed."""
    passed = failed = skipped = 0
    every, table = ALL_PASSED.findall(output), TEST_CASES.findall(output)
    if table:
        counts = {word: int(number) for number, word in COUNT.findall(table[-1])}
        passed = counts.get("passed", 0) + counts.get("failed as expected", 0)
        failed, skipped = counts.get("failed", 0), counts.get("skipped", 0)
    elif every:
        passed = int(every[-1])
    told = min(len(SKIPPED.findall(output)), passed)
    if code != 0 or not (passed or skipped):
        failed = max(failed, 1)
    return passed - told, failed, skipped + told


def skip_lines(output):
    return [line.strip() for line in SKIPPED.findall(output)]
