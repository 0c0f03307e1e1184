/** B29: what the empty cycle of v4.14's write lock is for. */

import type { Case } from "../case.ts";
import { raceCase } from "./race-case.ts";

export const b29: Case = {
  id: "B29",
  title: "MMF_OOM_SKIP is set after the write-lock cycle, so a reaper gets in between and walks freed tables",
  broken: raceCase({ reaper: "kthread", protocol: "v4.14-skip-after-wait", label: "lock cycle, then MMF_OOM_SKIP" }),
  fixed: raceCase({ reaper: "kthread", protocol: "v4.14", label: "MMF_OOM_SKIP, then lock cycle" }),
};
