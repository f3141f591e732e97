"""A headless Chromium, asked over its DevTools protocol."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from support.polling import eventually, until

CHROMIUM = shutil.which("chromium")
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-lcd-text", "--remote-debugging-port=0",
)  # fmt: skip
_START_SECONDS = 30.0
_ANSWER_SECONDS = 60.0


class Browser:
    """One tab. `events` are those that have come so far, by method."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=_ANSWER_SECONDS)
            if message.get("id") == self._number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self._keep(message)

    async def open(self, url: str, width: int, height: int = 900) -> None:
        """Load a page in a window of that size, and wait until it is there."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.events.clear()
        await self.call("Page.navigate", url=url)
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            self._keep(await self._socket.receive_json(timeout=_ANSWER_SECONDS))

    async def evaluate(self, script: str) -> Any:
        """What a script gives on the page."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"]["value"]

    async def until(self, script: str) -> None:
        """Wait until a script gives true."""
        await until(lambda: self.evaluate(script), _ANSWER_SECONDS)

    def _keep(self, message: dict[str, Any]) -> None:
        self.events.append((message["method"], message["params"]))


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A browser of its own, gone at the end."""
    assert CHROMIUM is not None
    profile = tempfile.mkdtemp(prefix="browser-")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *_QUIET, f"--user-data-dir={profile}", "about:blank",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        file = Path(profile) / "DevToolsActivePort"
        await eventually(lambda: _port(file) is not None, _START_SECONDS)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{_port(file)}") as http:
            async with http.get("/json/list") as answer:
                tabs = await answer.json(content_type=None)
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with http.ws_connect(url, max_msg_size=2**26) as socket:
                browser = Browser(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await browser.call(f"{domain}.enable")
                yield browser
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _port(file: Path) -> int | None:
    with suppress(FileNotFoundError, IndexError, ValueError):
        return int(file.read_text().splitlines()[0])
    return None
