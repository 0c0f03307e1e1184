/** Reading trace records: their fields by name, and a line of text. */

import { assert } from "../base/assert.ts";
import { commAt } from "./comm.ts";
import { TRACE_EVENTS, type TraceEvent } from "./event.ts";
import { eraHas, LOG_ERAS, type LogEra } from "./log-era.ts";
import type { TraceRecord } from "./ring.ts";

export type TraceFields = Readonly<Record<string, number | string>>;

const NEWEST = LOG_ERAS.at(-1) as LogEra;

/** What kind of event a record is. */
export function traceEventOf({ event }: TraceRecord): TraceEvent {
  const known = TRACE_EVENTS[event];
  assert(known !== undefined, `traceEventOf: no event ${event}`);
  return known;
}

/** The fields of a record by the kernel's names, as a kernel of `era` has them. */
export function traceFields(record: TraceRecord, era: LogEra = NEWEST): TraceFields {
  const words = [record.a, record.b, ...(record.more ?? [])];
  const fields: Record<string, number | string> = {};
  let at = 0;
  for (const field of traceEventOf(record).fields) {
    if (field.since === undefined || eraHas(era, field.since)) {
      const word = words[at] as number;
      fields[field.name] = field.kind === "comm" ? commAt(words, at) : field.kind === "size" ? word >>> 0 : word;
    }
    at += field.words;
  }
  return fields;
}

/** "pid=7 comm=init" */
export function formatFields(fields: TraceFields): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** One line in the manner of the kernel's trace files: "[001] 12.345: wake_reaper: pid=7". */
export function formatTraceRecord(record: TraceRecord): string {
  const fields = formatFields(traceFields(record));
  const micros = (record.timeNs / 1000).toFixed(3);
  return `[${String(record.cpu).padStart(3, "0")}] ${micros}: ${traceEventOf(record).name}:${fields && ` ${fields}`}`;
}
