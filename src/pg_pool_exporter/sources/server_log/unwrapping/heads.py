"""What stands before the text of a line, where something else than PostgreSQL wrote the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Wrapping = Literal["none", "docker", "cri", "compose", "syslog", "cloudnativepg", "json", "csv"]
WRAPPINGS: tuple[Wrapping, ...] = (
    "none", "docker", "cri", "compose", "syslog", "cloudnativepg", "json", "csv",
)  # fmt: skip

_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
# Of daemontools and runit: TAI64N, and their readable times; of Render: with AM and PM.
_STAMP = (
    rb"(?:%s|@[0-9a-f]{24}|\d{4}-\d\d-\d\d(?:_\d\d:\d\d:\d\d\.\d{5}| \d\d:\d\d:\d\d\.\d{9})"
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [AP]M)"
) % _ISO
_BSD = rb"[A-Z][a-z]{2} [ \d]\d(?: \d{4})? \d\d:\d\d:\d\d(?:\.\d{1,6})?"
_JOURNAL = (
    rb"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Za-z0-9+-]{1,16}"
    rb"|\[ *\d{1,10}\.\d{6}(?: <[ \d.]{1,32}>)?\]|\d{9,11}\.\d{6}"
)
_COLOUR = rb"(?:\x1b\[[\d;]{0,16}m)*+"
# BusyBox writes it behind the host, FreeBSD before it.
_FACILITY = rb"<?(?:[a-z]{2,8}|local\d)\.[a-z]{3,7}>? "
_SYSLOG = rb"(?:<\d{1,3}>)?(?:%s|%s|%s) (?:%s)?[^ \n]{1,255}+ (?:%s)?" % (
    _ISO, _BSD, _JOURNAL, _FACILITY, _FACILITY,
)  # fmt: skip
# A text between braces, with quoted values that may hold braces.
_LABELS = rb'\{(?:[^"{}\n]|"(?:[^"\\\n]|\\[^\n])*+"){0,2048}+\}'

FIELD_NAME = rb"[A-Z][A-Z0-9_]{0,63}"
"""Of a field of journald, behind the underscores that its own begin with."""
# One as it prints entries on several lines.
_FIELD = rb" {0,4}(?:__?%s|SYSLOG_[A-Z_]{1,32}|PRIORITY|MESSAGE_ID|INVOCATION_ID)=" % FIELD_NAME

_TEXT = rb"(?:msg|message|log|line)="

HEADS: Mapping[str, bytes] = {
    "journal": (
        rb"(?P<journal> {0,4}(?P<message>MESSAGE)=|%s"
        rb"|[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} [^ \n]{1,16} \[s=)" % _FIELD
    ),
    "logfmt": (
        rb'(?P<logfmt>(?:(?!%s")[\w.@/-]{1,64}=(?:"(?:[^"\\\n]|\\[^\n])*+"|[^\s"=]*+) ){0,32}+'
        rb'%s(?="))' % (_TEXT, _TEXT)
    ),
    "cri": rb"(?P<cri>%s (?P<stream>stdout|stderr) (?P<part>[PF])(?::[^ \n]*+)?(?: |$))" % _ISO,
    "syslog": (
        rb"(?P<syslog>%s(?P<tag>[^ \n\[\]:]{1,255}+)(?P<pid>\[\d{1,20}\])?:(?: |$))" % _SYSLOG
    ),
    "rfc5424": (
        rb"(?P<rfc5424>(?:\d{1,6} )?<\d{1,3}>\d %s [^ \n]{1,255} (?P<app>[^ \n]{1,255}) "
        rb"(?P<proc>[^ \n]{1,128}) [^ \n]{1,32} (?:-|\[[^\n]*?\])(?: (?:\xef\xbb\xbf)?|$))" % _ISO
    ),
    "platform": (
        rb"(?P<platform>%s [a-z]{1,32}\[(?P<process>[^\]\s]{1,255})\]"
        rb"(?:: (?:\[\w{1,255}\] )?| [a-z]{3} ?\[[a-z]{1,16}\] ?(?:[\w-]{1,63} \| )?))" % _ISO
    ),
    "papertrail": (
        rb"(?P<papertrail>\d{1,20}\t%s\t%s\t\d{1,20}\t[^\t\n]{0,255}\t[^\t\n]{0,255}\t[^\t\n]{0,32}"
        rb"\t[^\t\n]{0,32}\t(?P<program>[^\t\n]{0,255})\t)" % (_ISO, _ISO)
    ),
    "compose": (
        rb"(?P<compose>(?:(?:%s |\d\d:\d\d:\d\d )?%s(?:\d{1,5}\|)?(?P<name>[\w.@-]{1,255}+) *\|%s"
        rb"(?: |$)"
        rb"|\[pod/[^\]\s]{1,512}\](?: |$))(?:%s )?)" % (_ISO, _COLOUR, _COLOUR, _ISO)
    ),
    "labels": rb"(?P<labels>%s %s +)" % (_ISO, _LABELS),
    "columns": rb"(?P<columns>%s\t[^\t\n]{1,1024}\t)" % _ISO,
    "array": (
        rb"(?P<array>(?:\x1e|, ?|data: ?|(?:\[\d{1,10}\] )?(?:[\w.*-]{1,255}: )?\[{1,2}"
        rb"(?:\d{9,11}(?:\.\d{1,9})?(?:, \{\}\])?, ?)?)(?=\{))"
    ),
    "stamp": rb"(?P<stamp>%s )" % _STAMP,
}
"""Patterns of the beginning of a line, each one a group of its name. The order counts.

