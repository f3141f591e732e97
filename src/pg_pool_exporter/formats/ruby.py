"""Pools of Ruby."""

from __future__ import annotations

from pg_pool_exporter.formats.format import Format, value

_DEAD = ("ruby_active_record_connection_pool_dead", "active_record_connection_pool_dead")
_DEAD_SITE = "a thread that has ended"
_NOT_BUSY = "Rails counts the dead ones apart from the busy."
_REAPED = "The owner has ended without returning it; Rails' reaper takes it back"

RAILS = Format(
    name="rails",
    title="Rails' Active Record by prometheus_exporter",
    client="ActiveRecord",
    pool=(("pool_name",),),
    # Containers that send to one exporter all have a process 1.
    process=(("hostname",), ("pid",)),
    info={"host": ("dbconfig_host",), "database": ("dbconfig_database",), "pid": ("pid",)},
    quiet=("dbconfig_host", "dbconfig_database"),
    values=(
        value(
            "max",
            "ruby_active_record_connection_pool_size",
            "active_record_connection_pool_size",
        ),
        value(
            "idle",
            "ruby_active_record_connection_pool_idle",
            "active_record_connection_pool_idle",
        ),
        value(
            "active",
            "ruby_active_record_connection_pool_busy",
            "active_record_connection_pool_busy",
        ),
        value("active", *_DEAD, part=1, note=_NOT_BUSY),
        value(
            "leaked_slots",
            *_DEAD,
            kind=_DEAD_SITE,
            note=_REAPED,
        ),
        value(
            "waiting",
            "ruby_active_record_connection_pool_waiting",
            "active_record_connection_pool_waiting",
        ),
    ),
    facts="prometheus_exporter, server/active_record_collector.rb",
)

YABEDA = Format(
    name="yabeda",
    title="Rails' Active Record by yabeda-activerecord",
    client="ActiveRecord",
    pool=(("config",),),
    values=(
        value("max", "activerecord_connection_pool_size"),
        value("idle", "activerecord_connection_pool_idle"),
        value("active", "activerecord_connection_pool_busy"),
        value("active", "activerecord_connection_pool_dead", part=1, note=_NOT_BUSY),
        value("leaked_slots", "activerecord_connection_pool_dead", kind=_DEAD_SITE, note=_REAPED),
        value("waiting", "activerecord_connection_pool_waiting"),
    ),
    facts="yabeda-activerecord, lib/yabeda/active_record.rb",
)
