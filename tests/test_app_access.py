"""An application's pages are asked for as the configuration says, by files as they are now."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from pg_pool_exporter.config import AppConfig, ConfigError, HttpClientConfig, load
from pg_pool_exporter.config.http_client import TlsConfig, client_context
from pg_pool_exporter.discovery import app_targets
from pg_pool_exporter.discovery.address_list import Address
from pg_pool_exporter.discovery.page_urls import url_of
from pg_pool_exporter.model import Snapshot
from pg_pool_exporter.sources.base import PollError, Source
from pg_pool_exporter.sources.http.request_options import request_options
from support import pages
from support.pages import Served, good_page, head, pool, serving

SECRET = "s3cret-hunter2"


class Guarded:
    """A server that lets in who sends a header, and remembers what it was sent."""

    def __init__(self, *wanted: str) -> None:
        self.wanted = wanted
        self.heads: list[str] = []

    async def __call__(self, peer: pages.Peer) -> None:
        while True:
            asked = (await peer.request()).decode()
            self.heads.append(asked)
            lines = asked.split("\r\n")
            body = good_page()
            if all(header in lines for header in self.wanted):
                await peer.send(head("Content-Type: text/plain", f"Content-Length: {len(body)}"))
                await peer.send(body)
            else:
                await peer.send(head("Content-Length: 0", status="401 Unauthorized"))


def source_of(url: str, directory: Path, keys: str) -> Source:
    """The source of an application, from a configuration file with these keys."""
    path = directory / "config.yaml"
    lines = "".join(f"\n    {line}" for line in keys.splitlines())
    path.write_text(f"socket_dir: ''\napps:\n  - name: orders\n    targets: ['{url}']{lines}\n")
    [app] = load(path).apps
    [target] = app_targets(app, app.targets, {})
    return target.source()


@asynccontextmanager
async def reading(
    answer: pages.Answer, directory: Path, keys: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Source, Served]]:
    """A server, and the source of an application with these keys that reads it."""
    async with serving(answer, tls=tls) as served:
        source = source_of(served.url, directory, keys)
        try:
            yield source, served
        finally:
            await source.close()


def poll(answer: pages.Answer, directory: Path, keys: str) -> Snapshot:
    """One poll."""

    async def scenario() -> Snapshot:
        async with reading(answer, directory, keys) as (source, _):
            return await source.poll()

    return asyncio.run(scenario())


def basic(user: str, password: str) -> str:
    return f"Authorization: Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ("headers: {X-Scope-OrgID: shop}", "X-Scope-OrgID: shop"),
        ("header_files: {X-Api-Key: secret}", f"X-Api-Key: {SECRET}"),
        ("bearer_token_file: secret", f"Authorization: Bearer {SECRET}"),
        ("basic_auth: {username: prom, password_file: secret}", basic("prom", SECRET)),
        ("basic_auth: {username: jürgen, password_file: secret}", basic("jürgen", SECRET)),
    ],
)
def test_what_the_configuration_says_is_sent(tmp_path: Path, keys: str, sent: str) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert poll(Guarded(sent), tmp_path, keys).pools[0].key == pool().key


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ("header_files: {X-Api-Key: secret}", "X-Api-Key: {}"),
        ("bearer_token_file: secret", "Authorization: Bearer {}"),
    ],
)
def test_a_secret_that_changes_is_used_at_the_next_poll(
    tmp_path: Path, keys: str, sent: str
) -> None:
    async def scenario() -> None:
        secret = tmp_path / "secret"
        secret.write_text("outdated")
        server = Guarded(sent.format(SECRET))
        async with reading(server, tmp_path, keys) as (source, served):
            with pytest.raises(PollError, match="status 401") as caught:
                await source.poll()
            assert caught.value.reason == "auth"
            secret.write_text(SECRET)
            assert (await source.poll()).pools
            assert len(served.peers) == 1, "over the same connection"
            secret.write_text("line\nbreak")
            with pytest.raises(PollError, match="the content must be") as caught:
                await source.poll()
            assert caught.value.reason == "auth"
            secret.unlink()
            with pytest.raises(PollError, match="No such file") as caught:
                await source.poll()
            assert caught.value.reason == "auth"

    asyncio.run(scenario())


def test_credentials_do_not_follow_a_redirect_to_another_host(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)

    async def scenario() -> list[str]:
        other = Guarded()
        async with serving(other) as elsewhere:
            away = pages.answer(b"", f"Location: {elsewhere.url}", status="302 Found")
            async with reading(away, tmp_path, "bearer_token_file: secret") as (source, _):
                with pytest.raises(PollError, match="not followed"):
                    await source.poll()
        return other.heads

    assert asyncio.run(scenario()) == []


@pytest.fixture
def authority(tmp_path: Path) -> Callable[[str], trustme.CA]:
    """Makes authorities and writes their certificates into files."""

    def make(name: str) -> trustme.CA:
        made = trustme.CA()
        made.cert_pem.write_to_path(str(tmp_path / name))
        return made

    return make


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_an_authority_is_trusted_as_its_file_says_now(
    tmp_path: Path, authority: Callable[[str], trustme.CA]
) -> None:
    async def scenario() -> None:
        tls = server_context(authority("ca.pem"), "127.0.0.1")
        authority("ca.pem")  # another one takes its place
        keys = "tls_config: {ca_file: ca.pem}"
        async with reading(pages.good, tmp_path, keys, tls) as (source, _):
            with pytest.raises(PollError, match="certificate"):
                await source.poll()
        right = server_context(ours := authority("ca.pem"), "127.0.0.1")
        async with reading(pages.good, tmp_path, keys, right) as (source, _):
            authority("ca.pem")
            with pytest.raises(PollError, match="certificate"):
                await source.poll()
            ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
            assert (await source.poll()).pools
            (tmp_path / "ca.pem").write_text("nothing")
            with pytest.raises(PollError, match="must hold certificates in PEM") as caught:
                await source.poll()
            assert caught.value.reason == "auth"

    asyncio.run(scenario())


def test_files_of_no_use_are_looked_at_again_only_when_they_change(
    tmp_path: Path, authority: Callable[[str], trustme.CA], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a certificate that is renewed by halves would hold up all targets at each poll."""
    looked_at = 0

    def counted(*files: str | None) -> ssl.SSLContext:
        nonlocal looked_at
        looked_at += 1
        return client_context(*files)

    monkeypatch.setattr("pg_pool_exporter.sources.http.request_options.client_context", counted)

    async def scenario() -> None:
        ours = authority("ca.pem")
        tls = server_context(ours, "127.0.0.1")
        async with reading(pages.good, tmp_path, "tls_config: {ca_file: ca.pem}", tls) as (
            source,
            _,
        ):
            (tmp_path / "ca.pem").write_text("nothing")
            for _ in range(3):
                with pytest.raises(PollError, match="must hold certificates in PEM"):
                    await source.poll()
            assert looked_at == 1
            ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
            assert (await source.poll()).pools

    asyncio.run(scenario())


