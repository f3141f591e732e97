-- In place of settings.sql, where pg_settings may not be read.
SELECT name AS setting, current_setting(name, true)::float8 AS value
FROM (VALUES ('max_connections'), ('superuser_reserved_connections'),
             ('reserved_connections')) AS slots (name);
