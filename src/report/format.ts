/** Numbers with units, three significant digits, the same everywhere in the reports. */

/** "12,345" */
export function formatCount(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Three significant digits, thousands grouped: "0.0123", "1.23", "12.3", "123", "12,345". */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return formatCount(value);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.9995 || size === 0) return size === 0 ? "0" : value.toFixed(2);
  return Number(value.toPrecision(3)).toString();
}

const TIME_UNITS = [
  ["ns", 1],
  ["us", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
] as const;

/** Nanoseconds in the largest unit that leaves at least 1: "812 ns", "12.3 us", "131 ms", "1.50 s". */
export function formatNs(ns: number): string {
  const [unit, scale] = TIME_UNITS.findLast(([, one]) => ns >= one * 0.9995) ?? TIME_UNITS[0];
  return `${formatNumber(ns / scale)} ${unit}`;
}

/** As `formatNs`, of a time before or after some moment: "-12.3 us". */
export function formatSignedNs(ns: number): string {
  return ns < 0 ? `-${formatNs(-ns)}` : formatNs(ns);
}

/** "16.3 M/s": millions a second. */
export function formatRate(perSecond: number): string {
  return `${formatNumber(perSecond / 1e6)} M/s`;
}

/** Share in 0..1 as "12.3 %". */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** A ratio, with three decimals below 10, so that values next to 1 can be told from it: "1.871", "1,304". */
export function formatRatio(ratio: number): string {
  return Math.abs(ratio) < 9.9995 && ratio !== 0 ? ratio.toFixed(3) : formatNumber(ratio);
}

/** "< 0.0001", "0.031" */
export function formatP(p: number): string {
  return p < 1e-4 ? "< 0.0001" : String(Number(p.toPrecision(2)));
}

/** "1 VMA", "4,096 VMAs" */
export function formatCounted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** "16.0 GiB" */
export function formatBytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
