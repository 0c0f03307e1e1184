/** I9, I12: what the OOM killer began with its victims is finished. */

import { POISON } from "../arena/mem.ts";
import { elementOf, type MachineMap } from "../machine/memory-map.ts";
import { MMF_OOM_REAP_QUEUED, MMF_OOM_SKIP, Mm } from "../mm/mm-struct.ts";
import { OomGlobals } from "../oom/globals.ts";
import { Signal } from "../task/signal.ts";
import { Task, TaskGlobals } from "../task/task.ts";
import type { Invariant } from "./invariant.ts";

/** Task slots in use. */
function tasksOf(words: Int32Array, map: MachineMap): number[] {
  const all = Array.from({ length: map.tasks.count }, (_, i) => elementOf(map.tasks, i));
  return all.filter((task) => words[task + Task.pid] !== 0);
}

function queuedButNotSkipped(words: Int32Array, task: number): boolean {
  const mm = words[(words[task + Task.signal] as number) + Signal.oomMm] as number;
  if (mm === 0 || words[mm + Mm.flags] === POISON) return false;
  const flags = words[mm + Mm.flags] as number;
  return (flags & MMF_OOM_REAP_QUEUED) !== 0 && (flags & MMF_OOM_SKIP) === 0;
}

export const victimsDequeued: Invariant = {
  name: "I9",
  text: "every victim that was queued leaves the reaper's queue, and its mm gets MMF_OOM_SKIP",
  check(words, map) {
    const heads = { list: OomGlobals.oomReaperList, timers: OomGlobals.oomReaperTimers };
    const stuck = Object.entries(heads).filter(([, at]) => words[map.root + at] !== 0);
    const open = tasksOf(words, map).filter((task) => queuedButNotSkipped(words, task));
    return [
      ...stuck.map(([name]) => `a victim is left on the reaper's ${name}`),
      ...open.map((task) => `the mm of victim ${words[task + Task.pid]} was queued and has no MMF_OOM_SKIP`),
    ];
  },
};

export const victimsCounted: Invariant = {
  name: "I12",
  text: "oom_victims is the number of threads with TIF_MEMDIE",
  check(words, map) {
    const marked = tasksOf(words, map).filter((task) => words[task + Task.tifMemdie] !== 0).length;
    const counted = words[map.root + TaskGlobals.oomVictims];
    return counted === marked ? [] : [`oom_victims is ${counted}, ${marked} threads have TIF_MEMDIE`];
  },
};
