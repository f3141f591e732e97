-- In place of settings.sql, where pg_show_all_settings() may not be called.
SELECT name AS setting, current_setting(name, true)::float8 AS value
FROM (VALUES ('max_connections'), ('superuser_reserved_connections'),
             ('reserved_connections')) AS slots (name);
