/** Running a traversal order by hand, and writing down where it points. */

import { CpuMm } from "../../../src/mm/cpu-mm.ts";
import { Cursor, cursorEnd, cursorStart, cursorVma } from "../../../src/mm/traversal/cursor.ts";
import type { TraversalOrder } from "../../../src/mm/traversal/order.ts";
import type { MmMachine } from "../mm-machine.ts";

export interface Range {
  readonly vma: number;
  readonly start: number;
  readonly end: number;
  /** What the walker was told about this range: its lock was held, come back later. */
  readonly busy: boolean;
}

/** Answers "busy" or not for a range that the order is willing to try. */
export type Busy = (start: number, end: number) => boolean;

const MOST_RANGES = 40_000;

/**
 * The ranges of a whole walk, in order. With `hop`, the cursor's words move to the other CPU after each range and the
 * walk goes on there.
 */
export function walkOrder(
  m: MmMachine,
  mm: number,
  order: TraversalOrder,
  busy: Busy = () => false,
  hop = false,
): Range[] {
  const cpus = [m.handle(0), m.handle(1)] as const;
  const ranges: Range[] = [];
  let at = 0;
  let cursor = cpus[0].mm + CpuMm.cursor;
  let more = order.first(cpus[0], mm, cursor);
  while (more) {
    if (ranges.length === MOST_RANGES) throw new Error(`walkOrder: ${order.name} does not end`);
    const cpu = cpus[at] as (typeof cpus)[0];
    const [start, end] = [cursorStart(cpu, cursor), cursorEnd(cpu, cursor)];
    const left = order.mayTry(cpu, cursor) && busy(start, end);
    ranges.push({ vma: cursorVma(cpu, cursor), start, end, busy: left });
    if (hop) {
      at = 1 - at;
      const there = (cpus[at] as (typeof cpus)[0]).mm + CpuMm.cursor;
      m.words.copyWithin(there, cursor, cursor + Cursor.WORDS);
      m.words.fill(0, cursor, cursor + Cursor.WORDS);
      cursor = there;
    }
    more = order.next(cpus[at] as (typeof cpus)[0], mm, cursor, left);
  }
  return ranges;
}

/** [start, end] of each range. */
export function places(ranges: readonly Range[]): [number, number][] {
  return ranges.map(({ start, end }) => [start, end]);
}
