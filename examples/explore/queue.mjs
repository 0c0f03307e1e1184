// A queue with room for one item, two threads that put and two that take. Who finds it full, or empty, sleeps until somebody
// says that it has changed. With one condition for both, that wakes the one who has slept longest, who may be of the
// wrong kind: a taker tells another taker that there is room now. Then everybody sleeps, and nothing ever wakes them.
// Tests pass a thousand times before they meet this order. Run: node examples/explore/queue.mjs

import { explore, renderExploration } from "oomrace";
import {
  atomicLoad,
  fetchAdd,
  futexWait,
  futexWake,
  load,
  lockClass,
  NO_TIMEOUT,
  spinLock,
  spinUnlock,
  store,
} from "oomrace/kernel";

// What the threads share: addresses of 32-bit words.
const LOCK = 1;
const USED = 2; // items in the queue; plain loads and stores, because the lock guards it
const CHANGED = 3;
const NOT_FULL = 3;
const NOT_EMPTY = 4;
const NAMES = ["", "lock", "used", "condition", "condition 2"];
const ROOM = 1;
const QUEUE = lockClass("queue"); // locks of one class have one name in reports

// A condition is a word that counts how often it was notified. To wait: note the count, let go of the lock, and sleep unless
// the count is another one by then. So a notification between letting go and falling asleep is not lost.
function* waitFor(cpu, condition) {
  const seen = yield* atomicLoad(cpu, condition);
  yield* spinUnlock(cpu, LOCK, QUEUE);
  yield* futexWait(cpu, condition, seen, NO_TIMEOUT);
  yield* spinLock(cpu, LOCK, QUEUE);
}

function* notifyOne(cpu, condition) {
  yield* fetchAdd(cpu, condition, 1);
  yield* futexWake(cpu, condition, 1);
}

function program(notFull, notEmpty) {
  function* puts(cpu) {
    yield* spinLock(cpu, LOCK, QUEUE);
    while (load(cpu, USED) === ROOM) yield* waitFor(cpu, notFull);
    store(cpu, USED, load(cpu, USED) + 1);
    yield* notifyOne(cpu, notEmpty);
    yield* spinUnlock(cpu, LOCK, QUEUE);
  }

  function* takes(cpu) {
    yield* spinLock(cpu, LOCK, QUEUE);
    while (load(cpu, USED) === 0) yield* waitFor(cpu, notEmpty);
    store(cpu, USED, load(cpu, USED) - 1);
    yield* notifyOne(cpu, notFull);
    yield* spinUnlock(cpu, LOCK, QUEUE);
  }

  return {
    words: NAMES.length,
    threads: [puts, puts, takes, takes],
    // Asked after every step.
    invariants: (words) => {
      if (words[USED] < 0 || words[USED] > ROOM) throw new Error(`${words[USED]} items in the queue`);
    },
    describe: (word) => NAMES[word] ?? `own words of a thread`,
  };
}

const broken = program(CHANGED, CHANGED);
console.log(`One condition for both:\n\n${renderExploration(broken, explore(broken))}\n`);

const mended = program(NOT_FULL, NOT_EMPTY);
const some = { executions: 20_000 };
console.log(`A condition for each:\n\n${renderExploration(mended, explore(mended, some))}`);
