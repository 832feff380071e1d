# SPDX-License-Identifier: MIT
"""The lanes of scripts/test: what each builds and runs, and one honest sum in the end."""
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import catch_summary
import checks
import programs
from builds import BUILD, CORES, ROOT, TOGETHER, build, build_together, built_meanwhile
from outcome import Outcome, tell

CATCH = ("unit", "contract", "wire", "issues")
# These begin first, so that none of them is left alone at the end.
LONGEST = ("unit_kernel", "unit_forest", "contract", "unit_exec", "unit_agents", "unit_git")
FAST = ("check", *CATCH, "mount")
SLOW = ("asan", "tsan")
# What makes the mount faster is switched the other way for those who would notice, where it is to
# be had: for root, with the private libfuse.
SWITCHED = {
    "nobusy_poll": ("posix.py",),
    "passthrough": ("posix.py", "trees.sh", "lifecycle.py"),
    "data_session": ("lifecycle.py", "trees.sh"),
    "io_uring": ("lifecycle.py", "history.py", "forks.py", "merges.py", "sandbox.py", "trees.sh",
                 "watchers.py", "changes.py", "page_cache.py"),
    "io_uring,passthrough": ("posix.py", "passthrough.py"),
}
# What differs with the distribution's libfuse, where the private one is what all else runs with.
SYSTEM_LIBFUSE = ("posix.py", "page_cache.py", "other_users.py", "history.py", "generations.py")
IO_URING = pathlib.Path("/sys/module/fuse/parameters/enable_uring")  # the kernel's own switch
LANES = (*FAST, *SLOW, "fuzz", "tidy", "mount-asan")
SYMBOLIZER = "external_symbolizer_path=/usr/bin/llvm-symbolizer-19"
SANITIZERS = {
    "ASAN_OPTIONS": f"detect_stack_use_after_return=1:strict_string_checks=1:{SYMBOLIZER}",
    "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:{SYMBOLIZER}",
    "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:{SYMBOLIZER}",
}
MEMORY = pathlib.Path("/dev/shm")
ROOM = 2 << 30  # bytes that tests may take there
SLOWER = 3  # times that a program may take longer with a sanitizer


@dataclasses.dataclass
class Program:
    name: str
    kind: str               # unit, contract, wire, issues or fuzz
    command: list
    timeout: float


def programs_of(preset):
    """The test programs that CMake registered, with their kind and time limit."""
    listed = subprocess.run(["ctest", "--test-dir", str(BUILD / preset), "--show-only=json-v1"],
                            capture_output=True, text=True, check=True)
    found = []
    for test in json.loads(listed.stdout)["tests"]:
        values = {entry["name"]: entry["value"] for entry in test.get("properties", [])}
        kind = "issues" if test["name"] == "issues" else values["LABELS"][0]
        found.append(Program(test["name"], kind, test["command"], float(values["TIMEOUT"])))
    return found


def run_program(program, slower=1, directory=None):
    """With a directory, the files of tests lie there, but of those that say [disk]."""
    if directory is None or program.kind == "fuzz":
        return run_tests(program, slower)
    memory = run_tests(program, slower, ("~[disk]",), {"TMPDIR": directory})
    if not tests_of_disk(program):
        return memory
    disk = run_tests(program, slower, ("[disk]",))
    sums = [getattr(memory, word) + getattr(disk, word) for word in ("passed", "failed", "skipped")]
    return Outcome(program.name, *sums, memory.seconds + disk.seconds, memory.output + disk.output,
                   memory.notes + disk.notes)


def tests_of_disk(program):
    listed = subprocess.run([*program.command, "--list-test-names-only", "[disk]"],
                            capture_output=True, text=True, check=False,
                            env=os.environ | SANITIZERS)
    return listed.stdout.split("\n")[:-1]


