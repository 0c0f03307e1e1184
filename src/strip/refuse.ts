/**
 * What the stripping step refuses, because generators and stripped functions would then do different things.
 *
 * In kernel code a generator may only be: called as the operand of `yield*`; called as the argument of `runToEnd`;
 * exported; or put, as a function, into an object literal under a fixed name.
 */

import type { AnyNode, CallExpression, Identifier, YieldExpression } from "acorn";
import { isGenerator, isKernelImport, isStruct, type NameTable, propertyName } from "./names.ts";
import { isFunction, moduleName, type Scope, walk } from "./scope.ts";
import type { ParsedSource, Refusal } from "./source.ts";

/** The function of the seam that drives generators by hand. */
const DRIVER = "runToEnd";

/** Everything refused in one file. Only the file that `isSeam` holds scheduling points of its own. */
export function refusalsIn(source: ParsedSource, names: NameTable, isSeam: boolean): Refusal[] {
  const checker = new Checker(source, names, isSeam);
  walk(source.program, (node, parents, scope) => checker.check(node, parents, scope));
  return checker.refusals;
}

class Checker {
  readonly refusals: Refusal[] = [];
  readonly #source: ParsedSource;
  readonly #names: NameTable;
  readonly #isSeam: boolean;

  constructor(source: ParsedSource, names: NameTable, isSeam: boolean) {
    this.#source = source;
    this.#names = names;
    this.#isSeam = isSeam;
  }

