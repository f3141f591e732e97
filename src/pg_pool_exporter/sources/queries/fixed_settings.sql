-- Settings that a session keeps from its start. NULL where they say nothing about other sessions:
-- this one began before the configuration was loaded, or has a value of its client's own.
SELECT CASE WHEN own.is_current AND connections.source <> 'client' THEN connections.setting END
           AS connections,
       CASE WHEN own.is_current AND disconnections.source <> 'client'
            THEN disconnections.setting::boolean END AS disconnections,
       own.is_current,
       pg_conf_load_time()::text AS loaded
FROM (VALUES (NULL::timestamptz)) AS unknown (backend_start),
     LATERAL (SELECT coalesce(backend_start > pg_conf_load_time(), false) AS is_current
              FROM pg_stat_get_activity(pg_backend_pid())) AS own,
     pg_settings AS connections,
     pg_settings AS disconnections
WHERE connections.name = 'log_connections' AND disconnections.name = 'log_disconnections';
