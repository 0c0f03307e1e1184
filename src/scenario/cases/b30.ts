/** B30: what the PTE lock is for. */

import type { Case } from "../case.ts";
import { raceCase } from "./race-case.ts";

export const b30: Case = {
  id: "B30",
  title: "both sides see the same PTE present and unmap its page twice",
  broken: raceCase({ reaper: "mrelease", protocol: "v6.1-no-pte-lock", label: "the reaper takes no PTE lock" }),
  fixed: raceCase({ reaper: "mrelease", protocol: "v6.1", label: "PTE lock per table" }),
};
