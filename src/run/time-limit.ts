/** A bound on the real time of a run, for hangs in which something still moves and the watchdog therefore waits. */

import { HangError } from "./watchdog.ts";

/** What `run` comes to, or a HangError with `report` when that takes longer than `limitMs`. The run itself goes on. */
export async function withinLimit<T>(run: Promise<T>, limitMs: number, report: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new HangError(`not over after ${limitMs / 1000} s of real time\n${report()}`));
    }, limitMs);
  });
  run.catch(() => {});
  try {
    return await Promise.race([run, over]);
  } finally {
    clearTimeout(timer);
  }
}
