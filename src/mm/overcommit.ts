/**
 * Promising memory (mm/util.c: __vm_enough_memory, vm_commit_limit; v6.18). Left out: the pages that are kept for root and
 * for the user's last shell.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { fetchAdd, load } from "../arena/mem.ts";
import { MmGlobals, setting } from "./globals.ts";
import { PageGlobals } from "./page.ts";
import { Zone } from "./zone.ts";

/** Values of vm.overcommit_memory. */
export const OVERCOMMIT_GUESS = 0;
export const OVERCOMMIT_ALWAYS = 1;
export const OVERCOMMIT_NEVER = 2;

/** `vm.overcommit_ratio`: percent of memory that may be promised beside swap. */
const OVERCOMMIT_RATIO = 50;

/** Promises `pages` more to a mapping; false, and nothing promised, where the machine's policy refuses. */
export function* vmEnoughMemory(cpu: Cpu, pages: number): Steps<boolean> {
  const promised = (yield* fetchAdd(cpu, cpu.machine + MmGlobals.committed, pages)) + pages;
  const mode = setting(cpu, MmGlobals.overcommitMemory);
  if (mode === OVERCOMMIT_ALWAYS) return true;
  const enough = mode === OVERCOMMIT_GUESS ? pages <= totalram(cpu) + swapPages(cpu) : promised < commitLimit(cpu);
  if (!enough) yield* vmUnacctMemory(cpu, pages);
  return enough;
}

/** Takes a promise back. */
export function* vmUnacctMemory(cpu: Cpu, pages: number): Steps<void> {
  yield* fetchAdd(cpu, cpu.machine + MmGlobals.committed, -pages);
}

function commitLimit(cpu: Cpu): number {
  return Math.floor((totalram(cpu) * OVERCOMMIT_RATIO) / 100) + swapPages(cpu);
}

function swapPages(cpu: Cpu): number {
  return load(cpu, cpu.machine + PageGlobals.swapSlots);
}

function totalram(cpu: Cpu): number {
  const zones = load(cpu, cpu.machine + PageGlobals.zonesBase);
  const count = load(cpu, cpu.machine + PageGlobals.zoneCount);
  let pages = 0;
  for (let i = 0; i < count; i++) pages += load(cpu, zones + i * Zone.WORDS + Zone.managedPages);
  return pages;
}
