/** I6: what faults put in place of reaped pages is not read. */

import type { Invariant } from "./invariant.ts";

export const noRefilledRead: Invariant = {
  name: "I6",
  text: "nobody who goes on living reads a private page that was refilled after MMF_UNSTABLE",
  watchedBy: "every user load of a checked build (mm/refill)",
  // A read leaves no trace in an arena whose processes are gone.
  check: () => [],
};
