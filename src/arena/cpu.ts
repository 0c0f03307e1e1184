/**
 * The handle through which emulated code reaches the world: the arena, its own per-CPU words, and its engine.
 * It is made once per CPU and never changes; emulated state lives in the arena, never in this object.
 */

/** Steps of one emulated CPU. Each `yield` inside `arena/mem` is a scheduling point; stripped builds have none. */
export type Steps<T> = Generator<void, T, void>;

/** Hears of each plain access before it is done, on the stack of the CPU, by number, that does it. */
export interface PlainWatch {
  read(cpu: number, word: number): void;
  write(cpu: number, word: number, value: number): void;
}

/**
 * What an engine offers to the CPU it runs. Stripped builds use only the clock.
 *
 * Pending registers (STEPPED and GATED builds): kind, word and two operands of the shared operation that the CPU
 * is about to do, valid while it waits at a scheduling point.
 */
export interface Port {
  /** [kind, word, operand a, operand b] */
  readonly pending: Int32Array;
  /** Nanoseconds since the engine started: host time in `parallel`, virtual time where the engine owns the clock. */
  nowNs(): number;
  /** STEPPED: called when what comes next may depend on the clock. */
  readsClock(): void;
  /** Emulated kernel microseconds per nanosecond of `nowNs`. */
  readonly usPerNs: number;
  /** GATED: returns when the schedule gives this CPU its next turn. */
  gate(): void;
  /** STEPPED: called once per shared operation; asserts that the engine granted exactly this one. */
  granted(): void;
  /** STEPPED: hears of plain accesses; absent where nobody listens. */
  readonly plain?: PlainWatch | undefined;
  /**
   * Blocks on `word`. STEPPED: marks the CPU blocked, the caller yields, `parkResult` then says why it woke.
   * GATED: passes the turn, waits on a real thread, and returns when woken and given a turn; the caller asks
   * `parkResult` as well. `timeoutUs` is in emulated microseconds, NO_TIMEOUT for none.
   */
  park(word: number, timeoutUs: number): void;
  parkResult(): number;
  /** STEPPED and GATED: wakes up to `count` CPUs parked on `word`, first come first served; returns how many. */
  wake(word: number, count: number): number;
}

/** Upward calls of the kernel (allocator to OOM killer, last mmput to exitMmap), filled in by `machine/`. */
export interface Upcalls {
  /** `out_of_memory`: true when something was killed or memory may come back, so the allocation retries. */
  outOfMemory(cpu: Cpu, order: number, gfp: number): Steps<boolean>;
  /**
   * `mem_cgroup_oom`: what becomes of a charge of 2^order pages for which the group `memcg` has no room (CHARGE_* of
   * `mm/memcg-charge`). `passedOom`: it was asked before for this charge.
   */
  memcgOutOfMemory(cpu: Cpu, memcg: number, order: number, passedOom: boolean): Steps<number>;
  /** `tsk_is_oom_victim(current)`: whether the allocator lets this CPU dip into the victims' reserve. */
  currentIsVictim(cpu: Cpu): Steps<boolean>;
  /** The protocol's `exit_mmap`, run by whoever drops the last `mm_users`. */
  exitMmap(cpu: Cpu, mm: number): Steps<void>;
}

/**
 * One emulated CPU. The named bases are word addresses of this CPU's own structs, one per folder that needs one;
 * 0 where the machine has no such folder (a user's own buffer has `sync` only).
 */
export interface Cpu {
  readonly words: Int32Array;
  /** 0 .. number of CPUs - 1. */
  readonly id: number;
  readonly port: Port;
  /** `sync/cpu-sync`: park token, queue node, lock statistics, held locks. */
  readonly sync: number;
  /** `sync/cpu-sync` of CPU 0 and the distance to the next CPU's, to reach a waiter by CPU number. */
  readonly syncBase: number;
  readonly syncStride: number;
  /** `sync/lock-order`: the lock-order checker's matrix and findings; 0 when no order is recorded. */
  readonly lockOrder: number;
  /** `trace/ring`: this CPU's event ring; 0 when tracing is off. */
  readonly trace: number;
  /** Word address of the machine's root struct (`machine/`), through which mm, zones and tasks are found. */
  readonly machine: number;
  /** `mm/cpu-mm` of this CPU: page lists, gather, TLB, cursor; and the distance to the next CPU's. */
  readonly mm: number;
  readonly mmStride: number;
  /** The parts of it that hot code reaches directly: `mm/tlb` and `mm/mmu-gather`. */
  readonly tlb: number;
  readonly gather: number;
  readonly upcalls: Upcalls;
  /** Names a word of the arena, and what became of the object it lies in; for reports of checked builds. */
  readonly describe?: (word: number) => string;
}
