#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# mount: none
"""`scripts/bench workspaces --quick` measures every line, and counts what was asked for it."""
import json
import pathlib
import sys

from lib import AGENTFS, TESTDIR, expect, expect_eq, main, need, run

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"
sys.path.insert(0, str(SCRIPTS))
import bench_workspaces as bench  # noqa: E402
import bench_places  # noqa: E402

WITHOUT_COUNT = {bench.FORKS_ROOM.name, bench.TURN.name, bench.KEPT.name}


def quick():
    need("c++", "git", "tar", "grep")
    kind = "tmpfs" if bench_places.find_tmpfs() else "disk"
    report = pathlib.Path(TESTDIR, "report.json")
    output = run([sys.executable, "-B", SCRIPTS / "bench_workspaces.py",
                  pathlib.Path(AGENTFS).parent, "--quick", "--state", kind, "--json", report])
    result = json.loads(report.read_text(encoding="utf-8"))[kind]
    expect_eq(set(result["lines"]), {line.name for line in bench.ALL})
    for line in bench.ALL:
        seen = result["lines"][line.name]
        expect(line.title in output, f"{line.title} is not in the table: {output}")
        expect_eq(len(seen["measured"]["agentfs"]), 1, f"{line.name}: rounds")
        if line.name not in WITHOUT_COUNT | {"stat", "missing"}:
            expect(seen["requests"] > 0, f"{line.name}: no requests counted: {seen}")
        if not line.limit:
            expect(seen["ratio"] > 0 and seen["measured"]["disk"], f"{line.name}: {seen}")
    creates = result["lines"]["create"]["requests_by_kind"]
    expect_eq(creates["create"], 1.0, f"requests of a create: {creates}")


main(quick)
