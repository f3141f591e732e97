-- Of the listed sessions those that are still there: the same process id and the same start.
SELECT activity.pid
FROM pg_stat_activity AS activity
JOIN unnest(%(pids)s::int[], %(starts)s::timestamptz[]) AS listed (pid, backend_start)
  ON activity.pid = listed.pid
 AND activity.backend_start = listed.backend_start;
