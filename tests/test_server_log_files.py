"""A log is followed through everything done to its files: no event is lost or counted twice."""

from __future__ import annotations

import asyncio
import bz2
import gzip
import json
import lzma
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pg_pool_exporter.sources.server_log.counting.reader import MAX_LINE
from pg_pool_exporter.sources.server_log.format.layouts import Format
from pg_pool_exporter.sources.server_log.positions.files import LogFiles
from support.busy import within
from support.polling import eventually
from support.server_log import FORMATS, TIME, Follower, event, record, timeouts

NAME = "postgresql.log"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with one event from before the exporter's time."""
    path = tmp_path / "log" / NAME
    path.parent.mkdir()
    path.write_bytes(event())
    return path


@pytest.fixture
def follower(log: Path, tmp_path: Path) -> Iterator[Follower]:
    """Follows that one path, and has begun to."""
    follower = Follower(log.parent, NAME, state=tmp_path / "state")
    assert timeouts(follower.poll()) == 0
    yield follower
    follower.stop()


def append(path: Path, *data: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(data))


def test_reading_begins_at_the_end(follower: Follower, log: Path) -> None:
    counts = follower.poll()
    assert (timeouts(counts), counts.read, counts.lag) == (0, 0, 0)
    append(log, event(number=1), event(number=2))
    counts = follower.poll()
    assert (timeouts(counts), counts.lag) == (2, 0)
    assert counts.read == 2 * len(event())
    assert timeouts(follower.poll()) == 2


def test_reading_begins_at_the_end_even_of_half_a_line(log: Path) -> None:
    append(log, event()[:20])
    follower = Follower(log.parent, NAME)
    follower.poll()
    append(log, event()[20:])
    assert timeouts(follower.poll()) == 0
    append(log, event())
    assert timeouts(follower.poll()) == 1
    follower.stop()


def test_counters_exist_from_0_for_all_that_is_known(follower: Follower) -> None:
    counts = follower.poll()
    zero = dict.fromkeys(
        ("statement", "lock", "idle_in_transaction", "idle_session", "transaction",
         "authentication"), 0,
    )  # fmt: skip
    assert counts.timeouts == {"postgres": zero, "shop": zero}
    assert counts.opened == counts.closed == {"postgres": 0, "shop": 0}
    assert counts.refused == dict.fromkeys(
        ("too_many_connections", "role_limit", "database_limit", "authentication", "other"), 0
    )


def test_a_record_in_the_course_of_being_written(follower: Follower, log: Path) -> None:
    whole = event().splitlines(keepends=True)[0]
    for at in (1, 40, len(whole) - 1):
        append(log, whole[:at])
        before = timeouts(follower.poll())
        append(log, whole[at:])
        assert timeouts(follower.poll()) == before + 1


def test_a_record_longer_than_any_buffer(follower: Follower, log: Path) -> None:
    long = record("stderr", "ERROR", "canceling statement due to statement timeout", code="57014")
    long += b"\t" + b"x" * 10 * MAX_LINE
    append(log, long)
    assert timeouts(follower.poll()) == 1
    follower.restart()
    append(log, event()[:-1])  # still the same line
    assert timeouts(follower.poll()) == 1
    append(log, b"\n", event())
    assert timeouts(follower.poll()) == 2


def by_name(log: Path) -> None:
    """logrotate's way: rename, and have the server open a new file."""
    for number in range(8, 0, -1):
        old = log.with_name(f"{NAME}.{number}")
        if old.exists():
            old.rename(log.with_name(f"{NAME}.{number + 1}"))
    log.rename(log.with_name(f"{NAME}.1"))
    log.touch()


def by_copy(log: Path) -> None:
    """logrotate's copytruncate."""
    for number in range(8, 0, -1):
        old = log.with_name(f"{NAME}.{number}")
        if old.exists():
            old.rename(log.with_name(f"{NAME}.{number + 1}"))
    shutil.copy2(log, log.with_name(f"{NAME}.1"))
    os.truncate(log, 0)


@pytest.mark.parametrize("rotate", [by_name, by_copy])
@pytest.mark.parametrize("rotations", [1, 3])
def test_rotations_between_two_polls(
    follower: Follower, log: Path, rotate: Callable[[Path], None], rotations: int
) -> None:
    numbers = count()
    for _ in range(2):
        before = timeouts(follower.poll())
        append(log, event(number=next(numbers)))
        for _ in range(rotations):
            rotate(log)
            append(log, event(number=next(numbers)))
        assert timeouts(follower.poll()) == before + 1 + rotations
        assert timeouts(follower.poll()) == before + 1 + rotations


