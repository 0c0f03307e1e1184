/** Who was killed in a run, and what its death was worth to those who waited for memory. */

import { formatCounted, formatNs, formatSignedNs } from "./format.ts";
import type { RunResult } from "./run-result.ts";
import { wrap } from "./wrap.ts";

/** A line per process killed, one for the needless ones, and one per allocator. */
export function renderKills({ kills, needless, panicked, actors, timers }: RunResult, heading: string): string {
  const killed = kills.map(({ ns, pid, name }) => `killed at ${formatSignedNs(ns)}: ${name}, pid ${pid}`);
  const stalls = actors.flatMap(({ stalls }) => stalls ?? []);
  // As many nanoseconds to an emulated microsecond as milliseconds to a kernel second.
  const waited = stalls.map(({ count, totalUs, longestUs }, i) => {
    if (count === 0) return `allocator ${i + 1} never stalled`;
    const longest = `${formatNs(longestUs * 1000)} emulated, ${formatNs(longestUs * timers.kernelSecondMs)} here`;
    return `allocator ${i + 1} stalled ${formatCounted(count, "time")}, ${formatNs(totalUs * 1000)} emulated in all, longest ${longest}`;
  });
  const verdict =
    needless === 0
      ? "needless kills: none"
      : `NEEDLESS KILLS: ${needless}, while an earlier victim still had memory that the reaper could have freed`;
  const end = panicked ? ["KERNEL PANIC: nobody was left to kill; what follows ends there"] : [];
  return [heading, ...[...killed, verdict, ...end, ...waited].map((line) => wrap(line, 2, 4))].join("\n");
}
