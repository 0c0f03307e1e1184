/** From what a CPU counted and returned to its sample. */

import type { AllocatorResult } from "../machine/allocator-roles.ts";
import type { CpuFigures } from "../machine/race.ts";
import type { ActorSample, LockSample, Role, StallSample } from "./samples.ts";

/** What a CPU that ran `role` came to; times count from `originNs` of the CPUs' clock. */
export interface ActorRun {
  readonly role: Role;
  readonly cpuNs: number | undefined;
  /** Of an allocator. */
  readonly result: unknown;
}

/** A side that never walked (the reaper came too late, or the other side tore down) has no wall time of its own. */
export function actorSample({ role, cpuNs, result }: ActorRun, figures: CpuFigures, originNs: number): ActorSample {
  const allocator = role === "allocator" ? (result as AllocatorResult) : undefined;
  const ended = allocator ? figures.finishedNs : figures.leftLastVmaNs;
  return {
    role,
    wallNs: ended === 0 ? 0 : ended - originNs,
    cpuNs: cpuNs ?? null,
    pages: allocator ? allocator.allocated : figures.ptes,
    locks: figures.locks.map(lockSample),
    stalls: allocator ? stallSample(allocator) : null,
  };
}

function stallSample({ stallsUs }: AllocatorResult): StallSample {
  const totalUs = stallsUs.reduce((sum, us) => sum + us, 0);
  return { count: stallsUs.length, totalUs, longestUs: Math.max(0, ...stallsUs), eachUs: stallsUs };
}

function lockSample(lock: CpuFigures["locks"][number]): LockSample {
  return {
    class: lock.name,
    type: lock.kind,
    acquired: lock.acquired,
    contended: lock.contended,
    waitNs: lock.waitNs,
    spinNs: lock.spinNs,
    maxNs: lock.waitMaxNs,
    parked: lock.parked,
    tryFailed: lock.tryFailed,
  };
}
