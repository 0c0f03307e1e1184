/** What the exit codes mean; DESIGN section 7. */

export const EXIT_FINE = 0;
/** An invariant broke, or oomrace itself failed. */
export const EXIT_VIOLATION = 1;
export const EXIT_USAGE = 2;
/** The watchdog ended a hang. */
export const EXIT_HANG = 3;
/** Stopped before everything was explored, although that was required. */
export const EXIT_INCOMPLETE = 4;
/** Ctrl-C or SIGTERM; what there was has been written. */
export const EXIT_INTERRUPTED = 130;

/** For help texts. */
export const EXIT_MEANINGS: ReadonlyMap<number, string> = new Map([
  [EXIT_FINE, "fine"],
  [EXIT_VIOLATION, "an invariant broke, or oomrace itself failed"],
  [EXIT_USAGE, "unusable arguments or input; one line says what, where and what was expected"],
  [EXIT_HANG, "the watchdog ended a hang; standard error says what every CPU was at"],
  [EXIT_INCOMPLETE, "stopped before completion although --require complete was given"],
  [EXIT_INTERRUPTED, "interrupted; what was measured so far is written, marked partial"],
]);

/** By name, not by class: errors also come from kernel bundles, which have classes of their own. */
export function exitCodeOf(error: Error): number {
  if (error.name === "UsageError") return EXIT_USAGE;
  return error.name === "HangError" ? EXIT_HANG : EXIT_VIOLATION;
}
