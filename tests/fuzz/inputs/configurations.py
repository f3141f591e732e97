"""Configuration files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fuzz.harness import Check, Harness, check_error
from pg_pool_exporter.config import ConfigError, load
from pg_pool_exporter.metrics.text_format import Blocks

_ROOT = Path(__file__).parents[3]
_SMALL = b"""servers:
  - &a {name: main, dsn: "postgresql://exporter@db.example/postgres", interval: 2m, timeout: 500ms}
  - <<: *a
    name: other
    log: {files: [/var/log/p*.log], format: stderr, line_prefix: "%m [%p] "}
apps:
  - name: orders
    server: main
    leak_after: 90s
    targets: [http://orders:8080/own, "https://[::1]:8443", unix:/run/orders.sock:/metrics]
    http_sd: [{url: "https://sd.example/list", refresh_interval: 30s}]
    kubernetes_sd: [{namespaces: [shop], label_selector: app=orders, port: metrics}]
    dns_sd: [{names: [orders.example], type: A, port: 8080}]
pgbouncers:
  - {name: edge, dsn: "host=bouncer port=6432 user=stats dbname=pgbouncer"}
formats:
  - name: mine
    pool: [pool, db]
    values: {active: {series: my_active, where: {state: used}}, idle: my_idle}
"""


@contextmanager
def _start() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.yaml")

        def check(data: bytes) -> Sequence[Blocks]:
            path.write_bytes(data)
            try:
                load(path)
            except ConfigError as error:
                check_error(error, most=100_000, secret="hunter2")
            return ()

        yield check


HARNESS = Harness(
    name="configurations",
    seeds=[(_ROOT / "config.example.yaml").read_bytes(), _SMALL],
    tokens=[
        b"  - name: main\n", b"    dsn: postgresql://u:hunter2@h/d\n", b"dsn: ", b"&a ", b"*a",
        b"<<: *a",
        b"!!float ", b"!!timestamp ", b"!!binary ", b"? ", b"---\n", b"...\n", b"%YAML 1.1\n",
        b"|\n",
        b">-\n", b"{", b"}", b"[[[[[[", b"1:1:1", b"5s", b"1e3h", b"null", b"~", b"true",
        b"unix:/a@b:/c",
        b"http://u:hunter2@h", b"https://[::1", b"%zz", b"password_file: /dev/null\n", b"${x}",
        b"'", b"# ",
    ],
    start=_start,
    max_bytes=128 * 1024,
)  # fmt: skip