def test_the_context_of_a_replaced_certificate_is_dropped(
    tmp_path: Path, authority: Callable[[str], trustme.CA]
) -> None:
    """Each takes 0.9 MB, and some certificates live for an hour."""
    ours = authority("ca.pem")
    config = HttpClientConfig(tls_config=TlsConfig.model_validate(
        {"ca_file": "ca.pem"}, context={"directory": tmp_path}
    ))  # fmt: skip
    made: list[weakref.ref[ssl.SSLContext]] = []

    async def scenario() -> None:
        for _ in range(5):
            ours.cert_pem.write_to_path(str(tmp_path / "new"))
            (tmp_path / "new").rename(tmp_path / "ca.pem")
            tls = (await request_options(config)).tls
            assert isinstance(tls, ssl.SSLContext)
            made.append(weakref.ref(tls))

    asyncio.run(scenario())
    gc.collect()
    assert [one() is not None for one in made] == [False] * 4 + [True]


def test_a_client_certificate_is_shown(
    tmp_path: Path, authority: Callable[[str], trustme.CA]
) -> None:
    async def scenario() -> None:
        ours = authority("ca.pem")
        own = ours.issue_cert("exporter.example")
        own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
        own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
        tls = server_context(ours, "orders.example")
        tls.verify_mode = ssl.CERT_REQUIRED
        ours.configure_trust(tls)
        keys = (
            "tls_config:\n  ca_file: ca.pem\n  server_name: orders.example\n"
            "  cert_file: own.pem\n  key_file: own.key"
        )
        async with reading(pages.good, tmp_path, keys, tls) as (source, _):
            assert (await source.poll()).pools
        without = "tls_config: {ca_file: ca.pem, server_name: orders.example}"
        async with reading(pages.good, tmp_path, without, tls) as (source, _):
            with pytest.raises(PollError):
                await source.poll()
        other_name = "tls_config: {ca_file: ca.pem, cert_file: own.pem, key_file: own.key}"
        async with reading(pages.good, tmp_path, other_name, tls) as (source, _):
            with pytest.raises(PollError, match="certificate"):
                await source.poll()

    asyncio.run(scenario())


