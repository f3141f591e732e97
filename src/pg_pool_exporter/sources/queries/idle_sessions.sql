-- Sessions of one application that are idle for longer than older_than seconds, or the one with a
-- process id, in whatever state that is. Never our own. hidden: without the right to see it, its
-- state is NULL. may_end: whether PostgreSQL lets this role end it. Times as text, which is exact.
SELECT activity.pid,
       activity.backend_start::text AS backend_start,
       activity.state_change::text AS state_change,
       activity.backend_type IS NULL AS hidden,
       coalesce(activity.state, '') AS state,
       coalesce(activity.backend_type, '') AS backend_type,
       coalesce(activity.datname, '') AS database,
       coalesce(activity.usename, '') AS "user",
       coalesce(activity.application_name, '') AS application,
       coalesce(host(activity.client_addr), 'local') AS client,
       date_part('epoch', clock_timestamp() - activity.state_change) AS idle_seconds,
       CASE WHEN own.rolsuper THEN true
            WHEN target.rolsuper THEN false
            ELSE coalesce(pg_has_role(activity.usesysid, 'USAGE'), false)
                 OR pg_has_role('pg_signal_backend', 'USAGE')
       END AS may_end
FROM pg_stat_activity AS activity
JOIN pg_roles AS own ON own.rolname = current_user
LEFT JOIN pg_roles AS target ON target.oid = activity.usesysid
WHERE activity.pid <> pg_backend_pid()
  AND (activity.pid = %(pid)s
       OR (activity.application_name = %(application)s
           AND (activity.backend_type IS NULL
                OR (activity.state = 'idle'
                    AND activity.backend_type = 'client backend'
                    AND activity.state_change
                        < clock_timestamp() - make_interval(secs => %(older_than)s)))))
ORDER BY activity.state_change;
