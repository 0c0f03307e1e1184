/**
 * Who waits for which lock and who holds it, read from the per-CPU words of `sync/`: for deadlock reports and the
 * watchdog. Reads memory that may change meanwhile, so every answer is a best effort.
 */

import { CPU_STATE_NAMES, CpuSync, MAX_HELD } from "../sync/cpu-sync.ts";
import { HELD_READ, HELD_READ_RECURSIVE } from "../sync/lock-order.ts";

/** Where the CPUs keep their `CpuSync`, and what the kernel build at hand calls its lock classes. */
export interface SyncPlace {
  readonly words: Int32Array;
  /** Word address of CPU 0's struct, and the distance to the next. */
  readonly base: number;
  readonly stride: number;
  readonly cpus: number;
  /** `lockClassNames()` of the kernel that runs: each bundle numbers its own. */
  readonly classNames: readonly string[];
  /** CPU number of a lock's holder, -1 when free or unknown. Builds without CHECKED keep no list of held locks. */
  readonly ownerOf?: (words: Int32Array, lock: number, cls: number) => number;
}

export interface HeldLock {
  readonly lock: number;
  readonly className: string;
  readonly read: boolean;
}

export interface CpuLocks {
  readonly cpu: number;
  /** One of CPU_STATE_NAMES. */
  readonly state: string;
  readonly awaited?: HeldLock;
  /** CPUs that hold the awaited lock, as far as known. */
  readonly holders: readonly number[];
  readonly held: readonly HeldLock[];
}

function heldBy(place: SyncPlace, cpu: number): HeldLock[] {
  const { words, classNames } = place;
  const at = place.base + cpu * place.stride;
  const count = Math.min(Math.max(words[at + CpuSync.heldCount] as number, 0), MAX_HELD);
  const held: HeldLock[] = [];
  for (let i = 0; i < count; i++) {
    const lock = words[at + CpuSync.held + i * 2] as number;
    const how = words[at + CpuSync.held + i * 2 + 1] as number;
    const read = (how & (HELD_READ | HELD_READ_RECURSIVE)) !== 0;
    held.push({ lock, className: classNames[how & 0xff] ?? `class ${how & 0xff}`, read });
  }
  return held;
}

/** One record per CPU, by number. */
export function readLocks(place: SyncPlace): CpuLocks[] {
  const { words, classNames } = place;
  const held = Array.from({ length: place.cpus }, (_, cpu) => heldBy(place, cpu));
  return held.map((own, cpu) => {
    const at = place.base + cpu * place.stride;
    const state = CPU_STATE_NAMES[words[at + CpuSync.state] as number] ?? "?";
    const lock = words[at + CpuSync.awaited] as number;
    if (lock === 0) return { cpu, state, holders: [], held: own };
    const cls = words[at + CpuSync.awaitedClass] as number;
    const holders = held.flatMap((locks, other) => (locks.some((h) => h.lock === lock) ? [other] : []));
    const owner = place.ownerOf?.(words, lock, cls) ?? -1;
    if (owner >= 0 && owner < place.cpus && !holders.includes(owner)) holders.push(owner);
    const awaited = { lock, className: classNames[cls] ?? `class ${cls}`, read: false };
    return { cpu, state, awaited, holders, held: own };
  });
}

/** CPUs that wait for each other in a circle, each for the next; undefined when there is none. */
export function waitCycle(locks: readonly CpuLocks[]): number[] | undefined {
  for (const { cpu: start } of locks) {
    const path = circleFrom(locks, start, start, []);
    if (path) return path;
  }
  return undefined;
}

function circleFrom(locks: readonly CpuLocks[], start: number, cpu: number, path: number[]): number[] | undefined {
  if (path.includes(cpu)) return undefined;
  const longer = [...path, cpu];
  for (const holder of locks[cpu]?.holders ?? []) {
    if (holder === start) return longer;
    const found = circleFrom(locks, start, holder, longer);
    if (found) return found;
  }
  return undefined;
}

/** What a program calls its words; for reports that know none better. */
export function wordNumber(word: number): string {
  return `word ${word}`;
}

function describeLock(lock: HeldLock, describe: (word: number) => string): string {
  return `${lock.className}${lock.read ? " (read)" : ""} at ${describe(lock.lock)}`;
}

/** What a CPU waits for and holds: "awaits ptl at word 96, held by CPU 1; holds mmapLock at word 64". */
export function describeLocks(cpu: CpuLocks, describe = wordNumber): string {
  const parts: string[] = [];
  if (cpu.awaited) {
    const by = cpu.holders.length > 0 ? `held by CPU ${cpu.holders.join(" and ")}` : "holder unknown";
    parts.push(`awaits ${describeLock(cpu.awaited, describe)}, ${by}`);
  }
  if (cpu.held.length > 0) parts.push(`holds ${cpu.held.map((lock) => describeLock(lock, describe)).join(", ")}`);
  return parts.join("; ");
}

/** "CPU 0 waits for CPU 1, which waits for CPU 0" */
export function describeCycle(cycle: readonly number[]): string {
  const [first, ...rest] = cycle;
  const chain = [...rest, first].map((cpu) => `waits for CPU ${cpu}`);
  return `CPU ${first} ${chain.join(", which ")}`;
}
