/**
 * Who may run next: run states, the futex queues, the virtual clock and its timers, of one emulated machine.
 * `interleaved` and `forced` share this code, so a schedule means the same in both; only the buffer differs.
 *
 * Thread safety: in `forced` the buffer is shared, and only the CPU that holds the turn reads or writes it.
 * Invariants: order[cpu] is unique among parked CPUs; deadline[cpu] is finite only while the CPU is parked.
 */

import type { Port } from "../arena/cpu.ts";
import { NO_TIMEOUT, OP_NONE, WAIT_TIMED_OUT, WAIT_WOKEN } from "../arena/mem.ts";
import { assert } from "../base/assert.ts";
import { MAX_CPUS } from "./schedule.ts";

export const CPU_READY = 0;
export const CPU_WAITS = 1;
export const CPU_ENDED = 2;
/** In the middle of a step, at a plain access, and cannot go on before another CPU has ended its own. */
export const CPU_MIDWAY = 3;

/** Words of the pending registers of one CPU: kind, word, operand a, operand b. */
export const PENDING_WORDS = 4;

/** On the virtual clock a kernel microsecond has its real length. */
export const VIRTUAL_US_PER_NS = 1 / 1000;

/** Per CPU: deadline (8 bytes), state, word, order, result, pending. After the clock (8) and the counter (8). */
const BYTES_SHARED = 16;
const BYTES_PER_CPU = 8 + 4 * 4 + 4 * PENDING_WORDS;

export class RunState {
  readonly cpus: number;
  /** CPU_READY, CPU_WAITS, CPU_ENDED or CPU_MIDWAY. */
  readonly state: Int32Array;
  /** Arena word that a parked CPU waits on. */
  readonly word: Int32Array;
  /** When it parked, counted in parks: wakes go to the lowest first. */
  readonly order: Int32Array;
  /** Why it woke: WAIT_WOKEN or WAIT_TIMED_OUT. */
  readonly result: Int32Array;
  /** Virtual nanosecond at which its wait ends by itself; Infinity for never. */
  readonly deadline: Float64Array;
  /** Pending registers of all CPUs, PENDING_WORDS each. */
  readonly pending: Int32Array;
  /** One element: virtual nanoseconds since the start. */
  readonly clock: Float64Array;
  /** One element: parks so far. */
  readonly parks: Int32Array;
  /** Grows with each change of who may run; private to this view. */
  version = 0;
  /** 1 for a CPU that has read the clock since somebody asked; private to this view. */
  readonly #clockRead: Uint8Array;

  /** A view of `buffer`, from byte `offset` (a multiple of 8) on. `reset` must have been called once by somebody. */
  constructor(buffer: ArrayBufferLike, offset: number, cpus: number) {
    assert(cpus > 0 && cpus <= MAX_CPUS, `RunState: ${cpus} CPUs, expected 1 to ${MAX_CPUS}`);
    this.cpus = cpus;
    this.#clockRead = new Uint8Array(cpus);
    let at = offset;
    const doubles = (count: number): Float64Array => {
      const view = new Float64Array(buffer, at, count);
      at += view.byteLength;
      return view;
    };
    const ints = (count: number): Int32Array => {
      const view = new Int32Array(buffer, at, count);
      at += view.byteLength;
      return view;
    };
    this.clock = doubles(1);
    this.deadline = doubles(cpus);
    this.parks = ints(2);
    this.state = ints(cpus);
    this.word = ints(cpus);
    this.order = ints(cpus);
    this.result = ints(cpus);
    this.pending = ints(cpus * PENDING_WORDS);
  }

  static bytes(cpus: number): number {
    return BYTES_SHARED + Math.ceil((BYTES_PER_CPU * cpus) / 8) * 8;
  }

  /** Everybody ready, clock at 0. */
  reset(): void {
    this.clock[0] = 0;
    this.parks[0] = 0;
    this.state.fill(CPU_READY);
    this.deadline.fill(Number.POSITIVE_INFINITY);
    this.pending.fill(0);
    this.forgetClockReads();
    this.version++;
  }

  forgetClockReads(): void {
    this.#clockRead.fill(0);
  }

  /** Whether the CPU has read the clock since the last call. */
  takeClockRead(cpu: number): boolean {
    const read = this.#clockRead[cpu] === 1;
    this.#clockRead[cpu] = 0;
    return read;
  }

  /** The part of the port that both engines have in common. */
  portOf(cpu: number): Pick<Port, "pending" | "nowNs" | "readsClock" | "usPerNs" | "parkResult" | "wake"> {
    return {
      pending: this.pending.subarray(cpu * PENDING_WORDS, (cpu + 1) * PENDING_WORDS),
      nowNs: () => this.clock[0] as number,
      readsClock: () => {
        this.#clockRead[cpu] = 1;
      },
      usPerNs: VIRTUAL_US_PER_NS,
      parkResult: () => this.result[cpu] as number,
      wake: (word, count) => this.wake(word, count),
    };
  }

