"""Names of any kind under prefixes of any kind: each record counts once, and books balance."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import assume, given, settings, strategies as st

from pg_pool_exporter.sources.server_log.format.known_prefixes import KNOWN_PREFIXES, fitting
from support.log_prefixes import Session, line
from support.server_log import parser_of, seen

TIMEOUTS = {
    "statement": ("ERROR", "57014", "canceling statement due to statement timeout"),
    "lock": ("ERROR", "55P03", "canceling statement due to lock timeout"),
    "idle_in_transaction": (
        "FATAL", "25P03", "terminating connection due to idle-in-transaction timeout",
    ),
    "idle_session": ("FATAL", "57P05", "terminating connection due to idle-session timeout"),
    "transaction": ("FATAL", "25P04", "terminating connection due to transaction timeout"),
}  # fmt: skip
REFUSALS = (
    ("53300", 'too many connections for role "{user}"'),
    ("53300", 'too many connections for database "{database}"'),
    ("53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute"),
    ("42501", 'permission denied for database "{database}"'),
)
NAMES = (
    "app", "web shop", "PostgreSQL JDBC Driver", "a@b", "@", "[x] y", "x]", "x,db=y", "it's",
    'say "hi"', "a:b", "a-b", "b|c", "x, y", "(x)", "naïve", "店", "50%", "back\\slash", "a=b",
    "x host=1", "x host=10.0.0.9 port=1",
)  # fmt: skip
# PostgreSQL allows everything but the null byte. Line ends are below, and labels are out of reach.
names = st.sampled_from(NAMES) | st.text(
    st.characters(exclude_characters="\0\n\r\t", exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=20,
).filter(lambda name: name.strip() == name and ":  " not in name)
applications = st.sampled_from(NAMES[:-7]) | st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=20
).filter(lambda name: ":  " not in name)
labelled = st.sampled_from(
    ["etl:  nightly", "a:  b:  c", "LOG:  x", "ERROR:  y", ":  ", "x:  ", "FATAL:  z", "job: a:  b"]
) | st.tuples(applications, applications).map(":  ".join)
WITHOUT_PROCESS = ("%m %q%u@%d ", "%m %u@%d %a ", "%t %a %u %d ", "%m [%a] %u@%d ", "%m %u %i %d ")
hosts = st.sampled_from(["10.0.0.7", "[local]", "::1", "2001:db8::17", "web-1.example.org", "a b"])


def opened(session: Session) -> str:
    return (
        f"connection authorized: user={session.user} database={session.database} "
        f"application_name={session.application} SSL enabled (protocol=TLSv1.3, cipher=X, bits=256)"
    )


def closed(session: Session) -> str:
    return (
        f"disconnection: session time: 0:00:01.234 user={session.user} "
        f"database={session.database} host={session.host} port=50000"
    )


def counts(
    prefix: str, *lines: bytes, known: frozenset[str] = frozenset()
) -> Counter[tuple[str, str, str | None]]:
    reader = parser_of("stderr", prefix)
    reader.take_tally(known)
    reader.feed(b"".join(lines))
    return Counter(seen(reader))


def test_the_table_has_enough_prefixes() -> None:
    assert len(set(KNOWN_PREFIXES)) == len(KNOWN_PREFIXES) >= 25


@settings(max_examples=400, deadline=None)
@given(
    prefix=st.sampled_from(KNOWN_PREFIXES),
    user=names, database=names, application=applications, host=hosts,
    kind=st.sampled_from(sorted(TIMEOUTS)),
)  # fmt: skip
def test_any_names_under_any_prefix(
    prefix: str, user: str, database: str, application: str, host: str, kind: str
) -> None:
    """A session opens, has a timeout and closes. Its database is right, or else unknown."""
    session = Session(user, database, application, host)
    severity, code, message = TIMEOUTS[kind]
    found = counts(
        prefix,
        # The name of the application is not set yet.
        line(prefix, session._replace(application="[unknown]"), "LOG", opened(session)),
        line(prefix, session, severity, message, code),
        line(prefix, session, "LOG", closed(session)),
        line(prefix, None, "LOG", "checkpoint starting: time"),
    )
    at_start = {name for _, value, name in found if value == "opened"}
    at_end = {name for _, value, name in found if value == "closed"}
    assert len(at_start) == 1
    assert at_start == at_end
    assert at_start <= {database, None}
    [timed_out] = {name for family, _, name in found if family == "timeout"}
    assert timed_out in {database, None}
    assert sum(found.values()) == 3


escapes = st.tuples(
    st.sampled_from(["", "", "", "5", "-5", "12", "-20", "0", "-"]),
    st.sampled_from("udapcmtudaehilLnPQrsvxbqz%"),
).map(lambda one: "%{}{}".format(*one))
literals = st.sampled_from(
    [" ", "", "-", ":", "@", "|", ",", "[", "]", "(", " [", "] ", "user=", ",db=", "`", "'", "/",
     "_", "0", "x", "é", "  ", "user", "LOG"]
)  # fmt: skip
prefixes = st.lists(st.tuples(escapes, literals).map("".join), min_size=1, max_size=6).map("".join)
strange = (
    st.sampled_from((*NAMES, "a\nb", "\nx", "x\n", "`", "a`b", "\r", "7", "UTC", "LOG")) | names
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    prefix=st.tuples(prefixes, st.sampled_from([" ", "", ": "])).map("".join),
    user=strange, database=strange, application=applications,
    kind=st.sampled_from(sorted(TIMEOUTS)),
)  # fmt: skip
def test_strange_names_under_any_prefix_that_postgresql_accepts(
    prefix: str, user: str, database: str, application: str, kind: str
) -> None:
    """A session closes where it opened, if at all, and no other database has its timeout."""
    session = Session(user, database, application)
    other = Session("bob", "other", "psql", "10.0.0.8", 77)
    severity, code, message = TIMEOUTS[kind]
    lines = [
        line(prefix, other, "LOG", opened(other)),
        line(prefix, session._replace(application="[unknown]"), "LOG", opened(session)),
        line(prefix, None, "LOG", "checkpoint starting: time"),
        line(prefix, session, severity, message, code),
        line(prefix, session, "LOG", closed(session)),
        line(prefix, other, "LOG", closed(other)),
    ]
    # What looks like a severity is above.
    assume(all(one.count(b":  ") == 1 for one in lines))
    reader = parser_of("stderr", prefix, wrapping="none")
    reader.take_tally(frozenset({"shop", "other", "web", "a", database}))
    reader.feed(b"".join(lines))
    found = seen(reader)
    at_start = {name: n for (_, value, name), n in found.items() if value == "opened"}
    assert at_start == {name: n for (_, value, name), n in found.items() if value == "closed"}
    assert at_start.keys() <= {database, "other", None}
    timed_out = {name: n for (family, _, name), n in found.items() if family == "timeout"}
    assert timed_out in ({}, {database: 1}, {None: 1})


@settings(max_examples=300, deadline=None)
@given(
    prefix=st.sampled_from([one for one in KNOWN_PREFIXES if "%a" in one]),
    user=names, database=names, application=labelled,
    host=hosts.filter(lambda host: " " not in host),
    kind=st.sampled_from(sorted(TIMEOUTS)),
)  # fmt: skip
def test_an_application_whose_name_looks_like_a_severity(
    prefix: str, user: str, database: str, application: str, host: str, kind: str
) -> None:
    """Its session closes where it opened. Its timeout counts if nothing else is strange."""
    session = Session(user, database, application, host)
    severity, code, message = TIMEOUTS[kind]
    found = counts(
        prefix,
        line(prefix, session._replace(application="[unknown]"), "LOG", opened(session)),
        line(prefix, session, severity, message, code),
        line(prefix, session, "LOG", closed(session)),
    )
    at_start = {name for _, value, name in found if value == "opened"}
    assert at_start == {name for _, value, name in found if value == "closed"}
    assert at_start <= {database, None}
    timed_out = sum(n for (family, _, _), n in found.items() if family == "timeout")
    assert sum(found.values()) == 2 + timed_out
    is_plain = f"{user}{database}{application.replace(':  ', '')}".isalnum()
    assert timed_out == 1 or not is_plain or prefix.endswith(":")


@settings(max_examples=300, deadline=None)
@given(
    prefix=st.sampled_from(KNOWN_PREFIXES) | st.sampled_from(WITHOUT_PROCESS),
    user=names | labelled.filter(lambda name: name.strip() == name),
    database=names | labelled.filter(lambda name: name.strip() == name),
)
def test_a_user_or_database_whose_name_looks_like_a_severity(
    prefix: str, user: str, database: str
) -> None:
    """A session counts at both ends, or at neither."""
    session = Session(user, database)
    found = counts(
        prefix,
        line(prefix, session._replace(application="[unknown]"), "LOG", opened(session)),
        line(prefix, session, "LOG", closed(session)),
    )
    at_start = {name: n for (_, value, name), n in found.items() if value == "opened"}
    assert at_start == {name: n for (_, value, name), n in found.items() if value == "closed"}
    assert at_start.keys() <= {database, None}
    assert sum(at_start.values()) <= 1


@pytest.mark.parametrize("prefix", ["%m [%p] %q%u@%d ", "%m [%p]: [%l-1] db=%d,user=%u "])
@pytest.mark.parametrize(("user", "database"), [("app", "a:  b"), ("job 7:  x", "shop")])
def test_a_session_of_such_a_name_is_counted(prefix: str, user: str, database: str) -> None:
    session = Session(user, database)
    forged = f"statement: SELECT 'LOG:  {opened(Session('x', 'y'))}'"
    found = counts(
        prefix,
        line(prefix, Session("bob", "shop", pid=9), "LOG", forged),
        line(prefix, session, "LOG", opened(session)),
        line(prefix, session, "LOG", forged),
        line(prefix, session, "LOG", closed(session)),
    )
    assert Counter({value: n for (_, value, _), n in found.items()}) == {"opened": 1, "closed": 1}


@pytest.mark.parametrize("application", ["web", "etl:  nightly"])
def test_a_text_of_a_record_that_looks_like_a_closed_session_unbalances_nothing(
    application: str,
) -> None:
    """A user who may run statements may write records like it."""
    prefix = "%m [%p] %q%u@%d %a "
    session = Session("app", "shop", application)
    forged = f"LOG:  {closed(session)}"
    found = counts(
        prefix,
        line(prefix, session, "LOG", forged),
        line(prefix, session._replace(application="[unknown]"), "LOG", opened(session)),
        *[line(prefix, session, severity, forged) for severity in ("LOG", "DETAIL", "ERROR")],
        line(prefix, session, "LOG", closed(session)),
        line(prefix, session, "LOG", forged),
    )
    assert found == {("session", "opened", "shop"): 1, ("session", "closed", "shop"): 1}


@settings(max_examples=300, deadline=None)
@given(
    prefix=st.sampled_from(KNOWN_PREFIXES),
    user=names, database=names, host=hosts, refusal=st.sampled_from(REFUSALS),
)  # fmt: skip
def test_a_session_that_is_refused_closes_where_it_opened(
    prefix: str, user: str, database: str, host: str, refusal: tuple[str, str]
) -> None:
    session = Session(user, database, "[unknown]", host)
    code, message = refusal
    other = session._replace(user="x", database="other", pid=5)
    found = counts(
        prefix,
        line(prefix, other, "LOG", opened(other)),
        line(prefix, session, "LOG", opened(session)),
        line(prefix, session, "FATAL", message.format(user=user, database=database), code),
    )
    at_start = Counter({name: n for (_, value, name), n in found.items() if value == "opened"})
    at_start.subtract({name: n for (_, value, name), n in found.items() if value == "closed"})
    assert {name: n for name, n in at_start.items() if n} == {"other": 1}


@pytest.mark.parametrize("prefix", KNOWN_PREFIXES)
def test_ordinary_names_are_never_unknown(prefix: str) -> None:
    """What a prefix says of ordinary names is certain, and what it does not say, is not."""
    session = Session("app", "shop-2", "PostgreSQL JDBC Driver")
    for application in ("psql", "PostgreSQL JDBC Driver"):
        session = session._replace(application=application)
        for kind, (severity, code, message) in TIMEOUTS.items():
            database = "shop-2" if "%d" in prefix else None
            found = counts(
                prefix, line(prefix, session, severity, message, code), known=frozenset({"shop-2"})
            )
            assert found == {("timeout", kind, database): 1}


def test_a_name_that_leaves_it_open_is_decided_by_the_databases_that_there_are() -> None:
    prefix = "%m [%p] %q%u@%d %a "
    severity, code, message = TIMEOUTS["lock"]
    record = line(prefix, Session("app", "web shop", "my worker"), severity, message, code)
    assert counts(prefix, record) == {("timeout", "lock", None): 1}
    for known, database in (
        ({"web shop", "other"}, "web shop"),
        ({"web", "other"}, "web"),
        ({"web", "web shop"}, None),
        ({"other"}, None),
    ):
        found = counts(prefix, record, known=frozenset(known))
        assert found == {("timeout", "lock", database): 1}


@pytest.mark.parametrize("name", ["a\nb", "a\n", "\nb", "a\r\nb", "a\tb"])
@pytest.mark.parametrize("prefix", ["%m [%p] ", "%m [%p] %q%u@%d ", "%t:%r:%u@%d:[%p]:", "%u@%d "])
def test_a_line_end_in_a_name_unbalances_nothing(prefix: str, name: str) -> None:
    for session in (Session(name, "shop"), Session("app", name)):
        found = counts(
            prefix,
            line(prefix, session, "LOG", opened(session)),
            line(prefix, session, "LOG", closed(session)),
        )
        at_start = {(name, n) for (_, value, name), n in found.items() if value == "opened"}
        assert at_start == {(name, n) for (_, value, name), n in found.items() if value == "closed"}


@pytest.mark.parametrize("name", ["a\nb", "a\n", "\nb", "a\r\nb", "a\tb", "a\n\nb", "a"])
@pytest.mark.parametrize("prefix", ["%m [%p] ", "%m [%p] %q%u@%d ", "%t:%r:%u@%d:[%p]:", "%t "])
def test_a_line_end_in_a_name_counts_alike_wherever_the_log_is_cut(prefix: str, name: str) -> None:
    for session in (Session(name, "shop"), Session("app", name)):
        data = line(prefix, session, "LOG", opened(session)) * 2
        reader = parser_of("stderr", prefix)
        for piece in data.splitlines(keepends=True):
            reader.feed(piece)
        assert seen(reader) == counts(prefix, data)


def test_sessions_that_overlap_are_told_apart_by_their_process() -> None:
    """Their prefix leaves the database open, and the message about a limit names none."""
    prefix = "%m [%p] "
    sessions = [Session("app", f"d{number}", pid=number + 1) for number in range(50)]
    limit = 'too many connections for role "app"'
    found = counts(
        prefix,
        *(line(prefix, one, "LOG", opened(one)) for one in sessions),
        *(line(prefix, one, "FATAL", limit, "53300") for one in sessions),
    )
    for one in sessions:
        assert found["session", "closed", one.database] == 1


def test_a_logical_standby_opens_and_closes_without_a_database() -> None:
    """PostgreSQL names its database only at the end."""
    session = Session("rep", "shop", "sub")
    for prefix in ("%m [%p] ", "%t-%c-"):
        found = counts(
            prefix,
            line(prefix, session, "LOG", "replication connection authorized: user=rep"),
            line(prefix, session, "LOG", closed(session)),
        )
        assert found == {("session", "opened", None): 1, ("session", "closed", None): 1}


@pytest.mark.parametrize("prefix", [one for one in KNOWN_PREFIXES if one])
def test_the_prefix_that_fits_is_found(prefix: str) -> None:
    """Another one may fit as well, if it reads the same lines with the same databases."""
    sessions = [
        Session("app", "shop", "psql", pid=12), Session("ana", "billing", "web", "10.0.0.8", 34),
    ]  # fmt: skip
    lines = [
        *(line(prefix, one, "LOG", opened(one)) for one in sessions),
        line(prefix, None, "LOG", "checkpoint starting: time"),
        *(line(prefix, one, "ERROR", "syntax error", "42601") for one in sessions),
    ]
    found = fitting([one.rstrip(b"\n") for one in lines], [b"LOG"])
    assert found is not None
    expected = Counter(dict(counts(prefix, *lines)))
    assert counts(found, *lines) == expected
    assert ("%d" in found) == ("%d" in prefix)


def test_no_prefix_fits_what_is_no_log() -> None:
    assert fitting([b"once upon a time", b"there was a server"], [b"LOG"]) is None
    assert fitting([], [b"LOG"]) is None


def test_headers_that_can_be_read_in_very_many_ways_are_unknown_and_quick() -> None:
    prefix = "%a %u %d %h "
    session = Session(" ".join("ab" * 12), " ".join("cd" * 12), " ".join("ef" * 12))
    severity, code, message = TIMEOUTS["statement"]
    lines = [line(prefix, session, severity, message, code)] * 50
    assert counts(prefix, *lines) == {("timeout", "statement", None): 50}


def test_names_are_drawn_with_separators() -> None:
    joined = "".join(itertools.chain(NAMES))
    assert set(" @[],:'\"|()-=") <= set(joined)
