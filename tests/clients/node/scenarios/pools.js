// The pools of the scenarios, each used as an application uses it.
import Knex from "knex";
import pg from "pg";
import { instrument } from "pg-pool-exporter-client";
import { Sequelize } from "sequelize";

const SIZE = 2;
const LEAK_AFTER = 1e-9;

class Oops extends Error {
  message = "oops";
}

class PgPool {
  constructor(url, options) {
    this.pool = new pg.Pool({ connectionString: url, max: SIZE });
    this.pool.on("error", () => {});
    instrument(this.pool, options);
  }

  async take(seconds) {
    this.pool.options.connectionTimeoutMillis = seconds * 1000;
    const client = await this.pool.connect(); // checked out here
    client.on("error", () => {});
    return client;
  }

  async give(client) {
    client.removeAllListeners("error");
    client.release();
  }

  async ask(client, statement) {
    await client.query(statement);
  }

  async use(kind) {
    if (kind === "statement") return void (await this.pool.query("select 1"));
    if (kind === "rows") return void (await this.pool.query("select generate_series(1, 10)"));
    const client = await this.pool.connect();
    try {
      await client.query("begin");
      if (kind === "failure") throw new Oops();
      await client.query("commit");
    } finally {
      client.release(kind === "failure");
    }
  }

  async leak(kind) {
    if (kind === "forgotten") {
      await this.pool.connect(); // forgotten here
    } else if (kind === "failure") {
      const client = await this.pool.connect(); // failure here
      await client
        .query("select 1/0")
        .then(() => client.release())
        .catch(() => {});
    } else {
      const client = await this.pool.connect(); // return here
      if (client) return;
      client.release();
    }
  }

  async close() {
    await this.pool.end();
  }
}

class KnexPool {
  constructor(url, options) {
    this.knex = Knex({ client: "pg", connection: url, pool: { min: 0, max: SIZE } });
    instrument(this.knex, options);
  }

  async take(seconds) {
    this.knex.client.pool.acquireTimeoutMillis = seconds * 1000;
    const connection = await this.knex.client.acquireConnection(); // checked out here
    connection.on("error", () => {});
    return connection;
  }

  async give(connection) {
    await this.knex.client.releaseConnection(connection);
  }

  async ask(connection, statement) {
    await connection.query(statement);
  }

  async use(kind) {
    const { knex } = this;
    if (kind === "statement") return void (await knex.raw("select 1"));
    if (kind === "rows") return void (await knex.select(knex.raw("generate_series(1, 10)")));
    await knex.transaction(async (transaction) => {
      await transaction.raw("select 1");
      if (kind === "failure") throw new Oops();
    });
  }

  async leak(kind) {
    if (kind === "forgotten") {
      await this.knex.transaction(); // forgotten here
    } else if (kind === "failure") {
      const transaction = await this.knex.transaction(); // failure here
      await transaction
        .raw("select 1/0")
        .then(() => transaction.commit())
        .catch(() => {});
    } else {
      const transaction = await this.knex.transaction(); // return here
      if (transaction) return;
      await transaction.commit();
    }
  }

  async close() {
    await this.knex.destroy();
  }
}

class SequelizePool {
  constructor(url, options) {
    const pool = { max: SIZE, min: 0 };
    this.sequelize = new Sequelize(url, { logging: false, pool });
    instrument(this.sequelize, options);
    this.manager = this.sequelize.connectionManager;
  }

  async take(seconds) {
    this.manager.pool.acquireTimeoutMillis = seconds * 1000;
    const connection = await this.manager.getConnection(); // checked out here
    connection.on("error", () => {});
    return connection;
  }

  async give(connection) {
    await this.manager.releaseConnection(connection);
  }

  async ask(connection, statement) {
    await connection.query(statement);
  }

  async use(kind) {
    const { sequelize } = this;
    if (kind === "statement") return void (await sequelize.query("select 1"));
    if (kind === "rows") return void (await sequelize.query("select generate_series(1, 10)"));
    await sequelize.transaction(async (transaction) => {
      await sequelize.query("select 1", { transaction });
      if (kind === "failure") throw new Oops();
    });
  }

  async leak(kind) {
    if (kind === "forgotten") {
      await this.sequelize.transaction(); // forgotten here
    } else if (kind === "failure") {
      const transaction = await this.sequelize.transaction(); // failure here
      await this.sequelize
        .query("select 1/0", { transaction })
        .then(() => transaction.commit())
        .catch(() => {});
    } else {
      const transaction = await this.sequelize.transaction(); // return here
      if (transaction) return;
      await transaction.commit();
    }
  }

  async close() {
    await this.sequelize.close();
  }
}

const KINDS = { pg: PgPool, knex: KnexPool, sequelize: SequelizePool };

/** Opens a pool of a kind, with a first connection where that finds out what the server is. */
export async function open(kind, name, url) {
  return new KINDS[kind](url, { app: "shop", name, leakAfter: LEAK_AFTER });
}
