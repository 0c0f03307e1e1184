/**
 * An execution drawn as kernel changelogs draw races: a column per CPU, time downwards, the function and below it what it
 * does to shared memory. As text for a mail, and as a Mermaid sequence diagram.
 */

import type { TracedStep } from "../explore/step-trace.ts";
import { type Row, type RowOptions, rowsOf } from "./diagram-rows.ts";

export interface DiagramOptions extends RowOptions {
  /** Columns' headings; default "CPU 0", "CPU 1", ... */
  readonly titles?: readonly string[];
  /** What the execution came to; the last line. */
  readonly end: string;
}

const GAP = "  ";
/** A mail's width. A line may cross the columns right of its own: there is never another one beside it. */
const MAX_WIDTH = 96;

/** Plain text, to be read in a fixed-width font. */
export function drawText(steps: readonly TracedStep[], cpus: number, options: DiagramOptions): string {
  const { rows, left } = rowsOf(steps, options);
  const { titles = defaultTitles(cpus) } = options;
  const cells = turnsOf(rows).flatMap((turn) => linesOf(turn).map((text) => ({ cpu: turn[0].cpu, text })));
  const widths = widthsOf(titles, cells);
  const indents = widths.map((_, cpu) => " ".repeat(indentOf(widths, cpu)));
  const out = [
    titles
      .map((title, cpu) => title.padEnd(widths[cpu] as number))
      .join(GAP)
      .trimEnd(),
    widths.map((width) => "-".repeat(width)).join(GAP),
    ...cells.map(({ cpu, text }) => `${indents[cpu]}${text}`),
    `=> ${options.end}`,
  ];
  if (left > 0) out.push(`(${left} of ${steps.length} steps left out, which tell no CPU anything new of another)`);
  return out.join("\n");
}

/** As wide as their lines, or, where those would reach beyond MAX_WIDTH, narrower, but not than their titles. */
function widthsOf(
  titles: readonly string[],
  cells: readonly { readonly cpu: number; readonly text: string }[],
): number[] {
  const longest = titles.map((_, cpu) =>
    cells.reduce((most, cell) => (cell.cpu === cpu ? Math.max(most, cell.text.length) : most), 0),
  );
  const widths = titles.map((title, cpu) => Math.max(title.length, longest[cpu] as number));
  for (let cpu = 1; cpu < widths.length; cpu++) {
    let over = indentOf(widths, cpu) + (longest[cpu] as number) - MAX_WIDTH;
    for (; over > 0; over--) {
      const spare = widths.slice(0, cpu).map((width, left) => width - (titles[left] as string).length);
      const widest = spare.indexOf(Math.max(...spare));
      if ((spare[widest] as number) <= 0) break;
      widths[widest] = (widths[widest] as number) - 1;
    }
  }
  return widths.map((width, cpu) =>
    Math.max((titles[cpu] as string).length, Math.min(width, MAX_WIDTH - indentOf(widths, cpu))),
  );
}

function indentOf(widths: readonly number[], cpu: number): number {
  return widths.slice(0, cpu).reduce((sum, width) => sum + width + GAP.length, 0);
}

/** Text of a Mermaid sequence diagram. */
export function drawMermaid(steps: readonly TracedStep[], cpus: number, options: DiagramOptions): string {
  const { titles = defaultTitles(cpus) } = options;
  const { rows } = rowsOf(steps, options);
  return [
    "sequenceDiagram",
    ...titles.map((title, cpu) => `    participant C${cpu} as ${escaped(title)}`),
    ...rows.map(({ cpu, path, what }) => {
      const where = path.at(-1);
      return `    Note over C${cpu}: ${escaped(where === undefined ? what : `${where}(): ${what}`)}`;
    }),
    `    Note over C0${cpus > 1 ? `,C${cpus - 1}` : ""}: ${escaped(options.end)}`,
  ].join("\n");
}

function defaultTitles(cpus: number): string[] {
  return Array.from({ length: cpus }, (_, cpu) => `CPU ${cpu}`);
}

type Turn = readonly [Row, ...Row[]];

/** Rows of one CPU without one of another in between. */
function turnsOf(rows: readonly Row[]): Turn[] {
  const turns: [Row, ...Row[]][] = [];
  for (const row of rows) {
    const turn = turns.at(-1);
    if (turn?.[0].cpu === row.cpu) turn.push(row);
    else turns.push([row]);
  }
  return turns;
}

/** The innermost function that all rows of the turn are in, then each row, with its own function where it is another one. */
function linesOf(turn: Turn): string[] {
  const shared = turn.reduce((length, { path }) => sharedLength(turn[0].path, path, length), turn[0].path.length);
  const head = turn[0].path[shared - 1];
  const lines = turn.map(
    ({ path, what, plain }) => `  ${path.length > shared && !plain ? `${path.at(-1)}(): ` : ""}${what}`,
  );
  return head === undefined ? lines : [`${head}()`, ...lines];
}

function sharedLength(one: readonly string[], other: readonly string[], most: number): number {
  let length = 0;
  while (length < most && one[length] === other[length]) length++;
  return length;
}

function escaped(text: string): string {
  return text.replaceAll(";", "#59;").replaceAll("\n", "<br/>");
}
