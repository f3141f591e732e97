// An application with a pg.Pool, instrumented by OpenTelemetry.
import { createRequire } from "node:module";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { PgInstrumentation } from "@opentelemetry/instrumentation-pg";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { parse } from "pg-connection-string";

const exporter = new PrometheusExporter({
  port: Number(process.env.METRICS_PORT ?? 9464),
  host: process.env.METRICS_HOST ?? "127.0.0.1",
});
registerInstrumentations({
  meterProvider: new MeterProvider({ readers: [exporter] }),
  instrumentations: [new PgInstrumentation()],
});

// After the instrumentation, and by require, which it can hook into.
const { Pool } = createRequire(import.meta.url)("pg");
// Parsed, because the pool is named by host, port and database.
export const pool = new Pool({
  ...parse(process.env.DATABASE_URL),
  application_name: "orders",
  max: 5,
  connectionTimeoutMillis: 3000,
});
pool.on("error", console.error);
