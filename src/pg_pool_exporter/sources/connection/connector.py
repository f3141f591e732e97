"""Opens the exporter's connections: to a PostgreSQL server, or to a bouncer's admin console."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.types.string import StrDumper, TextLoader

from pg_pool_exporter.blocking.secrets import PasswordError, read_password_file, run_command
from pg_pool_exporter.config import ConnectionConfig
from pg_pool_exporter.sources.base import PollError
from pg_pool_exporter.sources.connection.addresses import addresses_now, with_addresses
from pg_pool_exporter.sources.connection.bounded import BoundedConnection
from pg_pool_exporter.sources.connection.errors import POSTGRES, Causes, explain
from pg_pool_exporter.sources.connection.libpq_files import Inputs, Params, read_inputs

APPLICATION_NAME = "pg_pool_exporter"

# Unless the dsn says otherwise. A dead network is noticed within some 20 s, also while connecting:
# Linux applies the user timeout to the handshake too.
_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# libpq reads Kerberos' credentials, by default of /tmp, and asks its servers on the event loop. Any
# user of the host could put a pipe there, and any server request them: so only on demand.
_NO_KERBEROS = ("!gss", "!sspi")
# PgBouncer and managed proxies refuse parameters that they do not know.
_REFUSED_OPTIONS = re.compile(r"startup parameter|command-line options")
_MOST_READ = 4096
# Only `HeldConnection` abandons an attempt, never the driver.
_NO_CONNECT_TIMEOUT = 2**31 - 1


class Connector:
    """Connects to `what` (such as `server main`), one section of the configuration.

    `defaults` are libpq's parameters where the dsn has none. Values of the types `as_text`, by name
    or by oid, are loaded as text. `causes` are the errors that the other side has.
    """

    def __init__(
        self,
        what: str,
        config: ConnectionConfig,
        *,
        as_text: Iterable[str | int],
        defaults: Params | None = None,
        causes: Causes = POSTGRES,
    ) -> None:
        self._what = what
        self._config = config
        self._params = {**(defaults or {}), **conninfo_to_dict(config.dsn.get_secret_value())}
        self._inputs = Inputs(self._params, {})  # until they are read
        self._as_text = tuple(as_text)
        self._causes = causes
        self._password = str(self._params.get("password", ""))
        self._lifted: set[str] = set()
        self._takes_options = True

    @property
    def user(self) -> str:
        """The role that logs in, as far as the dsn or the environment name it."""
        return str(self._known.get("user", ""))

    @property
    def database(self) -> str:
        """The dsn's or the environment's database; libpq's default is the role's name."""
        return str(self._known.get("dbname") or self.user)

    @property
    def where(self) -> str:
        """What this is and what libpq will connect to, for messages."""
        known = self._known
        host = known.get("host") or known.get("hostaddr") or known.get("service")
        return (
            f"{self._what} ({host or 'a local socket'}, port {known.get('port', '5432')}, "
            f"database {self.database}, user {self.user})"
        )

    def failure(self, error: psycopg.Error | PasswordError) -> PollError:
        """The failure of a poll, for an error of connecting or of a query."""
        if isinstance(error, PasswordError):
            return PollError("auth", f"{self.where}: {error}")
        return explain(error, self.where, self._causes, (self._password,))

    def lift(self, setting: str) -> None:
        """Set this timeout to 0 from the start of later sessions, where that is possible."""
        if self._takes_options:
            self._lifted.add(setting)

    async def connect(self) -> BoundedConnection:
        """A new connection.

        Raises `psycopg.Error` and `PasswordError`.
        """
        try:
            return await self._connect()
        except psycopg.OperationalError as error:
            if self._lifted and _REFUSED_OPTIONS.search(str(error)[:_MOST_READ]):
                self._lifted.clear()
                self._takes_options = False
            raise

    async def addresses(self) -> set[str]:
        """The addresses that the hosts of the dsn have now; none where one of them has none."""
        return await addresses_now(self._inputs)

    @property
    def _known(self) -> Params:
        return {**self._inputs.defaults, **self._inputs.params}

    async def _connect(self) -> BoundedConnection:
        self._inputs = await read_inputs(self._params)
        conninfo = make_conninfo(
            "",
            **{
                **_KEEPALIVE,
                **await with_addresses(self._inputs),
                **_no_kerberos(self._inputs),
                **await self._read_password(),
                **self._options(),
                "application_name": APPLICATION_NAME,
                "client_encoding": "UTF8",
                "connect_timeout": _NO_CONNECT_TIMEOUT,
            },
        )
        connection = await BoundedConnection.open(conninfo)
        connection.adapters.register_dumper(str, _AnyEncoding)
        for kind in self._as_text:
            connection.adapters.register_loader(kind, _LenientText)
        return connection

    def _options(self) -> Params:
        if not self._lifted:
            return {}
        own = self._known.get("options", "")
        return {"options": " ".join([own, *(f"-c {one}=0" for one in sorted(self._lifted))])}

    async def _read_password(self) -> Params:
        """The password as a parameter; none leaves it to the dsn and libpq's own ways."""
        if self._config.password_file is not None:
            self._password = await read_password_file(self._config.password_file)
        elif self._config.password_command is not None:
            self._password = await run_command(self._config.password_command)
        else:
            return {}
        return {"password": self._password}


def _no_kerberos(inputs: Inputs) -> Params:
    """Parameters without Kerberos where it is not asked for; before 16, libpq has no require_auth.

    None where only libpq may find the service: they would override what it requires.
    """
    if inputs.params.get("service"):
        return {}
    required = {**inputs.defaults, **inputs.params}.get("require_auth", "")
    methods = [method for method in required.split(",") if method]
    if all(method.startswith("!") for method in methods):
        methods = [*dict.fromkeys((*methods, *_NO_KERBEROS))]
    encryption = inputs.params.get("gssencmode") or os.environ.get("PGGSSENCMODE") or "disable"
    wanted = {"gssencmode": encryption, "require_auth": ",".join(methods)}
    libpq = {option.keyword.decode() for option in Conninfo.parse(b"")}
    return {name: value for name, value in wanted.items() if name in libpq}


class _AnyEncoding(StrDumper):
    """For a connection without an encoding the driver writes ASCII text only."""

    def quote(self, obj: str) -> bytes:
        if self.connection is None or self.connection.info.encoding == "utf-8":
            return bytes(super().quote(obj))
        if "\0" in obj:
            raise psycopg.DataError("PostgreSQL text cannot contain NUL characters")
        escaped = re.sub(rb"[^ -~]|['\\]", lambda found: b"\\x%02x" % found[0][0], obj.encode())
        return b" E'" + escaped + b"'"


class _LenientText(TextLoader):
    """Names of databases and roles can be in any encoding: UTF-8, that of the database in use, or
    another one. What is neither is replaced.
    """

    def load(self, data: bytes | bytearray | memoryview) -> str:
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError:
            return str(data, self._database_encoding(), "replace")

    def _database_encoding(self) -> str:
        info = self.connection.info if self.connection is not None else None
        name = (info.parameter_status("server_encoding") or "") if info else ""
        try:
            # Python's names but for those of Windows; SQL_ASCII is none.
            return codecs.lookup(name.replace("WIN", "cp")).name
        except LookupError:
            return "utf-8"
