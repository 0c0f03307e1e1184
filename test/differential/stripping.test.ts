/**
 * The four builds of the kernel are one program: what a single CPU does on the unstripped build, the stripped and the
 * gated one do too, to the last word of the arena. Needs dist/ (npm run build).
 */

import { beforeAll, describe, expect, it } from "vitest";
import { describeAddress } from "../../src/arena/region.ts";
import { loadKernel } from "../../src/run/kernel-variant.ts";
import { runProgram, type Tally, type Transcript } from "./program.ts";
import { type Kernel, randomShape, type Stage, stageOf } from "./stage.ts";

const SHAPES = 50;
const PROGRAMS_PER_SHAPE = 42;

let interleaved: Kernel;
let stress: Kernel;
let forced: Kernel;
let parallel: Kernel;

beforeAll(async () => {
  interleaved = await loadKernel("interleaved");
  stress = await loadKernel("stress");
  forced = await loadKernel("forced");
  parallel = await loadKernel("parallel");
});

/** The first word at which two arenas differ, by name; "" when they are the same. */
function firstDifference(expected: Stage, got: Stage, from = 0, to = expected.words.length): string {
  const bytes = ({ words }: Stage): Buffer => Buffer.from(words.buffer, from * 4, (to - from) * 4);
  if (Buffer.compare(bytes(expected), bytes(got)) === 0) return "";
  let word = from;
  while (expected.words[word] === got.words[word]) word++;
  const place = describeAddress(expected.map.memory, word);
  return `${place} (word ${word}) is ${got.words[word]}, not ${expected.words[word]}`;
}

/** The first operation that came out otherwise, "" when none did. */
function firstTurn(expected: Transcript, got: Transcript): string {
  const at = Array.from({ length: Math.max(expected.length, got.length) }).findIndex((_, i) => expected[i] !== got[i]);
  return at < 0 ? "" : `operation ${at} came to "${got[at]}", not "${expected[at]}"`;
}

function shapeOf(index: number): ReturnType<typeof randomShape> {
  return randomShape(
    1000 + index,
    interleaved.PROTOCOLS.map(({ name }) => name),
  );
}

/** A program in eight may do what is forbidden. */
const mayMisuse = (seed: number): boolean => seed % 8 === 0;

describe("stripped, gated and unstripped builds", () => {
  it("lay the same machine out", () => {
    for (const kernel of [stress, forced, parallel]) {
      expect(kernel.planMachine(shapeOf(0)).memory.hash).toBe(interleaved.planMachine(shapeOf(0)).memory.hash);
    }
  });

  it(`leave byte-identical arenas after ${SHAPES * PROGRAMS_PER_SHAPE} programs`, () => {
    const tally: Tally = new Map();
    for (let s = 0; s < SHAPES; s++) {
      const unstripped = stageOf(interleaved, shapeOf(s));
      const others = [
        ["stripped", stageOf(stress, shapeOf(s))],
        ["gated", stageOf(forced, shapeOf(s))],
      ] as const;
      for (let p = 0; p < PROGRAMS_PER_SHAPE; p++) {
        const seed = s * PROGRAMS_PER_SHAPE + p;
        const expected = runProgram(unstripped, seed, mayMisuse(seed), tally);
        for (const [name, stage] of others) {
          const got = runProgram(stage, seed, mayMisuse(seed), new Map());
          const difference = firstTurn(expected, got) || firstDifference(unstripped, stage);
          if (difference !== "") throw new Error(`seed ${seed}, shape ${s}, ${name} build: ${difference}`);
        }
      }
    }
    // The programs did what they are for.
    const count = (name: string): number => tally.get(name)?.done ?? 0;
    expect(count("threw")).toBeGreaterThan(50);
    expect(count("cleanUp")).toBeGreaterThan((SHAPES * PROGRAMS_PER_SHAPE) / 3);
    for (const name of ["mmap", "fault", "zap", "alloc", "lock", "wait", "reap", "mrelease", "kthread", "exit"]) {
      expect(count(name), name).toBeGreaterThan(300);
      expect(tally.get(name)?.sum, name).toBeGreaterThan(300);
    }
  });

  it("come to the same results, page for page, without the checks", () => {
    for (let s = 0; s < SHAPES; s++) {
      const checked = stageOf(stress, shapeOf(s));
      const unchecked = stageOf(parallel, shapeOf(s));
      for (let p = 0; p < PROGRAMS_PER_SHAPE; p += 4) {
        const seed = s * PROGRAMS_PER_SHAPE + p;
        const where = `seed ${seed}, shape ${s}`;
        const turn = firstTurn(
          runProgram(checked, seed, false, new Map()),
          runProgram(unchecked, seed, false, new Map()),
        );
        expect(turn, where).toBe("");
        expect(samePages(checked, unchecked), where).toBe("");
        for (const id of [0, 1]) {
          const figures = ({ kernel, words, map }: Stage): unknown => kernel.readFigures(words, map, id);
          expect(figures(unchecked), where).toEqual(figures(checked));
        }
      }
    }
  });
});

/**
 * Checks fill what is freed and keep freed objects back, so addresses of tables and VMAs differ. Which page is where
 * does not: counts of all frames, the zones with their free blocks, and the per-CPU lists.
 */
function samePages(checked: Stage, unchecked: Stage): string {
  const { Frame } = checked.kernel;
  for (const { name, base, struct, count } of checked.map.memory.regions) {
    if (["zones", "buddyBits", "pcpRings"].includes(name)) {
      const difference = firstDifference(checked, unchecked, base, base + struct.WORDS * count);
      if (difference !== "") return difference;
    }
    if (name !== "frames") continue;
    for (let pfn = 0; pfn < count; pfn++) {
      const at = base + pfn * Frame.WORDS + Frame.count;
      if (checked.words[at] !== unchecked.words[at]) return `frames[${pfn}].count is ${unchecked.words[at]}`;
    }
  }
  return "";
}

describe("the comparison", () => {
  it("names the first word that differs", () => {
    const [one, two] = [stageOf(interleaved, shapeOf(3)), stageOf(stress, shapeOf(3))];
    const tally: Tally = new Map();
    runProgram(one, 5, false, tally);
    runProgram(two, 5, false, tally);
    expect(firstDifference(one, two)).toBe("");
    const frames = one.map.memory.regions.find(({ name }) => name === "frames");
    const word = (frames?.base as number) + 7 * 3 + 2;
    two.words[word] = 77;
    two.words[word + 40] = 78;
    expect(firstDifference(one, two)).toBe(`frames[7].data (word ${word}) is 77, not ${one.words[word]}`);
  });

  it("sees a build that loses one store", () => {
    const careless: Kernel = {
      ...stress,
      // In the stripped build a generator function is a plain one.
      tlbActivate: (() => {}) as never,
    };
    const [one, two] = [stageOf(interleaved, shapeOf(4)), stageOf(careless, shapeOf(4))];
    let found = 0;
    for (let seed = 0; seed < 50; seed++) {
      const turn = firstTurn(runProgram(one, seed, false, new Map()), runProgram(two, seed, false, new Map()));
      if ((turn || firstDifference(one, two)) !== "") found++;
    }
    expect(found).toBeGreaterThan(25);
  });
});
