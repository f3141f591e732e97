-- lc_messages where it is set for a role or a database: their sessions log in that language.
SELECT DISTINCT substr(setting, length('lc_messages=') + 1) AS messages
FROM pg_db_role_setting, unnest(setconfig) AS setting
WHERE setting LIKE 'lc_messages=%%';
