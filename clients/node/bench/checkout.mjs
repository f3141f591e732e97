// What a checkout and its return cost with and without us: `npm run bench`, needs DATABASE_URL.
// The CPU time is the process's: a busy machine distorts it less than the time.
import pg from "pg";
import { Bench } from "tinybench";
import { instrument } from "../index.mjs";

process.env.PG_POOL_EXPORTER_SOCKET_DIR ??= "/nonexistent";
const open = () => new pg.Pool({ connectionString: process.env.DATABASE_URL });
const pools = {
  bare: open(),
  measured: instrument(open(), { name: "bench" }),
  "measured without lines": instrument(open(), { name: "sampled", siteSampling: 1e9 }),
};
const bench = new Bench({ time: Number(process.env.BENCH_MS ?? 2000) });
const used = {};
for (const [name, pool] of Object.entries(pools)) {
  let before;
  bench.add(
    name,
    async () => {
      const client = await pool.connect();
      client.release();
    },
    {
      beforeAll() {
        before = process.cpuUsage();
      },
      afterAll() {
        used[name] = process.cpuUsage(before);
      },
    },
  );
}
await bench.run();
const rows = bench.tasks.map(({ name, result }) => {
  const { user, system } = used[name];
  const { samplesCount } = result.latency;
  return { name, "time µs": result.latency.mean * 1000, "CPU µs": (user + system) / samplesCount };
});
for (const row of rows) row["CPU ratio"] = row["CPU µs"] / rows[0]["CPU µs"];
console.table(rows);
for (const pool of Object.values(pools)) await pool.end();
