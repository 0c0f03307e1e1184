/** This very process, from /proc/self/smaps and /proc/self/pagemap. */

import type { Layout, LayoutKind, LayoutRequest } from "../layout.ts";
import { readProcess } from "../process.ts";
import { refuseSizes } from "./request.ts";

const NAME = "self";
const IDEA = "this process itself, from /proc/self/smaps: a real address space, few pages in many uneven VMAs";

export const self: LayoutKind = { name: NAME, idea: IDEA, sizes: [], build };

function build(request: LayoutRequest): Layout {
  refuseSizes(NAME, request);
  return { ...readProcess("self", request.seed), name: NAME, idea: IDEA };
}
