-- reset_val, because our own session sets some of them for itself. Times in seconds. Not of the view
-- pg_settings: each role may update that, and so lock it.
SELECT name AS setting,
       reset_val::float8
           * CASE unit WHEN 'ms' THEN 0.001 WHEN 'min' THEN 60 ELSE 1 END AS value
FROM pg_show_all_settings()
WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections',
               'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
               'idle_session_timeout', 'transaction_timeout', 'authentication_timeout');
