import { expect, test } from "vitest";
import { describeCycle, describeLocks, readLocks, type SyncPlace, waitCycle } from "../../src/explore/wait-for.ts";
import { CPU_PARKED, CpuSync } from "../../src/sync/cpu-sync.ts";
import { HELD_READ, HELD_WRITE } from "../../src/sync/lock-order.ts";

const BASE = 64;

function place(cpus: number): SyncPlace {
  const words = new Int32Array(BASE + cpus * CpuSync.WORDS);
  return { words, base: BASE, stride: CpuSync.WORDS, cpus, classNames: ["mmap_lock", "ptl"] };
}

function hold({ words }: SyncPlace, cpu: number, lock: number, how: number): void {
  const at = BASE + cpu * CpuSync.WORDS;
  const count = words[at + CpuSync.heldCount] as number;
  words[at + CpuSync.held + count * 2] = lock;
  words[at + CpuSync.held + count * 2 + 1] = how;
  words[at + CpuSync.heldCount] = count + 1;
}

function wait({ words }: SyncPlace, cpu: number, lock: number, cls: number): void {
  const at = BASE + cpu * CpuSync.WORDS;
  words[at + CpuSync.awaited] = lock;
  words[at + CpuSync.awaitedClass] = cls;
  words[at + CpuSync.state] = CPU_PARKED;
}

test("a circle of three is found, with a bystander in front of it", () => {
  const four = place(4);
  hold(four, 1, 101, HELD_WRITE);
  hold(four, 2, 102, HELD_WRITE);
  hold(four, 3, 103, HELD_WRITE);
  wait(four, 0, 101, 0);
  wait(four, 1, 102, 0);
  wait(four, 2, 103, 0);
  wait(four, 3, 101, 0);
  const cycle = waitCycle(readLocks(four));
  expect(cycle).toEqual([1, 2, 3]);
  expect(describeCycle(cycle as number[])).toBe("CPU 1 waits for CPU 2, which waits for CPU 3, which waits for CPU 1");
});

test("waiting in a line is no circle", () => {
  const three = place(3);
  hold(three, 2, 102, HELD_WRITE);
  hold(three, 1, 101, HELD_WRITE);
  wait(three, 0, 101, 0);
  wait(three, 1, 102, 0);
  expect(waitCycle(readLocks(three))).toBeUndefined();
});

test("all readers of an awaited lock are its holders", () => {
  const three = place(3);
  hold(three, 0, 100, 0 | HELD_READ);
  hold(three, 1, 100, 0 | HELD_READ);
  hold(three, 1, 200, 1 | HELD_WRITE);
  wait(three, 2, 100, 0);
  const [, reader, writer] = readLocks(three);
  expect(describeLocks(writer!)).toBe("awaits mmap_lock at word 100, held by CPU 0 and 1");
  expect(describeLocks(reader!)).toBe("holds mmap_lock (read) at word 100, ptl at word 200");
  expect(writer).toMatchObject({ state: "parked" });
});

test("without lists of held locks the owner is asked of the lock, and may stay unknown", () => {
  const two = place(2);
  wait(two, 0, 100, 1);
  expect(describeLocks(readLocks(two)[0]!)).toBe("awaits ptl at word 100, holder unknown");
  const ownerOf = (_words: Int32Array, lock: number, cls: number): number => (lock === 100 && cls === 1 ? 1 : -1);
  expect(describeLocks(readLocks({ ...two, ownerOf })[0]!)).toBe("awaits ptl at word 100, held by CPU 1");
});
