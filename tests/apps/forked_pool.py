"""An application that forks while a connection of its pool is out and another request waits.

    python forked_pool.py DSN KIND

KIND is a name of `support.pools.KINDS`. Prints what each process found, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from typing import Any

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import PROCESS
from support.pools import KINDS, SIZE
from support.postgres import wait_until

# What this application is about.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

DSN = sys.argv[1]
(KIND,) = (kind for kind in KINDS if kind.name == sys.argv[2])


def numbers() -> Any:
    return {
        sample.key.pool: {
            "acquired": sample.acquired, "active": sample.active, "waiting": sample.waiting or 0,
            "queued": sample.queued or 0, "connects": sample.connects,
        }
        for sample in PROCESS.samples()
    }  # fmt: skip


async def use_a_pool_of_its_own() -> Any:
    pool = KIND.make(DSN)
    instrument(pool.own, app="shop", name="own")
    await pool.open()
    async with pool.block():
        reported = numbers()
    await pool.close()
    return reported


def in_child() -> Any:
    """What a forked child finds: at first, and with a pool that it has made."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            reported = {"at first": numbers()}
            # The parent's loop runs in this thread, too.
            asyncio._set_running_loop(None)
            reported["own"] = asyncio.new_event_loop().run_until_complete(use_a_pool_of_its_own())
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            reported = {"failed": repr(error)}
        os.write(theirs, json.dumps(reported).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        reported = json.load(answer)
    os.waitpid(pid, 0)
    return reported


async def play() -> Any:
    pool = KIND.make(DSN)
    instrument(pool.own, app="shop", name="main")
    await pool.open()
    out = [await pool.check_out() for _ in range(SIZE)]
    waiter = asyncio.create_task(pool.check_out_when_free()) if KIND.waits else None
    if waiter is not None:
        await asyncio.to_thread(wait_until, lambda: numbers()["main"]["waiting"], "it waits")
    child = in_child()
    while out:
        await pool.check_in(out.pop())
    if waiter is not None:
        await pool.check_in(await waiter)
    parent = numbers()
    await pool.close()
    return {"child": child, "parent": parent}


if __name__ == "__main__":
    json.dump(asyncio.run(play()), sys.stdout)
