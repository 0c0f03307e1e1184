import { expect, test } from "vitest";
import { lockName, namesIn, wholeOf } from "../../src/report/word-names.ts";

const STEPS = ["mms[0].mmUsers", "mms[0].flags", "tasks[1].flags", "mms[0].mmapLock[1]", "tables[3].lock", "counter"];
const names = namesIn(STEPS.map((name) => ({ name })));

test("no object is named where no other could be meant", () => {
  expect(STEPS.map((name) => names.get(name))).toEqual([
    "mmUsers",
    "mms[0].flags",
    "tasks[1].flags",
    "mmapLock[1]",
    "lock",
    "counter",
  ]);
});

test("a field of several words is one thing", () => {
  expect(["mms[0].mmapLock[1]", "mms[0].flags", "words[3]"].map(wholeOf)).toEqual([
    "mms[0].mmapLock",
    "mms[0].flags",
    "words[3]",
  ]);
});

test("a lock is spelled as in the kernel, or as its program calls it", () => {
  expect(lockName("mms[0].mmapLock", names)).toBe("mmap_lock");
  expect(lockName("tables[3].lock", names)).toBe("tables[3].lock");
  expect(lockName("leftFork", names)).toBe("leftFork");
});
