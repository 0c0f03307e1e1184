import { expect, test } from "vitest";
import type { Cpu } from "../../../src/arena/cpu.ts";
import { interleave } from "../../../src/explore/engine.ts";
import type { Schedule } from "../../../src/explore/schedule.ts";
import { randomScheduler } from "../../../src/explore/schedulers/random.ts";
import { carelessIncrement, createToy, toyCpu } from "../../race/workers/toy.ts";

function scheduleOfSeed(seed: number): Schedule {
  const machine = { cpus: 3 };
  const words = createToy(machine);
  const programs = [0, 1, 2].map(() => (cpu: Cpu) => carelessIncrement(cpu, { times: 1 }));
  const scheduler = randomScheduler(seed);
  return interleave({ words, programs, cpuOf: (id, port) => toyCpu(words, machine, id, port), scheduler }).schedule;
}

test("the same seed makes the same choices, other seeds make others", () => {
  expect(scheduleOfSeed(7)).toEqual(scheduleOfSeed(7));
  expect(scheduleOfSeed(7)).not.toEqual(scheduleOfSeed(8));
});

test("all interleavings of three programs of two steps come up", () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 3000; seed++) seen.add(scheduleOfSeed(seed).join(""));
  // 6! / (2! 2! 2!)
  expect(seen.size).toBe(90);
});
