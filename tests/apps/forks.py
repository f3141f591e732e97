"""An application that forks in many ways while other threads hold every lock of the client.

    python forks.py DSN

Prints what each process found, as JSON.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import select
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool, NullConnectionPool

from pg_pool_exporter.client import instrument
from pg_pool_exporter.client.process import PROCESS
from support.client import page_of

# What this application is about.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

DSN = sys.argv[1]
LOCKS = (type(threading.Lock()), type(threading.RLock()))
DIRECTORY = Path(os.environ["PG_POOL_EXPORTER_SOCKET_DIR"])


def sockets() -> list[str]:
    return sorted(path.name for path in DIRECTORY.glob("*.sock"))


def answers(name: str) -> bool:
    """Whether a page is served there, within 10 seconds: a killed child's socket is still there."""
    deadline = time.monotonic() + 10
    while not (answered := page_of(DIRECTORY / name) != "") and time.monotonic() < deadline:
        time.sleep(0.01)
    return answered


def inherited_sockets() -> Iterator[socket.socket]:
    """A duplicate of each socket that is open here, until the next is asked for."""
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # closed meanwhile
            # Not of a file: to close any descriptor of the slot's gives its lock up.
            if stat.S_ISSOCK(os.fstat(int(descriptor.name)).st_mode):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as one:
                    yield one


def inherited_listeners() -> int:
    return sum(
        one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for one in inherited_sockets()
    )


def inherited_readers() -> int:
    """How many ends of connections to a socket in the directory are open here."""
    return sum(
        one.family == socket.AF_UNIX and one.getsockname() != ""
        for one in inherited_sockets()
        if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def numbers() -> dict[str, Any]:
    """Of each pool, what this process has done with it."""
    return {
        sample.key.pool: {
            "process": sample.key.process.rpartition(":")[2],
            "pid": sample.info is not None and sample.info.pid == str(os.getpid()),
            "acquired": sample.acquired,
            "active": sample.active,
            "leaked": sample.leaked,
            "waiting": sample.waiting,
            "queued": sample.queued,
            "connects": sample.connects,
            "active_seconds": round(sample.active_seconds or 0, 1),
        }
        for sample in PROCESS.samples()
    }


def in_child(run: Callable[[], Any]) -> Any:
    """What `run` gives in a forked child; "hung" when it gives nothing for 20 seconds."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, json.dumps(run()).encode())
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            os.write(theirs, json.dumps(repr(error)).encode())
        os._exit(0)
    os.close(theirs)
    ready, _, _ = select.select([ours], [], [], 20)
    reported = os.read(ours, 1 << 16) if ready else b'"hung"'
    os.close(ours)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return json.loads(reported)


def locks_of(client: object) -> Iterator[Any]:
    """Every lock in the client's objects, wherever it is."""
    seen: dict[int, object] = {}
    left = [client]
    while left:
        one = left.pop()
        kind = type(one)
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if kind in LOCKS:
            yield one
        elif kind in (dict, list, tuple) or kind.__module__.startswith("pg_pool_exporter.client."):
            left += gc.get_referents(one)


@contextmanager
def locks_held_by_another_thread() -> Iterator[None]:
    locks = [*locks_of(PROCESS)]
    assert len(locks) >= 2 + len(PROCESS.samples()), "the process's, the registry's, each pool's"
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        release.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        release.set()
        thread.join()


@contextmanager
def silent_readers(count: int) -> Iterator[None]:
    """Readers that this process has accepted, and that say nothing."""
    with ExitStack() as stack:
        for _ in range(count):
            reader = stack.enter_context(socket.socket(socket.AF_UNIX))
            reader.connect(str(DIRECTORY / "shop-0.sock"))
        while inherited_readers() < count:
            time.sleep(0.01)
        yield


def main() -> None:
    reported: dict[str, Any] = {}
    inherited: NullConnectionPool[Any] = NullConnectionPool(DSN, max_size=2, open=True)
    instrument(inherited, app="shop", name="inherited")
    for _ in range(5):
        with inherited.connection():
            pass
    inherited.getconn()  # a leak of the parent's
    kept = inherited.getconn()
    waiter = threading.Thread(target=lambda: inherited.putconn(inherited.getconn()))
    waiter.start()
    while numbers()["inherited"]["waiting"] != 1:
        time.sleep(0.01)
    assert answers("shop-0.sock")

    def unused() -> Any:
        return {"sockets": sockets(), "listeners": inherited_listeners(), "numbers": numbers(),
                "readers": inherited_readers()}  # fmt: skip

    def uses_inherited() -> Any:
        with inherited.connection():
            during = numbers()
        return {"answers": answers("shop-1.sock"), "sockets": sockets(), "during": during,
                "listeners": inherited_listeners()}  # fmt: skip

    def makes_its_own() -> Any:
        with ConnectionPool(DSN, min_size=1, open=True) as pool:
            instrument(pool, app="shop", name="own")
            with pool.connection():
                pass
            return {"own": numbers()["own"], "answers": answers("shop-1.sock")}

    def makes_it_again() -> Any:
        with ConnectionPool(DSN, min_size=1, open=True) as pool:
            instrument(pool, app="shop", name="inherited")
            with pool.connection():
                before = numbers()
            with inherited.connection():
                return {"before": before, "both used": numbers()}

    with locks_held_by_another_thread(), silent_readers(3):
        reported["unused"] = in_child(unused)
    with locks_held_by_another_thread():
        reported["makes_its_own"] = in_child(makes_its_own)
    inherited.putconn(kept)  # now there is a free slot for the child, too
    waiter.join()
    with locks_held_by_another_thread():
        reported["uses_inherited"] = in_child(uses_inherited)
        reported["makes_it_again"] = in_child(makes_it_again)
        reported["grandchild"] = in_child(lambda: in_child(makes_its_own))

    worker = multiprocessing.get_context("fork").Process(target=sockets)
    worker.start()
    worker.join()
    reported["parent"] = {"numbers": numbers(), "answers": answers("shop-0.sock"),
                      "multiprocessing": worker.exitcode}  # fmt: skip
    inherited.close()
    json.dump(reported, sys.stdout)


if __name__ == "__main__":
    main()
