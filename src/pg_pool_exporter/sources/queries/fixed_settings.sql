-- Settings that a session keeps from its start. NULL where they say nothing about other sessions:
-- this one began before the configuration was loaded, or has a value of its client's own.
SELECT max(setting) FILTER (WHERE name = 'log_connections' AND source <> 'client'
                                  AND own.is_current) AS connections,
       bool_and(setting::boolean) FILTER (WHERE name = 'log_disconnections' AND source <> 'client'
                                                AND own.is_current) AS disconnections,
       own.is_current,
       pg_conf_load_time()::text AS loaded
FROM (VALUES (NULL::timestamptz)) AS unknown (backend_start),
     LATERAL (SELECT coalesce(backend_start > pg_conf_load_time(), false) AS is_current
              FROM pg_stat_get_activity(pg_backend_pid())) AS own,
     pg_show_all_settings()
WHERE name IN ('log_connections', 'log_disconnections')
GROUP BY own.is_current;
