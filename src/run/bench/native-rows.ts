/** oomrace beside the same loop in C: the unmapping of one victim, alone, over one arena image. */

import { FRAME_ORDERS, type FrameOrder } from "../../machine/address-space.ts";
import { runNativeTwin, type TwinResult, type TwinRun } from "../native-twin.ts";
import type { BenchContext } from "./context.ts";
import { hostLoneVictim, LONE_VICTIM_LAYOUT } from "./lone-victim.ts";
import type { RawNative, RawNativeRow } from "./record.ts";

/** Runs until the compiler of the JavaScript side has settled. */
const WARM_UPS = 12;

/** One row per order of frames; absent, with the reason, where there is no C compiler. */
export async function measureNativeTwin(
  context: BenchContext,
  pages: number,
  pairs: number,
  seed: number,
): Promise<RawNative> {
  const rows: RawNativeRow[] = [];
  let compiler = "";
  for (const frames of FRAME_ORDERS) {
    const result = await runTwin(context, pages, pairs, frames, seed);
    if (!result.available) return { state: "absent", reason: result.reason };
    compiler = result.compiler;
    rows.push(rowOf(result, frames, pages));
  }
  return { state: "measured", compiler, rows };
}

async function runTwin(
  context: BenchContext,
  pages: number,
  pairs: number,
  frames: FrameOrder,
  seed: number,
): Promise<TwinResult> {
  const host = hostLoneVictim(context, { pages, frames, seed });
  return runNativeTwin({
    stage: host.twinStage,
    crew: await context.crewFor(host),
    modes: ["solo"],
    pairs,
    warmUps: WARM_UPS,
    progress: (text) => context.hooks.progress(`${frames} frames: ${text}`),
  });
}

function rowOf(result: Extract<TwinResult, { available: true }>, frames: FrameOrder, pages: number): RawNativeRow {
  const solo = result.pairs.solo ?? [];
  const wallNs = (run: TwinRun): number => Math.max(...run.actors.map((actor) => actor.wallNs));
  return {
    layout: LONE_VICTIM_LAYOUT,
    frames,
    pages,
    oomraceNs: solo.map(({ js }) => wallNs(js)),
    nativeNs: solo.map(({ native }) => wallNs(native)),
    identicalArenas: result.difference === undefined,
  };
}
