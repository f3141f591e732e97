import { Pool } from "pg";
import { handler, instrument, longLived, metrics, serve, type Options } from "../index.js";
import http from "node:http";

const options: Options = { app: "orders", name: "main", leakAfter: "90s" };
const pool: Pool = instrument(new Pool(), options);
const client = longLived(await pool.connect());
client.release();
http.createServer(handler);
serve(9464).close();
metrics().length;
// @ts-expect-error - a duration, not a date
instrument(pool, { leakAfter: new Date() });
