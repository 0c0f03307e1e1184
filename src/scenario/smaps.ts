/**
 * Parser of /proc/PID/smaps (fs/proc/task_mmu.c: show_smap; layout documented in proc(5)) and of recordings, which are such
 * a text with more fields.
 *
 * Tolerant of what kernels differ in: unknown fields, missing fields other than Rss, any order of fields. A field that
 * one mapping has and another lacks, or a last line without an end, shows that a text was cut or edited.
 * Anything else is refused with one line: file, line number, what is there, what was expected.
 */

import { UsageError } from "../base/errors.ts";
import { PTRS_PER_PTE, USER_VPN_5LEVEL } from "./layout.ts";
import { alignedRuns, areWholeIn, type PageRuns, parseRuns, sharedPage } from "./page-runs.ts";
import type { PageKind, PagePlaces } from "./pagemap.ts";

/** One mapping. Sizes are kB as in the file; a field that the kernel does not print is 0. */
export interface SmapsMapping {
  /** Line of its header, from 1. */
  readonly line: number;
  readonly startVpn: number;
  readonly pages: number;
  /** "rw-p" */
  readonly perms: string;
  /** File path, [heap], [stack], ...; "" for anonymous memory. */
  readonly path: string;
  /** 0 where no file is mapped. */
  readonly inode: number;
  readonly rssKb: number;
  readonly privateDirtyKb: number;
  /** null in a text without this field: before Linux 2.6.34. */
  readonly anonymousKb: number | null;
  readonly anonHugeKb: number;
  /** Shared memory or pages of a file that one huge PMD maps. */
  readonly pmdMappedKb: number;
  readonly hugetlbKb: number;
  readonly swapKb: number;
  readonly lockedKb: number;
  /** 4 when the kernel does not say. */
  readonly kernelPageKb: number;
  /** Where its pages lay, by the fields of a recording; null without any. */
  readonly places: PagePlaces | null;
  /** A recording says that it is shared memory, whose folder told it. */
  readonly mappedShmem: boolean;
  /** Two-letter codes of VmFlags; null before Linux 3.8. */
  readonly vmFlags: readonly string[] | null;
}

export interface Smaps {
  /** Ascending by address, never overlapping. */
  readonly mappings: readonly SmapsMapping[];
  /** Names of entries that are no part of the address space: [vsyscall] lies above user space. */
  readonly skipped: readonly string[];
}

/** Fields that a recording has beside the kernel's, and the kind of page whose runs they list. */
export const RUN_FIELDS = { AnonRuns: "anon", FileRuns: "file", SwapRuns: "swapped" } as const satisfies Readonly<
  Record<string, PageKind>
>;
/** Field of a recording: of AnonRuns, what huge PMDs map. */
export const HUGE_FIELD = "HugeRuns";
/** A recording says "Mapped: shmem" where the base name alone does not tell. */
export const MAPPED_FIELD = "Mapped";
export const MAPPED_SHMEM = "shmem";

/** Fields that are read here: a kernel prints them for each mapping or for none. A recording leaves out sizes of 0. */
const SAME_IN_ALL = ["Size", "Rss", "KernelPageSize", "VmFlags"];
const SAME_IN_KERNEL_TEXT = ["Private_Dirty", "Anonymous", "AnonHugePages", "Swap", "Locked", "Private_Hugetlb"];

const HEADER =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)(?: +(.*))?$/;
const FIELD = /^([A-Za-z_][\w()]*):(.*)$/;
const KB_VALUE = /^(\d+) kB$/;
const NOT_USER_SPACE = "[vsyscall]";
const EXPECTED_RSS = "expected smaps (not maps), not cut short";
const EXPECTED = 'expected "address-address perms offset dev inode path" or "Field: value"';

interface Field {
  readonly line: number;
  readonly value: string;
}

interface Draft {
  readonly line: number;
  readonly header: RegExpExecArray;
  readonly fields: Map<string, Field>;
}

type Place = Pick<SmapsMapping, "startVpn" | "pages">;

