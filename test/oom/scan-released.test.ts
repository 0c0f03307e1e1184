/** The scan for a victim beside processes that come and go: a slot is not another's while somebody looks at it. */

import { expect, it } from "vitest";
import type { Cpu, Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, atomicStore } from "../../src/arena/mem.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { Board } from "../../src/machine/board.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import { VM_WRITE } from "../../src/mm/vma.ts";
import { oomControl } from "../../src/oom/out-of-memory.ts";
import { selectBadProcess } from "../../src/oom/select.ts";
import { doExit } from "../../src/task/exit.ts";
import { copyProcess } from "../../src/task/fork.ts";
import { cpuIdle, wakeUpNewTask } from "../../src/task/idle.ts";
import { OOM_SCORE_ADJ_MIN, Signal } from "../../src/task/signal.ts";
import { Task } from "../../src/task/task.ts";
import { releaseTask } from "../../src/task/tasklist.ts";
import { burstScheduler, OomLab } from "./lab.ts";

const SEEDS = 1000;
const CHILDREN = 3;
const PARENT = 0;
const CHILD = 1;

it(`scans while children are forked, exit and are released; ${SEEDS} seeds`, () => {
  const lab = new OomLab({ protocol: "v6.1", cpus: 3, mms: 3, oomKiller: true });
  const parent = lab.spawn(PARENT, [{ startVpn: 0x10, pages: 2, flags: VM_WRITE, present: "all" }]);
  // Not to be chosen: what the scan returns, it may hold.
  lab.words[lab.word(parent.task + Task.signal) + Signal.oomScoreAdj] = OOM_SCORE_ADJ_MIN;
  const gone = lab.map.board.base + Board.childrenGone;
  lab.keep();

  function* forks(cpu: Cpu): Steps<void> {
    for (let i = 1; i <= CHILDREN; i++) {
      const child = yield* copyProcess(cpu, 0);
      yield* wakeUpNewTask(cpu, child, CHILD);
      while ((yield* atomicLoad(cpu, gone)) < i) {}
      yield* releaseTask(cpu, child);
    }
  }
  function* children(cpu: Cpu): Steps<void> {
    for (let i = 1; i <= CHILDREN; i++) {
      yield* doExit(cpu, yield* cpuIdle(cpu));
      yield* atomicStore(cpu, gone, i);
    }
  }
  function* scans(cpu: Cpu): Steps<void> {
    for (let i = 0; i < 8; i++) {
      yield* selectBadProcess(cpu, oomControl(cpu, 0, 0), findProtocol("v6.1").killer);
    }
  }
  for (let seed = 1; seed <= SEEDS; seed++) {
    lab.reset();
    const outcome = lab.run([forks, children, scans], burstScheduler(seed));
    expect(outcome.state, `seed ${seed}: ${describeOutcome(outcome)}`).toBe("finished");
  }
});
