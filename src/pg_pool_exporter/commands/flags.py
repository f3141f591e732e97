"""The commands, their flags and the environment variables of these: one table.

Standard library only: `--help` and `--version` must not wait for the daemon's packages. A parser
that needs such a package imports it when its flag has a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit

from pg_pool_exporter import durations
from pg_pool_exporter.commands.demo import scenarios
from pg_pool_exporter.commands.options import LOG_FORMATS, LOG_LEVELS, PREFIX
from pg_pool_exporter.web.paths import FINDINGS_PATH, PROBE_PATH

if TYPE_CHECKING:
    from pg_pool_exporter.web.server import Address


class Command(NamedTuple):
    """The help text of a command."""

    summary: str
    details: str = ""


DEFAULT_COMMAND = "run"
COMMANDS = {
    "run": Command("poll all targets and serve their metrics (the default command)"),
    "once": Command(
        "poll all targets once and print the metrics", "Exit code 1 if a target failed."
    ),
    "check-config": Command(
        "validate the configuration",
        "Exit code 2 if it has mistakes; with --probe, exit code 1 if a target failed.",
    ),
    "doctor": Command(
        "print the checklist: what is wrong, and what to do",
        "With --url from a running daemon, else by watching all targets for a moment.\n"
        "Exit code 1 after a warning, 3 after a problem, 4 without an answer.",
    ),
    "terminate-idle": Command(
        "emergency: terminate idle sessions of a server",
        "Prints which sessions it would terminate. Terminates them only with --yes.\n"
        "Exit code 1 if something stood in the way.",
    ),
    "demo": Command("run applications, one of which leaks, and show their metrics"),
    "metrics": Command("print the documentation of all metrics, in Markdown"),
}
_POLLING = frozenset({"run", "once", "check-config"})
CONFIGURED = _POLLING | {"doctor", "terminate-idle"}
"""Commands that take a configuration file, or one server from `DSN_VARIABLE`."""
_SERVING = frozenset({"run", "check-config"})
_DOCTOR = frozenset({"doctor"})
_DEMO = frozenset({"demo"})
_TERMINATING = frozenset({"terminate-idle"})


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of some commands. `parse` raises `ValueError` with what is allowed."""

    name: str
    option: str
    """The field of `Options`."""
    placeholder: str
    """Of its value in the help; empty for a flag without a value."""
    help: str
    parse: Callable[[str], object]
    commands: frozenset[str]
    repeatable: bool = False
    in_environment: bool = True
    """Whether an environment variable can set it."""

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


def _listen_address(text: str) -> Address:
    from pg_pool_exporter.web.server import parse_address

    return parse_address(text)


def _telemetry_path(text: str) -> str:
    taken = text.startswith("/-/") or text in (PROBE_PATH, FINDINGS_PATH)
    if taken or not re.fullmatch(r"/|(/[\w.~-]+)+", text, re.ASCII):
        raise ValueError("must be a path that is not used otherwise, like /metrics")
    return text


def _daemon_url(text: str) -> SplitResult:
    """`http://HOST:PORT` or `https://HOST:PORT`, with `USER:PASSWORD@` if the daemon needs them."""
    try:
        url = urlsplit(text)
        is_complete = bool(url.hostname) and url.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or url.scheme not in ("http", "https") or url.query:
        raise ValueError("must be the daemon's address, like http://localhost:10432")
    return url


def _pid(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", text, re.ASCII) or int(text) >= 2**31:
        raise ValueError("must be the process id of a session, as in pg_stat_activity")
    return int(text)


FLAGS = (
    Flag("config.file", "config_file", "FILE", "configuration, in YAML", Path, CONFIGURED),
    Flag(
        "socket-dir", "socket_dir", "DIRECTORY",
        "directory of the instrumented processes' sockets; wins over the configuration file",
        str, _POLLING | _DOCTOR,
    ),
    Flag(
        "web.listen-address", "web_listen_address", "HOST:PORT",
        "address to serve on; repeatable (default 127.0.0.1:10432, or :10432 where "
        "--web.config.file requires authentication)",
        _listen_address, _SERVING, repeatable=True,
    ),
    Flag(
        "web.listen-address", "web_listen_address", "HOST:PORT",
        "address to serve on (default 127.0.0.1:10432)",
        _listen_address, _DEMO, repeatable=True,
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
        "allow POST /-/reload to reload the configuration", boolean, _SERVING,
    ),
    Flag(
        "log.level", "log_level", "LEVEL",
        f"lowest level to log: {', '.join(LOG_LEVELS)} (default info)",
        _one_of(*LOG_LEVELS), _POLLING,
    ),
    Flag(
        "log.format", "log_format", "FORMAT",
        f"format of the log: {', '.join(LOG_FORMATS)} (default logfmt)",
        _one_of(*LOG_FORMATS), _POLLING,
    ),
    Flag(
        "probe", "probe", "", "poll all targets once, and print which of them fail, and why",
        boolean, frozenset({"check-config"}),
    ),
    Flag(
        "url", "url", "URL", "address of a running daemon, like http://localhost:10432",
        _daemon_url, _DOCTOR,
    ),
    Flag(
        "for", "duration", "DURATION", "how long to watch the targets (default 10s)",
        durations.seconds, _DOCTOR,
    ),
    Flag("json", "json", "", "print the checklist as JSON", boolean, _DOCTOR),
    Flag(
        "for", "duration", "DURATION", "end after this time, like 30s (default: at Ctrl-C)",
        durations.seconds, _DEMO,
    ),
    Flag(
        "scenario", "demo_scenario", "NAME",
        f"what goes wrong: {', '.join(scenarios.SCENARIOS)} (default {scenarios.DEFAULT})",
        _one_of(*scenarios.SCENARIOS), _DEMO,
    ),
    # No environment variable for these: a forgotten one must never terminate sessions.
    Flag(
        "server", "server", "NAME", "server of the sessions, by its name in the configuration",
        str, _TERMINATING, in_environment=False,
    ),
    Flag(
        "older-than", "older_than", "DURATION", "only sessions idle at least that long, like 1h",
        durations.seconds, _TERMINATING, in_environment=False,
    ),
    Flag(
        "application", "application", "NAME", "only sessions with this application_name",
        str, _TERMINATING, in_environment=False,
    ),
    Flag("pid", "pid", "PID", "only the session with this process id", _pid, _TERMINATING,
         in_environment=False),
    Flag("yes", "yes", "", "terminate them, instead of only printing them", boolean, _TERMINATING,
         in_environment=False),
)  # fmt: skip
