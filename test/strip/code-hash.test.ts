import { describe, expect, it } from "vitest";
import { codeHash } from "../../src/strip/code-hash.ts";
import { analyse } from "../../src/strip/strip.ts";

const LOCK = "export function lock(word: number): number { return word + 1; }";

async function hashOf(texts: Readonly<Record<string, string>>, root = "/a"): Promise<string> {
  const sources = Object.entries(texts).map(([path, text]) => ({ path: `${root}/${path}`, text }));
  return codeHash(await analyse(sources), root);
}

describe("the hash of a kernel's source", () => {
  it("is the same for the same files, wherever they lie and however they are listed", async () => {
    const one = await hashOf({ "lock.ts": LOCK, "mm.ts": "export const PAGE = 1;" });
    expect(one).toMatch(/^[0-9a-f]{16}$/);
    expect(await hashOf({ "mm.ts": "export const PAGE = 1;", "lock.ts": LOCK }, "/b")).toBe(one);
  });

  it.each([
    ["another text", { "lock.ts": LOCK.replace("+ 1", "+ 2") }],
    ["another name", { "spin.ts": LOCK }],
    ["one more file", { "lock.ts": LOCK, "mm.ts": "export const PAGE = 1;" }],
  ])("changes with %s", async (_, texts) => {
    expect(await hashOf(texts)).not.toBe(await hashOf({ "lock.ts": LOCK }));
  });
});
