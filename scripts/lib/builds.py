# SPDX-License-Identifier: MIT
"""The builds of scripts/test, each configured and built by its preset."""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import time

from outcome import Outcome
from source_tree import ROOT

BUILD = pathlib.Path(os.environ.get("AGENTFS_BUILD") or ROOT / "build").absolute()
TOGETHER = os.environ.get("AGENTFS_TOGETHER", "0") not in ("", "0")
CORES = len(os.sched_getaffinity(0))


def commands_of(preset, options=()):
    """What configures and what builds it."""
    directory = BUILD / preset
    configure = ["cmake", "--preset", preset, "-B", str(directory), *options]
    cache = directory / "CMakeCache.txt"
    if cache.exists() and f"CMAKE_HOME_DIRECTORY:INTERNAL={ROOT}\n" not in cache.read_text():
        configure.insert(1, "--fresh")
    return configure, ["cmake", "--build", str(directory), "-j", str(CORES), "--", "-k", "0"]


def build(preset, options=()):
    """Configures and builds one preset; an Outcome when that fails, else None."""
    began = time.monotonic()
    for command in commands_of(preset, options):
        made = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if made.returncode != 0:
            seconds = time.monotonic() - began
            return Outcome(f"{preset} build", failed=1, seconds=seconds,
                           output="\n".join(failed_steps(made.stdout)))
    print(f"  built   {preset}  {time.monotonic() - began:.1f} s", flush=True)
    return None


def failed_steps(output):
    """What ninja says of the steps that failed; without one, the end of the output."""
    lines = output.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("FAILED: ")]
    kept = []
    for start in starts[:6]:
        end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))
        kept += [lines[start]] + lines[start + 2:min(end, start + 40)]
    return kept or lines[-60:]


def apart_from(targets):
    return "-DAGENTFS_APART=" + ";".join(sorted(targets))


def build_together(preset, options=()):
    """Sources that do not build several at a time, as two of one name, may do so each for itself:
    those of the targets that failed are tried so."""
    together, apart = None, set()
    while True:
        failure = build(preset, options=[*options, apart_from(apart)])
        more = together_in(failure.output) - apart if failure else set()
        if not more:
            break
        together, apart = together or failure, apart | more
    if apart and not failure:
        print(f"          NOTE: {', '.join(sorted(apart))}: only one source at a time builds; "
              "together:\n" +
              "\n".join("    | " + line for line in together.output.splitlines()[:20]), flush=True)
    return failure


def together_in(output):
    """The targets of which a step failed that built several sources at a time."""
    return set(re.findall(r"^FAILED: .*CMakeFiles/([^/]+)\.dir/Unity/", output, re.MULTILINE))


@contextlib.contextmanager
def built_meanwhile(presets):
    """What tests leave of the CPUs builds these. Whoever builds them then does what is left, and
    tells what fails."""
    commands = [" && ".join(map(shlex.join, commands_of(preset, [apart_from(())])))
                for preset in presets]
    behind = ["chrt", "--idle", "0"] if shutil.which("chrt") else ["nice", "-n", "19"]
    building = subprocess.Popen([*behind, "sh", "-c", "; ".join(commands) or "true"], cwd=ROOT,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(building.pid, signal.SIGINT)
        building.wait()
