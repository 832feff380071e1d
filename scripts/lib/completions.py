# SPDX-License-Identifier: MIT
"""Completions of bash, zsh and fish for a command line."""
import re

HEAD = "SPDX-License-Identifier: MIT\n# Written by scripts/gen-docs from `agentfs --help`.\n"


def kind_of(entry):
    """What may stand for an argument: a directory, a file or a word of its own."""
    name = (entry.argument or entry.name).upper()
    if re.search(r"DIR|MOUNT|STATE|PATH", name):
        return "directory"
    return "file" if "FILE" in name else "word"


def flags(command):
    return [name for option in command.options for name in (option.short, option.name) if name]


def bash(commands):
    program, subcommands = commands[0], commands[1:]
    lines = [f"# shellcheck shell=bash\n# {HEAD}_agentfs() {{",
             "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=",
             "  local index",
             "  COMPREPLY=()",
             "  for ((index = 1; index < COMP_CWORD; ++index)); do",
             "    case ${COMP_WORDS[index]} in",
             f"      {' | '.join(c.name for c in subcommands)})",
             "        command=${COMP_WORDS[index]}",
             "        break",
             "        ;;",
             "    esac",
             "  done",
             "  case $command:$previous in"]
    for command in commands:
        for option in filter(lambda option: option.argument, command.options):
            names = [n for n in (option.short, option.name) if n]
            lines.append(f"    {' | '.join(f'{command.name}:{n}' for n in names)})")
            if kind_of(option) != "word":
                how = "-d" if kind_of(option) == "directory" else "-f"
                lines.append(f'      mapfile -t COMPREPLY < <(compgen {how} -- "$word")')
            lines += ["      return", "      ;;"]
    lines += ["  esac", "  case $command in"]
    for command in subcommands:
        lines += [f"    {command.name})",
                  f"      mapfile -t COMPREPLY < <(compgen -W '{' '.join(flags(command))}'"
                  ' -- "$word")']
        if any(kind_of(p) != "word" for p in command.positionals):
            lines.append('      [[ $word == -* ]] || mapfile -t COMPREPLY < <(compgen -d -- "$word")')
        lines.append("      ;;")
    words = [*(c.name for c in subcommands), *flags(program)]
    lines += ["    *)",
              f"      mapfile -t COMPREPLY < <(compgen -W '{' '.join(words)}' -- \"$word\")",
              "      ;;", "  esac", "}", "complete -o filenames -F _agentfs agentfs", ""]
    return "\n".join(lines)


def zsh_text(text):
    return re.sub(r"([\[\]:'\\])", lambda m: "'\\''" if m[1] == "'" else "\\" + m[1], text)


def zsh_arguments(command):
    action = {"directory": "_directories", "file": "_files", "word": " "}
    for option in command.options:
        suffix = f":{zsh_text(option.argument)}:{action[kind_of(option)]}" if option.argument else ""
        for name in filter(None, (option.short, option.name)):
            yield f"'{name}[{zsh_text(option.doc)}]{suffix}'"
    for number, positional in enumerate(command.positionals, 1):
        yield f"'{number}:{zsh_text(positional.name)}:{action[kind_of(positional)]}'"


def zsh(commands):
    program, subcommands = commands[0], commands[1:]
    top = list(zsh_arguments(program))
    lines = [f"#compdef agentfs\n# {HEAD}_agentfs() {{",
             "  local context state line", "  typeset -A opt_args",
             "  _arguments -C \\", *(f"    {word} \\" for word in top if word[1] == "-"),
             "    '1: :->command' \\", "    '*:: :->arguments'",
             "  case $state in", "    command)", "      local -a commands=("]
    lines += [f"        '{c.name}:{zsh_text(c.doc)}'" for c in subcommands]
    lines += ["      )", "      _describe command commands", "      ;;", "    arguments)",
              "      case $words[1] in"]
    for command in subcommands:
        words = " \\\n            ".join(zsh_arguments(command))
        lines += [f"        {command.name})", f"          _arguments \\\n            {words}",
                  "          ;;"]
    return "\n".join([*lines, "      esac", "      ;;", "  esac", "}", '_agentfs "$@"', ""])


def fish_text(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_option(condition, option):
    words = ["complete -c agentfs", condition]
    if option.short:
        words.append(f"-s {option.short[1:]}")
    words.append(f"-l {option.name[2:]}" if option.name.startswith("--") else f"-s {option.name[1:]}")
    if option.argument:
        arguments = {"directory": " -xa '(__fish_complete_directories)'", "file": " -rF",
                     "word": " -x"}
        words.append(arguments[kind_of(option)].strip())
    if option.doc:
        words.append(f"-d {fish_text(option.doc)}")
    return " ".join(filter(None, words))


def fish(commands):
    lines = [f"# {HEAD}complete -c agentfs -f"]
    lines += [fish_option("-n __fish_use_subcommand", option) for option in commands[0].options]
    for command in commands[1:]:
        lines.append(f"complete -c agentfs -n __fish_use_subcommand -a {command.name} "
                     f"-d {fish_text(command.doc)}")
        inside = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += [fish_option(inside, option) for option in command.options]
        if any(kind_of(p) == "directory" for p in command.positionals):
            lines.append(f"complete -c agentfs {inside} -a '(__fish_complete_directories)'")
    return "\n".join([*lines, ""])


def generate(commands):
    """File name: text."""
    return {"agentfs.bash": bash(commands), "_agentfs": zsh(commands),
            "agentfs.fish": fish(commands)}
