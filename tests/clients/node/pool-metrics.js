// The metrics of a pg.Pool under pg-pool-exporter's own names, and which line holds a connection.
import { Counter, Gauge, Registry } from "prom-client";

const TIMEOUTS = {
  "timeout exceeded when trying to connect": "pool",
  "Connection terminated due to connection timeout": "connect",
};

/** A registry with the pool's metrics, labelled `labels` ({ app, pool, process }). */
export function poolMetrics(pool, labels, leakAfterSeconds = 60) {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const common = { help: "docs/metrics.md of pg-pool-exporter", registers: [registry] };
  const counter = (name, ...labelNames) => new Counter({ name, labelNames, ...common });
  const gauge = (name, labelNames, collect) => new Gauge({ name, labelNames, collect, ...common });

  const requests = counter("pg_pool_requests_total");
  const timeouts = counter("pg_pool_timeouts_total", "kind");
  const acquired = counter("pg_pool_acquired_total");
  const waited = counter("pg_pool_acquire_wait_seconds_total");
  const returned = counter("pg_pool_returned_total");
  const held = counter("pg_pool_held_seconds_total");
  for (const kind of Object.values(TIMEOUTS)) timeouts.inc({ kind }, 0);

  const checkouts = new Map(); // by client: since when, and from where
  const ages = () => [...checkouts.values()].map(({ since }) => secondsSince(since));

  gauge("pg_pool_max_connections", [], function () {
    this.set(pool.options.max);
  });
  gauge("pg_pool_connections", ["state"], function () {
    this.set({ state: "idle" }, pool.idleCount);
    this.set({ state: "active" }, checkouts.size);
  });
  gauge("pg_pool_waiting_requests", [], function () {
    this.set(pool.waitingCount);
  });
  gauge("pg_pool_oldest_active_seconds", [], function () {
    this.remove();
    if (checkouts.size > 0) this.set(Math.max(...ages()));
  });
  gauge("pg_pool_overdue_connections", ["site"], function () {
    this.reset();
    for (const { since, from } of checkouts.values()) {
      if (secondsSince(since) > leakAfterSeconds) this.inc({ site: site(from) });
    }
  });

  const connect = pool.connect.bind(pool);
  pool.connect = (callback) => {
    if (!callback) {
      return new Promise((resolve, reject) => {
        pool.connect((error, client) => (error ? reject(error) : resolve(client)));
      });
    }
    const asked = performance.now();
    const from = new Error(); // its text, which is what costs time, is made when it is asked for
    requests.inc();
    return connect((error, client, release) => {
      if (error) {
        const kind = TIMEOUTS[error.message];
        if (kind) timeouts.inc({ kind });
      } else {
        checkouts.set(client, { since: performance.now(), from });
        acquired.inc();
        waited.inc(secondsSince(asked));
      }
      callback(error, client, release);
    });
  };
  pool.on("release", (_error, client) => {
    const checkout = checkouts.get(client);
    if (!checkout) return;
    checkouts.delete(client);
    returned.inc();
    held.inc(secondsSince(checkout.since));
  });
  return registry;
}

const secondsSince = (time) => (performance.now() - time) / 1000;

/** The innermost line of the application's own code on a stack, as `file:line function`. */
function site({ stack }) {
  for (const frame of stack.split("\n").slice(1)) {
    if (/node_modules|node:|pool-metrics\.js/.test(frame)) continue;
    const [, name, file, line] = frame.match(/at (?:(.+) \()?(.+):(\d+):\d+\)?$/) ?? [];
    if (file) return `${file.split("/").slice(-2).join("/")}:${line} ${name ?? ""}`.trim();
  }
  return "unknown";
}
