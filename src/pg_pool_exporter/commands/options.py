"""The commands, their flags and the options made of these: one declaration.

Standard library only: `--help` and `--version` must not wait for the exporter's packages. A parser
that needs such a package imports it when its flag has a value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args
from urllib.parse import SplitResult, urlsplit

from pg_pool_exporter import durations
from pg_pool_exporter.commands.demo import scenarios
from pg_pool_exporter.web.paths import FINDINGS_PATH, PROBE_PATH, RUNBOOKS

if TYPE_CHECKING:
    from pg_pool_exporter.config import Shard
    from pg_pool_exporter.web.server import Address

PROGRAM = "pg-pool-exporter"
PREFIX = "PG_POOL_EXPORTER_"
DSN_VARIABLE = f"{PREFIX}DSN"

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["logfmt", "json"]
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)


class UsageError(Exception):
    """The command line or the environment is wrong. The message holds no secret."""


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
        "Exit code 2 if it has mistakes; with --probe, exit code 1 if a target failed,\n"
        "a right is missing, or the socket directory is unsafe.",
    ),
    "explain": Command(
        "show which pools are on a metrics page, and which series are used",
        "The page is at an address like http://orders:8080/metrics or unix:/run/orders.sock.\n"
        "Use - for standard input. --config.file applies the format and credentials of the\n"
        "application at this address.\n"
        "Exit code 1 if the page cannot be read, or has no pool.",
    ),
    "doctor": Command(
        "print the checklist: what is wrong, and what to do",
        "With --url from a running exporter, else by watching all targets for a moment.\n"
        "Exit code 1 after a warning, 3 after a problem, 4 without an answer.",
    ),
    "advise": Command(
        "print how large the pools should be, by what a running exporter has measured",
        "With --url of the exporter (default http://localhost:10432). It needs ten minutes; a day\n"
        "shows the busiest hour. Exit code 1 if a size should change, or cannot before a cause is\n"
        "fixed or there is room for it; 4 without an answer.",
    ),
    "terminate-idle": Command(
        "emergency: terminate idle sessions of a server",
        "Needs --server, --older-than, and --application or --pid.\n"
        "Prints which sessions it would terminate. Terminates them only with --yes.\n"
        "Exit code 1 if the server does not answer, a grant is missing, no session has the name,\n"
        "or a session is not ended.",
    ),
    "demo": Command("run applications, one of which leaks, and show their metrics"),
    "metrics": Command("print the documentation of all metrics, in Markdown"),
}
_POLLING = frozenset({"run", "once", "check-config"})
CONFIGURED = _POLLING | {"doctor", "terminate-idle"}
"""Commands that take a configuration file, or one server from `DSN_VARIABLE`."""
_SERVING = frozenset({"run", "check-config"})
_DOCTOR = frozenset({"doctor"})
_ASKING = frozenset({"doctor", "advise"})
_DEMO = frozenset({"demo"})
_TERMINATING = frozenset({"terminate-idle"})
EXPLAINING = frozenset({"explain"})


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of some commands. `parse` raises `ValueError` with what is allowed."""

    name: str
    placeholder: str
    """Of its value in the help; empty for a flag without a value."""
    help: str
    parse: Callable[[str], object]
    commands: frozenset[str]
    repeatable: bool = False
    option: str = ""
    """The field of `Options` that it sets."""

    @property
    def in_environment(self) -> bool:
        """Whether an environment variable can set it: a forgotten one must never end sessions."""
        return self.commands != _TERMINATING

    @property
    def spelt(self) -> str:
        """As on the command line."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + re.sub(r"[.-]", "_", self.name).upper()


class OneOf:
    """The parser of a flag with few values."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, text: str) -> str:
        """`text`, which must be one of the values."""
        if text not in self.allowed:
            raise ValueError(f"must be one of {', '.join(self.allowed)}")
        return text


def boolean(text: str) -> bool:
    """`true` or `false`."""
    return OneOf("true", "false")(text) == "true"


def _listen_address(text: str) -> "Address":
    from pg_pool_exporter.web.server import parse_address

    return parse_address(text)


def _telemetry_path(text: str) -> str:
    taken = text.startswith("/-/") or text in (PROBE_PATH, FINDINGS_PATH)
    if taken or not re.fullmatch(r"/|(/[\w.~-]+)+", text, re.ASCII):
        raise ValueError("must be a path without another use, like /metrics")
    return text


def _base_url(text: str) -> str:
    """The address that paths are put behind."""
    if not re.fullmatch(r"https?://[^\s\"<>?#]+", text, re.ASCII):
        raise ValueError("must be an address like https://wiki.example/runbooks")
    return text.rstrip("/")


def _exporter_url(text: str) -> SplitResult:
    """`http(s)://HOST:PORT`, with `USER:PASSWORD@` before the host if the exporter needs them."""
    try:
        url = urlsplit(text)
        is_complete = bool(url.hostname) and url.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or url.scheme not in ("http", "https") or url.query:
        raise ValueError("must be the exporter's address, like http://localhost:10432")
    return url


def _page(text: str) -> str:
    from pg_pool_exporter.config.page_address import page_address

    if text != "-":
        page_address(text)
    return text


def _shard(text: str) -> "Shard":
    from pg_pool_exporter.config import parse_shard

    return parse_shard(text)


