SELECT datid, datname AS database, deadlocks
FROM pg_stat_database
WHERE datname IS NOT NULL;
