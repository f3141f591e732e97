// An application with a pg.Pool that serves its pool's metrics.
import http from "node:http";
import os from "node:os";
import pg from "pg";
import { poolMetrics } from "./pool-metrics.js";

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: "orders",
  max: 5,
  connectionTimeoutMillis: 3000, // without it a request waits for ever
});
pool.on("error", console.error); // without it a lost idle connection ends the process

const port = Number(process.env.METRICS_PORT ?? 9464);
const labels = { app: "orders", pool: "main", process: `${os.hostname()}:${port}` };
const metrics = poolMetrics(pool, labels, Number(process.env.LEAK_AFTER_SECONDS ?? 60));

const server = http.createServer(async (_request, response) => {
  response.setHeader("Content-Type", metrics.contentType);
  response.end(await metrics.metrics());
});
server.listen(port, process.env.METRICS_HOST ?? "127.0.0.1");
