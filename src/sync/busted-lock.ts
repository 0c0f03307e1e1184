/**
 * A lock that locks nothing, as `lock_busted` of kernel/locking/locktorture.c: whoever tests locks must catch it, or
 * the test proves nothing. Not in `LOCKS`.
 */

import { atomicLoad } from "../arena/mem.ts";
import { struct } from "../arena/struct.ts";
import type { LockContract } from "./lock-contract.ts";
import { noteAcquired } from "./lock-stat.ts";

export const BustedLock = struct("bustedLock", { word: 1 });

export const bustedLock: LockContract = {
  name: "busted",
  struct: BustedLock,
  initLock: () => {},
  *lockWrite(cpu, lock, cls) {
    yield* atomicLoad(cpu, lock);
    noteAcquired(cpu, cls);
  },
  *trylockWrite(cpu, lock, cls) {
    yield* atomicLoad(cpu, lock);
    noteAcquired(cpu, cls);
    return true;
  },
  *unlockWrite(cpu, lock) {
    yield* atomicLoad(cpu, lock);
  },
  writerOf: () => -1,
};
