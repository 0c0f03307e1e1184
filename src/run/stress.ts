/**
 * Kill after kill on real threads, with every check on. Each is drawn from a seed: protocol, order, reaper, lock
 * granularity, frames, folios, and a small address space of its own.
 */

import { Random } from "../base/random.ts";
import { FRAME_ORDERS, type Mapping } from "../machine/address-space.ts";
import { LOCK_GRANULARITIES } from "../machine/shape.ts";
import { VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import { BenchContext } from "./bench/context.ts";
import { RaceHost, type RaceOptions } from "./race-host.ts";

export interface StressOptions {
  readonly seed: number;
  readonly seconds?: number;
  readonly kills?: number;
  readonly progress: (text: string) => void;
  readonly stopped: () => boolean;
}

export interface StressResult {
  readonly kills: number;
  readonly seconds: number;
  /** Kills in which both sides unmapped pages. */
  readonly shared: number;
  /** Kills in which somebody waited for a PTE lock. */
  readonly contended: number;
  readonly interrupted: boolean;
  /** What broke, with the draw that repeats it. */
  readonly broken: readonly string[];
}

/** Kills of one staged race before the next is drawn: staging costs more than a kill. */
const KILLS_PER_RACE = 40;
const MAX_BROKEN = 5;

const pick = <T>(random: Random, all: readonly T[]): T => all[random.below(all.length)] as T;

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

function drawRace(
  random: Random,
  protocols: readonly Protocol[],
  orders: readonly string[],
): RaceOptions & { order: string } {
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

/** Kills until the time or the number is up, the user stops it, or too much broke. */
export async function runStress(options: StressOptions): Promise<StressResult> {
  const random = new Random(options.seed);
  const context = await BenchContext.open("stress", {
    progress: options.progress,
    stopped: () => false,
    modules: [],
  });
  const protocols = context.kernel.PROTOCOLS.filter((one) => !one.brokenOnPurpose);
  const orders = context.kernel.TRAVERSAL_ORDERS.map(({ name }) => name);
  const since = performance.now();
  const seconds = (): number => (performance.now() - since) / 1000;
  const broken: string[] = [];
  let kills = 0;
  let shared = 0;
  let contended = 0;
  // A kernel second passes in a real millisecond, so that reapers with a delay come in time too.
  await context.setTimerRate(1000);
  const going = (): boolean =>
    !options.stopped() &&
    broken.length < MAX_BROKEN &&
    (options.kills === undefined ? seconds() < (options.seconds ?? 0) : kills < options.kills);
  try {
    while (going()) {
      const race = drawRace(random, protocols, orders);
      const host = new RaceHost(context.kernel, race);
      for (let i = 0; i < KILLS_PER_RACE && going(); i++) {
        kills++;
        options.progress(`${kills} kills, ${broken.length} broken: ${race.protocol} ${race.order} ${race.reaper}`);
        try {
          const { actors } = await host.trial(await context.crewFor(host), race.order);
          if (actors.every((actor) => actor.pages > 0)) shared++;
          const waited = (lock: { class: string; contended: number }): boolean =>
            lock.class === "pte_lock" && lock.contended > 0;
          if (actors.some((actor) => actor.locks.some(waited))) contended++;
        } catch (error) {
          if (!(error instanceof Error) || error.name !== "Violation") throw error;
          broken.push(`kill ${kills} (${describeRace(race)}): ${error.message}`);
          await context.close();
        }
      }
    }
  } finally {
    await context.close();
  }
  return { kills, seconds: seconds(), shared, contended, interrupted: options.stopped(), broken };
}

function describeRace(race: RaceOptions & { order: string }): string {
  const { protocol, order, reaper, lockGranularity, frames } = race;
  return `${protocol}, ${order}, ${reaper}, ${lockGranularity} locks, ${frames} frames`;
}

/** The result in a few lines. */
export function describeStress(result: StressResult): string {
  const rate = Math.round(result.kills / result.seconds);
  const summary =
    `${result.kills} kills in ${result.seconds.toFixed(1)} s (${rate}/s); both sides unmapped in ${result.shared}, ` +
    `PTE locks were contended in ${result.contended}; ${result.broken.length} broke an invariant`;
  return [summary, ...result.broken].join("\n");
}
