/** What an invariant is: a sentence about the emulated machine, and code that reads the arena and says where it fails. */

import type { MachineMap } from "../machine/memory-map.ts";

export interface Invariant {
  /** As in kernel-facts section 6: "I1", "I2", ... */
  readonly name: string;
  /** What must hold. */
  readonly text: string;
  /** Where it is watched while CPUs run, beside the look at the arena afterwards. */
  readonly watchedBy?: string;
  /**
   * Looks at a machine on which no CPU runs and whose victim is gone. One line for each place where the invariant
   * does not hold; empty when it does. Reads the arena only.
   */
  check(words: Int32Array, map: MachineMap): string[];
}
