/**
 * Data races of one execution, by FastTrack (Flanagan and Freund, PLDI 2009): two accesses of a word of which one writes, one
 * is plain, and neither happens before the other. That is what a data race is in the memory model of JavaScript, too.
 *
 * What happens before what comes from reads-from and wake-ups alone, never from the order in which the execution at hand
 * met a word: a race is found in executions in which it did no harm. So
 * - an atomic read joins what the last atomic write of the word had released; whoever lost a compareExchange has read;
 * - an atomic store replaces what is released there; a read-modify-write continues it (a release sequence);
 * - a `hint` or a plain store leaves nothing released; a timer orders nothing;
 * - a wake-up happens before the woken CPU goes on;
 * - the words' first state happens before everything.
 *
 * Each word has a shadow of four words: which execution it is of (nothing is cleared between executions), the last plain write,
 * the last plain reads, and its record of atomic accesses. A write or read is an epoch, clock << 7 | CPU, 0 for none; reads
 * that do not happen one before the other are a vector of clocks instead. Vectors and records lie in a pool.
 */

import type { PlainWatch } from "../arena/cpu.ts";
import { OP_CMPXCHG, OP_LOAD, OP_NONE, OP_SPIN, OP_STORE, OP_WAIT, OP_WAKE, UNORDERED } from "../arena/mem.ts";
import { InternalFault, Violation } from "../base/errors.ts";

/** As `Finding.invariant`. */
export const DATA_RACE = "data race";

/** Bits of an access's kind. */
export const ACCESS_WRITES = 1;
export const ACCESS_ATOMIC = 2;

export interface Race {
  readonly word: number;
  /** The access at which it showed, and the earlier one that nothing orders before it. Kinds are ACCESS_* bits. */
  readonly cpu: number;
  readonly kind: number;
  readonly otherCpu: number;
  readonly otherKind: number;
}

export interface RaceOptions {
  readonly cpus: number;
  /** Of the arena. */
  readonly words: number;
  readonly describe: (word: number) => string;
  /** Go on after a race; the first of each word is noted. Default: a Violation ends the execution. */
  readonly collect?: boolean;
}

const SHADOW = 4;
const WRITE = 1;
const READ = 2;
const RECORD = 3;
const CPU_BITS = 7;
const CPU_MASK = (1 << CPU_BITS) - 1;
/** Clocks that an epoch has room for. */
const MAX_CLOCK = 2 ** (31 - CPU_BITS) - 1;
/** Parts of a record, `cpus` words each: what the word releases, and each CPU's last atomic write and read of it. */
const RELEASED = 0;
const WRITES = 1;
const READS = 2;
const RECORD_PARTS = 3;

export class RaceDetector implements PlainWatch {
  /** First race of each word in this execution, in the order in which they showed. */
  readonly races: Race[] = [];
  readonly #options: RaceOptions;
  readonly #cpus: number;
  readonly #shadow: Int32Array;
  /** Row by row what each CPU knows of the clocks of all. */
  readonly #clocks: Int32Array;
  /** By CPU: its clock and number. */
  readonly #epochs: Int32Array;
  #execution = 0;
  #pool = new Int32Array(1024);
  #used = 0;

  constructor(options: RaceOptions) {
    this.#options = options;
    this.#cpus = options.cpus;
    this.#shadow = new Int32Array(options.words * SHADOW);
    this.#clocks = new Int32Array(options.cpus * options.cpus);
    this.#epochs = new Int32Array(options.cpus);
  }

  /** An execution begins. */
  reset(): void {
    this.#execution++;
    // 0 stands for "no vector" and "no record".
    this.#used = 1;
    this.races.length = 0;
    this.#clocks.fill(0);
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.#setClock(cpu, 1);
  }

  /** What CPU `cpu` knows of the clock of `other`: of its accesses up to then, all happen before what `cpu` does now. */
  known(cpu: number, other: number): number {
    return this.#clocks[cpu * this.#cpus + other] as number;
  }

