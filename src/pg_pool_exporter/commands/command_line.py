"""From the command line and the environment to the options.

A flag on the command line wins over its variable. A variable that is set to nothing is as good as
unset. Messages never repeat a value that is not understood: it can be a password.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from pg_pool_exporter import __version__
from pg_pool_exporter.commands.flags import COMMANDS, CONFIGURED, FLAGS, PREFIX, Options, boolean
from pg_pool_exporter.config import DSN_VARIABLE

PROGRAM = "pg-pool-exporter"
# Flags of doctor that have a use only where it watches by itself.
_WATCHING = [flag for flag in FLAGS if flag.option in ("config_file", "socket_dir", "duration")]
# Variables that applications set for the client, on hosts where both run.
_CLIENT_VARIABLES = {f"{PREFIX}{name}" for name in ("APP", "SERVER", "LEAK_AFTER", "SOCKET_DIR")}
# What Kubernetes sets in every pod for a service that is called pg-pool-exporter.
_KUBERNETES_SERVICE = re.compile(
    rf"{PREFIX}(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class UsageError(Exception):
    """A command line or an environment that can't be understood; the message has no secret."""


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Options:
    """The options that `arguments` (without the program's name) and the environment give.

    Raises `UsageError`; `--help` and `--version` print and raise `SystemExit`.
    """
    given, rest = _parser().parse_known_args(arguments)
    command = _command(rest)
    values: dict[str, Any] = vars(given)
    for flag in FLAGS:
        if flag.option in values and command not in flag.commands:
            raise UsageError(f"{flag.spelt} is no flag of {command}")
    values = _without_idle(values, _from_environment(command, environ)) | values
    for flag in FLAGS:
        if flag.repeatable and flag.option in values:
            values[flag.option] = tuple(values[flag.option])
    dsn = environ.get(DSN_VARIABLE)
    if dsn and command in CONFIGURED and "url" not in values:
        if "config_file" in values:
            raise UsageError(
                f"{DSN_VARIABLE} and --config.file are both set: leave one of them out, or put "
                "the server into the file"
            )
        values["dsn"] = dsn
    _check_together(command, values)
    return Options(command=command, **values)


def _check_together(command: str, values: Mapping[str, Any]) -> None:
    """Raises `UsageError` for flags that are missing, or that contradict each other."""
    if "url" in values:
        for flag in _WATCHING:
            if flag.option in values:
                raise UsageError(
                    f"--url asks a daemon, so {flag.spelt} has no use: leave out one of them"
                )
    if command == "terminate-idle":
        for option in ("server", "older_than"):
            if not values.get(option):
                raise UsageError(f"terminate-idle needs --{option.replace('_', '-')}")
        if "application" not in values and "pid" not in values:
            raise UsageError("terminate-idle needs --application or --pid: never all sessions")
        if "application" in values and "pid" in values:
            raise UsageError("--application and --pid: leave out one of them")
        if values.get("application") == "":
            # Most likely a variable of a script that is not set.
            raise UsageError(
                "--application is empty, which would mean all sessions without a name: name one, "
                "or take --pid"
            )


def _without_idle(given: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the variables that have a use beside the flags that are given.

    `doctor` asks a daemon or watches by itself: what is given decides, then the daemon's address.
    """
    idle: set[str] = set()
    if any(flag.option in given for flag in _WATCHING):
        idle = {"url"}
    elif "url" in given or "url" in variables:
        idle = {flag.option for flag in _WATCHING}
    return {option: value for option, value in variables.items() if option not in idle}


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse repeats a value that a flag doesn't take.
        raise UsageError(re.sub(r" '.*'$", " (it takes none)", message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [COMMAND] [FLAG ...]",
        description="Prometheus exporter for PostgreSQL connection pools.",
        epilog="commands:\n"
        + "".join(f"  {name:<16}{text}\n" for name, text in COMMANDS.items())
        + f"\nWithout --config.file, {DSN_VARIABLE} names the one server to poll.\n"
        "A flag is also the environment variable in brackets behind it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for flag in FLAGS:
        text = f"{flag.help} [{flag.variable}]" if flag.in_environment else flag.help
        if flag.parse is boolean:
            parser.add_argument(flag.spelt, dest=flag.option, action="store_true", help=text)
        else:
            parser.add_argument(
                flag.spelt,
                dest=flag.option,
                type=_for_argparse(flag.parse),
                action="append" if flag.repeatable else "store",
                metavar=flag.placeholder,
                help=text,
            )
    return parser


def _for_argparse(parse: Callable[[str], object]) -> Callable[[str], object]:
    # For a plain ValueError argparse would repeat the text.
    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _command(rest: Sequence[str]) -> str:
    """The command among what is no known flag."""
    for argument in rest:
        if argument.startswith("-"):
            name = argument.partition("=")[0]
            known = ("--help", "--version", *(flag.spelt for flag in FLAGS))
            # Behind a single dash a value can follow without a sign between.
            shown = name if name.startswith("--") else "with one dash"
            raise UsageError(f"unknown flag {shown}{_nearest(name, known, '--')}")
    if len(rest) > 1:
        raise UsageError("more than one command (a file is named by its flag: --config.file=FILE)")
    for name in rest:
        if name not in COMMANDS:
            hint = _nearest(name, COMMANDS)
            raise UsageError(f"unknown command{hint} (commands: {', '.join(COMMANDS)})")
    return rest[0] if rest else "run"


def _from_environment(command: str, environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for flag in FLAGS:
        text = environ.get(flag.variable)
        if not text or command not in flag.commands or not flag.in_environment:
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
    """A hint at the known name that is nearest; the common prefix says nothing about nearness."""
    rests = [one.removeprefix(prefix) for one in known]
    near = get_close_matches(name.removeprefix(prefix), rests, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""
