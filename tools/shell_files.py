"""Writes the man page and the shell completions from the commands and flags of `--help`.

python tools/shell_files.py
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pg_pool_exporter import __version__
from pg_pool_exporter.commands.options import (
    COMMANDS,
    CONFIGURED,
    DEFAULT_COMMAND,
    DSN_VARIABLE,
    FLAGS,
    PROGRAM,
    Flag,
    OneOf,
)

FOLDER = Path(__file__).parents[1] / "deploy/shell"
_OWN = {"--help": "print the help", "--version": "print the version"}


def _flags(command: str) -> list[Flag]:
    return [flag for flag in FLAGS if command in flag.commands]


def manual() -> str:
    """The page for section 1 of the manual, in man(7)'s macros."""
    lines = [
        f'.TH PG\\-POOL\\-EXPORTER 1 "" "{PROGRAM} {__version__}" "User commands"',
        ".SH NAME",
        f"{_roff(PROGRAM)} \\- Prometheus exporter for PostgreSQL connection pools",
        ".SH SYNOPSIS",
        f".B {_roff(PROGRAM)}",
        "[\\fICOMMAND\\fR] [\\fIFLAG\\fR ...]",
        ".SH DESCRIPTION",
        "Polls PostgreSQL, PgBouncer and the connection pools of applications, and serves one set",
        "of metrics.",
        f"Without a command it is \\fB{DEFAULT_COMMAND}\\fR.",
        "Each flag with a name in brackets is also that environment variable; the flag wins.",
        ".SH COMMANDS",
    ]
    for name, command in COMMANDS.items():
        lines += [f'.SS "{_roff(name)}"', f"{_roff(_sentence(command.summary))}"]
        lines += [_roff(line) for line in command.details.splitlines()]
        for flag in _flags(name):
            value = f"=\\fI{_roff(flag.placeholder)}\\fR" if flag.placeholder else ""
            variable = f" [{flag.variable}]" if flag.in_environment else ""
            lines += [".TP", f"\\fB{_roff(flag.spelt)}\\fR{value}", _roff(flag.help + variable)]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        f".B {DSN_VARIABLE}",
        _roff(
            "connection string of the one server to poll, where there is no --config.file; for "
            + ", ".join(name for name in COMMANDS if name in CONFIGURED)
        ),
        ".SH EXIT STATUS",
        ".TP",
        ".B 0",
        "done",
        ".TP",
        ".B 1",
        "failed",
        ".TP",
        ".B 2",
        "the command line, the environment or the configuration is wrong, or a package is missing",
        ".TP",
        ".B 130",
        "interrupted",
    ]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def bash() -> str:
    """Completion for bash: commands, the flags of the named one, and their values."""
    cases = "\n".join(
        f"        {name}) flags='{' '.join(_spellings(name))}' ;;" for name in COMMANDS
    )
    values = "\n".join(
        f'        {flag.spelt}) COMPREPLY=($(compgen {_compgen(flag)} -- "$value")) ;;'
        for flag in _distinct()
        if _compgen(flag)
    )
    names = " ".join(COMMANDS)
    return f"""\
# Completion for bash. Written by tools/shell_files.py.
_pg_pool_exporter() {{
    local command={DEFAULT_COMMAND} word flags flag='' value=${{COMP_WORDS[COMP_CWORD]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in
        {"|".join(COMMANDS)}) command=$word ;;
        esac
    done
    # Bash splits words at =, so that a value stands alone after its flag.
    if [[ $value == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD - 1]}} value=''
    elif [[ ${{COMP_WORDS[COMP_CWORD - 1]}} == = ]]; then
        flag=${{COMP_WORDS[COMP_CWORD - 2]}}
    elif [[ ${{COMP_WORDS[COMP_CWORD - 1]}} == --* && $value != -* ]]; then
        flag=${{COMP_WORDS[COMP_CWORD - 1]}}
    fi
    if [[ -n $flag ]]; then
        case $flag in
{values}
        esac
        [[ ${{#COMPREPLY[@]}} -eq 0 ]] || return
    fi
    if [[ $value != -* ]]; then
        COMPREPLY=($(compgen -W '{names}' -- "$value"))
    else
        case $command in
{cases}
        esac
        COMPREPLY=($(compgen -W "$flags" -- "$value"))
    fi
}}
complete -F _pg_pool_exporter {PROGRAM}
"""


