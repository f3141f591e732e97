-- How many sessions clients have by application_name, those of one application first, then the
-- most. Never our own.
SELECT activity.application_name AS application, count(*)::int AS sessions
FROM pg_stat_activity AS activity
WHERE activity.pid <> pg_backend_pid()
  AND activity.application_name IS NOT NULL
  AND activity.datname IS NOT NULL
GROUP BY activity.application_name
ORDER BY activity.application_name = %(application)s DESC, count(*) DESC, 1
LIMIT 10;