  read(cpu: number, word: number): void {
    const at = this.#shadowOf(word);
    const shadow = this.#shadow;
    const epoch = this.#epochs[cpu] as number;
    const reads = shadow[at + READ] as number;
    if (reads === epoch) return;
    if (!this.#knows(cpu, shadow[at + WRITE] as number)) this.#foundAfter(shadow[at + WRITE] as number, cpu, word, 0);
    const record = shadow[at + RECORD] as number;
    if (record !== 0) this.#checkRecord(cpu, word, record + WRITES * this.#cpus, 0);
    if (reads < 0) this.#pool[~reads + cpu] = epoch >>> CPU_BITS;
    else if (reads === 0 || this.#knows(cpu, reads)) shadow[at + READ] = epoch;
    else shadow[at + READ] = ~this.#sharedBy(reads, epoch);
  }

  write(cpu: number, word: number): void {
    const at = this.#shadowOf(word);
    const shadow = this.#shadow;
    const epoch = this.#epochs[cpu] as number;
    const last = shadow[at + WRITE] as number;
    if (last === epoch) return;
    if (!this.#knows(cpu, last)) this.#foundAfter(last, cpu, word, ACCESS_WRITES);
    this.#checkReads(cpu, word, at, ACCESS_WRITES);
    const record = shadow[at + RECORD] as number;
    if (record !== 0) {
      this.#checkRecord(cpu, word, record + WRITES * this.#cpus, ACCESS_WRITES);
      this.#checkRecord(cpu, word, record + READS * this.#cpus, ACCESS_WRITES);
      this.#pool.fill(0, record + RELEASED, record + this.#cpus);
    }
    shadow[at + WRITE] = epoch;
    if ((shadow[at + READ] as number) < 0) shadow[at + READ] = 0;
  }

  /** CPU `cpu` is about to do the shared operation in the pending registers from index `at` on. */
  operation(cpu: number, words: Int32Array, pending: Int32Array, at: number): void {
    const kind = pending[at] as number;
    if (kind === OP_NONE || kind === OP_WAKE) return;
    const word = pending[at + 1] as number;
    const record = this.#recordOf(word);
    const looks =
      kind === OP_LOAD ||
      kind === OP_SPIN ||
      kind === OP_WAIT ||
      (kind === OP_CMPXCHG && words[word] !== pending[at + 2]);
    if (kind !== OP_STORE) this.#acquire(cpu, record);
    this.#checkAtomic(cpu, word, looks ? ACCESS_ATOMIC : ACCESS_ATOMIC | ACCESS_WRITES);
    this.#pool[record + (looks ? READS : WRITES) * this.#cpus + cpu] = this.known(cpu, cpu);
    if (looks) return;
    if (kind === OP_STORE && pending[at + 3] === UNORDERED) this.#pool.fill(0, record, record + this.#cpus);
    else this.#release(cpu, record);
  }

  /** A wake by CPU `cpu` ended the sleep of `woken`. */
  woke(cpu: number, woken: number): void {
    this.#join(woken * this.#cpus, this.#clocks, cpu * this.#cpus);
    this.#setClock(cpu, this.known(cpu, cpu) + 1);
  }

  /** Index of the word's shadow, emptied when it is of an earlier execution. */
  #shadowOf(word: number): number {
    const at = word * SHADOW;
    const shadow = this.#shadow;
    if (shadow[at] !== this.#execution) {
      shadow[at] = this.#execution;
      shadow[at + WRITE] = 0;
      shadow[at + READ] = 0;
      shadow[at + RECORD] = 0;
    }
    return at;
  }

  /** Index in the pool of the word's record, which is made when it has none. */
  #recordOf(word: number): number {
    const at = this.#shadowOf(word) + RECORD;
    const record = this.#shadow[at] as number;
    if (record !== 0) return record;
    const made = this.#take(RECORD_PARTS * this.#cpus);
    this.#shadow[at] = made;
    return made;
  }

  /** `count` words of the pool, all 0. */
  #take(count: number): number {
    const from = this.#used;
    this.#used += count;
    if (this.#used > this.#pool.length) {
      const wider = new Int32Array(this.#pool.length * 2);
      wider.set(this.#pool);
      this.#pool = wider;
    }
    this.#pool.fill(0, from, this.#used);
    return from;
  }

  /** A vector of two reads of which neither happens before the other. */
  #sharedBy(one: number, other: number): number {
    const vector = this.#take(this.#cpus);
    this.#pool[vector + (one & CPU_MASK)] = one >>> CPU_BITS;
    this.#pool[vector + (other & CPU_MASK)] = other >>> CPU_BITS;
    return vector;
  }

  #setClock(cpu: number, clock: number): void {
    if (clock > MAX_CLOCK) throw new InternalFault(`RaceDetector: more than ${MAX_CLOCK} releases of CPU ${cpu}`);
    this.#clocks[cpu * this.#cpus + cpu] = clock;
    this.#epochs[cpu] = (clock << CPU_BITS) | cpu;
  }

