/** VMAs from low to high: the reaper's walk from v4.6 to v6.17, and the victim's in every version. */

import { vmaEnd, vmaStart } from "../vma.ts";
import { firstVma, nextVma } from "../vma-iter.ts";
import { Cursor, cursorVma, pointAt } from "./cursor.ts";
import type { TraversalOrder } from "./order.ts";

export const forward: TraversalOrder = {
  name: "forward",
  idea: "lowest VMA first, like the victim itself, so both meet in the same page tables",
  kernel: "v4.6",
  first(cpu, mm, cursor) {
    const vma = firstVma(cpu, mm, cursor + Cursor.walk);
    return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
  },
  next(cpu, _mm, cursor, _busy) {
    const vma = nextVma(cpu, cursorVma(cpu, cursor), cursor + Cursor.walk);
    return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
  },
  mayTry: () => false,
};
