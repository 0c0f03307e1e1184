/** The bench's layouts on the kernel below: real processes killed with and without process_mrelease. */

import { countLayout, type Layout, type LayoutCounts } from "../../scenario/layout.ts";
import { plainLayout } from "../../scenario/plain.ts";
import { shrinkLayout } from "../../scenario/shrink.ts";
import { type MreleaseRun, prepareMrelease, runMrelease } from "../native-mrelease.ts";
import type { BenchContext } from "./context.ts";
import type { RawMrelease, RawMreleaseRow } from "./record.ts";

const PAGE_BYTES = 4096;
/** A victim takes no more than 2 / 3 of the memory that is available; mrelease itself insists on 4 / 5. */
const MEMORY_PART = 2 / 3;
/** Enough to tell how long a page takes. */
const PILOT_PAGES = 2 ** 15;
/** Kills of a run of `pairs`: one pair warms up. */
const killsOf = (pairs: number): number => 2 * (pairs + 1);
/** The pilot run tells the time of larger ones no better than this. */
const TIME_PART = 0.8;

export interface MreleaseRequest {
  /** Of several with one name the first is taken. */
  readonly layouts: readonly Layout[];
  readonly pairs: number;
  /** For all layouts together. */
  readonly seconds: number;
}

/** One row per layout; absent, with the reason, where the kernel or a C compiler lacks. */
export async function measureMrelease(
  context: Pick<BenchContext, "hooks" | "throwIfStopped">,
  request: MreleaseRequest,
): Promise<RawMrelease> {
  context.hooks.progress("compiling mrelease");
  const build = await prepareMrelease();
  if (!build.available) return { state: "absent", reason: build.reason };
  const { program, compiler } = build;
  const layouts = request.layouts.filter(({ name }, i, all) => all.findIndex((one) => one.name === name) === i);
  const rows: RawMreleaseRow[] = [];
  const end = performance.now() + request.seconds * 1000;
  let release = "";
  for (const [index, layout] of layouts.entries()) {
    const run: Run = async (part, pairs, seconds) => {
      context.throwIfStopped();
      if (seconds <= 0) return { available: false, reason: "the time for all layouts was up" };
      context.hooks.progress(`process_mrelease on this kernel: ${layout.name}`);
      return runMrelease(program, { vmas: part.vmas, pairs, seconds, stopped: context.hooks.stopped });
    };
    // What a layout leaves of its time is for those after it.
    const seconds = (end - performance.now()) / 1000 / (layouts.length - index);
    const measured = await measureLayout(layout, request.pairs, seconds, run);
    context.throwIfStopped();
    rows.push(measured.row);
    release ||= measured.release;
  }
  return { state: "measured", compiler, release, rows };
}

type Run = (part: Layout, pairs: number, seconds: number) => Promise<MreleaseRun>;

async function measureLayout(layout: Layout, pairs: number, seconds: number, run: Run): Promise<MeasuredLayout> {
  const whole = countLayout(layout);
  const plain = plainLayout(layout);
  const absent = (reason: string): MeasuredLayout => ({
    row: { state: "absent", layout: layout.name, pages: whole.presentPages, reason },
    release: "",
  });
  if (countLayout(plain).presentPages === 0) return absent("it has no present page");
  const began = performance.now();
  const pilotPart = shrinkLayout(plain, PILOT_PAGES);
  const pilot = await run(pilotPart, 1, seconds);
  if (!pilot.available) return absent(pilot.reason);
  const took = (performance.now() - began) / 1000;
  const pagesPerSecond = (countLayout(pilotPart).presentPages * killsOf(1)) / took;
  const room = roomFor((pagesPerSecond * (seconds - took)) / killsOf(pairs));
  const part = shrinkLayout(plain, room.pages);
  const result = await run(part, pairs, seconds - took);
  if (!result.available) return absent(result.reason);
  const counts = countLayout(part);
  const row: RawMreleaseRow = {
    state: "measured",
    layout: layout.name,
    pages: whole.presentPages,
    kernelPages: counts.presentPages,
    kernelVmas: result.vmas,
    notes: [...plainNotes(layout, plain), ...notesOf(countLayout(plain), counts, room.short, result)],
    pairs: result.pairs,
  };
  return { row, release: result.release };
}

interface MeasuredLayout {
  readonly row: RawMreleaseRow;
  readonly release: string;
}

/** Pages of a victim where time allows `inTime`, and what there is too little of for more. */
function roomFor(inTime: number): { readonly pages: number; readonly short: "memory" | "time" } {
  const byTime = inTime * TIME_PART;
  const byMemory = (process.availableMemory() * MEMORY_PART) / PAGE_BYTES;
  const pages = Math.max(PILOT_PAGES, Math.floor(Math.min(byTime, byMemory)));
  return { pages, short: byMemory < byTime ? "memory" : "time" };
}

/** The victim of a live kill has private anonymous memory and nothing else. */
function plainNotes(layout: Layout, plain: Layout): string[] {
  if (layout === plain) return [];
  return ["private pages of any kind are small anonymous ones here; shared, hugetlb and swapped ones are left out"];
}

/** In what a victim was not what the layout says. */
function notesOf(
  whole: LayoutCounts,
  part: LayoutCounts,
  short: "memory" | "time",
  { vmas, movedPages }: Extract<MreleaseRun, { available: true }>,
): string[] {
  const count = (value: number): string => value.toLocaleString("en-US");
  const notes: string[] = [];
  if (part.presentPages < whole.presentPages) {
    const fewer = part.vmas < whole.vmas ? `, ${count(part.vmas)} of its ${count(whole.vmas)} VMAs` : "";
    notes.push(
      `${count(part.presentPages)} of its ${count(whole.presentPages)} pages${fewer}: ` +
        `more do not fit in the ${short} there is`,
    );
  }
  if (vmas !== part.vmas) notes.push(`the kernel shows ${count(vmas)} VMAs, the layout has ${count(part.vmas)}`);
  if (movedPages !== 0) notes.push("its addresses were taken: it lay elsewhere, all of it by one distance");
  return notes;
}
