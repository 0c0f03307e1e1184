/**
 * The parallel engine: long-lived workers, one per CPU, that run trials together at full speed. Boot, start, collect and
 * stop go through messages; while a trial runs, everything goes through memory. The main thread never blocks.
 */

import { UsageError } from "../base/errors.ts";
import type { SyncPlace } from "../explore/wait-for.ts";
import { commonNs } from "./common-clock.ts";
import type { CpuReply, CpuTimeSource, PlainRecord } from "./messages.ts";
import { StartBarrier } from "./start-barrier.ts";
import { watch } from "./watchdog.ts";
import { WorkerLink } from "./worker-link.ts";

export interface CrewOptions {
  /** Built worker entry: "worker-parallel.js" or "worker-stress.js" of `dist/`. */
  readonly worker: URL;
  readonly cpus: number;
  /** URLs of built modules of a user, loaded by every worker: more roles, protocols, orders. */
  readonly modules?: readonly string[];
  /** Emulated kernel microseconds per real nanosecond; 1/1000 makes a kernel second a real one. */
  readonly usPerNs?: number;
}

/** The arena that a crew works on. */
export interface CrewArena {
  readonly arena: SharedArrayBuffer;
  /** Plain description from which each worker's kernel finds its way in the arena. */
  readonly machine: unknown;
  /** For the watchdog's report. */
  readonly sync: SyncPlace;
  /** Arena word that roles poll to see whether they shall stop. */
  readonly stopWord?: number;
}

/** What one CPU runs in a trial. */
export interface Assignment {
  readonly cpu: number;
  readonly role: string;
  readonly params: PlainRecord;
}

export interface CpuResult {
  readonly cpu: number;
  readonly role: string;
  readonly result: PlainRecord | undefined;
  /** From the barrier's release until the role returned, in nanoseconds. */
  readonly wallNs: number;
  /** CPU time of the thread meanwhile; undefined when not available. */
  readonly cpuNs: number | undefined;
}

export interface TrialResult {
  /** When the barrier opened, in nanoseconds of the CPUs' clock. */
  readonly releaseNs: number;
  /** From release until the last CPU returned, in nanoseconds. */
  readonly wallNs: number;
  /** In the order of the assignments. */
  readonly cpus: readonly CpuResult[];
}

export interface CpuTimeInfo {
  readonly source: CpuTimeSource;
  readonly resolutionNs: number;
}

/** A kernel second is a real second. */
const REAL_TIME_US_PER_NS = 1 / 1000;
export const DEFAULT_HANG_MS = 10_000;

export class Crew {
  readonly #options: CrewOptions;
  readonly #links: readonly WorkerLink[];
  readonly #control = new SharedArrayBuffer(StartBarrier.BYTES);
  readonly #barrier = new StartBarrier(this.#control);
  readonly #originNs = commonNs();
  #arena: CrewArena | undefined;
  #cpuTime: CpuTimeInfo = { source: "not available", resolutionNs: 0 };

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#links = Array.from({ length: options.cpus }, (_, id) => new WorkerLink(options.worker, id));
  }

  /** How CPU time is measured on these workers; known after `attach`. */
  get cpuTime(): CpuTimeInfo {
    return this.#cpuTime;
  }

  /** Gives the workers an arena to work on, in place of any former one. Those beyond its CPUs stay idle. */
  async attach(arena: CrewArena): Promise<void> {
    const { modules = [], usPerNs = REAL_TIME_US_PER_NS } = this.#options;
    const port = { engine: "parallel", originNs: this.#originNs, usPerNs, control: this.#control } as const;
    const requests = this.#links
      .slice(0, arena.sync.cpus)
      .map((link) =>
        link.request({ type: "attach", id: link.id, arena: arena.arena, machine: arena.machine, port, modules }),
      );
    for (const reply of await this.#settle(requests)) this.#noteCpuTime(reply);
    this.#arena = arena;
  }

  /**
   * Runs one trial: the assigned CPUs start together, the others stay idle. Rejects with the Violation, CpuError or
   * HangError that ended it; the workers are gone then, and the arena is as they left it.
   */
  async trial(assignments: readonly Assignment[], hangMs = DEFAULT_HANG_MS): Promise<TrialResult> {
    const arena = this.#arena;
    if (!arena) throw new UsageError("trial: attach an arena first");
    checkAssignments(assignments, this.#links.length);
    const parties = assignments.length;
    const runs = assignments.map(({ cpu, role, params }) =>
      (this.#links[cpu] as WorkerLink).request({ type: "run", role, params, parties }),
    );
    const running = new Map(assignments.map(({ cpu, role }) => [cpu, role]));
    let unwatch = (): void => {};
    const hang = new Promise<never>((_, reject) => {
      unwatch = watch({ place: arena.sync, limitMs: hangMs, running, onHang: reject });
    });
    try {
      return this.#collect(assignments, await this.#settle(runs, hang));
    } finally {
      unwatch();
    }
  }

  /** Asks roles that poll the arena's stop word to return. */
  requestStop(): void {
    const { arena, stopWord } = this.#arena ?? {};
    if (!arena || stopWord === undefined) throw new UsageError("requestStop: this arena has no stop word");
    const words = new Int32Array(arena);
    Atomics.store(words, stopWord, 1);
    Atomics.notify(words, stopWord);
  }

  /** Ends the workers, whatever they are doing. */
  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.terminate()));
  }

  /** All replies; when one fails (or the trial hangs) nobody can be relied on to come back, so all are ended. */
  async #settle(requests: readonly Promise<CpuReply>[], hang?: Promise<never>): Promise<CpuReply[]> {
    const all = Promise.all(requests);
    try {
      return await (hang ? Promise.race([all, hang]) : all);
    } catch (error) {
      all.catch(() => {});
      await this.close();
      throw error;
    }
  }

  #noteCpuTime(reply: CpuReply): void {
    if (reply.type !== "attached") return;
    const { cpuTimeSource: source, cpuTimeResolutionNs } = reply;
    this.#cpuTime = { source, resolutionNs: Math.max(this.#cpuTime.resolutionNs, cpuTimeResolutionNs) };
  }

  #collect(assignments: readonly Assignment[], replies: readonly CpuReply[]): TrialResult {
    const releaseNs = this.#barrier.releasedAtNs - this.#originNs;
    const cpus = replies.flatMap((reply, i): CpuResult[] => {
      if (reply.type !== "ran") return [];
      const { cpu, role } = assignments[i] as Assignment;
      return [{ cpu, role, result: reply.result, wallNs: reply.endNs - releaseNs, cpuNs: reply.cpuNs }];
    });
    return { releaseNs, wallNs: Math.max(...cpus.map((cpu) => cpu.wallNs)), cpus };
  }
}

function checkAssignments(assignments: readonly Assignment[], cpus: number): void {
  if (assignments.length === 0) throw new UsageError("trial: no CPU has anything to run");
  const seen = new Set<number>();
  for (const { cpu } of assignments) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= cpus) throw new UsageError(`trial: no CPU ${cpu}, only ${cpus}`);
    if (seen.has(cpu)) throw new UsageError(`trial: CPU ${cpu} is assigned twice`);
    seen.add(cpu);
  }
}
