# SPDX-License-Identifier: MIT
import unittest

import fixtures  # noqa: F401  (puts scripts/lib on the path)

import lanes

NINJA = """[1/3] Building CXX object a.o
FAILED: a.o
/usr/bin/c++ -c a.cpp
a.cpp:1:1: error: this is no C++
[2/3] Building CXX object b.o
ninja: build stopped: subcommand failed.
"""


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
        self.assertEqual(lanes.failed_steps(NINJA),
                         ["FAILED: a.o", "a.cpp:1:1: error: this is no C++"])
        self.assertEqual(lanes.failed_steps("CMake Error: no\n"), ["CMake Error: no"])


if __name__ == "__main__":
    unittest.main()
