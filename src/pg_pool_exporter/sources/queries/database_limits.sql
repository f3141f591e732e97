SELECT datname AS database, datconnlimit AS sessions
FROM pg_database
WHERE datconnlimit >= 0
ORDER BY oid
LIMIT %(limit)s;
