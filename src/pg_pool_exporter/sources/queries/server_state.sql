-- What a promotion, a restart or a reload changes, read at each poll. Times in seconds since the
-- epoch. loaded: when this session has read the configuration.
SELECT pg_is_in_recovery() AS in_recovery,
       date_part('epoch', pg_postmaster_start_time()) AS started,
       date_part('epoch', pg_conf_load_time()) AS loaded;
