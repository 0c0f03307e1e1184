/** The tracepoints of a kill, with the kernel's fields, under a thousand schedules. */

import { describe, expect, it } from "vitest";
import { Random } from "../../src/base/random.ts";
import { describeOutcome } from "../../src/explore/outcome.ts";
import { timerChoice } from "../../src/explore/schedule.ts";
import type { Scheduler } from "../../src/explore/scheduler.ts";
import { findProtocol } from "../../src/machine/roles.ts";
import { setOomScoreAdj } from "../../src/task/oom-score-adj.ts";
import { putOomMm } from "../../src/task/tasklist.ts";
import {
  FINISH_TASK_REAPING,
  MARK_VICTIM,
  RECLAIM_RETRY_ZONE,
  START_TASK_REAPING,
  WAKE_REAPER,
} from "../../src/trace/event.ts";
import { formatFields, formatTraceRecord, traceEventOf, traceFields } from "../../src/trace/record.ts";
import type { TraceRecord } from "../../src/trace/ring.ts";
import { drainLab, type LoggedKill, loggedKill, REAPER, VICTIM } from "./logged-kill.ts";

const SEEDS = 1000;

/**
 * At random, but the victim only one time in 1 to 32, drawn per seed, and a timer may fire while others run: so now the
 * victim comes first and now the reaper.
 */
function lazyVictim(seed: number): Scheduler {
  const random = new Random(seed);
  const laziness = 2 ** random.below(6);
  return {
    name: `lazy victim, seed ${seed}`,
    begin: () => {},
    pick({ enabled, enabledCount, timers, timerCount }) {
      if (enabledCount === 0 || (timerCount > 0 && random.below(64) === 0)) return timerChoice(timers[0] as number);
      const chosen = enabled[random.below(enabledCount)] as number;
      return chosen === VICTIM && random.below(laziness) !== 0 ? enabled[enabledCount - 1] : chosen;
    },
  };
}

interface Traced {
  /** Of the groups "oom", "sched" and "signal". */
  readonly records: readonly TraceRecord[];
  /** False when the machine died of memory that lay on another CPU's list. */
  readonly finished: boolean;
}

function trace({ lab, programs, victim }: LoggedKill, seed: number): Traced {
  lab.reset();
  const outcome = lab.run(programs, lazyVictim(seed));
  const finished = outcome.state === "finished";
  if (!finished) expect(describeOutcome(outcome), `seed ${seed}`).toContain("deadlocked on memory");
  const records = drainLab(lab).filter((record) => ["oom", "sched", "signal"].includes(traceEventOf(record).group));
  if (finished) lab.alone(VICTIM, (cpu) => putOomMm(cpu, victim.task));
  return { records, finished };
}

const MARKED = {
  "v6.18": " comm=hog total_vm=160 anon_rss=160 file_rss=0 shmem_rss=0 uid=1000 pgtables=12 oom_score_adj=0",
};

describe.each(["v4.13", "v6.1", "v6.18"])("%s", (name) => {
  it(`marks the victim once, wakes the reaper for it, and ends what it starts (${SEEDS} seeds)`, () => {
    const kill = loggedKill(name);
    const era = findProtocol(name).logEra;
    const seen = new Set<string>();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { records, finished } = trace(kill, seed);
      const count = (event: number): number => records.filter((record) => record.event === event).length;
      for (const record of records) {
        if (record.event === RECLAIM_RETRY_ZONE) continue;
        seen.add(`${traceEventOf(record).name}: ${formatFields(traceFields(record, era))}`);
      }
      const wrong =
        count(MARK_VICTIM) !== 1 ||
        count(WAKE_REAPER) > 1 ||
        (finished && count(START_TASK_REAPING) !== count(FINISH_TASK_REAPING)) ||
        count(RECLAIM_RETRY_ZONE) === 0;
      if (wrong) expect.unreachable(`seed ${seed}: ${records.map(formatTraceRecord).join("; ")}`);
    }
    expect([...seen].sort()).toEqual([
      "finish_task_reaping: pid=1000",
      `mark_victim: pid=1000${name === "v6.18" ? MARKED[name] : ""}`,
      "sched_process_exit: pid=1000 comm=hog",
      "signal_generate: sig=9 comm=hog pid=1000",
      "skip_task_reaping: pid=1000",
      "start_task_reaping: pid=1000",
      "wake_reaper: pid=1000",
    ]);
  });
});

it("reclaim_retry_zone tells what the zone has, and that it is too little", () => {
  const kill = loggedKill("v6.18");
  const [first] = trace(kill, 1).records.filter((record) => traceEventOf(record).name === "reclaim_retry_zone");
  expect(traceFields(first as TraceRecord)).toEqual({
    node: 0,
    zone_idx: 2,
    order: 0,
    reclaimable: 0,
    available: 0,
    min_wmark: 0,
    no_progress_loops: 1,
    wmark_check: 0,
  });
});

it("a schedule is the same with tracing and without (100 seeds)", () => {
  const traced = loggedKill("v6.18");
  const silent = loggedKill("v6.18", { traceEvents: 0 });
  for (let seed = 1; seed <= 100; seed++) {
    const [with_, without] = [traced, silent].map(({ lab, programs }) => {
      lab.reset();
      return lab.run(programs, lazyVictim(seed)).schedule;
    });
    expect(with_, `seed ${seed}`).toEqual(without);
  }
});

it("oom_score_adj_update", () => {
  const { lab, victim } = loggedKill("v6.18");
  lab.alone(REAPER, (cpu) => setOomScoreAdj(cpu, victim.task, -500));
  expect(drainLab(lab).map((record) => formatTraceRecord({ ...record, timeNs: 1500 }))).toEqual([
    "[002] 1.500: oom_score_adj_update: pid=1000 comm=hog oom_score_adj=-500",
  ]);
});
