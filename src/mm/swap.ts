/**
 * Swap slots (mm/swapfile.c: get_swap_pages, swap_duplicate, free_swap_and_cache_nr; v6.18). A slot lies behind the page
 * frames and looks like one: use count, PAGE_TYPE_NONE, the content of the page that was swapped out. There is no swap
 * cache, no device and no I/O, and nothing is swapped out by itself: there is no reclaim.
 *
 * Thread safety: counts and the list of free slots are guarded by `swap_lock`, which nests inside PTE locks. A slot's
 * content is written before anybody else knows the slot, and constant while it is in use.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { Violation } from "../base/errors.ts";
import { lockClass } from "../sync/lock-class.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { MmGlobals, setting } from "./globals.ts";
import { Frame, framesOf, PAGE_TYPE_NONE, PageGlobals, typeLink } from "./page.ts";
import { PTE_SHIFT, PTE_SWAP } from "./page-table.ts";

const SWAP_LOCK = lockClass("swap_lock");
const NEXT_MASK = ~typeLink(PAGE_TYPE_NONE);

/** The entry that stands for a slot. */
export function swapEntry(slot: number): number {
  return (slot << PTE_SHIFT) | PTE_SWAP;
}

/** Word address of a slot's frame. */
function slotAt(cpu: Cpu, slot: number): number {
  return framesOf(cpu) + slot * Frame.WORDS;
}

/** A slot with one use that holds `content`; 0 when all are taken. */
export function* allocSwapSlot(cpu: Cpu, content: number): Steps<number> {
  const lock = cpu.machine + MmGlobals.swapLock;
  yield* spinLock(cpu, lock, SWAP_LOCK);
  const slot = takeSlot(cpu);
  if (slot !== 0) {
    store(cpu, slotAt(cpu, slot) + Frame.count, 1);
    store(cpu, slotAt(cpu, slot) + Frame.link, typeLink(PAGE_TYPE_NONE));
    store(cpu, slotAt(cpu, slot) + Frame.data, content);
  }
  yield* spinUnlock(cpu, lock, SWAP_LOCK);
  return slot;
}

/** The slot freed last, else one never used, else 0. Caller holds swap_lock. */
function takeSlot(cpu: Cpu): number {
  const free = load(cpu, cpu.machine + MmGlobals.swapFree);
  if (free !== 0) {
    store(cpu, cpu.machine + MmGlobals.swapFree, load(cpu, slotAt(cpu, free) + Frame.link) & NEXT_MASK);
    return free;
  }
  const created = load(cpu, cpu.machine + MmGlobals.swapCreated);
  if (created === setting(cpu, PageGlobals.swapSlots)) return 0;
  store(cpu, cpu.machine + MmGlobals.swapCreated, created + 1);
  return setting(cpu, PageGlobals.frameCount) + created;
}

/** What the page was that the slot holds. The caller's entry uses the slot. */
export function swapContent(cpu: Cpu, slot: number): number {
  return load(cpu, slotAt(cpu, slot) + Frame.data);
}

/** `swap_duplicate`: one more entry uses the slot. */
export function* swapDuplicate(cpu: Cpu, slot: number): Steps<void> {
  const lock = cpu.machine + MmGlobals.swapLock;
  yield* spinLock(cpu, lock, SWAP_LOCK);
  const uses = usesOf(cpu, slot, "swapDuplicate");
  store(cpu, slotAt(cpu, slot) + Frame.count, uses + 1);
  yield* spinUnlock(cpu, lock, SWAP_LOCK);
}

/** `free_swap_and_cache_nr`: an entry for each of `slots` slots from `first` on is gone; those without another are free. */
export function* freeSwapAndCache(cpu: Cpu, first: number, slots: number): Steps<void> {
  const lock = cpu.machine + MmGlobals.swapLock;
  yield* spinLock(cpu, lock, SWAP_LOCK);
  for (let slot = first; slot < first + slots; slot++) {
    const at = slotAt(cpu, slot);
    const uses = usesOf(cpu, slot, "freeSwapAndCache") - 1;
    store(cpu, at + Frame.count, uses);
    if (uses > 0) continue;
    store(cpu, at + Frame.link, typeLink(PAGE_TYPE_NONE, load(cpu, cpu.machine + MmGlobals.swapFree)));
    store(cpu, cpu.machine + MmGlobals.swapFree, slot);
  }
  yield* spinUnlock(cpu, lock, SWAP_LOCK);
}

function usesOf(cpu: Cpu, slot: number, who: string): number {
  const uses = load(cpu, slotAt(cpu, slot) + Frame.count);
  if (uses > 0) return uses;
  throw new Violation("I2", `${who}: swap slot ${slot - setting(cpu, PageGlobals.frameCount)} is free`);
}

/** Slots in use. Reads the arena while no CPU runs. */
export function swapSlotsInUse(words: Int32Array, machine: number): number {
  const slots = words[machine + PageGlobals.framesBase] as number;
  const first = words[machine + PageGlobals.frameCount] as number;
  let used = 0;
  for (let i = 0; i < (words[machine + MmGlobals.swapCreated] as number); i++) {
    if ((words[slots + (first + i) * Frame.WORDS + Frame.count] as number) > 0) used++;
  }
  return used;
}
