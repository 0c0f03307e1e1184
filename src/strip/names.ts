/**
 * Which names mean generator functions, over a whole set of files. There is no type information, so functions are
 * known by the name they are exported under, and methods by their property name: one name, one meaning.
 */

import type { AnyNode, ObjectExpression } from "acorn";
import { type Binding, isFunction, moduleName, type Scope, walk } from "./scope.ts";
import { type ParsedSource, type Place, placeAt, type Refusal } from "./source.ts";
import { stepTypes, typeMembers } from "./type-scan.ts";

/** Names known beforehand: what the kernel exports to users' files (dist/generators.json). */
export interface KnownNames {
  readonly functions: readonly string[];
  readonly members: readonly string[];
}

export interface NameTable {
  /** Generator functions, each with one place that defines it (none where it was known beforehand). */
  readonly functions: ReadonlyMap<string, Place | undefined>;
  /** Generator methods, and properties that hold generator functions. */
  readonly members: ReadonlyMap<string, Place | undefined>;
  /** `struct(...)` values: their properties are offsets, never methods. */
  readonly structs: ReadonlySet<string>;
  /** Objects with generator functions as direct properties. */
  readonly tables: ReadonlySet<string>;
}

/** The emulated kernel as users' files import it. */
export const KERNEL_MODULE = "oomrace/kernel";

/** Whether an import comes from the analysed set or the kernel; everything else holds plain functions. */
export function isKernelImport(source: string): boolean {
  return source.startsWith(".") || source === KERNEL_MODULE;
}

/** Name of a property that can be read off the source; undefined for computed ones. */
export function propertyName(node: AnyNode): string | undefined {
  if (node.type === "MemberExpression") return node.computed ? undefined : keyName(node.property);
  if (node.type === "Property" || node.type === "MethodDefinition" || node.type === "PropertyDefinition") {
    return node.computed ? undefined : keyName(node.key);
  }
  return undefined;
}

function keyName(key: AnyNode): string | undefined {
  if (key.type === "Identifier") return key.name;
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  return key.type === "Literal" ? String(key.value) : undefined;
}

/** Whether an identifier's binding is a generator function. */
export function isGenerator(binding: Binding | undefined, functions: NameTable["functions"]): boolean {
  if (binding?.kind === "generator") return true;
  return binding?.kind === "import" && isKernelImport(binding.source) && functions.has(binding.imported);
}

/** "a means what b means", to be settled once all plain facts are in. */
interface Alias {
  readonly name: string;
  readonly of: string;
  readonly place: Place;
}

class Collector {
  readonly functions = new Map<string, Place | undefined>();
  readonly members = new Map<string, Place | undefined>();
  readonly structs = new Set<string>();
  readonly tables = new Set<string>();
  readonly plainFunctions: [string, Place][] = [];
  readonly plainMembers: [string, Place][] = [];
  readonly functionAliases: Alias[] = [];
  readonly memberAliases: Alias[] = [];

  constructor(known: KnownNames) {
    for (const name of known.functions) this.functions.set(name, undefined);
    for (const name of known.members) this.members.set(name, undefined);
  }

  /** Functions that a module declares at its top, and the names it exports them under. */
  collectFunctions(source: ParsedSource): void {
    const visit = (node: AnyNode, parents: readonly AnyNode[], scope: Scope): void => {
      if (node.type === "Program") this.#topLevel(source, scope);
      if (node.type !== "ExportSpecifier") return;
      const [local, exported] = [moduleName(node.local), moduleName(node.exported)];
      const from = parents.at(-1);
      const reexport = from?.type === "ExportNamedDeclaration" && from.source;
      const binding = scope.find(local);
      const of = !reexport && binding?.kind === "import" ? binding.imported : local;
      if (of !== exported) this.functionAliases.push({ name: exported, of, place: source.placeOf(node) });
    };
    walk(source.program, visit);
  }

