"""The file of `--web.config.file`: TLS, users and headers, in exporter-toolkit's format.

One file serves all exporters of a host. What this server cannot do (`RequireAnyClientCert`,
`cipher_suites`, …) is an error, never passed over. Re-read when it has changed.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import structlog
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pg_pool_exporter.blocking.files import Stamp, stamp
from pg_pool_exporter.config import ConfigError, Problem, Section, read, validate
from pg_pool_exporter.config.values import ReadableFile, SecretFile

log = structlog.get_logger(__name__)

# How long a change of the files may stay unseen, in seconds.
RECHECK = 1.0

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# The headers that exporter-toolkit allows, and the values that it allows for them.
_HEADERS = {
    "Strict-Transport-Security": r".+",
    "X-Content-Type-Options": r"nosniff",
    "X-Frame-Options": r"(?i:deny|sameorigin)",
    "X-XSS-Protection": r".+",
    "Content-Security-Policy": r".+",
}
_BCRYPT = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")


def _bcrypt_hash(value: str) -> str:
    if not _BCRYPT.fullmatch(value):
        raise ValueError("must be a password's bcrypt hash, as `htpasswd -nB USER` prints it")
    return value


def _extra_headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if name not in _HEADERS:
            raise ValueError(f"must hold none but {', '.join(_HEADERS)}")
        if not (text.isascii() and text.isprintable() and re.fullmatch(_HEADERS[name], text)):
            raise ValueError(f"must have a valid value for {name}")
    return value


class TlsServerConfig(Section):
    """`tls_server_config:`"""

    cert_file: ReadableFile
    key_file: SecretFile
    client_ca_file: ReadableFile | None = None
    client_auth_type: Literal[
        "NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
    ] = Field(default="NoClientCert", validate_default=True)
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = Field(default="TLS13", validate_default=True)

    @field_validator("client_auth_type")
    @classmethod
    def _fits_the_authority(cls, value: str, info: ValidationInfo) -> str:
        authority = info.data.get("client_ca_file")
        if "client_ca_file" in info.data and (authority is None) != (value == "NoClientCert"):
            raise ValueError("must be set together with client_ca_file: one needs the other")
        return value

    @field_validator("max_version")
    @classmethod
    def _is_not_below_the_lowest(cls, value: str, info: ValidationInfo) -> str:
        if value < info.data.get("min_version", value):
            raise ValueError("must not be below min_version")
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
    basic_auth_users: dict[str, Annotated[str, AfterValidator(_bcrypt_hash)]] = Field(
        default_factory=dict, repr=False
    )
    """bcrypt hashes by user."""


_Stamps: TypeAlias = Mapping[Path, Stamp]


class Loaded(NamedTuple):
    """A valid file and what it names."""

    config: WebConfig
    tls: ssl.SSLContext | None


def load(path: Path) -> Loaded:
    """Read the file and the certificates that it names. Raises `ConfigError` with all mistakes."""
    document = read(path)
    config = validate(WebConfig, document)
    try:
        tls = _context(config.tls_server_config) if config.tls_server_config else None
    except _TlsError as error:
        location = ("tls_server_config", error.key)
        problem = Problem(location, str(error), document.line(location))
        raise ConfigError(path, [problem]) from None
    return Loaded(config, tls)


class WebConfigFile:
    """The file as it is now. Raises `ConfigError` when it is wrong at the start.

    A file that is wrong later changes nothing: the last good one holds, and the log says so.
    `clock` is monotonic, in seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._loaded, self._stamps = _load_with_stamps(path)
        self._told: str | None = None
        self._checked = clock()

    def current(self) -> Loaded:
        """The file's content, read again when it or a file that it names has changed."""
        now = self._clock()
        if now - self._checked >= RECHECK:
            self._checked = now
            # One that was wrong may be put back as it was before: that is to be told, too.
            if self._told is not None or self._stamps != _stamps(self._stamps):
                self._reload()
        return self._loaded

    def _reload(self) -> None:
        try:
            loaded, stamps = _load_with_stamps(self._path)
            if (loaded.tls is None) != (self._loaded.tls is None):
                problem = Problem(("tls_server_config",), "is added or removed by a restart only")
                raise ConfigError(self._path, [problem])
        except ConfigError as error:
            if str(error) != self._told:
                self._told = str(error)
                log.error("web configuration wrong, the former one holds", error=self._told)
            return
        self._loaded, self._stamps, self._told = loaded, stamps, None
        log.info("web configuration read again")


def _load_with_stamps(path: Path) -> tuple[Loaded, _Stamps]:
    """What `load` gives, and the stamps of all files that were read.

    They are older than what was read, so a file that is changed meanwhile is read again later.
    """
    stamps = _stamps([path])
    while True:
        loaded = load(path)
        files = {path, *_named_files(loaded.config)}
        if files == stamps.keys():
            return loaded, stamps
        stamps = _stamps(files)


def _named_files(config: WebConfig) -> Iterator[Path]:
    tls = config.tls_server_config
    if tls is not None:
        yield from map(Path, filter(None, (tls.cert_file, tls.key_file, tls.client_ca_file)))


def _stamps(files: Iterable[Path]) -> _Stamps:
    return {file: stamp(file) for file in files}


class _TlsError(Exception):
    """A file that is there and does not hold what it should; `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _context(config: TlsServerConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    context.verify_mode = _CLIENT_AUTH[config.client_auth_type]
    try:
        # An empty password: without one OpenSSL would ask for it on the terminal.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    except (OSError, ValueError):
        message = "must hold the certificate, in PEM, of the unencrypted key in key_file"
        raise _TlsError("cert_file", message) from None
    if config.client_ca_file is not None:
        try:
            context.load_verify_locations(config.client_ca_file)
        except (OSError, ValueError):
            raise _TlsError("client_ca_file", "must hold certificates in PEM") from None
    return context


def live_context(current: Callable[[], Loaded]) -> ssl.SSLContext:
    """A context for a listening socket that gives each new connection the settings of the day."""

    # asyncio keeps the context that a socket was opened with, and a certificate authority cannot
    # be taken out of a context again: so the one that it keeps hands on to another.
    class LiveContext(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
            context = current().tls
            assert context is not None, "only a restart turns TLS on or off"
            return context.wrap_bio(*args, **kwargs)

    return LiveContext(ssl.PROTOCOL_TLS_SERVER)
