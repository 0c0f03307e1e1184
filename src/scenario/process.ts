/** Layouts of real processes: from a live one under /proc, or from a file that somebody saved. */

import { existsSync, readFileSync } from "node:fs";
import { UsageError } from "../base/errors.ts";
import { type Layout, NotAvailable } from "./layout.ts";
import { MAX_PAGEMAP_PAGES, Pagemap } from "./pagemap.ts";
import { parseSmaps, type Smaps } from "./smaps.ts";
import { type Presence, smapsLayout } from "./smaps-layout.ts";

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
  const smaps = parseSmaps(readText(fileOrPid), fileOrPid);
  return smapsLayout(fileOrPid, `the process that ${fileOrPid} describes`, smaps, () => undefined, seed);
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
  if (!existsSync("/proc/self/smaps")) {
    throw new NotAvailable(`process ${pid}: not available here, expected Linux with /proc/self/smaps`);
  }
  const file = `/proc/${pid}/smaps`;
  const smaps = parseLive(file);
  const pagemap = openPagemap(`/proc/${pid}/pagemap`, smaps);
  const presence: Presence = (mapping) =>
    mapping.pages > MAX_PAGEMAP_PAGES ? undefined : pagemap?.present(mapping.startVpn, mapping.pages);
  try {
    return smapsLayout(`process ${pid}`, `the live process ${pid}, from ${file}`, smaps, presence, seed);
  } finally {
    pagemap?.close();
  }
}

function parseLive(file: string): Smaps {
  for (let attempt = 1; ; attempt++) {
    const text = readText(file);
    try {
      return parseSmaps(text, file);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

function openPagemap(path: string, smaps: Smaps): Pagemap | undefined {
  const pageKb = Math.min(...new Set(smaps.mappings.map((mapping) => mapping.kernelPageKb)));
  try {
    return new Pagemap(path, pageKb);
  } catch {
    // Another user's process, or a kernel without CONFIG_PROC_PAGE_MONITOR: the spread takes its place.
    return undefined;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new UsageError(`${file}: cannot be read (${code}), expected a readable smaps text`);
  }
}
