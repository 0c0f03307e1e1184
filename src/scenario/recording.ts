/**
 * Recordings: the smaps of a live process with where its pages lay, as a text that any smaps reader still understands.
 *
 * Each mapping's header keeps its addresses, permissions, offset and inode; its path is cut to the base name. Above the
 * VmFlags, which close a mapping, stand up to five fields of ours; runs are of 4 KiB pages from the mapping's start, as
 * "offset+count", ascending:
 *
 *     Mapped: shmem           the folder, which is gone, said so: /dev/shm
 *     AnonRuns: 0+12 40+3     in memory, the process's own
 *     FileRuns: 12+28         in memory, of the mapped file or shared memory
 *     SwapRuns: 43+2          swapped out
 *     HugeRuns: 512+1024      of AnonRuns, what huge PMDs map, where that can be known
 *
 * A field without runs is left out, and so are the kernel's fields of 0 kB. Nothing else of the process is kept: no command
 * line, no environment, no folder names, no field that is neither a number nor VmFlags.
 */

import type { PagePlaces } from "./pagemap.ts";
import { HUGE_FIELD, MAPPED_FIELD, MAPPED_SHMEM, RUN_FIELDS, type Smaps, type SmapsMapping } from "./smaps.ts";

/** Where the pages of a mapping lie; undefined where the system does not tell. */
export type PlacesOf = (mapping: SmapsMapping) => PagePlaces | undefined;

/**
 * The recording of a process: `text` is its smaps, which `smaps` was parsed from. Entries that are no part of the address
 * space stay, without runs.
 */
export function recordingOf(text: string, smaps: Smaps, placesOf: PlacesOf): string {
  const byLine = new Map(smaps.mappings.map((mapping) => [mapping.line, mapping]));
  const out: string[] = [];
  let open: SmapsMapping | undefined;
  const ownLines = (): void => {
    if (open !== undefined) out.push(...ownFields(open, placesOf));
    open = undefined;
  };
  for (const [index, line] of text.split("\n").entries()) {
    if (HEADER.test(line)) {
      ownLines();
      open = byLine.get(index + 1);
      out.push(withBaseName(line));
    } else if (line.startsWith("VmFlags:")) {
      ownLines();
      out.push(line);
    } else if (NUMBER.test(line) && !NOTHING.test(line)) out.push(line);
  }
  ownLines();
  return `${out.join("\n")}\n`;
}

const HEADER = /^[0-9a-f]+-[0-9a-f]+ /;
const NUMBER = /^\w+: +\d+(?: kB)?$/;
/** A size of 0 says nothing, except that there is an Rss. */
const NOTHING = /^(?!Rss:)\w+: +0 kB$/;
const SHM_FOLDER = /^\/dev\/shm\//;

/** The header with its path's folders cut off, in names like "[anon:...]" too; " (deleted)" stays. */
function withBaseName(header: string): string {
  return header.replace(/^((?:\S+ +){5})(.*)$/, (_all, fields: string, path: string) => {
    return fields + path.replace(/^(\[\w+:)?.*\//, "$1");
  });
}

function ownFields(mapping: SmapsMapping, placesOf: PlacesOf): string[] {
  const lines = SHM_FOLDER.test(mapping.path) ? [`${MAPPED_FIELD}: ${MAPPED_SHMEM}`] : [];
  const places = placesOf(mapping);
  if (places === undefined) return lines;
  for (const [field, kind] of Object.entries({ ...RUN_FIELDS, [HUGE_FIELD]: "huge" } as const)) {
    const runs = places[kind] ?? [];
    const words: string[] = [];
    for (let i = 0; i < runs.length; i += 2) words.push(`${runs[i]}+${runs[i + 1]}`);
    if (words.length > 0) lines.push(`${field}: ${words.join(" ")}`);
  }
  return lines;
}
