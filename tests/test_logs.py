"""The log, as it arrives on standard error."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator

import pytest
import structlog

from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.options import LOG_FORMATS, LOG_LEVELS, LogFormat, LogLevel

SECRET = "hunter2"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Configuring the log changes the whole process: take it back."""
    root, ours = logging.getLogger(), logging.getLogger("pg_pool_exporter")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.captureWarnings(False)
    structlog.reset_defaults()


def logged(capsys: Capture) -> str:
    """The one line that was logged, its time replaced by T."""
    text = capsys.readouterr().err
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "T", text.rstrip("\n"))


def test_logfmt_is_one_line_an_event(capsys: Capture) -> None:
    """Times are UTC, as RFC 3339 writes them."""
    logs.configure("info", "logfmt")
    structlog.get_logger("pg_pool_exporter.polling").warning(
        "target down", target="main", seconds=1.5, up=False, error='it is "full"\nnow'
    )
    assert logged(capsys) == (
        'time=T level=warning logger=pg_pool_exporter.polling msg="target down" target=main '
        r'seconds=1.5 up=false error="it is \"full\"\nnow"'
    )


def test_json_is_one_line_an_event(capsys: Capture) -> None:
    logs.configure("info", "json")
    structlog.get_logger("pg_pool_exporter.polling").info("up", target="größe\n", seconds=1.5)
    assert list(json.loads(logged(capsys)).items()) == [
        ("time", "T"),
        ("level", "info"),
        ("logger", "pg_pool_exporter.polling"),
        ("msg", "up"),
        ("target", "größe\n"),
        ("seconds", 1.5),
    ]


def test_a_logger_without_a_name_has_its_module_s(capsys: Capture) -> None:
    logs.configure("info", "logfmt")
    log = structlog.get_logger()
    log.error("bad")
    assert logged(capsys) == f"time=T level=error logger={__name__} msg=bad"


@pytest.mark.parametrize(
    ("level", "ours", "libraries"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_levels(level: LogLevel, ours: list[str], libraries: list[str], capsys: Capture) -> None:
    """Of libraries nothing below a warning is wanted, whatever our own level is."""
    logs.configure(level, "logfmt")
    for each in LOG_LEVELS:
        getattr(structlog.get_logger("pg_pool_exporter.commands.daemon"), each)("x")
        for library in ("asyncio", "aiohttp.server", "psycopg"):
            getattr(logging.getLogger(library), each)("x")
    lines = capsys.readouterr().err.splitlines()
    assert re.findall(r"level=(\w+) logger=pg_pool_exporter", "\n".join(lines)) == ours
    assert re.findall(r"level=(\w+) logger=asyncio", "\n".join(lines)) == libraries
    assert len(lines) == len(ours) + 3 * len(libraries)


def test_exceptions_have_their_traceback_in_the_same_line(capsys: Capture) -> None:
    logs.configure("info", "logfmt")
    try:
        raise RuntimeError("no")
    except RuntimeError:
        structlog.get_logger("pg_pool_exporter.polling").exception("poll failed")
        ours = logged(capsys)
        logging.getLogger("asyncio").exception("task failed")
        theirs = logged(capsys)
    for text in (ours, theirs):
        assert r'exception="Traceback (most recent call last):\n' in text
        assert r"RuntimeError: no" in text


def test_warnings_of_python_are_logged(capsys: Capture) -> None:
    logs.configure("info", "logfmt")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old", stacklevel=1)
    assert "level=warning logger=py.warnings" in logged(capsys)


@pytest.mark.parametrize("style", LOG_FORMATS)
def test_no_text_can_forge_a_line_or_move_the_cursor(style: LogFormat, capsys: Capture) -> None:
    logs.configure("info", style)
    structlog.get_logger("pg_pool_exporter.x").info("a\nlevel=error\r\x1b[2J\x9b\u2028\u202e")
    text = logged(capsys)
    assert text.isprintable()


@pytest.mark.parametrize("style", LOG_FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        f"cannot connect to postgresql://u:{SECRET}@h/d",
        f"cannot connect to postgresql://u:a@b/{SECRET}@h/d",
        f"host=h password={SECRET} user=u",
        f"host=h password = 'its {SECRET}' user=u",
        f"https://h/?token={SECRET}&x=1",
        f"{{'sslpassword={SECRET}'}}",
    ],
)
def test_passwords_in_texts_of_others_are_hidden(
    style: LogFormat, text: str, capsys: Capture
) -> None:
    """In the message, in values, in exceptions; of our loggers and of libraries."""
    logs.configure("info", style)
    log = structlog.get_logger("pg_pool_exporter.x")
    log.info(text, error=ValueError(text), nested={"dsn": text})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("failed")
        logging.getLogger("asyncio").exception("failed: %s", text)
    logging.getLogger("aiohttp").warning("%s", text)
    errors = capsys.readouterr().err
    assert errors.count("\n") == 4
    assert "***" in errors
    assert SECRET not in errors


def test_texts_without_a_password_stay_as_they_are(capsys: Capture) -> None:
    logs.configure("info", "logfmt")
    text = "password_file: http://h:80/metrics is no file"
    structlog.get_logger("pg_pool_exporter.x").info(text)
    assert text in capsys.readouterr().err
