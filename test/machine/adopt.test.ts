import { describe, expect, it, vi } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import { adopt, allOrders, allProtocols } from "../../src/machine/adopt.ts";
import { readFigures } from "../../src/machine/race.ts";
import { findOrder, findProtocol } from "../../src/machine/roles.ts";
import { TRAVERSAL_ORDERS } from "../../src/mm/traversal/index.ts";
import { PROTOCOLS } from "../../src/oom/protocols/index.ts";
import { expectCleanRaces, TOY_PAGES } from "../helpers/race.ts";

vi.mock("oomrace/kernel", () => import("../../src/kernel.ts"));

const listedProtocol = PROTOCOLS[0] as (typeof PROTOCOLS)[number];
const listedOrder = TRAVERSAL_ORDERS[0] as (typeof TRAVERSAL_ORDERS)[number];

describe("adopt", () => {
  it("makes a module's variants known by name, beside the listed ones", () => {
    const order = { ...listedOrder, name: "my-order" };
    const protocol = { ...listedProtocol, name: "my-protocol", order: "my-order" };
    const second = { ...listedProtocol, name: "my-second" };
    expect(adopt({ order, protocol, protocols: [second], helper: 1 })).toEqual({
      protocols: ["my-protocol", "my-second"],
      orders: ["my-order"],
    });
    expect(findOrder("my-order")).toBe(order);
    expect(findProtocol("my-second")).toBe(second);
    expect(allProtocols().slice(0, PROTOCOLS.length)).toEqual(PROTOCOLS);
    expect(() => findProtocol("nobody's")).toThrow(/expected one of v4\.13, .*my-protocol/);
  });

  it("takes the same module again without a word", () => {
    const module = { order: { ...listedOrder, name: "twice" } };
    adopt(module);
    const before = allOrders().length;
    expect(adopt(module)).toEqual({ protocols: [], orders: ["twice"] });
    expect(allOrders()).toHaveLength(before);
  });

  it("leaves modules without variants alone", () => {
    expect(adopt({ roles: {} })).toEqual({ protocols: [], orders: [] });
  });

  it.each([
    ["listed", "forward"],
    ["adopted", "taken"],
  ])("refuses a %s name", (_which, name) => {
    if (name === "taken") adopt({ order: { ...listedOrder, name } });
    expect(() => adopt({ order: { ...listedOrder, name } }, "mine.ts")).toThrow(
      new UsageError(`mine.ts: order "${name}": this name is taken, expected another`),
    );
  });

  const protocolFields = [
    ["name", "has blanks", "a name of letters, digits, dots, dashes and underscores"],
    ["commit", 5, "a text (empty without a commit)"],
    ["solves", "", "a text"],
    ["vmaStore", 7, "VMAS_IN_LIST or VMAS_IN_TREE"],
    ["rwsemRules", "modern", "RULES_MODERN or RULES_PRE_V5_3 or RULES_FIFO_2010"],
    ["order", "sideways", "the name of an order"],
    ["hasMrelease", 1, "true or false"],
    ["mreleaseSafe", "yes", "true or false"],
    ["reaperDelayUs", -1, "microseconds, 0 or more"],
    ["killer", undefined, "one of KILLER_*"],
    ["logEra", "v3.10", "one of v4.13, v4.15, v5.12, v6.8"],
    ["bugs", ["B1", 2], "a list of texts"],
    ["brokenOnPurpose", undefined, "true or false"],
    ["exitMmap", undefined, "a function"],
    ["oomReapTaskMm", true, "a function"],
    ["mreleaseMm", {}, "a function"],
  ] as const;

  it.each(protocolFields)("names the protocol's field %s when it is unusable", (field, value, expected) => {
    const module = { protocol: { ...listedProtocol, name: "unusable", [field]: value } };
    expect(() => adopt(module, "dir/mine.ts")).toThrow(`${field} is `);
    expect(() => adopt(module, "dir/mine.ts")).toThrow(/^dir\/mine\.ts: protocol/);
    expect(() => adopt(module, "dir/mine.ts")).toThrow(`, expected ${expected}`);
  });

  it("checks every field that a protocol has", () => {
    expect(protocolFields.map(([field]) => field).sort()).toEqual(Object.keys(listedProtocol).sort());
  });

  it.each(["name", "idea", "first", "next", "mayTry"])("demands an order's %s", (field) => {
    const { [field]: _gone, ...rest } = { ...listedOrder, name: "headless" } as Record<string, unknown>;
    expect(() => adopt({ order: rest }, "mine.ts")).toThrow(new RegExp(`^mine\\.ts: order.*: ${field} is undefined, `));
  });

  it.each([
    ["protocol", 5, "mine.ts: protocol is 5, expected an object"],
    ["order", null, "mine.ts: order is null, expected an object"],
    ["orders", {}, "mine.ts: orders is an object, expected a list"],
    ["protocols", ["v6.1"], 'mine.ts: protocol is "v6.1", expected an object'],
  ])("refuses an export %s that is none", (name, value, message) => {
    expect(() => adopt({ [name]: value }, "mine.ts")).toThrow(new UsageError(message));
  });
});

describe("the examples", async () => {
  adopt(await import("../../examples/protocol/coarse-exit.ts"));
  adopt(await import("../../examples/protocol/even-odd.ts"));

  it.each(["mrelease", "kthread"] as const)("race cleanly, %s", (reaper) => {
    let reaped = 0;
    expectCleanRaces({ protocol: "coarse-exit", order: "even-odd", reaper }, 1000, ({ words, map }) => {
      const sides = [0, 1].map((cpu) => readFigures(words, map, cpu).ptes);
      expect(sides.sort((a, b) => a - b)).toEqual([0, TOY_PAGES]);
      reaped += Number(readFigures(words, map, 1).ptes > 0);
    });
    if (reaper === "mrelease") expect(reaped).toBeGreaterThan(50);
  });

  it("the order shares the work with a victim that may walk at the same time", () => {
    let shared = 0;
    expectCleanRaces({ protocol: "v6.1", order: "even-odd", reaper: "mrelease" }, 1000, ({ words, map }) => {
      const [victim = 0, reaper = 0] = [0, 1].map((cpu) => readFigures(words, map, cpu).ptes);
      expect(victim + reaper).toBe(TOY_PAGES);
      shared += Number(victim > 0 && reaper > 0);
    });
    expect(shared).toBeGreaterThan(50);
  });
});
