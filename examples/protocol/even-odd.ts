/**
 * An order of your own: every second VMA from low to high, then the ones between. The idea: a victim that walks beside
 * the reaper catches up twice as fast, so the two meet on fewer tables in a row. Whether that helps is what the bench
 * is for.
 *
 * An order keeps its place in the cursor's words and nowhere else, so that a machine can be copied at any moment.
 *
 * Run: npx oomrace bench --order forward,examples/protocol/even-odd.ts --layout vmas-2m
 */

import {
  type Cpu,
  Cursor,
  cursorVma,
  firstVma,
  nextVma,
  pointAt,
  type TraversalOrder,
  vmaEnd,
  vmaStart,
} from "oomrace/kernel";

/** In `Cursor.phase`. */
const EVEN = 0;
const ODD = 1;

function pointAtVma(cpu: Cpu, cursor: number, vma: number): boolean {
  return vma !== 0 && pointAt(cpu, cursor, vma, vmaStart(cpu, vma), vmaEnd(cpu, vma));
}

/** The VMA after `vma`, or 0; 0 has none. */
function vmaAfter(cpu: Cpu, cursor: number, vma: number): number {
  return vma === 0 ? 0 : nextVma(cpu, vma, cursor + Cursor.walk);
}

export const order: TraversalOrder = {
  name: "even-odd",
  idea: "every second VMA upwards, then the ones between",
  first(cpu, mm, cursor) {
    cpu.words[cursor + Cursor.phase] = EVEN;
    return pointAtVma(cpu, cursor, firstVma(cpu, mm, cursor + Cursor.walk));
  },
  next(cpu, mm, cursor, _busy) {
    const skipped = vmaAfter(cpu, cursor, cursorVma(cpu, cursor));
    if (pointAtVma(cpu, cursor, vmaAfter(cpu, cursor, skipped))) return true;
    if (cpu.words[cursor + Cursor.phase] === ODD) return false;
    cpu.words[cursor + Cursor.phase] = ODD;
    const lowest = firstVma(cpu, mm, cursor + Cursor.walk);
    return pointAtVma(cpu, cursor, vmaAfter(cpu, cursor, lowest));
  },
  mayTry: () => false,
};
