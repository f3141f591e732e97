-- How long sessions have waited for their locks, in seconds; from PostgreSQL 14 on. It locks the
-- lock table, so it is asked for only when somebody waits. NULL when the wait has just begun.
SELECT pid, date_part('epoch', clock_timestamp()) - date_part('epoch', waitstart) AS waited
FROM pg_lock_status()
WHERE NOT granted;
