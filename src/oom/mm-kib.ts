/** The sizes of an address space as tracepoints and log lines tell them. */

import type { Cpu } from "../arena/cpu.ts";
import { MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES, Mm } from "../mm/mm-struct.ts";
import { PAGE_SHIFT } from "../mm/page.ts";

/** KiB of a page. */
const PAGE_KIB = 2 ** (PAGE_SHIFT - 10);
const KIB = 1024;

/** Pages of one kind, never below 0. A glance, as everything here. */
export function rssPages(cpu: Cpu, mm: number, kind: number): number {
  return Math.max(0, cpu.words[mm + Mm.rss + kind] as number);
}

/** KiB of anonymous pages, pages of files, and pages of shared memory. */
export function rssKib(cpu: Cpu, mm: number): number[] {
  return [MM_ANONPAGES, MM_FILEPAGES, MM_SHMEMPAGES].map((kind) => rssPages(cpu, mm, kind) * PAGE_KIB);
}

/** KiB of all mappings. */
export function totalVmKib(cpu: Cpu, mm: number): number {
  return (cpu.words[mm + Mm.totalVm] as number) * PAGE_KIB;
}

/** KiB of page tables. */
export function pgtablesKib(cpu: Cpu, mm: number): number {
  return ((cpu.words[mm + Mm.pgtablesBytes] as number) >>> 0) / KIB;
}
