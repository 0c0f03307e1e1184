/** Wrong use of a lock by the program that runs on it: stops at once, on the cold path, with the holder's name. */

import type { Cpu } from "../arena/cpu.ts";
import { Violation } from "../base/errors.ts";

/** Throws I7. `what`: the unlock function. `owner`: CPU number of the holder, -1 when nobody holds it. */
export function notHeld(what: string, cpu: Cpu, owner: number): never {
  const holder = owner < 0 ? "nobody" : `CPU ${owner}`;
  throw new Violation("I7", `${what}: not held by CPU ${cpu.id}, but by ${holder}`);
}

/** Throws I8: the caller would wait for itself. `what`: the lock function. */
export function heldAlready(what: string, cpu: Cpu): never {
  throw new Violation("I8", `${what}: CPU ${cpu.id} already holds it`);
}
