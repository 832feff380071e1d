# SPDX-License-Identifier: MIT
"""The checks of scripts/test and scripts/check that are no test programs."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import source_tree
from builds import BUILD, ROOT

RELEASE = BUILD / "release"


def ran(command, cwd=ROOT):
    """(whether it ended well, what it printed)"""
    ended = subprocess.run([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", check=False)
    return ended.returncode == 0, ended.stdout


def all_of(*commands):
    results = [ran(command) for command in commands]
    return all(good for good, _ in results), "".join(text for good, text in results if not good)


def layers():
    return all_of(["scripts/check-layers", "--self-test"], ["scripts/check-layers"])


def size():
    return ran(["scripts/check-size"])


def sources():
    return [name for name in source_tree.files(ROOT, "src", "tests")
            if name.endswith((".cpp", ".h"))]


def style():
    good, output = ran(["clang-format-19", "--dry-run", "-Werror", *sources()])
    names = dict.fromkeys(re.findall(r"^(\S+?):\d+:\d+: error", output, re.M))
    told = "".join(f"{name}: not as clang-format-19 -i leaves it\n" for name in names)
    return good, told or output


def tidy():
    """clang-tidy over the changed files, or over all when AGENTFS_TIDY=all."""
    directory = BUILD / "tidy"
    good, output = ran(["cmake", "--preset", "clang", "-B", directory,
                        "-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON", "-DAGENTFS_TESTS=ON"])
    if not good:
        return good, output
    names = sources() if os.environ.get("AGENTFS_TIDY") == "all" else source_tree.changed(ROOT)
    names = [name for name in names
             if name.startswith(("src/", "tests/")) and name.endswith(".cpp")
             and f'"{ROOT / name}"' in (directory / "compile_commands.json").read_text()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(
            lambda name: ran(["clang-tidy-19", "-p", directory, "--quiet", name]), names))
    lines = [line for good, text in results if not good for line in text.splitlines()
             if not re.match(r"\d+ warnings? |Suppressed |Use -header-filter", line)]
    return all(good for good, _ in results), "\n".join(lines)


def docs():
    return ran(["scripts/gen-docs", "--check", RELEASE / "agentfs"])


def shell_scripts():
    found = []
    for name in source_tree.files(ROOT):
        with open(ROOT / name, "rb") as file:
            first = file.readline(80).strip()
        if name.endswith((".sh", ".bash")) or re.match(rb"#!.*\b(ba)?sh$", first):
            found.append(name)
    return found


def shell():
    names = shell_scripts()
    bad = [text for good, text in (ran(["bash", "-n", name]) for name in names) if not good]
    if shutil.which("shellcheck"):
        good, text = ran(["shellcheck", "-x", "--source-path=SCRIPTDIR", *names])
        bad += [] if good else [text]
    return not bad, "".join(bad)


INSTALLED = (
    "bin/agentfs", "libexec/agentfs/agentfs-sandbox", "libexec/agentfs/agentfs-commit",
    "libexec/agentfs/agentfs-announce",
    "sbin/mount.agentfs",
    "lib/systemd/user/agentfs.service", "share/man/man1/agentfs.1",
    "share/man/man5/agentfs.conf.5", "share/man/man7/agentfs-proc.7",
    "share/man/man7/agentfs-dev.7", "share/man/man7/agentfs-history.7",
    "share/man/man7/agentfs-sys.7",
    "share/bash-completion/completions/agentfs", "share/zsh/site-functions/_agentfs",
    "share/fish/vendor_completions.d/agentfs.fish", "share/doc/agentfs/README.md",
    "share/doc/agentfs/LICENSE",
)
EXECUTABLE = ("bin/", "libexec/", "sbin/")


def install():
    """Installs below a temporary DESTDIR and looks at each file."""
    with tempfile.TemporaryDirectory() as top:
        good, output = ran(["env", f"DESTDIR={top}", "cmake", "--install", RELEASE,
                            "--prefix", "/opt/agent fs"])
        if not good:
            return good, output
        prefix = pathlib.Path(top, "opt/agent fs")
        errors = [f"{name}: not installed" for name in INSTALLED if not (prefix / name).is_file()]
        seen = {p.relative_to(prefix).as_posix() for p in prefix.rglob("*") if p.is_file()}
        errors += [f"{name}: installed, but in no list of what is" for name in
                   sorted(seen - set(INSTALLED)) if not name.startswith("share/doc/agentfs/")]
        errors += [f"{name}: mode {(prefix / name).stat().st_mode & 0o777:o}" for name in seen
                   if bool((prefix / name).stat().st_mode & 0o111) != name.startswith(EXECUTABLE)]
        stray = [p for p in pathlib.Path(top).rglob("*")
                 if p.is_file() and prefix not in p.parents]
        errors += [f"{path}: outside of the prefix" for path in stray]
        errors += installed_texts(prefix, top) if not errors else []
    return not errors, "\n".join(errors)


def installed_texts(prefix, top):
    unit = (prefix / "lib/systemd/user/agentfs.service").read_text(encoding="utf-8")
    if '"/opt/agent fs/bin/agentfs"' not in unit:
        yield "agentfs.service: does not name the installed binary"
    for path in prefix.rglob("*"):
        text = path.read_bytes() if path.is_file() and path.suffix != "" else b""
        if top.encode() in text:
            yield f"{path.relative_to(prefix)}: names the directory it was staged in"
    good, output = ran([prefix / "sbin/mount.agentfs", "none", "/mnt", "-f"])
    if not good:
        yield f"mount.agentfs none /mnt -f: {output}"
    good, output = ran([prefix / "bin/agentfs", "--version"])
    if not good or not re.search(r"\d+\.\d+\.\d+", output):
        yield f"agentfs --version: {output}"


def own_tests():
    """tests/scripts, a test at a time: (passed, failed, skipped), output."""
    good, output = ran([sys.executable, "-B", "-m", "unittest", "discover", "-v", "-s",
                        "tests/scripts", "-p", "test_*.py"])
    total = re.search(r"^Ran (\d+) tests?", output, re.M)
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", output))
    if not total or int(total[1]) == 0 or (not good and not bad):
        return (0, max(bad, 1), 0), output
    return (int(total[1]) - bad - skipped, bad, skipped), output


STEPS = {"layers": layers, "sizes": size, "format": style, "documents": docs, "shell": shell,
         "install": install, "scripts": own_tests}


def run(name):
    """passed, failed, skipped, seconds, output"""
    began = time.monotonic()
    result, output = (STEPS | {"tidy": tidy})[name]()
    counts = (int(result), int(not result), 0) if isinstance(result, bool) else result
    return *counts, time.monotonic() - began, output
