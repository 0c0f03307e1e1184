/**
 * Pools of equal structs, after the kernel's slab caches (mm/slub.c: kmem_cache_alloc, kmem_cache_free). One pool is
 * one arena region and one lock; there are no per-CPU slabs and no growth beyond the region.
 *
 * Measured builds reuse the object freed last. CHECKED builds look for use after free instead: freeing bumps the
 * object's generation, notes the CPU, fills the object with POISON (which every access in arena/mem refuses) and puts
 * it at the end of a queue, from which it is taken only when the pool has nothing else or the queue is long.
 *
 * Thread safety: the words of `Slab` below `lock` and the headers of free objects are guarded by `lock`. An allocated
 * object belongs to whoever allocated it.
 */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { POISON, poison } from "../arena/mem.ts";
import { describeAddress, type MemoryMap, regionAt } from "../arena/region.ts";
import { CACHE_PAIR, struct } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { InternalFault, Violation } from "../base/errors.ts";
import { lockClass } from "../sync/lock-class.ts";
import { Spinlock, spinLock, spinUnlock } from "../sync/spinlock.ts";

/** Every pooled struct opens with this. It survives freeing, so it can say what became of the object. */
export const SlabObject = struct("slabObject", {
  /** CHECKED: generation (times freed, 24 bits) << 1 | LIVE. */
  state: 1,
  /** Next free object, 0 at the end; only meaningful while free. */
  next: 1,
  /** CHECKED: number of the CPU that freed it last. */
  freedBy: 1,
});

export const Slab = struct(
  "slab",
  {
    lock: { words: Spinlock.WORDS, align: CACHE_PAIR },
    /** Word address of the first object; words from one object to the next; objects. Constant. */
    base: { words: 1, align: CACHE_PAIR },
    stride: 1,
    count: 1,
    /** Objects handed out at least once: those before it; the rest has never been touched. */
    created: 1,
    freeHead: 1,
    /** Oldest at the head, youngest at the tail in CHECKED builds; not kept in others. */
    freeTail: 1,
    freeCount: 1,
  },
  CACHE_PAIR,
);

/** CHECKED: freed objects that wait before one is reused while untouched ones remain. */
export const QUARANTINE = 256;

/** Lock class of pools that name none of their own. */
export const SLAB_LOCK = lockClass("slab");

const LIVE = 1;
const GENERATION_MASK = 0xffffff;

/** Makes a pool of `count` objects, `stride` words apart from word `base` on. Touches none of them. */
export function initSlab(words: Int32Array, slab: number, base: number, stride: number, count: number): void {
  assert(base > 0 && base + stride * count <= words.length, "initSlab: the objects lie outside the arena");
  assert(stride > SlabObject.WORDS, "initSlab: an object is no larger than its header");
  assert(count > 0, "initSlab: no objects");
  words.fill(0, slab, slab + Slab.WORDS);
  words[slab + Slab.base] = base;
  words[slab + Slab.stride] = stride;
  words[slab + Slab.count] = count;
}

/** Objects allocated and not freed. */
export function slabInUse(words: Int32Array, slab: number): number {
  return (words[slab + Slab.created] as number) - (words[slab + Slab.freeCount] as number);
}

/** Word address of an object, zeroed past its header; 0 when the pool is exhausted. Takes the pool's lock. */
export function* slabAlloc(cpu: Cpu, slab: number, cls = SLAB_LOCK): Steps<number> {
  yield* spinLock(cpu, slab + Slab.lock, cls);
  const object = takeObject(cpu.words, slab);
  yield* spinUnlock(cpu, slab + Slab.lock, cls);
  if (object !== 0) {
    const end = object + (cpu.words[slab + Slab.stride] as number);
    cpu.words.fill(0, object + SlabObject.WORDS, end);
  }
  return object;
}

/** Gives an object of this pool back. Takes the pool's lock. CHECKED: Violation I2 when it is free already. */
export function* slabFree(cpu: Cpu, slab: number, object: number, cls = SLAB_LOCK): Steps<void> {
  yield* spinLock(cpu, slab + Slab.lock, cls);
  requireObject(cpu.words, slab, object);
  if (CHECKED) {
    buryObject(cpu, slab, object);
  } else {
    cpu.words[object + SlabObject.next] = cpu.words[slab + Slab.freeHead] as number;
    cpu.words[slab + Slab.freeHead] = object;
  }
  cpu.words[slab + Slab.freeCount] = (cpu.words[slab + Slab.freeCount] as number) + 1;
  yield* spinUnlock(cpu, slab + Slab.lock, cls);
}

