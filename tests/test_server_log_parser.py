"""What is counted in a server's log, and what is not."""

from __future__ import annotations

import json
import time
import tracemalloc
from importlib import resources

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.metrics.catalogue import REFUSAL_REASONS, SERVER_TIMEOUT_KINDS
from pg_pool_exporter.sources.server_log.counting.reader import MAX_LINE
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.messages.catalogue import language, languages
from support.server_log import FORMATS, TIME, counted, parser_of, record, seen

formats = pytest.mark.parametrize("form", FORMATS)
NOTHING: dict[tuple[str, str, str | None], int] = {}

TIMEOUTS = [
    ("ERROR", "57014", "canceling statement due to statement timeout", "statement"),
    ("ERROR", "55P03", "canceling statement due to lock timeout", "lock"),
    (
        "FATAL",
        "25P03",
        "terminating connection due to idle-in-transaction timeout",
        "idle_in_transaction",
    ),
    ("FATAL", "57P05", "terminating connection due to idle-session timeout", "idle_session"),
    ("FATAL", "25P04", "terminating connection due to transaction timeout", "transaction"),
    ("FATAL", "57014", "canceling authentication due to timeout", "authentication"),
]
# The last one says whether the session had been logged as opened, as PostgreSQL does then.
REFUSALS = [
    ("53300", "sorry, too many clients already", "too_many_connections", False),
    (
        "53300",
        "remaining connection slots are reserved for non-replication superuser connections",
        "too_many_connections",
        True,
    ),
    (
        "53300",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "too_many_connections",
        True,
    ),
    (
        "53300",
        'remaining connection slots are reserved for roles with privileges of the "pg_x" role',
        "too_many_connections",
        True,
    ),
    ("53300", 'too many connections for role "app"', "role_limit", True),
    ("53300", 'too many connections for database "shop"', "database_limit", True),
    ("28P01", 'password authentication failed for user "app"', "authentication", False),
    (
        "28000",
        'no pg_hba.conf entry for host "10.0.0.7", user "app", database "shop", no encryption',
        "authentication",
        False,
    ),
    ("28000", 'role "app" does not exist', "authentication", True),
    ("57P03", "the database system is starting up", "other", False),
    ("57P03", "the database system is shutting down", "other", False),
    ("3D000", 'database "shop" does not exist', "other", True),
]
CLOSED: dict[tuple[str, str, str | None], int] = {("session", "closed", "shop"): 1}


@formats
@pytest.mark.parametrize(("severity", "code", "message", "kind"), TIMEOUTS)
def test_each_timeout_is_counted_with_its_kind_and_database(
    form: Format, severity: str, code: str, message: str, kind: str
) -> None:
    log = record(form, severity, message, code=code, statement="SELECT 1")
    assert counted(form, log) == {("timeout", kind, "shop"): 1}


@formats
@pytest.mark.parametrize(("code", "message", "reason", "opened"), REFUSALS)
def test_each_refusal_is_counted_once_with_its_reason(
    form: Format, code: str, message: str, reason: str, opened: bool
) -> None:
    """One that comes after the session was opened closes it, or it would seem to be there yet."""
    log = record(form, "FATAL", message, code=code, detail="Connection matched line 3: …")
    closed = CLOSED if opened else NOTHING
    assert counted(form, log) == {("refused", reason, "shop"): 1} | closed


@pytest.mark.parametrize(
    ("severity", "message", "event", "opened"),
    [(severity, message, ("timeout", kind), False) for severity, _, message, kind in TIMEOUTS]
    + [("FATAL", message, ("refused", reason), opened) for _, message, reason, opened in REFUSALS],
)
@pytest.mark.parametrize("spoken", [(), None], ids=["english", "any"])
def test_without_sqlstate_the_message_decides(
    severity: str,
    message: str,
    event: tuple[str, str],
    opened: bool,
    spoken: tuple[str, ...] | None,
) -> None:
    log = f"{TIME} [1] app@shop {severity}:  {message}\n".encode()
    assert counted("stderr", log, prefix="%m [%p] %q%u@%d ", spoken=spoken) == {
        (*event, "shop"): 1
    } | (CLOSED if opened else NOTHING)


