// One thread produces numbers, three consume them: a ring buffer under a spinlock, with a wait queue for each side.
// Run: node examples/sync/queue.mjs

import { once } from "node:events";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { LockSpace, SpinLock, WaitQueue } from "oomrace/sync";

const CONSUMERS = 3;
const THREADS = CONSUMERS + 2;
const ITEMS = 20_000;
const SLOTS = 64;
/** Tells a consumer that nothing more comes. */
const END = -1;

// Bytes: locks on cache lines of their own. Words: head, tail, sum, ring.
const lockAt = LockSpace.byteLength(THREADS);
const itemsAt = lockAt + 128;
const spaceAt = itemsAt + 128;
const ringAt = spaceAt + 128;
const [HEAD, TAIL, SUM, RING] = [0, 1, 2, 3].map((word) => ringAt / 4 + word);
const bytes = (RING + SLOTS) * 4;

function open(buffer) {
  const space = new LockSpace(buffer, { threads: THREADS });
  const lock = new SpinLock(space, lockAt, "ring");
  const items = new WaitQueue(space, itemsAt, "items");
  const room = new WaitQueue(space, spaceAt, "room");
  return { space, lock, items, room, words: new Int32Array(buffer) };
}

/** Does `step` under the lock; it says whether it could. */
function tryLocked({ lock }, step) {
  lock.lock();
  const done = step();
  lock.unlock();
  return done;
}

function put(ring, value) {
  const { items, room, words } = ring;
  const tryPut = () => {
    if (words[TAIL] - words[HEAD] === SLOTS) return false;
    words[RING + (words[TAIL]++ % SLOTS)] = value;
    return true;
  };
  room.waitUntil(() => tryLocked(ring, tryPut), Number.POSITIVE_INFINITY, true);
  items.notify();
}

function take(ring) {
  const { items, room, words } = ring;
  let value = 0;
  const tryTake = () => {
    if (words[TAIL] === words[HEAD]) return false;
    value = words[RING + (words[HEAD]++ % SLOTS)];
    return true;
  };
  items.waitUntil(() => tryLocked(ring, tryTake), Number.POSITIVE_INFINITY, true);
  room.notify();
  return value;
}

if (isMainThread) {
  const buffer = new SharedArrayBuffer(bytes);
  const roles = ["produce", ...Array(CONSUMERS).fill("consume")];
  const threads = roles.map((role) => new Worker(new URL(import.meta.url), { workerData: { buffer, role } }));
  await Promise.all(threads.map((thread) => once(thread, "exit")));
  const ring = open(buffer);
  console.log(`expected ${(ITEMS * (ITEMS + 1)) / 2}`);
  console.log(`consumed ${ring.words[SUM]}`);
  for (const { name, contended, parked } of ring.space.stats())
    console.log(`${name}: ${contended} waits, ${parked} slept`);
} else if (workerData.role === "produce") {
  const ring = open(workerData.buffer);
  for (let value = 1; value <= ITEMS; value++) put(ring, value);
  for (let i = 0; i < CONSUMERS; i++) put(ring, END);
} else {
  const ring = open(workerData.buffer);
  for (let value = take(ring); value !== END; value = take(ring)) {
    Atomics.add(ring.words, SUM, value);
  }
}
