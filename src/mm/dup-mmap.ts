/**
 * A copy of an address space for fork (kernel/fork.c: dup_mm, dup_mmap; v6.18): every mapping, and of its pages what
 * `copy-page-range` says.
 *
 * The kernel also takes the child's mmap_lock, nested; here nobody can reach the child before it is done, so it is left
 * out. The index is built VMA by VMA, as before v6.8, so a half-built child has no marker in its tree (B21). Files have
 * no list of their mappings here (`i_mmap`) that the child's would join.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { EINTR, ENOMEM } from "../base/errno.ts";
import { fatalSignalPending } from "../sync/park.ts";
import { Rwsem } from "../sync/rwsem.ts";
import { anonVmaFork } from "./anon-vma.ts";
import { copyPageRange } from "./copy-page-range.ts";
import { CpuMm } from "./cpu-mm.ts";
import { mmAlloc, mmput, setMmFlag } from "./mm.ts";
import { MMF_OOM_SKIP, MMF_UNSTABLE, Mm } from "./mm-struct.ts";
import { mmapRegion } from "./mmap.ts";
import { mmapWriteLockKillable, mmapWriteUnlock } from "./mmap-lock.ts";
import { flushTlbMm } from "./tlb.ts";
import { VM_DONTCOPY, VM_LOCKED, VM_WIPEONFORK, Vma, vmaEnd, vmaPages, vmaStart } from "./vma.ts";
import { firstVma, vmaFrom } from "./vma-iter.ts";
import { loadVpn } from "./vpn.ts";

/** `dup_mm`: a new mm, number `number`, with one user; or -EINTR, -ENOMEM, with nothing left of it. */
export function* dupMm(cpu: Cpu, parent: number, number: number): Steps<number> {
  const child = yield* mmAlloc(cpu, number, load(cpu, parent + Mm.mmapLock + Rwsem.rules));
  if (child === 0) return -ENOMEM;
  const result = yield* dupMmap(cpu, parent, child);
  if (result === 0) return child;
  yield* mmput(cpu, child);
  return result;
}

/**
 * `dup_mmap`: 0, -EINTR (a fatal signal ended the wait for the parent's lock, or came while copying) or -ENOMEM. A child
 * that is left half built is marked, so that no reaper or fault takes it for a whole one (64c37e134b12, v6.14).
 */
function* dupMmap(cpu: Cpu, parent: number, child: number): Steps<number> {
  if (!(yield* mmapWriteLockKillable(cpu, parent))) return -EINTR;
  const walk = cpu.mm + CpuMm.walk;
  let result = 0;
  let vma = firstVma(cpu, parent, walk);
  while (vma !== 0 && result === 0) {
    if ((load(cpu, vma + Vma.flags) & VM_DONTCOPY) === 0) result = yield* dupVma(cpu, parent, child, vma);
    // The walk's words were used for the child meanwhile.
    vma = vmaFrom(cpu, parent, walk, vmaEnd(cpu, vma));
  }
  if (result !== 0) yield* setMmFlag(cpu, child, MMF_OOM_SKIP | MMF_UNSTABLE);
  yield* flushTlbMm(cpu, parent);
  yield* mmapWriteUnlock(cpu, parent);
  return result;
}

/** One VMA and its pages; locks on memory are not inherited. Who is killed does not go on copying what others need. */
function* dupVma(cpu: Cpu, parent: number, child: number, vma: number): Steps<number> {
  if (yield* fatalSignalPending(cpu)) return -EINTR;
  const flags = load(cpu, vma + Vma.flags);
  const file = load(cpu, vma + Vma.file);
  const pgoff = loadVpn(cpu, vma + Vma.pgoff);
  const start = vmaStart(cpu, vma);
  const copy = yield* mmapRegion(cpu, child, start, vmaPages(cpu, vma), flags & ~VM_LOCKED, file, pgoff);
  if (copy === 0) return -ENOMEM;
  if ((flags & VM_WIPEONFORK) !== 0) return 0;
  yield* anonVmaFork(cpu, vma, copy);
  return (yield* copyPageRange(cpu, parent, child, vma)) ? 0 : -ENOMEM;
}