  /** The CPU sleeps on `word` for `timeoutUs` kernel microseconds (NO_TIMEOUT: until woken). */
  park(cpu: number, word: number, timeoutUs: number): void {
    const now = this.clock[0] as number;
    this.state[cpu] = CPU_WAITS;
    this.word[cpu] = word;
    this.order[cpu] = this.parks[0] as number;
    this.parks[0] = (this.parks[0] as number) + 1;
    this.deadline[cpu] = timeoutUs === NO_TIMEOUT ? Number.POSITIVE_INFINITY : now + timeoutUs / VIRTUAL_US_PER_NS;
    // Its next step does no shared operation: it only learns why it woke.
    this.pending[cpu * PENDING_WORDS] = OP_NONE;
    this.version++;
  }

  /** Wakes up to `count` CPUs parked on `word`, in the order in which they parked; returns how many. `woke` hears of each. */
  wake(word: number, count: number, woke?: (cpu: number) => void): number {
    let woken = 0;
    while (woken < count) {
      const first = this.firstOn(word);
      if (first < 0) break;
      this.#unpark(first, WAIT_WOKEN);
      woke?.(first);
      woken++;
    }
    return woken;
  }

  /** The timer of a parked CPU fires; the clock moves to its deadline if it is not yet there. */
  fireTimer(cpu: number): void {
    assert(this.hasTimer(cpu), `fireTimer: CPU ${cpu} has no armed timer`);
    this.clock[0] = Math.max(this.clock[0] as number, this.deadline[cpu] as number);
    this.#unpark(cpu, WAIT_TIMED_OUT);
  }

  /** Its program returned. */
  end(cpu: number): void {
    this.state[cpu] = CPU_ENDED;
    this.pending[cpu * PENDING_WORDS] = OP_NONE;
    this.version++;
  }

  /** Whether a CPU in the middle of a step can go on with it. */
  setMidway(cpu: number, midway: boolean): void {
    this.state[cpu] = midway ? CPU_MIDWAY : CPU_READY;
    this.version++;
  }

  isReady(cpu: number): boolean {
    return this.state[cpu] === CPU_READY;
  }

  hasTimer(cpu: number): boolean {
    return this.state[cpu] === CPU_WAITS && (this.deadline[cpu] as number) < Number.POSITIVE_INFINITY;
  }

  /** Why a choice cannot be taken now: "CPU 1 has finished"; "" when it can. */
  obstacle(choice: number): string {
    const cpu = choice < 0 ? ~choice : choice;
    if (cpu >= this.cpus) return `there is no CPU ${cpu}, only ${this.cpus}`;
    if (choice < 0) return this.hasTimer(cpu) ? "" : `CPU ${cpu} has no armed timer`;
    if (this.state[cpu] === CPU_WAITS) return `CPU ${cpu} sleeps on word ${this.word[cpu]}`;
    if (this.state[cpu] === CPU_MIDWAY) return `CPU ${cpu} waits in the middle of a step for another CPU's`;
    return this.state[cpu] === CPU_ENDED ? `CPU ${cpu} has finished` : "";
  }

  /** Earliest deadline of an armed timer, Infinity when none is armed. */
  earliestDeadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (let cpu = 0; cpu < this.cpus; cpu++) earliest = Math.min(earliest, this.deadline[cpu] as number);
    return earliest;
  }

  /** True when no CPU is ready and no timer is armed: all have ended, or what is left waits for ever. */
  isStuck(): boolean {
    for (let cpu = 0; cpu < this.cpus; cpu++) if (this.isReady(cpu) || this.hasTimer(cpu)) return false;
    return true;
  }

  allEnded(): boolean {
    return this.state.every((state) => state === CPU_ENDED);
  }

  sleepsOn(cpu: number, word: number): boolean {
    return this.state[cpu] === CPU_WAITS && this.word[cpu] === word;
  }

  /** CPU that a wake of the word wakes first, leaving out those whose bit is set in `but`; -1 when there is none. */
  firstOn(word: number, but = 0): number {
    let first = -1;
    for (let cpu = 0; cpu < this.cpus; cpu++) {
      if (!this.sleepsOn(cpu, word) || (but !== 0 && ((but >>> cpu) & 1) !== 0)) continue;
      if (first < 0 || (this.order[cpu] as number) < (this.order[first] as number)) first = cpu;
    }
    return first;
  }

  #unpark(cpu: number, result: number): void {
    this.state[cpu] = CPU_READY;
    this.result[cpu] = result;
    this.deadline[cpu] = Number.POSITIVE_INFINITY;
    this.version++;
  }
}
