/** Getting large arenas back: V8 does not count a SharedArrayBuffer as garbage worth a collection. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects this thread's garbage now. Arenas that only it knew are unmapped. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
