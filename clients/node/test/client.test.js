"use strict";
// What an application relies on. The scenarios are in tests/test_client_scenarios.py of the project.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { after, test } = require("node:test");

const sockets = fs.mkdtempSync(path.join(os.tmpdir(), "pgpe-"));
process.env.PG_POOL_EXPORTER_SOCKET_DIR = sockets;
after(() => fs.rmSync(sockets, { recursive: true }));

const { instrument, longLived, metrics, serve } = require("..");
const { answer } = require("../lib/socket");
const { Demand, Tracker } = require("../lib/tracker");
const pg = require("pg");
const { Sequelize } = require("sequelize");

const { DATABASE_URL } = process.env;
assert.ok(DATABASE_URL, "DATABASE_URL must name a PostgreSQL server");

function value(pool, name, more = "") {
  const line = metrics()
    .split("\n")
    .find((one) => one.startsWith(`${name}{`) && one.includes(`pool="${pool}"`) && one.includes(more));
  return line && Number(line.split(" ").at(-1));
}

function open(name, options = {}) {
  const pool = new pg.Pool({ connectionString: DATABASE_URL, max: 2 });
  pool.on("error", () => {});
  return instrument(pool, { app: "orders", name, ...options });
}

test("a forgotten connection is named with its line until it comes back", async () => {
  const pool = open("forgotten", { leakAfter: 1e-9 });
  const client = await pool.connect(); // the line
  const site = `site="test/client.test.js:`;
  assert.equal(value("forgotten", "pg_pool_instances_total", site), 1);
  assert.equal(value("forgotten", "pg_pool_overdue_connections", site), 1);
  longLived(client);
  assert.equal(value("forgotten", "pg_pool_overdue_connections"), undefined);
  assert.equal(value("forgotten", "pg_pool_long_lived_connections"), 1);
  client.release();
  assert.equal(value("forgotten", "pg_pool_connections", 'state="active"'), 0);
  await pool.end();
});

test("Sequelize with replication has two pools, measured as one", async () => {
  const replication = { read: [{}], write: {} };
  const url = new URL(DATABASE_URL);
  const [host, port, database] = [url.hostname, url.port, url.pathname.slice(1)];
  const [username, password] = [decodeURIComponent(url.username), decodeURIComponent(url.password)];
  for (const one of [...replication.read, replication.write]) {
    Object.assign(one, { host, port, database, username, password });
  }
  const options = { dialect: "postgres", logging: false, pool: { max: 3 }, replication };
  const sequelize = instrument(new Sequelize(options), { app: "orders", name: "replicated" });
  await Promise.all([1, 2].map(() => sequelize.query("SELECT 1", { type: "SELECT" })));
  const transaction = await sequelize.transaction();
  assert.equal(value("replicated", "pg_pool_connections", 'state="active"'), 1);
  assert.equal(value("replicated", "pg_pool_max_connections"), 6);
  assert.ok(value("replicated", "pg_pool_demand_connections_sum") > 0);
  await transaction.rollback();
  await sequelize.close();
});

test("a pool without a number as its maximum has no limit", () => {
  const tracker = new Tracker({ leakAfter: 60, timeouts: [] });
  tracker.limitTo(undefined);
  tracker.got(tracker.ask(), {});
  tracker.turn(performance.now() / 1000 + 1);
  assert.ok(tracker.demand.sum > 0);
  assert.equal(tracker.saturated, 0);
});

test("the demand is the time at each level, in whole seconds", () => {
  const demand = new Demand(0);
  for (const [level, time] of [[1, 2], [7, 5], [500, 5.5], [0, 7.5]]) demand.turn(level, time);
  const { counts } = demand.whole();
  // At most 1 for 5 s, 8 for 5.5 s, and without a bound for 7.5 s.
  assert.deepEqual([counts[0], counts[6], counts.at(-1)], [5, 0, 2]);
  assert.equal(demand.sum, 1 * 3 + 7 * 0.5 + 500 * 2);
  const next = new Demand(20);
  next.adopt(demand);
  next.turn(0, 21);
  assert.equal(next.whole().counts[0], 6);
});

