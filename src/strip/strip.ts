/**
 * The stripping step: TypeScript generators in, plain JavaScript functions out, source maps kept.
 *
 * | variant          | `function*` | `yield* f()` | `yield;` in arena/mem |
 * |------------------|-------------|--------------|-----------------------|
 * | parallel, stress | `function`  | `f()`        | removed               |
 * | forced           | `function`  | `f()`        | `cpu.port.gate();`    |
 * | interleaved      | kept        | kept         | kept                  |
 *
 * Build flags stay in the text; whoever bundles it defines them (`buildFlags`).
 */

import { basename } from "node:path";
import remapping from "@jridgewell/remapping";
import type { AnyNode, CallExpression } from "acorn";
import MagicString from "magic-string";
import { collectNames, type KnownNames, type NameTable } from "./names.ts";
import { refusalsIn } from "./refuse.ts";
import { isFunction, walk } from "./scope.ts";
import { formatRefusal, type ParsedSource, parseSource, type Refusal, type SourceText } from "./source.ts";
import type { Variant } from "./variants.ts";

export interface Analysis {
  /** By path as it was given. */
  readonly sources: ReadonlyMap<string, ParsedSource>;
  readonly names: NameTable;
  /** Everything that cannot be stripped, by file and place. Empty: every source can be emitted. */
  readonly refusals: readonly Refusal[];
}

export interface Emitted {
  readonly code: string;
  /** Source map to the original text, as JSON. */
  readonly map: string;
}

export interface AnalysisOptions {
  /** Generators outside the set that it may call. */
  readonly known?: KnownNames;
  /** Path of the one file that may hold scheduling points (bare `yield`); none where it is not given. */
  readonly seam?: string;
}

/** Parses a set of files that call each other and checks every rule. */
export async function analyse(texts: readonly SourceText[], options: AnalysisOptions = {}): Promise<Analysis> {
  const parsed = await Promise.all(texts.map(parseSource));
  const sources = parsed.filter((result): result is ParsedSource => !Array.isArray(result));
  const broken = parsed.filter((result): result is Refusal[] => Array.isArray(result)).flat();
  const { names, refusals } = collectNames(sources, options.known ?? { functions: [], members: [] });
  const misused = sources.flatMap((source) => {
    const isSeam = source.path === options.seam;
    return [...refusalsIn(source, names, isSeam), ...(isSeam ? ungatedPoints(source) : [])];
  });
  const all = [...broken, ...refusals, ...misused];
  all.sort((a, b) => (a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1));
  return { sources: new Map(sources.map((source) => [source.path, source])), names, refusals: all };
}

/** All refusals, a line each. */
export function describeRefusals(refusals: readonly Refusal[]): string {
  return refusals.map(formatRefusal).join("\n");
}

/** The text of one analysed source for one variant. */
export function emit(source: ParsedSource, variant: Variant): Emitted {
  if (variant === "interleaved") return { code: source.code, map: source.map };
  const text = new MagicString(source.code);
  const point = variant === "forced" ? "cpu.port.gate()" : "";
  walk(source.program, (node, parents) => {
    if (node.type === "YieldExpression") {
      if (node.delegate) stripDelegate(text, node.start, node.argument as CallExpression);
      else text.update(node.start, node.end, point || " ");
    } else if (isFunction(node) && node.generator) {
      const owner = parents.at(-1) as AnyNode;
      const start = isMethod(owner) ? owner.start : node.start;
      const star = firstAtLeast(source.stars, start);
      // A name must not run into `function`.
      text.update(star, star + 1, " ");
    }
  });
  const step = text.generateMap({ source: basename(source.path), hires: "boundary" });
  const map = remapping([step.toString(), source.map], () => null);
  return { code: text.toString(), map: map.toString() };
}

/** `yield* f()` becomes `f()`: a call binds tighter than anything that may stand around a `yield*`. */
function stripDelegate(text: MagicString, start: number, call: CallExpression): void {
  // An object, function or class would read as a statement where the keyword was the first word of one.
  if (/^[{fc]/.test(text.original.slice(call.start)) && !startsWithName(call)) {
    text.update(start, call.start, "(");
    text.appendLeft(call.end, ")");
  } else text.remove(start, call.start);
}

function startsWithName(call: CallExpression): boolean {
  let node: AnyNode = call;
  while (node.type === "CallExpression" || node.type === "MemberExpression") {
    node = node.type === "CallExpression" ? node.callee : node.object;
  }
  return node.type === "Identifier" || node.type === "ThisExpression" || node.type === "Super";
}

/** Methods carry their star before the name, and the function node starts after it. */
function isMethod(owner: AnyNode): boolean {
  return owner.type === "MethodDefinition" || (owner.type === "Property" && owner.method);
}

/** Smallest element that is at least `value`; there is one. */
function firstAtLeast(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return ascending[low] as number;
}

/** Scheduling points from which the forced build could not reach `cpu.port.gate()`. */
function ungatedPoints(source: ParsedSource): Refusal[] {
  const refusals: Refusal[] = [];
  walk(source.program, (node, _parents, scope) => {
    if (node.type !== "YieldExpression" || node.delegate || scope.find("cpu")) return;
    refusals.push({ ...source.placeOf(node), reason: "scheduling point without a `cpu` in scope to wait on" });
  });
  return refusals;
}
