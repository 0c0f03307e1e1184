/**
 * An execution drawn as kernel changelogs draw races: a column per CPU, time downwards, the function and below it what it
 * does to shared memory. As text for a mail, and as a Mermaid sequence diagram.
 */

import type { TracedStep } from "../explore/step-trace.ts";

export interface DiagramOptions {
  /** Columns' headings; default "CPU 0", "CPU 1", ... */
  readonly titles?: readonly string[];
  /** What the execution came to; the last line. */
  readonly end: string;
  /** Draw every step. Default: those whose order matters (`communication`) once there are more than SHORT. */
  readonly all?: boolean;
}

/** Steps up to which an execution is drawn whole. */
const SHORT = 24;
const GAP = "  ";
const MAX_COLUMN = 58;

/** What is drawn of one step: its CPU, the functions it is in, and what it does. */
interface Row {
  readonly cpu: number;
  readonly where: string;
  readonly what: string;
}

/**
 * Steps through which CPUs take note of each other: on words that several CPUs touched and one of them wrote, and timers and
 * wake-ups; the last step always, as it is the one that failed.
 */
export function communication(steps: readonly TracedStep[]): TracedStep[] {
  const users = new Map<number, { readonly cpus: Set<number>; written: boolean }>();
  for (const { cpu, word, before, after, operation } of steps) {
    if (word < 0) continue;
    const user = users.get(word) ?? { cpus: new Set(), written: false };
    users.set(word, user);
    user.cpus.add(cpu);
    if (before !== after || operation === "wait" || operation === "wake") user.written = true;
  }
  return steps.filter(({ word }, i) => {
    const user = users.get(word);
    return i === steps.length - 1 || user === undefined || (user.cpus.size > 1 && user.written);
  });
}

/** Plain text, to be read in a fixed-width font. */
export function drawText(steps: readonly TracedStep[], cpus: number, options: DiagramOptions): string {
  const { rows, left } = rowsOf(steps, options);
  const { titles = defaultTitles(cpus) } = options;
  const cells = rows.map((row, i) => ({ cpu: row.cpu, lines: linesOf(row, rows[i - 1]) }));
  const widths = titles.map((title, cpu) => {
    const own = cells.filter((cell) => cell.cpu === cpu).flatMap(({ lines }) => lines.map(({ length }) => length));
    return Math.min(MAX_COLUMN, Math.max(title.length, ...own));
  });
  const indent = (cpu: number): string =>
    widths.slice(0, cpu).reduce((sum, width) => sum + " ".repeat(width) + GAP, "");
  const out = [
    titles
      .map((title, cpu) => title.padEnd(widths[cpu] as number))
      .join(GAP)
      .trimEnd(),
    widths.map((width) => "-".repeat(width)).join(GAP),
    ...cells.flatMap(({ cpu, lines }) => lines.map((line) => indent(cpu) + line)),
    `=> ${options.end}`,
  ];
  if (left > 0)
    out.push(`(${left} of ${steps.length} steps left out: on words that one CPU alone used, or nobody wrote)`);
  return out.join("\n");
}

/** Text of a Mermaid sequence diagram. */
export function drawMermaid(steps: readonly TracedStep[], cpus: number, options: DiagramOptions): string {
  const { titles = defaultTitles(cpus) } = options;
  const { rows } = rowsOf(steps, options);
  return [
    "sequenceDiagram",
    ...titles.map((title, cpu) => `    participant C${cpu} as ${escaped(title)}`),
    ...rows.map(
      ({ cpu, where, what }) => `    Note over C${cpu}: ${escaped(where === "" ? what : `${where}: ${what}`)}`,
    ),
    `    Note over C0${cpus > 1 ? `,C${cpus - 1}` : ""}: ${escaped(options.end)}`,
  ].join("\n");
}

function rowsOf(steps: readonly TracedStep[], { all = false }: DiagramOptions): { rows: Row[]; left: number } {
  const drawn = all || steps.length <= SHORT ? steps : communication(steps);
  return {
    rows: drawn.map((step) => ({ cpu: step.cpu, where: whereOf(step), what: whatOf(step) })),
    left: steps.length - drawn.length,
  };
}

function defaultTitles(cpus: number): string[] {
  return Array.from({ length: cpus }, (_, cpu) => `CPU ${cpu}`);
}

/** The function again only where it is another one than in the row above. */
function linesOf({ cpu, where, what }: Row, above: Row | undefined): string[] {
  if (where === "" || (above?.cpu === cpu && above.where === where)) return [`  ${what}`];
  return [where, `  ${what}`];
}

/** The two innermost functions, outer one first. */
function whereOf({ functions }: TracedStep): string {
  return functions
    .slice(0, 2)
    .toReversed()
    .map((name) => `${name}()`)
    .join(" ");
}

function whatOf({ operation, name, a, b, before, after }: TracedStep): string {
  switch (operation) {
    case "load":
      return `reads ${name}: ${before}`;
    case "store":
      return `${name} = ${after}`;
    case "cmpxchg":
      return before === a ? `${name}: ${before} -> ${b}` : `${name} is ${before}, not ${a}`;
    case "spin":
      return before === a ? `gives up spinning: ${name} is still ${a}` : `sees ${name} change to ${before}`;
    case "wait":
      return before === a ? `sleeps while ${name} is ${a}` : `does not sleep: ${name} is ${before}, not ${a}`;
    case "wake":
      return `wakes who sleeps on ${name}`;
    case "timer":
      return "(its timer fires)";
    case "wake up":
      return "(goes on)";
    default:
      return `${name}: ${before} -> ${after}`;
  }
}

function escaped(text: string): string {
  return text.replaceAll(";", "#59;").replaceAll("\n", "<br/>");
}
