/** B31: why pages are freed after the TLB flush. */

import { Violation } from "../../base/errors.ts";
import { noStaleTranslation } from "../../check/pages.ts";
import type { MachineMap } from "../../machine/memory-map.ts";
import type { Case } from "../case.ts";
import { CASE_MAPPINGS, raceCase } from "./race-case.ts";

const VPNS = CASE_MAPPINGS.flatMap(({ startVpn, pages }) => Array.from({ length: pages }, (_, i) => startVpn + i));

function stale(words: Int32Array, map: MachineMap): Violation | undefined {
  const [message] = noStaleTranslation.check(words, map);
  return message === undefined ? undefined : new Violation("I4", message);
}

const common = {
  reaper: "mrelease",
  others: (mm: number) => [{ role: "lateThread", params: { mm, vpns: VPNS }, title: "a thread not yet killed" }],
  watch: stale,
} as const;

export const b31: Case = {
  id: "B31",
  title: "a page is freed before the TLB flush, and somebody still writes to it",
  broken: raceCase({ ...common, protocol: "v6.1-free-before-flush", label: "frees, then flushes" }),
  fixed: raceCase({ ...common, protocol: "v6.1", label: "flushes, then frees" }),
};