test("both ways to call the pool work, and its errors arrive", async () => {
  const pool = open("both");
  await new Promise((resolve, reject) =>
    pool.connect((error, client, release) => {
      if (error) return reject(error);
      release();
      return resolve(client);
    }),
  );
  await assert.rejects(pool.query("select 1/0"), /division by zero/);
  assert.equal(value("both", "pg_pool_returned_total"), 2);
  await pool.end();
});

test("a server that is away is an error of connecting", async () => {
  const pool = instrument(new pg.Pool({ host: "127.0.0.1", port: 1 }), { name: "away" });
  await assert.rejects(pool.connect(), /ECONNREFUSED/);
  assert.equal(value("away", "pg_pool_connect_errors_total"), 1);
  assert.equal(value("away", "pg_pool_requests_total"), 1);
  assert.equal(value("away", "pg_pool_waiting_requests"), 0);
  await pool.end();
});

test("the counters of a closed pool go on under its name, another open one gets a number", async () => {
  for (const expected of [1, 2]) {
    const pool = open("again");
    await pool.query("select 1");
    const twin = open("again");
    assert.equal(value("again-2", "pg_pool_max_connections"), 2);
    await Promise.all([pool.end(), twin.end()]);
    assert.equal(value("again", "pg_pool_acquired_total"), expected);
  }
});

test("instrumenting twice counts once, and what is no pool is a warning", async () => {
  const pool = open("twice");
  instrument(pool, { name: "other" });
  await pool.query("select 1");
  assert.equal(value("twice", "pg_pool_acquired_total"), 1);
  assert.equal(value("other", "pg_pool_acquired_total"), undefined);
  const warned = new Promise((resolve) => process.once("warning", resolve));
  const given = {};
  assert.equal(instrument(given), given);
  assert.match((await warned).message, /must be a pg.Pool, Sequelize, Knex/);
  await pool.end();
});

test("a pool that is not used any more is collected", async () => {
  const used = async () => {
    const pool = open("collected");
    await pool.query("select 1");
    await pool.end();
    return new WeakRef(pool);
  };
  const reference = await used();
  for (let i = 0; i < 20 && reference.deref(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    globalThis.gc();
  }
  assert.equal(reference.deref(), undefined);
});

test("TypeORM's pool is measured", async () => {
  const { DataSource } = require("typeorm");
  const source = new DataSource({ type: "postgres", url: DATABASE_URL });
  await source.initialize();
  instrument(source, { name: "typeorm", leakAfter: 1e-9 });
  const runner = source.createQueryRunner();
  await runner.connect(); // forgotten
  assert.equal(value("typeorm", "pg_pool_overdue_connections"), 1);
  await runner.release();
  assert.equal(value("typeorm", "pg_pool_returned_total"), 1);
  await source.destroy();
});

test("the page is served on a port, and nothing else", async () => {
  const server = serve(0);
  await new Promise((resolve) => server.on("listening", resolve));
  const { port } = server.address();
  const get = (where, method = "GET") =>
    new Promise((resolve) => {
      const options = { port, method, path: where, agent: false };
      http.request(options, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve([response.statusCode, text]));
      }).end();
    });
  assert.deepEqual((await get("/metrics"))[0], 200);
  assert.match((await get("/metrics"))[1], /^# HELP pg_pool_connections /);
  assert.equal((await get("/"))[0], 404);
  assert.equal((await get("/metrics", "POST"))[0], 405);
  assert.deepEqual(await get("/metrics", "HEAD"), [200, ""]);
  server.close();
});

test("a fault of the page is an answer, and costs the application nothing", () => {
  const fails = () => {
    throw new Error("a pool's name has no text");
  };
  let status;
  const response = { writeHead: (code) => (status = code), end: () => {} };
  answer(fails, { method: "GET", url: "/metrics" }, response);
  assert.equal(status, 500);
});

test("the ES module has the same functions", async () => {
  const module = await import("../index.mjs");
  assert.deepEqual(Object.keys(module).sort(), Object.keys(require("..")).sort());
  assert.equal(module.metrics, metrics);
});
