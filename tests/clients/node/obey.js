// Runs an application (`node obey.js ./pg-pool.js`) and does what the lines of its input say; each is
// answered by a line once it is done: take, give, query, ask (without waiting for the answer), forget,
// work (a query of three seconds).
import readline from "node:readline";

const { pool, sequelize } = await import(process.argv[2]);

const borrow = sequelize ? () => sequelize.transaction() : () => pool.connect();
const giveBack = sequelize ? (transaction) => transaction.commit() : (client) => client.release();

const LONG_QUERY = "SELECT pg_sleep(3)";

const held = [];

async function take() {
  held.push(await borrow());
}

const commands = {
  take,
  async give() {
    await giveBack(held.shift());
  },
  async ask() {
    take().catch(() => {});
  },
  async query() {
    await pool.query("SELECT 1");
  },
  async forget() {
    await borrow();
  },
  async work() {
    const one = await borrow();
    await (sequelize ? sequelize.query(LONG_QUERY, { transaction: one }) : one.query(LONG_QUERY));
    await giveBack(one);
  },
};

console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    await commands[line]();
    console.log("done");
  } catch (error) {
    console.log(`failed: ${error.message}`);
  }
}
process.exit();
