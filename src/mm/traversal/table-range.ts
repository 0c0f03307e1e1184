/** Cutting a VMA into the parts that lie in one page table each. */

import { PTRS_PER_TABLE } from "../page-table.ts";

/** First virtual page of the table that maps `vpn`. */
export function tableFloor(vpn: number): number {
  return vpn - (vpn % PTRS_PER_TABLE);
}

/** First virtual page past the table that maps `vpn`. */
export function tableCeiling(vpn: number): number {
  return tableFloor(vpn) + PTRS_PER_TABLE;
}