def run_tests(program, slower, wanted=(), place=None):
    ended = programs.run([*program.command, *wanted], program.timeout * slower, cwd=ROOT,
                         env=os.environ | SANITIZERS | (place or {}))
    if program.kind == "fuzz":
        counts = (1, 0, 0) if ended.code == 0 and not ended.hung else (0, 1, 0)
    else:
        counts = catch_summary.count(ended.output, ended.code or ended.hung)
    output = ended.output
    if counts[1]:
        lines = output.splitlines()
        output = "\n".join(lines if len(lines) < 500 else lines[:100] + ["[…]"] + lines[-400:])
        output += f"\n{program.name}: {ended.how()}"
    return Outcome(program.name, *counts, ended.seconds, output,
                   tuple(catch_summary.skip_lines(ended.output)))


def in_memory():
    """To be entered: a directory of a tmpfs for the files of tests; None where there is no room."""
    try:
        room = os.statvfs(MEMORY)
        if room.f_bavail * room.f_frsize < ROOM:
            return contextlib.nullcontext()
        made = tempfile.TemporaryDirectory(prefix="agentfs-tests-", dir=MEMORY)
    except OSError:
        return contextlib.nullcontext()
    os.chmod(made.name, 0o1777)  # as /tmp: tests become other users
    return made


def run_programs(preset, kinds, names=(), prefix="", directory=None):
    """Runs the programs of these kinds, a few at a time. A kind without programs has failed."""
    every = programs_of(preset)
    chosen = [p for p in every if p.kind in kinds or p.name in names]
    chosen.sort(key=lambda p: LONGEST.index(p.name) if p.name in LONGEST else len(LONGEST))
    outcomes = [tell(Outcome(f"{prefix}{kind}", failed=1, output="no test program of this kind"))
                for kind in kinds if not any(p.kind == kind for p in every)]
    with concurrent.futures.ThreadPoolExecutor(max(1, min(CORES, 4))) as pool:
        running = [pool.submit(run_program, p, SLOWER if prefix else 1, directory) for p in chosen]
        for future in concurrent.futures.as_completed(running):
            outcome = future.result()
            outcome.name = prefix + outcome.name
            outcomes.append(tell(outcome))
    return outcomes


def run_mounts(preset, names=(), options="", library=""):
    report = BUILD / preset / "mount-tests.tsv"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-B", ROOT / "scripts/run-mount-tests", "--report", report]
    command += ["--timeout", "900"] if preset != "release" else []
    command += ["--options", options] if options else []
    code = subprocess.run([*command, BUILD / preset / library, *names], stdin=subprocess.DEVNULL,
                          env=os.environ | SANITIZERS, check=False).returncode
    rows = [line.split("\t") for line in report.read_text(encoding="utf-8").splitlines()] \
        if report.exists() else []
    results = [row[1] for row in rows]
    counts = [results.count(word) for word in ("passed", "failed", "skipped")]
    which = {row[0]: row[3] for row in rows if row[1] == "failed"}
    if not results or (code != 0 and not counts[1]):
        counts[1] += 1
    reason = "" if results else f"no mount script was run (exit {code})"
    name = f"mount scripts, -o {options}" if options else "mount scripts"
    name = f"{name}, {library}" if library else name
    return [tell(Outcome(name, *counts, time.monotonic() - began, reason, which=which))]


@contextlib.contextmanager
def io_uring():
    """FUSE over io_uring, switched on for a while. Gives why it cannot be, or ""."""
    try:
        before = IO_URING.read_text(encoding="utf-8").strip()
        if before != "Y":
            IO_URING.write_text("Y", encoding="utf-8")
    except OSError as error:
        yield f"no FUSE over io_uring: {IO_URING}: {error.strerror}"
        return
    try:
        yield ""
    finally:
        if before != "Y":
            IO_URING.write_text(before, encoding="utf-8")


def run_switched(no_io_uring):
    """The scripts that would notice, with what makes the mount faster switched on."""
    outcomes = []
    for options, scripts in SWITCHED.items():
        reason = "not root" if os.geteuid() != 0 else \
            "no private libfuse; scripts/deps fuse builds it" \
            if not (BUILD / "fuse/install").exists() else \
            no_io_uring if "io_uring" in options else ""
        if reason:
            name = f"mount scripts, -o {options}"
            outcomes.append(tell(Outcome(name, skipped=len(scripts), notes=(f"SKIPPED: {reason}",))))
        else:
            outcomes += run_mounts("release", scripts, options)
    return outcomes


