/**
 * Memory control groups: who is charged for a page, and giving that back (mm/memcontrol.c: uncharge_folio,
 * mem_cgroup_get_max, mem_cgroup_is_descendant; mm/page_counter.c; v6.18). `memcg-charge` charges.
 *
 * A page's group stands in a word beside its frame. Machines without groups have no such words: there the free path
 * tests one constant for each list of pages, and faults one word of their mm.
 *
 * Charged are what a user's faults allocate: anonymous pages, copies, page cache, pages that come back from swap. Left
 * out: kernel memory (page tables among it), stocks per CPU, reclaim and memory.high, which need something to reclaim,
 * and moving tasks with their charges.
 *
 * Thread safety: `parent` is constant; limits are written at set-up; `usage` and `events` are atomic. A page's word
 * belongs to whoever owns the page: to the fault before it is shown to anybody, to who freed it afterwards.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { atomicLoad, fetchAdd, load, store } from "../arena/mem.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { Violation } from "../base/errors.ts";
import { MmGlobals } from "./globals.ts";
import { PageGlobals } from "./page.ts";

/** No limit. */
export const PAGE_COUNTER_MAX = 2 ** 31 - 1;

export const Memcg = struct(
  "memcg",
  {
    /** Word address of the group it is in; 0 for the root, which is no struct and has no limit. */
    parent: 1,
    /** memory.max and memory.swap.max, in pages. */
    max: 1,
    swapMax: 1,
    /** memory.oom.group: 1 when its tasks die together. */
    oomGroup: 1,
    /** (atomic) Pages charged to it and to the groups in it. */
    usage: { words: 1, align: CACHE_PAIR },
    /** (atomic) memory.events: times that the limit was met, that the OOM killer was called for it, and kills in it. */
    eventsMax: 1,
    eventsOom: 1,
    eventsOomKill: 1,
  },
  CACHE_PAIR,
);

/** Group that a page is charged to; 0 for none. */
export const PageMemcg = struct("pageMemcg", { memcg: 1 });

export interface MemcgSpec {
  /** 0 or left out: in the root. */
  readonly parent?: number;
  /** Pages; left out: no limit. */
  readonly max?: number;
  readonly swapMax?: number;
  readonly oomGroup?: boolean;
}

/** A new group; 0 when the machine has no more. For set-up, while nobody else makes one. */
export function* createMemcg(cpu: Cpu, spec: MemcgSpec): Steps<number> {
  const number = yield* fetchAdd(cpu, cpu.machine + MmGlobals.memcgsUsed, 1);
  if (number >= load(cpu, cpu.machine + MmGlobals.memcgCount)) {
    yield* fetchAdd(cpu, cpu.machine + MmGlobals.memcgsUsed, -1);
    return 0;
  }
  const memcg = load(cpu, cpu.machine + MmGlobals.memcgs) + number * Memcg.WORDS;
  const { parent = 0, max = PAGE_COUNTER_MAX, swapMax = PAGE_COUNTER_MAX, oomGroup = false } = spec;
  assert(max >= 0 && swapMax >= 0, `createMemcg: limits of ${max} and ${swapMax} pages`);
  store(cpu, memcg + Memcg.parent, parent);
  store(cpu, memcg + Memcg.max, max);
  store(cpu, memcg + Memcg.swapMax, swapMax);
  store(cpu, memcg + Memcg.oomGroup, oomGroup ? 1 : 0);
  return memcg;
}

/** `mem_cgroup_is_descendant`: whether `memcg` (0 the root) is `of`, or in it. */
export function memcgIsDescendant(cpu: Cpu, memcg: number, of: number): boolean {
  for (let at = memcg; at !== of; at = load(cpu, at + Memcg.parent)) if (at === 0) return false;
  return true;
}

/**
 * `mem_cgroup_get_oom_group`: the highest group with memory.oom.group from the victim's (0 the root) up to the one that is
 * short (0: memory itself); 0 when its processes die one by one.
 */
export function memcgOomGroup(cpu: Cpu, memcg: number, domain: number): number {
  let group = 0;
  for (let at = memcg; at !== 0; at = load(cpu, at + Memcg.parent)) {
    if (load(cpu, at + Memcg.oomGroup) === 1) group = at;
    if (at === domain) break;
  }
  return group;
}

/** `mem_cgroup_get_max`: pages that the group can have in memory and swap. */
export function memcgGetMax(cpu: Cpu, memcg: number): number {
  const swap = Math.min(load(cpu, memcg + Memcg.swapMax), load(cpu, cpu.machine + PageGlobals.swapSlots));
  return Math.min(load(cpu, memcg + Memcg.max) + swap, PAGE_COUNTER_MAX);
}

/** `mem_cgroup_margin`: pages that can still be charged to it. Takes no lock: no promise. */
export function* memcgMargin(cpu: Cpu, memcg: number): Steps<number> {
  return Math.max(0, load(cpu, memcg + Memcg.max) - (yield* atomicLoad(cpu, memcg + Memcg.usage)));
}

/** `memcg_memory_event`: counts one of `Memcg.events*` in the group and all above. */
export function* memcgEvent(cpu: Cpu, memcg: number, event: number): Steps<void> {
  for (let at = memcg; at !== 0; at = load(cpu, at + Memcg.parent)) yield* fetchAdd(cpu, at + event, 1);
}

/** `page_counter_uncharge`, of the group and all above. Violation I2 on more than was charged. */
export function* pageCounterUncharge(cpu: Cpu, memcg: number, pages: number): Steps<void> {
  for (let at = memcg; at !== 0; at = load(cpu, at + Memcg.parent)) {
    const old = yield* fetchAdd(cpu, at + Memcg.usage, -pages);
    if (old < pages) throw new Violation("I2", `pageCounterUncharge: ${pages} of ${old} pages that were charged`);
  }
}

/** Word that says which group the page is charged to; 0 on machines without groups. */
export function pageMemcgWord(cpu: Cpu, pfn: number): number {
  const words = load(cpu, cpu.machine + PageGlobals.pageMemcgs);
  return words === 0 ? 0 : words + pfn * PageMemcg.WORDS;
}

/** `mem_cgroup_uncharge`: a folio of 2^order pages has lost its last reference. */
export function* memcgUncharge(cpu: Cpu, pfn: number, order: number): Steps<void> {
  const at = pageMemcgWord(cpu, pfn);
  const memcg = at === 0 ? 0 : load(cpu, at);
  if (memcg === 0) return;
  store(cpu, at, 0);
  yield* pageCounterUncharge(cpu, memcg, 1 << order);
}

/** `mem_cgroup_uncharge_folios`: as `memcgUncharge`, for the single pages in the CPU's own words [from, to). */
export function* memcgUnchargeList(cpu: Cpu, from: number, to: number): Steps<void> {
  if (load(cpu, cpu.machine + PageGlobals.pageMemcgs) === 0) return;
  let memcg = 0;
  let pages = 0;
  for (let i = from; i < to; i++) {
    const at = pageMemcgWord(cpu, cpu.words[i] as number);
    const of = load(cpu, at);
    if (of === 0) continue;
    store(cpu, at, 0);
    if (of !== memcg && pages > 0) {
      yield* pageCounterUncharge(cpu, memcg, pages);
      pages = 0;
    }
    memcg = of;
    pages++;
  }
  if (pages > 0) yield* pageCounterUncharge(cpu, memcg, pages);
}
