/** B3: v4.14's exit_mmap asks whether the task that runs it is the victim, and a bystander is not. */

import type { Case } from "../case.ts";
import { raceCase } from "./race-case.ts";

const common = {
  reaper: "kthread",
  others: (mm: number) => [{ role: "dropsMm", params: { mm }, title: "/proc reader" }],
} as const;

export const b3: Case = {
  id: "B3",
  title: "a bystander drops the last mm_users, so nothing keeps the reaper out of the page tables being freed",
  broken: raceCase({ ...common, protocol: "v4.14", label: "asks tsk_is_oom_victim(current)" }),
  fixed: raceCase({ ...common, protocol: "v4.17", label: "asks mm_is_oom_victim(mm)" }),
};