def test_everything_that_can_be_counted_is_in_these_tables() -> None:
    assert {kind for *_, kind in TIMEOUTS} == set(SERVER_TIMEOUT_KINDS)
    assert {reason for _, _, reason, _ in REFUSALS} == set(REFUSAL_REASONS)


@formats
@pytest.mark.parametrize(
    ("message", "event"),
    [
        ("connection authorized: user=app database=shop application_name=orders", "opened"),
        (
            "connection authorized: user=app database=shop SSL enabled (protocol=TLSv1.3)",
            "opened",
        ),
        ("disconnection: session time: 0:00:01.234 user=app database=shop host=[local]", "closed"),
    ],
)
def test_sessions_are_counted_when_they_open_and_close(
    form: Format, message: str, event: str
) -> None:
    assert counted(form, record(form, "LOG", message)) == {("session", event, "shop"): 1}
    verbose = f"{TIME} [1] LOG:  00000: {message}\n".encode()
    assert counted("stderr", verbose, prefix="%m [%p] ") == {("session", event, "shop"): 1}


@formats
def test_a_session_of_a_standby_has_no_database(form: Format) -> None:
    log = record(
        form,
        "LOG",
        "replication connection authorized: user=app application_name=standby",
        database="[unknown]" if form == "stderr" else "",
    )
    assert counted(form, log) == {("session", "opened", None): 1}


@formats
@pytest.mark.parametrize(
    ("severity", "code", "message"),
    [
        ("ERROR", "57014", "canceling statement due to user request"),
        ("ERROR", "57014", "canceling statement due to conflict with recovery"),
        ("ERROR", "55P03", 'could not obtain lock on relation "orders"'),
        ("FATAL", "57P01", "terminating connection due to administrator command"),
        ("ERROR", "42501", "permission denied for table orders"),
        ("ERROR", "28000", 'role "app" is not permitted to log in'),
        ("ERROR", "42601", 'syntax error at or near "57014"'),
        ("LOG", "00000", "connection received: host=10.0.0.7 port=50000"),
        ("LOG", "00000", 'connection authenticated: identity="app" method=trust'),
        ("LOG", "00000", "duration: 1.000 ms  statement: SELECT 'ERROR:  57014'"),
        ("WARNING", "57014", "canceling statement due to statement timeout"),
        ("ERROR", "57014", "canceling statement due to statement timeout, or so"),
    ],
)
def test_what_resembles_an_event_is_not_counted(
    form: Format, severity: str, code: str, message: str
) -> None:
    assert counted(form, record(form, severity, message, code=code)) == NOTHING


@formats
@pytest.mark.parametrize("fake_form", FORMATS)
@pytest.mark.parametrize("place", ["message", "statement", "detail"])
def test_a_record_quoted_in_another_one_is_not_counted(
    form: Format, fake_form: Format, place: str
) -> None:
    """A statement can hold whole records of a log, of any format, at the start of its lines."""
    fake = b"\n".join(
        record(fake_form, severity, message, code=code, database=database, user=database)
        for severity, code, message, _ in TIMEOUTS
        for database in ("shop", "")
    )
    fake += record(fake_form, "LOG", "connection authorized: user=app database=shop")
    quoted = f"INSERT INTO logs VALUES ('\n{fake.decode()}\n')"
    texts = {"message": "syntax error", "statement": "SELECT 1", "detail": ""} | {place: quoted}
    log = record(form, "ERROR", texts["message"], code="42601", statement=texts["statement"],
                 detail=texts["detail"])  # fmt: skip
    event = record(form, "ERROR", TIMEOUTS[0][2], code="57014")
    assert counted(form, log + event + log) == {("timeout", "statement", "shop"): 1}


