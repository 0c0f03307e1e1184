/** Protocols and orders by name, adopted ones too: how roles, which are told plain data, find them. */

import { UsageError } from "../base/errors.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import { MUTATIONS } from "../oom/protocols/mutations.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import { allOrders, allProtocols } from "./adopt.ts";

/** By name, mutations too; throws UsageError that lists what is meant to be asked for. */
export function findProtocol(name: string): Protocol {
  return MUTATIONS.find((one) => one.name === name) ?? find("protocol", allProtocols(), name);
}

export function findOrder(name: string): TraversalOrder {
  return find("order", allOrders(), name);
}

function find<T extends { readonly name: string }>(what: string, all: readonly T[], name: string): T {
  const found = all.find((one) => one.name === name);
  if (!found) throw new UsageError(`${what} "${name}": expected one of ${all.map((one) => one.name).join(", ")}`);
  return found;
}
