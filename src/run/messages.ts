/**
 * Everything that crosses between the main thread and a CPU's worker: one union each way, told apart by `type`.
 * They travel by comlink, one request and one reply at a time; a worker that runs a role answers nothing.
 */

import type { Cpu, Port, Steps } from "../arena/cpu.ts";

/** Data that survives a post: numbers, strings, booleans, and lists and records of them. */
export type Plain = number | string | boolean | null | undefined | readonly Plain[] | { readonly [key: string]: Plain };
export type PlainRecord = { readonly [key: string]: Plain };

/** A program that a CPU runs in a trial. What it returns must be plain. */
export type Role = (cpu: Cpu, params: never) => Steps<PlainRecord> | Steps<void>;

/** What a worker needs of a kernel bundle (`src/kernel.ts`), of a toy in tests, or of a user's module. */
export interface KernelModule {
  /** Roles by name. */
  readonly roles: Readonly<Record<string, Role>>;
  /** The handle of CPU `id` over an arena that `machine`, a plain description, fits. Throws when it does not. */
  attachCpu(buffer: SharedArrayBuffer, machine: unknown, id: number, port: Port): Cpu;
  /** Takes in what a user's module exports beside roles (protocols, orders). Throws UsageError when it is unusable. */
  adopt?(exports: Readonly<Record<string, unknown>>): void;
}

/** Clock and engine of a CPU's port. */
export type PortSpec =
  /** Real time. `originNs` on the common clock is 0 of `nowNs`; `control` holds the start barrier. */
  | {
      readonly engine: "parallel";
      readonly originNs: number;
      readonly usPerNs: number;
      readonly control: SharedArrayBuffer;
    }
  /** Turns by a schedule, which `control` holds (`TurnTable`). */
  | { readonly engine: "forced"; readonly control: SharedArrayBuffer };

export type CpuRequest =
  /** Makes this worker CPU `id` of a machine. May come again, for another arena. */
  | {
      readonly type: "attach";
      readonly id: number;
      readonly arena: SharedArrayBuffer;
      readonly machine: unknown;
      readonly port: PortSpec;
      /** URLs of built modules: their export `roles` adds to the kernel's, the rest is for `adopt`. */
      readonly modules: readonly string[];
    }
  /** Runs a role together with the CPUs of `parties` others; answered when it has returned or thrown. */
  | { readonly type: "run"; readonly role: string; readonly params: PlainRecord; readonly parties: number };

/** An error as it crosses threads. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Of a Violation. */
  readonly invariant?: string;
}

export type CpuTimeSource = "threadCpuUsage" | "schedstat" | "not available";

export type CpuReply =
  | {
      readonly type: "attached";
      readonly cpuTimeSource: CpuTimeSource;
      /** Smallest step that the CPU time was seen to take, in nanoseconds; 0 when not available. */
      readonly cpuTimeResolutionNs: number;
    }
  | {
      readonly type: "ran";
      readonly result: PlainRecord | undefined;
      /** When the role returned, in nanoseconds since the port's origin. */
      readonly endNs: number;
      /** CPU time that this thread used from barrier to end, in nanoseconds; undefined when not available. */
      readonly cpuNs: number | undefined;
    }
  /** The engine stopped this CPU at a scheduling point: schedule over, deadlock, or another CPU failed. */
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly error: WireError };
