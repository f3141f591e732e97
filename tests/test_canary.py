"""A secret in every place that takes one, and in wrong ones: nothing that is shown has it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
import structlog

from pg_pool_exporter.commands.single_poll import probe
from pg_pool_exporter.config import ConfigError, load, warnings
from support import pages
from support.configuration import write
from support.fake_server import lying_server, notice
from support.pages import Peer

CANARY = "Zk9xCanaryQ7"
NAMED_FILES = {
    "secret": CANARY,
    "two-lines": f"{CANARY}\r\nX: {CANARY}",
    "nul": f"{CANARY}\0{CANARY}",
    "large": CANARY * 20_000,
    "empty": "",
    "not-ascii": f"{CANARY}\N{RIGHT-TO-LEFT OVERRIDE}",
    "key.pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n",
    "prints.sh": f"#!/bin/sh\necho {CANARY}; echo {CANARY}\n",
    "fails.sh": f"#!/bin/sh\necho {CANARY} >&2; echo {CANARY}; exit 3\n",
    "right.sh": f"#!/bin/sh\necho {CANARY}\n",
    "list.json": json.dumps(
        [
            {
                "targets": [f"u:{CANARY}@127.0.0.1:1", f"127.0.0.1:1/?token={CANARY}", CANARY],
                "labels": {"__param_token": CANARY, "__scheme__": CANARY},
            }
        ]
    ),
}

# Of a server's or a bouncer's connection.
CONNECTIONS = [
    f"postgresql://u:{CANARY}@127.0.0.1:SERVER/d",
    f"host=127.0.0.1 port=SERVER user=u password='{CANARY}'",
    f"host=127.0.0.1 port=1 user=u password={CANARY}",
    f"host=127.0.0.1 port={CANARY}",
    f"host=127.0.0.1 port=99999 password={CANARY}",
    f"host=127.0.0.1 password={CANARY} options='-c {CANARY}'",
    f"postgresql://u:{CANARY}@[::1/d",
    f"postgresql://u:{CANARY}%zz@h/d",
    f"postgresql://u:{CANARY}@h:port/d",
    f"postgresql://u:{CANARY}@h/d?nonsense={CANARY}",
    f"postgresql://u:a {CANARY}@h/d",
    f"mysql://u:{CANARY}@h/d",
    f"u:{CANARY}@h",
    f"host=h password={CANARY} nonsense",
    f"host=h {CANARY}=x",
    f"host=h password='{CANARY}",
]
PASSWORDS = [
    *(f"password_file: {name}" for name in NAMED_FILES),
    *(f"password_command: [./{name}]" for name in NAMED_FILES if name.endswith(".sh")),
    f"password_command: [/bin/sh, -c, 'echo {CANARY} >&2; exit 1']",
    f"password_command: [nonsense, {CANARY}]",
    f"password: {CANARY}",
]
# Of an application's page, or of a list of pages.
CREDENTIALS = [
    *(f"bearer_token_file: {name}" for name in NAMED_FILES),
    *(f"header_files: {{X-Key: {name}}}" for name in NAMED_FILES),
    *(f"basic_auth: {{username: u, password_file: {name}}}" for name in NAMED_FILES),
    f"headers: {{X-Key: {CANARY}}}",
    f'headers: {{X-Key: "{CANARY}\\r\\nX: y"}}',
    f"headers: {{'{CANARY} x': y}}",
    f"headers: {{Authorization: Bearer {CANARY}}}",
    f"bearer_token: {CANARY}",
    f"basic_auth: {{username: u, password: {CANARY}}}",
    "tls_config: {cert_file: key.pem, key_file: key.pem}",
]
ADDRESSES = [
    *(f"PAGE/{path}?token={CANARY}" for path in ("denied", "moved", "page", "list")),
    f"http://u:{CANARY}@127.0.0.1:1/",
    f"http://127.0.0.1:{CANARY}/",
    f"ftp://u:{CANARY}@h/",
    f"http//h/?token={CANARY}",
]
OTHERS = [
    f"servers: [{{name: x, dns: 'postgresql://u:{CANARY}@h'}}]",
    f"servers: [{{name: x, dsn: [{CANARY}]}}]",
    f"servers: [{{name: x, dsn: 'host=h password={CANARY}\n",
    f"servers: [{{name: x, dsn: host=h password: {CANARY}}}]",
    f"servers: [{{name: x, dsn: !!int {CANARY}}}]",
    f"servers: [{{name: x, dsn: *{CANARY}}}]",
    f"servers: [{{name: x, dsn: host=a password={CANARY}, dsn: host=b password={CANARY}}}]",
    f"thresholds: {{leak_after: {CANARY}}}",
]


def sections(page: str, server: int) -> list[str]:
    """Configurations of one section each."""

    def connection(dsn: str, more: str = "") -> list[str]:
        keys = f'name: NAME, dsn: "{dsn}"' + more
        return [f"servers: [{{{keys}}}]", f"pgbouncers: [{{{keys}}}]"]

    found = [*OTHERS, "apps: [{name: NAME, file_sd: [list.json]}]"]
    for dsn in CONNECTIONS:
        found += connection(dsn)
    for password in PASSWORDS:
        found += connection("host=127.0.0.1 port=SERVER user=u", f", {password}")
    for address in ADDRESSES:
        found += [
            f'apps: [{{name: NAME, targets: ["{address}"]}}]',
            f'apps: [{{name: NAME, targets: ["{address}"], format: jolokia}}]',
            f'apps: [{{name: NAME, http_sd: [{{url: "{address}"}}]}}]',
            f'apps: [{{name: NAME, kubernetes_sd: [{{api_server: "{address}"}}]}}]',
        ]
    for credential in CREDENTIALS:
        found += [
            f"apps: [{{name: NAME, targets: [PAGE/{path}], {credential}}}]"
            for path in ("denied", "moved")
        ]
        found.append(f"apps: [{{name: NAME, http_sd: [{{url: PAGE/denied, {credential}}}]}}]")
    return [
        text.replace("NAME", f"n{number}").replace("PAGE", page).replace("SERVER", str(server))
        for number, text in enumerate(found)
    ]


async def echo(peer: Peer) -> None:
    """Answer with everything that was sent, in every part of an answer."""
    request = await peer.request()
    target = request.split(b" ")[1].decode()
    shown = re.sub(r"[^ -~]+", " ", request.decode("latin-1"))
    body = f'hikaricp_connections{{pool="postgresql://u:{CANARY}@h/d"}} 1\n{shown}'
    status, location = f"401 {shown[:2000]}", ""
    if target.startswith("/moved"):
        status, location = "302 Found", f"http://127.0.0.2:1/?{CANARY}"
    elif target.startswith(("/page", "/list")):
        status = "200 OK"
    if target.startswith("/list"):
        body = NAMED_FILES["list.json"]
    headers = (f"Location: {location}", f"X-Echo: {shown[:2000]}", "Content-Type: text/plain")
    length = f"Content-Length: {len(body)}"
    await peer.send(pages.head(*headers, length, status=status) + body.encode())


def test_no_secret_is_shown_of_what_is_wrong_or_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in NAMED_FILES.items():
        (tmp_path / name).write_bytes(text.encode())
        (tmp_path / name).chmod(0o744)
    shown: list[str] = []
    refusal = f'password {CANARY}, "{CANARY}", postgresql://u:{CANARY}@h'.encode()

    async def main() -> None:
        async with (
            pages.serving(echo) as served,
            lying_server([], notice(refusal, b"E", b"28P01")) as server,
        ):
            valid = []
            for text in sections(served.url.removesuffix("/metrics"), server):
                path = write(tmp_path, text)
                try:
                    config = load(path)
                except ConfigError as error:
                    shown.append(str(error))
                else:
                    shown.extend(warnings(config, path))
                    valid.append(config)
            parts = {
                key: tuple(one for config in valid for one in getattr(config, key))
                for key in ("servers", "apps", "pgbouncers")
            }
            merged = valid[0].model_copy(update={**parts, "socket_dir": ""})
            shown.append(repr(merged))
            polled = await probe(merged)
            assert sum(not state.health.up for state in polled.states) > 50
            shown.append(repr(polled))

    with structlog.testing.capture_logs() as logged:
        asyncio.run(main())
    shown += map(repr, logged)
    assert [text for text in shown if CANARY in text] == []
