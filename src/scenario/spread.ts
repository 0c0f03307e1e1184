/** A guess where a mapping's present pages lie, when only their number (Rss) is known. */

import { assert } from "../base/assert.ts";
import { hashString } from "../base/bits.ts";
import { Random } from "../base/random.ts";

/**
 * Mean length of a run of present pages: 16 pages are 64 KiB, the window in which a file fault maps its neighbours
 * (`fault_around_bytes`).
 */
export const MEAN_RUN_PAGES = 16;

/**
 * Spreads `present` of `pages` pages: run lengths are geometric with mean MEAN_RUN_PAGES, the holes between runs are
 * a uniform composition of what is left. Never packed to the start: a single run does not begin at offset 0. The
 * same seed and place give the same runs, whatever other mappings there are.
 *
 * @returns [offset, count, ...] as `PageRuns`, or "all"
 */
export function spreadPages(pages: number, present: number, seed: number, startVpn: number): "all" | Float64Array {
  assert(present >= 0 && present <= pages, `spreadPages: ${present} of ${pages} pages`);
  if (present === pages) return "all";
  const random = new Random(hashString(`${seed}:${startVpn}`));
  const absent = pages - present;
  // Between two runs lies at least one absent page.
  const lengths = drawLengths(present, absent + 1, random);
  const free = absent - Math.max(0, lengths.length - 1);
  const cuts = Float64Array.from(lengths, () => Math.floor(random.unit() * (free + 1))).sort();
  if (lengths.length === 1 && cuts[0] === 0) cuts[0] = 1 + Math.floor(random.unit() * free);
  const runs = new Float64Array(lengths.length * 2);
  let used = 0;
  for (const [i, length] of lengths.entries()) {
    runs[2 * i] = (cuts[i] as number) + used + i;
    runs[2 * i + 1] = length;
    used += length;
  }
  return runs;
}

/** Geometric lengths that add up to `total`, at most `most` of them: the last takes what is left. */
function drawLengths(total: number, most: number, random: Random): number[] {
  const lengths: number[] = [];
  const logStay = Math.log(1 - 1 / MEAN_RUN_PAGES);
  for (let left = total; left > 0; ) {
    const drawn = 1 + Math.floor(Math.log(1 - random.unit()) / logStay);
    const length = lengths.length + 1 === most ? left : Math.min(drawn, left);
    lengths.push(length);
    left -= length;
  }
  return lengths;
}
