"""Takes pictures of pages with a headless Chromium."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

from support.browser import Browser

MOST_BYTES = 200_000


class Camera:
    """Writes into a directory. `until` is a script that gives true when a page is complete."""

    def __init__(self, browser: Browser, directory: Path) -> None:
        self._browser = browser
        self._directory = directory

    async def take(
        self,
        name: str,
        address: str,
        width: int,
        height: int,
        *,
        until: str = "true",
        of: str = "",
        scale: float = 1,
    ) -> None:
        """A picture of the window, or of the element `of` (a selector), `scale` times as large.

        Raises `ValueError` where it is too large for a repository.
        """
        await self._browser.call("Emulation.setScrollbarsHidden", hidden=True)
        await self._browser.open(address, width, height)
        await self._browser.until(until)
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        if of:
            found = (
                f"(({{x, y, width, height}}) => ({{x, y, width, height}}))"
                f"(document.querySelector({of!r}).getBoundingClientRect())"
            )
            clip = await self._browser.evaluate(found)
        shot = await self._browser.call(
            "Page.captureScreenshot", format="png", clip={**clip, "scale": scale}
        )
        picture = _packed(base64.b64decode(shot["data"]))
        if len(picture) > MOST_BYTES:
            raise ValueError(f"{name} has {len(picture):,} bytes, more than {MOST_BYTES:,}")
        (self._directory / name).write_bytes(picture)

    async def take_text(self, name: str, page: str) -> None:
        """A picture of a page that is given as text, as high as its content."""
        address = f"data:text/html;base64,{base64.b64encode(page.encode()).decode()}"
        await self.take(name, address, 960, 800, of="body")


def _packed(picture: bytes) -> bytes:
    """The same PNG, compressed as far as it can be: Chromium prefers speed."""
    head, chunks, at, data = picture[:8], [], 8, b""
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        if kind == b"IDAT":
            data += body
        else:
            chunks.append((kind, body))
        at += 12 + size
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(data), 9)))
    return head + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
