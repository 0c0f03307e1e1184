/** What `oomrace run` makes of the trace of a whole kill: its log first, then its tracepoints, then what each CPU did. */

import { expect, it } from "vitest";
import { findProtocol } from "../../src/machine/roles.ts";
import { buildRunResult } from "../../src/report/run-result.ts";
import { renderRun } from "../../src/report/run-text.ts";
import type { RawKill } from "../../src/run/kill.ts";
import { schemaErrors } from "../cli/schema.ts";
import { drainLab, loggedKill, victimLast } from "../oom/logged-kill.ts";
import { trial } from "./sample-result.ts";

/** Real milliseconds of a kernel second. */
const KERNEL_SECOND_MS = 1000;

function rawKill(protocol: string): RawKill {
  const { lab, victim, programs } = loggedKill(protocol);
  lab.finish(programs, victimLast());
  const { logEra } = findProtocol(protocol);
  return {
    version: "0.0.0",
    machine: {
      cpu: "a CPU",
      cores: 4,
      available: 4,
      threadsPerCore: 1,
      memoryBytes: 2 ** 30,
      os: "an OS",
      node: "v20",
      load1: 0,
    },
    setup: {
      frames: "sequential",
      protocol,
      order: "forward",
      reaper: "kthread",
      reapers: 1,
      victimSpeed: 1,
      reaperSpeed: 1,
      lockGranularity: "table",
      allocators: 1,
      bystanders: 0,
      seed: 1,
    },
    timers: { kernelSecondMs: KERNEL_SECOND_MS, kernelPagesPerSecond: 3.1e6, soloPagesPerSecond: null },
    layout: {
      name: "toy",
      idea: "40 pages",
      vmas: 1,
      mappedPages: 40,
      presentPages: 40,
      ownPages: 40,
      pteTables: 1,
      levels: 4,
    },
    oversubscribed: false,
    roles: ["victim", "allocator 1", "kthread"],
    logEra,
    kill: {
      kills: 1,
      needless: 0,
      panicked: false,
      actors: trial().actors,
      phaseNs: 1,
      trace: drainLab(lab),
      lost: 0,
      mms: [victim.mm],
    },
    notes: [],
  };
}

it.each(["v4.14", "v6.18"])("has log lines and named fields, and keeps to its schema (%s)", (protocol) => {
  const result = buildRunResult(rawKill(protocol));
  expect(schemaErrors("run", JSON.parse(JSON.stringify(result)))).toBe(null);
  expect(result.log[0]?.text).toMatch(/^sshd: a session invoked oom-killer: /);
  expect(result.log.at(-1)?.text).toMatch(/^oom_reaper: reaped process 1000 \(hog\)/);
  const events = result.tracepoints.map(({ event, fields }) => [event, fields] as const);
  expect(events).toContainEqual(["start_task_reaping", { pid: 1000 }]);
  const full = {
    pid: 1000,
    comm: "hog",
    total_vm: 160,
    anon_rss: 160,
    file_rss: 0,
    shmem_rss: 0,
    uid: 1000,
    pgtables: 12,
    oom_score_adj: 0,
  };
  expect(events).toContainEqual(["mark_victim", protocol === "v6.18" ? full : { pid: 1000 }]);
});

it("shows the log first, then tracepoints without what stalled allocations repeat, then the timeline", () => {
  const result = buildRunResult(rawKill("v6.18"));
  expect(result.tracepoints.map(({ event }) => event)).toContain("reclaim_retry_zone");
  const text = renderRun(result);
  const [, , log, tracepoints, timeline] = text.split("\n\n");
  expect(log).toMatch(/^Kernel log \(in kernel seconds\)\n {2}\[ {4}0\.000000\] sshd: a session invoked oom-killer/);
  expect(log).toMatch(/\n {2}\[ {4}2\.000000\] oom_reaper: reaped process 1000 \(hog\), now anon-rss:0kB/);
  expect(tracepoints).toMatch(/^Tracepoints \(since the kill\)\n/);
  expect(tracepoints).toContain("mark_victim: pid=1000 comm=hog total_vm=160 anon_rss=160");
  expect(tracepoints).not.toContain("reclaim_retry_zone");
  expect(timeline).toMatch(/^What each CPU did/);
  expect(timeline).toContain("mark_victim pid=1000");
  expect(timeline).not.toContain("oom_killed");
});
