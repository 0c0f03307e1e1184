import { expect, test } from "vitest";
import { atomicLoad, fetchAdd, NO_TIMEOUT, runToEnd } from "../../src/arena/mem.ts";
import {
  Completion,
  complete,
  completeAll,
  completionDone,
  reinitCompletion,
  tryWaitForCompletion,
  waitForCompletion,
  waitForCompletionKillable,
  waitForCompletionTimeout,
} from "../../src/sync/completion.ts";
import { sendSigkill } from "../../src/sync/park.ts";
import { checkEqual, createLab, exploreSeeds, type Program } from "./lock-lab.ts";

const lab = createLab(Completion);
const { lock: completion, cls, scratch } = lab;

function checkIdle(): void {
  for (let word = 0; word < Completion.WORDS; word++) checkEqual(`word ${word}`, lab.words[completion + word], 0);
}

const waiter: Program = function* (cpu) {
  yield* waitForCompletion(cpu, completion, cls);
};

test("an event that came first is consumed without waiting, once", () => {
  lab.reset();
  const cpu = lab.solo(0);
  expect(runToEnd(tryWaitForCompletion(cpu, completion, cls))).toBe(false);
  runToEnd(complete(cpu, completion));
  runToEnd(complete(cpu, completion));
  expect(runToEnd(completionDone(cpu, completion))).toBe(true);
  runToEnd(waitForCompletion(cpu, completion, cls));
  expect(runToEnd(tryWaitForCompletion(cpu, completion, cls))).toBe(true);
  expect(runToEnd(tryWaitForCompletion(cpu, completion, cls))).toBe(false);
  expect(runToEnd(completionDone(cpu, completion))).toBe(false);
  expect(lab.totals()).toMatchObject({ acquired: 2, contended: 0, tryFailed: 2 });
});

test("completeAll lasts until it is initialised again", () => {
  lab.reset();
  const cpu = lab.solo(0);
  runToEnd(completeAll(cpu, completion));
  for (let i = 0; i < 3; i++) runToEnd(waitForCompletion(cpu, completion, cls));
  runToEnd(complete(cpu, completion));
  expect(runToEnd(completionDone(cpu, completion))).toBe(true);
  runToEnd(reinitCompletion(cpu, completion));
  expect(runToEnd(tryWaitForCompletion(cpu, completion, cls))).toBe(false);
});

test("each event wakes one waiter: as many events as waiters, all finish", () => {
  const completer: Program = function* (cpu) {
    for (let i = 0; i < 3; i++) yield* complete(cpu, completion);
  };
  let slept = 0;
  exploreSeeds(lab, [waiter, waiter, waiter, completer], () => {
    slept += lab.totals().parked;
    checkEqual("acquired", lab.totals().acquired, 3);
    checkIdle();
  });
  expect(slept).toBeGreaterThan(0);
});

test("one event too few: the last waiter sleeps on", () => {
  const completer: Program = function* (cpu) {
    yield* complete(cpu, completion);
  };
  for (let seed = 1; seed <= 50; seed++) expect(lab.run(seed, [waiter, waiter, completer]).state).toBe("deadlock");
});

test("completeAll wakes everybody", () => {
  const completer: Program = function* (cpu) {
    yield* completeAll(cpu, completion);
  };
  exploreSeeds(lab, [waiter, waiter, waiter, completer], () => checkEqual("acquired", lab.totals().acquired, 3));
});

test("a timeout ends the wait, and an event that it missed stays for others", () => {
  const impatient: Program = function* (cpu) {
    return yield* waitForCompletionTimeout(cpu, completion, cls, 5);
  };
  const completer: Program = function* (cpu) {
    for (let i = 0; i < 6; i++) yield* atomicLoad(cpu, scratch);
    yield* complete(cpu, completion);
  };
  const seen = new Set<unknown>();
  exploreSeeds(lab, [impatient, completer], ([got]) => {
    seen.add(got);
    checkEqual("left over", runToEnd(tryWaitForCompletion(lab.solo(2), completion, cls)), !got);
    checkIdle();
  });
  expect(seen).toEqual(new Set([true, false]));
});

test("a timeout with nobody to complete", () => {
  const impatient: Program = function* (cpu) {
    return yield* waitForCompletionTimeout(cpu, completion, cls, 250);
  };
  const outcome = lab.run(1, [impatient]);
  expect(outcome).toMatchObject({ state: "finished", results: [false], timeNs: 250_000 });
  expect(lab.totals()).toMatchObject({ acquired: 0, contended: 1, parked: 1, waitNs: 250_000, waitMaxNs: 250_000 });
  const patient: Program = function* (cpu) {
    yield* waitForCompletionTimeout(cpu, completion, cls, NO_TIMEOUT);
  };
  expect(lab.run(1, [patient]).state).toBe("deadlock");
});

test("a fatal signal ends a killable wait; the event goes to another waiter", () => {
  const killable: Program = function* (cpu) {
    const got = yield* waitForCompletionKillable(cpu, completion, cls);
    if (got) yield* fetchAdd(cpu, scratch, 1);
    return got;
  };
  const killer: Program = function* (cpu) {
    yield* sendSigkill(cpu, 0);
  };
  const completer: Program = function* (cpu) {
    yield* complete(cpu, completion);
    // The first waiter may have been killed or served; in either case one event per remaining waiter is enough.
    while ((yield* atomicLoad(cpu, scratch)) === 0) yield* atomicLoad(cpu, scratch);
    yield* complete(cpu, completion);
  };
  const seen = new Set<unknown>();
  exploreSeeds(lab, [killable, killable, killer, completer], ([first, second]) => {
    seen.add(first);
    checkEqual("second", second, true);
    const left = runToEnd(tryWaitForCompletion(lab.solo(4), completion, cls));
    checkEqual("left over", left, !first);
  });
  expect(seen).toEqual(new Set([true, false]));
});
