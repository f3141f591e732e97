// An application with a pg.Pool and the Prometheus exporter for node-postgres.
import http from "node:http";
import { monitorPgPool } from "@christiangalsterer/node-postgres-prometheus-exporter";
import pg from "pg";
import { register } from "prom-client";

// The exporter shows nothing for a pool that has a connection string instead of host and database.
const url = new URL(process.env.DATABASE_URL);
export const pool = new pg.Pool({
  host: url.hostname,
  port: Number(url.port),
  user: url.username,
  password: url.password,
  database: url.pathname.slice(1),
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
