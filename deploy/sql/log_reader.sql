-- Lets one role read the server's own log over SQL, and nothing else. Run as a superuser, in the
-- database that the exporter's dsn names:
--
--   psql -X -v role=exporter -f log_reader.sql
--
-- It can be run again, also for another role. To remove it: DROP SCHEMA pool_exporter CASCADE;
--
-- The log holds what statements contain: read_log shows data and passwords that failed, slow or
-- logged statements (log_statement, log_min_duration_statement) name. Give it to one trusted role.
--
-- The functions run with their owner's rights. What they can reach is bounded by what they do:
-- read_log takes the name of a file, without a path, and only one that log_files lists; those are
-- regular files in log_directory whose names are of the form of log_filename. (A symbolic link
-- there with such a name would be followed: only the server's own account can make one.) The
-- search_path is fixed, with pg_temp last, so nothing that the caller makes is ever called; and so is
-- how backslashes are read.
\set ON_ERROR_STOP on
BEGIN;
-- Before any name is resolved: the owner of the database sets its path, and could plant functions
-- and operators that a superuser would execute here.
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL standard_conforming_strings = on;
SELECT pg_catalog.set_config('pool_exporter.role', :'role', true);

CREATE SCHEMA IF NOT EXISTS pool_exporter;
DO $$
BEGIN
    IF pg_catalog.current_setting('pool_exporter.role') = 'public' THEN
        RAISE EXCEPTION 'role=public would show the log to everybody: name one role';
    END IF;
    -- Whoever owns the schema, or a function in it, could put another log_files in its place.
    IF EXISTS (
        SELECT FROM (SELECT own.nspowner AS role FROM pg_catalog.pg_namespace AS own
                     WHERE own.nspname = 'pool_exporter'
                     UNION ALL
                     SELECT made.proowner FROM pg_catalog.pg_proc AS made
                     JOIN pg_catalog.pg_namespace AS own ON own.oid = made.pronamespace
                     WHERE own.nspname = 'pool_exporter') AS part
        JOIN pg_catalog.pg_roles AS owner ON owner.oid = part.role
        WHERE NOT owner.rolsuper)
    THEN
        RAISE EXCEPTION 'the schema pool_exporter belongs to no superuser: drop it first';
    END IF;
END
$$;
REVOKE ALL ON SCHEMA pool_exporter FROM PUBLIC;

CREATE OR REPLACE FUNCTION pool_exporter.log_files(
    OUT name text, OUT size bigint, OUT modified double precision)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
    -- Each escape of strftime in log_filename stands for something without a dot and a slash; .csv
    -- and .json replace the ending .log, or are put behind another one.
    WITH form AS (
        SELECT '^' || regexp_replace(
                   regexp_replace(
                       regexp_replace(given, '\.log$', ''), '([][(){}.*+?^$|\\])', '\\\1', 'g'),
                   '%[OE]?[a-zA-Z%]', '[A-Za-z0-9:+ _-]+', 'g')
               || CASE WHEN given ~ '\.log$' THEN '\.(log|csv|json)$' ELSE '(\.csv|\.json)?$' END
               AS pattern
        FROM pg_catalog.current_setting('log_filename') AS given)
    SELECT file.name, file.size, extract(epoch FROM file.modification)::double precision
    FROM pg_catalog.pg_ls_logdir() AS file, form
    WHERE file.name ~ form.pattern AND position('/' IN file.name) = 0
$$;

CREATE OR REPLACE FUNCTION pool_exporter.read_log(file text, start bigint, most integer)
RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $$
DECLARE
    size bigint;
BEGIN
    IF start IS NULL OR start < 0 OR most IS NULL OR most < 1 OR most > 1048576 THEN
        RAISE EXCEPTION 'start must be at least 0, and most from 1 to 1048576'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT one.size INTO size FROM pool_exporter.log_files() AS one WHERE one.name = file;
    IF size IS NULL THEN
        -- Gone, or none of the server's log files: the caller learns no more than that.
        RETURN NULL;
    ELSIF start >= size THEN
        RETURN '';
    END IF;
    RETURN pg_catalog.pg_read_binary_file(pg_catalog.current_setting('log_directory') || '/' || file, start, most, true);
END
$$;

ALTER FUNCTION pool_exporter.log_files() OWNER TO CURRENT_USER;
ALTER FUNCTION pool_exporter.read_log(text, bigint, integer) OWNER TO CURRENT_USER;
REVOKE ALL ON FUNCTION pool_exporter.log_files() FROM PUBLIC;
REVOKE ALL ON FUNCTION pool_exporter.read_log(text, bigint, integer) FROM PUBLIC;
GRANT USAGE ON SCHEMA pool_exporter TO :"role";
GRANT EXECUTE ON FUNCTION pool_exporter.log_files() TO :"role";
GRANT EXECUTE ON FUNCTION pool_exporter.read_log(text, bigint, integer) TO :"role";

COMMIT;
