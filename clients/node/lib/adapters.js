"use strict";

const { AsyncLocalStorage } = require("node:async_hooks");
const { callingSite } = require("./site");
const { guarded } = require("./warn");

/** The version of a package that the application has; empty where it can't be told. */
function version(name) {
  try {
    const from = require.main?.paths ?? [`${process.cwd()}/node_modules`];
    return require(require.resolve(`${name}/package.json`, { paths: from })).version;
  } catch {
    return "";
  }
}

/** Where a client of pg leads to. */
const leadsTo = (client) => ({
  host: client.host,
  port: client.port && String(client.port),
  database: client.database,
  user: client.user,
  application: client.connectionParameters?.application_name || "",
});

const isObject = (given) => given !== null && typeof given === "object";

/** A session of pg is new: learns where it leads, and whether it dies by itself. */
function follow(client, tracker, info) {
  tracker.connected(client);
  Object.assign(info, leadsTo(client));
  // Before pg's own listener, which notes that it has ended. Not an "error" listener: with one, an
  // application that has none would go on.
  client.connection?.prependOnceListener?.("end", () => {
    if (!client._ending) tracker.counts.lost++;
  });
}

const PG_TIMEOUTS = {
  "timeout exceeded when trying to connect": "pool",
  "Connection terminated due to connection timeout": "connect",
  "timeout expired": "connect",
};

/** pg.Pool, and TypeORM, which has one. */
const pg = {
  library: "pg",
  timeouts: ["pool", "connect"],

  find(given) {
    const pool = given?.driver?.master ?? given;
    return isObject(pool) && "idleCount" in pool && "waitingCount" in pool && pool.options && pool;
  },

  state(pool) {
    if (pool.ending) return undefined;
    const { max, min = 0 } = pool.options;
    return { idle: pool.idleCount, max, min, waiting: pool.waitingCount };
  },

  install(pool, tracker, info) {
    info.version = version("pg");
    const { connect } = pool;
    pool.connect = function measured(callback) {
      if (!callback) {
        return new this.Promise((resolve, reject) => {
          ask(this, measured, (error, client) => (error ? reject(error) : resolve(client)));
        });
      }
      return ask(this, measured, callback);
    };
    const ask = (self, below, callback) => {
      const request = guarded(() => tracker.ask(below))();
      return connect.call(self, (error, client, release) => {
        ended(request, error, client);
        callback(error, client, release);
      });
    };
    const ended = guarded((request, error, client) => {
      if (!error) return tracker.got(request, client);
      const timeout = PG_TIMEOUTS[error.message];
      if (timeout !== "pool") tracker.counts.connectErrors++;
      return tracker.failed(request, timeout);
    });
    pool.on("connect", guarded((client) => follow(client, tracker, info)));
    pool.on("release", guarded((_error, client) => tracker.returned(client)));
    pool.on("remove", guarded((client) => tracker.gone(client)));
  },
};

/** Knex, by the events of its pool, tarn. */
const knex = {
  library: "knex",
  timeouts: ["pool", "connect"],

  find(given) {
    const pool = given?.client?.pool ?? given;
    return typeof pool?.numUsed === "function" && typeof pool.on === "function" && pool;
  },

  state(pool) {
    if (pool.destroyed) return undefined;
    const [idle, waiting] = [pool.numFree(), pool.numPendingAcquires()];
    return { idle, max: pool.max, min: pool.min, waiting: Math.max(0, waiting - room(pool)) };
  },

  install(pool, tracker, info, { client }) {
    info.version = version("knex");
    const requests = new Map();
    const on = (event, measure) => pool.on(event, guarded(measure));
    // A transaction asks for its connection after its caller's stack is gone.
    const callers = new AsyncLocalStorage();
    if (client) {
      const { transaction } = client;
      client.transaction = function measured(...given) {
        const caller = { site: callingSite(measured) };
        return callers.run(caller, () => transaction.apply(this, given));
      };
    }
    on("acquireRequest", (id) => {
      const request = tracker.ask(pool.acquire);
      const caller = callers.getStore();
      if (caller?.site && request.site) request.site = caller.site;
      if (caller) caller.site = undefined; // what it asks for later has lines of its own
      requests.set(id, request);
    });
    const end = (id) => {
      const request = requests.get(id);
      requests.delete(id);
      return request;
    };
    on("acquireSuccess", (id, client) => tracker.got(end(id), client));
    on("acquireFail", (id, error) => {
      tracker.failed(end(id), isTimeout(error) ? "pool" : undefined);
    });
    on("release", (client) => tracker.returned(client));
    on("createSuccess", (_id, client) => follow(client, tracker, info));
    on("createFail", (_id, error) => {
      tracker.counts.connectErrors++;
      if (PG_TIMEOUTS[error?.message] || isTimeout(error)) tracker.timeouts.connect++;
    });
    on("destroySuccess", (_id, client) => tracker.gone(client));
  },
};

/** tarn's own error has no name. */
const isTimeout = (error) => error?.constructor?.name === "TimeoutError";

/** Connections that may still be opened for those who ask. */
const room = (pool) => pool.max - pool.numUsed() - pool.numFree();

const MEASURED = Symbol("measured by pg-pool-exporter-client");

/** Sequelize, by its connection manager. */
const sequelize = {
  library: "sequelize",
  timeouts: ["pool", "connect"],

  find(given) {
    return typeof given?.connectionManager?.getConnection === "function" && given.connectionManager;
  },

  state(manager) {
    const { pool } = manager;
    // A manager that is closed has another function in the place of ours.
    if (!pool || (MEASURED in manager && manager.getConnection !== manager[MEASURED])) return undefined;
    // With `replication` a pool for reading, and one for writing.
    const pools = pool.write ? [pool.read, pool.write] : [pool];
    const all = (name) => pools.reduce((sum, one) => sum + one[name], 0);
    return { idle: all("available"), max: all("maxSize"), min: all("minSize"), waiting: all("waiting") };
  },

  install(manager, tracker, info) {
    info.version = version("sequelize");
    const { getConnection, releaseConnection, _connect, _disconnect } = manager;
    const began = guarded((below) => tracker.ask(below));
    const got = guarded((request, connection) => tracker.got(request, connection));
    const failed = guarded((request, error) => {
      const timeout = error.name === "SequelizeConnectionAcquireTimeoutError";
      tracker.failed(request, timeout ? "pool" : undefined);
    });
    manager.getConnection = async function measured(...given) {
      const request = began(measured);
      try {
        const connection = await getConnection.apply(this, given);
        got(request, connection);
        return connection;
      } catch (error) {
        failed(request, error);
        throw error;
      }
    };
    Object.defineProperty(manager, MEASURED, { value: manager.getConnection });
    const returned = guarded((connection) => tracker.returned(connection));
    manager.releaseConnection = function release(connection, ...more) {
      returned(connection);
      return releaseConnection.call(this, connection, ...more);
    };
    const opened = guarded((connection) => follow(connection, tracker, info));
    const refused = guarded((error) => {
      tracker.counts.connectErrors++;
      if (PG_TIMEOUTS[error.parent?.message]) tracker.timeouts.connect++;
    });
    manager._connect = async function connect(...given) {
      try {
        const connection = await _connect.apply(this, given);
        opened(connection);
        return connection;
      } catch (error) {
        refused(error);
        throw error;
      }
    };
    const gone = guarded((connection) => tracker.gone(connection));
    manager._disconnect = function disconnect(connection, ...more) {
      gone(connection);
      return _disconnect.call(this, connection, ...more);
    };
  },
};

module.exports = { adapters: [sequelize, knex, pg] };
