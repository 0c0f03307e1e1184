/**
 * Which pages of a process are present, from /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): one 64-bit
 * entry per page of the system. Bit 63: it is in memory; 62: it is swapped out; 61: it belongs to a file or is shared
 * memory. A process may read its own without privileges.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { endianness } from "node:os";

const ENTRY_BYTES = 8;
/** Byte of an entry that holds bits 56 to 63. */
const TOP_BYTE = endianness() === "LE" ? 7 : 0;
const PRESENT = 0x80;
const SWAPPED = 0x40;
const FILE = 0x20;
/** What a page may be: bits of the top byte to look at, and what they must be. */
export const PAGE_KINDS = {
  present: { mask: PRESENT, bits: PRESENT },
  /** Present and the process's own. */
  anon: { mask: PRESENT | FILE, bits: PRESENT },
  /** Present, of a file or of shared memory. */
  file: { mask: PRESENT | FILE, bits: PRESENT | FILE },
  swapped: { mask: PRESENT | SWAPPED, bits: SWAPPED },
} as const;
export type PageKind = keyof typeof PAGE_KINDS;

/** Entries read at once. */
const CHUNK = 2 ** 16;

/**
 * Pages of a mapping up to which its pagemap is read: 64 GiB, 128 MiB of entries. A reservation beyond that (a
 * sanitizer's shadow) gets a spread instead.
 */
export const MAX_PAGEMAP_PAGES = 2 ** 24;

export class Pagemap {
  readonly #fd: number;
  readonly #pageKb: number;
  readonly #buffer = new Uint8Array(CHUNK * ENTRY_BYTES);

  /** @throws system errors of `open`: the caller falls back on a spread. */
  constructor(path: string, pageKb: number) {
    this.#fd = openSync(path, "r");
    this.#pageKb = pageKb;
  }

  /** Runs of 4 KiB pages of a kind in a mapping, as `PageRuns`. Pages that vanished meanwhile count as absent. */
  runs(kind: PageKind, startVpn: number, pages: number): "all" | Float64Array {
    const { mask, bits } = PAGE_KINDS[kind];
    const scale = this.#pageKb / 4;
    const runs: number[] = [];
    let open = -1;
    const end = pages / scale;
    for (let at = 0; at < end; ) {
      const got = this.#read(startVpn / scale + at, Math.min(CHUNK, end - at));
      for (let i = 0; i < got; i++) {
        const matches = ((this.#buffer[i * ENTRY_BYTES + TOP_BYTE] as number) & mask) === bits;
        if (matches === open >= 0) continue;
        if (matches) open = at + i;
        else {
          runs.push(open * scale, (at + i - open) * scale);
          open = -1;
        }
      }
      at += got;
      if (got > 0) continue;
      // The file ends here: the range is no longer mapped.
      if (open >= 0) runs.push(open * scale, (at - open) * scale);
      return Float64Array.from(runs);
    }
    if (open >= 0) runs.push(open * scale, (end - open) * scale);
    return runs.length === 2 && runs[1] === pages ? "all" : Float64Array.from(runs);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Reads up to `count` entries from entry `from` on into the buffer; returns how many. */
  #read(from: number, count: number): number {
    const bytes = readSync(this.#fd, this.#buffer, 0, count * ENTRY_BYTES, from * ENTRY_BYTES);
    return Math.floor(bytes / ENTRY_BYTES);
  }
}
