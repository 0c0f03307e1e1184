/** How much of its time this thread spends collecting garbage. */

import { PerformanceObserver } from "node:perf_hooks";
import { setImmediate as pause } from "node:timers/promises";

export class GcClock {
  readonly #began = performance.now();
  readonly #observer: PerformanceObserver;
  #ms = 0;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#count(list.getEntries()));
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  /** Share of the time since construction, 0 to 1. */
  async stop(): Promise<number> {
    const ms = performance.now() - this.#began;
    // Records come when this thread has nothing else to do.
    await pause();
    this.#count(this.#observer.takeRecords());
    this.#observer.disconnect();
    return this.#ms / ms;
  }

  #count(entries: readonly { readonly duration: number }[]): void {
    for (const { duration } of entries) this.#ms += duration;
  }
}
