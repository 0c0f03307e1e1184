/**
 * Many small VMAs with gaps, as an allocator with many arenas or a JIT leaves them; all pages present. Several VMAs
 * share a PTE table, so both sides take the same lock many times in a row.
 *
 * Sizes: each VMA draws a weight, log-uniform from 1 to 64, has one page, and gets its weight's share of the
 * remaining pages. Gaps: 1 to 16 pages, uniform. Both from the seed.
 */

import { Random } from "../../base/random.ts";
import { VM_ACCOUNT, VM_READ, VM_WRITE } from "../../mm/vma.ts";
import { LAYOUT_START_VPN, type Layout, type LayoutKind, type LayoutRequest, type LayoutVma } from "../layout.ts";
import { assertFits, shapeOf } from "./request.ts";

const NAME = "small-vmas";
const IDEA = "30,000 small VMAs with gaps, several to a page table, all pages present: much walking, few pages";
/** 2 GiB: 17 pages in the mean VMA. */
const DEFAULTS = { pages: 2 ** 19, vmas: 30_000 };
/** A VMA's weight is at most 2^WEIGHT_BITS times another's. */
const WEIGHT_BITS = 6;
const MAX_GAP = 16;

export const smallVmas: LayoutKind = { name: NAME, idea: IDEA, sizes: ["pages", "vmas"], build };

function build(request: LayoutRequest): Layout {
  const { pages, vmas } = shapeOf(NAME, request, DEFAULTS);
  const random = new Random(request.seed);
  const weights = Float64Array.from({ length: vmas }, () => 2 ** (random.unit() * WEIGHT_BITS));
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0);
  const made: LayoutVma[] = [];
  let startVpn = LAYOUT_START_VPN;
  let weightSoFar = 0;
  let handedOut = 0;
  for (const [i, weight] of weights.entries()) {
    // Shares are cut off a running sum, so that they add up to exactly the pages asked for.
    weightSoFar += weight;
    const upTo = i === vmas - 1 ? pages - vmas : Math.floor(((pages - vmas) * weightSoFar) / weightSum);
    const size = 1 + upTo - handedOut;
    handedOut = upTo;
    made.push({ startVpn, pages: size, flags: VM_READ | VM_WRITE | VM_ACCOUNT, present: "all" });
    startVpn += size + 1 + random.below(MAX_GAP);
  }
  assertFits(NAME, startVpn);
  return { name: NAME, idea: IDEA, vmas: made, notes: [] };
}
