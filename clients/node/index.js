"use strict";
/** Measures PostgreSQL connection pools for pg-pool-exporter. See README.md and index.d.ts. */

const http = require("node:http");
const { adapters } = require("./lib/adapters");
const { CONTENT_TYPE, page } = require("./lib/page");
const { Registry } = require("./lib/registry");
const { SocketServer, answer, bounded } = require("./lib/socket");
const { warn } = require("./lib/warn");

const registry = new Registry();
let socket;

function instrument(pool, options = {}) {
  try {
    const known = adapters.find((adapter) => adapter.find(pool));
    if (!known) {
      warn("pool is not instrumented: it must be a pg.Pool, Sequelize, Knex or an initialised DataSource");
    } else if (registry.add(known, pool, options) && !socket) {
      socket = new SocketServer(registry, metrics);
      socket.start();
    }
  } catch (error) {
    warn(`pool is not instrumented: ${error.message}`);
  }
  return pool;
}

const longLived = (connection) => (registry.exempt(connection), connection);
const metrics = () => page(registry.read());
const handler = (request, response) => answer(metrics, request, response);

function serve(port, host = "127.0.0.1") {
  const server = bounded(http.createServer(handler));
  server.on("error", (error) => warn(`metrics are not served on port ${port}: ${error.message}`));
  return server.listen(port, host).unref();
}

module.exports = { CONTENT_TYPE, handler, instrument, longLived, metrics, serve };
