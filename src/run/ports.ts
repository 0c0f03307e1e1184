/** The ports of CPUs on real threads. */

import type { Port } from "../arena/cpu.ts";
import { assert } from "../base/assert.ts";
import { commonNs } from "./common-clock.ts";
import type { TurnTable } from "./turn-table.ts";

/** `parallel`: real time, scaled by `usPerNs`, counted from `originNs` on the common clock. */
export function parallelPort(originNs: number, usPerNs: number): Port {
  const unused = (): never =>
    assert(false, "parallelPort: this build is stripped and asks its port for time only") as never;
  return {
    pending: new Int32Array(4),
    nowNs: () => commonNs() - originNs,
    readsClock: unused,
    usPerNs,
    gate: unused,
    granted: unused,
    park: unused,
    parkResult: unused,
    wake: unused,
  };
}

/** `forced`: every scheduling point passes the turn on and waits for the next one of CPU `id`. */
export function turnPort(table: TurnTable, id: number): Port {
  const { run } = table;
  const handOver = (): void => {
    table.pass();
    table.await(id);
  };
  return {
    ...run.portOf(id),
    gate: handOver,
    granted: () => {},
    park: (word, timeoutUs) => {
      run.park(id, word, timeoutUs);
      handOver();
    },
  };
}
