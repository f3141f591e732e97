-- Made by deploy/sql/log_reader.sql.
SELECT name, size, modified FROM pool_exporter.log_files();
