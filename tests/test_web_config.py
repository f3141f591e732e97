"""TLS, users and headers by `--web.config.file`, as exporter-toolkit has them."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy
from typing import Any

import aiohttp
import bcrypt
import pytest
import structlog
import trustme
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pg_pool_exporter.config import ConfigError
from pg_pool_exporter.web import config as web_config
from pg_pool_exporter.web.config import WebConfigFile, load
from pg_pool_exporter.web.rate_limit import RateLimitConfig, RateLimiter
from support.busy import within
from support.serving import Served, serving

PASSWORD = "correct-horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
OTHER_HASH = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()


def refreshed(file: WebConfigFile) -> web_config.Loaded:
    """The content after the next look at the files."""
    asyncio.run(file.refresh())
    return file.current()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(tmp_path: Path, authority: trustme.CA) -> Path:
    """A directory with `server.pem` and `server.key` for the loopback, and `ca.pem`."""
    issue(authority, tmp_path)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def issue(authority: trustme.CA, directory: Path, name: str = "server") -> None:
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(directory / f"{name}.key")
    (directory / f"{name}.key").chmod(0o600)
    directory.joinpath(f"{name}.pem").write_bytes(
        b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    )


TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
CLIENTS = TLS + "  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n"
USERS = f"basic_auth_users:\n  prometheus: {HASH}\n"


def write(directory: Path, text: str) -> Path:
    """The file with another content; it is a new file each time, as an atomic replacement is."""
    path = directory / "web.yml"
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").chmod(0o600)
    path.with_suffix(".new").rename(path)
    return path


def served_with(file: WebConfigFile, test: Callable[[Served], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(config=file) as served:
            await test(served)

    asyncio.run(main())


def trusting(authority: trustme.CA, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


async def get(
    served: Served,
    tls: ssl.SSLContext | None = None,
    path: str = "/metrics",
    **options: Any,
) -> Any:
    """Status and headers of one scrape on a connection of its own."""
    url = f"{'https' if tls else 'http'}://127.0.0.1:{served.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, ssl=tls or True, **options) as answer,
    ):
        return answer.status, answer.headers


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tls_config: {}\n", "web.yml:1: tls_config: is an unknown key; did you mean tls_server"),
        ("tls_server_config: {cert_file: server.pem}\n", "must hold key_file or key"),
        (TLS + "  cert: text\n", "web.yml:1: tls_server_config: must hold cert_file or cert, not"),
        (
            "tls_server_config: {cert_file: no.pem, key_file: server.key}\n",
            "tls_server_config.cert_file: names a file that cannot be read: No such file",
        ),
        (
            TLS + "  client_auth_type: RequireAnyClientCert\n",
            "web.yml:4: tls_server_config.client_auth_type: must be one of NoClientCert, VerifyCl",
        ),
        (
            TLS + "  client_auth_type: RequestClientCert\n",
            "Python's TLS cannot ask for a certificate without verifying it",
        ),
        (TLS + "  client_ca_file: ca.pem\n", "client_auth_type together: one needs the other"),
        (
            TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
            "must hold client_ca_file (or client_ca) and client_auth_type together",
        ),
        (
            CLIENTS + "  client_ca: text\n",
            "tls_server_config: must hold client_ca_file or client_ca, not both",
        ),
        (
            CLIENTS.replace("client_ca_file: ca.pem", "client_ca: text"),
            "web.yml:4: tls_server_config.client_ca: must hold certificates in PEM",
        ),
        (
            CLIENTS + "  client_allowed_sans: []\n",
            "web.yml:6: tls_server_config.client_allowed_sans: must hold at least one name",
        ),
        (
            TLS + "  client_allowed_sans: [a.example]\n",
            "client_allowed_sans: needs client_auth_type: RequireAndVerifyClientCert",
        ),
        (
            f"tls_server_config:\n  cert_file: server.pem\n  key: {PASSWORD}\n",
            "cert_file: must hold the certificate, in PEM, of the unencrypted key in key",
        ),
        (
            f'tls_server_config:\n  cert: "{PASSWORD}"\n  key_file: server.key\n',
            "web.yml:2: tls_server_config.cert: must hold the certificate, in PEM",
        ),
        (
            f"tls_server_config:\n  cert_file: server.pem\n  key: [{PASSWORD}]\n",
            "web.yml:3: tls_server_config.key: must be text",
        ),
        ("rate_limit: {interval: 1s}\n", "rate_limit: must hold a burst of at least 1"),
        ("rate_limit: {interval: 2, burst: 1}\n", "rate_limit.interval: must be a duration"),
        ("rate_limit: {interval: 2h, burst: 1}\n", "rate_limit.interval: must be at most 1h"),
        ("rate_limit: {interval: 1s, burst: -1}\n", "rate_limit.burst: must be at least 0"),
        (TLS + "  min_version: SSL3\n", "min_version: must be one of 'TLS10'"),
        (TLS + "  min_version: TLS13\n  max_version: TLS12\n", "must not be below min_version"),
        (TLS + "  cipher_suites: [RC4]\n", "cipher_suites: must hold none but TLS_RSA_WITH"),
        (TLS + "  curve_preferences: [P1]\n", "curve_preferences: must hold exactly one of"),
        (
            TLS + "  curve_preferences: [X25519, CurveP256]\n",
            "curve_preferences: must hold exactly one of CurveP256, CurveP384",
        ),
        (TLS.replace("server.pem", "ca.pem"), "web.yml:2: tls_server_config.cert_file: must hold"),
        (TLS.replace("server.pem", "web.yml"), "tls_server_config.cert_file: must hold"),
        (
            CLIENTS.replace("ca.pem", "web.yml"),
            "web.yml:4: tls_server_config.client_ca_file: must hold certificates",
        ),
        (
            f"basic_auth_users:\n  a: {PASSWORD}\n",
            "web.yml:2: basic_auth_users.a: must be a password's bcrypt hash",
        ),
        (
            f"basic_auth_users:\n  a: $2b$31${'a' * 53}\n",
            "web.yml:2: basic_auth_users.a: must have a cost of at most",
        ),
        ("http_server_config: {headers: {X-Evil: a}}\n", "headers: must hold none but Strict-"),
        (
            "http_server_config: {headers: {X-Frame-Options: maybe}}\n",
            "headers: must have a valid value for X-Frame-Options",
        ),
        (
            'http_server_config: {headers: {Content-Security-Policy: "a\\r\\nb"}}\n',
            "headers: must have a valid value for Content-Security-Policy",
        ),
        ("http_server_config: {http2: maybe}\n", "http_server_config.http2: must be true or false"),
    ],
)
def test_a_wrong_file_is_refused_with_its_path_and_key(
    certificate: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(write(certificate, text))
    assert problem in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_a_key_that_needs_a_password_is_refused_without_asking_for_it(certificate: Path) -> None:
    path = certificate / "server.key"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="unencrypted key"):
        load(write(certificate, TLS))


def test_files_are_relative_to_the_directory_of_the_file(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert load(write(certificate, TLS)).tls is not None


def test_scrapes_over_tls(certificate: Path, authority: trustme.CA) -> None:
    async def test(served: Served) -> None:
        status, _ = await get(served, trusting(authority))
        assert status == 200

    served_with(WebConfigFile(write(certificate, TLS)), test)


def test_old_versions_of_tls_are_refused(certificate: Path, authority: trustme.CA) -> None:
    async def test(served: Served) -> None:
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(served, old)

    served_with(WebConfigFile(write(certificate, TLS + "  min_version: TLS13\n")), test)


def test_clients_need_a_certificate_of_the_authority(
    certificate: Path, authority: trustme.CA
) -> None:
    async def test(served: Served) -> None:
        status, _ = await get(served, trusting(authority, authority.issue_cert("prometheus")))
        assert status == 200
        for client in (None, trustme.CA().issue_cert("prometheus")):
            with pytest.raises(aiohttp.ClientError):
                await get(served, trusting(authority, client))

    served_with(WebConfigFile(write(certificate, CLIENTS)), test)


def test_a_renewed_certificate_and_another_client_authority_hold_without_a_restart(
    certificate: Path, authority: trustme.CA
) -> None:
    renewed = trustme.CA()
    file = WebConfigFile(write(certificate, CLIENTS))
    former_client = authority.issue_cert("prometheus")

    async def test(served: Served) -> None:
        status, _ = await get(served, trusting(authority, former_client))
        assert status == 200
        issue(renewed, certificate)
        renewed.cert_pem.write_to_path(certificate / "ca.pem")
        await file.refresh()
        status, _ = await get(served, trusting(renewed, renewed.issue_cert("prometheus")))
        assert status == 200
        with pytest.raises(aiohttp.ClientError):
            await get(served, trusting(renewed, former_client))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(served, trusting(authority, former_client))

    served_with(file, test)


def test_certificates_and_keys_can_stand_in_the_file_itself(
    certificate: Path, authority: trustme.CA
) -> None:
    pem = {
        "cert": (certificate / "server.pem").read_text(),
        "key": (certificate / "server.key").read_text(),
        "client_ca": (certificate / "ca.pem").read_text(),
    }
    tls = {**pem, "client_auth_type": "RequireAndVerifyClientCert"}
    file = WebConfigFile(write(certificate, yaml.safe_dump({"tls_server_config": tls})))

    async def test(served: Served) -> None:
        status, _ = await get(served, trusting(authority, authority.issue_cert("prometheus")))
        assert status == 200
        with pytest.raises(aiohttp.ClientError):
            await get(served, trusting(authority, trustme.CA().issue_cert("prometheus")))

    served_with(file, test)


@pytest.mark.parametrize("inline", [True, False])
def test_a_key_that_every_user_can_read_is_warned_of(certificate: Path, inline: bool) -> None:
    key = certificate / "server.key"
    text = f"  key: {json.dumps(key.read_text())}\n" if inline else "  key_file: server.key\n"
    path = write(certificate, f"tls_server_config:\n  cert_file: server.pem\n{text}")
    secret = path if inline else key
    for mode, warnings in ((0o600, 0), (0o644, 1)):
        secret.chmod(mode)
        with structlog.testing.capture_logs() as lines:
            WebConfigFile(path)
        assert len(lines) == warnings
        assert all(f"{secret} holds a secret" in line["event"] for line in lines)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("names", "works"),
    [
        (["prometheus.example"], True),
        (["other.example", "prometheus.example"], True),
        (["10.0.0.7"], True),
        (["fd00::7"], True),
        (["prometheus@example.org"], True),
        (["other.example"], False),
        # Only a whole name counts, and never the common name.
        (["example"], False),
        (["sub.prometheus.example"], False),
    ],
)
def test_clients_need_one_of_the_allowed_names_in_their_certificate(
    certificate: Path,
    authority: trustme.CA,
    names: list[str],
    works: bool,
    version: ssl.TLSVersion,
) -> None:
    client = authority.issue_cert(*names, common_name="allowed.example")
    allowed = "prometheus.example, 10.0.0.7, 'FD00:0::7', prometheus@example.org, allowed.example"
    tls = trusting(authority, client)
    tls.maximum_version = version
    text = f"{CLIENTS}  client_allowed_sans: [{allowed}]\n"
    assert _connects(WebConfigFile(write(certificate, text)), tls) is works


def test_a_directory_s_name_beside_an_allowed_name_changes_nothing(
    certificate: Path, authority: trustme.CA
) -> None:
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
    names = [x509.DirectoryName(name), x509.DNSName("prometheus.example")]
    now = datetime.now(UTC)
    issued = (
        x509.CertificateBuilder(issuer.subject, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type] # trustme has a key that signs
    )
    pem = serialization.Encoding.PEM
    chain = certificate / "client.pem"
    chain.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + issued.public_bytes(pem)
    )
    tls = trusting(authority)
    tls.load_cert_chain(chain)
    text = f"{CLIENTS}  client_allowed_sans: [prometheus.example]\n"
    assert _connects(WebConfigFile(write(certificate, text)), tls)


def test_a_certificate_without_names_is_not_enough_where_names_are_asked_for(
    certificate: Path, authority: trustme.CA
) -> None:
    nameless = trustme.CA()
    (certificate / "ca.pem").write_bytes(nameless.cert_pem.bytes())
    tls = trusting(authority)
    chain = certificate / "nameless.pem"
    chain.write_bytes(nameless.private_key_pem.bytes() + nameless.cert_pem.bytes())
    tls.load_cert_chain(chain)
    assert _connects(WebConfigFile(write(certificate, CLIENTS)), tls)
    text = f"{CLIENTS}  client_allowed_sans: [prometheus.example]\n"
    assert not _connects(WebConfigFile(write(certificate, text)), tls)


def test_requests_over_the_rate_are_refused_until_it_allows_more(tmp_path: Path) -> None:
    text = "rate_limit: {interval: 1h, burst: 2}\n"
    file = WebConfigFile(write(tmp_path, USERS + text))
    known = basic("prometheus", PASSWORD)

    async def test(served: Served) -> None:
        # One that is refused for its password counts, too.
        assert (await get(served))[0] == 401
        assert (await get(served, headers=known))[0] == 200
        for _ in range(2):
            status, headers = await get(served, headers=known)
            assert status == 429
            assert 3500 < int(headers["Retry-After"]) <= 3600
        # Probes have the password, too, but no rate.
        assert (await get(served, path="/-/healthy", headers=known))[0] == 200
        write(tmp_path, USERS)
        await file.refresh()
        assert (await get(served, headers=known))[0] == 200

    served_with(file, test)


@pytest.mark.parametrize(
    ("interval", "burst", "at", "allowed"),
    [
        (1.0, 1, [0, 0.5, 1, 1.9, 2], [True, False, True, False, True]),
        (1.0, 3, [0, 0, 0, 0, 1, 1], [True, True, True, False, True, False]),
        # An idle time saves up no more than the burst.
        (1.0, 2, [0, 100, 100, 100], [True, True, True, False]),
        (0.1, 1, [number / 10 for number in range(50)], [True] * 50),
        (0.0, 0, [0] * 50, [True] * 50),
    ],
)
def test_the_rate_is_that_of_a_token_bucket(
    interval: float, burst: int, at: list[float], allowed: list[bool]
) -> None:
    times = iter(at)
    limiter = RateLimiter(lambda: 1e6 + next(times))
    limit = RateLimitConfig.model_validate({"interval": f"{interval}s", "burst": burst})
    assert [limiter.delay(limit) == 0 for _ in at] == allowed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("basic_auth_users: [", "web.yml"),
        (USERS + TLS, "tls_server_config: is added or removed by a restart only"),
        (None, "cannot be read"),
        ("pipe", "not a regular file"),
    ],
    ids=["no YAML", "TLS is added", "gone", "a pipe"],
)
def test_a_file_that_is_wrong_later_changes_nothing_and_is_logged_once(
    certificate: Path, text: str | None, problem: str
) -> None:
    path = write(certificate, USERS)
    file = WebConfigFile(path)
    if text in (None, "pipe"):
        path.unlink()
        if text == "pipe":
            os.mkfifo(path)
    else:
        write(certificate, text)
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert refreshed(file).config.basic_auth_users == {"prometheus": HASH}
    assert len(lines) == 1
    assert problem in lines[0]["error"]
    write(certificate, USERS.replace("prometheus", "grafana"))
    assert list(refreshed(file).config.basic_auth_users) == ["grafana"]


def test_a_certificate_that_comes_after_the_file_that_names_it_is_used(
    certificate: Path,
) -> None:
    file = WebConfigFile(write(certificate, TLS))
    with structlog.testing.capture_logs() as lines:
        write(certificate, TLS.replace("server.", "later."))
        for _ in range(3):
            refreshed(file)
            assert _certificate(file) == "server.pem"
        for suffix in ("pem", "key"):
            copy(certificate / f"server.{suffix}", certificate / f"later.{suffix}")
            refreshed(file)
    assert _certificate(file) == "later.pem"
    # Each kind of mistake once: both files are missing, then only the key.
    assert [line["log_level"] for line in lines] == ["error", "error", "info"]


def test_a_file_that_hangs_does_not_hold_up_the_start_for_long(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system that is away."""
    path = write(certificate, USERS)
    reachable = threading.Event()
    monkeypatch.setattr(web_config, "stamp", lambda path: reachable.wait(30) and ())
    monkeypatch.setattr(web_config, "REFRESH_SECONDS", 0.2)
    started = time.monotonic()
    try:
        with pytest.raises(ConfigError, match="timed out reading"):
            WebConfigFile(path)
    finally:
        reachable.set()
    assert time.monotonic() - started < within(5)


