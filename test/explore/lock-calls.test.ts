import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LOCK_CALLS, lockCallIn } from "../../src/explore/lock-calls.ts";

const frame = (name: string, file: string) => ({ name, file });

test("every lock operation in the table is a function of src/sync", () => {
  const text = ["spinlock", "rwlock", "mutex", "rwsem"]
    .map((name) => readFileSync(`src/sync/${name}.ts`, "utf8"))
    .join();
  for (const name of LOCK_CALLS.keys()) expect(text).toContain(`export function* ${name}(`);
});

test("the outermost one on a stack counts, in the sources and in a build", () => {
  const sources = [
    frame("spinOnOwner", "/x/src/sync/rwsem/spin.ts"),
    frame("downWrite", "/x/src/sync/rwsem.ts"),
    frame("mmapWriteLock", "/x/src/mm/mmap-lock.ts"),
  ];
  expect(lockCallIn(sources, "/x/src/arena/mem.ts")).toBe(1);
  const built = [frame("spinLock", "file:///x/dist/chunk-2.js"), frame("eats", "file:///y/mine.mjs")];
  expect(lockCallIn(built, "file:///x/dist/chunk-1.js")).toBe(0);
});

test("not a user's own function of that name", () => {
  expect(lockCallIn([frame("spinLock", "file:///y/mine.mjs")], "file:///x/dist/chunk-1.js")).toBe(-1);
  expect(lockCallIn([frame("spinLock", "/x/test/mine.ts")], "/x/src/arena/mem.ts")).toBe(-1);
});
