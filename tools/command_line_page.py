"""Writes docs/reference/command-line.md, from the commands and their flags."""

from __future__ import annotations

from pg_pool_exporter.commands.options import COMMANDS, FLAGS, PREFIX, Command, Flag

_INTRODUCTION = """\
# Command line

All commands and flags, as `--help` shows them.

    pg-pool-exporter [COMMAND] [FLAG ...]

| command | what it does | exit code |
|---|---|---|
"""
_FLAGS = """
The exit code is 0 otherwise, and 2 when the command line, the environment or the configuration is
wrong. `run` ends with 0 after SIGTERM or SIGINT, and with 1 when an address is taken.

## Flags

| flag | of | environment variable | what it sets |
|---|---|---|---|
"""
_REST = f"""
- A flag wins over its variable. An empty variable counts as unset. The log names unknown variables
  that begin with `{PREFIX}`.
- A flag that does not belong to the command is an error. Its variable is not.
- Flags of `terminate-idle` have no variable: a forgotten one must never end sessions.
- A repeatable flag is a list with commas in its variable.

## One server without a file

    PGPASSWORD=… \\
      PG_POOL_EXPORTER_DSN='postgresql://exporter@db.example/postgres?sslmode=verify-full' \\
      pg-pool-exporter

polls that server under the name `main`, and the instrumented processes of the host. Together with
`--config.file` the variable is an error. There is no flag for it, because every user of a host can
read command lines.

## Mistakes in the file

All mistakes (the first 100) are reported at once, each with its line, its path and the allowed
values. `pg-pool-exporter check-config --config.file=config.yaml` does only that.
"""


def markdown() -> str:
    """The whole page."""
    commands = "".join(_command(name, command) for name, command in COMMANDS.items())
    return f"{_INTRODUCTION}{commands}{_FLAGS}{''.join(map(_flag, FLAGS))}{_REST}"


def _command(name: str, command: Command) -> str:
    details, _, codes = command.details.replace("\n", " ").partition("Exit code ")
    return f"| `{name}` | {command.summary}. {details}| {codes} |\n"


def _flag(flag: Flag) -> str:
    spelt = f"{flag.spelt}={flag.placeholder}" if flag.placeholder else flag.spelt
    variable = f"`{flag.variable}`" if flag.in_environment else "none"
    of = ", ".join(f"`{name}`" for name in COMMANDS if name in flag.commands)
    return f"| `{spelt}` | {of} | {variable} | {flag.help} |\n"


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the output is the page
