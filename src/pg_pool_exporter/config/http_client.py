"""How metrics endpoints and lists of addresses are requested: headers, credentials, TLS.

Keys are those of Prometheus where it has them. Secrets are in files of their own, which are read
again for each request.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from pg_pool_exporter.config.page_address import page_address
from pg_pool_exporter.config.section import Section
from pg_pool_exporter.config.values import ReadableFile, SecretFile, matching

MAX_HEADERS = 20
MAX_HEADER_CHARACTERS = 4096

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# Set by the exporter or by the transport.
_OWN_HEADERS = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length",
        "content-type", "cookie", "expect", "host", "keep-alive", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("must have names of letters, digits and dashes")
    if value.lower() == "authorization":
        raise ValueError("must not hold Authorization: use basic_auth or bearer_token_file")
    if value.lower() in _OWN_HEADERS:
        raise ValueError(f"must not hold {value}: the exporter sets it itself")
    return value


def header_value(value: str) -> str:
    """`value`, if a header can have it. Raises `ValueError`."""
    if len(value) > MAX_HEADER_CHARACTERS or not (value.isascii() and value.isprintable()):
        raise ValueError(f"must be at most {MAX_HEADER_CHARACTERS} printable ASCII characters")
    return value


def _few(value: dict[str, str]) -> dict[str, str]:
    if len(value) > MAX_HEADERS:
        raise ValueError(f"must hold at most {MAX_HEADERS} headers")
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("must hold each header once, however it is spelt")
    return value


_HeaderName = Annotated[str, AfterValidator(_header_name)]
_HeaderValue = Annotated[str, AfterValidator(header_value)]


class BasicAuth(Section):
    """`basic_auth:`"""

    username: str
    password_file: SecretFile = Field(repr=False)

    @field_validator("username")
    @classmethod
    def _is_separable_from_the_password(cls, value: str) -> str:
        if ":" in value or not value.isprintable() or not 0 < len(value) <= MAX_HEADER_CHARACTERS:
            raise ValueError("must be printable, not empty, and without a colon")
        return value


class TlsConfig(Section):
    """`tls_config:`. Certificates are always verified."""

    ca_file: ReadableFile | None = None
    """The authorities that are trusted; without it the system's."""
    cert_file: ReadableFile | None = None
    key_file: SecretFile | None = None
    server_name: (
        Annotated[str, matching(r"[A-Za-z0-9_.:-]{1,253}", "must be the name of a host")] | None
    ) = None
    """The name that the certificate must have, where it is not the host's in the URL."""

    @field_validator("ca_file")
    @classmethod
    def _holds_certificates(cls, value: str) -> str:
        client_context(value, None, None)
        return value

    @field_validator("key_file")
    @classmethod
    def _fits_the_certificate(cls, value: str, info: ValidationInfo) -> str:
        if (certificate := info.data.get("cert_file")) is not None:
            client_context(None, certificate, value)
        return value

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("must hold cert_file and key_file together: one needs the other")
        return self


class HttpClientConfig(Section):
    """How a metrics endpoint, or a list of addresses, is requested."""

    headers: Annotated[dict[_HeaderName, _HeaderValue], AfterValidator(_few)] = Field(
        default_factory=dict, repr=False
    )
    header_files: Annotated[dict[_HeaderName, SecretFile], AfterValidator(_few)] = Field(
        default_factory=dict, repr=False
    )
    """Files whose contents are the headers' values."""
    basic_auth: BasicAuth | None = None
    bearer_token_file: SecretFile | None = Field(default=None, repr=False)
    tls_config: TlsConfig = TlsConfig()
    allow_http_credentials: bool = Field(default=False, validate_default=True)
    """Whether credentials may be sent unencrypted, over plain http to another host."""

    @property
    def secret_files(self) -> Iterator[str]:
        """The files with secrets."""
        yield from self.header_files.values()
        if self.basic_auth is not None:
            yield self.basic_auth.password_file
        yield from filter(None, (self.bearer_token_file, self.tls_config.key_file))

    def require_encryption(self, what: str, addresses: Iterable[str]) -> None:
        """Raise `ValueError` where credentials would be sent unencrypted to one of the addresses.

        `what` says what must be https: `must have an https url`.
        """
        has_any = bool(self.header_files or self.basic_auth or self.bearer_token_file)
        if not has_any or self.allow_http_credentials:
            return
        if not all(page_address(one).is_encrypted for one in addresses):
            raise ValueError(
                f"{what}, because credentials are sent there: http needs "
                "allow_http_credentials: true"
            )

    @field_validator("header_files")
    @classmethod
    def _are_not_in_both(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        given = {name.lower() for name in info.data.get("headers", ())}
        if any(name.lower() in given for name in value):
            raise ValueError("must not hold a header that headers holds too")
        return value

    @field_validator("bearer_token_file")
    @classmethod
    def _is_the_only_credential(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("basic_auth") is not None:
            raise ValueError("must be left out: there is basic_auth already")
        return value

    @property
    def http_client(self) -> HttpClientConfig:
        """These keys alone, without those of the whole section."""
        keys = HttpClientConfig.model_fields
        return HttpClientConfig.model_construct(**{key: getattr(self, key) for key in keys})


def client_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None
) -> ssl.SSLContext:
    """A context for connections to servers. Raises `ValueError` for an unusable file."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise ValueError("must hold certificates in PEM") from None
    if cert_file is not None:
        try:
            # An empty password: without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError):
            raise ValueError(
                "must hold the unencrypted key, in PEM, of the certificate in cert_file"
            ) from None
    return context
