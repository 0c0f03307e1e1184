/** VMAs from high to low, tables inside a VMA from low to high: the reaper's walk since v6.18 (5e1953dc71af). */

import { vmaEnd, vmaStart } from "../vma.ts";
import { lastVma, prevVma } from "../vma-iter.ts";
import { Cursor, cursorVma, pointAt } from "./cursor.ts";
import type { TraversalOrder } from "./order.ts";

export const reverse: TraversalOrder = {
  name: "reverse",
  idea: "highest VMA first, so the reaper and the victim meet once instead of walking side by side",
  kernel: "v6.18",
  first(cpu, mm, cursor) {
    const vma = lastVma(cpu, mm, cursor + Cursor.walk);
    return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
  },
  next(cpu, _mm, cursor, _busy) {
    const vma = prevVma(cpu, cursorVma(cpu, cursor), cursor + Cursor.walk);
    return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
  },
  mayTry: () => false,
};
