// One thread of the lock torture. What it checks is what kernel/locking/locktorture.c checks: a writer meets nobody,
// a reader meets no writer, and every hold is counted. Runs on the stripped stress build, at full speed.

import { workerData } from "node:worker_threads";

const { kernel, buffer, place, kindName, id, role, ops, deadlineMs } = workerData;
const { LOCKS, bustedLock, soloPort, syncCpu } = await import(kernel);
const words = new Int32Array(buffer);
const kind = [...LOCKS, bustedLock].find(({ name }) => name === kindName);
const cpu = syncCpu(words, place.sync, id, soloPort());
const { lock, cls, arrived, go, stop, writersIn, readersIn, counter, errors, never } = place;
let random = 1 + id;

/** Some holds last a millisecond, so that waiters run out of their spin budget and sleep. */
function hold() {
  random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
  if (random % 256 === 0) Atomics.wait(words, never, 0, 1);
}

function fail() {
  Atomics.add(words, errors, 1);
  Atomics.store(words, stop, 1);
}

function stayAsWriter() {
  if (Atomics.add(words, writersIn, 1) !== 0 || Atomics.load(words, readersIn) !== 0) fail();
  const count = words[counter];
  hold();
  words[counter] = count + 1;
  if (Atomics.load(words, readersIn) !== 0 || Atomics.sub(words, writersIn, 1) !== 1) fail();
}

function stayAsReader() {
  Atomics.add(words, readersIn, 1);
  if (Atomics.load(words, writersIn) !== 0) fail();
  hold();
  if (Atomics.load(words, writersIn) !== 0) fail();
  Atomics.sub(words, readersIn, 1);
}

const roles = {
  writer() {
    kind.lockWrite(cpu, lock, cls);
    stayAsWriter();
    kind.unlockWrite(cpu, lock, cls);
    return 1;
  },
  tryingWriter() {
    if (!kind.trylockWrite(cpu, lock, cls)) return 0;
    stayAsWriter();
    kind.unlockWrite(cpu, lock, cls);
    return 1;
  },
  reader() {
    kind.read.lockRead(cpu, lock, cls);
    stayAsReader();
    kind.read.unlockRead(cpu, lock, cls);
    return 1;
  },
  downgrader() {
    kind.lockWrite(cpu, lock, cls);
    stayAsWriter();
    kind.downgrade.downgradeToRead(cpu, lock, cls);
    stayAsReader();
    kind.read.unlockRead(cpu, lock, cls);
    return 1;
  },
  /** Never lets go. */
  hog() {
    kind.lockWrite(cpu, lock, cls);
    Atomics.wait(words, never, 0);
    return 1;
  },
};

Atomics.add(words, arrived, 1);
Atomics.notify(words, arrived);
Atomics.wait(words, go, 0);
const end = performance.now() + deadlineMs;
let held = 0;
while (held < ops && performance.now() < end && Atomics.load(words, stop) === 0) held += roles[role]();
Atomics.store(words, place.held + id, held);
