/** Aligned text tables: no borders, no trailing blanks, colours only where asked for, so that they pipe well. */

import CliTable from "cli-table3";
import picocolors from "picocolors";
import { assert } from "../base/assert.ts";

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

export interface TableOptions {
  /** Bold titles; false for pipes and files. */
  readonly color?: boolean;
  /** Blanks before each line. */
  readonly indent?: number;
}

const GAP = "  ";
const NO_BORDER = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: GAP,
};

export function left(title: string): Column {
  return { title, align: "left" };
}

export function right(title: string): Column {
  return { title, align: "right" };
}

/** One line of titles and one line per row. Every row has a cell for each column. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
) {
  for (const row of rows) {
    assert(row.length === columns.length, `renderTable: ${row.length} cells in ${columns.length} columns`);
  }
  const { bold } = picocolors.createColors(options.color ?? false);
  const table = new CliTable({
    // cli-table3 colours titles and borders unless told otherwise.
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    chars: NO_BORDER,
    colAligns: columns.map((column) => column.align),
  });
  table.push(
    columns.map((column) => bold(column.title)),
    ...rows.map((row) => [...row]),
  );
  const indent = " ".repeat(options.indent ?? 0);
  return table
    .toString()
    .split("\n")
    .map((line) => `${indent}${line}`.trimEnd())
    .join("\n");
}

/** Whether a stream shows colours: a terminal, unless NO_COLOR is set. Pipes and files get none. */
export function wantsColor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && (env.NO_COLOR ?? "") === "" && env.TERM !== "dumb";
}
