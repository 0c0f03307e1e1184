/**
 * What each CPU did in one kill, from its trace: a column per CPU, a row per landmark. What happens by the thousand (VMAs
 * unmapped, short lock waits) is joined to one row that says how often and until when.
 */

import { MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, MMF_OOM_VICTIM, MMF_UNSTABLE } from "../mm/mm-struct.ts";
import {
  ALLOC_STALL_BEGIN,
  ALLOC_STALL_END,
  CONTENTION_BEGIN,
  CONTENTION_END,
  MM_PAGES_FREED,
  MMAP_LOCK_ACQUIRE_RETURNED,
  MMAP_LOCK_RELEASED,
  MMAP_LOCK_START_LOCKING,
  MMF_FLAG_SET,
  RECLAIM_RETRY_ZONE,
  TLB_FLUSH,
  TRACE_NONE,
  ZAP_BEGIN,
  ZAP_END,
} from "../trace/event.ts";
import { traceEventOf, traceFields } from "../trace/record.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { formatCounted, formatNs, formatSignedNs } from "./format.ts";
import { left, renderTable, right, type TableOptions } from "./table.ts";

/** One row: something that a CPU did at a time, or from a time on. */
export interface TimelineItem {
  readonly cpu: number;
  /** Nanoseconds on the trace's clock. */
  readonly startNs: number;
  /** null for what takes no time, or had not ended when the trace did. */
  readonly endNs: number | null;
  readonly text: string;
}

/** Counted in the rows of what they belong to, or told elsewhere. */
const QUIET = new Set([TRACE_NONE, TLB_FLUSH, MM_PAGES_FREED, MMAP_LOCK_START_LOCKING, RECLAIM_RETRY_ZONE]);

/** Told by the kernel's log. */
const LOG_GROUP = "printk";

/** A row that is still growing. */
interface Open {
  readonly startNs: number;
  endNs: number;
  count: number;
  waits: number;
}

/** The items of all CPUs by start time. `records` may come in any order between CPUs. */
export function timelineItems(records: readonly TraceRecord[]): TimelineItem[] {
  const cpus = [...new Set(records.map(({ cpu }) => cpu))];
  return cpus
    .flatMap((cpu) =>
      itemsOfCpu(
        cpu,
        records.filter((one) => one.cpu === cpu).toSorted((a, b) => a.timeNs - b.timeNs),
      ),
    )
    .toSorted((a, b) => a.startNs - b.startNs || a.cpu - b.cpu);
}

function itemsOfCpu(cpu: number, records: readonly TraceRecord[]): TimelineItem[] {
  const items: TimelineItem[] = [];
  const add = (startNs: number, endNs: number | null, text: string): void => {
    items.push({ cpu, startNs, endNs, text });
  };
  let unmapping: Open | undefined;
  let stalledNs: number | undefined;
  const held: { readonly startNs: number; readonly item: number }[] = [];
  const endUnmapping = (): void => {
    if (unmapping === undefined) return;
    const waits = unmapping.waits === 0 ? "" : `, ${formatCounted(unmapping.waits, "lock wait")}`;
    add(unmapping.startNs, unmapping.endNs, `unmaps ${formatCounted(unmapping.count, "range")}${waits}`);
    unmapping = undefined;
  };
  for (const record of records) {
    const { event, timeNs } = record;
    if (QUIET.has(event) || event === CONTENTION_END || traceEventOf(record).group === LOG_GROUP) continue;
    if (event === ZAP_BEGIN) {
      unmapping ??= { startNs: timeNs, endNs: timeNs, count: 0, waits: 0 };
      unmapping.count++;
    } else if (event === ZAP_END) {
      if (unmapping !== undefined) unmapping.endNs = timeNs;
    } else if (event === CONTENTION_BEGIN) {
      if (unmapping !== undefined) unmapping.waits++;
    } else if (event === ALLOC_STALL_BEGIN) {
      stalledNs = timeNs;
    } else if (event === ALLOC_STALL_END) {
      if (stalledNs !== undefined) add(stalledNs, timeNs, "allocation stalls");
      stalledNs = undefined;
    } else {
      endUnmapping();
      if (event === MMAP_LOCK_ACQUIRE_RETURNED) {
        held.push({ startNs: timeNs, item: items.length });
        add(timeNs, null, record.b === 1 ? "holds mmap_lock" : "did not get mmap_lock");
      } else if (event === MMAP_LOCK_RELEASED) {
        const hold = held.pop();
        if (hold !== undefined) {
          items[hold.item] = { cpu, startNs: hold.startNs, endNs: timeNs, text: holdText(record.b) };
        }
      } else add(timeNs, null, describe(record));
    }
  }
  endUnmapping();
  if (stalledNs !== undefined) add(stalledNs, null, "allocation stalls");
  return items;
}

function holdText(write: number): string {
  return `holds mmap_lock for ${write === 1 ? "writing" : "reading"}`;
}

const MMF_NAMES: Readonly<Record<number, string>> = {
  [MMF_OOM_SKIP]: "MMF_OOM_SKIP",
  [MMF_UNSTABLE]: "MMF_UNSTABLE",
  [MMF_OOM_VICTIM]: "MMF_OOM_VICTIM",
  [MMF_OOM_REAP_QUEUED]: "MMF_OOM_REAP_QUEUED",
};

/** A tracepoint's name and whom it is about; its other fields are in the list of tracepoints. */
function describe(record: TraceRecord): string {
  if (record.event === MMF_FLAG_SET) return `sets ${MMF_NAMES[record.b] ?? `mm flag ${record.b}`}`;
  const { pid } = traceFields(record);
  return `${traceEventOf(record).name}${pid === undefined ? "" : ` pid=${pid}`}`;
}

/** A column per CPU, named by `cpus` (index: CPU number); those that did nothing have none. */
export function renderTimeline(
  items: readonly TimelineItem[],
  cpus: readonly string[],
  options: TableOptions = {},
): string {
  const shown = [...cpus.keys()].filter((cpu) => items.some((item) => item.cpu === cpu));
  const rows = items.map((item) => {
    const until = item.endNs === null ? "" : ` (${formatNs(Math.max(0, item.endNs - item.startNs))})`;
    const cells = shown.map((cpu) => (cpu === item.cpu ? `${item.text}${until}` : ""));
    return [formatSignedNs(item.startNs), ...cells];
  });
  return renderTable([right("time"), ...shown.map((cpu) => left(cpus[cpu] as string))], rows, options);
}
