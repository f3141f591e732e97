SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
       current_user AS role,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all;
