/**
 * Lock-order checker of CHECKED builds, after the kernel's lockdep (kernel/locking/lockdep.c): it learns the order in
 * which classes are taken and reports, from one run that need not hang, an order that could.
 *
 * Two duties. Every CPU keeps the stack of locks it holds, whatever `Cpu.lockOrder` says; releasing what is not on it
 * breaks I7. Where `Cpu.lockOrder` names a LockOrder struct, each lock that may be waited for is also checked against
 * the locks held: recursion (the same lock or class again, unless both are recursive readers or it joins as one)
 * and inversion (the new edge closes a cycle of classes). A finding is recorded and does not stop the run.
 *
 * Legal nesting inside one class (a parent's and a child's mmap_lock at fork) is said by giving the inner lock a
 * class of its own at that call, as the kernel does with subclasses.
 *
 * Thread safety: the stack is its CPU's own; the graph and the findings are shared and changed by the probe
 * operations of arena/mem only, which are no scheduling points.
 */

import type { Cpu } from "../arena/cpu.ts";
import { probeOr } from "../arena/mem.ts";
import { InternalFault, Violation } from "../base/errors.ts";
import { CpuSync, MAX_HELD } from "./cpu-sync.ts";
import { lockClassNames } from "./lock-class.ts";
import {
  FOUND_INVERSION,
  FOUND_RECURSION,
  HELD_CLASS_MASK,
  HELD_READ,
  HELD_READ_RECURSIVE,
  heldLocks,
  LockOrder,
  recordFinding,
} from "./lock-finding.ts";
import { addEdge, findCycle } from "./lock-graph.ts";

export {
  HELD_READ,
  HELD_READ_RECURSIVE,
  HELD_TRY,
  HELD_WRITE,
  heldLocks,
  LockOrder,
  lockOrderFindings,
} from "./lock-finding.ts";

const HELD_SHARED = HELD_READ | HELD_READ_RECURSIVE;

/** Before waiting for a lock: checks it against what this CPU holds. */
export function beforeAcquire(cpu: Cpu, lock: number, cls: number, how: number): void {
  const order = cpu.lockOrder;
  if (!(order > 0)) return;
  const words = cpu.words;
  const recursive = (how & HELD_READ_RECURSIVE) !== 0;
  const count = words[cpu.sync + CpuSync.heldCount] as number;
  for (let i = 0; i < count; i++) {
    const at = cpu.sync + CpuSync.held + i * 2;
    const heldAs = words[at + 1] as number;
    const heldClass = heldAs & HELD_CLASS_MASK;
    const shared = (heldAs & HELD_SHARED) !== 0;
    if (words[at] === lock || heldClass === cls) {
      if (!(recursive && shared)) reportRecursion(cpu, cls, how);
    } else if (addEdge(words, order + LockOrder.graph, heldClass, shared, cls, recursive)) {
      const chain = findCycle(words, order + LockOrder.graph, cls, recursive, heldClass, shared);
      if (chain.length > 0) recordFinding(words, order, FOUND_INVERSION, cpu.id, cpu.sync, cls | how, chain);
    }
  }
}

/** Once per class: a program that recurses does so again and again. */
function reportRecursion(cpu: Cpu, cls: number, how: number): void {
  const bit = 1 << cls;
  if ((probeOr(cpu.words, cpu.lockOrder + LockOrder.recursed, bit) & bit) !== 0) return;
  recordFinding(cpu.words, cpu.lockOrder, FOUND_RECURSION, cpu.id, cpu.sync, cls | how, []);
}

/** After getting it: pushes it on the CPU's held stack. */
export function afterAcquire(cpu: Cpu, lock: number, cls: number, how: number): void {
  const words = cpu.words;
  const count = words[cpu.sync + CpuSync.heldCount] as number;
  if (count >= MAX_HELD) throw new InternalFault(`afterAcquire: CPU ${cpu.id} holds more than ${MAX_HELD} locks`);
  const at = cpu.sync + CpuSync.held + count * 2;
  words[at] = lock;
  words[at + 1] = cls | how;
  words[cpu.sync + CpuSync.heldCount] = count + 1;
}

/** Before releasing it: takes it off the stack. Releases may come in any order. Throws I7 when it is not held. */
export function beforeRelease(cpu: Cpu, lock: number, cls: number): void {
  const words = cpu.words;
  const held = cpu.sync + CpuSync.held;
  const count = words[cpu.sync + CpuSync.heldCount] as number;
  let at = held + (count - 1) * 2;
  while (at >= held && (words[at] !== lock || ((words[at + 1] as number) & HELD_CLASS_MASK) !== cls)) at -= 2;
  if (at < held) throw new Violation("I7", `CPU ${cpu.id} releases ${lockClassNames()[cls]} that it does not hold`);
  for (const last = held + (count - 1) * 2; at < last; at++) words[at] = words[at + 2] as number;
  words[cpu.sync + CpuSync.heldCount] = count - 1;
}

/** A write hold becomes a read hold (`downgrade_write`): the stack remembers the lock as shared from here on. */
export function afterDowngrade(cpu: Cpu, lock: number, cls: number): void {
  beforeRelease(cpu, lock, cls);
  afterAcquire(cpu, lock, cls, HELD_READ);
}

/** At the end of a program, as `debug_check_no_locks_held`: throws I7 when this CPU still holds a lock. */
export function assertNothingHeld(cpu: Cpu): void {
  const held = heldLocks(cpu.words, cpu.sync);
  if (held.length > 0) throw new Violation("I7", `CPU ${cpu.id} ends and still holds ${held.join(", ")}`);
}

/**
 * Before memory is freed or its locks initialised again, as `debug_check_no_locks_freed`: throws I7 when this CPU
 * holds a lock in words [from, to).
 */
export function assertNoLockIn(cpu: Cpu, from: number, to: number): void {
  const words = cpu.words;
  const count = words[cpu.sync + CpuSync.heldCount] as number;
  for (let i = 0; i < count; i++) {
    const lock = words[cpu.sync + CpuSync.held + i * 2] as number;
    if (lock >= from && lock < to) {
      const name = heldLocks(words, cpu.sync)[i];
      throw new Violation("I7", `CPU ${cpu.id} frees or initialises ${name} while it holds it`);
    }
  }
}
