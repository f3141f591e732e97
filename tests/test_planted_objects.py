"""Objects that somebody else has made on the server never run with the exporter's rights.

Functions, operators, types and relations that have the name of anything that our statements name
are planted in every schema that a search path can have. Each of them raises an error when used.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal
from pydantic import SecretStr

from conftest import require
from pg_pool_exporter.commands import terminate_idle
from pg_pool_exporter.commands.terminate_idle import Choice
from pg_pool_exporter.config import ServerConfig
from pg_pool_exporter.sources import queries
from support.pgbouncer import PGBOUNCER, Bouncer
from support.polling import poll, run, source_of
from support.postgres import EMBEDDED_16, EMBEDDED_18, Cluster, system_bindirs, wait_until
from support.sql import LOG_READER, run_script

DATABASE = "planted"
SCHEMAS = ("public", "exporter", "evil")
VERSIONS = [EMBEDDED_16, EMBEDDED_18, *system_bindirs()]

PLANT = """
DO $do$
DECLARE
    schema text := {schema};
    words text[] := {words};
    signs text[] := {signs};
    one record;
    arguments text;
    number int := 0;
BEGIN
    EXECUTE format('CREATE FUNCTION %I.planted() RETURNS boolean LANGUAGE plpgsql AS
        $f$BEGIN RAISE EXCEPTION ''planted''; END$f$', schema);
    FOR one IN
        SELECT proname AS name, pg_get_function_identity_arguments(oid) AS arguments,
               proretset AS many, format_type(prorettype, NULL) AS result
        FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (words)
    LOOP
        -- As it is, and as fits better to a literal, a number or a name.
        FOREACH arguments IN ARRAY ARRAY[
            one.arguments, regexp_replace(one.arguments, '\\m(oid|name)\\M', 'text', 'g'),
            regexp_replace(one.arguments, 'double precision|integer', 'numeric', 'g'),
            regexp_replace(one.arguments, 'timestamp with time zone', 'text', 'g')]
        LOOP
            BEGIN
                EXECUTE format('CREATE FUNCTION %I.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS
                    $f$BEGIN RAISE EXCEPTION ''planted''; END$f$', schema, one.name, arguments,
                    CASE WHEN one.many THEN 'SETOF ' ELSE '' END, one.result);
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END LOOP;
    END LOOP;
    FOR one IN
        SELECT oprname AS name, format_type(nullif(oprleft, 0), NULL) AS "left",
               format_type(nullif(oprright, 0), NULL) AS "right",
               format_type(oprresult, NULL) AS result
        FROM pg_operator WHERE oprname = ANY (signs) AND oprright <> 0 AND oprleft <> 0
    LOOP
        number := number + 1;
        BEGIN
            EXECUTE format('CREATE FUNCTION %I.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS
                $f$BEGIN RAISE EXCEPTION ''planted''; END$f$', schema, number, one."left",
                one."right", one.result);
            EXECUTE format('CREATE OPERATOR %I.%s (FUNCTION = %I.operator_%s, LEFTARG = %s,
                RIGHTARG = %s)', schema, one.name, schema, number, one."left", one."right");
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR one IN
        SELECT relname AS name FROM pg_class
        WHERE relnamespace = 'pg_catalog'::regnamespace AND relname = ANY (words)
          AND relkind IN ('r', 'v')
    LOOP
        EXECUTE format('CREATE VIEW %I.%I AS SELECT * FROM pg_catalog.%I WHERE %I.planted()',
                       schema, one.name, one.name, schema);
    END LOOP;
    FOR one IN
        SELECT typname AS name FROM pg_type
        WHERE typnamespace = 'pg_catalog'::regnamespace AND typname = ANY (words)
          AND typtype = 'b'
    LOOP
        BEGIN
            EXECUTE format('CREATE DOMAIN %I.%I AS pg_catalog.%I CHECK (%I.planted())',
                           schema, one.name, one.name, schema);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END
$do$
"""


def named() -> tuple[list[str], list[str]]:
    """All words and all operators of all our statements, whatever they stand for there."""
    words, signs = {"date_part", "float8", "int4", "bool"}, set()
    for path in (*Path(queries.__file__).parent.glob("*.sql"), LOG_READER):
        text = re.sub(r"--.*|'[^']*'|%\(\w+\)s", " ", path.read_text())
        words |= set(re.findall(r"[a-z_][a-z0-9_]*", text))
        signs |= set(re.findall(r"[-+*/<>=~!@#%^&|?]+", text))
    assert {"make_interval", "pg_has_role", "pg_show_all_settings", "text", "array_agg"} <= words
    assert {"=", "<", ">=", "-", "*"} <= signs
    return sorted(words), sorted(signs)


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda path: path.parent.name)
def planted(
    request: pytest.FixtureRequest, shared_cluster: Callable[[Path], Cluster]
) -> Iterator[Cluster]:
    """A server with a database that is full of planted objects."""
    cluster = shared_cluster(request.param)
    words, signs = named()
    cluster.run("CREATE ROLE exporter LOGIN")
    cluster.run("GRANT pg_monitor TO exporter")
    cluster.run(f"CREATE DATABASE {DATABASE}")
    with closing(cluster.connect(dbname=DATABASE)) as owner:
        for schema in SCHEMAS:
            if schema != "public":
                owner.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
            owner.execute(
                SQL(PLANT).format(
                    schema=Literal(schema), words=Literal(words), signs=Literal(signs)
                )
            )
        owner.execute("GRANT USAGE ON SCHEMA public, exporter, evil TO PUBLIC")
        owner.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public, exporter, evil TO PUBLIC")
    yield cluster
    cluster.run(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    cluster.run("DROP ROLE exporter")


def reach(cluster: Cluster, path: str | None, **params: str) -> str:
    """What a statement that names `length` comes to with a search path: ours does not follow it."""
    options = {} if path is None else {"options": f"-c search_path={path.replace(' ', '')}"}
    with closing(cluster.connect(dbname=DATABASE, **options, **params)) as session:
        try:
            session.execute("SELECT length('x'::text)")
        except psycopg.errors.RaiseException:
            return "planted"
    return "ours"


@pytest.mark.parametrize("path", [None, "evil, pg_catalog", "public, pg_catalog"])
@pytest.mark.parametrize("where", ["dsn", "role", "database"])
def test_a_poll_uses_nothing_that_others_have_made(
    planted: Cluster, where: str, path: str | None, tmp_path: Path
) -> None:
    options = {}
    if path is not None:
        assert reach(planted, path) == "planted"
        if where == "dsn":
            options = {"options": f"-c search_path={path.replace(' ', '')}"}
        else:
            on = "ROLE exporter" if where == "role" else f"DATABASE {DATABASE}"
            planted.run(f"ALTER {on} SET search_path = {path}")

    async def main() -> None:
        dsn = planted.dsn(dbname=DATABASE, user="exporter", **options)
        source = source_of(planted, dsn=dsn, log={"files": [str(tmp_path / "*.log")]})
        for _ in range(2):
            assert (await poll(source)).settings.max_connections == 100
        await source.close()

    try:
        run(main())
    finally:
        planted.run("ALTER ROLE exporter RESET search_path")
        planted.run(f"ALTER DATABASE {DATABASE} RESET search_path")


@pytest.mark.parametrize("path", ["public, pg_catalog", "evil, pg_catalog", '"$user", public'])
def test_ending_idle_sessions_uses_nothing_that_others_have_made(
    planted: Cluster, path: str
) -> None:
    planted.run(f"ALTER DATABASE {DATABASE} SET search_path = {path}")
    config = ServerConfig(name="main", dsn=SecretStr(planted.dsn(dbname=DATABASE)))
    try:
        with closing(planted.connect(application_name="orders")) as session:
            session.execute("SELECT 1")
            idle = f"SELECT 1 FROM pg_stat_activity WHERE pid = {session.info.backend_pid} "
            wait_until(lambda: planted.run(f"{idle} AND state = 'idle'"), "the session is idle")
            done = asyncio.run(terminate_idle.run(config, Choice(0.0, "orders"), end=True))
            assert done.text.count(": ended") == 1
            nothing = asyncio.run(terminate_idle.run(config, Choice(3600.0, "none"), end=False))
            assert "No session has that application_name" in nothing.text
    finally:
        planted.run(f"ALTER DATABASE {DATABASE} RESET search_path")


@pytest.mark.parametrize("path", ["public, pg_catalog", "evil, pg_catalog"])
def test_installing_the_log_reader_uses_nothing_that_the_owner_of_the_database_has_made(
    planted: Cluster, path: str
) -> None:
    planted.run(f"ALTER DATABASE {DATABASE} SET search_path = {path}")
    try:
        run_script(planted, "exporter", dbname=DATABASE)
    finally:
        planted.run(f"ALTER DATABASE {DATABASE} RESET search_path")
    planted.run("DROP SCHEMA pool_exporter CASCADE", dbname=DATABASE)


def test_the_log_reader_is_not_for_everybody(postgres: Cluster) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="role=public"):
        run_script(postgres, "public")


def test_functions_that_read_the_log_are_not_called_unless_a_superuser_owns_them(
    postgres: Cluster,
) -> None:
    postgres.run("CREATE ROLE mallory LOGIN")
    postgres.run("CREATE DATABASE trap OWNER mallory")
    try:
        with postgres.connect(dbname="trap", user="mallory") as mallory:
            mallory.execute("CREATE SCHEMA pool_exporter")
            mallory.execute(
                "CREATE FUNCTION pool_exporter.log_files("
                "OUT name text, OUT size int8, OUT modified float8) "
                "RETURNS SETOF record LANGUAGE plpgsql AS "
                "$$BEGIN RAISE EXCEPTION 'planted'; END$$"
            )
        with postgres.connect(dbname="trap") as session:
            batch = queries.batch("log_owner", "log_files", version=postgres.version)
            with pytest.raises(psycopg.errors.DivisionByZero):
                session.execute(batch.statements.encode())
    finally:
        postgres.run("DROP DATABASE trap WITH (FORCE)")
        postgres.run("DROP ROLE mallory")


@pytest.mark.debian
def test_behind_a_bouncer_in_transaction_mode_nothing_of_other_clients_is_used(
    cluster: Cluster,
) -> None:
    """The server's session is shared: others make temporary tables there, and set its path."""
    require(PGBOUNCER.exists(), "PgBouncer")
    settings: dict[str, str | int] = {"pool_mode": "transaction", "default_pool_size": 1}
    with (
        Bouncer(cluster, {"postgres": "dbname=postgres"}, settings) as bouncer,
        closing(bouncer.connect("postgres", "postgres")) as other,
    ):
        other.execute("CREATE TEMPORARY VIEW pg_roles AS SELECT 1/0 AS rolname")
        other.execute("CREATE TEMPORARY VIEW pg_stat_database AS SELECT 1/0 AS datid")
        other.execute("CREATE SCHEMA evil")
        other.execute(
            "CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'planted'; END$$"
        )

        async def main() -> None:
            now = 0.0
            dsn = bouncer.dsn("postgres", "postgres")
            source = source_of(cluster, dsn=dsn, clock=lambda: now)
            await poll(source)
            other.execute("SET search_path = evil, pg_catalog")
            now = 1000.0
            await poll(source)
            await source.close()

        run(main())
        assert other.execute("SHOW search_path").fetchone() == ("evil, pg_catalog",)
