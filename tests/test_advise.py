"""`pg-pool-exporter advise`: what a person and a program read, and the exit code."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest
from aiohttp import web

from pg_pool_exporter.commands.advise import Sizes, written
from pg_pool_exporter.commands.findings_document import DocumentError
from support.programs import free_port, run_command


def document(*advice: str, left_out: int = 0, **changed: Any) -> dict[str, Any]:
    """A document with such advice, and keys that are of no use here."""
    pool = {
        "app": "orders", "pool": "main", "server": "main", "max": 6, "title": "enlarge to 12",
        "sentences": ["It needs 12 connections."],
    }  # fmt: skip
    return {
        "version": 1, "generated": 1.5, "checks": [],
        "sizes": [{**pool, "advice": each, **changed} for each in advice],
        "sizes_left_out": left_out,
        "sizes_by_server": [{"server": "main", "summary": "The pools may open 6.", "needed": 12}],
    }  # fmt: skip


def asked(answer: dict[str, Any], *flags: str) -> subprocess.CompletedProcess[str]:
    """The command, which asks a daemon that answers this."""

    async def main() -> subprocess.CompletedProcess[str]:
        async def handle(_: web.Request) -> web.Response:
            return web.json_response(answer)

        app = web.Application()
        app.router.add_get("/api/v1/findings", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            url = f"--url=http://127.0.0.1:{port}"
            return await asyncio.to_thread(run_command, "advise", url, *flags)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_a_person_reads_a_line_a_pool_with_its_reasons() -> None:
    done = asked(document("enlarge", left_out=2))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "orders/main on main  now 6       enlarge to 12",
        "  - It needs 12 connections.",
        "2 more pools are not shown; the metrics have all of them.",
        "",
        "server main: The pools may open 6.",
    ]


def test_a_program_reads_the_advice_alone() -> None:
    answer = document("keep", left_out=2)
    done = asked(answer, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert set(found) == {"version", "generated", "sizes", "sizes_left_out", "sizes_by_server"}
    assert all(answer[key] == value for key, value in found.items())


@pytest.mark.parametrize(
    ("advice", "code"),
    [
        ((), 0),
        (("keep", "unknown"), 0),
        (("keep", "reduce"), 1),
        (("no_room",), 1),
        (("fix_first",), 1),
    ],
)
def test_the_exit_code_is_whether_a_size_should_change(advice: tuple[str, ...], code: int) -> None:
    assert Sizes.read(json.dumps(document(*advice))).exit_code == code


@pytest.mark.parametrize("key", ["version", "generated", "sizes", "sizes_left_out"])
def test_another_server_s_document_is_refused(key: str) -> None:
    answer = document("keep")
    del answer[key]
    with pytest.raises(DocumentError, match="not from a pg-pool-exporter"):
        Sizes.read(json.dumps(answer))
    done = asked(answer, "--json")
    assert (done.returncode, done.stdout) == (4, "")
    assert "Traceback" not in done.stderr


def test_nobody_answers() -> None:
    done = run_command("advise", f"--url=http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (4, "")


def test_names_from_outside_cannot_command_the_terminal() -> None:
    hostile = "\x1b[2Jx\x07\r\u202e"
    found = Sizes.read(
        json.dumps(document("keep", app=hostile, title=hostile, sentences=[hostile]))
    )
    assert all(line.isprintable() for line in written(found, 80))
