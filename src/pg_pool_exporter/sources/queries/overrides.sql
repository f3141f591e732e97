-- Timeouts by ALTER DATABASE and ALTER ROLE, as their author wrote them. Each role may write its own,
-- with zeros in front without end: such a value is cut, or not even read, and then is no time.
SELECT split_part(entry, '=', 1) AS setting,
       coalesce(datname, 'all') AS database,
       CASE WHEN setrole = 0 THEN 'all' ELSE pg_get_userbyid(setrole) END AS "user",
       left(split_part(entry, '=', 2), 1000) AS value,
       setdatabase = 0 AND setrole = 0 AS everywhere
FROM pg_db_role_setting
CROSS JOIN unnest(CASE WHEN pg_column_size(setconfig) < 65536 THEN setconfig
                       ELSE ARRAY['statement_timeout='] END) AS entry
LEFT JOIN pg_database ON pg_database.oid = setdatabase
WHERE split_part(entry, '=', 1) IN (
    'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
    'idle_session_timeout', 'transaction_timeout')
ORDER BY setdatabase, setrole
LIMIT %(limit)s;
