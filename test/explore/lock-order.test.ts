import { expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { explore } from "../../src/explore/explore.ts";
import { lockClass } from "../../src/sync/lock-class.ts";
import { mutexLock, mutexUnlock } from "../../src/sync/mutex.ts";

const [A, B] = [16, 32];
const NAMES = new Map([
  [A, "left"],
  [B, "right"],
]);
const LEFT = lockClass("left lock");
const RIGHT = lockClass("right lock");

function* both(cpu: Cpu, first: number, firstClass: number, second: number, secondClass: number): Steps<void> {
  yield* mutexLock(cpu, first, firstClass);
  yield* mutexLock(cpu, second, secondClass);
  yield* mutexUnlock(cpu, second, secondClass);
  yield* mutexUnlock(cpu, first, firstClass);
}

function* inOrder(cpu: Cpu): Steps<void> {
  yield* both(cpu, A, LEFT, B, RIGHT);
}

function* turnedRound(cpu: Cpu): Steps<void> {
  yield* both(cpu, B, RIGHT, A, LEFT);
}

const program = (...threads: ((cpu: Cpu) => Steps<void>)[]) => ({
  words: 64,
  threads,
  describe: (word: number) => NAMES.get(word) ?? `word ${word}`,
});

test("an inversion is found in the first execution, though it does not hang there", () => {
  function* oneAfterTheOther(cpu: Cpu): Steps<void> {
    yield* inOrder(cpu);
    yield* turnedRound(cpu);
  }
  const { violation } = explore(program(oneAfterTheOther), { executions: 1 });
  expect(violation?.message).toBe(
    "lock order: inversion: left lock -> right lock -> left lock; CPU 0 holds right lock and asks for left lock",
  );
  expect(violation?.invariant).toBe("lock order");
});

test("locks of one class may be taken in an order of their own", () => {
  function* inside(cpu: Cpu): Steps<void> {
    yield* both(cpu, A, LEFT, B, LEFT);
  }
  expect(explore(program(inside, inside), { executions: 500 }).violation).toBeUndefined();
});

test("a deadlock names locks and sleepers' words, and its circle", () => {
  let seen = "";
  for (let seed = 1; seed <= 50 && !seen.startsWith("nobody"); seed++) {
    seen = explore(program(inOrder, turnedRound), { seed, executions: 1 }).violation?.message ?? "";
  }
  expect(seen).toMatch(/^nobody can go on\nCPU 0 sleeps on word \d+ while it holds 0/);
  expect(seen).toContain("awaits right lock at right, held by CPU 1; holds left lock at left");
  expect(seen).toContain("awaits left lock at left, held by CPU 0; holds right lock at right");
  expect(seen).toContain("CPU 0 waits for CPU 1, which waits for CPU 0");
});
