/** Pages that somebody holds, chained through their contents: each names the next, 0 ends the chain. */

import type { Cpu, Steps } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";
import { Frame, frameAddress } from "../mm/page.ts";
import { allocPages, GFP_KERNEL, putPage } from "../mm/page-alloc.ts";

/** Puts a page that the caller holds in front of the chain that begins with `chain`; returns the new first page. */
export function chainPage(cpu: Cpu, pfn: number, chain: number): number {
  store(cpu, frameAddress(cpu, pfn) + Frame.data, chain);
  return pfn;
}

/** Allocates single pages until the watermarks refuse; returns the first of the chain. */
export function* takeAllPages(cpu: Cpu): Steps<number> {
  let chain = 0;
  for (;;) {
    const pfn = yield* allocPages(cpu, 0, GFP_KERNEL);
    if (pfn === 0) return chain;
    chain = chainPage(cpu, pfn, chain);
  }
}

/** Gives a chain back. */
export function* putPageChain(cpu: Cpu, first: number): Steps<void> {
  for (let pfn = first; pfn !== 0; ) {
    const next = load(cpu, frameAddress(cpu, pfn) + Frame.data);
    yield* putPage(cpu, pfn);
    pfn = next;
  }
}
