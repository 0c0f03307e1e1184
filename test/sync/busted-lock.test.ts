import { expect, test } from "vitest";
import { atomicLoad, load, store } from "../../src/arena/mem.ts";
import { Violation } from "../../src/base/errors.ts";
import { BustedLock, bustedLock } from "../../src/sync/busted-lock.ts";
import { createLab, type Program } from "./lock-lab.ts";

test("the interleaved engine catches a lock that locks nothing", () => {
  const lab = createLab(BustedLock);
  const writer: Program = function* (cpu) {
    yield* bustedLock.lockWrite(cpu, lab.lock, lab.cls);
    if (load(cpu, lab.scratch) !== 0) throw new Violation("I7", "writer meets writer");
    store(cpu, lab.scratch, 1);
    yield* atomicLoad(cpu, lab.scratch);
    store(cpu, lab.scratch, 0);
    yield* bustedLock.unlockWrite(cpu, lab.lock, lab.cls);
  };
  const caughtAt = Array.from({ length: 50 }, (_, seed) => lab.run(seed, [writer, writer]).state).indexOf("violation");
  expect(caughtAt).toBeGreaterThanOrEqual(0);
});
