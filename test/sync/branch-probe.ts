/**
 * Which way conditions went: TypeScript sources with a probe around every condition. V8's own block coverage does not say
 * that an `if` without `else` was never false; this asks each operand of `&&` and `||` as well.
 */

import { readFileSync } from "node:fs";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { parse } from "acorn";
import { transformSync } from "esbuild";
import MagicString from "magic-string";

/** A condition in a source file. */
export interface Condition {
  /** "src/sync/mutex.ts:88" */
  readonly place: string;
  readonly text: string;
  /** What is done if it is true, in JavaScript; "" for operands and loops. */
  readonly then: string;
}

/** Where the probes of instrumented code write: `globalThis[PROBES]`, two counters a condition, true and false. */
export const PROBES = "__branchProbes";

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** Instruments one file; its conditions are appended to `all`, and numbered on. Arguments of `stops` are left alone. */
export function probed(path: string, place: string, all: Condition[], stops: readonly string[]): string {
  const { code, map } = transformSync(readFileSync(path, "utf8"), { loader: "ts", sourcemap: "external" });
  const trace = new TraceMap(map);
  const out = new MagicString(code);
  const lineStarts = [0, ...[...code.matchAll(/\n/g)].map(({ index }) => index + 1)];

  function probe(test: Node, then: string): void {
    if (test.type === "LogicalExpression") {
      probe(test.left as Node, "");
      probe(test.right as Node, test.operator === "&&" ? then : "");
    } else if (!isConstant(test)) {
      const line = lineStarts.findLastIndex((start) => start <= test.start);
      const found = originalPositionFor(trace, { line: line + 1, column: test.start - (lineStarts[line] as number) });
      const at = `globalThis.${PROBES}`;
      out
        .appendLeft(test.start, `((`)
        .appendRight(test.end, `) ? ++${at}[${2 * all.length}] : ++${at}[${2 * all.length + 1}] && 0)`);
      all.push({ place: `${place}:${found.line}`, text: code.slice(test.start, test.end), then });
    }
  }

  function visit(node: Node): void {
    if (node.type === "CallExpression" && stops.includes((node.callee as Node).name as string)) return;
    if (node.type === "IfStatement")
      probe(node.test as Node, code.slice((node.consequent as Node).start, (node.consequent as Node).end));
    else if (/^(Conditional|While|DoWhile|For)(Expression|Statement)$/.test(node.type) && node.test)
      probe(node.test as Node, "");
    for (const child of Object.values(node).flat()) if (isNode(child)) visit(child);
  }

  visit(parse(code, { ecmaVersion: "latest", sourceType: "module" }) as unknown as Node);
  return out.toString();
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && typeof (value as Node).type === "string";
}

/** Build flags: CHECKED, and what esbuild made of it. */
function isConstant({ type, name }: Node): boolean {
  return type === "Literal" || (type === "Identifier" && /^(CHECKED|STEPPED|GATED)$/.test(name as string));
}
