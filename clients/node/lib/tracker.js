"use strict";

const { METRICS } = require("./catalogue");
const { callingSite, describe } = require("./site");

const MAX_SITES = 30;
const now = () => performance.now() / 1000;

class Histogram {
  constructor(name) {
    this.bounds = METRICS.find((metric) => metric.name === name).bounds;
    this.counts = new Array(this.bounds.length + 1).fill(0);
    this.count = 0;
    this.sum = 0;
  }

  add(seconds) {
    let i = 0;
    while (i < this.bounds.length && seconds > this.bounds[i]) i++;
    this.counts[i]++;
    this.count++;
    this.sum += seconds;
  }
}

/** How long the demand, connections out and requests that wait, was at each level. */
class Demand extends Histogram {
  constructor(time) {
    super("pg_pool_demand_connections");
    this.spent = [...this.counts];
    this.level = 0;
    this.since = time;
  }

  /** Adds the time since the last turn, and notes the level from now on. */
  turn(level, time) {
    let i = 0;
    while (i < this.bounds.length && this.level > this.bounds[i]) i++;
    this.spent[i] += time - this.since;
    this.sum += this.level * (time - this.since);
    this.level = level;
    this.since = time;
  }

  /** Takes over the time of a closed pool. */
  adopt(former) {
    this.sum += former.sum;
    former.spent.forEach((seconds, i) => (this.spent[i] += seconds));
  }

  /** With whole seconds as counts: cumulated, none ever falls. */
  whole() {
    let [all, before] = [0, 0];
    this.counts = this.spent.map((seconds) => {
      all += seconds;
      const count = Math.floor(all) - before;
      before += count;
      return count;
    });
    return this;
  }
}

/** Requests, checkouts and returns of one pool. Seconds throughout. Keeps no pool alive. */
class Tracker {
  constructor({ leakAfter, siteSampling = 1, timeouts }) {
    this.leakAfter = leakAfter;
    this.sampling = Math.max(1, siteSampling);
    this.limit = Infinity;
    this.sessions = new Map(); // by connection; since when it is idle, or out
    this.requests = new Set(); // in the order in which they began
    this.out = 0;
    this.seen = 0;
    this.acquire = new Histogram("pg_pool_acquire_seconds");
    this.hold = new Histogram("pg_pool_hold_seconds");
    this.demand = new Demand(now());
    this.counts = { queued: 0, failed: 0, connects: 0, connectErrors: 0, lost: 0 };
    this.timeouts = Object.fromEntries(timeouts.map((kind) => [kind, 0]));
    this.instances = new Map();
    this.saturated = 0;
    this.fullSince = undefined;
  }

  /** How many connections there may be at most; without a number there is no limit. */
  limitTo(max) {
    this.limit = max >= 0 ? max : Infinity;
  }

  /** A request begins; `below` is the function that the application has called. */
  ask(below) {
    const request = { asked: now(), site: this.site(below) };
    if (this.out + this.requests.size >= this.limit) this.counts.queued++;
    this.requests.add(request);
    this.turn(request.asked);
    return request;
  }

  site(below) {
    return this.seen++ % this.sampling === 0 ? callingSite(below) : undefined;
  }

  /** The request has got this connection. */
  got(request, connection) {
    this.requests.delete(request);
    const since = now();
    this.acquire.add(since - request.asked);
    this.sessions.set(connection, { since, isOut: true, site: request.site, longLived: false });
    this.out++;
    this.turn(since);
  }

  /** The request has ended without one; `timeout` is the kind of timeout, if it was one. */
  failed(request, timeout) {
    if (this.requests.delete(request)) this.counts.failed++;
    this.turn(now());
    if (timeout) this.timeouts[timeout]++;
  }

  /** A connection goes back. One that isn't out is left alone. */
  returned(connection) {
    const session = this.sessions.get(connection);
    if (!session?.isOut) return;
    const time = now();
    this.hold.add(time - session.since);
    session.isOut = false;
    session.since = time;
    session.site = undefined;
    this.out--;
    this.turn(time);
  }

  connected(connection) {
    this.counts.connects++;
    this.sessions.set(connection, { since: now(), isOut: false });
  }

  /** The pool has closed a connection. */
  gone(connection) {
    this.returned(connection);
    this.sessions.delete(connection);
  }

  exempt(connection) {
    const session = this.sessions.get(connection);
    if (session) session.longLived = true;
  }

