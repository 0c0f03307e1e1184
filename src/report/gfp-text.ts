/** GFP flags as the log prints them: the kernel's numbers and names (include/linux/gfp.h, include/trace/events/mmflags.h). */

import { __GFP_DIRECT_RECLAIM, __GFP_HIGH, __GFP_MEMALLOC, __GFP_RETRY_MAYFAIL } from "../mm/page-alloc.ts";
import { eraHas, type LogEra } from "../trace/log-era.ts";

/** One flag of the emulated allocator: its name, its bits until v4.19 and since. */
interface GfpFlag {
  readonly flag: number;
  readonly name: string;
  readonly before: number;
  readonly now: number;
}

/** What may wait may do everything: reclaim by itself and through kswapd, I/O, file systems. */
const FLAGS: readonly GfpFlag[] = [
  { flag: __GFP_DIRECT_RECLAIM, name: "GFP_KERNEL", before: 0x14000c0, now: 0xcc0 },
  { flag: __GFP_HIGH, name: "__GFP_HIGH", before: 0x20, now: 0x20 },
  { flag: __GFP_RETRY_MAYFAIL, name: "__GFP_RETRY_MAYFAIL", before: 0x400, now: 0x4000 },
  { flag: __GFP_MEMALLOC, name: "__GFP_MEMALLOC", before: 0x2000, now: 0x20000 },
];

/** "0xcc0(GFP_KERNEL)", from the emulated allocator's flags. */
export function gfpText(gfp: number, era: LogEra): string {
  const present = FLAGS.filter(({ flag }) => (gfp & flag) !== 0);
  const mask = present.reduce((bits, { before, now }) => bits | (eraHas(era, "v5.12") ? now : before), 0);
  return `0x${mask.toString(16)}(${present.map(({ name }) => name).join("|")})`;
}
