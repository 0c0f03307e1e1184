/** Walks a module's syntax tree with the lexical scopes around each node, so that a name is known for what it is. */

import type {
  AnonymousFunctionDeclaration,
  AnyNode,
  ArrowFunctionExpression,
  Expression,
  FunctionDeclaration,
  FunctionExpression,
  Identifier,
  Pattern,
  Program,
  VariableDeclaration,
} from "acorn";

/** What a name was bound to. `imported` is the exporting module's own name for it. */
export type Binding =
  | { readonly kind: "generator" | "function" | "struct" | "variable"; readonly node: Identifier }
  | { readonly kind: "object"; readonly node: Identifier; readonly value: Expression }
  | { readonly kind: "import"; readonly node: Identifier; readonly imported: string; readonly source: string }
  | { readonly kind: "namespace"; readonly node: Identifier; readonly source: string };

export type FunctionNode =
  | FunctionDeclaration
  | AnonymousFunctionDeclaration
  | FunctionExpression
  | ArrowFunctionExpression;

export class Scope {
  readonly names = new Map<string, Binding>();
  readonly parent: Scope | undefined;

  constructor(parent?: Scope) {
    this.parent = parent;
  }

  /** The binding that `name` means here; undefined for a global of the host. */
  find(name: string): Binding | undefined {
    return this.names.get(name) ?? this.parent?.find(name);
  }
}

/** Called for every node before its children; `parents` ends with the node's own parent. */
export type Visitor = (node: AnyNode, parents: readonly AnyNode[], scope: Scope) => void;

/** Visits every node of a module in source order. */
export function walk(program: Program, visit: Visitor): void {
  const parents: AnyNode[] = [];
  const go = (node: AnyNode, outer: Scope): void => {
    const scope = openScope(node, outer);
    visit(node, parents, scope);
    parents.push(node);
    for (const child of childrenOf(node)) go(child, scope);
    parents.pop();
  };
  go(program, new Scope());
}

/** Direct children in source order. */
export function childrenOf(node: AnyNode): AnyNode[] {
  const children: AnyNode[] = [];
  for (const value of Object.values(node) as unknown[]) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (typeof (item as AnyNode | null)?.type === "string") children.push(item as AnyNode);
    }
  }
  return children;
}

export function isFunction(node: AnyNode): node is FunctionNode {
  return (
    node.type === "FunctionDeclaration" || node.type === "FunctionExpression" || node.type === "ArrowFunctionExpression"
  );
}

/** The scope inside `node`: `outer` itself where the node opens none. */
function openScope(node: AnyNode, outer: Scope): Scope {
  const scope = new Scope(outer);
  if (node.type === "Program") {
    declareBody(scope, node.body);
    declareVars(scope, node);
  } else if (isFunction(node)) {
    if (node.type === "FunctionExpression" && node.id) declare(scope, node.id, kindOfFunction(node));
    for (const param of node.params) declare(scope, param, "variable");
    declareVars(scope, node.body);
  } else if (node.type === "BlockStatement" || node.type === "StaticBlock") {
    declareBody(scope, node.body);
  } else if (node.type === "SwitchStatement") {
    for (const branch of node.cases) declareBody(scope, branch.consequent);
  } else if (node.type === "ForStatement") {
    if (node.init?.type === "VariableDeclaration") declareBody(scope, [node.init]);
  } else if (node.type === "ForOfStatement" || node.type === "ForInStatement") {
    declareBody(scope, [node.left]);
  } else if (node.type === "CatchClause") {
    if (node.param) declare(scope, node.param, "variable");
  } else if (node.type === "ClassExpression" && node.id) {
    declare(scope, node.id, "variable");
  }
  return scope.names.size > 0 ? scope : outer;
}

function kindOfFunction(node: FunctionNode): "generator" | "function" {
  return node.generator ? "generator" : "function";
}

function declare(scope: Scope, pattern: Pattern, kind: "generator" | "function" | "struct" | "variable"): void {
  for (const node of identifiersOf(pattern)) scope.names.set(node.name, { kind, node });
}

function identifiersOf(pattern: Pattern): Identifier[] {
  switch (pattern.type) {
    case "Identifier":
      return [pattern];
    case "ObjectPattern":
      return pattern.properties.flatMap((p) => identifiersOf(p.type === "RestElement" ? p.argument : p.value));
    case "ArrayPattern":
      return pattern.elements.flatMap((element) => (element ? identifiersOf(element) : []));
    case "RestElement":
      return identifiersOf(pattern.argument);
    case "AssignmentPattern":
      return identifiersOf(pattern.left);
    default:
      return [];
  }
}

/** What the statements of one block declare for the whole block. `var` is left to `declareVars`. */
function declareBody(scope: Scope, body: readonly AnyNode[]): void {
  for (const statement of body) {
    const node =
      (statement.type === "ExportNamedDeclaration" || statement.type === "ExportDefaultDeclaration") &&
      statement.declaration
        ? (statement.declaration as AnyNode)
        : statement;
    if (node.type === "FunctionDeclaration" && node.id) declare(scope, node.id, kindOfFunction(node));
    else if (node.type === "ClassDeclaration" && node.id) declare(scope, node.id, "variable");
    else if (node.type === "VariableDeclaration" && node.kind !== "var") declareVariables(scope, node);
    else if (node.type === "ImportDeclaration") declareImports(scope, node);
  }
}

function declareVariables(scope: Scope, declaration: VariableDeclaration): void {
  for (const { id, init } of declaration.declarations) {
    if (id.type !== "Identifier" || !init || declaration.kind !== "const") declare(scope, id, "variable");
    else if (isFunction(init)) declare(scope, id, kindOfFunction(init));
    else if (init.type === "ObjectExpression") scope.names.set(id.name, { kind: "object", node: id, value: init });
    else declare(scope, id, isStructCall(init) ? "struct" : "variable");
  }
}

/** `struct("name", ...)`: its properties are offsets, whatever they are called. */
function isStructCall(node: Expression): boolean {
  return node.type === "CallExpression" && node.callee.type === "Identifier" && node.callee.name === "struct";
}

function declareImports(scope: Scope, node: AnyNode & { type: "ImportDeclaration" }): void {
  const source = String(node.source.value);
  for (const specifier of node.specifiers) {
    const local = specifier.local;
    if (specifier.type === "ImportNamespaceSpecifier") {
      scope.names.set(local.name, { kind: "namespace", node: local, source });
      continue;
    }
    const imported = specifier.type === "ImportSpecifier" ? moduleName(specifier.imported) : "default";
    scope.names.set(local.name, { kind: "import", node: local, imported, source });
  }
}

/** Name in an import or export clause, which may be a string. */
export function moduleName(node: AnyNode): string {
  return node.type === "Identifier" ? node.name : String((node as { value?: unknown }).value);
}

/** `var` declarations of one function, wherever they stand in it. */
function declareVars(scope: Scope, node: AnyNode): void {
  for (const child of childrenOf(node)) {
    if (isFunction(child)) continue;
    if (child.type === "VariableDeclaration" && child.kind === "var") {
      for (const { id } of child.declarations) declare(scope, id, "variable");
    }
    declareVars(scope, child);
  }
}