def test_a_file_that_goes_and_comes_back_is_logged_each_time(certificate: Path) -> None:
    path = write(certificate, USERS)
    file = WebConfigFile(path)
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            path.rename(certificate / "away")
            refreshed(file)
            (certificate / "away").rename(path)
            refreshed(file)
    assert [line["log_level"] for line in lines] == ["error", "info"] * 2


def test_the_files_that_a_changed_file_names_are_watched_too(certificate: Path) -> None:
    file = WebConfigFile(write(certificate, TLS))
    for suffix in ("pem", "key"):
        copy(certificate / f"server.{suffix}", certificate / f"other.{suffix}")
    write(certificate, TLS.replace("server.", "other."))
    first = refreshed(file)
    issue(trustme.CA(), certificate, "other")
    assert refreshed(file) is not first
    last = file.current()
    assert refreshed(file) is last


def test_a_change_while_the_file_is_read_is_seen_later(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(certificate, USERS)

    def load_and_change(path: Path) -> web_config.Loaded:
        loaded = load(path)
        monkeypatch.setattr(web_config, "load", load)
        write(certificate, USERS.replace("prometheus", "grafana"))
        return loaded

    monkeypatch.setattr(web_config, "load", load_and_change)
    file = WebConfigFile(path)
    assert list(file.current().config.basic_auth_users) == ["prometheus"]
    assert list(refreshed(file).config.basic_auth_users) == ["grafana"]


def _certificate(file: WebConfigFile) -> str:
    tls = file.current().config.tls_server_config
    assert tls is not None
    assert tls.cert_file is not None
    return Path(tls.cert_file).name


def test_the_files_are_not_looked_at_for_each_request(certificate: Path) -> None:
    file = WebConfigFile(write(certificate, USERS))
    first = file.current()
    write(certificate, USERS.replace("prometheus", "grafana"))
    os.utime(certificate / "web.yml", ns=(1, 1))
    assert file.current() is first


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("prometheus", PASSWORD, 200),
        ("naïve", "other", 200),
        ("prometheus", "wrong", 401),
        ("prometheus", "", 401),
        ("prometheus", "other", 401),
        ("nobody", PASSWORD, 401),
        ("prometheus", "x" * 100, 401),
        ("prometheus", "a\0b", 401),
    ],
)
def test_users_are_let_in_with_their_own_password(
    tmp_path: Path, user: str, password: str, status: int
) -> None:
    async def test(served: Served) -> None:
        for _ in range(2):
            got, headers = await get(served, headers=basic(user, password))
            assert got == status
            challenge = headers.get("WWW-Authenticate", "")
            assert challenge.startswith('Basic realm="') is (status == 401)

    text = f"basic_auth_users:\n  prometheus: {HASH}\n  naïve: {OTHER_HASH}\n"
    served_with(WebConfigFile(write(tmp_path, text)), test)


