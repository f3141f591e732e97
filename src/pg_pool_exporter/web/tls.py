"""`tls_server_config` of the web configuration, and the TLS context that it describes.

What Python's `ssl` cannot do (a certificate that is asked for and not verified, several curves) is
an error, never ignored.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Strict, ValidationInfo, field_validator, model_validator

from pg_pool_exporter.config import Section
from pg_pool_exporter.config.values import ReadableFile, SecretFile

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
# Go's suites of TLS 1.2, by OpenSSL's names. Those of TLS 1.3 are always on, in Go too.
_CIPHER_SUITES = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_TLS13_SUITES = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
_CURVES = {
    "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1",
    "X25519": "X25519",
}  # fmt: skip


def _known_suites(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(one not in _CIPHER_SUITES and one not in _TLS13_SUITES for one in value):
        raise ValueError(f"must hold none but {', '.join([*_CIPHER_SUITES, *_TLS13_SUITES])}")
    return value


def _one_curve(value: tuple[str, ...]) -> tuple[str, ...]:
    # https://docs.python.org/3/library/ssl.html#ssl.SSLContext.set_ecdh_curve
    if len(value) != 1 or value[0] not in _CURVES:
        raise ValueError(
            f"must hold exactly one of {', '.join(_CURVES)}: Python's TLS can set a single curve"
        )
    return value


def _client_auth(value: str) -> str:
    if value not in _CLIENT_AUTH:
        raise ValueError(
            f"must be one of {', '.join(_CLIENT_AUTH)}: Python's TLS cannot ask for a certificate "
            "without verifying it"
        )
    return value


# Names of a certificate that are texts, as Python calls them; Go compares the same ones.
_COMPARED = frozenset({"DNS", "IP Address", "email", "URI"})
_Texts = Annotated[tuple[str, ...], Strict(False)]


class TlsServerConfig(Section):
    """`tls_server_config:`"""

    cert: str | None = Field(default=None, repr=False)
    """The certificate itself, in PEM, as `key` and `client_ca` too."""
    key: str | None = Field(default=None, repr=False)
    client_ca: str | None = Field(default=None, repr=False)
    cert_file: ReadableFile | None = None
    key_file: SecretFile | None = None
    client_ca_file: ReadableFile | None = None
    cipher_suites: Annotated[_Texts, AfterValidator(_known_suites)] = ()
    """Of TLS 1.2; none are OpenSSL's own choice."""
    prefer_server_cipher_suites: bool = True
    """Accepted, and without effect, as in Go: the server's order always counts."""
    curve_preferences: Annotated[_Texts, AfterValidator(_one_curve)] | None = None
    client_auth_type: Annotated[str, AfterValidator(_client_auth)] = "NoClientCert"
    client_allowed_sans: _Texts | None = None
    """One of them must be in the client's certificate, as DNS name, address, e-mail or URI."""
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = Field(default="TLS13", validate_default=True)

    @field_validator("max_version")
    @classmethod
    def _is_not_below_the_lowest(cls, value: str, info: ValidationInfo) -> str:
        if value < info.data.get("min_version", value):
            raise ValueError("must not be below min_version")
        return value

    @field_validator("client_allowed_sans")
    @classmethod
    def _has_certificates_to_look_at(
        cls, value: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        if not value:
            raise ValueError("must hold at least one name: without any no client may connect")
        if info.data.get("client_auth_type", "") in ("NoClientCert", "VerifyClientCertIfGiven"):
            raise ValueError("needs client_auth_type: RequireAndVerifyClientCert")
        return value

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        for name in ("cert", "key", "client_ca"):
            text, file = getattr(self, name), getattr(self, f"{name}_file")
            if text is not None and file is not None:
                raise ValueError(f"must hold {name}_file or {name}, not both")
            if text is None and file is None and name != "client_ca":
                raise ValueError(f"must hold {name}_file or {name}")
        has_authority = (self.client_ca or self.client_ca_file) is not None
        if has_authority != (self.client_auth_type != "NoClientCert"):
            raise ValueError(
                "must hold client_ca_file (or client_ca) and client_auth_type together: one needs "
                "the other"
            )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names."""
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))


class TlsError(Exception):
    """A value, or a file, that does not hold what it should; `key` names it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def context_of(config: TlsServerConfig) -> ssl.SSLContext:
    """The context for new connections. Raises `TlsError`. Reads the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version]
    context.verify_mode = _CLIENT_AUTH[config.client_auth_type]
    if config.curve_preferences is not None:
        context.set_ecdh_curve(_CURVES[config.curve_preferences[0]])
    _choose_suites(context, config)
    _load_certificate(context, config)
    _load_authority(context, config)
    if config.client_allowed_sans is not None:
        allowed = frozenset(map(_canonical, config.client_allowed_sans))
        context.sslobject_class = _allowing(allowed)
    return context


def _choose_suites(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    chosen = [_CIPHER_SUITES[one] for one in config.cipher_suites if one in _CIPHER_SUITES]
    if not chosen:
        return
    try:
        context.set_ciphers(":".join(chosen))
    except ssl.SSLError:
        message = "must hold a suite that OpenSSL's policy on this host allows"
        raise TlsError("cipher_suites", message) from None


def _load_certificate(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    try:
        with ExitStack() as opened:
            certificate = config.cert_file or opened.enter_context(_as_file(config.cert))
            key = config.key_file or opened.enter_context(_as_file(config.key))
            # An empty password: without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError):
        where = "key_file" if config.key_file else "key"
        message = f"must hold the certificate, in PEM, of the unencrypted key in {where}"
        raise TlsError("cert_file" if config.cert_file else "cert", message) from None


def _load_authority(context: ssl.SSLContext, config: TlsServerConfig) -> None:
    if config.client_auth_type == "NoClientCert":
        return
    try:
        with ExitStack() as opened:
            authority = config.client_ca_file or opened.enter_context(_as_file(config.client_ca))
            context.load_verify_locations(authority)
    except (OSError, ValueError):
        key = "client_ca_file" if config.client_ca_file else "client_ca"
        raise TlsError(key, "must hold certificates in PEM") from None


@contextmanager
def _as_file(pem: str | None) -> Iterator[str]:
    """A path of the text: Python's `ssl` loads files only. It is in memory, never on a disk."""
    with os.fdopen(os.memfd_create("pem"), "wb") as file:
        file.write((pem or "").encode())
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"


def _allowing(allowed: frozenset[str]) -> type[ssl.SSLObject]:
    """A connection whose handshake fails unless the client's certificate has an allowed name."""

    class CheckedConnection(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            names: Any = (self.getpeercert() or {}).get("subjectAltName", ())
            texts = (name for kind, name in names if kind in _COMPARED)
            if not any(_canonical(text) in allowed for text in texts):
                raise ssl.SSLCertVerificationError("no name in client_allowed_sans")

    return CheckedConnection


def _canonical(name: str) -> str:
    """The name; an address as Go writes it, which OpenSSL does not do for IPv6."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name
