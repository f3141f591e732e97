// Plays the scenarios of tests/test_client_scenarios.py with measured pools: a line a command.
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { longLived } from "pg-pool-exporter-client";
import { open } from "./pools.js";

const pools = new Map();
const requests = new Map(); // by number: { ended, held, error }

function begin(name, number, seconds) {
  const request = { pool: pools.get(name) };
  requests.set(number, request);
  request.done = request.pool.take(Number(seconds)).then(
    (held) => Object.assign(request, { held, ended: true }),
    (error) => Object.assign(request, { error, ended: true }),
  );
  return request;
}

function result({ error }) {
  if (error) throw error;
}

const commands = {
  async open(name, kind) {
    pools.set(name, await open(kind, name, process.env.DATABASE_URL));
  },
  async take(name, number, seconds) {
    const request = begin(name, number, seconds);
    await request.done;
    result(request);
  },
  async keep(name, number, seconds) {
    await commands.take(name, number, seconds);
    longLived(requests.get(number).held);
  },
  async begin(name, number, seconds) {
    begin(name, number, seconds);
  },
  async ended(number) {
    const request = requests.get(number);
    if (!request.ended) throw new Error("not yet");
    result(request);
  },
  async give(number) {
    const { pool, held } = requests.get(number);
    requests.delete(number);
    await pool.give(held);
  },
  async ask(number, ...words) {
    const { pool, held } = requests.get(number);
    await pool.ask(held, words.join(" "));
  },
  async forget(number) {
    requests.delete(number);
  },
  async use(name, kind) {
    await pools.get(name).use(kind);
  },
  async leak(name, kind) {
    await pools.get(name).leak(kind);
  },
  async close(name, number) {
    const pool = pools.get(name);
    pools.delete(name);
    const request = {};
    requests.set(number, request);
    Promise.resolve(pool?.close()).finally(() => {
      request.ended = true;
    });
  },
  async collect() {
    await sleep(1);
    globalThis.gc();
  },
};

// What dies in the background is the pool's to see, not the end of the program.
process.on("uncaughtException", (error) => console.error(error.message));
console.log("ready");
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(" ");
  try {
    await commands[command](...words);
    console.log("done");
  } catch (error) {
    console.log(`failed: ${(error.message || error.name).replaceAll("\n", " ")}`);
  }
}
process.exit();
