/** What `explore` and `replay` are told to look at: a case that `oomrace list` shows, or a module of the user's. */

import { UsageError } from "../base/errors.ts";
import { UnknownPrimitive } from "../explore/atomics-guard.ts";
import { Nondeterminism } from "../explore/explore.ts";
import { Misstep } from "../explore/misstep.ts";
import { type Program, threadTitles } from "../explore/program.ts";
import { placeInStack } from "../explore/source-place.ts";
import { type ProgramSource, programFrom } from "../run/program-source.ts";
import { type CaseVariant, columnTitles, orderOf, programOf } from "../scenario/case.ts";
import { findCase } from "../scenario/cases/index.ts";
import { buildUserProgram } from "../strip/user-program.ts";

export interface ExploreTarget {
  /** The case's id, or the path as it was given. */
  readonly scenario: string;
  readonly fixed: boolean;
  readonly title: string;
  /** Null where none is emulated. */
  readonly protocol: string | null;
  readonly order: string | null;
  readonly program: Program;
  readonly source: ProgramSource;
  /** Columns' headings. */
  readonly titles: readonly string[];
  /** Diagrams show what goes on inside lock operations, too. */
  readonly insideLocks: boolean;
  /** What real threads can run; undefined for a user's program. */
  readonly variant: CaseVariant | undefined;
}

/** "./mine.ts", "mine.mjs": a path, which no case's name looks like. */
export function isModulePath(text: string): boolean {
  return /[/\\]/.test(text) || /\.[cm]?[jt]s$/.test(text);
}

/** Throws UsageError when there is no such case, or the module cannot be used. */
export async function findTarget(name: string, fixed: boolean): Promise<ExploreTarget> {
  return isModulePath(name) ? moduleTarget(name, fixed) : caseTarget(name, fixed);
}

function caseTarget(name: string, fixed: boolean): ExploreTarget {
  const found = findCase(name);
  const variant = fixed ? found.fixed : found.broken;
  const program = programOf(variant);
  const { id, title, insideLocks = false } = found;
  return {
    scenario: id,
    fixed,
    title,
    protocol: insideLocks ? variant.label : variant.protocol,
    order: orderOf(program),
    program,
    source: { id, fixed },
    titles: columnTitles(program),
    insideLocks,
    variant,
  };
}

async function moduleTarget(path: string, fixed: boolean): Promise<ExploreTarget> {
  if (fixed) throw new UsageError(`--fixed with ${path}: expected a case, only those have a mended twin`);
  const source = await buildUserProgram(path);
  const program = await programFrom(source);
  return {
    scenario: path,
    fixed,
    title: program.threads.map(({ name }) => name || "unnamed").join(" | "),
    protocol: null,
    order: null,
    program,
    source,
    titles: threadTitles(program),
    insideLocks: false,
    variant: undefined,
  };
}

/** Runs `look` at a target; what is wrong with a user's program as such becomes a UsageError that names the file. */
export async function blamingUser<T>(
  { source, program }: Pick<ExploreTarget, "source" | "program">,
  look: () => T | Promise<T>,
): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (!("file" in source) || !(error instanceof Error) || !isTheirs(error)) throw error;
    const place = error instanceof Misstep ? placeInStack(error.stack ?? "", program.placeOf) : undefined;
    throw new UsageError(`${place ?? source.file}: ${reasonOf(error)}`, { cause: error });
  }
}

function isTheirs(error: Error): boolean {
  const usage = error instanceof UsageError && /^explore: (threads|setup)/.test(error.message);
  return usage || error instanceof Nondeterminism || error instanceof UnknownPrimitive || error instanceof Misstep;
}

/** Without the names of our own functions, and the place in what was built. */
function reasonOf(error: Error): string {
  const reason = error.message.replace(/^\w+: /, "");
  if (!(error instanceof Misstep)) return reason;
  return `${reason.replace(/ \([^()]*\)$/, "")}, expected \`yield*\` on each operation, and no other yield`;
}