@formats
def test_names_are_as_the_server_has_them(form: Format) -> None:
    """Quotes, backslashes, spaces, commas, letters beyond ASCII; UTF-8 or else Latin-1."""
    for name in ("a b", 'sh"op', "back\\slash", "semi,colon", "naïve", "店", "x\\n"):
        log = record(form, "ERROR", TIMEOUTS[0][2], code="57014", database=name)
        assert counted(form, log) == {("timeout", "statement", name): 1}
    log = record(form, "ERROR", TIMEOUTS[0][2], code="57014", database="naïve", encoding="latin-1")
    assert counted(form, log) == {("timeout", "statement", "naïve"): 1}


@pytest.mark.parametrize(
    ("prefix", "head"),
    [
        ("%m [%p] %q%u@%d %e ", f"{TIME} [1] app@shop 00000 "),
        ("%m [%p] %q%u@%d ", f"{TIME} [1] app@shop "),
        ("%m [%p] %q%u@%d %e ", f"{TIME} [1] "),
        ("%u@%d %e ", "app@shop 00000 "),
        ("%u@%d %e ", "\t"),
        ("%m %q%a ", f"{TIME} psql "),
        ("%m %q%a ", f"{TIME} "),
        ("%m db=%d,user=%u,app=%a ", f"{TIME} db=shop,user=app,app=psql "),
    ],
)
@pytest.mark.parametrize("label", ["LOG", "STATEMENT", "ANWEISUNG", "INSTRUCTION ", "ÖLÜMCÜL (F)"])
def test_a_prefix_in_a_statement_is_not_the_records(prefix: str, head: str, label: str) -> None:
    """Nor does what stands there become the name of a database."""
    for fake in (
        "app@secret 57014 ERROR:  canceling statement due to statement timeout",
        "app@secret 25P03 FATAL:  terminating connection due to idle-in-transaction timeout",
        "x db=secret,user=b,app=c ERROR:  canceling statement due to lock timeout",
        "app@secret 00000 LOG:  connection authorized: user=app database=secret",
        "a LOG:  disconnection: session time: 0:00:00.1 user=a database=secret host=x",
    ):
        line = f"{head}{label}:  statement: SELECT '{fake}\n".encode()
        assert counted("stderr", line, prefix=prefix) == NOTHING


