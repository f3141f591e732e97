"""Web configurations."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trustme

from fuzz.harness import Check, Harness, check_error
from pg_pool_exporter.config import ConfigError
from pg_pool_exporter.metrics.text_format import Blocks
from pg_pool_exporter.web.config import load


@contextmanager
def _start() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        authority.cert_pem.write_to_path(directory / "ca.pem")
        issued.private_key_pem.write_to_path(directory / "server.key")
        (directory / "server.key").chmod(0o600)
        for part in issued.cert_chain_pems:
            part.write_to_path(directory / "server.pem", append=True)
        path = directory / "web.yml"

        def check(data: bytes) -> Sequence[Blocks]:
            path.write_bytes(data)
            try:
                load(path)
            except ConfigError as error:
                check_error(error, most=100_000)
            return ()

        yield check


HARNESS = Harness(
    name="web_configurations",
    seeds=[
        (b"tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
        b"  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
        b"  min_version: TLS12\n  max_version: TLS13\n"),
        (b"tls_server_config:\n  cert: text\n  key: text\n  client_ca: text\n"
        b"  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [a.b, '::1']\n"
        b"rate_limit:\n  interval: 100ms\n  burst: 20\n"),
        b"basic_auth_users:\n  prometheus: $2y$04$" + b"a" * 53 + b"\n",
        (b"http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n"
        b"    Strict-Transport-Security: max-age=1\n    Content-Security-Policy: default-src\n"),
    ],
    tokens=[
        b"tls_server_config:\n", b"cert_file: ", b"ca.pem", b"server.key", b"/dev/zero", b"../",
        b"TLS10",
        b"VerifyClientCertIfGiven", b"$2a$31$", b"\\r\\n", b"!!float ", b"null", b"<<: *a",
        b"&a ", b"\0",
    ],
    start=_start,
)  # fmt: skip
