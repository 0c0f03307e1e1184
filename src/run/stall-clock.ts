/**
 * How long nothing has advanced, counted fairly: time in which this process was stopped, or in which its CPUs wanted
 * to run and got no processor, does not count.
 *
 * The clock is fed by ticks. A tick that comes late was slept through together with the workers, so it counts for
 * no more than MAX_TICK_RATIO regular ones. Of a tick without progress, the CPU time that the process burnt counts
 * (somebody spins); when it burnt next to none, the tick counts whole if every thread sleeps, and not at all if one
 * was ready to run.
 */

const MAX_TICK_RATIO = 2;
/** A tick with less CPU time than this share of it burnt nothing worth the name. */
const IDLE_SHARE = 0.1;

export interface TickReading {
  /** Real time, in milliseconds. */
  readonly wallMs: number;
  /** CPU time of the whole process so far, in milliseconds. */
  readonly cpuMs: number;
  /** True when a thread other than the main one is ready to run; undefined when the system does not tell. */
  readonly wantsCpu: () => boolean | undefined;
}

export class StallClock {
  readonly #tickMs: number;
  #last: TickReading | undefined;
  #stalledMs = 0;

  /** `tickMs`: regular distance of the ticks. */
  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  /** Milliseconds that count as stalled. */
  get stalledMs(): number {
    return this.#stalledMs;
  }

  /** One tick; `advanced` says whether anything moved since the tick before. */
  tick(reading: TickReading, advanced: boolean): void {
    if (advanced) this.#stalledMs = 0;
    else if (this.#last) this.#stalledMs += this.#counted(reading, this.#last);
    this.#last = reading;
  }

  #counted(now: TickReading, before: TickReading): number {
    const wall = Math.min(now.wallMs - before.wallMs, this.#tickMs * MAX_TICK_RATIO);
    const burnt = now.cpuMs - before.cpuMs;
    if (burnt >= wall * IDLE_SHARE) return Math.min(wall, burnt);
    return now.wantsCpu() ? 0 : wall;
  }
}
