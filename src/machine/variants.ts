/** Protocols and orders by name, adopted ones too: how roles, which are told plain data, find them. */

import { UsageError } from "../base/errors.ts";
import type { TraversalOrder } from "../mm/traversal/order.ts";
import type { Protocol } from "../oom/protocols/protocol.ts";
import { allOrders, allProtocols } from "./adopt.ts";

/** Throws UsageError that lists what there is. */
export function findProtocol(name: string): Protocol {
  return find("protocol", allProtocols(), name);
}

export function findOrder(name: string): TraversalOrder {
  return find("order", allOrders(), name);
}

function find<T extends { readonly name: string }>(what: string, all: readonly T[], name: string): T {
  const found = all.find((one) => one.name === name);
  if (!found) throw new UsageError(`${what} "${name}": expected one of ${all.map((one) => one.name).join(", ")}`);
  return found;
}
