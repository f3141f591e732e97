// Runs an application (`node obey.js ./pg-pool.js`) and does what the lines of its input say; each is
// answered by a line once it is done: take, give, query, ask (without waiting for the answer), forget.
import readline from "node:readline";

const { pool, sequelize } = await import(process.argv[2]);

const borrow = sequelize ? () => sequelize.transaction() : () => pool.connect();
const giveBack = sequelize ? (transaction) => transaction.commit() : (client) => client.release();

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
