/** `oomrace/sync` over a user's buffer. Threads are real: the built module, as installed. One thread: the source. */

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import * as source from "../../src/sync/standalone.ts";

const built = (await import(new URL("../../dist/sync.js", import.meta.url).href)) as typeof source;

const THREADS = 3;

function newBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer(source.LockSpace.byteLength(THREADS) + 4096);
}

describe.each([
  ["source", source],
  ["dist/sync.js", built],
] as const)("%s", (_, sync) => {
  const { Completion, LockSpace, Mutex, RwLock, RwSemaphore, SpinLock, WaitQueue } = sync;
  const base = LockSpace.byteLength(THREADS);

  function twoThreads(): [source.LockSpace, source.LockSpace] {
    const buffer = newBuffer();
    return [new LockSpace(buffer, { threads: THREADS }), new LockSpace(buffer, { threads: THREADS })];
  }

  test("methods return plain values", () => {
    const [space] = twoThreads();
    for (const Lock of [SpinLock, Mutex, RwLock, RwSemaphore]) {
      const lock = new Lock(space, base, Lock.name);
      expect(lock.lock()).toBeUndefined();
      expect(lock.tryLock()).toBe(false);
      expect(lock.unlock()).toBeUndefined();
      expect(lock.tryLock()).toBe(true);
      lock.unlock();
    }
  });

  test("two threads see one lock, its owner and its readers", () => {
    const [here, there] = twoThreads();
    const mutex = new Mutex(here, base);
    const same = new Mutex(there, base);
    expect([here.thread, there.thread]).toEqual([0, 1]);
    same.lock();
    expect(mutex.tryLock()).toBe(false);
    expect(mutex.owner).toBe(1);
    expect(() => mutex.unlock()).toThrow("I7: mutexUnlock: not held by CPU 0, but by CPU 1");
    same.unlock();
    expect(mutex.owner).toBe(-1);

    for (const Lock of [RwLock, RwSemaphore]) {
      const [lock, other] = [new Lock(here, base + 128), new Lock(there, base + 128)];
      lock.lockShared();
      expect(other.tryLockShared()).toBe(true);
      expect(other.tryLock()).toBe(false);
      lock.unlockShared();
      other.unlockShared();
    }
    const sem = new RwSemaphore(here, base + 128);
    const other = new RwSemaphore(there, base + 128);
    sem.lock();
    expect(other.tryLockShared()).toBe(false);
    sem.downgrade();
    expect(other.tryLockShared()).toBe(true);
    other.unlockShared();
    sem.unlockShared();
  });

  test("events are counted, and a condition that holds is not waited for", () => {
    const [space] = twoThreads();
    const done = new Completion(space, base);
    expect(done.tryWait()).toBe(false);
    done.signal();
    expect(done.wait()).toBe(true);
    done.signalAll();
    expect([done.wait(), done.wait(0)]).toEqual([true, true]);
    done.reset();
    expect(done.tryWait()).toBe(false);

    const queue = new WaitQueue(space, base + 128);
    let asked = 0;
    expect(queue.waitUntil(() => ++asked > 0)).toBe(true);
    expect(asked).toBe(1);
    const holds = (): boolean => {
      throw new RangeError("no");
    };
    expect(() => queue.waitUntil(holds)).toThrow(RangeError);
    expect(queue.waitUntil(() => true, 0, true)).toBe(true);
  });

  test("statistics are kept by name, whoever named the lock first", () => {
    const [here, there] = twoThreads();
    new Mutex(here, base, "jobs").lock();
    const second = new SpinLock(there, base + 128, "log");
    const first = new Mutex(there, base, "jobs");
    second.lock();
    expect(first.tryLock()).toBe(false);
    const [jobs, log, ...rest] = here.stats();
    expect(jobs).toMatchObject({ name: "jobs", acquired: 1, contended: 0, tryFailed: 1, waitMeanNs: 0 });
    expect(log).toMatchObject({ name: "log", acquired: 1 });
    expect(rest).toEqual([]);
  });

  test("a thread's number is free again once it detached", () => {
    const buffer = newBuffer();
    const attach = (): source.LockSpace => new LockSpace(buffer, { threads: THREADS });
    const spaces = [attach(), attach(), attach()];
    expect(attach).toThrow("LockSpace: all 3 threads of this space are attached already");
    spaces[1]?.detach();
    expect(attach().thread).toBe(1);
  });

  test.each([
    ["LockSpace: expected a SharedArrayBuffer", () => new LockSpace(new ArrayBuffer(8) as never, { threads: 1 })],
    ["LockSpace: threads: got 0, expected", () => new LockSpace(newBuffer(), { threads: 0 })],
    ["lie outside the buffer of 64 bytes", () => new LockSpace(new SharedArrayBuffer(64), { threads: 1 })],
    ["LockSpace: byte offset: got 64", () => new LockSpace(newBuffer(), { threads: 1, byteOffset: 64 })],
    ["LockSpace: threads at byte 0: got 3, expected 2", (space) => new LockSpace(space.buffer, { threads: 2 })],
    ["Mutex: byte offset: got 6, expected a multiple of 4", (space) => new Mutex(space, 6)],
    ["Mutex: byte offset: got -4, expected a multiple of 4", (space) => new Mutex(space, -4)],
    ["Mutex: byte offset: got 0.5, expected a multiple of 4", (space) => new Mutex(space, 0.5)],
    ["RwSemaphore: byte offset: got 20004, expected a multiple of 128", (space) => new RwSemaphore(space, 20004)],
    ["lies in the lock space (0 to", (space) => new Mutex(space, 128)],
    ["lie outside the buffer of", (space) => new SpinLock(space, space.buffer.byteLength)],
    ['lock name "": got 0 bytes, expected 1 to 32', (space) => new Mutex(space, base, "")],
    ["got 33 bytes, expected 1 to 32", (space) => new Mutex(space, base, "x".repeat(33))],
    [
      "a space holds at most 32 names",
      (space) => Array.from({ length: 33 }, (_, i) => new Mutex(space, base, `m${i}`)),
    ],
    ["Completion.wait: timeout: got -1, expected milliseconds", (space) => new Completion(space, base).wait(-1)],
    ["LockSpace.kill: thread: got 3, expected 0 to 2", (space) => space.kill(3)],
  ] satisfies [string, (space: source.LockSpace) => unknown][])("refuses: %s", (message, misuse) => {
    const space = new LockSpace(newBuffer(), { threads: THREADS });
    expect(() => misuse(space)).toThrow(message);
    expect(() => misuse(space)).toThrow(expect.objectContaining({ name: "UsageError" }));
  });
});

