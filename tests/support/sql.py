"""Installs what the exporter needs on a server, as its documentation says."""

from __future__ import annotations

from pathlib import Path

from support.postgres import Cluster

LOG_READER = Path(__file__).parents[2] / "deploy/sql/log_reader.sql"


def install(cluster: Cluster, role: str) -> None:
    """Make the role, with pg_monitor, and let it read the log.

    The script is psql's; its few own words are done here, because not every server at hand has it.
    """
    cluster.run(f"CREATE ROLE {role} LOGIN")
    cluster.run(f"GRANT pg_monitor TO {role}")
    run_script(cluster, role)


def run_script(cluster: Cluster, role: str, **params: str) -> None:
    """Run deploy/sql/log_reader.sql for the role."""
    text = LOG_READER.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("\\set")]
    cluster.run(
        "\n".join(lines).replace(':"role"', f'"{role}"').replace(":'role'", f"'{role}'"), **params
    )