`journal` is of `journalctl --output=export` and `verbose`, `platform` of Heroku and Fly.io,
`labels` of Loki's logcli, `columns` of Fluentd and Promtail, `array` of what writes objects into an
array, or as a stream of events.
"""
OF_HEAD: Mapping[str, Wrapping] = {
    "journal": "syslog", "logfmt": "json", "cri": "cri", "syslog": "syslog", "rfc5424": "syslog",
    "platform": "syslog", "papertrail": "syslog", "compose": "compose", "labels": "compose",
    "columns": "json", "array": "json", "stamp": "docker",
}  # fmt: skip
TAGS: Mapping[str, str] = {
    "syslog": "tag", "rfc5424": "app", "platform": "process", "papertrail": "program",
}  # fmt: skip
"""The group with the program that wrote the line, of the heads that have one."""
OWN_TAG = re.compile(rb"(?i)postgres|postmaster|^pg|edb|spilo|patroni")
"""Found in tags of PostgreSQL."""

_NAMED = re.compile(rb"\(\?P<\w+>")
_OWN = (
    rb"%s[^ \n\[\]:]{0,255}?postgres[^ \n\[\]:]{0,255}+(?:\[\d{1,20}+\])?: " % _SYSLOG
)  # fmt: skip


def _after_line_end(head: bytes) -> re.Pattern[bytes]:
    """A line end and the head of the next line, which is no object."""
    return re.compile(b"\n" + _NAMED.sub(b"(?:", head) + rb"(?!\{)")


NEXT_HEAD: Mapping[str, re.Pattern[bytes]] = {
    "cri": _after_line_end(HEADS["cri"].replace(b"[PF]", b"F")),
    # A space begins the rest of a line, where those have no numbers.
    "syslog": _after_line_end(_OWN + rb"(?:\[\d{1,20}+-1\] ?|(?!\[\d{1,20}+-\d))(?![ \n]|\Z)"),
    "compose": _after_line_end(HEADS["compose"]),
    "stamp": _after_line_end(HEADS["stamp"]),
}
"""Heads of lines that can be read together."""
NEXT_CONTINUED = re.compile(b"\n" + _OWN + rb"\[\d{1,20}+-(?!1\])\d{1,10}+\][^\n]*+")
"""A line end and the next line, which syslog numbers as the rest of a record."""

_NAME = rb"(?:%s\[?[\w./@-]{1,255}+\]?%s )" % (_COLOUR, _COLOUR)
SOURCES = tuple(re.compile(rb"%s{%d}" % (_NAME, names)) for names in (1, 2, 3))
"""Names before a line, as stern, `podman logs --names` and `aws logs tail` print them, and kubetail
and Skaffold in brackets.

Any text can look like that, so it counts only before a record, or if it stood before one."""
