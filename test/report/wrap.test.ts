import fc from "fast-check";
import { expect, test } from "vitest";
import { REPORT_WIDTH, wrap } from "../../src/report/wrap.ts";

test("short text stays on one line, indented", () => {
  expect(wrap("a few words", 2, 4)).toBe("  a few words");
});

test("breaks between words; following lines have their own indent", () => {
  expect(wrap("one two three four", 0, 2, 9)).toBe("one two\n  three\n  four");
});

test("a word that is too long stands alone", () => {
  expect(wrap("a waytoolongword b", 0, 0, 6)).toBe("a\nwaytoolongword\nb");
});

test("keeps every word in order and every line within the width", () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,20}$/), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(words, fc.nat(8), fc.nat(8), (list, first, rest) => {
      const lines = wrap(list.join(" "), first, rest).split("\n");
      expect(lines.every((line) => line.length <= REPORT_WIDTH)).toBe(true);
      expect(lines.flatMap((line) => line.trimStart().split(" "))).toEqual(list);
    }),
  );
});
