"""Faults of an application's metrics page."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from bench.faults.case import Expected, fault
from bench.faults.stand import PAGE, TOKEN, Stand
from support import pages
from support.pages import MIB, Answer, Peer, answer, body_of, gzip_bomb, head, raw

_PAGE = "Metrics page"
_TEXT = "Content-Type: text/plain"


def _broken(title: str, how: Answer, reason: str, log: str = "") -> None:
    """A page that answers so."""
    expected = Expected("app billing", reason, cause="target_unreachable", check="targets", log=log)

    def generator(stand: Stand) -> Iterator[None]:
        stand.page.answer = how
        yield
        stand.page.answer = stand.page.usual

    fault(_PAGE, title, expected)(generator)


async def _end_at_a_line(peer: Peer) -> None:
    """Half a page, whole lines, without a length."""
    await peer.request()
    lines = PAGE.splitlines(keepends=True)
    await peer.send(head(_TEXT, "Connection: close") + b"".join(lines[: len(lines) // 2]))


async def _redirect_to_itself(peer: Peer) -> None:
    await peer.request()
    await peer.send(head("Location: /metrics", "Content-Length: 0", status="302 Found"))


_NAN = b"\n".join(
    line if line.startswith(b"#") else line.rpartition(b" ")[0] + b" NaN"
    for line in PAGE.splitlines()
) + b"\n"  # fmt: skip
_NUMBERS = PAGE.replace(b" 1\n", b" " + b"1" * 30_000 + b"\n")
_TWICE = b"".join(
    line if line.startswith(b"#") else line * 2 for line in PAGE.splitlines(keepends=True)
)
_HTML = b"<!doctype html><title>Log in</title>"
_BOMB = gzip_bomb()


@fault(_PAGE, "connection refused",
       Expected("app billing", "refused", cause="target_unreachable", check="targets"))  # fmt: skip
def _refused(stand: Stand) -> Iterator[None]:
    stand.page.shut()
    yield
    stand.page.open()


_broken("hangs", pages.nothing, "timeout")
_broken("drips without end", pages.drip, "timeout")
_broken("reset (RST) instead of an answer", pages.hang_up, "protocol")
_broken("reset (RST) in the middle", pages.half_page, "protocol")
_broken("cut at the end of a line, no length announced", _end_at_a_line, "protocol")
_broken("all values NaN", answer(_NAN, _TEXT), "protocol")
_broken("20 MiB", body_of(20 * MIB), "too_large")
_broken("without end", body_of(None), "too_large")
_broken("in chunks of one byte, without end",
        body_of(None, "Transfer-Encoding: chunked", line=b"1\r\n#\r\n"), "protocol")  # fmt: skip
_broken("a gzip bomb, 100 MiB", answer(_BOMB, _TEXT, "Content-Encoding: gzip"), "too_large")
_broken("HTML", answer(_HTML, "Content-Type: text/html"), "protocol")
_broken("HTML that calls itself text/plain", answer(_HTML, _TEXT), "protocol")
_broken("binary", answer(bytes(range(256)) * 99, _TEXT), "protocol")
_broken("a line of 1 MiB", answer(b"x" * MIB, _TEXT), "protocol")
_broken("not HTTP", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol")
_broken("status 500", answer(b"", status="500 Internal Server Error"), "protocol", "status 500")
_broken("status 404", answer(b"", status="404 Not Found"), "protocol", "status 404")
_broken("redirected to itself", _redirect_to_itself, "protocol", "redirects")
_broken("redirected to another host",
        answer(b"", "Location: http://127.0.0.9/", status="302 Found"), "protocol",
        "another host")  # fmt: skip
_broken("redirected to a file", answer(b"", "Location: file:///etc/passwd", status="302 Found"),
        "protocol", "redirect")  # fmt: skip
_broken("compressed in a way that was not asked for",
        answer(b"\x28\xb5\x2f\xfd", _TEXT, "Content-Encoding: zstd"), "protocol",
        "encoding")  # fmt: skip
_broken("gzip, cut in the middle",
        answer(gzip.compress(PAGE)[:-20], _TEXT, "Content-Encoding: gzip"), "protocol")  # fmt: skip
_broken(
    "two lengths", raw(head(_TEXT, "Content-Length: 1", "Content-Length: 2") + b"xx"), "protocol"
)
_broken("a length of 5,000 digits", raw(head(_TEXT, f"Content-Length: {'9' * 5000}")), "protocol")
_broken("a number of 30,000 digits", answer(_NUMBERS, _TEXT), "protocol")
_broken("each series twice", answer(_TWICE, _TEXT), "protocol")
_broken("interim answers (100) without end", pages.provisional, "protocol")
_broken("a header of 1 MiB", raw(head(f"X-Long: {'x' * MIB}")), "too_large")


@fault(_PAGE, "wrong credentials",
       Expected("app billing", "auth", cause="login_failed", check="targets",
                log="denied"))  # fmt: skip
def _wrong_token(stand: Stand) -> Iterator[None]:
    stand.token_file.write_text("wrong")
    yield
    stand.token_file.write_text(TOKEN)


@fault(_PAGE, "certificate of a stranger",
       Expected("app vault", "protocol", cause="target_unreachable", check="targets",
                log="certificate is not valid"))  # fmt: skip
def _stranger(stand: Stand) -> Iterator[None]:
    stand.certificates.use_one_of_a_stranger()
    yield
    stand.certificates.use_own()


@fault(_PAGE, "empty body where a library had pools",
       Expected("app vault", "protocol", cause="target_unreachable", check="targets",
                log="the page is empty"))  # fmt: skip
def _empty(stand: Stand) -> Iterator[None]:
    stand.secure_page.answer = answer(b"", _TEXT)
    yield
    stand.secure_page.answer = stand.secure_page.usual
