/**
 * The Mann-Whitney U test (Mann & Whitney 1947), two-sided: could the two samples come from one distribution?
 *
 * Up to `EXACT_UP_TO` observations the p-value is exact, ties included: the distribution of the rank sum over all
 * ways to choose `a.length` of the pooled mid-ranks, counted by dynamic programming (Streitberg & Röhmel 1986).
 * Above it: normal approximation with tie correction and continuity correction.
 */

import { assert } from "../base/assert.ts";

/** Pooled observations up to which all rank sums are counted (about 5 M additions at 60). */
export const EXACT_UP_TO = 60;

/** Two-sided p-value in (0, 1]. Neither sample is empty; all values are finite. */
export function mannWhitney(a: readonly number[], b: readonly number[]): number {
  assert(a.length > 0 && b.length > 0, "mannWhitney: a sample is empty");
  assert([...a, ...b].every(Number.isFinite), "mannWhitney: a value is not finite");
  const ranks = doubledMidRanks([...a, ...b]);
  return ranks.length <= EXACT_UP_TO ? exactP(ranks, a.length) : normalP(ranks, a.length);
}

/** Smallest p-value that samples of these sizes can give: all of one below all of the other, no ties. */
export function smallestP(na: number, nb: number): number {
  let ways = 1;
  for (let i = 1; i <= na; i++) ways = (ways * (nb + i)) / i;
  return Math.min(1, 2 / ways);
}

/** Rank of each value times two, so that the mean rank of tied values is a whole number. */
function doubledMidRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const ranks = new Array<number>(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++;
    // Ranks from+1 .. to share their mean, (from + 1 + to) / 2.
    for (let i = from; i < to; i++) ranks[order[i] as number] = from + 1 + to;
    from = to;
  }
  return ranks;
}

function sumOfFirst(ranks: readonly number[], n: number): number {
  return ranks.slice(0, n).reduce((sum, rank) => sum + rank, 0);
}

/** `ways[k][s]` counts the choices of k ranks with sum s; each rank is added in turn, largest k first. */
function exactP(ranks: readonly number[], n: number): number {
  const total = sumOfFirst(ranks, ranks.length);
  const ways = Array.from({ length: n + 1 }, () => new Float64Array(total + 1));
  (ways[0] as Float64Array)[0] = 1;
  let reached = 0;
  for (const rank of ranks) {
    reached += rank;
    for (let k = n; k >= 1; k--) {
      const from = ways[k - 1] as Float64Array;
      const into = ways[k] as Float64Array;
      for (let s = reached; s >= rank; s--) into[s] = (into[s] as number) + (from[s - rank] as number);
    }
  }
  const sums = ways[n] as Float64Array;
  const seen = sumOfFirst(ranks, n);
  let below = 0;
  let above = 0;
  let all = 0;
  for (let s = 0; s <= total; s++) {
    const count = sums[s] as number;
    all += count;
    if (s <= seen) below += count;
    if (s >= seen) above += count;
  }
  return Math.min(1, (2 * Math.min(below, above)) / all);
}

function normalP(ranks: readonly number[], na: number): number {
  const n = ranks.length;
  const nb = n - na;
  const u = sumOfFirst(ranks, na) / 2 - (na * (na + 1)) / 2;
  const variance = ((na * nb) / 12) * (n + 1 - tieTerm(ranks) / (n * (n - 1)));
  // All values equal: nothing tells the samples apart.
  if (variance <= 0) return 1;
  const distance = Math.max(0, Math.abs(u - (na * nb) / 2) - 0.5);
  return Math.min(1, 2 * upperTail(distance / Math.sqrt(variance)));
}

/** Sum of t^3 - t over groups of t tied values. */
function tieTerm(ranks: readonly number[]): number {
  const sizes = new Map<number, number>();
  for (const rank of ranks) sizes.set(rank, (sizes.get(rank) ?? 0) + 1);
  let term = 0;
  for (const t of sizes.values()) term += t ** 3 - t;
  return term;
}

/**
 * P(Z >= z) of the standard normal distribution, z >= 0: continued fraction of Mills' ratio for the tail, Taylor
 * series of the distribution function near 0. Relative error below 1e-9 up to z = 38, where the value underflows.
 */
export function upperTail(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let k = 3; Math.abs(term) > 1e-17 * sum; k += 2) {
      term *= (z * z) / k;
      sum += term;
    }
    return 0.5 - density * sum;
  }
  let fraction = z;
  for (let k = 120; k >= 1; k--) fraction = z + k / fraction;
  return density / fraction;
}
