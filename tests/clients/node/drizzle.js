// An application with Drizzle that serves its pool's metrics.
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { instrument, serve } from "pg-pool-exporter-client";

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  application_name: "orders",
  max: 5,
  connectionTimeoutMillis: 3000,
});
pool.on("error", console.error);
instrument(pool, { app: "orders", name: "main" });
serve(Number(process.env.METRICS_PORT ?? 9464));

export const db = drizzle({ client: pool });
