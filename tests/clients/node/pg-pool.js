// An application with a pg.Pool that serves its pool's metrics.
import pg from "pg";
import { instrument, serve } from "pg-pool-exporter-client";

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: "orders",
  max: 5,
  connectionTimeoutMillis: 3000, // without it a request waits forever
});
pool.on("error", console.error); // without it a lost idle connection ends the process

instrument(pool, { app: "orders", name: "main" });
serve(Number(process.env.METRICS_PORT ?? 9464));
