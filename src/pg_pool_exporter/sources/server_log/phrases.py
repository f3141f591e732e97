"""PostgreSQL's own texts in its languages: which bytes stand for what.

`messages.json` holds them; `tools/log_messages.py` makes it from PostgreSQL's message catalogues
and says from which versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

# Besides UTF-8, encodings that a database in this language may have: each backend writes the log in
# its own. Those of western Europe agree with Latin-1 in all letters that the texts have.
_ENCODINGS = {
    "de": ("latin-1",), "es": ("latin-1",), "fr": ("latin-1",), "id": ("latin-1",),
    "it": ("latin-1",), "ja": ("euc_jp",), "ko": ("euc_kr",), "pl": ("iso8859-2", "cp1250"),
    "pt_BR": ("latin-1",), "ru": ("koi8-r", "cp1251", "iso8859-5", "cp866"), "sv": ("latin-1",),
    "tr": ("iso8859-9",), "uk": ("koi8-u", "cp1251"), "zh_CN": ("gb2312",),
}  # fmt: skip
_ENGLISH = "en"
_CONVERSION = re.compile(r"%[0-9]*[sdu]")


class Text(NamedTuple):
    """One of PostgreSQL's texts: what it is wanted for, and its bytes with `%s` for what varies."""

    use: str
    form: bytes

    @property
    def start(self) -> bytes:
        """What stands before the first thing that varies, or the first line's end."""
        return re.split(rb"%|\n", self.form, maxsplit=1)[0]

    @property
    def pattern(self) -> bytes:
        """A regular expression for the first line of it, with a group for each thing that varies.

        Messages of several lines look different in each format of the log.
        """
        first_line = self.form.split(b"\n", 1)[0]
        parts = re.split(_CONVERSION.pattern.encode(), first_line)
        return rb"([^\n]*?)".join(map(re.escape, parts))


@cache
def languages() -> Mapping[str, Mapping[str, list[str]]]:
    """All texts, by language and by use."""
    content = resources.files(__package__).joinpath("messages.json").read_bytes()
    found: Mapping[str, Mapping[str, list[str]]] = json.loads(content)["languages"]
    return found


def language(lc_messages: str) -> str:
    """The language that a server speaks with this setting, as gettext finds it; English if none."""
    name = re.split(r"[.@]", lc_messages)[0]
    for candidate in (name, name.split("_")[0]):
        if candidate in languages():
            return candidate
    return _ENGLISH


def texts(spoken: Iterable[str] | None) -> Iterator[Text]:
    """The texts of the languages that are `spoken`, or of all; always those in English too.

    A language's catalogue is never complete: what is not translated stays English.
    """
    wanted = languages() if spoken is None else dict.fromkeys([_ENGLISH, *spoken])
    seen: set[Text] = set()
    for name in wanted:
        for use, forms in languages()[name].items():
            for form in forms:
                for encoding in ("utf-8", *_ENCODINGS.get(name, ())):
                    try:
                        text = Text(use, form.encode(encoding))
                    except UnicodeEncodeError:
                        continue
                    if text not in seen:
                        seen.add(text)
                        yield text


def forms(of: Iterable[Text], use: str) -> list[bytes]:
    """The different texts that are wanted for this."""
    return list(dict.fromkeys(text.form for text in of if text.use == use))
