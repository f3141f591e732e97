-- Client sessions by state and by what they wait for (NULL: nothing), without the exporter's own.
-- hidden: without the right to see a session.
SELECT backend_type IS NULL AND state IS NULL AS hidden,
       state,
       wait_event_type AS event_type,
       count(*)::int AS sessions
FROM pg_stat_get_activity(NULL)
WHERE CASE WHEN backend_type IS NULL THEN datid IS NOT NULL AND usesysid IS NOT NULL
           ELSE backend_type = 'client backend' END
  AND pid <> pg_backend_pid()
  AND NOT coalesce(pid = ANY (%(abandoned_pids)s::int[])
                   AND extract(epoch FROM backend_start)::text
                       = ANY (%(abandoned_starts)s::text[]), false)
GROUP BY 1, 2, 3;
