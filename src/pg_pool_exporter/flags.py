"""The flags of the command, each of them also an environment variable: one table gives both."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pg_pool_exporter import durations, logs
from pg_pool_exporter.demo import scenarios
from pg_pool_exporter.web.handlers import FINDINGS_PATH, PROBE_PATH
from pg_pool_exporter.web.server import Address, parse_address

PREFIX = "PG_POOL_EXPORTER_"
COMMANDS = {
    "run": "poll all targets and serve their metrics (this is what happens without a command)",
    "once": "poll all targets once and print the metrics; exit code 1 when a target failed",
    "check-config": "check the configuration; exit code 2 when it has mistakes; with --probe poll "
    "all targets once and say what is wrong with them; exit code 1 then",
    "demo": "show small applications, one of which leaks, and their metrics",
    "metrics": "print the documentation of all metrics, in Markdown",
}
POLLING = frozenset({"run", "once", "check-config"})
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
    demo_duration: float | None = None
    demo_scenario: str = scenarios.DEFAULT
    probe: bool = False


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


FLAGS = (
    Flag("config.file", "config_file", "FILE", "configuration, in YAML", Path, POLLING),
    Flag(
        "socket-dir", "socket_dir", "DIRECTORY",
        "where instrumented processes put their sockets; wins over the configuration file",
        str, POLLING,
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
        "for", "demo_duration", "DURATION", "end the demonstration after this time, like 30s",
        durations.seconds, frozenset({"demo"}),
    ),
    Flag(
        "scenario", "demo_scenario", "NAME",
        f"what the demonstration shows: {', '.join(scenarios.SCENARIOS)} "
        f"(default {scenarios.DEFAULT})",
        _one_of(*scenarios.SCENARIOS), frozenset({"demo"}),
    ),
)  # fmt: skip