def run_checks():
    return [tell(Outcome(name, *checks.run(name))) for name in checks.STEPS]


def lane_release(wanted, later=()):
    """The fast lane, or those parts of it that are wanted; names are programs or scripts. Mount
    scripts wait for most of their time, in which the builds are made that are wanted later."""
    outcomes = []
    kinds = [kind for kind in CATCH if kind in wanted]
    names = [name for name in wanted if name not in LANES]
    scripts = [name for name in names if name.endswith((".sh", ".py"))]
    names = [name for name in names if name not in scripts]
    options = ["-DAGENTFS_TESTS=ON", f"-DAGENTFS_TOGETHER={'ON' if TOGETHER else 'OFF'}"]
    failure = build_together("release", options) if TOGETHER else build("release", options=options)
    if failure:
        outcomes.append(tell(failure))
    if "check" in wanted:
        outcomes += run_checks()
    if failure:
        left_out = [word for word in wanted if word != "check"]
        print(f"  not run, since the build failed: {', '.join(left_out)}")
        return outcomes
    if kinds or names:
        outcomes += run_programs("release", kinds, names)
    if "mount" in wanted or scripts:
        with io_uring() as no_io_uring, built_meanwhile(later):
            outcomes += run_mounts("release", scripts)
            outcomes += run_switched(no_io_uring) if not scripts else []
            if not scripts and (BUILD / "release/system-libfuse").exists():
                outcomes += run_mounts("release", SYSTEM_LIBFUSE, library="system-libfuse")
    return outcomes


def lane_sanitized(preset, kinds):
    """Half of the time of these tests is the disk's, on which the fast lane has run them."""
    failure = build_together(preset)
    if failure:
        return [tell(failure)]
    with in_memory() as directory:
        return run_programs(preset, kinds, prefix=f"{preset}/", directory=directory)


def run_lane(lane):
    if lane == "asan":
        return lane_sanitized("asan", (*CATCH, "fuzz"))
    if lane == "tsan":
        return lane_sanitized("tsan", CATCH)
    if lane == "fuzz":
        return lane_sanitized("asan", ("fuzz",))
    if lane == "tidy":
        return [tell(Outcome("clang-tidy", *checks.run("tidy")))]
    failure = build_together("asan")
    return [tell(failure)] if failure else run_mounts("asan")


def expand(arguments):
    """Lane names in the order in which they run, and the other words."""
    words = arguments or ["fast", "slow"]
    wanted = [lane for word in words
              for lane in {"fast": FAST, "slow": SLOW}.get(word, (word,))]
    others = [word for word in wanted if word not in LANES]
    return [lane for lane in LANES if lane in wanted], others


def unknown_names(names):
    """The names that are neither a mount script nor a test program by CMake's rule."""
    tests = ROOT / "tests"
    known = {"unit_" + room.name for room in (tests / "unit").iterdir() if room.is_dir()}
    known |= {script.name for script in (tests / "mount").iterdir()}
    return [name for name in names if name not in known], sorted(known)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was switched on goes back
    lanes, names = expand(sys.argv[1:])
    unknown, known = unknown_names(names)
    if unknown:
        sys.exit(f"scripts/test: unknown name ({', '.join(unknown)}); fast, slow, "
                 f"{', '.join(LANES)} and {', '.join(known)} are")
    outcomes = []
    if "tidy" in lanes:
        outcomes += run_lane("tidy")
    release = [lane for lane in lanes if lane in FAST] + names
    if release:
        print("release:", flush=True)
        outcomes += lane_release(release, [lane for lane in lanes if lane in SLOW])
    for lane in lanes:
        if lane not in FAST and lane != "tidy":
            print(f"{lane}:", flush=True)
            outcomes += run_lane(lane)
    sums = [sum(getattr(o, word) for o in outcomes) for word in ("passed", "failed", "skipped")]
    failed = [o.title() for o in outcomes if o.failed]
    for outcome in outcomes:
        for name, why in outcome.which.items():
            print(f"  {name}: {why[:1000]}")
    if failed:
        print("failed: " + ", ".join(failed))
    print("{} passed, {} failed, {} skipped".format(*sums))
    return bool(sums[1])


if __name__ == "__main__":
    sys.exit(main())
