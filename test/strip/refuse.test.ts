import { describe, expect, it } from "vitest";
import { analyse, describeRefusals } from "../../src/strip/strip.ts";

const SEAM_PATH = "/k/src/arena/mem.ts";
const SEAM_TEXT = `
import type { Cpu, Steps } from "./cpu.ts";
export function* xchg(cpu: Cpu, word: number): Steps<number> {
  yield;
  return Atomics.exchange(cpu.words, word, 1);
}
export function runToEnd<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}`;

const LOCK_TEXT = `
import { xchg } from "../arena/mem.ts";
export function* lock(cpu: Cpu, word: number): Steps<number> {
  return yield* xchg(cpu, word);
}
export interface Order {
  readonly name: string;
  next(cpu: Cpu, at: number): Steps<number>;
  tryTable?(cpu: Cpu, table: number): Steps<boolean>;
}`;

const IMPORTS = `import { runToEnd, xchg } from "./arena/mem.ts"; import { lock } from "./sync/lock.ts";\n`;

/** Refusals of one more file beside a seam and a lock, as "line:column reason". */
async function refusals(text: string, path = "/k/src/mine.ts"): Promise<string[]> {
  const analysis = await analyse(
    [
      { path: SEAM_PATH, text: SEAM_TEXT },
      { path: "/k/src/sync/lock.ts", text: LOCK_TEXT },
      { path, text: IMPORTS + text },
    ],
    { seam: SEAM_PATH },
  );
  return describeRefusals(analysis.refusals)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(`${path}:`, ""));
}

/** Puts statements into a generator function that starts on line 2. */
const inside = (body: string): string => `export function* mine(cpu: Cpu, order: Order): Steps<void> {\n${body}\n}`;

describe("what may be written", () => {
  it.each([
    ["a delegated call", "yield* lock(cpu, 1);"],
    ["a call in an expression", "if ((yield* lock(cpu, 1)) === 1) cpu.words[0] = (yield* xchg(cpu, 2)) + 1;"],
    ["a method", "const at = yield* order.next(cpu, 0); if (order.tryTable) yield* order.tryTable(cpu, at);"],
    ["a question whether a method exists", "if (order.tryTable !== undefined && typeof order.next) return;"],
    ["spreading a result", "const all = [...(yield* lock(cpu, 1))];"],
    [
      "a loop over results",
      "for (let at = yield* order.next(cpu, 0); at; at = yield* order.next(cpu, at)) cpu.x = at;",
    ],
    ["a generator inside a generator", "function* inner() { yield* lock(cpu, 1); }\n yield* inner();"],
  ])("%s", async (_what, body) => {
    expect(await refusals(inside(body))).toEqual([]);
  });

  it.each([
    ["runToEnd on a call", "export const boot = (cpu: Cpu) => runToEnd(lock(cpu, 1));"],
    ["runToEnd on a call whose target is data", "export const boot = (cpu: Cpu, f: F) => runToEnd(f[0](cpu));"],
    [
      "functions in an object",
      "import type { Order } from './sync/lock.ts'; const o: Order = { name: 'x', next: lock };",
    ],
    ["shorthand in an object", "export const protocol = { name: 'x', lock };"],
    [
      "methods in an object and a class",
      "export const o = { *next() { yield* lock(1, 2); } }; class A { static *go() { yield* o.next(); } }",
    ],
    ["one object's method in another", "const a = { *next() {} }; export const b = { next: a.next, first: a.next };"],
    ["a renamed export", "function* go() {} export { go as start }; "],
    ["a renamed import", "import { lock as take } from './sync/lock.ts'; export function* f() { yield* take(1, 2); }"],
    [
      "a namespace import",
      "import * as locks from './sync/lock.ts'; export function* f() { yield* locks.lock(1, 2); }",
    ],
    [
      "a field offset with a generator method's name",
      "const Node = struct('node', { next: 1 }); export const at = (n: number) => load(n + Node.next, Node.next);",
    ],
    ["a local variable with a generator method's name", "export function f() { let next = 1; next++; return next; }"],
    ["a host function with a generator method's name", "export function f(it: never) { return Reflect.next(it); }"],
    [
      "a local variable with a generator function's name",
      "export const go = { lock }; export function f(lock: F) { return lock(1); }",
    ],
    [
      "a generator held by a constant",
      "const go = function* () { yield* lock(1, 2); }; export function* f() { yield* go(); }",
    ],
  ])("%s", async (_what, text) => {
    expect(await refusals(text)).toEqual([]);
  });
});

