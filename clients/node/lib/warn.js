"use strict";

const warned = new Set();

/** Warns once of each text: measuring never costs the application anything. */
function warn(text) {
  if (!warned.has(text) && warned.size < 100) {
    warned.add(text);
    process.emitWarning(text, { type: "PgPoolExporterWarning" });
  }
}

/** A function of ours that runs inside the library's operations, so that no fault of it gets out. */
const guarded =
  (measure) =>
  (...given) => {
    try {
      return measure(...given);
    } catch (error) {
      warn(`a pool is not measured in full: ${error.message}`);
    }
  };

module.exports = { guarded, warn };
