/**
 * User memory as the kernel reaches it on a thread's behalf, faults included (mm/memory.c: handle_mm_fault;
 * arch/x86/mm/fault.c: do_user_addr_fault; include/linux/uaccess.h; v6.18).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { CpuMm } from "./cpu-mm.ts";
import { doAnonymousPage, userCmpxchg, userLoad, userStore, VM_FAULT_DONE } from "./fault.ts";
import { mmapReadLockKillable, mmapReadUnlock } from "./mmap-lock.ts";
import { VM_WRITE, Vma, vmaStart } from "./vma.ts";
import { vmaFrom } from "./vma-iter.ts";
import { doWpPage, pteIsPresent } from "./wp-fault.ts";

/** A fatal signal ended the wait for mmap_lock. */
export const VM_FAULT_KILLED = 4;
/** No mapping there, or none that allows this. */
export const VM_FAULT_SIGSEGV = 5;

/** The whole fault of one page: VM_FAULT_*. Takes mmap_lock for reading. */
export function* faultInPage(cpu: Cpu, mm: number, vpn: number, write: boolean): Steps<number> {
  if (!(yield* mmapReadLockKillable(cpu, mm))) return VM_FAULT_KILLED;
  const vma = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, vpn);
  let result = VM_FAULT_SIGSEGV;
  if (vma !== 0 && vmaStart(cpu, vma) <= vpn && (!write || (load(cpu, vma + Vma.flags) & VM_WRITE) !== 0)) {
    if (!(yield* pteIsPresent(cpu, mm, vpn))) result = yield* doAnonymousPage(cpu, mm, vma, vpn);
    else result = write ? yield* doWpPage(cpu, mm, vma, vpn) : VM_FAULT_DONE;
  }
  yield* mmapReadUnlock(cpu, mm);
  return result;
}

/** `get_user`: the word of page `vpn`; undefined (EFAULT) where it cannot be had. */
export function* getUser(cpu: Cpu, mm: number, vpn: number): Steps<number | undefined> {
  for (;;) {
    const value = yield* userLoad(cpu, mm, vpn);
    if (value !== undefined || (yield* faultInPage(cpu, mm, vpn, false)) !== VM_FAULT_DONE) return value;
  }
}

/** `put_user`: VM_FAULT_DONE, or why the store did not happen. */
export function* putUser(cpu: Cpu, mm: number, vpn: number, value: number): Steps<number> {
  while (!(yield* userStore(cpu, mm, vpn, value))) {
    const result = yield* faultInPage(cpu, mm, vpn, true);
    if (result !== VM_FAULT_DONE) return result;
  }
  return VM_FAULT_DONE;
}

/** `futex_cmpxchg_value`: the value seen; undefined (EFAULT) where the page cannot be had. */
export function* cmpxchgUser(
  cpu: Cpu,
  mm: number,
  vpn: number,
  expected: number,
  value: number,
): Steps<number | undefined> {
  for (;;) {
    const seen = yield* userCmpxchg(cpu, mm, vpn, expected, value);
    if (seen !== undefined || (yield* faultInPage(cpu, mm, vpn, true)) !== VM_FAULT_DONE) return seen;
  }
}
