/** One kill for people: what the kernel printed, what its tracepoints said, what each CPU did, which locks were fought over, when memory came back. */

import picocolors from "picocolors";
import { formatFields } from "../trace/record.ts";
import { renderNote } from "./bench-block-text.ts";
import { lockTotals } from "./bench-metrics.ts";
import { type RenderOptions, reaperText } from "./bench-text.ts";
import { formatBytes, formatCounted, formatNs, formatSignedNs } from "./format.ts";
import { renderKills } from "./kills-text.ts";
import { formatKlogLine } from "./klog.ts";
import { renderLockTable } from "./lock-table.ts";
import { renderMemoryBack } from "./memory-back.ts";
import type { RunResult, Tracepoint } from "./run-result.ts";
import { renderTimeline } from "./timeline.ts";
import { wrap } from "./wrap.ts";

/** One for each round of a stalled allocation and each zone: told by --json alone. */
const OFTEN = "reclaim_retry_zone";

/** The whole report, no newline at the end. */
export function renderRun(result: RunResult, options: RenderOptions = {}): string {
  const { bold } = picocolors.createColors(options.color ?? false);
  const { roles, timeline, memoryBack, actors } = result;
  const indented = { ...options, indent: 2 };
  const log = result.log.map((line) => `  ${formatKlogLine(line)}`).join("\n");
  const tracepoints = result.tracepoints
    .filter(({ event }) => event !== OFTEN)
    .map(tracepointLine)
    .join("\n");
  const locks = lockTotals([{ actors }]);
  const cpus = roles.map((role, id) => `CPU ${id}: ${role}`);
  return [
    header(result),
    renderKills(result, bold("From pressure to recovery")),
    ...(log === "" ? [] : [`${bold("Kernel log")} (in kernel seconds)\n${log}`]),
    ...(tracepoints === "" ? [] : [`${bold("Tracepoints")} (since the kill)\n${tracepoints}`]),
    `${bold("What each CPU did")} (since the kill; in brackets how long)\n${renderTimeline(timeline, cpus, indented)}`,
    `${bold("Memory back")}\n${renderMemoryBack(memoryBack.curve, memoryBack.pages, indented)}`,
    `${bold("Locks")}\n${renderLockTable(locks, indented)}`,
    ...(result.notes.length === 0 ? [] : [result.notes.map((note) => renderNote(note, 0)).join("\n")]),
  ].join("\n\n");
}

function header({ version, machine, setup, timers, layout, oversubscribed, roles, phaseNs }: RunResult): string {
  const walk = setup.order === null ? "nobody reaps" : `${reaperText(setup)}, walks ${setup.order}`;
  const lines = [
    `${machine.cpu}: ${machine.available} of ${machine.cores} CPUs, ${formatBytes(machine.memoryBytes)}; ` +
      `${machine.os}; Node ${machine.node}`,
    `protocol ${setup.protocol}, ${walk}, PTE lock per ${setup.lockGranularity}, seed ${setup.seed}; ` +
      `a kernel second lasts ${formatNs(timers.kernelSecondMs * 1e6)}`,
    `the victim: ${layout.name}, ${formatCounted(layout.presentPages, "page")} in ` +
      `${formatCounted(layout.vmas, "VMA")}, ${setup.frames} frames; unmapped ${formatNs(phaseNs)} after the kill`,
    ...(oversubscribed
      ? [
          `OVERSUBSCRIBED: ${roles.length} actors share ${machine.available} CPUs, ` +
            "so lock holders get preempted: this shows the scheduler as well",
        ]
      : []),
  ];
  return [`oomrace ${version} run`, ...lines.map((line) => wrap(line, 2, 4))].join("\n");
}

/** "  [000] 12.3 us: wake_reaper: pid=1000" */
function tracepointLine({ ns, cpu, event, fields }: Tracepoint): string {
  return `  [${String(cpu).padStart(3, "0")}] ${formatSignedNs(ns)}: ${event}: ${formatFields(fields)}`;
}
