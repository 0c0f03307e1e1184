import { describe, expect, it } from "vitest";
import type { Steps } from "../../src/arena/cpu.ts";
import { atomicLoad, load, OP_SPIN, POISON, runToEnd, store } from "../../src/arena/mem.ts";
import { struct } from "../../src/arena/struct.ts";
import { InternalFault, Violation } from "../../src/base/errors.ts";
import { Random } from "../../src/base/random.ts";
import { QUARANTINE, Slab, SlabObject, slabAlloc, slabFree, slabInUse } from "../../src/mm/slab.ts";
import { type Bench, makeBench, poolOf, slabRegion } from "./pool-cpu.ts";

const Thing = struct("thing", { slab: SlabObject, value: 1, more: 4 });

function things(count: number, cpus = 1): Bench & { slab: number } {
  const bench = makeBench([slabRegion("slab"), { name: "things", struct: Thing, count }], cpus);
  return { ...bench, slab: poolOf(bench, "slab", "things") };
}

const alloc = (b: Bench & { slab: number }): number => runToEnd(slabAlloc(b.cpu, b.slab));
const free = (b: Bench & { slab: number }, object: number): void => runToEnd(slabFree(b.cpu, b.slab, object));

describe("slab", () => {
  it("hands out every object once, then 0", () => {
    const b = things(5);
    const got = [alloc(b), alloc(b), alloc(b), alloc(b), alloc(b)];
    const base = b.at("things");
    expect(got).toEqual([0, 1, 2, 3, 4].map((i) => base + i * Thing.WORDS));
    expect(alloc(b)).toBe(0);
    expect(slabInUse(b.words, b.slab)).toBe(5);
  });

  it("touches no object when it is made", () => {
    const b = makeBench([slabRegion("slab"), { name: "things", struct: Thing, count: 4 }]);
    const base = b.at("things");
    b.words.fill(77, base, base + 4 * Thing.WORDS);
    const slab = poolOf(b, "slab", "things");
    expect(b.words.slice(base, base + 4 * Thing.WORDS)).toEqual(new Int32Array(4 * Thing.WORDS).fill(77));
    const first = runToEnd(slabAlloc(b.cpu, slab));
    expect(b.words.slice(first + SlabObject.WORDS, first + Thing.WORDS)).toEqual(new Int32Array(5));
    expect(b.words[first + Thing.WORDS]).toBe(77);
    runToEnd(slabFree(b.cpu, slab, first));
  });

  it("zeroes an object that is used again", () => {
    const b = things(1);
    const object = alloc(b);
    store(b.cpu, object + Thing.value, 9);
    free(b, object);
    expect(alloc(b)).toBe(object);
    expect(load(b.cpu, object + Thing.value)).toBe(0);
  });

  it("keeps freed objects back while untouched ones are left, and takes the oldest first", () => {
    const b = things(4);
    const [a, c] = [alloc(b), alloc(b)];
    free(b, c);
    free(b, a);
    const rest = [alloc(b), alloc(b)];
    expect(rest).not.toContain(a);
    expect(rest).not.toContain(c);
    expect([alloc(b), alloc(b), alloc(b)]).toEqual([c, a, 0]);
  });

  it("reuses before touching new ones once the quarantine is full", () => {
    const b = things(QUARANTINE + 10);
    const objects = Array.from({ length: QUARANTINE + 1 }, () => alloc(b));
    for (const object of objects.slice(0, QUARANTINE)) free(b, object);
    const fresh = alloc(b);
    expect(objects).not.toContain(fresh);
    free(b, fresh);
    expect(alloc(b)).toBe(objects[0]);
  });

  it("refuses to touch a freed object and says which, in which life, freed by whom", () => {
    const b = things(3, 2);
    alloc(b);
    const object = alloc(b);
    runToEnd(slabFree(b.cpus[1]!, b.slab, object));
    const message = new RegExp(
      `I1: use after free by CPU 0: things\\[1\\]\\.value \\(object at word ${object}, generation 1, freed by CPU 1\\)`,
    );
    expect(() => load(b.cpu, object + Thing.value)).toThrow(message);
    expect(() => store(b.cpu, object + Thing.value, 1)).toThrow(message);
    expect(() => runToEnd(atomicLoad(b.cpu, object + Thing.value))).toThrow(message);
    expect(b.words[object + Thing.value]).toBe(POISON);
  });

  it("reports a double free with the first one's CPU", () => {
    const b = things(3, 2);
    const object = alloc(b);
    runToEnd(slabFree(b.cpus[1]!, b.slab, object));
    let caught: unknown;
    try {
      free(b, object);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(Violation);
    expect((caught as Violation).invariant).toBe("I2");
    expect((caught as Violation).message).toMatch(/double free by CPU 0: things\[0\].*generation 1, freed by CPU 1/);
  });

  it("notices a freed object that was written past the checks, when it is to be reused", () => {
    const b = things(1);
    const object = alloc(b);
    free(b, object);
    b.words[object + Thing.more + 2] = 5;
    expect(() => alloc(b)).toThrow(/I1: word \d+ was written after free: .*freed by CPU 0/);
  });

  it("stops at an address that is none of its objects", () => {
    const object = alloc(things(3));
    for (const wrong of [object + 1, object - Thing.WORDS, object + Thing.WORDS, 0]) {
      const b = things(3);
      expect(alloc(b)).toBe(object);
      expect(() => free(b, wrong)).toThrow(InternalFault);
    }
  });

  it("keeps two CPUs apart in 1,000 interleavings", () => {
    for (let seed = 0; seed < 1000; seed++) {
      const b = things(6, 2);
      const random = new Random(seed);
      const owners = new Map<number, number>();
      const programs = b.cpus.map((cpu) => allocAndFree(b, cpu.id, owners, new Random(seed * 2 + cpu.id)));
      const done = [false, false];
      while (!done.every(Boolean)) {
        const runnable = [0, 1].filter((id) => !done[id] && !spinsInVain(b, id));
        if (runnable.length === 0) throw new Error(`seed ${seed}: nobody can go on`);
        const id = runnable[random.below(runnable.length)] as number;
        done[id] = programs[id]!.next().done === true;
      }
      expect(slabInUse(b.words, b.slab), `seed ${seed}`).toBe(0);
      expect(b.words[b.slab + Slab.freeCount], `seed ${seed}`).toBe(b.words[b.slab + Slab.created]);
    }
  });
});

/** Is that CPU about to spin on a word that still holds what it waits away? */
function spinsInVain(b: Bench, id: number): boolean {
  const pending = b.cpus[id]!.port.pending;
  return pending[0] === OP_SPIN && b.words[pending[1]!] === pending[2];
}

/** Takes up to three objects, gives them back, three times; two owners of one object at a time fail the test. */
function* allocAndFree(
  b: Bench & { slab: number },
  id: number,
  owners: Map<number, number>,
  random: Random,
): Steps<void> {
  const cpu = b.cpus[id]!;
  const mine: number[] = [];
  for (let round = 0; round < 3; round++) {
    while (mine.length < 3 && random.below(3) > 0) {
      const object = yield* slabAlloc(cpu, b.slab);
      if (owners.has(object)) throw new Error(`object ${object} handed out twice`);
      owners.set(object, id);
      mine.push(object);
    }
    for (let object = mine.pop(); object !== undefined; object = mine.pop()) {
      owners.delete(object);
      yield* slabFree(cpu, b.slab, object);
    }
  }
}