def test_a_password_that_was_changed_lets_nobody_in_any_more(tmp_path: Path) -> None:
    file = WebConfigFile(write(tmp_path, USERS))

    async def test(served: Served) -> None:
        assert (await get(served, headers=basic("prometheus", PASSWORD)))[0] == 200
        write(tmp_path, USERS.replace(HASH, OTHER_HASH))
        await file.refresh()
        assert (await get(served, headers=basic("prometheus", PASSWORD)))[0] == 401
        assert (await get(served, headers=basic("prometheus", "other")))[0] == 200

    served_with(file, test)


def test_a_user_who_was_renamed_gets_in_no_more_under_the_former_name(tmp_path: Path) -> None:
    file = WebConfigFile(write(tmp_path, USERS))

    async def test(served: Served) -> None:
        assert (await get(served, headers=basic("prometheus", PASSWORD)))[0] == 200
        write(tmp_path, USERS.replace("prometheus", "prometheus-2"))
        await file.refresh()
        assert (await get(served, headers=basic("prometheus", PASSWORD)))[0] == 401
        assert (await get(served, headers=basic("prometheus-2", PASSWORD)))[0] == 200

    served_with(file, test)


@pytest.mark.parametrize("user", ["cheap", "dear", "nobody"])
def test_a_wrong_password_costs_the_same_whoever_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    work = 0

    def counted(password: bytes, hashed: bytes) -> bool:
        nonlocal work
        work += 2 ** int(hashed[4:6])
        return check(password, hashed)

    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", counted)

    async def test(served: Served) -> None:
        assert (await get(served, headers=basic(user, "wrong")))[0] == 401
        assert work == 2**7
        assert (await get(served, headers=basic("cheap", PASSWORD)))[0] == 200

    dear = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(7)).decode()
    users = f"basic_auth_users: {{cheap: {HASH}, dear: {dear}}}\n"
    served_with(WebConfigFile(write(tmp_path, users)), test)


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !", "Bearer abc", "Basic cHJvbQ==", "Basic /w=="]
)
def test_without_a_user_and_a_password_nobody_is_let_in(tmp_path: Path, header: str | None) -> None:
    async def test(served: Served) -> None:
        status, _ = await get(served, headers={"Authorization": header} if header else {})
        assert status == 401

    served_with(WebConfigFile(write(tmp_path, USERS)), test)


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/-/ready", "/probe", "/nothing"])
def test_every_path_is_behind_the_password(tmp_path: Path, path: str) -> None:
    async def test(served: Served) -> None:
        answer = await served.raw(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert b" 401 " in answer.partition(b"\r\n")[0]

    served_with(WebConfigFile(write(tmp_path, USERS)), test)


def test_guesses_hold_up_no_scrape_with_a_known_password(tmp_path: Path) -> None:
    slow = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(11)).decode()

    async def test(served: Served) -> None:
        known = basic("prometheus", PASSWORD)
        await get(served, headers=known)
        guesses = [
            asyncio.create_task(get(served, headers=basic("prometheus", f"guess-{number}")))
            for number in range(5)
        ]
        await asyncio.sleep(0)
        started = time.perf_counter()
        status, _ = await get(served, headers=known)
        assert status == 200
        assert time.perf_counter() - started < within(1)
        assert not all(guess.done() for guess in guesses)
        assert {status for status, _ in await asyncio.gather(*guesses)} <= {401, 503}

    served_with(WebConfigFile(write(tmp_path, f"basic_auth_users: {{prometheus: {slow}}}\n")), test)


