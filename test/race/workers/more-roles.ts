/** What a user's module brings: roles of its own. */

import type { Cpu, Steps } from "../../../src/arena/cpu.ts";
import { fetchAdd, nowNs } from "../../../src/arena/mem.ts";

function* double(cpu: Cpu, params: { value: number }): Steps<{ value: number }> {
  yield* fetchAdd(cpu, cpu.machine, 0);
  return { value: params.value * 2 };
}

/** When this CPU began, in nanoseconds of its clock. */
function* stampStart(cpu: Cpu, _params: object): Steps<{ startNs: number }> {
  const startNs = nowNs(cpu);
  yield* fetchAdd(cpu, cpu.machine, 0);
  return { startNs };
}

export const roles = { double, stampStart };
