/**
 * Protocols and orders of a user's own, beside the listed ones. Each thread has its own instance of the kernel, so each
 * takes the same modules in, in the same order, before it looks a variant up by name.
 */

import { UsageError } from "../base/errors.ts";
import { VMAS_IN_LIST, VMAS_IN_TREE } from "../mm/globals.ts";
import { TRAVERSAL_ORDERS } from "../mm/traversal/index.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import { PROTOCOLS } from "../oom/protocols/index.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import { RULES_FIFO_2010, RULES_MODERN, RULES_PRE_V5_3 } from "../sync/rwsem.ts";
import { LOG_ERAS } from "../trace/log-era.ts";

/** Names that a module brought. */
export interface Adopted {
  readonly protocols: readonly string[];
  readonly orders: readonly string[];
}

/** What a field must hold, in words and as a test. */
interface Rule {
  readonly expected: string;
  holds(value: unknown): boolean;
}

type Variant = { readonly name: string };

const ownProtocols: Protocol[] = [];
const ownOrders: TraversalOrder[] = [];

const TEXT: Rule = { expected: "a text", holds: (value) => typeof value === "string" && value !== "" };
const FLAG: Rule = { expected: "true or false", holds: (value) => typeof value === "boolean" };
const METHOD: Rule = { expected: "a function", holds: (value) => typeof value === "function" };
/** Names stand in lists separated by commas, and beside paths. */
const NAME: Rule = {
  expected: "a name of letters, digits, dots, dashes and underscores",
  holds: (value) => typeof value === "string" && /^[\w.-]+$/.test(value),
};

function oneOfConstants(constants: Readonly<Record<string, number>>): Rule {
  return {
    expected: Object.keys(constants).join(" or "),
    holds: (value) => Object.values(constants).includes(value as number),
  };
}

const PROTOCOL_RULES: { readonly [Field in keyof Protocol]: Rule } = {
  name: NAME,
  commit: { expected: "a text (empty without a commit)", holds: (value) => typeof value === "string" },
  solves: TEXT,
  vmaStore: oneOfConstants({ VMAS_IN_LIST, VMAS_IN_TREE }),
  rwsemRules: oneOfConstants({ RULES_MODERN, RULES_PRE_V5_3, RULES_FIFO_2010 }),
  order: { expected: "the name of an order", holds: (value) => allOrders().some(({ name }) => name === value) },
  hasMrelease: FLAG,
  mreleaseSafe: FLAG,
  reaperDelayUs: {
    expected: "microseconds, 0 or more",
    holds: (value) => typeof value === "number" && value >= 0 && Number.isFinite(value),
  },
  killer: { expected: "one of KILLER_*", holds: (value) => typeof value === "object" && value !== null },
  logEra: {
    expected: `one of ${LOG_ERAS.join(", ")}`,
    holds: (value) => (LOG_ERAS as readonly unknown[]).includes(value),
  },
  bugs: {
    expected: "a list of texts",
    holds: (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
  },
  brokenOnPurpose: FLAG,
  exitMmap: METHOD,
  oomReapTaskMm: METHOD,
  mreleaseMm: METHOD,
};

const ORDER_RULES: { readonly [Field in keyof TraversalOrder]-?: Rule } = {
  name: NAME,
  idea: TEXT,
  kernel: { expected: "a kernel version, or nothing", holds: (value) => value === undefined || TEXT.holds(value) },
  first: METHOD,
  next: METHOD,
  mayTry: METHOD,
};

/** The listed protocols and those taken in. */
export function allProtocols(): readonly Protocol[] {
  return [...PROTOCOLS, ...ownProtocols];
}

export function allOrders(): readonly TraversalOrder[] {
  return [...TRAVERSAL_ORDERS, ...ownOrders];
}

/**
 * Takes in what a module exports as `protocol`, `protocols`, `order` and `orders`, and returns their names; other
 * exports are left alone. The same object again is no mistake. Throws UsageError "file: what: expected ..." when one
 * is unusable or its name is taken; then the module's remaining variants stay outside.
 */
export function adopt(exports: Readonly<Record<string, unknown>>, file = "module"): Adopted {
  const orders = variantsIn(exports, "order", file).map((value) =>
    takeIn(file, "order", ORDER_RULES, TRAVERSAL_ORDERS, ownOrders, value),
  );
  const protocols = variantsIn(exports, "protocol", file).map((value) =>
    takeIn(file, "protocol", PROTOCOL_RULES, PROTOCOLS, ownProtocols, value),
  );
  return { protocols, orders };
}

/** The values of the export `kind` and of the list `kinds`. */
function variantsIn(exports: Readonly<Record<string, unknown>>, kind: string, file: string): unknown[] {
  const one = exports[kind];
  const many = exports[`${kind}s`] ?? [];
  if (!Array.isArray(many)) throw new UsageError(`${file}: ${kind}s is ${describe(many)}, expected a list`);
  return one === undefined ? many : [one, ...many];
}

function takeIn<T extends Variant>(
  file: string,
  kind: string,
  rules: Readonly<Record<string, Rule>>,
  listed: readonly T[],
  own: T[],
  value: unknown,
): string {
  const variant = checked<T>(file, kind, rules, value);
  if (own.includes(variant)) return variant.name;
  if ([...listed, ...own].some(({ name }) => name === variant.name)) {
    throw new UsageError(`${file}: ${kind} "${variant.name}": this name is taken, expected another`);
  }
  own.push(variant);
  return variant.name;
}

function checked<T>(file: string, kind: string, rules: Readonly<Record<string, Rule>>, value: unknown): T {
  if (typeof value !== "object" || value === null) {
    throw new UsageError(`${file}: ${kind} is ${describe(value)}, expected an object`);
  }
  const fields = value as Readonly<Record<string, unknown>>;
  for (const [field, rule] of Object.entries(rules)) {
    if (rule.holds(fields[field])) continue;
    const which = NAME.holds(fields.name) ? ` "${fields.name}"` : "";
    throw new UsageError(`${file}: ${kind}${which}: ${field} is ${describe(fields[field])}, expected ${rule.expected}`);
  }
  return value as T;
}

/** A value in a few characters. */
function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return String(value);
}