def test_the_server_goes_on_in_the_renamed_file(follower: Follower, log: Path) -> None:
    """Until it opens a new one."""
    old = log.rename(log.with_name("elsewhere"))
    append(old, event(number=1))
    assert follower.failure().reason == "other"
    append(old, event(number=2))
    append(log, event(number=3))
    assert timeouts(follower.poll()) == 3


def test_a_file_that_is_removed_is_read_to_its_end(follower: Follower, log: Path) -> None:
    append(log, event(number=1))
    log.unlink()
    assert NAME in str(follower.failure())
    append(log, event(number=2))
    assert timeouts(follower.poll()) == 2


def test_a_rotated_file_does_not_stand_for_the_log(follower: Follower, log: Path) -> None:
    """The log was removed while the server writes to it: only what was rotated before is there."""
    by_name(log)
    assert timeouts(follower.poll()) == 0
    log.unlink()
    error = follower.failure()
    assert error.reason == "other"
    assert str(log) in str(error)
    assert "rotated" in str(error)
    log.write_bytes(event(number=1))
    assert timeouts(follower.poll()) == 1


def test_each_configured_path_must_match(log: Path) -> None:
    follower = Follower(log.parent, NAME, "moved.log")
    error = follower.failure()
    assert "moved.log" in str(error)
    assert NAME not in str(error)
    append(log, event(number=1))
    (log.parent / "moved.log").touch()
    assert timeouts(follower.poll()) == 1
    follower.stop()


def test_a_named_pipe_in_place_of_the_log_is_not_opened(log: Path) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    log.unlink()
    os.mkfifo(log)
    assert NAME in str(follower.failure())
    follower.stop()


