/** Tells of the plain accesses of chosen words before they are done. */

import type { PlainWatch } from "../arena/cpu.ts";
import { OP_LOAD, OP_STORE } from "../arena/mem.ts";

/** Called on the stack of the CPU that does the access: OP_LOAD, or OP_STORE of `value`. */
export type OnPlain = (cpu: number, kind: number, word: number, value: number) => void;

export class WordTap implements PlainWatch {
  readonly #words: ReadonlySet<number>;
  readonly #tell: OnPlain;
  readonly #next: PlainWatch | undefined;

  /** `next` hears of every access afterwards. */
  constructor(words: readonly number[], tell: OnPlain, next?: PlainWatch) {
    this.#words = new Set(words);
    this.#tell = tell;
    this.#next = next;
  }

  read(cpu: number, word: number): void {
    if (this.#words.has(word)) this.#tell(cpu, OP_LOAD, word, 0);
    this.#next?.read(cpu, word);
  }

  write(cpu: number, word: number, value: number): void {
    if (this.#words.has(word)) this.#tell(cpu, OP_STORE, word, value);
    this.#next?.write(cpu, word, value);
  }
}
