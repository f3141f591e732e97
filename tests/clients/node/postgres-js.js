// An application with postgres.js, which has no figures of its pool and no timeout for a connection:
// its transactions get both, and it serves the figures under our names.
import http from "node:http";
import postgres from "postgres";
import { Counter, Gauge, register } from "prom-client";

const SIZE = 5;
const TIMEOUT_MS = 3000;

const sql = postgres(process.env.DATABASE_URL, {
  max: SIZE,
  connection: { application_name: "orders" },
});

const metric = (Kind, name, help, more = {}) => {
  const made = new Kind({ name, help, labelNames: ["pool", ...Object.keys(more)] });
  const labels = { pool: "main", ...more };
  made.inc(labels, 0);
  return { up: (by = 1) => made.inc(labels, by), down: () => made.dec(labels) };
};
const active = metric(Gauge, "pg_pool_connections", "Connections by state.", { state: "active" });
const waiting = metric(Gauge, "pg_pool_waiting_requests", "Requests that wait.");
const requests = metric(Counter, "pg_pool_requests_total", "Requests.");
const acquired = metric(Counter, "pg_pool_acquired_total", "Requests that got a connection.");
const returned = metric(Counter, "pg_pool_returned_total", "Connections returned.");
const timeouts = metric(Counter, "pg_pool_timeouts_total", "Timeouts.", { kind: "pool" });
metric(Gauge, "pg_pool_max_connections", "Upper limit.").up(SIZE);

// Instead of sql.begin(work).
export function transaction(work) {
  let waits = true;
  requests.up();
  waiting.up();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      timeouts.up();
      fail(new Error(`no connection within ${TIMEOUT_MS} ms`));
    }, TIMEOUT_MS);
    const stopWaiting = () => {
      if (waits) waiting.down();
      waits = false;
      clearTimeout(timer);
    };
    const fail = (error) => {
      stopWaiting();
      reject(error);
    };
    const measured = async (connection) => {
      if (!waits) return undefined; // too late: it goes back at once
      stopWaiting();
      acquired.up();
      active.up();
      try {
        return await work(connection);
      } finally {
        active.down();
        returned.up();
      }
    };
    sql.begin(measured).then(resolve, fail);
  });
}

const server = http.createServer(async (_request, response) => {
  response.setHeader("Content-Type", register.contentType);
  response.end(await register.metrics());
});
server.listen(Number(process.env.METRICS_PORT ?? 9464), process.env.METRICS_HOST ?? "127.0.0.1");
