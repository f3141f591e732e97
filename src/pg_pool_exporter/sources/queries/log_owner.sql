-- Whoever owns the schema, or a function in it, decides what runs with our rights there: only a
-- superuser may. Otherwise this divides by zero, which ends the transaction before it calls them.
SELECT 1 / (bool_and(owner.rolsuper) AND count(*) = 3)::int AS trusted
FROM (SELECT nspowner AS role FROM pg_namespace WHERE nspname = 'pool_exporter'
      UNION ALL
      SELECT proowner FROM pg_proc
      WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pool_exporter')
     ) AS part
JOIN pg_roles AS owner ON owner.oid = part.role
HAVING count(*) > 0;
