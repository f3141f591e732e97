-- How the server logs. lc_messages of our own role can be another one.
SELECT current_setting('log_line_prefix') AS prefix,
       current_setting('log_destination') AS destination,
       current_setting('logging_collector')::boolean AS collector,
       current_setting('log_min_messages') AS least,
       current_user AS role,
       (SELECT reset_val FROM pg_settings WHERE name = 'lc_messages') AS messages;
