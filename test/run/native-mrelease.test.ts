/**
 * Real processes, killed. Where the kernel has no process_mrelease, or there is no C compiler, the tests that kill look
 * at the reason only.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from "../../src/mm/vma.ts";
import type { NativeBuild } from "../../src/run/native-build.ts";
import { isKernelSince, type MreleaseOptions, prepareMrelease, runMrelease } from "../../src/run/native-mrelease.ts";
import { LAYOUT_START_VPN, type LayoutVma, USER_VPN_4LEVEL } from "../../src/scenario/layout.ts";

const RW = VM_READ | VM_WRITE;

/** Neighbours without a gap, of all kinds, some without pages. */
function neighbours(startVpn: number): LayoutVma[] {
  const flags = [RW, RW, VM_READ, RW | VM_SHARED, 0, VM_READ | VM_EXEC, RW];
  return Array.from({ length: 70 }, (_, i) => ({
    startVpn: startVpn + i * 8,
    pages: 8,
    flags: flags[i % flags.length] as number,
    present: i % 7 === 4 ? [] : i % 3 === 0 ? "all" : [1, 2, 5, 3],
    folioOrder: i % 5 === 0 ? 9 : 0,
  }));
}

/** Away from the user's cache, so that the compiler runs. */
let cache: string;
let build: NativeBuild;
/** Why nothing can be killed here, if so: no compiler, no kernel, or a program that refuses. */
let lacking: string | undefined;

function options(more: Partial<MreleaseOptions> = {}): MreleaseOptions {
  return { vmas: neighbours(LAYOUT_START_VPN), pairs: 2, seconds: 20, stopped: () => false, ...more };
}

function kill(more: Partial<MreleaseOptions> = {}) {
  if (!build.available) throw new Error(build.reason);
  return runMrelease(build.program, options(more));
}

beforeAll(async () => {
  cache = mkdtempSync(join(tmpdir(), "oomrace-mrelease-test-"));
  build = await prepareMrelease({ cache });
  const probe = build.available ? await kill({ pairs: 1 }) : build;
  lacking = probe.available ? undefined : probe.reason;
});

afterAll(() => rmSync(cache, { recursive: true, force: true }));

/** Processes that run the program. */
function running(program: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(program);
    } catch {
      return false;
    }
  });
}

test("where it cannot run, the reason says what lacks", () => {
  const known = /^(not Linux|Linux \S+ has no|no C compiler|process_mrelease on|pages have|.*memory|fork|pidfd_open)/;
  expect(lacking ?? "no C compiler").toMatch(known);
});

describe("with the kernel and a C compiler", () => {
  test("each pair has a kill of either kind, each VMA is the kernel's own", async () => {
    if (lacking !== undefined) return;
    const run = await kill({ pairs: 3 });
    expect(run).toMatchObject({ available: true, vmas: 70, movedPages: 0 });
    if (!run.available) return;
    expect(run.pairs).toHaveLength(3);
    for (const { alone, reaped } of run.pairs) {
      expect(alone.killToWaitNs).toBeGreaterThan(0);
      expect(reaped.mreleaseNs).toBeGreaterThan(0);
      expect(reaped.killToWaitNs).toBeGreaterThan(reaped.mreleaseNs);
      expect([null, "ESRCH", "EINTR", "EAGAIN"]).toContain(reaped.error);
    }
    expect(readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()).toBe(run.release);
  });

  test("addresses that no process here has are moved by one distance that keeps the tables", async () => {
    if (lacking !== undefined) return;
    const run = await kill({ vmas: neighbours(USER_VPN_4LEVEL * 2 + 77), pairs: 1 });
    expect(run).toMatchObject({ available: true, vmas: 70 });
    if (!run.available) return;
    expect(run.movedPages).not.toBe(0);
    expect(Math.abs(run.movedPages) % 2 ** 18).toBe(0);
  });

  test("too little memory and too little time are reasons, not faults", async () => {
    if (lacking !== undefined) return;
    const huge = { startVpn: LAYOUT_START_VPN, pages: 2 ** 33, flags: RW, present: "all" } as const;
    const refusal = await kill({ vmas: [huge] });
    expect(refusal).toMatchObject({ available: false });
    expect(refusal.available || refusal.reason).toMatch(/^\d+ MiB of memory are available, expected a quarter more/);
    expect(await kill({ seconds: 1e-6 })).toEqual({
      available: false,
      reason: "no pair of kills was done in 1e-06 s",
    });
  });

  test("a layout that it cannot read is a fault of ours, with the line", async () => {
    if (lacking !== undefined) return;
    const [first, second] = neighbours(LAYOUT_START_VPN) as [LayoutVma, LayoutVma];
    await expect(kill({ vmas: [second, first] })).rejects.toThrow(
      "runMrelease: mrelease: line 2: expected START PAGES",
    );
  });

  test("stopped, it ends at once and leaves nobody behind", async () => {
    if (lacking !== undefined || !build.available) return;
    const { program } = build;
    let asked = 0;
    const run = await kill({ pairs: 1e6, seconds: 1e3, stopped: () => ++asked > 3 });
    expect(run).toEqual({ available: false, reason: "interrupted" });
    expect(running(program)).toEqual([]);
  });

  test("its victims end with it, and it ends with who started it", async () => {
    if (lacking !== undefined || !build.available) return;
    const { program } = build;
    const line = `${LAYOUT_START_VPN} 8 rw-p 0 0 8`;
    // A shell that waits, so that the program is its child.
    const shell = spawn("sh", ["-c", `echo '${line}' | "${program}" 1000000 1000; exit 0`], { stdio: "pipe" });
    await new Promise((resolve) => shell.stdout.once("data", resolve));
    expect(running(program).length).toBeGreaterThan(0);
    // Standard output closes when the last victim is gone.
    const closed = new Promise((resolve) => shell.once("close", resolve));
    shell.stdout.resume();
    shell.kill("SIGKILL");
    await closed;
    expect(running(program)).toEqual([]);
  });
});

describe("where it lacks", () => {
  test("another system", async () => {
    expect(await prepareMrelease({}, { platform: "darwin", release: "24.1.0" })).toEqual({
      available: false,
      reason: "not Linux (darwin)",
    });
  });

  test("an older kernel", async () => {
    expect(await prepareMrelease({}, { platform: "linux", release: "5.14.21-generic" })).toEqual({
      available: false,
      reason: "Linux 5.14.21-generic has no process_mrelease (since 5.15)",
    });
  });

  test("no compiler", async () => {
    const system = { platform: "linux", release: "6.1.0" };
    expect(await prepareMrelease({ cache, compilers: ["no-such-cc"] }, system)).toEqual({
      available: false,
      reason: "no C compiler (no-such-cc: not found)",
    });
  });
});

test("kernel releases compare by number", () => {
  const since = ["5.15.0", "5.15", "5.100.1", "6.0-rc1", "10.2.3"];
  const before = ["5.9.16", "4.19.0", "2.6.32-754.el6"];
  expect(since.filter((release) => !isKernelSince(release, [5, 15]))).toEqual([]);
  expect(before.filter((release) => isKernelSince(release, [5, 15]))).toEqual([]);
});
