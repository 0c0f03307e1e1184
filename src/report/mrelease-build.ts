/** From real kills in pairs to speed-ups, and to the emulated kill that each stands beside. */

import { median } from "../base/median.ts";
import type { Reaper } from "../machine/race.ts";
import type { RawMrelease, RawMreleaseRow } from "../run/bench/record.ts";
import { isKernelSince } from "../run/native-mrelease.ts";
import type { BenchBlock, EmulatedSpeedup, Mrelease, MreleaseRow } from "./bench-result.ts";
import { compare } from "./stats.ts";

/** First kernel whose reaper takes the VMAs from the highest down (5e1953dc71af). */
const REVERSE_SINCE = [6, 18] as const;

export function buildMrelease(raw: RawMrelease, reaper: Reaper, blocks: readonly BenchBlock[], seed: number): Mrelease {
  if (raw.state === "absent") return raw;
  const order = isKernelSince(raw.release, REVERSE_SINCE) ? "reverse" : "forward";
  // A kthread waits before it reaps: no counterpart of a call right after the kill.
  const candidates = reaper === "mrelease" ? blocks : [];
  return { ...raw, rows: raw.rows.map((row) => buildRow(row, order, candidates, seed)) };
}

function buildRow(row: RawMreleaseRow, order: string, blocks: readonly BenchBlock[], seed: number): MreleaseRow {
  if (row.state === "absent") return row;
  const reaped = row.pairs.filter((pair) => pair.reaped.error === null);
  const aloneNs = reaped.map(({ alone }) => alone.killToWaitNs);
  const reapedNs = reaped.map((pair) => pair.reaped.killToWaitNs);
  const none = reaped.length === 0;
  return {
    ...row,
    notReaped: row.pairs.length - reaped.length,
    aloneNs: none ? null : median(aloneNs),
    reapedNs: none ? null : median(reapedNs),
    speedup: none ? null : compare(aloneNs, reapedNs, seed),
    emulated: emulatedSpeedup(row, order, blocks),
  };
}

/** Of the block of the same layout and size whose frames lie as a fresh victim's do: in sequence. */
function emulatedSpeedup(
  { layout, pages }: RawMreleaseRow,
  order: string,
  blocks: readonly BenchBlock[],
): EmulatedSpeedup | null {
  for (const block of blocks) {
    if (block.state !== "measured" || block.setup.frames !== "sequential") continue;
    if (block.layout.name !== layout || block.layout.presentPages !== pages) continue;
    const solo = block.variants.find((variant) => variant.order === null);
    const { ratio } =
      block.comparisons.find((one) => one.metric === "phase" && one.a === solo?.name && one.b === order) ?? {};
    if (ratio !== undefined) return { order, speedup: ratio };
  }
  return null;
}
