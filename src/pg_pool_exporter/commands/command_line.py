"""From the command line and the environment to the options.

A flag wins over its environment variable. An empty variable counts as unset; not that of the one
server's DSN: nothing would be watched. No message repeats a value: it can be a password.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any, NoReturn

from pg_pool_exporter import __version__
from pg_pool_exporter.commands.options import (
    COMMANDS,
    CONFIGURED,
    DEFAULT_COMMAND,
    DSN_VARIABLE,
    FLAGS,
    PREFIX,
    PROGRAM,
    Flag,
    Options,
    UsageError,
    boolean,
)

_PARSERS_OWN = ("--help", "-h", "--version")
# Flags of doctor that need targets to watch.
_WATCHING = ("config_file", "socket_dir", "shard", "duration", "web_runbook_url")
# Variables that applications set for the client, on hosts where both run.
_CLIENT_VARIABLES = {f"{PREFIX}{name}" for name in ("APP", "SERVER", "LEAK_AFTER", "SOCKET_DIR")}
# Kubernetes sets these in every pod when a service is called pg-pool-exporter.
_KUBERNETES_SERVICE = re.compile(
    rf"{PREFIX}(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """The options from `arguments` (without the program's name) and the environment.

    Raises `UsageError`; `--help` and `--version` print and raise `SystemExit`.
    """
    named, rest = _split(arguments)
    command = named or DEFAULT_COMMAND
    _check_flags(rest, command)
    values: dict[str, Any] = vars(_parser(named).parse_args(rest))
    values = _useful(values, _from_environment(command, environ)) | values
    for flag in _flags_of(command):
        if flag.repeatable and flag.option in values:
            values[flag.option] = tuple(values[flag.option])
    dsn = environ.get(DSN_VARIABLE)
    if command in CONFIGURED and "url" not in values:
        if dsn and "config_file" in values:
            raise UsageError(
                f"{DSN_VARIABLE} and --config.file are both set: leave one of them out, or put "
                "the server into the file"
            )
        if dsn is not None and "config_file" not in values:
            values["dsn"] = dsn
    _check_together(command, values)
    return Options(command=command, **values)


def unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each variable with our prefix that nothing reads: most likely misspelt."""
    known = (
        {flag.variable for flag in FLAGS if flag.in_environment}
        | _CLIENT_VARIABLES
        | {DSN_VARIABLE}
    )
    for name in sorted(environ):
        if (
            name.startswith(PREFIX)
            and name not in known
            and not _KUBERNETES_SERVICE.fullmatch(name)
        ):
            yield f"{name} is an unknown variable{_nearest(name, known, PREFIX)}"


def _flags_of(command: str) -> list[Flag]:
    return [flag for flag in FLAGS if command in flag.commands]


def _split(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command, if one is named, and the other arguments. Flags may come before it."""
    with_value = {flag.spelt for flag in FLAGS if flag.placeholder}
    known = {*_PARSERS_OWN, *(flag.spelt for flag in FLAGS)}
    words: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if not argument.startswith("-") or argument == "-":
            words.append(argument)
            continue
        name = argument.partition("=")[0]
        if name not in known:
            # After a single dash a value can follow directly: never repeat it.
            shown = name if name.startswith("--") else "with one dash"
            raise UsageError(f"unknown flag {shown}{_nearest(name, known - {'-h'}, '--')}")
        rest.append(argument)
        if argument in with_value:
            rest += islice(remaining, 1)
    if words[:1] == ["explain"] and len(words) == 2:
        rest += ["--page", words.pop()]
    if len(words) > 1:
        raise UsageError("more than one command (a file is named by its flag: --config.file=FILE)")
    if words and words[0] not in COMMANDS:
        hint = _nearest(words[0], COMMANDS)
        raise UsageError(f"unknown command{hint} (commands: {', '.join(COMMANDS)})")
    return words[0] if words else None, rest


def _check_flags(arguments: Iterable[str], command: str) -> None:
    """Raise `UsageError` for a flag of other commands only."""
    others = {flag.spelt for flag in FLAGS} - {flag.spelt for flag in _flags_of(command)}
    for argument in arguments:
        name = argument.partition("=")[0]
        if name in others:
            raise UsageError(f"{name} is not a flag of {command}")


def _check_together(command: str, values: Mapping[str, Any]) -> None:
    """Raise `UsageError` for flags that are missing, or that contradict each other."""
    if "url" in values:
        for flag in _flags_of(command):
            if flag.option in _WATCHING and flag.option in values:
                raise UsageError(
                    f"--url asks an exporter, so {flag.spelt} has no use: leave out one of them"
                )
    if command == "explain" and not values.get("page"):
        raise UsageError("explain needs the address of a page, or - for standard input")
    if values.get("web_systemd_socket") and "web_listen_address" in values:
        raise UsageError(
            "--web.systemd-socket and --web.listen-address are both set: leave out one of them"
        )
    if command == "terminate-idle":
        options = ("server", "older_than")
        missing = [f"--{one.replace('_', '-')}" for one in options if not values.get(one)]
        if "application" not in values and "pid" not in values:
            missing.append("either --application or --pid")
        if missing:
            raise UsageError(f"terminate-idle needs {', '.join(missing)}")
        if "application" in values and "pid" in values:
            raise UsageError("--application and --pid: leave out one of them")
        if values.get("application") == "":
            # Most likely an unset variable of a script.
            raise UsageError(
                "--application is empty, which would mean all sessions without a name: name one, "
                "or use --pid"
            )


def _useful(given: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables without those that the given flags make useless.

    `doctor` asks an exporter or watches targets: flags decide, then the variable of the URL.
    """
    useless: tuple[str, ...] = ()
    if any(option in given for option in _WATCHING):
        useless = ("url",)
    elif "url" in given or "url" in variables:
        useless = _WATCHING
    return {option: value for option, value in variables.items() if option not in useless}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse repeats the value given to a flag that takes none.
        raise UsageError(re.sub(r" '.*'$", " (it takes none)", message))


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of one command's flags; its help is the overview when no command is named."""
    flags = _flags_of(command or DEFAULT_COMMAND)
    notes = []
    if command is None:
        usage = f"{PROGRAM} [COMMAND] [FLAG ...]"
        listed = "".join(f"  {name:<16}{one.summary}\n" for name, one in COMMANDS.items())
        description = f"Prometheus exporter for PostgreSQL connection pools.\n\ncommands:\n{listed}"
        title = f"flags of {DEFAULT_COMMAND}"
        notes.append(f"{PROGRAM} COMMAND --help shows the flags of another command.")
    else:
        words = " URL" if command == "explain" else ""
        usage = f"{PROGRAM} {command}{words}{' [FLAG ...]' if flags else ''}"
        summary, details = COMMANDS[command]
        description = f"{summary[0].upper()}{summary[1:]}.\n{details}"
        title = "flags"
    if (command or DEFAULT_COMMAND) in CONFIGURED:
        notes.append(f"Without --config.file, {DSN_VARIABLE} names the one server to poll.")
    if any(flag.in_environment for flag in flags):
        notes.append("The environment variable in brackets sets the same as the flag.")
    parser = _Parser(
        prog=PROGRAM,
        usage=usage,
        description=description,
        epilog="\n".join(notes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    group = parser.add_argument_group(title)
    for flag in flags:
        text = f"{flag.help} [{flag.variable}]" if flag.in_environment else flag.help
        if flag.parse is boolean:
            group.add_argument(flag.spelt, dest=flag.option, action="store_true", help=text)
        else:
            group.add_argument(
                flag.spelt,
                dest=flag.option,
                type=_for_argparse(flag.parse),
                action="append" if flag.repeatable else "store",
                metavar=flag.placeholder,
                help=text,
            )
    return parser


def _for_argparse(parse: Callable[[str], object]) -> Callable[[str], object]:
    # argparse would repeat the value after a plain ValueError.
    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _from_environment(command: str, environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for flag in _flags_of(command):
        text = environ.get(flag.variable)
        if not text or not flag.in_environment:
            continue
        try:
            if flag.repeatable:
                values[flag.option] = [flag.parse(part.strip()) for part in text.split(",")]
            else:
                values[flag.option] = flag.parse(text)
        except ValueError as error:
            mistakes.append(f"{flag.variable}: {error}")
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return values


def _nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A hint at the nearest known name. The common prefix is not compared."""
    rests = [one.removeprefix(prefix) for one in known]
    near = get_close_matches(name.removeprefix(prefix), rests, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
