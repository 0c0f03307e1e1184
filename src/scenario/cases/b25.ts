/** B25, the mails of 2010: four threads, a strictly fair mmap_sem, and memory that only one of them can free. */

import type { Cpu, Steps } from "../../arena/cpu.ts";
import { mmAlloc, mmput } from "../../mm/mm.ts";
import { RULES_FIFO_2010 } from "../../sync/rwsem.ts";
import { createTask, switchTo } from "../../task/task.ts";
import type { Case, CaseRole, CaseVariant } from "../case.ts";

function variant(unfair: boolean, label: string): CaseVariant {
  return {
    // The oldest there is; only its rwsem matters, and that is the one of 2010 here.
    protocol: "v4.13",
    label,
    shape: { cpus: 4 },
    *stage(cpu: Cpu): Steps<readonly CaseRole[]> {
      const mm = yield* mmAlloc(cpu, 1, RULES_FIFO_2010);
      const task = createTask(cpu, 0, { pid: 1000, comm: "T2", mm });
      switchTo(cpu, 0);
      const params = { mm, task, unfair };
      return [
        { role: "waitsForVictim", params, title: "T1 allocates" },
        { role: "exitsIn2010", params, title: "T2 exits (victim)" },
        { role: "maps", params, title: "T3 mmap()" },
        { role: "faultsWithoutMemory", params, title: "T4 faults" },
      ];
    },
    *end(cpu: Cpu, [first]): Steps<void> {
      yield* mmput(cpu, first?.params.mm as number);
    },
  };
}

export const b25: Case = {
  id: "B25",
  title:
    "the victim queues for mmap_sem behind a writer, which waits for a reader, which waits for the victim's memory",
  broken: variant(false, "down_read, strictly fair"),
  fixed: variant(true, "down_read_unfair"),
};
