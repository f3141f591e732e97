CREATE ROLE exporter LOGIN CONNECTION LIMIT 3;
GRANT pg_monitor TO exporter;
\set role exporter
\i /etc/postgresql/log_reader.sql
CREATE ROLE shop LOGIN;
GRANT CREATE ON SCHEMA public TO shop;
