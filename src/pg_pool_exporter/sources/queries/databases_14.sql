SELECT datid, datname AS database, deadlocks, sessions,
       sessions_abandoned AS abandoned, sessions_fatal AS fatal, sessions_killed AS killed
FROM pg_stat_database
WHERE datname IS NOT NULL;
