"""PostgreSQL's own messages in its languages, as bytes.

`messages.json` holds them; `tools/log_messages.py` makes it from PostgreSQL's message catalogues.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

# Encodings other than UTF-8 that a database in this language may have: each session logs in the
# encoding of its database. The western European ones agree with Latin-1 in all letters used.
_ENCODINGS = {
    "de": ("latin-1",), "es": ("latin-1",), "fr": ("latin-1",), "id": ("latin-1",),
    "it": ("latin-1",), "ja": ("euc_jp",), "ko": ("euc_kr",), "pl": ("iso8859-2", "cp1250"),
    "pt_BR": ("latin-1",), "ru": ("koi8-r", "cp1251", "iso8859-5", "cp866"), "sv": ("latin-1",),
    "tr": ("iso8859-9",), "uk": ("koi8-u", "cp1251"), "zh_CN": ("gb2312",),
}  # fmt: skip
_ENGLISH = "en"
_CONVERSION = re.compile(rb"%[0-9]*[sdu]")


class Message(NamedTuple):
    """One message: its meaning, a key of `messages.json`, and its bytes with `%s` for variables."""

    meaning: str
    text: bytes

    @property
    def start(self) -> bytes:
        """What precedes the first variable or line end."""
        return re.split(rb"%|\n", self.text, maxsplit=1)[0]

    @property
    def pattern(self) -> bytes:
        """A regular expression for its first line, with a group for each variable.

        Only the first line, because each format writes line ends in its own way.
        """
        first_line = self.text.split(b"\n", 1)[0]
        return rb"([^\n]*?)".join(map(re.escape, _CONVERSION.split(first_line)))


@cache
def languages() -> Mapping[str, Mapping[str, list[str]]]:
    """All texts, by language and by meaning."""
    content = resources.files(__package__).joinpath("messages.json").read_bytes()
    found: Mapping[str, Mapping[str, list[str]]] = json.loads(content)["languages"]
    return found


def language(lc_messages: str) -> str:
    """The language of this setting, as gettext finds it; English if there is none."""
    name = re.split(r"[.@]", lc_messages)[0]
    for candidate in (name, name.split("_")[0]):
        if candidate in languages():
            return candidate
    return _ENGLISH


def messages(spoken: Iterable[str] | None) -> Iterator[Message]:
    """The messages in the languages `spoken` and in English; None: in all languages.

    English always, because PostgreSQL leaves in English what a catalogue does not translate.
    """
    wanted = languages() if spoken is None else dict.fromkeys([_ENGLISH, *spoken])
    seen: set[Message] = set()
    for name in wanted:
        for meaning, texts in languages()[name].items():
            for text in texts:
                for encoding in ("utf-8", *_ENCODINGS.get(name, ())):
                    try:
                        message = Message(meaning, text.encode(encoding))
                    except UnicodeEncodeError:
                        continue
                    if message not in seen:
                        seen.add(message)
                        yield message


def texts_for(of: Iterable[Message], meaning: str) -> list[bytes]:
    """The different texts with this meaning."""
    return list(dict.fromkeys(message.text for message in of if message.meaning == meaning))
