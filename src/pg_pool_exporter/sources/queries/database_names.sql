-- In place of databases.sql, where pg_stat_database may not be read.
SELECT oid AS datid, datname AS database, NULL::int8 AS deadlocks
FROM pg_database;