describe("blocking, on the main thread of the build", () => {
  const { Completion, LockSpace, Mutex, WaitQueue } = built;
  const base = LockSpace.byteLength(THREADS);

  test("a lock in a space that does not begin at 0", () => {
    const byteOffset = 256;
    const buffer = new SharedArrayBuffer(byteOffset + base + 128);
    const space = new LockSpace(buffer, { threads: THREADS, byteOffset });
    const mutex = new Mutex(space, 128);
    mutex.lock();
    mutex.unlock();
    expect(() => new Mutex(space, 0)).toThrow("Mutex: byte offset: got 0, expected a place behind byte 0");
    expect(() => new Mutex(space, 248)).toThrow("lies in the lock space");
  });

  test("timeouts end a wait that nobody else would end", () => {
    const space = new LockSpace(newBuffer(), { threads: THREADS });
    const done = new Completion(space, base, "done");
    expect(done.wait(5)).toBe(false);
    const queue = new WaitQueue(space, base + 128, "queue");
    let asked = 0;
    expect(queue.waitUntil(() => asked++ < 0, 5)).toBe(false);
    expect(asked).toBe(2);
    expect(queue.waitUntil(() => false, 0, true)).toBe(false);
    const [doneStats, queueStats] = space.stats();
    expect(doneStats).toMatchObject({ contended: 1, parked: 1, acquired: 0 });
    expect(doneStats?.waitNs).toBeGreaterThanOrEqual(4e6);
    expect(queueStats?.parked).toBeGreaterThanOrEqual(1);
  });

  test("a killed thread gets false instead of the lock", () => {
    const buffer = newBuffer();
    const [here, there] = [new LockSpace(buffer, { threads: THREADS }), new LockSpace(buffer, { threads: THREADS })];
    const [mutex, same] = [new Mutex(here, base), new Mutex(there, base)];
    mutex.lock();
    here.kill(there.thread);
    expect(same.lockKillable()).toBe(false);
    mutex.unlock();
    expect(same.lockKillable()).toBe(true);
  });
});

describe("examples", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const run = async (file: string): Promise<string> =>
    (await promisify(execFile)(process.execPath, [file], { cwd: root, timeout: 30_000 })).stdout;

  test("counter.mjs", async () => {
    expect(await run("examples/sync/counter.mjs")).toMatch(/^expected (\d+)\ncounted {2}\1\n/);
  });

  test("queue.mjs", async () => {
    expect(await run("examples/sync/queue.mjs")).toMatch(/^expected (\d+)\nconsumed \1\n/);
  });
});
