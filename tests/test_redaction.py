"""No secret gets into a log or a message, no matter who wrote the text; all else stays readable."""

from __future__ import annotations

import json
from time import process_time

import pytest

from pg_pool_exporter.redaction import printable, printable_lines, redact

HIDDEN = {
    "postgresql://u:SECRET@h/d": "postgresql://u:***@h/d",
    "postgresql://u:SEC@b/RET@h/d": "postgresql://u:***@h/d",
    "postgresql://u:SEC RET@h/d x": "postgresql://u:***@h/d x",
    "postgresql:/u:SECRET@h/d": "postgresql:/u:***@h/d",
    "host=h password=SECRET user=u": "host=h password=*** user=u",
    "host=h password = 'a SEC\\'RET' user=u": "host=h password = *** user=u",
    "host=h password='a SEC''RET' user=u": "host=h password=*** user=u",
    'password="a SECRET" user=u': "password=*** user=u",
    "password='a SECRET": "password=***",
    "sslpassword=SECRET x": "sslpassword=*** x",
    "PGPASSWORD=SECRET x": "PGPASSWORD=*** x",
    "https://h/x?access_token=SECRET&y=1": "https://h/x?access_token=***&y=1",
    "password: SECRET": "password: ***",
    "user: u\npassword: SECRET\nhost: h": "user: u\npassword: ***\nhost: h",
    "password: 'a SECRET' # mine": "password: *** # mine",
    "{user: u, password: SECRET, host: h}": "{user: u, password: ***, host: h}",
    '{"password": "a SEC\\"RET", "host": "h"}': '{"password": ***, "host": "h"}',
    json.dumps('{"password": "a SECRET", "host": "h"}'): (
        '"{\\"password\\": ***, \\"host\\": \\"h\\"}"'
    ),
    "{'password': 'a SECRET', 'host': 'h'}": "{'password': ***, 'host': 'h'}",
    "Authorization: Bearer SECRET": "Authorization: Bearer ***",
    "{'Authorization': 'Basic SECRET', 'x': 'y'}": "{'Authorization': 'Basic ***', 'x': 'y'}",
    "sent bearer SECRET.x-y_z, refused": "sent bearer ***, refused",
}


@pytest.mark.parametrize(("text", "expected"), HIDDEN.items())
def test_secrets_are_hidden_and_nothing_else(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "password_file: http://h:80/metrics",
        "servers[0].password: is an unknown key; did you mean password_file?",
        'FATAL:  password authentication failed for user "u"',
        "connecting to http://h:8080/metrics failed, ask ops@example.org",
        "connecting to http://[::1]:8080/metrics failed, ask ops@example.org",
        "authorization failed: basic auth is needed",
    ],
)
def test_texts_without_a_secret_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("piece", ["password", "password='", "://a:", "\\", "token: ", "''", "a "])
def test_a_hostile_text_takes_no_more_than_time_in_proportion(piece: str) -> None:
    started = process_time()
    redact(piece * 5_000)
    redact("password='" + piece * 5_000)
    assert process_time() - started < 1


HOSTILE = "\x1b[2Ja\x07\r\u202e\x9b31m\ud800\u2028b\tc"


def test_nothing_that_a_terminal_obeys_is_left_in_a_text() -> None:
    assert printable("größe, 大 and 'x'") == "größe, 大 and 'x'"
    assert printable(HOSTILE).isprintable()
    assert printable("a\nb").isprintable()
    assert [len(line) for line in printable_lines(f"a\n{HOSTILE}\n").split("\n")] == [
        1,
        len(HOSTILE),
        0,
    ]
