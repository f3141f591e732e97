"use strict";

const path = require("node:path");

// The stack is taken at each checkout, and its text, which costs most, is made when it is read.
const FRAMES = 8;
const MAX_CHARACTERS = 200;
const NOT_THE_APPLICATION = /[\\/]node_modules[\\/]|\bnode:|native\)$|<anonymous>\)?$/;
// Named, because a clone that is installed by its path is not below node_modules.
const OWN = ["lib/", "index.js", "index.mjs"].map((name) => path.join(path.dirname(__dirname), name));

/** Who calls; `describe` names the line. `below` is the function whose callers are looked at. */
function callingSite(below) {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const site = {};
  Error.captureStackTrace(site, below);
  Error.stackTraceLimit = limit;
  return site;
}

/** `file:line function`: the innermost line of the application's own code, else of a package. */
function describe(site) {
  let found;
  for (const frame of String(site?.stack ?? "").split("\n").slice(1)) {
    if (OWN.some((file) => frame.includes(file))) continue;
    const named = name(frame);
    if (named && !NOT_THE_APPLICATION.test(frame)) return named;
    if (named && !/\bnode:/.test(frame)) found ??= named;
  }
  return found ?? "unknown";
}

function name(frame) {
  const [, method, file, line] = frame.match(/at (?:async )?(?:(.+) \()?(.+?):(\d+):\d+\)?$/) ?? [];
  if (!file) return undefined;
  const short = file.replace(/^file:\/\//, "").split(/[\\/]/).slice(-2).join("/");
  return `${short}:${line} ${method ?? ""}`.trim().slice(-MAX_CHARACTERS);
}

module.exports = { callingSite, describe };
