/** Lock statistics in the columns of `perf lock contention`, with acquisitions behind. */

import type { LockSample } from "./bench-result.ts";
import { formatCount, formatNs } from "./format.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

const COLUMNS = [
  right("contended"),
  right("total wait"),
  right("max wait"),
  right("avg wait"),
  left("type"),
  left("lock"),
  right("acquired"),
];

/** Longest total wait first; classes that nobody took are left out. */
export function renderLockTable(locks: readonly LockSample[], options: TableOptions = {}): string {
  const rows = locks
    .filter((lock) => lock.acquired > 0 || lock.contended > 0 || lock.tryFailed > 0)
    .toSorted((a, b) => b.waitNs - a.waitNs || b.contended - a.contended || b.acquired - a.acquired)
    .map((lock) => [
      formatCount(lock.contended),
      formatNs(lock.waitNs),
      formatNs(lock.maxNs),
      formatNs(lock.contended === 0 ? 0 : lock.waitNs / lock.contended),
      lock.type,
      lock.class,
      formatCount(lock.acquired),
    ]);
  return renderTable(COLUMNS, rows, options);
}
