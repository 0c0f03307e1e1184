/** The task table and the memory report of a kill's log, line by line (mm/oom_kill.c: dump_tasks; mm/show_mem.c). */

import { PAGE_SHIFT } from "../mm/page.ts";
import { ZONE_NAMES } from "../mm/zone.ts";
import { eraHas, type LogEra } from "../trace/log-era.ts";
import type { TraceFields } from "../trace/record.ts";

const PAGE_KIB = 2 ** (PAGE_SHIFT - 10);
const ORDERS = 11;

/** A column: its title, its width, and what stands in it. Names are not padded. */
interface Column {
  readonly title: string;
  readonly width: number;
  readonly value: string;
}

const TABLE_COLUMNS: Readonly<Record<LogEra, readonly Column[]>> = {
  "v4.13": [
    { title: "nr_ptes", width: 7, value: "nr_ptes" },
    { title: "nr_pmds", width: 7, value: "nr_pmds" },
  ],
  "v4.15": [{ title: "pgtables_bytes", width: 8, value: "pgtables_bytes" }],
  "v5.12": [{ title: "pgtables_bytes", width: 8, value: "pgtables_bytes" }],
  "v6.8": [
    { title: "rss_anon", width: 8, value: "rss_anon" },
    { title: "rss_file", width: 8, value: "rss_file" },
    { title: "rss_shmem", width: 9, value: "rss_shmem" },
    { title: "pgtables_bytes", width: 8, value: "pgtables_bytes" },
  ],
};

/** Columns of every era, before and behind those. */
const FIRST: readonly Column[] = [
  { title: "  uid", width: 5, value: "uid" },
  { title: " tgid", width: 5, value: "tgid" },
  { title: "total_vm", width: 8, value: "total_vm" },
  { title: "     rss", width: 8, value: "rss" },
];
const SWAPENTS: Column = { title: "swapents", width: 8, value: "swapents" };
/** The adjustment stands under the end of its title. */
const ADJ_GAP = " ".repeat(9);
const ADJ_WIDTH = 5;

function pidWidth(era: LogEra): number {
  return eraHas(era, "v5.12") ? 7 : 5;
}

function columnsOf(era: LogEra): readonly Column[] {
  return [...FIRST, ...TABLE_COLUMNS[era], SWAPENTS];
}

/** What stands above the table's rows. */
export function taskTableHead(era: LogEra): string[] {
  const pid = eraHas(era, "v5.12") ? "[  pid  ]" : "[ pid ]";
  const titles = columnsOf(era).map(({ title }) => title);
  const head = [pid, ...titles, "oom_score_adj", "name"].join(" ");
  return eraHas(era, "v5.12") ? ["Tasks state (memory values in pages):", head] : [head];
}

/** One row; `fields` are those of oom_task. */
export function taskTableRow(fields: TraceFields, era: LogEra): string {
  const rss = (fields.rss_anon as number) + (fields.rss_file as number) + (fields.rss_shmem as number);
  const all: TraceFields = { ...fields, rss };
  const cells = columnsOf(era).map(({ value, width }) => String(all[value]).padStart(width));
  const pid = `[${String(fields.pid).padStart(pidWidth(era))}]`;
  const adj = String(fields.oom_score_adj).padStart(ADJ_WIDTH);
  return `${[pid, ...cells].join(" ")}${ADJ_GAP}${adj} ${fields.comm}`;
}

/** A zone's watermarks, and what its free memory consists of; `fields` are those of oom_zone. */
export function zoneLines(fields: TraceFields, era: LogEra): string[] {
  const kib = (name: string): string => `${name}:${(fields[name] as number) * PAGE_KIB}kB`;
  const zone = `Node ${fields.node} ${ZONE_NAMES[fields.zone_idx as number]}`;
  // Nothing fragments a zone here, so nothing boosts its watermarks.
  const boost = eraHas(era, "v5.12") ? ["boost:0kB"] : [];
  const marks = [kib("free"), ...boost, kib("min"), kib("low"), kib("high"), kib("managed")];
  let total = 0;
  const blocks = Array.from({ length: ORDERS }, (_, order) => {
    const blockKib = 2 ** order * PAGE_KIB;
    const count = fields[`order${order}`] as number;
    total += count * blockKib;
    return `${count}*${blockKib}kB`;
  });
  return [`${zone} ${marks.join(" ")}`, `${zone}: ${blocks.join(" ")} = ${total}kB`];
}
