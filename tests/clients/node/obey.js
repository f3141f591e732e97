// Runs an application (`node obey.js ./pg-pool.js`) and does what the lines of its input say; each is
// answered by a line once it is done: take, give, query, ask (without waiting for the answer), forget,
// work (a query of three seconds).
import readline from "node:readline";
import { borrowing } from "./borrowing.js";

const application = await import(process.argv[2]);
const { borrow, giveBack, query } = borrowing(application);

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
    await application.pool.query("SELECT 1");
  },
  async forget() {
    await borrow();
  },
  async work() {
    const one = await borrow();
    await query(one, LONG_QUERY);
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
