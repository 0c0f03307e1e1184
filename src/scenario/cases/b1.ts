/** B1, the mails of 2017: with v4.13 a second process is killed while the first still has its memory. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { store } from "../../arena/mem.ts";
import { Violation } from "../../base/errors.ts";
import { elementOf, type MachineMap } from "../../machine/memory-map.ts";
import { MM_ANONPAGES, MMF_OOM_SKIP, Mm } from "../../mm/mm-struct.ts";
import type { Case } from "../case.ts";
import { raceCase } from "./race-case.ts";

/** exit_aio sleeps for so long, with mm_users at 0 and all memory still mapped. */
const AIO_US = 1000;

function* waitsForAio(cpu: Cpu, mm: number): Steps<void> {
  store(cpu, mm + Mm.aioUs, AIO_US);
}

/** MMF_OOM_SKIP invites the killer to the next victim. Nobody holds mmap_sem here, so no reaper has given up. */
export function skippedTooEarly(words: Int32Array, map: MachineMap): Violation | undefined {
  const mm = elementOf(map.mms, 0);
  const pages = words[mm + Mm.rss + MM_ANONPAGES] as number;
  if (((words[mm + Mm.flags] as number) & MMF_OOM_SKIP) === 0 || pages === 0) return undefined;
  return new Violation("I5", `the next victim may be killed, while ${pages} pages of this one are mapped`);
}

/** All that `skippedTooEarly` looks at. */
export function lookedAt(map: MachineMap): number[] {
  const mm = elementOf(map.mms, 0);
  return [mm + Mm.rss + MM_ANONPAGES, mm + Mm.flags];
}

const common = {
  reaper: "kthread",
  prepare: waitsForAio,
  watch: skippedTooEarly,
  watchedWords: lookedAt,
} as const;

export const b1: Case = {
  id: "B1",
  title: "the reaper takes mm_users 0 for done and sets MMF_OOM_SKIP, so the killer goes on to the next victim",
  broken: raceCase({ ...common, protocol: "v4.13", label: "mm_users alone keeps the reaper out" }),
  fixed: raceCase({ ...common, protocol: "v4.14", label: "exit_mmap and reaper race, MMF_OOM_SKIP when unmapped" }),
};
