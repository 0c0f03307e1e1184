/** One huge VMA: an order that turns VMAs round changes nothing here, since inside a VMA both sides walk upwards. */

import { UsageError } from "../../base/errors.ts";
import { VM_ACCOUNT, VM_READ, VM_WRITE } from "../../mm/vma.ts";
import { LAYOUT_START_VPN, type Layout, type LayoutKind, type LayoutRequest } from "../layout.ts";
import { shapeOf } from "./request.ts";

const NAME = "one-vma";
const IDEA = "one huge VMA, all pages present: turning the order of VMAs round has nothing to turn";
/** 8 GiB. */
const DEFAULTS = { pages: 2 ** 21, vmas: 1 };

export const oneVma: LayoutKind = { name: NAME, idea: IDEA, sizes: ["pages"], build };

function build(request: LayoutRequest): Layout {
  const { pages, vmas } = shapeOf(NAME, request, DEFAULTS);
  if (vmas !== 1) throw new UsageError(`layout ${NAME}: ${vmas} VMAs, expected 1 (vmas-2m takes any number)`);
  const vma = { startVpn: LAYOUT_START_VPN, pages, flags: VM_READ | VM_WRITE | VM_ACCOUNT, present: "all" } as const;
  return { name: NAME, idea: IDEA, vmas: [vma], notes: [] };
}
