import { expect, it } from "vitest";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import type { Protocol } from "../../src/oom/protocols/protocol.ts";
import { bugText, knownBug, visibleBugs } from "../../src/run/known-bugs.ts";

const named = (name: string): Protocol => PROTOCOLS.find((protocol) => protocol.name === name) as Protocol;

it.each([
  ["v4.13", "I5", "B1"],
  ["v4.13", "I1", undefined],
  ["v4.14", "I1", "B3"],
  ["v4.14", "I7", "B3"],
  ["v4.14", "I5", undefined],
  ["hocko-v2", "I2", "B3"],
  ["v4.17", "I1", undefined],
  ["v6.1", "I5", undefined],
  ["v6.18", "bystander", undefined],
])("%s breaks %s: %s", (protocol, invariant, bug) => {
  expect(knownBug(named(protocol), invariant)).toBe(bug);
});

it("names those that a broken invariant shows, each with a sentence", () => {
  const visible = PROTOCOLS.map((protocol) => [protocol.name, ...visibleBugs(protocol)].join(" "));
  expect(visible).toEqual(["v4.13 B1", "hocko-v1", "hocko-v2 B3", "v4.14 B3", "v4.17", "v5.17", "v6.1", "v6.18"]);
  for (const bug of ["B1", "B3"]) expect(bugText(bug)).not.toBe(bugText("B99"));
});

it("gives everything that breaks under a protocol broken on purpose to the bug that it shows", () => {
  const broken = { ...named("v6.1"), bugs: ["B29"], brokenOnPurpose: true };
  expect(["I1", "I7", "bystander"].map((invariant) => knownBug(broken, invariant))).toEqual(["B29", "B29", "B29"]);
  expect(visibleBugs(broken)).toEqual(["B29"]);
});
