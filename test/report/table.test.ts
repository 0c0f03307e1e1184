import fc from "fast-check";
import { expect, test } from "vitest";
import { left, renderTable, right, wantsColor } from "../../src/report/table.ts";

const ESCAPE = String.fromCharCode(27);

test("columns line up, without borders, trailing blanks or colours", () => {
  const table = renderTable(
    [left("walk"), right("time"), left("")],
    [
      ["forward", "98 ms", ""],
      ["solo", "1,310 ms", "x"],
    ],
    { indent: 2 },
  );
  expect(table.split("\n")).toEqual(["  walk         time", "  forward     98 ms", "  solo     1,310 ms  x"]);
});

test("every cell stands in its column", () => {
  const cell = fc.stringMatching(/^[a-z]{0,8}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell), { maxLength: 6 }), (rows) => {
      const lines = renderTable([left("left"), right("right")], rows).split("\n");
      const leftWidth = Math.max(4, ...rows.map(([one]) => one.length));
      const width = leftWidth + 2 + Math.max(5, ...rows.map(([, two]) => two.length));
      for (const [i, [one, two]] of rows.entries()) {
        const line = (lines[i + 1] as string).padEnd(width);
        expect(line.slice(0, leftWidth).trimEnd()).toBe(one);
        expect(line.slice(leftWidth).trim()).toBe(two);
        if (two !== "") expect(line.endsWith(two)).toBe(true);
      }
    }),
  );
});

test("titles are bold where colours are wanted, and nowhere else", () => {
  expect(renderTable([left("walk")], [["solo"]], { color: true })).toContain(`${ESCAPE}[1mwalk`);
  expect(renderTable([left("walk")], [["solo"]])).not.toContain(ESCAPE);
});

test("a row with a cell too few is refused", () => {
  expect(() => renderTable([left("a"), left("b")], [["1"]])).toThrow("renderTable: 1 cells in 2 columns");
});

test("colours: on a terminal only, and not against NO_COLOR", () => {
  expect(wantsColor({ isTTY: true }, {})).toBe(true);
  expect(wantsColor({}, { CI: "1", FORCE_COLOR: "1" })).toBe(false);
  expect(wantsColor({ isTTY: true }, { NO_COLOR: "1" })).toBe(false);
  expect(wantsColor({ isTTY: true }, { TERM: "dumb" })).toBe(false);
});
