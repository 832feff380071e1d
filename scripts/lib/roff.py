# SPDX-License-Identifier: MIT
"""Man page source for the rows of the tree, the system calls and the command line."""
import re


def escaped(text):
    """Text for a filled line: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return "\\&" + text if text.startswith(".") else text


def prose(text):
    """A doc sentence: hyphens stay hyphens."""
    text = text.replace("\\", "\\e").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    text = re.sub(r"(?<!\w)--?(?=\w)", lambda m: m[0].replace("-", "\\-"), text)
    return "\\&" + text if text.startswith((".", "'")) else text


def with_placeholders(text):
    """/proc/<pid> with <pid> in italics, between bold."""
    parts = re.split(r"<([^<>]+)>", text)
    return "".join(f"\\fI{escaped(part)}\\fP" if number % 2 else f"\\fB{escaped(part)}\\fP"
                   for number, part in enumerate(parts) if part)


def syntax(text):
    """nice N: words in capitals are placeholders, in italics."""
    return " ".join(f"\\fI{escaped(word)}\\fP" if re.search(r"[A-Z]", word) and
                    not re.search(r"[a-z]", word) else f"\\fB{escaped(word)}\\fP"
                    for word in text.split())


def file_lines(row):
    words = [row["kind"], escaped(row["mode"])]
    if row.get("private"):
        words.append("its owner's alone where others use the mount")
    if not row.get("listed", True):
        words.append("unlisted")
    lines = [".TP", f"{with_placeholders(row['name'])} ({', '.join(words)})", prose(row["doc"])]
    verbs = row.get("verbs") or []
    if verbs:
        lines.append(".RS")
        for verb in verbs:
            lines += [".TP", syntax(verb["syntax"]), prose(verb["doc"])]
        lines.append(".RE")
    return lines


def directories(rows):
    lines = []
    for row in rows:
        lines += [f".SS \"{with_placeholders(row['path'])}\"", prose(row["doc"])]
        for file in row.get("files", []):
            lines += file_lines(file)
    return lines


def syscalls(rows):
    lines = []
    for row in rows:
        effect = f" (effect: {escaped(row['effect'])})" if row.get("effect") else ""
        lines += [".TP", f"\\fB{escaped(row['name'])}\\fP{effect}", prose(row["doc"])]
        if row.get("fields"):
            lines.append(".RS")
            for field in row["fields"]:
                kind = escaped(field["type"]) + ("" if field.get("required", True) else ", optional")
                lines += [".TP", f"\\fI{escaped(field['name'])}\\fP ({kind})", prose(field["doc"])]
            lines.append(".RE")
    return lines


def settings(rows):
    lines = []
    for row in rows:
        standard = f", {escaped(row['default'])}" if row.get("default") else ""
        lines += [".TP", f"\\fB{escaped(row['key'])}\\fP ({escaped(row['type'])}{standard})",
                  prose(row["doc"])]
    return lines


def option_lines(option):
    names = f"\\fB{escaped(option.short)}\\fP, " if option.short else ""
    names += f"\\fB{escaped(option.name)}\\fP"
    names += f" \\fI{escaped(option.argument)}\\fP" if option.argument else ""
    return [".TP", names, prose(option.doc or "\\&")]


def synopsis(found):
    """A line for each subcommand."""
    lines = []
    for command in found[1:]:
        words = [f"\\fBagentfs {escaped(command.name)}\\fP"]
        for option in command.options:
            argument = f" \\fI{escaped(option.argument)}\\fP" if option.argument else ""
            if option.name != "--help":
                words.append(f"[\\fB{escaped(option.name)}\\fP{argument}]")
        words += [f"\\fI{escaped(p.name.upper())}\\fP" for p in command.positionals]
        lines.append(" ".join(words))
    return lines


def commands(found):
    """The program's own options, then each subcommand with its arguments and options."""
    lines = []
    for command in found:
        if command.name:
            words = "".join(f" \\fI{escaped(p.name.upper())}\\fP" for p in command.positionals)
            lines += [f".SS \"\\fBagentfs {escaped(command.name)}\\fP [options]{words}\"",
                      prose(command.doc)]
        for positional in command.positionals if command.name else []:
            lines += [".TP", f"\\fI{escaped(positional.name.upper())}\\fP", prose(positional.doc)]
        for option in command.options:
            if option.name != "--help" or not command.name:
                lines += option_lines(option)
    return lines