def _spellings(command: str) -> list[str]:
    return [*(flag.spelt + ("=" if flag.placeholder else "") for flag in _flags(command)), *_OWN]


def _distinct() -> Iterable[Flag]:
    return {flag.name: flag for flag in FLAGS}.values()


def _compgen(flag: Flag) -> str:
    if isinstance(flag.parse, OneOf):
        return f"-W '{' '.join(flag.parse.allowed)}'"
    return {"FILE": "-f", "DIRECTORY": "-d"}.get(flag.placeholder, "")


def zsh() -> str:
    """Completion for zsh."""
    described = "\n".join(
        f"        {_quoted(f'{name}:{one.summary}')}" for name, one in COMMANDS.items()
    )
    cases = "\n".join(
        f"        {name})\n            _arguments \\\n{_zsh_flags(name)}\n            ;;"
        for name in COMMANDS
    )
    return f"""\
#compdef {PROGRAM}
# Completion for zsh. Written by tools/shell_files.py.
_pg_pool_exporter() {{
    local command={DEFAULT_COMMAND} word
    local -a commands=(
{described}
    )
    for word in ${{words[2,CURRENT-1]}}; do
        [[ $word == ({"|".join(COMMANDS)}) ]] && command=$word
    done
    if [[ ${{words[CURRENT]}} != -* ]]; then
        _describe command commands
    fi
    case $command in
{cases}
    esac
}}
_pg_pool_exporter "$@"
"""


def _zsh_flags(command: str) -> str:
    lines = []
    for flag in _flags(command):
        repeated = "*" if flag.repeatable else ""
        value = f"=:{flag.placeholder}:{_zsh_values(flag)}" if flag.placeholder else ""
        shown = re.sub(r"([\[\]:])", r"\\\1", flag.help)
        # The brackets of the description come before the value.
        equals, rest = (value[:1], value[1:]) if value else ("", "")
        lines.append(_quoted(f"{repeated}{flag.spelt}{equals}[{shown}]{rest}"))
    lines += [_quoted(f"{flag}[{text}]") for flag, text in _OWN.items()]
    lines.append("'*::'")
    return " \\\n".join(f"                {line}" for line in lines)


def _zsh_values(flag: Flag) -> str:
    if isinstance(flag.parse, OneOf):
        return f"({' '.join(flag.parse.allowed)})"
    return {"FILE": "_files", "DIRECTORY": "_files -/"}.get(flag.placeholder, "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def fish() -> str:
    """Completion for fish."""
    names = " ".join(COMMANDS)
    nothing = f"not __fish_seen_subcommand_from {names}"
    lines = [
        "# Completion for fish. Written by tools/shell_files.py.",
        f"complete -c {PROGRAM} -f",
    ]
    lines += [
        f"complete -c {PROGRAM} -n {_fish(nothing)} -a {name} -d {_fish(one.summary)}"
        for name, one in COMMANDS.items()
    ]
    for name in COMMANDS:
        seen = f"__fish_seen_subcommand_from {name}"
        where = f"{nothing}; or {seen}" if name == DEFAULT_COMMAND else seen
        for flag in _flags(name):
            value = ""
            if isinstance(flag.parse, OneOf):
                value = f" -x -a {_fish(' '.join(flag.parse.allowed))}"
            elif flag.placeholder == "FILE":
                value = " -r -F"
            elif flag.placeholder == "DIRECTORY":
                value = " -x -a '(__fish_complete_directories)'"
            elif flag.placeholder:
                value = " -x"
            lines.append(
                f"complete -c {PROGRAM} -n {_fish(where)} -l {flag.name}{value}"
                f" -d {_fish(flag.help)}"
            )
    lines += [
        f"complete -c {PROGRAM} -l {flag.removeprefix('--')} -d {_fish(text)}"
        for flag, text in _OWN.items()
    ]
    return "\n".join(lines) + "\n"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


FILES: dict[str, Callable[[], str]] = {
    "pg-pool-exporter.1": manual,
    "pg-pool-exporter.bash": bash,
    "_pg-pool-exporter": zsh,
    "pg-pool-exporter.fish": fish,
}

if __name__ == "__main__":
    for file, text in FILES.items():
        (FOLDER / file).write_text(text())
