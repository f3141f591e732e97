"""Bouncers in the configuration."""

from __future__ import annotations

from pathlib import Path

from pg_pool_exporter.config import load
from support.configuration import SECRET, mistakes, write


def test_a_bouncer_is_configured_as_a_server_is(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    path = write(
        tmp_path,
        """
        pgbouncers:
          - {name: edge, dsn: "host=bouncer port=6432 user=stats", password_file: secret}
        """,
    )
    (bouncer,) = load(path).pgbouncers
    assert (bouncer.name, bouncer.interval, bouncer.timeout) == ("edge", 5.0, 3.0)
    assert bouncer.password_file == str(tmp_path / "secret")


def test_mistakes_about_bouncers_are_reported(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        pgbouncers:
          - {{name: edge, dsn: "postgresql://u:{SECRET}@h/d", password_file: {SECRET}}}
          - {{name: edge, dsn: "postgresql://h:99999/d", max_pools: 0, max_pool: 5}}
        """,
    )
    keys = "name, interval, timeout, dsn, password_file, password_command, max_pools, "
    keys += "max_groups, max_clients"
    found = mistakes(path)
    assert SECRET not in str(found)
    assert found == [
        (
            "3: pgbouncers[0].password_file: names a file that cannot be read: "
            "No such file or directory"
        ),
        "4: pgbouncers[1].name: must be unique; pgbouncers[0].name is the same",
        "4: pgbouncers[1].dsn: must have a port from 1 to 65535",
        "4: pgbouncers[1].max_pools: must be at least 1; found 0",
        (
            "4: pgbouncers[1].max_pool: is an unknown key; did you mean max_pools? "
            f"(known keys: {keys})"
        ),
    ]
