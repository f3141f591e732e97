"use strict";

const os = require("node:os");
const path = require("node:path");
const { callingSite, describe } = require("./site");
const { Tracker } = require("./tracker");
const { warn } = require("./warn");

const LEAK_AFTER_SECONDS = 60;
const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };

/** Seconds of a number, or of a text such as `90s`; a wrong one costs nothing but a warning. */
function leakAfterSeconds(given, otherwise) {
  if (given === undefined || given === "") return otherwise;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(given) ?? [];
  const seconds = typeof given === "number" ? given : number * UNITS[unit];
  if (seconds > 0) return seconds;
  warn("leakAfter is ignored: it must be a number of seconds, or a text such as 90s, more than 0");
  return otherwise;
}

/** The library's state of a pool; undefined once it is closed or gone. */
function stateOf({ adapter, reference }) {
  const pool = reference.deref();
  return pool && adapter.state(pool);
}

/** The instrumented pools of this process. */
class Registry {
  #pools = [];
  /** `host:slot`, once the process has a slot. */
  process = `${os.hostname()}:pid-${process.pid}`;

  /** Measures a pool, unless it is measured already. */
  add(adapter, given, options) {
    const pool = adapter.find(given);
    if (this.#pools.some((one) => one.reference.deref() === pool)) return false;
    const { env, argv } = process;
    const app = options.app || env.PG_POOL_EXPORTER_APP || path.parse(argv[1] ?? "").name || "node";
    const ofEnvironment = leakAfterSeconds(env.PG_POOL_EXPORTER_LEAK_AFTER, LEAK_AFTER_SECONDS);
    const leakAfter = leakAfterSeconds(options.leakAfter, ofEnvironment);
    const { timeouts } = adapter;
    const tracker = new Tracker({ leakAfter, siteSampling: options.siteSampling, timeouts });
    const server = options.server || env.PG_POOL_EXPORTER_SERVER || "";
    const one = { adapter, app, server, tracker, reference: new WeakRef(pool), info: {} };
    this.#name(one, options.name || "main");
    const site = describe(callingSite(this.add));
    tracker.instances.set(site, (tracker.instances.get(site) ?? 0) + 1);
    tracker.limitTo(adapter.state(pool).max);
    adapter.install(pool, tracker, one.info, given);
    return true;
  }

  #name(one, wanted) {
    for (let number = 1; ; number++) {
      one.name = number === 1 ? wanted : `${wanted}-${number}`;
      const i = this.#pools.findIndex(({ app, name }) => app === one.app && name === one.name);
      if (i < 0) return this.#pools.push(one);
      if (!stateOf(this.#pools[i])) {
        one.tracker.adopt(this.#pools[i].tracker);
        this.#pools[i] = one;
        return i;
      }
    }
  }

  get app() {
    return this.#pools[0]?.app;
  }

  exempt(connection) {
    for (const { tracker } of this.#pools) tracker.exempt(connection);
  }

  /** Series of all pools. One that can't be read must not hide the others. */
  *read() {
    for (const one of this.#pools) {
      const key = [one.app, one.name, this.process];
      try {
        for (const [name, own, value] of [...one.tracker.read(stateOf(one))]) {
          yield [`pg_pool_${name}`, [...key, ...own], value];
        }
        const { version, host, port, database, user, application } = one.info;
        const session = [host, port, one.server, database, user, application];
        const process_ = [one.adapter.library, version, "", "instrumented", String(process.pid)];
        yield ["pg_pool_info", [...key, ...process_, ...session], 1];
      } catch (error) {
        warn(`pool ${one.name} can't be read: ${error.message}`);
      }
    }
  }
}

module.exports = { Registry };