def test_a_log_that_rotates_quickly_takes_few_descriptors(follower: Follower, log: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for number in range(1, 31):
        log.rename(log.with_name(f"{log.name}.{number}"))
        log.with_name(f"{log.name}.{number - 2}").unlink(missing_ok=True)
        append(log, event(number=number))
        assert timeouts(follower.poll()) == number
    assert descriptors() - before < 12


def test_closing_during_a_read_closes_the_files_when_it_ends(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, goes_on = threading.Event(), threading.Event()
    real = LogFiles.read

    def slowly(*args: Any) -> bytes:
        reads.set()
        goes_on.wait(10)
        return real(*args)

    def is_open() -> bool:
        return any(link.exists() and link.samefile(log) for link in Path("/proc/self/fd").iterdir())

    async def main() -> None:
        source = own.source
        await source.poll()
        append(log, event())
        poll = asyncio.create_task(source.poll())
        await asyncio.to_thread(reads.wait, 10)
        poll.cancel()
        await asyncio.wait({poll})
        started = time.monotonic()
        await source.close()
        assert time.monotonic() - started < within(1)
        assert is_open()
        goes_on.set()
        await eventually(lambda: not is_open())

    own = Follower(log.parent, NAME)
    monkeypatch.setattr(LogFiles, "read", slowly)
    asyncio.run(main())


def test_without_descriptors_the_reason_is_reported_and_little_is_logged(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    follower = Follower(log.parent, "*.log")
    follower.poll()
    append(log, event())
    with no_descriptors():
        errors = [str(follower.failure()) for _ in range(50)]
    assert {error.rpartition(": ")[2] for error in errors} == {"Too many open files"}
    assert len(capsys.readouterr().out.splitlines()) <= 2
    assert timeouts(follower.poll()) == 1
    follower.stop()


def test_a_file_that_is_away_and_back_is_known_again(follower: Follower, log: Path) -> None:
    append(log, event(number=1))
    assert timeouts(follower.poll()) == 1
    away = log.rename(log.with_name("away"))
    follower.failure()
    follower.restart()
    follower.failure()
    away.rename(log)
    append(log, event(number=2))
    assert timeouts(follower.poll()) == 2


def test_a_truncated_file_is_read_from_its_beginning(follower: Follower, log: Path) -> None:
    append(log, event(number=1))
    assert timeouts(follower.poll()) == 1
    log.write_bytes(event(number=20) + event(number=30))
    assert timeouts(follower.poll()) == 3
    log.write_bytes(event(number=4000) * 3)  # longer than before
    assert timeouts(follower.poll()) == 6


def test_a_backup_beside_the_log_is_not_counted_again(follower: Follower, log: Path) -> None:
    append(log, event(number=1))
    shutil.copy(log, log.with_name(f"{NAME}.backup"))
    assert timeouts(follower.poll()) == 1
    append(log, event(number=2))
    assert timeouts(follower.poll()) == 2


def test_a_copy_that_takes_long_to_make(follower: Follower, log: Path) -> None:
    append(log, *(event(number=number) for number in range(100)))
    assert timeouts(follower.poll()) == 100
    content = log.read_bytes()
    copy = log.with_name(f"{NAME}.1")
    for part in (content[:1000], content[1000:5000], content[5000:]):
        append(copy, part)
        assert timeouts(follower.poll()) == 100
    append(log, event(number=101))
    append(copy, event(number=101))
    os.truncate(log, 0)
    append(log, event(number=102))
    assert timeouts(follower.poll()) == 102


def test_a_file_moved_to_another_disk_while_nobody_looked(follower: Follower, log: Path) -> None:
    follower.stop()
    append(log, event(number=1))
    shutil.copy2(log, log.with_name(f"{NAME}.1"))
    log.unlink()
    append(log, event(number=2))
    follower.start()
    assert timeouts(follower.poll()) == 2


def test_compressed_files_are_left_alone(follower: Follower, log: Path) -> None:
    log.with_name(f"{NAME}.2.gz").write_bytes(event())
    assert timeouts(follower.poll()) == 0


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (gzip.compress, "compressed with gzip"),
        (lzma.compress, "compressed with xz"),
        (bz2.compress, "compressed with bzip2"),
        (lambda content: content.decode().encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_holds_no_lines_is_never_shown_as_0(
    follower: Follower, log: Path, encode: Callable[[bytes], bytes], said: str
) -> None:
    """At each poll, also while it does not change."""
    log.unlink()
    append(log, encode(event()))
    for _ in range(3):
        error = follower.failure()
        assert error.reason == "not_understood"
        assert said in str(error)
    log.unlink()
    append(log, event(number=2))
    assert timeouts(follower.poll()) == 1


def test_a_compressed_file_given_by_name_is_said(tmp_path: Path) -> None:
    (tmp_path / "log.gz").write_bytes(gzip.compress(event()))
    follower = Follower(tmp_path, "log.gz")
    assert "compressed files are not read" in str(follower.failure())
    follower.stop()


@pytest.mark.parametrize("form", FORMATS)
def test_new_names_of_the_collector(tmp_path: Path, form: Format) -> None:
    follower = Follower(tmp_path, "postgresql-*", form=form)
    follower.failure()
    for number in range(3):
        path = tmp_path / f"postgresql-2026-11-2{number}_000000"
        append(path, event(form, number), event(form, number + 10))
        if number % 2:
            assert timeouts(follower.poll()) == 2 * (number + 1)
    assert timeouts(follower.poll()) == 6
    follower.stop()


def test_a_link_to_the_current_file_is_no_second_file(follower: Follower, log: Path) -> None:
    log.with_name(f"{NAME}.current").symlink_to(log)
    append(log, event())
    assert timeouts(follower.poll()) == 1


def test_a_restart_continues_where_it_was(follower: Follower, log: Path) -> None:
    """Counts go on too: what came meanwhile must show as an increase, whole."""
    append(log, event(number=1))
    assert timeouts(follower.poll()) == 1
    follower.stop()
    append(log, event(number=2))
    by_name(log)
    append(log, event(number=3), event(number=4)[:30])
    follower.start()
    counts = follower.poll()
    assert (timeouts(counts), counts.lag) == (3, 0)
    follower.restart()
    append(log, event(number=4)[30:])
    assert timeouts(follower.poll()) == 4


def test_no_text_of_the_log_is_in_the_state(follower: Follower, log: Path, tmp_path: Path) -> None:
    append(log, record("stderr", "ERROR", "hunter2", statement="SELECT 'hunter2'"), event())
    follower.poll()
    (state,) = (tmp_path / "state").iterdir()
    assert b"hunter2" not in state.read_bytes()
    assert b"SELECT" not in state.read_bytes()
    assert state.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"version": 2}', b"\xff", b'{"version": 1}', b"[" * 100_000,
     b'{"version": 1, "source": "", "positions": [{"key": 1}]}'],
)  # fmt: skip
def test_a_damaged_state_is_logged_and_reading_begins_at_the_end(
    follower: Follower,
    log: Path,
    tmp_path: Path,
    content: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    follower.stop()
    (state,) = (tmp_path / "state").iterdir()
    state.write_bytes(content)
    append(log, event(number=1))
    follower.start()
    assert timeouts(follower.poll()) == 0
    assert "damaged" in capsys.readouterr().out
    append(log, event(number=2))
    assert timeouts(follower.poll()) == 1
    assert json.loads(state.read_bytes())["version"] == 1


def test_a_state_that_cannot_be_written_is_logged_once(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    follower = Follower(log.parent, NAME, state=tmp_path / "file" / "state")
    for number in range(3):
        assert timeouts(follower.poll()) == number
        append(log, event(number=number))
        assert follower.poll().state_saved is False
    assert capsys.readouterr().out.count("state not saved") == 1
    (tmp_path / "file").unlink()
    append(log, event())
    assert follower.poll().state_saved is True
    follower.stop()


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to(path.parent / "other")])
def test_state_is_written_into_no_pipe_and_through_no_link(
    log: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    follower = Follower(log.parent, NAME, state=tmp_path / "state")
    follower.poll()
    (state,) = (tmp_path / "state").iterdir()
    plant(state.with_suffix(".new"))
    append(log, event())
    counts = follower.poll()
    assert (timeouts(counts), counts.state_saved) == (1, False)
    assert not (tmp_path / "state" / "other").exists()
    follower.stop()


def test_without_a_state_directory_nothing_is_said_of_saving(log: Path) -> None:
    follower = Follower(log.parent, NAME)
    assert follower.poll().state_saved is None
    follower.stop()


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_cannot_be_read_is_reported(what: str) -> None:
    with TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        log = Path(parent, "log", NAME)
        log.parent.mkdir()
        follower = Follower(log.parent, NAME)
        follower.failure()
        log.write_bytes(event())
        forbidden = log if what == "file" else log.parent
        forbidden.chmod(0)
        with as_nobody():
            error = follower.failure()
        assert error.reason == "permission"
        assert f"{forbidden} " in str(error)
        forbidden.chmod(0o755)
        assert timeouts(follower.poll()) == 1
        follower.stop()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Only the three descriptors of an event loop are left."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.dup(0) for _ in range(64)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, before[1]))
    for _ in range(3):
        os.close(held.pop())
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for one in held:
            os.close(one)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_path_without_a_match_is_reported(tmp_path: Path) -> None:
    error = Follower(tmp_path, "nothing*.log").failure()
    assert error.reason == "other"
    assert "stderr" in str(error)
    assert "nothing*.log" in str(error)


def test_a_long_log_is_caught_up_with_in_steps(log: Path) -> None:
    """Each poll reads for half of its time; the lag says how much is left."""
    ticks = count(step=0.2)
    follower = Follower(log.parent, NAME, clock=lambda: next(ticks))
    follower.poll()
    number = 20_000
    append(log, *(event(number=one) for one in range(number)))
    size = log.stat().st_size
    lags: list[float] = []
    while not lags or lags[-1]:
        counts = follower.poll()
        lags.append(counts.lag)
        assert counts.read + counts.lag == size - len(event())
    assert timeouts(counts) == number
    assert len(lags) > 2
    assert lags == sorted(lags, reverse=True)
    follower.stop()


def test_databases_that_only_the_log_knows_are_bounded(follower: Follower, log: Path) -> None:
    """A client can name any database that it likes."""
    text = "connection authorized: user=app database="
    append(
        log, *(record("stderr", "LOG", f"{text}d{one}", database=f"d{one}") for one in range(2000))
    )
    counts = follower.poll()
    assert counts.opened is not None
    assert len(counts.opened) == 1000 + 1
    assert counts.opened["other"] == 2000 - 998
    assert sum(counts.opened.values()) == 2000
    assert counts.opened["shop"] == 0


def test_made_up_databases_of_refused_clients_take_no_places(follower: Follower, log: Path) -> None:
    """Anybody who reaches the port can name as many, and refusals are not counted by database."""
    text = 'password authentication failed for user "app"'
    append(log, *(record("stderr", "FATAL", text, code="28P01", database=f"d{one}")
                  for one in range(1100)))  # fmt: skip
    assert follower.poll().refused["authentication"] == 1100
    opened = "connection authorized: user=app database=new"
    append(log, record("stderr", "LOG", opened, database="new"))
    counts = follower.poll()
    assert counts.opened is not None
    assert counts.opened["new"] == 1


def plain(message: str, severity: str = "LOG") -> str:
    return f"{TIME} [4711] app@shop 00000 {severity}:  {message}\n"


def shipped(line: str) -> str:
    return json.dumps({"log": line, "stream": "stderr"}) + "\n"


def test_a_wrapped_log_is_followed_like_a_plain_one(log: Path, tmp_path: Path) -> None:
    """Its wrapping begins in the middle; lines and parts of lines end in later polls."""
    follower = Follower(log.parent, NAME, state=tmp_path / "state")
    follower.poll()
    first, *others = event().decode().splitlines(keepends=True)
    append(log, event(), shipped(first).encode()[:40])
    assert timeouts(follower.poll()) == 1
    follower.restart()
    append(log, shipped(first).encode()[40:], *(shipped(one).encode() for one in others))
    assert timeouts(follower.poll()) == 2
    append(log, shipped(first[:60]).encode())
    assert timeouts(follower.poll()) == 2
    append(log, shipped(first[60:]).encode(), b"2026-11-24T10:00:00.1Z stderr P ", event()[:50])
    assert timeouts(follower.poll()) == 3
    append(log, b"\n2026-11-24T10:00:00.1Z stderr F ", first[50:].encode())
    counts = follower.poll()
    assert timeouts(counts) == 4
    assert counts.unparsed == 0
    assert counts.written == {("stderr", "cri"): 1}
    follower.stop()


@pytest.mark.parametrize(("size", "end"), [(60, "\n"), (16384, ""), (16384, "\n")])
def test_a_line_that_docker_split_is_joined(log: Path, size: int, end: str) -> None:
    """At 16 KiB, with or without line ends at the ends of lines; its second part is no record."""
    follower = Follower(log.parent, NAME)
    follower.poll()
    query = event().decode().splitlines()[-1] + "x" * 20_000
    parts = [query[:size], query[size:] + end]
    whole = [line + end for line in event().decode().splitlines()]
    for _ in range(3):
        append(log, *(json.dumps({"log": one, "stream": "stderr"}).encode() + b"\n"
                      for one in (*whole, *parts, *whole)))  # fmt: skip
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (6, 0)
    follower.stop()


@pytest.mark.parametrize("form", ["stderr", "jsonlog"])
@pytest.mark.parametrize("wrapping", ["docker", "cri"])
def test_a_record_whose_end_was_lost_is_counted(log: Path, form: Format, wrapping: str) -> None:
    follower = Follower(log.parent, NAME, form=form)
    follower.poll()
    first = event(form).decode().splitlines()[0]
    if wrapping == "docker":
        lines = [shipped(first + "\n"), *[shipped(first)] * 3, shipped(first + "\n")]
    else:
        lines = [f"{ISO} stderr {part} {first}\n" for part in "FPPPF"]
    append(log, *(line.encode() for line in lines))
    assert timeouts(follower.poll()) == 5
    follower.stop()


ISO = "2026-11-28T22:30:00.123Z"
SPREAD = json.dumps({"log": {"x": 1}, "message": event().decode().splitlines()[0]}, indent=2) + "\n"
ONE_LINE = (json.dumps({"msg": event().decode().splitlines()[0]}) + "\n").encode()


def test_an_object_on_several_lines_is_counted_whatever_happens_inside_of_it(log: Path) -> None:
    """The exporter is stopped there, or the file truncated."""
    follower = Follower(log.parent, NAME, state=log.parent.parent / "state")
    follower.poll()
    whole, cut = SPREAD.encode(), SPREAD.index('"message"')
    append(log, whole, whole[:cut])
    assert timeouts(follower.poll()) == 1
    follower.restart()
    append(log, whole[cut:], whole[:cut])
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (2, 0)
    log.write_bytes(ONE_LINE * 3)
    assert timeouts(follower.poll()) == 5
    follower.stop()


@pytest.mark.parametrize(
    "line",
    [ONE_LINE, f"{ISO} stderr F ".encode() + ONE_LINE, event()],
    ids=["json", "cri", "plain"],
)
def test_a_brace_alone_hides_no_record(log: Path, line: bytes) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    append(log, ONE_LINE, b"{\n", *[line] * 20)
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (21, 1)
    follower.stop()


@pytest.mark.parametrize("depths", [1, 33])
def test_braces_without_end_take_no_time(log: Path, depths: int) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    braces = b"".join(b" " * (one % depths) + b"{\n" for one in range(30_000))
    append(log, event(), braces, b"y" * 64_000 + b"\n", b"z" * 2000 + b"\n", event())
    began = time.process_time()
    assert timeouts(follower.poll()) == 2
    assert time.process_time() - began < 5
    follower.stop()


@pytest.mark.parametrize("name", ["data", "events", "result", "hits"])
def test_a_list_beside_a_line_hides_it_not(log: Path, name: str) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    entry = {"message": event().decode().splitlines()[0], name: [{"message": "kubernetes"}]}
    append(log, (json.dumps(entry) + "\n").encode())
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (1, 0)
    follower.stop()


def test_entries_of_other_units_in_an_export_of_the_journal_fail_nothing(log: Path) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()

    def entry(message: str) -> bytes:
        return f"__CURSOR=s=1\nPRIORITY=6\n_PID=1\nMESSAGE={message}\n\n".encode()

    append(log, entry(event().decode().splitlines()[0]), *[entry("Accepted publickey")] * 1100)
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (1, 0)
    follower.stop()


def test_an_object_on_several_lines_that_is_no_record_fails_at_once(log: Path) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    append(log, (json.dumps({"a": {"b": 1}, "c": 2}, indent=2) + "\n").encode())
    assert follower.failure().reason == "not_understood"
    follower.stop()


def test_a_file_truncated_while_the_server_writes_at_its_old_end(log: Path) -> None:
    """The beginning is a hole of null bytes then."""
    follower = Follower(log.parent, NAME)
    follower.poll()
    append(log, event())
    assert timeouts(follower.poll()) == 1
    with log.open("r+b") as file:
        file.truncate(0)
        file.seek(200_000)
        file.write(event(number=2))
    counts = follower.poll()
    assert timeouts(counts) == 2
    assert counts.unparsed == 0
    follower.stop()


NOT_UNDERSTOOD: dict[str, Callable[[str], str]] = {
    "an unknown shipper": lambda line: f"shop-1 postgres >> {line}",
    "JSON without a line": lambda line: json.dumps({"payload": [line]}) + "\n",
    "a mistake in the prefix": lambda line: line.replace(" 00000 ", " "),
    "a mistake in the prefix, shipped": lambda line: shipped(line.replace(" 00000 ", " ")),
    "the prefix of another server": lambda line: line.replace("[4711]", "4711"),
    "another format": lambda _: record(
        "csvlog", "LOG", "connection authorized: user=secret_user database=shop"
    ).decode(),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("severity", "label"),
    [("WARNUNG", "ANWEISUNG:  "), ("AVISO", "COMANDO:  "), ("ATTENTION", "INSTRUCTION :  "),
     ("ПРЕДУПРЕЖДЕНИЕ", "ОПЕРАТОР:  "), ("警告", "语句:  "), ("UYARI", "KOMUT:  ")],
)  # fmt: skip
def test_a_log_of_warnings_in_another_language_is_understood(
    log: Path, form: Format, severity: str, label: str
) -> None:
    """Reading begins at the log's end, maybe long before the next error."""
    follower = Follower(log.parent, NAME, form=form)
    follower.poll()
    warning = record(form, severity, "x", code="25P01")
    statement = f"{TIME} [4711] app@shop 25P01 {label}COMMIT\n".encode()
    append(log, *(([statement, warning] if form == "stderr" else [warning]) * 2))
    assert follower.poll().opened == {"postgres": 0, "shop": 0}
    assert follower.notes == ()
    follower.stop()


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_in_a_language_that_nobody_knows_is_not_counted_as_0(log: Path, form: Format) -> None:
    follower = Follower(log.parent, NAME, form=form)
    follower.poll()
    unknown = record(form, "CHYBA", "p\u0159\u00edkaz byl zru\u0161en", code="57014")
    append(log, unknown)
    counts = follower.poll()
    assert (counts.opened, counts.timeouts) == (None, {})
    assert "none of its last records has a severity in a language" in follower.notes[0]
    append(log, unknown, unknown)
    error = follower.failure()
    assert error.reason == "not_understood"
    assert "lc_messages" in str(error)
    append(log, record(form, "LOG", "checkpoint starting: time"))
    assert follower.poll().opened == {"postgres": 0, "shop": 0}
    follower.stop()


@pytest.mark.parametrize("form", FORMATS)
def test_a_log_that_changes_to_a_language_that_nobody_knows_is_not_counted_on(
    log: Path, form: Format
) -> None:
    follower = Follower(log.parent, NAME, form=form)
    follower.poll()
    append(log, event(form))
    assert timeouts(follower.poll()) == 1
    unknown = record(form, "CHYBA", "p\u0159\u00edkaz byl zru\u0161en", code="57014")
    append(log, unknown, unknown)
    assert timeouts(follower.poll()) == 1
    append(log, unknown)
    assert "lc_messages" in str(follower.failure())
    append(log, *[unknown] * 2000)
    assert follower.failure().reason == "not_understood"
    append(log, event(form), unknown)
    assert timeouts(follower.poll()) == 2
    follower.stop()


@pytest.mark.parametrize(
    ("prefix", "head", "others"),
    [
        ("%m [%p] ", f"Nov 24 10:00:00 db1 postgres[7]: [3-1] {TIME} [7] ",
         ["Nov 24 10:00:01 db1 backup: Total:  x", "Nov 24 10:00:01 db1 backup: Files:  y"]),
        ("", "Nov 24 10:00:00 db1 postgres[7]: [3-1] ",
         ["Nov 24 10:00:01 db1 sshd[1]: Note:  1", "Nov 24 10:00:01 db1 app: queue:  3"]),
        ("%t ", "2026-11-24 10:00:00 UTC ", ["2026-11-24 10:00:01 UTC app:  b"]),
        ("", "", ["pushed:  a"]),
    ],
)  # fmt: skip
def test_lines_of_other_programs_that_look_like_records_do_not_fail_a_log(
    log: Path, prefix: str, head: str, others: list[str]
) -> None:
    follower = Follower(log.parent, NAME, line_prefix=prefix)
    follower.poll()
    append(log, f"{head}FATAL:  sorry, too many clients already\n".encode())
    assert follower.poll().refused["too_many_connections"] == 1
    append(log, *[f"{other}\n".encode() for other in others * 3])
    assert follower.poll().refused["too_many_connections"] == 1
    assert follower.notes == ()
    follower.stop()


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_a_log_that_is_not_understood_fails_and_is_not_counted_as_0(log: Path, kind: str) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    line = plain("connection authorized: user=secret_user database=shop")
    append(log, *(NOT_UNDERSTOOD[kind](line).encode() for _ in range(4)))
    error = follower.failure()
    assert error.reason == "not_understood"
    assert "secret" not in str(error)
    assert "4711" not in str(error)
    assert "line_prefix" in str(error)
    append(log, event())
    counts = follower.poll()
    assert timeouts(counts) == 1
    assert counts.unparsed == 4
    follower.stop()


ONLY_OTHERS: dict[str, str] = {
    "another ident and a wrong prefix": (
        "Nov 28 22:30:00 db1 primary[100]: [3-1] 2026-11-28 22:30:00 UTC [4711]: "
        "user=secret_user,db=shop FATAL:  sorry, too many clients already"
    ),
    "sshd": "Nov 28 22:30:00 db1 sshd[4711]: session opened for user secret_user",
    "sshd, RFC 5424": f"<134>1 {ISO} db1 sshd 4711 - - session opened for user secret_user",
    "rests of lines": "Nov 28 22:30:00 db1 postgres[4711]: [3-2] #011secret_user",
    "further lines": "\tsecret_user 4711",
    "an operator": json.dumps(
        {"level": "info", "logger": "instance", "msg": "secret_user 4711", "logging_pod": "s-1"}
    ),
    "Patroni": "2026-11-28 22:30:00,123 INFO: no action. I am (secret_user 4711), the leader",
    "parts without an end": f"{ISO} stderr P secret_user 4711",
}


@pytest.mark.parametrize("kind", ONLY_OTHERS)
def test_a_log_of_nothing_but_other_programs_is_not_counted_as_0(log: Path, kind: str) -> None:
    follower = Follower(log.parent, NAME)
    follower.poll()
    append(log, *[(ONLY_OTHERS[kind] + "\n").encode()] * 999)
    counts = follower.poll()
    assert not counts.is_understood
    assert (counts.timeouts, counts.opened, counts.closed, counts.refused) == ({}, None, None, {})
    [note] = follower.notes
    assert "no record of stderr" in note
    assert "in the 999 lines read so far" in note
    append(log, (ONLY_OTHERS[kind] + "\n").encode())
    error = follower.failure()
    assert error.reason == "not_understood"
    assert "none of the 1000 lines" in str(error)
    assert "wrong file, syslog_ident or line_prefix" in str(error)
    assert "secret" not in str(error)
    assert "4711" not in str(error)
    append(log, event())
    assert timeouts(follower.poll()) == 1
    assert follower.notes == ()
    append(log, *[(ONLY_OTHERS[kind] + "\n").encode()] * 3000)
    assert timeouts(follower.poll()) == 1
    follower.stop()


def test_a_changed_prefix_takes_no_zeros_away(log: Path) -> None:
    """A line that is no record of the new one says nothing about a log that was understood."""
    follower = Follower(log.parent, NAME, line_prefix=None)
    follower.poll()
    append(log, plain("checkpoint starting: time").encode())
    before = follower.poll()
    assert before.refused["too_many_connections"] == 0
    follower.reconfigure(line_prefix="%t [%p] %q%u@%d ")
    append(log, b"rsync: done\n")
    after = follower.poll()
    assert (after.timeouts, after.opened, after.refused) == (
        before.timeouts, before.opened, before.refused,
    )  # fmt: skip
    assert follower.notes == ()
    append(log, b"rsync: done\n" * 2)
    assert follower.failure().reason == "not_understood"
    follower.stop()


def test_a_server_that_begins_to_log_in_another_format_too_is_counted_once(log: Path) -> None:
    """The file of the first format was open, and is still written to."""
    follower = Follower(log.parent, "postgresql.*", form="auto", line_prefix=None)
    follower.poll()
    other = log.with_suffix(".csv")
    append(log, event())
    assert timeouts(follower.poll()) == 1
    for number in range(2, 8):
        append(log, event())
        append(other, event("csvlog"))
        if number == 5:
            follower.reconfigure(formats=("csvlog", "stderr"))
        if number != 4:
            assert timeouts(follower.poll()) == number
    follower.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "log2/postgresql.log"}, "writes log2/postgresql.log now"),
        ({"file": "log/pg-%H.log"}, "writes log/pg-%H.log now"),
        ({"collector": False}, "logging_collector was switched off"),
    ],
    ids=["another directory", "another name", "no collector"],
)
def test_a_server_that_logs_elsewhere_now_is_not_counted_on(
    follower: Follower, log: Path, change: dict[str, Any], said: str
) -> None:
    here = {"file": "log/postgre%a.log", "collector": True}
    follower.reconfigure(**here)
    append(log, event())
    assert timeouts(follower.poll()) == 1
    follower.reconfigure(**{**here, **change})
    follower.poll()
    assert said in str(follower.failure())
    follower.reconfigure(**here)
    assert timeouts(follower.poll()) == 1


