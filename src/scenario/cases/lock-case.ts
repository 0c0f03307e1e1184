/** What the lock cases have in common: a machine with one lock and nobody but those who fight over it. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { Violation } from "../../base/errors.ts";
import { LAB_CLASS, LockLab } from "../../machine/lock-lab.ts";
import { findLock, type LockPlan, type LockUse } from "../../machine/lock-roles.ts";
import type { MachineMap } from "../../machine/memory-map.ts";
import type { MachineShape } from "../../machine/shape.ts";
import type { CaseRole, CaseVariant } from "../case.ts";

/** As little as a machine can be: no case of a lock has a page or a process. */
const SHAPE: Partial<MachineShape> = {
  frames: 2,
  tables: 1,
  vmas: 1,
  mms: 1,
  tasks: 1,
  lockOrder: false,
  lockLab: true,
};
/** Every machine has one; none of these looks at it. */
const PROTOCOL = "v6.18";

/** By CPU, what it does. */
export type Plans<Use> = readonly (readonly Use[])[];

export interface LockCase extends Pick<LockPlan, "mostSleeps" | "overdue"> {
  readonly lock: string;
  readonly plans: Plans<LockUse>;
}

/** CPUs that take the lock in turns, and must leave it as good as new. */
export function lockCase({ lock, plans, ...asked }: LockCase): CaseVariant {
  const kind = findLock(lock);
  return {
    ...machineOf(plans.length),
    label: lock,
    *stage(cpu, map) {
      const lab = labOf(map);
      kind.initLock(cpu.words, lab + LockLab.lock);
      return staged("locker", plans, { lab, lock, ...asked });
    },
    end: (cpu, [first]) => mustBeFree(cpu, first?.params.lab as number, lock),
  };
}

/** CPUs that meet on a completion or a wait queue: `role` is one of `eventRoles`. */
export function eventCase<Use extends string>(role: string, label: string, plans: Plans<Use>): CaseVariant {
  return {
    ...machineOf(plans.length),
    label,
    *stage(_cpu, map) {
      return staged(role, plans, { lab: labOf(map) });
    },
  };
}

function machineOf(cpus: number): Pick<CaseVariant, "protocol" | "shape"> {
  return { protocol: PROTOCOL, shape: { ...SHAPE, cpus } };
}

function labOf({ lockLab }: MachineMap): number {
  return lockLab?.base as number;
}

function staged(role: string, plans: Plans<string>, params: Readonly<Record<string, unknown>>): CaseRole[] {
  return plans.map((plan) => ({ role, params: { ...params, plan }, title: plan.join(", ") }));
}

/** Nobody holds it, nobody is queued, and the next one gets it and leaves every word as it was at first. */
function* mustBeFree(cpu: Cpu, lab: number, name: string): Steps<void> {
  const kind = findLock(name);
  const lock = lab + LockLab.lock;
  const asNew = new Int32Array(kind.struct.WORDS);
  kind.initLock(asNew, 0);
  const holder = kind.writerOf(cpu.words, lock);
  if (holder >= 0) throw new Violation("lock words", `the ${name} is free, but its words name CPU ${holder}`);
  if (kind.trylockWrite) {
    if (!(yield* kind.trylockWrite(cpu, lock, LAB_CLASS))) {
      throw new Violation("lock words", `the ${name} is free, but cannot be had`);
    }
    yield* kind.unlockWrite(cpu, lock, LAB_CLASS);
  }
  const odd = asNew.findIndex((word, i) => word !== cpu.words[lock + i]);
  if (odd >= 0) throw new Violation("lock words", `word ${odd} of the free ${name} is ${cpu.words[lock + odd]}`);
}
