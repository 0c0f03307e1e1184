/** The live kernel's speed-up by process_mrelease beside the emulator's. */

import { renderNote } from "./bench-block-text.ts";
import type { Mrelease, MreleaseRow } from "./bench-result.ts";
import { formatInterval } from "./comparison-table.ts";
import { formatCount, formatNs, formatRatio } from "./format.ts";
import type { Comparison } from "./stats.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";
import { wrap } from "./wrap.ts";

type MeasuredRow = Extract<MreleaseRow, { state: "measured" }>;

const SPANS =
  "the two measure different spans: kill to wait has the wake-up of a sleeping victim, the rest of its exit, the " +
  "freeing of its page tables and the scheduler's wake-up of who waits, and its reaper starts when the system call " +
  "does; the emulated time ends at the last VMA, and both sides start at once";

export function renderMrelease(
  mrelease: Mrelease,
  protocol: string,
  bold: (text: string) => string,
  options: TableOptions,
): string {
  if (mrelease.state === "absent")
    return wrap(`process_mrelease on this kernel: not measured: ${mrelease.reason}`, 0, 2);
  const { release, rows } = mrelease;
  const measured = rows.filter((row) => row.state === "measured");
  const title = wrap(
    `process_mrelease on this kernel (Linux ${release}): kill to wait, beside the emulator (${protocol})`,
    0,
    2,
  );
  const table = measured.length === 0 ? [] : [renderRows(measured, { ...options, indent: 2 })];
  const notes = [
    ...rows.flatMap((row) => (row.state === "absent" ? [`${row.layout}: not measured: ${row.reason}`] : notesOf(row))),
    ...(measured.length === 0 ? [] : [SPANS]),
  ];
  return [bold(title), ...table, ...notes.map((note) => renderNote(note, 2))].join("\n");
}

function renderRows(rows: readonly MeasuredRow[], options: TableOptions): string {
  // One kernel, one order.
  const order = rows.find(({ emulated }) => emulated !== null)?.emulated?.order;
  const columns = [
    left("layout"),
    right("pages"),
    right("pairs"),
    right("alone"),
    right("reaped"),
    right("alone / reaped"),
    right("95 % interval"),
    right(order === undefined ? "emulated" : `emulated solo / ${order}`),
    right("95 % interval"),
  ];
  return renderTable(columns, rows.map(cellsOf), options);
}

function cellsOf({ layout, kernelPages, pairs, notReaped, ...row }: MeasuredRow): string[] {
  return [
    layout,
    formatCount(kernelPages),
    String(pairs.length - notReaped),
    row.aloneNs === null ? "-" : formatNs(row.aloneNs),
    row.reapedNs === null ? "-" : formatNs(row.reapedNs),
    ...ratioCells(row.speedup),
    ...ratioCells(row.emulated?.speedup ?? null),
  ];
}

function ratioCells(ratio: Comparison | null): [string, string] {
  return ratio === null ? ["-", "-"] : [formatRatio(ratio.median), formatInterval(ratio)];
}

function notesOf({ layout, notes, pairs, notReaped }: MeasuredRow): string[] {
  const errors = new Set(pairs.flatMap(({ reaped }) => reaped.error ?? []));
  const left = `${notReaped} of ${pairs.length} pairs left out, process_mrelease did not reap (${[...errors].join(", ")})`;
  return [...notes, ...(notReaped === 0 ? [] : [left])].map((note) => `${layout}: ${note}`);
}
