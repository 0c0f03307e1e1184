/** Each operation of each lock, uncontended, timed with tinybench on the measured build. */

import { Bench, type Task } from "tinybench";
import type { Cpu, Steps } from "../../arena/cpu.ts";
import type { LockContract } from "../../sync/lock-contract.ts";
import { type Kernel, loadKernel } from "../kernel-variant.ts";
import type { LockOperation } from "./record.ts";

/** Operations per timed call, so that the timer's own cost and resolution do not matter. */
const REPEATS = 200;
const SAMPLE_MS = 60;
const QUICK_SAMPLE_MS = 5;
const MIN_P99_SAMPLES = 100;

interface Case {
  readonly lock: string;
  readonly operation: string;
  /** One operation. */
  readonly run: () => void;
}

/** Median and, from 100 samples on, 99th percentile of each operation; the whole takes one to two seconds. */
export async function timeLockOperations(quick: boolean): Promise<LockOperation[]> {
  const kernel = await loadKernel("parallel");
  const cases = kernel.LOCKS.flatMap((lock) => casesOf(kernel, lock));
  const time = quick ? QUICK_SAMPLE_MS : SAMPLE_MS;
  const bench = new Bench({ time, warmupTime: time / 2, throws: true });
  for (const { lock, operation, run } of cases) {
    bench.add(`${lock} ${operation}`, () => {
      for (let i = 0; i < REPEATS; i++) run();
    });
  }
  await bench.run();
  return bench.tasks.map((task, i) => toOperation(task, cases[i] as Case));
}

/** A fresh arena with one CPU and one lock, and what can be done with it alone. */
function casesOf(kernel: Kernel, lock: LockContract): Case[] {
  const sync = kernel.CACHE_PAIR;
  const at = Math.ceil((sync + kernel.CpuSync.WORDS) / lock.struct.ALIGN) * lock.struct.ALIGN;
  const words = new Int32Array(new SharedArrayBuffer((at + lock.struct.WORDS) * 4));
  const cpu = kernel.syncCpu(words, sync, 0, kernel.soloPort());
  const cls = kernel.lockClass("timed_lock");
  lock.initLock(words, at);
  const op = (
    operation: string,
    ...steps: readonly ((cpu: Cpu, lock: number, cls: number) => Steps<unknown>)[]
  ): Case => ({
    lock: lock.name,
    operation,
    run: () => {
      for (let i = 0; i < steps.length; i++) kernel.runToEnd((steps[i] as (typeof steps)[number])(cpu, at, cls));
    },
  });
  const cases = [
    op("lock + unlock", lock.lockWrite, lock.unlockWrite),
    op("trylock + unlock", lock.trylockWrite, lock.unlockWrite),
  ];
  if (lock.killable) cases.push(op("killable lock + unlock", lock.killable.lockWriteKillable, lock.unlockWrite));
  if (lock.read) {
    const { lockRead, trylockRead, unlockRead } = lock.read;
    cases.push(op("read lock + unlock", lockRead, unlockRead), op("read trylock + unlock", trylockRead, unlockRead));
    if (lock.downgrade) {
      cases.push(op("lock + downgrade + read unlock", lock.lockWrite, lock.downgrade.downgradeToRead, unlockRead));
    }
  }
  return cases;
}

function toOperation(task: Task, { lock, operation }: Case): LockOperation {
  const { result } = task;
  if (result.state !== "completed") throw new Error(`timeLockOperations: ${task.name} ${result.state}`);
  const { latency } = result;
  const samples = latency.samplesCount;
  const perOperation = (ms: number): number => (ms * 1e6) / REPEATS;
  return {
    lock,
    operation,
    ns: perOperation(latency.p50),
    p99Ns: samples < MIN_P99_SAMPLES ? null : perOperation(latency.p99),
    samples,
  };
}
