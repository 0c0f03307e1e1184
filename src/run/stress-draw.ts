/** What a seed of `oomrace stress` draws: small address spaces, who is in them, and who wants their memory. */

import type { Random } from "../base/random.ts";
import { FRAME_ORDERS, type Mapping } from "../machine/address-space.ts";
import { LOCK_GRANULARITIES } from "../machine/shape.ts";
import { VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import type { RaceOptions } from "./race-host.ts";

/** What may be drawn from. */
export interface StressVariants {
  readonly protocols: readonly Protocol[];
  readonly orders: readonly string[];
}

export type DrawnRace = RaceOptions & { readonly order: string };

export const pick = <T>(random: Random, all: readonly T[]): T => all[random.below(all.length)] as T;

/** A few mappings of a few pages, some sharing page tables, some sparse, some shared with other processes. */
function drawMappings(random: Random): Mapping[] {
  const mappings: Mapping[] = [];
  let startVpn = 0x1000 + random.below(600);
  for (let left = 1 + random.below(12); left > 0; left--) {
    const pages = 1 + random.below(pick(random, [4, 64, 1500]));
    const shared = random.below(8) === 0;
    const flags = VM_READ | VM_WRITE | (shared ? VM_SHARED : 0);
    const first = random.below(pages);
    const some = [first, 1 + random.below(pages - first)];
    const present = shared ? [] : random.below(3) === 0 ? some : "all";
    mappings.push({ startVpn, pages, flags, present, folioOrder: pick(random, [0, 0, 2, 4]) });
    startVpn += pages + random.below(pick(random, [2, 300, 5000]));
  }
  return mappings;
}

/** One victim and one reaper, and nobody else: the race at full speed. */
export function drawRace(random: Random, { protocols, orders }: StressVariants): DrawnRace {
  const { name: protocol, mreleaseSafe } = pick(random, protocols);
  const lockGranularity = pick(random, LOCK_GRANULARITIES);
  const mappings = drawMappings(random);
  return {
    protocol,
    lockGranularity,
    order: pick(random, orders),
    // Where only an OOM victim's teardown shuts the reaper out, an mrelease caller is a known hazard.
    reaper: mreleaseSafe ? pick(random, ["mrelease", "kthread"]) : "kthread",
    // Folios need one lock for all their PTEs.
    mappings: lockGranularity === "pte" ? mappings.map((one) => ({ ...one, folioOrder: 0 })) : mappings,
    frames: pick(random, FRAME_ORDERS),
    levels: pick(random, [4, 5]),
    allocators: 0,
    seed: random.next(),
    traceEvents: 0,
    lockOrder: true,
  };
}

export function describeRace({ protocol, order, reaper, lockGranularity, frames }: DrawnRace): string {
  return `${protocol}, ${order}, ${reaper}, ${lockGranularity} locks, ${frames} frames`;
}
