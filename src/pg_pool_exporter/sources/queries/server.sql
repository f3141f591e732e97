SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
       pg_is_in_recovery() AS in_recovery,
       current_user AS role,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all;
