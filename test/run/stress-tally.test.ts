import { expect, it } from "vitest";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { describeStress, type StressResult, StressTally } from "../../src/run/stress-tally.ts";

const early = { invariant: "I5", message: "I5: too early" };
const leak = { invariant: "I3", message: "I3: 1 VMAs were never freed" };

function resultOf(tally: StressTally, more: Partial<StressResult> = {}): StressResult {
  const { kills, races, shared, contended, crowds, accesses, protocols, broken } = tally;
  const counts = { kills, races, shared, contended, crowds, accesses, protocols, broken };
  return { ...counts, seconds: 2, invariants: ["I1", "I5"], interrupted: false, hang: null, ...more };
}

it("counts kills, panics and known bugs by protocol, and keeps what nobody knows with its machine", () => {
  const tally = new StressTally(PROTOCOLS);
  tally.count("v4.13", 3);
  tally.note("v4.13", [early], "machine 1");
  tally.note("v4.13", [], "machine 1");
  tally.count("v6.1", 5, true);
  tally.note("v6.1", [early, leak], "machine 2");
  expect(tally.kills).toBe(8);
  expect(tally.knownFindings).toBe(1);
  expect(tally.broken).toEqual(["machine 2: I5: too early"]);
  const of = (name: string) => tally.protocols.find(({ protocol }) => protocol === name);
  expect(of("v4.13")).toEqual({ protocol: "v4.13", runs: 1, kills: 3, panics: 0, bugs: { B1: 1 } });
  expect(of("v6.1")).toMatchObject({ runs: 1, kills: 5, panics: 1, bugs: {} });
});

it("takes the first finding of a run: the rest may follow from it", () => {
  const tally = new StressTally(PROTOCOLS);
  tally.note("v4.13", [early, leak], "machine 1");
  expect(tally.broken).toEqual([]);
  tally.note("v4.13", [leak, early], "machine 2");
  expect(tally.broken).toEqual(["machine 2: I3: 1 VMAs were never freed"]);
});

it("says in text what was killed, checked, met and broken", () => {
  const tally = new StressTally(PROTOCOLS);
  tally.count("v6.18", 40);
  tally.note("hocko-v2", [{ invariant: "I1", message: "I1: use after free" }], "machine 3");
  tally.note("v6.18", [leak], "machine 4");
  const text = describeStress(resultOf(tally, { interrupted: true, hang: "machine 5: no CPU advanced for 10 s" }));
  expect(text).toMatch(/^40 kills in 2\.0 s \(20\/s\), interrupted\n/);
  expect(text).toContain("checked after every run: I1 I5\n");
  expect(text).toContain("known of v4.13: B1 not met this time (");
  expect(text).toContain("known of hocko-v2: B3 met in 1 runs (");
  expect(text).toContain("broken otherwise: 1\nmachine 4: I3: 1 VMAs were never freed\nmachine 5: no CPU advanced");
  expect(describeStress(resultOf(new StressTally(PROTOCOLS)))).toMatch(/broken otherwise: nothing$/);
});
