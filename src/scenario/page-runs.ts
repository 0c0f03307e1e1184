/** Runs of pages as a recording writes them. */

import type { PageRuns } from "./layout.ts";
import type { PageKind } from "./pagemap.ts";

/** Field of a recording, and the kind of page in pagemap that it lists. */
export const RUN_FIELDS = { AnonRuns: "anon", FileRuns: "file", SwapRuns: "swapped" } as const satisfies Readonly<
  Record<string, PageKind>
>;
export type RunField = keyof typeof RUN_FIELDS;

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