/** `file` names the source in error messages. @throws UsageError */
export function parseSmaps(text: string, file: string): Smaps {
  const drafts = readLines(text, file);
  refuseUneven(drafts, file);
  const knowsAnonymous = drafts.some(({ fields }) => fields.has("Anonymous"));
  const skipped: string[] = [];
  const mappings: SmapsMapping[] = [];
  for (const draft of drafts) {
    if (draft.header[7] === NOT_USER_SPACE) skipped.push(NOT_USER_SPACE);
    else mappings.push(finish(draft, file, knowsAnonymous));
  }
  if (mappings.length === 0) {
    throw new UsageError(`${file}:1: no mapping, expected smaps text (dead processes and kernel threads have none)`);
  }
  for (const [i, mapping] of mappings.entries()) {
    const before = mappings[i - 1];
    if (before === undefined || before.startVpn + before.pages <= mapping.startVpn) continue;
    const what = mapping.startVpn < before.startVpn ? "mapping lies below" : "mapping overlaps";
    refuse(file, mapping.line, `${what} that of line ${before.line}`, "expected mappings in ascending order, apart");
  }
  if (!text.endsWith("\n")) {
    refuse(file, text.split("\n").length, "last line without an end", "expected a whole text, not cut short");
  }
  return { mappings, skipped };
}

function refuseUneven(drafts: readonly Draft[], file: string): void {
  const recorded = drafts.some(({ fields }) => Object.keys(RUN_FIELDS).some((name) => fields.has(name)));
  for (const name of recorded ? SAME_IN_ALL : [...SAME_IN_ALL, ...SAME_IN_KERNEL_TEXT]) {
    const having = drafts.find(({ fields }) => fields.has(name));
    const lacking = drafts.find(({ fields }) => !fields.has(name));
    if (having === undefined || lacking === undefined) continue;
    const expected = `expected it as in line ${having.line}, not cut short`;
    refuse(file, lacking.line, `mapping without ${name}`, name === "Rss" ? EXPECTED_RSS : expected);
  }
}

function readLines(text: string, file: string): Draft[] {
  const drafts: Draft[] = [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const content = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    const header = HEADER.exec(content);
    if (header !== null) {
      drafts.push({ line, header, fields: new Map() });
      continue;
    }
    const field = FIELD.exec(content);
    const draft = drafts.at(-1);
    if (field === null) refuse(file, line, excerpt(content), EXPECTED);
    if (draft === undefined) refuse(file, line, excerpt(content), "expected a mapping's header first");
    const name = field[1] as string;
    const known = draft.fields.get(name);
    if (known !== undefined) refuse(file, line, `${name} again (line ${known.line})`, "expected it once per mapping");
    draft.fields.set(name, { line, value: (field[2] as string).trim() });
  }
  return drafts;
}

function finish(draft: Draft, file: string, knowsAnonymous: boolean): SmapsMapping {
  const { line, header, fields } = draft;
  const path = header[7] ?? "";
  if (path === "[rollup]") refuse(file, line, "smaps_rollup", "expected smaps");
  if (!fields.has("Rss")) refuse(file, line, "mapping without Rss", EXPECTED_RSS);
  const startVpn = pageNumber(header[1] as string, file, line);
  const endVpn = pageNumber(header[2] as string, file, line);
  const pages = endVpn - startVpn;
  if (pages <= 0) refuse(file, line, `range ${header[1]}-${header[2]}`, "expected an end above the start");
  const kb = (name: string): number => fieldKb(draft, name, file);
  if (fields.has("Size") && kb("Size") !== pages * 4) {
    refuse(file, line, `Size ${kb("Size")} kB`, `expected ${pages * 4} kB by its addresses`);
  }
  const atMost = (name: string, most: number, of: string): number => {
    if (kb(name) > most) refuse(file, line, `${name} ${kb(name)} kB`, `expected at most ${most} kB${of}`);
    return kb(name);
  };
  const rssKb = atMost("Rss", pages * 4, "");
  const anonymousKb = knowsAnonymous ? atMost("Anonymous", rssKb, " (Rss)") : null;
  return {
    line,
    startVpn,
    pages,
    perms: header[3] as string,
    path,
    inode: Number(header[6]),
    rssKb,
    privateDirtyKb: atMost("Private_Dirty", rssKb, " (Rss)"),
    anonymousKb,
    anonHugeKb: atMost("AnonHugePages", anonymousKb ?? rssKb, anonymousKb === null ? " (Rss)" : " (Anonymous)"),
    pmdMappedKb: kb("ShmemPmdMapped") + kb("FilePmdMapped"),
    hugetlbKb: kb("Shared_Hugetlb") + kb("Private_Hugetlb"),
    // Of shared memory it is what the whole object has in swap, mapped here or not: no bound.
    swapKb: kb("Swap"),
    lockedKb: kb("Locked"),
    places: placesOf(draft, { startVpn, pages }, file),
    mappedShmem: fields.get(MAPPED_FIELD)?.value === MAPPED_SHMEM,
    kernelPageKb: fields.has("KernelPageSize") ? kernelPageKb(draft, file) : 4,
    vmFlags: vmFlags(draft, file),
  };
}