@pytest.mark.parametrize("directory", ["log", "log/", "./log", "/pgdata/log", ".", "..", "../log"])
def test_a_log_directory_is_recognised_in_each_spelling(
    follower: Follower, log: Path, directory: str
) -> None:
    follower.reconfigure(file=f"{directory}/{log.name}", collector=True)
    follower.poll()
    follower.reconfigure(file=f"{directory}/other.log", collector=True)
    follower.poll()
    assert "other.log now" in str(follower.failure())
    assert "add its path to log.files" in str(follower.failure())


def test_a_file_that_is_called_otherwise_than_on_the_server_says_nothing(
    follower: Follower, log: Path
) -> None:
    """That of a shipper, or of a server in a container."""
    for file in ("/pgdata/pg_log/server.log", "/pgdata/pg_log/server-%a.log"):
        follower.reconfigure(file=file, collector=True)
        append(log, event())
        for _ in range(3):
            follower.poll()
    assert timeouts(follower.poll()) == 2


def test_single_lines_of_other_programs_are_counted_and_fail_nothing(
    follower: Follower, log: Path
) -> None:
    append(log, event(), b"cp: cannot stat 'x'\n", b"\tindented\n", event(), b"rsync: done\n")
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (2, 2)
    append(log, b"rsync: done\n" * 2000)
    assert follower.failure().reason == "not_understood"
    append(log, event())
    counts = follower.poll()
    assert (counts.unparsed, counts.unparsed_ratio) == (2002, None)


