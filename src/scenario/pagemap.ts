/**
 * Where the pages of a process lie, from /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst): one 64-bit entry
 * per page of the system. Bit 63: it is in memory; 62: it is swapped out; 61: it belongs to a file or is shared memory;
 * 58: nothing is there but a guard (which has bit 62, too). A process may read its own without privileges.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { endianness } from "node:os";
import type { PageRuns } from "./page-runs.ts";

const ENTRY_BYTES = 8;
/** Byte of an entry that holds bits 56 to 63. */
const TOP_BYTE = endianness() === "LE" ? 7 : 0;
const PRESENT = 0x80;
const SWAPPED = 0x40;
const FILE = 0x20;
const GUARD = 0x04;
/** Bits 0 to 54, to who has CAP_SYS_ADMIN. */
const PFN_MASK = (1n << 55n) - 1n;

export const PAGE_KINDS = ["anon", "file", "swapped"] as const;
/** In memory and the process's own; in memory, of a file or of shared memory; swapped out. */
export type PageKind = (typeof PAGE_KINDS)[number];

/** Where the pages of each kind lie in a mapping. */
export interface PagePlaces extends Readonly<Record<PageKind, PageRuns>> {
  /** Of `anon`, what huge PMDs map; undefined when it has none, or nobody knows. */
  readonly huge?: PageRuns;
}

/** Entries read at once. */
const CHUNK = 2 ** 16;

/**
 * Pages of a mapping up to which its pagemap is read: 64 GiB, 128 MiB of entries. A reservation beyond that (a
 * sanitizer's shadow) gets a spread instead.
 */
export const MAX_PAGEMAP_PAGES = 2 ** 24;

function kindOf(topByte: number): PageKind | undefined {
  if ((topByte & PRESENT) !== 0) return (topByte & FILE) !== 0 ? "file" : "anon";
  return (topByte & (SWAPPED | GUARD)) === SWAPPED ? "swapped" : undefined;
}

export class Pagemap {
  readonly #fd: number;
  readonly #pageKb: number;
  readonly #buffer = new Uint8Array(CHUNK * ENTRY_BYTES);

  /** @throws system errors of `open`: the caller falls back on a spread. */
  constructor(path: string, pageKb: number) {
    this.#fd = openSync(path, "r");
    this.#pageKb = pageKb;
  }

  /** Runs of 4 KiB pages in a mapping. Pages that vanished meanwhile count as absent. */
  places(startVpn: number, pages: number): PagePlaces {
    const scale = this.#pageKb / 4;
    const places: Record<PageKind, number[]> = { anon: [], file: [], swapped: [] };
    let kind: PageKind | undefined;
    let from = 0;
    const change = (next: PageKind | undefined, at: number): void => {
      if (kind !== undefined) places[kind].push(from * scale, (at - from) * scale);
      kind = next;
      from = at;
    };
    const end = pages / scale;
    for (let at = 0; at < end; ) {
      const got = this.#read(startVpn / scale + at, Math.min(CHUNK, end - at));
      // The file ends here: the range is no longer mapped.
      if (got === 0) {
        change(undefined, at);
        break;
      }
      for (let i = 0; i < got; i++) {
        const next = kindOf(this.#buffer[i * ENTRY_BYTES + TOP_BYTE] as number);
        if (next !== kind) change(next, at + i);
      }
      at += got;
    }
    change(undefined, end);
    return places;
  }

  /** Frame behind a page; 0 to who may not know, and for a page that is not in memory. */
  pfn(vpn: number): number {
    if (this.#read((vpn * 4) / this.#pageKb, 1) === 0 || kindOf(this.#buffer[TOP_BYTE] as number) === "swapped")
      return 0;
    const [entry = 0n] = new BigUint64Array(this.#buffer.buffer, 0, 1);
    return Number(entry & PFN_MASK);
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
