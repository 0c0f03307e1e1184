import { expect, test } from "vitest";
import type { Cpu } from "../../src/arena/cpu.ts";
import { atomicLoad, runToEnd } from "../../src/arena/mem.ts";
import { describeThrown, placeInFrame, placeInStack } from "../../src/explore/source-place.ts";

function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

test.each([
  ["    at work (file:///home/me/my%20own/mine.mjs:3:7)", "/home/me/my own/mine.mjs:3:7"],
  ["    at async Object.work (/home/me/mine.js:12:1)", "/home/me/mine.js:12:1"],
  ["    at /home/me/a (b)/mine.js:12:1", "/home/me/a (b)/mine.js:12:1"],
  ["    at work.next (<anonymous>)", undefined],
  ["    at run (node:internal/modules/run_main:107:3)", undefined],
  ["    at helper (/home/me/node_modules/helper/index.js:1:1)", undefined],
  ["TypeError: at 3:7", undefined],
])("the place in %j", (frame, place) => {
  expect(placeInFrame(frame)).toBe(place);
});

test("the innermost place is the caller's of what belongs to oomrace", () => {
  const error = thrownBy(() => runToEnd(atomicLoad(null as unknown as Cpu, 0)));
  expect(error.stack).toContain("src/arena/mem.ts");
  expect(describeThrown(error)).toMatch(/^TypeError: .*, at \S+source-place\.test\.ts:\d+:\d+$/);
});

test("code that was built is asked for its places; what has none, and what is no error, comes without", () => {
  const stack = "Error: x\n    at a (/built.mjs:9:9)\n    at b (/built.mjs:2:5)";
  expect(placeInStack(stack, (file, line, column) => (line === 2 ? `${file}<${column}` : undefined))).toBe(
    "/built.mjs<5",
  );
  expect(describeThrown(new TypeError("odd"), () => undefined)).toBe("TypeError: odd");
  expect(describeThrown("odd")).toBe("odd");
});
