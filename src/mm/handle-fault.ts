/**
 * Page faults by kind of mapping and entry (mm/memory.c: handle_mm_fault, handle_pte_fault; v6.18).
 *
 * Callers hold mmap_lock for reading and have checked that the VMA allows the access. With FAULT_FLAG_ALLOW_RETRY the
 * result may be VM_FAULT_RETRY; then the lock is released already.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load } from "../arena/mem.ts";
import { spinLock, spinUnlock } from "../sync/spinlock.ts";
import { doAnonymousPage } from "./fault.ts";
import { doFileFault } from "./file-fault.ts";
import { doHugePmdAnonymousPage, HUGE_READ_ONLY, hugetlbFault, isHugetlb } from "./huge-pmd.ts";
import { doHugePmdWpPage, hugetlbWp } from "./huge-wp.ts";
import { findPmd, PageTable, PTE_LOCK, PTE_PRESENT, PTE_WRITE, pteLockOf, tableIndex } from "./page-table.ts";
import { doSwapPage } from "./swap-fault.ts";
import { FAULT_FLAG_WRITE, VM_FAULT_DONE, VM_FAULT_FALLBACK, VM_FAULT_SIGBUS } from "./vm-fault.ts";
import { VM_HUGEPAGE, VM_HUGETLB, VM_PFNMAP, Vma } from "./vma.ts";
import { doWpPage } from "./wp-fault.ts";

/** `handle_mm_fault`: VM_FAULT_* of an access to page `vpn`, which `vma` covers. */
export function* handleMmFault(cpu: Cpu, mm: number, vma: number, vpn: number, flags: number): Steps<number> {
  const kind = load(cpu, vma + Vma.flags);
  let pmd = yield* findPmd(cpu, mm, vpn);
  if (pmd < 0) {
    if ((flags & FAULT_FLAG_WRITE) === 0 || (pmd & HUGE_READ_ONLY) === 0) return VM_FAULT_DONE;
    const result = isHugetlb(pmd) ? yield* hugetlbWp(cpu, mm, vpn) : yield* doHugePmdWpPage(cpu, mm, vpn);
    if (result !== VM_FAULT_FALLBACK) return result;
    pmd = yield* findPmd(cpu, mm, vpn);
  }
  if ((kind & VM_HUGETLB) !== 0) return yield* hugetlbFault(cpu, mm, vpn);
  if (pmd === 0 && (kind & VM_HUGEPAGE) !== 0 && load(cpu, vma + Vma.file) === 0) {
    const result = yield* doHugePmdAnonymousPage(cpu, mm, vma, vpn);
    if (result !== VM_FAULT_FALLBACK) return result;
  }
  const pte = pmd === 0 ? 0 : yield* readPte(cpu, mm, pmd, vpn);
  if (pte === 0) return yield* doMissing(cpu, mm, vma, vpn, flags);
  if ((pte & PTE_PRESENT) === 0) return yield* doSwapPage(cpu, mm, vma, vpn, pte);
  if ((flags & FAULT_FLAG_WRITE) === 0 || (pte & PTE_WRITE) !== 0) return VM_FAULT_DONE;
  return yield* doWpPage(cpu, mm, vma, vpn);
}

/** `do_pte_missing` */
function* doMissing(cpu: Cpu, mm: number, vma: number, vpn: number, flags: number): Steps<number> {
  if ((load(cpu, vma + Vma.flags) & VM_PFNMAP) !== 0) return VM_FAULT_SIGBUS;
  if (load(cpu, vma + Vma.file) !== 0) return yield* doFileFault(cpu, mm, vma, vpn, flags);
  return yield* doAnonymousPage(cpu, mm, vma, vpn);
}

/** The entry of `vpn` in its table; old when it comes, so who acts on it looks again under the lock. */
function* readPte(cpu: Cpu, mm: number, table: number, vpn: number): Steps<number> {
  const lock = pteLockOf(cpu, mm, table, tableIndex(vpn, 0));
  yield* spinLock(cpu, lock, PTE_LOCK);
  const pte = load(cpu, table + PageTable.entries + tableIndex(vpn, 0));
  yield* spinUnlock(cpu, lock, PTE_LOCK);
  return pte;
}
