// The metrics of Sequelize's pool under pg-pool-exporter's own names.
import { Counter, Gauge, Registry } from "prom-client";
import { ConnectionAcquireTimeoutError } from "sequelize";

/** A registry with the pool's metrics, labelled `labels` ({ app, pool, process }). */
export function sequelizeMetrics(sequelize, labels) {
  const registry = new Registry();
  registry.setDefaultLabels(labels);
  const common = { help: "docs/metrics.md of pg-pool-exporter", registers: [registry] };
  const counter = (name, ...labelNames) => new Counter({ name, labelNames, ...common });
  const gauge = (name, labelNames, collect) => new Gauge({ name, labelNames, collect, ...common });
  const manager = sequelize.connectionManager;
  const { pool } = manager;

  gauge("pg_pool_max_connections", [], function () {
    this.set(pool.maxSize);
  });
  gauge("pg_pool_min_connections", [], function () {
    this.set(pool.minSize);
  });
  gauge("pg_pool_connections", ["state"], function () {
    this.set({ state: "idle" }, pool.available);
    this.set({ state: "active" }, pool.using);
  });
  gauge("pg_pool_waiting_requests", [], function () {
    this.set(pool.waiting);
  });

  const requests = counter("pg_pool_requests_total");
  const acquired = counter("pg_pool_acquired_total");
  const timeouts = counter("pg_pool_timeouts_total", "kind");
  timeouts.inc({ kind: "pool" }, 0);
  const getConnection = manager.getConnection.bind(manager);
  manager.getConnection = async (options) => {
    requests.inc();
    try {
      const connection = await getConnection(options);
      acquired.inc();
      return connection;
    } catch (error) {
      if (error instanceof ConnectionAcquireTimeoutError) timeouts.inc({ kind: "pool" });
      throw error;
    }
  };
  return registry;
}
