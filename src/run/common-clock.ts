/** One clock for all threads of the process. */

import { performance } from "node:perf_hooks";

function hrtimeNs(): number {
  const [seconds, ns] = process.hrtime();
  return seconds * 1e9 + ns;
}

/**
 * Distance of this thread's `performance.now` from `hrtime`, in nanoseconds. Both read the system's monotonic clock;
 * `performance.now` is the cheaper one, but each thread may count from an origin of its own. The closest pair of
 * readings wins.
 */
function measureOffset(): number {
  let closest = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let i = 0; i < 32; i++) {
    const before = hrtimeNs();
    const now = performance.now() * 1e6;
    const after = hrtimeNs();
    if (after - before >= closest) continue;
    closest = after - before;
    offset = (before + after) / 2 - now;
  }
  return offset;
}

const offset = measureOffset();

/** Nanoseconds of the system's monotonic clock, comparable between threads to well under a microsecond. */
export function commonNs(): number {
  return performance.now() * 1e6 + offset;
}
