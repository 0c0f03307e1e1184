import { expect, it } from "vitest";
import { withinLimit } from "../../src/run/time-limit.ts";

const FOREVER = new Promise<never>(() => {});

it("passes on what the run comes to", async () => {
  expect(await withinLimit(Promise.resolve(7), 60_000, () => "")).toBe(7);
  await expect(withinLimit(Promise.reject(new Error("broke")), 60_000, () => "")).rejects.toThrow("broke");
});

it("rejects with the report when the run does not end", async () => {
  await expect(withinLimit(FOREVER, 20, () => "CPU 1 waits")).rejects.toMatchObject({
    name: "HangError",
    message: "not over after 0.02 s of real time\nCPU 1 waits",
  });
});
