"""Places that list addresses: real files, a real HTTP server, a real name server."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import dns.rcode
import pytest
import trustme

from pg_pool_exporter.blocking.files import FileError, content
from pg_pool_exporter.blocking.threads import Lane
from pg_pool_exporter.config import HttpClientConfig, HttpSdConfig
from pg_pool_exporter.discovery import dns_sd, file_sd
from pg_pool_exporter.discovery.address_list import MAX_BYTES, ListError
from pg_pool_exporter.discovery.discoverer import Discoverer
from pg_pool_exporter.discovery.dns_sd import DnsDiscoverer
from pg_pool_exporter.discovery.file_sd import FileDiscoverer
from pg_pool_exporter.discovery.http_sd import HttpDiscoverer
from support import pages
from support.busy import within
from support.dns_server import NameServer, name_server
from support.pages import (
    Answer,
    Peer,
    answer,
    body_of,
    drip,
    gzip_bomb,
    half_page,
    hang_up,
    head,
    raw,
)


def write(path: Path, *addresses: str) -> None:
    """Put a list into place as a careful writer does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([{"targets": addresses}]))
    new.rename(path)


def listed(place: Discoverer) -> tuple[list[str], str | None]:
    """What a place lists now, and what is wrong with it."""
    listing = asyncio.run(place.discover())
    return [address.text for address in listing.addresses], listing.problem


def test_files_of_a_pattern_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path / "b.json", "b:1")
    write(tmp_path / "a.json", "a:1", "a:2")
    (tmp_path / "c.yml").write_text("- targets: [c:1]\n")
    (tmp_path / "d.txt").write_text("- targets: [d:1]\n")
    assert listed(FileDiscoverer(f"{tmp_path}/*.json")) == (["a:1", "a:2", "b:1"], None)
    assert listed(FileDiscoverer(f"{tmp_path}/c.yml")) == (["c:1"], None)
    assert listed(FileDiscoverer(f"{tmp_path}/nothing.json")) == ([], None)


def test_a_file_is_read_again_only_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write(path, "a:1")
    place = FileDiscoverer(str(path))
    assert listed(place) == (["a:1"], None)
    with monkeypatch.context() as patch:
        patch.setattr(file_sd, "content", lambda *_: pytest.fail("it was read"))
        assert listed(place) == (["a:1"], None)
    write(path, "a:2")
    assert listed(place) == (["a:2"], None)
    stat = path.stat()
    path.write_text(path.read_text().replace("a:2", "a:3"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert listed(place) == (["a:3"], None)
    path.unlink()
    assert listed(place) == ([], None)


def test_a_link_that_leads_elsewhere_is_another_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.json", f"{name}:1")
    link = tmp_path / "current"
    link.symlink_to("one")
    place = FileDiscoverer(f"{link}/*.json")
    assert listed(place) == (["one:1"], None)
    link.unlink()
    link.symlink_to("two")
    assert listed(place) == (["two:1"], None)


def pipe(path: Path) -> None:
    """A named pipe that nobody writes into."""
    path.unlink()
    os.mkfifo(path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_text('[{"targets": ['), "is not valid JSON (line 1)"),
        (lambda path: path.write_bytes(b" " * (MAX_BYTES + 1)), "is larger than 1024 KiB"),
        (directory, "is not a regular file"),
        (pipe, "is not a regular file"),
        (loop, "cannot be read: "),
    ],
)
def test_a_file_that_breaks_keeps_its_addresses_and_the_others_go_on(
    tmp_path: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    broken, good = tmp_path / "a.json", tmp_path / "b.json"
    write(broken, "a:1")
    write(good, "b:1")
    place = FileDiscoverer(f"{tmp_path}/*.json")
    assert listed(place) == (["a:1", "b:1"], None)
    spoil(broken)
    write(good, "b:2")
    addresses, message = listed(place)
    assert addresses == ["a:1", "b:2"]
    assert message is not None
    assert message.startswith(f"{broken} {problem}")
    if broken.is_dir():
        broken.rmdir()
    write(broken, "a:2")
    assert listed(place) == (["a:2", "b:2"], None)


def test_the_number_of_files_is_bounded_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_sd, "MAX_FILES", 2)
    for name in "abc":
        write(tmp_path / f"{name}.json", f"{name}:1")
    addresses, problem = listed(FileDiscoverer(f"{tmp_path}/*.json"))
    assert len(addresses) == 2
    assert problem == "stands for more than 2 files"