def _pid(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", text, re.ASCII) or int(text) >= 2**31:
        raise ValueError("must be the process id of a session, as in pg_stat_activity")
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Values of the flags that annotate them.

    Durations are in seconds; None stands for the command's own default. Of two flags of one name
    each is another command's.
    """

    command: str
    # fmt: off
    config_file: Annotated[
        Path | None, Flag("config.file", "FILE", "configuration, in YAML", Path, CONFIGURED),
        Flag(
            "config.file", "FILE", "configuration that has the page's format and credentials", Path,
            EXPLAINING,
        ),
    ] = None
    dsn: str | None = field(default=None, repr=False)
    socket_dir: Annotated[
        str | None,
        Flag(
            "socket-dir", "DIRECTORY",
            "directory of the instrumented processes' sockets; wins over the configuration file",
            str, _POLLING | _DOCTOR,
        ),
    ] = None
    shard: Annotated[
        "Shard | None",
        Flag(
            "shard", "NUMBER/ALL",
            "poll only this exporter's part of the configuration, like 2/5: the second of five",
            _shard, _POLLING | _DOCTOR,
        ),
    ] = None
    web_listen_address: Annotated[
        "tuple[Address, ...] | None",
        Flag(
            "web.listen-address", "HOST:PORT",
            "address to serve on; repeatable (default 127.0.0.1:10432, or :10432 where "
            "--web.config.file requires authentication)",
            _listen_address, _SERVING, repeatable=True,
        ),
        Flag(
            "web.listen-address", "HOST:PORT", "address to serve on (default 127.0.0.1:10432)",
            _listen_address, _DEMO, repeatable=True,
        ),
    ] = None
    web_systemd_socket: Annotated[
        bool,
        Flag(
            "web.systemd-socket", "",
            "serve on the sockets that systemd passes, instead of on --web.listen-address",
            boolean, _SERVING,
        ),
    ] = False
    web_telemetry_path: Annotated[
        str,
        Flag(
            "web.telemetry-path", "PATH", "path of the metrics (default /metrics)",
            _telemetry_path, _SERVING,
        ),
    ] = "/metrics"
    web_runbook_url: Annotated[
        str,
        Flag(
            "web.runbook-url", "URL",
            f"address of docs/runbooks, where findings lead (default {RUNBOOKS})",
            _base_url, _SERVING | _DOCTOR,
        ),
    ] = RUNBOOKS
    web_dashboard_url: Annotated[
        str | None,
        Flag(
            "web.dashboard-url", "URL",
            "address of Grafana with our dashboards, for links on the page (default: no links)",
            _base_url, _SERVING,
        ),
    ] = None
    web_config_file: Annotated[
        Path | None,
        Flag(
            "web.config.file", "FILE",
            "TLS, basic authentication and headers, in the exporter-toolkit's format",
            Path, _SERVING,
        ),
    ] = None
    web_enable_lifecycle: Annotated[
        bool,
        Flag(
            "web.enable-lifecycle", "", "allow POST /-/reload to reload the configuration",
            boolean, _SERVING,
        ),
    ] = False
    log_level: Annotated[
        LogLevel,
        Flag(
            "log.level", "LEVEL", f"lowest level to log: {', '.join(LOG_LEVELS)} (default info)",
            OneOf(*LOG_LEVELS), _POLLING,
        ),
    ] = "info"
    log_format: Annotated[
        LogFormat,
        Flag(
            "log.format", "FORMAT", f"format of the log: {', '.join(LOG_FORMATS)} (default logfmt)",
            OneOf(*LOG_FORMATS), _POLLING,
        ),
    ] = "logfmt"
    probe: Annotated[
        bool,
        Flag(
            "probe", "", "poll all targets once, and print which of them fail, and why",
            boolean, frozenset({"check-config"}),
        ),
    ] = False
    url: Annotated[
        SplitResult | None,
        Flag(
            "url", "URL", "address of a running exporter, like http://localhost:10432",
            _exporter_url, _ASKING,
        ),
    ] = field(default=None, repr=False)
    duration: Annotated[
        float | None,
        Flag(
            "for", "DURATION", "how long to watch the targets (default 10s)",
            durations.seconds, _DOCTOR,
        ),
        Flag(
            "for", "DURATION", "end after this time, like 30s (default: at Ctrl-C)",
            durations.seconds, _DEMO,
        ),
    ] = None
    json: Annotated[bool, Flag("json", "", "print the answer as JSON", boolean, _ASKING)] = False
    demo_scenario: Annotated[
        str,
        Flag(
            "scenario", "NAME",
            f"trouble to show: {', '.join(scenarios.SCENARIOS)} (default {scenarios.DEFAULT})",
            OneOf(*scenarios.SCENARIOS), _DEMO,
        ),
    ] = scenarios.DEFAULT
    server: Annotated[
        str | None,
        Flag(
            "server", "NAME", "server of the sessions, by its name in the configuration",
            str, _TERMINATING,
        ),
    ] = None
    older_than: Annotated[
        float | None,
        Flag(
            "older-than", "DURATION", "only sessions idle at least that long, like 1h",
            durations.seconds, _TERMINATING,
        ),
    ] = None
    application: Annotated[
        str | None,
        Flag("application", "NAME", "only sessions with this application_name", str, _TERMINATING),
    ] = None
    pid: Annotated[
        int | None, Flag("pid", "PID", "only the session with this process id", _pid, _TERMINATING)
    ] = None
    yes: Annotated[
        bool,
        Flag("yes", "", "terminate them, instead of only printing them", boolean, _TERMINATING),
    ] = False
    page: Annotated[
        str | None,
        Flag(
            "page", "URL", "address of the metrics page, or - for standard input; also without "
            "the flag's name", _page, EXPLAINING,
        ),
    ] = field(default=None, repr=False)
    # fmt: on


FLAGS: tuple[Flag, ...] = tuple(
    replace(flag, option=option.name)
    for option in fields(Options)
    for flag in getattr(option.type, "__metadata__", ())
)
