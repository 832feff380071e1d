#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# timeout: 1500
# mount: none
"""kill -9 of the daemon at random moments, while an agent works and a writer writes.

Half of the rounds have the script model, half one behind HTTP that refuses and breaks off now and
then. ROUNDS (8) and SEED (1) are taken from the environment. After each kill and remount every
acknowledged write must be there, the journal must verify, and the run must finish by itself.
"""
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import time

import model_server
from mount_lib import (TESTDIR, Mount, command, expect, expect_eq, fail, is_alive, kill, main,
                       need, read, run, tell, wait_until)

ROUNDS = int(os.environ.get("ROUNDS", "8"))
SEED = int(os.environ.get("SEED", "1"))
TASK = "Do the eight things."
ANSWER = "All eight things are done."
STEPS = (2, 4, 7, 8)  # those that append their number to the file "steps"
BACK_WITHIN = 20      # seconds from the kill to a mount that answers


def step(text, *calls):
    return {"text": text, "delay_ms": 20,
            "calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}


def append(number, more="true"):
    return ("exec", {"command": f"echo {number} >>steps; {more}"})


SCENARIO = {"name": "rounds", "tasks": [{"match": TASK, "after": ANSWER, "steps": [
    step("One.", ("write", {"path": "a.txt", "text": "one\n"})),
    step("Two.", append(2, "sleep 0.05")),
    step("Three.", ("edit", {"path": "a.txt", "old_text": "one", "new_text": "three"})),
    step("Four.", append(4, "sleep 0.1")),
    step("Five.", ("read", {"path": "a.txt"}), ("list", {"path": "."})),
    step("Six.", ("write", {"path": "b.txt", "text": "six\n"})),
    step("Seven.", append(7, "cat a.txt b.txt >c.txt")),
    step("Eight.", append(8, "sleep 0.05"))]}]}


def play(exchange):
    """The same steps, over HTTP: in small pieces, at times refused or broken off."""
    done, counted = 0, False
    for message in exchange.messages:
        if message["role"] == "assistant":
            done, counted = done + 1, True
        elif message["role"] == "user":
            done, counted = 0, False
        elif counted and message["content"].startswith("interrupted:"):
            done, counted = done - 1, False
    if exchange.number % 9 == 4:
        exchange.answer(429, {"error": {"message": "slow down"}}, Retry_After="0.1")
        return
    steps = SCENARIO["tasks"][0]["steps"]
    if done >= len(steps):
        exchange.stream(model_server.said(ANSWER), pieces=5)
        return
    chunks = [model_server.text(steps[done]["text"])]
    for index, call in enumerate(steps[done]["calls"]):
        identity = f"call_{exchange.number}_{index}"
        chunks.append(model_server.call(index, identity, call["name"]))
    for index, call in enumerate(steps[done]["calls"]):
        chunks.append(model_server.call(index, arguments=json.dumps(call["arguments"])))
    chunks += [model_server.delta("tool_calls"), model_server.usage(100, 10), model_server.DONE]
    exchange.stream(chunks, pieces=17, cut=200 if exchange.number % 7 == 3 else None)


class Writer:
    """Writes of four kinds, one after the other, each noted on the host once it has returned."""

    def __init__(self, mount, number):
        self.mount, self.number = mount, number
        self.notes = TESTDIR / f"notes-{number}"
        self.log = mount / f"workspaces/writer/log-{number}"
        self.pid = mount.spawn(f"name=settings-{number}")
        self.listener = mount.spawn(f"name=listener-{number} model=rounds")
        tell(mount.proc(self.listener, "ctl"), "stop\n")  # so that messages queue
        self.process = multiprocessing.get_context("fork").Process(target=self.write_all)

    def write_all(self):
        """Until the first error, which is what the death of the daemon looks like."""
        with open(self.notes, "w", encoding="utf-8") as notes:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for n in range(1, 100000):
                for kind in ("line", "name", "message", "spawn"):
                    if kind == "spawn" and n % 20 != 1:
                        continue
                    try:
                        given = self.write_one(kind, n, log)
                    except OSError:
                        os._exit(0)
                    notes.write(f"{kind} {given}\n")
                    notes.flush()

    def write_one(self, kind, n, log):
        if kind == "line":
            # The host's kernel writes page by page: a part is no acknowledgement of the line.
            line = b"line %d\n" % n
            if os.write(log, line) != len(line):
                raise OSError("a short write")
        elif kind == "name":
            command(self.mount.proc(self.pid, "name"), f"name-{n}")
        elif kind == "message":
            tell(self.mount.proc(self.listener, "chat"), f"message {n} of the writer\n")
        else:
            return self.mount.spawn(f"name=child-{self.number}-{n}")
        return n

    def end(self):
        self.process.join(30)
        if self.process.exitcode is None:
            self.process.kill()
            fail(f"round {self.number}: the writer is stuck in a call 30 s after the kill")

    def check(self):
        """Everything noted is there; how many notes there are."""
        noted = {"line": [], "name": [], "message": [], "spawn": []}
        for note in self.notes.read_text(encoding="utf-8").splitlines():
            kind, given = note.split()
            noted[kind].append(int(given))
        lines = read(self.log).splitlines() if noted["line"] else []
        expect_eq(lines[:len(noted["line"])], [f"line {n}" for n in noted["line"]], "the log")
        expect(len(lines) <= len(noted["line"]) + 1, f"the log has too much: {lines[-3:]}")
        last = noted["name"][-1] if noted["name"] else 0
        allowed = [f"name-{last}" if last else f"settings-{self.number}", f"name-{last + 1}"]
        expect(self.mount.get(self.pid, "name").strip() in allowed,
               f"name: saw {self.mount.get(self.pid, 'name')!r}; wanted one of {allowed}")
        said = [int(n) for n in re.findall(r"^message (\d+) of the writer$",
                                           self.mount.get(self.listener, "chat"), re.M)]
        allowed = noted["message"] + [len(noted["message"]) + 1]
        expect(said in (noted["message"], allowed), f"messages: saw the {len(said)} {said[-5:]}; "
               f"wanted the {len(noted['message'])} {noted['message'][-5:]}")
        for pid in noted["spawn"]:
            expect(self.mount.get(pid, "name").startswith(f"child-{self.number}-"), f"pid {pid}")
        return sum(map(len, noted.values())), noted["spawn"]


class Rounds:
    """The mount through all rounds, and what was counted."""

    def __init__(self):
        self.mount = Mount.of("rounds")
        self.random = random.Random(SEED)
        self.pids = set()
        self.notes = self.interrupted = self.unfinished = 0
        self.back = []
        self.length = 0.0
        self.server = model_server.ModelServer(play)

    def start(self):
        self.mount.mount()
        self.mount.script_model("rounds", SCENARIO)
        self.mount.model("http", base_url=self.server.base_url, model="little", backoff_ms=20)
        (self.mount / "workspaces/writer").mkdir()
        begun = time.monotonic()
        pid = self.begin_run(0)
        self.check_answer(pid, "an undisturbed run")
        self.length = time.monotonic() - begun
        self.check_run(pid, 0)

    def begin_run(self, number):
        folder = self.mount / f"workspaces/round-{number}"
        folder.mkdir()
        if number % 2:
            run(["git", "init", "-q", folder])
        model = "http" if number // 2 % 2 else "rounds"
        pid = self.mount.spawn(f"name=agent-{number} model={model} workspace=round-{number}")
        self.add_pid(pid)
        tell(self.mount.proc(pid, "chat"), TASK + "\n")
        return pid

    def check_answer(self, pid, what):
        expect_eq(self.mount.wait(pid).strip().removeprefix("[script] "), ANSWER, what)

    def add_pid(self, pid):
        expect(pid not in self.pids, f"pid {pid} was used before")
        self.pids.add(pid)

    def round(self, number):
        both = number % 2 == 0
        writer = Writer(self.mount, number)
        self.add_pid(writer.pid)
        self.add_pid(writer.listener)
        writer.process.start()
        pid = self.begin_run(number)
        time.sleep(self.random.uniform(0, self.length))
        head = self.mount.head()
        unfinished = self.mount.state_of(pid) != "idle"
        self.kill(both)
        writer.end()
        expect(self.mount.head() >= head, f"the journal went back from {head}")
        self.mount.verify()
        notes, children = writer.check()
        for child in children:
            self.add_pid(child)
        self.check_answer(pid, "the answer")
        self.check_run(pid, number)
        self.notes += notes
        self.unfinished += unfinished

    def kill(self, both):
        """The daemon, or first the watcher that would start it again; and back."""
        daemon = self.mount.daemon()
        watcher = self.mount.watcher()
        begun = time.monotonic()
        if both:
            kill(watcher)
            kill(daemon)
            wait_until(10, lambda: not is_alive(daemon), "the daemon's end")
            self.mount.mount(timeout=BACK_WITHIN)
        else:
            kill(daemon, signal.SIGKILL)
        wait_until(BACK_WITHIN, lambda: self.mount.answers() not in (0, daemon),
                   "a mount that answers")
        self.back.append(time.monotonic() - begun)
        wait_until(5, lambda: self.mount.daemon() == self.mount.answers(), "daemon.pid")

    def check_run(self, pid, number):
        """Ledger and effects agree: nothing ran twice that was not asked for twice."""
        where = f"round {number}, pid {pid}"
        calls = [json.loads(line) for line in read(self.mount.proc(pid, "calls/_all.jsonl")
                                                   ).splitlines()]
        for call in calls:
            expect(call["state"] in ("done", "interrupted", "failed"), f"{where}: {call}")
        self.interrupted += sum(call["state"] == "interrupted" for call in calls)
        folder = self.mount / f"workspaces/round-{number}"
        lines = read(folder / "steps").split()
        for n in STEPS:
            of_step = [call["state"] for call in calls
                       if call["tool"] == "exec" and f"echo {n} " in call["arguments"]]
            expect_eq(of_step.count("done"), 1, f"{where}: step {n} done ({of_step})")
            ran, most = lines.count(str(n)), 1 + of_step.count("interrupted")
            expect(1 <= ran <= most, f"{where}: step {n} ran {ran} times; the ledger: {of_step}")
        failed = [call for call in calls if call["state"] == "failed"]
        redone = [call["tool"] for call in calls if call["state"] == "interrupted"]
        expect(all(call["tool"] == "edit" and "edit" in redone for call in failed),
               f"{where}: failed: {failed}")
        expect_eq(read(folder / "a.txt") + read(folder / "b.txt"), "three\nsix\n", where)
        expect_eq(read(folder / "c.txt"), "three\nsix\n", where)
        errors = self.mount.get(pid, "errors")
        expect("turn commit" not in errors, f"{where}: errors: {errors}")
        self.check_history(pid, number, folder)

    def check_history(self, pid, number, folder):
        place = folder / ".git"
        if number % 2 == 0:
            found = [path for path in (self.mount.state / "git").iterdir()
                     if path.name in (f"round-{number}.git", f"round-{number}")]
            expect(found, f"round {number}: no history in STATE/git")
            place = found[0]
        ref = f"refs/agentfs/turns/{pid}"
        for name, text in (("a.txt", "three\n"), ("b.txt", "six\n"), ("c.txt", "three\nsix\n")):
            expect_eq(run(["git", "--git-dir", place, "show", f"{ref}:{name}"]), text,
                      f"round {number}: {name} in the last commit")


def rounds():
    """Kills, remounts and checks, ROUNDS times."""
    need("git", "bwrap")
    all_rounds = Rounds()
    all_rounds.start()
    for number in range(1, ROUNDS + 1):
        try:
            all_rounds.round(number)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            raise AssertionError(f"round {number} of {ROUNDS}, SEED={SEED}: {error}") from error
    all_rounds.mount.verify()
    all_rounds.mount.umount()
    output = all_rounds.mount.fsck()
    expect("FAIL" not in output, f"fsck: {output}")
    back = sorted(all_rounds.back)
    print(f"{ROUNDS} rounds, {all_rounds.unfinished} in the middle of a run of "
          f"{all_rounds.length:.2f} s: {all_rounds.notes} acknowledged writes found again, "
          f"{all_rounds.interrupted} calls interrupted; back after {back[len(back) // 2]:.2f} s "
          f"(median), {back[-1]:.2f} s (longest)")


main(rounds)