def test_what_all_files_hold_together_is_bounded_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.json", f"{name}:1")
    size = (tmp_path / "a.json").stat().st_size
    monkeypatch.setattr(file_sd, "MAX_TOTAL_BYTES", 2 * size)
    place = FileDiscoverer(f"{tmp_path}/*.json")
    for _ in range(2):  # read, and not read again
        addresses, problem = listed(place)
        assert addresses == ["a:1", "b:1"]
        assert problem is not None
        assert "of lists" in problem
    (tmp_path / "a.json").unlink()
    assert listed(place) == (["b:1", "c:1"], None)


def test_a_file_that_may_be_read_again_is_read_although_it_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: str, limit: int) -> bytes:
        raise FileError("cannot be read: Permission denied")

    write(tmp_path / "a.json", "a:1")
    place = FileDiscoverer(f"{tmp_path}/a.json")
    with monkeypatch.context() as patch:
        patch.setattr(file_sd, "content", deny)
        assert listed(place) == ([], f"{tmp_path}/a.json cannot be read: Permission denied")
    assert listed(place) == (["a:1"], None)


def test_a_file_system_that_hangs_has_one_thread_at_most_and_is_read_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.json", "a:1")
    place = FileDiscoverer(f"{tmp_path}/a.json")
    goes_on, reads = threading.Event(), 0

    def hang(path: str, limit: int) -> bytes:
        nonlocal reads
        reads += 1
        goes_on.wait(10)
        return content(path, limit)

    async def main() -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await place.discover()
        goes_on.set()
        assert [address.text for address in (await place.discover()).addresses] == ["a:1"]

    monkeypatch.setattr(file_sd, "content", hang)
    asyncio.run(main())
    assert reads == 1


JSON = "Content-Type: application/json; charset=utf-8"


def http_place(url: str, **keys: object) -> HttpDiscoverer:
    """The list at a URL, with these keys of its configuration beside it."""
    config = HttpSdConfig.model_validate({"url": url, **keys}, context={"directory": Path("/")})
    return HttpDiscoverer(config)


async def served(send: Answer) -> list[str]:
    """The addresses that a server lists. Raises `ListError`."""
    async with pages.serving(send) as server, asyncio.timeout(5):
        listing = await http_place(server.url).discover()
    assert listing.problem is None
    return [address.text for address in listing.addresses]


def test_a_list_is_had_over_http() -> None:
    assert asyncio.run(served(answer(b'[{"targets": ["a:1", "b:2"]}]', JSON))) == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (answer(b"[]", JSON, status="503 Service Unavailable"), "the answer has status 503"),
        (answer(b"[]", JSON, "Location: /elsewhere", status="302 Found"), "not read: "),
        (answer(b"<html>", "Content-Type: text/html"), "the content type is not one of"),
        (answer(b"hunter2", JSON), "is not valid JSON (line 1)"),
        (
            answer(gzip_bomb(), JSON, "Content-Encoding: gzip"),
            "is compressed, which was not asked for",
        ),
        (body_of(2 * MAX_BYTES), "is larger than 1024 KiB"),
        (raw(head(JSON) + b" " * (MAX_BYTES + 1)), "is larger than 1024 KiB"),
        (raw(head(JSON, f"Content-Length: {10 * MAX_BYTES}")), "larger than 4 MiB"),
        (half_page, "the body ended too early"),
        (raw(b"SSH-2.0-OpenSSH\r\n"), "not valid HTTP"),
        (hang_up, "the connection was closed"),
    ],
)
def test_what_is_wrong_with_an_answer_is_reported(send: Answer, message: str) -> None:
    with pytest.raises(ListError) as error:
        asyncio.run(served(send))
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)


