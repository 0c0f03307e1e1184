/** The named layouts. A new one is a file here and a line in this list; help, benches and `list` read it. */

import { UsageError } from "../../base/errors.ts";
import { checkLayout, type Layout, type LayoutKind, type LayoutRequest } from "../layout.ts";
import { oneVma } from "./one-vma.ts";
import { RECORDED } from "./recorded.ts";
import { self } from "./self.ts";
import { smallVmas } from "./small-vmas.ts";
import { vmas2m } from "./vmas-2m.ts";

export const LAYOUTS: readonly LayoutKind[] = [vmas2m, oneVma, smallVmas, self, ...RECORDED];

/** @throws UsageError for an unknown name or a request that cannot be met; NotAvailable as the layout says. */
export function buildLayout(name: string, request: LayoutRequest): Layout {
  const kind = LAYOUTS.find((candidate) => candidate.name === name);
  if (kind === undefined) {
    throw new UsageError(`layout ${name}: unknown, expected one of ${LAYOUTS.map((known) => known.name).join(", ")}`);
  }
  return checkLayout(kind.build(request));
}
