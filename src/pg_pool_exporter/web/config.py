"""The file of `--web.config.file`: TLS, users and headers, in exporter-toolkit's format.

One file serves all exporters of a host. Read again when it changes. The format:
https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import structlog
from pydantic import AfterValidator, Field

from pg_pool_exporter.blocking import files
from pg_pool_exporter.blocking.files import Stamp, stamp
from pg_pool_exporter.blocking.threads import Lane, LaneFullError
from pg_pool_exporter.config import (
    ConfigError,
    Problem,
    Section,
    changeable,
    exposed,
    read,
    validate,
)
from pg_pool_exporter.web.rate_limit import RateLimitConfig
from pg_pool_exporter.web.tls import TlsError, TlsServerConfig, context_of

log = structlog.get_logger(__name__)

RECHECK = 1.0
"""Seconds between two looks at the files."""
REFRESH_SECONDS = 15.0
"""Deadline for reading all of them."""

_LANE = Lane("web-configuration", threads=4)

# The headers that exporter-toolkit allows, and the values that it allows for them.
_HEADERS = {
    "Strict-Transport-Security": r".+",
    "X-Content-Type-Options": r"nosniff",
    "X-Frame-Options": r"(?i:deny|sameorigin)",
    "X-XSS-Protection": r".+",
    "Content-Security-Policy": r".+",
}
_BCRYPT = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
# A check takes 3 s on one core, the next cost twice as long: guesses would keep out everybody.
_MAX_COST = 16


def _bcrypt_hash(value: str) -> str:
    found = _BCRYPT.fullmatch(value)
    if found is None:
        raise ValueError("must be a password's bcrypt hash, as `htpasswd -nB USER` prints it")
    if int(found[1]) > _MAX_COST:
        raise ValueError(
            f"must have a cost of at most {_MAX_COST}, or a check takes many seconds: "
            "`htpasswd -nB -C 10 USER`"
        )
    return value


def _extra_headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if name not in _HEADERS:
            raise ValueError(f"must hold none but {', '.join(_HEADERS)}")
        if not (text.isascii() and text.isprintable() and re.fullmatch(_HEADERS[name], text)):
            raise ValueError(f"must have a valid value for {name}")
    return value


class HttpServerConfig(Section):
    """`http_server_config:`"""

    http2: bool = True
    """A permission: this server speaks HTTP/1.1, which every client does too."""
    headers: Annotated[dict[str, str], AfterValidator(_extra_headers)] = Field(default_factory=dict)


class WebConfig(Section):
    """The whole file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    rate_limit: RateLimitConfig = RateLimitConfig()
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_bcrypt_hash)]] = Field(
        default_factory=dict, repr=False
    )
    """bcrypt hashes by user."""


_Stamps: TypeAlias = Mapping[Path, Stamp]


class Loaded(NamedTuple):
    """A valid file and what it names."""

    config: WebConfig
    tls: ssl.SSLContext | None
    warnings: tuple[str, ...]
    """Sentences about files that every user of the host can change, or with secrets can read."""

    @property
    def authenticates(self) -> bool:
        """Whether clients need a password or a certificate."""
        return bool(self.config.basic_auth_users) or (
            self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        )


def load(path: Path) -> Loaded:
    """Read the file and the certificates that it names. Raises `ConfigError` with all mistakes.

    For callers outside of the event loop.
    """
    document = read(path)
    config = validate(WebConfig, document)
    try:
        tls = context_of(config.tls_server_config) if config.tls_server_config else None
    except TlsError as error:
        location = ("tls_server_config", error.key)
        problem = Problem(location, str(error), document.line(location))
        raise ConfigError(path, [problem]) from None
    warnings = (*changeable([str(path)]), *exposed(_secret_files(path, config)))
    return Loaded(config, tls, warnings)


def _secret_files(path: Path, config: WebConfig) -> Iterator[str]:
    if config.basic_auth_users:
        yield str(path)  # a hash lets its reader try passwords without asking us
    if config.tls_server_config is not None:
        yield config.tls_server_config.key_file or str(path)


