/** Layouts of real processes: from a live one under /proc, or from a file that somebody saved. */

import { isUtf8 } from "node:buffer";
import { existsSync, readFileSync } from "node:fs";
import { UsageError } from "../base/errors.ts";
import { type Layout, NotAvailable } from "./layout.ts";
import { LivePlaces } from "./live-places.ts";
import { type PlacesOf, recordingOf } from "./recording.ts";
import { parseSmaps, type Smaps } from "./smaps.ts";
import { smapsLayout } from "./smaps-layout.ts";

const NEWLINE = 0x0a;
/** 256 MiB: of 65,530 mappings each could have 4 KiB. */
const MAX_TEXT_BYTES = 2 ** 28;

/** A process that maps memory while its smaps is read may show a range twice; another attempt then helps. */
const ATTEMPTS = 5;

/**
 * `--smaps FILE` or a process id.
 * @throws UsageError when it cannot be read or is no smaps
 */
export function readSmaps(fileOrPid: string, seed: number): Layout {
  const live = /^(?:\/proc\/)?(\d+|self)(?:\/smaps)?$/.exec(fileOrPid);
  if (live !== null && (fileOrPid.startsWith("/proc/") || !existsSync(fileOrPid))) {
    return readProcess(live[1] as string, seed);
  }
  return readSmapsFile(fileOrPid, fileOrPid, `the process that ${fileOrPid} describes`, seed);
}

/** A saved smaps text or a recording as the layout `name`. @throws UsageError when it cannot be read or is neither */
export function readSmapsFile(file: string, name: string, idea: string, seed: number): Layout {
  const smaps = parseSmaps(readSaved(file), file);
  return smapsLayout(name, idea, smaps, ({ places }) => places ?? undefined, seed);
}

/** This process. @throws NotAvailable on a system without /proc/self/smaps */
export function readOwnSmaps(seed: number): Layout {
  return readProcess("self", seed);
}

/**
 * The live process `pid` (digits, or "self"), with presence from pagemap where that is readable.
 * @throws NotAvailable on a system without /proc; UsageError when this process cannot be read
 */
export function readProcess(pid: string, seed: number): Layout {
  const { file, smaps } = readLive(pid);
  const places = openPlaces(pid, smaps);
  const placesOf: PlacesOf = (mapping) => places?.of(mapping);
  try {
    return smapsLayout(`process ${pid}`, `the live process ${pid}, from ${file}`, smaps, placesOf, seed);
  } finally {
    places?.close();
  }
}

interface LiveSmaps {
  readonly file: string;
  readonly text: string;
  readonly smaps: Smaps;
}

function readLive(pid: string): LiveSmaps {
  if (!existsSync("/proc/self/smaps")) {
    throw new NotAvailable(`process ${pid}: not available here, expected Linux with /proc/self/smaps`);
  }
  const file = `/proc/${pid}/smaps`;
  for (let attempt = 1; ; attempt++) {
    const text = readText(file).toString("utf8");
    try {
      return { file, text, smaps: parseSmaps(text, file) };
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

export interface Recording {
  /** See `recording`. */
  readonly text: string;
  readonly pages: number;
  /** False when the process changed in each attempt: sizes and runs then do not quite agree. */
  readonly steady: boolean;
}

/**
 * Records the live process `pid`.
 * @throws NotAvailable on a system without /proc; UsageError when this process or its pagemap cannot be read
 */
export function recordProcess(pid: string): Recording {
  for (let attempt = 1; ; attempt++) {
    const before = readLive(pid);
    const places = openPlaces(pid, before.smaps);
    if (places === undefined) {
      throw new UsageError(`/proc/${pid}/pagemap: cannot be read, expected a process of yours, or more rights`);
    }
    try {
      const text = recordingOf(before.text, before.smaps, (mapping) => places.of(mapping));
      const steady = readLive(pid).text === before.text;
      const pages = before.smaps.mappings.reduce((sum, { rssKb }) => sum + rssKb / 4, 0);
      if (steady || attempt === ATTEMPTS) return { text, pages, steady };
    } finally {
      places.close();
    }
  }
}

/** Undefined for another user's process, or on a kernel without CONFIG_PROC_PAGE_MONITOR: the spread takes its place. */
function openPlaces(pid: string, smaps: Smaps): LivePlaces | undefined {
  const pageKb = Math.min(...new Set(smaps.mappings.map((mapping) => mapping.kernelPageKb)));
  try {
    return new LivePlaces(`/proc/${pid}/pagemap`, "/proc/kpageflags", pageKb);
  } catch {
    return undefined;
  }
}

function readText(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`${file}: cannot be read (${code}), expected a readable smaps text`);
  }
}

/** A saved text must be whole; the paths of a live process may hold any bytes. */
function readSaved(file: string): string {
  const bytes = readText(file);
  if (bytes.length > MAX_TEXT_BYTES) {
    throw new UsageError(`${file}: ${bytes.length} bytes, expected a smaps text of at most ${MAX_TEXT_BYTES}`);
  }
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw new UsageError(`${file}:${firstBadLine(bytes)}: bytes that are no UTF-8, expected a smaps text`);
}

/** No character of more than one byte holds a newline, so lines can be looked at one by one. */
function firstBadLine(bytes: Buffer): number {
  let line = 1;
  for (let from = 0; ; line++) {
    const end = bytes.indexOf(NEWLINE, from);
    if (!isUtf8(bytes.subarray(from, end < 0 ? undefined : end))) return line;
    from = end + 1;
  }
}
