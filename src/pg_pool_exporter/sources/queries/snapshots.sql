-- What keeps VACUUM from removing rows, by holder and name: age of its oldest snapshot, in
-- transactions. Without our own: that of this very statement.
SELECT backend_type AS holder, coalesce(application_name, '') AS name,
       max(greatest(age(backend_xmin), 0)) AS age
FROM pg_stat_get_activity(NULL)
WHERE backend_xmin IS NOT NULL AND backend_type IS NOT NULL AND pid <> pg_backend_pid()
GROUP BY 1, 2
UNION ALL
SELECT 'replication slot', slot_name::text, greatest(age(xmin), 0)
FROM pg_get_replication_slots()
WHERE xmin IS NOT NULL
UNION ALL
SELECT 'prepared transaction', '', max(greatest(age(transaction), 0))
FROM pg_prepared_xact()
HAVING count(*) > 0;
