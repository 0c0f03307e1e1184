/** What a person did wrong: one line that says what, where and what was expected. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A fault of oomrace itself. Never looks like a race that oomrace found. */
export class InternalFault extends Error {
  override readonly name = "InternalFault";
}

/** An invariant (I1..I12, or a lock rule) that the emulated program broke. Exit code 1. */
export class Violation extends Error {
  override readonly name = "Violation";
  /** Invariant that broke, as in kernel-facts section 6: "I1", "I2", ... */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}
