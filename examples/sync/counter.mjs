// Four threads count in one plain word under a mutex; the statistics say what the contention cost.
// Run: node examples/sync/counter.mjs

import { once } from "node:events";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { Completion, LockSpace, Mutex } from "oomrace/sync";

const THREADS = 4;
const ADDITIONS = 100_000;

// Who lies where in the buffer, in bytes, 128 apart. The same lines run in every thread.
const mutexAt = LockSpace.byteLength(THREADS + 1);
const startAt = mutexAt + 128;
const counterAt = startAt + 128;
const bytes = counterAt + 128;

const buffer = isMainThread ? new SharedArrayBuffer(bytes) : workerData;
const words = new Int32Array(buffer);
const space = new LockSpace(buffer, { threads: THREADS + 1 });
const mutex = new Mutex(space, mutexAt, "counter");
const start = new Completion(space, startAt, "start");

if (isMainThread) {
  const threads = Array.from({ length: THREADS }, () => new Worker(new URL(import.meta.url), { workerData: buffer }));
  await Promise.all(threads.map((thread) => once(thread, "online")));
  start.signalAll();
  await Promise.all(threads.map((thread) => once(thread, "exit")));

  console.log(`expected ${THREADS * ADDITIONS}`);
  console.log(`counted  ${words[counterAt / 4]}`);
  const { acquired, contended, waitMeanNs } = space.stats().find(({ name }) => name === "counter");
  console.log(`${acquired} acquisitions, ${contended} contended, mean wait ${Math.round(waitMeanNs)} ns`);
} else {
  start.wait();
  for (let i = 0; i < ADDITIONS; i++) {
    mutex.lock();
    words[counterAt / 4] += 1;
    mutex.unlock();
  }
}
