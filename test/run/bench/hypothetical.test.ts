import { expect, test } from "vitest";
import * as kernel from "../../../src/kernel.ts";
import type { Reaper } from "../../../src/machine/race.ts";
import { hypotheticalNotes } from "../../../src/run/bench/hypothetical.ts";

function notesOf(protocol: string, reaper: Reaper, ...orders: string[]): string[] {
  return hypotheticalNotes(kernel, { protocol, orders, reaper });
}

test("what a kernel did is not hypothetical", () => {
  expect(notesOf("v6.1", "mrelease", "forward")).toEqual([]);
  expect(notesOf("v6.18", "kthread", "reverse")).toEqual([]);
  expect(notesOf("v4.13", "kthread", "forward")).toEqual([]);
});

test("orders that a kernel's reaper did not walk in are", () => {
  expect(notesOf("v6.1", "kthread", "forward", "reverse", "skip-busy")).toEqual([
    "hypothetical: reverse, skip-busy with v6.1, whose reaper walks forward",
  ]);
  expect(notesOf("v6.18", "mrelease", "forward")).toEqual([
    "hypothetical: forward with v6.18, whose reaper walks reverse",
  ]);
});

test("process_mrelease before it existed is", () => {
  expect(notesOf("v4.13", "mrelease", "reverse")).toEqual([
    "hypothetical: process_mrelease with v4.13, which has no such call",
    "hypothetical: reverse with v4.13, whose reaper walks forward",
  ]);
});

test("nothing is where nobody reaps", () => {
  expect(notesOf("v4.13", "none", "reverse")).toEqual([]);
});

test("a user's protocol walks in any order it likes, but has process_mrelease only where it says so", () => {
  const mine = { ...kernel.findProtocol("v6.1"), name: "mine-too", hasMrelease: false };
  kernel.adopt({ protocol: mine });
  expect(notesOf("mine-too", "kthread", "reverse")).toEqual([]);
  expect(notesOf("mine-too", "mrelease", "reverse")).toEqual([
    "hypothetical: process_mrelease with mine-too, which has no such call",
  ]);
});