class Asked:
    """A server of an empty list that remembers what it was sent."""

    def __init__(self) -> None:
        self.heads: list[list[str]] = []

    async def __call__(self, peer: Peer) -> None:
        self.heads.append((await peer.request()).decode().split("\r\n"))
        await peer.send(head(JSON, "Content-Length: 2") + b"[]")


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({}, "X-Prometheus-Refresh-Interval-Seconds: 60"),
        ({"refresh_interval": "1500ms"}, "X-Prometheus-Refresh-Interval-Seconds: 1.5"),
        ({"refresh_interval": "1d"}, "X-Prometheus-Refresh-Interval-Seconds: 86400"),
        ({"headers": {"X-Scope-OrgID": "shop"}}, "X-Scope-OrgID: shop"),
        ({"header_files": {"X-Api-Key": "{}"}}, "X-Api-Key: hunter2"),
        ({"bearer_token_file": "{}"}, "Authorization: Bearer hunter2"),
        (
            {"basic_auth": {"username": "prom", "password_file": "{}"}},
            "Authorization: Basic cHJvbTpodW50ZXIy",
        ),
    ],
)
def test_a_list_is_asked_for_as_prometheus_does_and_the_configuration_says(
    tmp_path: Path, keys: dict[str, object], sent: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    keys = json.loads(json.dumps(keys).replace("{}", str(secret)) if keys else "{}")

    async def main() -> None:
        server = Asked()
        async with pages.serving(server) as served:
            await http_place(served.url, **keys).discover()
        [lines] = server.heads
        assert sent in lines
        assert "Accept: application/json" in lines

    asyncio.run(main())


def test_a_token_that_changes_is_used_at_the_next_look_up_and_one_that_is_gone_is_reported(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outdated")

    async def main() -> None:
        server = Asked()
        async with pages.serving(server) as served:
            place = http_place(served.url, bearer_token_file=str(secret))
            await place.discover()
            secret.write_text("hunter2")
            await place.discover()
            secret.unlink()
            with pytest.raises(ListError, match="No such file"):
                await place.discover()
        first, second = server.heads
        assert "Authorization: Bearer outdated" in first
        assert "Authorization: Bearer hunter2" in second

    asyncio.run(main())


def test_a_list_over_https_is_had_with_the_certificates_of_the_configuration(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    own = authority.issue_cert("exporter")
    own.cert_chain_pems[0].write_to_path(tmp_path / "exporter.pem")
    own.private_key_pem.write_to_path(tmp_path / "exporter.key")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)
    authority.issue_cert("sd.example").configure_cert(tls)
    trusted = {"ca_file": f"{tmp_path}/ca.pem", "server_name": "sd.example"}
    shown = {"cert_file": f"{tmp_path}/exporter.pem", "key_file": f"{tmp_path}/exporter.key"}

    async def main() -> None:
        async with pages.serving(answer(b'[{"targets": ["a:1"]}]', JSON), tls=tls) as server:
            listing = await http_place(server.url, tls_config=trusted | shown).discover()
            assert [address.text for address in listing.addresses] == ["a:1"]
            with pytest.raises(ListError, match="certificate is not valid"):
                await http_place(server.url).discover()

    asyncio.run(main())


def test_nothing_secret_of_a_list_is_in_its_repr(tmp_path: Path) -> None:
    (tmp_path / "hunter2").write_text("hunter2")
    file = f"{tmp_path}/hunter2"
    config = HttpSdConfig.model_validate(
        {
            "url": "https://sd/pools?token=hunter2",
            "headers": {"X-Key": "hunter2"},
            "header_files": {"X-Api-Key": file},
            "bearer_token_file": file,
        },
        context={"directory": Path("/")},
    )
    assert "hunter2" not in repr(config)
    assert isinstance(config.http_client, HttpClientConfig)


def test_a_redirect_on_the_same_host_is_followed_and_none_to_another(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")

    async def moved(peer: Peer) -> None:
        asked = await peer.request()
        if b"/new" in asked:
            await peer.send(head(JSON, "Content-Length: 2") + b"[]")
        else:
            await peer.send(head("Location: /new", "Content-Length: 0", status="302 Found"))

    async def main() -> None:
        async with pages.serving(moved) as server:
            await http_place(server.url).discover()
        other = Asked()
        async with pages.serving(other) as elsewhere:
            away = answer(b"", f"Location: {elsewhere.url}", status="302 Found")
            async with pages.serving(away) as server:
                with pytest.raises(ListError, match="not followed"):
                    await http_place(server.url, bearer_token_file=str(secret)).discover()
        assert other.heads == []

    asyncio.run(main())


def test_a_slow_answer_can_be_given_up_at_once() -> None:
    async def main() -> float:
        async with pages.serving(drip) as server:
            began = time.monotonic()
            with pytest.raises((TimeoutError, ListError)):
                async with asyncio.timeout(0.2):
                    await http_place(server.url).discover()
            return time.monotonic() - began

    assert asyncio.run(main()) < within(1)


def test_the_name_of_a_url_has_no_query() -> None:
    place = http_place("https://sd:8443/pools?token=hunter2")
    assert (place.name, place.key) == (
        "https://sd:8443/pools",
        "https://sd:8443/pools?token=hunter2",
    )


RECORDS = {
    ("_pools._tcp.example.org.", "SRV"): [
        "10 5 8080 web-2.example.org.",
        "10 5 8081 web-1.example.org.",
        "0 0 0 .",
    ],
    ("web.example.org.", "A"): ["10.0.0.2", "10.0.0.1", "10.0.0.1"],
    ("web.example.org.", "AAAA"): ["2001:db8::1"],
}


def with_dns(
    monkeypatch: pytest.MonkeyPatch, main: Callable[[NameServer], Awaitable[None]]
) -> None:
    """Runs `main` while names are looked up at a server with `RECORDS`."""

    async def run() -> None:
        async with name_server(dict(RECORDS)) as server:
            monkeypatch.setattr(dns_sd, "resolver", server.resolver)
            await main(server)

    asyncio.run(run())


def test_a_resolver_configuration_that_hangs_does_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await DnsDiscoverer("web.example.org", "A", 9187).discover()

    monkeypatch.setattr(dns_sd, "CONFIGURATION", Lane("test"))  # others must not wait for it
    monkeypatch.setattr(dns_sd, "resolver", lambda: goes_on.wait(10))
    started = time.monotonic()
    try:
        asyncio.run(main())
        assert time.monotonic() - started < within(2)
    finally:
        goes_on.set()


@pytest.mark.parametrize(
    ("place", "addresses"),
    [
        (DnsDiscoverer("_pools._tcp.example.org", "SRV", None),
         ["web-1.example.org:8081", "web-2.example.org:8080"]),
        (DnsDiscoverer("web.example.org", "A", 9187), ["10.0.0.1:9187", "10.0.0.2:9187"]),
        (DnsDiscoverer("web.example.org.", "AAAA", 9187), ["[2001:db8::1]:9187"]),
        (DnsDiscoverer("web.example.org", "SRV", None), []),
        (DnsDiscoverer("gone.example.org", "A", 9187), []),
    ],
)  # fmt: skip
def test_records_of_a_name_are_addresses(
    monkeypatch: pytest.MonkeyPatch, place: DnsDiscoverer, addresses: list[str]
) -> None:
    async def main(server: NameServer) -> None:
        listing = await place.discover()
        assert [address.text for address in listing.addresses] == addresses
        assert server.asked

    with_dns(monkeypatch, main)


@pytest.mark.parametrize(
    ("rcode", "silent", "message"),
    [
        (dns.rcode.SERVFAIL, False, "the name servers refuse or fail"),
        (dns.rcode.REFUSED, False, "the name servers refuse or fail"),
        (dns.rcode.NOERROR, True, "no name server answers"),
    ],
)
def test_a_name_server_that_fails_is_not_a_name_without_addresses(
    monkeypatch: pytest.MonkeyPatch, rcode: dns.rcode.Rcode, silent: bool, message: str
) -> None:
    async def main(server: NameServer) -> None:
        server.rcode, server.silent = rcode, silent
        with pytest.raises(ListError, match=message):
            await DnsDiscoverer("web.example.org", "A", 9187).discover()

    with_dns(monkeypatch, main)


def test_names_of_places_in_dns_tell_them_apart() -> None:
    assert (
        DnsDiscoverer("_pools._tcp.example.org", "SRV", None).name == "SRV _pools._tcp.example.org"
    )
    assert DnsDiscoverer("web.example.org", "AAAA", 9187).name == "AAAA web.example.org:9187"
