-- Waits for heavyweight locks that were longer than deadlock_timeout, in the whole server.
SELECT locktype AS lock_type, waits, wait_time / 1000 AS seconds
FROM pg_stat_get_lock()
ORDER BY locktype
LIMIT 50;