class Gate:
    """A check of passwords that does not end before it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._opened = threading.Event()
        self._check = bcrypt.checkpw
        self.begun = 0
        monkeypatch.setattr(bcrypt, "checkpw", self._wait_and_check)

    def _wait_and_check(self, password: bytes, hashed: bytes) -> bool:
        self.begun += 1
        self._opened.wait(10)
        return self._check(password, hashed)

    def open(self) -> None:
        self._opened.set()


def test_more_guesses_than_can_be_checked_soon_are_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def test(served: Served) -> None:
        guesses = [
            asyncio.create_task(get(served, headers=basic("prometheus", f"guess-{number}")))
            for number in range(40)
        ]
        sent_away = set()
        for answer in asyncio.as_completed(guesses):
            status, headers = await answer
            if status == 503:
                assert int(headers["Retry-After"]) > 0
            sent_away.add(status)
            gate.open()
        assert sent_away == {503, 401}
        assert (await get(served, headers=basic("prometheus", PASSWORD)))[0] == 200

    served_with(WebConfigFile(write(tmp_path, USERS)), test)


def test_guesses_from_one_address_keep_no_first_login_from_another_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def test(served: Served) -> None:
        guesses = [
            asyncio.create_task(get(served, headers=basic("prometheus", f"guess-{number}")))
            for number in range(40)
        ]
        await asyncio.sleep(0.3)
        asyncio.get_running_loop().call_later(0.1, gate.open)
        elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
        async with aiohttp.ClientSession(connector=elsewhere) as session:
            url = f"http://127.0.0.1:{served.port}/metrics"
            async with session.get(url, headers=basic("prometheus", PASSWORD)) as answer:
                assert answer.status == 200
        await asyncio.gather(*guesses)

    served_with(WebConfigFile(write(tmp_path, USERS)), test)


def test_guesses_whose_client_has_hung_up_are_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(monkeypatch)

    async def test(served: Served) -> None:
        for number in range(100):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            guess = basic("prometheus", f"guess-{number}")["Authorization"]
            writer.write(
                f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {guess}\r\n\r\n".encode()
            )
            writer.close()
            await writer.wait_closed()
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, gate.open)
        status = 503
        while status == 503:
            status, _ = await get(served, headers=basic("prometheus", PASSWORD))
        assert status == 200
        assert gate.begun < 5
        assert caplog.text == ""

    served_with(WebConfigFile(write(tmp_path, USERS)), test)


def test_headers_are_added_to_every_answer(tmp_path: Path) -> None:
    async def test(served: Served) -> None:
        _, headers = await get(served)
        assert headers["X-Frame-Options"] == "deny"
        missing = await served.raw(b"GET /no HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"X-Frame-Options: deny" in missing

    text = "http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n"
    served_with(WebConfigFile(write(tmp_path, text)), test)


@pytest.mark.parametrize(
    ("suites", "client", "works"),
    [
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", False),
        # Those of TLS 1.3 choose nothing, as in Go.
        ("TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", True),
    ],
)
def test_the_suites_of_tls_1_2_are_those_of_the_file(
    certificate: Path, authority: trustme.CA, suites: str, client: str, works: bool
) -> None:
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(client)
    text = f"{TLS}  cipher_suites: [{suites}]\n"
    assert _connects(WebConfigFile(write(certificate, text)), context) is works


@pytest.mark.parametrize(("curve", "works"), [("secp384r1", True), ("prime256v1", False)])
def test_the_curve_is_that_of_the_file(
    certificate: Path, authority: trustme.CA, curve: str, works: bool
) -> None:
    context = trusting(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve(curve)
    text = f"{TLS}  curve_preferences: [CurveP384]\n"
    assert _connects(WebConfigFile(write(certificate, text)), context) is works


def _connects(file: WebConfigFile, client: ssl.SSLContext) -> bool:
    """Whether a scrape is answered, instead of a handshake that fails."""
    connected = []

    async def test(served: Served) -> None:
        try:
            status, _ = await get(served, client)
            connected.append(status == 200)
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ClientOSError,
            aiohttp.ServerDisconnectedError,
        ):
            connected.append(False)

    served_with(file, test)
    return connected == [True]