NAMES = ("PostgreSQL JDBC Driver", "web shop", "a@b", "[x] y", "x,db=y", "it's", 'say "hi"', "a:b")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("prefix", "line"),
    [
        ("%m [%p] %q%u@%d %a ", "{TIME} [12] app@shop {name} "),
        ("%m [%p] %q[user=%u,db=%d,app=%a] ", "{TIME} [12] [user=app,db=shop,app={name}] "),
        ("%m [%p] %q%d %a@%u ", "{TIME} [12] shop {name}@app "),
        ("%d|%a|%h|", "shop|{name}|10.0.0.1|"),
        ("%t:%r:%d:%a:[%p]: ", "2026-11-24 10:00:00 UTC:10.0.0.1(5):shop:{name}:[12]: "),
    ],
)
def test_names_with_spaces_and_separators(prefix: str, line: str, name: str) -> None:
    """A session that opens and closes is counted at both ends."""
    head = line.format(TIME=TIME, name=name)
    log = (
        f"{head}LOG:  connection authorized: user=app database=shop application_name={name}\n"
        f"{head}FATAL:  terminating connection due to idle-in-transaction timeout\n"
        f"{head}LOG:  disconnection: session time: 0:00:01.2 user=app database=shop host=x\n"
    ).encode()
    found = counted("stderr", log, prefix=prefix)
    assert found["session", "opened", "shop"] == 1
    assert found["session", "closed", "shop"] == 1
    assert found["timeout", "idle_in_transaction", "shop"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_database_whose_name_has_spaces_and_separators(name: str) -> None:
    log = (
        f"{TIME} [12] app@{name} LOG:  connection authorized: user=app database={name}\n"
        f"{TIME} [12] app@{name} LOG:  disconnection: session time: 0:00:01.2 user=app\n"
    ).encode()
    assert counted("stderr", log, prefix="%m [%p] %q%u@%d ") == {
        ("session", "opened", name): 1,
        ("session", "closed", name): 1,
    }


@pytest.mark.parametrize("event", [
    "x 25P03 FATAL:  terminating connection due to idle-in-transaction timeout",
    "x 00000 LOG:  connection authorized: user=a database=b",
])  # fmt: skip
@pytest.mark.parametrize("tail", ["", "\n"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_line_end_in_a_name_forges_no_record(event: str, tail: str, cut: bool) -> None:
    """Names of a client's first packet are in the prefix as they came, before any login."""
    lines = (
        f"{TIME} [4711] app@x\n",
        f"{TIME} [1] a@{event}{tail} 28P01 FATAL:  password authentication failed\n",
        f"{TIME} [4712] app@shop 57014 ERROR:  canceling statement due to statement timeout\n",
    )
    parser = parser_of("stderr")
    for part in lines if cut else ["".join(lines)]:
        parser.feed(part.encode())
    assert seen(parser) == {("timeout", "statement", "shop"): 1}


@formats
@pytest.mark.parametrize("name", ["x\n{record}", "x\r\n{record}\n"])
def test_quoted_formats_cannot_be_forged_at_all(form: Format, name: str) -> None:
    """Of stderr this holds for all lines but those of the test above."""
    if form == "stderr":
        return
    fake = record(form, "FATAL", TIMEOUTS[2][2], code="25P03").decode()
    log = record(form, "FATAL", REFUSALS[6][1], code="28P01", user=name.format(record=fake),
                 database=name.format(record=fake))  # fmt: skip
    assert ("timeout", "idle_in_transaction", "shop") not in counted(form, log)


@pytest.mark.parametrize("line", [
    "WARN request q=a,{record},b", 'web-1  | GET /?q=a,{record},b', "last error,{record}, retrying",
    '10:00 ERROR: psql wrote "x","{record}"', "['a',{record}]",
])  # fmt: skip
def test_a_record_that_another_program_quotes_is_not_counted(line: str) -> None:
    record = f"{TIME} [7] ERROR:  canceling statement due to statement timeout"
    parser = parser_of("stderr", "%m [%p] ", is_fixed=False)
    server = f"{TIME} [7] LOG:  checkpoint starting: time\n"
    parser.feed(f"{server}{line.format(record=record)}\n{server}".encode())
    assert seen(parser) == {}
    assert parser.coverage.unparsed == 1


@pytest.mark.parametrize("prefix", [
    "%u@%d %a %h ", "%m [%p] %q%u@%d %a %h ", "%u %d %a %h %r %i %b %L ", "%h %q%u@%d ",
    "%a%u%d%h", "%a %p %u %p %d %p ",
])  # fmt: skip
@pytest.mark.parametrize("part", ["@ 1", "@ ", " ", "1", "x@1 ", " 1 "])
def test_the_time_for_hostile_lines_grows_with_their_length(prefix: str, part: str) -> None:
    """Names that repeat the separators of the prefix, in lines that are no record."""
    head = f"{TIME} [1] " if prefix.startswith("%m") else ""

    def seconds(number: int) -> float:
        text = part * (900 // len(part))
        data = f"{head}{text}-ERROR:  canceling\n{head}{text}+FATAL:  x\n".encode() * number
        parser = parser_of("stderr", prefix)
        started = time.process_time()
        parser.feed(data)
        return time.process_time() - started

    # 40 lines: some 0.3 s on a fast machine; the old pattern took seconds for each of them.
    assert seconds(20) < 2.0


@formats
def test_a_hostile_statement_costs_little(form: Format) -> None:
    """Nothing is looked for far from a line's start, so its time does not grow with its square."""
    for part in ("ERROR:  ", "x@y ERROR:  ", '"",ERROR,57014,"x', "x@y 57014 FATAL:  57014: "):
        parser = parser_of(form)
        statement = part * (MAX_LINE // len(part))
        started = time.process_time()
        parser.feed(record(form, "LOG", f"statement: {statement}", statement=statement))
        assert time.process_time() - started < 0.5
        assert seen(parser) == NOTHING


@pytest.mark.parametrize("times", range(8))
@pytest.mark.parametrize(
    ("label", "error"), [("FATAL:  ", 'FATAL:  role "x" does not exist'),
                         ("FATAL:  ", "ERROR:  canceling statement due to statement timeout"),
                         ("ERROR:  ", "ERROR:  canceling statement due to lock timeout")],
)  # fmt: skip
def test_labels_in_a_name_hide_no_record(label: str, error: str, times: int) -> None:
    """A client chooses its name, of 63 bytes at most, and would hide its own timeouts."""
    line = f"{TIME} [4]: user=u,db=shop,app={label * times}x,client=10.0.0.7 {error}\n"
    found = counted("stderr", line.encode(), prefix="%m [%p]: user=%u,db=%d,app=%a,client=%h ")
    assert sum(count for (family, *_), count in found.items() if family != "session") == 1


@formats
@pytest.mark.parametrize("line", [
    "\t" + ": " * 40, ": " * 40, "\tINSERT INTO t VALUES (1); -- note: a text", '","' * 25,
    ",42601," * 10,
])  # fmt: skip
def test_the_further_lines_of_a_hostile_statement_cost_little(form: Format, line: str) -> None:
    """No word of a language is looked for where no record begins."""
    parser = parser_of(form)
    first = record(form, "ERROR", "syntax error", code="42601", statement="SELECT\n1")
    parser.feed(first[: first.rindex(b"1")])
    piece = (line.encode() + b"\n") * (256 * 1024 // len(line))
    started = time.process_time()
    parser.feed(piece)
    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("between", [" ", ", ", " ,", "\t"])
def test_what_follows_an_object_costs_little(between: str) -> None:
    parser = parser_of("stderr")
    line = b"{}" + between.encode() * (30_000 // len(between)) + b"x\n"
    started = time.process_time()
    parser.feed(line)
    assert time.process_time() - started < 0.5


def test_a_text_that_resembles_a_closed_session_costs_little() -> None:
    parser = parser_of("stderr", "%m [%p] %q%u@%d %a ")
    text = "disconnection: session time: 0:00:01.234 user=x" + " database= host=" * 3500
    started = time.process_time()
    parser.feed(f"{TIME} [1] app@shop etl:  x LOG:  {text}\n".encode())
    assert time.process_time() - started < 0.5


def test_long_messages_are_not_kept() -> None:
    """Each is another one, as with names in them."""
    parser = parser_of("stderr", "%m ")
    tracemalloc.start()
    try:
        for number in range(300):
            parser.feed(f"{TIME} ERROR:  {number}{'x' * MAX_LINE}\n".encode())
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 4 * 1024 * 1024


@formats
def test_bytes_that_are_no_text_cost_only_their_own_record(form: Format) -> None:
    broken = record(
        form, "ERROR", "invalid byte sequence \udcff\udcfe", statement="SELECT '\udc80'"
    )
    event = record(form, "ERROR", TIMEOUTS[0][2], code="57014", statement="SELECT '\udcff'")
    assert counted(form, broken + event + b"\0\0\n" + event) == {
        ("timeout", "statement", "shop"): 2
    }


@formats
@pytest.mark.parametrize("name", [name for name in languages() if name != "en"])
def test_every_language_is_understood(form: Format, name: str) -> None:
    """Where a code is ambiguous, and in stderr without codes; in each of its encodings."""
    own = languages()[name]
    error, fatal = (own.get(word, [word])[0] for word in ("ERROR", "FATAL"))
    for use, severity, code in (
        ("statement", error, "57014"),
        ("lock", error, "55P03"),
        ("authentication_timeout", fatal, "57014"),
    ):
        for message in own.get(use, []):
            log = record(form, severity, message, code=code)
            kind = use.removesuffix("_timeout")
            assert counted(form, log, spoken=[name]) == {("timeout", kind, "shop"): 1}
            assert counted(form, log, spoken=None) == {("timeout", kind, "shop"): 1}
    for use in ("opened", "closed"):
        for message in own.get(use, []):
            log = record(form, "LOG", message.replace("%s", "x"), database="x")
            assert counted(form, log, spoken=[name]) == {("session", use, "x"): 1}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", [name for name in languages() if name != "en"])
@pytest.mark.parametrize("before", [0, 2000])
def test_another_language_than_the_settings_name_is_understood(
    form: Format, name: str, before: int
) -> None:
    """`LANGUAGE` overrides lc_messages without a trace."""
    texts = languages()[name]
    english = languages()["en"]
    severity = texts.get("ERROR", english["ERROR"])[0]
    use = "statement" if "statement" in texts else "lock"
    slow = record(form, "LOG", "duration: 1.0 ms  statement: SELECT 1") * before
    event = record(form, severity, texts[use][0], code="57014" if use == "statement" else "55P03")
    assert counted(form, slow + event + slow, spoken=["en"]) == {("timeout", use, "shop"): 1}


@pytest.mark.parametrize("encoding", ["utf-8", "koi8-r", "cp1251", "iso8859-5"])
def test_a_log_in_another_encoding(encoding: str) -> None:
    message = languages()["ru"]["statement"][0]
    log = f"{TIME} [1] app@shop ОШИБКА:  {message}\n".encode(encoding)
    prefix = "%m [%p] %u@%d "
    assert counted("stderr", log, prefix=prefix, spoken=["ru"]) == {
        ("timeout", "statement", "shop"): 1
    }


@pytest.mark.parametrize(
    ("lc_messages", "name"),
    [
        ("de_DE.UTF-8", "de"), ("de_AT@euro", "de"), ("pt_BR.UTF-8", "pt_BR"), ("zh_CN", "zh_CN"),
        ("C", "en"), ("C.UTF-8", "en"), ("POSIX", "en"), ("en_US.UTF-8", "en"), ("", "en"),
        ("xx_YY", "en"),
    ],
)  # fmt: skip
def test_the_language_of_a_setting(lc_messages: str, name: str) -> None:
    assert language(lc_messages) == name


def test_the_texts_say_from_which_versions_they_are() -> None:
    file = resources.files("pg_pool_exporter.sources.server_log.messages").joinpath("messages.json")
    assert json.loads(file.read_bytes())["versions"] == ["15", "17", "19"]


LINE = b"2026-11-24 10:00:00.123 UTC"


@pytest.mark.parametrize(
    ("prefix", "line", "database"),
    [
        ("", b"", None),
        ("%t ", b"2026-11-24 10:00:00 UTC ", None),
        ("%m [%p] ", LINE + b" [12] ", None),
        ("%m [%p] %q%u@%d ", LINE + b" [12] app@shop ", "shop"),
        ("%m [%p] %q%u@%d ", LINE + b" [12] ", None),
        ("%m [%p] %q[user=%u,db=%d,app=%a] ", LINE + b" [12] [user=a,db=b c,app=[x] y] ", "b c"),
        ("%d %d|", b"shop shop|", "shop"),
        ("%-10d|%5p|", b"shop      |   12|", "shop"),
        ("%10d|", b"      shop|", "shop"),
        ("%n %c %l ", b"1795516277.123 65f0a1b2.1267 3 ", None),
        ("%s %v %x %Q ", b"2026-11-24 10:00:00 UTC 3/17 0 -5 ", None),
        ("%r %h %L %i ", b"10.0.0.7(50000) 10.0.0.7 ::1 idle in transaction ", None),
        ("%b %P %e ", b"client backend  57014 ", None),
        ("%h:%d%%", b"[local]:shop%", "shop"),
        ("%z%d:", b"shop:", "shop"),
        ("%d ends %", b"shop ends ", "shop"),
        ("a.b*[%d] (x) ", b"a.b*[shop] (x) ", "shop"),
    ],
)  # fmt: skip
def test_any_log_line_prefix(prefix: str, line: bytes, database: str | None) -> None:
    """Every escape, paddings, characters that mean something in a regular expression."""
    log = line + b"ERROR:  canceling statement due to statement timeout\n"
    assert counted("stderr", log, prefix=prefix) == {("timeout", "statement", database): 1}


def test_a_line_that_does_not_begin_with_the_prefix_is_no_record() -> None:
    text = b"ERROR:  canceling statement due to statement timeout\n"
    for line in (text, b"\t" + text, b"x" + LINE + b" [1] " + text, LINE + b" [1]\t" + text):
        assert counted("stderr", line, prefix="%m [%p] ") == NOTHING


def test_a_marker_elsewhere_in_a_line_hides_nothing() -> None:
    head = LINE + b" [1] FATAL:  @ERROR: "
    assert counted(
        "stderr",
        head + b"ERROR:  canceling statement due to statement timeout\n",
        prefix="%m [%p] %u@%d ",
    ) == {("timeout", "statement", "ERROR:"): 1}


@formats
def test_of_a_very_long_record_the_beginning_counts(form: Format) -> None:
    """A statement of megabytes, on one line and on many."""
    for statement in ("x" * 3 * MAX_LINE, "x\n" * MAX_LINE):
        event = record(form, "ERROR", TIMEOUTS[0][2], code="57014", statement=statement)
        parser = parser_of(form)
        parser.feed(event + event)
        assert seen(parser) == {("timeout", "statement", "shop"): 2}
        assert parser.pending == 0
        parser.feed(event[:-1])
        assert parser.pending <= MAX_LINE


# Pieces of logs that are hard to cut: everything above, and what only looks like it.
def pieces(form: Format) -> list[bytes]:
    fake = record(form, "ERROR", TIMEOUTS[0][2], code="57014").decode()
    return [
        *(record(form, severity, text, code=code) for severity, code, text, _ in TIMEOUTS),
        *(record(form, "FATAL", text, code=code, database="ein d") for code, text, *_ in REFUSALS),
        record(form, "LOG", "connection authorized: user=app database=shop"),
        record(form, "LOG", "disconnection: session time: 0:00:01.234 user=app database=shop"),
        record(form, "ERROR", 'sy"ntax', code="42601", statement=f"SELECT '\n\n{fake}', \"x\""),
        record(form, "LOG", "statement: SELECT 'ERROR:  57014'"),
        record(form, "ERROR", "naïve \udcff", code="42601"),
        record(form, "ERROR", TIMEOUTS[0][2], code="57014", statement="x" * (MAX_LINE + 1)),
        record(form, "LOG", "y" * (2 * MAX_LINE) + fake),
        b"\n",
        b"\t\n",
        b'"\n',
        b"no record at all\n",
        b"\0\xff\xfe\n",
    ]


@formats
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_however_a_log_is_cut_into_reads_the_counts_are_the_same(
    form: Format, data: st.DataObject
) -> None:
    parts = data.draw(st.lists(st.sampled_from(pieces(form)), max_size=12))
    log = b"".join(parts)
    whole = parser_of(form)
    whole.feed(log)
    # Near the ends of lines most of all.
    edges = [at + shift for at in range(len(log)) if log[at] == 10 for shift in (0, 1, 2)]
    place = st.integers(0, len(log)) | st.sampled_from(edges or [0])
    cuts = sorted(data.draw(st.lists(place, max_size=20)))
    cut = parser_of(form)
    for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
        cut.feed(log[start:stop])
    assert seen(cut) == seen(whole)


@formats
def test_byte_by_byte(form: Format) -> None:
    log = b"".join(one for one in pieces(form) if len(one) < 1000)
    whole, cut = parser_of(form), parser_of(form)
    whole.feed(log)
    for at in range(len(log)):
        cut.feed(log[at : at + 1])
    found = seen(whole)
    assert seen(cut) == found
    assert len(found) >= len(TIMEOUTS)


@pytest.mark.parametrize("junk", [b"\0" * 5, b"\xef\xbb\xbf", b"\xef\xbb\xbf\0"])
def test_what_stands_before_a_line_counts_alike_wherever_the_log_is_cut(junk: bytes) -> None:
    """A file truncated while the server writes begins so, and one that was put together."""
    line = record("stderr", "FATAL", "sorry, too many clients already", code="53300")
    log = (junk + line) * 2
    for cut in range(len(log)):
        parser = parser_of("stderr")
        parser.feed(log[:cut])
        parser.feed(log[cut:])
        assert seen(parser) == {("refused", "too_many_connections", "shop"): 2}
        assert parser.coverage.unparsed == 0


def _binary_entry(length: int) -> bytes:
    """An entry of `journalctl --output=export` with a refusal in a message of this length."""
    line = record("stderr", "FATAL", "sorry, too many clients already", code="53300")
    message = (line + b"\tDETAIL:  \x01").ljust(length, b"x")
    before = b"__CURSOR=s=1\n_PID=7\nMESSAGE\n"
    return before + length.to_bytes(8, "little") + message + b"\n_COMM=postgres\n\n"


def test_a_binary_message_of_any_length_is_read() -> None:
    """Any byte of its length can be a line end, a brace or null."""
    parser = parser_of("stderr", is_fixed=False)
    for length in (*range(120, 3000), *range(68090, 68110), 655_361, 657_930):
        parser.feed(_binary_entry(length))
        assert sum(seen(parser).values()) == 1, length
    assert parser.coverage.unparsed == 0


@pytest.mark.parametrize("length", [200, 256, 266, 512, 2560, 2570, 2600, 2683])
def test_a_binary_message_is_read_wherever_a_poll_ends(length: int) -> None:
    log = _binary_entry(150) + _binary_entry(length)
    parser = parser_of("stderr", is_fixed=False)
    for cut in range(len(_binary_entry(150)), len(log)):
        parser.restart(str(cut))
        parser.feed(log[:cut])
        pending = parser.pending
        parser.restart(str(cut))
        parser.feed(log[cut - pending :])
        assert sum(seen(parser).values()) == 2, cut
    assert parser.coverage.unparsed == 0


def test_what_a_text_of_csvlog_holds_counts_alike_wherever_the_log_is_cut() -> None:
    before = b'2026-,"","",,"""""""""\n'  # opens a text
    inside = b'{"a":"","b":"","c":1,"error_severity":"FATAL","state_code":"3D000","message":""}\n'
    tallies = []
    for cut in (0, len(before)):
        parser = parser_of("csvlog", "", (), is_thorough=True)
        parser.feed((before + inside)[:cut])
        parser.feed((before + inside)[cut:])
        tallies.append(parser.take_tally())
    assert tallies[0] == tallies[1]


def test_lines_with_and_without_wrapping_count_alike_wherever_the_log_is_cut() -> None:
    """What continues a record is the line after it in the file, however the two are wrapped."""
    opened = "LOG:  connection authorized: user=app database=shop"
    log = f"\n1 {opened}\n\t\n".encode()
    counts = set()
    for cut in range(len(log)):
        parser = parser_of("stderr", "")
        parser.feed(log[:cut])
        parser.feed(log[cut:])
        counts.add(frozenset(seen(parser).items()))
    assert len(counts) == 1
