/** `struct oom_control` (include/linux/oom.h, v6.18): one shortage, as the OOM killer is told of it, and its choice. */

import { CACHE_PAIR, struct } from "../arena/struct.ts";

/** `OomControl.order` of a kill by sysrq: it neither panics nor waits for earlier victims. */
export const ORDER_SYSRQ = -1;

/** `OomControl.chosen`: an earlier victim is still on its way out, so nobody is killed. */
export const CHOSEN_ABORT = -1;

export const OomControl = struct(
  "oomControl",
  {
    /** Word address of the zones that the allocation looks at; 0 where the shortage is no single allocation's. */
    zonelist: 1,
    /** Nodes it is bound to by its memory policy, one bit each; 0 for no mask. */
    nodemask: 1,
    /** Word address of the memory group whose limit was met; 0 where memory itself is short. */
    memcg: 1,
    gfp: 1,
    order: 1,
    /** CONSTRAINT_* */
    constraint: 1,
    /** Pages of the OOM domain, the unit of oom_score_adj. */
    totalpages: 1,
    /** Task address, 0 for none, or CHOSEN_ABORT. */
    chosen: 1,
    chosenPoints: 1,
  },
  CACHE_PAIR,
);
