/**
 * Declares what lies in the arena: named fields of 32-bit words at fixed offsets.
 * A structure is its word address; `words[address + Frame.count]` reads a field, nothing is copied out.
 */

import { assert } from "../base/assert.ts";
import { alignUp, hashString } from "../base/bits.ts";

/** Words of one cache line (64 bytes). */
export const CACHE_LINE = 16;
/** Words of two adjacent lines, which x86 prefetches as a pair: what CPUs fight over is kept this far apart. */
export const CACHE_PAIR = 32;

/** A field: a number of words, another struct, several of them, or words with an alignment. */
export type FieldSpec =
  | number
  | StructType
  | readonly [StructType, number]
  | { readonly words: number; readonly align: number };

export interface FieldInfo {
  readonly name: string;
  readonly offset: number;
  readonly words: number;
  /** Element type where the field holds one or more structs. */
  readonly struct?: StructType;
}

/** What every struct knows about itself, beside one offset per field. All sizes in 32-bit words. */
export interface StructType {
  readonly NAME: string;
  readonly WORDS: number;
  readonly ALIGN: number;
  readonly FIELDS: readonly FieldInfo[];
}

export type Struct<F> = StructType & { readonly [K in keyof F]: number };

function isStruct(spec: FieldSpec): spec is StructType {
  return typeof spec === "object" && "WORDS" in spec;
}

function measure(spec: FieldSpec): { words: number; align: number; struct?: StructType } {
  if (typeof spec === "number") return { words: spec, align: 1 };
  if (isStruct(spec)) return { words: spec.WORDS, align: spec.ALIGN, struct: spec };
  if ("words" in spec) return { words: spec.words, align: spec.align };
  const [struct, count] = spec;
  return { words: struct.WORDS * count, align: struct.ALIGN, struct };
}

/**
 * Lays fields out in the order given, each at its alignment; the size is rounded up to the struct's alignment.
 * Field names are camelCase; NAME, WORDS, ALIGN and FIELDS are taken.
 */
export function struct<const F extends Record<string, FieldSpec>>(name: string, fields: F, align = 1): Struct<F> {
  const infos: FieldInfo[] = [];
  const offsets: Record<string, number> = {};
  let offset = 0;
  let widest = align;
  for (const [field, spec] of Object.entries(fields)) {
    const size = measure(spec);
    assert(Number.isInteger(size.words) && size.words > 0, `struct: ${name}.${field} has ${size.words} words`);
    offset = alignUp(offset, size.align);
    widest = Math.max(widest, size.align);
    infos.push({ name: field, offset, words: size.words, ...(size.struct && { struct: size.struct }) });
    offsets[field] = offset;
    offset += size.words;
  }
  const words = alignUp(offset, widest);
  return { ...offsets, NAME: name, WORDS: words, ALIGN: widest, FIELDS: infos } as unknown as Struct<F>;
}

/** Hash of a struct's name, size and every field, nested ones included. */
export function hashStruct(type: StructType, seed?: number): number {
  let hash = hashString(`${type.NAME}:${type.WORDS}:${type.ALIGN}`, seed);
  for (const field of type.FIELDS) {
    hash = hashString(`${field.name}@${field.offset}+${field.words}`, hash);
    if (field.struct) hash = hashStruct(field.struct, hash);
  }
  return hash;
}

/** Name of the field that holds word `offset` of a struct, for dumps: "lock.word", "entries[17]". */
export function fieldAt(type: StructType, offset: number): string {
  for (const field of type.FIELDS) {
    const inside = offset - field.offset;
    if (inside < 0 || inside >= field.words) continue;
    if (!field.struct) return field.words === 1 ? field.name : `${field.name}[${inside}]`;
    const element = Math.floor(inside / field.struct.WORDS);
    const index = field.words === field.struct.WORDS ? "" : `[${element}]`;
    return `${field.name}${index}.${fieldAt(field.struct, inside - element * field.struct.WORDS)}`;
  }
  return `+${offset}`;
}
