/** This very process, from /proc/self/smaps and /proc/self/pagemap. */

import { UsageError } from "../../base/errors.ts";
import type { Layout, LayoutKind, LayoutRequest } from "../layout.ts";
import { readProcess } from "../process.ts";

const NAME = "self";
const IDEA = "this process itself, from /proc/self/smaps: a real address space, few pages in many uneven VMAs";

export const self: LayoutKind = { name: NAME, idea: IDEA, build };

function build(request: LayoutRequest): Layout {
  for (const option of ["pages", "vmas"] as const) {
    if (request[option] === undefined) continue;
    throw new UsageError(`layout ${NAME}: --${option} ${request[option]} given, expected none (it comes from smaps)`);
  }
  return { ...readProcess("self", request.seed), name: NAME, idea: IDEA };
}
