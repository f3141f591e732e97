-- The databases that a log can name.
SELECT datname AS database
FROM pg_stat_database
WHERE datname IS NOT NULL AND datname <> 'template0'
ORDER BY datid LIMIT 1000;
