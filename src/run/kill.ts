/** `oomrace run`: one kill on real threads, with everything that its CPUs traced. */

import type { FrameOrder } from "../machine/address-space.ts";
import { countLayout, type Layout, type LayoutCounts } from "../scenario/layout.ts";
import type { Actors } from "./actors.ts";
import { soloRate, timerScale } from "./bench/calibrate.ts";
import { BenchContext, type BenchHooks } from "./bench/context.ts";
import { hypotheticalNotes } from "./bench/hypothetical.ts";
import type { TimerScale } from "./bench/record.ts";
import { type MachineInfo, machineInfo, oversubscribed } from "./cpu-info.ts";
import { RaceHost, type TracedKill } from "./race-host.ts";
import { packageVersion } from "./version.ts";

export interface KillSetup extends Actors {
  readonly frames: FrameOrder;
  readonly protocol: string;
  /** The reaper's walk; null where nobody reaps. */
  readonly order: string | null;
  readonly seed: number;
}

export interface KillRequest extends KillSetup {
  readonly layout: Layout;
  /** Kernel seconds in a real second; null: as many as let both unmap equally much. */
  readonly hz: number | null;
}

export interface RawKill {
  readonly version: string;
  readonly machine: MachineInfo;
  readonly setup: KillSetup;
  readonly timers: TimerScale;
  readonly layout: { readonly name: string; readonly idea: string } & LayoutCounts;
  readonly oversubscribed: boolean;
  /** What each CPU was, by its number. */
  readonly roles: readonly string[];
  readonly kill: TracedKill;
  readonly notes: readonly string[];
}

/** Kills before the one that is shown, so that it runs compiled code: as many as fit this time, and at least so many. */
const WARM_UP_MS = 400;
const WARM_UPS = 4;
const CALIBRATION_PAGES = 2 ** 18;

/** Ring entries for an address space of so many VMAs: each is begun, ended, flushed and freed, and locks are waited for. */
function traceEventsFor(vmas: number): number {
  return 2 ** Math.min(20, Math.ceil(Math.log2(8 * vmas + 2 ** 14)));
}

/**
 * Runs the kill. Rejects with the Violation that it broke, a HangError, or Interrupted when the user asked to stop.
 */
export async function runKill(request: KillRequest, hooks: BenchHooks): Promise<RawKill> {
  const context = await BenchContext.open("parallel", hooks);
  try {
    const { layout, hz, ...setup } = request;
    const solo = hz === null ? await soloRate(context, CALIBRATION_PAGES, "v6.1", setup.seed) : 0;
    const { scale, rate } = timerScale(hz, solo);
    await context.setTimerRate(rate);
    const counts = countLayout(layout);
    const host = new RaceHost(context.kernel, {
      ...setup,
      mappings: layout.vmas,
      levels: counts.levels,
      traceEvents: traceEventsFor(layout.vmas.length),
      lockOrder: false,
    });
    const since = performance.now();
    for (let i = 0; i < WARM_UPS || performance.now() - since < WARM_UP_MS; i++) {
      hooks.progress(`warm-up ${i + 1}`);
      await host.trial(await context.crewFor(host), setup.order);
    }
    hooks.progress("the kill");
    const kill = await host.tracedTrial(await context.crewFor(host), setup.order);
    const machine = machineInfo();
    const roles = rolesOf(setup);
    return {
      version: packageVersion(),
      machine,
      setup,
      timers: scale,
      layout: { name: layout.name, idea: layout.idea, ...counts },
      oversubscribed: oversubscribed(kill.sample.actors.length, machine),
      roles,
      kill,
      notes: [
        ...layout.notes,
        ...hypotheticalNotes(context.kernel, {
          protocol: setup.protocol,
          orders: setup.order === null ? [] : [setup.order],
          reaper: setup.reaper,
        }),
      ],
    };
  } finally {
    await context.close();
  }
}

function rolesOf({ reaper, reapers, allocators }: KillSetup): string[] {
  return [
    "victim",
    ...Array.from({ length: reapers }, () => reaper),
    ...Array.from({ length: allocators }, (_, i) => `allocator ${i + 1}`),
  ];
}
