/**
 * Which pages of a process huge PMDs map. Neither smaps nor pagemap tell. Where as many whole 2 MiB are present as
 * AnonHugePages counts, it is these; else /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst), which root may
 * read, shows which of them lie in a huge page: bit 22, and bit 15 for its first page.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { alignedRuns, countRuns, joinRuns, type PageRuns } from "./page-runs.ts";

const ENTRY_BYTES = 8;
const HUGE_HEAD = (1n << 22n) | (1n << 15n);
/** Pages that a huge PMD maps. */
const PAGES = 512;

export class PageFlags {
  readonly #fd: number;
  readonly #entry = new BigUint64Array(1);

  /** @throws system errors of `open`: most users may not. */
  constructor(path: string) {
    this.#fd = openSync(path, "r");
  }

  /** Whether a transparent huge page begins at frame `pfn`. */
  isHugeHead(pfn: number): boolean {
    const bytes = readSync(this.#fd, this.#entry, 0, ENTRY_BYTES, pfn * ENTRY_BYTES);
    return bytes === ENTRY_BYTES && ((this.#entry[0] as bigint) & HUGE_HEAD) === HUGE_HEAD;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/**
 * Of the runs `anon` of a mapping the `huge` pages that huge PMDs map; undefined where nobody tells. `isHugeAt` says
 * whether a huge page begins at a virtual page; undefined when that is not to be known.
 */
export function hugePlaces(
  anon: PageRuns,
  startVpn: number,
  huge: number,
  isHugeAt: ((vpn: number) => boolean) | undefined,
): PageRuns | undefined {
  const whole = alignedRuns(anon, startVpn, PAGES);
  if (countRuns(whole) === huge) return whole;
  if (isHugeAt === undefined) return undefined;
  let found: PageRuns = [];
  for (let i = 0; i < whole.length; i += 2) {
    const end = (whole[i] as number) + (whole[i + 1] as number);
    for (let at = whole[i] as number; at < end; at += PAGES) {
      if (isHugeAt(startVpn + at)) found = joinRuns(found, [at, PAGES]);
    }
  }
  return countRuns(found) === huge ? found : undefined;
}
