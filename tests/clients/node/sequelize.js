// An application with Sequelize that serves its pool's metrics.
import http from "node:http";
import os from "node:os";
import { Sequelize } from "sequelize";
import { sequelizeMetrics } from "./sequelize-metrics.js";

export const sequelize = new Sequelize(process.env.DATABASE_URL, {
  dialectOptions: { application_name: "orders" },
  logging: false,
  pool: { max: 5, min: 0, acquire: 3000 },
});

const port = Number(process.env.METRICS_PORT ?? 9464);
const labels = { app: "orders", pool: "main", process: `${os.hostname()}:${port}` };
const metrics = sequelizeMetrics(sequelize, labels);

const server = http.createServer(async (_request, response) => {
  response.setHeader("Content-Type", metrics.contentType);
  response.end(await metrics.metrics());
});
server.listen(port, process.env.METRICS_HOST ?? "127.0.0.1");
