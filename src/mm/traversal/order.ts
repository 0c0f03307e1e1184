/** What a traversal order is: which range of an address space the reaper unmaps next. */

import type { Cpu } from "../../arena/cpu.ts";

/**
 * A cursor over the VMAs of an mm. Its position is plain numbers in words (`Cursor`), so it can be dumped and
 * resumed at any step. It takes no lock: the caller holds mmap_lock for reading from `first` to the last `next`.
 * Together the ranges it returns cover every VMA, no page twice (ranges reported busy come again later).
 */
export interface TraversalOrder {
  readonly name: string;
  /** The idea behind it, in a sentence. */
  readonly idea: string;
  /** Kernel version whose reaper walks so, where there is one. */
  readonly kernel?: string;
  /** Points at the first range; false when there is none. */
  first(cpu: Cpu, mm: number, cursor: number): boolean;
  /** Points at the next range. `busy`: the last range met a held table lock and was left (partly) undone. */
  next(cpu: Cpu, mm: number, cursor: number, busy: boolean): boolean;
  /** Whether to try the range pointed at, which may then come out busy, or to wait for its locks. */
  mayTry(cpu: Cpu, cursor: number): boolean;
}
