SELECT rolname AS "user", rolconnlimit AS sessions
FROM pg_roles
WHERE rolconnlimit >= 0 AND rolcanlogin
ORDER BY oid
LIMIT %(limit)s;