/** Chooses the object to hand out; the caller holds the lock. */
function takeObject(words: Int32Array, slab: number): number {
  const untouched = (words[slab + Slab.created] as number) < (words[slab + Slab.count] as number);
  const waiting = words[slab + Slab.freeCount] as number;
  if (waiting === 0 && !untouched) return 0;
  const reuse = !untouched || waiting > (CHECKED ? QUARANTINE : 0);
  const object = reuse ? popFree(words, slab) : createObject(words, slab);
  if (CHECKED) words[object + SlabObject.state] = (words[object + SlabObject.state] as number) | LIVE;
  return object;
}

function popFree(words: Int32Array, slab: number): number {
  const object = words[slab + Slab.freeHead] as number;
  if (CHECKED) requirePoison(words, object, words[slab + Slab.stride] as number);
  words[slab + Slab.freeHead] = words[object + SlabObject.next] as number;
  words[slab + Slab.freeCount] = (words[slab + Slab.freeCount] as number) - 1;
  return object;
}

/** The next untouched object. Its header is written here, because a rebuilt machine leaves old words behind. */
function createObject(words: Int32Array, slab: number): number {
  const index = words[slab + Slab.created] as number;
  words[slab + Slab.created] = index + 1;
  const object = (words[slab + Slab.base] as number) + index * (words[slab + Slab.stride] as number);
  words.fill(0, object, object + SlabObject.WORDS);
  return object;
}

/** Stops at an address that is no object of this pool. */
function requireObject(words: Int32Array, slab: number, object: number): void {
  const stride = words[slab + Slab.stride] as number;
  const index = (object - (words[slab + Slab.base] as number)) / stride;
  if (index >= 0 && index < (words[slab + Slab.created] as number) && Number.isInteger(index)) return;
  throw new InternalFault(`slabFree: word ${object} is no object of the pool at word ${slab}`);
}

/** CHECKED: poisons the object and queues it behind all others. */
function buryObject(cpu: Cpu, slab: number, object: number): void {
  const words = cpu.words;
  const state = words[object + SlabObject.state] as number;
  if ((state & LIVE) === 0) {
    const what = cpu.describe?.(object) ?? describeSlabObject(words, object);
    throw new Violation("I2", `double free by CPU ${cpu.id}: ${what}`);
  }
  words[object + SlabObject.state] = (((state >> 1) + 1) & GENERATION_MASK) << 1;
  words[object + SlabObject.freedBy] = cpu.id;
  words[object + SlabObject.next] = 0;
  const end = object + (words[slab + Slab.stride] as number);
  for (let word = object + SlabObject.WORDS; word < end; word++) poison(cpu, word);
  const tail = words[slab + Slab.freeTail] as number;
  if ((words[slab + Slab.freeCount] as number) === 0) words[slab + Slab.freeHead] = object;
  else words[tail + SlabObject.next] = object;
  words[slab + Slab.freeTail] = object;
}

/** CHECKED: a freed object whose poison is gone was written past the checks of arena/mem. */
function requirePoison(words: Int32Array, object: number, stride: number): void {
  for (let word = object + SlabObject.WORDS; word < object + stride; word++) {
    if (words[word] !== POISON) {
      throw new Violation("I1", `word ${word} was written after free: ${describeSlabObject(words, object)}`);
    }
  }
}

/** What became of a pooled object, from its header (CHECKED builds keep it). */
export function describeSlabObject(words: Int32Array, object: number): string {
  const state = words[object + SlabObject.state] as number;
  const fate =
    (state & LIVE) !== 0 ? "in use" : state === 0 ? "never used" : `freed by CPU ${words[object + SlabObject.freedBy]}`;
  return `object at word ${object}, generation ${state >> 1}, ${fate}`;
}

/**
 * Name of a word for reports, and where it lies in a pooled object, what became of that object. A region is pooled
 * when its struct opens with SlabObject. An engine hands this to its ports as `describe`.
 */
export function explainUseAfterFree(words: Int32Array, map: MemoryMap, word: number): string {
  const place = describeAddress(map, word);
  const region = regionAt(map, word);
  if (region?.struct.FIELDS[0]?.struct !== SlabObject) return place;
  const object = word - ((word - region.base) % region.struct.WORDS);
  return `${place} (${describeSlabObject(words, object)})`;
}