class WebConfigFile:
    """The file as it is now. Raises `ConfigError` when it is wrong, or hangs, at the start.

    A file that is wrong later, or hangs, changes nothing: the last good one stays, and the log
    says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._loaded, self._stamps = _LANE.wait(
                partial(_load_with_stamps, path), seconds=REFRESH_SECONDS
            )
        except TimeoutError:
            raise ConfigError(path, [Problem((), _timed_out(path))]) from None
        self._logged: str | None = None
        self._warn()

    def current(self) -> Loaded:
        """The last good content."""
        return self._loaded

    @property
    def problem(self) -> str | None:
        """Why the file as it is now can't be used; None when it is."""
        return self._logged

    async def watch(self) -> None:
        """Read the files again whenever they change, until cancelled."""
        while True:
            await asyncio.sleep(RECHECK)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file again if it, or a file that it names, has changed. Never raises."""
        try:
            changed = await _LANE.run(
                partial(_changed, self._path, self._stamps, retry=self._logged is not None),
                key=self._path,
                seconds=REFRESH_SECONDS,
            )
            if changed is not None:
                self._take(*changed)
        except ConfigError as error:
            self._refuse(str(error))
        except LaneFullError as error:
            self._refuse(f"{self._path}: {error}")
        except TimeoutError:
            self._refuse(f"{self._path}: {_timed_out(self._path)}")
        except Exception as error:  # noqa: BLE001 - whatever is in a file, the server goes on
            self._refuse(f"{self._path}: {type(error).__name__}")

    def _take(self, loaded: Loaded, stamps: _Stamps) -> None:
        if (loaded.tls is None) != (self._loaded.tls is None):
            problem = Problem(("tls_server_config",), "is added or removed by a restart only")
            raise ConfigError(self._path, [problem])
        if self._loaded.authenticates and not loaded.authenticates:
            log.warning("web configuration requires no authentication any more")
        self._loaded, self._stamps, self._logged = loaded, stamps, None
        log.info("web configuration loaded")
        self._warn()

    def _warn(self) -> None:
        for sentence in self._loaded.warnings:
            log.warning(sentence)

    def _refuse(self, error: str) -> None:
        if error != self._logged:
            self._logged = error
            log.error("web configuration not loaded, former one stays", error=error)


def _timed_out(path: Path) -> str:
    return f"timed out reading {', '.join(files.hung()) or path}"


def _changed(path: Path, former: _Stamps, *, retry: bool) -> tuple[Loaded, _Stamps] | None:
    """The content, if a stamp has changed. `retry`: also when a wrong file may be right again."""
    if not retry and former == _stamps(former):
        return None
    return _load_with_stamps(path)


def _load_with_stamps(path: Path) -> tuple[Loaded, _Stamps]:
    """The content, and the stamps of all files that were read.

    The stamps are older than the content: a file that changes meanwhile is read again later.
    """
    stamps = _stamps([path])
    while True:
        loaded = load(path)
        names = {path, *_named_files(loaded.config)}
        if names == stamps.keys():
            return loaded, stamps
        stamps = _stamps(names)


def _named_files(config: WebConfig) -> Iterator[Path]:
    tls = config.tls_server_config
    if tls is not None:
        yield from map(Path, tls.files)


def _stamps(paths: Iterable[Path]) -> _Stamps:
    return {path: stamp(path) for path in paths}


def live_context(current: Callable[[], Loaded]) -> ssl.SSLContext:
    """A context for a listening socket that uses the current settings for each new connection."""

    # asyncio keeps the context that a socket was opened with, and a certificate authority cannot
    # be removed from a context: so the kept one delegates to the current one.
    class LiveContext(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            context = current().tls
            assert context is not None, "only a restart turns TLS on or off"
            return context.wrap_bio(*args, **kwargs)

    return LiveContext(ssl.PROTOCOL_TLS_SERVER)
