/** Reading option values; each throws UsageError with what, where and what was expected. */

import { UsageError } from "../base/errors.ts";

/** A whole number of at least `min`; "2^21" and "2**21" are understood. */
export function wholeNumber(option: string, min: number): (text: string) => number {
  return (text) => {
    const power = /^(\d+)(?:\^|\*\*)(\d+)$/.exec(text);
    const value = power ? Number(power[1]) ** Number(power[2]) : Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(value) || value < min) {
      throw new UsageError(`${option} ${text}: expected a whole number from ${min} on`);
    }
    return value;
  };
}

/** A number above 0. */
export function positiveNumber(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
      throw new UsageError(`${option} ${text}: expected a number above 0`);
    }
    return value;
  };
}

/** Words separated by commas, each of them known; none twice. */
export function listOf(option: string, known: readonly string[]): (text: string) => string[] {
  return (text) => {
    const words = text.split(",").map((word) => word.trim());
    for (const word of words) oneOf(option, known)(word);
    return [...new Set(words)];
  };
}

/** One of the known words. */
export function oneOf<T extends string>(option: string, known: readonly T[]): (text: string) => T {
  return (text) => {
    const found = known.find((word) => word === text);
    if (found === undefined) throw new UsageError(`${option} ${text}: expected one of ${known.join(", ")}`);
    return found;
  };
}
