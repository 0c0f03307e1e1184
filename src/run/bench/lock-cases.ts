/**
 * What lock operations cost on one thread, uncontended: cases for tinybench, run by the command line on the stripped
 * build. A contended hand-off needs two threads; the bench measures it as lock wait.
 */

import type { Cpu } from "../../arena/cpu.ts";
import type { LockContract } from "../../sync/lock-contract.ts";
import type { Kernel } from "../kernel-variant.ts";

export interface LockOperationCase {
  /** "mutex" */
  readonly lock: string;
  /** "lock + unlock" */
  readonly operation: string;
  /** Times that one call of `run` does the operation. */
  readonly operations: number;
  run(): void;
}

/** So many per call that the timer's own cost disappears. */
const OPERATIONS = 1000;

/** The class that the bench's locks are counted under, in an arena of their own. */
const CLS = 0;

type Operation = (cpu: Cpu, at: number, cls: number) => unknown;

/** Every lock of the kernel, taken and released in each way it has, and a trylock that fails; then the events. */
export function lockOperationCases(kernel: Kernel): LockOperationCase[] {
  const { LOCKS, Completion, WaitQueue, complete, finishWait, prepareToWait, waitForCompletion, wakeUp } = kernel;
  const bench = new OperationBench(kernel, 2 * LOCKS.length + 2);
  const locks = LOCKS.flatMap((lock) => lockCases(bench, lock));
  const completion = bench.place(Completion.WORDS);
  const queue = bench.place(WaitQueue.WORDS);
  return [
    ...locks,
    bench.repeat("completion", "complete + wait", completion, [complete, waitForCompletion]),
    bench.repeat("wait queue", "prepare + finish", queue, [prepareToWait, finishWait]),
    bench.repeat("wait queue", "wake, nobody waits", queue, [wakeUp]),
  ];
}

function lockCases(bench: OperationBench, lock: LockContract): LockOperationCase[] {
  const { name, lockWrite, trylockWrite, unlockWrite, read } = lock;
  const at = bench.place(lock.struct.WORDS);
  lock.initLock(bench.words, at);
  const held = bench.place(lock.struct.WORDS);
  lock.initLock(bench.words, held);
  bench.once(lockWrite, held);
  const cases = [
    bench.repeat(name, "lock + unlock", at, [lockWrite, unlockWrite]),
    bench.repeat(name, "trylock + unlock", at, [trylockWrite, unlockWrite]),
    bench.repeat(name, "trylock of a held one", held, [trylockWrite]),
  ];
  if (!read) return cases;
  const { lockRead, trylockRead, unlockRead } = read;
  return [
    ...cases,
    bench.repeat(name, "read lock + unlock", at, [lockRead, unlockRead]),
    bench.repeat(name, "read trylock + unlock", at, [trylockRead, unlockRead]),
  ];
}

/** One arena, one CPU, and loops over operations. */
class OperationBench {
  readonly words: Int32Array;
  readonly #kernel: Kernel;
  readonly #cpu: Cpu;
  #next: number;

  /** `places`: how many times `place` will be asked. */
  constructor(kernel: Kernel, places: number) {
    const { ARENA_START, CACHE_PAIR, CpuSync, planMemory, createArena, regionOf, soloPort, struct, syncCpu } = kernel;
    const Place = struct("place", { words: { words: CACHE_PAIR, align: CACHE_PAIR } });
    const requests = [
      { name: "sync", struct: CpuSync, count: 1 },
      { name: "places", struct: Place, count: places },
    ];
    const map = planMemory(requests, ARENA_START);
    this.words = createArena(map);
    this.#kernel = kernel;
    this.#cpu = syncCpu(this.words, regionOf(map, "sync").base, 0, soloPort());
    this.#next = regionOf(map, "places").base;
  }

  /** Word address of `words` zeroed words with a pair of cache lines to themselves. */
  place(words: number): number {
    const { CACHE_PAIR } = this.#kernel;
    if (words > CACHE_PAIR) throw new Error(`OperationBench: ${words} words do not fit one place`);
    const at = this.#next;
    this.#next += CACHE_PAIR;
    return at;
  }

  once(operation: Operation, at: number): void {
    this.#loop([operation], 1)(at);
  }

  repeat(lock: string, operation: string, at: number, operations: readonly Operation[]): LockOperationCase {
    const loop = this.#loop(operations, OPERATIONS);
    return { lock, operation, operations: OPERATIONS, run: () => loop(at) };
  }

  /**
   * A loop compiled for these operations alone. Closures over one loop would share its inline caches, and the calls,
   * which are made directly everywhere else, would cost 25 ns more than the locks themselves do.
   */
  #loop(operations: readonly Operation[], times: number): (at: number) => void {
    const names = operations.map((_, index) => `operation${index}`);
    const calls = names.map((name) => `runToEnd(${name}(cpu, at, ${CLS}));`).join(" ");
    const body = `return (at) => { for (let i = 0; i < ${times}; i++) { ${calls} } };`;
    const make = new Function("runToEnd", "cpu", ...names, body);
    return make(this.#kernel.runToEnd, this.#cpu, ...operations);
  }
}
