import { describe, expect, it } from "vitest";
import { maskText, stepTypes, typeMembers } from "../../src/strip/type-scan.ts";

const names = (text: string, generator: boolean): string[] =>
  typeMembers(text, new Set(stepTypes(text)))
    .filter((member) => member.generator === generator)
    .map((member) => member.name);

describe("typeMembers", () => {
  it("tells generator methods from plain ones", () => {
    const text = `
      type Program = (cpu: Cpu) => Steps<void>;
      export interface Protocol<T extends { a: string }> extends Base<T> {
        readonly name: string; // exitMmap2(cpu): Steps<void>
        /** gone(cpu): Steps<void>; */
        exitMmap(cpu: Cpu, mm: number): Steps<void>;
        readonly reap?: (cpu: Cpu) => Steps<Map<string, number>>;
        maybe?: ((cpu: Cpu) => Steps<void>) | undefined
        first<K>(
          cpu: Cpu,
          then: (at: number) => void,
        ): Steps<K>
        run: Program;
        now(): number; later: () => void
        given(steps: (cpu: Cpu) => Steps<void>): number;
        nested: { inner(): Steps<void> };
      }
      type Order = { next(cpu: Cpu): Steps<number>, size: number; peek(at: Map<string, number>): boolean };
      const value = { fake(cpu) { return 1; } };`;
    expect(names(text, true)).toEqual(["exitMmap", "reap", "maybe", "first", "run", "next"]);
    expect(names(text, false)).toEqual(["now", "later", "given", "peek"]);
  });

  it("says where a member's name starts", () => {
    const text = "interface A {\n  readonly on: () => Steps<void>;\n  go(): number;\n}";
    const found = typeMembers(text, new Set());
    expect(found.map(({ name, offset }) => [name, text.slice(offset, offset + 2)])).toEqual([
      ["on", "on"],
      ["go", "go"],
    ]);
  });
});

describe("maskText", () => {
  it.each([
    ["a // b", "a     "],
    ["a /* b\n c */ d", "a     \n      d"],
    [`x = "it's {"; y`, "x =         ; y"],
    ["`a \n \\` c` d", "   \n       d"],
    [`p(/["'{]/g); q`, "p(        ); q"],
    ["a / b / c", "a / b / c"],
  ])("%s", (text, masked) => {
    expect(maskText(text)).toBe(masked);
  });

  it("keeps strings on demand", () => {
    expect(maskText('import "a"; // "b"', true)).toBe('import "a";       ');
  });
});
