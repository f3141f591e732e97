// Reads objects in JSON, one a line, and prints what is wrong with those of the operator's kinds.
import { createInterface } from "node:readline";
import * as operator from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

for await (const line of createInterface({ input: process.stdin })) {
  const object = JSON.parse(line);
  try {
    new operator[object.kind](object).validate();
    console.log(`${object.kind}: valid`);
  } catch (error) {
    console.log(`${object.kind}: ${error.message}`);
  }
}
