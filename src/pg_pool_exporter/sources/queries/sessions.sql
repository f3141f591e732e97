-- Sessions by database, role, application, client address and state, in one pass over the activity.
-- The exporter adds the names of the databases, and finds the sessions that block others: here, that
-- would cost the server as much again.
--
-- own: this session, and those that the exporter has abandoned. hidden: without the right to see a
-- session its type and state are NULL; then it is a client if it has a database and a role. Other
-- processes count when they wait. blockers: pg_blocking_pids() locks the lock table, and names each
-- session that is further ahead in the queue, so it is called for at most a hundred of those that
-- wait. ages: how long each has been in its state, in seconds. transaction_ages and
-- transaction_state_ages: of those with an open transaction, in the same order. writers: those that
-- have changed data in it. oldest_snapshot: how many transactions ago it was taken, 0 for one
-- that is younger than our own. clock: the server's, which jumps when somebody sets it.
-- address: of the client, empty for a unix socket. Seconds are subtracted, not times: an infinite
-- time would fail the statement.
SELECT coalesce(pid = pg_backend_pid()
                    OR (pid = ANY (%(abandoned_pids)s::int[])
                        AND coalesce(extract(epoch FROM backend_start)::text, '')
                            = ANY (%(abandoned_starts)s::text[])),
                false) AS own,
       backend_type IS NULL AND state IS NULL AS hidden,
       CASE WHEN backend_type IS NULL THEN datid IS NOT NULL AND usesysid IS NOT NULL
            ELSE backend_type = 'client backend' END AS client,
       datid,
       coalesce(pg_get_userbyid(usesysid), 'unknown') AS "user",
       coalesce(application_name, '') AS application,
       coalesce(host(client_addr), '') AS address,
       state,
       array_agg(pid) AS pids,
       array_agg(date_part('epoch', clock_timestamp()) - date_part('epoch', state_change)) AS ages,
       date_part('epoch', clock_timestamp()) AS clock,
       date_part('epoch', clock_timestamp()) - date_part('epoch', min(backend_start))
           AS oldest_backend,
       date_part('epoch', clock_timestamp()) - date_part('epoch', max(backend_start))
           AS youngest_backend,
       date_part('epoch', clock_timestamp()) - date_part('epoch', min(xact_start))
           AS oldest_transaction,
       array_agg(date_part('epoch', clock_timestamp()) - date_part('epoch', xact_start))
           FILTER (WHERE xact_start IS NOT NULL) AS transaction_ages,
       array_agg(date_part('epoch', clock_timestamp()) - date_part('epoch', state_change))
           FILTER (WHERE xact_start IS NOT NULL) AS transaction_state_ages,
       count(backend_xid) AS writers,
       max(greatest(age(backend_xmin), 0)) FILTER (WHERE backend_xmin IS NOT NULL)
           AS oldest_snapshot,
       count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
       string_agg(array_to_string(pg_blocking_pids(pid), ','), ',')
           FILTER (WHERE wait_event_type = 'Lock' AND waiter <= 100) AS blockers
FROM (SELECT *, count(*) FILTER (WHERE wait_event_type = 'Lock')
                    OVER (ROWS UNBOUNDED PRECEDING) AS waiter
      FROM pg_stat_get_activity(NULL)) AS session
WHERE usesysid IS NOT NULL OR backend_type = 'client backend' OR wait_event_type = 'Lock'
GROUP BY own, hidden, client, datid, usesysid, application_name, client_addr,
         state;
