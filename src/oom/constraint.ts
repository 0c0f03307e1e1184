/** What limits an allocation that ran out of memory: the kernel's `enum oom_constraint` (include/linux/oom.h, v6.18). */

export const CONSTRAINT_NONE = 0;
export const CONSTRAINT_CPUSET = 1;
export const CONSTRAINT_MEMORY_POLICY = 2;
export const CONSTRAINT_MEMCG = 3;

/** By number, as the log spells them. */
export const CONSTRAINT_NAMES = [
  "CONSTRAINT_NONE",
  "CONSTRAINT_CPUSET",
  "CONSTRAINT_MEMORY_POLICY",
  "CONSTRAINT_MEMCG",
] as const;
