"""How large a process is: figures that it reports itself, and those that the system knows."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from pathlib import Path
from types import FrameType

_ANSWER_SECONDS = 60.0  # a busy machine lets a process wait
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def report_on_signal(path: Path) -> None:
    """On SIGUSR1 write the numbers of this process's Python objects and asyncio tasks to `path`.

    Cyclic garbage counts as long as the process itself does not collect it.
    """

    def report(_number: int, _frame: FrameType | None) -> None:
        counted = {"objects": len(gc.get_objects()), "tasks": _tasks()}
        made = path.with_suffix(".new")
        made.write_text(json.dumps(counted))
        made.replace(path)

    signal.signal(signal.SIGUSR1, report)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # no event loop runs
        return 0


def measure(pid: int, path: Path) -> dict[str, float]:
    """The figures of process `pid`, which reports to `path`.

    Raises `TimeoutError` when it does not report.
    """
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {pid} reports nothing for {_ANSWER_SECONDS:g} s")
        time.sleep(0.01)
    reported: dict[str, float] = json.loads(path.read_text())
    process = Path(f"/proc/{pid}")
    links = _links(process)
    sockets = {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}
    return {
        "memory, MiB": int((process / "statm").read_text().split()[1]) * _PAGE_MIB,
        "descriptors": len(links),
        "TCP sockets": len(sockets & _tcp_inodes(process)),
        "threads": len(list((process / "task").iterdir())),
        **reported,
    }


def _links(process: Path) -> list[str]:
    found = []
    for descriptor in (process / "fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed in the meantime
            continue
    return found


def _tcp_inodes(process: Path) -> set[str]:
    tables = [(process / "net" / name).read_text() for name in ("tcp", "tcp6")]
    return {line.split()[9] for table in tables for line in table.splitlines()[1:]}
