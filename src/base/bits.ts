/** Smallest multiple of `unit` that is at least `value`. Both are whole and not negative. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Position of the highest set bit of a positive 32-bit value. */
export function highestBit(value: number): number {
  return 31 - Math.clz32(value);
}

/** FNV-1a over UTF-16 code units, as a signed 32-bit word. */
export function hashString(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
