/** Errors on their way from a worker to the main thread, as {name, message, stack} and the invariant that broke. */

import { InternalFault, UsageError, Violation } from "../base/errors.ts";
import { UnknownPrimitive } from "../explore/atomics-guard.ts";
import { Nondeterminism } from "../explore/explore.ts";
import type { WireError } from "./messages.ts";

export function toWire(error: unknown): WireError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: "" };
  const { name, message, stack = "" } = error;
  const invariant = (error as { invariant?: unknown }).invariant;
  return { name, message, stack, ...(typeof invariant === "string" && { invariant }) };
}

/** The error again, of this thread's own classes; `who` (as "CPU 1 (reaper)") goes before a message that is no finding. */
export function fromWire(wire: WireError, who: string): Error {
  const error = rebuild(wire, who);
  if (wire.stack) error.stack = wire.stack;
  return error;
}

function rebuild(wire: WireError, who: string): Error {
  if (wire.name === "Violation") {
    const invariant = wire.invariant ?? "?";
    const text = wire.message.startsWith(`${invariant}: `) ? wire.message.slice(invariant.length + 2) : wire.message;
    return new Violation(invariant, text);
  }
  if (wire.name === "UsageError") return new UsageError(wire.message);
  if (wire.name === "Nondeterminism") return new Nondeterminism(wire.message);
  if (wire.name === "UnknownPrimitive") return new UnknownPrimitive(wire.message);
  if (wire.name === "InternalFault") return new InternalFault(`${who}: ${wire.message}`);
  return new CpuError(`${who}: ${wire.name}: ${wire.message}`);
}

/** A CPU's worker died, or its role threw something that is neither a finding nor a fault of oomrace. */
export class CpuError extends Error {
  override readonly name = "CpuError";
}
