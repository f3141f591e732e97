// Values as Grafana shows them: units, thresholds, mappings, colours.
"use strict";

const COLOURS = {
  green: "#3d8b40", yellow: "#c9a300", orange: "#d9730d", red: "#c4162a", blue: "#5794f2", text: "#8e8e9c",
};
const PALETTE = ["#73bf69", "#f2cc0c", "#8ab8ff", "#ff9830", "#b877d9", "#e02f44", "#5794f2", "#8ab38f", "#fade2a"];

function plain(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function duration(seconds) {
  for (const [unit, size] of [["days", 86400], ["hours", 3600], ["min", 60], ["s", 1], ["ms", 0.001]])
    if (Math.abs(seconds) >= size) return `${plain(seconds / size)} ${unit}`;
  return seconds === 0 ? "0 s" : `${plain(seconds * 1e6)} µs`;
}

function bytes(value) {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]])
    if (Math.abs(value) >= size) return `${plain(value / size)} ${unit}`;
  return `${plain(value)} B`;
}

function format(value, unit, now) {
  switch (unit) {
    case "percentunit": return `${plain(value * 100)} %`;
    case "s": return duration(value);
    case "bytes": return bytes(value);
    case "reqps": return `${plain(value)} req/s`;
    case "cps": return `${plain(value)} /s`;
    case "dateTimeFromNow": return `${duration(Math.max(0, now - value / 1000))} ago`;
    default: return plain(value);
  }
}

function mapping(value, mappings) {
  for (const one of mappings ?? []) if (one.type === "value" && one.options[value]) return one.options[value];
  return undefined;
}

// `limits` are the minimum and the maximum between which values are percentages.
function threshold(value, { mode, steps }, limits) {
  const reached = mode === "percentage" ? (100 * (value - limits.min)) / (limits.max - limits.min) : value;
  let colour = "text";
  for (const step of steps) if (step.value == null || reached >= step.value) colour = step.color;
  return COLOURS[colour];
}

// Properties that overrides give the field of this name.
function overridden(panel, name) {
  const found = {};
  for (const { matcher, properties } of panel.fieldConfig?.overrides ?? []) {
    const hit = matcher.id === "byName" ? matcher.options === name
      : new RegExp(`^${matcher.options}$`).test(name);
    if (hit) for (const { id, value } of properties) found[id] = value;
  }
  return found;
}
