/**
 * Recordings: the smaps of a live process with where its pages lay, as a text that any smaps reader still understands.
 *
 * Each mapping's header keeps its addresses, permissions, offset and inode; its path is cut to the base name. Behind the
 * kernel's own fields stand up to three more, runs of 4 KiB pages from the mapping's start as "offset+count", ascending:
 *
 *     AnonRuns: 0+12 40+3     in memory, the process's own
 *     FileRuns: 12+28         in memory, of the mapped file or shared memory
 *     SwapRuns: 43+2          swapped out
 *
 * A field without runs is left out, and so are the kernel's fields of 0 kB. Nothing else of the process is kept: no
 * command line, no environment, no folder names.
 */

import type { PageRuns } from "./layout.ts";
import { RUN_FIELDS } from "./page-runs.ts";
import type { PageKind } from "./pagemap.ts";
import type { Smaps, SmapsMapping } from "./smaps.ts";

/** Runs of a kind in a mapping; undefined where the system does not tell. */
export type RunsOf = (kind: PageKind, mapping: SmapsMapping) => "all" | PageRuns | undefined;

/**
 * The recording of a process: `text` is its smaps, which `smaps` was parsed from. Entries that are no part of the address
 * space stay as they are.
 */
export function recordingOf(text: string, smaps: Smaps, runsOf: RunsOf): string {
  const lines = text.split("\n");
  const byLine = new Map(smaps.mappings.map((mapping) => [mapping.line, mapping]));
  const out: string[] = [];
  let open: SmapsMapping | undefined;
  const close = (): void => {
    if (open !== undefined) out.push(...runLines(open, runsOf));
  };
  lines.forEach((line, index) => {
    const mapping = byLine.get(index + 1);
    if (mapping !== undefined || isHeader(line)) {
      close();
      open = mapping;
      out.push(withBaseName(line));
    } else if (line !== "" && !NOTHING.test(line)) out.push(line);
  });
  close();
  return `${out.join("\n")}\n`;
}

/** A size of 0 says nothing, except that there is an Rss. */
const NOTHING = /^(?!Rss:)\w+: +0 kB$/;

function isHeader(line: string): boolean {
  return /^[0-9a-f]+-[0-9a-f]+ /.test(line);
}

/** The header with its path's folders cut off; " (deleted)" and names in brackets stay. */
function withBaseName(header: string): string {
  return header.replace(/^((?:\S+ +){5})(\/.*)$/, (_all, fields: string, path: string) => {
    return `${fields}${path.slice(path.lastIndexOf("/") + 1)}`;
  });
}

function runLines(mapping: SmapsMapping, runsOf: RunsOf): string[] {
  return Object.entries(RUN_FIELDS).flatMap(([field, kind]) => {
    const runs = runsOf(kind, mapping);
    const pairs = runs === "all" ? [0, mapping.pages] : (runs ?? []);
    const words: string[] = [];
    for (let i = 0; i < pairs.length; i += 2) words.push(`${pairs[i]}+${pairs[i + 1]}`);
    return words.length === 0 ? [] : [`${field}: ${words.join(" ")}`];
  });
}
