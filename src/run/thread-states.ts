/** Whether threads of this process are ready to run, from Linux's /proc. */

import { readdirSync, readFileSync } from "node:fs";

/** True when a thread other than the main one runs or waits for a processor; undefined where /proc does not tell. */
export function otherThreadsWantCpu(): boolean | undefined {
  try {
    return readdirSync("/proc/self/task").some((task) => task !== String(process.pid) && isRunnable(task));
  } catch {
    return undefined;
  }
}

function isRunnable(task: string): boolean {
  try {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, "latin1");
    // "tid (name) state ...": the name may hold spaces and brackets, so read from the last one on.
    return stat[stat.lastIndexOf(")") + 2] === "R";
  } catch {
    return false; // the thread has just ended
  }
}
