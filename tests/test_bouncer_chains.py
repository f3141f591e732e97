"""From a bouncer's clients to sessions of several real servers, over each kind of connection."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
import trustme

from pg_pool_exporter.analysis.findings.finding import Cause
from pg_pool_exporter.config import Config, Thresholds
from support.both_ends import BothEnds
from support.pgbouncer import Bouncer
from support.postgres import EMBEDDED_16, Cluster, wait_until

pytestmark = [pytest.mark.debian, pytest.mark.slow]

CONFIG = Config(thresholds=Thresholds.model_validate({"bouncer_held": "1s"}))


class Found(NamedTuple):
    """A client that has a connection, as the exporter sees it."""

    application: str
    database: str
    server: str | None
    address: str
    is_in_transaction: bool


@pytest.fixture(scope="module")
def second_cluster() -> Iterator[Cluster]:
    with Cluster(EMBEDDED_16) as own:
        own.run("CREATE ROLE app LOGIN")
        yield own


@pytest.fixture(scope="module")
def authority() -> Iterator[Path]:
    """The directory of a certificate for this host, which the bouncer's user can read."""
    own = trustme.CA()
    issued = own.issue_cert("127.0.0.1")
    with tempfile.TemporaryDirectory(prefix="pgpe-tls-") as name:
        directory = Path(name)
        own.cert_pem.write_to_path(directory / "ca")
        issued.private_key_pem.write_to_path(directory / "key")
        issued.cert_chain_pems[0].write_to_path(directory / "certificate")
        for path in (directory, *directory.iterdir()):
            path.chmod(0o755)
        yield directory


def found(ends: BothEnds) -> set[Found]:
    return {
        Found(
            one.application, pool.key.database, one.server, one.hold.address, one.is_in_transaction
        )
        for pool in ends.poll().fleet.bouncer_pools
        for one in pool.holders
    }


def test_several_servers_behind_one_bouncer_over_tls_and_unix_sockets(
    app_cluster: Cluster, second_cluster: Cluster, pgbouncer: Path, authority: Path
) -> None:
    """Its names of databases differ from the servers', and it adds hosts to the clients' names."""
    databases = {
        "front": "dbname=postgres",
        "second": f"port={second_cluster.port} dbname=postgres",
        "local": f"host={app_cluster.directory} dbname=postgres",
    }
    settings: dict[str, str | int] = {
        "pool_mode": "transaction", "application_name_add_host": 1, "client_tls_sslmode": "allow",
        "client_tls_key_file": str(authority / "key"),
        "client_tls_cert_file": str(authority / "certificate"),
    }  # fmt: skip
    servers = {"main": app_cluster.dsn(), "second": second_cluster.dsn()}
    with (
        Bouncer(app_cluster, databases, settings, program=pgbouncer, on_unix=True) as bouncer,
        ExitStack() as stack,
    ):
        verified = {"sslmode": "verify-full", "sslrootcert": str(authority / "ca")}
        for dsn in (
            bouncer.dsn("front", "app", application_name="billing", **verified),
            bouncer.dsn("second", "app", application_name="reports"),
            f"{bouncer.unix_dsn('local', 'app')} application_name=cron",
        ):
            client = stack.enter_context(psycopg.connect(dsn))
            client.execute("SELECT 1")
        expected = {
            Found("billing", "front", "main", "127.0.0.1", True),
            Found("reports", "second", "second", "127.0.0.1", True),
            Found("cron", "local", "main", "", True),
        }
        by_tls = BothEnds(CONFIG, {"edge": bouncer.dsn(**verified)}, servers)
        by_unix = BothEnds(CONFIG, {"edge": bouncer.unix_dsn()}, servers)
        assert found(by_tls) == found(by_unix) == expected
        wait_until(lambda: len(by_tls.poll().findings) == 3, "all three are found", 10)
        assert {(one.cause, one.subject.app) for one in by_tls.analysis.findings} == {
            (Cause.BOUNCER_IDLE_IN_TRANSACTION, one.application) for one in expected
        }


def test_several_bouncers_before_one_server(app_cluster: Cluster, pgbouncer: Path) -> None:
    databases = {"front": "dbname=postgres pool_size=60"}
    settings: dict[str, str | int] = {"pool_mode": "transaction"}
    with ExitStack() as stack:
        consoles = {}
        for name in ("edge-1", "edge-2"):
            bouncer = stack.enter_context(
                Bouncer(app_cluster, databases, settings, program=pgbouncer)
            )
            consoles[name] = bouncer.dsn()
            dsn = bouncer.dsn("front", "app", application_name=f"of-{name}")
            stack.enter_context(psycopg.connect(dsn)).execute("SELECT 1")
        ends = BothEnds(CONFIG, consoles, {"main": app_cluster.dsn()})
        assert found(ends) == {
            Found(f"of-{name}", "front", "main", "127.0.0.1", True) for name in consoles
        }
        for links in ends.analysis.fleet.limits.values():
            (server,) = (one for one in links if one.whose == "server main")
            assert (server.demand, server.is_short) == (120, True)
