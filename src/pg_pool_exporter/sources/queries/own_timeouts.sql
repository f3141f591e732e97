-- Timeouts whose value in this session is the server's own, not one set for our role or database.
SELECT name AS setting
FROM pg_show_all_settings()
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
               'idle_session_timeout', 'transaction_timeout', 'authentication_timeout')
  AND source IN ('default', 'configuration file', 'command line', 'environment variable', 'global');
