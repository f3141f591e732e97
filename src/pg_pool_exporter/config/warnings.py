"""Valid settings that are likely to be wrong: sentences for the log and check-config."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from pg_pool_exporter.blocking import files
from pg_pool_exporter.config.models import Config, ConnectionConfig
from pg_pool_exporter.config.pace import too_slow
from pg_pool_exporter.model import is_local

# These reveal no password to an impostor.
_SAFE_METHODS = frozenset({"gss", "none", "oauth", "scram-sha-256", "sspi"})
_UNSAFE_METHODS = frozenset({"password", "md5"})


def warnings(config: Config, file: Path | None = None) -> Iterator[str]:
    """A sentence for each weakness of `config`, which was read from `file`.

    Looks at files: for callers outside of the event loop.
    """
    yield from too_slow(config)
    if file is not None:
        yield from changeable([str(file)])
    yield from exposed(_secrets(config, file))
    for server in config.servers:
        yield from _unverified(f"server {server.name}", server)
    for bouncer in config.pgbouncers:
        yield from _unverified(f"pgbouncer {bouncer.name}", bouncer)


def _secrets(config: Config, file: Path | None) -> Iterator[str]:
    connections = (*config.servers, *config.pgbouncers)
    paths = [one.password_file for one in connections]
    for app in config.apps:
        for http in (app, *app.requested):
            paths += http.secret_files
    if any(_parameters(one).get("password") for one in connections):
        paths.append(None if file is None else str(file))
    yield from filter(None, paths)


def exposed(paths: Iterable[str]) -> Iterator[str]:
    """A sentence for each of these files with a secret that every user of the host can read."""
    for path in dict.fromkeys(paths):
        if files.mode(path) & stat.S_IROTH:
            yield f"{path} holds a secret and every user of this host can read it: chmod o-r"


def changeable(paths: Iterable[str]) -> Iterator[str]:
    """A sentence for each of these files of settings that every user of the host can change."""
    for path in paths:
        if files.mode(path) & stat.S_IWOTH:
            yield f"{path} can be changed by every user of this host: chmod o-w"


def _unverified(name: str, config: ConnectionConfig) -> Iterator[str]:
    given = _parameters(config)
    # Not libpq's own defaults: for them it opens the service file, perhaps a pipe, with the GIL.
    variables = {
        option.keyword.decode(): os.environ.get((option.envvar or b"").decode(), "")
        for option in pq.Conninfo.parse(b"")
    }
    value = variables | given
    has_password = (
        config.password_file is not None
        or config.password_command is not None
        or value.get("password")
    )
    # Parameters of a service file are unknown here.
    if not has_password or value.get("service"):
        return
    if is_local(value.get("hostaddr") or value.get("host") or ""):
        return
    mode = value.get("sslmode") or "prefer"
    if mode == "verify-full" or value.get("sslrootcert") == "system":
        return
    if _is_safe(value.get("require_auth", "")):
        return
    yield (
        f"{name}: sslmode={mode} does not verify the server, so an impostor can ask for the "
        "password in clear text: set sslmode=verify-full, or require_auth=scram-sha-256"
    )


def _parameters(config: ConnectionConfig) -> dict[str, str]:
    return {
        key: str(value) for key, value in conninfo_to_dict(config.dsn.get_secret_value()).items()
    }


def _is_safe(require_auth: str) -> bool:
    """Whether libpq refuses to send the password in clear text, or its MD5 hash."""
    methods = {method.strip() for method in require_auth.split(",") if method.strip()}
    refused = {method[1:] for method in methods if method.startswith("!")}
    if refused:
        return refused >= _UNSAFE_METHODS
    return bool(methods) and methods <= _SAFE_METHODS
