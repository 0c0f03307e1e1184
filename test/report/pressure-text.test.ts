import { expect, it } from "vitest";
import { renderPressure } from "../../src/report/pressure-text.ts";
import { sampleResult } from "./sample-result.ts";

it("shows kills, needless ones per 1,000, and percentiles where there are stalls enough", () => {
  const lines = renderPressure(sampleResult().pressure, "Kills", {}).split("\n");
  expect(lines[0]).toBe("Kills");
  expect(
    lines
      .find((line) => line.includes("v4.13  "))
      ?.trim()
      .split(/ {2,}/),
  ).toEqual(["v4.13", "-", "200", "41", "205", "1", "120", "60.5 ms", "108 ms", "119 ms", "120 ms"]);
  expect(
    lines
      .find((line) => line.includes("v4.14"))
      ?.trim()
      .split(/ {2,}/),
  ).toEqual(["v4.14", "20.0 ms", "6", "0", "0", "0", "1", "-", "-", "-", "7.00 ms"]);
  expect(lines).toContain("  v4.13 BROKEN: I2: page 7 freed twice");
  expect(lines.at(-1)).toMatch(/^ {2}OVERSUBSCRIBED: 4 actors share fewer CPUs/);
});

it("is nothing without rows", () => {
  expect(renderPressure([], "Kills", {})).toBe("");
});
