/** `oomrace run` from end to end. */

import { expect, test } from "vitest";
import type { RunResult } from "../../src/report/run-result.ts";
import { oomrace } from "./oomrace.ts";
import { schemaErrors } from "./schema.ts";

const SMALL = "run --layout vmas-2m --vmas 8 --pages 4096 --hz 10".split(" ");

test.concurrent("run: from pressure to recovery: tracepoints, a column per CPU, the locks, and when the memory was back", async () => {
  const { code, stdout, stderr } = await oomrace(...SMALL, "--order", "reverse", "--allocators", "1");
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^oomrace \S+ run\n/);
  expect(stdout).toContain("reaper mrelease, walks reverse");
  expect(stdout).toMatch(/killed at 0 ns: victim, pid 1000\n/);
  expect(stdout).toMatch(/needless kills: none\n +allocator 1 stalled \d+ times?, /);
  // On a busy machine the caller may come too late for anything (ESRCH), and has no column then.
  expect(stdout).toMatch(/time +CPU 0: victim +(CPU 1: mrelease +)?CPU 2: allocator 1\n/);
  expect(stdout).toMatch(/sched_process_exit: pid=1000/);
  expect(stdout).toMatch(/unmaps 8 ranges/);
  expect(stdout).toMatch(/of 4,096 pages: 50 % after .*, 90 % after .*, 100 % after /);
  expect(stdout).toMatch(/contended +total wait/);
  // Log lines are as long as the kernel's.
  const lines = stdout.split("\n").filter((line) => !line.startsWith("  ["));
  expect(lines.filter((line) => line.length > 160)).toEqual([]);
});

test.concurrent("run --json -: the result alone, by its schema", async () => {
  const { code, stdout } = await oomrace(...SMALL, "--reaper", "none", "--frames", "random", "--json", "-");
  const result = JSON.parse(stdout) as RunResult;
  expect([code, schemaErrors("run", result)]).toEqual([0, null]);
  expect(result.setup).toMatchObject({ order: null, reaper: "none", frames: "random", bystanders: 4 });
  expect(result.kills[0]).toEqual({ ns: 0, pid: 1000, name: "victim" });
  expect(result.timeline.some(({ startNs, text }) => startNs < 0 && text === "allocation stalls")).toBe(true);
  const { times, pages, curve } = result.memoryBack;
  expect([pages, curve.at(-1)?.pages]).toEqual([4096, 4096]);
  expect(times.map(({ ns }) => ns ?? -1).every((ns, i, all) => ns > 0 && ns >= (all[i - 1] ?? 0))).toBe(true);
  expect(result.notes).toEqual([]);
});

test.concurrent("run: the protocol's own order unless told otherwise; contradictions in one line", async () => {
  const own = await oomrace(...SMALL, "--protocol", "v6.18");
  expect(own.stdout).toContain("protocol v6.18, reaper mrelease, walks reverse");
  const file = ["--protocol", "examples/protocol/coarse-exit.ts", "--bystanders", "20"];
  expect((await oomrace(...SMALL, ...file)).stdout).toContain("protocol coarse-exit, reaper mrelease, walks");
  const both = await oomrace("run", "--smaps", "1", "--pages", "5");
  expect(both).toMatchObject({ code: 2, stderr: "oomrace: --pages with --smaps: expected only one of them\n" });
  const nobody = await oomrace("run", "--reaper", "none", "--order", "reverse");
  expect(nobody).toMatchObject({
    code: 2,
    stderr: "oomrace: --order with --reaper none: expected no order where nobody reaps\n",
  });
  const small = await oomrace("run", "--layout", "one-vma", "--pages", "63");
  expect(small).toMatchObject({
    code: 2,
    stderr: "oomrace: one-vma: 63 pages of its own come back when it dies, expected at least 64\n",
  });
});
