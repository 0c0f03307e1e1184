/** Checking what a user asks of a synthetic layout. */

import { UsageError } from "../../base/errors.ts";
import { LAYOUT_START_VPN, type LayoutRequest, USER_VPN_4LEVEL } from "../layout.ts";

/** More VMAs than any kernel lets a process have (`vm.max_map_count` is 65,530 by default). */
const MAX_VMAS = 2 ** 22;

export interface Shape {
  readonly pages: number;
  readonly vmas: number;
}

/** Fills in what the request leaves out. @throws UsageError when no such address space exists. */
export function shapeOf(name: string, request: LayoutRequest, defaults: Shape): Shape {
  const pages = request.pages ?? defaults.pages;
  const vmas = request.vmas ?? defaults.vmas;
  const room = USER_VPN_4LEVEL - LAYOUT_START_VPN;
  if (!isPositive(vmas)) throw new UsageError(`layout ${name}: ${vmas} VMAs, expected a whole number from 1 on`);
  if (!isPositive(pages)) throw new UsageError(`layout ${name}: ${pages} pages, expected a whole number from 1 on`);
  if (vmas > MAX_VMAS) throw new UsageError(`layout ${name}: ${vmas} VMAs, expected at most ${MAX_VMAS}`);
  if (pages < vmas) {
    throw new UsageError(`layout ${name}: ${pages} pages in ${vmas} VMAs, expected at least one page for each VMA`);
  }
  if (pages > room) throw new UsageError(`layout ${name}: ${pages} pages, expected at most ${room} (47-bit addresses)`);
  return { pages, vmas };
}

/** @throws UsageError when the last page lies above user space. */
export function assertFits(name: string, endVpn: number): void {
  if (endVpn <= USER_VPN_4LEVEL) return;
  throw new UsageError(`layout ${name}: needs addresses up to page ${endVpn}, expected at most ${USER_VPN_4LEVEL}`);
}

/** For layouts of real processes. @throws UsageError when the request gives a size */
export function refuseSizes(name: string, request: LayoutRequest): void {
  for (const option of ["pages", "vmas"] as const) {
    if (request[option] === undefined) continue;
    throw new UsageError(`layout ${name}: --${option} ${request[option]} given, expected none (it comes from smaps)`);
  }
}

function isPositive(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}