@pytest.mark.parametrize(
    ("events", "foreign", "share"),
    [(40, 0, None), (50, 0, 0.0), (150, 100, 0.25), (50, 300, 0.75), (20, 30, None)],
)
def test_the_share_of_lines_that_belong_to_no_record(
    follower: Follower, log: Path, events: int, foreign: int, share: float | None
) -> None:
    """Unknown while there are few. An event is two lines."""
    for _ in range(10):
        append(log, event() * (events // 10), b"rsync: done\n" * (foreign // 10))
        counts = follower.poll()
    assert counts.unparsed_ratio == (None if share is None else pytest.approx(share, abs=0.01))
    assert counts.unparsed_shape == ("a: a" if foreign else "")


@pytest.mark.parametrize("form", FORMATS)
def test_long_statements_are_understood(tmp_path: Path, form: Format) -> None:
    follower = Follower(tmp_path, NAME, form=form)
    follower.failure()
    long = record(form, "LOG", "slow", statement="SELECT\n 'x'\n" * 20_000)
    append(tmp_path / NAME, long * 3, event(form))
    counts = follower.poll()
    assert (timeouts(counts), counts.unparsed) == (1, 0)
    follower.stop()


OPERATIONS = ("write", "half", "poll", "restart", "rename", "copytruncate", "new name", "junk")


@settings(max_examples=60, deadline=None)
@given(operations=st.lists(st.sampled_from(OPERATIONS), max_size=25))
def test_whatever_is_done_in_whatever_order_each_event_is_counted_once(
    operations: list[str],
) -> None:
    with TemporaryDirectory() as directory:
        logs = Path(directory) / "log"
        logs.mkdir()
        current = logs / NAME
        current.touch()
        follower = Follower(logs, "postgresql*", state=Path(directory) / "state")
        follower.poll()
        numbers = count()
        written = 0
        half = b""
        for operation in operations:
            number = next(numbers)
            match operation:
                case "write":
                    whole = event(number=number)
                    append(current, half, whole)
                    written += 1 + bool(half)
                    half = b""
                case "half" if not half:
                    whole = event(number=number)
                    append(current, whole[:30])
                    half = whole[30:]
                case "junk" if not half:
                    append(current, b"\t\xff\n", f"{TIME} [1] LOG:  x\n".encode())
                case "poll":
                    assert timeouts(follower.poll()) == written
                case "restart":
                    follower.restart()
                case "rename" if not half:
                    current.rename(logs / f"postgresql.{number}")
                    current.touch()
                case "copytruncate" if not half and current.stat().st_size > 64:
                    shutil.copy(current, logs / f"postgresql.{number}")
                    os.truncate(current, 0)
                case "new name" if not half:
                    current = logs / f"postgresql-{number}.log"
                    current.touch()
        assert timeouts(follower.poll()) == written
        follower.restart()
        assert timeouts(follower.poll()) == written
        follower.stop()
