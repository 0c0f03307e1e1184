/** Result records as JSON. Each opens with `"schema": "oomrace.<command>/<version>"`; schemas/ holds the schemas. */

import { writeFileSync } from "node:fs";
import { assert } from "../base/assert.ts";
import { UsageError } from "../base/errors.ts";

export interface ResultRecord {
  /** "oomrace.bench/1" */
  readonly schema: string;
}

/** Pretty-printed, ending in a newline. `schema` is the first key; NaN and infinities, which JSON lacks, are refused. */
export function toJson(record: ResultRecord): string {
  assert(Object.keys(record)[0] === "schema", "toJson: a record opens with its schema");
  const finite = (key: string, value: unknown): unknown => {
    assert(typeof value !== "number" || Number.isFinite(value), `toJson: ${key} is ${value}`);
    return value;
  };
  return `${JSON.stringify(record, finite, 1)}\n`;
}

/**
 * Writes to a file, or to standard output for "-".
 * @throws UsageError when the file cannot be written
 */
export function writeJson(record: ResultRecord, target: string, stdout: NodeJS.WritableStream = process.stdout): void {
  const text = toJson(record);
  if (target === "-") {
    stdout.write(text);
    return;
  }
  try {
    writeFileSync(target, text);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`--json ${target}: cannot be written (${code}), expected a writable file or -`);
  }
}
