-- Settings that a session keeps from its start. NULL where they say nothing about other sessions:
-- this one began before the configuration was loaded, or has a value of its client's own.
-- own_level: whether log_min_messages is that of this role, database or client only. directory and
-- filename: of the log, NULL for a role that may not read them.
SELECT max(setting) FILTER (WHERE name = 'log_connections' AND source <> 'client'
                                  AND own.is_current) AS connections,
       bool_and(setting::boolean) FILTER (WHERE name = 'log_disconnections' AND source <> 'client'
                                                AND own.is_current) AS disconnections,
       coalesce(bool_or(source IN ('client', 'user', 'database', 'database user'))
                    FILTER (WHERE name = 'log_min_messages'), false) AS own_level,
       max(setting) FILTER (WHERE name = 'log_directory') AS directory,
       max(setting) FILTER (WHERE name = 'log_filename') AS filename,
       own.is_current,
       pg_conf_load_time()::text AS loaded
FROM (VALUES (NULL::timestamptz)) AS unknown (backend_start),
     LATERAL (SELECT coalesce(backend_start > pg_conf_load_time(), false) AS is_current
              FROM pg_stat_get_activity(pg_backend_pid())) AS own,
     pg_show_all_settings()
WHERE name IN ('log_connections', 'log_disconnections', 'log_min_messages', 'log_directory',
               'log_filename')
GROUP BY own.is_current;
