import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { getLineInfo } from "acorn";
import MagicString from "magic-string";
import { expect, it } from "vitest";
import { keepConstants } from "../../src/strip/keep-const.ts";

const BUNDLE = `var A = 1, count = 0, later;
var B = class {}, C = A + 1;
function bump() { count++; later = A; { let B = 2; B++; } }
export { A, B as Bee, count, bump };
`;

const kept = keepConstants({
  code: BUNDLE,
  map: new MagicString(BUNDLE).generateMap({ source: "b.ts", hires: true }).toString(),
});

it("declares as const what is never assigned", () => {
  expect(kept.code).toContain("const A = 1;\nvar count = 0;\nvar later;");
  expect(kept.code).toContain("const B = class {};\nconst C = A + 1;");
});

it("exports constants under an alias of the same name", async () => {
  const module = await import(`data:text/javascript,${encodeURIComponent(kept.code)}`);
  expect(module.A).toBe(1);
  expect(new module.Bee()).toBeInstanceOf(module.Bee);
  expect(module.count).toBe(0);
  module.bump();
  expect(module.count).toBe(1);
  expect(Object.keys(module).sort()).toEqual(["A", "Bee", "bump", "count"]);
});

it("keeps the source map", () => {
  const at = getLineInfo(kept.code, kept.code.indexOf("later = A"));
  const expected = getLineInfo(BUNDLE, BUNDLE.indexOf("later = A"));
  expect(originalPositionFor(new TraceMap(kept.map), at)).toMatchObject({
    line: expected.line,
    column: expected.column,
  });
});
