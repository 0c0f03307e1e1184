/**
 * VMAs from high to low and, inside a VMA, page tables from high to low as well. The kernel does not do this: its
 * unmap_page_range walks upwards only. With one huge VMA it is the only way to meet the victim just once.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { vmaEnd, vmaStart } from "../vma.ts";
import { lastVma, prevVma } from "../vma-iter.ts";
import { Cursor, cursorStart, cursorVma, pointAt } from "./cursor.ts";
import type { TraversalOrder } from "./order.ts";
import { tableFloor } from "./table-range.ts";

/** The highest table's part of `vma` below `end`. */
function topTableOf(cpu: Cpu, cursor: number, vma: number, end: number): boolean {
  return pointAt(cpu, cursor, vma, Math.max(vmaStart(cpu, vma), tableFloor(end - 1)), end);
}

export const reverseTables: TraversalOrder = {
  name: "reverse-tables",
  idea: "highest page table first, inside a VMA too: even one huge VMA is met from its other end",
  first(cpu, mm, cursor) {
    const vma = lastVma(cpu, mm, cursor + Cursor.walk);
    return vma !== 0 && topTableOf(cpu, cursor, vma, vmaEnd(cpu, vma));
  },
  next(cpu, _mm, cursor, _busy) {
    const vma = cursorVma(cpu, cursor);
    const start = cursorStart(cpu, cursor);
    if (start > vmaStart(cpu, vma)) return topTableOf(cpu, cursor, vma, start);
    const below = prevVma(cpu, vma, cursor + Cursor.walk);
    return below !== 0 && topTableOf(cpu, cursor, below, vmaEnd(cpu, below));
  },
  mayTry: () => false,
};
