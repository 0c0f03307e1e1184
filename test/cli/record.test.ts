/** `oomrace record`, of a process that the test starts. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSmaps } from "../../src/scenario/smaps.ts";
import { oomrace } from "./oomrace.ts";
import { UserFiles } from "./user-files.ts";

let files: UserFiles;
beforeAll(() => {
  files = new UserFiles();
});
afterAll(() => files.remove());

describe.runIf(existsSync("/proc/self/smaps"))("on Linux", () => {
  test("a live process becomes a text that --smaps takes, and that guesses nothing", async () => {
    const victim = spawn(process.execPath, ["-e", "process.stdin.on('end', () => {}).resume(); console.log('up')"], {
      env: { SECRET: "not-for-others" },
    });
    try {
      await once(victim.stdout, "data");
      const file = files.path("victim.smaps");
      const { code, stdout, stderr } = await oomrace("record", String(victim.pid), "--out", file);
      expect([code, stderr.replace(/^oomrace: the process changed.*\n$/, "")]).toEqual([0, ""]);
      expect(stdout).toMatch(/victim\.smaps: [\d,.]+ pages\n$/);
      const text = readFileSync(file, "utf8");
      expect(parseSmaps(text, file).mappings.some(({ places }) => places !== null)).toBe(true);
      expect(text).not.toContain("not-for-others");
      expect(text).not.toMatch(/ \//);
      const run = await oomrace("run", "--smaps", file, "--hz", "1000");
      expect([run.code, run.stderr]).toEqual([0, ""]);
      expect(run.stdout).not.toContain("seeded spread");
    } finally {
      victim.kill();
    }
  });

  test("what cannot be recorded is said in one line", async () => {
    expect(await oomrace("record", "init")).toMatchObject({
      code: 2,
      stderr: "oomrace: record init: expected a process id\n",
    });
    const gone = await oomrace("record", "999999999");
    expect(gone.code).toBe(2);
    expect(gone.stderr).toMatch(/^oomrace: \/proc\/999999999\/smaps: cannot be read \(ENOENT\), expected .*\n$/);
  });
});
