import { expect, test } from "vitest";
import type { ExploreResult } from "../../src/report/explore-result.ts";
import { oomrace } from "./oomrace.ts";
import { schemaErrors } from "./schema.ts";

test.concurrent("explore: the verdict first, exit code 1, and a command that repeats it, on threads as well", async () => {
  const { code, stdout, stderr } = await oomrace("explore", "b25");
  expect([code, stderr]).toEqual([1, ""]);
  expect(stdout).toMatch(/^B25 \(v4\.13\): .*\n\nVIOLATION nobody can go on\n/);
  expect(stdout).toContain("CPU 0: T1 allocates");
  const word = /oomrace replay --engine forced (\S+)\n/.exec(stdout)?.[1] as string;
  const again = await oomrace("replay", word);
  expect([again.code, again.stderr]).toEqual([1, ""]);
  expect(again.stdout).toMatch(/=> nobody can go on/);
  const forced = await oomrace("replay", "--engine", "forced", word);
  expect(forced.stdout).toContain("on real threads: the same, nobody can go on");
});

test.concurrent("explore --json -: JSON alone, by its schema; stopped is no violation, and may be forbidden", async () => {
  const found = await oomrace("explore", "B30", "--json", "-");
  expect(found.code).toBe(1);
  const result = JSON.parse(found.stdout) as ExploreResult;
  expect(schemaErrors("explore", result)).toBeNull();
  expect(result.violation?.invariant).toBe("I2");
  expect(result).toMatchObject({ protocol: "v6.1-no-pte-lock", order: "forward", jobs: 1 });
  expect(result.gcShare).toBeLessThan(1);
  expect([result.races, result.violation?.forceable]).toEqual([true, true]);
  expect(result.violation?.race).toMatch(/^data race: tables\[\d\]\.entries\[\d+\]: CPU/);
  const limits = ["--fixed", "--executions", "50"];
  const stopped = await oomrace("explore", "B30", ...limits, "--json", "-");
  expect(stopped.code).toBe(0);
  expect(schemaErrors("explore", JSON.parse(stopped.stdout))).toBeNull();
  const unwatched = await oomrace("explore", "B30", ...limits, "--no-races");
  expect(unwatched.stdout).toContain("data races were not looked for");
  const required = await oomrace("explore", "B30", ...limits, "--require", "complete");
  expect(required.code).toBe(4);
  expect(required.stdout).toMatch(/\(\d+\.\d % of it garbage collection\)/);
  expect(required.stdout).toContain("STOPPED: no violation in what was tried, which says nothing about the rest");
});

test.concurrent("explore lock:...: a lock is a case like others; --full shows what goes on inside locks", async () => {
  const found = await oomrace("explore", "lock:forgetful");
  expect([found.code, found.stderr]).toEqual([1, ""]);
  expect(found.stdout).toMatch(/^lock:forgetful \(forgetful\): broken on purpose/);
  const word = /oomrace replay (lock:forgetful:\S+)\n/.exec(found.stdout)?.[1] as string;
  expect((await oomrace("replay", word)).stdout).toMatch(/sleeps while lock\[0\] is 0\n=> nobody can go on/);
  expect((await oomrace("explore", "B25")).stdout).toContain("down_write(mmap_lock) sleeps\n");
  expect((await oomrace("explore", "B25", "--full")).stdout).toContain("mmapLock[0] is 256, not 0");
});

test.concurrent("explore --jobs: what one job finds, word for word but for times", async () => {
  const timeless = (text: string): string => text.replaceAll(/(?<=after |shrunk in )[\d.]+ m?s/g, "TIME");
  const one = await oomrace("explore", "B3");
  const three = await oomrace("explore", "B3", "--jobs", "3");
  expect([three.code, three.stderr]).toEqual([1, ""]);
  expect(timeless(three.stdout)).toBe(timeless(one.stdout));
  const found = await oomrace("explore", "B30", "--jobs", "2", "--json", "-");
  const result = JSON.parse(found.stdout) as ExploreResult;
  expect(schemaErrors("explore", result)).toBeNull();
  expect(result.jobs).toBe(2);
});

test.concurrent.each([
  [["explore", "B99"], 'case "B99": expected one of B1, B3, B25, B29, B30, B31'],
  [["explore", "B1", "--scheduler", "luck"], "--scheduler luck: expected one of random, pct, pos, dfs, dpor"],
  [["explore", "B1", "--jobs", "0"], "--jobs 0: expected a whole number from 1 to 256"],
  [["explore", "B1", "--jobs", "2", "--scheduler", "dfs"], "explore: jobs: dfs goes on from where it was"],
  [["replay", "B1"], 'schedule "B1": expected CASE:... or FILE:..., as `oomrace explore` prints it'],
  [
    ["replay", "--engine", "forced", "B1:AgAAAAABAAM"],
    "--engine forced: the schedule is of plain accesses, expected one of scheduling points alone",
  ],
  [["replay", "B1:AQAAAAAD"], "schedule: recorded from other code, expected one from this build"],
])("%j is refused in one line", async (args, message) => {
  const { code, stdout, stderr } = await oomrace(...args);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(message);
  expect(stderr.trim().split("\n")).toHaveLength(1);
});
