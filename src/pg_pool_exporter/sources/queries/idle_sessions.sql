-- Sessions of one application that have been idle for longer than older_than seconds, or the one
-- with a process id, in any state. Never our own. hidden: without the right to see a session its
-- state is NULL. may_end: whether PostgreSQL lets this role end it. Times in microseconds since the
-- epoch: they identify a session, whatever DateStyle, TimeZone and extra_float_digits say.
SELECT activity.pid,
       (date_part('epoch', activity.backend_start) * 1000000)::int8 AS backend_start,
       (date_part('epoch', activity.state_change) * 1000000)::int8 AS state_change,
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
