/**
 * The memory-back curve of one kill: how much of the victim's memory was on free lists when. Read from the trace, where
 * every flush of a gather says how many pages it freed (`mm_pages_freed`).
 */

import { MM_PAGES_FREED } from "../trace/event.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { formatCount, formatNs } from "./format.ts";
import { renderTable, right, type TableOptions } from "./table.ts";

/** Pages freed up to a time. */
export interface CurvePoint {
  /** Nanoseconds since the kill. */
  readonly ns: number;
  readonly pages: number;
}

/** Shares of the victim's pages whose time is reported. */
export const MEMORY_BACK_SHARES = [0.5, 0.9, 1] as const;

export interface MemoryBack {
  /** Of `MEMORY_BACK_SHARES`. */
  readonly share: number;
  readonly pages: number;
  /** Nanoseconds since the kill; null when that much never came back. */
  readonly ns: number | null;
}

/**
 * The curve of the mm at word address `mm`: one point per flush, on all CPUs together, ascending. Times of `records` count
 * from the kill.
 */
export function memoryBackCurve(records: readonly TraceRecord[], mm: number): CurvePoint[] {
  let pages = 0;
  return records
    .filter(({ event, a, b }) => event === MM_PAGES_FREED && a === mm && b > 0)
    .toSorted((x, y) => x.timeNs - y.timeNs)
    .map(({ timeNs, b }) => {
      pages += b;
      return { ns: Math.max(0, timeNs), pages };
    });
}

/** When each share of `total` pages was back. */
export function memoryBackTimes(curve: readonly CurvePoint[], total: number): MemoryBack[] {
  return MEMORY_BACK_SHARES.map((share) => {
    const pages = Math.ceil(total * share);
    const reached = curve.find((point) => point.pages >= pages);
    return { share, pages, ns: reached?.ns ?? null };
  });
}

const BAR = 40;
const STEPS = 10;

/** The curve as rows at equal times, a bar for the share that is back, and the three times below. */
export function renderMemoryBack(curve: readonly CurvePoint[], total: number, options: TableOptions = {}): string {
  const end = curve.at(-1)?.ns ?? 0;
  const rows = Array.from({ length: end > 0 ? STEPS : 0 }, (_, i) => {
    const ns = (end * (i + 1)) / STEPS;
    const pages = curve.findLast((point) => point.ns <= ns)?.pages ?? 0;
    const share = total === 0 ? 0 : pages / total;
    return [formatNs(ns), formatCount(pages), `${"#".repeat(Math.round(share * BAR)).padEnd(BAR, ".")}`];
  });
  const times = memoryBackTimes(curve, total).map(
    ({ share, ns }) => `${Math.round(share * 100)} % ${ns === null ? "never" : `after ${formatNs(ns)}`}`,
  );
  const indent = " ".repeat(options.indent ?? 0);
  const table =
    rows.length === 0 ? [] : [renderTable([right("since kill"), right("pages back"), right("")], rows, options)];
  return [...table, `${indent}of ${formatCount(total)} pages: ${times.join(", ")}`].join("\n");
}
