-- What pg_show_all_settings() alone shows of the log. own_level: whether log_min_messages is that of
-- this role, database or client only. directory and filename are NULL for a role that may not read
-- them.
SELECT coalesce(bool_or(source IN ('client', 'user', 'database', 'database user'))
                    FILTER (WHERE name = 'log_min_messages'), false) AS own_level,
       max(setting) FILTER (WHERE name = 'log_directory') AS directory,
       max(setting) FILTER (WHERE name = 'log_filename') AS filename
FROM pg_show_all_settings()
WHERE name IN ('log_min_messages', 'log_directory', 'log_filename');