  #refuse(node: AnyNode, reason: string): void {
    this.refusals.push({ ...this.#source.placeOf(node), reason });
  }

  check(node: AnyNode, parents: readonly AnyNode[], scope: Scope): void {
    if (this.#isSeam && parents.some((p) => p.type === "FunctionDeclaration" && p.id?.name === DRIVER)) return;
    if (node.type === "YieldExpression") this.#checkYield(node, parents, scope);
    else if (node.type === "CallExpression") this.#checkCall(node, parents, scope);
    else if (node.type === "Identifier") this.#checkIdentifier(node, parents, scope);
    else if (node.type === "MemberExpression") this.#checkMember(node, parents, scope);
    else if (node.type === "ObjectPattern") this.#checkPattern(node);
    else if (isFunction(node)) this.#checkFunction(node, parents);
    else if (node.type === "ExportSpecifier") this.#checkDefault(node, scope);
  }

  #checkYield(node: YieldExpression, parents: readonly AnyNode[], scope: Scope): void {
    const target = node.argument;
    if (!node.delegate) {
      if (!this.#isSeam) this.#refuse(node, "bare yield: scheduling points belong to arena/mem only");
      else if (target || parents.at(-1)?.type !== "ExpressionStatement") {
        this.#refuse(node, "used yield value: a scheduling point is the statement `yield;`");
      }
      return;
    }
    if (target?.type !== "CallExpression") {
      this.#refuse(node, "yield* takes a direct call, as in `yield* f(cpu)`");
      return;
    }
    const name = calleeName(target);
    if (name === undefined) {
      this.#refuse(node, "yield* takes a call of a plain name or of a named method: the build resolves calls by name");
    } else if (!this.#callsGenerator(target, scope)) {
      this.#refuse(node, `yield* on ${name}(), which is not known as a generator function`);
    }
  }

  #checkCall(node: CallExpression, parents: readonly AnyNode[], scope: Scope): void {
    if (isDriver(node, scope)) {
      const inside = parents.findLast(isFunction);
      if (inside?.generator) this.#refuse(node, `${DRIVER} inside a generator function: write \`yield*\` instead`);
    }
    if (!this.#callsGenerator(node, scope)) return;
    const parent = parents.at(-1) as AnyNode;
    if (parent.type === "YieldExpression" && parent.delegate) return;
    if (parent.type === "CallExpression" && parent.callee !== node && isDriver(parent, scope)) return;
    this.#refuse(node, `${misuseOfCall(node, parent)}; write \`yield* ${calleeName(node)}(...)\``);
  }

  #checkIdentifier(node: Identifier, parents: readonly AnyNode[], scope: Scope): void {
    const parent = parents.at(-1) as AnyNode;
    if (!isGenerator(scope.find(node.name), this.#names.functions) || !isReference(node, parent)) return;
    if (!mayHoldGenerator(node, parent)) this.#refuse(node, misuseOfFunction(node.name, node, parent));
  }

  #checkMember(node: AnyNode & { type: "MemberExpression" }, parents: readonly AnyNode[], scope: Scope): void {
    const parent = parents.at(-1) as AnyNode;
    if (node.computed) {
      const object = node.object;
      if (object.type !== "Identifier" || !this.#isTable(object.name, scope)) return;
      const caller = parents.at(-2);
      const driven = parent.type === "CallExpression" && caller?.type === "CallExpression" && isDriver(caller, scope);
      if (!driven)
        this.#refuse(node, `computed access to ${object.name}, which holds generator functions; use its names`);
      return;
    }
    const name = propertyName(node) as string;
    if (!this.#isGeneratorMember(node, scope) || mayHoldGenerator(node, parent)) return;
    this.#refuse(node, misuseOfFunction(name, node, parent));
  }

  #checkPattern(node: AnyNode & { type: "ObjectPattern" }): void {
    for (const property of node.properties) {
      const name = property.type === "Property" ? propertyName(property as AnyNode) : undefined;
      if (name !== undefined && this.#names.members.has(name)) {
        this.#refuse(property, `generator method ${name} is destructured; call it on its object`);
      }
    }
  }

  #checkFunction(node: AnyNode, parents: readonly AnyNode[]): void {
    if (!isFunction(node) || !node.generator) return;
    if (node.async) this.#refuse(node, "async generator: a CPU waits through the seam, never for a promise");
    if (node.type === "FunctionDeclaration") return;
    const parent = parents.at(-1) as AnyNode;
    if (parent.type === "CallExpression" || parent.type === "NewExpression") {
      this.#refuse(node, "generator function expression is passed as a callback; declare it and call it with yield*");
    } else if (!isNamedPlace(parent, parents.at(-2))) {
      this.#refuse(node, "generator function expression without a fixed name; declare it as a function");
    }
  }

  /** esbuild writes a default export as an export clause. */
  #checkDefault(node: AnyNode & { type: "ExportSpecifier" }, scope: Scope): void {
    if (moduleName(node.exported) !== "default") return;
    if (!isGenerator(scope.find(moduleName(node.local)), this.#names.functions)) return;
    this.#refuse(node, "generator function as default export; export it under its name");
  }

  #callsGenerator(node: CallExpression, scope: Scope): boolean {
    const callee = node.callee;
    if (callee.type === "Identifier") return isGenerator(scope.find(callee.name), this.#names.functions);
    return callee.type === "MemberExpression" && this.#isGeneratorMember(callee, scope);
  }

  #isGeneratorMember(node: AnyNode & { type: "MemberExpression" }, scope: Scope): boolean {
    const name = propertyName(node);
    if (name === undefined) return false;
    if (node.object.type === "Identifier") {
      const binding = scope.find(node.object.name);
      if (!binding || isStruct(node.object, scope, this.#names.structs)) return false;
      if (binding.kind === "namespace") return isKernelImport(binding.source) && this.#names.functions.has(name);
    }
    return this.#names.members.has(name);
  }

  #isTable(name: string, scope: Scope): boolean {
    const binding = scope.find(name);
    if (binding?.kind === "import") return isKernelImport(binding.source) && this.#names.tables.has(binding.imported);
    return binding?.kind === "object" && this.#names.tables.has(name);
  }
}

/** How a call's target is written; undefined where no fixed name stands. */
function calleeName(node: CallExpression): string | undefined {
  const callee = node.callee;
  return callee.type === "Identifier" ? callee.name : propertyName(callee);
}

/** `runToEnd(...)`, from the seam. */
function isDriver(node: CallExpression, scope: Scope): boolean {
  if (node.callee.type !== "Identifier" || node.callee.name !== DRIVER) return false;
  const binding = scope.find(DRIVER);
  return binding?.kind === "function" || (binding?.kind === "import" && isKernelImport(binding.source));
}

/** Whether an identifier is read here, rather than declared, or naming a property, label or clause. */
function isReference(node: Identifier, parent: AnyNode): boolean {
  switch (parent.type) {
    case "MemberExpression":
      return parent.object === node || parent.computed;
    case "Property":
      return parent.value === node || parent.computed;
    case "MethodDefinition":
    case "PropertyDefinition":
      return parent.value === (node as AnyNode) || parent.computed;
    case "VariableDeclarator":
      return parent.init === node;
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ClassDeclaration":
    case "ClassExpression":
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "ExportSpecifier":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
      return false;
    default:
      return true;
  }
}

const COMPARISONS = new Set(["==", "!=", "===", "!==", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"]);
const BIT_OPERATORS = new Set(["|", "&", "^", "<<", ">>", ">>>"]);

/** Ways to call a function that is not called by its name. */
const FUNCTION_METHODS = new Set(["call", "apply", "bind"]);

/** Whether a generator function, or a plain property that shares its name, may stand here without being stored. */
function mayHoldGenerator(node: AnyNode, parent: AnyNode): boolean {
  switch (parent.type) {
    case "CallExpression":
      return parent.callee === node;
    case "Property":
      return parent.value === node && !parent.computed;
    case "BinaryExpression":
      return COMPARISONS.has(parent.operator) || BIT_OPERATORS.has(parent.operator);
    case "UnaryExpression":
    case "UpdateExpression":
      return true;
    case "AssignmentExpression":
      return parent.left === node;
    case "MemberExpression":
      return parent.property === node || !FUNCTION_METHODS.has(propertyName(parent) ?? "");
    case "LogicalExpression":
      return parent.operator === "&&" && parent.left === node;
    case "IfStatement":
    case "WhileStatement":
    case "ConditionalExpression":
      return parent.test === node;
    default:
      return false;
  }
}

/** Whether a function expression gets a name that calls can be resolved by. */
function isNamedPlace(parent: AnyNode, grandparent: AnyNode | undefined): boolean {
  if (parent.type === "Property" || parent.type === "MethodDefinition" || parent.type === "PropertyDefinition") {
    return propertyName(parent) !== undefined;
  }
  return (
    parent.type === "VariableDeclarator" &&
    parent.id.type === "Identifier" &&
    grandparent?.type === "VariableDeclaration" &&
    grandparent.kind === "const"
  );
}

/** What is wrong with a generator call that no `yield*` runs. */
function misuseOfCall(node: CallExpression, parent: AnyNode): string {
  const call = `generator of ${calleeName(node)}()`;
  switch (parent.type) {
    case "VariableDeclarator":
      return parent.id.type === "Identifier" ? `${call} is stored` : `${call} is destructured`;
    case "AssignmentExpression":
    case "ArrayExpression":
    case "Property":
    case "PropertyDefinition":
      return `${call} is stored`;
    case "CallExpression":
    case "NewExpression":
      return parent.callee === node ? `${call} is called` : `${call} is passed as an argument`;
    case "ReturnStatement":
    case "ArrowFunctionExpression":
      return `${call} is returned without yield*`;
    case "SpreadElement":
      return `${call} is spread`;
    case "ForOfStatement":
      return `${call} is iterated by for-of`;
    default:
      return `${call} never runs`;
  }
}

/** What is wrong with a generator function that is not called where it is named. */
function misuseOfFunction(name: string, node: AnyNode, parent: AnyNode): string {
  if ((parent.type === "CallExpression" || parent.type === "NewExpression") && parent.callee !== node) {
    return `generator function ${name} is passed as a callback; only direct calls with yield* are resolved`;
  }
  return `generator function ${name} is used as a value; call it, or put it into an object literal under a fixed name`;
}
