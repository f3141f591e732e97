"""`pg-pool-exporter run`: the exporter as a service."""

from __future__ import annotations

import asyncio
from functools import partial

from pg_pool_exporter.commands import logs
from pg_pool_exporter.commands.configuration import configuration
from pg_pool_exporter.commands.daemon import Daemon, Settings
from pg_pool_exporter.commands.options import Options
from pg_pool_exporter.commands.output import SUCCESS
from pg_pool_exporter.web.links import Links


def main(options: Options) -> int:
    """Poll and serve until a signal ends it; the exit code.

    Raises `ConfigError`, `ListenError` when an address is not available, and `NoThreadError`.
    """
    logs.start(options)
    asyncio.run(_serve(options))
    return SUCCESS


async def _serve(options: Options) -> None:
    settings = Settings(
        load=partial(configuration, options),
        config_file=options.config_file,
        shard=options.shard,
        listen=options.web_listen_address or (),
        systemd_socket=options.web_systemd_socket,
        telemetry_path=options.web_telemetry_path,
        links=Links(options.web_runbook_url, options.web_dashboard_url),
        web_config_file=options.web_config_file,
        enable_lifecycle=options.web_enable_lifecycle,
    )
    await Daemon(settings).run()
