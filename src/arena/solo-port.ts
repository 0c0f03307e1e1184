/** The port of a CPU that no scheduler drives: real threads, boot, and single-CPU programs. */

import { assert } from "../base/assert.ts";
import type { Port } from "./cpu.ts";

/**
 * A port with the host's clock. `kernelSecondsPerSecond` scales emulated time: 10 makes a kernel second last
 * 100 real milliseconds.
 */
export function soloPort(kernelSecondsPerSecond = 1): Port {
  const origin = performance.now();
  return {
    pending: new Int32Array(4),
    nowNs: () => (performance.now() - origin) * 1e6,
    readsClock: () => {},
    usPerNs: kernelSecondsPerSecond / 1000,
    gate: () => {},
    granted: () => {},
    park: (word) => assert(false, `soloPort: a single-CPU program would sleep for ever on word ${word}`),
    parkResult: () => 0,
    wake: () => 0,
  };
}
