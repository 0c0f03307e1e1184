/** Checks results against the schemas of the package. */

import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";

/** What is wrong with a result, in the validator's words; null when nothing is. */
export function schemaErrors(schema: "bench" | "explore" | "list" | "run", result: unknown): unknown {
  const file = new URL(`../../schemas/oomrace.${schema}.1.json`, import.meta.url);
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(JSON.parse(readFileSync(file, "utf8")));
  return validate(result) ? null : validate.errors;
}
