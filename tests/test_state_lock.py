"""Two exporters never keep their state in one directory."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pg_pool_exporter.config import ConfigError
from pg_pool_exporter.sources.server_log.positions.state_lock import StateLock
from support.daemons import exporting
from support.programs import exporter, free_port


def configure(path: Path, state: Path) -> Path:
    """A configuration of a server that is not there, whose log is read."""
    log = {"files": ["*.log"], "format": "csvlog"}
    server = {"name": "main", "dsn": "host=127.0.0.1 port=1", "log": log}
    content = {"socket_dir": "", "state_dir": str(state), "servers": [server]}
    path.write_text(json.dumps(content))
    return path


def test_a_second_exporter_on_the_directory_says_so_and_does_not_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = configure(tmp_path / "config.yaml", state)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            exporter(*arguments, f"--config.file={path}"),
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    async def main() -> None:
        async with exporting(path):
            address = f"--web.listen-address=127.0.0.1:{free_port()}"
            second = await asyncio.to_thread(command, address)
            assert second.returncode == 2
            assert f"{state}: is in use by another pg-pool-exporter: give each" in second.stderr
            checked = await asyncio.to_thread(command, "check-config")
            assert checked.returncode == 0
        async with exporting(path):
            pass

    asyncio.run(main())


def test_a_reload_moves_the_lock_or_is_refused(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    path = configure(tmp_path / "config.yaml", first)
    other = StateLock(str(second))

    async def main() -> None:
        async with exporting(path) as scraper:
            assert await scraper.post("/-/reload") == 200
            configure(path, second)
            assert await scraper.post("/-/reload") == 500
            with pytest.raises(ConfigError, match="first: is in use"):
                StateLock(str(first))
            other.release()
            assert await scraper.post("/-/reload") == 200
            StateLock(str(first)).release()
            with pytest.raises(ConfigError, match="second: is in use"):
                StateLock(str(second))
        StateLock(str(second)).release()

    asyncio.run(main())


def test_a_lock_that_nobody_waits_for_any_more_is_released(tmp_path: Path) -> None:
    """A reload timed out while the directory was hung, and the lock came later."""
    StateLock(str(tmp_path))
    gc.collect()
    StateLock(str(tmp_path)).release()


def test_an_exporter_that_is_killed_locks_nobody_out(tmp_path: Path) -> None:
    program = (
        "import sys, time; "
        "from pg_pool_exporter.sources.server_log.positions.state_lock import StateLock; "
        "lock = StateLock(sys.argv[1]); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            with pytest.raises(ConfigError, match="is in use by another pg-pool-exporter"):
                StateLock(str(tmp_path))
        finally:
            holder.kill()
    StateLock(str(tmp_path)).release()


@pytest.mark.parametrize("spoil", ["file", "link"])
def test_a_directory_that_is_none_is_left_to_those_who_save(tmp_path: Path, spoil: str) -> None:
    if spoil == "file":
        (tmp_path / "state").touch()
    else:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "lock").symlink_to("elsewhere")
    StateLock(str(tmp_path / "state")).release()
    assert not os.path.lexists(tmp_path / "state" / "elsewhere")
