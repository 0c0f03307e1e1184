/** Lock classes: locks of one class share a name, statistics and a place in the lock order (as in lockdep). */

import { assert } from "../base/assert.ts";

/** Most classes one program may name; statistics and the order matrix are sized by it. */
export const MAX_LOCK_CLASSES = 32;

export type LockKind = "spinlock" | "mutex" | "rwlock" | "rwsem";

/**
 * The emulated kernel's classes, numbered here and not by which module a bundle happens to load first: one build
 * stages an arena that another one runs on, and both must mean the same class by a number.
 */
const KERNEL_CLASSES: readonly (readonly [name: string, kind: LockKind])[] = [
  ["mmap_lock", "rwsem"],
  ["page_table_lock", "spinlock"],
  ["pte_lock", "spinlock"],
  ["mmu_walk", "spinlock"],
  ["anon_vma", "rwsem"],
  ["zone_lock", "spinlock"],
  ["slab", "spinlock"],
  ["alloc_lock", "spinlock"],
  ["oom_lock", "mutex"],
  ["tasklist_lock", "rwlock"],
  ["oom_adj_mutex", "mutex"],
  ["futex", "spinlock"],
  ["vfork_done", "spinlock"],
  ["coredump", "spinlock"],
  ["freezer", "spinlock"],
  ["pmd_lock", "spinlock"],
  ["swap_lock", "spinlock"],
  ["folio_lock", "mutex"],
  // Not the kernel's: whatever lock the explorer is set on.
  ["lab", "rwsem"],
];

const names = KERNEL_CLASSES.map(([name]) => name);
const kinds = KERNEL_CLASSES.map(([, kind]) => kind);

/** Names a class and returns its number. Called at module load; the same name gives the same number. */
export function lockClass(name: string, kind: LockKind = "spinlock"): number {
  const known = names.indexOf(name);
  if (known >= 0) return known;
  assert(names.length < MAX_LOCK_CLASSES, `lockClass: more than ${MAX_LOCK_CLASSES} classes`);
  kinds.push(kind);
  return names.push(name) - 1;
}

/** Names of all classes, by number. */
export function lockClassNames(): readonly string[] {
  return names;
}

/** What kind of lock each class is, by number. */
export function lockClassKinds(): readonly LockKind[] {
  return kinds;
}
