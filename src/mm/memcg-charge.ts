/**
 * Charging a user's pages to its memory group (mm/memcontrol.c: try_charge_memcg, charge_memcg; v4.19 to v6.18). Before
 * v4.19 a charge that failed in a fault had the OOM killer called after it, with no lock held; here all eras call it
 * from the charge.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, load, store } from "../arena/mem.ts";
import { Memcg, memcgEvent, pageMemcgWord } from "./memcg.ts";
import { Mm } from "./mm-struct.ts";
import { __GFP_DIRECT_RECLAIM, __GFP_HIGH, __GFP_RETRY_MAYFAIL, allocPages, putPage } from "./page-alloc.ts";

/** What to do about a charge that met the limit, as the OOM killer's side answers (`Upcalls.memcgOutOfMemory`). */
export const CHARGE_RETRY = 0;
export const CHARGE_FAIL = 1;
/** Exceed the limit. */
export const CHARGE_FORCE = 2;

/** `alloc_pages` for a page of the user's: charged to the mm's group. 0 when there is no memory, or the group has none. */
export function* allocUserPages(cpu: Cpu, mm: number, order: number, gfp: number): Steps<number> {
  const pfn = yield* allocPages(cpu, order, gfp);
  const memcg = load(cpu, mm + Mm.memcg);
  if (pfn === 0 || memcg === 0) return pfn;
  if (yield* tryCharge(cpu, memcg, order, gfp)) {
    store(cpu, pageMemcgWord(cpu, pfn), memcg);
    return pfn;
  }
  yield* putPage(cpu, pfn);
  return 0;
}

/** `try_charge_memcg`: charges 2^order pages to a group and all above; false when one of them is full and stays so. */
function* tryCharge(cpu: Cpu, memcg: number, order: number, gfp: number): Steps<boolean> {
  const pages = 1 << order;
  for (let passedOom = false; ; passedOom = true) {
    const full = yield* pageCounterTryCharge(cpu, memcg, pages);
    if (full === 0) return true;
    yield* memcgEvent(cpu, full, Memcg.eventsMax);
    const mayWait = (gfp & __GFP_DIRECT_RECLAIM) !== 0 && (gfp & __GFP_RETRY_MAYFAIL) === 0;
    const answer = mayWait ? yield* cpu.upcalls.memcgOutOfMemory(cpu, full, order, passedOom) : CHARGE_FAIL;
    if (answer === CHARGE_RETRY) continue;
    const force = answer === CHARGE_FORCE || (gfp & __GFP_HIGH) !== 0;
    if (force) yield* pageCounterCharge(cpu, memcg, pages);
    return force;
  }
}

/** `page_counter_try_charge`: 0, or the group whose limit is in the way; then nothing is charged. */
function* pageCounterTryCharge(cpu: Cpu, memcg: number, pages: number): Steps<number> {
  for (let at = memcg; at !== 0; at = load(cpu, at + Memcg.parent)) {
    const old = yield* fetchAdd(cpu, at + Memcg.usage, pages);
    if (old + pages <= load(cpu, at + Memcg.max)) continue;
    yield* fetchAdd(cpu, at + Memcg.usage, -pages);
    for (let below = memcg; below !== at; below = load(cpu, below + Memcg.parent)) {
      yield* fetchAdd(cpu, below + Memcg.usage, -pages);
    }
    return at;
  }
  return 0;
}

/** `page_counter_charge`: whatever the limits say. */
function* pageCounterCharge(cpu: Cpu, memcg: number, pages: number): Steps<void> {
  for (let at = memcg; at !== 0; at = load(cpu, at + Memcg.parent)) yield* fetchAdd(cpu, at + Memcg.usage, pages);
}
