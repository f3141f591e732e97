-- Made by deploy/sql/log_reader.sql.
SELECT pool_exporter.read_log(%(name)s, %(at)s, %(most)s) AS piece;
