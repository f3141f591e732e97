"use strict";

const { METRICS } = require("./catalogue");
const { Histogram } = require("./tracker");

const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Prometheus text of series [name, all label values, value or histogram]; without unknown values. */
function page(all) {
  const byName = new Map();
  for (const series of all) {
    if (series[2] === undefined || series[2] === Infinity) continue;
    if (!byName.has(series[0])) byName.set(series[0], []);
    byName.get(series[0]).push(series);
  }
  let text = "";
  for (const metric of METRICS) {
    const found = byName.get(metric.name);
    if (!found) continue;
    text += `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n`;
    for (const [, values, value] of found) text += lines(metric, values, value);
  }
  return text;
}

function lines({ name, labels, bounds }, values, value) {
  const own = labels.map((label, i) => [label, values[i]]).filter(([, text]) => text);
  const pairs = own.map(([label, text]) => `${label}="${escape(text)}"`).join(",");
  if (!(value instanceof Histogram)) return `${name}{${pairs}} ${value}\n`;
  let text = "";
  let count = 0;
  for (const [i, bound] of [...bounds, "+Inf"].entries()) {
    count += value.counts[i];
    const le = Number.isInteger(bound) ? `${bound}.0` : bound;
    text += `${name}_bucket{${pairs},le="${le}"} ${count}\n`;
  }
  return `${text}${name}_sum{${pairs}} ${value.sum}\n${name}_count{${pairs}} ${count}\n`;
}

const ESCAPES = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };
const escape = (text) =>
  Buffer.from(String(text)).toString().replace(/[\\"\n]/g, (one) => ESCAPES[one]);

module.exports = { CONTENT_TYPE, page };
