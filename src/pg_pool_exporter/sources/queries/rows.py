"""Rows of the queries: the fields are the column aliases of the SQL.

None is hidden from the exporter's role, does not apply, or is not there in the server's version.
Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pg_pool_exporter.model import DatabaseCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """Sessions of one database, role, application, client address and state."""

    own: bool
    hidden: bool
    client: bool
    datid: int | None
    user: str
    application: str
    address: str
    state: str | None
    pids: list[int | None]
    ages: list[float | None]
    clock: float
    oldest_backend: float | None
    youngest_backend: float | None
    oldest_transaction: float | None
    transaction_ages: list[float | None] | None
    transaction_state_ages: list[float | None] | None
    writers: int
    oldest_snapshot: int | None
    waiting: int
    blockers: str | None
    """Process ids, with commas between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseRow(DatabaseCounters):
    """The counters of one database."""

    datid: int
    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRow:
    """How long a session has waited for its lock; None when the wait has just begun."""

    pid: int
    waited: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEventRow:
    """Client sessions in one state that wait for one type of events, or for none."""

    hidden: bool
    state: str | None
    event_type: str | None
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRow:
    """Age of the oldest snapshot of one process, slot or prepared transaction, in transactions.

    `name` is the application's, or that of a replication slot.
    """

    holder: str
    name: str
    age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWaitRow:
    """Waits for one type of locks that were longer than `deadlock_timeout`."""

    lock_type: str
    waits: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingName:
    """A setting, without its value."""

    setting: str


@dataclass(frozen=True, slots=True)
class Session:
    """The identity of a session: process ids are used again, with their start they are not."""

    pid: int
    started: str
    role: str = ""
    """Whose rights it has, which need not be the user's who logged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSetting:
    """The value that a setting has now in our session."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """The server, and the rights of our role on it."""

    version: str
    role: str
    sees_all: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStateRow:
    """What a promotion, a restart or a reload changes; times in seconds since the epoch."""

    in_recovery: bool
    started: float
    loaded: float
    """When the session that was asked has read the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """A number among the server's settings; times are in seconds."""

    setting: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseLimitRow:
    """CONNECTION LIMIT of a database."""

    database: str
    sessions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleLimitRow:
    """CONNECTION LIMIT of a role."""

    user: str
    sessions: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRow:
    """A timeout by ALTER DATABASE or ALTER ROLE, as its author wrote it; `all` for any."""

    setting: str
    database: str
    user: str
    value: str
    everywhere: bool
    """For all databases and roles: new sessions have it instead of the server's own value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettingsRow:
    """The server's settings of its log."""

    prefix: str
    destination: str
    collector: bool
    least: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDetailsRow:
    """More of them, on servers that show all their settings."""

    own_level: bool
    """Whether log_min_messages is that of this role, database or client only."""
    directory: str | None
    filename: str | None
    """`log_directory` and `log_filename`; None where the role may not read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSettingsRow:
    """Settings that a session keeps from its start; None where they are not those of other ones."""

    connections: str | None
    disconnections: bool | None
    is_current: bool
    """Whether the session began after the configuration was loaded."""
    loaded: str
    """When that was: only to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseName:
    """A database."""

    database: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageRow:
    """A value of lc_messages: the server's, or that for some role or database."""

    messages: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFileRow:
    """One of the server's log files; `modified` is in seconds since the epoch."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOwnerRow:
    """1: the functions that read the log belong to superusers only."""

    trusted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPieceRow:
    """A part of a log file; None when the file is gone."""

    piece: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSession:
    """A session that may be ended. Its times are in microseconds since the epoch."""

    pid: int
    backend_start: int | None
    state_change: int | None
    hidden: bool
    state: str
    backend_type: str
    database: str
    user: str
    application: str
    client: str
    idle_seconds: float | None
    may_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRow:
    """How many sessions clients have by application_name."""

    application: str
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRow:
    """A session that was signalled to end, if it still was as listed."""

    pid: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """A session that still exists."""

    pid: int


ROWS: Mapping[str, tuple[type[Any], ...]] = {
    "applications": (ApplicationRow,),
    "database_limits": (DatabaseLimitRow,),
    "database_names": (DatabaseRow,),
    "databases": (DatabaseRow,),
    "fixed_settings": (FixedSettingsRow,),
    "idle_sessions": (ListedSession,),
    "lock_waits": (LockWaitRow,),
    "log_databases": (DatabaseName,),
    "log_details": (LogDetailsRow,),
    "log_files": (LogFileRow,),
    "log_language": (LanguageRow,),
    "log_languages": (LanguageRow,),
    "log_owner": (LogOwnerRow,),
    "log_piece": (LogPieceRow,),
    "log_settings": (LogSettingsRow,),
    "overrides": (OverrideRow,),
    "own_timeouts": (SettingName,),
    "remaining_sessions": (ProcessRow,),
    "role_limits": (RoleLimitRow,),
    "server": (ServerRow,),
    "server_state": (ServerStateRow,),
    "sessions": (ActivityRow,),
    "settings": (SettingRow,),
    "setup": (Session, OwnSetting),
    "slots": (SettingRow,),
    "snapshots": (SnapshotRow,),
    "terminate_idle": (EndedRow,),
    "wait_events": (WaitEventRow,),
    "waits": (WaitRow,),
}
"""By the name of the statement, the rows of each of its results."""
