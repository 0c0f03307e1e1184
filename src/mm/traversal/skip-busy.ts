/**
 * Forward, table by table, but never waiting at first: a table whose lock is held shows that the victim is right
 * here, so the cursor leaps ahead of it and goes on where nobody is. What it leapt over is mostly unmapped by the
 * victim in the meantime; a second pass over the address space, waiting for locks, makes sure. Not in the kernel.
 *
 * Leaps double from LEAP_FIRST tables, so a victim that keeps up is left behind after a few meetings.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { PTRS_PER_TABLE } from "../page-table.ts";
import { vmaEnd, vmaStart } from "../vma.ts";
import { firstVma, nextVma, vmaFrom } from "../vma-iter.ts";
import { loadVpn, storeVpn } from "../vpn.ts";
import { Cursor, cursorEnd, cursorStart, cursorVma, pointAt } from "./cursor.ts";
import type { TraversalOrder } from "./order.ts";
import { tableCeiling } from "./table-range.ts";

/** Tables leapt over at the first busy lock, and at most. */
const LEAP_FIRST = 16;
const LEAP_MAX = 4096;

const TRYING = 0;
const WAITING = 1;

/** `Cursor.a`: first page leapt over; `Cursor.b`: first page past all leaps; `Cursor.c`: next leap in tables. */

/** The part of `vma` from `start` on that lies in one table. */
function tableAt(cpu: Cpu, cursor: number, vma: number, start: number): boolean {
  return vma !== 0 && pointAt(cpu, cursor, vma, start, Math.min(vmaEnd(cpu, vma), tableCeiling(start)));
}

/** First range at or above `vpn`. */
function rangeFrom(cpu: Cpu, mm: number, cursor: number, vpn: number): boolean {
  const vma = vmaFrom(cpu, mm, cursor + Cursor.walk, vpn);
  return vma !== 0 && tableAt(cpu, cursor, vma, Math.max(vpn, vmaStart(cpu, vma)));
}

/** The range behind the current one. */
function rangeAfter(cpu: Cpu, cursor: number): boolean {
  const vma = cursorVma(cpu, cursor);
  const end = cursorEnd(cpu, cursor);
  if (end < vmaEnd(cpu, vma)) return tableAt(cpu, cursor, vma, end);
  const above = nextVma(cpu, vma, cursor + Cursor.walk);
  return above !== 0 && tableAt(cpu, cursor, above, vmaStart(cpu, above));
}

/** Remembers the busy range and points beyond it; false when that is past the end. */
function leap(cpu: Cpu, mm: number, cursor: number): boolean {
  const words = cpu.words;
  const tables = words[cursor + Cursor.c] as number;
  const from = cursorStart(cpu, cursor);
  const to = tableCeiling(from) + (tables - 1) * PTRS_PER_TABLE;
  if (loadVpn(cpu, cursor + Cursor.b) === 0) storeVpn(cpu, cursor + Cursor.a, from);
  storeVpn(cpu, cursor + Cursor.b, to);
  words[cursor + Cursor.c] = Math.min(tables * 2, LEAP_MAX);
  return rangeFrom(cpu, mm, cursor, to);
}

/** Second pass: from the first page leapt over; false when nothing was. */
function comeBack(cpu: Cpu, mm: number, cursor: number): boolean {
  cpu.words[cursor + Cursor.phase] = WAITING;
  if (loadVpn(cpu, cursor + Cursor.b) === 0) return false;
  return (
    rangeFrom(cpu, mm, cursor, loadVpn(cpu, cursor + Cursor.a)) &&
    cursorStart(cpu, cursor) < loadVpn(cpu, cursor + Cursor.b)
  );
}

export const skipBusy: TraversalOrder = {
  name: "skip-busy",
  idea: "forward, but a held table lock makes it leap ahead of the victim; what was leapt over is checked at the end",
  first(cpu, mm, cursor) {
    cpu.words[cursor + Cursor.phase] = TRYING;
    storeVpn(cpu, cursor + Cursor.b, 0);
    cpu.words[cursor + Cursor.c] = LEAP_FIRST;
    const vma = firstVma(cpu, mm, cursor + Cursor.walk);
    return vma !== 0 && tableAt(cpu, cursor, vma, vmaStart(cpu, vma));
  },
  next(cpu, mm, cursor, busy) {
    if (cpu.words[cursor + Cursor.phase] === WAITING) {
      return rangeAfter(cpu, cursor) && cursorStart(cpu, cursor) < loadVpn(cpu, cursor + Cursor.b);
    }
    const more = busy ? leap(cpu, mm, cursor) : rangeAfter(cpu, cursor);
    return more || comeBack(cpu, mm, cursor);
  },
  mayTry: (cpu, cursor) => cpu.words[cursor + Cursor.phase] === TRYING,
};
