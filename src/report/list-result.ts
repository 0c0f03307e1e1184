/** What `oomrace list` shows: every variant that an index names. Schema "oomrace.list/1". */

import picocolors from "picocolors";
import { left, renderTable } from "./table.ts";

export const LIST_SCHEMA = "oomrace.list/1";

export interface ListEntry {
  readonly name: string;
  /** What it is for, in a sentence. */
  readonly idea: string;
  /** Kernel commit, mail or paper it comes from; null where it is oomrace's own. */
  readonly origin: string | null;
}

export interface ListResult {
  readonly schema: typeof LIST_SCHEMA;
  readonly version: string;
  readonly protocols: readonly ListEntry[];
  readonly orders: readonly ListEntry[];
  readonly layouts: readonly ListEntry[];
  readonly scenarios: readonly ListEntry[];
  readonly invariants: readonly ListEntry[];
}

const SECTIONS = ["protocols", "orders", "layouts", "scenarios", "invariants"] as const;

/** One table per kind; empty kinds are left out. No newline at the end. */
export function renderList(list: ListResult, options: { readonly color?: boolean } = {}): string {
  const { bold } = picocolors.createColors(options.color ?? false);
  const sections = SECTIONS.filter((section) => list[section].length > 0).map((section) => {
    const rows = list[section].map(({ name, idea, origin }) => [name, origin === null ? idea : `${idea} (${origin})`]);
    return `${bold(section)}\n${renderTable([left("name"), left("idea")], rows, { ...options, indent: 2 })}`;
  });
  return sections.join("\n\n");
}
