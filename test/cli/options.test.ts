import { describe, expect, test } from "vitest";
import { listOf, oneOf, positiveNumber, wholeNumber, wholeNumbers } from "../../src/cli/options.ts";
import { parseChoice, parseChoices } from "../../src/cli/variants.ts";

describe("numbers", () => {
  test.each([
    ["7", 7],
    ["2^21", 2_097_152],
    ["2**4", 16],
    [" 3 ", 3],
    ["1e6", 1_000_000],
  ])("%s is understood", (text, value) => {
    expect(wholeNumber("--n", 1)(text)).toBe(value);
  });

  test.each(["", " ", "x", "1.5", "0", "-1", "2^99", "1,2"])("%j is not", (text) => {
    expect(() => wholeNumber("--n", 1)(text)).toThrow(`--n ${text}: expected a whole number from 1 on`);
  });

  test("limits are part of the message", () => {
    expect(() => wholeNumber("--n", 0, 29)("30")).toThrow("--n 30: expected a whole number from 0 to 29");
  });

  test("lists keep their order and drop repetitions", () => {
    expect(wholeNumbers("--pages", 1)("2^3,4, 8")).toEqual([8, 4]);
    expect(() => wholeNumbers("--pages", 1)("1,,2")).toThrow("expected a whole number");
  });

  test("rates lie above 0", () => {
    expect(positiveNumber("--hz")("0.5")).toBe(0.5);
    for (const text of ["0", "-1", "fast", "", "Infinity"]) {
      expect(() => positiveNumber("--hz")(text)).toThrow(`--hz ${text}: expected a number above 0`);
    }
  });
});

test("words must be known", () => {
  expect(oneOf("--x", ["a", "b"])("b")).toBe("b");
  expect(() => oneOf("--x", ["a", "b"], "a file")("c")).toThrow("--x c: expected one of a, b, or a file");
  expect(listOf("--x", ["a", "b"])("b, a,b")).toEqual(["b", "a"]);
});

describe("protocols and orders", () => {
  const parse = parseChoice("--protocol", ["v6.1", "v6.18"]);

  test("names are listed ones, whatever dots they have", () => {
    expect(parse("v6.1")).toEqual({ kind: "listed", name: "v6.1" });
    expect(() => parse("v7.0")).toThrow(
      "--protocol v7.0: expected one of v6.1, v6.18, or a path to a module (./mine.ts)",
    );
  });

  test.each([
    ["mine.ts", "mine.ts", null],
    ["./a/mine.mjs", "./a/mine.mjs", null],
    ["a\\mine.js", "a\\mine.js", null],
    ["./mine.ts#second", "./mine.ts", "second"],
    ["./without-end", "./without-end", null],
  ])("%s is a file", (text, path, member) => {
    expect(parse(text)).toEqual({ kind: "file", path, member });
  });

  test("orders mix both", () => {
    expect(parseChoices("--order", ["forward"])("forward, ./o.ts")).toEqual([
      { kind: "listed", name: "forward" },
      { kind: "file", path: "./o.ts", member: null },
    ]);
  });
});
