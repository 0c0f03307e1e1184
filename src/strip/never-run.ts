/**
 * Generators that a program for the explorer makes and never runs: the slip of a forgotten `yield*`, which no run would
 * show. Programs are not stripped, so all else that JavaScript allows is theirs.
 */

import type { AnyNode, CallExpression } from "acorn";
import { KERNEL_MODULE, propertyName } from "./names.ts";
import { type Scope, walk } from "./scope.ts";
import type { ParsedSource, Refusal } from "./source.ts";

/** `kernel`: the generator functions that `oomrace/kernel` exports. */
export function neverRun(source: ParsedSource, kernel: ReadonlySet<string>): Refusal[] {
  const refusals: Refusal[] = [];
  walk(source.program, (node, parents, scope) => {
    if (node.type !== "CallExpression") return;
    const callee = calleeOf(node, scope, kernel);
    if (!callee || !isLost(node, parents.at(-1) as AnyNode, callee.fromKernel)) return;
    const { name } = callee;
    refusals.push({
      ...source.placeOf(node),
      reason: `generator of ${name}() never runs; write \`yield* ${name}(...)\``,
    });
  });
  return refusals;
}

interface Callee {
  readonly name: string;
  readonly fromKernel: boolean;
}

/** The generator function that is called; undefined where it is none, or nobody can tell. */
function calleeOf({ callee }: CallExpression, scope: Scope, kernel: ReadonlySet<string>): Callee | undefined {
  if (callee.type === "Identifier") {
    const { name } = callee;
    const binding = scope.find(name);
    if (binding?.kind === "generator") return { name, fromKernel: false };
    const known = binding?.kind === "import" && binding.source === KERNEL_MODULE && kernel.has(binding.imported);
    return known ? { name, fromKernel: true } : undefined;
  }
  if (callee.type !== "MemberExpression" || callee.object.type !== "Identifier") return undefined;
  const binding = scope.find(callee.object.name);
  const name = propertyName(callee) ?? "";
  const known = binding?.kind === "namespace" && binding.source === KERNEL_MODULE && kernel.has(name);
  return known ? { name: `${callee.object.name}.${name}`, fromKernel: true } : undefined;
}

/** Whether a generator made here can never be run. An operation of the kernel's that is kept for later never is, either. */
function isLost(node: CallExpression, parent: AnyNode, fromKernel: boolean): boolean {
  switch (parent.type) {
    case "ExpressionStatement":
    case "UnaryExpression":
    case "BinaryExpression":
      return true;
    case "IfStatement":
    case "WhileStatement":
    case "DoWhileStatement":
    case "ConditionalExpression":
      return parent.test === node;
    case "VariableDeclarator":
    case "AssignmentExpression":
      return fromKernel;
    default:
      return false;
  }
}
