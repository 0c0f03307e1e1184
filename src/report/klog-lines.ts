/**
 * The kernel's words for what the records of the group "printk" say (mm/oom_kill.c, kernel/cgroup/cpuset.c, kernel/panic.c;
 * v4.13 to v6.18). Shapes, names and punctuation are the kernel's, so that what reads its log reads this one.
 */

import { CONSTRAINT_NAMES } from "../oom/constraint.ts";
import { OOM_MESSAGES } from "../oom/oom-message.ts";
import { PANIC_DEADLOCKED, PANIC_REASONS } from "../oom/panic.ts";
import {
  KERNEL_PANIC,
  OOM_EXITING,
  OOM_INVOKED,
  OOM_KILLED,
  OOM_KILLER_SWITCHED,
  OOM_NOBODY,
  OOM_PAGES,
  OOM_PINNED,
  OOM_REAPED,
  OOM_TASK,
  OOM_UNABLE_TO_REAP,
  OOM_VICTIM,
  OOM_ZONE,
} from "../trace/event.ts";
import { eraHas, type LogEra } from "../trace/log-era.ts";
import { type TraceFields, traceFields } from "../trace/record.ts";
import type { TraceRecord } from "../trace/ring.ts";
import { gfpText } from "./gfp-text.ts";
import { taskTableHead, taskTableRow, zoneLines } from "./klog-table.ts";

type Wording = (fields: TraceFields, era: LogEra) => string[];

const NO_KILLABLE = "Out of memory and no killable processes...";

/** Bits of a mask as the kernel lists them: "0-1,3"; `none` for an empty one. */
function nodeList(mask: number, none: string): string {
  const ranges: string[] = [];
  for (let node = 0; node < 32; node++) {
    if (((mask >>> node) & 1) === 0) continue;
    const first = node;
    while (node < 31 && ((mask >>> (node + 1)) & 1) !== 0) node++;
    ranges.push(first === node ? `${node}` : `${first}-${node}`);
  }
  return ranges.length === 0 ? none : ranges.join(",");
}

/** Groups have numbers here; 0 is the root. A cpuset goes by its own name, a memory group by its path. */
function groupName(number: number): string {
  return number === 0 ? "/" : String(number);
}

function groupPath(number: number): string {
  return number === 0 ? "/" : `/${number}`;
}

function message(fields: TraceFields): string {
  return OOM_MESSAGES[fields.message as number] as string;
}

function process(fields: TraceFields): string {
  return `${fields.pid} (${fields.comm})`;
}

function rss(fields: TraceFields): string {
  return `anon-rss:${fields.anon_rss}kB, file-rss:${fields.file_rss}kB, shmem-rss:${fields.shmem_rss}kB`;
}

function invoked(fields: TraceFields, era: LogEra): string[] {
  const gfp = gfpText(fields.gfp_mask as number, era);
  const nodes = nodeList(fields.nodemask as number, "(null)");
  const rest = `order=${fields.order}, oom_score_adj=${fields.oom_score_adj}`;
  const first = `${fields.comm} invoked oom-killer: gfp_mask=${gfp}, `;
  if (eraHas(era, "v5.12")) return [`${first}${rest}`, "Mem-Info:"];
  // Until v4.14 the mask was printed by itself, and left a second blank.
  const mask = `nodemask=${nodes}, ${eraHas(era, "v4.15") ? "" : " "}`;
  const cpuset = `cpuset=${groupName(fields.cpuset as number)} mems_allowed=${nodeList(fields.mems_allowed as number, "")}`;
  return [`${first}${mask}${rest}`, `${fields.comm} ${cpuset}`, "Mem-Info:"];
}

/** One line of everything since v5.0; before, the score of who was chosen, who may send a child in its place. */
function victim(fields: TraceFields, era: LogEra): string[] {
  if (!eraHas(era, "v5.12")) {
    return [`${message(fields)}: Kill process ${process(fields)} score ${fields.score} or sacrifice child`];
  }
  const parts = [
    `oom-kill:constraint=${CONSTRAINT_NAMES[fields.constraint as number]}`,
    `nodemask=${nodeList(fields.nodemask as number, "(null)")}`,
    `cpuset=${groupName(fields.cpuset as number)}`,
    `mems_allowed=${nodeList(fields.mems_allowed as number, "")}`,
    fields.oom_memcg === 0 ? "global_oom" : `oom_memcg=${groupPath(fields.oom_memcg as number)}`,
    `task_memcg=${groupPath(fields.task_memcg as number)}`,
    `task=${fields.comm}`,
    `pid=${fields.pid}`,
    `uid=${fields.uid}`,
  ];
  return [parts.join(",")];
}

function killed(fields: TraceFields, era: LogEra): string[] {
  const line = `Killed process ${process(fields)} total-vm:${fields.total_vm}kB, ${rss(fields)}`;
  if (!eraHas(era, "v5.12")) return [line];
  const { uid, pgtables, oom_score_adj } = fields;
  return [`${message(fields)}: ${line}, UID:${uid} pgtables:${pgtables}kB oom_score_adj:${oom_score_adj}`];
}

/** Before v4.19 nobody said so unless the machine panics of it, and then the panic does. */
function nobody(_fields: TraceFields, era: LogEra): string[] {
  return eraHas(era, "v5.12") ? [NO_KILLABLE] : [];
}

function panic({ reason }: TraceFields, era: LogEra): string[] {
  const old = reason === PANIC_DEADLOCKED && !eraHas(era, "v5.12");
  return [`Kernel panic - not syncing: ${old ? NO_KILLABLE : PANIC_REASONS[reason as number]}`];
}

/** Since v4.17 a victim that got through by itself is no failure. */
function unableToReap(fields: TraceFields, era: LogEra): string[] {
  if (fields.oom_skip === 1 && eraHas(era, "v4.15")) return [];
  return [`oom_reaper: unable to reap pid:${process(fields)}`];
}

/** Since v5.9; kernels before kept silent. */
function exiting(fields: TraceFields, era: LogEra): string[] {
  if (!eraHas(era, "v5.12")) return [];
  return [`${message(fields)}: OOM victim ${process(fields)} is already exiting. Skip killing the task`];
}

const WORDINGS: ReadonlyMap<number, Wording> = new Map<number, Wording>([
  [OOM_INVOKED, invoked],
  [OOM_ZONE, zoneLines],
  [OOM_PAGES, ({ ram }, era) => [`${ram} pages RAM`, ...taskTableHead(era)]],
  [OOM_TASK, (fields, era) => [taskTableRow(fields, era)]],
  [OOM_VICTIM, victim],
  [OOM_KILLED, killed],
  [OOM_EXITING, exiting],
  [OOM_PINNED, (fields) => [`oom killer ${process(fields)} has mm pinned by ${fields.by_pid} (${fields.by_comm})`]],
  [OOM_NOBODY, nobody],
  [OOM_REAPED, (fields) => [`oom_reaper: reaped process ${process(fields)}, now ${rss(fields)}`]],
  [OOM_UNABLE_TO_REAP, unableToReap],
  [OOM_KILLER_SWITCHED, ({ enabled }) => [`OOM killer ${enabled === 1 ? "enabled" : "disabled"}.`]],
  [KERNEL_PANIC, panic],
]);

/** The lines that a kernel of `era` prints for a record; none for one that it does not print. */
export function klogLines(record: TraceRecord, era: LogEra): readonly string[] {
  const wording = WORDINGS.get(record.event);
  return wording === undefined ? [] : wording(traceFields(record, era), era);
}
