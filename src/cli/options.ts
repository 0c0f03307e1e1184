/** Reading option values; each throws UsageError with what, where and what was expected. */

import { UsageError } from "../base/errors.ts";

/** A whole number from `min` to `max`; "2^21" and "2**21" are understood. */
export function wholeNumber(option: string, min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const power = /^(\d+)(?:\^|\*\*)(\d+)$/.exec(text.trim());
    const value = power ? Number(power[1]) ** Number(power[2]) : Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(value) || value < min || value > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`;
      throw new UsageError(`${option} ${text}: expected a whole number ${range}`);
    }
    return value;
  };
}

/** Whole numbers separated by commas, in the order given; none twice. */
export function wholeNumbers(option: string, min: number): (text: string) => number[] {
  const parse = wholeNumber(option, min);
  return (text) => [...new Set(text.split(",").map(parse))];
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

/** A number above 0, at most 1. */
export function share(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value > 0 && value <= 1)) {
      throw new UsageError(`${option} ${text}: expected a number above 0, at most 1`);
    }
    return value;
  };
}

/** Words separated by commas, each of them known; none twice. */
export function listOf<T extends string>(option: string, known: readonly T[]): (text: string) => T[] {
  const parse = oneOf(option, known);
  return (text) => [...new Set(text.split(",").map((word) => parse(word.trim())))];
}

/** One of the known words; `or` names what else the option takes. */
export function oneOf<T extends string>(option: string, known: readonly T[], or?: string): (text: string) => T {
  return (text) => {
    const found = known.find((word) => word === text);
    if (found !== undefined) return found;
    const expected = known.length === 1 ? known[0] : `one of ${known.join(", ")}`;
    throw new UsageError(`${option} ${text}: expected ${expected}${or === undefined ? "" : `, or ${or}`}`);
  };
}
