-- lc_messages where it is set for a role or a database: their sessions log in that language. Settings
-- of many kilobytes, which each role may write, are not read.
SELECT DISTINCT substr(setting, length('lc_messages=') + 1) AS messages
FROM pg_db_role_setting,
     unnest(CASE WHEN pg_column_size(setconfig) < 65536 THEN setconfig END) AS setting
WHERE setting LIKE 'lc_messages=%%';
