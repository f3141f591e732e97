-- The listed sessions that are still there: the same process id and the same start.
SELECT activity.pid
FROM pg_stat_activity AS activity
JOIN unnest(%(pids)s::int[], %(starts)s::int8[]) AS listed (pid, backend_start)
  ON activity.pid = listed.pid
 AND (date_part('epoch', activity.backend_start) * 1000000)::int8 = listed.backend_start;
