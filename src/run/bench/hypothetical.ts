/** Combinations that no kernel has had: measured all the same, and labelled. */

import type { Reaper } from "../../machine/race.ts";
import type { Protocol } from "../../oom/protocols/protocol.ts";
import type { Kernel } from "../kernel-variant.ts";

/** What decides whether a block is history. */
export interface Combination {
  readonly protocol: string;
  readonly orders: readonly string[];
  readonly reaper: Reaper;
}

/** One note for each way in which a block leaves history; a user's own protocol has none to leave. */
export function hypotheticalNotes(kernel: Kernel, request: Combination): string[] {
  if (request.reaper === "none") return [];
  const protocol = kernel.findProtocol(request.protocol);
  const notes = request.reaper === "mrelease" && !protocol.hasMrelease ? [noMrelease(protocol)] : [];
  const ofKernel = kernel.PROTOCOLS.some(({ name }) => name === protocol.name);
  const orders = request.orders.filter((order) => order !== protocol.order);
  if (ofKernel && orders.length > 0) {
    notes.push(`hypothetical: ${orders.join(", ")} with ${protocol.name}, whose reaper walks ${protocol.order}`);
  }
  return notes;
}

function noMrelease({ name }: Protocol): string {
  return `hypothetical: process_mrelease with ${name}, which has no such call`;
}
