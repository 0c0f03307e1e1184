/** I5: nobody dies while the victim before is still giving its memory back. */

import { OomGlobals } from "../oom/globals.ts";
import type { Invariant } from "./invariant.ts";

export const noNeedlessKill: Invariant = {
  name: "I5",
  text: "no further victim is chosen while a victim has pages to reap, unless its reaper has failed for a second",
  watchedBy: "every choice (oom/second-kill-watch)",
  check(words, map) {
    const word = (field: number): number => words[map.root + field] as number;
    const kills = word(OomGlobals.needlessKills);
    if (kills === 0) return [];
    const beside = `victim ${word(OomGlobals.needlessKillBeside)} had ${word(OomGlobals.needlessKillPages)} pages to reap`;
    const more = kills === 1 ? "" : ` (and ${kills - 1} more such kills)`;
    return [`process ${word(OomGlobals.needlessKillOf)} was chosen while ${beside}${more}`];
  },
};
