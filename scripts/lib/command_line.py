# SPDX-License-Identifier: MIT
"""Reads a program's options and subcommands from its --help, as CLI11 prints it."""
import dataclasses
import re

HEADING = re.compile(r"^(\[?[A-Za-z][\w\- ]*\]?):$")
OPTION = re.compile(r"^  ((?:-\w,)?--[\w-]+|-\w)((?: (?!  )\S+)*)(?:\s{2,}(.*))?$")
SUBCOMMAND = re.compile(r"^  ([a-z][\w-]*)(?:\s{2,}(.*))?$")


@dataclasses.dataclass
class Entry:
    name: str               # "mount", "--state", "-o", "MOUNTPOINT"
    argument: str = ""      # "DIR"
    doc: str = ""
    short: str = ""         # "-f" of "-f,--foreground"


@dataclasses.dataclass
class Command:
    name: str
    doc: str
    options: list
    positionals: list


def sections(text):
    """Heading in lower case: its entry lines, continuation lines joined to what they continue."""
    found, current = {}, None
    for line in text.splitlines():
        heading = HEADING.match(line)
        if heading:
            current = found.setdefault(heading[1].lower(), [])
        elif current is not None and re.match(r"^  \S", line):
            current.append(line)
        elif current and re.match(r"^ {3,}\S", line):
            has_doc = re.search(r"\S\s{2,}\S", current[-1])
            current[-1] += (" " if has_doc else "  ") + line.strip()
    return found


def entries(lines, pattern):
    for line in lines:
        match = pattern.match(line)
        if match:
            yield match


def options_of(parts):
    found = []
    for match in entries(parts.get("options", []), OPTION):
        names = match[1].split(",")
        argument = re.sub(r"\s*(\.\.\.|REQUIRED|\[.*?\]|Excludes:.*|Needs:.*)", "", match[2] or "")
        found.append(Entry(names[-1], argument.strip(), (match[3] or "").strip(),
                           names[0] if len(names) > 1 else ""))
    return found


def positionals_of(parts):
    found = []
    for line in parts.get("positionals", []):
        words = re.split(r"\s{2,}", line.strip(), maxsplit=1)
        found.append(Entry(words[0].split()[0], "", words[1] if len(words) > 1 else ""))
    return found


def one(name, text, doc=""):
    parts = sections(text)
    return Command(name, doc, options_of(parts), positionals_of(parts))


def read(run):
    """The program itself first, then each subcommand. `run(*words)` gives what it prints."""
    text = run("--help")
    parts = sections(text)
    found = [one("", text)]
    for match in entries(parts.get("subcommands", []), SUBCOMMAND):
        found.append(one(match[1], run(match[1], "--help"), (match[2] or "").strip()))
    return found
