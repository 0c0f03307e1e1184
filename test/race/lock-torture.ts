/** Sets real threads on one lock and reports what they saw. A hang becomes an error that says who waits for whom. */

import { existsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { ARENA_START, createArena } from "../../src/arena/arena.ts";
import { planMemory, regionOf } from "../../src/arena/region.ts";
import { CACHE_PAIR, struct } from "../../src/arena/struct.ts";
import { describeCycle, describeLocks, readLocks, waitCycle } from "../../src/explore/wait-for.ts";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import type { LockContract } from "../../src/sync/lock-contract.ts";
import { type LockTotals, lockTotals } from "../../src/sync/lock-totals.ts";

const KERNEL = new URL("../../dist/kernel-stress.js", import.meta.url);
const WORKER = new URL("./workers/lock-torture.mjs", import.meta.url);

export type TortureRole = "writer" | "tryingWriter" | "reader" | "downgrader" | "hog";

const MAX_THREADS = 8;
/** The build's own classes have lower numbers. */
const CLS = 31;

const Torture = struct(
  "torture",
  {
    arrived: 1,
    go: 1,
    stop: 1,
    writersIn: { words: 1, align: CACHE_PAIR },
    readersIn: { words: 1, align: CACHE_PAIR },
    /** Plain, guarded by the lock. */
    counter: { words: 1, align: CACHE_PAIR },
    errors: { words: 1, align: CACHE_PAIR },
    never: 1,
    /** Holds per thread. */
    held: MAX_THREADS,
  },
  CACHE_PAIR,
);

export interface TortureOptions {
  readonly kind: LockContract;
  /** One thread each. */
  readonly roles: readonly TortureRole[];
  /** Holds per thread, at most, and milliseconds after which it stops. */
  readonly ops: number;
  readonly deadlineMs: number;
  /** Milliseconds after which threads that have not ended hang. */
  readonly hangMs: number;
}

export interface TortureResult {
  /** Threads that stood at the barrier when it opened. */
  readonly arrived: number;
  /** Times a writer met somebody or a reader met a writer. */
  readonly errors: number;
  /** Increments of a plain word, each under a write hold. */
  readonly counter: number;
  /** Holds per thread. */
  readonly held: readonly number[];
  readonly stats: LockTotals;
}

export async function tortureLock(options: TortureOptions): Promise<TortureResult> {
  const { kind, roles } = options;
  if (!existsSync(KERNEL)) throw new Error(`tortureLock: ${KERNEL.pathname} is missing: run "npm run build"`);
  const map = planMemory(
    [
      { name: "sync", struct: CpuSync, count: MAX_THREADS },
      { name: "lock", struct: kind.struct, count: 1 },
      { name: "torture", struct: Torture, count: 1 },
    ],
    ARENA_START,
  );
  const words = createArena(map);
  const sync = regionOf(map, "sync").base;
  const lock = regionOf(map, "lock").base;
  const base = regionOf(map, "torture").base;
  kind.initLock(words, lock);
  const fields = Object.fromEntries(Torture.FIELDS.map(({ name, offset }) => [name, base + offset]));
  const place = { ...fields, sync, lock, cls: CLS };
  const { ops, deadlineMs } = options;
  const common = { kernel: KERNEL.href, buffer: words.buffer, place, kindName: kind.name, ops, deadlineMs };
  const threads = roles.map((role, id) => new Worker(WORKER, { workerData: { ...common, id, role } }));
  try {
    const ends = Promise.all(threads.map(ended));
    await Promise.race([arrival(words, base + Torture.arrived, roles.length), ends]);
    const arrived = Atomics.load(words, base + Torture.arrived);
    Atomics.store(words, base + Torture.go, 1);
    Atomics.notify(words, base + Torture.go);
    await withinTime(ends, options.hangMs, () => hangReport(words, sync, roles.length, kind));
    return {
      arrived,
      errors: words[base + Torture.errors] as number,
      counter: words[base + Torture.counter] as number,
      held: roles.map((_, id) => words[base + Torture.held + id] as number),
      stats: lockTotals(words, sync, CpuSync.WORDS, MAX_THREADS, CLS),
    };
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}

/** Resolves when the thread's program has ended, rejects when it threw. */
function ended(thread: Worker, id: number): Promise<void> {
  return new Promise((resolve, reject) => {
    thread.once("error", (error) => reject(new Error(`tortureLock: thread ${id} died: ${error.message}`)));
    thread.once("exit", () => resolve());
  });
}

/** Resolves when `count` threads stand at the barrier. */
async function arrival(words: Int32Array, word: number, count: number): Promise<void> {
  for (let seen = Atomics.load(words, word); seen < count; seen = Atomics.load(words, word)) {
    const waiting = Atomics.waitAsync(words, word, seen);
    if (waiting.async) await waiting.value;
  }
}

async function withinTime(work: Promise<unknown>, ms: number, report: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`tortureLock: hang after ${ms} ms\n${report()}`)), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function hangReport(words: Int32Array, base: number, cpus: number, kind: LockContract): string {
  const classNames: string[] = [];
  classNames[CLS] = kind.name;
  const ownerOf = (all: Int32Array, lock: number): number => kind.writerOf(all, lock);
  const locks = readLocks({ words, base, stride: CpuSync.WORDS, cpus, classNames, ownerOf });
  const lines = locks.map((cpu) => `CPU ${cpu.cpu} ${cpu.state}: ${describeLocks(cpu)}`);
  const cycle = waitCycle(locks);
  return [...lines, ...(cycle ? [describeCycle(cycle)] : [])].join("\n");
}