def test_a_page_at_a_unix_socket_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "orders.sock"
        server = Guarded()
        async with serving(server, path):
            source = source_of(f"unix:{path}:/own?x=1", tmp_path, "")
            for _ in range(2):
                assert (await source.poll()).pools[0].key == pool().key
            await source.close()
            assert [head.split("\r\n")[0] for head in server.heads] == ["GET /own?x=1 HTTP/1.1"] * 2
        path.unlink()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "reason"), [("missing.sock", "refused"), ("ca.pem/no.sock", "refused")]
)
def test_a_unix_socket_that_is_missing_is_refused(tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / "ca.pem").touch()

    async def scenario() -> None:
        source = source_of(f"unix:{tmp_path}/{path}", tmp_path, "")
        with pytest.raises(PollError, match="not connected") as caught:
            await source.poll()
        assert caught.value.reason == reason
        await source.close()

    asyncio.run(scenario())


MISTAKES = {
    "headers: {Host: x}": "must not hold Host: the exporter sets it itself",
    "headers: {authorization: Basic x}": "use basic_auth or bearer_token_file",
    "headers: {'X Y': x}": "must have names of letters, digits and dashes",
    'headers: {X: "a\\r\\nHost: b"}': "must be at most 4096 printable ASCII characters",
    "headers: {X-A: x, x-a: y}": "must hold each header once, however it is spelt",
    "header_files: {X-Api-Key: missing}": "No such file",
    "headers: {X-A: x}\nheader_files: {x-a: secret}": "that headers holds too",
    "basic_auth: {username: prom}": "basic_auth.password_file: is required",
    "basic_auth: {username: 'a:b', password_file: secret}": "without a colon",
    "basic_auth: {username: a, password_file: secret, password: hunter2}": (
        "basic_auth.password: is an unknown key"
    ),
    "basic_auth: {username: a, password_file: secret}\nbearer_token_file: secret": (
        "bearer_token_file: must be left out: there is basic_auth already"
    ),
    "tls_config: {insecure_skip_verify: true}": "insecure_skip_verify: is an unknown key",
    "tls_config: {ca_file: secret}": "tls_config.ca_file: must hold certificates in PEM",
    "tls_config: {cert_file: secret}": "must hold cert_file and key_file together",
    "tls_config: {cert_file: secret, key_file: secret}": "key_file: must hold the unencrypted key",
    "tls_config: {server_name: 'a b'}": "server_name: must be the name of a host",
}


@pytest.mark.parametrize(("keys", "said"), MISTAKES.items())
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, keys: str, said: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with pytest.raises(ConfigError) as caught:
        source_of("http://orders", tmp_path, keys)
    [problem] = caught.value.problems
    assert said in str(caught.value)
    assert problem.location[:2] == ("apps", 0)
    assert "hunter2" not in str(caught.value)


CREDENTIALS = (
    "basic_auth: {username: prom, password_file: secret}",
    "bearer_token_file: secret",
    "header_files: {X-Api-Key: secret}",
)


@pytest.mark.parametrize("keys", CREDENTIALS)
@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://orders.example/metrics", True),
        ("http://127.example.org/metrics", True),
        ("https://orders.example/metrics", False),
        ("http://127.0.0.1:8080/metrics", False),
        ("http://[::1]:8080/metrics", False),
        ("unix:/run/orders.sock", False),
    ],
)
def test_credentials_are_not_sent_unencrypted_unless_the_configuration_says_so(
    tmp_path: Path, url: str, refused: bool, keys: str
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    if refused:
        with pytest.raises(ConfigError, match=r"apps\[0\].*allow_http_credentials"):
            source_of(url, tmp_path, keys)
        source_of(url, tmp_path, f"{keys}\nallow_http_credentials: true")
    source_of(url, tmp_path, keys if not refused else "headers: {X-Scope: shop}")


@pytest.mark.parametrize("keys", CREDENTIALS)
def test_entries_of_a_list_without_https_get_no_credentials(tmp_path: Path, keys: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    source_of("https://orders", tmp_path, keys)
    [app] = load(tmp_path / "config.yaml").apps
    with pytest.raises(ValueError, match="must be https"):
        url_of(Address("orders:8080"), app)
    encrypted = Address("orders:8080", {"__scheme__": "https"})
    assert url_of(encrypted, app) == "https://orders:8080/metrics"
    assert url_of(Address("127.0.0.1:8080"), app) == "http://127.0.0.1:8080/metrics"


def test_a_list_is_not_asked_for_with_credentials_over_http(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    for url, refused in (("http://list.example/", True), ("https://list.example/", False)):
        path = tmp_path / "config.yaml"
        path.write_text(
            f"apps: [{{name: a, http_sd: [{{url: '{url}', bearer_token_file: secret}}]}}]"
        )
        if refused:
            with pytest.raises(ConfigError, match=r"apps\[0\].http_sd\[0\].*allow_http_credent"):
                load(path)
        else:
            load(path)


def test_nothing_secret_is_in_a_repr() -> None:
    app = AppConfig(name="orders", headers={"X": SECRET}, targets=(f"http://h/?t={SECRET}",))
    assert SECRET not in repr(app)
    assert SECRET not in repr([*app_targets(app, app.targets, {})])
