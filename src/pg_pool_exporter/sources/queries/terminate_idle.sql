-- Ends the sessions that are still what they were when they were listed: the same start, and idle
-- since the same moment. One statement: what became active meanwhile is left alone.
SELECT activity.pid, pg_terminate_backend(activity.pid) AS ended
FROM pg_stat_activity AS activity
JOIN unnest(%(pids)s::int[], %(starts)s::int8[], %(changes)s::int8[])
     AS listed (pid, backend_start, state_change)
  ON activity.pid = listed.pid
 AND (date_part('epoch', activity.backend_start) * 1000000)::int8 = listed.backend_start
 AND (date_part('epoch', activity.state_change) * 1000000)::int8 = listed.state_change
WHERE activity.state = 'idle'
  AND activity.backend_type = 'client backend'
  AND activity.pid <> pg_backend_pid();