function fieldKb(draft: Draft, name: string, file: string): number {
  const field = draft.fields.get(name);
  if (field === undefined) return 0;
  const value = Number(KB_VALUE.exec(field.value)?.[1]);
  if (!Number.isSafeInteger(value)) refuse(file, field.line, `${name}: ${excerpt(field.value)}`, 'expected "N kB"');
  return value;
}

function placesOf(draft: Draft, { startVpn, pages }: Place, file: string): PagePlaces | null {
  const places: Record<PageKind, PageRuns> = { anon: [], file: [], swapped: [] };
  let any = false;
  for (const [name, kind] of Object.entries(RUN_FIELDS)) {
    const runs = runsOf(draft, name, pages, file);
    if (runs === undefined) continue;
    places[kind] = runs;
    any = true;
  }
  const twice = sharedPage(places.anon, places.file, places.swapped);
  if (twice !== undefined) refuse(file, draft.line, `page ${twice} in runs of two kinds`, "expected each page in one");
  const huge = runsOf(draft, HUGE_FIELD, pages, file);
  if (huge === undefined) return any ? places : null;
  const whole = alignedRuns(places.anon, startVpn, PTRS_PER_PTE);
  if (areWholeIn(huge, whole, PTRS_PER_PTE)) return { ...places, huge };
  const { line, value } = draft.fields.get(HUGE_FIELD) as Field;
  return refuse(file, line, `${HUGE_FIELD}: ${excerpt(value)}`, "expected whole 2 MiB of AnonRuns");
}

function runsOf({ fields }: Draft, name: string, pages: number, file: string): PageRuns | undefined {
  const field = fields.get(name);
  if (field === undefined) return undefined;
  const runs = parseRuns(field.value, pages);
  if (runs !== undefined) return runs;
  const expected = `expected ascending runs "offset+count" within ${pages} pages`;
  return refuse(file, field.line, `${name}: ${excerpt(field.value)}`, expected);
}

/** The last line that a kernel prints for a mapping: cut short, its last code is. */
function vmFlags({ fields }: Draft, file: string): readonly string[] | null {
  const field = fields.get("VmFlags");
  if (field === undefined) return null;
  if (field.value === "") return [];
  const codes = field.value.split(/ +/);
  const odd = codes.find((code) => !/^(?:\w\w|\?\?)$/.test(code));
  if (odd !== undefined) refuse(file, field.line, `VmFlags: ${excerpt(odd)}`, "expected codes of two letters");
  return codes;
}

/** Page sizes are powers of two times 4 kB: 4, 16, 64, and 2,048 and up for huge pages. */
function kernelPageKb(draft: Draft, file: string): number {
  const kb = fieldKb(draft, "KernelPageSize", file);
  if (kb >= 4 && Number.isInteger(Math.log2(kb))) return kb;
  return refuse(file, draft.line, `KernelPageSize ${kb} kB`, "expected a power of two from 4 kB on");
}

/** Bytes may need 57 bits, more than a number holds exactly; page numbers fit. */
function pageNumber(hex: string, file: string, line: number): number {
  const digits = hex.padStart(4, "0");
  if (!digits.endsWith("000")) refuse(file, line, `address ${hex}`, "expected a multiple of 4 KiB");
  const vpn = Number.parseInt(digits.slice(0, -3), 16);
  // The end of the last range may be the end of user space.
  if (vpn > USER_VPN_5LEVEL) refuse(file, line, `address ${hex}`, "expected user space (56-bit addresses at most)");
  return vpn;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}

function refuse(file: string, line: number, what: string, expected: string): never {
  throw new UsageError(`${file}:${line}: ${what}, ${expected}`);
}
