/**
 * The orders in which a reaper may walk an address space; the victim always walks forward.
 *
 * forward: as the kernel until v6.17. reverse: as the kernel since v6.18. reverse-tables: reverse inside a VMA too.
 * middle-out: upper half up, lower half down. skip-busy: forward, leaping ahead of held locks.
 */

import { forward } from "./forward.ts";
import { middleOut } from "./middle-out.ts";
import type { TraversalOrder } from "./order.ts";
import { reverse } from "./reverse.ts";
import { reverseTables } from "./reverse-tables.ts";
import { skipBusy } from "./skip-busy.ts";

export const TRAVERSAL_ORDERS: readonly TraversalOrder[] = [forward, reverse, reverseTables, middleOut, skipBusy];
