// An application with Sequelize that serves its pool's metrics.
import { instrument, serve } from "pg-pool-exporter-client";
import { Sequelize } from "sequelize";

export const sequelize = new Sequelize(process.env.DATABASE_URL, {
  dialectOptions: { application_name: "orders" },
  logging: false,
  pool: { max: 5, min: 0, acquire: 3000 },
});

instrument(sequelize, { app: "orders", name: "main" });
serve(Number(process.env.METRICS_PORT ?? 9464));
