/** Describes the machine that a result was measured on. */

import { readFileSync } from "node:fs";
import os from "node:os";

export interface MachineInfo {
  /** CPU model as the system names it. */
  readonly cpu: string;
  /** Logical CPUs of the machine. */
  readonly cores: number;
  /** Logical CPUs that this process may use. */
  readonly available: number;
  /** Hardware threads per core; null where the system does not say. */
  readonly threadsPerCore: number | null;
  readonly memoryBytes: number;
  /** System name, kernel release and architecture. */
  readonly os: string;
  readonly node: string;
  /** Load average of the last minute, before the measurement; 0 where the system keeps none. */
  readonly load1: number;
}

export function machineInfo(): MachineInfo {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() || "unknown CPU",
    cores: Math.max(cpus.length, 1),
    available: os.availableParallelism(),
    threadsPerCore: threadsPerCore(readCpuInfo()),
    memoryBytes: os.totalmem(),
    os: `${os.type()} ${os.release()} ${process.arch}`,
    node: process.version,
    load1: os.loadavg()[0] ?? 0,
  };
}

/** More actors than CPUs to run them: a lock holder then gets preempted, and waits measure the scheduler too. */
export function oversubscribed(actors: number, machine: Pick<MachineInfo, "available">): boolean {
  return actors > machine.available;
}

/** From the text of /proc/cpuinfo (x86 gives "siblings" and "cpu cores" per socket). */
export function threadsPerCore(cpuinfo: string): number | null {
  const siblings = Number(/^siblings\s*:\s*(\d+)/m.exec(cpuinfo)?.[1]);
  const cores = Number(/^cpu cores\s*:\s*(\d+)/m.exec(cpuinfo)?.[1]);
  return siblings > 0 && cores > 0 ? siblings / cores : null;
}

function readCpuInfo(): string {
  try {
    return readFileSync("/proc/cpuinfo", "latin1");
  } catch {
    return "";
  }
}