  /** True when the access of that epoch happens before what `cpu` does now. */
  #knows(cpu: number, epoch: number): boolean {
    return epoch >>> CPU_BITS <= (this.#clocks[cpu * this.#cpus + (epoch & CPU_MASK)] as number);
  }

  #acquire(cpu: number, record: number): void {
    this.#join(cpu * this.#cpus, this.#pool, record + RELEASED);
  }

  #release(cpu: number, record: number): void {
    const own = cpu * this.#cpus;
    for (let other = 0; other < this.#cpus; other++) {
      this.#pool[record + RELEASED + other] = this.#clocks[own + other] as number;
    }
    this.#setClock(cpu, this.known(cpu, cpu) + 1);
  }

  /** Into the row of clocks at `row`. */
  #join(row: number, from: Int32Array, at: number): void {
    const clocks = this.#clocks;
    for (let other = 0; other < this.#cpus; other++) {
      const clock = from[at + other] as number;
      if (clock > (clocks[row + other] as number)) clocks[row + other] = clock;
    }
  }

  /** An atomic access against the plain ones. */
  #checkAtomic(cpu: number, word: number, kind: number): void {
    const at = this.#shadowOf(word);
    const last = this.#shadow[at + WRITE] as number;
    if (!this.#knows(cpu, last)) this.#foundAfter(last, cpu, word, kind);
    if ((kind & ACCESS_WRITES) !== 0) this.#checkReads(cpu, word, at, kind);
  }

  /** A write against the plain reads. */
  #checkReads(cpu: number, word: number, at: number, kind: number): void {
    const reads = this.#shadow[at + READ] as number;
    if (reads >= 0) {
      if (!this.#knows(cpu, reads)) this.#found({ word, cpu, kind, otherCpu: reads & CPU_MASK, otherKind: 0 });
      return;
    }
    for (let other = 0; other < this.#cpus; other++) {
      if ((this.#pool[~reads + other] as number) <= this.known(cpu, other)) continue;
      this.#found({ word, cpu, kind, otherCpu: other, otherKind: 0 });
    }
  }

  /** A plain access against the atomic ones in one part of the word's record. */
  #checkRecord(cpu: number, word: number, part: number, kind: number): void {
    for (let other = 0; other < this.#cpus; other++) {
      if ((this.#pool[part + other] as number) <= this.known(cpu, other)) continue;
      const record = this.#shadow[word * SHADOW + RECORD] as number;
      const otherWrites = part === record + WRITES * this.#cpus ? ACCESS_WRITES : 0;
      this.#found({ word, cpu, kind, otherCpu: other, otherKind: ACCESS_ATOMIC | otherWrites });
    }
  }

  /** Against the plain write of an epoch. */
  #foundAfter(epoch: number, cpu: number, word: number, kind: number): void {
    this.#found({ word, cpu, kind, otherCpu: epoch & CPU_MASK, otherKind: ACCESS_WRITES });
  }

  #found(race: Race): void {
    if (this.races.some(({ word }) => word === race.word)) return;
    this.races.push(race);
    if (!this.#options.collect) throw new Violation(DATA_RACE, describeRace(race, this.#options.describe));
  }
}

/** "counter: CPU 1 writes it and CPU 0 read it before, and nothing orders the two" */
export function describeRace(race: Race, describe: (word: number) => string): string {
  const now = describeAccess(race.kind, "reads", "writes");
  const before = describeAccess(race.otherKind, "read", "wrote");
  return `${describe(race.word)}: CPU ${race.cpu} ${now} it and CPU ${race.otherCpu} ${before} it before, and nothing orders the two`;
}

/** ACCESS_* bits as a verb. */
export function describeAccess(kind: number, reads: string, writes: string): string {
  const verb = (kind & ACCESS_WRITES) !== 0 ? writes : reads;
  return (kind & ACCESS_ATOMIC) !== 0 ? `atomically ${verb}` : verb;
}
