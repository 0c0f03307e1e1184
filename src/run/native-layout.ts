/**
 * `layout.h` for the C twin (bench/native): the offsets and constants that its sources name, from the declarations
 * of the very kernel build that it runs beside. A field is called `Frame_count`, a struct's size `Frame_WORDS`, the
 * number of a lock class `CLASS_pte_lock`; constants keep their names.
 */

import type { StructType } from "../arena/struct.ts";
import { assert } from "../base/assert.ts";
import { highestBit } from "../base/bits.ts";
import * as mas from "../mm/maple-tree/mas.ts";
import * as pcp from "../mm/pcp.ts";
import * as rwsem from "../sync/rwsem/state.ts";
import type { Kernel } from "./kernel-variant.ts";

/** Modules that `kernel.ts` does not export; nothing in them differs between builds. */
const MORE_MODULES = [mas, pcp, rwsem];

/** Values by name, in the order of definition. */
type Definitions = Map<string, number>;

function isStruct(value: unknown): value is StructType {
  return typeof value === "object" && value !== null && "FIELDS" in value && "WORDS" in value;
}

/** A struct and those nested in it. */
function defineStruct(into: Definitions, type: StructType): void {
  const name = type.NAME.charAt(0).toUpperCase() + type.NAME.slice(1);
  if (into.has(`${name}_WORDS`)) return;
  into.set(`${name}_WORDS`, type.WORDS);
  for (const field of type.FIELDS) {
    into.set(`${name}_${field.name}`, field.offset);
    if (field.struct) defineStruct(into, field.struct);
  }
}

function defineExports(into: Definitions, exports: object): void {
  for (const [name, value] of Object.entries(exports)) {
    if (isStruct(value)) defineStruct(into, value);
    else if (Number.isInteger(value)) into.set(name, value as number);
  }
}

/** Encodings that the kernel keeps to itself, asked of the functions that know them. */
function defineEncodings(into: Definitions, kernel: Kernel): void {
  const allOnes = -1;
  const tail = kernel.tailLink(0);
  const highWord = Int32Array.of(0, 1);
  into.set("VPN_LOW_RANGE", kernel.readVpn(highWord, 0));
  into.set("NS_LOW_RANGE", kernel.readNs(highWord, 0));
  into.set("FRAME_REF_MASK", kernel.frameRefs(allOnes));
  into.set("FRAME_RMAP_SHIFT", highestBit(kernel.FRAME_RMAP_ONE));
  into.set("LINK_TYPE_SHIFT", highestBit((tail >>> 0) / kernel.PAGE_TYPE_TAIL));
  into.set("LINK_PFN_MASK", kernel.tailHead(allOnes));
  into.set("LINK_ORDER_SHIFT", highestBit(kernel.freshLink(1)));
  into.set("LINK_ORDER_MASK", kernel.linkOrder(allOnes));
  into.set("LINK_SINGLE_MASK", tail | kernel.freshLink(kernel.linkOrder(allOnes)));
  into.set("PTRS_PER_TABLE_SHIFT", highestBit(kernel.PTRS_PER_TABLE));
  into.set("HOST_HAS_ATOMICS_PAUSE", "pause" in Atomics ? 1 : 0);
  kernel.lockClassNames().forEach((name, cls) => {
    into.set(`CLASS_${name}`, cls);
  });
}

/** Text of `layout.h`: one `#define` for each name that occurs in `sources`. */
export function nativeLayout(kernel: Kernel, sources: string): string {
  const all: Definitions = new Map();
  for (const exports of [kernel, ...MORE_MODULES]) defineExports(all, exports);
  defineEncodings(all, kernel);
  const used = new Set(sources.match(/\b[A-Za-z]\w*/g));
  const lines = [...all].filter(([name]) => used.has(name)).map(([name, value]) => `#define ${name} (${value})`);
  assert(lines.length > 0, "nativeLayout: the sources name nothing of the kernel");
  return `/* Written by oomrace from the kernel's own declarations. */\n${lines.join("\n")}\n`;
}