  /** The demand is another from now on; the last connection is taken, or the first is free again. */
  turn(time) {
    const asking = this.requests.size;
    const waiting = Math.min(Math.max(0, this.out + asking - this.limit), asking);
    this.demand.turn(this.out + waiting, time);
    const full = this.out >= this.limit;
    if (full && this.fullSince === undefined) this.fullSince = time;
    if (!full && this.fullSince !== undefined) {
      this.saturated += time - this.fullSince;
      this.fullSince = undefined;
    }
  }

  /** Goes on with the counters of a pool that is closed. */
  adopt(former) {
    const { acquire, hold, instances, saturated } = former;
    Object.assign(this, { acquire, hold, instances, saturated });
    this.demand.adopt(former.demand);
    for (const name in this.counts) this.counts[name] += former.counts[name];
    for (const kind in this.timeouts) this.timeouts[kind] += former.timeouts[kind] ?? 0;
  }

  /** Series as [name without pg_pool_, own labels, value or histogram]. `state` is the library's own
   * at this reading; undefined once the pool is closed. */
  *read(state) {
    if (state) {
      this.limitTo(state.max);
      this.turn(now());
      yield* this.#gauges(state);
    } else {
      yield ["connections", ["idle"], 0];
      yield ["connections", ["active"], 0];
    }
    yield* this.#counters();
  }

  *#gauges(state) {
    const time = now();
    const sessions = [...this.sessions.values()];
    const out = sessions.filter((session) => session.isOut);
    const idle = sessions.filter((session) => !session.isOut);
    const declared = out.filter((session) => session.longLived);
    const late = out.filter((one) => !one.longLived && time - one.since >= this.leakAfter);
    yield ["connections", ["idle"], state.idle];
    yield ["connections", ["active"], out.length];
    yield ["max_connections", [], state.max];
    yield ["min_connections", [], state.min];
    yield ["waiting_requests", [], state.waiting];
    yield ["oldest_idle_seconds", [], age(idle, time)];
    yield ["oldest_active_seconds", [], age(out, time)];
    if (state.waiting > 0) {
      // Those who wait are the latest: whoever came first has a connection, or gets a new one.
      const first = [...this.requests].at(-state.waiting);
      yield ["oldest_waiting_seconds", [], first && time - first.asked];
    }
    yield ["long_lived_connections", [], declared.length];
    yield* bySite("overdue_connections", late.map((session) => describe(session.site)));
  }

  *#counters() {
    const time = now();
    const { acquire, counts, hold, requests } = this;
    const out = [...this.sessions.values()].filter((session) => session.isOut);
    const running = out.reduce((sum, session) => sum + time - session.since, 0);
    const full = this.fullSince === undefined ? 0 : time - this.fullSince;
    yield ["active_connection_seconds_total", [], hold.sum + running];
    yield ["saturated_seconds_total", [], this.saturated + full];
    yield ["requests_total", [], acquire.count + counts.failed + requests.size];
    yield ["queued_requests_total", [], counts.queued];
    for (const kind in this.timeouts) yield ["timeouts_total", [kind], this.timeouts[kind]];
    yield ["acquire_seconds", [], acquire];
    yield ["hold_seconds", [], hold];
    yield ["demand_connections", [], this.demand.whole()];
    yield ["acquire_wait_seconds_total", [], acquire.sum];
    yield ["acquired_total", [], acquire.count];
    yield ["held_seconds_total", [], hold.sum];
    yield ["returned_total", [], hold.count];
    yield ["connects_total", [], counts.connects];
    yield ["connect_errors_total", [], counts.connectErrors];
    yield ["lost_connections_total", [], counts.lost];
    yield ["leak_threshold_seconds", [], this.leakAfter];
    for (const [site, count] of this.instances) yield ["instances_total", [site], count];
  }
}

function age(sessions, time) {
  if (sessions.length === 0) return undefined;
  return time - sessions.reduce((oldest, { since }) => Math.min(oldest, since), Infinity);
}

/** The lines with the most of them have a name of their own; the others are added up. */
function* bySite(name, sites) {
  const counts = new Map();
  for (const site of sites) counts.set(site, (counts.get(site) ?? 0) + 1);
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  for (const [site, count] of ordered.slice(0, MAX_SITES)) yield [name, [site], count];
  const others = ordered.slice(MAX_SITES).reduce((sum, [, count]) => sum + count, 0);
  if (others > 0) yield [name, ["other"], others];
}

module.exports = { Demand, Histogram, Tracker };
