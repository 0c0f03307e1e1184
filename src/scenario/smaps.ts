/**
 * Parser of /proc/PID/smaps (fs/proc/task_mmu.c: show_smap; layout documented in proc(5)) and of recordings, which are such
 * a text with more fields.
 *
 * Tolerant of what kernels differ in: unknown fields, missing fields other than Rss, any order of fields.
 * Anything else is refused with one line: file, line number, what is there, what was expected.
 */

import { UsageError } from "../base/errors.ts";
import { type PageRuns, USER_VPN_5LEVEL } from "./layout.ts";
import { parseRuns, RUN_FIELDS, type RunField } from "./page-runs.ts";

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
  readonly rssKb: number;
  readonly anonymousKb: number;
  readonly anonHugeKb: number;
  readonly hugetlbKb: number;
  readonly swapKb: number;
  readonly lockedKb: number;
  /** 4 when the kernel does not say. */
  readonly kernelPageKb: number;
  /** Where its pages lay, by the fields of a recording; null in a text that is none. */
  readonly runs: Readonly<Partial<Record<RunField, PageRuns>>> | null;
  /** Two-letter codes of VmFlags; null before Linux 3.8. */
  readonly vmFlags: readonly string[] | null;
}

export interface Smaps {
  /** Ascending by address, never overlapping. */
  readonly mappings: readonly SmapsMapping[];
  /** Names of entries that are no part of the address space: [vsyscall] lies above user space. */
  readonly skipped: readonly string[];
  /** The text is a recording: what lay where is known, also where a mapping has no runs. */
  readonly recorded: boolean;
}

const HEADER =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+)(?: +(.*))?$/;
const FIELD = /^([A-Za-z_][\w()]*):(.*)$/;
const KB_VALUE = /^(\d+) kB$/;
const NOT_USER_SPACE = "[vsyscall]";
const EXPECTED = 'expected "address-address perms offset dev inode path" or "Field: value"';

interface Draft {
  readonly line: number;
  readonly header: RegExpExecArray;
  readonly fields: Map<string, { readonly line: number; readonly value: string }>;
}

/** `file` names the source in error messages. @throws UsageError */
export function parseSmaps(text: string, file: string): Smaps {
  const drafts = readLines(text, file);
  const skipped: string[] = [];
  const mappings: SmapsMapping[] = [];
  for (const draft of drafts) {
    if (draft.header[7] === NOT_USER_SPACE) skipped.push(NOT_USER_SPACE);
    else mappings.push(finish(draft, file));
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
  return { mappings, skipped, recorded: mappings.some(({ runs }) => runs !== null) };
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

function finish(draft: Draft, file: string): SmapsMapping {
  const { line, header, fields } = draft;
  const path = header[7] ?? "";
  if (path === "[rollup]") refuse(file, line, "smaps_rollup", "expected smaps");
  if (!fields.has("Rss")) refuse(file, line, "mapping without Rss", "expected smaps (not maps), not cut short");
  const startVpn = pageNumber(header[1] as string, file, line);
  const endVpn = pageNumber(header[2] as string, file, line);
  const pages = endVpn - startVpn;
  if (pages <= 0) refuse(file, line, `range ${header[1]}-${header[2]}`, "expected an end above the start");
  const kb = (name: string): number => fieldKb(draft, name, file);
  if (fields.has("Size") && kb("Size") !== pages * 4) {
    refuse(file, line, `Size ${kb("Size")} kB`, `expected ${pages * 4} kB by its addresses`);
  }
  const atMost = (name: string): number => {
    if (kb(name) > pages * 4) refuse(file, line, `${name} ${kb(name)} kB`, `expected at most ${pages * 4} kB`);
    return kb(name);
  };
  return {
    line,
    startVpn,
    pages,
    perms: header[3] as string,
    path,
    rssKb: atMost("Rss"),
    anonymousKb: atMost("Anonymous"),
    anonHugeKb: atMost("AnonHugePages"),
    hugetlbKb: kb("Shared_Hugetlb") + kb("Private_Hugetlb"),
    swapKb: kb("Swap"),
    lockedKb: kb("Locked"),
    runs: runsOf(draft, pages, file),
    kernelPageKb: fields.has("KernelPageSize") ? kernelPageKb(draft, file) : 4,
    vmFlags: fields.get("VmFlags")?.value.split(/ +/) ?? null,
  };
}

function fieldKb(draft: Draft, name: string, file: string): number {
  const field = draft.fields.get(name);
  if (field === undefined) return 0;
  const value = Number(KB_VALUE.exec(field.value)?.[1]);
  if (!Number.isSafeInteger(value)) refuse(file, field.line, `${name}: ${excerpt(field.value)}`, 'expected "N kB"');
  return value;
}

function runsOf({ fields }: Draft, pages: number, file: string): SmapsMapping["runs"] {
  const all: Partial<Record<RunField, PageRuns>> = {};
  for (const name of Object.keys(RUN_FIELDS) as RunField[]) {
    const field = fields.get(name);
    if (field === undefined) continue;
    const runs = parseRuns(field.value, pages);
    if (runs === undefined) {
      const expected = `expected ascending runs "offset+count" within ${pages} pages`;
      refuse(file, field.line, `${name}: ${excerpt(field.value)}`, expected);
    }
    all[name] = runs;
  }
  return Object.keys(all).length === 0 ? null : all;
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
