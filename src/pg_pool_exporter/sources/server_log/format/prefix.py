"""`log_line_prefix` as a regular expression: what precedes the severity of each record.

A name in it may hold the prefix's own separators, and then a line can be read in several ways. A
strict pattern recognises lines that can be read in one way only; of the others
`prefix_readings` finds all ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from pg_pool_exporter.sources.server_log.format.prefix_parts import ANY, Part, parts_of
from pg_pool_exporter.sources.server_log.format.prefix_readings import MOST_DATABASES, databases

_GROUPS = {"d": b"database", "e": b"code"}
# What identifies a session, the better first: a process id is used again.
_SESSIONS = ("c", "p")
# Separators that an escape can hold, and not always as many of them.
_VARIABLE = {"m": "+-_", "t": "+-_", "s": "+-_", "v": "-/", "Q": "-"}
# Time and process id, which syslog and journald write themselves.
_TIMES_AND_PROCESS = frozenset("mtnpl")
# Written as the client sent them; the name of an application is cleaned by the server.
_RAW_NAMES = {"u", "d"}
# Of a line whose prefix can be read in several ways.
_MOST_HEADER = 1024


class Prefix(NamedTuple):
    """A parsed `log_line_prefix`."""

    pattern: bytes
    """A regular expression with the groups `database`, `code` and `session` where the prefix has
    them.

    It is meant to be anchored at the severity. Its time grows linearly with the line.
    """
    strict: bytes | None
    """The same for a line whose names hold no separator; None where such a line can be ambiguous,
    too. It matches no line that can be read in another way."""
    before_names: bytes | None
    """A regular expression of what precedes the first user or database; None without one."""
    parts: tuple[Part, ...]
    before_sessions: int
    """Parts of processes that are no sessions: those before `%q`."""
    head: int = 0
    """Parts that a line may lack at its beginning."""

    @property
    def has_database(self) -> bool:
        """Whether it names the database."""
        return b"(?P<database>" in self.pattern

    @property
    def has_varying_names(self) -> bool:
        """Whether it has a text that changes in the course of a session."""
        return any(part.name in ("a", "i") for part in self.parts)

    @property
    def has_code(self) -> bool:
        """Whether it has the SQLSTATE."""
        return b"(?P<code>" in self.pattern

    @property
    def begins_with_name(self) -> bool:
        """Whether a line begins with text of any kind."""
        return bool(self.parts) and self.parts[0].is_any

    @property
    def headless(self) -> Prefix:
        """The same for lines that may lack the time and process id that the prefix begins with."""
        head = _head(self.parts)
        if not head:
            return self
        session = _session(self.parts)
        seen: set[str] = set()
        before = b"".join(_piece(part, seen, session, None) for part in self.parts[:head])
        # A group can be there once.
        of_rest = "" if session in seen else session
        rest = _prefix(self.parts[head:], max(0, self.before_sessions - head), of_rest)
        optional = b"(?:" + before + b")?"
        return Prefix(
            optional + rest.pattern,
            None if rest.strict is None or self.parts[head - 1].name else optional + rest.strict,
            None if rest.before_names is None else optional + rest.before_names,
            self.parts,
            self.before_sessions,
            head,
        )

    def candidates(self, header: bytes) -> frozenset[bytes] | None:
        """All databases that a line can mean which has `header` before its severity.

        Without padding. None if there are too many, or the prefix has no database.
        """
        if not self.has_database or len(header) > _MOST_HEADER:
            return None
        found: set[bytes] = set()
        ways = {self.parts[start:] for start in (0, self.head)}
        if self.before_sessions < len(self.parts):
            ways |= {
                tuple(
                    part
                    for part in self.parts[start : self.before_sessions]
                    if not part.is_of_session
                )
                for start in (0, self.head)
            }
        for parts in ways:
            of_these = databases(parts, header)
            if of_these is None or len(found := found | of_these) > MOST_DATABASES:
                return None
        return frozenset(found)


@cache
def parse(text: str) -> Prefix:
    """The prefix of this setting."""
    parts, before_sessions = parts_of(text)
    return _prefix(parts, before_sessions, _session(parts))


def _prefix(parts: tuple[Part, ...], before_sessions: int, session: str) -> Prefix:
    return Prefix(
        _pattern(parts, before_sessions, session),
        _strict(parts, before_sessions, session),
        _before_names(parts),
        parts,
        before_sessions,
    )


def _pattern(parts: Sequence[Part], optional_from: int, session: str) -> bytes:
    has_optional = optional_from < len(parts)
    done = chunk = b""
    seen: set[str] = set()
    for index, part in enumerate(parts):
        if index == optional_from and has_optional:
            done, chunk = done + chunk + b"(?:", b""
        if part.is_any:
            done, chunk = done + _atomic(chunk), b""
        following = parts[index + 1] if index + 1 < len(parts) else None
        chunk += _piece(part, seen, session, following)
    # Lazy: what is no session may have anything after its severity.
    return done + chunk + (b")??" if has_optional else b"")


def _head(parts: Sequence[Part]) -> int:
    """How many of the first parts hold time and process id only, with what surrounds them."""
    end = 0
    for index, part in enumerate(parts):
        if part.name and part.name not in _TIMES_AND_PROCESS:
            break
        if part.name or index == end:
            end = index + 1
    while 0 < end < len(parts) and not parts[end].name and not parts[end].text.strip(b"]): -"):
        end += 1
    return end if any(part.name for part in parts[:end]) else 0


def _atomic(chunk: bytes) -> bytes:
    """A name and what follows it up to the next name: the first match is as good as any other.

    So a line that does not match costs linear time, whatever the number of names.
    """
    return b"(?>" + chunk + b")" if chunk else b""


def _piece(part: Part, seen: set[str], session: str, following: Part | None) -> bytes:
    """The pattern of a part before the part `following`."""
    if not part.name:
        return re.escape(part.text)
    # A name may have the padding's spaces, too; atomic, the padding would take those that follow.
    field = ANY if part.is_any else part.text
    if part.is_any and following is not None and not following.name:
        # Faster: in most lines the field does not contain the character that follows it.
        field = rb"(?:[^\n%s]*+|%s)" % (re.escape(following.text[:1]), ANY)
    elif not part.is_any and following is not None and following.is_any:
        # As short as it can be: else it takes some of the name.
        padding = b" *" if field.endswith(b" *") else b""
        field = field.removesuffix(padding) + b"?" + (padding and padding + b"?")
    return _grouped(part.name, field, seen, session)


def _grouped(name: str, field: bytes, seen: set[str], session: str) -> bytes:
    group = b"session" if name == session else _GROUPS.get(name)
    if group is None or name in seen:
        return field
    seen.add(name)
    return b"(?P<%s>%s)" % (group, field)


def _session(parts: Sequence[Part]) -> str:
    """The escape that identifies a session; "" where nothing shows its bounds in a line."""
    names = ["", *(part.name for part in parts), ""]
    alone = {
        name
        for before, name, after in zip(names, names[1:], names[2:], strict=False)
        if not before and not after
    }
    return next((name for name in _SESSIONS if name in alone), "")


def _before_names(parts: Sequence[Part]) -> bytes | None:
    head = chunk = b""
    for index, part in enumerate(parts):
        if part.name in _RAW_NAMES:
            return head + _atomic(chunk)
        if part.is_any:
            head, chunk = head + _atomic(chunk), b""
        following = parts[index + 1] if index + 1 < len(parts) else None
        chunk += _piece(part, set(_GROUPS), "", following)
    return None


def _strict(parts: Sequence[Part], before_sessions: int, session: str) -> bytes | None:
    """See `Prefix.strict`.

    All separators after the first name are in texts between escapes then, so each text stands
    where it does and nowhere else. A colon begins the rest of a severity.
    """
    first = next((index for index, part in enumerate(parts) if part.is_any), None)
    if first is None:
        return _pattern(parts, before_sessions, session)
    if first and parts[first - 1].name:
        return None  # nothing shows where the name begins
    head = parts[:first]
    if not all(part.is_bounded(head[at + 1 :]) for at, part in enumerate(head) if part.name):
        return None
    texts = [part.text for part in parts[first:] if not part.name]
    separators = {one for one in b"".join(texts) if not chr(one).isalnum()}
    for index, part in enumerate(parts[first:], first):
        after = parts[index + 1] if index + 1 < len(parts) else None
        if part.name and after is not None and after.name and (part.is_any or after.is_any):
            return None
        if not part.name and separators.isdisjoint(part.text):
            return None
        if separators & {ord(one) for one in _VARIABLE.get(part.name, "")}:
            return None
    if b":  " in b"".join(texts):
        return None
    excluded = b"".join(re.escape(bytes([one])) for one in sorted(separators | {ord(":")}))
    name = rb"[^\n%s]*+" % excluded
    seen: set[str] = set()
    pattern = b""
    for index, part in enumerate(parts):
        if index == before_sessions and index:
            pattern += b"(?:"
        if part.is_any:
            # The type of process is the one escape that has a separator as a rule.
            field = rb"(?:client backend|%s)" % name if part.name == "b" else name
            pattern += _grouped(part.name, part.text.replace(ANY, field), seen, session)
        else:
            pattern += _piece(part, seen, session, None)
    return pattern + (b")?" if 0 < before_sessions < len(parts) else b"")
