-- Once, when the connection has been opened. Two results.

-- The identity of this session, and whose rights it has: process ids are used again, together with the start they are not.
-- A fork may have no such column, and then it is the one beside it.
SELECT pg_backend_pid() AS pid,
       coalesce(extract(epoch FROM own.backend_start)::text, '') AS started,
       current_user AS role
FROM (VALUES (NULL::timestamptz)) AS unknown (backend_start),
     LATERAL (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())) AS own;

-- Settings that this version does not have are left out. The first seven, and search_path, make
-- our statements and the text of their values independent of what is set for our role or database.
-- The owner of the database could have us sent each plan as a message, too.
-- Keepalives let the server notice within some 20 s that we are gone. Where the platform cannot
-- watch a busy session's client, client_connection_check_interval is an error, so it is set where
-- that is known to work.
SELECT set_config(own.name, own.value, false) AS value
FROM (VALUES ('DateStyle', 'ISO, MDY'),
             ('IntervalStyle', 'postgres'),
             ('TimeZone', 'UTC'),
             ('bytea_output', 'hex'),
             ('extra_float_digits', '1'),
             ('standard_conforming_strings', 'on'),
             ('array_nulls', 'on'),
             ('search_path', 'pg_catalog, pg_temp'),
             ('row_security', 'on'),
             ('client_min_messages', 'error'),
             ('statement_timeout', %(statement_timeout)s),
             ('lock_timeout', %(lock_timeout)s),
             ('idle_in_transaction_session_timeout', '10s'),
             ('idle_session_timeout', '0'),
             ('transaction_timeout', '0'),
             ('default_transaction_isolation', 'read committed'),
             ('default_transaction_deferrable', 'off'),
             ('default_transaction_read_only', 'on'),
             ('tcp_keepalives_idle', '10'),
             ('tcp_keepalives_interval', '3'),
             ('tcp_keepalives_count', '3'),
             ('tcp_user_timeout', '20s'),
             ('client_connection_check_interval', '10s')) AS own (name, value)
WHERE current_setting(own.name, true) IS NOT NULL
  AND (own.name <> 'client_connection_check_interval' OR version() LIKE '%%linux%%');
