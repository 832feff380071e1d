#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The tour by a program that has three calls: read a file, write a file, list a directory."""
import json
import os

from lib import MNT, expect, expect_eq, expect_has, main

HOME = f"/home/{os.environ.get('USER') or 'root'}"
pid = ""


# The three calls, as the file tools of an agent have them; paths are those of the mount.
def read_file(path):
    with open(MNT + path, encoding="utf-8") as file:
        return file.read()


def write_file(path, text):
    with open(MNT + path, "w", encoding="utf-8") as file:
        file.write(text)


def list_directory(path):
    return sorted(os.listdir(MNT + path))


def refused(path, text, *pieces):
    try:
        write_file(path, text)
    except OSError as error:
        sentence = read_file("/proc/self/errors").splitlines()[-1]
        for piece in pieces:
            expect_has(sentence, piece, f"the sentence about {path}")
        return error.errno
    raise AssertionError(f"{path}: took {text!r}")


def looks_around():
    global HOME
    expect_eq(list_directory("/"), ["README", "dev", "etc", "home", "proc", "src", "sys", "tmp",
                                    "workspaces"], "the root")
    for directory in ("", "/proc", "/sys", "/dev", "/etc", "/dev/local", "/sys/kernel"):
        first = read_file(directory + "/README").splitlines()[0]
        expect(first.startswith(f"{directory or '/'}: "), f"{directory}/README begins with {first}")
    HOME = "/home/" + list_directory("/home")[0]


def makes_a_directory():
    """Only a command makes one."""
    write_file("/dev/local/exec", "mkdir project context.d")
    expect_has(read_file("/dev/local/exec"), "# exit=0", "reply of mkdir")
    expect_eq(list_directory(HOME), ["context.d", "project"])
    write_file(HOME + "/context.d/style.md", "Speak plainly.\n")


def makes_a_model():
    write_file(HOME + "/play.json", json.dumps({"tasks": [{"match": "*", "steps": [
        {"text": "I look.", "calls": [{"name": "list", "arguments": {"path": "."}}]},
        {"text": "I write.", "calls": [
            {"name": "write", "arguments": {"path": "hello.txt", "text": "hello\n"}},
            {"name": "exec", "arguments": {"command": "wc -c hello.txt"}}]},
        {"text": "It is there: {{result:3}}."}]}]}))
    refused("/etc/models/player.toml", "driver = 3", "EBADMSG", "/etc/models/player.toml",
            "driver")
    expect("player" not in list_directory("/dev/llm"), "a refused model is a device")
    write_file("/etc/models/player.toml", f'driver = "script"\nscenario = "{HOME}/play.json"')
    expect("player" in list_directory("/dev/llm"), "the model is no device")
    expect_has(read_file("/dev/llm/player/info"), '"driver": "script"')


def asks_the_model():
    write_file("/dev/llm/player/chat", "say something")
    expect_has(read_file("/dev/llm/player/chat"), "I look.", "the model's reply")


def spawns():
    global pid
    refused("/proc/clone", "name=guide model=plaier", "ENOENT", "plaier", "player")
    write_file("/proc/clone", f"name=guide model=player cwd={HOME}/project limits=turns=20")
    pid = "/proc/" + read_file("/proc/clone").strip()
    expect_eq(read_file(pid + "/name"), "guide\n")
    expect_eq(read_file(pid + "/state"), "idle\n")


def talks_and_waits():
    write_file(pid + "/chat", "write hello.txt")
    expect_has(read_file(pid + "/wait"), "It is there: 6 hello.txt", "the answer")
    expect_eq(read_file(HOME + "/project/hello.txt"), "hello\n")
    chat = read_file(pid + "/chat")
    for piece in ("write hello.txt", "I look.", "It is there"):
        expect_has(chat, piece, "the conversation")


def reads_what_happened():
    expect_has(read_file(pid + "/status"), "guide")
    expect_has(read_file(pid + "/usage"), "turns", "usage")
    expect_has(read_file(pid + "/context"), "Speak plainly.", "the context")
    expect_has(read_file(pid + "/context.why"), "style.md", "the reasons of the context")
    for line in read_file(pid + "/events.jsonl").splitlines():
        json.loads(line)
    expect_eq([name for name in list_directory(pid + "/calls") if name.isdigit()], ["1", "2", "3"])
    expect_has(read_file(pid + "/calls/3/result"), "6 hello.txt", "result of the third call")
    expect_has(read_file(pid + "/calls/2/request"), "hello.txt", "request of the second call")
    expect_eq(len(read_file(pid + "/calls/_all.jsonl").splitlines()), 3, "lines of the ledger")
    expect(len(list_directory(pid + "/messages")) > 3, "messages")


def settings():
    write_file(pid + "/name", "renamed")
    expect_eq(read_file(pid + "/name"), "renamed\n")
    write_file(pid + "/limits", "turns=30,calls=50\n")
    expect_has(read_file(pid + "/limits"), "calls=50")
    refused(pid + "/priority", "high", "EINVAL", "high")
    write_file(pid + "/ctl", "nice 5")
    expect_eq(read_file(pid + "/priority"), "5\n")
    refused(pid + "/ctl", "nise 5", "EINVAL", "nise", "nice")


def writes_back_what_it_read():
    """As an editor of whole files does."""
    head = read_file("/sys/journal/head")
    for path in (pid + "/ctl", pid + "/chat", "/proc/clone", "/dev/local/exec",
                 "/etc/models/player.toml"):
        write_file(path, read_file(path))
    expect_eq(read_file("/sys/journal/head").split()[0], head.split()[0], "records written")
    for path in (pid + "/name", pid + "/limits", pid + "/priority"):
        before = read_file(path)
        write_file(path, before)
        expect_eq(read_file(path), before, path)


def edits_a_document():
    text = read_file("/etc/models/player.toml")
    write_file("/etc/models/player.toml", text + "\ncontext_tokens = 9000\n")
    expect_has(read_file("/dev/llm/player/info"), "9000")


def adds_context():
    write_file(pid + "/context.d/tone.md", "Be brief.")
    expect_has(read_file(pid + "/context"), "Be brief.")
    expect_has(list_directory(pid + "/context.d"), "tone.md")


def kills_and_reaps():
    write_file(pid + "/ctl", "kill")
    expect_eq(read_file(pid + "/state"), "dead\n")
    expect_has(read_file(pid + "/wait"), "kill", "the exit reason")
    expect_has(read_file(pid + "/chat"), "It is there", "chat of a dead process")
    refused(pid + "/chat", "are you there", "ESRCH")
    write_file(pid + "/ctl", "reap")
    expect(pid.rsplit("/", 1)[1] not in list_directory("/proc"), "the process is still listed")
    expect_has(read_file("/sys/journal/verify"), "ok ")


main(looks_around, makes_a_directory, makes_a_model, asks_the_model, spawns, talks_and_waits,
     reads_what_happened, settings, writes_back_what_it_read, edits_a_document, adds_context,
     kills_and_reaps)
