/** Wordings that no kill of today's machine brings about, and the numbers and names of GFP flags. */

import { expect, it } from "vitest";
import { __GFP_HIGH, __GFP_MEMALLOC, GFP_KERNEL } from "../../src/mm/page-alloc.ts";
import { CONSTRAINT_NAMES } from "../../src/oom/constraint.ts";
import { MESSAGE_MEMCG } from "../../src/oom/oom-message.ts";
import { gfpText } from "../../src/report/gfp-text.ts";
import { klogLines } from "../../src/report/klog-lines.ts";
import { commWords, storeComm } from "../../src/trace/comm.ts";
import { OOM_EXITING, OOM_INVOKED, OOM_VICTIM, WAKE_REAPER } from "../../src/trace/event.ts";
import type { TraceRecord } from "../../src/trace/ring.ts";

function comm(name: string): number[] {
  const words = new Int32Array(4);
  storeComm(words, 0, name);
  return commWords(words, 0);
}

function record(event: number, [a = 0, b = 0, ...more]: readonly number[]): TraceRecord {
  return { timeNs: 0, cpu: 0, event, a, b, more };
}

const MEMCG = CONSTRAINT_NAMES.indexOf("CONSTRAINT_MEMCG");
const POLICY = CONSTRAINT_NAMES.indexOf("CONSTRAINT_MEMORY_POLICY");

it("names a memory group, and the nodes of a policy and of a cpuset as ranges", () => {
  const inGroup = [MESSAGE_MEMCG, 7, 5, ...comm("web"), 900, 3, MEMCG, 0, 2, 0b1011, 3];
  expect(klogLines(record(OOM_VICTIM, inGroup), "v6.8")).toEqual([
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=2,mems_allowed=0-1,3,oom_memcg=/3,task_memcg=/3,task=web,pid=7,uid=5",
  ]);
  expect(klogLines(record(OOM_VICTIM, inGroup), "v4.15")).toEqual([
    "Memory cgroup out of memory: Kill process 7 (web) score 900 or sacrifice child",
  ]);
  const bound = [0, 7, 5, ...comm("web"), 900, 0, POLICY, 0b110, 0, -1, 0];
  expect(klogLines(record(OOM_VICTIM, bound), "v5.12")).toEqual([
    "oom-kill:constraint=CONSTRAINT_MEMORY_POLICY,nodemask=1-2,cpuset=/,mems_allowed=0-31,global_oom,task_memcg=/,task=web,pid=7,uid=5",
  ]);
  const invoked = [GFP_KERNEL, 2, ...comm("web"), 1000, POLICY, 0b100, 4, 1, 0];
  expect(klogLines(record(OOM_INVOKED, invoked), "v4.13").slice(0, 2)).toEqual([
    "web invoked oom-killer: gfp_mask=0x14000c0(GFP_KERNEL), nodemask=2,  order=2, oom_score_adj=1000",
    "web cpuset=4 mems_allowed=0",
  ]);
});

it("says that a victim is gone already, since there is a line for it", () => {
  const gone = record(OOM_EXITING, [0, 7, ...comm("web")]);
  expect(klogLines(gone, "v5.12")).toEqual([
    "Out of memory: OOM victim 7 (web) is already exiting. Skip killing the task",
  ]);
  expect(klogLines(gone, "v4.15")).toEqual([]);
});

it("prints nothing for a tracepoint", () => {
  expect(klogLines(record(WAKE_REAPER, [7]), "v6.8")).toEqual([]);
});

it.each([
  [0, "0x0()", "0x0()"],
  [GFP_KERNEL, "0xcc0(GFP_KERNEL)", "0x14000c0(GFP_KERNEL)"],
  [__GFP_HIGH | __GFP_MEMALLOC, "0x20020(__GFP_HIGH|__GFP_MEMALLOC)", "0x2020(__GFP_HIGH|__GFP_MEMALLOC)"],
])("GFP flags %i are %s, and before v4.20 %s", (gfp, now, before) => {
  expect([gfpText(gfp, "v6.8"), gfpText(gfp, "v4.15")]).toEqual([now, before]);
});
