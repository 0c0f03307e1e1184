import { assert } from "./assert.ts";

/** The middle of a sample that is not empty: the mean of the middle two where there are two. */
export function median(values: readonly number[]): number {
  assert(values.length > 0, "median: the sample is empty");
  const ordered = Float64Array.from(values).sort();
  const middle = ordered.length >> 1;
  const upper = ordered[middle] as number;
  return ordered.length % 2 === 1 ? upper : (upper + (ordered[middle - 1] as number)) / 2;
}
