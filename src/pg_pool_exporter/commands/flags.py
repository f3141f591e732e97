"""The flags of the command, and their environment variables: one table gives both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from yarl import URL

from pg_pool_exporter import durations
from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.demo import scenarios
from pg_pool_exporter.commands.doctor.asking import parse_url
from pg_pool_exporter.web.handlers import FINDINGS_PATH, PROBE_PATH
from pg_pool_exporter.web.server import Address, parse_address

PREFIX = "PG_POOL_EXPORTER_"
COMMANDS = {
    "run": "poll all targets and serve their metrics (this is what happens without a command)",
    "once": "poll all targets once and print the metrics; exit code 1 when a target failed",
    "check-config": "check the configuration; exit code 2 when it has mistakes; with --probe poll "
    "all targets once and say what is wrong with them; exit code 1 then",
    "doctor": "go through the checklist: with --url by what a running daemon knows, else by "
    "watching all targets for a moment; exit code 1 after a warning, 3 after a problem, 4 without "
    "an answer",
    "terminate-idle": "emergency help: print which idle sessions it would end on a server, and end "
    "them with --yes",
    "demo": "show small applications, one of which leaks, and their metrics",
    "metrics": "print the documentation of all metrics, in Markdown",
}
POLLING = frozenset({"run", "once", "check-config"})
CONFIGURED = POLLING | {"doctor", "terminate-idle"}
"""Those that take a configuration file, or one server by its variable."""
_ENDING = frozenset({"terminate-idle"})
_SERVING = frozenset({"run", "check-config"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line and the environment say. Durations are in seconds."""

    command: str
    config_file: Path | None = None
    dsn: str | None = field(default=None, repr=False)
    socket_dir: str | None = None
    web_listen_address: tuple[Address, ...] = ()
    """None is the command's own default."""
    web_telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    web_enable_lifecycle: bool = False
    log_level: logs.Level = "info"
    log_format: logs.Format = "logfmt"
    duration: float | None = None
    demo_scenario: str = scenarios.DEFAULT
    probe: bool = False
    url: URL | None = field(default=None, repr=False)
    json: bool = False
    server: str | None = None
    older_than: float | None = None
    application: str | None = None
    pid: int | None = None
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: `parse` turns its text into a value, or raises `ValueError` with what is allowed."""

    name: str
    option: str
    """The field of `Options`."""
    placeholder: str
    help: str
    parse: Callable[[str], object]
    commands: frozenset[str]
    repeatable: bool = False
    in_environment: bool = True
    """Whether a variable can stand for it."""

    @property
    def spelt(self) -> str:
        """As on the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """As in the environment."""
        return PREFIX + re.sub(r"[.-]", "_", self.name).upper()


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`."""
    return _one_of("true", "false")(text) == "true"


def _telemetry_path(text: str) -> str:
    taken = text.startswith("/-/") or text in (PROBE_PATH, FINDINGS_PATH)
    if taken or not re.fullmatch(r"/|(/[\w.~-]+)+", text, re.ASCII):
        raise ValueError("must be a path that is not used otherwise, like /metrics")
    return text


def _pid(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", text, re.ASCII) or int(text) >= 2**31:
        raise ValueError("must be the process id of a session, as pg_stat_activity tells it")
    return int(text)


FLAGS = (
    Flag("config.file", "config_file", "FILE", "configuration, in YAML", Path, CONFIGURED),
    Flag(
        "socket-dir", "socket_dir", "DIRECTORY",
        "where instrumented processes put their sockets; wins over the configuration file",
        str, POLLING | {"doctor"},
    ),
    Flag(
        "web.listen-address", "web_listen_address", "HOST:PORT",
        "address to serve on; may be given several times (default :10432; of demo 127.0.0.1:10432)",
        parse_address, _SERVING | {"demo"}, repeatable=True,
    ),
    Flag(
        "web.telemetry-path", "web_telemetry_path", "PATH",
        "path of the metrics (default /metrics)", _telemetry_path, _SERVING,
    ),
    Flag(
        "web.config.file", "web_config_file", "FILE",
        "TLS, basic authentication and headers, in the exporter-toolkit's format",
        Path, _SERVING,
    ),
    Flag(
        "web.enable-lifecycle", "web_enable_lifecycle", "",
        "let POST /-/reload read the configuration again", boolean, _SERVING,
    ),
    Flag(
        "log.level", "log_level", "LEVEL",
        f"least level to log: {', '.join(logs.LEVELS)} (default info)",
        _one_of(*logs.LEVELS), POLLING,
    ),
    Flag(
        "log.format", "log_format", "FORMAT",
        f"form of the log: {', '.join(logs.FORMATS)} (default logfmt)",
        _one_of(*logs.FORMATS), POLLING,
    ),
    Flag(
        "probe", "probe", "",
        "poll all targets of the configuration once, and say which of them fail, and why",
        boolean, frozenset({"check-config"}),
    ),
    Flag(
        "for", "duration", "DURATION",
        "end the demonstration after this time, like 30s; how long doctor watches (default 10s)",
        durations.seconds, frozenset({"demo", "doctor"}),
    ),
    Flag(
        "scenario", "demo_scenario", "NAME",
        f"what the demonstration shows: {', '.join(scenarios.SCENARIOS)} "
        f"(default {scenarios.DEFAULT})",
        _one_of(*scenarios.SCENARIOS), frozenset({"demo"}),
    ),
    Flag(
        "url", "url", "URL", "address of the daemon that doctor asks, like http://localhost:10432",
        parse_url, frozenset({"doctor"}),
    ),
    Flag("json", "json", "", "print what doctor finds as JSON", boolean, frozenset({"doctor"})),
    # What ends sessions is said each time: a variable that somebody has forgotten must not say it.
    Flag(
        "server", "server", "NAME", "server on which to end idle sessions, by its configured name",
        str, _ENDING, in_environment=False,
    ),
    Flag(
        "older-than", "older_than", "DURATION", "only sessions that are idle for so long, like 1h",
        durations.seconds, _ENDING, in_environment=False,
    ),
    Flag(
        "application", "application", "NAME", "only sessions with this application_name",
        str, _ENDING, in_environment=False,
    ),
    Flag("pid", "pid", "PID", "only the session with this process id", _pid, _ENDING,
         in_environment=False),
    Flag("yes", "yes", "", "end them, instead of only showing them", boolean, _ENDING,
         in_environment=False),
)  # fmt: skip
