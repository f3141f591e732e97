-- How the server logs. Two results. lc_messages can be another one for some roles and databases.
SELECT current_setting('log_line_prefix') AS prefix,
       current_setting('log_destination') AS destination,
       current_setting('logging_collector')::boolean AS collector,
       current_setting('log_connections') AS connections,
       current_setting('log_disconnections')::boolean AS disconnections,
       current_setting('log_min_messages') AS least,
       (SELECT array_agg(DISTINCT spoken.messages)
        FROM (SELECT reset_val AS messages FROM pg_settings WHERE name = 'lc_messages'
              UNION ALL
              SELECT substr(one, length('lc_messages=') + 1)
              FROM pg_db_role_setting, unnest(setconfig) AS one
              WHERE one LIKE 'lc_messages=%%') AS spoken) AS messages;

SELECT datname AS database FROM pg_database WHERE datallowconn ORDER BY oid LIMIT 1000;
