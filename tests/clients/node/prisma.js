// An application with the pool of Prisma 7, which serves its pool's metrics.
import { PrismaPg } from "@prisma/adapter-pg";
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

export const adapter = new PrismaPg(pool); // for new PrismaClient({ adapter })
