/** Plain accesses of chosen words as scheduling points. */

import type { PlainWatch } from "../arena/cpu.ts";
import { OP_LOAD, OP_STORE } from "../arena/mem.ts";

/** Called before such an access, on the stack of the CPU that does it; returns when it may go on. */
export type LetOthers = (cpu: number, kind: number, word: number, value: number) => void;

export class PlainPoints implements PlainWatch {
  readonly #words: ReadonlySet<number>;
  readonly #letOthers: LetOthers;
  readonly #next: PlainWatch | undefined;

  /** `next` hears of every access afterwards. */
  constructor(words: readonly number[], letOthers: LetOthers, next?: PlainWatch) {
    this.#words = new Set(words);
    this.#letOthers = letOthers;
    this.#next = next;
  }

  read(cpu: number, word: number): void {
    if (this.#words.has(word)) this.#letOthers(cpu, OP_LOAD, word, 0);
    this.#next?.read(cpu, word);
  }

  write(cpu: number, word: number, value: number): void {
    if (this.#words.has(word)) this.#letOthers(cpu, OP_STORE, word, value);
    this.#next?.write(cpu, word, value);
  }
}
