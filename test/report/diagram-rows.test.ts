import { describe, expect, test } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, fetchAdd } from "../../src/arena/mem.ts";
import { explore } from "../../src/explore/explore.ts";
import { type Program, subjectOf } from "../../src/explore/program.ts";
import { scheduleOf } from "../../src/explore/schedule.ts";
import { type StepTrace, traceSchedule } from "../../src/explore/step-trace.ts";
import { type RowOptions, rowsOf } from "../../src/report/diagram-rows.ts";
import { programOf } from "../../src/scenario/case.ts";
import { findCase } from "../../src/scenario/cases/index.ts";
import { lockClass } from "../../src/sync/lock-class.ts";
import { spinLock, spinUnlock } from "../../src/sync/spinlock.ts";

const CLASS = lockClass("rows");
const NAMES = ["", "door", "gate", "work"];

/** Takes both locks, one after the other, from one line. */
function* takesBoth(cpu: Cpu): Steps<void> {
  for (const lock of [1, 2]) yield* spinLock(cpu, lock, CLASS);
  yield* fetchAdd(cpu, 3, 1);
  for (const lock of [2, 1]) yield* spinUnlock(cpu, lock, CLASS);
}

const program: Program = { words: 4, threads: [takesBoth, takesBoth], describe: (word) => NAMES[word] ?? "own" };

function rows(choices: readonly number[], options: RowOptions = {}): string[] {
  return shown(traceSchedule(subjectOf(program), scheduleOf([...choices])), options);
}

function shown({ steps }: StepTrace, options: RowOptions = {}): string[] {
  return rowsOf(steps, options).rows.map(({ cpu, what }) => `${cpu} ${what}`);
}

describe("a lock operation is one row", () => {
  test("with the lock's name, and two of them are two, though they stand on one line", () => {
    expect(rows([0, 0, 0, 0, 0])).toEqual([
      "0 spin_lock(door)",
      "0 spin_lock(gate)",
      "0 work: 0 -> 1",
      "0 spin_unlock(gate)",
      "0 spin_unlock(door)",
    ]);
  });

  test("unless somebody else does something to that lock in the middle of it", () => {
    // CPU 1 spins, says that it will sleep, and sleeps; CPU 0 lets it go.
    expect(rows([0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1])).toEqual([
      "0 spin_lock(door)",
      "1 spin_lock(door) sleeps",
      "0 spin_lock(gate)",
      "0 work: 0 -> 1",
      "0 spin_unlock(gate)",
      "0 spin_unlock(door)",
      "1 ... spin_lock(door) returns",
    ]);
  });

  test("but for those who ask what goes on inside", () => {
    expect(rows([0, 1, 1], { insideLocks: true })).toEqual([
      "0 door: 0 -> 1",
      "1 door is 1, not 0",
      "1 gives up spinning: door is still 1",
    ]);
  });
});

test("a CPU that reads what it knows already is not worth a row, unless all are asked for", () => {
  function* looks(cpu: Cpu): Steps<void> {
    for (let i = 0; i < 3; i++) yield* atomicLoad(cpu, 0);
    yield* fetchAdd(cpu, 0, 1);
  }
  const trace = traceSchedule(subjectOf({ words: 1, threads: [looks] }), scheduleOf([0, 0, 0, 0]));
  expect(shown(trace)).toEqual(["0 reads words[0]: 0", "0 words[0]: 0 -> 1"]);
  expect(shown(trace, { all: true })).toHaveLength(4);
});

test.each(["B1", "B3", "B25", "B29", "B30", "B31"])(
  "%s can be mailed: at most 40 rows, and no step of a lock",
  (id) => {
    const subject = programOf(findCase(id).broken);
    const { violation } = explore(subject);
    const drawn = shown(traceSchedule(subjectOf(subject), violation?.schedule ?? scheduleOf([])));
    expect(drawn.length).toBeLessThanOrEqual(36);
    expect(drawn.join("\n")).toMatch(/(down|mutex|spin)_\w+\(\w*lock\)/);
    expect(drawn.join("\n")).not.toMatch(/mmapLock|\.lock:/);
  },
);
