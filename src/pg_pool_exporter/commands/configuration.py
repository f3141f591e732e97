"""The configuration that the options name."""

from __future__ import annotations

from pg_pool_exporter.commands.options import DSN_VARIABLE, Options
from pg_pool_exporter.config import Config, from_dsn, load, part_of, with_socket_dir


def configuration(options: Options) -> Config:
    """From the configuration file, from one server's DSN, or sockets only.

    Raises `ConfigError`.
    """
    if options.config_file is not None:
        config = load(options.config_file)
    elif options.dsn is not None:
        config = from_dsn(options.dsn, DSN_VARIABLE)
    else:
        config = Config()
    if options.shard is not None:
        config = part_of(config, options.shard)
    if options.socket_dir is None:
        return config
    return with_socket_dir(config, options.socket_dir, "--socket-dir")
