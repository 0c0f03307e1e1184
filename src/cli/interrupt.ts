/** Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends the program at once. */

import { EXIT_INTERRUPTED } from "./exit-code.ts";

export interface Interrupt {
  stopped(): boolean;
  /** Gives the signals their usual meaning back. */
  release(): void;
}

export function catchInterrupt(): Interrupt {
  let stopped = false;
  const onSignal = (): void => {
    if (stopped) process.exit(EXIT_INTERRUPTED);
    stopped = true;
    const belowProgress = process.stderr.isTTY ? "\n" : "";
    process.stderr.write(`${belowProgress}oomrace: stopping after this trial; again to stop at once\n`);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    stopped: () => stopped,
    release: () => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
