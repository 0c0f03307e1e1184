import fc from "fast-check";
import { expect, test } from "vitest";
import { CpuSync } from "../../src/sync/cpu-sync.ts";
import { addFirst, addLast, firstWaiter, nextWaiter, removeWaiter, WaitList } from "../../src/sync/wait-list.ts";
import { createLab } from "./lock-lab.ts";

const lab = createLab(WaitList);
const CPUS = 6;

const step = fc.record({ cpu: fc.nat(CPUS - 1), where: fc.constantFrom("first", "last", "off") });

test.each(["node", "waitNode"] as const)("behaves as an array of CPU numbers (%s)", (field) => {
  const node = CpuSync[field];
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      lab.reset();
      let model: number[] = [];
      for (const { cpu, where } of steps) {
        const queued = model.includes(cpu);
        if (where === "off") {
          if (!queued) continue;
          removeWaiter(lab.solo(0), lab.lock, cpu, node);
          model = model.filter((id) => id !== cpu);
        } else if (!queued) {
          if (where === "first") addFirst(lab.solo(cpu), lab.lock, node);
          else addLast(lab.solo(cpu), lab.lock, node);
          model = where === "first" ? [cpu, ...model] : [...model, cpu];
        }
        const listed: number[] = [];
        for (let id = firstWaiter(lab.solo(0), lab.lock); id >= 0; id = nextWaiter(lab.solo(0), id, node))
          listed.push(id);
        expect(listed).toEqual(model);
        expect(lab.words[lab.lock + WaitList.tail]).toBe((model.at(-1) ?? -1) + 1);
      }
    }),
  );
});
