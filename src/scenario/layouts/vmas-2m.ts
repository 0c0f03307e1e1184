/**
 * VMAs of equal size, each on 2 MiB boundaries, so that no two share a PTE table; all pages present. Between two VMAs
 * lies a hole of 2 MiB: a kernel would merge neighbours of equal flags.
 *
 * By default 4,096 VMAs of 2 MiB. With `pages` alone the number of VMAs stays and their size grows; with `vmas` alone
 * the pages stay. Where the pages do not divide evenly, the first VMAs are one page longer.
 */

import { VM_ACCOUNT, VM_READ, VM_WRITE } from "../../mm/vma.ts";
import {
  LAYOUT_START_VPN,
  type Layout,
  type LayoutKind,
  type LayoutRequest,
  type LayoutVma,
  PTRS_PER_PTE,
} from "../layout.ts";
import { assertFits, shapeOf } from "./request.ts";

const NAME = "vmas-2m";
const IDEA = "VMAs of 2 MiB with a page table each, all pages present: opposite ends are far apart";
/** 8 GiB. */
const DEFAULTS = { pages: 2 ** 21, vmas: 4096 };

export const vmas2m: LayoutKind = { name: NAME, idea: IDEA, sizes: ["pages", "vmas"], build };

function build(request: LayoutRequest): Layout {
  const { pages, vmas } = shapeOf(NAME, request, DEFAULTS);
  const each = Math.floor(pages / vmas);
  const longer = pages % vmas;
  const stride = (Math.ceil((each + (longer > 0 ? 1 : 0)) / PTRS_PER_PTE) + 1) * PTRS_PER_PTE;
  assertFits(NAME, LAYOUT_START_VPN + vmas * stride);
  const made = Array.from({ length: vmas }, (_, i): LayoutVma => {
    const startVpn = LAYOUT_START_VPN + i * stride;
    return { startVpn, pages: each + (i < longer ? 1 : 0), flags: VM_READ | VM_WRITE | VM_ACCOUNT, present: "all" };
  });
  return { name: NAME, idea: IDEA, vmas: made, notes: [] };
}
