import { InternalFault } from "./errors.ts";

/** Stops at once when `condition` is false; `reason` reads "function: reason". */
export function assert(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new InternalFault(reason);
}
