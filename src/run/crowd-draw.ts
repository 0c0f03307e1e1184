/** Crowds as a seed of `oomrace stress` draws them: memory of all kinds, and people of all kinds. */

import type { Random } from "../base/random.ts";
import { countPresent, FRAME_ORDERS, type Mapping } from "../machine/address-space.ts";
import {
  type CrowdBystander,
  type CrowdMachine,
  type CrowdSetup,
  type CrowdVictim,
  crowdCpus,
  type Visitor,
} from "../machine/crowd-setup.ts";
import { LOCK_GRANULARITIES } from "../machine/shape.ts";
import { VM_HUGETLB, VM_LOCKED, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE } from "../mm/vma.ts";
import { pick, type StressVariants } from "./stress-draw.ts";

export interface DrawnCrowd {
  readonly setup: CrowdSetup;
  readonly machine: CrowdMachine;
}

const RW = VM_READ | VM_WRITE;
const FIRST_VPN = 0x1000;
/** A huge page, in pages. */
const HUGE = 512;
/** With more threads on a few processors, starting them would take longer than the kills. */
export const MAX_CROWD_CPUS = 14;
/** Who dies when the memory of the victims has not come back yet. */
const STUCK = 4;
/** Frames that bystanders may come to need: copies, tables, what a gather takes. */
const GROWTH = 80;

type Kind = Omit<Mapping, "startVpn">;

/** One of each kind that an address space can have beside its main mapping. */
const KINDS: readonly Kind[] = [
  { pages: 8, flags: RW, present: [0, 2], filePages: [2, 5] },
  { pages: 6, flags: RW | VM_SHARED, present: [], filePages: [1, 4], shmem: true },
  { pages: 10, flags: RW, present: [0, 3], swapped: [3, 6] },
  { pages: 6, flags: RW | VM_LOCKED, present: "all" },
  { pages: 4, flags: RW | VM_PFNMAP, present: "all" },
  { pages: 2 * HUGE, flags: RW, present: [HUGE, 3], huge: [0, HUGE] },
  { pages: HUGE, flags: RW | VM_SHARED | VM_HUGETLB, present: [], huge: [0, HUGE] },
];

/** The main mapping, sparse or not, and some of the other kinds behind it. */
function drawMappings(random: Random, folios: boolean): Mapping[] {
  const pages = 100 + random.below(500);
  const first = random.below(20);
  const present = random.below(2) === 0 ? "all" : [first, pages - first - random.below(20)];
  const folioOrder = folios ? pick(random, [0, 0, 2]) : 0;
  const mappings: Mapping[] = [{ startVpn: FIRST_VPN + random.below(600), pages, flags: RW, present, folioOrder }];
  for (const kind of KINDS) {
    if (random.below(2) === 0) continue;
    const { startVpn, pages: before } = mappings[mappings.length - 1] as Mapping;
    // Two pages apart at least, as an access may go beyond an end.
    const free = startVpn + before + 2 + random.below(pick(random, [2, 700]));
    mappings.push({ ...kind, startVpn: kind.huge ? Math.ceil(free / HUGE) * HUGE : free });
  }
  return mappings;
}

function drawVisitors(random: Random): readonly Visitor[] {
  return pick<readonly Visitor[]>(random, [[], [], ["crowdReader"], ["crowdKthread"], ["crowdReader", "crowdKthread"]]);
}

function drawVictim(random: Random, folios: boolean): CrowdVictim {
  const threads = random.below(3);
  return {
    mappings: drawMappings(random, folios),
    threads,
    sharers: pick(random, [0, 0, 1]),
    visitors: drawVisitors(random),
    forked: random.below(2) === 0,
    accesses: pick(random, [20, 100, 400]),
    dumpUs: threads > 0 && random.below(6) === 0 ? 50_000 : 0,
    aioUs: pick(random, [0, 0, 0, 300_000]),
    oomScoreAdj: 200 + random.below(200),
  };
}

function drawBystander(random: Random): CrowdBystander {
  return {
    pages: 4 + random.below(16),
    sharesFile: random.below(2) === 0,
    accesses: pick(random, [50, 200, 600]),
    children: random.below(4),
    childAccesses: 20,
  };
}

/** A third of what the victims have, in parts: more comes back, so nobody is left without a victim for long. */
function drawDemand(random: Random, victims: readonly CrowdVictim[], { pages }: CrowdBystander): number[] {
  const freed = victims.reduce((sum, { mappings }) => sum + countPresent(mappings), 0);
  const wanted = Math.max(24, Math.floor(freed / 3) - 3 * pages - GROWTH);
  const parts = 1 + random.below(3);
  return Array.from({ length: parts }, () => Math.ceil(wanted / parts));
}

/** Victims, bystanders, allocators and a reaper on one machine, of MAX_CROWD_CPUS at most. */
export function drawCrowd(random: Random, variants: StressVariants): DrawnCrowd {
  for (;;) {
    const drawn = drawAnyCrowd(random, variants);
    if (crowdCpus(drawn.setup) <= MAX_CROWD_CPUS) return drawn;
  }
}

function drawAnyCrowd(random: Random, { protocols, orders }: StressVariants): DrawnCrowd {
  const { name: protocol, mreleaseSafe } = pick(random, protocols);
  const lockGranularity = pick(random, LOCK_GRANULARITIES);
  // Folios need one lock for all their PTEs.
  const folios = lockGranularity !== "pte";
  const victims = Array.from({ length: 1 + random.below(3) }, () => drawVictim(random, folios));
  const bystander = drawBystander(random);
  const setup = {
    protocol,
    order: pick(random, orders),
    frames: pick(random, FRAME_ORDERS),
    seed: random.below(2 ** 30),
    victims,
    bystander,
    stuck: STUCK,
    allocators: drawDemand(random, victims, bystander),
    mreleaseCalls: mreleaseSafe && random.below(2) === 0 ? 20 : 0,
  };
  return { setup, machine: { lockGranularity, levels: pick(random, [4, 5]) } };
}

export function describeCrowd({ setup, machine }: DrawnCrowd): string {
  const { protocol, order, frames, victims, bystander, mreleaseCalls, allocators } = setup;
  const people = victims.map(describeVictim).join(" and ");
  const others = [
    `${allocators.length} allocators`,
    bystander.children > 0 ? "a bystander that forks" : "a bystander",
    ...(mreleaseCalls > 0 ? ["mrelease"] : []),
  ];
  return `${protocol}, ${order}, ${machine.lockGranularity} locks, ${frames} frames: ${people}; ${others.join(", ")}`;
}

function describeVictim({ threads, sharers, visitors, forked, dumpUs, aioUs }: CrowdVictim): string {
  const words = [`${forked ? "forked " : ""}victim of ${1 + threads} threads`];
  if (sharers > 0) words.push(`${sharers} sharer`);
  if (dumpUs > 0) words.push("a core dump");
  if (aioUs > 0) words.push("I/O");
  return [...words, ...visitors.map((visitor) => (visitor === "crowdReader" ? "a reader" : "a kthread"))].join(" + ");
}
