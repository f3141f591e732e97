// An application with a pg.Pool and the Prometheus exporter for node-postgres.
import http from "node:http";
import { monitorPgPool } from "@christiangalsterer/node-postgres-prometheus-exporter";
import pg from "pg";
import { parse } from "pg-connection-string";
import { register } from "prom-client";

// Parsed, because the exporter shows nothing of a pool that has only a connection string.
export const pool = new pg.Pool({
  ...parse(process.env.DATABASE_URL),
  application_name: "orders",
  max: 5,
  connectionTimeoutMillis: 3000,
});
pool.on("error", console.error);
monitorPgPool(pool, register); // before the first connection

const server = http.createServer(async (_request, response) => {
  response.setHeader("Content-Type", register.contentType);
  response.end(await register.metrics());
});
server.listen(Number(process.env.METRICS_PORT ?? 9464), process.env.METRICS_HOST ?? "127.0.0.1");
