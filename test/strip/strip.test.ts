import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { getLineInfo } from "acorn";
import { describe, expect, it } from "vitest";
import { analyse, describeRefusals, emit } from "../../src/strip/strip.ts";
import type { Variant } from "../../src/strip/variants.ts";

const SEAM_PATH = "/k/src/arena/mem.ts";
const SEAM_TEXT = `
export function* op(cpu: Cpu, word: number): Steps<number> {
  if (STEPPED || GATED) cpu.port.pending[1] = word;
  yield;
  return cpu.words[word] as number;
}`;

/** Emits a file that lies beside a seam with the one operation `op`. */
async function emitted(text: string, variant: Variant, path = "/k/src/mine.ts") {
  const source = path === SEAM_PATH ? text : `import { op } from "./arena/mem.ts";\n${text}`;
  const texts = [{ path, text: source }];
  if (path !== SEAM_PATH) texts.push({ path: SEAM_PATH, text: SEAM_TEXT });
  const analysis = await analyse(texts, { seam: SEAM_PATH });
  expect(describeRefusals(analysis.refusals)).toBe("");
  const result = emit(analysis.sources.get(path)!, variant);
  return { ...result, source, flat: result.code.replace(/\s+/g, " ") };
}

describe("emit", () => {
  it.each([
    ["function* f(c) { yield* op(c, 1); }", "function f(c) { op(c, 1); }"],
    ["function* f(c) { return yield* op(c, 1); }", "function f(c) { return op(c, 1); }"],
    ["function* f(c) { return (yield* op(c, 1)) === 1; }", "function f(c) { return (op(c, 1)) === 1; }"],
    ["function* f(c) { const x = -(yield* op(c, 1)) + 2; }", "const x = -(op(c, 1)) + 2;"],
    ["function* f(c) { throw yield* op(c, yield* op(c, 2)); }", "throw op(c, op(c, 2));"],
    ["function* f(c) { return [...(yield* op(c, 1)), yield* op(c, 2)]; }", "[...op(c, 1), op(c, 2)]"],
    ["function* f(c) { return new (yield* op(c, 1))(); }", "return new (op(c, 1))();"],
    ["function* f(c) { return c ? yield* op(c, 1) : (yield* op(c, 2), 3); }", "c ? op(c, 1) : (op(c, 2), 3)"],
    ["function* f(c) { const g = () => 1; yield* op(c, g()); }", "const g = () => 1; op(c, g());"],
    ["const f = function* (c) { yield* op(c, 1); };", "const f = function (c) { op(c, 1); };"],
    ["const o = { *go(c) { yield* op(c, 1); }, async: 1 };", "const o = { go(c) { op(c, 1); }, async: 1 };"],
    ["const o = { *get() {}, *'a b'() {} };", 'const o = { get() { }, "a b"() { } };'],
    [
      "class A { *go(c) { yield* op(c, 2 * 3); } static *to(c) {} *#p() { yield* this.#p(); } }",
      "class A { go(c) { op(c, 2 * 3); } static to(c) { } #p() { this.#p(); } }",
    ],
    ["function* f(c) { const o = { *m() {} }; yield* { *m() {} }.m(); }", "({ m() { } }.m());"],
    ["function plain(a) { return a * 2; } function* f() {}", "function plain(a) { return a * 2; } function f() { }"],
  ])("strips %s", async (text, expected) => {
    const { flat } = await emitted(text, "parallel");
    expect(flat.replaceAll(/ +/g, " ")).toContain(expected);
  });

  it("removes scheduling points, or gates them", async () => {
    expect((await emitted(SEAM_TEXT, "parallel", SEAM_PATH)).flat).toContain("= word; ; return cpu.words[word];");
    expect((await emitted(SEAM_TEXT, "stress", SEAM_PATH)).flat).toContain("= word; ; return cpu.words[word];");
    expect((await emitted(SEAM_TEXT, "forced", SEAM_PATH)).flat).toContain("= word; cpu.port.gate(); return");
    const kept = await emitted(SEAM_TEXT, "interleaved", SEAM_PATH);
    expect(kept.flat).toContain("function* op(cpu, word) {");
    expect(kept.flat).toContain("= word; yield; return");
  });

  it("keeps the branch of a conditional scheduling point a statement", async () => {
    const text = "export function* op(cpu) { if (cpu.x) yield; else yield; return 1; }";
    const { code } = await emitted(text, "parallel", SEAM_PATH);
    expect(() => new Function(code.replace(/export[\s\S]*$/, ""))).not.toThrow();
    expect(code.replace(/\s+/g, " ")).toContain("if (cpu.x) ; else ; return 1;");
  });

  it.each(["parallel", "forced", "interleaved"] as const)("maps %s output back to the TypeScript", async (variant) => {
    const text = [
      "interface Gone { erased: string }",
      "type Also = Gone | undefined;",
      "export function* walk(cpu: Cpu, from: number): Steps<number> {",
      "  let at: number = from;",
      "  while ((yield* op(cpu, at)) !== 0) at = at + 1; // to the end",
      "  return lastToken(at);",
      "}",
    ].join("\n");
    const { code, map, source } = await emitted(text, variant);
    const trace = new TraceMap(map);
    for (const token of ["lastToken", "walk", "at + 1", "op(cpu"]) {
      const original = originalPositionFor(trace, getLineInfo(code, code.indexOf(token)));
      const expected = getLineInfo(source, source.indexOf(token, source.indexOf("walk") - 1));
      expect({ token, line: original.line, column: original.column }).toEqual({
        token,
        line: expected.line,
        column: expected.column,
      });
      expect(original.source).toBe("mine.ts");
    }
  });
});
