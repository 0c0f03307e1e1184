import { expect, test } from "vitest";
import { machineInfo, oversubscribed, threadsPerCore } from "../../src/run/cpu-info.ts";

test("describes this machine", () => {
  const machine = machineInfo();
  expect(machine.cpu).not.toBe("");
  expect(machine.available).toBeGreaterThanOrEqual(1);
  expect(machine.available).toBeLessThanOrEqual(machine.cores);
  expect(machine.memoryBytes).toBeGreaterThan(2 ** 26);
  expect(machine.node).toBe(process.version);
  expect(machine.os).toContain(process.arch);
  expect(machine.load1).toBeGreaterThanOrEqual(0);
});

test("more actors than usable CPUs are too many", () => {
  expect(oversubscribed(2, { available: 2 })).toBe(false);
  expect(oversubscribed(3, { available: 2 })).toBe(true);
});

test("threads per core from /proc/cpuinfo, null where it does not say", () => {
  expect(threadsPerCore("processor\t: 0\nsiblings\t: 16\ncore id\t: 0\ncpu cores\t: 8\n")).toBe(2);
  expect(threadsPerCore("processor\t: 0\nBogoMIPS\t: 50.00\n")).toBeNull();
  expect(threadsPerCore("")).toBeNull();
});
