# SPDX-License-Identifier: MIT
"""What the Python scripts of tests/mount share; scripts/run-mount-tests gives the environment.

A script is a list of functions, run in order by main(). The first check that does not hold ends
it; the failure tells the function, what was seen and what was wanted.
"""
import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback

if "MNT" not in os.environ:
    sys.exit("MNT is not set: run me by scripts/run-mount-tests")
MNT = os.environ["MNT"]
STATE = os.environ["STATE"]
AGENTFS = os.environ["AGENTFS"]
TESTDIR = os.environ["TESTDIR"]
SKIP = 77
LIBC = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2  # of renameat2(2)


class Wrong(AssertionError):
    """A check that does not hold."""


def renameat2(old, new, flags):
    if LIBC.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"{old} to {new}")


def mnt(*parts):
    return os.path.join(MNT, *map(str, parts))


def short(value):
    text = repr(value)
    return text if len(text) <= 600 else f"{text[:280]} ... {text[-280:]} ({len(text)} characters)"


def expect_eq(seen, wanted, what="value"):
    if seen != wanted:
        raise Wrong(f"{what}: saw {short(seen)}; wanted {short(wanted)}")


def expect_has(text, piece, what="text"):
    if piece not in text:
        raise Wrong(f"{what}: saw {short(text)}; wanted it to hold {short(piece)}")


def fail(text):
    raise Wrong(text)


def expect(condition, sentence):
    if not condition:
        raise Wrong(sentence)


def expect_errno(name, call, *arguments, **words):
    """The call raises OSError with this errno; its error is given back."""
    try:
        value = call(*arguments, **words)
    except OSError as error:
        seen = errno.errorcode.get(error.errno, str(error.errno))
        expect_eq(seen, name, f"errno of {getattr(call, '__name__', 'the call')}{arguments!r:.200}")
        return error
    raise Wrong(f"{getattr(call, '__name__', 'the call')}{arguments!r:.200}: gave {short(value)}; "
                f"wanted {name}")


def read(*parts):
    """The text of a file: of the mount, or any whose path is whole."""
    with open(mnt(*parts), encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def write(text, *parts):
    """One write(2) of all of it."""
    data = text if isinstance(text, bytes) else text.encode()
    descriptor = os.open(mnt(*parts), os.O_WRONLY | os.O_TRUNC)
    try:
        expect_eq(os.write(descriptor, data), len(data), f"count of a write to {parts}")
    finally:
        os.close(descriptor)


def last_error():
    """errno name, file and sentence of the newest line of /proc/self/errors."""
    lines = read("proc/self/errors").splitlines()
    expect(lines, "proc/self/errors is empty")
    _, name, path, sentence = lines[-1].split("\t", 3)
    return name, path, sentence


def wait_until(seconds, condition, what):
    """The first true value of condition(); an OSError of it is waited out."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value, seen = None, ""
        try:
            value = condition()
        except OSError as error:
            seen = f" ({error})"
        if value:
            return value
        if time.monotonic() > deadline:
            fail(f"{what}: not within {seconds} s{seen}")
        pause.wait(0.01)


def command(path, text):
    """Writes a line by one write(2), and reads the reply on the same descriptor."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        data = text.encode()
        os.write(descriptor, data if data.endswith(b"\n") else data + b"\n")
        reply = b""
        while piece := os.read(descriptor, 1 << 20):
            reply += piece
        return reply.decode(errors="surrogateescape")
    finally:
        os.close(descriptor)


def spawn(**words):
    line = " ".join(f"{key}={value}" for key, value in words.items())
    return int(command(mnt("proc/clone"), line))


def script_model(name, scenario):
    """/etc/models/NAME plays the scenario."""
    path = os.path.join(TESTDIR, f"{name}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(scenario, file)
    with open(mnt("etc/models", f"{name}.toml"), "w", encoding="utf-8") as file:
        file.write(f'driver = "script"\nscenario = "{path}"\n')


def journal_rows(after=0, top=MNT):
    """The records of the journal with a number above this one, in order."""
    segments = os.path.join(top, "sys/journal/segments")
    rows = []
    for name in sorted(os.listdir(segments)):
        if name.endswith(".jsonl"):
            rows += [json.loads(line) for line in read(segments, name).splitlines()]
    return [row for row in rows if row["seq"] > after]


def journal_end():
    return int(read("sys/journal/head").split()[0])


def run(words, timeout=60, code=0, **more):
    """Runs a program to its end; its output. `code` None accepts any."""
    try:
        ended = subprocess.run([str(word) for word in words], timeout=timeout, text=True,
                               errors="surrogateescape", stdin=subprocess.DEVNULL, check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    except subprocess.TimeoutExpired as late:
        fail(f"{words}: did not end within {timeout} s: {late.output!r}")
    if code is not None and ended.returncode != code:
        fail(f"{words}: exit {ended.returncode}, wanted {code}: {ended.stdout}")
    return ended.stdout


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(f"{program} is not installed")


def skip(reason):
    print(reason)
    sys.exit(SKIP)


def main(*parts):
    """Runs the parts in order; the command line may choose some by name."""
    chosen = [part for part in parts if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]]
    for part in chosen:
        try:
            part()
        except Exception as error:  # pylint: disable=broad-except
            frames = [frame for frame in traceback.extract_tb(error.__traceback__)
                      if not frame.filename.endswith("lib.py")]
            place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}"
            told = error if isinstance(error, Wrong) else f"{type(error).__name__}: {error}"
            print(f"{part.__name__}: {told}\n  at {place}", file=sys.stderr)
            sys.exit(1)
