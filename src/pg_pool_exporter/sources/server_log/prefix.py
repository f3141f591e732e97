"""`log_line_prefix` as a regular expression: what precedes the severity of each record.

A name in it may hold the prefix's own separators, and then a line can be read in several ways. A
strict pattern recognises lines that can be read in one way only; of the others `candidates` finds
all ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from string import ascii_letters
from typing import NamedTuple

# Each escape as PostgreSQL writes it (elog.c). A name may hold anything but a line end, and with
# some clients even that; numbers are bounded so that no run of digits costs its square.
_TIME = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ZONE = rb"[A-Za-z0-9+_-]{1,64}"
_NUMBER = rb"\d{1,20}"
_ANY = rb"[^\n]*?"
_ESCAPES = {
    "a": _ANY,
    "b": _ANY,
    "c": rb"[0-9a-f]{1,16}\.[0-9a-f]{1,16}",
    "d": _ANY,
    "e": rb"[0-9A-Z]{5}",
    "h": _ANY,
    "i": _ANY,
    "l": _NUMBER,
    "L": _ANY,
    "m": _TIME + rb"\.\d{3} " + _ZONE,
    "n": rb"\d{1,20}\.\d{3}",
    "p": _NUMBER,
    "P": rb"\d{0,20}",
    "Q": rb"-?" + _NUMBER,
    "r": _ANY,
    "s": _TIME + rb" " + _ZONE,
    "t": _TIME + rb" " + _ZONE,
    "u": _ANY,
    "v": rb"(?:-?\d{1,20}/-?\d{1,20})?",
    "x": _NUMBER,
}
_GROUPS = {"d": b"database", "e": b"code"}
# What identifies a session, the better first: a process id is used again.
_SESSIONS = ("c", "p")
# Written as the client sent them; the name of an application is cleaned by the server.
_RAW_NAMES = {"u", "d"}
_ESCAPE = re.compile(r"%(-?\d*)(.)", re.DOTALL)
# Separators that an escape can hold, and not always as many of them.
_VARIABLE = {"m": "+-_", "t": "+-_", "s": "+-_", "v": "-/", "Q": "-"}
_DIGITS = "0123456789"
_ZONE_HOLDS = ascii_letters + _DIGITS + "+-_"
# What an escape without names can end with; others have a fixed length.
_HOLDS = {
    "m": _ZONE_HOLDS, "t": _ZONE_HOLDS, "s": _ZONE_HOLDS, "c": "abcdef.-" + _DIGITS,
    "v": "-/" + _DIGITS, "n": "", "e": "",
}  # fmt: skip
# Characters that are always in it.
_ALWAYS_HOLDS = {"m": ".: ", "t": ": ", "s": ": ", "c": ".", "n": "."}
# Time and process id, which syslog and journald write themselves.
_TIMES_AND_PROCESS = frozenset("mtnpl")
# Of a line whose prefix can be read in several ways.
_MOST_HEADER = 1024
_MOST_CANDIDATES = 64
_MOST_STEPS = 4096


class _Part(NamedTuple):
    """An escape, or text between escapes (`name` is "")."""

    name: str
    text: bytes
    """The text, or the pattern of the escape."""

    @property
    def is_of_session(self) -> bool:
        """Whether it is empty for a process that is no session."""
        return self.is_any and self.name != "b"

    @property
    def is_any(self) -> bool:
        return bool(self.name) and _ESCAPES[self.name] == _ANY


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
    parts: tuple[_Part, ...]
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
            of_these = _candidates(parts, header)
            if of_these is None or len(found := found | of_these) > _MOST_CANDIDATES:
                return None
        return frozenset(found)


@cache
def parse(text: str) -> Prefix:
    """The prefix of this setting. Unknown escapes are left out, as PostgreSQL does."""
    parts: list[_Part] = []
    before_sessions: int | None = None
    position = 0

    def add(literal: bytes) -> None:
        if literal and parts and not parts[-1].name and before_sessions != len(parts):
            parts[-1] = _Part("", parts[-1].text + literal)
        elif literal:
            parts.append(_Part("", literal))

    for found in _ESCAPE.finditer(text):
        add(text[position : found.start()].encode())
        position = found.end()
        padding, name = found.groups()
        if name == "%" and not padding:
            add(b"%")
        elif name == "q" and before_sessions is None:
            # Processes that are no sessions stop here.
            before_sessions = len(parts)
        elif name in _ESCAPES:
            parts.append(_Part(name, _padded(_ESCAPES[name], padding)))
    # A single % at the end is left out, too.
    add(text[position:].removesuffix("%").encode())
    end = len(parts) if before_sessions is None else before_sessions
    return _prefix(tuple(parts), end, _session(parts))


def _prefix(parts: tuple[_Part, ...], before_sessions: int, session: str) -> Prefix:
    return Prefix(
        _pattern(parts, before_sessions, session),
        _strict(parts, before_sessions, session),
        _before_names(parts),
        parts,
        before_sessions,
    )


def _pattern(parts: Sequence[_Part], optional_from: int, session: str) -> bytes:
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


def _head(parts: Sequence[_Part]) -> int:
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


def _piece(part: _Part, seen: set[str], session: str, following: _Part | None) -> bytes:
    """The pattern of a part before the part `following`."""
    if not part.name:
        return re.escape(part.text)
    # A name may have the padding's spaces, too; atomic, the padding would take those that follow.
    field = _ANY if part.is_any else part.text
    if part.is_any and following is not None and not following.name:
        # Faster: in most lines the field does not contain the character that follows it.
        field = rb"(?:[^\n%s]*+|%s)" % (re.escape(following.text[:1]), _ANY)
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


def _session(parts: Sequence[_Part]) -> str:
    """The escape that identifies a session; "" where nothing shows its bounds in a line."""
    names = ["", *(part.name for part in parts), ""]
    alone = {
        name
        for before, name, after in zip(names, names[1:], names[2:], strict=False)
        if not before and not after
    }
    return next((name for name in _SESSIONS if name in alone), "")


def _is_bounded(part: _Part, following: Iterable[_Part]) -> bool:
    """Whether the field ends where the escape does, whatever the name behind `following` is."""
    holds = _HOLDS.get(part.name, _DIGITS)
    between = "".join(
        _ALWAYS_HOLDS.get(one.name, "") if one.name else one.text.decode() for one in following
    )
    return not holds or any(one not in holds for one in between)


def _padded(field: bytes, padding: str) -> bytes:
    if not padding.strip("-0"):
        return field
    return field + b" *" if padding.startswith("-") else b" *" + field


def _before_names(parts: Sequence[_Part]) -> bytes | None:
    head = chunk = b""
    for index, part in enumerate(parts):
        if part.name in _RAW_NAMES:
            return head + _atomic(chunk)
        if part.is_any:
            head, chunk = head + _atomic(chunk), b""
        following = parts[index + 1] if index + 1 < len(parts) else None
        chunk += _piece(part, set(_GROUPS), "", following)
    return None


def _strict(parts: Sequence[_Part], before_sessions: int, session: str) -> bytes | None:
    """See `Prefix.strict`.

    All separators after the first name are in texts between escapes then, so each text stands
    where it does and nowhere else. A colon begins the rest of a severity.
    """
    first = next((index for index, part in enumerate(parts) if part.is_any), None)
    if first is None:
        return _pattern(parts, before_sessions, session)
    if first and parts[first - 1].name:
        return None  # nothing shows where the name begins
    if not all(
        _is_bounded(part, parts[at + 1 : first])
        for at, part in enumerate(parts[:first])
        if part.name
    ):
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
            pattern += _grouped(part.name, part.text.replace(_ANY, field), seen, session)
        else:
            pattern += _piece(part, seen, session, None)
    return pattern + (b")?" if 0 < before_sessions < len(parts) else b"")


@cache
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


def _candidates(parts: Sequence[_Part], header: bytes) -> set[bytes] | None:
    """The values of the first database in all ways to read `header`; None: too many.

    Sets of positions are bits of a number. `before[i]` are those that a way from the beginning
    reaches before part i, `after[i]` those from which a way leads on to the end after part i.
    """
    size = len(header)
    before = [1]
    ends: list[dict[int, int]] = []
    steps = 0
    for part in parts:
        reached, now = before[-1], 0
        edges: dict[int, int] = {}
        if part.is_any:
            now = (1 << (size + 1)) - (reached & -reached) if reached else 0
        elif not part.name:
            now = (reached & _occurrences(header, part.text)) << len(part.text)
        else:
            for start in _positions(reached):
                edges[start] = _ends(part.text, header, start)
                now |= edges[start]
                steps += 1
            if steps > _MOST_STEPS:
                return None
        ends.append(edges)
        before.append(now)
    if not before[-1] >> size & 1:
        return set()
    after = [1 << size]
    for part, edges in zip(reversed(parts), reversed(ends), strict=True):
        leads = after[-1]
        if part.is_any:
            now = (1 << leads.bit_length()) - 1
        elif not part.name:
            now = (leads >> len(part.text)) & _occurrences(header, part.text)
        else:
            now = sum(1 << start for start, reached in edges.items() if reached & leads)
        after.append(now)
    after.reverse()
    for index, part in enumerate(parts):
        if part.name == "d":
            starts = list(_positions(before[index] & after[index]))
            stops = list(_positions(before[index + 1] & after[index + 1]))
            if len(starts) * len(stops) > _MOST_CANDIDATES:
                return None
            return {header[start:stop].strip() for start in starts for stop in stops
                    if start <= stop}  # fmt: skip
    return {b""}


def _occurrences(header: bytes, text: bytes) -> int:
    found, at = 0, header.find(text)
    while at >= 0:
        found |= 1 << at
        at = header.find(text, at + 1)
    return found


def _positions(bits: int) -> Iterable[int]:
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


def _ends(pattern: bytes, header: bytes, start: int) -> int:
    """Where an escape can end that begins at `start`."""
    compiled = _compiled(pattern)
    longest = compiled.match(header, start)
    if longest is None:
        return 0
    return sum(
        1 << end
        for end in range(start, longest.end() + 1)
        if compiled.fullmatch(header, start, end)
    )
