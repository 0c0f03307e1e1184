/**
 * Virtual page numbers and page counts in the arena. They keep their real size (45 bits with five page-table levels
 * and 4 KiB pages), so each takes two words; in code they are plain JS numbers.
 */

import type { Cpu } from "../arena/cpu.ts";
import { load, store } from "../arena/mem.ts";

/** Words of one stored page number: low 30 bits first, so neither word is ever negative (or POISON). */
export const VPN_WORDS = 2;
/** Bits of a virtual page number: 57-bit addresses, 4 KiB pages. */
export const VPN_BITS = 45;
/** Largest virtual page number. */
export const MAX_VPN = 2 ** VPN_BITS - 1;

const LOW_RANGE = 2 ** 30;
const LOW_MASK = LOW_RANGE - 1;

/** Page number (or page count, up to 2^45) stored at word `at`; plain access. */
export function loadVpn(cpu: Cpu, at: number): number {
  return load(cpu, at + 1) * LOW_RANGE + load(cpu, at);
}

/** Stores a page number or count; plain access. */
export function storeVpn(cpu: Cpu, at: number, vpn: number): void {
  store(cpu, at, vpn & LOW_MASK);
  store(cpu, at + 1, Math.floor(vpn / LOW_RANGE));
}

/** `loadVpn` for verifiers and reports, which have no CPU. */
export function readVpn(words: Int32Array, at: number): number {
  return (words[at + 1] as number) * LOW_RANGE + (words[at] as number);
}