describe("what is refused", () => {
  it.each([
    ["a forgotten yield*", "lock(cpu, 1);", "3:1: generator of lock() never runs; write `yield* lock(...)`"],
    ["... on a method", "  order.next(cpu, 0);", "3:3: generator of next() never runs"],
    ["... in a condition", "if (lock(cpu, 1) === 1) return;", "3:5: generator of lock() never runs"],
    ["a stored generator", "const steps = lock(cpu, 1);", "3:15: generator of lock() is stored"],
    ["an assigned generator", "let steps; steps = lock(cpu, 1);", "3:20: generator of lock() is stored"],
    ["a generator in an array", "const all = [lock(cpu, 1)];", "3:14: generator of lock() is stored"],
    ["a generator in an object", "const all = { a: lock(cpu, 1) };", "3:18: generator of lock() is stored"],
    ["a destructured generator", "const [first] = lock(cpu, 1);", "3:17: generator of lock() is destructured"],
    ["a pushed generator", "cpu.list.push(lock(cpu, 1));", "3:15: generator of lock() is passed as an argument"],
    ["a returned generator", "return lock(cpu, 1);", "3:8: generator of lock() is returned without yield*"],
    ["a spread generator", "const all = [...lock(cpu, 1)];", "3:17: generator of lock() is spread"],
    ["for-of", "for (const step of lock(cpu, 1)) cpu.x = step;", "3:20: generator of lock() is iterated by for-of"],
    ["a thunk", "cpu.run(() => lock(cpu, 1));", "3:15: generator of lock() is returned without yield*"],
    ["a call on the generator", "lock(cpu, 1).toString();", "3:1: generator of lock() never runs"],
    ["yield* on a value", "yield* cpu.steps;", "3:1: yield* takes a direct call"],
    ["yield* on a choice", "yield* (cpu.x ? lock(cpu, 1) : lock(cpu, 2));", "3:1: yield* takes a direct call"],
    ["yield* on an optional call", "yield* order.tryTable?.(cpu, 1);", "3:1: yield* takes a direct call"],
    ["yield* on a computed call", "yield* cpu.table[1](cpu);", "3:1: yield* takes a call of a plain name"],
    ["yield* on a plain function", "yield* load(cpu, 1);", "3:1: yield* on load(), which is not known as a generator"],
    ["yield* on a parameter", "yield* order(cpu);", "3:1: yield* on order(), which is not known as a generator"],
    ["a bare yield", "yield;", "3:1: bare yield"],
    ["a used yield value", "const seen = yield 1;", "3:14: bare yield"],
    ["a generator function as callback", "cpu.each(lock);", "3:10: generator function lock is passed as a callback"],
    [
      "a generator method as callback",
      "cpu.each(order.next);",
      "3:10: generator function next is passed as a callback",
    ],
    [
      "a generator expression as callback",
      "cpu.each(function* () { yield* lock(cpu, 1); });",
      "3:10: generator function expression is passed as a callback",
    ],
    ["a generator function in a variable", "const f = lock;", "3:11: generator function lock is used as a value"],
    ["a generator method in a variable", "const f = order.next;", "3:11: generator function next is used as a value"],
    ["a generator function in an array", "const all = [lock];", "3:14: generator function lock is used as a value"],
    ["a returned generator function", "return lock;", "3:8: generator function lock is used as a value"],
    ["call and bind", "lock.call(cpu, 1);", "3:1: generator function lock is used as a value"],
    ["a destructured generator method", "const { next } = order;", "3:9: generator method next is destructured"],
    ["runToEnd in a generator", "runToEnd(lock(cpu, 1));", "3:1: runToEnd inside a generator function"],
    [
      "yield* on a variable with a generator's name",
      "const lock = cpu.lock; yield* lock(cpu);",
      "3:24: yield* on lock",
    ],
    [
      "an unnamed generator",
      "const all = [function* () {}];",
      "3:14: generator function expression without a fixed name",
    ],
    ["yield* in an arrow", "cpu.each(() => { yield* lock(cpu, 1); });", "3:18: "],
    ["yield* in a nested function", "function inner() { yield* lock(cpu, 1); }", "3:20: "],
  ])("%s", async (_what, body, expected) => {
    const found = await refusals(inside(body));
    // A second complaint may follow about the same line.
    expect(found[0]).toContain(expected);
    expect(found.filter((line) => !line.startsWith("3:"))).toEqual([]);
  });

  it.each([
    [
      "a forgotten yield* in a method",
      "export const o = {\n  *go(cpu) {\n    lock(cpu, 1);\n  },\n};",
      "4:5: generator of lock() never runs",
    ],
    [
      "a forgotten yield* in a class method",
      "export class O {\n  *go(cpu) {\n    lock(cpu, 1);\n  }\n}",
      "4:5: generator of lock() never runs",
    ],
    [
      "a call from a plain function",
      "export function f(cpu: Cpu) {\n  lock(cpu, 1);\n}",
      "3:3: generator of lock() never runs",
    ],
    [
      "a call through a namespace",
      "import * as locks from './sync/lock.ts';\nlocks.lock(1, 2);",
      "3:1: generator of lock() never runs",
    ],
    ["a default export", "export default function* () {}", "1:1: generator function as default export"],
    ["a default export by name", "export default lock;", "2:16: generator function lock is used as a value"],
    ["an async generator", "export async function* f() {}", "2:1: async generator"],
    [
      "a computed method name",
      "export const o = { *['a']() {} };",
      "2:25: generator function expression without a fixed name",
    ],
    [
      "a table of generators by index",
      "const T = { a: lock };\nexport function* f(k) {\n  const g = T[k];\n}",
      "4:13: computed access to T",
    ],
    [
      "a name with two meanings",
      "export function xchg() {}",
      '2:17: "xchg" is a plain function here and a generator function at',
    ],
    [
      "a method name with two meanings",
      "export const o = { next: () => 1 };",
      '2:20: "next" is a plain method here and a generator method at src/sync/lock.ts:8',
    ],
    ["a plain interface method", "interface P {\n  next(): number;\n}", '3:3: "next" is a plain method here'],
    ["a syntax error", "export const = 1;", "2:14: "],
  ])("%s", async (_what, text, expected) => {
    const found = await refusals(text);
    expect(found.map((line) => line.replaceAll("/k/", ""))).toEqual([expect.stringContaining(expected)]);
  });

  it("a used yield value and an ungated point in the seam", async () => {
    const text = `function* a(cpu) {\n  const x = yield;\n}\nfunction* b(c) {\n  yield;\n}`;
    const { refusals } = await analyse([{ path: SEAM_PATH, text }], { seam: SEAM_PATH });
    expect(refusals.map(({ line, reason }) => `${line} ${reason}`)).toEqual([
      expect.stringContaining("2 used yield value"),
      expect.stringContaining("5 scheduling point without a `cpu`"),
    ]);
  });

  it("reports everything that is wrong, in order", async () => {
    const found = await refusals(inside("lock(cpu, 1);\nyield;\nconst f = lock;\nyield* load(cpu, 1);"));
    expect(found.map((line) => line.slice(0, 2))).toEqual(["3:", "4:", "5:", "6:"]);
  });
});
