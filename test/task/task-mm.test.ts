/** get_task_mm: a use of another task's address space, for as long as it has one. */

import { expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { mmput } from "../../src/mm/mm.ts";
import { Mm } from "../../src/mm/mm-struct.ts";
import { kthreadUseMm } from "../../src/task/kthread.ts";
import { createTask, PF_KTHREAD, switchTo } from "../../src/task/task.ts";
import { getTaskMm } from "../../src/task/task-mm.ts";
import { burstScheduler, OomLab } from "../oom/lab.ts";
import { exitCurrent, release } from "./lab.ts";

it("makes the caller a user of the mm, or answers 0 once the task has let go of it; 1000 seeds", () => {
  const lab = new OomLab({ protocol: "v6.1", cpus: 2 });
  const { task, mm } = lab.spawn(0);
  lab.keep();
  const seen = new Set<number>();
  function* visit(cpu: Cpu): Steps<number> {
    const found = yield* getTaskMm(cpu, task);
    if (found === 0) return 0;
    if (lab.word(found + Mm.mmUsers) < 1) throw new Error("no user of what was found");
    yield* mmput(cpu, found);
    return found;
  }
  for (let seed = 1; seed <= 1000; seed++) {
    const [, found] = lab.finish([exitCurrent, visit], burstScheduler(seed));
    seen.add(found as number);
    release(lab, task);
    expect(lab.broken(), `seed ${seed}`).toEqual([]);
  }
  expect(seen).toEqual(new Set([0, mm]));
});

it("answers 0 for a kthread, whatever it works in", () => {
  const lab = new OomLab({ protocol: "v6.1", cpus: 2 });
  const { mm } = lab.spawn(0);
  const kthread = lab.alone(1, function* (cpu): Steps<number> {
    const made = createTask(cpu, 1, { pid: 7, flags: PF_KTHREAD });
    switchTo(cpu, made);
    yield* kthreadUseMm(cpu, mm);
    return made;
  });
  const users = lab.word(mm + Mm.mmUsers);
  expect(lab.alone(0, (cpu) => getTaskMm(cpu, kthread))).toBe(0);
  expect(lab.word(mm + Mm.mmUsers)).toBe(users);
});
