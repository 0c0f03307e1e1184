/** Runs of pages, and arithmetic on them. */

import { assert } from "../base/assert.ts";
import type { PresentRuns } from "../machine/address-space.ts";
import { spreadPages } from "./spread.ts";

/** Pages of a VMA: [offset, count, offset, count, ...] from its start, ascending, never touching. */
export type PageRuns = PresentRuns;

/** Reads "0+12 40+3"; undefined where it is something else, or not ascending and apart, or reaches beyond `pages`. */
export function parseRuns(value: string, pages: number): PageRuns | undefined {
  const runs: number[] = [];
  let end = -1;
  for (const word of value.split(/ +/)) {
    const match = /^(\d{1,15})\+(\d{1,15})$/.exec(word);
    if (match === null) return undefined;
    const [offset, count] = [Number(match[1]), Number(match[2])];
    if (offset <= end || count === 0 || offset + count > pages) return undefined;
    end = offset + count;
    runs.push(offset, count);
  }
  return runs;
}

export function countRuns(runs: PageRuns): number {
  let pages = 0;
  for (let i = 1; i < runs.length; i += 2) pages += runs[i] as number;
  return pages;
}

/** All pages of two lists of runs that share none. */
export function joinRuns(a: PageRuns, b: PageRuns): PageRuns {
  const runs: number[] = [];
  for (let i = 0, k = 0; i < a.length || k < b.length; ) {
    const fromA = k >= b.length || (i < a.length && (a[i] as number) < (b[k] as number));
    const [list, at] = fromA ? [a, i] : [b, k];
    const [offset, count] = [list[at] as number, list[at + 1] as number];
    if (runs.length > 0 && (runs.at(-2) as number) + (runs.at(-1) as number) === offset)
      runs.push((runs.pop() as number) + count);
    else runs.push(offset, count);
    if (fromA) i += 2;
    else k += 2;
  }
  return runs;
}

/** The first page that is in two of the lists; undefined when they share none. */
export function sharedPage(...lists: readonly PageRuns[]): number | undefined {
  const all: [offset: number, count: number][] = [];
  for (const runs of lists) {
    for (let i = 0; i < runs.length; i += 2) all.push([runs[i] as number, runs[i + 1] as number]);
  }
  let end = 0;
  for (const [offset, count] of all.sort(([a], [b]) => a - b)) {
    if (offset < end) return offset;
    end = offset + count;
  }
  return undefined;
}

/** The pages of `runs` that are not in `taken`, all of which are in `runs`. */
export function runsWithout(runs: PageRuns, taken: PageRuns): PageRuns {
  const left: number[] = [];
  let t = 0;
  for (let i = 0; i < runs.length; i += 2) {
    let from = runs[i] as number;
    const end = from + (runs[i + 1] as number);
    for (; t < taken.length && (taken[t] as number) < end; t += 2) {
      const at = taken[t] as number;
      assert(at >= from, `runsWithout: run at ${at} is no part of the runs`);
      if (at > from) left.push(from, at - from);
      from = at + (taken[t + 1] as number);
    }
    if (from < end) left.push(from, end - from);
  }
  return left;
}

/** What of the runs is whole units of `unit` pages at addresses that are multiples of it. */
export function alignedRuns(runs: PageRuns, startVpn: number, unit: number): PageRuns {
  const aligned: number[] = [];
  for (let i = 0; i < runs.length; i += 2) {
    const first = startVpn + (runs[i] as number);
    const from = Math.ceil(first / unit) * unit;
    const count = Math.floor((first + (runs[i + 1] as number)) / unit) * unit - from;
    if (count > 0) aligned.push(from - startVpn, count);
  }
  return aligned;
}

/** Whether `runs` are whole units of `unit` pages out of `whole`, which consists of such. */
export function areWholeIn(runs: PageRuns, whole: PageRuns, unit: number): boolean {
  let w = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const [offset, count] = [runs[i] as number, runs[i + 1] as number];
    while (w < whole.length && (whole[w] as number) + (whole[w + 1] as number) <= offset) w += 2;
    const from = whole[w];
    if (from === undefined || offset < from || offset + count > from + (whole[w + 1] as number)) return false;
    if ((offset - from) % unit !== 0 || count % unit !== 0) return false;
  }
  return true;
}

/** A guess: `count` pages of `free`, as `spreadPages` spreads them, in pieces of `unit` pages (which `free` consists of). */
export function pickRuns(free: PageRuns, count: number, seed: number, startVpn: number, unit = 1): PageRuns {
  const units = countRuns(free) / unit;
  const spread = spreadPages(units, count / unit, seed, startVpn);
  const picked = spread === "all" ? [0, units] : spread;
  const runs: number[] = [];
  /** Index of the run of `free` that holds the next page, and how many pages of `free` lie before that run. */
  let f = 0;
  let before = 0;
  for (let i = 0; i < picked.length; i += 2) {
    let at = (picked[i] as number) * unit;
    for (let left = (picked[i + 1] as number) * unit; left > 0; ) {
      for (; at >= before + (free[f + 1] as number); f += 2) before += free[f + 1] as number;
      const inside = at - before;
      const piece = Math.min(left, (free[f + 1] as number) - inside);
      runs.push((free[f] as number) + inside, piece);
      at += piece;
      left -= piece;
    }
  }
  return runs;
}
