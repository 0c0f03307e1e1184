/** What the exit codes mean; DESIGN section 7. */

export const EXIT_FINE = 0;
/** An invariant broke, or oomrace itself failed. */
export const EXIT_VIOLATION = 1;
export const EXIT_USAGE = 2;
/** The watchdog ended a hang. */
export const EXIT_HANG = 3;
/** Ctrl-C; what there was has been written. */
export const EXIT_INTERRUPTED = 130;

/** By name, not by class: errors also come from kernel bundles, which have classes of their own. */
export function exitCodeOf(error: Error): number {
  if (error.name === "UsageError" || error.name === "NotAvailable") return EXIT_USAGE;
  return error.name === "HangError" ? EXIT_HANG : EXIT_VIOLATION;
}
