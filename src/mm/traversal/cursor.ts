/** Position of a traversal order, in words of the reaping CPU. */

import type { Cpu } from "../../arena/cpu.ts";
import { CACHE_PAIR, struct } from "../../arena/struct.ts";
import { MaState } from "../maple-tree/index.ts";
import { loadVpn, storeVpn } from "../vpn.ts";

export const Cursor = struct(
  "cursor",
  {
    /** The VMA that the range lies in. */
    vma: 1,
    /** Range to unmap next, in virtual page numbers: [start, end). */
    start: 2,
    end: 2,
    /** Walk over VMAs, for orders that go VMA by VMA. */
    walk: { words: MaState.WORDS, align: 1 },
    /** Orders' own numbers. */
    phase: 1,
    a: 2,
    b: 2,
    c: 2,
  },
  CACHE_PAIR,
);

/** Points the cursor at `[start, end)` of `vma`; true when there is such a VMA (and so a range). */
export function pointAt(cpu: Cpu, cursor: number, vma: number, start: number, end: number): boolean {
  cpu.words[cursor + Cursor.vma] = vma;
  if (vma === 0) return false;
  storeVpn(cpu, cursor + Cursor.start, start);
  storeVpn(cpu, cursor + Cursor.end, end);
  return true;
}

export function cursorVma(cpu: Cpu, cursor: number): number {
  return cpu.words[cursor + Cursor.vma] as number;
}

export function cursorStart(cpu: Cpu, cursor: number): number {
  return loadVpn(cpu, cursor + Cursor.start);
}

export function cursorEnd(cpu: Cpu, cursor: number): number {
  return loadVpn(cpu, cursor + Cursor.end);
}