  #topLevel(source: ParsedSource, scope: Scope): void {
    for (const [name, binding] of scope.names) {
      if (binding.kind === "generator") this.functions.set(name, source.placeOf(binding.node));
      else if (binding.kind === "function") this.plainFunctions.push([name, source.placeOf(binding.node)]);
      else if (binding.kind === "struct") this.structs.add(name);
    }
  }

  /** Methods and function-valued properties; wants all functions known. */
  collectMembers(source: ParsedSource, aliases: ReadonlySet<string>): void {
    for (const { name, offset, generator } of typeMembers(source.text, aliases)) {
      this.#member(name, placeAt(source, offset), generator);
    }
    walk(source.program, (node, parents, scope) => {
      if (node.type === "ObjectExpression") this.#object(source, node, parents, scope);
      if (node.type !== "MethodDefinition" && node.type !== "PropertyDefinition") return;
      const name = propertyName(node);
      const accessor = node.type === "MethodDefinition" && node.kind !== "method";
      if (name === undefined || accessor || !node.value || !isFunction(node.value)) return;
      this.#member(name, source.placeOf(node), node.value.generator);
    });
  }

  #member(name: string, place: Place, generator: boolean): void {
    if (!generator) this.plainMembers.push([name, place]);
    else if (!this.members.get(name)) this.members.set(name, place);
  }

  #object(source: ParsedSource, object: ObjectExpression, parents: readonly AnyNode[], scope: Scope): void {
    let holdsGenerators = false;
    for (const property of object.properties) {
      if (property.type !== "Property" || property.kind !== "init") continue;
      const name = propertyName(property);
      if (name === undefined) continue;
      const value = property.value;
      const place = source.placeOf(property);
      if (isFunction(value)) {
        this.#member(name, place, value.generator);
        holdsGenerators ||= value.generator;
      } else if (value.type === "Identifier") {
        const binding = scope.find(value.name);
        const generator = isGenerator(binding, this.functions);
        if (generator || this.#isPlain(binding)) this.#member(name, place, generator);
        holdsGenerators ||= generator;
      } else if (value.type === "MemberExpression") {
        const of = propertyName(value);
        if (of !== undefined && !isStruct(value.object, scope, this.structs)) {
          this.memberAliases.push({ name, of, place });
        }
      }
    }
    const owner = parents.at(-1);
    if (holdsGenerators && owner?.type === "VariableDeclarator" && owner.id.type === "Identifier") {
      this.tables.add(owner.id.name);
    }
  }

  #isPlain(binding: Binding | undefined): boolean {
    if (binding?.kind === "function") return true;
    return (
      binding?.kind === "import" &&
      isKernelImport(binding.source) &&
      this.plainFunctions.some(([name]) => name === binding.imported)
    );
  }

  /** Names with two meanings. */
  ambiguities(): Refusal[] {
    const clash = (plain: [string, Place][], generators: Map<string, Place | undefined>, kind: string): Refusal[] =>
      plain
        .filter(([name]) => generators.has(name))
        .map(([name, place]) => {
          const other = generators.get(name);
          const where = other ? `at ${other.file}:${other.line}` : `in ${KERNEL_MODULE}`;
          const reason = `"${name}" is a plain ${kind} here and a generator ${kind} ${where}; give one another name`;
          return { ...place, reason };
        });
    return [
      ...clash(this.plainFunctions, this.functions, "function"),
      ...clash(this.plainMembers, this.members, "method"),
    ];
  }
}

/** Whether an expression names a `struct(...)`. */
export function isStruct(node: AnyNode, scope: Scope, structs: ReadonlySet<string>): boolean {
  if (node.type !== "Identifier") return false;
  const binding = scope.find(node.name);
  return binding?.kind === "struct" || (binding?.kind === "import" && structs.has(binding.imported));
}

/** Spreads meanings along aliases until nothing changes. */
function settle(aliases: readonly Alias[], names: Map<string, Place | undefined>): void {
  let grown = true;
  while (grown) {
    grown = false;
    for (const { name, of, place } of aliases) {
      if (!names.has(of) || names.has(name)) continue;
      names.set(name, place);
      grown = true;
    }
  }
}

/** Collects the names of a whole set of files, and what is ambiguous among them. */
export function collectNames(
  sources: readonly ParsedSource[],
  known: KnownNames,
): { names: NameTable; refusals: Refusal[] } {
  const collector = new Collector(known);
  for (const source of sources) collector.collectFunctions(source);
  settle(collector.functionAliases, collector.functions);
  const aliases = new Set(sources.flatMap((source) => stepTypes(source.text)));
  for (const source of sources) collector.collectMembers(source, aliases);
  settle(collector.memberAliases, collector.members);
  return { names: collector, refusals: collector.ambiguities() };
}
