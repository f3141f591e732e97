// Asks Prometheus what a panel asks, as Grafana does.
"use strict";

const VARIABLES = ["cluster", "env", "job", "instance", "app", "pool", "server", "bouncer"];

class Prometheus {
  constructor(url, end, seconds, scrape, values) {
    Object.assign(this, { url, end, start: end - seconds, scrape, values });
  }

  fill(expr, step) {
    const rate = Math.max(step + this.scrape, 4 * this.scrape);
    let filled = expr.replaceAll("$__rate_interval", `${rate}s`);
    for (const name of VARIABLES)
      filled = filled.replace(new RegExp(`\\$${name}\\b`, "g"), this.values[name] ?? ".*");
    return filled;
  }

  async get(path, parameters) {
    const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const body = await answer.json();
    if (body.status !== "success") throw new Error(`${body.error}: ${parameters.query}`);
    return body.data.result;
  }

  // Some 250 points; a target's own least step is kept.
  step(target) {
    const least = { s: 1, m: 60 }[(target.interval ?? "").slice(-1)] ?? 0;
    const wanted = Math.ceil((this.end - this.start) / 250);
    return Math.max(wanted, this.scrape, least * parseInt(target.interval ?? "0"));
  }

  range(target) {
    // A least step is for the rate's window; drawn every so often it would be two points.
    const step = this.step({});
    const query = this.fill(target.expr, this.step(target));
    return this.get("query_range", { query, start: this.start, end: this.end, step });
  }

  instant(target) {
    return this.get("query", { query: this.fill(target.expr, this.step(target)), time: this.end });
  }
}

// Settings of fields that queries give ("config from query results"): which fields have them, and what.
async function settings(panel, prometheus) {
  const found = [];
  for (const { id, options } of panel.transformations ?? []) {
    if (id !== "configFromData") continue;
    const [one] = await prometheus.instant(panel.targets.find(({ refId }) => refId === options.configRefId));
    const fields = new RegExp(options.applyTo?.options.slice(1, -1) ?? "");
    found.push({ refId: options.configRefId, fields, name: options.mappings[0].handlerKey, value: Number(one.value[1]) });
  }
  return found;
}

function settingsOf(field, found) {
  return Object.fromEntries(found.filter(({ fields }) => fields.test(field)).map(({ name, value }) => [name, value]));
}

// Those whose values are shown.
function shown(panel, found) {
  return panel.targets.filter(({ refId }) => !found.some((one) => one.refId === refId));
}

function legend(target, labels) {
  if (!target.legendFormat) return Object.values(labels).join(" ") || target.refId;
  return target.legendFormat.replace(/{{(\w+)}}/g, (_, name) => labels[name] ?? "");
}
