-- How the server logs.
SELECT current_setting('log_line_prefix') AS prefix,
       current_setting('log_destination') AS destination,
       current_setting('logging_collector')::boolean AS collector,
       current_setting('log_min_messages') AS least,
       current_user AS role;
