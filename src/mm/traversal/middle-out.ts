/**
 * From the middle outwards: the upper half of the address space upwards, then the lower half downwards. Not in the
 * kernel. The idea: a reaper that comes late finds the low end already empty; starting in the middle it works where
 * nobody is, and it still meets the victim only once, at the very end and from the other side.
 *
 * The middle is half the address range between the lowest and the highest VMA, not half the pages: finding the
 * latter would need a count that the kernel does not keep.
 */

import type { Cpu } from "../../arena/cpu.ts";
import { vmaEnd, vmaStart } from "../vma.ts";
import { firstVma, lastVma, nextVma, prevVma, vmaFrom, vmaUpTo } from "../vma-iter.ts";
import { loadVpn, storeVpn } from "../vpn.ts";
import { Cursor, cursorVma, pointAt } from "./cursor.ts";
import type { TraversalOrder } from "./order.ts";

const UPWARDS = 0;
const DOWNWARDS = 1;

function point(cpu: Cpu, cursor: number, vma: number): boolean {
  return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
}

export const middleOut: TraversalOrder = {
  name: "middle-out",
  idea: "the upper half upwards, then the lower half downwards: far from the victim first, met once at the end",
  first(cpu, mm, cursor) {
    const low = firstVma(cpu, mm, cursor + Cursor.walk);
    if (low === 0) return false;
    const high = lastVma(cpu, mm, cursor + Cursor.walk);
    const middle = Math.floor((vmaStart(cpu, low) + vmaEnd(cpu, high)) / 2);
    const start = vmaFrom(cpu, mm, cursor + Cursor.walk, middle);
    storeVpn(cpu, cursor + Cursor.a, vmaStart(cpu, start));
    cpu.words[cursor + Cursor.phase] = UPWARDS;
    return point(cpu, cursor, start);
  },
  next(cpu, mm, cursor, _busy) {
    const walk = cursor + Cursor.walk;
    if (cpu.words[cursor + Cursor.phase] === DOWNWARDS)
      return point(cpu, cursor, prevVma(cpu, cursorVma(cpu, cursor), walk));
    if (point(cpu, cursor, nextVma(cpu, cursorVma(cpu, cursor), walk))) return true;
    cpu.words[cursor + Cursor.phase] = DOWNWARDS;
    return point(cpu, cursor, vmaUpTo(cpu, mm, walk, loadVpn(cpu, cursor + Cursor.a) - 1));
  },
  mayTry: () => false,
};
