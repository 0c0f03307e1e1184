/** Which functions of `src/sync` are a whole operation on a lock, to those who only use it; as the kernel spells them. */

import type { StackFrame } from "./call-stack.ts";

export const LOCK_CALLS: ReadonlyMap<string, string> = new Map([
  ["spinLock", "spin_lock"],
  ["spinTrylock", "spin_trylock"],
  ["spinUnlock", "spin_unlock"],
  ["readLock", "read_lock"],
  ["readTrylock", "read_trylock"],
  ["readUnlock", "read_unlock"],
  ["writeLock", "write_lock"],
  ["writeTrylock", "write_trylock"],
  ["writeUnlock", "write_unlock"],
  ["mutexLock", "mutex_lock"],
  ["mutexLockKillable", "mutex_lock_killable"],
  ["mutexTrylock", "mutex_trylock"],
  ["mutexUnlock", "mutex_unlock"],
  ["downRead", "down_read"],
  ["downReadKillable", "down_read_killable"],
  ["downReadUnfair", "down_read_unfair"],
  ["downReadTrylock", "down_read_trylock"],
  ["upRead", "up_read"],
  ["downWrite", "down_write"],
  ["downWriteKillable", "down_write_killable"],
  ["downWriteTrylock", "down_write_trylock"],
  ["upWrite", "up_write"],
  ["downgradeWrite", "downgrade_write"],
]);

/**
 * Index of the outermost lock operation among `frames` (innermost first), -1 without one. A user's own lock may have a
 * function of the same name: only those count from where the seam's file, `seam`, has its locks: in the
 * sources, or in the build that is next to it.
 */
export function lockCallIn(frames: readonly StackFrame[], seam: string): number {
  const home = /arena\/mem\.ts$/.test(seam) ? seam.slice(0, -"arena/mem.ts".length).concat("sync/") : folderOf(seam);
  return frames.findLastIndex(({ name, file }) => LOCK_CALLS.has(name) && file.startsWith(home));
}

function folderOf(file: string): string {
  return file.slice(0, file.lastIndexOf("/") + 1);
}
