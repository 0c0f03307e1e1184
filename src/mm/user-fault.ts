/**
 * User memory as the kernel reaches it on a thread's behalf, faults included (mm/memory.c: handle_mm_fault;
 * arch/x86/mm/fault.c: do_user_addr_fault; include/linux/uaccess.h; v6.18).
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { fatalSignalPending } from "../sync/park.ts";
import { CpuMm } from "./cpu-mm.ts";
import { userCmpxchg, userLoad, userStore } from "./fault.ts";
import { handleMmFault } from "./handle-fault.ts";
import { mmapReadLockKillable, mmapReadUnlock } from "./mmap-lock.ts";
import {
  FAULT_FLAG_ALLOW_RETRY,
  FAULT_FLAG_KILLABLE,
  FAULT_FLAG_TRIED,
  FAULT_FLAG_WRITE,
  VM_FAULT_DONE,
  VM_FAULT_RETRY,
  VM_FAULT_SIGSEGV,
} from "./vm-fault.ts";
import { VM_WRITE, Vma, vmaStart } from "./vma.ts";
import { vmaFrom } from "./vma-iter.ts";

/** A fatal signal ended a wait; mmap_lock is not held. No result of the kernel's. */
export const VM_FAULT_KILLED = 0x10000;

/**
 * `do_user_addr_fault`: the whole fault of page `vpn`, retries included, with mmap_lock taken for reading and released
 * once each time: by the fault itself where it says VM_FAULT_RETRY, here otherwise. Returns VM_FAULT_*.
 */
export function* faultIn(cpu: Cpu, mm: number, vpn: number, flags: number): Steps<number> {
  for (let tried = flags; ; tried |= FAULT_FLAG_TRIED) {
    if (!(yield* mmapReadLockKillable(cpu, mm))) return VM_FAULT_KILLED;
    const vma = vmaFrom(cpu, mm, cpu.mm + CpuMm.walk, vpn);
    const allowed = vma !== 0 && vmaStart(cpu, vma) <= vpn && accessAllowed(cpu, vma, flags);
    const result = allowed ? yield* handleMmFault(cpu, mm, vma, vpn, tried) : VM_FAULT_SIGSEGV;
    if ((result & VM_FAULT_RETRY) === 0) {
      yield* mmapReadUnlock(cpu, mm);
      return result;
    }
    if (yield* fatalSignalPending(cpu)) return VM_FAULT_KILLED;
  }
}

function accessAllowed(cpu: Cpu, vma: number, flags: number): boolean {
  return (flags & FAULT_FLAG_WRITE) === 0 || (load(cpu, vma + Vma.flags) & VM_WRITE) !== 0;
}

/** `faultIn` as a user's access has it: it may wait with the lock dropped, and be killed then. */
export function* faultInPage(cpu: Cpu, mm: number, vpn: number, write: boolean): Steps<number> {
  const flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
  return yield* faultIn(cpu, mm, vpn, write ? flags | FAULT_FLAG_WRITE : flags);
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
