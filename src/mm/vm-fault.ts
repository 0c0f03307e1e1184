/** Results and flags of faults (include/linux/mm_types.h: vm_fault_reason, fault_flag; v6.18), with the kernel's values. */

export const VM_FAULT_DONE = 0;
export const VM_FAULT_OOM = 0x1;
export const VM_FAULT_SIGBUS = 0x2;
/** No mapping there, or none that allows this. */
export const VM_FAULT_SIGSEGV = 0x40;
/** mmap_lock is released already; the fault is to be done anew, from finding the VMA on. */
export const VM_FAULT_RETRY = 0x400;
/** No huge page here; single ones are due. */
export const VM_FAULT_FALLBACK = 0x800;

export const FAULT_FLAG_WRITE = 0x1;
/** The fault may drop mmap_lock to wait, and then returns VM_FAULT_RETRY. */
export const FAULT_FLAG_ALLOW_RETRY = 0x4;
/** A fatal signal ends the wait. */
export const FAULT_FLAG_KILLABLE = 0x10;
/** It has been retried once. */
export const FAULT_FLAG_TRIED = 0x20;
