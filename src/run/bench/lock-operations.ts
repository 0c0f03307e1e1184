/** Each operation of each lock, uncontended, timed with tinybench on the measured build. */

import { Bench, type Task } from "tinybench";
import { loadKernel } from "../kernel-variant.ts";
import { type LockOperationCase, lockOperationCases } from "./lock-cases.ts";
import type { LockOperation } from "./record.ts";

const SAMPLE_MS = 60;
const QUICK_SAMPLE_MS = 5;
const MIN_P99_SAMPLES = 100;

/** Median and, from 100 samples on, 99th percentile of each operation; the whole takes a few seconds. */
export async function timeLockOperations(quick: boolean): Promise<LockOperation[]> {
  const cases = lockOperationCases(await loadKernel("parallel"));
  const time = quick ? QUICK_SAMPLE_MS : SAMPLE_MS;
  const bench = new Bench({ time, warmupTime: time / 2, throws: true });
  for (const { lock, operation, run } of cases) bench.add(`${lock} ${operation}`, run);
  await bench.run();
  return bench.tasks.map((task, i) => toOperation(task, cases[i] as LockOperationCase));
}

function toOperation(task: Task, { lock, operation, operations }: LockOperationCase): LockOperation {
  const { result } = task;
  if (result.state !== "completed") throw new Error(`timeLockOperations: ${task.name} ${result.state}`);
  const { latency } = result;
  const samples = latency.samplesCount;
  const perOperation = (ms: number): number => (ms * 1e6) / operations;
  return {
    lock,
    operation,
    ns: perOperation(latency.p50),
    p99Ns: samples < MIN_P99_SAMPLES ? null : perOperation(latency.p99),
    samples,
  };
}
