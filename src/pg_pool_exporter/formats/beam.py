"""Pools of Elixir."""

from __future__ import annotations

from pg_pool_exporter.formats.format import MILLISECONDS, Format, value

PROMEX = Format(
    name="promex",
    title="Ecto by PromEx",
    client="Ecto",
    pool=(("repo",),),
    # The application's name is in front; how many connections are in use is not on the page.
    values=(
        value("max", "*_prom_ex_ecto_repo_init_pool_size"),
        value(
            "acquire_wait",
            "*_prom_ex_ecto_repo_query_queue_time_milliseconds_sum",
            scale=MILLISECONDS,
        ),
        value(
            "acquired",
            "*_prom_ex_ecto_repo_query_queue_time_milliseconds_count",
            note="Queries, each of which checks a connection out unless it is in a transaction.",
        ),
    ),
    facts="PromEx, lib/prom_ex/plugins/ecto.ex",
)
