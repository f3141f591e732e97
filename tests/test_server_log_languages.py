"""Logs of a real server that speaks other languages, in UTF-8 and in Latin-1."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from conftest import require
from support import provoking
from support.postgres import Cluster, system_bindirs
from support.server_log import counted

pytestmark = pytest.mark.debian


@pytest.fixture(scope="module")
def speaking() -> Iterator[Cluster]:
    """A server that logs to one file, with two databases whose encodings differ."""
    bindirs = system_bindirs()
    require(bindirs, "PostgreSQL from Debian's packages, which has translations")
    settings = {
        "log_line_prefix": "%m [%p] %u@%d ",
        "log_connections": "on",
        "log_disconnections": "on",
        "lc_messages": "C.UTF-8",
    }
    with Cluster(bindirs[-1], settings=settings) as cluster:
        cluster.run("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
                    "TEMPLATE template0")  # fmt: skip
        cluster.run("CREATE ROLE limited LOGIN CONNECTION LIMIT 0")
        yield cluster


@pytest.mark.parametrize(
    ("language", "databases"),
    [("de", ("latin", "postgres")), ("fr", ("latin", "postgres")), ("ru", ("postgres",)),
     ("ja", ("postgres",)), ("zh_CN", ("postgres",)), ("uk", ("postgres",))],
)  # fmt: skip
def test_a_server_in_another_language(
    speaking: Cluster, language: str, databases: tuple[str, ...]
) -> None:
    # gettext follows LANGUAGE in every locale but C; so no other locale needs to be installed.
    speaking.environment = {"LANGUAGE": language, "LC_ALL": "C.UTF-8"}
    speaking.restart()
    log = speaking.directory / "log"
    before = log.stat().st_size
    for name in databases:
        with provoking.session(speaking, user="postgres", dbname=name) as session:
            session.execute("SET statement_timeout = '20ms'")
            provoking.fails(session, "SELECT pg_sleep(5)", psycopg.errors.QueryCanceled)
        provoking.refused(speaking, user="limited", dbname=name)
    speaking.stop()
    text = log.read_bytes()[before:]
    speaking.start()
    assert b"canceling" not in text, "the server speaks English"
    found = counted("stderr", text, prefix="%m [%p] %u@%d ", spoken=None)
    for name in databases:
        assert found["timeout", "statement", name] == 1
        assert found["refused", "role_limit", name] == 1
        assert found["session", "opened", name] == found["session", "closed", name] == 2
    assert counted("stderr", text, prefix="%m [%p] %u@%d ", spoken=[language]) == found
    # The messages name the database too.
    bare = counted("stderr", text.replace(b"@", b"#"), prefix="%m [%p] %u ", spoken=None)
    for name in databases:
        assert bare["session", "opened", name] == 2
